//! Records of those who want to be seen on the page, or to break it.

use serde_json::{Value, json};

use super::{one, page_of};
use crate::fleets::{Archive, cluster, record};
use crate::support::{say, skip};

/// A record that has a text wherever the page has one of records.
fn telling(text: &str) -> Value {
    let mut record = one("2025-06", text, text);
    record["kubermaticVersion"] = text.into();
    record["clusters"][0]["cniPlugin"]["type"] = text.into();
    record["machineDeployments"][0]["os"] = text.into();
    record["seeds"][0]["country"] = text.into();
    record
}

#[test]
fn texts_of_records_are_text_and_short() {
    let long = "w".repeat(10_000);
    let hostile = [
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("</svg></table><b>&amp;\"'", "&lt;/svg&gt;&lt;/table&gt;&lt;b&gt;&amp;amp;&quot;'"),
        ("a\u{0}b\u{1b}[2J\u{202e}c\u{200b}", "a\\u{0}b\\u{1b}[2J\\u{202e}c\\u{200b}"),
        (long.as_str(), "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww…"),
    ];
    let mut records = Vec::new();
    for (place, (text, _)) in (0..).zip(&hostile) {
        records.extend((0..5).map(|client| (10 * place + client, telling(text))));
    }
    let (_, page) = page_of(&records);
    for (_, shown) in hostile {
        // In each of six subjects at least once in a table, as a heading of its row.
        let cell = format!("<th scope=\"row\">{shown}</th>");
        assert!(page.0.matches(&cell).count() >= 6, "{cell} is there {} times", page.0.matches(&cell).count());
    }
    assert!(!page.0.contains("<img") && !page.0.contains("<b>") && !page.0.contains(&"w".repeat(41)));
    assert!(page.0.chars().all(|c| c == '\n' || kubermatic_telemetry::text::is_safe(c)));
    assert!(page.0.len() < 200_000, "{}", page.0.len());
}

#[test]
fn names_of_the_page_itself_can_not_be_taken() {
    let mut records: Vec<_> = (0..6).map(|client| (client, one("2025-06", "aws", "1.30.1"))).collect();
    for (place, name) in (0..).zip(["others", "not told", "not recognised", " "]) {
        records.extend((10 + 10 * place..16 + 10 * place).map(|client| (client, one("2025-06", name, "1.30.1"))));
    }
    let (_, page) = page_of(&records);
    let told = page.numbers("User clusters by provider, 2025-06");
    assert_eq!(told, [("aws".to_owned(), 6), ("not recognised".to_owned(), 24)].into());
}

#[test]
fn a_single_installation_shows_nothing_however_much_it_tells() {
    let mut records: Vec<_> = (0..9).map(|client| (client, one("2025-06", "aws", "1.30.1"))).collect();
    let clusters: Vec<_> = (0..100_000)
        .map(|number| {
            let (provider, version) = (format!("lonely{number}"), format!("9.{number}.0"));
            json!({"cloud": {"provider": provider}, "kubernetesServerVersion": version})
        })
        .collect();
    records.push((99, record("2025-06-15T12:00:00Z", &json!({"clusters": clusters, "kubermaticVersion": "9.9.9"}))));
    let mut archive = Archive::new();
    archive.accept(&records);
    let words = ["fleet", "--archive", "archive", "--html", "fleet.html", "--force", "--until", "2026-01"];
    let measured = archive.desk.run_measured(&words);
    let page = archive.page();
    assert!(!page.0.contains("lonely") && !page.0.contains(">9."), "{}", page.0);
    assert!(page.0.len() < 100_000, "{}", page.0.len());
    let Some((printed, peak)) = measured else {
        skip("there is no `time` to measure with");
        return;
    };
    printed.ok();
    assert!(peak <= 96 << 10, "{peak} KiB");
    say("measured", &format!("100,000 versions of one installation: {} MiB, {} bytes", peak >> 10, page.0.len()));
}

#[test]
fn many_groups_of_a_gang_are_bounded_in_number() {
    let mut records = Vec::new();
    for month in ["2025-05", "2025-06"] {
        for client in 0..6 {
            let clusters: Vec<_> = (0..200)
                .map(|number| cluster(&format!("p{month}-{number}"), &format!("{number}.{number}.0")))
                .collect();
            let seeds: Vec<_> = (0..200).map(|number| json!({"country": format!("c{month}-{number}")})).collect();
            records.push((
                client,
                record(&format!("{month}-15T12:00:00Z"), &json!({"clusters": clusters, "seeds": seeds})),
            ));
        }
    }
    let (_, page) = page_of(&records);
    assert!(page.0.len() < 200_000, "{}", page.0.len());
    let shown = page.numbers("User clusters by provider, 2025-06");
    assert_eq!((shown.len(), shown.values().sum::<u64>()), (21, 1200), "the largest, and others with all that is left");
    let over = page.table("User clusters by provider and month").unwrap();
    assert_eq!(over[0].len(), 1 + 17 + 1);
}

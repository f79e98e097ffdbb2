//! `inspect --html`: the page of a bundle as text. `tests/browser/pages.rs` opens it in a browser.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubermatic_telemetry::bundle::pack::Header;
use kubermatic_telemetry::record::catalogue::{NEVER_COLLECTED, described};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::made::{CLIENT, make_of, snakeoil};
use crate::sample::{MARKUP, days, hostile};
use crate::support::{Desk, header, root, say, skip};

/// Writes the page of a bundle whose signer is trusted, and reads it.
fn page(desk: &Desk, bundle: &str) -> String {
    let key = snakeoil("snakeoil-client.pub.pem");
    desk.line(&format!("inspect {bundle} --key {} --force --html page.html", key.display())).ok();
    fs::read_to_string(desk.path("page.html")).unwrap()
}

/// What stands in a page for its readers.
fn text(html: &str) -> String {
    let body = html.split_once("</style>").map_or(html, |(_, body)| body);
    let mut text = String::new();
    for piece in body.split('<') {
        text.push_str(piece.split_once('>').map_or(piece, |(_, text)| text));
        text.push(' ');
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The section of a heading's id.
fn section<'p>(page: &'p str, id: &str) -> &'p str {
    let (_, rest) = page.split_once(&format!("<h2 id=\"{id}\">")).unwrap_or_else(|| panic!("no {id} in {page}"));
    rest.split_once("</section>").unwrap().0
}

/// Every scalar in a value, as the page spells it.
fn leaves(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.values().for_each(|value| leaves(value, all)),
        Value::Array(elements) => elements.iter().for_each(|value| leaves(value, all)),
        Value::String(text) => all.push(format!(">{text}</bdi>")),
        other => all.push(format!("{other}")),
    }
}

fn is_intact(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\"><head>") && page.ends_with("</body></html>\n"));
    for absent in ["<script", "<img", "<link", "<iframe", "<form", "style=", "src=", "onerror=\"", "http:", "https:"] {
        assert!(!page.contains(absent), "{absent} is in the page");
    }
    let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let digest = STANDARD.encode(Sha256::digest(style));
    assert!(page.contains(&format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'")));
    for (open, close) in
        [("<table>", "</table>"), ("<details>", "</details>"), ("<section>", "</section>"), ("<tr>", "</tr>")]
    {
        assert_eq!(page.matches(open).count(), page.matches(close).count(), "{open}");
    }
}

#[test]
fn every_value_of_the_newest_records_is_in_the_row_of_its_entity() {
    let desk = Desk::new();
    let records = days(&desk, 3);
    make_of(&desk, "bundle.tar", header(), &records);
    let page = page(&desk, "bundle.tar");
    is_intact(&page);
    let newest = section(&page, "newest");
    let mut checked = 0;
    for record in &records[records.len() - 2..] {
        let of_kind = newest
            .split("<h3>")
            .find(|it| it.starts_with(&format!("Newest record of kind {} v1", record["kind"].as_str().unwrap())))
            .unwrap();
        let arrays = record.as_object().unwrap().iter().filter_map(|(name, value)| Some((name, value.as_array()?)));
        let datacenters = record["seeds"].as_array().into_iter().flatten();
        let datacenters = datacenters.flat_map(|seed| seed["datacenters"].as_array().unwrap());
        let rows = arrays.filter(|(name, _)| *name != "problems" && *name != "withheld").flat_map(|(_, rows)| rows);
        for row in rows.chain(datacenters) {
            let key = row.get("uuid").or_else(|| row.get("id")).unwrap().as_str().unwrap();
            let heading = format!("<tr><th scope=\"row\"><bdi class=\"said\">{key}</bdi></th>");
            let cells: String =
                of_kind.split(&heading).skip(1).map(|rest| rest.split_once("</tr>").unwrap().0).collect();
            let alone = format!("<li><bdi class=\"said\">{key}</bdi></li>");
            assert!(of_kind.contains(&heading) || of_kind.contains(&alone), "{key} has no row: {row}");
            let mut row = row.clone();
            row.as_object_mut().unwrap().retain(|name, _| !["uuid", "id", "datacenters"].contains(&name.as_str()));
            let mut values = Vec::new();
            leaves(&row, &mut values);
            for value in values {
                assert!(cells.contains(&value), "{value} of {key} is not in {cells}");
                checked += 1;
            }
        }
        for problem in record["problems"].as_array().unwrap() {
            assert!(of_kind.contains(&format!(">{}</bdi></th>", problem["category"].as_str().unwrap())), "{problem}");
        }
    }
    assert!(checked > 300, "{checked}");
    say("measured", &format!("{checked} values of entities in their rows"));
}

#[test]
fn the_page_says_who_signed_when_and_what_is_in_it() {
    let desk = Desk::new();
    let previous = kubermatic_telemetry::digest::Sha256Digest::of(b"previous");
    let replaces = "7f9619ff-8b86-4d01-b42d-00cf4fc964ff";
    let header = Header {
        sequence: 1234,
        previous: Some(previous),
        replaces: Some(replaces.parse().unwrap()),
        note: Some("CHG-0815".into()),
        withheld: vec!["locations".into(), "users.isAdmin".into()],
        dropped: 17,
        discarded: 2,
        ..header()
    };
    make_of(&desk, "bundle.tar", header, &days(&desk, 31));
    let page = page(&desk, "bundle.tar");
    let said = text(&page);
    let sha256 = kubermatic_telemetry::digest::Sha256Digest::of(&fs::read(desk.path("bundle.tar")).unwrap());
    for expected in [
        "What is in this bundle Trusted: intact, and signed by a trusted key of its client",
        "holds 62 records of 31 days, from 2026-01-01 to 2026-01-31.",
        "Note CHG-0815",
        &format!("Client {CLIENT}"),
        "Is the key trusted trusted",
        "Created 2026-02-01T00:00:00Z",
        "Made by test/1",
        "Sequence number 1,234",
        &format!("Manifest before it sha256:{previous}"),
        &format!("Replaces client {replaces}"),
        "Records dropped 17 lost",
        "Records discarded 2 removed by a person",
        &format!(
            "bundle.tar , {} bytes, SHA-256 {sha256}",
            grouped(fs::metadata(desk.path("bundle.tar")).unwrap().len())
        ),
        "locations every location, which is free text",
        "users.isAdmin this field",
        "Records: 62",
        "2026-01-17T04:00:00Z",
        "User clusters and machine deployments: clusters, machineDeployments",
        "Nodes: nodes",
        "The numbers of “Users, projects and SSH keys”",
    ] {
        assert!(said.contains(expected), "`{expected}` is not in {said}");
    }
    assert_eq!(section(&page, "records").matches("<tr><th scope=\"row\">").count(), 62);
    assert_eq!(section(&page, "counts").matches("<svg viewBox=\"0 0 480").count(), 6, "charts");
    let fields = section(&page, "fields");
    for kind in ["kubermatic", "kubernetes"] {
        for field in described(kind) {
            assert!(fields.contains(&format!("<code>{}</code>", field.path)), "{}", field.path);
        }
    }
}

fn grouped(number: u64) -> String {
    let text = number.to_string();
    if text.len() > 3 { format!("{},{}", &text[..text.len() - 3], &text[text.len() - 3..]) } else { text }
}

#[test]
fn what_is_never_collected_is_the_same_in_the_page_and_in_the_documents() {
    let desk = Desk::new();
    make_of(&desk, "bundle.tar", header(), &days(&desk, 1));
    let page = page(&desk, "bundle.tar");
    let document = |name: &str, from: &str, to: &str| -> Vec<String> {
        let text = fs::read_to_string(root().join("docs").join(name)).unwrap();
        let list = text.split_once(from).unwrap().1;
        let list = list.split_once(to).map_or(list, |(list, _)| list);
        list.trim()
            .split("\n- ")
            .map(|it| it.trim_start_matches("- ").split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    };
    assert_eq!(document("privacy.md", "## What never leaves\n\n", "\n\n"), NEVER_COLLECTED);
    assert_eq!(document("data-collected.md", "## Never collected\n\n", "\n\n"), NEVER_COLLECTED);
    let shown = text(section(&page, "never"));
    for item in NEVER_COLLECTED {
        assert!(shown.contains(item), "{item} is not in {shown}");
    }
}

#[test]
fn what_changed_is_told_with_what_was_before() {
    let desk = Desk::new();
    let mut records = days(&desk, 3);
    let many =
        (100..130).map(|number| json!({"uuid": format!("00000000-0000-8000-8000-{number:012}"), "isAdmin": true}));
    records[4]["users"].as_array_mut().unwrap().extend(many);
    // Keys are in the order of their pseudonyms, and one of them belongs to no project.
    let keys = records[4]["sshKeys"].as_array_mut().unwrap();
    let at = keys.iter().position(|key| key["ownerProjectUUID"][0].is_string()).unwrap();
    let gone = keys.remove(at);
    let kept = &mut records[2]["sshKeys"][at];
    assert_eq!(kept["uuid"], gone["uuid"]);
    kept["ownerProjectUUID"] = json!(["00000000-0000-8000-8000-00000000beef"]);
    make_of(&desk, "bundle.tar", header(), &records);
    let page = page(&desk, "bundle.tar");
    let changes = section(&page, "changes");
    let pairs: Vec<_> = changes.split("<h3>").skip(1).map(text).collect();
    assert_eq!(pairs.len(), 4, "of two kinds, over three days: {pairs:?}");
    let version = records[0]["clusters"][0]["uuid"].as_str().unwrap();
    let first = &pairs[0];
    for expected in [
        "kubermatic v1: 2026-01-01T04:00:00Z to 2026-01-02T04:00:00Z",
        "users: 2 added",
        &format!("clusters {version} kubernetesServerVersion 1.30.1 1.30.2"),
        "users 00000000-0000-8000-8000-000000000003 added absent uuid 00000000-0000-8000-8000-000000000003",
    ] {
        let first = first.replace("isAdmin false isServiceAccount false ", "");
        assert!(first.contains(expected), "`{expected}` is not in {first}");
    }
    let key = gone["uuid"].as_str().unwrap();
    let before = gone["ownerProjectUUID"][0].as_str().unwrap();
    assert!(first.contains(&format!("sshKeys {key} ownerProjectUUID {before} 00000000-0000-8000-8000-00000000beef")));
    let folded: Vec<_> = changes.match_indices("<details>").map(|(at, _)| text(&changes[at..at + 60])).collect();
    assert_eq!(folded.len(), 1, "{folded:?}");
    let more = changes.matches("<strong>added</strong>").count();
    assert!(more > 32, "{more} added entities are there, folded or not");
    // What is in no newest record is told when it goes.
    assert!(pairs[1].contains(&format!("sshKeys {key} removed")), "{}", pairs[1]);
    assert!(pairs[1].contains("ownerProjectUUID 00000000-0000-8000-8000-00000000beef"), "{}", pairs[1]);
    assert!(pairs[2].contains("kubernetes v1: ") && pairs[2].contains("Nothing but the time."), "{}", pairs[2]);
}

#[test]
fn what_is_withheld_is_told_from_what_is_not_there() {
    let desk = Desk::new();
    desk.collect();
    desk.line("export -o bundle.tar --omit locations,sshKeys,datacenters,clusters.phase").ok();
    desk.line("inspect bundle.tar --html page.html").ok();
    let page = fs::read_to_string(desk.path("page.html")).unwrap();
    let newest = section(&page, "newest");
    let cells = |caption: &str| {
        let from = newest.split_once(&format!("<caption>{caption}")).unwrap_or_else(|| panic!("no {caption}")).1;
        from.split_once("</table>").unwrap().0.to_owned()
    };
    let withheld = "<span class=\"absent\">withheld</span>";
    let none = "<span class=\"absent\">absent</span>";
    let seeds = cells("seeds: ");
    let rows = seeds.matches("<tr><th scope=\"row\">").count();
    assert_eq!(seeds.matches(withheld).count(), rows, "the location of every seed: {seeds}");
    let clusters = newest.split("<caption>clusters: ").skip(1).collect::<String>();
    assert!(clusters.contains(withheld) && clusters.contains(none), "{clusters}");
    let after = |heading: &str| text(newest.split_once(heading).unwrap().1.split_once("<h").unwrap().0);
    assert!(after("<h4>sshKeys</h4>").contains("Withheld by the site: the record does not say"), "{newest}");
    assert!(after("<h4>datacenters of seeds</h4>").contains("Withheld by the site."), "{newest}");
    let said = text(section(&page, "withheld"));
    assert!(
        said.contains("clusters.phase this field") && said.contains("sshKeys sshKeys , and what names them"),
        "{said}"
    );
}

#[test]
fn an_unknown_signer_is_warned_of_first() {
    let desk = Desk::new();
    make_of(&desk, "bundle.tar", header(), &days(&desk, 1));
    let printed = desk.line("inspect bundle.tar --html page.html").ok().says("wrote a page of it to page.html");
    printed.prints("bundle.tar: WARNING: intact, but of an unknown signer");
    let said = text(&fs::read_to_string(desk.path("page.html")).unwrap());
    assert!(
        said.starts_with("Kubermatic telemetry What is in this bundle WARNING: intact, but of an unknown signer"),
        "{said}"
    );
    assert!(said.contains("no key was given") && !said.contains("this installation’s own"), "{said}");

    desk.line("export -o own.tar").ok();
    desk.line("inspect own.tar --html own.html").ok();
    assert!(text(&fs::read_to_string(desk.path("own.html")).unwrap()).contains("is this installation’s own"));
    for (keyring, code, expected) in
        [("client", 0, "the keyring that was given has the key for this client"), ("revoked", 1, "")]
    {
        let keyring = root().join("testdata/bundles/keyrings").join(keyring);
        let line = format!("inspect bundle.tar --keyring {} --html {code}.html", keyring.display());
        desk.line(&line).code(code);
        let page = fs::read_to_string(desk.path(&format!("{code}.html"))).unwrap_or_default();
        assert_eq!(page.is_empty(), code == 1, "a revoked key signs nothing that a page is made of");
        assert!(page.contains(expected), "{page}");
    }
}

#[test]
fn a_file_that_is_refused_makes_no_page() {
    let desk = Desk::new();
    make_of(&desk, "bundle.tar", header(), &days(&desk, 1));
    let mut bytes = fs::read(desk.path("bundle.tar")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    desk.file("damaged.tar", bytes);
    let before = desk.snapshot();
    let plain = desk.line("inspect damaged.tar").code(1);
    let paged = desk.line("inspect damaged.tar --html page.html").code(1);
    assert_eq!((&paged.stdout, &paged.stderr), (&plain.stdout, &plain.stderr));
    assert_eq!(desk.line("inspect damaged.tar --html -").code(1).stdout, "");
    desk.unchanged_since(&before, "inspect --html of what is refused");
}

#[test]
fn a_page_is_there_whole_or_not_at_all_and_replaces_nothing_unasked() {
    let desk = Desk::new();
    make_of(&desk, "bundle.tar", header(), &days(&desk, 1));
    desk.file("page.html", "mine");
    let before = desk.snapshot();
    desk.line("inspect bundle.tar --html page.html").code(1).says("page.html exists already").says("--force");
    desk.line("inspect bundle.tar --html nowhere/page.html").code(1).says("the directory nowhere does not exist");
    desk.line("inspect bundle.tar --html .").code(1).says("is a directory").says("name a file in it");
    desk.line("inspect bundle.tar --html /dev/full").code(1).says("can't write to /dev/full");
    desk.line("inspect bundle.tar --force").code(2).says("--html");
    desk.unchanged_since(&before, "inspect --html that fails");
    desk.line("inspect bundle.tar --html page.html --force").ok();
    is_intact(&fs::read_to_string(desk.path("page.html")).unwrap());
}

#[test]
fn a_page_goes_to_stdout_alone() {
    let desk = Desk::new();
    make_of(&desk, "bundle.tar", header(), &days(&desk, 2));
    let printed = desk.line("inspect bundle.tar --html -").ok();
    is_intact(&printed.stdout);
    desk.line("inspect bundle.tar --html page.html").ok();
    assert_eq!(fs::read_to_string(desk.path("page.html")).unwrap(), printed.stdout, "the same page");
    let piped = desk.run_with_input(["inspect", "-", "--html", "-"], &fs::read(desk.path("bundle.tar")).unwrap()).ok();
    assert_eq!(piped.stdout.replace(">stdin<", ">bundle.tar<"), printed.stdout, "also of a bundle from a pipe");
    desk.line("inspect bundle.tar --html - --json").code(2).says("--json and --html - both want stdout");
    let printed = desk.line("inspect bundle.tar --json --html again.html").ok();
    assert_eq!(printed.json()["trust"], "unknownSigner");
    assert!(desk.path("again.html").is_file());
    if let Some(printed) = desk.line_in_terminal("inspect bundle.tar --html -") {
        assert_eq!(printed.code, 2, "{printed:?}");
        printed.prints("a page is not written to a terminal");
        printed.prints("--html FILE");
    }
}

#[test]
fn receipts_have_no_page() {
    let desk = Desk::new();
    let receipts = root().join("testdata/bundles");
    let mut files = Vec::new();
    crate::support::walk(&receipts, &mut files);
    let receipt = files.iter().find(|file| file.to_string_lossy().ends_with(".receipt.tar")).unwrap();
    let before = desk.snapshot();
    let line = format!("inspect {} --html page.html", receipt.display());
    desk.line(&line)
        .code(2)
        .says("--html is for bundles; a receipt has no page")
        .says("hint: `inspect` without --html");
    desk.unchanged_since(&before, "inspect --html of a receipt");
}

#[test]
fn whatever_a_bundle_says_is_text() {
    let desk = Desk::new();
    let odd = format!("{MARKUP}\u{202e}\u{7}");
    let header = Header {
        note: Some(odd.clone()),
        producer: odd.clone(),
        withheld: vec![MARKUP.into(), "users".into()],
        ..header()
    };
    make_of(&desk, "bundle.tar", header, &hostile());
    let page = page(&desk, "bundle.tar");
    let spelled = MARKUP.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    // What is left of an attribute in text is no attribute.
    is_intact(&page.replace(&spelled, "MARKUP").replace(
        &MARKUP_IN_JSON.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"),
        "MARKUP",
    ));
    assert!(page.contains(&format!("<dd><bdi class=\"said\">{spelled}\\u{{202e}}\\u{{7}}</bdi></dd>")), "the note");
    assert!(!page.contains(['\u{202e}', '\u{7}', '\u{1b}', '\u{200b}']));
    let newest = section(&page, "newest");
    for expected in
        ["password", "hunter2", "that the list of all fields below does not know", "Not checked by this program"]
    {
        assert!(newest.contains(expected), "{expected} is not in {newest}");
    }
    let strangers = newest.split_once("<caption>Values that the list of fields does not know").unwrap().1;
    let strangers = text(strangers.split_once("</table>").unwrap().0);
    for expected in [
        "clusters[0].password hunter2",
        &format!("clusters[0].mla {MARKUP}"),
        &format!("clusters[0].cloud.{MARKUP} {MARKUP}"),
        &format!("projects {MARKUP}"),
        "users[1] 7",
        &format!("seeds[0].datacenters[1] {MARKUP}"),
    ] {
        assert!(strangers.contains(expected), "`{expected}` is not in {strangers}");
    }
    assert!(section(&page, "changes").contains("hunter2") || newest.contains("hunter2"));
    let said = text(section(&page, "changes"));
    assert!(said.contains(&format!("things {MARKUP} value 1 {MARKUP}")), "{said}");
}

/// As it is spelled in JSON.
const MARKUP_IN_JSON: &str =
    "</td></style></title><script>document.title='run'</script><img src=x onerror=\\\"alert('1')\\\">&lt;";

#[test]
fn records_of_other_products_are_shown_whole() {
    let desk = Desk::new();
    let texts: Vec<_> = (0..5_000).map(|number| format!("text number {number}")).collect();
    let record = json!({"kind": "other", "version": "v7", "time": "2026-01-01T00:00:00Z", "texts": texts, "deep": {"a": [{"b": null}]}});
    make_of(&desk, "bundle.tar", header(), std::slice::from_ref(&record));
    let page = page(&desk, "bundle.tar");
    let newest = section(&page, "newest");
    let json = newest.split_once("<pre tabindex=\"0\">").unwrap().1.split_once("</pre>").unwrap().0;
    let json: Value = serde_json::from_str(&json.replace("&quot;", "\"")).unwrap();
    assert_eq!(json, record);
    assert!(text(&page).contains("Some of the records are of another product."));
    assert!(section(&page, "records").contains("not checked by this program"));
}

#[test]
fn a_page_takes_no_more_memory_than_verifying() {
    let desk = Desk::new();
    let record = |day: usize| {
        let row = |number: usize| json!({"id": format!("{number:08}"), "text": "x".repeat(400), "day": u8::from(number % 4 == day % 4)});
        json!({"kind": "large", "version": "v1", "time": format!("2026-01-0{day}T00:00:00Z"), "rows": (0..6_000).map(row).collect::<Vec<_>>()})
    };
    make_of(&desk, "bundle.tar", header(), &(1..=3).map(record).collect::<Vec<_>>());
    make_of(&desk, "more.tar", header(), &(1..=9).map(record).collect::<Vec<_>>());
    let Some((verified, without)) = desk.run_measured(&["verify", "bundle.tar"]) else {
        skip("there is no /usr/bin/time");
        return;
    };
    verified.code(3);
    let measured = |bundle: &str, page: &str| {
        let (printed, peak) = desk.run_measured(&["inspect", bundle, "--html", page]).unwrap();
        printed.ok();
        (peak, fs::metadata(desk.path(page)).unwrap().len())
    };
    let (with, size) = measured("bundle.tar", "page.html");
    let (more, larger) = measured("more.tar", "more.html");
    say(
        "measured",
        &format!(
            "{without} KiB to verify three records of 2.7 MB, {with} KiB with a page of {size} bytes, {more} KiB of nine records with one of {larger}"
        ),
    );
    assert!(size > 2_700_000 && larger > size + 2_000_000, "{size} and {larger}");
    assert!(with < without + 8 * 1024, "{with} KiB, and {without} KiB without a page");
    assert!(more < with + 4 * 1024, "{more} KiB for three times as many records, and {with} KiB");
}

#[test]
fn a_page_that_nobody_could_open_is_not_made() {
    let desk = Desk::new();
    // Some bytes of a record are a row of each of several tables, with a cell for each field.
    let clusters: Vec<_> = (0..600_000_u64).map(|number| json!({"etcdClusterSize": number * 7919 % 100_003})).collect();
    let record = json!({"kind": "kubermatic", "version": "v1", "time": "2026-01-01T00:00:00Z", "clusters": clusters});
    make_of(&desk, "bundle.tar", header(), &[record]);
    let before = desk.snapshot();
    let refused = desk.line("inspect bundle.tar --html page.html").code(1);
    let refused = refused.says("bundle.tar: the page would be larger than 536870912 bytes");
    refused.says("hint: look at the records by themselves: `inspect --extract DIR`");
    desk.unchanged_since(&before, "inspect --html of what is too large");
}

#[test]
fn every_vector_that_verifies_has_a_page_and_no_other() {
    let desk = Desk::new();
    let (mut made, mut refused) = (0, 0);
    for folder in ["valid", "hostile"] {
        let mut files = Vec::new();
        crate::support::walk(&root().join("testdata/bundles").join(folder), &mut files);
        let is_bundle = |name: &str| name.contains(".tar") && !name.contains(".receipt.");
        for file in files.iter().filter(|file| is_bundle(file.file_name().unwrap().to_str().unwrap())) {
            let file = file.display();
            let plain = desk.line(&format!("inspect {file} --json"));
            let paged = desk.line(&format!("inspect {file} --html page.html"));
            let is_receipt = plain.code == 0 && plain.json()["type"] == "receipt";
            assert_eq!(paged.code, if is_receipt { 2 } else { plain.code }, "{file}: {}", paged.stderr);
            let page = fs::read_to_string(desk.path("page.html")).ok();
            assert_eq!(page.is_some(), paged.code == 0, "{file}");
            let Some(page) = page else {
                refused += 1;
                continue;
            };
            made += 1;
            fs::remove_file(desk.path("page.html")).unwrap();
            let manifest = &plain.json()["manifest"];
            for record in manifest["records"].as_array().unwrap() {
                assert!(
                    page.contains(&format!("<span class=\"id\">{}</span>", record["id"].as_str().unwrap())),
                    "{file}"
                );
            }
            let changes = manifest["rotation"].as_array().map_or(0, Vec::len);
            assert_eq!(page.matches(" handed over to ").count(), changes, "{file}");
        }
    }
    assert!(made > 35 && refused > 100, "{made} pages, {refused} refused");
    say("measured", &format!("{made} vectors have a page, {refused} are refused"));
    let unknown = root().join("testdata/bundles/valid/unknown-members.tar");
    let printed = desk.line(&format!("inspect {} --html -", unknown.display())).ok().stdout;
    assert!(printed.contains("The manifest says more than this program understands."), "{printed}");
    let shown = text(section(&printed, "signer"));
    let expected = r#"someday more [1,2.5,null,{"uuid":"b"},{"uuid":"a"}]"#;
    assert!(shown.contains(expected), "{expected} is not in {shown}");
}

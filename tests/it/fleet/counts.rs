//! Every number on the page, against counts from the records that were ingested, told apart from the program.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{one, page_of};
use crate::fleets::{Archive, Page, Told, client, cluster, lively};
use crate::support::say;

/// How many things of a name there are, and whose they are.
type Groups = BTreeMap<String, (u64, BTreeSet<u8>)>;

/// The newest complete record of each installation, by month.
fn newest(archive: &Archive) -> BTreeMap<String, BTreeMap<u8, &Told>> {
    let mut months = BTreeMap::<String, BTreeMap<u8, &Told>>::new();
    for told in &archive.told {
        let time = |told: &Told| told.record["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let month = time(told).to_string()[..7].to_owned();
        if told.record["kind"] != "kubermatic" || told.record["complete"] != true {
            continue;
        }
        let slot = months.entry(month).or_default().entry(told.client).or_insert(told);
        if (time(slot), slot.id) < (time(told), told.id) {
            *slot = told;
        }
    }
    months
}

fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// The groups of records by what `names` finds in each.
fn groups(records: &BTreeMap<u8, &Told>, names: fn(&Value) -> Vec<Value>) -> Groups {
    let mut groups = Groups::new();
    for (client, told) in records {
        for name in names(&told.record) {
            let name = match name.as_str() {
                None => "not told",
                Some("other") => "not recognised",
                Some(name) => name,
            };
            let group = groups.entry(name.to_owned()).or_default();
            group.0 += 1;
            group.1.insert(*client);
        }
    }
    groups
}

fn each(record: &Value, array: &str, pointer: &str) -> Vec<Value> {
    let rows = record[array].as_array().into_iter().flatten();
    rows.map(|row| row.pointer(pointer).cloned().unwrap_or_default()).collect()
}

fn versions(record: &Value) -> Vec<Value> {
    let all = each(record, "clusters", "/kubernetesServerVersion").into_iter();
    all.map(|version| version.as_str().map_or(Value::Null, |version| minor(version).into())).collect()
}

fn countries(record: &Value) -> Vec<Value> {
    let mut all: BTreeSet<_> =
        each(record, "seeds", "/country").into_iter().filter_map(|it| it.as_str().map(str::to_owned)).collect();
    for seed in record["seeds"].as_array().into_iter().flatten() {
        all.extend(each(seed, "datacenters", "/country").into_iter().filter_map(|it| it.as_str().map(str::to_owned)));
    }
    if all.is_empty() && !each(record, "seeds", "").is_empty() {
        return vec![Value::Null];
    }
    all.into_iter().map(Value::from).collect()
}

/// What is counted: the caption of the chart over months, that of the newest month, and where names are.
type Subject = (Option<&'static str>, &'static str, fn(&Value) -> Vec<Value>);
const SUBJECTS: &[Subject] = &[
    (Some("User clusters by provider and month"), "User clusters by provider", |it| {
        each(it, "clusters", "/cloud/provider")
    }),
    (Some("User clusters by Kubernetes version"), "User clusters by Kubernetes version", versions),
    (Some("User clusters by network plug-in and month"), "User clusters by network plug-in", |it| {
        each(it, "clusters", "/cniPlugin/type")
    }),
    (Some("Machine deployments by operating system and month"), "Machine deployments by operating system", |it| {
        each(it, "machineDeployments", "/os")
    }),
    (None, "Installations by country", countries),
    (None, "Installations by KKP version", |it| {
        vec![it["kubermaticVersion"].as_str().map_or(Value::Null, |it| minor(it).into())]
    }),
];

fn number(text: &str) -> Option<u64> {
    text.replace(',', "").parse().ok()
}

/// Insists that what is shown of a month is right, and that what all minus the shown leaves is nobody's or that of five
/// installations in two groups. Gives how many numbers there were.
fn check(shown: &BTreeMap<String, u64>, groups: &Groups, what: &str) -> usize {
    let mut hidden = groups.clone();
    for (name, items) in shown.iter().filter(|(name, _)| *name != "others") {
        let Some((wanted, of)) = hidden.remove(name) else {
            assert_eq!(*items, 0, "{what}: nobody has {name}");
            continue;
        };
        assert_eq!(*items, wanted, "{what}, {name}");
        assert!(of.len() >= 5, "{what}: {name} is shown, which {} have", of.len());
    }
    let left: u64 = hidden.values().map(|(items, _)| items).sum();
    assert_eq!(shown.get("others").copied().unwrap_or_default(), if shown.is_empty() { 0 } else { left }, "{what}");
    let of: BTreeSet<_> = hidden.values().flat_map(|(_, of)| of).collect();
    assert!(shown.is_empty() || hidden.is_empty() || of.len() >= 5 && hidden.len() >= 2, "{what}: {hidden:?}");
    shown.len()
}

/// Checks every number on the page of an archive; tells how many.
pub fn check_all(archive: &Archive, page: &Page) -> usize {
    let months = newest(archive);
    let large: BTreeMap<_, _> = months.iter().filter(|(_, records)| records.len() >= 5).collect();
    let Some((last, records)) = large.last_key_value() else { panic!("there is nothing to check") };
    let mut numbers = 0;
    for (over_months, newest, names) in SUBJECTS {
        let shown = page.numbers(&format!("{newest}, {last}"));
        let wanted = groups(records, *names);
        let of_installations =
            wanted.iter().map(|(name, (_, of))| (name.clone(), (of.len() as u64, of.clone()))).collect();
        if newest.starts_with("Installations by country") {
            // Installations can be in several: each is counted, but for those that fewer than five are not in.
            for (name, count) in shown.iter().filter(|(name, _)| *name != "others") {
                is_told_right(*count, wanted[name].1.len(), records.len(), name);
            }
        } else if newest.starts_with("Installations") {
            numbers += check(&shown, &of_installations, newest);
        } else {
            numbers += check(&shown, &wanted, newest);
            for (name, count) in page.numbers(&format!(
                "Installations: {}, {last}",
                newest.replacen(&newest[..1], &newest[..1].to_lowercase(), 1)
            )) {
                if name != "others" {
                    is_told_right(count, wanted[&name].1.len(), records.len(), &name);
                    numbers += 1;
                }
            }
        }
        let Some(caption) = over_months else { continue };
        for month in months.keys() {
            let heads: Vec<_> = wanted.keys().cloned().chain(["others".to_owned()]).collect();
            let told =
                heads.iter().filter_map(|name| Some((name.clone(), number(&page.value(caption, month, name)?)?)));
            let shown: BTreeMap<_, _> = told.collect();
            let empty = BTreeMap::new();
            let records = large.get(month).copied().unwrap_or(&empty);
            let mut wanted = groups(records, *names);
            // A group that the newest month does not have is not asked for here.
            let missing: Vec<_> = wanted.keys().filter(|name| !heads.contains(name)).cloned().collect();
            if missing.is_empty() {
                numbers += check(&shown, &wanted, &format!("{caption}, {month}"));
            } else {
                wanted.retain(|name, _| heads.contains(name));
                for (name, items) in shown.iter().filter(|(name, _)| *name != "others") {
                    assert_eq!(*items, wanted.get(name).map_or(0, |it| it.0), "{caption}, {month}, {name}");
                    numbers += 1;
                }
            }
        }
    }
    numbers + check_months(archive, page, &months) + check_features(page, last, records)
}

/// The number itself, or the smallest that it can be where fewer than five lack it.
fn is_told_right(shown: u64, wanted: usize, of: usize, name: &str) {
    let lacking = of - wanted;
    assert!(wanted >= 5, "{name}");
    let wanted = if (1..5).contains(&lacking) { (of - 4).max(5) } else { wanted };
    assert_eq!(shown, wanted as u64, "{name} of {of}");
}

fn check_months(archive: &Archive, page: &Page, months: &BTreeMap<String, BTreeMap<u8, &Told>>) -> usize {
    let (mut heard, mut rows) = (BTreeSet::new(), 0);
    let mut any = BTreeMap::<String, BTreeSet<u8>>::new();
    for told in &archive.told {
        let time = told.record["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        any.entry(time.to_string()[..7].to_owned()).or_default().insert(told.client);
    }
    for (month, clients) in any {
        let five = |count: usize| (count - count % 5).to_string();
        let new = clients.difference(&heard).count();
        let silent = heard.difference(&clients).count();
        heard.extend(clients.iter().copied());
        if clients.len() < 5 {
            continue;
        }
        let complete = months.get(&month).map_or(0, BTreeMap::len);
        let row = page.row("Installations by month", &month).unwrap();
        let told = if complete < 5 { 0 } else { complete };
        let complete = if complete < 5 { "not shown".to_owned() } else { complete.to_string() };
        let least = (told + (clients.len() - told) / 5 * 5).to_string();
        assert_eq!(row, [complete, least, five(new), five(silent)], "{month}");
        rows += 4;
    }
    rows
}

fn check_features(page: &Page, month: &str, records: &BTreeMap<u8, &Told>) -> usize {
    for (name, pointer) in [
        ("OPA integration", "/opaIntegrationEnabled"),
        ("Monitoring (MLA)", "/mla/monitoringEnabled"),
        ("Logging (MLA)", "/mla/loggingEnabled"),
        ("SSH key agent", "/enableUserSSHKeyAgent"),
    ] {
        let mut groups = Groups::new();
        for (client, told) in records {
            for flag in each(&told.record, "clusters", pointer) {
                let group = groups.entry(flag.to_string()).or_default();
                group.0 += 1;
                group.1.insert(*client);
            }
        }
        let row = page.row(&format!("Features in use, {month}"), name).unwrap();
        let of = |flag: &str| groups.get(flag).map_or((0, 0), |(items, of)| (*items, of.len()));
        let sides = [of("true"), of("false"), of("null")];
        // Sides that are small are folded, and one of them takes another with it.
        if sides.iter().all(|(_, of)| *of == 0 || *of >= 5) {
            for (cell, (items, _)) in row.iter().zip(sides) {
                assert_eq!(number(cell), Some(items), "{name}: {row:?}");
            }
            let float = |count: u64| f64::from(u32::try_from(count).unwrap());
            let share = 100.0 * float(sides[0].0) / float(sides[0].0 + sides[1].0);
            assert_eq!(row[3], format!("{share:.1}"), "{name}");
        } else {
            let shown = row.iter().zip(sides).filter(|(cell, _)| number(cell).is_some()).count();
            assert!(shown <= 1 && row[3] == "not shown", "{name}: {row:?} of {sides:?}");
        }
    }
    20
}

#[test]
fn numbers_are_those_of_the_newest_complete_records() {
    let mut archive = lively();
    let before = check_all(&archive, &archive.page());
    // Late: older than what is there, and newer but incomplete; neither counts. Then one that does.
    let late = |day: u8, complete: bool, provider: &str| {
        let mut late = one("2026-02", provider, "1.33.0");
        late["time"] = format!("2026-02-{day:02}T23:00:00.5+01:00").into();
        late["complete"] = complete.into();
        late
    };
    let old: Vec<_> = (0..12).map(|number| (number, late(2, true, "late"))).collect();
    archive.accept(&old);
    archive.accept(&(0..12).map(|number| (number, late(27, false, "incomplete"))).collect::<Vec<_>>());
    let other = |kind: &str, version: &str| {
        let clusters = [cluster("foreign", "1.99.0")];
        json!({"kind": kind, "version": version, "time": "2026-02-28T00:00:00Z", "clusters": clusters})
    };
    let (foreign, unknown) = (other("my-product", "v1"), other("kubermatic", "v77"));
    archive.accept(&(0..6).map(|number| (number, foreign.clone())).collect::<Vec<_>>());
    let page = archive.page();
    for absent in ["late", "incomplete", "foreign"] {
        assert!(
            !page.table("User clusters by provider, 2026-02").unwrap().iter().any(|row| row[0] == absent),
            "{absent}"
        );
    }
    check_all(&archive, &page);
    archive.accept(&(1..7).map(|number| (number, late(26, true, "newer"))).collect::<Vec<_>>());
    let again: Vec<_> = archive.told.iter().filter(|told| told.client == 3).take(9).cloned().collect();
    archive.repeat(&again);
    let page = archive.page();
    assert_eq!(page.numbers("User clusters by provider, 2026-02")["newer"], 6);
    let after = check_all(&archive, &page);
    archive.accept(&(0..6).map(|number| (number, unknown.clone())).collect::<Vec<_>>());
    assert_eq!(archive.page().0, page.0, "what has no tables counts for nothing, and the page is always the same");
    archive.desk.line("tables rebuild --archive archive").ok();
    archive.desk.line("tables compact --archive archive").ok();
    assert_eq!(archive.page().0, page.0);
    say("measured", &format!("{before} and {after} numbers of pages are those of the records"));
}

#[test]
fn nobody_is_on_the_page() {
    let archive = lively();
    let page = archive.page().0;
    for told in &archive.told {
        assert!(!page.contains(&told.id.to_string()) && !page.contains(&client(told.client).to_string()));
    }
}

#[test]
fn what_is_withheld_is_not_told_and_never_nought() {
    let mut records: Vec<_> = (0..18).map(|number| (number, one("2025-06", "aws", "1.30.1"))).collect();
    for (_, record) in &mut records[..5] {
        for member in ["clusters", "machineDeployments", "seeds", "kubermaticVersion"] {
            record.as_object_mut().unwrap().remove(member);
        }
    }
    for (_, record) in &mut records[5..11] {
        let cluster = &mut record["clusters"][0];
        for member in ["cloud", "kubernetesServerVersion", "opaIntegrationEnabled", "cniPlugin"] {
            cluster.as_object_mut().unwrap().remove(member);
        }
        record["seeds"][0].as_object_mut().unwrap().remove("country");
    }
    let (archive, page) = page_of(&records);
    check_all(&archive, &page);
    let told = page.numbers("User clusters by provider, 2025-06");
    assert_eq!(told, [("aws".to_owned(), 7), ("not told".to_owned(), 6)].into());
    assert_eq!(page.numbers("User clusters by network plug-in, 2025-06")["not told"], 6);
    assert_eq!(page.numbers("Installations by KKP version, 2025-06")["not told"], 5);
    assert_eq!(page.numbers("Installations by country, 2025-06")["not told"], 6);
    assert_eq!(page.numbers("Machine deployments by operating system, 2025-06"), [("ubuntu".to_owned(), 13)].into());
    assert!(page.text().contains("Of 18 installations 5 tell nothing of it."), "{}", page.text());
    let opa = page.row("Features in use, 2025-06", "OPA integration").unwrap();
    assert_eq!(opa, ["7", "0", "6", "100.0", "7"], "of those that tell all have it");
    let share = page.value("Installations with a Kubernetes version, percent", "2025-06", "1.30");
    assert_eq!(share.as_deref(), Some("100"), "seven of the seven that tell");
}

#[test]
fn adoption_is_told_in_days_from_the_fifth_installation_on() {
    let mut records = Vec::new();
    for number in 0..20_u8 {
        for day in 0..90_i64 {
            let date = jiff::civil::date(2025, 3, 1).saturating_add(jiff::Span::new().days(day));
            let is_new = day >= 40 + i64::from(number);
            let mut record = one("2025-03", "aws", if is_new { "1.31.0" } else { "1.30.9" });
            record["time"] = format!("{date}T0{}:00:00Z", number % 9).into();
            record["kubermaticVersion"] = (if is_new && number < 6 { "2.26.0" } else { "2.25.3" }).into();
            records.push((number, record));
        }
    }
    let (_, page) = page_of(&records);
    let kubernetes = page.table("How fast Kubernetes versions are adopted").unwrap();
    assert_eq!(kubernetes, [vec!["1.31", "0", "5"], vec!["1.30", "there from the start", "there from the start"]]);
    let kubermatic = page.table("How fast KKP versions are adopted").unwrap();
    assert_eq!(kubermatic[0], ["2.26", "0", "not yet"]);
}

#[test]
fn the_period_is_the_one_that_was_asked_for() {
    let mut records = Vec::new();
    for month in ["2025-02", "2025-03", "2025-06", "2025-07", "2999-01"] {
        records.extend((0..6).map(|number| (number, one(month, "aws", "1.30.1"))));
    }
    records.extend((10..17).map(|number| (number, one("2025-06", "gcp", "1.30.1"))));
    let mut archive = Archive::new();
    archive.accept(&records);
    let months = |options: &str| -> Vec<String> {
        let page = Page(archive.desk.line(&format!("fleet --archive archive --html - {options}")).ok().stdout);
        let rows = page.table("Installations by month").unwrap_or_default();
        rows.into_iter().map(|row| row.join(" ")).collect()
    };
    let all = [
        "2025-02 6 6 5 0",
        "2025-03 6 6 0 0",
        "2025-04 not shown not shown 0 5",
        "2025-05 not shown not shown 0 5",
        "2025-06 13 13 5 0",
        "2025-07 6 6 0 5",
    ];
    assert_eq!(months(""), all, "without what is still to come");
    assert_eq!(months("--since 2025-03 --until 2025-06"), all[1..5], "who was heard of before is not new");
    assert_eq!(months("--since 2025-06"), all[4..]);
    assert_eq!(months("--until 2025-03"), all[..2]);
    assert_eq!(months("--until 2999-02").len(), 1, "ten years at most");
    archive.line("--since 2025-03 --until 2025-06").ok();
    let page = std::fs::read_to_string(archive.desk.path("fleet.html")).unwrap();
    assert!(page.contains("months 2025-03 to 2025-06, in UTC"), "{page}");
}

//! Withholding: nothing of what a site leaves out is in a record, a preview or a bundle, whenever it was collected.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;

use kubermatic_telemetry::agent::{Collector, Survey, manifests};
use kubermatic_telemetry::pseudonym::Pseudonymizer;
use kubermatic_telemetry::record::canonical::Bounds;
use kubermatic_telemetry::record::document::Document;
use kubermatic_telemetry::record::withhold::{Outcome, Withholding, categories, field_paths};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::catalogue::violations;
use crate::support::{Desk, installation, say};

const TIME: &str = "2026-01-31T12:00:00Z";

/// The records of the test installation, with problems of every step, by kind.
fn records(withholding: &Withholding) -> BTreeMap<&'static str, Document> {
    let mut inventory =
        manifests::read(&installation(), &manifests::Options::default(), &mut |_, _| {}).unwrap().inventory;
    // Objects that are there twice and machines of nobody: problems that name what they concern.
    inventory.master.users.extend_from_within(..1);
    inventory.master.projects.extend_from_within(..1);
    inventory.master.ssh_keys.extend_from_within(..1);
    for seed in inventory.seeds.values_mut() {
        seed.clusters.extend_from_within(..1.min(seed.clusters.len()));
        seed.nodes.extend_from_within(..1.min(seed.nodes.len()));
    }
    for cluster in inventory.user_clusters.values_mut() {
        cluster.machine_deployments.extend_from_within(..1.min(cluster.machine_deployments.len()));
    }
    let names = Pseudonymizer::new([1; 32]);
    let mut survey = Survey::of(&inventory, &names);
    let made = |collector: &Collector| {
        let document = collector.collect(&mut survey, TIME, withholding).unwrap();
        document.map(|document| (collector.kind(), document))
    };
    Collector::ALL.iter().filter_map(made).collect()
}

static WHOLE: LazyLock<BTreeMap<&'static str, Document>> = LazyLock::new(|| records(&Withholding::default()));

fn parsed(document: &Document) -> Value {
    serde_json::from_slice(document.bytes()).unwrap()
}

/// Every name that can be typed.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let categories: BTreeSet<_> = categories().iter().map(|category| category.name).collect();
    categories.union(&field_paths()).copied().collect()
});

fn withholding(names: &[&str]) -> Withholding {
    Withholding::of(names.iter().copied()).unwrap()
}

/// What is left of a record.
fn left(names: &[&str], kind: &str, document: &Document) -> Option<Document> {
    match withholding(names).apply(kind, document).unwrap() {
        Outcome::Untouched => Some(document.clone()),
        Outcome::Reduced(document) => Some(document),
        Outcome::Whole => None,
    }
}

/// Every value that a path leads to in a record.
fn at<'r>(value: &'r Value, path: &str) -> Vec<&'r Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let rows: Vec<_> = value.as_array().map_or_else(|| vec![value], |rows| rows.iter().collect());
    let members = rows.into_iter().filter_map(|row| row.get(first));
    members.flat_map(|member| rest.map_or_else(|| vec![member], |rest| at(member, rest))).collect()
}

/// The pseudonyms that rows are known by, of the arrays below a value.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    for row in value.as_array().into_iter().flatten().filter_map(Value::as_object) {
        found.extend(row.get("uuid").or_else(|| row.get("id")).and_then(Value::as_str).map(str::to_owned));
        row.values().for_each(|value| keys(value, found));
    }
}

/// The paths that a category stands for, by rules of this test alone.
fn paths(name: &str) -> Vec<String> {
    let ends = |ends: &[&str]| -> Vec<_> {
        let is_one = |path: &&&str| ends.iter().any(|end| path.rsplit('.').next() == Some(end));
        field_paths().iter().filter(is_one).map(|path| (*path).to_owned()).collect()
    };
    match name {
        "countries" => ends(&["country"]),
        "locations" => ends(&["location"]),
        "regions" => ends(&["region"]),
        "datacenters" => vec!["seeds.datacenters".to_owned()],
        "versions" => ends(&[
            "kubernetesVersion",
            "kubermaticVersion",
            "kubernetesServerVersion",
            "kubeletVersion",
            "kernelVersion",
            "containerRuntimeVersion",
            "osImage",
            "version",
        ]),
        path => vec![path.to_owned()],
    }
}

/// Insists that nothing of what these names stand for is in a record.
fn has_nothing_of(names: &[&str], record: &Value) {
    let text = record.to_string();
    for name in names {
        for path in paths(name) {
            assert_eq!(at(record, &path), Vec::<&Value>::new(), "{path} is there without {names:?}");
            for whole in WHOLE.values().map(parsed) {
                let mut gone = BTreeSet::new();
                for value in at(&whole, &path) {
                    keys(value, &mut gone);
                }
                if *name == "locations" {
                    gone.extend(at(&whole, &path).iter().map(|value| value.as_str().unwrap().to_owned()));
                }
                let kept: Vec<_> = gone.iter().filter(|value| text.contains(*value)).collect();
                assert_eq!(kept, Vec::<&String>::new(), "of {path} without {names:?}");
            }
        }
    }
    let is_complete = record["problems"].as_array().is_none_or(Vec::is_empty);
    assert!(!record["problems"].is_array() || record["complete"] == json!(is_complete), "{record}");
    assert_eq!(violations(record), Vec::<String>::new(), "without {names:?}");
}

#[test]
fn each_name_leaves_out_what_it_stands_for_and_each_field_has_one() {
    let mut effective = BTreeSet::new();
    for name in NAMES.iter() {
        for (kind, document) in &*WHOLE {
            if let Some(left) = left(&[name], kind, document) {
                has_nothing_of(&[name], &parsed(&left));
                if left.bytes() != document.bytes() {
                    assert_eq!(parsed(&left)["withheld"], json!([name]));
                    effective.insert(*name);
                }
            } else {
                assert_eq!(name, kind);
                effective.insert(*name);
            }
        }
    }
    let idle: Vec<_> = NAMES.iter().filter(|name| !effective.contains(*name)).collect();
    assert_eq!(idle, Vec::<&&str>::new(), "names that change nothing in the test installation");
    say("measured", &format!("{} names, each with something to leave out", NAMES.len()));
}

#[test]
fn what_is_withheld_when_collecting_is_what_is_left_of_it_later() {
    for name in NAMES.iter() {
        let collected = records(&withholding(&[name]));
        for (kind, document) in &*WHOLE {
            let later = left(&[name], kind, document);
            let (later, at_once) = (later.map(|it| parsed(&it)), collected.get(kind).map(parsed));
            assert_eq!(later, at_once, "{name}");
        }
    }
}

#[test]
fn no_reference_leads_to_what_was_withheld() {
    let references = |record: &Value, paths: &[&str]| -> BTreeSet<String> {
        let values = paths.iter().flat_map(|path| at(record, path));
        let values = values.flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]));
        values.map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    let tables: &[(&str, &[&str])] = &[
        ("seeds", &["clusters.seedUUID", "nodes.seedUUID"]),
        ("seeds.datacenters", &["clusters.cloud.dcUUID"]),
        ("clusters", &["sshKeys.clusterUUIDs", "machineDeployments.clusterUUID", "nodes.clusterUUID"]),
        ("projects", &["clusters.projectUUID", "sshKeys.ownerProjectUUID"]),
    ];
    for name in NAMES.iter() {
        let left: Vec<_> =
            WHOLE.iter().filter_map(|(kind, document)| left(&[name], kind, document)).map(|it| parsed(&it)).collect();
        for (table, paths) in tables {
            let before: BTreeSet<_> = WHOLE.values().flat_map(|record| references(&parsed(record), paths)).collect();
            assert!(!before.is_empty(), "nothing leads to {table}");
            let after: BTreeSet<_> = left.iter().flat_map(|record| references(record, paths)).collect();
            let is_there = left.iter().any(|record| !at(record, table).is_empty());
            assert!(is_there || after.is_empty(), "without {name} {table} are led to by {after:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_withheld_no_byte_of_it_is_left(
        names in prop::collection::btree_set(prop::sample::select(NAMES.clone()), 0..8),
        more in prop::collection::btree_set(prop::sample::select(NAMES.clone()), 0..4),
    ) {
        let names: Vec<_> = names.into_iter().collect();
        for (kind, document) in &*WHOLE {
            let Some(once) = left(&names, kind, document) else {
                prop_assert!(names.contains(kind));
                continue;
            };
            has_nothing_of(&names, &parsed(&once));
            let again = left(&names, kind, &once).unwrap();
            prop_assert_eq!(again.bytes(), once.bytes(), "again");
            // In one go or one after the other.
            let all: Vec<_> = names.iter().chain(&more).copied().collect();
            let (at_once, later) = (left(&all, kind, document), left(&more.iter().copied().collect::<Vec<_>>(), kind, &once));
            let plain = |document: Option<Document>| document.map(|it| {
                let mut record = parsed(&it);
                let members = record.as_object_mut().unwrap();
                // Which name was first to leave something out.
                members.remove("withheld");
                let complete = members.remove("complete").unwrap() == json!(true);
                (record, complete)
            }).unzip();
            let ((at_once, complete), (later, complete_later)) = (plain(at_once), plain(later));
            prop_assert_eq!(at_once, later);
            // Without its problems a record can't tell any more that only what is withheld now was missing.
            prop_assert!(complete == complete_later || names.contains(&"problems") && complete == Some(true));
        }
        prop_assert!(withholding(&names).covers(&withholding(&names[..names.len() / 2])));
    }
}

#[test]
fn a_record_whose_problems_went_before_stays_incomplete() {
    let complete = |record: Option<Document>| parsed(&record.unwrap())["complete"].clone();
    let whole = &WHOLE["kubernetes"];
    assert_eq!(complete(left(&["nodes"], "kubernetes", whole)), json!(true));
    assert_eq!(complete(left(&["nodes", "problems"], "kubernetes", whole)), json!(true));
    let without_problems = left(&["problems"], "kubernetes", whole).unwrap();
    assert_eq!(complete(left(&["nodes"], "kubernetes", &without_problems)), json!(false));
}

#[test]
fn what_is_left_of_a_damaged_record_is_refused_or_canonical() {
    // Records lie in files, and files are changed by accidents.
    let everything = withholding(&["users", "clusters.cniPlugin", "locations", "problems.concerns"]);
    for (kind, document) in &*WHOLE {
        let bytes = document.bytes();
        for place in (0..bytes.len()).step_by(37) {
            for byte in [b'"', b'{', b']', b',', 0, 0xff] {
                let mut damaged = bytes.to_vec();
                damaged[place] = byte;
                if let Ok(damaged) = Document::parse(damaged, &Bounds::default()) {
                    let _ = everything.apply(kind, &damaged);
                }
            }
        }
    }
}

/// Ids of the pending records, by kind.
fn pending(desk: &Desk) -> BTreeMap<String, String> {
    let names = desk.tree("state/store/records");
    let parts = names.iter().map(|name| name.split('_').map(str::to_owned).collect::<Vec<_>>());
    parts.map(|parts| (parts[1].clone(), parts[0].clone())).collect()
}

/// The records that a bundle of this desk holds, and its manifest's `withheld`.
fn unpacked(desk: &Desk, bundle: &str) -> (Vec<Value>, Value) {
    let _ = fs::remove_dir_all(desk.path("unpacked"));
    let shown = desk.line(&format!("inspect {bundle} --extract unpacked --json")).ok().json();
    let files = desk.tree("unpacked");
    let read = |name: &String| serde_json::from_slice(&fs::read(desk.path("unpacked").join(name)).unwrap()).unwrap();
    (files.iter().map(read).collect(), shown["manifest"]["withheld"].clone())
}

#[test]
fn what_is_withheld_is_not_even_collected_and_everybody_says_so() {
    let desk = Desk::new();
    let collect =
        format!("collect --manifests {} --omit users,clusters.cniPlugin --omit locations", installation().display());
    desk.line(&collect).ok().says("withheld: clusters.cniPlugin, locations, users");
    desk.line("status").ok().prints("withheld   nothing\n");
    let before = desk.snapshot();
    let preview = desk.line("preview").ok().stdout;
    for word in ["\"isAdmin\":", "\"cniPlugin\":", "\"location\":"] {
        assert!(!preview.contains(word), "{word}");
    }
    desk.unchanged_since(&before, "preview");
    // Also where nothing is withheld any more, the manifest says what the records lack.
    let exported = desk.line("export -o bundle.tar --json").ok().json();
    let names = json!(["clusters.cniPlugin", "locations", "users"]);
    assert_eq!(exported["withheld"], names);
    let (records, withheld) = unpacked(&desk, "bundle.tar");
    assert_eq!((&withheld, &records[0]["withheld"]), (&names, &names));
    let shown = desk.line("inspect bundle.tar").ok();
    shown.prints("withheld   clusters.cniPlugin, locations, users\n");
    assert!(!shown.stdout.contains("withheld 3"), "names of what is missing are no rows: {}", shown.stdout);
}

#[test]
fn a_pending_record_is_replaced_under_a_new_id_before_it_leaves() {
    let desk = Desk::new();
    desk.collect();
    let before = pending(&desk);
    let whole = desk.line("preview").ok().stdout;
    desk.line("export -o first.tar").ok().says("withheld nothing");
    let shown = desk.line("preview --omit users,seeds.datacenters.region").ok().stdout;
    assert_ne!(shown, whole);
    let said = desk.line("export -o second.tar --omit users,seeds.datacenters.region").ok();
    let said =
        said.says("left out what is withheld from 1 stored record\n").says("removed 1 stored bundle that may hold");
    said.says("withheld seeds.datacenters.region, users");
    let after = pending(&desk);
    assert_ne!(before["kubermatic"], after["kubermatic"]);
    // Age and order are those of the old one.
    assert_eq!(before["kubermatic"][..13], after["kubermatic"][..13]);
    assert_eq!(before["kubernetes"], after["kubernetes"], "nothing was left out of it");
    let (records, withheld) = unpacked(&desk, "second.tar");
    assert_eq!(withheld, json!(["seeds.datacenters.region", "users"]));
    has_nothing_of(&["users", "seeds.datacenters.region"], &records[0]);
    // What the preview showed is what the bundle has, byte for byte.
    let files: Vec<_> = desk
        .tree("unpacked")
        .iter()
        .map(|name| fs::read_to_string(desk.path("unpacked").join(name)).unwrap())
        .collect();
    assert_eq!(shown, files.join("\n") + "\n");
    // Switched on again, what is gone stays gone.
    assert_eq!(desk.line("preview").ok().stdout, shown);
    desk.line("export -o third.tar --omit users,seeds.datacenters.region").ok();
    assert_eq!(pending(&desk), after, "nothing is left to be replaced");
}

#[test]
fn a_kept_bundle_that_holds_what_is_withheld_is_not_written_again() {
    let desk = Desk::new();
    desk.collect();
    desk.line("export -o first.tar").ok();
    desk.line("export -o users.tar --omit users").ok();
    desk.line("export --again 1 -o again.tar --omit users")
        .code(1)
        .says("export 1")
        .says("hint: its records are still pending");
    // The one that was packed without them stays, also when less is withheld; not when more is.
    desk.line("export --again 2 -o again.tar --omit users").ok();
    desk.line("export --again 2 -o again.tar --force").ok();
    assert_eq!(fs::read(desk.path("again.tar")).unwrap(), fs::read(desk.path("users.tar")).unwrap());
    desk.line("export --again 2 -o more.tar --omit users,nodes").code(1).says("export 2");
    assert!(!desk.path("more.tar").exists());
    assert_eq!(desk.tree("state/store/bundles"), Vec::<String>::new());
}

#[test]
fn a_bundle_with_what_ingest_has_already_does_not_leave_again_either() {
    let desk = Desk::new();
    desk.collect();
    desk.file("r.json", r#"{"kind":"my-product","version":"v1","time":"2026-01-31T12:00:00Z"}"#);
    desk.line("collect --record r.json --allow-kind my-product").ok();
    desk.line("export -o bundle.tar").ok();
    let client = desk.line("keys show --json").ok().json()["client"].as_str().unwrap().to_owned();
    // Ingest rejects the foreign record alone, since another one came under its id, so that it stays pending.
    let foreign = pending(&desk)["my-product"].clone();
    let zeros = "0".repeat(64);
    desk.file(&format!("archive/clients/{client}/records/{foreign}"), format!("{zeros} {zeros}\n"));
    let ingest = "ingest bundle.tar --archive archive --trust tofu --receipts receipts --json";
    let receipt = desk.line(ingest).ok().json()[0]["receipt"].as_str().unwrap().to_owned();
    desk.collect();
    desk.line("export -o later.tar").ok();
    desk.line(&format!("receipt {receipt} --receipt-key archive/receipt-key.pub.pem")).ok();
    // Sequence 2 holds the first records again, which are acknowledged, and others that are pending.
    desk.line("export --again 2 -o again.tar --omit users").code(1).says("export 2");
}

#[test]
fn a_rejected_record_is_replaced_where_it_lies() {
    let desk = Desk::new();
    desk.collect();
    desk.line("export -o bundle.tar").ok();
    let client = desk.line("keys show --json").ok().json()["client"].as_str().unwrap().to_owned();
    let zeros = "0".repeat(64);
    for id in pending(&desk).values() {
        desk.file(&format!("archive/clients/{client}/records/{id}"), format!("{zeros} {zeros}\n"));
    }
    let ingest = "ingest bundle.tar --archive archive --trust tofu --receipts receipts --json";
    let receipt = desk.line(ingest).ok().json()[0]["receipt"].as_str().unwrap().to_owned();
    desk.line(&format!("receipt {receipt} --receipt-key archive/receipt-key.pub.pem")).ok();
    let shown = desk.line("preview --rejected --omit users").ok().stdout;
    desk.line("export --rejected -o rejected.tar --omit users").ok().says("from 1 stored record");
    let (records, _) = unpacked(&desk, "rejected.tar");
    has_nothing_of(&["users"], &records[0]);
    assert_eq!(shown.lines().count(), 2);
    assert_eq!((desk.tree("state/store/rejected").len(), desk.tree("state/store/records").len()), (2, 0));
}

#[test]
fn a_whole_kind_stays_in_the_store_while_it_is_withheld() {
    let desk = Desk::new();
    desk.collect();
    desk.line("export -o whole.tar").ok();
    let before = pending(&desk);
    desk.line("export -o bundle.tar --omit kubernetes").ok().says("1 record of kinds that are withheld: not taken");
    let (records, withheld) = unpacked(&desk, "bundle.tar");
    assert_eq!((records.len(), &records[0]["kind"], withheld), (1, &json!("kubermatic"), json!(["kubernetes"])));
    desk.line("export --again 1 -o again.tar --omit kubernetes").code(1).says("export 1");
    desk.line("preview --omit kubernetes,kubermatic").ok().says("nothing would leave");
    desk.line("export -o none.tar --omit kubernetes,kubermatic").code(4).says("no bundle was written");
    assert_eq!(pending(&desk), before);
    desk.line("export -o both.tar").ok();
    assert_eq!(unpacked(&desk, "both.tar").0.len(), 2, "allowed again, it goes as it was");
    let manifests = installation();
    let line = format!("collect --manifests {} --omit kubernetes", manifests.display());
    let said = desk.line(&line).ok().stderr;
    assert!(said.contains("collected kubermatic") && !said.contains("collected kubernetes"), "{said}");
    let none = format!("collect kubernetes --manifests {} --omit kubernetes", manifests.display());
    desk.line(&none).ok().says("withheld: nothing was collected");
}

#[test]
fn several_bundles_and_the_reference_report_are_without_it_too() {
    let desk = Desk::new();
    desk.collect();
    desk.line("export --max-size 1MB -o parts/ --omit users,clusters").ok();
    let part = desk.tree("parts").remove(0);
    let (records, _) = unpacked(&desk, &format!("parts/{part}"));
    for record in &records {
        has_nothing_of(&["users", "clusters"], record);
    }
    let report = desk.line("preview --format telemetry-client-v2 --omit users,clusters,projects").ok();
    assert_eq!(report.stderr, "");
    let text = report.json()["records"].to_string();
    for word in ["users", "clusters", "projects", "project_uuid", "cluster_uuids"] {
        assert!(!text.contains(&format!("\"{word}\"")), "{word}");
    }
}

#[test]
fn other_products_records_are_theirs() {
    let desk = Desk::new();
    let record = r#"{"kind":"my-product","time":"2026-01-31T12:00:00Z","users":[1],"version":"v1","withheld":["x y"]}"#;
    desk.file("r.json", record);
    desk.line("collect --record r.json --allow-kind my-product --omit users").ok();
    let exported = desk.line("export -o bundle.tar --omit users --json").ok().json();
    assert_eq!(exported["withheld"], json!(["users"]), "what a record says that is not checked is not repeated");
    assert_eq!(desk.line("preview --omit users").ok().stdout, format!("{record}\n"));
}

//! What leaves the store without a receipt, what comes back after one, and stores that are restored, copied or moved.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Desk, copy_tree, installation};

const KIND: &str = "a-product";

/// A desk with so many records, the oldest first; their ids.
fn with_records(count: usize) -> (Desk, Vec<String>) {
    let desk = Desk::new();
    let ids = (0..count).map(|number| collect(&desk, number, "")).collect();
    (desk, ids)
}

fn collect(desk: &Desk, number: usize, options: &str) -> String {
    let record = json!({ "kind": KIND, "version": "v1", "time": "2026-01-01T00:00:00Z", "number": number });
    desk.file("record.json", record.to_string());
    let line = format!("collect --record record.json --allow-kind {KIND} --json {options}");
    desk.line(&line).ok().json()["stored"][0]["id"].as_str().unwrap().to_owned()
}

fn pending(desk: &Desk) -> Vec<String> {
    let mut ids: Vec<_> =
        desk.tree("state/store/records").iter().map(|name| name.split('_').next().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn status(desk: &Desk) -> Value {
    desk.line("status --json").ok().json()
}

fn manifest(desk: &Desk, bundle: &str) -> Value {
    desk.line(&format!("inspect {bundle} --json")).ok().json()["manifest"].clone()
}

/// Has a bundle ingested and the receipt imported.
fn answered(desk: &Desk, bundle: &str, archive: &str) -> crate::support::Printed {
    let ingest = format!("ingest {bundle} --archive {archive} --trust tofu --receipts receipts --json");
    let receipt = desk.line(&ingest).ok().json()[0]["receipt"].as_str().unwrap().to_owned();
    let key = format!("{archive}/receipt-key.pub.pem");
    desk.run(["receipt", "--receipt-key", &key, &receipt])
}

/// Makes an archive that has had another record with this id.
fn conflict(desk: &Desk, archive: &str, id: &str) -> std::path::PathBuf {
    let client = status(desk)["client"].as_str().unwrap().to_owned();
    let place = desk.path(&format!("{archive}/clients/{client}/records/{id}"));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, format!("{0} {0}\n", "0".repeat(64))).unwrap();
    place
}

#[test]
fn the_oldest_records_go_when_there_are_too_many_and_are_counted() {
    let (desk, ids) = with_records(4);
    desk.file("more.json", json!({"kind": KIND, "version": "v1", "time": "2020-01-01T00:00:00Z"}).to_string());
    let line = format!("collect --record more.json --allow-kind {KIND} --keep-records 3");
    let printed = desk.line(&line).ok();
    assert!(printed.stderr.contains("warning: dropped 2 records that were never acknowledged"), "{}", printed.stderr);
    assert!(printed.stderr.contains("--keep-records"), "{}", printed.stderr);
    let left = pending(&desk);
    assert_eq!((left.len(), &left[..2]), (3, &ids[2..]), "the newest stays, however old it says that it is");
    assert_eq!(status(&desk)["dropped"], json!({ KIND: 2 }));
    desk.line("status").ok().prints(&format!("dropped    2 {KIND}"));
    desk.line("export -o bundle.tar").ok();
    assert_eq!(manifest(&desk, "bundle.tar")["dropped"], 2);
}

#[test]
fn the_oldest_records_go_when_they_are_too_large_but_never_the_newest() {
    let (desk, ids) = with_records(3);
    let size = status(&desk)["pending"]["bytes"].as_u64().unwrap() / 3;
    let newest = collect(&desk, 9, &format!("--keep-bytes {}", 2 * size));
    assert_eq!(pending(&desk), [ids[2].clone(), newest]);
    let newest = collect(&desk, 9, "--keep-bytes 1");
    assert_eq!(pending(&desk), [newest]);
    assert_eq!(status(&desk)["dropped"], json!({ KIND: 4 }));
}

#[test]
fn the_bounds_of_the_store_can_be_variables() {
    let (desk, ids) = with_records(2);
    let mut command = desk.command();
    command.env("KUBERMATIC_TELEMETRY_KEEP_RECORDS", "1");
    command.args(["collect", "--record", "record.json", "--allow-kind", KIND]);
    assert!(command.output().unwrap().status.success());
    assert_eq!((pending(&desk).len(), pending(&desk).contains(&ids[1])), (1, false));
    desk.line("status --keep-records 0").code(2).says("--keep-records");
}

#[test]
fn what_is_discarded_is_gone_with_its_bundles_and_counted() {
    let (desk, ids) = with_records(3);
    desk.line("export -o first.tar").ok();
    collect(&desk, 9, "");
    desk.line("export --new -o second.tar").ok();
    let printed = desk.line(&format!("discard {}", ids[0])).ok();
    assert!(
        printed.stderr.contains(&format!("discarded 1 record (1 {KIND}) and 1 stored bundle")),
        "{}",
        printed.stderr
    );
    assert!(!pending(&desk).contains(&ids[0]));
    desk.line("export --again 1 -o again.tar").code(1).says("no longer kept");
    desk.line("export --again 2 -o again.tar").ok();
    assert_eq!(status(&desk)["discarded"], json!({ KIND: 1 }));
    let rest = desk.line(&format!("discard --kind {KIND} --json")).ok().json();
    assert_eq!((&rest["kinds"], &rest["bundles"]), (&json!({ KIND: 3 }), &json!(1)));
    assert_eq!(pending(&desk), Vec::<String>::new());
    collect(&desk, 10, "");
    desk.line("export -o third.tar").ok();
    assert_eq!(
        (&manifest(&desk, "third.tar")["discarded"], &manifest(&desk, "third.tar")["sequence"]),
        (&json!(4), &json!(3))
    );
}

#[test]
fn nothing_is_discarded_by_mistake() {
    let (desk, ids) = with_records(1);
    let before = desk.snapshot();
    desk.line("discard").code(2).says("required");
    let unknown = ids[0].replace(&ids[0][..8], "00000000");
    desk.line(&format!("discard {} {unknown}", ids[0])).code(1).says("nothing was discarded");
    desk.line("discard --kind another-product").ok();
    desk.line("discard --rejected").ok();
    desk.unchanged_since(&before, "discard");
}

#[test]
fn rejected_records_wait_with_their_reason_and_can_be_sent_again() {
    let (desk, ids) = with_records(2);
    desk.line("export -o first.tar").ok();
    let cause = conflict(&desk, "archive", &ids[0]);
    answered(&desk, "first.tar", "archive").ok().says("1 record rejected and set aside");
    let found = status(&desk);
    assert_eq!((&found["rejected"], &found["pending"]["records"]), (&json!(1), &json!(0)));
    assert_eq!(found["rejectedFor"].as_object().unwrap().values().collect::<Vec<_>>(), [&json!(1)]);
    desk.line("status").ok().prints("`export --rejected` packs them again");
    desk.line("export -o none.tar").code(4).says("nothing is pending");
    // Whatever else happens, a rejected record does not become pending by itself.
    collect(&desk, 7, "");
    assert_eq!(status(&desk)["rejected"], 1);
    let preview = desk.line("preview --rejected").ok();
    assert_eq!(preview.json()["number"], 0);
    desk.line("export --rejected -o again.tar").ok();
    assert_eq!(manifest(&desk, "again.tar")["records"].as_array().unwrap().len(), 1);
    desk.line("export --again 2 --force -o again.tar").ok();
    fs::remove_file(cause).unwrap();
    answered(&desk, "again.tar", "archive").ok().says("1 record acknowledged");
    assert_eq!((&status(&desk)["rejected"], &status(&desk)["pending"]["records"]), (&json!(0), &json!(1)));
    desk.line("export --rejected -o none.tar").code(4).says("nothing was rejected");
}

#[test]
fn rejected_records_can_be_discarded() {
    let (desk, ids) = with_records(2);
    desk.line("export -o first.tar").ok();
    conflict(&desk, "archive", &ids[1]);
    answered(&desk, "first.tar", "archive").ok();
    desk.line("discard --rejected").ok().says("discarded 1 record");
    assert_eq!((&status(&desk)["rejected"], &status(&desk)["discarded"]), (&json!(0), &json!({ KIND: 1 })));
}

/// Manifests of another installation: other UIDs.
fn elsewhere(desk: &Desk) {
    copy_tree(&installation(), &desk.path("elsewhere"));
    let mut files = Vec::new();
    crate::support::walk(&desk.path("elsewhere"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("uid: ", "uid: f0").replace("\"uid\": \"", "\"uid\": \"f0")).unwrap();
    }
}

#[test]
fn a_store_changes_its_installation_only_if_that_is_meant() {
    let desk = Desk::new();
    desk.collect();
    elsewhere(&desk);
    desk.line("collect --manifests elsewhere").code(1).says("--rebind");
    desk.line("preview --manifests elsewhere").code(1);
    desk.line("preview --manifests elsewhere --rebind").ok();
    desk.line("collect --manifests elsewhere --rebind").ok().says("the store now belongs to this installation");
    desk.line("collect --manifests elsewhere").ok();
    let home = format!("collect --manifests {}", installation().display());
    desk.line(&home).code(1).says("come from another installation");
}

#[test]
fn a_store_that_was_restored_goes_on_above_what_ingest_has_seen() {
    let (desk, _) = with_records(1);
    desk.line("export -o 1.tar").ok();
    answered(&desk, "1.tar", "archive").ok();
    copy_tree(&desk.path("state"), &desk.path("backup"));
    for sequence in 2..=3 {
        collect(&desk, sequence, "");
        desk.line(&format!("export -o {sequence}.tar")).ok();
        answered(&desk, &format!("{sequence}.tar"), "archive").ok();
    }
    fs::remove_dir_all(desk.path("state")).unwrap();
    copy_tree(&desk.path("backup"), &desk.path("state"));
    collect(&desk, 9, "");
    // The receipt of the last bundle, which this store no longer knows, is at hand.
    answered(&desk, "3.tar", "archive").ok().says("does not know the bundle");
    desk.line("status").ok().prints("it was restored from an older copy");
    assert_eq!(status(&desk)["doubts"], json!([{ "kind": "behind", "seen": 3, "own": 1 }]));
    desk.line("export -o 4.tar").ok();
    assert_eq!(manifest(&desk, "4.tar")["sequence"], 4);
    let printed = answered(&desk, "4.tar", "archive").ok();
    assert!(!printed.stderr.contains("warning"), "it continues what ingest has seen: {}", printed.stderr);
    assert_eq!(status(&desk)["pending"]["records"], 0);
    assert_eq!(status(&desk)["doubts"], json!([]));
}

#[test]
fn a_store_that_was_copied_is_told_and_loses_nothing() {
    let (desk, _) = with_records(1);
    desk.line("export -o 1.tar").ok();
    answered(&desk, "1.tar", "archive").ok();
    // This way to copy leaves empty directories out.
    copy_tree(&desk.path("state"), &desk.path("copy"));
    collect(&desk, 2, "");
    desk.line("export -o 2.tar").ok();
    answered(&desk, "2.tar", "archive").ok();
    collect(&desk, 3, "--state copy");
    desk.line("export -o other.tar --state copy").ok();
    let ingest = "ingest other.tar --archive archive --trust tofu --receipts receipts --json";
    let receipt = desk.line(ingest).ok().json()[0]["receipt"].as_str().unwrap().to_owned();
    desk.run(["receipt", "--state", "copy", "--receipt-key", "archive/receipt-key.pub.pem", &receipt]).ok();
    let told = desk.line("status --state copy").ok();
    told.prints("a copy of this store was or is in use elsewhere");
    desk.line("init --new-client --state copy").ok();
    desk.line("status --state copy").ok();
    let found = desk.line("status --state copy --json").ok().json();
    assert_eq!(found["doubts"], json!([]));
    assert_ne!(found["client"], status(&desk)["client"]);
}

#[test]
fn an_identity_on_a_second_desk_has_a_chain_of_its_own() {
    let (desk, _) = with_records(1);
    desk.line("export -o 1.tar").ok();
    answered(&desk, "1.tar", "archive").ok();
    collect(&desk, 2, "--store second");
    desk.line("export -o second.tar --store second").ok();
    let (first, second) = (manifest(&desk, "1.tar"), manifest(&desk, "second.tar"));
    assert_eq!((&first["client"], &first["sequence"]), (&second["client"], &second["sequence"]));
    assert_ne!(first["store"], second["store"]);
    // Carried back to the wrong desk, its receipt changes nothing there; at the right one it counts.
    let printed = answered(&desk, "second.tar", "archive").ok();
    assert!(printed.stderr.contains("another store of this client"), "{}", printed.stderr);
    let receipts = desk.tree("receipts").into_iter().filter(|name| name.contains(".receipt."));
    let receipts: Vec<_> = receipts.map(|name| format!("receipts/{name}")).collect();
    let key = ["receipt", "--store", "second", "--receipt-key", "archive/receipt-key.pub.pem"];
    desk.run(key.into_iter().chain(receipts.iter().map(String::as_str))).ok();
    let found = desk.line("status --store second --json").ok().json();
    assert_eq!((&found["pending"]["records"], &found["doubts"]), (&json!(0), &json!([])));
    assert_eq!(status(&desk)["doubts"], json!([]));
}

#[test]
fn a_bundle_that_did_not_arrive_is_told_until_it_does() {
    let (desk, _) = with_records(1);
    desk.line("export -o 1.tar").ok();
    collect(&desk, 2, "");
    desk.line("export --new -o 2.tar").ok();
    answered(&desk, "2.tar", "archive").ok().says("ingest has not seen the bundle before this one");
    assert_eq!(status(&desk)["doubts"], json!([{ "kind": "gap", "sequence": 1 }]));
    desk.line("status").ok().prints("`export --again 1` writes it again");
    desk.line("export --again 1 -o again.tar").ok();
    answered(&desk, "again.tar", "archive").ok();
    assert_eq!((&status(&desk)["doubts"], &status(&desk)["pending"]["records"]), (&json!([]), &json!(0)));
}

#[test]
fn what_is_set_aside_says_why() {
    let (desk, _) = with_records(1);
    desk.file("state/store/records/letter.pdf", "to whom it may concern");
    collect(&desk, 2, "");
    let found = status(&desk)["quarantine"].clone();
    let reason = "from records/: its name is not that of a record";
    assert_eq!(found, json!([{ "file": "letter.pdf", "reason": reason }]));
    desk.line("status").ok().prints(&format!("letter.pdf: {reason}"));
    assert!(Path::new(&desk.path("state/store/quarantine/letter.pdf")).is_file());
}

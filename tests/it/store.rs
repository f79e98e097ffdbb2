//! The store under accidents: damage, strays, interruptions, slow readers, other installations.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Desk, copy_tree, installation, tool};

fn store(desk: &Desk, name: &str) -> PathBuf {
    desk.path("state/store").join(name)
}

fn pending(desk: &Desk) -> u64 {
    desk.line("status --json").ok().json()["pending"]["records"].as_u64().unwrap()
}

fn sequence(desk: &Desk, name: &str) -> u64 {
    desk.line(&format!("export -o {name} --json")).ok().json()["sequence"].as_u64().unwrap()
}

/// A desk whose records were exported once.
fn exported() -> Desk {
    let desk = Desk::new();
    desk.collect();
    assert_eq!(sequence(&desk, "first.tar"), 1);
    desk
}

/// Has the bundle ingested, and returns the receipt's name.
fn ingested(desk: &Desk, bundle: &str) -> String {
    let ingest = format!("ingest {bundle} --archive archive --trust tofu --receipts receipts --json");
    desk.line(&ingest).ok().json()[0]["receipt"].as_str().unwrap().to_owned()
}

#[test]
fn a_ledger_entry_that_can_not_be_read_keeps_its_number_and_its_bundle() {
    for damage in ["", "{}", "{\"half\":", "[1]", "{\"sequence\":1}"] {
        let desk = exported();
        fs::write(store(&desk, "exports/0000000000000001.json"), damage).unwrap();
        assert_eq!(sequence(&desk, "second.tar"), 2, "{damage}");
        assert!(store(&desk, "bundles/0000000000000001.tar").is_file(), "{damage}");
        let status = desk.line("status --json").ok().json();
        assert_eq!(status["quarantine"][0]["file"], "0000000000000001.json", "{damage}");
        assert_eq!(status["pending"]["records"], 2);
    }
}

#[test]
fn a_bundle_that_was_never_committed_is_removed_and_its_number_is_free() {
    let desk = Desk::new();
    desk.collect();
    fs::write(store(&desk, "bundles/0000000000000001.tar"), "half a bundle").unwrap();
    fs::write(store(&desk, "bundles/.tmp-abc"), "half of that").unwrap();
    assert_eq!(sequence(&desk, "bundle.tar"), 1);
    desk.line("verify bundle.tar").code(3);
    assert_eq!(desk.tree("state/store/bundles"), ["0000000000000001.tar"]);
}

#[test]
fn strays_are_set_aside_and_everything_else_goes_on() {
    let desk = exported();
    for place in ["exports", "receipts", "bundles", "records"] {
        fs::create_dir(store(&desk, place).join("folder")).unwrap();
        fs::write(store(&desk, place).join(OsStr::from_bytes(b"\xff.json")), "x").unwrap();
        fs::write(store(&desk, place).join("letter.pdf"), place).unwrap();
        fs::write(store(&desk, place).join("99999999999999999999.json"), "{}").unwrap();
    }
    desk.line("status").ok();
    assert_eq!(sequence(&desk, "second.tar"), 2);
    assert_eq!(desk.line("status --json").ok().json()["quarantine"].as_array().unwrap().len(), 16);
    // Nothing was lost: the four letters are there under four names.
    let letters = desk
        .tree("state/store/quarantine")
        .into_iter()
        .filter(|name| name.starts_with("letter.pdf") && !name.ends_with(".reason"));
    let mut found: Vec<_> =
        letters.map(|name| fs::read_to_string(store(&desk, "quarantine").join(name)).unwrap()).collect();
    found.sort();
    assert_eq!(found, ["bundles", "exports", "receipts", "records"]);
}

#[test]
fn a_damaged_record_is_set_aside_and_the_others_leave() {
    let desk = Desk::new();
    desk.collect();
    let name = desk.tree("state/store/records").into_iter().find(|name| name.contains("_kubernetes_")).unwrap();
    fs::write(store(&desk, "records").join(&name), "{}").unwrap();
    desk.line("preview").ok().says("is damaged");
    assert_eq!(pending(&desk), 2, "looking changes nothing");
    let exported = desk.line("export -o bundle.tar --json").ok().json();
    assert_eq!(exported["records"], serde_json::json!({"kubermatic": 1}));
    assert_eq!(desk.line("status --json").ok().json()["quarantine"][0]["file"], name);
}

#[test]
fn collectors_do_not_wait_for_a_slow_reader_of_a_bundle() {
    let desk = Desk::new();
    desk.collect();
    tool(&desk.path(""), "mkfifo", &["pipe"]);
    let mut export = desk.command().args(["export", "-o", "pipe"]).stderr(Stdio::null()).spawn().unwrap();
    let entry = store(&desk, "exports/0000000000000001.json");
    while !entry.is_file() {
        assert!(export.try_wait().unwrap().is_none(), "the export ended before it was read");
        std::thread::yield_now();
    }
    // Nobody reads the pipe yet.
    desk.collect();
    assert_eq!(pending(&desk), 4);
    let mut bytes = Vec::new();
    fs::File::open(desk.path("pipe")).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(export.wait().unwrap().success());
    assert_eq!(desk.run_with_input(["verify", "-"], &bytes).code, 3);
    assert!(desk.line("status --json").ok().json()["lastExport"]["delivered"].as_bool().unwrap());
}

#[test]
fn a_stored_bundle_that_was_damaged_is_not_written_again() {
    let desk = exported();
    let path = store(&desk, "bundles/0000000000000001.tar");
    let mut bytes = fs::read(&path).unwrap();
    bytes[700] ^= 1;
    fs::write(&path, bytes).unwrap();
    desk.line("export --again 1 -o again.tar").code(1).says("is damaged in the store").says("export them anew");
    assert!(!desk.path("again.tar").exists());
}

#[test]
fn the_same_bytes_are_written_again_until_the_receipt_comes() {
    let desk = exported();
    desk.line("export --again 1 -o again.tar").ok();
    assert_eq!(fs::read(desk.path("first.tar")).unwrap(), fs::read(desk.path("again.tar")).unwrap());
    let receipt = ingested(&desk, "again.tar");
    desk.line(&format!("receipt {receipt} --receipt-key receipts/receipt-key.pub.pem")).ok();
    desk.line("export --again 1 -o third.tar").code(1).says("is no longer kept");
    desk.line("export --again 7 -o third.tar").code(1).says("no export with the sequence number 7");
}

#[test]
fn an_acknowledgement_that_was_interrupted_is_finished_later() {
    let desk = exported();
    copy_tree(&store(&desk, "records"), &desk.path("kept"));
    let receipt = ingested(&desk, "first.tar");
    desk.line(&format!("receipt {receipt} --receipt-key receipts/receipt-key.pub.pem")).ok();
    // As if the process had died between the receipt's entry and the records' removal.
    copy_tree(&desk.path("kept"), &store(&desk, "records"));
    desk.line("export -o second.tar").code(4).says("nothing is pending");
    assert_eq!(pending(&desk), 0);
}

#[test]
fn only_what_was_never_written_out_is_new() {
    let desk = exported();
    desk.line("export --new -o new.tar").code(4);
    desk.collect();
    let exported = desk.line("export --new -o new.tar --json").ok().json();
    assert_eq!(exported["records"], serde_json::json!({"kubermatic": 1, "kubernetes": 1}));
    let exported = desk.line("export -o all.tar --json").ok().json();
    assert_eq!(exported["records"], serde_json::json!({"kubermatic": 2, "kubernetes": 2}));
    // The chain: each manifest names the one before it.
    let manifest = |name: &str| desk.line(&format!("inspect {name} --json")).ok().json();
    let (first, second) = (manifest("new.tar"), manifest("all.tar"));
    let digest = format!("sha256:{}", first["manifestSha256"].as_str().unwrap());
    assert_eq!(second["manifest"]["previous"], digest);
}

/// The test installation with another text in place of a line of its configuration.
fn altered(desk: &Desk, name: &str, change: impl Fn(&str) -> String) -> PathBuf {
    let path = desk.path(name);
    copy_tree(&installation(), &path);
    let file = path.join("master/kubermaticconfiguration.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let changed = change(&text);
    assert_ne!(text, changed);
    fs::write(file, changed).unwrap();
    path
}

fn collect_from(desk: &Desk, path: &Path) -> crate::support::Printed {
    desk.run([OsStr::new("collect"), OsStr::new("--manifests"), path.as_os_str()])
}

#[test]
fn records_that_do_not_say_where_they_come_from_stay_out_of_a_bound_store() {
    let desk = Desk::new();
    let nameless = altered(&desk, "nameless", |text| {
        text.lines().filter(|line| !line.trim_start().starts_with("uid:")).collect::<Vec<_>>().join("\n")
    });
    // A store that is not bound yet takes them, with a warning.
    collect_from(&desk, &nameless).ok().says("be told which installation this is");
    desk.collect();
    collect_from(&desk, &nameless).code(1).says("it can't be told whether").says("hint: ");
    assert_eq!(pending(&desk), 4);
}

#[test]
fn a_new_client_starts_with_a_store_of_its_own_and_nothing_is_lost() {
    let desk = Desk::new();
    desk.collect();
    let old = desk.line("keys show --json").ok().json()["client"].as_str().unwrap().to_owned();
    desk.line("init --new-client").ok().says("moved ");
    assert!(desk.path(&format!("state/identity-{old}/signing-key.pem")).is_file());
    assert_eq!(desk.tree(&format!("state/store-{old}/records")).len(), 2);
    desk.collect();
    desk.line("export -o bundle.tar").ok();
    let manifest: Value = desk.line("inspect bundle.tar --json").ok().json()["manifest"].clone();
    assert_eq!((&manifest["replaces"], &manifest["sequence"]), (&old.clone().into(), &1.into()));
    assert_ne!(manifest["client"], old);
}

#[test]
fn a_record_that_no_bundle_could_carry_is_not_stored_and_does_not_stop_the_others() {
    let desk = Desk::new();
    desk.collect();
    let head = r#"{"kind":"my-product","version":"v1","time":"2026-01-31T12:00:00Z","rows":["#;
    desk.file("zeros.json", format!("{head}{}0]}}", "0,".repeat(8_000_000)));
    desk.file("large.json", format!("{head}\"{}\"]}}", "0123456789".repeat(3_400_000)));
    let line = "collect --allow-kind my-product --record";
    let refused = desk.line(&format!("{line} zeros.json")).code(1);
    refused.says("zeros.json: how many times the payload the decompressed records are exceeds the limit `ratio`");
    desk.line(&format!("{line} large.json")).code(1).says("large.json is larger than");
    desk.file(
        "columns.json",
        format!("{head}0],{}}}", (0..50_000).map(|n| format!("\"c{n}\":[]")).collect::<Vec<_>>().join(",")),
    );
    desk.line(&format!("{line} columns.json")).ok();
    let exported = desk.line("export -o bundle.tar --json").ok().json();
    assert_eq!(exported["records"], serde_json::json!({"kubermatic": 1, "kubernetes": 1, "my-product": 1}));
    desk.line("verify bundle.tar").code(3);
    let manifest = desk.line("inspect bundle.tar --json").ok().json()["manifest"].clone();
    assert_eq!(manifest["records"][2]["counts"].as_object().unwrap().len(), 64);
}

#[test]
fn what_is_printed_of_a_bundle_has_no_control_characters() {
    let desk = Desk::new();
    desk.collect();
    let note = "a\u{1b}[31m\u{9b}m\u{202e}\u{7f}b";
    desk.run(["export", "-o", "bundle.tar", "--note", note]).ok();
    for line in ["inspect bundle.tar", "inspect bundle.tar --json", "status --history", "status --history --json"] {
        let printed = desk.line(line).ok();
        let text = printed.stdout + &printed.stderr;
        let bad = |c: &char| c.is_control() && *c != '\n' || ('\u{202a}'..='\u{202e}').contains(c);
        assert_eq!(text.chars().find(bad), None, "{line}");
        assert!(text.contains("31m"), "{line} shows the note");
    }
}

#[test]
fn help_says_what_a_verb_does_and_how_it_ends() {
    let desk = Desk::new();
    let help = |verb: &str| desk.line(&format!("{verb} --help")).ok().stdout.replace('\n', " ");
    assert!(help("verify").contains("3: valid, but no key of"));
    assert!(help("receipt").contains("twice is harmless"));
    assert!(help("export").contains("Exit code 4 says that no bundle was written"));
    assert!(desk.line("--help").ok().stdout.contains("Exit codes: 0 done; 1 failed"));
}

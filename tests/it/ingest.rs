//! The accepting side: whom it trusts, what it keeps, and what its receipts say.

use std::fs;

use kubermatic_telemetry::keys::SigningKey;
use serde_json::Value;

use crate::made::{CLIENT, Made, make, private, snakeoil};
use crate::support::{Desk, Printed, root};

fn vector(name: &str) -> String {
    root().join("testdata/bundles/vectors").join(name).to_str().unwrap().to_owned()
}

/// Trusts the first snakeoil key for the vectors' client.
fn desk_with_keyring() -> Desk {
    let desk = Desk::new();
    let key = snakeoil("snakeoil-client.pub.pem");
    desk.line(&format!("keys trust {} --client {CLIENT} --keyring keyring", key.display())).ok();
    desk
}

fn ingest(desk: &Desk, bundle: &str, trust: &str) -> Printed {
    desk.line(&format!("ingest {bundle} --archive archive --receipts receipts --json {trust}"))
}

fn receipt(desk: &Desk, answer: &Value) -> Value {
    let file = answer[0]["receipt"].as_str().unwrap();
    desk.line(&format!("inspect {file} --json")).ok().json()["receipt"].clone()
}

#[test]
fn a_rotation_moves_the_client_until_a_key_in_it_is_revoked() {
    let desk = desk_with_keyring();
    let rotated = private("snakeoil-client-rotated.pem");
    make(&desk, "later.tar", &Made { key: &rotated, sequence: 9, previous: None, record: (1, "x") });
    ingest(&desk, "later.tar", "--keyring keyring").code(1).says("is known with other keys");
    ingest(&desk, &vector("rotated-key.tar"), "--keyring keyring").ok();
    // The client sends the chain only until it has a receipt; the archive keeps it.
    ingest(&desk, "later.tar", "--keyring keyring").ok();
    // The older key stays good: older sticks still count.
    ingest(&desk, &vector("deltas-two-kinds.tar"), "--keyring keyring").ok();
    let old = private("snakeoil-client.pem").public().id();
    desk.file("keyring/revoked", format!("# stolen\n{old}\n"));
    make(&desk, "last.tar", &Made { key: &rotated, sequence: 10, previous: None, record: (2, "y") });
    ingest(&desk, "last.tar", "--keyring keyring").code(1).says("revoked key");
    ingest(&desk, &vector("rotated-key.tar"), "--trust tofu --keyring keyring").code(1).says("revoked key");
    ingest(&desk, &vector("one-record.tar"), "--keyring keyring").code(1).says("revoked key");
    fs::rename(desk.path("keyring/revoked"), desk.path("keyring/revoked.txt")).unwrap();
    ingest(&desk, "last.tar", "--keyring keyring").code(1).says("must be named revoked");
}

#[test]
fn a_first_bundle_pins_its_key_only_if_that_is_asked_for() {
    let desk = Desk::new();
    ingest(&desk, &vector("one-record.tar"), "").code(2).says("nobody is trusted");
    let other = desk_with_keyring();
    fs::rename(
        other.path(&format!("keyring/{CLIENT}.pem")),
        other.path("keyring/00000000-0000-4000-8000-000000000000.pem"),
    )
    .unwrap();
    let refused = ingest(&other, &vector("one-record.tar"), "--keyring keyring").code(1).says("is not in the keyring");
    assert_eq!(refused.json()[0]["code"], "signerUnknown");
    assert!(!other.path("archive/clients").exists());

    let answer = ingest(&desk, &vector("one-record.tar"), "--trust tofu").ok().says("pinned its key").json();
    assert_eq!(answer[0]["pinned"], true);
    let stranger = SigningKey::from_seed(&[4; 32]);
    make(&desk, "stranger.tar", &Made { key: &stranger, sequence: 1, previous: None, record: (1, "x") });
    let before = desk.tree("archive");
    let refused = ingest(&desk, "stranger.tar", "--trust tofu").code(1).says("is known with other keys");
    assert_eq!(refused.json()[0]["code"], "keyConflict");
    let (refusals, rest): (Vec<_>, Vec<_>) =
        desk.tree("archive").into_iter().partition(|name| name.starts_with("audit/refusals/"));
    assert_eq!(rest, before, "what is refused leaves nothing behind but an entry of the audit");
    assert_eq!(refusals.len(), 1);
}

#[test]
fn records_are_told_apart_by_id_and_digest() {
    let desk = desk_with_keyring();
    let key = private("snakeoil-client.pem");
    let made = |sequence, record| Made { key: &key, sequence, previous: None, record };
    make(&desk, "first.tar", &made(1, (1, "x")));
    make(&desk, "again.tar", &made(2, (1, "x")));
    make(&desk, "other.tar", &made(3, (1, "y")));
    let status = |name: &str| {
        let answer = ingest(&desk, name, "--keyring keyring").ok().json();
        let record = receipt(&desk, &answer)["records"][0].clone();
        (record["status"].as_str().unwrap().to_owned(), record["reason"].as_str().map(str::to_owned))
    };
    assert_eq!(status("first.tar"), ("accepted".to_owned(), None));
    assert_eq!(status("again.tar"), ("duplicate".to_owned(), None));
    assert_eq!(status("other.tar"), ("rejected".to_owned(), Some("idConflict".to_owned())));
    assert_eq!(status("first.tar"), ("accepted".to_owned(), None), "the same bundle gives the same receipt");
}

#[test]
fn a_bundle_whose_acceptance_was_interrupted_is_accepted_later() {
    let desk = desk_with_keyring();
    let key = private("snakeoil-client.pem");
    make(&desk, "first.tar", &Made { key: &key, sequence: 1, previous: None, record: (1, "x") });
    make(&desk, "second.tar", &Made { key: &key, sequence: 2, previous: None, record: (1, "x") });
    ingest(&desk, "first.tar", "--keyring keyring").ok();
    // As if ingest had died before its receipt: neither bundle then says `duplicate` of something never accepted.
    fs::remove_dir_all(desk.path(&format!("archive/clients/{CLIENT}/receipts"))).unwrap();
    let answer = ingest(&desk, "second.tar", "--keyring keyring").ok().json();
    assert_eq!(answer[0]["accepted"], 1);
}

#[test]
fn gaps_and_forks_are_evidence_and_never_a_gate() {
    let desk = desk_with_keyring();
    let key = private("snakeoil-client.pem");
    let made = |sequence, previous, record| Made { key: &key, sequence, previous, record };
    let first = make(&desk, "1.tar", &made(1, None, (1, "x")));
    let second = make(&desk, "2.tar", &made(2, Some(first), (2, "x")));
    make(&desk, "2b.tar", &made(2, Some(first), (3, "x")));
    let missing = make(&desk, "3.tar", &made(3, Some(second), (4, "x")));
    make(&desk, "4.tar", &made(4, Some(missing), (5, "x")));
    let mut seen = Vec::new();
    for name in ["1.tar", "2.tar", "4.tar", "3.tar", "2b.tar"] {
        let answer = ingest(&desk, name, "--keyring keyring").ok().json();
        let receipt = receipt(&desk, &answer);
        seen.push((receipt["chain"].as_str().unwrap().to_owned(), receipt["highestSequence"].as_u64().unwrap()));
    }
    let expected = [("ok", 1), ("ok", 2), ("gap", 4), ("ok", 4), ("fork", 4)];
    assert_eq!(seen, expected.map(|(chain, highest)| (chain.to_owned(), highest)));
}

#[test]
fn equal_bundles_are_archived_as_equal_bytes_however_they_were_packed() {
    let (desk, other) = (desk_with_keyring(), desk_with_keyring());
    fs::create_dir(other.path("b")).unwrap();
    let at = other.path("");
    crate::support::tool(&at, "tar", &["xf", &vector("one-record.tar"), "-C", "b"]);
    let names = ["./", "./manifest.json", "./manifest.json.sig", "./records.tar.gz"];
    crate::support::tool(&at, "tar", &[&["cf", "packed.tar", "--no-recursion", "-C", "b"], &names[..]].concat());
    ingest(&desk, &vector("one-record.tar"), "--keyring keyring").ok();
    ingest(&other, "packed.tar", "--keyring keyring").ok();
    let archived = |desk: &Desk| {
        let name = desk.tree("archive").into_iter().find(|name| name.contains("/bundles/")).unwrap();
        fs::read(desk.path("archive").join(name)).unwrap()
    };
    assert!(archived(&desk) == archived(&other));
    desk.file("archived.tar", archived(&desk));
    desk.line("verify archived.tar --keyring keyring").ok();
}

#[test]
fn an_address_that_is_no_archive_is_told_without_what_may_be_secret_in_it() {
    let desk = desk_with_keyring();
    let line = format!("ingest {} --archive s3://KEY:SECRET@bucket --keyring keyring", vector("one-record.tar"));
    let printed = desk.line(&line).code(1).says("s3://... is not the address of an archive");
    assert!(!printed.stderr.contains("SECRET"));
}

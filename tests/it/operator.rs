//! The operator's side of keys: what `keys trust` and `keys revoke` change in a keyring and in an archive, and what they
//! refuse.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Desk, Printed, root};

/// The client of the published vectors.
const CLIENT: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
const OTHER: &str = "00000000-0000-4000-8000-000000000001";
const KEY: &str = "client.pem";
const ROTATED: &str = "rotated.pem";

/// A desk with the two public keys of the vectors' client.
fn desk() -> Desk {
    let desk = Desk::new();
    for (name, file) in [("snakeoil-client.pub.pem", KEY), ("snakeoil-client-rotated.pub.pem", ROTATED)] {
        desk.file(file, fs::read(root().join("testdata/keys").join(name)).unwrap());
    }
    desk
}

fn id(desk: &Desk, file: &str) -> String {
    let text = fs::read_to_string(desk.path(file)).unwrap();
    kubermatic_telemetry::keys::PublicKey::all_from_pem(&text).unwrap()[0].id().to_string()
}

fn vector(name: &str) -> String {
    root().join("testdata/bundles/vectors").join(name).to_str().unwrap().to_owned()
}

fn ingest(desk: &Desk, bundle: &str, options: &str) -> Printed {
    desk.line(&format!("ingest {bundle} --archive archive --receipts receipts --json {options}"))
}

/// What the audit of the archive says, in the order of its entries.
fn audit(desk: &Desk) -> Vec<Value> {
    let entries = desk.tree("archive/audit");
    entries
        .iter()
        .map(|name| serde_json::from_slice(&fs::read(desk.path("archive/audit").join(name)).unwrap()).unwrap())
        .collect()
}

#[test]
fn trusting_and_revoking_again_changes_nothing() {
    for place in ["--keyring keyring", "--archive archive"] {
        let desk = desk();
        let (key, rotated) = (id(&desk, KEY), id(&desk, ROTATED));
        let trust = |file: &str| desk.line(&format!("keys trust {file} --client {CLIENT} {place} --json"));
        let first = trust(KEY).ok().json();
        assert_eq!((&first["client"], &first["trusted"]), (&CLIENT.into(), &json!([key])), "{place}");
        let after = desk.snapshot();
        let again = trust(KEY).ok().says("has the key").json();
        assert_eq!((&again["trusted"], &again["trustedBefore"]), (&json!([]), &json!([key])), "{place}");
        desk.unchanged_since(&after, "trusting again");
        trust(ROTATED).ok();
        let revoke = |what: &str| desk.line(&format!("keys revoke {what} {place} --json"));
        let first = revoke(KEY).ok().json();
        let lost = json!([{ "client": CLIENT, "lost": [key], "left": 1 }]);
        assert_eq!((&first["revoked"], &first["clients"]), (&json!([key]), &lost), "{place}");
        let after = desk.snapshot();
        let again = revoke(&key).ok().says("is revoked already").json();
        assert_eq!(
            (&again["revoked"], &again["revokedBefore"], &again["clients"]),
            (&json!([]), &json!([key]), &json!([]))
        );
        desk.unchanged_since(&after, "revoking again");
        let end = revoke(&rotated).ok().says(&format!("client {CLIENT} is left without a key; it had {rotated}"));
        assert_eq!(end.json()["clients"], json!([{ "client": CLIENT, "lost": [rotated], "left": 0 }]));
        let refused = trust(KEY).code(1).says(&format!("the key {key} is revoked in"));
        refused.says("hint: a revocation is for good; the client needs a new key");
        ingest(&desk, &vector("one-record.tar"), if place.starts_with("--k") { place } else { "" })
            .code(1)
            .says("revoked key");
    }
}

#[test]
fn a_place_is_needed_and_only_one() {
    let desk = desk();
    for line in [format!("keys trust {KEY} --client {CLIENT}"), format!("keys revoke {KEY}")] {
        desk.line(&line).code(2).says("--keyring").says("--archive");
        desk.line(&format!("{line} --keyring k --archive a")).code(2).says("cannot be used with");
    }
}

#[test]
fn a_revocation_that_nobody_would_hear_is_refused() {
    let desk = desk();
    let before = desk.snapshot();
    for (line, message) in [
        (format!("keys revoke {KEY} --keyring absent"), "there is no keyring absent"),
        (format!("keys revoke {KEY} --archive absent"), "there is no archive in absent"),
        (format!("keys revoke {KEY} --archive ."), "there is no archive in ."),
        ("keys revoke absent.pem --keyring .".to_owned(), "can't read absent.pem"),
    ] {
        desk.line(&line).code(1).says(message);
    }
    desk.line("keys revoke sha256:12 --keyring keyring")
        .code(2)
        .says("`sha256:12`: not a key id")
        .says("hint: `keys show`");
    desk.unchanged_since(&before, "revocations that are refused");
}

#[test]
fn what_a_person_wrote_into_a_keyring_stays() {
    let desk = desk();
    let (key, rotated) = (id(&desk, KEY), id(&desk, ROTATED));
    let stolen = format!("sha256:{}", "b".repeat(64));
    let pem = fs::read_to_string(desk.path(KEY)).unwrap();
    desk.file(&format!("keyring/{CLIENT}.pem"), format!("# confirmed by phone, CHG-0815\n{pem}# no line feed here"));
    desk.file("keyring/revoked", format!("# stolen laptops\n{stolen}"));
    desk.line(&format!("keys trust {ROTATED} --client {CLIENT} --keyring keyring")).ok();
    desk.line(&format!("keys revoke {key} --keyring keyring")).ok();
    let text = |name: &str| fs::read_to_string(desk.path("keyring").join(name)).unwrap();
    let keys = text(&format!("{CLIENT}.pem"));
    assert!(keys.starts_with("# confirmed by phone, CHG-0815\n") && keys.contains("# no line feed here\n"), "{keys}");
    assert_eq!(text("revoked"), format!("# stolen laptops\n{stolen}\n{key}\n"));
    ingest(&desk, &vector("one-record.tar"), "--keyring keyring").code(1).says("revoked key");
    let lines = fs::read_to_string(desk.path("keyring/revoked")).unwrap();
    assert!(!lines.contains(&rotated));
}

#[test]
fn of_many_who_change_a_keyring_at_once_all_are_heard() {
    let desk = desk();
    let keys: Vec<_> =
        (1..=8_u8).map(|seed| kubermatic_telemetry::keys::SigningKey::from_seed(&[seed; 32]).public()).collect();
    let mut children = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        desk.file(&format!("{number}.pem"), key.to_pem());
        let line = if number % 2 == 0 {
            format!("keys trust {number}.pem --client {CLIENT} --keyring keyring")
        } else {
            fs::create_dir_all(desk.path("keyring")).unwrap();
            format!("keys revoke {number}.pem --keyring keyring")
        };
        let mut command = desk.command();
        children.push(command.args(line.split(' ')).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    }
    for child in children {
        Printed::of(child.wait_with_output().unwrap()).ok();
    }
    let listed = fs::read_to_string(desk.path(&format!("keyring/{CLIENT}.pem"))).unwrap();
    let revoked = fs::read_to_string(desk.path("keyring/revoked")).unwrap();
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(listed.contains(&key.to_base64()), number % 2 == 0);
        assert_eq!(revoked.contains(key.id().as_str()), number % 2 == 1);
    }
}

#[test]
fn a_client_whose_key_is_in_the_archive_is_known_like_one_in_the_keyring() {
    let desk = desk();
    ingest(&desk, &vector("one-record.tar"), "").code(2).says("nobody is trusted").says("`keys trust --archive`");
    assert!(!desk.path("archive").exists());
    desk.line(&format!("keys trust {KEY} --client {CLIENT} --archive archive")).ok();
    ingest(&desk, &vector("one-record.tar"), "").ok();
    // The keyring and the archive add up.
    desk.line(&format!("keys trust {ROTATED} --client {OTHER} --keyring keyring")).ok();
    ingest(&desk, &vector("one-record.tar"), "--keyring keyring").ok();
    ingest(&desk, &vector("rotated-key.tar"), "").ok();
    desk.line(&format!("keys revoke {} --archive archive", id(&desk, KEY))).ok();
    for bundle in ["one-record.tar", "rotated-key.tar"] {
        ingest(&desk, &vector(bundle), "--keyring keyring").code(1).says("revoked key");
        ingest(&desk, &vector(bundle), "--trust tofu").code(1).says("revoked key");
    }
}

#[test]
fn every_change_of_an_archive_leaves_an_entry_and_nothing_is_ever_changed_or_removed() {
    let desk = desk();
    let (key, rotated) = (id(&desk, KEY), id(&desk, ROTATED));
    let digits = |id: &str| id.trim_start_matches("sha256:").to_owned();
    desk.line(&format!("keys trust {KEY} --client {CLIENT} --archive archive")).ok();
    let first = desk.snapshot();
    desk.line(&format!("keys trust {ROTATED} --client {OTHER} --archive archive")).ok();
    desk.line(&format!("keys revoke {key} --archive archive")).ok();
    let now = desk.snapshot();
    assert!(first.iter().all(|(path, contents)| now.get(path) == Some(contents)), "something was changed or removed");
    let mut objects = desk.tree("archive");
    objects.retain(|name| !name.starts_with("audit/"));
    let expected = BTreeSet::from([
        format!("clients/{CLIENT}/keys/{}.pem", digits(&key)),
        format!("clients/{OTHER}/keys/{}.pem", digits(&rotated)),
        format!("revoked/{}", digits(&key)),
    ]);
    assert_eq!(objects.into_iter().collect::<BTreeSet<_>>(), expected);
    let mut entries = audit(&desk);
    for entry in &mut entries {
        let time = entry.as_object_mut().unwrap().remove("time").unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    }
    entries.sort_by_key(ToString::to_string);
    let mut expected = vec![
        json!({ "change": "trust", "client": CLIENT, "key": key }),
        json!({ "change": "trust", "client": OTHER, "key": rotated }),
        json!({ "change": "revoke", "key": key }),
    ];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(entries, expected);
}

#[test]
fn a_pin_gives_way_to_what_the_operator_lists_and_that_is_said() {
    let desk = desk();
    ingest(&desk, &vector("one-record.tar"), "--trust tofu").ok().says("pinned its key");
    // A pin counts for nobody who did not ask for pins.
    ingest(&desk, &vector("one-record.tar"), "").code(2);
    desk.line(&format!("keys trust {KEY} --client {OTHER} --archive archive")).ok();
    ingest(&desk, &vector("deltas-two-kinds.tar"), "").code(1).says("is not in the keyring");
    let trust = format!("keys trust {ROTATED} --client {CLIENT} --archive archive --json");
    let told = desk.line(&trust).ok().says("the pinned key").says("no longer counts").says("trust it as well");
    assert_eq!(told.json()["unpinned"], id(&desk, KEY));
    for trust in ["", "--trust tofu"] {
        ingest(&desk, &vector("deltas-two-kinds.tar"), trust).code(1).says("is known with other keys");
    }
    desk.line(&format!("keys trust {KEY} --client {CLIENT} --archive archive")).ok();
    ingest(&desk, &vector("deltas-two-kinds.tar"), "").ok();
    assert_eq!(desk.line(&trust).ok().json()["unpinned"], Value::Null);
}

#[test]
fn so_many_strangers_an_hour_are_welcome_and_no_more() {
    let desk = Desk::new();
    let bundle = |name: &str| {
        let other = Desk::new();
        other.file("r.json", r#"{"kind":"a","version":"v1","time":"2026-01-31T12:00:00Z"}"#);
        other.line("collect --record r.json --allow-kind a").ok();
        other.line("export -o bundle.tar").ok();
        fs::copy(other.path("bundle.tar"), desk.path(name)).unwrap();
    };
    for name in ["1.tar", "2.tar", "3.tar"] {
        bundle(name);
    }
    // Twice the number of places, should the hour end meanwhile.
    let answers: Vec<_> = ["1.tar", "2.tar", "3.tar"]
        .map(|name| ingest(&desk, name, "--trust tofu --pins-per-hour 1"))
        .into_iter()
        .collect();
    answers[0].json();
    assert_eq!(answers[0].code, 0);
    let refused: Vec<_> = answers.iter().filter(|printed| printed.code == 1).collect();
    assert!(!refused.is_empty());
    for printed in refused {
        assert!(printed.stderr.contains("and 1 unknown clients were accepted within this hour"), "{}", printed.stderr);
        assert!(printed.stderr.contains("hint: if these are no strangers, trust their keys"), "{}", printed.stderr);
    }
    // Who is known needs no place.
    ingest(&desk, "1.tar", "--trust tofu --pins-per-hour 0").ok();
    ingest(&desk, "3.tar", "--trust tofu").ok();
}

#[test]
fn keys_in_the_archive_that_are_damaged_are_told_and_trusted_by_nobody() {
    let desk = desk();
    let (key, rotated) = (id(&desk, KEY), id(&desk, ROTATED));
    desk.line(&format!("keys trust {KEY} --client {CLIENT} --archive archive")).ok();
    let object = format!("archive/clients/{CLIENT}/keys/{}.pem", key.trim_start_matches("sha256:"));
    let good = fs::read(desk.path(&object)).unwrap();
    for damage in
        ["", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", &fs::read_to_string(desk.path(ROTATED)).unwrap()]
    {
        desk.file(&object, damage);
        ingest(&desk, &vector("one-record.tar"), "").code(1).says("the archive is damaged at clients/");
    }
    desk.file(&object, good);
    ingest(&desk, &vector("one-record.tar"), "").ok();
    assert_ne!(key, rotated);
}

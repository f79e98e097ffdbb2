//! Key rotation as whole stories: older sticks, receipts that come late or never, revoked keys, lost keys.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Desk, Printed, copy_all, tool};

/// An installation whose bundles are ingested on the same desk.
struct Site {
    desk: Desk,
}

impl Site {
    fn new() -> Self {
        let site = Self { desk: Desk::new() };
        site.desk.line("init").ok();
        site
    }

    fn line(&self, line: &str) -> Printed {
        self.desk.line(line)
    }

    fn shown(&self) -> Value {
        self.line("keys show --json").ok().json()
    }

    fn client(&self) -> String {
        self.shown()["client"].as_str().unwrap().to_owned()
    }

    fn key(&self) -> String {
        self.shown()["key"].as_str().unwrap().to_owned()
    }

    /// Writes the present public key to a file, and gives its id.
    fn publish(&self, name: &str) -> String {
        self.line(&format!("keys export --force -o {name}")).ok();
        self.key()
    }

    /// Collects a record and packs a bundle; gives the manifest.
    fn export(&self, name: &str) -> Value {
        self.export_with(name, "")
    }

    fn export_with(&self, name: &str, options: &str) -> Value {
        let record = json!({ "kind": "a-product", "version": "v1", "time": "2026-01-01T00:00:00Z", "name": name });
        self.desk.file("record.json", record.to_string());
        self.line(&format!("collect --record record.json --allow-kind a-product {options}")).ok();
        self.line(&format!("export -o {name} {options}")).ok();
        self.line(&format!("inspect {name} --json {options}")).ok().json()["manifest"].clone()
    }

    fn rotate(&self) -> String {
        let before = self.key();
        let rotated = self.line("keys rotate --json").ok().json();
        assert_eq!(rotated["previousKey"], before);
        assert_eq!(rotated["key"], self.key());
        self.key()
    }

    fn trust(&self, key_file: &str, place: &str) -> Printed {
        self.line(&format!("keys trust {key_file} --client {} {place}", self.client()))
    }

    fn ingest(&self, bundle: &str, options: &str) -> Printed {
        self.line(&format!("ingest {bundle} --archive archive --receipts receipts --json {options}"))
    }

    /// Ingests a bundle and imports its receipt.
    fn answered(&self, bundle: &str, options: &str) -> Printed {
        let receipt = self.ingest(bundle, options).ok().json()[0]["receipt"].as_str().unwrap().to_owned();
        self.line(&format!("receipt --receipt-key archive/receipt-key.pub.pem {receipt}")).ok()
    }

    /// Three bundles, each signed with another key than the one before it; the ids of the keys.
    fn three_keys(&self) -> [String; 3] {
        let first = self.publish("a.pem");
        self.export("1.tar");
        let second = self.rotate();
        self.publish("b.pem");
        self.export("2.tar");
        let third = self.rotate();
        self.publish("c.pem");
        self.export("3.tar");
        [first, second, third]
    }
}

/// The keys of a manifest's chain, oldest first, and the signer.
fn chain(manifest: &Value) -> Vec<String> {
    let links = manifest["rotation"].as_array().cloned().unwrap_or_default();
    links.iter().map(|link| link["previousKey"].clone()).chain([manifest["publicKey"].clone()]).map(id).collect()
}

/// The id of a key in base64.
fn id(key: Value) -> String {
    let key: kubermatic_telemetry::keys::PublicKey = serde_json::from_value(key).unwrap();
    key.id().to_string()
}

#[test]
fn rotated_twice_without_a_receipt_sticks_count_in_any_order_and_the_chain_goes_with_the_receipt() {
    let site = Site::new();
    let [first, second, third] = site.three_keys();
    let manifest = |name: &str| site.line(&format!("inspect {name} --json")).ok().json()["manifest"].clone();
    assert_eq!(chain(&manifest("1.tar")), std::slice::from_ref(&first));
    assert_eq!(chain(&manifest("2.tar")), [first.clone(), second.clone()]);
    assert_eq!(chain(&manifest("3.tar")), [first.clone(), second.clone(), third.clone()]);
    site.trust("a.pem", "--keyring keyring").ok();
    for bundle in ["3.tar", "1.tar", "2.tar"] {
        site.line(&format!("verify {bundle} --keyring keyring")).ok();
        site.ingest(bundle, "--keyring keyring").ok();
    }
    // Receipts for bundles of the older keys say nothing of the present one.
    site.answered("1.tar", "--keyring keyring");
    site.answered("2.tar", "--keyring keyring");
    assert_eq!(chain(&site.export("4.tar")), [first.clone(), second.clone(), third.clone()]);
    let waiting = site.shown()["rotation"].clone();
    assert_eq!(
        waiting,
        json!([{ "previousKey": first, "key": second.clone() }, { "previousKey": second, "key": third.clone() }])
    );
    site.line("keys show").ok().prints(&format!("rotation {third} follows "));
    site.answered("3.tar", "--keyring keyring");
    assert_eq!(chain(&site.export("5.tar")), std::slice::from_ref(&third));
    assert_eq!(site.shown()["rotation"], json!([]));
    // What the archive knows of the chain is enough from now on, also for the next rotation.
    site.answered("5.tar", "--keyring keyring");
    let fourth = site.rotate();
    assert_eq!(chain(&site.export("6.tar")), [third.clone(), fourth.clone()]);
    site.answered("6.tar", "--keyring keyring");
    assert_eq!(chain(&site.export("7.tar")), [fourth]);
    site.ingest("7.tar", "--keyring keyring").ok();
    site.ingest("4.tar", "--keyring keyring").ok();
    // An archive that has never seen the chain can't know.
    let line = "ingest 7.tar --archive other --keyring keyring";
    site.line(line).code(1).says("is known with other keys than").says("hint: if the client has a new key");
}

#[test]
fn a_bundle_is_written_again_with_the_same_bytes_after_a_rotation() {
    let site = Site::new();
    site.export("1.tar");
    site.rotate();
    site.line("export --again 1 -o again.tar").ok();
    let read = |name: &str| fs::read(site.desk.path(name)).unwrap();
    assert!(read("1.tar") == read("again.tar"));
}

#[test]
fn a_keyring_with_the_last_key_only_takes_what_that_key_signed() {
    let site = Site::new();
    site.three_keys();
    site.trust("c.pem", "--keyring keyring").ok();
    site.ingest("3.tar", "--keyring keyring").ok();
    // Whoever lists one key has not said that another one is good, though it names the first.
    for bundle in ["1.tar", "2.tar"] {
        site.ingest(bundle, "--keyring keyring").code(1).says("is known with other keys than");
    }
    site.trust("a.pem", "--keyring keyring").ok();
    for bundle in ["1.tar", "2.tar"] {
        site.ingest(bundle, "--keyring keyring").ok();
    }
}

#[test]
fn a_revoked_key_in_the_middle_ends_the_chain_there() {
    for place in ["--keyring keyring", "--archive archive"] {
        let site = Site::new();
        let [first, second, third] = site.three_keys();
        site.trust("a.pem", place).ok();
        let trust = if place.starts_with("--keyring") { place } else { "" };
        site.ingest("2.tar", trust).ok();
        let revoked = site.line(&format!("keys revoke {second} {place} --json")).ok().json();
        assert_eq!(revoked["revoked"], json!([second]));
        if trust.is_empty() {
            let lost = json!([{ "client": site.client(), "lost": [second], "left": 1 }]);
            assert_eq!(revoked["clients"], lost, "the archive has seen the rotation, and {first} is left");
        }
        let refused = site.ingest("3.tar", trust).code(1).says("revoked key, or through one");
        assert!(refused.stderr.contains(&third), "{}", refused.stderr);
        site.ingest("2.tar", trust).code(1).says("revoked key");
        site.ingest("1.tar", trust).ok();
        // The operator can still say that the last one is good.
        site.trust("c.pem", place).ok();
        site.ingest("3.tar", trust).ok();
    }
}

#[test]
fn a_revoked_key_that_is_known_by_an_earlier_chain_ends_that_chain_as_well() {
    let site = Site::new();
    let [first, ..] = site.three_keys();
    site.trust("a.pem", "--archive archive").ok();
    site.answered("3.tar", "");
    site.export("4.tar");
    site.ingest("4.tar", "").ok();
    let warned = site.line(&format!("keys revoke {first} --archive archive")).ok();
    warned.says(&format!("client {} is left without a key", site.client())).says("hint: its bundles are refused");
    site.export("5.tar");
    site.ingest("5.tar", "").code(1).says("revoked key");
    site.rotate();
    site.export("6.tar");
    site.ingest("6.tar", "").code(1).says("revoked key");
}

#[test]
fn a_pinned_client_rotates_and_its_older_sticks_count() {
    for order in [["1.tar", "2.tar", "3.tar"], ["3.tar", "2.tar", "1.tar"], ["2.tar", "3.tar", "1.tar"]] {
        let site = Site::new();
        let [first, ..] = site.three_keys();
        for (number, bundle) in order.iter().enumerate() {
            let printed = site.ingest(bundle, "--trust tofu").ok();
            assert_eq!(printed.json()[0]["pinned"], number == 0, "{order:?}");
            if number == 0 {
                printed.says(&format!("is new; pinned its key {first}"));
            }
        }
        site.answered("3.tar", "--trust tofu");
        assert_eq!(chain(&site.export("4.tar")).len(), 1);
        site.ingest("4.tar", "--trust tofu").ok();
    }
}

#[test]
fn the_operator_replaces_a_pin_by_trusting_another_key() {
    let site = Site::new();
    let pinned = site.publish("pinned.pem");
    site.export("1.tar");
    site.ingest("1.tar", "--trust tofu").ok();
    // The key was stolen: the thief could rotate as well as the client can.
    let line = format!("keys revoke {pinned} --archive archive");
    site.line(&line).ok().says(&format!("revoked {pinned}")).says("is left without a key; it had");
    site.line(&line).ok().says(&format!("{pinned} is revoked already"));
    site.export("2.tar");
    site.ingest("2.tar", "--trust tofu").code(1).says("revoked key");
    site.rotate();
    site.export("3.tar");
    site.ingest("3.tar", "--trust tofu").code(1).says("revoked key");
    site.publish("new.pem");
    site.trust("new.pem", "--archive archive").ok().says("is trusted with the key");
    site.ingest("3.tar", "--trust tofu").ok();
    site.ingest("3.tar", "").ok();
    site.ingest("2.tar", "--trust tofu").code(1).says("revoked key");
    let refused = site.trust("pinned.pem", "--archive archive").code(1);
    refused.says(&format!("the key {pinned} is revoked in the archive")).says("hint: a revocation is for good");
}

#[test]
fn rotations_end_where_no_bundle_could_carry_more_and_go_on_after_a_receipt() {
    let site = Site::new();
    site.publish("a.pem");
    for _ in 0..16 {
        site.rotate();
    }
    let last = site.key();
    let refused = site.line("keys rotate").code(1).says("changed 16 times without a receipt");
    refused.says("hint: export a bundle and import its receipt");
    assert_eq!(site.key(), last);
    assert_eq!(chain(&site.export("1.tar")).len(), 17);
    site.trust("a.pem", "--keyring keyring").ok();
    site.answered("1.tar", "--keyring keyring");
    site.rotate();
    assert_eq!(chain(&site.export("2.tar")).len(), 2);
    site.ingest("2.tar", "--keyring keyring").ok();
}

#[test]
fn each_store_sends_the_chain_until_it_has_a_receipt_of_its_own() {
    let site = Site::new();
    site.publish("a.pem");
    site.trust("a.pem", "--keyring keyring").ok();
    site.rotate();
    site.export("1.tar");
    assert_eq!(chain(&site.export_with("second.tar", "--store second")).len(), 2);
    site.answered("1.tar", "--keyring keyring");
    assert_eq!(chain(&site.export("2.tar")).len(), 1);
    assert_eq!(chain(&site.export_with("third.tar", "--store second")).len(), 2, "it has no receipt yet");
    for bundle in ["second.tar", "third.tar", "2.tar"] {
        site.ingest(bundle, "--keyring keyring").ok();
    }
    // A store that was lost has no receipts: the chain is sent once more, which nobody minds.
    fs::rename(site.desk.path("state/store"), site.desk.path("lost")).unwrap();
    assert_eq!(chain(&site.export("4.tar")).len(), 2);
    site.ingest("4.tar", "--keyring keyring").ok();
}

#[test]
fn an_identity_from_a_backup_before_the_rotation_goes_on_with_the_old_key() {
    let site = Site::new();
    site.publish("a.pem");
    site.trust("a.pem", "--keyring keyring").ok();
    let old = site.key();
    copy_all(&site.desk.path("state/identity"), &site.desk.path("backup"));
    site.rotate();
    site.export("1.tar");
    let receipt = site.ingest("1.tar", "--keyring keyring").ok().json()[0]["receipt"].as_str().unwrap().to_owned();
    fs::rename(site.desk.path("state/identity"), site.desk.path("newer")).unwrap();
    copy_all(&site.desk.path("backup"), &site.desk.path("state/identity"));
    assert_eq!(site.key(), old);
    // The receipt is this client's, whichever key signed the bundle, and confirms nothing of the present key.
    site.line(&format!("receipt --receipt-key archive/receipt-key.pub.pem {receipt}")).ok().says("0 records pending");
    assert_eq!(chain(&site.export("2.tar")), [old]);
    site.ingest("2.tar", "--keyring keyring").ok();
    // Another way from the old key is as good as the first.
    site.rotate();
    assert_eq!(chain(&site.export("3.tar")).len(), 2);
    site.ingest("3.tar", "--keyring keyring").ok();
}

#[test]
fn a_receipt_for_a_bundle_that_the_store_does_not_know_confirms_no_rotation() {
    let site = Site::new();
    site.publish("a.pem");
    site.trust("a.pem", "--keyring keyring").ok();
    site.export("0.tar");
    site.rotate();
    copy_all(&site.desk.path("state/store"), &site.desk.path("backup"));
    site.export("1.tar");
    fs::remove_dir_all(site.desk.path("state/store")).unwrap();
    copy_all(&site.desk.path("backup"), &site.desk.path("state/store"));
    site.answered("1.tar", "--keyring keyring").says("this store does not know the bundle");
    assert_eq!(chain(&site.export("2.tar")).len(), 2);
    site.answered("2.tar", "--keyring keyring");
    assert_eq!(chain(&site.export("3.tar")).len(), 1);
}

#[test]
fn a_receipt_that_is_not_believed_confirms_nothing() {
    let site = Site::new();
    site.rotate();
    site.export("1.tar");
    let receipt = site.ingest("1.tar", "--trust tofu").ok().json()[0]["receipt"].as_str().unwrap().to_owned();
    site.publish("other.pem");
    site.line(&format!("receipt --receipt-key other.pem {receipt}")).code(1).says("not a trusted receipt key");
    assert_eq!(chain(&site.export("2.tar")).len(), 2);
}

#[test]
fn exports_and_rotations_at_once_wait_for_each_other_and_every_bundle_counts() {
    let site = Site::new();
    site.publish("a.pem");
    site.trust("a.pem", "--keyring keyring").ok();
    site.export("0.tar");
    let start = |line: &str| {
        let mut command = site.desk.command();
        command.args(line.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut children = Vec::new();
    for number in 1..=6 {
        children.push(start(&format!("export -o {number}.tar")));
        children.push(start("keys rotate"));
    }
    for child in children {
        Printed::of(child.wait_with_output().unwrap()).ok();
    }
    site.export("7.tar");
    let manifest = |number| site.line(&format!("inspect {number}.tar --json")).ok().json()["manifest"].clone();
    assert_eq!(chain(&manifest(7)).len(), 7, "each of six rotations follows the one before it");
    for number in 0..=7 {
        site.line(&format!("verify {number}.tar --keyring keyring")).ok();
        let (signers, all) = (chain(&manifest(number)), chain(&manifest(7)));
        assert_eq!(signers, all[..signers.len()], "bundle {number}");
    }
}

#[test]
fn a_key_that_openssl_made_becomes_the_next_one() {
    let site = Site::new();
    let desk = &site.desk;
    site.publish("a.pem");
    site.trust("a.pem", "--keyring keyring").ok();
    tool(&desk.path(""), "openssl", &["genpkey", "-algorithm", "ed25519", "-out", "made.pem"]);
    let before = site.shown();
    let printed = site.line("keys rotate --import made.pem").ok();
    printed.says("back the identity up again").says("until a receipt confirms it").prints("-----BEGIN PUBLIC KEY-----");
    let public = tool(&desk.path(""), "openssl", &["pkey", "-in", "made.pem", "-pubout"]).stdout;
    assert_eq!(site.shown()["publicKey"], String::from_utf8(public).unwrap());
    assert_eq!(site.shown()["client"], before["client"]);
    site.export("1.tar");
    site.ingest("1.tar", "--keyring keyring").ok();
    site.line("keys rotate --import made.pem").code(1).says("is this identity's already").says("makes a new key");
    site.line("keys rotate --import a.pem").code(1).says("not an Ed25519 private key");
    site.line("keys rotate --import absent.pem").code(1).says("can't read the private key absent.pem: No such file");
    tool(&desk.path(""), "openssl", &["genpkey", "-algorithm", "RSA", "-out", "rsa.pem"]);
    site.line("keys rotate --import rsa.pem").code(1).says("not an Ed25519 private key").says("openssl genpkey");
}

#[test]
fn an_identity_begins_with_a_key_that_is_given() {
    let desk = Desk::new();
    tool(&desk.path(""), "openssl", &["genpkey", "-algorithm", "ed25519", "-out", "made.pem"]);
    let made = desk.line("init --signing-key made.pem --json").ok().json();
    let public = tool(&desk.path(""), "openssl", &["pkey", "-in", "made.pem", "-pubout"]).stdout;
    assert_eq!((&made["publicKey"], &made["encrypted"]), (&String::from_utf8(public).unwrap().into(), &false.into()));
    let again = desk.line("init --signing-key made.pem").code(1).says("has an identity already");
    again.says("hint: `keys rotate --import FILE` changes its key");
}

/// The private key files of an identity directory.
fn private(site: &Site) -> PathBuf {
    site.desk.path("state/identity/signing-key.pem")
}

#[test]
fn a_rotation_that_did_not_come_about_is_forgotten() {
    let site = Site::new();
    site.publish("a.pem");
    site.trust("a.pem", "--keyring keyring").ok();
    let old = fs::read(private(&site)).unwrap();
    let key = site.key();
    site.rotate();
    // As if the process had died between the two files.
    fs::write(private(&site), old).unwrap();
    assert_eq!((site.key(), site.shown()["rotation"].clone()), (key.clone(), json!([])));
    assert_eq!(chain(&site.export("1.tar")), std::slice::from_ref(&key));
    site.rotate();
    let manifest = site.export("2.tar");
    assert_eq!((chain(&manifest).len(), &chain(&manifest)[0]), (2, &key));
    site.ingest("2.tar", "--keyring keyring").ok();
}

#[test]
fn a_client_that_lost_its_key_starts_over_and_says_whom_it_continues() {
    let site = Site::new();
    site.publish("a.pem");
    site.trust("a.pem", "--keyring keyring").ok();
    let old = site.client();
    site.export("1.tar");
    site.ingest("1.tar", "--keyring keyring").ok();
    fs::remove_dir_all(site.desk.path("state/identity")).unwrap();
    let made = site.line("init --new-client --json").ok().says("moved ").json();
    assert_eq!(made["replaces"], old);
    assert_eq!(site.shown()["replaces"], old);
    let manifest = site.export("2.tar");
    assert_eq!((&manifest["replaces"], &manifest["client"]), (&old.clone().into(), &site.client().into()));
    site.line("inspect 2.tar").ok().prints(&format!("replaces   client {old}, as it claims"));
    let claim =
        format!("is not in the keyring; the bundle is intact and signed by {}; it says that it continues", site.key());
    site.ingest("2.tar", "--keyring keyring").code(1).says(&claim).says("hint: ask the client for its public key");
    let accepted = site.ingest("2.tar", "--trust tofu").ok().says(&format!("says that it continues client {old}"));
    assert_eq!((&accepted.json()[0]["replaces"], &accepted.json()[0]["pinned"]), (&old.into(), &true.into()));
}

#[test]
fn a_client_that_lost_everything_can_still_say_whom_it_continues() {
    let desk = Desk::new();
    let old = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
    desk.line(&format!("init --replaces {old}")).code(2).says("--new-client");
    desk.line("init --new-client").ok().says("it can't be told which client this one replaces").says("--replaces UUID");
    let made = desk.line(&format!("init --new-client --replaces {old} --json")).ok().json();
    assert_eq!(made["replaces"], old);
    let line = format!("init --new-client --client-uuid {old} --replaces {old}");
    desk.line(&line).code(1).says("a new client can't have the UUID of the one that it replaces");
    desk.line("init --new-client").ok().says("this client is a new one already, and has no store yet");
    assert_eq!(desk.line("keys show --json").ok().json()["client"], made["client"]);
}

#[test]
fn a_new_client_that_was_begun_is_told_of_and_finished() {
    let site = Site::new();
    site.export("1.tar");
    let old = site.client();
    // As an interruption leaves it: the new identity is made, the old one is aside, nothing else is done.
    let state = site.desk.path("state");
    let (identity, aside) = (state.join("identity"), state.join(format!("identity-{old}")));
    let other = Desk::new();
    other.line(&format!("init --new-client --replaces {old}")).ok();
    fs::rename(&identity, aside).unwrap();
    copy_all(&other.path("state/identity"), &state.join("identity-new-client"));
    let before = site.desk.snapshot();
    for line in
        ["status", "init", "keys show", "export -o 2.tar", "collect --record record.json --allow-kind a-product"]
    {
        site.line(line).code(1).says("a new client was begun in").says("hint: `init --new-client` finishes it");
    }
    site.desk.unchanged_since(&before, "verbs that are refused");
    site.line("init --new-client --encrypt --passphrase-file record.json").code(1).says("not what is asked for now");
    site.line("init --new-client").ok().says(&format!("store to {}", state.join(format!("store-{old}")).display()));
    assert_eq!(site.export("2.tar")["replaces"], old);
}

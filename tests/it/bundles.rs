//! Bundles as others see them: the published vectors, stock tools, damage and forgery.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use kubermatic_telemetry::bundle::{Limits, VerifyError, verify};
use kubermatic_telemetry::clock::Environment;
use kubermatic_telemetry::digest::Sha256Digest;
use kubermatic_telemetry::identity::{Identity, Signer};
use kubermatic_telemetry::keys::PublicKey;
use kubermatic_telemetry::keys::keyring::{Keyring, Trust};
use kubermatic_telemetry::record::canonical::{self, Form};
use kubermatic_telemetry::reporter::{self, Selection};
use kubermatic_telemetry::store::Store;
use serde_json::Value;

use crate::support::{Desk, copy_tree, root, tool};

const VECTORS: &[&str] = &["one-record", "deltas-two-kinds", "rotated-key"];

fn vector(name: &str) -> PathBuf {
    root().join("testdata/bundles/vectors").join(name)
}

fn snakeoil(name: &str) -> Vec<PublicKey> {
    PublicKey::all_from_pem(&fs::read_to_string(root().join("testdata/keys").join(name)).unwrap()).unwrap()
}

fn check(bytes: &[u8], keyring: &Keyring) -> Result<Trust, VerifyError> {
    verify::verify(Cursor::new(bytes), keyring, &Limits::default(), &mut |_, _| {}).map(|verified| verified.trust)
}

#[test]
fn the_published_vectors_verify_and_give_their_records() {
    let old = Keyring::of_keys(snakeoil("snakeoil-client.pub.pem"));
    for name in VECTORS {
        let file = fs::File::open(vector(&format!("{name}.tar"))).unwrap();
        let mut verified = verify::verify(file, &old, &Limits::default(), &mut |_, _| {}).unwrap();
        assert_eq!(verified.trust, Trust::Trusted, "{name}: also through the rotation");
        let mut records = Vec::new();
        let each = verified.for_each_record(|_, document| {
            records.push(document.bytes().to_vec());
            Ok::<_, ()>(())
        });
        assert!(each.is_ok());
        let text = fs::read(vector(&format!("{name}.records.json"))).unwrap();
        let expected: Vec<Value> = serde_json::from_slice(&text).unwrap();
        let expected: Vec<_> =
            expected.iter().map(|record| canonical::to_canonical(record, Form::Record).unwrap()).collect();
        assert_eq!(records, expected, "{name}");
        let bytes = fs::read(vector(&format!("{name}.tar"))).unwrap();
        assert_eq!(check(&bytes, &Keyring::default()).unwrap(), Trust::Unknown);
    }
    let other = Keyring::of_keys(snakeoil("snakeoil-client-rotated.pub.pem"));
    let bytes = fs::read(vector("one-record.tar")).unwrap();
    assert_eq!(check(&bytes, &other).unwrap_err().code(), "keyConflict");
}

#[test]
fn openssl_tar_and_sha256sum_agree() {
    let desk = Desk::new();
    desk.collect();
    desk.line("export -o bundle.tar").ok();
    desk.line("keys export -o client.pub.pem").ok();
    let at = desk.path("");
    tool(&at, "tar", &["xf", "bundle.tar"]);
    let signature = fs::read_to_string(desk.path("manifest.json.sig")).unwrap();
    assert_eq!(signature.len(), 89);
    fs::write(desk.path("sig.bin"), BASE64.decode(signature.trim_end()).unwrap()).unwrap();
    let verify = ["pkeyutl", "-verify", "-pubin", "-inkey", "client.pub.pem", "-rawin", "-in", "manifest.json"];
    tool(&at, "openssl", &[&verify[..], &["-sigfile", "sig.bin"]].concat());
    let manifest: Value = serde_json::from_slice(&fs::read(desk.path("manifest.json")).unwrap()).unwrap();
    let sum = tool(&at, "sha256sum", &["records.tar.gz"]);
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(sum.split(' ').next(), manifest["payload"]["sha256"].as_str());

    // openssl reads the private key too, and both sides agree on the public one.
    let private = desk.path("state/identity/signing-key.pem");
    let public = tool(&at, "openssl", &["pkey", "-in", private.to_str().unwrap(), "-pubout"]);
    assert_eq!(public.stdout, fs::read(desk.path("client.pub.pem")).unwrap());

    tool(&at, "tar", &["xzf", "records.tar.gz"]);
    for (index, record) in manifest["records"].as_array().unwrap().iter().enumerate() {
        let name = format!("records/{index:06}-{}.json", record["kind"].as_str().unwrap());
        let bytes = fs::read(desk.path(&name)).unwrap();
        assert_eq!(Sha256Digest::of(&bytes).to_string(), record["sha256"].as_str().unwrap());
    }
}

#[test]
fn a_bundle_packed_again_by_plain_tar_still_verifies_and_other_orders_are_told() {
    let desk = Desk::new();
    desk.collect();
    desk.line("export -o bundle.tar").ok();
    fs::create_dir(desk.path("b")).unwrap();
    let at = desk.path("");
    tool(&at, "tar", &["xf", "bundle.tar", "-C", "b"]);
    let names = ["manifest.json", "manifest.json.sig", "records.tar.gz"];
    tool(&at, "tar", &[&["cf", "plain.tar", "-C", "b"], &names[..]].concat());
    desk.line("verify plain.tar").code(3);
    let dotted = ["./", "./manifest.json", "./manifest.json.sig", "./records.tar.gz"];
    tool(&at, "tar", &[&["cf", "dotted.tar", "--no-recursion", "-C", "b"], &dotted[..]].concat());
    desk.line("verify dotted.tar").code(3);
    tool(&at, "tar", &["cf", "order.tar", "-C", "b", "records.tar.gz", "manifest.json", "manifest.json.sig"]);
    desk.line("verify order.tar").code(1).says("another order").says("--format=ustar");
    tool(&at, "tar", &[&["cf", "pax.tar", "--format=pax", "-C", "b"], &names[..]].concat());
    desk.line("verify pax.tar").code(1).says("extension headers");
    tool(&at, "gzip", &["-k", "bundle.tar"]);
    desk.line("verify bundle.tar.gz").code(1).says("gzip -dc");
}

#[test]
fn a_bundle_can_come_through_a_pipe() {
    let desk = Desk::new();
    desk.collect();
    desk.line("export -o bundle.tar").ok();
    let bytes = fs::read(desk.path("bundle.tar")).unwrap();
    assert_eq!(desk.run_with_input(["verify", "-"], &bytes).code(3).code, 3);
    let again = desk.line("export -o - --again 1").ok();
    assert_eq!(again.stdout.len(), String::from_utf8_lossy(&bytes).len());
    assert!(desk.run_with_input(["inspect", "-"], &bytes).ok().stdout.contains("unknown signer"));
}

/// A clock that stands still and ids that count.
struct Still(std::cell::Cell<u8>);

impl Environment for Still {
    fn now(&self) -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    fn random(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        self.0.set(self.0.get() + 1);
        bytes.fill(self.0.get());
        Ok(())
    }
}

#[test]
fn packing_twice_from_two_copies_of_the_state_gives_identical_bytes() {
    let desk = Desk::new();
    desk.collect();
    desk.collect();
    copy_tree(&desk.state(), &desk.path("copy"));
    // The copy has only files; folders that are empty come back with the store.
    for name in ["rejected", "exports", "bundles", "receipts", "quarantine"] {
        fs::create_dir_all(desk.path("copy/store").join(name)).unwrap();
    }
    let pack = |state: &str| {
        let identity = Identity::load(&desk.path(state).join("identity")).unwrap().unwrap();
        let signer = Signer::open(&identity, None).unwrap();
        let store = Store::open(&desk.path(state).join("store"), identity.client()).unwrap().unwrap().lock().unwrap();
        let environment = Still(std::cell::Cell::new(0));
        let (limits, selection) = (Limits::default(), Selection::default());
        let packed = reporter::export(&store, &signer, &selection, &limits, &environment, &mut |_, _| {});
        let (export, manifest) = packed.unwrap().unwrap();
        assert_eq!(manifest.records.len(), 4);
        fs::read(store.bundle(export.sequence).unwrap()).unwrap()
    };
    let (first, second) = (pack("state"), pack("copy"));
    assert!(first == second, "the bundles differ");
}

#[test]
fn every_single_flipped_bit_and_every_cut_is_noticed() {
    let keyring = Keyring::of_keys(snakeoil("snakeoil-client.pub.pem"));
    // All bits of a small bundle, and one of each byte of a larger one.
    for (name, bits) in [("one-record.tar", 8), ("deltas-two-kinds.tar", 1)] {
        let mut bytes = fs::read(vector(name)).unwrap();
        assert_eq!(check(&bytes, &keyring).unwrap(), Trust::Trusted);
        for position in 0..bytes.len() {
            for bit in (position..).map(|bit| bit % 8).take(bits) {
                bytes[position] ^= 1 << bit;
                assert!(check(&bytes, &keyring).is_err(), "{name}: bit {bit} of byte {position} went unnoticed");
                bytes[position] ^= 1 << bit;
            }
        }
    }
    let bytes = fs::read(vector("deltas-two-kinds.tar")).unwrap();
    // What a bundle needs ends with two zero blocks; some writers add more of them.
    let needed = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let needed = needed.next_multiple_of(512) + 1024;
    for length in (0..needed).step_by(13) {
        assert!(check(&bytes[..length], &keyring).is_err(), "cut to {length} bytes");
    }
    assert!(check(&bytes[..needed], &keyring).is_ok());
}

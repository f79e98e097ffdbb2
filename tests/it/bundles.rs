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
use kubermatic_telemetry::keys::keyring::{Keyring, Trust};
use kubermatic_telemetry::keys::{PublicKey, SigningKey};
use kubermatic_telemetry::record::canonical::{self, Form};
use kubermatic_telemetry::reporter::{self, Selection};
use kubermatic_telemetry::store::Store;
use serde_json::{Value, json};

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

/// A bundle in the making, every part of which can be made wrong before it is signed.
struct Forge {
    manifest: Value,
    entries: Vec<(String, Vec<u8>)>,
    /// What is done to the finished inner tar, to the gzip stream, and to the outer tar.
    inner: fn(Vec<u8>) -> Vec<u8>,
    payload: fn(Vec<u8>) -> Vec<u8>,
    outer: fn(Vec<u8>) -> Vec<u8>,
}

const RECORD: &str =
    r#"{"complete":true,"kind":"a","rows":[{"uuid":"1"}],"time":"2026-01-01T00:00:00Z","version":"v1"}"#;
const NEXT: &str = r#"{"complete":true,"kind":"a","rows":[{"uuid":"2"}],"time":"2026-01-02T00:00:00Z","version":"v1"}"#;
const DELTA: &str = r#"{"rows":{"rows":{"delete":["1"],"put":[{"uuid":"2"}]}},"set":{"time":"2026-01-02T00:00:00Z"}}"#;

fn forging_key() -> SigningKey {
    SigningKey::from_seed(&[9; 32])
}

impl Forge {
    fn new() -> Self {
        let key = forging_key().public();
        let record = |id: u8, time: &str, encoding: &str, text: &str| {
            json!({
                "id": format!("019a9d00-0000-7000-8000-00000000000{id}"), "kind": "a", "version": "v1", "time": time,
                "complete": true, "encoding": encoding, "size": text.len(),
                "sha256": Sha256Digest::of(text.as_bytes()), "counts": {"rows": 1},
            })
        };
        Self {
            manifest: json!({
                "format": "kubermatic-telemetry-bundle/1", "bundle": "019a9d00-0000-7000-8000-0000000000ff",
                "client": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "store": "7a1c1d5e-1111-4222-8333-444455556666",
                "key": key.id(), "publicKey": key.to_base64(), "sequence": 1, "previous": null,
                "created": "2026-01-03T00:00:00Z", "producer": "forge/1", "withheld": [], "dropped": 0, "discarded": 0,
                "payload": {"name": "records.tar.gz"},
                "records": [
                    record(1, "2026-01-01T00:00:00Z", "full", RECORD),
                    record(2, "2026-01-02T00:00:00Z", "delta", NEXT),
                ],
            }),
            entries: vec![
                ("records/000000-a.json".to_owned(), RECORD.as_bytes().to_vec()),
                ("records/000001-a.json".to_owned(), DELTA.as_bytes().to_vec()),
            ],
            inner: |bytes| bytes,
            payload: |bytes| bytes,
            outer: |bytes| bytes,
        }
    }

    fn build(mut self) -> Vec<u8> {
        let inner = (self.inner)(tar(&self.entries));
        let payload = (self.payload)(gzip(&inner));
        if self.manifest["payload"]["size"].is_null() {
            self.manifest["payload"]["size"] = payload.len().into();
        }
        if self.manifest["payload"]["sha256"].is_null() {
            self.manifest["payload"]["sha256"] = Sha256Digest::of(&payload).to_string().into();
        }
        let manifest = canonical::to_canonical(&self.manifest, Form::Plain).unwrap();
        self.seal(manifest, payload)
    }

    fn seal(self, manifest: Vec<u8>, payload: Vec<u8>) -> Vec<u8> {
        let signature = BASE64.encode(forging_key().sign(&manifest)) + "\n";
        (self.outer)(tar(&[
            ("manifest.json".to_owned(), manifest),
            ("manifest.json.sig".to_owned(), signature.into_bytes()),
            ("records.tar.gz".to_owned(), payload),
        ]))
    }
}

fn header(name: &str, size: usize, kind: u8) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..124].copy_from_slice(b"0000644\x000000000\x000000000\x00");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal_header(&mut block);
    block
}

fn seal_header(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn tar(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, contents) in entries {
        bytes.extend(header(name, contents.len(), b'0'));
        bytes.extend(contents);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Changes one member of the manifest before it is signed.
fn with(path: &str, value: Value) -> Forge {
    let mut forge = Forge::new();
    *forge.manifest.pointer_mut(path).unwrap() = value;
    forge
}

fn without(member: &str) -> Forge {
    let mut forge = Forge::new();
    forge.manifest.as_object_mut().unwrap().remove(member);
    forge
}

fn entry(index: usize, name: &str, contents: &str) -> Forge {
    let mut forge = Forge::new();
    forge.entries[index] = (name.to_owned(), contents.as_bytes().to_vec());
    forge
}

fn inner(change: fn(Vec<u8>) -> Vec<u8>) -> Forge {
    Forge { inner: change, ..Forge::new() }
}

fn payload(change: fn(Vec<u8>) -> Vec<u8>) -> Forge {
    Forge { payload: change, ..Forge::new() }
}

fn outer(change: fn(Vec<u8>) -> Vec<u8>) -> Forge {
    Forge { outer: change, ..Forge::new() }
}

/// Changes the header at `at`, and its checksum with it.
fn patched(mut bytes: Vec<u8>, at: usize, field: usize, value: &[u8]) -> Vec<u8> {
    bytes[at + field..at + field + value.len()].copy_from_slice(value);
    seal_header(&mut bytes[at..at + 512]);
    bytes
}

#[test]
fn a_forged_bundle_verifies_while_nothing_is_wrong_with_it() {
    let keyring = Keyring::of_keys(vec![forging_key().public()]);
    assert_eq!(check(&Forge::new().build(), &keyring).unwrap(), Trust::Trusted);
    let mut unknown = Forge::new();
    unknown.manifest["someday"] = json!({"more": [1, 2]});
    assert_eq!(check(&unknown.build(), &keyring).unwrap(), Trust::Trusted, "unknown members are ignored");
}

#[test]
fn whatever_a_signer_gets_wrong_has_a_code_of_its_own() {
    let a = json!("a");
    let cases: Vec<(&str, &str, Forge)> = vec![
        ("an unknown format", "formatVersion", with("/format", json!("kubermatic-telemetry-bundle/2"))),
        ("no format", "manifestMemberMissing", without("format")),
        ("no previous", "manifestMemberMissing", without("previous")),
        ("no sequence", "manifestMemberMissing", without("sequence")),
        ("sequence 0", "manifestMemberInvalid", with("/sequence", json!(0))),
        (
            "a bundle id of version 4",
            "manifestMemberInvalid",
            with("/bundle", json!("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")),
        ),
        ("an upper-case UUID", "manifestMemberInvalid", with("/client", json!("6F9619FF-8B86-4D01-B42D-00CF4FC964FF"))),
        ("a created with an offset", "manifestMemberInvalid", with("/created", json!("2026-01-03T00:00:00+00:00"))),
        ("an unsorted withheld", "manifestMemberInvalid", with("/withheld", json!(["b", "a"]))),
        ("a null note", "manifestMemberInvalid", {
            let mut forge = Forge::new();
            forge.manifest["note"] = Value::Null;
            forge
        }),
        ("a long note", "limitExceeded", {
            let mut forge = Forge::new();
            forge.manifest["note"] = "x".repeat(1025).into();
            forge
        }),
        ("a payload of another name", "manifestMemberInvalid", with("/payload/name", json!("x.tar.gz"))),
        ("a wrong key id", "keyIdMismatch", with("/key", json!(format!("sha256:{}", "0".repeat(64))))),
        ("a key that is none", "manifestMemberInvalid", with("/publicKey", json!("AAAA"))),
        ("a rotation that does not hold", "manifestMemberInvalid", {
            let mut forge = Forge::new();
            let key = forging_key().public().to_base64();
            forge.manifest["rotation"] = json!([{"previousKey": key, "publicKey": key, "signature": "AAAA"}]);
            forge
        }),
        ("a wrong payload size", "payloadSize", with("/payload", json!({"name": "records.tar.gz", "size": 1}))),
        ("a wrong payload digest", "payloadDigest", {
            with("/payload", json!({"name": "records.tar.gz", "sha256": "0".repeat(64)}))
        }),
        ("records out of order", "manifestMemberInvalid", with("/records/0/time", json!("2026-02-01T00:00:00Z"))),
        ("an id twice", "manifestMemberInvalid", {
            with("/records/1/id", json!("019a9d00-0000-7000-8000-000000000001"))
        }),
        ("a bad kind", "manifestMemberInvalid", with("/records/0/kind", json!("../a"))),
        ("a record that is too large", "limitExceeded", with("/records/0/size", json!(33_554_433))),
        ("records that are too large together", "limitExceeded", {
            with("/records/0/size", json!(9_007_199_254_740_991_u64))
        }),
        ("another size of a full record", "recordSize", with("/records/0/size", json!(5))),
        ("another digest of a record", "recordDigest", with("/records/0/sha256", json!("0".repeat(64)))),
        ("another completeness", "recordMismatch", with("/records/0/complete", json!(false))),
        ("a full record listed as a delta", "deltaWithoutBase", with("/records/0/encoding", json!("delta"))),
        ("a delta listed as full", "recordSize", with("/records/1/encoding", json!("full"))),
        ("an unknown encoding", "manifestMemberInvalid", with("/records/0/encoding", json!("brotli"))),
        ("counts that are no numbers", "manifestMemberInvalid", with("/records/0/counts", json!({"rows": a}))),
        ("another name of an entry", "entryUnexpected", entry(0, "records/x.json", RECORD)),
        ("a path that climbs", "entryPath", entry(0, "../../etc/x", RECORD)),
        ("an absolute path", "entryPath", entry(0, "/etc/x", RECORD)),
        ("entries in another order", "recordOrder", entry(0, "records/000001-a.json", RECORD)),
        ("a record that is not canonical", "recordNotCanonical", {
            let mut forge = entry(0, "records/000000-a.json", "{ }");
            forge.manifest["records"][0]["size"] = 3.into();
            forge
        }),
        ("a delta that unsets what is not there", "deltaInvalid", {
            entry(1, "records/000001-a.json", r#"{"unset":["nothing"]}"#)
        }),
        ("a delta with another result", "deltaResult", entry(1, "records/000001-a.json", "{}")),
        ("a missing record", "recordMissing", {
            let mut forge = Forge::new();
            forge.entries.pop();
            forge
        }),
        ("a record too many", "recordExtra", {
            let mut forge = Forge::new();
            forge.entries.push(("records/000002-a.json".into(), RECORD.into()));
            forge
        }),
        ("a symbolic link", "entryLink", inner(|bytes| patched(bytes, 0, 156, b"2"))),
        ("a hard link", "entryLink", inner(|bytes| patched(bytes, 0, 156, b"1"))),
        ("a device", "entryDevice", inner(|bytes| patched(bytes, 0, 156, b"3"))),
        ("a FIFO", "entryFifo", inner(|bytes| patched(bytes, 0, 156, b"6"))),
        ("a directory", "entryDirectory", inner(|bytes| patched(bytes, 0, 156, b"5"))),
        ("a sparse file", "entrySparse", inner(|bytes| patched(bytes, 0, 156, b"S"))),
        ("a pax header", "entryPax", inner(|bytes| patched(bytes, 0, 156, b"x"))),
        ("a GNU long name", "entryGnu", inner(|bytes| patched(bytes, 0, 156, b"L"))),
        ("a size in base 256", "entryHeader", inner(|bytes| patched(bytes, 0, 124, b"\x80"))),
        ("another owner", "entryHeader", inner(|bytes| patched(bytes, 0, 108, b"0001750"))),
        ("an owner's name", "entryHeader", inner(|bytes| patched(bytes, 0, 265, b"root"))),
        ("another mode", "entryHeader", inner(|bytes| patched(bytes, 0, 100, b"0000755"))),
        ("another time", "entryHeader", inner(|bytes| patched(bytes, 0, 136, b"00000000001"))),
        ("a link target", "entryHeader", inner(|bytes| patched(bytes, 0, 157, b"x"))),
        ("GNU's magic", "entryHeader", inner(|bytes| patched(bytes, 0, 257, b"ustar  \0"))),
        ("a prefix", "entryHeader", inner(|bytes| patched(bytes, 0, 345, b"p"))),
        (
            "a wrong checksum",
            "entryHeader",
            inner(|mut bytes| {
                bytes[148] = b'7';
                bytes
            }),
        ),
        (
            "padding that is not zero",
            "entryPadding",
            inner(|mut bytes| {
                bytes[512 + RECORD.len()] = 1;
                bytes
            }),
        ),
        (
            "no end marker",
            "truncated",
            inner(|mut bytes| {
                bytes.truncate(bytes.len() - 1024);
                bytes
            }),
        ),
        (
            "half an end marker",
            "truncated",
            inner(|mut bytes| {
                bytes.truncate(bytes.len() - 512);
                bytes
            }),
        ),
        (
            "a second tar behind the first",
            "trailingBytes",
            inner(|mut bytes| {
                bytes.extend(header("x", 0, b'0'));
                bytes
            }),
        ),
        (
            "half a block behind the end",
            "trailingBytes",
            inner(|mut bytes| {
                bytes.push(0);
                bytes
            }),
        ),
        (
            "a tar that expands too much",
            "limitExceeded",
            inner(|mut bytes| {
                bytes.resize(1 << 24, 0);
                bytes
            }),
        ),
        (
            "a cut gzip stream",
            "gzipDamaged",
            payload(|mut bytes| {
                bytes.truncate(bytes.len() - 4);
                bytes
            }),
        ),
        (
            "a wrong gzip checksum",
            "gzipDamaged",
            payload(|mut bytes| {
                let crc = bytes.len() - 8;
                bytes[crc] ^= 1;
                bytes
            }),
        ),
        (
            "a wrong gzip length",
            "gzipDamaged",
            payload(|mut bytes| {
                let length = bytes.len() - 4;
                bytes[length] ^= 1;
                bytes
            }),
        ),
        ("no gzip at all", "gzipDamaged", payload(|_| b"plain".to_vec())),
        (
            "a second gzip member",
            "gzipSecondMember",
            payload(|mut bytes| {
                bytes.extend(gzip(b""));
                bytes
            }),
        ),
        (
            "something behind the gzip member",
            "gzipTrailing",
            payload(|mut bytes| {
                bytes.push(0);
                bytes
            }),
        ),
        (
            "a gzip header with a time",
            "gzipHeader",
            payload(|mut bytes| {
                bytes[4] = 1;
                bytes
            }),
        ),
        (
            "an entry that is there twice",
            "entryDuplicate",
            outer(|mut bytes| {
                let first = bytes[..512].to_vec();
                bytes.truncate(bytes.len() - 1024);
                bytes.extend(patched(first, 0, 124, b"00000000000"));
                bytes.extend([0; 1024]);
                bytes
            }),
        ),
        (
            "an entry too many",
            "entryUnexpected",
            outer(|mut bytes| {
                bytes.truncate(bytes.len() - 1024);
                bytes.extend(header("extra", 0, b'0'));
                bytes.extend([0; 1024]);
                bytes
            }),
        ),
        ("an outer link", "entryLink", outer(|bytes| patched(bytes, 0, 156, b"2"))),
        (
            "something behind the outer end",
            "trailingBytes",
            outer(|mut bytes| {
                bytes.extend([1; 512]);
                bytes
            }),
        ),
        ("an outer prefix", "entryHeader", outer(|bytes| patched(bytes, 0, 345, b"p"))),
        ("an outer size that is no number", "entryHeader", outer(|bytes| patched(bytes, 0, 124, b"9999"))),
        ("an outer entry of 1 TiB", "limitExceeded", outer(|bytes| patched(bytes, 0, 124, b"20000000000"))),
        ("an empty file", "notABundle", outer(|_| Vec::new())),
        ("text", "notABundle", outer(|_| b"hello".to_vec())),
        ("a zip file", "wrapped", outer(|_| b"PK\x03\x04".to_vec())),
        ("a bundle in base64", "encoded", outer(|bytes| BASE64.encode(bytes).into_bytes())),
        ("only zero blocks", "entryMissing", outer(|_| vec![0; 1024])),
    ];
    let keyring = Keyring::of_keys(vec![forging_key().public()]);
    println!("{} forged bundles", cases.len());
    for (what, code, forge) in cases {
        match check(&forge.build(), &keyring) {
            Ok(_) => panic!("{what}: accepted, though {code} is expected"),
            Err(error) => assert_eq!(error.code(), code, "{what}: {error}"),
        }
    }
}

#[test]
fn manifests_that_are_not_canonical_are_refused() {
    let keyring = Keyring::of_keys(vec![forging_key().public()]);
    let forged = |change: &dyn Fn(String) -> String| {
        let mut forge = Forge::new();
        let payload = gzip(&tar(&forge.entries));
        forge.manifest["payload"] = json!({
            "name": "records.tar.gz", "size": payload.len(), "sha256": Sha256Digest::of(&payload),
        });
        let manifest = String::from_utf8(canonical::to_canonical(&forge.manifest, Form::Plain).unwrap()).unwrap();
        check(&forge.seal(change(manifest).into_bytes(), payload), &keyring)
    };
    assert!(forged(&|manifest| manifest).is_ok());
    let changes: [(&str, &dyn Fn(String) -> String); 6] = [
        ("manifestNotCanonical", &|manifest| manifest + " "),
        ("manifestNotCanonical", &|manifest| manifest.replacen(':', ": ", 1)),
        ("manifestNotCanonical", &|manifest| manifest.replacen("\"dropped\":0", "\"dropped\":0.0", 1)),
        ("manifestDuplicateMember", &|manifest| manifest.replacen("\"dropped\":0", "\"dropped\":0,\"dropped\":0", 1)),
        ("manifestNotCanonical", &|manifest| manifest.replacen("\"format\"", "\"\\u0066ormat\"", 1)),
        ("limitExceeded", &|_| format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
    ];
    for (code, change) in changes {
        assert_eq!(forged(change).unwrap_err().code(), code);
    }
}

#[test]
fn a_signature_of_another_key_or_document_is_refused() {
    let keyring = Keyring::of_keys(vec![forging_key().public()]);
    let mut forge = Forge::new();
    let other = SigningKey::from_seed(&[8; 32]).public();
    forge.manifest["key"] = other.id().to_string().into();
    forge.manifest["publicKey"] = other.to_base64().into();
    assert_eq!(check(&forge.build(), &keyring).unwrap_err().code(), "signatureMismatch");
    let broken = outer(|bytes| {
        let text = String::from_utf8_lossy(&bytes).find("manifest.json.sig").unwrap();
        let mut bytes = bytes;
        bytes[text + 512] = b'*';
        bytes
    });
    assert_eq!(check(&broken.build(), &keyring).unwrap_err().code(), "signatureEncoding");
}

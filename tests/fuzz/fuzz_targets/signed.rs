//! Bundles that a malicious signer makes: valid up to where a script says otherwise, and signed afterwards. Refused, or
//! all of what is handed on is what the manifest says.
#![no_main]

use std::error::Error;
use std::io::{Cursor, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::read::GzDecoder;
use kubermatic_telemetry::bundle::manifest::{Encoding, Manifest};
use kubermatic_telemetry::bundle::verify::{Verified, verify};
use kubermatic_telemetry::bundle::{Limits, VerifyError};
use kubermatic_telemetry::digest::Sha256Digest;
use kubermatic_telemetry::keys::keyring::{Keyring, Trust};
use kubermatic_telemetry::record::canonical::{Form, check};
use kubermatic_telemetry_fuzz::bundle::{Forged, forge};
use kubermatic_telemetry_fuzz::{CLIENT, keep, key, limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| {
    let limits = limits();
    let forged = forge(script);
    keep(|| forged.bundle.clone());
    let result = verify(Cursor::new(&forged.bundle[..]), &keyring(), &limits, &mut |_, _| {});
    say(&result);
    match result {
        Ok(verified) => check_verified(verified, &forged, &limits),
        Err(error) => check_error(&error, &forged),
    }
});

/// The client has key 0, and key 9 is revoked.
fn keyring() -> Keyring {
    let mut keyring = Keyring::default();
    keyring.insert(CLIENT.parse().expect("a UUID"), [key(0).public()]);
    keyring.revoke(key(9).public().id());
    keyring
}

/// Prints the code of what became of it, if `CODES` is set, to see what a corpus reaches.
fn say(result: &Result<Verified<Cursor<&[u8]>>, VerifyError>) {
    if std::env::var_os("CODES").is_some() {
        println!("code {}", result.as_ref().map_or_else(|error| error.code().to_string(), |_| "valid".to_owned()));
    }
}

fn check_error(error: &VerifyError, forged: &Forged) {
    let within_limits = !matches!(error, VerifyError::Limit(_));
    assert!(!(forged.honest && within_limits), "a sound bundle is refused: {error}");
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &error.to_string();
        cause = error.source();
    }
    assert!(!text.chars().any(char::is_control), "control characters in an error: {text:?}");
    assert!(!matches!(error, VerifyError::Io(_) | VerifyError::Changed), "nothing failed and nothing changed: {error}");
}

fn check_verified(mut verified: Verified<Cursor<&[u8]>>, forged: &Forged, limits: &Limits) {
    let manifest = verified.manifest.clone();
    check_manifest(&verified, &manifest);
    let records = records(&mut verified, limits);
    assert_eq!(records.len(), manifest.records.len(), "all are handed on");
    if forged.honest {
        assert_eq!(records, forged.records, "they come back byte for byte");
    }
    check_as_others_read_it(&forged.bundle, &verified, &records);

    let sha256 = verified.manifest_sha256;
    let written = bytes(verified);
    let mut again =
        verify(Cursor::new(&written[..]), &keyring(), limits, &mut |_, _| {}).expect("what is kept verifies");
    assert_eq!(again.manifest_sha256, sha256);
    assert_eq!(self::records(&mut again, limits), records);
    assert_eq!(bytes(again), written, "and is kept in one way only");
}

fn check_manifest(verified: &Verified<Cursor<&[u8]>>, manifest: &Manifest) {
    assert_eq!(Sha256Digest::of(&verified.manifest_bytes), verified.manifest_sha256);
    assert_eq!(manifest.public_key.id(), manifest.key);
    let (trusted, revoked) = (key(0).public(), key(9).public());
    let is_of = |wanted| manifest.rotation.iter().any(|link| link.previous_key == wanted || link.public_key == wanted);
    assert!(manifest.public_key != revoked, "a revoked key signs nothing");
    assert!(manifest.public_key == trusted && manifest.client.to_string() == CLIENT || !is_of(revoked));
    if verified.trust == Trust::Trusted {
        assert_eq!(manifest.client.to_string(), CLIENT);
        assert!(manifest.public_key == trusted || is_of(trusted), "only the client's key or what follows from it");
    }
}

/// Everything that is handed on, each record checked by itself.
fn records(verified: &mut Verified<Cursor<&[u8]>>, limits: &Limits) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let handed = verified.for_each_record(|entry, document| {
        let bytes = document.bytes();
        assert!(check(bytes, Form::Record, &limits.json).is_ok(), "a record is canonical");
        assert_eq!((bytes.len() as u64, Sha256Digest::of(bytes)), (entry.size, entry.sha256));
        let envelope = document.envelope().expect("a record has an envelope");
        assert_eq!((envelope.kind, envelope.version, envelope.time, envelope.complete), {
            let entry = entry.clone();
            (entry.kind, entry.version, entry.time, entry.complete)
        });
        records.push(bytes.to_vec());
        Ok::<_, ()>(())
    });
    assert!(handed.is_ok(), "what was verified is handed on");
    records
}

fn bytes(mut verified: Verified<Cursor<&[u8]>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    verified.bundle().expect("memory can be read").read_to_end(&mut bytes).expect("memory can be read");
    bytes
}

/// What `tar -x` and `tar -xz` give: a manifest with its signature, a payload, and in it the same full records.
fn check_as_others_read_it(bundle: &[u8], verified: &Verified<Cursor<&[u8]>>, records: &[Vec<u8>]) {
    let manifest = &verified.manifest;
    let [(_, document), (_, signature), (_, payload)] = &files(bundle)[..] else { panic!("three files") };
    assert_eq!(*document, verified.manifest_bytes);
    let signature = BASE64.decode(signature.strip_suffix(b"\n").expect("a line")).expect("base64");
    assert!(manifest.public_key.verifies(document, &signature.try_into().expect("64 bytes")), "it is signed");
    assert_eq!((payload.len() as u64, Sha256Digest::of(payload)), (manifest.payload.size, manifest.payload.sha256));
    let inner = files(GzDecoder::new(&payload[..]));
    assert_eq!(inner.len(), records.len());
    for (index, ((name, entry), record)) in inner.iter().zip(records).enumerate() {
        let listed = &manifest.records[index];
        assert_eq!(*name, format!("records/{index:06}-{}.json", listed.kind.as_str()));
        assert!(listed.encoding == Encoding::Delta || entry == record);
    }
}

fn files(tar: impl std::io::Read) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(tar).entries().expect("a tar") {
        let mut entry = entry.expect("what verifies is a tar to others");
        let name = String::from_utf8(entry.path_bytes().into_owned()).expect("names are text");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("it is whole");
        if !entry.header().entry_type().is_dir() {
            found.push((name, bytes));
        }
    }
    found
}

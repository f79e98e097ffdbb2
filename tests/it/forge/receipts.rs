//! Receipts, sound and otherwise. They are read by `inspect`.

use kubermatic_telemetry::digest::Sha256Digest;
use kubermatic_telemetry::record::canonical::{self, Form};
use serde_json::{Value, json};

use super::archive::tar;
use super::keys::key;
use super::{CLIENT, Case, FIRST, SECOND, STORE, case, signature_file};

/// The receipt key's seed.
const SIGNER: u8 = 200;

/// A receipt in the making.
fn document() -> Value {
    let public = key(SIGNER).public();
    let record = |id: u8, text: &str, status: &str| {
        let id = format!("019a9d00-0000-7000-8000-00000000000{id}");
        json!({"id": id, "sha256": Sha256Digest::of(text.as_bytes()), "status": status})
    };
    let mut document = json!({
        "format": "kubermatic-telemetry-receipt/1", "receipt": "019a9d00-0000-7000-8000-0000000000aa",
        "client": CLIENT, "store": STORE, "bundle": "019a9d00-0000-7000-8000-0000000000ff",
        "manifestSha256": Sha256Digest::of(b"manifest"), "sequence": 1, "received": "2026-01-04T00:00:00Z",
        "key": public.id(), "publicKey": public.to_base64(), "chain": "ok", "highestSequence": 1,
        "records": [record(1, FIRST, "accepted"), record(2, SECOND, "duplicate"), record(3, "", "rejected")],
    });
    document["records"][2]["reason"] = json!("idConflict");
    document
}

fn sealed(document: &[u8], signature: &[u8]) -> Vec<u8> {
    tar([("receipt.json", document), ("receipt.json.sig", signature)], 1_767_484_800)
}

fn built(document: &Value) -> Vec<u8> {
    let text = canonical::to_canonical(document, Form::Plain).unwrap();
    sealed(&text, &signature_file(&key(SIGNER).sign(&text)))
}

/// A receipt with nothing wrong.
pub fn sound() -> Vec<u8> {
    built(&document())
}

/// The public key that signs receipts, as a file.
pub fn public_key() -> String {
    key(SIGNER).public().to_pem()
}

fn receipt(name: &str, code: &'static str, about: &'static str, bytes: Vec<u8>) -> Case {
    case("", code, about, bytes).named(&format!("{name}.receipt.tar"))
}

fn with(name: &str, code: &'static str, about: &'static str, path: &str, value: Value) -> Case {
    let mut document = document();
    *document.pointer_mut(path).unwrap() = value;
    receipt(name, code, about, built(&document))
}

pub fn valid() -> Vec<Case> {
    let mut more = document();
    more["someday"] = json!({"more": [1, 2]});
    let mut empty = document();
    empty["records"] = json!([]);
    vec![
        receipt("three-records", "valid", "accepted, duplicate and rejected, with a reason", sound()),
        receipt("unknown-member", "valid", "a member that is not known yet", built(&more)),
        receipt("no-records", "valid", "about a bundle without records", built(&empty)),
        receipt("unknown-signer", "signerUnknown", "signed by a key that is not trusted", sound()).keyring(None),
    ]
}

pub fn hostile() -> Vec<Case> {
    let invalid = "manifestMemberInvalid";
    let mut incomplete = document();
    incomplete.as_object_mut().unwrap().remove("chain");
    let text = canonical::to_canonical(&document(), Form::Plain).unwrap();
    vec![
        with("format", "formatVersion", "version 2 of the format", "/format", json!("kubermatic-telemetry-receipt/2")),
        with("chain", invalid, "an unknown chain", "/chain", json!("broken")),
        with("status", invalid, "an unknown status", "/records/0/status", json!("lost")),
        with("status-object", invalid, "a status that is an object", "/records/0/status", json!({"accepted": null})),
        with("reason-null", invalid, "a reason that is null", "/records/2/reason", Value::Null),
        with("sequence-0", invalid, "sequence 0", "/sequence", json!(0)),
        with(
            "reason-of-1025",
            "limitExceeded",
            "a reason of 1,025 bytes",
            "/records/2/reason",
            json!("x".repeat(1025)),
        ),
        with("key-id", "keyIdMismatch", "the id of another key", "/key", json!(key(1).public().id())),
        receipt("without-chain", "manifestMemberMissing", "a member is missing", built(&incomplete)),
        receipt("signature", "signatureMismatch", "another key's signature", {
            sealed(&text, &signature_file(&key(1).sign(&text)))
        }),
        receipt("cut", "truncated", "cut in the signature", sound()[..sound().len() - 1400].to_vec()),
        receipt("order", "repacked", "the signature before the document", {
            tar([("receipt.json.sig", signature_file(&key(SIGNER).sign(&text)).as_slice()), ("receipt.json", &text)], 0)
        }),
        receipt("with-payload", "entryUnexpected", "a payload behind the signature", {
            let signature = signature_file(&key(SIGNER).sign(&text));
            tar([("receipt.json", text.as_slice()), ("receipt.json.sig", &signature), ("records.tar.gz", b"")], 0)
        }),
    ]
}

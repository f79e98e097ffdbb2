//! Bundles and receipts of a signer who means harm: everything is signed, and nothing else about them need be right.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use kubermatic_telemetry::digest::Sha256Digest;
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::record::canonical::{self, Form};
use serde_json::{Map, Value, json};

/// The key that signs them.
pub fn key() -> SigningKey {
    SigningKey::from_seed(&[6; 32])
}

/// A bundle in the making.
pub struct Hostile {
    pub manifest: Map<String, Value>,
    /// Members whose values are written as they are, and not made canonical.
    texts: Vec<(&'static str, String)>,
    records: Vec<Value>,
    inner: GzEncoder<Vec<u8>>,
}

impl Hostile {
    /// With payloads that are compressed as far as `level` gets: the limit on what they expand to is a ratio.
    pub fn new(level: u32) -> Self {
        let key = key().public();
        let manifest = json!({
            "format": "kubermatic-telemetry-bundle/1", "bundle": "019a9d00-0000-7000-8000-0000000000ff",
            "client": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "store": "7a1c1d5e-1111-4222-8333-444455556666",
            "key": key.id(), "publicKey": key.to_base64(), "sequence": 1, "previous": null,
            "created": "2026-01-03T00:00:00Z", "producer": "forge/1", "withheld": [], "dropped": 0, "discarded": 0,
        });
        let Value::Object(manifest) = manifest else { unreachable!() };
        let inner = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(level));
        Self { manifest, texts: Vec::new(), records: Vec::new(), inner }
    }

    /// Gives the manifest a member, whose value is canonical JSON text.
    pub fn with(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.texts.push((name, text.into()));
        self
    }

    /// Gives the last record these counts, which are canonical JSON text.
    pub fn with_counts(self, counts: &str) -> Self {
        let listed = serde_json::to_string(&self.records).unwrap();
        let place = listed.rfind("{}").unwrap();
        let listed = format!("{}{counts}{}", &listed[..place], &listed[place + 2..]);
        self.with("records", listed)
    }

    /// Adds a record in full.
    pub fn full(mut self, record: &[u8]) -> Self {
        self.list("full", record.len(), Sha256Digest::of(record));
        self.entry(record);
        self
    }

    /// Adds a delta, which makes `result`.
    pub fn delta(mut self, delta: &[u8], result: &[u8]) -> Self {
        self.list("delta", result.len(), Sha256Digest::of(result));
        self.entry(delta);
        self
    }

    /// Lists a record in the manifest.
    pub fn list(&mut self, encoding: &str, size: usize, sha256: Sha256Digest) {
        let index = self.records.len();
        self.records.push(json!({
            "id": format!("019a9d00-0000-7000-8000-{index:012}"), "kind": "a", "version": "v1", "time": time(index),
            "complete": true, "encoding": encoding, "size": size, "sha256": sha256, "counts": {},
        }));
    }

    /// Puts the next file into the payload.
    fn entry(&mut self, contents: &[u8]) {
        let name = format!("records/{:06}-a.json", self.records.len() - 1);
        self.raw(&header(&name, contents.len() as u64));
        self.raw(contents);
        self.raw(&vec![0; contents.len().next_multiple_of(512) - contents.len()]);
    }

    /// Puts anything into the payload.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.inner.write_all(bytes).unwrap();
    }

    /// The bundle, with the end of the tar that its payload is.
    pub fn build(mut self) -> Vec<u8> {
        self.raw(&[0; 1024]);
        self.build_without_end()
    }

    pub fn build_without_end(self) -> Vec<u8> {
        let payload = self.inner.finish().unwrap();
        let mut manifest = self.manifest;
        manifest.entry("records").or_insert(self.records.into());
        manifest.entry("payload").or_insert_with(
            || json!({ "name": "records.tar.gz", "size": payload.len(), "sha256": Sha256Digest::of(&payload) }),
        );
        container("manifest.json", document(manifest, &self.texts).as_bytes(), Some(&payload))
    }
}

/// Canonical JSON with these members, and these as text.
fn document(mut members: Map<String, Value>, texts: &[(&'static str, String)]) -> String {
    let mark = |name: &str| format!("the text of {name}");
    members.extend(texts.iter().map(|(name, _)| ((*name).to_owned(), mark(name).into())));
    let document = String::from_utf8(canonical::to_canonical(&members, Form::Plain).unwrap()).unwrap();
    texts.iter().fold(document, |document, (name, text)| document.replacen(&format!("\"{}\"", mark(name)), text, 1))
}

/// A receipt in which these members have these values.
pub fn receipt(texts: &[(&'static str, String)]) -> Vec<u8> {
    let key = key().public();
    let receipt = json!({
        "format": "kubermatic-telemetry-receipt/1", "receipt": "019a9d00-0000-7000-8000-0000000000ee",
        "client": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "store": "7a1c1d5e-1111-4222-8333-444455556666",
        "bundle": "019a9d00-0000-7000-8000-0000000000ff", "manifestSha256": "0".repeat(64), "sequence": 1,
        "received": "2026-01-03T00:00:00Z", "key": key.id(), "publicKey": key.to_base64(), "chain": "ok",
        "highestSequence": 1, "records": [],
    });
    let Value::Object(members) = receipt else { unreachable!() };
    container("receipt.json", document(members, texts).as_bytes(), None)
}

/// A signed container.
fn container(name: &str, document: &[u8], payload: Option<&[u8]>) -> Vec<u8> {
    let signature = BASE64.encode(key().sign(document)) + "\n";
    let mut files = vec![(name.to_owned(), document), (format!("{name}.sig"), signature.as_bytes())];
    files.extend(payload.map(|payload| ("records.tar.gz".to_owned(), payload)));
    let mut bytes = Vec::new();
    for (name, contents) in files {
        bytes.extend(header(&name, contents.len() as u64));
        bytes.extend(contents);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

/// When a record was made, each a second after the one before it.
fn time(index: usize) -> String {
    let (hours, minutes, seconds) = (index / 3600 % 24, index / 60 % 60, index % 60);
    format!("2026-01-01T{hours:02}:{minutes:02}:{seconds:02}Z")
}

/// The header of a file in one of the tars.
pub fn header(name: &str, size: u64) -> [u8; 512] {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(1_767_398_400);
    header.set_entry_type(tar::EntryType::Regular);
    let mut block = *header.as_bytes();
    block[148..156].fill(b' ');
    let sum = block.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A record whose member `name`, which must sort between `kind` and `time`, has this value.
pub fn record(index: usize, name: &str, value: &str) -> String {
    record_with(index, &format!("\"{name}\":{value},"))
}

/// A record with these members, each with a comma behind it, between `kind` and `time`.
pub fn record_with(index: usize, members: &str) -> String {
    let time = time(index);
    format!("{{\"complete\":true,\"kind\":\"a\",{members}\"time\":\"{time}\",\"version\":\"v1\"}}")
}

/// The delta that makes one record of the next index, with more parts before `set`.
pub fn delta(index: usize, rows: &str) -> String {
    let comma = if rows.is_empty() { "" } else { "," };
    format!("{{{rows}{comma}\"set\":{{\"time\":\"{}\"}}}}", time(index))
}

/// The shortest keys, in order: four letters.
pub fn keys() -> impl Iterator<Item = String> {
    const LETTERS: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..LETTERS.len().pow(4)).map(|number| {
        let letter = |place: u32| char::from(LETTERS[number / LETTERS.len().pow(place) % LETTERS.len()]);
        [3, 2, 1, 0].into_iter().map(letter).collect()
    })
}

/// As many pieces as fit into `size` bytes, with commas between and brackets around.
pub fn filled(brackets: [char; 2], pieces: impl Iterator<Item = String>, size: usize) -> String {
    let mut text = String::with_capacity(size);
    text.push(brackets[0]);
    for piece in pieces {
        if text.len() + piece.len() + 2 > size {
            break;
        }
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&piece);
    }
    text.push(brackets[1]);
    text
}

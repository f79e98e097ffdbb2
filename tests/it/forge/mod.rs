//! Forges the test vectors: bundles and receipts in which one thing is as it must not be, signed by who signs them.

pub mod archive;
mod bombs;
mod container;
mod deltas;
mod documents;
mod gzip;
mod inner;
mod keys;
mod members;
pub mod receipts;
mod records;
mod transit;
mod valid;

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use kubermatic_telemetry::digest::Sha256Digest;
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::record::canonical::{self, Form};
use serde_json::{Value, json};

use crate::support::root;

/// A vector: what it is, whom its verifier trusts, and what comes of it.
pub struct Case {
    /// The file's name.
    pub name: String,
    /// What is the matter with it.
    pub about: &'static str,
    /// The stable code.
    pub code: &'static str,
    /// The keyring, a directory in `keyrings`, or nothing.
    pub keyring: Option<&'static str>,
    /// Arguments of `--limit`.
    pub limits: Vec<&'static str>,
    /// What the file holds.
    pub bytes: Vec<u8>,
}

/// A bundle in which something is not as it must be.
pub fn case(name: &str, code: &'static str, about: &'static str, bytes: Vec<u8>) -> Case {
    Case { name: format!("{name}.tar"), about, code, keyring: Some("client"), limits: Vec::new(), bytes }
}

impl Case {
    pub fn keyring(self, keyring: Option<&'static str>) -> Self {
        Self { keyring, ..self }
    }

    pub fn limit(mut self, limit: &'static str) -> Self {
        self.limits.push(limit);
        self
    }

    /// Another name than `.tar`.
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    pub fn is_receipt(&self) -> bool {
        self.name.ends_with(".receipt.tar")
    }
}

/// Every vector that is accepted.
pub fn valid() -> Vec<Case> {
    let mut cases = valid::cases();
    cases.extend(receipts::valid());
    cases
}

/// Every vector that is refused.
pub fn hostile() -> Vec<Case> {
    let families = [
        container::cases,
        transit::cases,
        documents::cases,
        members::cases,
        keys::cases,
        gzip::cases,
        inner::cases,
        records::cases,
        deltas::cases,
        bombs::cases,
        receipts::hostile,
    ];
    families.into_iter().flat_map(|family| family()).collect()
}

/// The keyrings: for each its name, and its files.
pub fn keyrings() -> Vec<(&'static str, Vec<(String, String)>)> {
    keys::keyrings()
}

pub const CLIENT: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
pub const STORE: &str = "7a1c1d5e-1111-4222-8333-444455556666";
pub const FIRST: &str =
    r#"{"complete":true,"kind":"a","rows":[{"uuid":"1"}],"time":"2026-01-01T00:00:00Z","version":"v1"}"#;
pub const SECOND: &str =
    r#"{"complete":true,"kind":"a","rows":[{"uuid":"2"}],"time":"2026-01-02T00:00:00Z","version":"v1"}"#;
pub const DELTA: &str =
    r#"{"rows":{"rows":{"delete":["1"],"put":[{"uuid":"2"}]}},"set":{"time":"2026-01-02T00:00:00Z"}}"#;

/// The key that signs unless a case says otherwise, `testdata/keys/snakeoil-client.pem`.
pub fn client_key() -> SigningKey {
    let pem = fs::read_to_string(root().join("testdata/keys/snakeoil-client.pem")).unwrap();
    SigningKey::from_pem(&pem).unwrap()
}

/// A change of bytes on their way through the forge.
type Step = Box<dyn FnOnce(Vec<u8>) -> Vec<u8>>;

/// Makes the signature file of a document.
type Sign = Box<dyn FnOnce(&[u8]) -> Vec<u8>>;

/// A bundle in the making. Each part can be made wrong before the next is made from it.
pub struct Forge {
    pub manifest: Value,
    pub entries: Vec<(String, Vec<u8>)>,
    inner: Vec<Step>,
    gzip: Step,
    payload: Vec<Step>,
    text: Vec<Step>,
    sign: Sign,
    outer: Vec<Step>,
}

/// The line of a manifest for a record.
pub fn line(id: u32, encoding: &str, record: &str) -> Value {
    let value: Value = serde_json::from_str(record).unwrap_or_default();
    let counts = value.as_object().into_iter().flatten();
    let counts = counts.filter_map(|(name, value)| Some((name.clone(), value.as_array()?.len())));
    json!({
        "id": format!("019a9d00-0000-7000-8000-{id:012x}"),
        "kind": value["kind"],
        "version": value["version"],
        "time": value["time"],
        "complete": value["complete"].as_bool().unwrap_or(true),
        "encoding": encoding,
        "size": record.len(),
        "sha256": Sha256Digest::of(record.as_bytes()),
        "counts": counts.collect::<Value>(),
    })
}

impl Forge {
    /// A sound bundle of one record.
    pub fn new() -> Self {
        Self::of(&[("full", FIRST, FIRST)])
    }

    /// A sound bundle of two records, the second as a delta.
    pub fn pair() -> Self {
        Self::of(&[("full", FIRST, FIRST), ("delta", SECOND, DELTA)])
    }

    /// A bundle of records: encoding, full record, entry.
    pub fn of(records: &[(&str, &str, &str)]) -> Self {
        let key = client_key().public();
        let lines = (1..).zip(records).map(|(id, (encoding, record, _))| line(id, encoding, record));
        let manifest = json!({
            "format": "kubermatic-telemetry-bundle/1", "bundle": "019a9d00-0000-7000-8000-0000000000ff",
            "client": CLIENT, "store": STORE, "key": key.id(), "publicKey": key.to_base64(), "sequence": 1,
            "previous": null, "created": "2026-01-03T00:00:00Z", "producer": "forge/1", "withheld": [], "dropped": 0,
            "discarded": 0, "payload": {"name": "records.tar.gz"}, "records": lines.collect::<Value>(),
        });
        let name =
            |index: usize, line: &Value| format!("records/{index:06}-{}.json", line["kind"].as_str().unwrap_or("a"));
        let lines = manifest["records"].as_array().unwrap();
        let names = lines.iter().enumerate().map(|(index, line)| name(index, line));
        let entries = names.zip(records).map(|(name, (_, _, entry))| (name, entry.as_bytes().to_vec())).collect();
        Self {
            manifest,
            entries,
            inner: Vec::new(),
            gzip: Box::new(|plain| archive::gzip(&plain)),
            payload: Vec::new(),
            text: Vec::new(),
            sign: Box::new(|document| signature_file(&client_key().sign(document))),
            outer: Vec::new(),
        }
    }

    /// Sets a member of the manifest, by JSON pointer; the last part may be new.
    pub fn with(mut self, path: &str, value: impl Into<Value>) -> Self {
        let (parent, name) = path.rsplit_once('/').unwrap();
        match self.manifest.pointer_mut(parent).unwrap() {
            Value::Array(array) => array[name.parse::<usize>().unwrap()] = value.into(),
            parent => parent[name] = value.into(),
        }
        self
    }

    /// Removes a member of the manifest.
    pub fn without(mut self, path: &str) -> Self {
        let (parent, name) = path.rsplit_once('/').unwrap();
        self.manifest.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
        self
    }

    /// Puts something else into an entry of the inner tar.
    pub fn entry(mut self, index: usize, name: &str, contents: impl AsRef<[u8]>) -> Self {
        self.entries[index] = (name.to_owned(), contents.as_ref().to_vec());
        self
    }

    /// Puts another full record in the first place, and its size and digest into the manifest.
    pub fn first(self, record: impl AsRef<[u8]>) -> Self {
        let record = record.as_ref();
        let name = self.entries[0].0.clone();
        self.entry(0, &name, record)
            .with("/records/0/size", record.len())
            .with("/records/0/sha256", Sha256Digest::of(record).to_string())
    }

    /// Signs with another key, which the manifest names.
    pub fn key(self, key: SigningKey) -> Self {
        let public = key.public();
        let forge = self.with("/key", public.id().as_str()).with("/publicKey", public.to_base64());
        forge.sign(move |document| signature_file(&key.sign(document)))
    }

    /// Changes the finished inner tar.
    pub fn inner(mut self, change: impl FnOnce(Vec<u8>) -> Vec<u8> + 'static) -> Self {
        self.inner.push(Box::new(change));
        self
    }

    /// Compresses otherwise.
    pub fn gzip(mut self, gzip: impl FnOnce(Vec<u8>) -> Vec<u8> + 'static) -> Self {
        self.gzip = Box::new(gzip);
        self
    }

    /// Changes the payload before the manifest says what it is.
    pub fn payload(mut self, change: impl FnOnce(Vec<u8>) -> Vec<u8> + 'static) -> Self {
        self.payload.push(Box::new(change));
        self
    }

    /// Changes the manifest's bytes before they are signed.
    pub fn text(mut self, change: impl FnOnce(Vec<u8>) -> Vec<u8> + 'static) -> Self {
        self.text.push(Box::new(change));
        self
    }

    /// The same for text, in which `from` must be.
    pub fn replace(self, from: &'static str, to: impl Into<String>) -> Self {
        let to = to.into();
        self.text(move |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.contains(from), "`{from}` is not in {text}");
            text.replacen(from, &to, 1).into_bytes()
        })
    }

    /// Makes the signature file otherwise.
    pub fn sign(mut self, sign: impl FnOnce(&[u8]) -> Vec<u8> + 'static) -> Self {
        self.sign = Box::new(sign);
        self
    }

    /// Changes the finished file.
    pub fn outer(mut self, change: impl FnOnce(Vec<u8>) -> Vec<u8> + 'static) -> Self {
        self.outer.push(Box::new(change));
        self
    }

    /// The three files, signed.
    pub fn parts(self) -> (Vec<u8>, Vec<u8>, Vec<u8>, Vec<Step>) {
        let Self { mut manifest, entries, inner, gzip, payload, text, sign, outer } = self;
        let entries = entries.iter().map(|(name, contents)| (name.as_str(), contents.as_slice()));
        let tar = archive::tar(entries, mtime(&manifest));
        let payload = through(payload, gzip(through(inner, tar)));
        for (member, value) in [("size", payload.len().into()), ("sha256", json!(Sha256Digest::of(&payload)))] {
            if manifest["payload"].is_object() && manifest["payload"][member].is_null() {
                manifest["payload"][member] = value;
            }
        }
        let document = through(text, canonical::to_canonical(&manifest, Form::Plain).unwrap());
        let signature = sign(&document);
        (document, signature, payload, outer)
    }

    /// The bundle.
    pub fn build(self) -> Vec<u8> {
        let mtime = mtime(&self.manifest);
        let (document, signature, payload, outer) = self.parts();
        let files: [(&str, &[u8]); 3] =
            [("manifest.json", &document), ("manifest.json.sig", &signature), ("records.tar.gz", &payload)];
        through(outer, archive::tar(files, mtime))
    }
}

/// The time of the headers; zero where the manifest has none that a header can hold.
fn mtime(manifest: &Value) -> u64 {
    let created = manifest["created"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let seconds = created.and_then(|time| u64::try_from(time.as_second()).ok()).unwrap_or_default();
    seconds.min(0o777_7777_7777)
}

fn through(steps: Vec<Step>, bytes: Vec<u8>) -> Vec<u8> {
    steps.into_iter().fold(bytes, |bytes, step| step(bytes))
}

/// Standard base64 and a line feed.
pub fn signature_file(signature: &[u8]) -> Vec<u8> {
    (BASE64.encode(signature) + "\n").into_bytes()
}

/// Where the entries of an outer tar begin, and where its end marker does.
pub fn places(bundle: &[u8]) -> Vec<usize> {
    let mut places = vec![0];
    while bundle[places[places.len() - 1]] != 0 {
        let at = places[places.len() - 1];
        let size = std::str::from_utf8(&bundle[at + archive::SIZE..at + archive::SIZE + 11]).unwrap();
        places.push(at + 512 + usize::from_str_radix(size, 8).unwrap().next_multiple_of(512));
    }
    places
}

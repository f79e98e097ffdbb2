//! Bundles made by a script: sound records, then one thing after another made wrong, at the stage where somebody who has
//! a key would do it. What comes after a stage (sizes, digests, the signature) is made to match again, unless the script
//! says otherwise.
//!
//! | step | does |
//! |---|---|
//! | `r` N TEXT | adds a record of kind and version N with the members TEXT |
//! | `f` I | writes record I in full where it could be a delta |
//! | `e` I TEXT, `c` I TEXT | entry I holds TEXT, as it is or made canonical |
//! | `b` I PLACE X | flips bits of entry I |
//! | `k` I | the manifest keeps size and digest of the record that entry I was made for |
//! | `x` I, `d` I, `s` I J | drops, doubles, swaps entries of the inner tar |
//! | `h` I FIELD TEXT, `H` | writes over a field of a header of the inner tar; `H` leaves the checksum as it was |
//! | `p` I | padding that is not zero |
//! | `z` N, `t` TEXT | so many zero blocks at the end of the inner tar, and TEXT behind them |
//! | `l` N, `g` N TEXT | compression level; name, comment, extra field or time in the gzip header |
//! | `m` TEXT, `a` TEXT | another gzip member, or TEXT, behind the first |
//! | `y` PLACE X, `T` N | flips bits of the payload, cuts its end |
//! | `w` POINTER JSON, `u` POINTER | sets, removes something of the manifest |
//! | `X` I, `A` I, `R` I J | drops, doubles, swaps records of the manifest |
//! | `q` N, `Q` N | key N signs; key N signs and the manifest names another |
//! | `v` N M, `V` N M | a rotation from key N to M, sound or with a wrong signature |
//! | `M` PLACE X, `i` PLACE TEXT | flips bits of the manifest before it is signed, inserts text |
//! | `U` PLACE X, `j` PLACE X | flips bits of the manifest after it was signed, of the signature |
//! | `O` I FIELD TEXT, `o`, `P` I | as `h`, `H` and `p`, in the outer tar |
//! | `.`, `/`, `F` | names with `./`; an entry `./`; another owner, time and magic |
//! | `D` I, `G` I, `W` I J | drops, doubles, swaps entries of the outer tar |
//! | `E` N, `B` TEXT | so many zero blocks more at the outer end, and TEXT behind them |

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::{Compression, GzBuilder};
use kubermatic_telemetry::bundle::delta;
use kubermatic_telemetry::digest::Sha256Digest;
use kubermatic_telemetry::record::canonical::{Bounds, Form, canonicalize, check};
use kubermatic_telemetry::record::document::Document;
use serde_json::{Map, Value, json};

use crate::script::{Step, alter_headers, alter_list, of, steps};
use crate::tar::{self, Entry};
use crate::{CLIENT, key, limits, signature_file};

/// Steps after which a bundle must still verify.
const HARMLESS: &[u8] = b"rfl./FE";

/// A bundle, and what is known of it.
#[derive(Debug)]
pub struct Forged {
    /// The bundle.
    pub bundle: Vec<u8>,
    /// Its records in their order, before anything was made wrong.
    pub records: Vec<Vec<u8>>,
    /// Whether nothing was made wrong.
    pub honest: bool,
}

/// A record and the entry that it has in the payload.
struct Record {
    document: Document,
    is_delta: bool,
    entry: Vec<u8>,
    /// What the manifest says of the record.
    size: usize,
    sha256: Sha256Digest,
}

/// Makes the bundle that a script describes.
#[must_use]
pub fn forge(script: &[u8]) -> Forged {
    let steps = steps(script);
    let mut records = encode(documents(&steps), &steps);
    let honest_records = records.iter().map(|record| record.document.bytes().to_vec()).collect();
    alter_entries(&mut records, &steps);
    let payload = compress(&inner_tar(&records, &steps), &steps);
    let manifest = manifest(&records, &payload, &steps);
    let bundle = seal(manifest, &payload, &steps);
    let honest = steps.iter().all(|step| HARMLESS.contains(&step.letter));
    Forged { bundle, records: honest_records, honest }
}

fn documents(steps: &[Step<'_>]) -> Vec<Document> {
    let bounds = limits().json;
    let mut texts: Vec<(usize, Map<String, Value>)> = Vec::new();
    for mut step in of(steps, b"r") {
        let kind = step.operands.number() % 4;
        let members = serde_json::from_slice::<Map<_, _>>(step.operands.rest()).unwrap_or_default();
        texts.push((kind, members));
    }
    if texts.is_empty() {
        let rows = |keys: &[&str]| Value::from(keys.iter().map(|key| json!({"uuid": key})).collect::<Vec<_>>());
        texts = vec![
            (0, Map::from_iter([("rows".to_owned(), rows(&["1", "2"]))])),
            (0, Map::from_iter([("rows".to_owned(), rows(&["2", "3"]))])),
        ];
    }
    texts.sort_by_key(|(kind, _)| *kind);
    let mut documents = Vec::new();
    for (kind, mut members) in texts {
        members.insert("kind".to_owned(), ["a", "a", "b", "b"][kind].into());
        members.insert("version".to_owned(), ["v1", "v2", "v1", "v2"][kind].into());
        members.insert("time".to_owned(), time(documents.len()).into());
        members.remove("complete");
        let text = serde_json::to_vec(&members).unwrap_or_default();
        let canonical = canonicalize(&text, Form::Record, &bounds).ok();
        documents.extend(canonical.and_then(|canonical| Document::parse(canonical, &bounds).ok()));
    }
    documents
}

fn time(index: usize) -> String {
    format!("2026-01-01T00:{:02}:00Z", index % 60)
}

fn encode(documents: Vec<Document>, steps: &[Step<'_>]) -> Vec<Record> {
    let count = documents.len();
    let full: Vec<_> = of(steps, b"f").map(|mut step| step.operands.number() % count.max(1)).collect();
    let mut records: Vec<Record> = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        let kind = |document: &Document| document.envelope().map(|envelope| (envelope.kind, envelope.version)).ok();
        let base = records.last().filter(|base| kind(&base.document) == kind(&document) && !full.contains(&index));
        let delta = base.map(|base| delta::encode(&base.document, &document));
        // As the packer: not where the delta is nested deeper than is allowed, nor behind too many others.
        let deltas = records.iter().rev().take_while(|record| record.is_delta).count() as u64;
        let delta = delta.filter(|delta| check(delta, Form::Plain, &limits().json).is_ok());
        let delta = delta.filter(|_| deltas < limits().delta_chain);
        let (size, sha256) = (document.bytes().len(), Sha256Digest::of(document.bytes()));
        let is_delta = delta.is_some();
        let entry = delta.unwrap_or_else(|| document.bytes().to_vec());
        records.push(Record { document, is_delta, entry, size, sha256 });
    }
    records
}

/// Other bytes in the entries, and, as somebody would who means harm, a manifest that agrees with what they make.
fn alter_entries(records: &mut [Record], steps: &[Step<'_>]) {
    let count = records.len();
    if count == 0 {
        return;
    }
    for mut step in of(steps, b"ecb") {
        let record = &mut records[step.operands.number() % count];
        let form = if record.is_delta { Form::Plain } else { Form::Record };
        match step.letter {
            b'b' => {
                let place = step.operands.place(record.entry.len());
                if let Some(byte) = record.entry.get_mut(place) {
                    *byte ^= step.operands.flip();
                }
            }
            b'c' => record.entry = canonicalize(step.operands.rest(), form, &Bounds::default()).unwrap_or_default(),
            _ => record.entry = step.operands.rest().to_vec(),
        }
    }
    let kept: Vec<_> = of(steps, b"k").map(|mut step| step.operands.number() % count).collect();
    let mut base: Option<Document> = None;
    for (index, record) in records.iter_mut().enumerate() {
        let bounds = limits().json;
        let made = match &base {
            Some(base) if record.is_delta => delta::apply(base, &record.entry, &bounds, 1 << 20).ok(),
            _ => Document::parse(record.entry.clone(), &bounds).ok(),
        };
        if !kept.contains(&index) {
            let bytes = made.as_ref().map_or(record.entry.as_slice(), Document::bytes);
            (record.size, record.sha256) = (bytes.len(), Sha256Digest::of(bytes));
        }
        base = made;
    }
}

fn inner_tar(records: &[Record], steps: &[Step<'_>]) -> Vec<u8> {
    let name = |(index, record): (usize, &Record)| {
        let kind = record.document.envelope().map_or_else(|_| "a".to_owned(), |it| it.kind.as_str().to_owned());
        let mut entry = Entry::new(&format!("records/{index:06}-{kind}.json"), &record.entry);
        entry.date(CREATED.1);
        entry
    };
    let mut entries: Vec<_> = records.iter().enumerate().map(name).collect();
    alter_list(&mut entries, steps, b"xds");
    alter_headers(&mut entries, steps, b"hHp");
    let end = of(steps, b"z").last().map_or(2, |mut step| step.operands.number() % 64);
    let mut tar = tar::write(&entries, end);
    for step in of(steps, b"t") {
        tar.extend(step.operands.rest());
    }
    tar
}

fn compress(tar: &[u8], steps: &[Step<'_>]) -> Vec<u8> {
    let level = of(steps, b"l").last().map_or(6, |mut step| step.operands.number() % 10);
    let level = Compression::new(u32::try_from(level).unwrap_or_default());
    let mut builder = GzBuilder::new().mtime(0);
    for mut step in of(steps, b"g") {
        let which = step.operands.number() % 4;
        // A NUL would end names and comments, which the builder takes for a mistake.
        let text: Vec<_> = step.operands.rest().iter().copied().filter(|byte| *byte != 0).take(64).collect();
        builder = match which {
            0 => builder.filename(text),
            1 => builder.comment(text),
            2 => builder.extra(text),
            _ => builder.mtime(u32::try_from(text.len()).unwrap_or_default()),
        };
    }
    let member = |builder: GzBuilder, bytes: &[u8]| {
        let mut encoder = builder.write(Vec::new(), level);
        encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
    };
    let mut payload = member(builder, tar);
    for mut step in of(steps, b"mayT") {
        match step.letter {
            b'm' => payload.extend(member(GzBuilder::new(), step.operands.rest())),
            b'a' => payload.extend(step.operands.rest()),
            b'T' => payload.truncate(payload.len().saturating_sub(step.operands.number())),
            _ => flip(&mut payload, &mut step),
        }
    }
    payload
}

fn flip(bytes: &mut [u8], step: &mut Step<'_>) {
    let place = step.operands.place(bytes.len());
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= step.operands.flip();
    }
}

/// When every bundle is made, as text and in seconds since 1970.
const CREATED: (&str, u64) = ("2026-02-01T00:00:00Z", 1_769_904_000);

fn manifest(records: &[Record], payload: &[u8], steps: &[Step<'_>]) -> Vec<u8> {
    let signer = of(steps, b"qQ").fold(0, |signer, mut step| match step.letter {
        b'q' => step.operands.number(),
        _ => signer,
    });
    let public = key(signer).public();
    let record = |(index, record): (usize, &Record)| {
        let envelope = record.document.envelope().ok();
        let kind = envelope.as_ref().map_or("a", |it| it.kind.as_str());
        let version = envelope.as_ref().map_or("v1", |it| it.version.as_str());
        json!({
            "id": format!("019a9d00-0000-7000-8000-{index:012}"), "kind": kind, "version": version,
            "time": time(index), "complete": true, "encoding": if record.is_delta { "delta" } else { "full" },
            "size": record.size, "sha256": record.sha256, "counts": {},
        })
    };
    let mut entries: Vec<_> = records.iter().enumerate().map(record).collect();
    alter_list(&mut entries, steps, b"XAR");
    let mut manifest = json!({
        "format": "kubermatic-telemetry-bundle/1", "bundle": "019a9d00-0000-7000-8000-0000000000ff",
        "client": CLIENT, "store": "7a1c1d5e-1111-4222-8333-444455556666",
        "key": public.id(), "publicKey": public.to_base64(), "sequence": 1, "previous": null,
        "created": CREATED.0, "producer": "forge/1", "withheld": [], "dropped": 0, "discarded": 0,
        "payload": {"name": "records.tar.gz", "size": payload.len(), "sha256": Sha256Digest::of(payload)},
        "records": entries,
    });
    let links: Vec<_> = of(steps, b"vV").map(link).collect();
    if !links.is_empty() {
        manifest["rotation"] = links.into();
    }
    for mut step in of(steps, b"wu") {
        let pointer = step.operands.word();
        let value = (step.letter == b'w').then(|| {
            let text = step.operands.rest();
            serde_json::from_slice(text).unwrap_or_else(|_| String::from_utf8_lossy(text).into_owned().into())
        });
        set(&mut manifest, &pointer, value);
    }
    let text = serde_json::to_vec(&manifest).unwrap_or_default();
    let mut text = canonicalize(&text, Form::Plain, &Bounds::default()).unwrap_or(text);
    for mut step in of(steps, b"Mi") {
        if step.letter == b'M' {
            flip(&mut text, &mut step);
        } else {
            let place = step.operands.place(text.len());
            text.splice(place..place, step.operands.rest().iter().copied());
        }
    }
    text
}

fn link(mut step: Step<'_>) -> Value {
    let (from, to) = (key(step.operands.number()), key(step.operands.number()));
    let (previous, next) = (from.public().to_base64(), to.public().to_base64());
    let statement = format!("kubermatic-telemetry-rotation/1 {CLIENT} {previous} {next}");
    let signer = if step.letter == b'v' { from } else { to };
    let signature = BASE64.encode(signer.sign(statement.as_bytes()));
    json!({"previousKey": previous, "publicKey": next, "signature": signature})
}

/// Sets or removes what a JSON pointer names; whatever it does not fit is left alone.
fn set(value: &mut Value, pointer: &str, new: Option<Value>) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match (value.pointer_mut(parent), new) {
        (Some(Value::Object(members)), Some(new)) => {
            members.insert(name.to_owned(), new);
        }
        (Some(Value::Object(members)), None) => {
            members.remove(name);
        }
        (Some(Value::Array(elements)), Some(new)) => {
            let at = name.parse::<usize>().unwrap_or(elements.len()).min(elements.len());
            elements.insert(at, new);
        }
        _ => {}
    }
}

fn seal(mut manifest: Vec<u8>, payload: &[u8], steps: &[Step<'_>]) -> Vec<u8> {
    let signer = of(steps, b"qQ").last().map_or(0, |mut step| step.operands.number());
    let mut signature = signature_file(key(signer), &manifest);
    for mut step in of(steps, b"Uj") {
        flip(if step.letter == b'U' { &mut manifest } else { &mut signature }, &mut step);
    }
    let dot = if of(steps, b".").next().is_some() { "./" } else { "" };
    let files: [(&str, &[u8]); 3] =
        [("manifest.json", &manifest), ("manifest.json.sig", &signature), ("records.tar.gz", payload)];
    let mut entries: Vec<_> = files.iter().map(|(name, body)| Entry::new(&format!("{dot}{name}"), body)).collect();
    if of(steps, b"F").next().is_some() {
        for entry in &mut entries {
            for (field, text) in
                [(1, &b"0000755"[..]), (2, b"0001234"), (5, b"07342157432"), (8, b"ustar  "), (9, b"x")]
            {
                entry.patch(field, text);
            }
        }
    }
    alter_list(&mut entries, steps, b"DGW");
    alter_headers(&mut entries, steps, b"OoP");
    if of(steps, b"/").next().is_some() {
        entries.insert(0, Entry::directory("./"));
    }
    let end = of(steps, b"E").last().map_or(0, |mut step| step.operands.number() % 64);
    let mut bundle = tar::write(&entries, 2 + end);
    for step in of(steps, b"B") {
        bundle.extend(step.operands.rest());
    }
    bundle
}

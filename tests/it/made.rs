//! Bundles that tests pack themselves, signed with the published snakeoil keys.

use std::fs::{self, File};
use std::io::{Cursor, Seek as _};
use std::path::PathBuf;

use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::bundle::pack::{self, Header, Item};
use kubermatic_telemetry::digest::{Digested, Sha256Digest};
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::record::canonical;
use kubermatic_telemetry::record::document::Document;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{Desk, header, root};

/// The client of the published vectors.
pub const CLIENT: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

pub fn snakeoil(name: &str) -> PathBuf {
    root().join("testdata/keys").join(name)
}

pub fn private(name: &str) -> SigningKey {
    SigningKey::from_pem(&fs::read_to_string(snakeoil(name)).unwrap()).unwrap()
}

/// What is needed to make a bundle for these tests.
pub struct Made<'m> {
    pub key: &'m SigningKey,
    pub sequence: u64,
    pub previous: Option<Sha256Digest>,
    /// The record's id, and a text in it.
    pub record: (u8, &'m str),
}

/// Makes a bundle of the vectors' client and returns the digest of its manifest.
pub fn make(desk: &Desk, name: &str, made: &Made<'_>) -> Sha256Digest {
    let id = |last: u8| -> Uuid { format!("019a9d00-0000-7000-8000-0000000001{last:02}").parse().unwrap() };
    let text = format!(r#"{{"kind":"a","text":"{}","time":"2026-01-01T00:00:00Z","version":"v1"}}"#, made.record.1);
    let document = Document::parse(text.clone().into_bytes(), &Limits::default().json).unwrap();
    let header = Header {
        bundle: id(90),
        client: CLIENT.parse().unwrap(),
        sequence: made.sequence,
        previous: made.previous,
        ..header()
    };
    let items = vec![Item { id: id(made.record.0), envelope: document.envelope().unwrap() }];
    let mut payload = Cursor::new(Vec::new());
    let load = |_| Ok::<_, std::convert::Infallible>(Digested::of(text.clone().into_bytes()));
    let limits = Limits::default();
    let packed = pack::pack(header, items, load, made.key, &limits, &mut payload, &mut |_, _| {}).unwrap();
    payload.rewind().unwrap();
    packed.write_to(&mut File::create(desk.path(name)).unwrap(), &mut payload).unwrap();
    Sha256Digest::of(&packed.manifest_bytes)
}

/// Makes a bundle of the vectors' client with these records, whatever is in them.
pub fn make_of(desk: &Desk, name: &str, header: Header, records: &[Value]) {
    let limits = Limits::default();
    let id = |number: usize| -> Uuid { format!("019a9d00-0000-7000-8000-{number:012}").parse().unwrap() };
    let text = |record: &Value| {
        canonical::canonicalize(record.to_string().as_bytes(), canonical::Form::Record, &limits.json).unwrap()
    };
    let envelope = |record: &Value| Document::parse(text(record), &limits.json).unwrap().envelope().unwrap();
    let items = records.iter().enumerate().map(|(number, it)| Item { id: id(number), envelope: envelope(it) });
    let header = Header { client: CLIENT.parse().unwrap(), ..header };
    let mut payload = Cursor::new(Vec::new());
    let load = |id: Uuid| {
        let number: usize = id.to_string()[24..].parse().unwrap();
        Ok::<_, std::convert::Infallible>(Digested::of(text(&records[number])))
    };
    let key = private("snakeoil-client.pem");
    let packed = pack::pack(header, items.collect(), load, &key, &limits, &mut payload, &mut |_, _| {}).unwrap();
    payload.rewind().unwrap();
    packed.write_to(&mut File::create(desk.path(name)).unwrap(), &mut payload).unwrap();
}

/// Makes a bundle of the vectors' client with this many small records.
pub fn make_many(desk: &Desk, name: &str, records: u32) {
    let id = |number: u32| -> Uuid { format!("019a9d00-0000-7000-8000-{number:012}").parse().unwrap() };
    let text = |number: u32| {
        format!(r#"{{"kind":"a","number":{number},"time":"2026-01-01T00:00:00Z","version":"v1"}}"#).into_bytes()
    };
    let envelope = |number| Document::parse(text(number), &Limits::default().json).unwrap().envelope().unwrap();
    let items = (0..records).map(|number| Item { id: id(number), envelope: envelope(number) }).collect();
    let header = Header { client: CLIENT.parse().unwrap(), ..header() };
    let mut payload = Cursor::new(Vec::new());
    let load = |id: Uuid| Ok::<_, std::convert::Infallible>(Digested::of(text(id.to_string()[24..].parse().unwrap())));
    let (key, limits) = (private("snakeoil-client.pem"), Limits::default());
    let packed = pack::pack(header, items, load, &key, &limits, &mut payload, &mut |_, _| {}).unwrap();
    payload.rewind().unwrap();
    packed.write_to(&mut File::create(desk.path(name)).unwrap(), &mut payload).unwrap();
}

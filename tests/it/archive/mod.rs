//! The archive, in a directory and on a real S3 server: the same is asked of both.

mod addresses;
mod audit;
mod chain;
mod durable;
mod interrupted;
mod outages;
mod outside;
mod parts;
mod races;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Seek as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::bundle::pack::{self, Header, Item};
use kubermatic_telemetry::digest::{Digested, Sha256Digest};
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::receipt::{self, Receipt};
use kubermatic_telemetry::record::document::Document;
use uuid::Uuid;

use self::server::S3;
use crate::http::{Answer, Server, upload};
use crate::support::{Desk, Printed, copy_all, header, root, walk};

/// The bucket of the tests, and where in it the archive lies.
const BUCKET: &str = "bundles";
const PREFIX: &str = "of/kkp";

/// Makes a test of each function for each kind of archive; without an S3 server those of buckets are skipped.
macro_rules! in_each_place {
    ($($name:ident),* $(,)?) => {
        mod directory {
            $(#[test] fn $name() { super::$name(&$crate::archive::Place::directory()); })*
        }
        mod bucket {
            $(#[test] fn $name() { if let Some(place) = $crate::archive::Place::bucket() { super::$name(&place); } })*
        }
    };
}
pub(crate) use in_each_place;

/// An archive, and a desk beside it.
pub struct Place {
    pub desk: Desk,
    s3: Option<S3>,
}

impl Place {
    /// An archive in a directory.
    pub fn directory() -> Self {
        Self { desk: Desk::in_memory(), s3: None }
    }

    /// An archive in a bucket, if there is an S3 server.
    pub fn bucket() -> Option<Self> {
        Some(Self { s3: Some(S3::start()?), desk: Desk::in_memory() })
    }

    pub fn s3(&self) -> &S3 {
        self.s3.as_ref().unwrap()
    }

    pub fn is_directory(&self) -> bool {
        self.s3.is_none()
    }

    fn address(&self) -> String {
        self.s3.as_ref().map_or_else(|| "archive".to_owned(), |_| format!("s3://{BUCKET}/{PREFIX}"))
    }

    /// The program, with what it needs to find the archive.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = self.desk.command();
        if let Some(s3) = &self.s3 {
            command.envs(s3.environment());
        }
        command.args([verb, "--archive", &self.address(), "--trust", "tofu", "--receipt-key"]);
        command.arg(root().join("testdata/keys/snakeoil-client.pem"));
        command
    }

    /// A verb of `tables`, with what it needs to find the archive.
    pub fn tables_command(&self, verb: &str) -> Command {
        let mut command = self.desk.command();
        if let Some(s3) = &self.s3 {
            command.envs(s3.environment());
        }
        command.args(["tables", verb, "--archive", &self.address()]);
        command
    }

    /// Ingests a file of the desk.
    pub fn ingest(&self, bundle: &str) -> Printed {
        let mut command = self.command("ingest");
        Printed::of(command.args(["--json", "--receipts", "receipts", bundle]).output().unwrap())
    }

    /// A server without bounds on how much it takes.
    pub fn serve(&self) -> Server {
        let mut command = self.command("serve");
        command.args(["-v", "--listen", "127.0.0.1:0"]);
        for quota in ["client-bundles", "address-bundles", "address-clients"] {
            command.args(["--quota", &format!("{quota}=1000000")]);
        }
        command.args(["--pins-per-hour", "100000"]);
        Server::of(command)
    }

    /// Where the archive's objects lie as files, also those of the bucket.
    pub fn files(&self) -> PathBuf {
        self.s3.as_ref().map_or_else(|| self.desk.path("archive"), |s3| s3.bucket().join(PREFIX))
    }

    /// Every object by its name.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let (base, mut found) = (self.files(), Vec::new());
        walk(&base, &mut found);
        let name = |path: &PathBuf| path.strip_prefix(&base).unwrap().to_str().unwrap().to_owned();
        found.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
    }

    /// The objects whose names have `part` in them.
    pub fn with(&self, part: &str) -> Vec<(String, Vec<u8>)> {
        self.objects().into_iter().filter(|(name, _)| name.contains(part)).collect()
    }

    /// Removes an object.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.files().join(name)).unwrap();
    }

    /// Puts an object there.
    pub fn add(&self, name: &str, contents: &[u8]) {
        let path = self.files().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    /// Sets a copy of the archive aside.
    pub fn save(&self) -> tempfile::TempDir {
        // Beside the original: what S3 servers write into files' attributes is copied as well.
        let saved = tempfile::tempdir_in(self.files().parent().unwrap().parent().unwrap()).unwrap();
        copy_all(&self.files(), saved.path());
        saved
    }

    /// Puts a copy back in place of what is there.
    pub fn restore(&self, saved: &tempfile::TempDir) {
        fs::remove_dir_all(self.files()).unwrap();
        fs::create_dir(self.files()).unwrap();
        copy_all(saved.path(), &self.files());
    }
}

/// What a bundle of these tests is made of.
pub struct Made<'m> {
    pub client: Uuid,
    pub key: &'m SigningKey,
    pub sequence: u64,
    pub previous: Option<Sha256Digest>,
    /// Ids of records, and a text in each.
    pub records: &'m [(u64, &'m str)],
}

impl Made<'_> {
    /// The bundle, and the digest of its manifest.
    pub fn pack(&self) -> (Vec<u8>, Sha256Digest) {
        let texts: Vec<_> = self.records.iter().map(|(_, text)| record(text)).collect();
        let items = self.records.iter().zip(&texts).map(|((id, _), text)| {
            let document = Document::parse(text.clone().into_bytes(), &Limits::default().json).unwrap();
            Item { id: record_id(*id), envelope: document.envelope().unwrap() }
        });
        let items: Vec<_> = items.collect();
        let numbers: BTreeMap<_, _> = items.iter().map(|item| item.id).zip(&texts).collect();
        let header = Header { client: self.client, sequence: self.sequence, previous: self.previous, ..header() };
        let load = |id: Uuid| Ok::<_, std::convert::Infallible>(Digested::of(numbers[&id].clone().into_bytes()));
        let (limits, mut payload) = (Limits::default(), Cursor::new(Vec::new()));
        let packed = pack::pack(header, items, load, self.key, &limits, &mut payload, &mut |_, _| {}).unwrap();
        payload.rewind().unwrap();
        let mut bundle = Vec::new();
        packed.write_to(&mut bundle, &mut payload).unwrap();
        (bundle, Sha256Digest::of(&packed.manifest_bytes))
    }
}

fn record(text: &str) -> String {
    format!(r#"{{"kind":"a","text":"{text}","time":"2026-01-01T00:00:00Z","version":"v1"}}"#)
}

pub fn record_id(number: u64) -> Uuid {
    Uuid::from_u128(0x019a_9d00_0000_7000_8000_0000_0000_0000 + u128::from(number % (1 << 48)))
}

/// A client of its own, whose key is made of its number.
pub fn client(number: u8) -> (Uuid, SigningKey) {
    (Uuid::from_u128(0x4000_8000_0000_0000_0000 + u128::from(number)), SigningKey::from_seed(&[number; 32]))
}

/// The first bundle of a client, with some records.
pub fn first_bundle(number: u8) -> (Vec<u8>, Sha256Digest) {
    let (client, key) = client(number);
    let records = [(1, "x"), (2, "y"), (3, "z")];
    Made { client, key: &key, sequence: 1, previous: None, records: &records }.pack()
}

/// A receipt as it was answered.
pub fn opened(receipt: &[u8]) -> Receipt {
    receipt::open(receipt, &[], &Limits::default()).unwrap().receipt
}

/// What became of the records, in a letter each.
pub fn letters(receipt: &Receipt) -> String {
    let word = |status| serde_json::to_value(status).unwrap().as_str().unwrap()[..1].to_owned();
    receipt.records.iter().map(|record| word(record.status)).collect()
}

/// Uploads a bundle; nothing where the server went away.
pub fn deliver(address: SocketAddr, bundle: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(&upload("", bundle)).ok()?;
    Answer::read(&mut stream)
}

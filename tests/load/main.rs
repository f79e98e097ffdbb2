//! Not an example: makes bundles and sends them to a server, many at once, for docs/performance.md.
//!
//! ```text
//! load make DIR COUNT BYTES             bundles of about BYTES each, every one of a client of its own, and DIR.keyring
//! load verify DIR                       verifies each in full, on one processor, and tells how fast
//! load send URL DIR CONNECTIONS [PUT]   sends each once and tells how many, how fast, and how long they took
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a tool for developers"
)]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Cursor, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::bundle::manifest::Seconds;
use kubermatic_telemetry::bundle::pack::{Header, Item, pack};
use kubermatic_telemetry::bundle::verify;
use kubermatic_telemetry::digest::Digested;
use kubermatic_telemetry::keys::keyring::{Trust, Trusts};
use kubermatic_telemetry::keys::rotation::Link;
use kubermatic_telemetry::keys::{PublicKey, SigningKey};
use kubermatic_telemetry::record::document::Document;
use uuid::{Builder, Uuid};

/// How much of a bundle one record makes.
const RECORD: usize = 200_000;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["make", directory, count, bytes] => make(Path::new(directory), count.parse().unwrap(), bytes.parse().unwrap()),
        ["verify", directory] => verify_all(Path::new(directory)),
        ["send", url, directory, connections] => send(url, Path::new(directory), connections.parse().unwrap(), false),
        ["send", url, directory, connections, "PUT"] => {
            send(url, Path::new(directory), connections.parse().unwrap(), true);
        }
        _ => println!("load make DIR COUNT BYTES | load verify DIR | load send URL DIR CONNECTIONS [PUT]"),
    }
}

/// Numbers that look random and are the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A UUID of version 7.
    fn id(&mut self) -> Uuid {
        let random: Vec<u8> = (0..2).flat_map(|_| self.next().to_le_bytes()).collect();
        Builder::from_unix_timestamp_millis(1_790_000_000_000, random[..10].try_into().unwrap()).into_uuid()
    }

    /// A record that takes about `bytes` when it is compressed.
    fn record(&mut self, bytes: usize, number: usize) -> Vec<u8> {
        // Digits and letters as they stand in UUIDs: about half of a byte each.
        let strings = (0..=bytes / 4_000).map(|_| {
            let digits = bytes.min(4_000) * 2 / 16;
            let numbers: Vec<_> = (0..digits).map(|_| format!("{:016x}", self.next())).collect();
            format!("\"{}\"", numbers.concat())
        });
        let strings = strings.collect::<Vec<_>>().join(",");
        let time = format!("2026-{:02}-{:02}T00:00:00Z", number / 28 % 12 + 1, number % 28 + 1);
        format!(r#"{{"kind":"load","text":[{strings}],"time":"{time}","version":"v1"}}"#).into_bytes()
    }
}

fn make(directory: &Path, count: usize, bytes: usize) {
    let keyring = directory.with_extension("keyring");
    fs::create_dir_all(directory).unwrap();
    fs::create_dir_all(&keyring).unwrap();
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for number in 0..count {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&noise.next().to_le_bytes());
        let header = Header {
            bundle: noise.id(),
            client: noise.id(),
            store: noise.id(),
            sequence: 1,
            previous: None,
            rotation: Vec::new(),
            replaces: None,
            created: Seconds::try_from("2026-11-22T00:00:00Z".to_owned()).unwrap(),
            producer: "load/1".to_owned(),
            note: None,
            withheld: Vec::new(),
            dropped: 0,
            discarded: 0,
        };
        let texts: Vec<_> = (0..bytes.div_ceil(RECORD)).map(|index| noise.record(bytes.min(RECORD), index)).collect();
        let records: std::collections::BTreeMap<_, _> = texts.into_iter().map(|text| (noise.id(), text)).collect();
        let limits = Limits::default();
        let items = records.iter().map(|(id, text)| {
            let document = Document::parse(text.clone(), &limits.json).unwrap();
            Item { id: *id, envelope: document.envelope().unwrap() }
        });
        let mut payload = Cursor::new(Vec::new());
        let load = |id| Ok::<_, std::convert::Infallible>(Digested::of(records[&id].clone()));
        let key = SigningKey::from_seed(&seed);
        fs::write(keyring.join(format!("{}.pem", header.client)), key.public().to_pem()).unwrap();
        let packed = pack(header, items.collect(), load, &key, &limits, &mut payload, &mut |_, _| {}).unwrap();
        let mut file = File::create(directory.join(format!("{number:06}.tar"))).unwrap();
        packed.write_to(&mut file, &mut payload).unwrap();
    }
    let size: u64 = files(directory).iter().map(|path| path.metadata().unwrap().len()).sum();
    println!("{count} bundles, {size} bytes");
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What one processor can do at most, with files that are in memory already.
fn verify_all(directory: &Path) {
    let files = files(directory);
    let (mut times, mut bytes) = (Vec::new(), 0);
    for path in &files {
        let bundle = fs::read(path).unwrap();
        bytes += bundle.len() as u64;
        let began = Instant::now();
        verify::verify(Cursor::new(bundle), &NobodyKnown, &Limits::default(), &mut |_, _| {}).unwrap();
        times.push((200, began.elapsed()));
    }
    report(&times, bytes, times.iter().map(|(_, time)| *time).sum());
}

/// Trusts nobody, and refuses nobody.
struct NobodyKnown;

impl Trusts for NobodyKnown {
    fn judge(&self, _: Uuid, _: &PublicKey, _: &[Link]) -> std::io::Result<Trust> {
        Ok(Trust::Unknown)
    }
}

fn send(url: &str, directory: &Path, connections: usize, put: bool) {
    let (host, base) = url.strip_prefix("http://").unwrap().split_once('/').unwrap_or((&url[7..], ""));
    let files = files(directory);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let bytes: u64 = files.iter().map(|path| path.metadata().unwrap().len()).sum();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut stream = None;
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let body = fs::read(path).unwrap();
                    let target = if put {
                        format!("PUT /{base}/{}", path.file_name().unwrap().to_str().unwrap())
                    } else {
                        format!("POST /{base}v1/bundles")
                    };
                    let head = format!(
                        "{target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    let began = Instant::now();
                    let mut connection = stream.take().unwrap_or_else(|| connect(host));
                    connection.write_all(head.as_bytes()).unwrap();
                    connection.write_all(&body).unwrap();
                    let status = answer(&mut connection);
                    stream = Some(connection);
                    done.lock().unwrap().push((status, began.elapsed()));
                }
            });
        }
    });
    report(&done.into_inner().unwrap(), bytes, started.elapsed());
}

/// A connection on which the head of a request does not make its body wait.
fn connect(host: &str) -> TcpStream {
    let stream = TcpStream::connect(host).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads an answer to its end and gives its status.
fn answer(connection: &mut TcpStream) -> u16 {
    let mut reader = BufReader::new(connection);
    let (mut status, mut length) = (0, 0);
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 2 {
        let lower = line.to_ascii_lowercase();
        if status == 0 {
            status = line[9..12].parse().unwrap();
        } else if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    status
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(done: &[(u16, Duration)], bytes: u64, took: Duration) {
    let mut times: Vec<_> = done.iter().map(|(_, time)| *time).collect();
    times.sort();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1000.0;
    let accepted = done.iter().filter(|(status, _)| status / 100 == 2).count();
    let seconds = took.as_secs_f64();
    println!(
        "{} sent, {accepted} accepted, {seconds:.2} s, {:.0}/s, {:.1} MB/s, p50 {:.1} ms, p99 {:.1} ms",
        done.len(),
        done.len() as f64 / seconds,
        bytes as f64 / 1e6 / seconds,
        at(50),
        at(99)
    );
}

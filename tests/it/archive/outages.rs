//! An object store that goes away, or is not what it should be.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kubermatic_telemetry::digest::Sha256Digest;
use kubermatic_telemetry::keys::SigningKey;
use uuid::Uuid;

use super::parts::noise;
use super::server::environment;
use super::{BUCKET, Made, PREFIX, Place, client, deliver, first_bundle};
use crate::support::{Desk, Printed, root, say};

#[test]
fn while_the_object_store_is_away_bundles_are_put_off_and_later_taken() {
    let Some(place) = Place::bucket() else { return };
    let server = place.serve();
    let (bundle, digest) = first_bundle(1);
    server.get("/readyz").ok();
    place.s3().kill();
    let refused = server.upload(&bundle).refused(503, "trustUnavailable");
    assert!(refused.header("retry-after").is_some(), "{}", refused.head);
    let told = refused.text();
    assert!(!told.contains("127.0.0.1") && !told.contains(BUCKET), "{told}");
    server.get("/readyz").refused(503, "notReady");
    server.get(&format!("/v1/receipts/{digest}")).refused(503, "archiveUnavailable");
    server.get("/healthz").ok();
    place.s3().run();
    server.get("/readyz").ok();
    let receipt = server.upload(&bundle).is(201).body;
    assert_eq!(server.get(&format!("/v1/receipts/{digest}")).ok().body, receipt);
}

/// How often the store is killed in the middle of something.
const KILLS: u64 = 8;

/// A bundle that is large enough for parts.
fn large_bundle(client: Uuid, key: &SigningKey, sequence: u64) -> (Vec<u8>, Sha256Digest) {
    let noise: Vec<_> = (1..=130).map(|index| noise(60_000, sequence * 1_000 + index)).collect();
    let records: Vec<_> = noise.iter().zip(sequence * 1_000..).map(|(text, id)| (id, text.as_str())).collect();
    Made { client, key, sequence, previous: None, records: &records }.pack()
}

#[test]
fn an_object_store_that_is_killed_in_the_middle_of_an_upload_gets_all_of_it_later() {
    let Some(place) = Place::bucket() else { return };
    let server = place.serve();
    let (owner, key) = client(1);
    let begun = || place.s3().requests().iter().filter(|name| *name == "s3_CreateMultipartUpload").count();
    let mut put_off = 0;
    for round in 1..=KILLS {
        let (bundle, digest) = large_bundle(owner, &key, round);
        let before = begun();
        let first = std::thread::scope(|scope| {
            let (address, bundle) = (server.address, &bundle);
            let uploading = scope.spawn(move || deliver(address, bundle).unwrap());
            while begun() == before {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(round * 7 % 40));
            place.s3().kill();
            // Every other time it is there again before anybody gives up.
            if round % 2 == 0 {
                place.s3().run();
            }
            uploading.join().unwrap()
        });
        put_off += u64::from(first.status == 503);
        assert!([201, 503].contains(&first.status), "{}{}", first.head, first.text());
        if round % 2 == 1 {
            place.s3().run();
        }
        let receipt = server.upload(&bundle);
        if receipt.status / 100 != 2 {
            server.signal("TERM");
            panic!("{}: {}", receipt.text(), server.end().1);
        }
        assert!(place.with(&format!("/bundles/{digest}.tar"))[0].1 == bundle);
    }
    assert!(put_off > 0, "the store was killed too late");
    say("killed", &format!("the object store {KILLS} times, each while it took a bundle: {put_off} were put off"));
}

/// A server that does with each request what it is told, on top of an object store in memory. What real ones answer in
/// bad moments can't be had from them when it is wanted.
struct Odd {
    address: SocketAddr,
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

/// Method, path, whether it has a condition, and how many requests there were for this before.
type Asked<'a> = (&'a str, &'a str, bool, usize);
/// A status and a body, in place of what the store would answer.
type Said = Option<(u16, String)>;

impl Odd {
    fn start(answer: impl Fn(Asked<'_>) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let objects = Arc::new(Mutex::new(BTreeMap::new()));
        let state = Arc::new((Arc::clone(&objects), Mutex::new(BTreeMap::new()), answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                std::thread::spawn(move || while serve(&stream, &state.0, &state.1, &state.2).is_some() {});
            }
        });
        Self { address, objects }
    }

    /// What is there.
    fn names(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    fn ingest(&self, variables: &[(&str, &str)]) -> Printed {
        self.ingest_bundle(&first_bundle(1).0, variables)
    }

    fn ingest_bundle(&self, bundle: &[u8], variables: &[(&str, &str)]) -> Printed {
        let desk = Desk::in_memory();
        desk.file("bundle.tar", bundle);
        let mut command = desk.command();
        command.envs(environment(self.address)).env("AWS_ACCESS_KEY_ID", "AKIASNAKEOIL");
        command.env("AWS_SECRET_ACCESS_KEY", "snakeoil-secret").envs(variables.iter().copied());
        command.args(["ingest", "--trust", "tofu", "--archive", &format!("s3://{BUCKET}/{PREFIX}"), "--receipt-key"]);
        command.arg(root().join("testdata/keys/snakeoil-client.pem")).arg("bundle.tar");
        let printed = Printed::of(command.output().unwrap());
        for secret in ["AKIASNAKEOIL", "snakeoil-secret", "Signature="] {
            assert!(!printed.stderr.contains(secret), "{}", printed.stderr);
        }
        printed
    }
}

fn serve(
    mut stream: &TcpStream,
    objects: &Mutex<BTreeMap<String, Vec<u8>>>,
    seen: &Mutex<BTreeMap<String, usize>>,
    answer: &impl Fn(Asked<'_>) -> Said,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).ok()? > 2 {
        head.push_str(&std::mem::take(&mut line).to_ascii_lowercase());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (method, rest) = head.split_once(' ')?;
    let path = rest.split([' ', '?']).next()?.to_owned();
    let is_listing = rest.split(' ').next()?.contains("list-type");
    let is_conditional = head.contains("if-none-match: *");
    let before = {
        let mut seen = seen.lock().unwrap();
        let count = seen.entry(format!("{method} {path}")).or_default();
        *count += 1;
        *count - 1
    };
    let mut objects = objects.lock().unwrap();
    let (status, body) = match (answer((method, &path, is_conditional, before)), method) {
        (Some((0, _)), _) => {
            drop(objects);
            std::thread::sleep(Duration::from_secs(20));
            return None;
        }
        (Some((status, body)), _) => (status, body.into_bytes()),
        (None, "put") if is_conditional && objects.contains_key(&path) => (412, Vec::new()),
        (None, "put") => {
            objects.insert(path, body);
            (200, Vec::new())
        }
        (None, _) if is_listing => {
            (200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>".to_vec())
        }
        (None, _) => objects.get(&path).map_or((404, Vec::new()), |body| (200, body.clone())),
    };
    drop(objects);
    let shown = if method == "head" { &[][..] } else { &body };
    let modified = "last-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\netag: \"1\"";
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{modified}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), shown].concat()).ok()
}

#[test]
fn a_store_that_does_not_keep_to_conditions_is_refused_before_anything_is_kept() {
    let ignores =
        Odd::start(|(method, _, conditional, _)| (method == "put" && conditional).then(|| (200, String::new())));
    ignores.ingest(&[]).code(1).says("does not know conditional writes (If-None-Match)").says("hint: use a store");
    let refuses = Odd::start(|(method, _, conditional, _)| {
        (method == "put" && conditional).then(|| (501, "<Error><Code>NotImplemented</Code></Error>".to_owned()))
    });
    refuses.ingest(&[]).code(1).says("does not know conditional writes");
    let sound = Odd::start(|_| None);
    sound.ingest(&[("AWS_CONDITIONAL_PUT", "disabled")]).code(1).says("does not know conditional writes");
    sound.ingest(&[]).ok().says("3 accepted");
}

#[test]
fn a_bundle_that_the_store_says_it_has_taken_and_has_not_gets_no_receipt() {
    let begun = "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
    let done = "<CompleteMultipartUploadResult><ETag>1</ETag></CompleteMultipartUploadResult>";
    let forgets = Odd::start(move |(method, _, is_conditional, before)| match method {
        "post" => Some((200, if before == 0 { begun } else { done }.to_owned())),
        "put" if !is_conditional => Some((200, String::new())),
        _ => None,
    });
    let (owner, key) = client(1);
    let printed = forgets.ingest_bundle(&large_bundle(owner, &key, 1).0, &[]).code(1);
    printed.says("it says that it has taken the object, and does not have it");
    assert!(!forgets.names().iter().any(|name| name.contains("/receipts/")), "{:?}", forgets.names());
}

#[test]
fn a_conflict_that_nobody_won_is_tried_again() {
    let conflict = || Some((409, "<Error><Code>ConditionalRequestConflict</Code></Error>".to_owned()));
    let passing =
        Odd::start(
            move |(method, path, _, before)| {
                if method == "put" && path.contains("/receipts/") && before < 2 { conflict() } else { None }
            },
        );
    passing.ingest(&[]).ok().says("3 accepted");
    let lasting = Odd::start(
        move |(method, path, _, _)| {
            if method == "put" && path.contains("/receipts/") { conflict() } else { None }
        },
    );
    lasting.ingest(&[]).code(1).says("it refuses (409 ConditionalRequestConflict)");
}

#[test]
fn a_store_that_is_busy_for_a_while_is_tried_again_for_a_while() {
    let slow = || Some((503, "<Error><Code>SlowDown</Code></Error>".to_owned()));
    let passing = Odd::start(move |(method, _, _, before)| if method == "put" && before < 2 { slow() } else { None });
    passing.ingest(&[]).ok().says("3 accepted");
    let lasting = Odd::start(move |_| slow());
    lasting.ingest(&[]).code(1).says("the archive fails at archive.json: it is busy (503 SlowDown)");
    let silent = Odd::start(|_| Some((0, String::new())));
    let started = Instant::now();
    let printed = silent.ingest(&[("AWS_TIMEOUT", "300ms")]).code(1);
    printed.says("it does not answer in time").says("hint: see that the endpoint is right");
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_store_that_repeats_what_was_signed_is_not_quoted() {
    let body = "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIASNAKEOIL</AWSAccessKeyId>\
                <StringToSign>snakeoil-secret</StringToSign></Error>";
    let repeats = Odd::start(move |_| Some((403, body.to_owned())));
    repeats.ingest(&[]).code(1).says("the credentials are refused (403 SignatureDoesNotMatch)");
    let control = Odd::start(|_| Some((400, "<Code>\u{1b}]0;x\u{7}</Code>".to_owned())));
    assert!(!control.ingest(&[]).code(1).stderr.contains('\u{1b}'));
}

#[test]
fn a_store_that_is_full_is_told_as_such() {
    let full = Odd::start(|(method, path, _, _)| {
        let is_bundle = method == "put" && path.contains("/bundles/");
        is_bundle.then(|| (507, "<Error><Code>XMinioStorageFull</Code></Error>".to_owned()))
    });
    full.ingest(&[]).code(1).says("it is full (507 XMinioStorageFull)");
}

#[test]
fn an_archive_of_another_format_is_left_alone() {
    let newer = Odd::start(|(method, path, _, _)| match (method, path.ends_with("/archive.json")) {
        ("put", true) => Some((412, String::new())),
        ("get", true) => Some((200, r#"{"format":"kubermatic-telemetry-archive/2"}"#.to_owned())),
        _ => Some((500, String::new())),
    });
    newer
        .ingest(&[])
        .code(1)
        .says("of the format \"kubermatic-telemetry-archive/2\", which this program does not know");
    let strange = Odd::start(|(method, _, _, _)| if method == "put" { Some((412, String::new())) } else { None });
    strange.ingest(&[]).code(1).says("the archive is damaged at archive.json");
}

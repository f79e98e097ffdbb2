//! How fast container, signature and payload digest of a large bundle are verified, beside `openssl dgst -sha256` of the
//! same file, in turn: `cargo bench --bench payload`.
//!
//! The payload is noise, 200 MiB of it: nothing that is measured here looks into it.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a tool of its own")]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kubermatic_telemetry::bundle::manifest::{PAYLOAD_NAME, Payload, Seconds};
use kubermatic_telemetry::bundle::pack::{self, Header};
use kubermatic_telemetry::bundle::{Limits, verify};
use kubermatic_telemetry::digest::{Digested, Hashing};
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::keys::keyring::Keyring;
use uuid::Uuid;

const SIZE: u64 = 200 << 20;
const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let key = SigningKey::from_seed(&[7; 32]);
    let file = bundle(&key)?;
    let keyring = Keyring::of_keys(vec![key.public()]);
    let limits = Limits::default();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        verify::check_seal(&mut File::open(file.path())?, &keyring, &limits, &mut |_, _| {})?;
        ours.push(begun.elapsed());
        let begun = Instant::now();
        let digest = Command::new("openssl").args(["dgst", "-sha256"]).arg(file.path()).output()?;
        theirs.push(begun.elapsed());
        if !digest.status.success() {
            return Err("openssl fails".into());
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("container, signature and payload digest: {ours:.0?}, {:.0} MiB/s", speed(ours));
    println!("openssl dgst -sha256 of the same file:   {theirs:.0?}, {:.0} MiB/s", speed(theirs));
    println!("ratio of the speeds: {:.2} (medians of {ROUNDS} each, in turn)", speed(ours) / speed(theirs));
    Ok(())
}

/// Writes a signed bundle whose payload is noise.
fn bundle(key: &SigningKey) -> Result<tempfile::NamedTempFile, Box<dyn Error>> {
    let mut payload = Hashing::new(tempfile::tempfile()?);
    std::io::copy(&mut File::open("/dev/urandom")?.take(SIZE), &mut payload)?;
    let (mut payload, size, sha256) = payload.finish();
    let header = Header {
        bundle: "019a9d00-0000-7000-8000-0000000000ff".parse()?,
        client: Uuid::from_u128(1),
        store: Uuid::from_u128(2),
        sequence: 1,
        previous: None,
        rotation: Vec::new(),
        replaces: None,
        created: Seconds::try_from("2026-02-01T00:00:00Z".to_owned())?,
        producer: "bench/1".to_owned(),
        note: None,
        withheld: Vec::new(),
        dropped: 0,
        discarded: 0,
    };
    let load = |_| Err::<Digested, _>("there are no records");
    let nothing = &mut std::io::sink();
    let mut packed = pack::pack(header, Vec::new(), load, key, &Limits::default(), nothing, &mut |_, _| {})
        .map_err(|error| error.to_string())?;
    packed.manifest.payload = Payload { name: PAYLOAD_NAME.to_owned(), size, sha256 };
    packed.manifest_bytes = packed.manifest.to_bytes()?;
    packed.signature = (BASE64.encode(key.sign(&packed.manifest_bytes)) + "\n").into_bytes();
    let file = tempfile::NamedTempFile::new()?;
    payload.rewind()?;
    let mut out = BufWriter::new(file.as_file());
    packed.write_to(&mut out, &mut payload)?;
    out.flush()?;
    drop(out);
    Ok(file)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// In MiB a second.
fn speed(time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred million are exact")]
    let bytes = SIZE as f64;
    bytes / f64::from(1 << 20) / time.as_secs_f64()
}

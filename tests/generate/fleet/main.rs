//! Writes the bundles that many made-up installations send over some months, each of records of several days, to measure
//! what accepting them takes, and the tables that come of it.
//!
//! ```text
//! generate-fleet DIR [--installations 1000] [--days 90] [--every 7] [--clusters 20]
//! ```
//!
//! The same options give the same bundles. Each installation has a record a day and sends a bundle every `every` days;
//! beside its clusters it has as many projects, two machine deployments a cluster, and users and keys in proportion. On
//! each day one percent of the clusters and users change, if there are hundreds of them.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::print_stdout, reason = "a tool of its own")]

#[path = "../random.rs"]
#[allow(dead_code, reason = "shared with the generator of manifests, which needs more of it")]
mod random;
#[path = "../records/site.rs"]
mod site;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use jiff::{Timestamp, ToSpan as _};
use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::bundle::manifest::Seconds;
use kubermatic_telemetry::bundle::pack::{Header, Item, pack};
use kubermatic_telemetry::clock;
use kubermatic_telemetry::digest::{Digested, Sha256Digest};
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::record::document::Document;
use uuid::{Builder, Uuid};

use random::Random;
use site::{Churn, Site, Sizes};

const USAGE: &str = "usage: generate-fleet DIR [--installations N] [--days N] [--every N] [--clusters N]";

/// When the first record was made.
const FIRST: &str = "2026-01-01T04:00:00Z";

struct Options {
    directory: PathBuf,
    installations: u64,
    days: u64,
    every: u64,
    clusters: u64,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let directory = PathBuf::from(arguments.next().ok_or("the directory is missing")?);
        let mut options = Self { directory, installations: 1000, days: 90, every: 7, clusters: 20 };
        while let Some(argument) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
            let number = value.parse::<u64>().map_err(|_| format!("{argument} needs a number, not {value}"))?;
            match argument.as_str() {
                "--installations" => options.installations = number,
                "--days" => options.days = number,
                "--every" => options.every = number.max(1),
                "--clusters" => options.clusters = number,
                _ => return Err(format!("there is no option {argument}")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match generate(&options) {
        Ok((bundles, bytes)) => {
            println!("{}: {bundles} bundles, {bytes} bytes", options.directory.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate(options: &Options) -> Result<(u64, u64), Box<dyn Error>> {
    fs::create_dir_all(&options.directory)?;
    let (mut bundles, mut bytes) = (0, 0);
    for number in 1..=options.installations {
        let mut installation = Installation::new(number, options.clusters);
        let mut days = 0..options.days;
        while !days.is_empty() {
            let records = days.by_ref().take(usize::try_from(options.every)?).map(|day| installation.record(day));
            let records = records.collect::<Result<_, _>>()?;
            bytes += installation.bundle(&options.directory, &records)?;
            bundles += 1;
        }
    }
    Ok((bundles, bytes))
}

struct Installation {
    number: u64,
    site: Site,
    key: SigningKey,
    random: Random,
    sequence: u64,
    previous: Option<Sha256Digest>,
}

impl Installation {
    fn new(number: u64, clusters: u64) -> Self {
        let sizes = Sizes {
            seeds: 1 + number % 3,
            clusters,
            projects: clusters.max(1),
            users: 5 * clusters / 2,
            keys: clusters,
            machine_deployments: 2 * clusters,
        };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        Self {
            number,
            site: Site::new(&sizes, number),
            key: SigningKey::from_seed(&seed),
            random: Random::new("fleet", &[number]),
            sequence: 0,
            previous: None,
        }
    }

    fn uuid(&mut self, time: Timestamp) -> Result<Uuid, Box<dyn Error>> {
        let mut bytes = [0; 10];
        bytes.fill_with(|| u8::try_from(self.random.below(256)).unwrap_or_default());
        Ok(Builder::from_unix_timestamp_millis(u64::try_from(time.as_millisecond())?, &bytes).into_uuid())
    }

    /// The record of a day, after the days before it.
    fn record(&mut self, day: u64) -> Result<(Uuid, Vec<u8>), Box<dyn Error>> {
        if day > 0 {
            self.site.pass_a_day(Churn { clusters: 20, users: 90 });
        }
        let time = FIRST.parse::<Timestamp>()?.checked_add((24 * i64::try_from(day)?).hours())?;
        Ok((self.uuid(time)?, self.site.record(clock::seconds(time)).into_canonical()?))
    }

    /// Writes the next bundle; gives its size.
    fn bundle(&mut self, directory: &Path, records: &BTreeMap<Uuid, Vec<u8>>) -> Result<u64, Box<dyn Error>> {
        self.sequence += 1;
        let id = self.uuid(FIRST.parse()?)?;
        let header = Header {
            bundle: id,
            client: Uuid::from_u128(0x4000_8000_0000_0000_0000 + u128::from(self.number)),
            store: Uuid::from_u128(0x4000_9000_0000_0000_0000 + u128::from(self.number)),
            sequence: self.sequence,
            previous: self.previous,
            rotation: Vec::new(),
            replaces: None,
            created: Seconds::try_from("2026-11-22T00:00:00Z".to_owned())?,
            producer: "generate-fleet/1".to_owned(),
            note: None,
            withheld: Vec::new(),
            dropped: 0,
            discarded: 0,
        };
        let limits = Limits::default();
        let item = |(id, bytes): (&Uuid, &Vec<u8>)| {
            let document = Document::parse(bytes.clone(), &limits.json)?;
            Ok::<_, Box<dyn Error>>(Item { id: *id, envelope: document.envelope()? })
        };
        let items = records.iter().map(item).collect::<Result<_, _>>()?;
        let load = |id: Uuid| Ok::<_, Infallible>(Digested::of(records.get(&id).cloned().unwrap_or_default()));
        let mut payload = Cursor::new(Vec::new());
        let packed = pack(header, items, load, &self.key, &limits, &mut payload, &mut |_, _| {})?;
        self.previous = Some(Sha256Digest::of(&packed.manifest_bytes));
        let mut file = File::create(directory.join(format!("{:05}-{:03}.tar", self.number, self.sequence)))?;
        packed.write_to(&mut file, &mut payload)?;
        Ok(file.metadata()?.len())
    }
}

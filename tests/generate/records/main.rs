//! Writes the `kubermatic` records that a large, made-up installation gives on one day after the other, each as the file
//! of canonical JSON that a collector would store, to measure how small and how fast bundles of them are.
//!
//! ```text
//! generate-records DIR [--state DIR] [--days 90] [--seeds 5] [--clusters 1000] [--projects 2000] [--users 5000]
//!                      [--keys 3000] [--machine-deployments 1000] [--cluster-churn 20] [--user-churn 90]
//! ```
//!
//! The same options give the same records. On each day one percent of the clusters and users change; of these changes
//! so many percent as `churn` says are deletions and creations, and the others change values (`site`). Of a user a record
//! has nothing that changes in daily life: people come and go, and few become administrators or cease to be. With
//! `--state` the records are put into the store of that state directory as well, with an identity if there is none, so
//! that `export` packs them; there, ids and keys are random.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::print_stdout, reason = "a tool of its own")]

#[path = "../random.rs"]
#[allow(dead_code, reason = "shared with the generator of manifests, which needs more of it")]
mod random;
mod site;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use jiff::{Timestamp, ToSpan as _};
use kubermatic_telemetry::clock::{self, Environment, System};
use kubermatic_telemetry::identity::{Identity, NewIdentity};
use kubermatic_telemetry::record::canonical::Bounds;
use kubermatic_telemetry::record::document::Document;
use kubermatic_telemetry::store::{LockedStore, Store};

use site::{Churn, Site, Sizes};

const USAGE: &str = "usage: generate-records DIR [--state DIR] [--days N] [--seeds N] [--clusters N] [--projects N]
                        [--users N] [--keys N] [--machine-deployments N] [--cluster-churn N] [--user-churn N]";

/// When the first record was made.
const FIRST: &str = "2026-01-01T04:00:00Z";

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match generate(&options) {
        Ok(bytes) => {
            println!("{}: {} records, {bytes} bytes", options.directory.display(), options.days);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What to write, and where.
struct Options {
    directory: PathBuf,
    state: Option<PathBuf>,
    days: u64,
    churn: Churn,
    sizes: Sizes,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut directory, mut state, mut days) = (None, None, 90);
        let mut churn = Churn { clusters: 20, users: 90 };
        let mut sizes =
            Sizes { seeds: 5, clusters: 1_000, projects: 2_000, users: 5_000, keys: 3_000, machine_deployments: 1_000 };
        while let Some(argument) = arguments.next() {
            if !argument.starts_with("--") {
                if directory.replace(PathBuf::from(argument)).is_some() {
                    return Err("there can be one directory".to_owned());
                }
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{argument} needs a number, not {value}"));
            match argument.as_str() {
                "--state" => state = Some(PathBuf::from(value)),
                "--days" => days = number()?,
                "--cluster-churn" => churn.clusters = number()?,
                "--user-churn" => churn.users = number()?,
                "--seeds" => sizes.seeds = number()?,
                "--clusters" => sizes.clusters = number()?,
                "--projects" => sizes.projects = number()?,
                "--users" => sizes.users = number()?,
                "--keys" => sizes.keys = number()?,
                "--machine-deployments" => sizes.machine_deployments = number()?,
                _ => return Err(format!("there is no option {argument}")),
            }
        }
        if sizes.seeds == 0 || sizes.projects == 0 {
            return Err("clusters and keys need a seed and a project".to_owned());
        }
        let directory = directory.ok_or("the directory is missing")?;
        Ok(Self { directory, state, days, churn, sizes })
    }
}

fn generate(options: &Options) -> Result<usize, Box<dyn Error>> {
    fs::create_dir_all(&options.directory)?;
    if fs::read_dir(&options.directory)?.next().is_some() {
        return Err(format!("{} is not empty", options.directory.display()).into());
    }
    let store = options.state.as_deref().map(open_store).transpose()?;
    let mut site = Site::new(&options.sizes, 0);
    let mut time: Timestamp = FIRST.parse()?;
    let mut total = 0;
    for day in 0..options.days {
        if day > 0 {
            site.pass_a_day(options.churn);
            time = time.checked_add(24.hours())?;
        }
        let bytes = site.record(clock::seconds(time)).into_canonical()?;
        total += bytes.len();
        fs::write(options.directory.join(format!("{day:03}.json")), &bytes)?;
        if let Some(store) = &store {
            let document = Document::parse(bytes, &Bounds::default())?;
            store.put(document.envelope()?, document.bytes(), &At(time))?;
        }
    }
    Ok(total)
}

fn open_store(state: &std::path::Path) -> Result<LockedStore, Box<dyn Error>> {
    let (identity, _) = Identity::load_or_create(&state.join("identity"), NewIdentity::default(), &System)?;
    Ok(Store::open_or_create(&state.join("store"), identity.client(), &System)?.lock()?)
}

/// A day on which a record was made, for its id.
struct At(Timestamp);

impl Environment for At {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn random(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        System.random(bytes)
    }
}

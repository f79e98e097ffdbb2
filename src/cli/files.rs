//! Files that a person names: bundles to read, keyrings, and places to write to.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

use kubermatic_telemetry::bundle::VerifyError;
use kubermatic_telemetry::bundle::limits::{Limit, LimitExceeded, Limits};
use kubermatic_telemetry::keys::PublicKey;
use kubermatic_telemetry::keys::keyring::Keyring;
#[cfg(feature = "pages")]
use kubermatic_telemetry::pages::bundle::Known;
use kubermatic_telemetry::store::durable::{self, Access, Existing, FileError};

use super::context::shown;
use super::failure::Failure;

/// Whose signatures are trusted.
#[derive(Debug, clap::Args)]
pub struct TrustArgs {
    /// Directory of trusted public keys: <client-uuid>.pem for each client, and `revoked`.
    #[arg(long, value_name = "DIR")]
    pub keyring: Option<PathBuf>,
    /// PEM file of public keys to trust for whatever client.
    #[arg(long, value_name = "FILE", conflicts_with = "keyring")]
    pub key: Option<PathBuf>,
}

impl TrustArgs {
    pub fn load(&self) -> Result<Keyring, Failure> {
        match (&self.keyring, &self.key) {
            (Some(directory), _) => Ok(Keyring::load(directory)?),
            (None, Some(file)) => Ok(Keyring::of_keys(public_keys(file)?)),
            (None, None) => Ok(Keyring::default()),
        }
    }

    /// Whose keys are trusted.
    #[cfg(feature = "pages")]
    pub fn known(&self) -> Known {
        match (&self.keyring, &self.key) {
            (Some(_), _) => Known::Keyring,
            (None, Some(_)) => Known::Keys,
            (None, None) => Known::Nobody,
        }
    }
}

/// Limits that are raised or lowered.
#[derive(Debug, clap::Args)]
pub struct LimitArgs {
    /// Set a limit, for example `--limit records=50000`; may be given several times.
    #[arg(long = "limit", value_name = "NAME=NUMBER", value_parser = parse_limit, long_help = limit_help())]
    limits: Vec<(Limit, u64)>,
}

/// The help of `--limit`: what is limited, and how far unless it is set.
fn limit_help() -> String {
    let mut text = "Set a limit, for example `--limit records=50000`; may be given several times. Sizes are in bytes. \
                    The limits, and what they are unless they are set:\n"
        .to_owned();
    let width = Limit::ALL.iter().map(|limit| limit.name().len() + digits(*limit)).max().unwrap_or_default() + 2;
    for limit in Limit::ALL {
        let space = width - limit.name().len();
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {limit}{:>space$}  {}", limit.default(), limit.what());
    }
    text
}

fn digits(limit: Limit) -> usize {
    limit.default().to_string().len()
}

fn parse_limit(text: &str) -> Result<(Limit, u64), String> {
    let (name, number) = text.split_once('=').ok_or("NAME=NUMBER is expected")?;
    let number = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
    let limit = Limit::named(name).ok_or_else(|| format!("there is no limit `{name}`; --help lists them"))?;
    if number > limit.most() {
        return Err(format!("{limit} can be at most {}", limit.most()));
    }
    Ok((limit, number))
}

impl LimitArgs {
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for (limit, number) in &self.limits {
            limits.set(*limit, *number);
        }
        limits
    }
}

/// Opens a bundle or receipt; what can't be sought in is copied to an unnamed temporary file first.
pub fn open_bundle(path: &Path, limits: &Limits) -> Result<File, Failure> {
    let failed =
        |error: io::Error| Failure::from(VerifyError::Io(error)).context(format!("can't read {}", shown(path)));
    if path.as_os_str() == "-" {
        return spool(path, io::stdin().lock(), limits);
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::new(format!("{} is a directory", path.display())));
    }
    if metadata.is_file() { Ok(file) } else { spool(path, file, limits) }
}

/// One byte more than is allowed is enough to be told that it is too much.
fn spool(path: &Path, input: impl Read, limits: &Limits) -> Result<File, Failure> {
    let failed =
        |error: io::Error| Failure::from(VerifyError::Io(error)).context(format!("can't read {}", shown(path)));
    let mut file = durable::scratch(&std::env::temp_dir()).map_err(|error| failed(error.source))?;
    let size = io::copy(&mut input.take(limits.bundle_bytes.saturating_add(1)), &mut file).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let within = limits.within(Limit::BundleBytes, size);
    within.map_err(|limit| VerifyError::Limit(LimitExceeded { enough: limit.allowed.saturating_mul(2), ..limit }))?;
    Ok(file)
}

/// Reads a whole file, or stdin, up to `limit` bytes.
#[cfg(feature = "agent")]
pub fn read_input(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| Failure::from(error).context(format!("can't read {}", shown(path)));
    let mut bytes = Vec::new();
    let reader: Box<dyn Read> =
        if path.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(failed)?) };
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Failure::new(format!("{} is larger than {limit} bytes", shown(path))));
    }
    Ok(bytes)
}

/// Reads the public keys of a PEM file.
pub fn public_keys(path: &Path) -> Result<Vec<PublicKey>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::from(error).context(format!("can't read {}", path.display())))?;
    PublicKey::all_from_pem(&text).map_err(|error| Failure::from(error).context(path.display().to_string()))
}

/// A place that a person wants something written to.
#[derive(Debug)]
pub enum Target {
    Stdout,
    /// A device or FIFO, which is written to directly.
    Special(PathBuf),
    File {
        path: PathBuf,
        existing: Existing,
    },
}

impl Target {
    /// Checks a place before any work is done for it.
    pub fn new(path: &Path, force: bool, what: &str) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            if io::stdout().is_terminal() {
                return Err(Failure::usage(format!("{what} is not written to a terminal"))
                    .hint("write it to a file with -o FILE, or send stdout elsewhere"));
            }
            return Ok(Self::Stdout);
        }
        if durable::is_special(path) {
            return Ok(Self::Special(path.to_owned()));
        }
        if path.is_dir() {
            return Err(Failure::new(format!("{} is a directory", path.display())).hint("name a file in it"));
        }
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(Failure::new(format!("{} does not exist", path.display())).hint("name a file"));
        }
        // Also a link that leads nowhere is in the way.
        if path.symlink_metadata().is_ok() && !force {
            return Err(Failure::new(format!("{} exists already", path.display()))
                .hint("choose another name, or replace it with --force"));
        }
        if !durable::parent(path).is_dir() {
            return Err(Failure::new(format!("the directory {} does not exist", durable::parent(path).display())));
        }
        let existing = if force { Existing::Replace } else { Existing::Refuse };
        Ok(Self::File { path: path.to_owned(), existing })
    }

    /// Its name for people.
    pub fn name(&self) -> String {
        match self {
            Self::Stdout => "stdout".to_owned(),
            Self::Special(path) | Self::File { path, .. } => path.display().to_string(),
        }
    }

    /// Writes everything there is to read, whole or, to a file, not at all.
    pub fn write(&self, mut contents: impl Read) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::from(error).context(format!("can't write to {}", self.name()));
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                io::copy(&mut contents, &mut stdout).and_then(|_| stdout.flush()).map_err(failed)
            }
            Self::Special(path) => {
                let mut file = durable::open_special(path)?;
                io::copy(&mut contents, &mut file).and_then(|_| file.flush()).map_err(failed)
            }
            Self::File { path, existing } => {
                let copy = |file: &mut File| {
                    io::copy(&mut contents, file).map(drop).map_err(|source| FileError::writing(path, source))
                };
                Ok(durable::write_with(path, Access::Public, *existing, copy)?)
            }
        }
    }
}

/// For what is made while it is written; files that are there are copied by [`Target::write`], which the system can do by
/// itself.
#[cfg(feature = "pages")]
impl Target {
    /// Writes what `fill` makes, whole or, to a file, not at all.
    pub fn fill(&self, fill: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<(), Failure> {
        let through = |out: &mut dyn Write| {
            let mut out = io::BufWriter::with_capacity(64 * 1024, out);
            fill(&mut out)?;
            out.flush().map_err(|error| self.failed(error))
        };
        match self {
            Self::Stdout => through(&mut io::stdout().lock()),
            Self::Special(path) => through(&mut durable::open_special(path)?),
            Self::File { path, existing } => durable::write_with(path, Access::Public, *existing, |file| through(file)),
        }
    }

    /// Names the place for a failure to write to it.
    pub fn failed(&self, error: io::Error) -> Failure {
        match self {
            Self::File { path, .. } => FileError::writing(path, error).into(),
            Self::Stdout | Self::Special(_) => Failure::from(error).context(format!("can't write to {}", self.name())),
        }
    }
}

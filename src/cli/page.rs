//! `inspect --html`: the page of a bundle, where a person wants it.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::PathBuf;

use kubermatic_telemetry::bundle::verify::Verified;
use kubermatic_telemetry::digest::{Hashing, Sha256Digest};
use kubermatic_telemetry::pages::bundle::{self, Facts, Known, PageError};

use super::failure::Failure;
use super::files::Target;
use super::output::Output;

/// What to do instead of a page that nobody could open.
const TOO_LARGE: &str = "look at the records by themselves: `inspect --extract DIR` writes them, one file each";

/// Where a page goes.
#[derive(Debug, clap::Args)]
pub struct PageArgs {
    /// Write a page of everything in the bundle, to be opened in a browser: who signed it, what was withheld, counts,
    /// every entity, and what changed. It runs no script and fetches nothing. `-` is stdout, which then has nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Replace the page if the file exists.
    #[arg(long, requires = "html")]
    force: bool,
}

impl PageArgs {
    /// Checks the place, before any work is done for it. Nothing where no page is wanted.
    pub fn target(&self, output: &Output) -> Result<Option<Target>, Failure> {
        let Some(path) = &self.html else { return Ok(None) };
        if output.is_json() && path.as_os_str() == "-" {
            return Err(Failure::usage("--json and --html - both want stdout").hint("write the page to a file"));
        }
        let is_terminal = |failure: &Failure| failure.code == 2;
        let target = Target::new(path, self.force, "a page").map_err(|failure| match failure {
            failure if is_terminal(&failure) => {
                failure.hint("write it to a file with --html FILE, or send stdout elsewhere")
            }
            failure => failure,
        });
        target.map(Some)
    }

    /// Refuses a page of a receipt, which has so little in it that a screen is enough.
    pub fn refuse_receipt(&self) -> Result<(), Failure> {
        match self.html {
            Some(_) => Err(Failure::usage("--html is for bundles; a receipt has no page")
                .hint("`inspect` without --html shows all of it")),
            None => Ok(()),
        }
    }
}

/// A file as a whole.
#[derive(Debug)]
pub struct Whole {
    size: u64,
    sha256: Sha256Digest,
}

impl Whole {
    /// Reads a file from its start to its end, and goes back.
    pub fn of(file: &mut File) -> io::Result<Self> {
        file.rewind()?;
        let mut hashing = Hashing::new(&mut *file);
        io::copy(&mut hashing, &mut io::sink())?;
        let (_, size, sha256) = hashing.finish();
        file.rewind()?;
        Ok(Self { size, sha256 })
    }
}

/// Writes the page of a bundle, and tells a person where it is.
pub fn write(
    target: &Target,
    verified: &mut Verified<File>,
    (file, whole): (&str, &Whole),
    (known, own): (Known, bool),
    output: &Output,
) -> Result<(), Failure> {
    let facts = Facts { file, size: whole.size, sha256: whole.sha256, known, own };
    target.fill(|out| {
        bundle::write(verified, &facts, out).map_err(|error| match error {
            PageError::Bundle(error) => Failure::from(error).context(file.to_owned()),
            PageError::TooLarge(error) => Failure::from(error).context(file.to_owned()).hint(TOO_LARGE),
            PageError::Write(error) => target.failed(error),
        })
    })?;
    output.note(&format!("wrote a page of it to {}", target.name()));
    Ok(())
}

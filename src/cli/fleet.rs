//! `fleet`: a page about all installations together.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use kubermatic_telemetry::clock::{Environment as _, System};
use kubermatic_telemetry::ingest::archive::Archive;
use kubermatic_telemetry::pages;
use kubermatic_telemetry::tables::fleet;

use super::Done;
use super::archive::runtime;
use super::failure::Failure;
use super::files::Target;
use super::output::{Output, count};
use super::tables::month;

const AFTER_HELP: &str = "\
Examples:
  kubermatic-telemetry fleet --archive archive --html fleet.html
  kubermatic-telemetry fleet --archive s3://bucket/prefix --since 2026-01 --until 2026-06 --html half-year.html
  kubermatic-telemetry fleet --archive archive --html - | ssh HOST 'cat > fleet.html'

What fewer than five installations have is never shown by itself, nor can it be told from what is shown; the page says how,
and docs/analysis.md says more. For questions of your own ask the tables: `tables --help`.";

/// Write a page about all installations together: Kubermatic's side.
///
/// One HTML file that needs no script and fetches nothing, with charts and their numbers in tables: installations and
/// clusters over time, providers, versions and how fast they are adopted, features in use, operating systems, countries.
/// It is computed from the archive's tables, which accepting bundles writes, from the newest complete record of each
/// installation and month. No id or pseudonym is on it, and nothing that fewer than five installations have.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The archive: a directory, or `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`. Credentials come
    /// from the environment.
    #[arg(long, value_name = "URL")]
    archive: String,
    /// Where to write the page; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
    /// Begin with this month [default: the first that there are records of, ten years back at most].
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    since: Option<String>,
    /// End with this month [default: the present one, in UTC]; what records claim to be of later is left out.
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    until: Option<String>,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

pub fn run(args: &Args, output: &Output) -> Done {
    // As `2026-01-31T12:00:00Z` begins.
    let now = System.now_text();
    let until = args.until.as_deref().or_else(|| now.get(..7)).unwrap_or_default();
    let since = args.since.as_deref();
    if since.is_some_and(|since| since > until) {
        return Err(Failure::usage(format!("the months end with {until}, before they begin"))
            .hint("give --since a month that is not after that of --until"));
    }
    let target = target(args)?;
    let runtime = runtime()?;
    let archive = Archive::open_existing(&args.archive, runtime.handle().clone())?;
    let mut progress = output.progress("computing");
    let fleet = fleet::fleet(&archive, since, until, &mut |done, total| progress.update(done, total));
    drop(progress);
    let fleet = fleet?;
    // It is no longer than what may be told, whatever there is in the archive.
    let mut page = Vec::new();
    let origin = concat!("Made by kubermatic-telemetry ", env!("CARGO_PKG_VERSION"), " from the tables of an archive.");
    pages::fleet::write(&mut page, &fleet, since, until, origin)?;
    target.write(page.as_slice())?;
    let (months, bytes) = (fleet.months.len(), page.len());
    if fleet.is_too_small {
        output.note("fewer than five installations sent records: the page shows nothing");
    } else {
        output.note(&format!("fleet: {}, {bytes} bytes in {}", count(months, "month"), target.name()));
    }
    if output.is_json() && !matches!(target, Target::Stdout) {
        output.document(&json!({ "months": months, "bytes": bytes, "tooFew": fleet.is_too_small }))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn target(args: &Args) -> Result<Target, Failure> {
    Target::new(&args.html, args.force, "a page").map_err(|failure| {
        let is_terminal = failure.code == 2;
        if is_terminal {
            failure.hint("write it to a file with --html FILE, or send stdout elsewhere")
        } else {
            failure
        }
    })
}

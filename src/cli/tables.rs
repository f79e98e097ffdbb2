//! `tables`: list, make again, compact and export the tables of an archive.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use kubermatic_telemetry::clock::{Environment as _, System};
use kubermatic_telemetry::ingest::archive::Archive;
use kubermatic_telemetry::store::durable::{self, Access};
use kubermatic_telemetry::tables::{self, Format, Kinds, TABLES, Table, TablesError};

use super::Done;
use super::archive::runtime;
use super::failure::Failure;
use super::files::Target;
use super::output::{Output, count};

const AFTER_HELP: &str = "\
Engines read the tables as they lie, every record exactly once:
  duckdb -c \"SELECT provider, count(*) FROM 'archive/tables/clusters/**/*.parquet' GROUP BY provider\"

Where there are years of small files, finished months read faster from one file each:
  kubermatic-telemetry tables compact --archive archive
  duckdb -c \"SELECT month, count(*) FROM 'archive/compacted/clusters/**/*.parquet' GROUP BY month\"

Without an engine:
  kubermatic-telemetry tables export --archive archive --table clusters -o clusters.csv

docs/analysis.md has the data model and questions with their answers.";

/// List, make again, compact and export the tables for analysis: Kubermatic's side.
///
/// Accepting a bundle writes a row for each record and entity in it into the archive, as Parquet, below
/// tables/<table>/month=YYYY-MM/. A month is one of the record's time, in UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(ListArgs),
    Rebuild(ArchiveArg),
    Compact(CompactArgs),
    Export(ExportArgs),
    Features(FeaturesArgs),
}

/// Show which tables there are, and their columns.
#[derive(Debug, clap::Args)]
struct ListArgs {}

/// Make every table again from the archived bundles.
///
/// For columns and kinds that an older release did not know, and for bundles that were accepted before there were
/// tables. Servers and readers may go on meanwhile; whoever is interrupted starts again. Run `compact` afterwards.
#[derive(Debug, clap::Args)]
struct ArchiveArg {
    /// The archive: a directory, or `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`. Credentials come
    /// from the environment.
    #[arg(long, value_name = "URL")]
    archive: String,
}

/// Write finished months as one file a table, below compacted/.
///
/// Takes nothing away: the small files stay, so that readers of tables/ notice nothing. A month that is below compacted/
/// is there as a whole, as of the last run; run it every night, and what came late is in it as well. Months that have
/// not changed are not written again.
#[derive(Debug, clap::Args)]
struct CompactArgs {
    #[command(flatten)]
    archive: ArchiveArg,
    /// Compact the months before this one [default: the present one, in UTC].
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    before: Option<String>,
}

/// Write a table as one file, for spreadsheets and scripts.
///
/// In CSV and JSON times are RFC 3339 in UTC. In CSV the texts of a list are separated by spaces, and a text that a
/// spreadsheet would take for a formula has an apostrophe before it.
#[derive(Debug, clap::Args)]
struct ExportArgs {
    #[command(flatten)]
    archive: ArchiveArg,
    /// The table; `tables list` shows them.
    #[arg(long, value_name = "NAME", value_parser = table)]
    table: &'static Table,
    /// Only this month.
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    month: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Write one wide row for each client and month, for machine learning.
///
/// Counts and sums are those of the newest record of each kind in the month. What a client withholds is empty, not
/// nought.
#[derive(Debug, clap::Args)]
struct FeaturesArgs {
    #[command(flatten)]
    archive: ArchiveArg,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
struct OutputArgs {
    /// How to write it.
    #[arg(long, value_enum, default_value_t = As::Csv)]
    format: As,
    /// Where to; `-` is stdout.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum As {
    /// Comma-separated values with a heading.
    Csv,
    /// A JSON object a line.
    Ndjson,
    /// Parquet, in one file.
    Parquet,
}

impl From<As> for Format {
    fn from(format: As) -> Self {
        match format {
            As::Csv => Self::Csv,
            As::Ndjson => Self::Ndjson,
            As::Parquet => Self::Parquet,
        }
    }
}

fn table(name: &str) -> Result<&'static Table, String> {
    let names = || TABLES.iter().map(|table| table.name).collect::<Vec<_>>().join(", ");
    Table::named(name).ok_or_else(|| format!("there is no such table; there are {}", names()))
}

/// A month like `2026-01`.
pub(super) fn month(text: &str) -> Result<String, String> {
    let is_month = text.len() == 7 && format!("{text}-01").parse::<jiff::civil::Date>().is_ok();
    if is_month { Ok(text.to_owned()) } else { Err("a month like 2026-01 is expected".to_owned()) }
}

pub fn run(args: &Args, output: &Output) -> Done {
    match &args.verb {
        Verb::List(_) => list(output)?,
        Verb::Rebuild(args) => rebuild(args, output)?,
        Verb::Compact(args) => compact(args, output)?,
        Verb::Export(args) => export(args, output)?,
        Verb::Features(args) => features(args, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        let column = |column: &tables::Column| json!({ "name": column.name, "type": column.kind.name(), "required": column.required });
        let table = |table: &Table| {
            let columns: Vec<_> = table.columns().map(column).collect();
            json!({ "name": table.name, "row": table.about, "columns": columns })
        };
        return output.document(&TABLES.iter().map(table).collect::<Vec<_>>());
    }
    for table in &TABLES {
        output.line(&format!("{}: a row is {}", table.name, table.about))?;
        for column in table.columns() {
            output.line(&format!("  {:<30} {}", column.name, column.kind.name()))?;
        }
    }
    Ok(())
}

fn rebuild(args: &ArchiveArg, output: &Output) -> Result<(), Failure> {
    let runtime = runtime()?;
    let archive = Archive::open_existing(&args.archive, runtime.handle().clone())?;
    let mut progress = output.progress("rebuilding");
    let rebuilt = tables::rebuild(&archive, Kinds::KNOWN, &mut |done, total| progress.update(done, total));
    drop(progress);
    let rebuilt = rebuilt?;
    let what = [
        count(number(rebuilt.clients), "client"),
        count(number(rebuilt.bundles), "bundle"),
        count(number(rebuilt.files), "file"),
    ];
    output.note(&format!("rebuilt: {}", what.join(", ")));
    if output.is_json() {
        output.document(&json!({ "clients": rebuilt.clients, "bundles": rebuilt.bundles, "files": rebuilt.files }))?;
    }
    Ok(())
}

fn compact(args: &CompactArgs, output: &Output) -> Result<(), Failure> {
    let runtime = runtime()?;
    let archive = Archive::open_existing(&args.archive.archive, runtime.handle().clone())?;
    // As `2026-01-31T12:00:00Z` begins.
    let now = System.now_text();
    let before = args.before.as_deref().or_else(|| now.get(..7)).unwrap_or_default();
    let mut progress = output.progress("compacting");
    let compacted = tables::compact(&archive, before, &mut |done, total| progress.update(done, total));
    drop(progress);
    let compacted = compacted?;
    output.note(&format!(
        "compacted: {} of {} written, from {}",
        compacted.written,
        count(number(compacted.months), "monthly table"),
        count(number(compacted.files), "file")
    ));
    if output.is_json() {
        let (months, written, files) = (compacted.months, compacted.written, compacted.files);
        output.document(&json!({ "months": months, "written": written, "files": files }))?;
    }
    Ok(())
}

fn export(args: &ExportArgs, output: &Output) -> Result<(), Failure> {
    let runtime = runtime()?;
    let archive = Archive::open_existing(&args.archive.archive, runtime.handle().clone())?;
    let mut progress = output.progress("exporting");
    let mut heard = |done, total| progress.update(done, total);
    let (month, format) = (args.month.as_deref(), args.output.format.into());
    let rows = args.output.write(|out| tables::export(&archive, args.table, month, format, out, &mut heard));
    drop(progress);
    output.note(&format!("{}: {}", args.table.name, count(number(rows?), "row")));
    Ok(())
}

fn features(args: &FeaturesArgs, output: &Output) -> Result<(), Failure> {
    let runtime = runtime()?;
    let archive = Archive::open_existing(&args.archive.archive, runtime.handle().clone())?;
    let mut progress = output.progress("computing");
    let mut heard = |done, total| progress.update(done, total);
    let format = args.output.format.into();
    let rows = args.output.write(|out| tables::features(&archive, format, out, &mut heard));
    drop(progress);
    output.note(&format!("features: {}", count(number(rows?), "row")));
    Ok(())
}

fn number(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

impl OutputArgs {
    /// Lets `write` write it, to a file whole or not at all.
    fn write(&self, write: impl FnOnce(&mut (dyn Write + Send)) -> Result<u64, TablesError>) -> Result<u64, Failure> {
        let is_stdout = self.output.as_os_str() == "-";
        if is_stdout && !matches!(self.format, As::Parquet) {
            return to_stdout(write);
        }
        match Target::new(&self.output, self.force, "Parquet")? {
            Target::Stdout => to_stdout(write),
            Target::Special(path) => Ok(write(&mut durable::open_special(&path)?)?),
            Target::File { path, existing } => {
                durable::write_with(&path, Access::Public, existing, |file: &mut File| {
                    write(file).map_err(Failure::from)
                })
            }
        }
    }
}

fn to_stdout(write: impl FnOnce(&mut (dyn Write + Send)) -> Result<u64, TablesError>) -> Result<u64, Failure> {
    match write(&mut io::stdout()) {
        // A reader that has gone away is none of this program's business.
        Err(TablesError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        written => Ok(written?),
    }
}

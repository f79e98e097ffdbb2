//! The command line: what can be typed, what is printed, and which exit code comes of it.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 valid but of an
//! unknown signer, 4 no bundle was written.

mod activity;
#[cfg(feature = "ingest")]
mod archive;
#[cfg(feature = "agent")]
mod collect;
mod completions;
mod context;
mod discard;
mod export;
mod failure;
mod files;
#[cfg(all(feature = "ingest", feature = "pages"))]
mod fleet;
#[cfg(feature = "ingest")]
mod ingest;
mod init;
mod inspect;
#[cfg(any(feature = "agent", feature = "ingest"))]
mod interrupt;
#[cfg(feature = "agent")]
mod interruptible;
#[cfg(feature = "agent")]
mod kept;
mod keys;
mod observe;
mod output;
#[cfg(feature = "pages")]
mod page;
mod passphrase;
mod preview;
mod pseudonym;
mod receipt;
#[cfg(feature = "agent")]
mod schedule;
#[cfg(feature = "ingest")]
mod schema;
mod selection;
#[cfg(feature = "agent")]
mod send;
#[cfg(feature = "ingest")]
mod serve;
#[cfg(feature = "agent")]
mod source;
mod status;
#[cfg(feature = "ingest")]
mod tables;
mod terminal;
mod values;
mod verify;
mod withholding;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use kubermatic_telemetry::store::Retention;

use context::Context;
use failure::Failure;
use output::{LogFormat, Output};

/// What a verb ends with.
type Done = Result<ExitCode, Failure>;

/// The variable that says how to write to stderr.
const LOG_FORMAT: &str = "KUBERMATIC_TELEMETRY_LOG_FORMAT";

const AFTER_HELP: &str = "\
Examples:
  kubermatic-telemetry export --manifests DIR -o bundle.tar   collect from exported manifests and pack a bundle
  kubermatic-telemetry preview                                see exactly what an export would contain
  kubermatic-telemetry inspect bundle.tar                     look into a bundle before it leaves
  kubermatic-telemetry receipt receipt.tar                    tell the store what has arrived

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 valid, but of an unknown signer; 4 no bundle was written.";

/// Anonymous usage telemetry for the Kubermatic Kubernetes Platform, with or without a network.
#[derive(Debug, Parser)]
#[command(version = env!("BUILT_AS"), propagate_version = true, after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Directory of the identity and the store [default: $XDG_STATE_HOME/kubermatic-telemetry].
    #[arg(long, global = true, value_name = "DIR", env = "KUBERMATIC_TELEMETRY_STATE")]
    state: Option<PathBuf>,
    /// Directory of the identity [default: identity in the state directory].
    #[arg(long, global = true, value_name = "DIR", env = "KUBERMATIC_TELEMETRY_IDENTITY")]
    identity: Option<PathBuf>,
    /// Directory of the store [default: store in the state directory].
    #[arg(long, global = true, value_name = "DIR")]
    store: Option<PathBuf>,
    /// How many pending records the store may hold; beyond it the oldest go.
    #[arg(
        long, global = true, value_name = "NUMBER", env = "KUBERMATIC_TELEMETRY_KEEP_RECORDS",
        default_value_t = Retention::default().records as u64, hide_env_values = true,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    keep_records: u64,
    /// How many bytes of pending records the store may hold; beyond it the oldest go.
    #[arg(
        long, global = true, value_name = "BYTES", env = "KUBERMATIC_TELEMETRY_KEEP_BYTES",
        default_value_t = Retention::default().bytes, hide_env_values = true
    )]
    keep_bytes: u64,
    /// Switch telemetry on or off, whatever the environment says.
    #[arg(long, global = true, value_name = "SWITCH")]
    telemetry: Option<Switch>,
    /// Withhold categories (such as `users`) or fields (such as `clusters.cniPlugin`), as docs/data-collected.md names
    /// them; adds to what the environment and the installation withhold.
    #[arg(long, global = true, value_name = "NAME,...")]
    omit: Vec<String>,
    /// The installation's setting: a mounted `ConfigMap`'s directory, or a file with one (keys `telemetry`, `omit`).
    #[arg(long, global = true, value_name = "PATH", env = "KUBERMATIC_TELEMETRY_SETTINGS")]
    settings: Option<PathBuf>,
    /// Write metrics to a file in the text format of Prometheus, whenever the store was read or changed.
    #[arg(long, global = true, value_name = "FILE", env = "KUBERMATIC_TELEMETRY_METRICS_FILE")]
    metrics_file: Option<PathBuf>,
    /// How to write to stderr: for people, or as one JSON object a line.
    #[arg(
        long, global = true, value_name = "FORMAT", value_enum, env = LOG_FORMAT, default_value_t, hide_env_values = true
    )]
    log_format: LogFormat,
    /// Print JSON where there is output to read.
    #[arg(long, global = true)]
    json: bool,
    /// Say more on stderr; twice for details, three times for everything.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Say nothing on stderr but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Args),
    #[cfg(feature = "agent")]
    Collect(collect::Args),
    Export(export::Args),
    Preview(preview::Args),
    Verify(verify::Args),
    Inspect(inspect::Args),
    Receipt(receipt::Args),
    Discard(discard::Args),
    Status(status::Args),
    Keys(keys::Args),
    Pseudonym(pseudonym::Args),
    #[cfg(feature = "ingest")]
    Ingest(ingest::Args),
    #[cfg(feature = "agent")]
    Send(send::Args),
    #[cfg(feature = "ingest")]
    Serve(Box<serve::Args>),
    #[cfg(feature = "ingest")]
    Schema(schema::Args),
    #[cfg(feature = "ingest")]
    Tables(tables::Args),
    #[cfg(all(feature = "ingest", feature = "pages"))]
    Fleet(fleet::Args),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

/// Runs the program with these arguments.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            output::usage(&error, likely_format(&arguments));
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let format = cli.global.log_format;
    let output = Output::new(cli.global.json, cli.global.quiet || cli.verb.is_silent(), format);
    output::start_log(if output.is_quiet() { None } else { Some(cli.global.verbose) }, format);
    let (context, measured) = (Context::new(cli.global), cli.verb.is_measured());
    let done = dispatch(cli.verb, &context, &output);
    if measured {
        observe::write_metrics(&context, &output);
    }
    match done {
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.code)
        }
    }
}

/// The format of a command line that could not be parsed, as far as it can be guessed.
fn likely_format(arguments: &[OsString]) -> LogFormat {
    let said = arguments.iter().enumerate().find_map(|(index, argument)| match argument.to_str()? {
        "--log-format" => arguments.get(index + 1)?.to_str(),
        argument => argument.strip_prefix("--log-format="),
    });
    let variable = std::env::var(LOG_FORMAT).ok();
    if said.or(variable.as_deref()) == Some("json") { LogFormat::Json } else { LogFormat::Text }
}

impl Verb {
    /// Whether nothing but data may appear, on either stream.
    fn is_silent(&self) -> bool {
        matches!(self, Self::Preview(args) if args.is_report())
    }

    /// Whether it reads or changes the store in a way that monitoring should hear of.
    fn is_measured(&self) -> bool {
        #[cfg(feature = "agent")]
        if matches!(self, Self::Collect(_) | Self::Send(_)) {
            return true;
        }
        matches!(self, Self::Export(_) | Self::Receipt(_) | Self::Discard(_) | Self::Status(_))
    }
}

fn dispatch(verb: Verb, context: &Context, output: &Output) -> Done {
    match verb {
        Verb::Init(args) => init::run(&args, context, output),
        #[cfg(feature = "agent")]
        Verb::Collect(args) => collect::run(&args, context, output),
        Verb::Export(args) => export::run(&args, context, output),
        Verb::Preview(args) => preview::run(&args, context, output),
        Verb::Verify(args) => verify::run(&args, output),
        Verb::Inspect(args) => inspect::run(&args, context, output),
        Verb::Receipt(args) => receipt::run(&args, context, output),
        Verb::Discard(args) => discard::run(&args, context, output),
        Verb::Status(args) => status::run(&args, context, output),
        Verb::Keys(args) => keys::run(&args, context, output),
        Verb::Pseudonym(args) => pseudonym::run(&args, context, output),
        #[cfg(feature = "ingest")]
        Verb::Ingest(args) => ingest::run(&args, output),
        #[cfg(feature = "agent")]
        Verb::Send(args) => send::run(&args, context, output),
        #[cfg(feature = "ingest")]
        Verb::Serve(args) => serve::run(&args, output),
        #[cfg(feature = "ingest")]
        Verb::Schema(args) => schema::run(&args, output),
        #[cfg(feature = "ingest")]
        Verb::Tables(args) => tables::run(&args, output),
        #[cfg(all(feature = "ingest", feature = "pages"))]
        Verb::Fleet(args) => fleet::run(&args, output),
        Verb::Completions(args) => completions::completions(&args, output),
        Verb::Man(args) => completions::man(&args, output),
    }
}

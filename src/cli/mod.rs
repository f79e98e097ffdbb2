//! The command line: what can be typed, what is printed, and which exit code comes of it.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 valid but of an
//! unknown signer, 4 no bundle was written.

#[cfg(feature = "ingest")]
mod archive;
#[cfg(feature = "agent")]
mod collect;
mod context;
mod discard;
mod export;
mod failure;
mod files;
#[cfg(feature = "ingest")]
mod ingest;
mod init;
mod inspect;
#[cfg(any(feature = "agent", feature = "ingest"))]
mod interrupt;
#[cfg(feature = "agent")]
mod interruptible;
mod keys;
mod output;
mod passphrase;
mod preview;
mod pseudonym;
mod receipt;
#[cfg(feature = "agent")]
mod schedule;
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

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use kubermatic_telemetry::store::Retention;

use context::Context;
use failure::Failure;
use output::Output;

/// What a verb ends with.
type Done = Result<ExitCode, Failure>;

const AFTER_HELP: &str = "\
Examples:
  kubermatic-telemetry export --manifests DIR -o bundle.tar   collect from exported manifests and pack a bundle
  kubermatic-telemetry preview                                see exactly what an export would contain
  kubermatic-telemetry inspect bundle.tar                     look into a bundle before it leaves
  kubermatic-telemetry receipt receipt.tar                    tell the store what has arrived

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 valid, but of an unknown signer; 4 no bundle was written.";

/// Anonymous usage telemetry for the Kubermatic Kubernetes Platform, with or without a network.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Directory of the identity and the store [default: $XDG_STATE_HOME/kubermatic-telemetry].
    #[arg(long, global = true, value_name = "DIR", env = "KUBERMATIC_TELEMETRY_STATE")]
    state: Option<PathBuf>,
    /// Directory of the identity [default: identity in the state directory].
    #[arg(long, global = true, value_name = "DIR")]
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
    Tables(tables::Args),
}

/// Runs the program with these arguments.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // clap knows what goes to stdout (--help) and what to stderr.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new(cli.global.json, cli.global.quiet || cli.verb.is_silent());
    output::start_log(if output.is_quiet() { None } else { Some(cli.global.verbose) });
    match dispatch(cli, &output) {
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.code)
        }
    }
}

impl Verb {
    /// Whether nothing but data may appear, on either stream.
    fn is_silent(&self) -> bool {
        matches!(self, Self::Preview(args) if args.is_report())
    }
}

fn dispatch(cli: Cli, output: &Output) -> Done {
    let context = Context::new(cli.global);
    match cli.verb {
        Verb::Init(args) => init::run(&args, &context, output),
        #[cfg(feature = "agent")]
        Verb::Collect(args) => collect::run(&args, &context, output),
        Verb::Export(args) => export::run(&args, &context, output),
        Verb::Preview(args) => preview::run(&args, &context, output),
        Verb::Verify(args) => verify::run(&args, output),
        Verb::Inspect(args) => inspect::run(&args, &context, output),
        Verb::Receipt(args) => receipt::run(&args, &context, output),
        Verb::Discard(args) => discard::run(&args, &context, output),
        Verb::Status(args) => status::run(&args, &context, output),
        Verb::Keys(args) => keys::run(&args, &context, output),
        Verb::Pseudonym(args) => pseudonym::run(&args, &context, output),
        #[cfg(feature = "ingest")]
        Verb::Ingest(args) => ingest::run(&args, output),
        #[cfg(feature = "agent")]
        Verb::Send(args) => send::run(&args, &context, output),
        #[cfg(feature = "ingest")]
        Verb::Serve(args) => serve::run(&args, output),
        #[cfg(feature = "ingest")]
        Verb::Tables(args) => tables::run(&args, output),
    }
}

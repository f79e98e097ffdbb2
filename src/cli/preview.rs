//! `preview`: print exactly what an export would contain.

use std::process::ExitCode;

use clap::ValueEnum;

use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::record::document::Document;
use kubermatic_telemetry::record::withhold::{Outcome, Withholding};
use kubermatic_telemetry::record::{self, reference};
use kubermatic_telemetry::reporter;
use kubermatic_telemetry::store::StoreError;
use uuid::Uuid;

use super::Done;
use super::context::Context;
use super::failure::Failure;
use super::output::Output;
use super::selection::SelectionArgs;

/// Print exactly what an export would contain.
///
/// Prints the pending records, one a line, byte for byte as they would lie in the bundle. With --manifests DIR
/// or --kubeconfig FILE it also prints what would be collected from there, without storing it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to print the records.
    #[arg(long, value_enum, default_value_t = Format::Records)]
    format: Format,
    #[cfg(feature = "agent")]
    #[command(flatten)]
    source: super::source::SourceArgs,
    #[command(flatten)]
    selection: SelectionArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One record a line, exactly as it would be packed.
    Records,
    /// The same, indented for reading.
    Pretty,
    /// The report document of the reference client, and nothing else on either stream.
    #[value(name = "telemetry-client-v2")]
    TelemetryClientV2,
}

impl Args {
    /// Whether the output is the reference client's report.
    pub fn is_report(&self) -> bool {
        self.format == Format::TelemetryClientV2
    }
}

/// A record to be shown.
struct Shown {
    kind: String,
    bytes: Vec<u8>,
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    let telemetry = context.telemetry()?;
    let (client, records) = if telemetry.on {
        gather(args, context, output)?
    } else {
        (context.identity()?.map(|identity| identity.client()), Vec::new())
    };
    if !telemetry.on {
        output.note(&format!("telemetry is off ({}): nothing would leave", telemetry.by));
    } else if records.is_empty() {
        output.note(&format!("{}: nothing would leave", args.selection.nothing()));
    }
    if args.is_report() {
        let client = client.ok_or_else(|| {
            Failure::new("there is no identity, whose client UUID a report needs").hint("`init` makes one")
        })?;
        print_report(client, &records, context, output)?;
        return Ok(ExitCode::SUCCESS);
    }
    for record in &records {
        if !record::is_known_kind(&record.kind) {
            output.note(&format!("a record of kind {} follows, which is not checked by this program", record.kind));
        }
        match args.format {
            Format::Pretty => output.document(&serde_json::from_slice::<serde_json::Value>(&record.bytes)?)?,
            Format::Records | Format::TelemetryClientV2 => {
                output.data(&record.bytes)?;
                output.data(b"\n")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The pending records, and what would be collected.
fn gather(args: &Args, context: &Context, output: &Output) -> Result<(Option<Uuid>, Vec<Shown>), Failure> {
    let withholding = &context.withheld()?.withholding;
    let identity = context.identity()?;
    let mut shown = Vec::new();
    let store = identity.as_ref().map(|identity| context.store(identity)).transpose()?.flatten();
    if let Some(store) = &store {
        let selection = args.selection.selection(None, withholding);
        for record in reporter::select(store, &selection)? {
            match store.load(&record) {
                Ok(read) => shown.extend(left(record.envelope.kind.as_str(), read.into_bytes(), withholding)?),
                // An export will set it aside; looking changes nothing.
                Err(error @ StoreError::Damaged { .. }) => output.warning(&error.to_string(), None),
                // Looking takes no lock: a receipt came for it meanwhile.
                Err(StoreError::File(error)) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    #[cfg(feature = "agent")]
    if let Some(source) = open_source(args, withholding, output)? {
        let names = match &identity {
            Some(identity) => identity.pseudonymizer(),
            None => passing_names(context, output)?,
        };
        let mut survey = source.survey(&names, output)?;
        if let Some(store) = store.as_ref().filter(|_| !args.source.rebind()) {
            store.check_installation(survey.installation())?;
        }
        let time = context.environment().now_text();
        for collector in kubermatic_telemetry::agent::Collector::ALL {
            if let Some(document) = collector.collect(&mut survey, &time, withholding)? {
                shown.push(Shown { kind: document.envelope()?.kind.as_str().to_owned(), bytes: document.into_bytes() });
            }
        }
        // As the manifest orders them; within a kind the new one is the latest.
        shown.sort_by(|left, right| left.kind.cmp(&right.kind));
    }
    let _ = output;
    Ok((identity.map(|identity| identity.client()), shown))
}

#[cfg(feature = "agent")]
fn open_source(
    args: &Args,
    withholding: &Withholding,
    output: &Output,
) -> Result<Option<super::source::Source>, Failure> {
    let collectors = kubermatic_telemetry::agent::Collector::ALL.iter().copied();
    let collectors = super::withholding::wanted(collectors, withholding);
    if collectors.is_empty() { Ok(None) } else { args.source.open(&collectors, withholding, output) }
}

/// What an export would leave of a stored record.
fn left(kind: &str, bytes: Vec<u8>, withholding: &Withholding) -> Result<Option<Shown>, Failure> {
    let shown = |bytes| Some(Shown { kind: kind.to_owned(), bytes });
    if !withholding.touches(kind) {
        return Ok(shown(bytes));
    }
    let document = Document::parse(bytes, &Limits::default().json)?;
    Ok(match withholding.apply(kind, &document)? {
        Outcome::Untouched => shown(document.into_bytes()),
        Outcome::Reduced(document) => shown(document.into_bytes()),
        Outcome::Whole => None,
    })
}

/// Pseudonyms for this one preview, since looking must not make an identity.
#[cfg(feature = "agent")]
fn passing_names(
    context: &Context,
    output: &Output,
) -> Result<kubermatic_telemetry::pseudonym::Pseudonymizer, Failure> {
    output.note("there is no identity yet: the pseudonyms below are made up for this preview only");
    let mut key = [0; 32];
    context.environment().random(&mut key)?;
    Ok(kubermatic_telemetry::pseudonym::Pseudonymizer::new(key))
}

/// The newest record of each kind, as the reference client sends them.
fn print_report(client: Uuid, records: &[Shown], context: &Context, output: &Output) -> Result<(), Failure> {
    let newest = [record::kubernetes::KIND, record::kubermatic::KIND]
        .into_iter()
        .filter_map(|kind| records.iter().rev().find(|record| record.kind == kind));
    let newest = newest.map(|record| serde_json::from_slice(&record.bytes)).collect::<Result<Vec<_>, _>>()?;
    let report = reference::report(client, &context.environment().now_text(), &newest);
    output.line(&serde_json::to_string(&report)?)
}

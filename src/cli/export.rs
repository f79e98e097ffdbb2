//! `export`: pack pending records into a signed bundle and write it out.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::identity::{Identity, Signer};
use kubermatic_telemetry::keys::Passphrase;
use kubermatic_telemetry::reporter;
use kubermatic_telemetry::store::{Export, LockedStore, Store};

use super::Done;
use super::context::Context;
use super::failure::Failure;
use super::files::Target;
use super::output::{Output, bytes, count, escaped};
use super::passphrase::PassphraseArgs;
use super::selection::SelectionArgs;

/// No bundle was written, which is no failure.
const NO_BUNDLE: u8 = 4;

/// What says how to make a bundle says nothing about one that was made.
#[cfg(feature = "agent")]
const AGAIN_CONFLICTS: [&str; 5] = ["new", "note", "rejected", "manifests", "kubeconfig"];
#[cfg(not(feature = "agent"))]
const AGAIN_CONFLICTS: [&str; 3] = ["new", "note", "rejected"];

/// Pack pending records into a signed bundle.
///
/// Packs everything that is pending, that is, not acknowledged by a receipt. Exporting again is harmless: ingest
/// recognises what it has. Exit code 4 says that no bundle was written, because nothing is pending or telemetry is off.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write the bundle; `-` is stdout, never a terminal.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[cfg(feature = "agent")]
    #[command(flatten)]
    source: super::source::SourceArgs,
    /// A note that goes with the bundle, such as the number of an approval; at most 1 KiB.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Write the bundle of an earlier export again, the same bytes.
    #[arg(long, value_name = "SEQUENCE", conflicts_with_all = AGAIN_CONFLICTS)]
    again: Option<u64>,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// What a bundle is made of. The passphrase is there if the signing key takes one.
struct Prepared {
    identity: Identity,
    passphrase: Option<Passphrase>,
    store: LockedStore,
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    let telemetry = context.telemetry()?;
    if !telemetry.on {
        output.note(&format!("telemetry is off ({}): no bundle was written", telemetry.by.as_str()));
        return Ok(ExitCode::from(NO_BUNDLE));
    }
    if output.is_json() && args.output.as_os_str() == "-" {
        return Err(Failure::usage("--json and -o - both want stdout").hint("write the bundle to a file with -o FILE"));
    }
    let target = Target::new(&args.output, args.force, "a bundle")?;
    let limits = Limits::default();
    if args.note.as_ref().is_some_and(|note| note.len() > limits.text_bytes) {
        return Err(Failure::usage(format!("the note is longer than {} bytes", limits.text_bytes)));
    }
    let Some(prepared) = prepare(args, context, output)? else {
        output.note("nothing is pending: no bundle was written");
        return Ok(ExitCode::from(NO_BUNDLE));
    };
    let sequence = match args.again {
        Some(sequence) => Some(sequence),
        None => pack(args, &prepared, &limits, context, output)?.map(|export| export.sequence),
    };
    let Prepared { identity, store, .. } = prepared;
    let Some(sequence) = sequence else {
        output.note(&format!("{}: no bundle was written", args.selection.nothing()));
        return Ok(ExitCode::from(NO_BUNDLE));
    };
    let (export, file) = reporter::open_bundle(&store, sequence)?;
    // Whoever reads the bundle may be slow; collectors must not wait for them.
    drop(store);
    write(&target, file, &export)?;
    let noted = context.locked_store(&identity).and_then(|store| Ok(store.delivered(&export)?));
    if let Err(failure) = noted {
        // The bundle is out; without the note its records only count as new once more.
        output.warning(&format!("the store could not note that the bundle was written: {}", failure.message()), None);
    }
    report(&target, &export, output)?;
    Ok(ExitCode::SUCCESS)
}

/// Collects first if that was asked for. Nothing where there is no store, hence nothing pending.
fn prepare(args: &Args, context: &Context, output: &Output) -> Result<Option<Prepared>, Failure> {
    #[cfg(feature = "agent")]
    {
        use kubermatic_telemetry::agent::Collector;

        let collectors = Collector::ALL.iter().copied().collect();
        if args.again.is_none()
            && let Some(source) = args.source.open(&collectors, output)?
        {
            let identity = context.identity_or_new(output)?;
            // Before anything takes long, and before others have to wait for the store.
            let passphrase = args.passphrase.of_identity(&identity)?;
            let survey = source.survey(&identity.pseudonymizer(), output)?;
            let mut store = context.locked_store(&identity)?;
            super::collect::put_collected(survey, &collectors, args.source.rebind(), &mut store, context, output)?;
            return Ok(Some(Prepared { identity, passphrase, store }));
        }
    }
    let _ = (args, output);
    let Some(identity) = context.identity()? else { return Ok(None) };
    let Some(store) = context.store(&identity)? else { return Ok(None) };
    // Nobody is asked for what is not needed.
    let signs = args.again.is_none() && !reporter::select(&store, &args.selection.selection(None))?.is_empty();
    let passphrase = if signs { args.passphrase.of_identity(&identity)? } else { None };
    Ok(Some(Prepared { identity, passphrase, store: Store::lock(store)? }))
}

fn pack(
    args: &Args,
    prepared: &Prepared,
    limits: &Limits,
    context: &Context,
    output: &Output,
) -> Result<Option<Export>, Failure> {
    let Prepared { identity, passphrase, store } = prepared;
    let selection = args.selection.selection(args.note.clone());
    if reporter::select(store, &selection)?.is_empty() {
        return Ok(None);
    }
    let signer = Signer::open(identity, passphrase.as_ref())?;
    let mut progress = output.progress("packing");
    let mut heard = |done, total| progress.update(done, total);
    let packed = reporter::export(store, &signer, &selection, limits, context.environment(), &mut heard)?;
    Ok(packed.map(|(export, _)| export))
}

fn write(target: &Target, file: File, export: &Export) -> Result<(), Failure> {
    target.write(file).map_err(|failure| {
        failure.hint(format!(
            "the bundle is safe in the store; write it somewhere else with: export --again {} -o FILE",
            export.sequence
        ))
    })
}

fn report(target: &Target, export: &Export, output: &Output) -> Result<(), Failure> {
    let mut kinds = BTreeMap::<_, usize>::new();
    for record in &export.records {
        *kinds.entry(record.kind.as_str()).or_default() += 1;
    }
    if output.is_json() {
        return output.document(&json!({
            "file": target.name(),
            "size": export.size,
            "sha256": export.sha256,
            "sequence": export.sequence,
            "bundle": export.bundle,
            "manifestSha256": export.manifest_sha256,
            "created": export.created,
            "note": export.note,
            "withheld": export.withheld,
            "records": kinds,
        }));
    }
    let kinds: Vec<_> = kinds.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
    let withheld = if export.withheld.is_empty() { "nothing".to_owned() } else { export.withheld.join(", ") };
    output.note(&format!("wrote    {}: {}", target.name(), bytes(export.size)));
    output.note(&format!("sha256   {}", export.sha256));
    output.note(&format!("sequence {}", export.sequence));
    output.note(&format!("records  {} ({})", count(export.records.len(), "record"), kinds.join(", ")));
    if let Some(note) = &export.note {
        output.note(&format!("note     {}", escaped(note)));
    }
    output.note(&format!("withheld {withheld}"));
    Ok(())
}

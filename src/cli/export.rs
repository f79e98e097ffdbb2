//! `export`: pack pending records into a signed bundle and write it out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::identity::{Identity, Signer};
use kubermatic_telemetry::keys::Passphrase;
use kubermatic_telemetry::reporter::{self, split};
use kubermatic_telemetry::setting::Withheld;
use kubermatic_telemetry::store::{Export, LockedStore, Store, durable};

use super::Done;
use super::context::Context;
use super::failure::Failure;
use super::files::{LimitArgs, Target};
use super::output::{Output, bytes, count, escaped};
use super::passphrase::PassphraseArgs;
use super::selection::SelectionArgs;
use super::values::size;
use super::withholding;

/// No bundle was written, which is no failure.
const NO_BUNDLE: u8 = 4;

/// What says how to make a bundle says nothing about one that was made.
#[cfg(feature = "agent")]
const AGAIN_CONFLICTS: [&str; 6] = ["max_size", "new", "note", "rejected", "manifests", "kubeconfig"];
#[cfg(not(feature = "agent"))]
const AGAIN_CONFLICTS: [&str; 4] = ["max_size", "new", "note", "rejected"];

/// Pack pending records into a signed bundle.
///
/// Packs everything that is pending, that is, not acknowledged by a receipt. Exporting again is harmless: ingest
/// recognises what it has. Exit code 4 says that no bundle was written, because nothing is pending or telemetry is off.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write the bundle; `-` is stdout, never a terminal. In a directory (`DIR/`) it gets the name
    /// <client>-<store>-<sequence>.tar.
    #[arg(short, long, value_name = "FILE|DIR/")]
    output: PathBuf,
    /// Write several bundles into the directory of -o, cut by time, none larger than this: `20MB`, `10MiB`, bytes.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
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
    limits: LimitArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// What a bundle is made of. The passphrase is there if the signing key takes one.
struct Prepared {
    withheld: Withheld,
    identity: Identity,
    passphrase: Option<Passphrase>,
    store: LockedStore,
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    let telemetry = context.telemetry()?;
    if !telemetry.on {
        output.note(&format!("telemetry is off ({}): no bundle was written", telemetry.by));
        return Ok(ExitCode::from(NO_BUNDLE));
    }
    if output.is_json() && args.output.as_os_str() == "-" {
        return Err(Failure::usage("--json and -o - both want stdout").hint("write the bundle to a file with -o FILE"));
    }
    let destination = Destination::new(args)?;
    let mut limits = args.limits.limits();
    limits.bundle_bytes = args.max_size.map_or(limits.bundle_bytes, |most| most.min(limits.bundle_bytes));
    if args.note.as_ref().is_some_and(|note| note.len() as u64 > limits.text_bytes) {
        return Err(Failure::usage(format!("the note is longer than {} bytes", limits.text_bytes)));
    }
    let withheld = context.withheld()?;
    let Some(prepared) = prepare(args, withheld, context, output)? else {
        output.note("nothing is pending: no bundle was written");
        return Ok(ExitCode::from(NO_BUNDLE));
    };
    let Prepared { withheld, identity, passphrase, mut store } = prepared;
    withholding::apply(&mut store, &withheld, context, output)?;
    let way = Way { destination, withheld, identity, passphrase, context, output };
    let reports = match (args.again, args.max_size) {
        (Some(sequence), _) => vec![way.deliver(store, sequence)?],
        (None, None) => match way.pack(args, &store, &limits)? {
            Some(export) => vec![way.deliver(store, export.sequence)?],
            None => Vec::new(),
        },
        (None, Some(_)) => way.several(args, store, &limits)?,
    };
    if reports.is_empty() {
        output.note(&format!("{}: no bundle was written", args.selection.nothing()));
        return Ok(ExitCode::from(NO_BUNDLE));
    }
    if output.is_json() {
        match reports.as_slice() {
            [only] if args.max_size.is_none() => output.document(only)?,
            several => output.document(&several)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where bundles go.
enum Destination {
    One(Target),
    /// A directory, in which each bundle has a name of its own.
    Directory {
        path: PathBuf,
        force: bool,
    },
}

impl Destination {
    /// Checks the place before any work is done for it.
    fn new(args: &Args) -> Result<Self, Failure> {
        let has_slash = args.output.as_os_str().as_encoded_bytes().ends_with(b"/");
        // The same without a slash at its end.
        let path = args.output.components().as_path();
        let is_directory = has_slash || path.is_dir();
        if is_directory {
            // It is made when there is something to put into it.
            let parent = durable::parent(path);
            if path.is_file() {
                return Err(Failure::new(format!("{} is a file", path.display())).hint("name a directory"));
            }
            if !path.is_dir() && !parent.is_dir() {
                return Err(Failure::new(format!("the directory {} does not exist", parent.display())));
            }
            return Ok(Self::Directory { path: path.to_owned(), force: args.force });
        }
        if args.max_size.is_some() {
            return Err(Failure::usage("--max-size may write several bundles, which need a directory")
                .hint("name one, with a slash at its end: -o bundles/"));
        }
        Target::new(path, args.force, "a bundle").map(Self::One)
    }
}

/// The way of a committed bundle out of the store.
struct Way<'a> {
    destination: Destination,
    withheld: Withheld,
    identity: Identity,
    passphrase: Option<Passphrase>,
    context: &'a Context,
    output: &'a Output,
}

impl Way<'_> {
    /// Packs everything into one bundle and commits it.
    fn pack(&self, args: &Args, store: &LockedStore, limits: &Limits) -> Result<Option<Export>, Failure> {
        let selection = args.selection.selection(args.note.clone(), &self.withheld.withholding);
        if reporter::select(store, &selection)?.is_empty() {
            return Ok(None);
        }
        let signer = self.signer()?;
        let mut progress = self.output.progress("packing");
        let mut heard = |done, total| progress.update(done, total);
        let packed = reporter::export(store, &signer, &selection, limits, self.context.environment(), &mut heard)?;
        Ok(packed.map(|(export, _)| export))
    }

    /// Exports in several bundles; all are planned before the first is committed.
    fn several(&self, args: &Args, store: LockedStore, limits: &Limits) -> Result<Vec<Value>, Failure> {
        let environment = self.context.environment();
        let selection = args.selection.selection(args.note.clone(), &self.withheld.withholding);
        if reporter::select(&store, &selection)?.is_empty() {
            return Ok(Vec::new());
        }
        let signer = self.signer()?;
        let mut progress = self.output.progress("planning");
        let mut heard = |done, total| progress.update(done, total);
        let plan = split::plan(&store, &signer, &selection, limits, environment, &mut heard)?;
        drop(progress);
        let (mut reports, mut held) = (Vec::new(), Some(store));
        for part in 0..plan.as_ref().map_or(0, split::Plan::bundles) {
            let store = held.take().map_or_else(|| self.context.locked_store(&self.identity), Ok)?;
            let Some(plan) = &plan else { break };
            if let Some((export, _)) = split::export(&store, &signer, plan, part, limits, environment)? {
                reports.push(self.deliver(store, export.sequence)?);
            }
        }
        if reports.len() > 1 {
            self.output.note(&format!("wrote {}", count(reports.len(), "bundle")));
        }
        Ok(reports)
    }

    fn signer(&self) -> Result<Signer, Failure> {
        Ok(Signer::open(&self.identity, self.passphrase.as_ref())?)
    }

    /// Writes a committed bundle out, notes that, and tells a person. Returns what `--json` says of it.
    fn deliver(&self, store: LockedStore, sequence: u64) -> Result<Value, Failure> {
        let (export, file) = reporter::open_bundle(&store, sequence, &self.withheld.withholding)?;
        let target = match &self.destination {
            Destination::One(target) => target,
            Destination::Directory { path, force } => {
                durable::create_directory(path).map_err(|error| again(error.into(), sequence))?;
                let name = format!("{}-{}-{sequence}.tar", self.identity.client(), store.id());
                &Target::new(&path.join(name), *force, "a bundle").map_err(|failure| again(failure, sequence))?
            }
        };
        // Whoever reads the bundle may be slow; collectors must not wait for them.
        drop(store);
        target.write(file).map_err(|failure| again(failure, sequence))?;
        let noted = self.context.locked_store(&self.identity).and_then(|store| Ok(store.delivered(&export)?));
        if let Err(failure) = noted {
            // The bundle is out; without the note its records only count as new once more.
            let message = format!("the store could not note that the bundle was written: {}", failure.message());
            self.output.warning(&message, None);
        }
        tell(target, &export, self.output);
        Ok(described(target, &export))
    }
}

/// Collects first if that was asked for. Nothing where there is no store, hence nothing pending.
fn prepare(args: &Args, withheld: Withheld, context: &Context, output: &Output) -> Result<Option<Prepared>, Failure> {
    #[cfg(feature = "agent")]
    {
        use kubermatic_telemetry::agent::Collector;

        let collectors = withholding::wanted(Collector::ALL.iter().copied(), &withheld.withholding);
        if args.again.is_none()
            && !collectors.is_empty()
            && let Some(source) = args.source.open(&collectors, &withheld.withholding, output)?
        {
            let identity = context.identity_or_new(output)?;
            // Before anything takes long, and before others have to wait for the store.
            let passphrase = args.passphrase.of_identity(&identity)?;
            let survey = source.survey(&identity.pseudonymizer(), output)?;
            let mut store = context.locked_store(&identity)?;
            let (rebind, withholding) = (args.source.rebind(), &withheld.withholding);
            super::collect::put_collected(survey, &collectors, rebind, withholding, &mut store, context, output)?;
            return Ok(Some(Prepared { withheld, identity, passphrase, store }));
        }
    }
    let _ = (args, output);
    let Some(identity) = context.identity()? else { return Ok(None) };
    let Some(store) = context.store(&identity)? else { return Ok(None) };
    // Nobody is asked for what is not needed.
    let signs = args.again.is_none()
        && !reporter::select(&store, &args.selection.selection(None, &withheld.withholding))?.is_empty();
    let passphrase = if signs { args.passphrase.of_identity(&identity)? } else { None };
    Ok(Some(Prepared { withheld, identity, passphrase, store: Store::lock(store)? }))
}

fn again(failure: Failure, sequence: u64) -> Failure {
    failure.hint(format!(
        "the bundle is safe in the store; write it somewhere else with: export --again {sequence} -o FILE"
    ))
}

fn kinds(export: &Export) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for record in &export.records {
        *kinds.entry(record.kind.as_str()).or_default() += 1;
    }
    kinds
}

/// What `--json` says of a bundle.
fn described(target: &Target, export: &Export) -> Value {
    json!({
        "file": target.name(),
        "size": export.size,
        "sha256": export.sha256,
        "sequence": export.sequence,
        "bundle": export.bundle,
        "manifestSha256": export.manifest_sha256,
        "created": export.created,
        "note": export.note,
        "withheld": export.withheld,
        "records": kinds(export),
    })
}

/// Tells a person what was written; with `--json` only the document does.
fn tell(target: &Target, export: &Export, output: &Output) {
    if output.is_json() {
        return;
    }
    let kinds: Vec<_> = kinds(export).iter().map(|(kind, number)| format!("{number} {kind}")).collect();
    let withheld = if export.withheld.is_empty() { "nothing".to_owned() } else { export.withheld.join(", ") };
    output.note(&format!("wrote    {}: {}", target.name(), bytes(export.size)));
    output.note(&format!("sha256   {}", export.sha256));
    output.note(&format!("sequence {}", export.sequence));
    output.note(&format!("records  {} ({})", count(export.records.len(), "record"), kinds.join(", ")));
    if let Some(note) = &export.note {
        output.note(&format!("note     {}", escaped(note)));
    }
    output.note(&format!("withheld {withheld}"));
}

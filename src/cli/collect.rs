//! `collect`: run collectors into the store, or take a finished record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;

use kubermatic_telemetry::agent::{Collector, Survey};
use kubermatic_telemetry::bundle::{Limits, pack};
use kubermatic_telemetry::record::document::Document;
use kubermatic_telemetry::record::envelope::Kind;
use kubermatic_telemetry::record::withhold::{Withholding, withheld_from};
use kubermatic_telemetry::record::{self, foreign};
use kubermatic_telemetry::store::activity::{Activity, Attempt};
use kubermatic_telemetry::store::{LockedStore, StoredRecord};

use super::context::{Context, shown};
use super::failure::Failure;
use super::files::read_input;
use super::output::{Output, count};
use super::source::SourceArgs;
use super::values::{Addresses, addresses, duration};
use super::{Done, interrupt, observe, schedule, withholding};

/// Collect records into the store.
///
/// Reads an installation and stores one record of each kind. It is found by --kubeconfig FILE, else by $KUBECONFIG, else
/// from within a pod by its service account; docs/permissions.md has the rules that the agent needs. --manifests DIR reads
/// what was exported with kubectl (docs/air-gap.md has the commands), and --record FILE takes a finished record of another
/// product.
///
/// What can't be read is missing from the record, which says so, and everything else goes on; --strict makes that exit
/// with 1, after the record was stored. Where nothing can be read at all it fails, unless --tolerate is given.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The collectors to run.
    #[arg(value_enum, default_values = ["kubermatic", "kubernetes"], hide_default_value = true)]
    collectors: Vec<CollectorName>,
    /// Exit with 1 if a record is incomplete, after it was stored.
    #[arg(long)]
    strict: bool,
    /// Exit with 0 also if collecting fails, which stderr, `status` and metrics tell; for a pod whose reporter is to send
    /// in any case what is there.
    #[arg(long, conflicts_with_all = ["strict", "every"])]
    tolerate: bool,
    /// Stay, and collect once in this time; after a restart, when the newest record is that old.
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with_all = ["manifests", "record", "strict"])]
    every: Option<Duration>,
    /// Wait up to this much longer, by chance, so that not everybody collects at once [default: a 24th of --every].
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "every")]
    splay: Option<Duration>,
    /// Answer requests for /metrics and /healthz meanwhile; `:8080` is that port of every address.
    #[arg(long, value_name = "ADDRESS", value_parser = addresses, requires = "every")]
    metrics_listen: Option<Addresses>,
    #[command(flatten)]
    source: SourceArgs,
    /// Take a finished record of another product, as JSON; `-` is stdin.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["manifests", "kubeconfig", "collectors", "rebind"])]
    record: Option<PathBuf>,
    /// Allow a kind of record that this program does not know; may be given several times.
    #[arg(long, value_name = "KIND", requires = "record")]
    allow_kind: Vec<Kind>,
}

/// A collector as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CollectorName {
    /// Seeds, user clusters, users, projects, SSH keys, machine deployments.
    Kubermatic,
    /// Nodes.
    Kubernetes,
}

impl From<CollectorName> for Collector {
    fn from(name: CollectorName) -> Self {
        match name {
            CollectorName::Kubermatic => Self::Kubermatic,
            CollectorName::Kubernetes => Self::Kubernetes,
        }
    }
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    if let Some(every) = args.every {
        if let Some(addresses) = &args.metrics_listen {
            observe::listen(&addresses.0, context, output)?;
        }
        return schedule::stay(every, args.splay, context, output, || {
            let done = once(args, context, output);
            observe::write_metrics(context, output);
            done
        });
    }
    match once(args, context, output) {
        Err(failure) if args.tolerate && failure.code != 2 => {
            output.failure(&failure);
            output.note("nothing was collected, which --tolerate allows: what is in the store already can be sent");
            Ok(ExitCode::SUCCESS)
        }
        done => done,
    }
}

fn once(args: &Args, context: &Context, output: &Output) -> Done {
    let telemetry = context.telemetry()?;
    if !telemetry.on {
        output.note(&format!("telemetry is off ({}): nothing was collected", telemetry.by));
        return Ok(ExitCode::SUCCESS);
    }
    let stored = if let Some(file) = &args.record {
        vec![take_record(file, &args.allow_kind, context, output)?]
    } else {
        collect(args, context, output).inspect_err(|failure| {
            // A person sees the exit code, and what is wrong writes nothing then. Being asked to stop is no failure.
            if (args.tolerate || args.every.is_some()) && !interrupt::was_asked() {
                let activities: Vec<_> = collectors(args).into_iter().map(activity).collect();
                observe::note_failure(&activities, failure, context, output);
            }
        })?
    };
    if output.is_json() {
        let rows: Vec<_> = stored.iter().map(stored_json).collect();
        output.document(&json!({ "stored": rows }))?;
    }
    if args.strict && stored.iter().any(|record| !record.envelope.complete) {
        return Err(Failure::new("a record is incomplete, which --strict does not allow; it was stored all the same")
            .hint("`preview --format pretty` shows its problems"));
    }
    Ok(ExitCode::SUCCESS)
}

fn collectors(args: &Args) -> BTreeSet<Collector> {
    args.collectors.iter().copied().map(Collector::from).collect()
}

fn activity(collector: Collector) -> Activity {
    Activity::Collect(match collector {
        Collector::Kubermatic => record::kubermatic::KIND,
        Collector::Kubernetes => record::kubernetes::KIND,
    })
}

fn collect(args: &Args, context: &Context, output: &Output) -> Result<Vec<StoredRecord>, Failure> {
    let withholding = &context.withheld()?.withholding;
    let collectors = withholding::wanted(collectors(args).into_iter(), withholding);
    if collectors.is_empty() {
        output.note("what was to be collected is withheld: nothing was collected");
        return Ok(Vec::new());
    }
    let source = args.source.open_or_find(&collectors, withholding, output)?;
    let identity = context.identity_or_new(output)?;
    let survey = source.survey(&identity.pseudonymizer(), output)?;
    let mut store = context.locked_store(&identity)?;
    put_collected(survey, &collectors, args.source.rebind(), withholding, &mut store, context, output)
}

fn stored_json(record: &StoredRecord) -> serde_json::Value {
    json!({
        "id": record.id,
        "kind": record.envelope.kind,
        "version": record.envelope.version,
        "time": record.envelope.time,
        "complete": record.envelope.complete,
        "size": record.size,
        "sha256": record.sha256,
    })
}

/// Makes the records and stores them, in the store of this installation only.
pub fn put_collected(
    mut survey: Survey,
    collectors: &BTreeSet<Collector>,
    rebind: bool,
    withholding: &Withholding,
    store: &mut LockedStore,
    context: &Context,
    output: &Output,
) -> Result<Vec<StoredRecord>, Failure> {
    if rebind {
        store.rebind(survey.installation())?;
        output.note("the store now belongs to this installation; what is pending of another one stays in it");
    } else {
        store.bind(survey.installation())?;
    }
    if survey.installation().is_empty() {
        output.warning(
            "it can't be told which installation this is: the KubermaticConfiguration has no UID",
            Some("export it as kubectl prints it, with its metadata; the agent may also get the namespace kube-system"),
        );
    }
    let time = context.environment().now_text();
    let mut stored = Vec::new();
    for collector in collectors {
        if let Some(document) = collector.collect(&mut survey, &time, withholding)? {
            stored.push(put(&document, store, context, output)?);
            let complete = document.envelope()?.complete;
            let problems = record::problem::by_category(document.bytes());
            let attempt = Attempt { complete, problems, ..observe::succeeded(context) };
            observe::note(store, activity(*collector), attempt, output);
        }
    }
    retain(store, context, output)?;
    Ok(stored)
}

/// Keeps the store within its bounds, and tells of what had to go.
fn retain(store: &mut LockedStore, context: &Context, output: &Output) -> Result<(), Failure> {
    let dropped = store.retain(&context.retention())?;
    if let (Some(oldest), Some(newest)) = (dropped.first(), dropped.last()) {
        output.warning(
            &format!(
                "dropped {} that were never acknowledged, of {} to {}, since the store may hold no more",
                count(dropped.len(), "record"),
                oldest.envelope.time.as_str(),
                newest.envelope.time.as_str()
            ),
            Some("export them in time, or raise --keep-records or --keep-bytes"),
        );
    }
    Ok(())
}

fn put(document: &Document, store: &LockedStore, context: &Context, output: &Output) -> Result<StoredRecord, Failure> {
    pack::check_alone(document, &Limits::default())?;
    let record = store.put(document.envelope()?, document.bytes(), context.environment())?;
    let withheld = withheld_from(record.envelope.kind.as_str(), document);
    let withheld = if withheld.is_empty() { String::new() } else { format!("; withheld: {}", withheld.join(", ")) };
    output.note(&format!("collected {}: {}{withheld}", record.envelope.kind, summary(document)));
    Ok(record)
}

/// `clusters 19, seeds 3; incomplete: 12 problems`.
fn summary(document: &Document) -> String {
    let counts: BTreeMap<_, _> = document.counts().into_iter().collect();
    let problems = counts.get("problems").copied().unwrap_or(0);
    let rows = counts
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "problems" | "withheld"))
        .map(|(name, number)| format!("{name} {number}"));
    let rows = rows.collect::<Vec<_>>().join(", ");
    if problems == 0 {
        return format!("{rows}; complete");
    }
    let problems = count(usize::try_from(problems).unwrap_or(usize::MAX), "problem");
    format!("{rows}; incomplete: {problems} (`preview` shows them)")
}

/// Takes a finished record of another product.
fn take_record(file: &Path, allowed: &[Kind], context: &Context, output: &Output) -> Result<StoredRecord, Failure> {
    let limits = Limits::default();
    let named = |failure: Failure| failure.context(shown(file));
    let text = read_input(file, limits.record_bytes)?;
    let parsed = foreign::parse(&text, allowed, &limits.json);
    let (document, envelope) = parsed.map_err(|error| named(error.into()))?;
    pack::check_alone(&document, &limits).map_err(|error| named(error.into()))?;
    let identity = context.identity_or_new(output)?;
    let mut store = context.locked_store(&identity)?;
    let record = store.put(envelope, document.bytes(), context.environment())?;
    retain(&mut store, context, output)?;
    output.note(&format!("stored a record of kind {}; its contents are not checked", record.envelope.kind));
    Ok(record)
}

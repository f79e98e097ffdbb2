//! `collect`: run collectors into the store, or take a finished record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use kubermatic_telemetry::agent::Collector;
use kubermatic_telemetry::agent::manifests::{self, DEFAULT_FILE_LIMIT, Installation};
use kubermatic_telemetry::bundle::{Limits, pack};
use kubermatic_telemetry::identity::Identity;
use kubermatic_telemetry::record::document::Document;
use kubermatic_telemetry::record::envelope::Kind;
use kubermatic_telemetry::record::foreign;
use kubermatic_telemetry::store::{LockedStore, StoredRecord};

use super::Done;
use super::context::{Context, shown};
use super::failure::Failure;
use super::files::read_input;
use super::output::{Output, count};

/// Collect records into the store.
///
/// Reads an installation and stores one record of each kind. Give --manifests DIR (docs/air-gap.md has the kubectl
/// commands that fill such a directory), or hand a finished record of another product in with --record FILE.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The collectors to run.
    #[arg(value_enum, default_values = ["kubermatic", "kubernetes"], hide_default_value = true)]
    collectors: Vec<CollectorName>,
    #[command(flatten)]
    source: ManifestArgs,
    /// Take a finished record of another product, as JSON; `-` is stdin.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["manifests", "collectors"])]
    record: Option<PathBuf>,
    /// Allow a kind of record that this program does not know; may be given several times.
    #[arg(long, value_name = "KIND", requires = "record")]
    allow_kind: Vec<Kind>,
}

/// The manifest source, which several verbs can read.
#[derive(Debug, clap::Args)]
pub struct ManifestArgs {
    /// Read exported manifests (YAML or JSON) instead of a cluster.
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// The largest manifest file, in bytes after decompression.
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_FILE_LIMIT)]
    pub max_file_size: u64,
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
    let telemetry = context.telemetry()?;
    if !telemetry.on {
        output.note(&format!("telemetry is off ({}): nothing was collected", telemetry.by.as_str()));
        return Ok(ExitCode::SUCCESS);
    }
    let stored = match (&args.source.manifests, &args.record) {
        (Some(directory), _) => {
            let installation = read(directory, args.source.max_file_size, output)?;
            let identity = context.identity_or_new(output)?;
            let mut store = context.locked_store(&identity)?;
            let collectors: BTreeSet<_> = args.collectors.iter().copied().map(Collector::from).collect();
            put_collected(&installation, collectors, &identity, &mut store, context, output)?
        }
        (None, Some(file)) => vec![take_record(file, &args.allow_kind, context, output)?],
        (None, None) => {
            return Err(Failure::usage("there is nothing to collect from")
                .hint("give --manifests DIR or --record FILE; docs/air-gap.md says how to export manifests"));
        }
    };
    if output.is_json() {
        let rows: Vec<_> = stored.iter().map(stored_json).collect();
        output.document(&json!({ "stored": rows }))?;
    }
    Ok(ExitCode::SUCCESS)
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

/// Reads a directory of manifests and warns of what a person should know.
pub fn read(directory: &Path, file_limit: u64, output: &Output) -> Result<Installation, Failure> {
    let mut progress = output.progress("reading manifests");
    let options = manifests::Options { file_limit };
    let installation = manifests::read(directory, &options, &mut |done, total| progress.update(done, total))?;
    drop(progress);
    if let Some((file, _)) = installation.credentials.first() {
        let fields: BTreeSet<_> =
            installation.credentials.iter().flat_map(|(_, fields)| fields.iter().copied()).collect();
        output.warning(
            &format!(
                "{} with credentials, such as {} (fields: {})",
                count(installation.credentials.len(), "manifest file"),
                file.display(),
                fields.into_iter().collect::<Vec<_>>().join(", ")
            ),
            Some("nothing of them is collected, but do not keep such files; docs/air-gap.md says how to avoid them"),
        );
    }
    if let Some(file) = installation.misplaced_clusters.first() {
        output.warning(
            &format!("user clusters in {} are not counted: they live on seeds", file.display()),
            Some("export them from each seed into seeds/<seed>/, also where the master is a seed itself"),
        );
    }
    Ok(installation)
}

/// Makes the records and stores them, in the store of this installation only.
pub fn put_collected(
    installation: &Installation,
    collectors: impl IntoIterator<Item = Collector>,
    identity: &Identity,
    store: &mut LockedStore,
    context: &Context,
    output: &Output,
) -> Result<Vec<StoredRecord>, Failure> {
    let names = identity.pseudonymizer();
    let inventory = &installation.inventory;
    let installation = inventory.installation(&names);
    store.bind(&installation)?;
    if installation.is_empty() {
        output.warning(
            "the manifests do not tell which installation they are of: the KubermaticConfiguration has no UID",
            Some("export it as kubectl prints it, with its metadata"),
        );
    }
    let time = context.environment().now_text();
    let documents = collectors.into_iter().map(|collector| collector.collect(inventory, &names, &time));
    let documents = documents.collect::<Result<Vec<_>, _>>()?;
    documents.iter().map(|document| put(document, store, context, output)).collect()
}

fn put(document: &Document, store: &LockedStore, context: &Context, output: &Output) -> Result<StoredRecord, Failure> {
    pack::check_alone(document, &Limits::default())?;
    let record = store.put(document.envelope()?, document.bytes(), context.environment())?;
    output.note(&format!("collected {}: {}", record.envelope.kind, summary(document)));
    Ok(record)
}

/// `clusters 19, seeds 3; incomplete: 12 problems`.
fn summary(document: &Document) -> String {
    let counts: BTreeMap<_, _> = document.counts().into_iter().collect();
    let problems = counts.get("problems").copied().unwrap_or(0);
    let rows = counts.iter().filter(|(name, _)| *name != "problems").map(|(name, number)| format!("{name} {number}"));
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
    let store = context.locked_store(&identity)?;
    let record = store.put(envelope, document.bytes(), context.environment())?;
    output.note(&format!("stored a record of kind {}; its contents are not checked", record.envelope.kind));
    Ok(record)
}

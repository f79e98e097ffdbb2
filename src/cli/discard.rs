//! `discard`: remove records that were never acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use serde_json::json;
use uuid::Uuid;

use kubermatic_telemetry::record::envelope::Kind;
use kubermatic_telemetry::store::StoredRecord;

use super::Done;
use super::context::Context;
use super::failure::Failure;
use super::output::{Output, count};

/// Remove pending records, and the stored bundles that hold them.
///
/// What is discarded can't be brought back. How many there were is counted in `status`, and in the manifest of the next
/// bundle, so that the gap is explained; nothing else is told of them.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub struct Args {
    /// The ids of records, as `collect --json` prints them and the names of their files begin.
    #[arg(value_name = "ID")]
    ids: Vec<Uuid>,
    /// Every pending record of this kind; may be given several times.
    #[arg(long, value_name = "KIND")]
    kind: Vec<Kind>,
    /// Every pending record.
    #[arg(long)]
    all: bool,
    /// Every record that ingest rejected.
    #[arg(long)]
    rejected: bool,
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    let identity = context.existing_identity()?;
    let mut store = context.locked_store(&identity)?;
    let (pending, rejected) = (store.pending()?, store.rejected()?);
    let known: BTreeSet<_> = pending.iter().chain(&rejected).map(|record| record.id).collect();
    if let Some(id) = args.ids.iter().find(|id| !known.contains(id)) {
        return Err(Failure::new(format!("the store has no pending or rejected record {id}; nothing was discarded"))
            .hint("it may have been acknowledged; `status` counts what is there"));
    }
    let named = |record: &StoredRecord| args.ids.contains(&record.id);
    let chosen_pending =
        pending.into_iter().filter(|record| args.all || named(record) || args.kind.contains(&record.envelope.kind));
    let chosen_rejected = rejected.into_iter().filter(|record| args.rejected || named(record));
    let discarded = store.discard(chosen_pending.chain(chosen_rejected).collect())?;
    let mut kinds = BTreeMap::<_, usize>::new();
    for record in &discarded.records {
        *kinds.entry(record.envelope.kind.as_str()).or_default() += 1;
    }
    if output.is_json() {
        let ids: Vec<_> = discarded.records.iter().map(|record| record.id).collect();
        output.document(&json!({ "discarded": ids, "kinds": kinds, "bundles": discarded.bundles }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let listed: Vec<_> = kinds.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
    let listed = if listed.is_empty() { String::new() } else { format!(" ({})", listed.join(", ")) };
    output.note(&format!(
        "discarded {}{listed} and {} that held them",
        count(discarded.records.len(), "record"),
        count(discarded.bundles, "stored bundle")
    ));
    Ok(ExitCode::SUCCESS)
}

//! What is withheld, as verbs obey it: which collectors run, and what the store lets out.

use kubermatic_telemetry::reporter::withheld::withhold;
use kubermatic_telemetry::setting::Withheld;
use kubermatic_telemetry::store::LockedStore;

use super::context::Context;
use super::failure::Failure;
use super::output::{Output, count};

/// Withholds from everything that the store would let out, and tells of what that changed.
pub fn apply(store: &mut LockedStore, withheld: &Withheld, context: &Context, output: &Output) -> Result<(), Failure> {
    let withholding = &withheld.withholding;
    let done = withhold(store, withholding, context.environment())?;
    if done.records > 0 {
        output.note(&format!("left out what is withheld from {}", count(done.records, "stored record")));
    }
    if done.bundles > 0 {
        output.note(&format!("removed {} that may hold what is withheld", count(done.bundles, "stored bundle")));
    }
    let kept = store.pending()?.iter().filter(|it| withholding.withholds_kind(it.envelope.kind.as_str())).count();
    if kept > 0 {
        output
            .note(&format!("{} of kinds that are withheld: not taken, and still in the store", count(kept, "record")));
    }
    Ok(())
}

/// The collectors that are left.
#[cfg(feature = "agent")]
pub fn wanted(
    collectors: impl Iterator<Item = kubermatic_telemetry::agent::Collector>,
    withholding: &kubermatic_telemetry::record::withhold::Withholding,
) -> std::collections::BTreeSet<kubermatic_telemetry::agent::Collector> {
    collectors.filter(|collector| !withholding.withholds_kind(collector.kind())).collect()
}

//! What monitoring wants to know of an installation: how its store is, and how the last attempts ended.
//!
//! Everything is read from the store, so that any process can tell it, also of what others did. No label has a name of
//! anything in the installation. `docs/observability.md` says what each means and what to alert on.

#[cfg(feature = "agent")]
pub mod listen;
pub mod text;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::record::{kubermatic, kubernetes};
use crate::store::activity::{Activity, Attempt};
use crate::store::{Store, StoreError};
use text::{Text, Type};

/// The content type of what is rendered.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The commit and the features that the program was built from, as `--version` tells them.
pub const BUILD: (&str, &str) = (env!("BUILT_FROM"), env!("BUILT_WITH"));

macro_rules! named {
    ($name:literal) => {
        concat!("kubermatic_telemetry_", $name)
    };
}

/// What is told beside the store.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    /// Whether telemetry is on; nothing if that is unclear.
    pub enabled: Option<bool>,
    /// Whether identity and store can be read, or are not there yet.
    pub readable: bool,
}

/// Renders the metrics in the text format of Prometheus. A store that is not there yet has nothing pending.
///
/// # Errors
/// The store can't be read.
pub fn render(store: Option<&Store>, around: Around) -> Result<String, StoreError> {
    let mut text = Text::default();
    let (commit, features) = BUILD;
    let build = [("version", env!("CARGO_PKG_VERSION")), ("commit", commit), ("features", features)];
    text.metric(named!("build_info"), Type::Gauge, "What is running.").sample(&build, 1);
    text.metric(named!("enabled"), Type::Gauge, "Whether telemetry is on.")
        .maybe(&[], around.enabled.map(|on| f64::from(u8::from(on))));
    text.metric(named!("state_readable"), Type::Gauge, "Whether identity and store can be read.")
        .sample(&[], u8::from(around.readable));
    if around.readable {
        pending(store, &mut text)?;
        if let Some(store) = store {
            settled(store, &mut text)?;
            attempts(store, &mut text);
        }
    }
    Ok(text.finish())
}

/// What waits for a receipt.
fn pending(store: Option<&Store>, text: &mut Text) -> Result<(), StoreError> {
    let pending = store.map(Store::pending).transpose()?.unwrap_or_default();
    // Known kinds are there from the start, so that a first record is seen as a change.
    let mut kinds = BTreeMap::from([kubermatic::KIND, kubernetes::KIND].map(|kind| (kind, (0_u32, 0_u64))));
    for record in &pending {
        let kind = kinds.entry(record.envelope.kind.as_str()).or_default();
        *kind = (kind.0.saturating_add(1), kind.1 + record.size);
    }
    let mut records = text.metric(named!("pending_records"), Type::Gauge, "Records that no receipt has acknowledged.");
    for (kind, (count, _)) in &kinds {
        records.sample(&[("kind", kind)], *count);
    }
    let mut bytes = text.metric(named!("pending_bytes"), Type::Gauge, "Their size.");
    for (kind, (_, size)) in &kinds {
        bytes.sample(&[("kind", kind)], float(*size));
    }
    let oldest = pending.iter().filter_map(|record| seconds(record.envelope.time.as_str())).reduce(f64::min);
    let help = "When the oldest pending record was collected; absent if nothing is pending.";
    text.metric(named!("oldest_pending_record_timestamp_seconds"), Type::Gauge, help).maybe(&[], oldest);
    Ok(())
}

/// What became of records and bundles.
fn settled(store: &Store, text: &mut Text) -> Result<(), StoreError> {
    text.metric(named!("rejected_records"), Type::Gauge, "Records that ingest rejected and that are set aside.")
        .sample(&[], float(store.rejected()?.len() as u64));
    text.metric(named!("quarantined_files"), Type::Gauge, "Damaged or foreign files that are set aside.")
        .sample(&[], float(store.quarantined()?.len() as u64));
    let help = "Records that had to go because the store may hold no more.";
    counts(text, named!("dropped_records_total"), help, store.dropped());
    counts(text, named!("discarded_records_total"), "Records that a person removed.", store.discarded());
    let acknowledged = store.acknowledgements()?;
    let newest = acknowledged.iter().filter_map(|receipt| seconds(&receipt.received)).reduce(f64::max);
    let help = "When ingest received the newest bundle that a receipt is known of, by its clock.";
    text.metric(named!("last_acknowledgement_timestamp_seconds"), Type::Gauge, help).maybe(&[], newest);
    if let Some(export) = store.exports()?.last() {
        text.metric(named!("last_export_timestamp_seconds"), Type::Gauge, "When the last bundle was packed.")
            .maybe(&[], seconds(&export.created));
        let help = "Whether the last bundle was written out whole, or delivered.";
        text.metric(named!("last_export_success"), Type::Gauge, help).sample(&[], u8::from(export.delivered));
    }
    Ok(())
}

fn counts(text: &mut Text, name: &'static str, help: &str, counted: &BTreeMap<String, u64>) {
    let mut kinds = BTreeMap::from([kubermatic::KIND, kubernetes::KIND].map(|kind| (kind, 0)));
    kinds.extend(counted.iter().map(|(kind, number)| (kind.as_str(), *number)));
    let mut metric = text.metric(name, Type::Counter, help);
    for (kind, number) in kinds {
        metric.sample(&[("kind", kind)], float(number));
    }
}

/// How the last attempts to collect and to send ended.
fn attempts(store: &Store, text: &mut Text) {
    let collected: Vec<(&str, Attempt)> = Activity::ALL
        .into_iter()
        .filter_map(|activity| match activity {
            Activity::Collect(kind) => Some((kind, store.last(activity)?)),
            Activity::Send => None,
        })
        .collect();
    let mut each = |name, help, value: &dyn Fn(&Attempt) -> Option<f64>| {
        let mut metric = text.metric(name, Type::Gauge, help);
        for (kind, attempt) in &collected {
            metric.maybe(&[("kind", kind)], value(attempt));
        }
    };
    let help = "When collecting was last attempted.";
    each(named!("last_collection_timestamp_seconds"), help, &|attempt| seconds(&attempt.time));
    each(named!("last_collection_success"), "Whether it gave a record.", &|it| flag(it.failure.is_none()));
    let help = "When collecting last gave a record.";
    each(named!("last_successful_collection_timestamp_seconds"), help, &|it| seconds(it.succeeded.as_deref()?));
    let help = "Whether the record of the last attempt is there and complete.";
    each(named!("last_collection_complete"), help, &|it| flag(it.failure.is_none() && it.complete));
    let help = "Problems of the record of the last attempt, by category.";
    let mut problems = text.metric(named!("last_collection_problems"), Type::Gauge, help);
    for (kind, attempt) in &collected {
        for (category, number) in &attempt.problems {
            problems.sample(&[("kind", kind), ("category", category)], float(*number));
        }
    }
    if let Some(sent) = store.last(Activity::Send) {
        text.metric(named!("last_send_timestamp_seconds"), Type::Gauge, "When sending was last attempted.")
            .maybe(&[], seconds(&sent.time));
        let help = "Whether everything that was pending was delivered.";
        text.metric(named!("last_send_success"), Type::Gauge, help).maybe(&[], flag(sent.failure.is_none()));
        let help = "When everything that was pending was last delivered.";
        text.metric(named!("last_successful_send_timestamp_seconds"), Type::Gauge, help)
            .maybe(&[], sent.succeeded.as_deref().and_then(seconds));
    }
}

#[expect(clippy::unnecessary_wraps, reason = "beside samples that may be missing")]
fn flag(is: bool) -> Option<f64> {
    Some(f64::from(u8::from(is)))
}

/// Seconds since 1970 of a time in RFC 3339.
#[expect(clippy::cast_precision_loss, reason = "a float has all seconds of 200 million years")]
fn seconds(time: &str) -> Option<f64> {
    Some(time.parse::<Timestamp>().ok()?.as_second() as f64)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
fn float(number: u64) -> f64 {
    number as f64
}

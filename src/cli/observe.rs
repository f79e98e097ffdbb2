//! What monitoring gets: notes on how attempts ended, `--metrics-file`, and `--metrics-listen`.

use std::path::Path;

use kubermatic_telemetry::metrics::{self, Around};
#[cfg(feature = "agent")]
use kubermatic_telemetry::store::LockedStore;
#[cfg(feature = "agent")]
use kubermatic_telemetry::store::activity::{Activity, Attempt};
use kubermatic_telemetry::store::durable::{self, Access, Existing};

use super::context::Context;
use super::failure::Failure;
use super::output::Output;

/// The metrics of what is there now. What can't be read is told as a metric.
pub fn rendered(context: &Context) -> String {
    // What there is to warn of, the command itself has; a scrape every minute must not.
    tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || read(context))
}

fn read(context: &Context) -> String {
    let enabled = context.telemetry().ok().map(|telemetry| telemetry.on);
    let store = context.identity().and_then(|identity| match identity {
        Some(identity) => context.store(&identity),
        None => Ok(None),
    });
    if let Ok(store) = &store
        && let Ok(text) = metrics::render(store.as_ref(), Around { enabled, readable: true })
    {
        return text;
    }
    metrics::render(None, Around { enabled, readable: false }).unwrap_or_default()
}

/// Writes `--metrics-file`, if there is one. That it can't be written changes nothing in how a command ends: what was
/// done is done, and whoever reads the file sees that it is old.
pub fn write_metrics(context: &Context, output: &Output) {
    let Some(file) = context.metrics_file() else { return };
    if let Err(error) = write(file, &rendered(context)) {
        let hint = "its directory must be there and writable; the command itself went on";
        output.warning(&format!("the metrics were not written: {}", Failure::from(error).message()), Some(hint));
    }
}

/// Node-exporter and side cars run as other users.
fn write(file: &Path, text: &str) -> Result<(), durable::FileError> {
    durable::write(file, text.as_bytes(), Access::Public, Existing::Replace)
}

/// Notes how an attempt ended. It is for monitoring only, so that it fails nothing.
#[cfg(feature = "agent")]
pub fn note(store: &LockedStore, activity: Activity, attempt: Attempt, output: &Output) {
    if let Err(error) = store.note(activity, attempt) {
        output.warning(&format!("how it went can't be noted: {error}"), None);
    }
}

/// Notes that attempts failed, if there is an identity whose store can hear of it.
#[cfg(feature = "agent")]
pub fn note_failure(activities: &[Activity], failure: &Failure, context: &Context, output: &Output) {
    let Ok(Some(identity)) = context.identity() else { return };
    // A store that can't be had for now, or is another one's, has been told of already or says so next time.
    let Ok(store) = context.locked_store(&identity) else { return };
    for activity in activities {
        let failure = Some(failure.message());
        note(&store, *activity, Attempt { failure, ..succeeded(context) }, output);
    }
}

/// An attempt that succeeded now.
#[cfg(feature = "agent")]
pub fn succeeded(context: &Context) -> Attempt {
    Attempt { time: context.environment().now_text(), complete: true, ..Attempt::default() }
}

/// Starts `--metrics-listen`, and tells where.
#[cfg(feature = "agent")]
pub fn listen(addresses: &[std::net::SocketAddr], context: &Context, output: &Output) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::from(error)
            .context("can't listen for --metrics-listen")
            .hint("another address, or port 0 for any port")
    };
    let (listener, address) = metrics::listen::bind(addresses).map_err(failed)?;
    let own = context.clone();
    metrics::listen::answer(listener, move || rendered(&own)).map_err(failed)?;
    output.note(&format!("metrics on http://{address}/metrics"));
    Ok(())
}

//! Collecting again and again: when the next time is, and what a failure means for it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use kubermatic_telemetry::agent::live::LiveError;
use kubermatic_telemetry::setting::SettingError;
use kubermatic_telemetry::store::StoreError;

use super::Done;
use super::context::Context;
use super::failure::Failure;
use super::output::Output;
use super::{interrupt, interruptible};

/// How long to wait after a first failure; twice as long after each further one.
const FIRST_RETRY: Duration = Duration::from_mins(1);
/// The longest wait after a failure.
const LAST_RETRY: Duration = Duration::from_hours(1);

/// Collects every so often until the program is asked to stop.
pub fn stay(
    every: Duration,
    splay: Option<Duration>,
    context: &Context,
    output: &Output,
    collect: impl Fn() -> Done,
) -> Done {
    // Before anything is said: who hears it may ask the program to stop.
    interrupt::listen(interruptible::GRACE)?;
    let splay = splay.unwrap_or(every / 24);
    let mut wait = match newest_age(context)? {
        // A clock that jumped must neither make it collect at once for ever nor never again.
        Some(age) => every.saturating_sub(age) + chance(splay, context)?,
        None => Duration::ZERO,
    };
    let mut retry = FIRST_RETRY;
    loop {
        if !wait.is_zero() {
            output.note(&format!("collecting in {}", rounded(wait)));
        }
        if interruptible::wait(wait)? {
            break;
        }
        let started = Instant::now();
        wait = match collect() {
            Ok(_) => {
                retry = FIRST_RETRY;
                every.saturating_sub(started.elapsed()) + chance(splay, context)?
            }
            Err(_) if interrupt::was_asked() => break,
            Err(failure) if !passes(&failure) => return Err(failure),
            Err(failure) => {
                output.failure(&failure);
                let wait = retry.min(every);
                retry = (retry * 2).min(LAST_RETRY);
                wait
            }
        };
    }
    output.note("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Whether a failure may pass by itself: an API server that is being restarted, a store that another process has.
fn passes(failure: &Failure) -> bool {
    failure.has_cause::<LiveError>(|error| matches!(error, LiveError::Master(_)))
        // A ConfigMap that somebody is about to correct; until then nothing is collected.
        || failure.has_cause::<SettingError>(|error| !error.is_usage())
        || failure.has_cause::<StoreError>(|error| matches!(error, StoreError::Busy { .. } | StoreError::File(_)))
}

/// How old the newest record is that a collector made, as far as the store still knows.
fn newest_age(context: &Context) -> Result<Option<Duration>, Failure> {
    let Some(identity) = context.identity()? else { return Ok(None) };
    let Some(store) = context.store(&identity)? else { return Ok(None) };
    let newest = store.newest(kubermatic_telemetry::record::is_known_kind)?;
    let now = context.environment().now();
    Ok(newest.map(|time| Duration::try_from(now.duration_since(time)).unwrap_or_default()))
}

/// A time between nothing and `most`, by chance.
pub fn chance(most: Duration, context: &Context) -> Result<Duration, Failure> {
    let mut random = [0; 4];
    context.environment().random(&mut random)?;
    Ok(most.mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX)))
}

/// A time for people.
pub fn rounded(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{}s", seconds.max(1)),
        (0, minutes) => format!("{minutes}m"),
        (hours, minutes) => format!("{hours}h{minutes:02}m"),
    }
}

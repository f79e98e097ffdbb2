//! How `status` tells of the last attempts to collect and to send.

use serde_json::{Map, Value, json};

use kubermatic_telemetry::store::Store;
use kubermatic_telemetry::store::activity::{Activity, Attempt};

use super::failure::Failure;
use super::output::{Output, escaped};

/// What is known of the last attempts, in the order of [`Activity::ALL`].
fn known(store: Option<&Store>) -> Vec<(&'static str, Attempt)> {
    let named = |activity| match activity {
        Activity::Collect(kind) => kind,
        Activity::Send => "send",
    };
    let known = |activity: Activity| Some((named(activity), store?.last(activity)?));
    Activity::ALL.into_iter().filter_map(known).collect()
}

/// The last attempts by what was attempted: a kind of record, or `send`.
pub fn document(store: Option<&Store>) -> Value {
    let attempts = known(store).into_iter().map(|(name, attempt)| (name.to_owned(), json!(attempt)));
    Value::Object(attempts.collect::<Map<_, _>>())
}

/// Prints a line for each that did not end as it should, or that is of a record.
pub fn print(store: Option<&Store>, output: &Output) -> Result<(), Failure> {
    for (name, attempt) in known(store) {
        let (label, what) = if name == "send" { ("sent", String::new()) } else { ("collected", format!(" {name}")) };
        output.line(&format!("{label:<10} {}{what}: {}", escaped(&attempt.time), ended(&attempt)))?;
    }
    Ok(())
}

fn ended(attempt: &Attempt) -> String {
    if let Some(failure) = &attempt.failure {
        let before = attempt.succeeded.as_ref().map(|time| format!(" (before: {})", escaped(time)));
        return format!("failed: {}{}", escaped(failure), before.unwrap_or_default());
    }
    let problems: Vec<_> =
        attempt.problems.iter().map(|(name, number)| format!("{number} {}", escaped(name))).collect();
    match (attempt.complete, problems.is_empty()) {
        (true, true) => "done".to_owned(),
        (true, false) => format!("done; problems: {}", problems.join(", ")),
        (false, _) => format!("incomplete; problems: {}", problems.join(", ")),
    }
}

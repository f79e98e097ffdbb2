//! Receiving a body: to an unnamed file, never to memory, within the limits of size and time.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, StatusCode, header};
use futures::{Stream, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Caller, Problem, Service, is_full};
use crate::store::durable;

/// How much is written to the file at a time.
const BUFFER: usize = 64 * 1024;
/// A body that is slower than this, after the first minute, is cut off.
const SLOWEST: u64 = 4 * 1024;
/// How long a body may take whatever its speed.
const PATIENCE: Duration = Duration::from_mins(1);

/// Refuses a body that says itself that it is too large, before any of it is read; `beside` is how much of it may be
/// something else than the bundle, in bytes.
pub(super) fn check_announced(service: &Service, headers: &HeaderMap, body: &Body, beside: u64) -> Result<(), Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let announced = announced.unwrap_or(0_u64).max(body.size_hint().lower());
    let most = service.settings.limits.bundle_bytes.saturating_add(beside);
    if announced > most { Err(too_large(service)) } else { Ok(()) }
}

fn too_large(service: &Service) -> Problem {
    let most = service.settings.limits.bundle_bytes;
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "limitExceeded", format!("the bundle is larger than {most} bytes"))
        .hint(format!("send it in several bundles: export -o DIR/ --max-size {most}"))
}

/// Receives a body into an unnamed file, from its start.
pub(super) async fn receive<E: std::error::Error + 'static>(
    service: &Service,
    caller: &Caller,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<File, Problem> {
    let settings = &service.settings;
    let spool = settings.spool.clone();
    let file = tokio::task::spawn_blocking(move || durable::scratch(&spool)).await;
    let file = file.map_err(|_| Problem::internal())?.map_err(|error| failed(&error))?;
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(BUFFER);
    let mut body = std::pin::pin!(body);
    let started = Instant::now();
    let (mut received, mut waiting) = (0_u64, Vec::with_capacity(BUFFER));
    loop {
        let deadline = started + settings.total.min(PATIENCE + Duration::from_secs(received / SLOWEST));
        let next = timeout_at(deadline, timeout(settings.idle, body.next())).await;
        let Ok(Ok(next)) = next else { return Err(too_slow()) };
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(|error| broken_off(&error))?;
        received += chunk.len() as u64;
        if received > settings.limits.bundle_bytes {
            return Err(too_large(service));
        }
        let counted = service.quotas.received(caller, chunk.len() as u64);
        counted.map_err(|(what, wait)| Problem::throttled(what, wait))?;
        waiting.extend_from_slice(&chunk);
        if waiting.len() >= BUFFER {
            file.write_all(&waiting).await.map_err(|error| failed(&error))?;
            waiting.clear();
        }
    }
    file.write_all(&waiting).await.map_err(|error| failed(&error))?;
    file.flush().await.map_err(|error| failed(&error))?;
    service.metrics.received(received);
    let mut file = file.into_std().await;
    file.seek(SeekFrom::Start(0)).map_err(|error| failed(&error))?;
    Ok(file)
}

/// What did not arrive in time.
pub(super) fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "tooSlow", "the bundle did not arrive in time")
        .hint("send it again; if the connection is slow, send smaller bundles (export --max-size)")
}

fn broken_off(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::debug!(error = super::told(error), "a body broke off");
    Problem::new(StatusCode::BAD_REQUEST, "bodyIncomplete", "the bundle did not arrive as a whole")
        .hint("send it again")
}

/// Spooling that failed, which the log has in full.
pub(super) fn failed(error: &(impl std::error::Error + 'static)) -> Problem {
    tracing::error!(error = super::told(error), "spooling failed");
    if is_full(error) {
        Problem::full()
    } else {
        Problem::unavailable("spoolUnavailable", "the server can't take files now")
    }
}

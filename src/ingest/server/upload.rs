//! `POST /v1/bundles`: a bundle as it is, answered with its receipt.

use std::cell::Cell;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::super::{Accepted, Gate, Ingest, IngestError, accept};
use super::receipts::{self, TAR};
use super::{Caller, Problem, Service, spool};
use crate::clock::System;
use crate::receipt::RecordStatus;
use crate::tables::Kinds;

/// How long a caller is asked to wait when too many upload at once.
const BUSY: Duration = Duration::from_secs(5);

/// The most KiB of memory that bundles take which are being kept, and the least that one counts for. Checking computes and
/// is bounded by the processors; keeping waits for disks or for a store far away, and many can wait at once.
pub(super) const MOST_KEEPING: usize = 64 * LEAST_KEEPING;
const LEAST_KEEPING: usize = 1024;

/// Receives a bundle, accepts it, and answers with its receipt: 201, or 200 if it had been accepted before.
pub(super) async fn upload(State(service): State<Arc<Service>>, request: Request) -> Result<Response, Problem> {
    service.authorize(request.headers())?;
    check_type(request.headers())?;
    spool::check_announced(&service, request.headers(), request.body(), 0)?;
    let (parts, body) = request.into_parts();
    let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(Problem::internal)?;
    let accepted = service.take(&caller, body.into_data_stream()).await?;
    Ok(answer(accepted, wants_json(&parts.headers)))
}

impl Service {
    /// Receives and accepts a bundle.
    pub(super) async fn take<E: std::error::Error + 'static>(
        self: &Arc<Self>,
        caller: &Caller,
        body: impl futures::Stream<Item = Result<axum::body::Bytes, E>>,
    ) -> Result<Accepted, Problem> {
        let Ok(_upload) = self.uploads.try_acquire() else {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many bundles arrive at once")
                .hint("send it again in a moment")
                .after(BUSY));
        };
        let _counted = self.metrics.upload();
        self.quotas.upload(caller).map_err(|(what, wait)| Problem::throttled(what, wait))?;
        let file = spool::receive(self, caller, body).await?;
        let checking = Arc::clone(&self.checks).acquire_owned().await.map_err(|_| Problem::internal())?;
        let (service, caller) = (Arc::clone(self), caller.clone());
        let span = tracing::Span::current();
        let accepted = move || span.in_scope(|| service.accept(file, caller, checking));
        let accepted = tokio::task::spawn_blocking(accepted).await;
        accepted.map_err(|_| Problem::internal())?
    }

    /// Accepts what was received. Not for a thread that others wait for.
    fn accept(&self, file: File, caller: Caller, checking: OwnedSemaphorePermit) -> Result<Accepted, Problem> {
        let keyring = self.keyring.now().map_err(|error| {
            tracing::error!(error = super::told(&error), "the keyring can't be read");
            Problem::unavailable("trustUnavailable", "it can't be found out now whose keys are trusted")
        })?;
        let bytes = file.metadata().map_err(|error| spool::failed(&error))?.len();
        let gate = Door { service: self, caller, bytes, place: Cell::new(Some(checking)) };
        let ingest = Ingest {
            archive: &self.archive,
            keyring: &keyring,
            policy: self.settings.policy,
            pins_per_hour: self.settings.pins_per_hour,
            kinds: Kinds::KNOWN,
            limits: &self.settings.limits,
            gate: &gate,
        };
        let key = || Ok(self.receipt_key.clone());
        let accepted = accept(&ingest, file, &key, &System, &mut |_, _| {});
        match &accepted {
            Ok(accepted) => self.metrics.accepted(accepted),
            Err(error) => tracing::info!(error = super::told(error), "refused"),
        }
        accepted.map_err(|error| Problem::of_ingest(&error))
    }
}

/// The quotas, as ingest asks for them, and the place that a bundle takes up: first among those that are checked, then
/// among those that are kept.
struct Door<'s> {
    service: &'s Service,
    caller: Caller,
    bytes: u64,
    place: Cell<Option<OwnedSemaphorePermit>>,
}

impl Gate for Door<'_> {
    fn admit(&self, client: Uuid) -> Result<(), IngestError> {
        self.service.quotas.accept(client, self.bytes).map_err(throttled)
    }

    fn admit_new(&self) -> Result<(), IngestError> {
        self.service.quotas.pin(&self.caller).map_err(throttled)
    }

    fn verified(&self, held: usize) {
        let weight = u32::try_from((held / 1024).clamp(LEAST_KEEPING, MOST_KEEPING)).unwrap_or(u32::MAX);
        let keeping = Handle::current().block_on(Arc::clone(&self.service.keeping).acquire_many_owned(weight));
        // It is never closed. The place among the checked is given up only now, so that there is a bound on both.
        self.place.set(keeping.ok());
    }
}

fn throttled((what, wait): super::quota::Exceeded) -> IngestError {
    IngestError::Throttled { what, wait }
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if [TAR, "application/octet-stream"].iter().any(|good| essence.eq_ignore_ascii_case(good)) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "mediaType", format!("a bundle is sent as {TAR}"))
        .hint(format!("set the header `Content-Type: {TAR}`")))
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds: Vec<_> = accepted
        .flat_map(|value| value.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .collect();
    let names = |name: &str| kinds.iter().any(|kind| kind.eq_ignore_ascii_case(name));
    names("application/json") && !names(TAR)
}

/// 201 with where the receipt lies, or 200 for a bundle that had been accepted before.
fn answer(accepted: Accepted, as_json: bool) -> Response {
    let digest = accepted.document.manifest_sha256.to_string();
    let location = format!("/v1/receipts/{digest}");
    let status = if accepted.again { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = if as_json {
        let mut response = (summary(&accepted, &location).to_string() + "\n").into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    } else {
        receipts::file(accepted.receipt, &accepted.document.file_name())
    };
    *response.status_mut() = status;
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// What became of a bundle, in short.
fn summary(accepted: &Accepted, location: &str) -> Value {
    let document = &accepted.document;
    let with = |status| document.records.iter().filter(|record| record.status == status).count();
    json!({
        "client": document.client,
        "store": document.store,
        "bundle": document.bundle,
        "sequence": document.sequence,
        "manifestSha256": document.manifest_sha256,
        "again": accepted.again,
        "received": document.received,
        "chain": document.chain,
        "highestSequence": document.highest_sequence,
        "records": {
            "accepted": with(RecordStatus::Accepted),
            "duplicate": with(RecordStatus::Duplicate),
            "rejected": with(RecordStatus::Rejected),
        },
        "receipt": location,
    })
}

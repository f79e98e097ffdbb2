//! `serve`: ingest over HTTP. A router that can be called without a socket, and the connections around it.
//!
//! ```text
//! GET  /, POST /                        the upload page, and its form
//! POST /v1/bundles                      a bundle as it is; answered with its receipt
//! GET  /v1/receipts/{manifest-sha256}   the receipt of a bundle that was accepted
//! GET  /healthz, /readyz, /metrics      for those who run it
//! ```
//!
//! Nothing is held in memory but what is being checked or kept: bodies are spooled to unnamed files, uploads and checks
//! are bounded in number, what is being kept in bytes, and quotas bound what one client or one address may bring within
//! an hour.

mod caller;
mod linger;
mod listen;
mod metrics;
mod page;
mod problem;
mod quota;
mod receipts;
mod spool;
mod tls;
mod trust;
mod upload;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tracing::Instrument as _;
use zeroize::Zeroizing;

use super::archive::Archive;
use super::{IngestError, Policy};
use crate::bundle::Limits;
use crate::clock::{Environment as _, System};
use crate::keys::SigningKey;

pub use caller::{Caller, Peer};
pub use listen::{Connections, serve};
pub use problem::Problem;
pub use quota::Quotas;
pub use tls::{Tls, TlsError};
pub use trust::Trusted;

use metrics::Metrics;

/// How a server behaves; what it is made of comes with [`Service::new`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a bundle may be.
    pub limits: Limits,
    /// Whose bundles are accepted.
    pub policy: Policy,
    /// How many unknown clients may be pinned within an hour, whoever writes to the archive.
    pub pins_per_hour: usize,
    /// Without it everybody may call; with it only those who present it (RFC 6750).
    pub token: Option<Token>,
    /// How many bodies are received at a time; beyond it callers are sent away with 503.
    pub uploads: usize,
    /// How many bundles are checked at a time; beyond it those that were received wait.
    pub checks: usize,
    /// How long a body may pause.
    pub idle: Duration,
    /// How long a body may take in all.
    pub total: Duration,
    /// Where bodies are spooled, as unnamed files.
    pub spool: PathBuf,
    /// What one client and one address may bring within an hour.
    pub quotas: Quotas,
    /// How many proxies stand in front, each of which appends to `X-Forwarded-For`.
    pub proxies: usize,
}

/// A bearer token. It is compared in constant time and never printed.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}

impl Token {
    /// Takes a token of at least 16 characters that a header can carry.
    ///
    /// # Errors
    /// A text that is shorter, or has other characters in it.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.len() < 16 {
            return Err("a token needs at least 16 characters");
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)) {
            return Err("a token has letters, digits and -._~+/= only (RFC 6750)");
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    fn is(&self, given: &str) -> bool {
        let (own, given) = (self.0.as_bytes(), given.as_bytes());
        let differences = own.iter().zip(given).fold(0, |differences, (left, right)| differences | (left ^ right));
        own.len() == given.len() && differences == 0
    }
}

/// A server's state, shared by all its connections.
#[derive(Debug)]
pub struct Service {
    settings: Settings,
    archive: Archive,
    keyring: Trusted,
    receipt_key: SigningKey,
    uploads: Semaphore,
    checks: Arc<Semaphore>,
    /// Memory of bundles that are being kept, in KiB.
    keeping: Arc<Semaphore>,
    quotas: quota::Usage,
    metrics: Metrics,
}

impl Service {
    /// A server over an archive, which signs receipts with `receipt_key`.
    #[must_use]
    pub fn new(settings: Settings, archive: Archive, keyring: Trusted, receipt_key: SigningKey) -> Self {
        Self {
            uploads: Semaphore::new(settings.uploads),
            checks: Arc::new(Semaphore::new(settings.checks)),
            keeping: Arc::new(Semaphore::new(upload::MOST_KEEPING)),
            quotas: quota::Usage::new(settings.quotas.clone()),
            metrics: Metrics::new(),
            settings,
            archive,
            keyring,
            receipt_key,
        }
    }

    /// Writes down what is still only counted, before the program ends. Not for a thread of the runtime.
    ///
    /// # Errors
    /// The archive fails.
    pub fn close(&self) -> Result<(), IngestError> {
        super::close(&self.archive, &System)
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, given)| given.trim());
        self.check_token(given)
    }

    /// Insists on the token that a server has, if it has one.
    fn check_token(&self, given: Option<&str>) -> Result<(), Problem> {
        let Some(token) = &self.settings.token else { return Ok(()) };
        match given {
            Some(given) if token.is(given) => Ok(()),
            Some(_) => Err(Problem::unauthorized("the bearer token is not the one that this server expects")),
            None => Err(Problem::unauthorized("this server expects a bearer token")),
        }
    }
}

/// The routes. Callers are told apart by [`Peer`], which [`serve`] adds to each request.
/// Health is told on every listener, `metrics` only where that is asked for.
pub fn app(service: Arc<Service>, metrics: bool) -> Router {
    let operators = if metrics { for_operators(Arc::clone(&service)) } else { health(Arc::clone(&service)) };
    Router::new()
        // Its own limits hold for the form's body, which is not read into memory.
        .route("/", get(page::show).post(page::submit).layer(DefaultBodyLimit::disable()))
        .route("/v1/bundles", post(upload::upload))
        .route("/v1/receipts/{manifest}", get(receipts::receipt))
        .merge(operators)
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "notFound", "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed", "this path takes another method")
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&service), around))
        .with_state(service)
}

/// The routes that tell those who run a server how it is, which may stand on a listener of their own.
pub fn for_operators<S: Clone + Send + Sync + 'static>(service: Arc<Service>) -> Router<S> {
    let metrics = Router::new().route("/metrics", get(metrics::show)).with_state(Arc::clone(&service));
    health(service).merge(metrics)
}

/// Whether a server lives, and whether it can be sent bundles.
fn health<S: Clone + Send + Sync + 'static>(service: Arc<Service>) -> Router<S> {
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready)).with_state(service)
}

/// Whether bundles could be accepted now.
async fn ready(State(service): State<Arc<Service>>) -> Result<&'static str, Problem> {
    let checked = tokio::task::spawn_blocking(move || {
        service.keyring.now().map_err(|error| error.to_string())?;
        service.archive.check().map_err(|error| error.to_string())
    });
    match checked.await {
        Ok(Ok(())) => Ok("ready\n"),
        Ok(Err(error)) => {
            tracing::error!(error, "not ready");
            Err(Problem::unavailable("notReady", "the archive or the keyring can't be used now"))
        }
        Err(_) => Err(Problem::internal()),
    }
}

/// The id of a request, which the log and its answer have.
#[derive(Debug, Clone)]
struct RequestId(String);

/// Around every request: an id, limits on who asks, the log, the counts, and errors made readable.
async fn around(State(service): State<Arc<Service>>, mut request: Request, next: Next) -> Response {
    let started = std::time::Instant::now();
    let id = System.uuid_v7().map(|id| id.to_string()).unwrap_or_default();
    let route = metrics::route(request.uri().path());
    let method = request.method().clone();
    let caller = Caller::of(&request, service.settings.proxies);
    request.extensions_mut().insert(caller.clone());
    request.extensions_mut().insert(RequestId(id.clone()));
    let (parts, body) = request.into_parts();
    let (body, rest) = linger::lend(body, &parts.headers);
    // Whatever is logged on the way says which request it is of, at every level.
    let span = tracing::error_span!("request", request = %id);
    let mut response = next.run(Request::from_parts(parts, body)).instrument(span).await;
    // Whoever is too slow sends nothing that an answer could get lost behind.
    if response.status() != StatusCode::REQUEST_TIMEOUT {
        rest.drain().await;
    }
    let code = response.extensions().get::<Problem>().map(|problem| problem.code);
    // A route that is for people has told them already.
    let untold = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = untold.filter(|_| !response.headers().contains_key(header::CONTENT_TYPE)) {
        response = problem.render(&id, response);
    }
    let status = response.status().as_u16();
    let seconds = started.elapsed().as_secs_f64();
    service.metrics.answered(route, status, code, seconds);
    tracing::info!(request = id, %method, route, status, code, seconds, caller = %caller, "answered");
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// An error with everything that is behind it, for people.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    for cause in causes.map(ToString::to_string) {
        if parts.last() != Some(&cause) {
            parts.push(cause);
        }
    }
    parts.join(": ")
}

/// Whether the place that something was written to is full.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge))
    })
}

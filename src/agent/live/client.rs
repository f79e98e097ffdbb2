//! One API server: gentle requests, with their limits, and lists in pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use kube::Config;
use kube::client::{Body, Client, ClientBuilder};
use kube::core::params::ListParams;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tower::limit::RateLimitLayer;
use zeroize::Zeroizing;

use super::cause::Cause;
use super::connect::KubeconfigError;
use super::page::{self, ChannelReader, Page, PageError};
use super::resources::Resource;
use crate::agent::objects::Object;

/// Requests a second to one API server, as KKP's own controllers allow themselves bursts of.
const REQUESTS_A_SECOND: u64 = 50;
/// How often a request is made, if asking again may help.
const ATTEMPTS: u32 = 5;
/// The same where there is no connection: the server may be being restarted, but is more likely gone.
const CONNECTION_ATTEMPTS: u32 = 3;
/// How long to wait before asking again; twice as long each time.
const BACKOFF: Duration = Duration::from_millis(500);
/// However long a server asks to wait, it is not longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How often a list is begun anew because its continuation expired.
const RESTARTS: u32 = 3;
/// The most objects of a list; a record that holds more rows is beyond its own limit.
const MOST_OBJECTS: usize = 1_000_000;
/// The most objects of a page, whatever was asked for.
const MOST_OBJECTS_OF_A_PAGE: usize = 20_000;
/// How the program calls itself.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
/// The largest answer that is read as a whole, in bytes: a Secret has at most 1 MiB.
const LARGEST_ANSWER: usize = 4 << 20;

/// How requests are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Objects on a page.
    pub page_size: u32,
    /// How long a request may take, and how long the answer may pause.
    pub request_timeout: Duration,
}

/// What was asked of API servers and came back.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub requests: AtomicU64,
    /// As they came over the wire, before decompression.
    pub bytes: AtomicU64,
}

/// An API server, until a time.
#[derive(Clone)]
pub(super) struct ApiServer {
    client: Client,
    compressed: bool,
    manner: Manner,
    deadline: Instant,
    traffic: Arc<Traffic>,
}

/// Where the objects of a list go.
pub(super) trait Sink<T> {
    /// The list begins, perhaps not for the first time.
    fn clear(&mut self);

    /// Takes an object; nothing is one without a name.
    fn take(&mut self, object: Option<Object<T>>);
}

impl<T> Sink<T> for Vec<Object<T>> {
    fn clear(&mut self) {
        self.clear();
    }

    fn take(&mut self, object: Option<Object<T>>) {
        self.extend(object);
    }
}

/// What one attempt came to, if to nothing.
struct Failed {
    cause: Cause,
    /// How long the server asks to wait.
    after: Option<Duration>,
}

impl From<Cause> for Failed {
    fn from(cause: Cause) -> Self {
        Self { cause, after: None }
    }
}

impl ApiServer {
    /// Makes a client. Nothing is sent yet.
    pub fn new(config: Config, manner: Manner, deadline: Instant, traffic: Arc<Traffic>) -> Result<Self, Cause> {
        let compressed = !config.disable_compression;
        let builder = ClientBuilder::try_from(config).map_err(|error| match &error {
            kube::Error::Auth(_) => Cause::Unauthorized,
            _ => Cause::Kubeconfig(KubeconfigError::Field("certificate or key")),
        })?;
        let client = builder.with_layer(&RateLimitLayer::new(REQUESTS_A_SECOND, Duration::from_secs(1))).build();
        Ok(Self { client, compressed, manner, deadline, traffic })
    }

    /// The same API server until another time.
    pub fn until(&self, deadline: Instant) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// Another API server, asked in the same manner, whose traffic counts with this one's.
    pub fn beside(&self, config: Config, deadline: Instant) -> Result<Self, Cause> {
        Self::new(config, self.manner, deadline, Arc::clone(&self.traffic))
    }

    /// Reads one JSON document.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Cause> {
        self.exchange(Method::GET, path, &[]).await
    }

    /// Sends a JSON document, if it is not empty, and reads one. Where the connection breaks it may be sent again.
    pub async fn exchange<T: DeserializeOwned>(&self, method: Method, path: &str, body: &[u8]) -> Result<T, Cause> {
        self.insist(async || {
            let mut request = Request::builder().method(method.clone()).uri(path);
            if !body.is_empty() {
                request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            let request = request.body(Body::from(body.to_vec())).map_err(|_| Cause::Undecodable)?;
            let mut answer = self.send(request).await?.into_body();
            // It may be a Secret.
            let mut text = Zeroizing::new(Vec::new());
            while let Some(bytes) = self.next(&mut answer).await? {
                if text.len() + bytes.as_ref().len() > LARGEST_ANSWER {
                    return Err(Cause::TooLarge.into());
                }
                text.extend_from_slice(bytes.as_ref());
            }
            serde_json::from_slice(&text).map_err(|_| Cause::Undecodable.into())
        })
        .await
    }

    /// Whether there is something under a path.
    pub async fn exists(&self, path: &str) -> Result<bool, Cause> {
        match self.get::<serde::de::IgnoredAny>(path).await {
            Ok(_) => Ok(true),
            Err(Cause::NotFound) => Ok(false),
            Err(cause) => Err(cause),
        }
    }

    /// Reads a list page by page into `sink`.
    pub async fn list<T: DeserializeOwned + Send + 'static>(
        &self,
        resource: &Resource,
        sink: &mut dyn Sink<T>,
    ) -> Result<(), Cause> {
        for _ in 0..=RESTARTS {
            match self.list_once(resource, sink).await {
                // What was read belongs to a state that the server has forgotten.
                Err(Cause::Expired) => tracing::debug!(list = resource.name, "the list expired and begins anew"),
                ended => return ended,
            }
        }
        Err(Cause::Expired)
    }

    async fn list_once<T: DeserializeOwned + Send + 'static>(
        &self,
        resource: &Resource,
        sink: &mut dyn Sink<T>,
    ) -> Result<(), Cause> {
        sink.clear();
        let (mut next, mut count, mut pages) = (None, 0, 0_u32);
        loop {
            let page = self.insist(async || self.page::<T>(resource, next.as_deref()).await).await;
            let page = page.inspect_err(|_| sink.clear())?;
            count += page.objects.len();
            pages += 1;
            if count > MOST_OBJECTS {
                sink.clear();
                return Err(Cause::TooLarge);
            }
            page.objects.into_iter().for_each(|object| sink.take(object));
            if page.next.is_none() {
                tracing::debug!(list = resource.name, objects = count, pages, "read a list");
                return Ok(());
            }
            next = page.next;
        }
    }

    async fn page<T: DeserializeOwned + Send + 'static>(
        &self,
        resource: &Resource,
        next: Option<&str>,
    ) -> Result<Page<T>, Failed> {
        // No resource version: with "0" the server would ignore the limit and send everything.
        let mut parameters = ListParams::default().limit(self.manner.page_size);
        parameters.continue_token = next.map(str::to_owned);
        let list = kube::core::Request::new(resource.path);
        let request = if resource.metadata_only { list.list_metadata(&parameters) } else { list.list(&parameters) };
        let mut request = request.map_err(|_| Cause::Undecodable)?.map(Body::from);
        if self.compressed {
            request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let response = self.send(request).await?;
        let gzip = response.headers().get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip");
        let mut answer = response.into_body();
        // The decoder has a thread to itself, so that of a page no more is in memory than it is looking at.
        let (sender, receiver) = mpsc::channel(2);
        let decoder = tokio::task::spawn_blocking(move || {
            page::decode::<T>(ChannelReader::new(receiver), gzip, MOST_OBJECTS_OF_A_PAGE)
        });
        while let Some(bytes) = self.next(&mut answer).await? {
            if sender.send(bytes).await.is_err() {
                break;
            }
        }
        drop(sender);
        let page = decoder.await.map_err(|_| Cause::Undecodable)?;
        page.map_err(|error| match error {
            PageError::NotAList => Cause::Undecodable.into(),
            PageError::TooLarge => Cause::TooLarge.into(),
        })
    }

    /// Sends a request and takes the answer if it is a success.
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, Failed> {
        let headers = request.headers_mut();
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        // For those who read an API server's audit log.
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        let sent = timeout_at(self.patience(), self.client.send(request)).await.map_err(|_| Cause::Timeout)?;
        let response = sent.map_err(|error| Cause::of_error(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let after = match response.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => retry_after(&response),
            _ => None,
        };
        Err(Failed { cause: Cause::of_status(response.status().as_u16()), after })
    }

    /// The next piece of an answer.
    async fn next(&self, answer: &mut Body) -> Result<Option<impl AsRef<[u8]> + Send + 'static>, Failed> {
        loop {
            let frame = timeout_at(self.patience(), answer.frame()).await.map_err(|_| Cause::Timeout)?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| Cause::of_error(&error))?;
            if let Ok(bytes) = frame.into_data() {
                self.traffic.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                return Ok(Some(bytes));
            }
        }
    }

    /// Until when to wait for the server's next word.
    fn patience(&self) -> Instant {
        self.deadline.min(Instant::now() + self.manner.request_timeout)
    }

    /// Tries, and tries again where that may help.
    async fn insist<T>(&self, attempt: impl AsyncFn() -> Result<T, Failed>) -> Result<T, Cause> {
        let mut backoff = BACKOFF;
        for tried in 1.. {
            let Failed { cause, after } = match attempt().await {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            let most = if matches!(cause, Cause::Unreachable(_)) { CONNECTION_ATTEMPTS } else { ATTEMPTS };
            let wait = after.unwrap_or(backoff).min(LONGEST_WAIT);
            if !cause.passes() || tried >= most {
                return Err(cause);
            }
            if Instant::now() + wait >= self.deadline {
                return Err(Cause::Timeout);
            }
            tracing::debug!(%cause, tried, wait = ?wait, "asking again");
            sleep(wait).await;
            backoff *= 2;
        }
        Err(Cause::Timeout)
    }
}

/// How long a server asks to wait, in whole seconds as API servers write it.
fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

//! Bundles over HTTP: to `URL/v1/bundles`, tried again until a deadline, answered with a receipt or not delivered.
//!
//! No redirect leads to another host, scheme or method, and nothing counts as delivered but an answer that the caller
//! finds to be a receipt.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::stream;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::StreamBody;
use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Frame};
use reqwest::{Body, Client, NoProxy, Proxy, Response, Url, redirect};
use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::clock::Environment;
use crate::store::durable::{FileError, failed};

/// What the files of a client certificate and its key should hold.
const PAIR: &str = "a certificate that goes with its private key, in PEM";
/// The media type of bundles and receipts.
const TAR: &str = "application/x-tar";
/// How much of a bundle is read at a time.
const CHUNK: usize = 64 * 1024;
/// The most that an answer may have: a receipt of the largest bundle, or a problem document.
const ANSWER_BYTES: usize = 17 << 20;
/// How much of what a server says is told to people, in characters.
const DETAIL: usize = 1024;
/// How many redirects within the same server are followed.
const REDIRECTS: usize = 3;
/// The longest wait before a first retry; twice as long before each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait before a retry, unless the server asks for a longer one.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// How to reach a server.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A proxy, instead of the one that the environment names.
    pub proxy: Option<Url>,
    /// Certificates in PEM that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// A client certificate and its private key, in PEM.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// A file with a bearer token in it.
    pub token_file: Option<PathBuf>,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long the server may be silent.
    pub idle: Duration,
    /// How long one attempt may take in all.
    pub total: Duration,
    /// How long all attempts may take in all.
    pub deadline: Duration,
}

/// A bundle that was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// An address that can't be used.
    #[error("{0}")]
    Address(&'static str),
    /// A file that is needed can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// What a file holds can't be used.
    #[error("{} does not hold {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The client can't be set up.
    #[error("HTTP can't be set up")]
    Setup(#[source] reqwest::Error),
    /// What will pass: the server can't be reached, is busy, or fails. The caller tries again another time.
    #[error("{what}")]
    Later {
        /// What happened last.
        what: String,
    },
    /// The server does not want it.
    #[error("the server refused the bundle: {status}{}", detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default())]
    Refused {
        /// The status.
        status: StatusCode,
        /// The stable code, if it gave one.
        code: Option<String>,
        /// What it said, made safe to print.
        detail: Option<String>,
        /// What it advised, made safe to print.
        advice: Option<String>,
    },
    /// The server leads to another place.
    #[error("the server answered with a redirect, which is followed only within the same server: {0}")]
    Redirect(String),
}

impl SendError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let own = match self {
            Self::Refused { advice: Some(advice), .. } => return Some(format!("the server says: {advice}")),
            Self::Refused { status, .. } if *status == StatusCode::UNAUTHORIZED => {
                "give its token with --token-file FILE"
            }
            Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND => {
                "see that the address is that of a server for bundles; /v1/bundles is added to it"
            }
            Self::Redirect(_) => "if that is where bundles should go, give that address",
            _ => return None,
        };
        Some(own.to_owned())
    }
}

/// A server that takes bundles.
#[derive(Debug)]
pub struct Endpoint {
    client: Client,
    url: Url,
    headers: HeaderMap,
    deadline: Duration,
}

/// Checks the address of a server, and leads to where it takes bundles.
///
/// # Errors
/// Anything but an `http` or `https` address without a user, a query or a fragment.
pub fn bundles_url(address: &Url) -> Result<Url, SendError> {
    if !matches!(address.scheme(), "http" | "https") || !address.has_host() {
        return Err(SendError::Address("an http:// or https:// address is expected"));
    }
    if !address.username().is_empty() || address.password().is_some() {
        return Err(SendError::Address("an address with a user or password would show in process lists"));
    }
    if address.query().is_some() || address.fragment().is_some() {
        return Err(SendError::Address("an address without `?` and `#` is expected"));
    }
    let mut url = address.clone();
    url.set_path(&format!("{}/v1/bundles", address.path().trim_end_matches('/')));
    Ok(url)
}

impl Endpoint {
    /// Prepares to send to `URL/v1/bundles`.
    ///
    /// # Errors
    /// An address or a file that can't be used.
    pub fn new(address: &Url, options: &Options) -> Result<Self, SendError> {
        let url = bundles_url(address)?;
        // Another one may have been chosen by whoever uses this library.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .http1_only()
            .connect_timeout(options.connect)
            .read_timeout(options.idle)
            .timeout(options.total);
        if let Some(proxy) = &options.proxy {
            let proxy = Proxy::all(proxy.clone()).map_err(SendError::Setup)?;
            builder = builder.proxy(proxy.no_proxy(NoProxy::from_env()));
        }
        if let Some(path) = &options.ca_file {
            let certificates = reqwest::Certificate::from_pem_bundle(&read(path)?).ok();
            let certificates = certificates.filter(|certificates| !certificates.is_empty());
            let expected = "certificates in PEM";
            builder = builder
                .tls_certs_merge(certificates.ok_or_else(|| SendError::Content { path: path.clone(), expected })?);
        }
        if let Some((certificate, key)) = &options.client_certificate {
            let mut pem = read(certificate)?;
            pem.push(b'\n');
            pem.extend_from_slice(&read(key)?);
            let identity = reqwest::Identity::from_pem(&pem)
                .map_err(|_| SendError::Content { path: certificate.clone(), expected: PAIR })?;
            builder = builder.identity(identity);
        }
        let client = builder.build().map_err(|error| match &options.client_certificate {
            // All else that is given was looked at before.
            Some((path, _)) => SendError::Content { path: path.clone(), expected: PAIR },
            None => SendError::Setup(error.without_url()),
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(TAR));
        headers.insert(ACCEPT, HeaderValue::from_static(TAR));
        if let Some(path) = &options.token_file {
            let token = read(path)?;
            let text = [b"Bearer ", token.trim_ascii()].concat();
            let mut value = HeaderValue::from_bytes(&Zeroizing::new(text))
                .map_err(|_| SendError::Content { path: path.clone(), expected: "a token that a header can carry" })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self { client, url, headers, deadline: options.deadline })
    }

    /// Whether what is sent can be read on its way, to a place that is not this machine.
    #[must_use]
    pub fn is_in_the_open(&self) -> bool {
        let local = self.url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
        self.url.scheme() == "http" && !local
    }

    /// Sends a bundle until it is answered with 200 or 201, and returns the answer's body. `sent` hears how many bytes
    /// of the present attempt are on their way.
    ///
    /// # Errors
    /// [`SendError::Later`] when the deadline has passed, anything else at once.
    pub async fn send(
        &self,
        bundle: &File,
        sent: &Arc<AtomicU64>,
        environment: &dyn Environment,
    ) -> Result<Vec<u8>, SendError> {
        let deadline = Instant::now() + self.deadline;
        let (mut longest, mut last) = (FIRST_RETRY, None);
        loop {
            let Ok(attempt) = tokio::time::timeout_at(deadline, self.attempt(bundle, sent)).await else {
                let what = last.unwrap_or_else(|| "the bundle was not sent in time".to_owned());
                return Err(SendError::Later { what });
            };
            let attempt = attempt?;
            let (what, asked) = match attempt {
                Attempt::Answered(answer) => return Ok(answer),
                Attempt::Failed { what, retry_after } => (what, retry_after),
            };
            // Full jitter, so that many who failed together don't come back together.
            let wait = chance(longest, environment) + asked.unwrap_or_default();
            longest = (longest * 2).min(LONGEST_RETRY);
            tracing::info!(what, seconds = wait.as_secs_f64(), "trying again");
            if Instant::now() + wait >= deadline {
                return Err(SendError::Later { what });
            }
            tokio::time::sleep(wait).await;
            last = Some(what);
        }
    }

    /// One attempt, with the redirects that stay where they are.
    async fn attempt(&self, bundle: &File, sent: &Arc<AtomicU64>) -> Result<Attempt, SendError> {
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS {
            sent.store(0, Ordering::Relaxed);
            let (body, size) = body(bundle, Arc::clone(sent)).map_err(failed("read", Path::new("the bundle")))?;
            let request = self.client.post(url.clone()).headers(self.headers.clone()).header(CONTENT_LENGTH, size);
            let response = match request.body(body).send().await {
                Ok(response) => response,
                Err(error) => return Ok(unreachable(error)),
            };
            match redirected(&url, &response)? {
                Some(next) => url = next,
                None => return judge(response).await,
            }
        }
        Err(SendError::Redirect("it goes in circles".to_owned()))
    }
}

enum Attempt {
    Answered(Vec<u8>),
    Failed { what: String, retry_after: Option<Duration> },
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SendError> {
    Ok(Zeroizing::new(std::fs::read(path).map_err(failed("read", path))?))
}

/// The bundle from its start, read as it is sent.
fn body(bundle: &File, sent: Arc<AtomicU64>) -> io::Result<(Body, u64)> {
    let mut file = bundle.try_clone()?;
    file.rewind()?;
    let size = file.metadata()?.len();
    let chunks = stream::unfold((file, sent), |(mut file, sent)| async move {
        let mut chunk = vec![0; CHUNK];
        match file.read(&mut chunk) {
            Ok(0) => None,
            Ok(count) => {
                chunk.truncate(count);
                sent.fetch_add(count as u64, Ordering::Relaxed);
                Some((Ok(Frame::data(Bytes::from(chunk))), (file, sent)))
            }
            Err(error) => Some((Err(error), (file, sent))),
        }
    });
    Ok((Body::wrap(BoxBody::new(StreamBody::new(Box::pin(chunks)))), size))
}

/// Where a redirect leads that may be followed: the method stays, and the server is the same.
fn redirected(from: &Url, response: &Response) -> Result<Option<Url>, SendError> {
    if !response.status().is_redirection() {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let to = location.and_then(|location| from.join(location).ok());
    let keeps_method = matches!(response.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    match to {
        Some(to) if keeps_method && to.origin() == from.origin() => Ok(Some(to)),
        Some(to) => Err(SendError::Redirect(format!(
            "{} to {}",
            response.status(),
            shortened(&to.origin().ascii_serialization())
        ))),
        None => Err(SendError::Redirect(response.status().to_string())),
    }
}

/// Sorts an answer: taken, not now, or not at all.
async fn judge(response: Response) -> Result<Attempt, SendError> {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let answer = match bounded(response).await {
        Ok(answer) => answer,
        Err(error) => return Ok(error),
    };
    if matches!(status, StatusCode::OK | StatusCode::CREATED) {
        return Ok(Attempt::Answered(answer));
    }
    let said = Said::of(&answer);
    let passes = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
    if passes {
        let detail = said.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
        return Ok(Attempt::Failed { what: format!("the server answered {status}{detail}"), retry_after });
    }
    Err(SendError::Refused { status, code: said.code, detail: said.detail, advice: said.hint })
}

/// What of a problem document is told.
#[derive(Default, Deserialize)]
struct Said {
    code: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
}

impl Said {
    fn of(answer: &[u8]) -> Self {
        let said: Self = serde_json::from_slice(answer).unwrap_or_default();
        let [code, detail, hint] = [said.code, said.detail, said.hint].map(|text| text.as_deref().map(shortened));
        Self { code, detail, hint }
    }
}

/// Text of a server, cut off and with control characters escaped.
fn shortened(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().take(DETAIL).map(escaped).collect()
}

/// An answer's body, as far as there is any use in it.
async fn bounded(mut response: Response) -> Result<Vec<u8>, Attempt> {
    let mut answer = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if answer.len() + chunk.len() > ANSWER_BYTES => {
                let what = format!("the server's answer is larger than {ANSWER_BYTES} bytes");
                return Err(Attempt::Failed { what, retry_after: None });
            }
            Ok(Some(chunk)) => answer.extend_from_slice(&chunk),
            Ok(None) => return Ok(answer),
            Err(error) => return Err(unreachable(error)),
        }
    }
}

/// What kept an attempt from an answer, outermost cause first.
fn unreachable(error: reqwest::Error) -> Attempt {
    let error = error.without_url();
    let word = if error.is_connect() {
        "the server can't be reached"
    } else if error.is_timeout() {
        "the server did not answer in time"
    } else {
        "the connection broke"
    };
    let mut what = word.to_owned();
    let causes = std::iter::successors(std::error::Error::source(&error), |error| error.source());
    if let Some(cause) = causes.last() {
        what = format!("{what}: {}", shortened(&cause.to_string()));
    }
    Attempt::Failed { what, retry_after: None }
}

/// Seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Duration::try_from(date.timestamp().duration_since(jiff::Timestamp::now())).ok()
}

/// A time below `longest`, by chance.
fn chance(longest: Duration, environment: &dyn Environment) -> Duration {
    let mut bytes = [0; 4];
    // Without random numbers, the longest wait does as well.
    match environment.random(&mut bytes) {
        Ok(()) => longest.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)),
        Err(_) => longest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_where_bundles_are_taken() {
        let url =
            |text: &str| bundles_url(&Url::parse(text).unwrap()).map(String::from).map_err(|error| error.to_string());
        assert_eq!(url("https://t.example").unwrap(), "https://t.example/v1/bundles");
        assert_eq!(url("https://t.example/base/").unwrap(), "https://t.example/base/v1/bundles");
        for bad in [
            "ftp://t.example",
            "https://u:p@t.example",
            "https://u@t.example",
            "https://t.example/?a",
            "https://t.example/#a",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_server_says_is_safe_to_print() {
        let said = Said::of(br#"{"detail":"\u001b[31mred","code":"x","hint":7}"#);
        assert_eq!(said.detail, None, "not the document that it should be");
        let said = Said::of(br#"{"detail":"\u001b[31mred","code":"x"}"#);
        assert_eq!((said.detail.unwrap().as_str(), said.code.unwrap().as_str()), ("\\u{1b}[31mred", "x"));
        assert_eq!(shortened(&"a".repeat(5000)).len(), DETAIL);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let of = |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(of("120"), Some(Duration::from_mins(2)));
        assert!(of("Tue, 31 Dec 2999 23:59:59 GMT").unwrap() > Duration::from_hours(24));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        assert_eq!(of("soon"), None);
    }
}

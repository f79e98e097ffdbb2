//! The page's form: `multipart/form-data` with one file, and the token before it where the server wants one.
//!
//! No cookie and nothing else that a browser adds by itself lets anybody in. A form that another site has posted is
//! refused all the same: it would come from the address, and out of the network, of a person who knows nothing of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use futures::{Stream, StreamExt as _, stream};
use multer::{Field, Multipart};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::super::{Caller, Problem, Service, spool, told};
use crate::ingest::Accepted;

/// How much a form may have beside its file, in bytes: boundaries, headers, the token.
const BESIDE: u64 = 16 * 1024;
/// The field with the file.
const FILE: &str = "bundle";
/// The field with the token.
const TOKEN: &str = "token";

/// A form that ends in another way than with its file.
#[derive(Debug, thiserror::Error)]
enum FormError {
    #[error("the form breaks off")]
    Broken(#[from] multer::Error),
    #[error("something follows the file")]
    Extra,
}

/// What was seen of a form while it was read.
#[derive(Debug, Default)]
struct Seen {
    /// How many bytes came beside the file, all of which are held in memory.
    beside: AtomicU64,
    /// Whether what comes now belongs to the file.
    in_file: AtomicBool,
    /// Whether something came behind the file.
    extra: AtomicBool,
}

impl Seen {
    /// Takes a piece of the body, unless too much came already: the piece that a file begins in may be a large one.
    fn take(&self, piece: Bytes) -> Result<Bytes, axum::BoxError> {
        let length = piece.len() as u64;
        if !self.in_file.load(Ordering::Relaxed) && self.beside.fetch_add(length, Ordering::Relaxed) >= BESIDE {
            return Err("there is too much beside the file".into());
        }
        Ok(piece)
    }
}

/// Receives the form and accepts the bundle in it.
pub(super) async fn take(service: &Arc<Service>, request: Request) -> Result<Accepted, Problem> {
    let (parts, body) = request.into_parts();
    check_site(&parts.headers)?;
    let boundary = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = boundary.and_then(|value| multer::parse_boundary(value).ok()).ok_or_else(other_type)?;
    spool::check_announced(service, &parts.headers, &body, BESIDE)?;
    let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(Problem::internal)?;
    let seen = Arc::new(Seen::default());
    let meter = Arc::clone(&seen);
    let pieces = body.into_data_stream().map(move |piece| meter.take(piece?));
    let mut form = Multipart::new(pieces, boundary);
    let looking = find_file(service, &mut form, service.authorize(&parts.headers));
    let file = timeout(service.settings.idle, looking).await.map_err(|_| spool::too_slow())??;
    seen.in_file.store(true, Ordering::Relaxed);
    let accepted = service.take(&caller, file_of(form, file, Arc::clone(&seen))).await;
    if seen.extra.load(Ordering::Relaxed) { Err(unexpected()) } else { accepted }
}

/// Looks for the file; what may stand before it is the token.
async fn find_file(
    service: &Service,
    form: &mut Multipart<'static>,
    mut authorized: Result<(), Problem>,
) -> Result<Field<'static>, Problem> {
    let mut tokens = 0;
    loop {
        let field = form.next_field().await.map_err(|error| unreadable(&error))?;
        let Some(field) = field else { return Err(no_file()) };
        match field.name() {
            Some(FILE) => {
                authorized?;
                // What browsers send where nothing was chosen.
                return if field.file_name() == Some("") { Err(no_file()) } else { Ok(field) };
            }
            Some(TOKEN) if service.settings.token.is_some() && tokens == 0 => {
                tokens += 1;
                let token = Zeroizing::new(field.text().await.map_err(|error| unreadable(&error))?);
                authorized = authorized.or_else(|_| service.check_token(Some(token.trim())));
            }
            _ => return Err(unexpected()),
        }
    }
}

/// The file's bytes. They end well only if nothing but the form's end follows them, so that a form with more in it is
/// refused before anything of it is accepted.
fn file_of(
    form: Multipart<'static>,
    file: Field<'static>,
    seen: Arc<Seen>,
) -> impl Stream<Item = Result<Bytes, FormError>> {
    stream::try_unfold((form, Some(file), seen), |(mut form, file, seen)| async move {
        let Some(mut file) = file else { return Ok(None) };
        if let Some(piece) = file.chunk().await? {
            return Ok(Some((piece, (form, Some(file), seen))));
        }
        drop(file);
        seen.in_file.store(false, Ordering::Relaxed);
        if form.next_field().await?.is_some() {
            seen.extra.store(true, Ordering::Relaxed);
            return Err(FormError::Extra);
        }
        Ok(None)
    })
}

/// Refuses a form that comes from another site. Browsers say so themselves where the page is served over HTTPS or on the
/// same machine; over plain HTTP the origin tells, which must be the host that was asked. Programs send neither.
fn check_site(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let own = match (text("sec-fetch-site"), text(header::ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let origin = origin.parse::<Uri>().ok();
            let asked = origin.as_ref().and_then(Uri::authority).map(Authority::as_str);
            asked.is_some() && asked == text(header::HOST.as_str())
        }
        (None, None) => !headers.contains_key(header::ORIGIN),
    };
    if own {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "crossSite", "the form was posted from another site")
        .hint("open this page at the server's own address and upload there"))
}

fn other_type() -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "mediaType", "this is not the form of the upload page")
        .hint("choose the file on this page; programs send bundles to /v1/bundles")
}

fn no_file() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "fileMissing", "no file was chosen").hint("choose the bundle, then upload it")
}

fn unexpected() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "formInvalid", "the form has something in it that does not belong there")
        .hint("choose one file on this page and upload it")
}

fn unreadable(error: &multer::Error) -> Problem {
    tracing::debug!(error = told(error), "a form that can't be read");
    Problem::new(StatusCode::BAD_REQUEST, "formInvalid", "the form did not arrive as a whole, or is not one")
        .hint("choose the file on this page and upload it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_another_site_is_told_from_the_own_one() {
        let own = |headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            check_site(&headers.collect::<HeaderMap>()).is_ok()
        };
        let host = ("host", "telemetry.example:8080");
        assert!(own(&[host]), "a program");
        assert!(own(&[host, ("sec-fetch-site", "same-origin"), ("origin", "https://outside.example")]), "a proxy");
        assert!(own(&[host, ("sec-fetch-site", "none")]));
        assert!(!own(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(!own(&[host, ("sec-fetch-site", "same-site"), ("origin", "http://telemetry.example:8080")]));
        assert!(own(&[host, ("origin", "http://telemetry.example:8080")]));
        assert!(!own(&[host, ("origin", "http://telemetry.example")]), "another port is another site");
        assert!(!own(&[host, ("origin", "http://other.example")]));
        assert!(!own(&[host, ("origin", "null")]));
        assert!(!own(&[host, ("origin", "\u{fc}")]));
    }
}

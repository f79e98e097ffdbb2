//! Why an object store failed, for people. What a server answers is not told as it is: it may repeat what was sent to
//! it, and that was signed. A status and the server's own word for it say enough.

use std::error::Error;
use std::io;

use http::StatusCode;
use object_store::client::{HttpError, HttpErrorKind};

/// Why it failed; of a remote store as an [`io::Error`] of the kind that fits.
pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// How much of a cause is told, in characters.
const TOLD: usize = 200;

/// Words for a store that can't take more.
const FULL: [&str; 6] = [
    "QuotaExceeded",
    "StorageFull",
    "XMinioStorageFull",
    "InsufficientStorage",
    "AccountQuotaExceeded",
    "StorageQuotaExceeded",
];
/// Words for a bucket that does not exist.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Why a remote store failed.
pub(super) fn of_remote(error: &object_store::Error) -> Failure {
    let transport = causes(error).find_map(|cause| cause.downcast_ref::<HttpError>());
    let (kind, text) = match (status(error), transport) {
        (Some(status), _) => of_answer(status, &error.to_string()),
        (None, Some(error)) => of_transport(error),
        (None, None) => match word(&error.to_string()) {
            Some(word) => (io::ErrorKind::Other, format!("it fails ({word})")),
            None => (io::ErrorKind::Other, innermost(error)),
        },
    };
    Box::new(io::Error::new(kind, text))
}

/// The status of the answer that an error is about. The client has no other way of telling it than its text.
fn status(error: &object_store::Error) -> Option<StatusCode> {
    let text = error.to_string();
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3).and_then(|digits| StatusCode::from_bytes(digits.as_bytes()).ok())
}

/// Why a local store failed: its paths are no secret, and its causes tell whether a disk is full.
pub(super) fn of_local(error: object_store::Error) -> Failure {
    Box::new(error)
}

/// Why a store can't be set up. A file with a key in it that can't be read is not quoted.
pub(super) fn of_settings(error: &object_store::Error) -> Failure {
    let damaged = causes(error).find_map(|cause| cause.downcast_ref::<serde_json::Error>());
    let text = match damaged {
        Some(json) => format!("the credentials are not the JSON that is expected (line {})", json.line()),
        // The client's own name for itself comes first, and is known.
        None => printable(&error.source().map_or_else(|| error.to_string(), ToString::to_string)),
    };
    Box::new(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// Whether a server does not know of conditions, and refuses them.
pub(super) fn is_unconditional(error: &object_store::Error) -> bool {
    status(error) == Some(StatusCode::NOT_IMPLEMENTED) || matches!(error, object_store::Error::NotImplemented { .. })
}

/// Whether somebody else was at the same object at the same time, so that nobody knows whether it is there now.
pub(super) fn is_conflict(error: &object_store::Error) -> bool {
    status(error) == Some(StatusCode::CONFLICT)
}

/// Whether an object is not there because its bucket is not.
pub(super) fn is_without_bucket(error: &object_store::Error) -> bool {
    word(&error.to_string()).is_some_and(|word| NO_BUCKET.contains(&word.as_str()))
}

/// What a server's answer means.
fn of_answer(status: StatusCode, body: &str) -> (io::ErrorKind, String) {
    let word = word(body);
    let answered = match &word {
        Some(word) => format!("{} {word}", status.as_u16()),
        None => status.to_string(),
    };
    let word = word.unwrap_or_default();
    let (kind, meaning) = match status {
        _ if NO_BUCKET.contains(&word.as_str()) => (io::ErrorKind::NotFound, "there is no such bucket"),
        _ if FULL.contains(&word.as_str()) => (io::ErrorKind::StorageFull, "it is full"),
        StatusCode::INSUFFICIENT_STORAGE => (io::ErrorKind::StorageFull, "it is full"),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            (io::ErrorKind::PermissionDenied, "the credentials are refused")
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => (io::ErrorKind::ResourceBusy, "it is busy"),
        status if status.is_redirection() => (io::ErrorKind::NotFound, "it refers to another address"),
        status if status.is_server_error() => (io::ErrorKind::Other, "it fails"),
        _ => (io::ErrorKind::Other, "it refuses"),
    };
    (kind, format!("{meaning} ({answered})"))
}

/// The word for an error in an answer of S3, Google or Azure: letters only, so that nothing else can be in it.
fn word(body: &str) -> Option<String> {
    let (_, rest) = body.split_once("<Code>").or_else(|| body.split_once("\"reason\": \""))?;
    let word: String = rest.chars().take_while(char::is_ascii_alphanumeric).take(64).collect();
    (!word.is_empty()).then_some(word)
}

fn of_transport(error: &HttpError) -> (io::ErrorKind, String) {
    let cause = innermost(error);
    if cause.contains("scheme is not allowed") {
        return (io::ErrorKind::InvalidInput, "http:// is not allowed, only https://".to_owned());
    }
    let (kind, meaning) = match error.kind() {
        HttpErrorKind::Timeout => (io::ErrorKind::TimedOut, "it does not answer in time"),
        HttpErrorKind::Connect => (io::ErrorKind::NotConnected, "it can't be reached"),
        _ => (io::ErrorKind::ConnectionAborted, "the connection broke"),
    };
    (kind, format!("{meaning}: {cause}"))
}

/// The cause behind all others, in a form that can be printed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    printable(&causes(error).last().map(ToString::to_string).unwrap_or_default())
}

fn printable(text: &str) -> String {
    text.chars().take(TOLD).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_by_its_status_and_its_word_alone() {
        let body = "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>";
        let (kind, text) = of_answer(StatusCode::FORBIDDEN, body);
        assert_eq!(kind, io::ErrorKind::PermissionDenied);
        assert_eq!(text, "the credentials are refused (403 SignatureDoesNotMatch)");
        let told = |status, body: &str| of_answer(StatusCode::from_u16(status).unwrap(), body);
        assert_eq!(told(404, "<Code>NoSuchBucket</Code>").1, "there is no such bucket (404 NoSuchBucket)");
        assert_eq!(told(507, "").0, io::ErrorKind::StorageFull);
        assert_eq!(told(403, "<Code>QuotaExceeded</Code>").0, io::ErrorKind::StorageFull);
        assert_eq!(told(500, "<Code>\u{1b}[31m</Code>").1, "it fails (500 Internal Server Error)");
        assert_eq!(told(403, "{\"reason\": \"forbidden\"}").1, "the credentials are refused (403 forbidden)");
    }
}

//! Errors as problem documents (RFC 9457), each with the stable code that verifying has for it.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{IngestError, is_full, told};
use crate::bundle::VerifyError;

/// How long a caller is asked to wait when something behind the server fails.
const RETRY: Duration = Duration::from_secs(30);

/// Why a request was not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The answer's status.
    pub status: StatusCode,
    /// The stable code: that of verifying where that is what failed.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: String,
    /// What can be done about it.
    pub hint: Option<String>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), hint: None, retry_after: None }
    }

    /// Says what can be done about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Something that will pass.
    #[must_use]
    pub fn unavailable(code: &'static str, detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).after(RETRY)
    }

    /// Something that should not happen; the log has it.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed; its log says how")
    }

    /// No token, or not the right one.
    #[must_use]
    pub fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .hint("send it as `Authorization: Bearer TOKEN`; whoever runs the server hands it out")
    }

    /// Storage that can't take more.
    #[must_use]
    pub fn full() -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "storageFull", "the server has no room for the bundle")
            .hint("keep the bundle and send it again later; whoever runs the server has to make room")
    }

    /// More than a quota allows.
    #[must_use]
    pub fn throttled(what: &'static str, wait: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "throttled", format!("the quota of {what} is used up for this hour"))
            .hint("send it again later; nothing of it was kept")
            .after(wait)
    }

    /// Turns what ingest says into an answer; what is not the caller's business goes to the log alone.
    pub fn of_ingest(error: &IngestError) -> Self {
        match error {
            IngestError::Verify(error) => Self::of_verify(error),
            IngestError::UnknownSigner { .. } => Self::new(StatusCode::FORBIDDEN, "signerUnknown", told(error))
                .hint("send Kubermatic the key id and the public key (`keys show`, `keys export`), then upload again"),
            // The places of an hour are free again when it is over.
            IngestError::TooManyPins { .. } => Self::throttled("new clients", Duration::from_hours(1)),
            IngestError::Throttled { what, wait } => Self::throttled(what, *wait),
            other if is_full(other) => {
                tracing::error!(error = told(other), "the archive is full");
                Self::full()
            }
            IngestError::Archive(error) => {
                tracing::error!(error = told(error), "the archive failed");
                Self::unavailable("archiveUnavailable", "the archive can't be used now")
            }
            other => {
                tracing::error!(error = told(other), "accepting a bundle failed");
                Self::internal()
            }
        }
    }

    fn of_verify(error: &VerifyError) -> Self {
        let status = match error {
            VerifyError::Io(_) | VerifyError::TrustUnavailable(_) | VerifyError::Changed => {
                tracing::error!(error = told(error), "a bundle could not be verified");
                return Self::unavailable(error.code().as_str(), "the bundle could not be verified now");
            }
            VerifyError::NotABundle(_)
            | VerifyError::WrongDocument { .. }
            | VerifyError::WebPage
            | VerifyError::Altered(_)
            | VerifyError::Garbled => StatusCode::BAD_REQUEST,
            VerifyError::Revoked(_) | VerifyError::Conflict { .. } => StatusCode::FORBIDDEN,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        // Its hint would be for whoever runs the server.
        if matches!(error, VerifyError::Limit(_) | VerifyError::RecordLimit { .. }) {
            return Self::new(status, error.code().as_str(), told(error));
        }
        let problem = Self::new(status, error.code().as_str(), told(error));
        match error.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }

    /// The document, in place of `response`, whose headers stay.
    pub(super) fn render(self, request: &str, response: Response) -> Response {
        let (mut parts, _) = response.into_parts();
        let document = json!({
            "type": format!("urn:kubermatic-telemetry:problem:{}", self.code),
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "hint": self.hint,
            "instance": format!("urn:uuid:{request}"),
        });
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, Body::from(document.to_string() + "\n"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

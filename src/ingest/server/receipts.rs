//! `GET /v1/receipts/{manifest-sha256}`: the receipt of a bundle that was accepted, for whoever has lost it.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::{Problem, Service, told};
use crate::bundle::Limits;
use crate::digest::Sha256Digest;
use crate::receipt;

/// The media type of bundles and receipts.
pub(super) const TAR: &str = "application/x-tar";

/// Answers with the receipt. Whoever knows the digest has the bundle.
pub(super) async fn receipt(
    State(service): State<Arc<Service>>,
    Path(manifest): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    service.authorize(request.headers())?;
    let digest: Sha256Digest = manifest.parse().map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "digestInvalid", "a receipt is asked for by the SHA-256 of its manifest")
            .hint("64 lower-case hexadecimal digits, as `export --json` prints them as `manifestSha256`")
    })?;
    let found = tokio::task::spawn_blocking(move || super::super::find_receipt(&service.archive, digest)).await;
    match found {
        Ok(Ok(Some(receipt))) => {
            let name = receipt::open(&receipt, &[], &Limits::default()).map(|opened| opened.receipt.file_name());
            Ok(file(receipt, &name.unwrap_or_else(|_| "receipt.tar".into())))
        }
        Ok(Ok(None)) => {
            Err(Problem::new(StatusCode::NOT_FOUND, "receiptUnknown", "no bundle with this manifest was accepted"))
        }
        Ok(Err(error)) => {
            tracing::error!(error = told(&error), "the archive failed");
            Err(Problem::unavailable("archiveUnavailable", "the archive can't be used now"))
        }
        Err(_) => Err(Problem::internal()),
    }
}

/// A receipt as a file to save under a name.
pub(super) fn file(receipt: Vec<u8>, name: &str) -> Response {
    let mut response = receipt.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TAR));
    if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

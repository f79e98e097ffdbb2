//! The upload page at `/`: one document for people, which the program carries with everything that is in it.
//!
//! With script it looks at a file before anything is sent and uses `POST /v1/bundles`. Without, it is a plain form that
//! is posted to `/`, and the same page comes back with what became of the bundle.

mod document;
mod form;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{RequestId, Service};
use document::Document;

/// `GET /`: the page. Everybody may have it, since it holds nothing that is not in the program.
pub(super) async fn show(State(service): State<Arc<Service>>) -> Response {
    Document::new(&service.settings).answer(StatusCode::OK)
}

/// `POST /`: the page's form, answered with the page and the status that `POST /v1/bundles` has for the same.
pub(super) async fn submit(State(service): State<Arc<Service>>, request: Request) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let taken = form::take(&service, request).await;
    let document = Document::new(&service.settings);
    match taken {
        Ok(accepted) => document.accepted(&accepted),
        Err(problem) => document.refused(problem, id.as_ref().map_or("", |id| &id.0)),
    }
}

//! What a server counts, for Prometheus. No label has a value that a caller can choose.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::{Problem, Service};
use crate::ingest::Accepted;
use crate::receipt::{Chain, RecordStatus};

/// Answers by route and status.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

/// The counters of one server.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    answers: Family<Answer, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    refusals: Family<Code, Counter>,
    bundles: Family<Outcome, Counter>,
    records: Family<Outcome, Counter>,
    chains: Family<Outcome, Counter>,
    new_clients: Counter,
    bytes: Counter,
    uploads: Gauge,
    connections: Gauge,
}

/// Counts one while it lives.
pub(super) struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// From a few milliseconds, which a small bundle takes, to the minutes of a slow upload.
fn seconds() -> Histogram {
    Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0])
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("kubermatic_telemetry");
        let metrics = Self {
            registry: Registry::default(),
            answers: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            refusals: Family::default(),
            bundles: Family::default(),
            records: Family::default(),
            chains: Family::default(),
            new_clients: Counter::default(),
            bytes: Counter::default(),
            uploads: Gauge::default(),
            connections: Gauge::default(),
        };
        registry.register("http_requests", "Answers by route and status", metrics.answers.clone());
        registry.register_with_unit(
            "http_request_duration",
            "How long answers took, with the time that bodies took to arrive",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register("refusals", "Requests that were not granted, by code", metrics.refusals.clone());
        registry.register(
            "bundles",
            "Bundles accepted: new ones, and such as were accepted before",
            metrics.bundles.clone(),
        );
        registry.register("records", "Records of new bundles by what became of them", metrics.records.clone());
        registry.register("chains", "New bundles by whether they follow the one before them", metrics.chains.clone());
        registry.register("new_clients", "Clients whose key was pinned", metrics.new_clients.clone());
        registry.register_with_unit("received", "Bodies that arrived whole", Unit::Bytes, metrics.bytes.clone());
        registry.register("uploads", "Bodies that are being received or checked", metrics.uploads.clone());
        registry.register("connections", "Open connections", metrics.connections.clone());
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "What is running", Info::new(version));
        // Every series is there from the start, so that a first increase is seen as one.
        for result in ["new", "again"] {
            let _ = metrics.bundles.get_or_create(&Outcome { result });
        }
        for chain in [Chain::Ok, Chain::Gap, Chain::Fork] {
            let _ = metrics.chains.get_or_create(&Outcome { result: chain.as_str() });
        }
        Self { registry, ..metrics }
    }

    pub fn answered(&self, route: &'static str, status: u16, code: Option<&'static str>, seconds: f64) {
        self.answers.get_or_create(&Answer { route, status }).inc();
        self.seconds.get_or_create(&Route { route }).observe(seconds);
        if let Some(code) = code {
            self.refusals.get_or_create(&Code { code }).inc();
        }
    }

    pub fn received(&self, bytes: u64) {
        self.bytes.inc_by(bytes);
    }

    pub fn upload(&self) -> Counted {
        self.uploads.inc();
        Counted(self.uploads.clone())
    }

    pub fn connection(&self) -> Counted {
        self.connections.inc();
        Counted(self.connections.clone())
    }

    pub fn accepted(&self, accepted: &Accepted) {
        let result = if accepted.again { "again" } else { "new" };
        self.bundles.get_or_create(&Outcome { result }).inc();
        if accepted.again {
            return;
        }
        self.chains.get_or_create(&Outcome { result: accepted.document.chain.as_str() }).inc();
        for record in &accepted.document.records {
            let result = match record.status {
                RecordStatus::Accepted => "accepted",
                RecordStatus::Duplicate => "duplicate",
                RecordStatus::Rejected => "rejected",
            };
            self.records.get_or_create(&Outcome { result }).inc();
        }
        if accepted.pinned.is_some() {
            self.new_clients.inc();
        }
    }
}

/// The route of a path, of which there are few whatever is asked for.
pub(super) fn route(path: &str) -> &'static str {
    match path {
        "/" => "/",
        "/v1/bundles" => "/v1/bundles",
        "/healthz" => "/healthz",
        "/readyz" => "/readyz",
        "/metrics" => "/metrics",
        path if path.starts_with("/v1/receipts/") => "/v1/receipts",
        _ => "other",
    }
}

/// `GET /metrics`.
pub(super) async fn show(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let mut text = String::new();
    encode(&mut text, &service.metrics.registry).map_err(|_| Problem::internal())?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

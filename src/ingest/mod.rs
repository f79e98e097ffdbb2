//! Ingest: the accepting side. Nothing that arrives is trusted before it was verified in full.

mod accept;
pub mod archive;
pub mod server;

pub use accept::{Accepted, Gate, Ingest, IngestError, OpenGate, Policy, accept, find_receipt, local_receipt_key};

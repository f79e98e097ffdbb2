//! Ingest: the accepting side. Nothing that arrives is trusted before it was verified in full.

mod accept;
pub mod archive;
pub mod operator;
mod trust;

pub use accept::{Accepted, Ingest, IngestError, Policy, accept, local_receipt_key};

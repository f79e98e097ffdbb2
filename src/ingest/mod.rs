//! Ingest: the accepting side. Nothing that arrives is trusted before it was verified in full.

mod accept;
pub mod archive;
mod audit;
mod chain;
pub mod operator;
pub(crate) mod owner;
mod records;
pub mod server;
mod trust;

pub(crate) use accept::bundle_name;
pub use accept::{
    Accepted, Gate, Ingest, IngestError, OpenGate, Policy, accept, close, find_receipt, local_receipt_key,
};
pub use audit::MOST as MOST_REFUSALS;
pub(crate) use records::Misfits;

//! Anonymous usage telemetry for the Kubermatic Kubernetes Platform, for connected and for air-gapped installations.
//!
//! ```text
//! source (live | manifests) -> agent -> record -> store -> bundle (pack, sign) -> reporter (file | http | stdout)
//! bytes (file | http | stdin) -> bundle (verify) -> ingest -> archive + tables + receipt -> store (acknowledge)
//! ```
//!
//! `docs/architecture.md` has the map of the modules; data flows down it, and nothing calls back up into the command
//! line, which lives in the binary.

#[cfg(feature = "agent")]
pub mod agent;
pub mod bundle;
pub mod clock;
pub mod digest;
pub mod identity;
#[cfg(feature = "ingest")]
pub mod ingest;
pub mod keys;
pub mod metrics;
#[cfg(feature = "pages")]
pub mod pages;
pub mod pseudonym;
pub mod receipt;
pub mod record;
pub mod reporter;
pub mod setting;
pub mod store;
#[cfg(feature = "ingest")]
pub mod tables;
pub mod text;

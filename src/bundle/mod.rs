//! Bundles and receipts: the container, the manifest, deltas, packing, verifying, and the limits of all of it.
//!
//! Nothing here knows Kubernetes, HTTP or the store, and verifying never sees a secret key.

pub mod container;
pub mod delta;
pub mod error;
mod gzip;
pub mod limits;
pub mod manifest;
pub mod pack;
pub mod verify;

pub use error::VerifyError;
pub use limits::Limits;
pub use manifest::Manifest;

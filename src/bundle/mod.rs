//! Bundles and receipts: the container, the manifest, deltas, packing, verifying, and the limits of all of it.
//!
//! Nothing here knows Kubernetes, HTTP or the store, and verifying never sees a secret key.

pub mod altered;
pub mod code;
pub mod container;
pub mod delta;
pub mod error;
mod gzip;
mod hint;
pub mod json;
pub mod limits;
pub mod lists;
pub mod manifest;
pub(crate) mod members;
pub mod pack;
mod recognise;
pub mod verify;

pub use code::Code;
pub use error::VerifyError;
pub use limits::Limits;
pub use manifest::Manifest;

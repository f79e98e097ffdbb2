//! Bundles and receipts: the container, the manifest, deltas, packing, verifying, and the limits of all of it.
//!
//! Nothing here knows Kubernetes, HTTP or the store, and verifying never sees a secret key.

pub mod delta;
pub mod limits;

//! The limits of a bundle: one struct, the same for packing and for verifying.

use crate::record::canonical::Bounds;

/// What a bundle may be. The defaults are those of `docs/bundle-format.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The whole file, in bytes.
    pub bundle_bytes: u64,
    /// `manifest.json`, in bytes.
    pub manifest_bytes: u64,
    /// How many records.
    pub records: usize,
    /// One full record, in bytes.
    pub record_bytes: u64,
    /// All full records together, in bytes.
    pub total_bytes: u64,
    /// How many times the payload the inner tar may be.
    pub ratio: u64,
    /// How many deltas may follow a full record.
    pub delta_chain: usize,
    /// JSON nesting and string lengths.
    pub json: Bounds,
    /// `note`, `producer` and receipt reasons, in bytes.
    pub text_bytes: usize,
    /// Links of a rotation chain.
    pub rotation: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            bundle_bytes: 256 * MIB,
            manifest_bytes: 16 * MIB,
            records: 20_000,
            record_bytes: 32 * MIB,
            total_bytes: 4096 * MIB,
            ratio: 400,
            delta_chain: 20_000,
            json: Bounds::default(),
            text_bytes: 1024,
            rotation: 16,
        }
    }
}

/// A limit that something exceeds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} exceeds the limit: {actual} is more than {allowed}")]
pub struct LimitExceeded {
    /// What is limited.
    pub what: &'static str,
    /// How much there is.
    pub actual: u64,
    /// How much there may be.
    pub allowed: u64,
}

/// Checks one limit.
pub(crate) fn within(what: &'static str, actual: u64, allowed: u64) -> Result<(), LimitExceeded> {
    if actual > allowed { Err(LimitExceeded { what, actual, allowed }) } else { Ok(()) }
}

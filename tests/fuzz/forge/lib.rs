//! What the fuzz targets for bundles and receipts share: keys, limits, containers, and bundles made by a script.
//!
//! None of it uses the product's own code for writing, so that a mistake there does not hide one in reading; only
//! signing, deltas and canonical JSON are the product's.
#![allow(clippy::disallowed_methods, reason = "nothing here is the product's")]

pub mod bundle;
pub mod outer;
pub mod script;
pub mod tar;

use std::path::PathBuf;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::record::canonical::Bounds;

use crate::tar::Entry;

/// The client of every bundle and receipt that is made here.
pub const CLIENT: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

/// Small limits, so that inputs of a few KiB reach them and no input needs much memory.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        bundle_bytes: 1 << 20,
        manifest_bytes: 1 << 16,
        records: 12,
        record_bytes: 1 << 14,
        total_bytes: 1 << 16,
        delta_chain: 3,
        json: Bounds { depth: 16, string: 512 },
        text_bytes: 64,
        rotation: 3,
        ..Limits::default()
    }
}

/// One of the keys: 0 is the client's, 9 is revoked, the others are nobody's.
#[must_use]
pub fn key(number: usize) -> &'static SigningKey {
    static KEYS: LazyLock<[SigningKey; 10]> = LazyLock::new(|| {
        std::array::from_fn(|index| SigningKey::from_seed(&[u8::try_from(index).unwrap_or(0) + 1; 32]))
    });
    &KEYS[number % KEYS.len()]
}

/// The signature file over a document.
#[must_use]
pub fn signature_file(key: &SigningKey, document: &[u8]) -> Vec<u8> {
    let mut text = BASE64.encode(key.sign(document)).into_bytes();
    text.push(b'\n');
    text
}

/// A container of these files.
#[must_use]
pub fn container(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entries: Vec<_> = files.iter().map(|(name, body)| Entry::new(name, body)).collect();
    tar::write(&entries, 2)
}

/// Writes the file that a target is about to hand over to where `FORGED` says, if it says so: this is how a finding
/// becomes a vector.
///
/// # Panics
/// If it can't be written.
pub fn keep(file: impl FnOnce() -> Vec<u8>) {
    if let Some(path) = std::env::var_os("FORGED") {
        std::fs::write(PathBuf::from(path), file()).expect("FORGED names a file that can be written");
    }
}

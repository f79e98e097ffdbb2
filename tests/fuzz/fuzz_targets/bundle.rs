//! Bundles and receipts from any bytes: refused or accepted, never harmful.
#![no_main]

use std::io::Cursor;

use kubermatic_telemetry::bundle::{Limits, Manifest, verify};
use kubermatic_telemetry::keys::keyring::Keyring;
use kubermatic_telemetry::receipt;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let limits = Limits { bundle_bytes: 1 << 20, ..Limits::default() };
    let _ = verify::verify(Cursor::new(input), &Keyring::default(), &limits, &mut |_, _| {});
    let _ = receipt::open(&mut Cursor::new(input), &[], &limits);
    if let Ok(manifest) = Manifest::from_bytes(input, &limits) {
        assert!(manifest.to_bytes().is_ok());
    }
});

//! Deltas from any bytes: what they make of a record is a record, with the index that reading it gives.
#![no_main]

use kubermatic_telemetry::bundle::delta::{apply, encode};
use kubermatic_telemetry::record::canonical::{Bounds, Form, canonicalize};
use kubermatic_telemetry::record::document::Document;
use kubermatic_telemetry_fuzz::bundle::forge;
use kubermatic_telemetry_fuzz::keep;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let bounds = Bounds::default();
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let (Some(base), Some(delta)) = (parts.next(), parts.next()) else { return };
    let Ok(base) = canonicalize(base, Form::Record, &bounds) else { return };
    let Ok(base) = Document::parse(base, &bounds) else { return };
    let delta = canonicalize(delta, Form::Plain, &bounds).unwrap_or_else(|_| delta.to_vec());
    keep(|| forge(&[b"r0", base.bytes(), b"\nr0{}\ne1", &delta].concat()).bundle);
    let Ok(result) = apply(&base, &delta, &bounds, 1 << 16) else { return };
    let again = Document::parse(result.bytes().to_vec(), &bounds).expect("the result is canonical");
    assert_eq!(format!("{again:?}"), format!("{result:?}"));
    let way = encode(&base, &result);
    let there = apply(&base, &way, &bounds, 1 << 17).expect("an encoded delta applies");
    assert_eq!(there.bytes(), result.bytes());
});

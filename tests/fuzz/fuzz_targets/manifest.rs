//! Manifests from any bytes, as they are and made canonical: refused, or read as what they say.
#![no_main]

use kubermatic_telemetry::bundle::Manifest;
use kubermatic_telemetry::record::canonical::{Bounds, Form, canonicalize, check};
use kubermatic_telemetry_fuzz::{container, keep, key, limits, signature_file};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    read(input);
    if let Ok(canonical) = canonicalize(input, Form::Plain, &Bounds::default()) {
        read(&canonical);
    }
});

fn read(text: &[u8]) {
    keep(|| {
        let signature = signature_file(key(0), text);
        container(&[("manifest.json", text), ("manifest.json.sig", &signature), ("records.tar.gz", b"")])
    });
    let limits = limits();
    let Ok(manifest) = Manifest::from_bytes(text, &limits) else { return };
    assert!(check(text, Form::Plain, &limits.json).is_ok(), "what was signed is canonical");
    assert_eq!(manifest.public_key.id(), manifest.key);
    assert!(manifest.records.len() as u64 <= limits.records);
    assert!(manifest.records.iter().map(|record| record.size).sum::<u64>() <= limits.total_bytes);
    let again = manifest.to_bytes().expect("what was read can be written");
    assert_eq!(Manifest::from_bytes(&again, &limits).expect("and read again"), manifest);
    let signed: Value = serde_json::from_slice(text).expect("it is JSON");
    assert!(says(&signed, &serde_json::from_slice(&again).expect("it is JSON")), "nothing is read that was not signed");
}

/// Whether `signed` has all that `read` has; it may have members that are not known.
fn says(signed: &Value, read: &Value) -> bool {
    match (signed, read) {
        (Value::Object(signed), Value::Object(read)) => {
            read.iter().all(|(name, value)| signed.get(name).is_some_and(|signed| says(signed, value)))
        }
        (Value::Array(signed), Value::Array(read)) => {
            signed.len() == read.len() && signed.iter().zip(read).all(|(signed, read)| says(signed, read))
        }
        _ => signed == read,
    }
}

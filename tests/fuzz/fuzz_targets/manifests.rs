//! Manifests from any bytes, as YAML and as JSON: read or refused, and whatever is read makes a canonical record.
#![no_main]

use std::fs;

use kubermatic_telemetry::agent::{Collector, Survey, manifests};
use kubermatic_telemetry::pseudonym::Pseudonymizer;
use kubermatic_telemetry::record::withhold::Withholding;
use libfuzzer_sys::fuzz_target;

const SEED: &str = r#"{"apiVersion":"kubermatic.k8c.io/v1","kind":"Seed","metadata":{"name":"s"},"spec":{}}"#;

fuzz_target!(|input: &[u8]| {
    let directory = std::env::temp_dir().join(format!("fuzz-manifests-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory for temporary files");
    fs::write(directory.join("a.json"), SEED).expect("room for temporary files");
    fs::write(directory.join("b.yaml"), input).expect("room for temporary files");
    let Ok(found) = manifests::read(&directory, &manifests::Options { file_limit: 1 << 16 }, &mut |_, _| {}) else {
        return;
    };
    let names = Pseudonymizer::new([1; 32]);
    let mut survey = Survey::of(&found.inventory, &names);
    for collector in Collector::ALL {
        let record = collector.collect(&mut survey, "2026-01-31T12:00:00Z", &Withholding::default());
        assert!(record.is_ok_and(|record| record.is_some()));
    }
});

//! Receipts from any bytes: as a file, and as a document that is signed and put into a container.
#![no_main]

use kubermatic_telemetry::receipt::{self, Receipt};
use kubermatic_telemetry::record::canonical::{Bounds, Form, canonicalize};
use kubermatic_telemetry_fuzz::{container, keep, key, limits, signature_file};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let _ = receipt::open(input, &[], &limits());
    signed(input);
    let signer = key(1).public();
    let Ok(mut document) = serde_json::from_slice::<Value>(input) else { return };
    if let Some(members) = document.as_object_mut() {
        members.insert("key".to_owned(), signer.id().to_string().into());
        members.insert("publicKey".to_owned(), signer.to_base64().into());
    }
    let text = serde_json::to_vec(&document).expect("a value can be written");
    if let Ok(text) = canonicalize(&text, Form::Plain, &Bounds::default()) {
        signed(&text);
    }
});

fn signed(document: &[u8]) {
    let (signer, limits) = (key(1), limits());
    let signature = signature_file(signer, document);
    let file = container(&[("receipt.json", document), ("receipt.json.sig", &signature)]);
    keep(|| file.clone());
    let Ok(opened) = receipt::open(&file, &[signer.public()], &limits) else { return };
    assert!(opened.trusted, "it is signed by the key that it names");
    assert_eq!(opened.document, document);
    let receipt = opened.receipt;
    assert!(receipt.records.len() as u64 <= limits.records);
    assert!(!receipt::open(&file, &[key(2).public()], &limits).expect("it is sound").trusted);
    assert!(receipt::check(&file, receipt.client, &[key(2).public()], &limits).is_err());
    assert!(
        receipt::check(&file, receipt.store, &[signer.public()], &limits).is_ok() == (receipt.store == receipt.client)
    );
    assert_eq!(written_and_read(&receipt), receipt);
}

fn written_and_read(receipt: &Receipt) -> Receipt {
    let mut file = Vec::new();
    receipt.write_to(&mut file, key(1)).expect("memory can be written to");
    receipt::check(&file, receipt.client, &[key(1).public()], &limits()).expect("what ingest writes is believed")
}

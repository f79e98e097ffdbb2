//! The whole way: collect, preview, export, inspect, verify, ingest, receipt, status.

use std::fs;

use crate::support::Desk;

#[test]
fn a_bundle_goes_out_and_its_receipt_comes_back() {
    let desk = Desk::new();
    desk.collect();
    let preview = desk.line("preview").ok();
    let exported = desk.line("export -o bundle.tar --json").ok().json();
    assert_eq!(exported["sequence"], 1);
    assert_eq!(exported["records"], serde_json::json!({"kubermatic": 1, "kubernetes": 1}));
    desk.line("verify bundle.tar").code(3).says("anybody could have signed");
    desk.line("keys export -o client.pub.pem").ok();
    desk.line("verify bundle.tar --key client.pub.pem").ok();

    // What the preview showed is what the bundle has, byte for byte.
    desk.line("inspect bundle.tar --extract records").ok();
    let extracted: Vec<_> =
        desk.tree("records").iter().map(|name| fs::read_to_string(desk.path("records").join(name)).unwrap()).collect();
    assert_eq!(preview.stdout, extracted.join("\n") + "\n");

    let client = desk.line("keys show --json").ok().json()["client"].as_str().unwrap().to_owned();
    desk.line(&format!("keys trust client.pub.pem --client {client} --keyring keyring")).ok();
    let ingest = "ingest bundle.tar --archive archive --keyring keyring --receipts receipts --json";
    let first = desk.line(ingest).ok().json();
    assert_eq!((&first[0]["accepted"], &first[0]["again"]), (&2.into(), &false.into()));
    let receipt = first[0]["receipt"].as_str().unwrap().to_owned();
    let bytes = fs::read(desk.path(&receipt)).unwrap();
    let again = desk.line(ingest).ok().json();
    assert_eq!(again[0]["again"], true);
    assert_eq!(fs::read(desk.path(&receipt)).unwrap(), bytes, "the same bundle gives the same receipt");

    desk.line(&format!("receipt {receipt}")).code(1).says("no key is trusted to sign receipts");
    let imported =
        desk.line(&format!("receipt {receipt} --receipt-key receipts/receipt-key.pub.pem --json")).ok().json();
    assert_eq!((&imported["receipts"][0]["acknowledged"], &imported["pending"]), (&2.into(), &0.into()));
    let imported =
        desk.line(&format!("receipt {receipt} --receipt-key receipts/receipt-key.pub.pem --json")).ok().json();
    assert_eq!(imported["receipts"][0]["acknowledged"], 0, "importing twice is harmless");
    let status = desk.line("status --json --history").ok().json();
    assert_eq!(status["pending"]["records"], 0);
    assert_eq!(status["receipts"].as_array().unwrap().len(), 1);
    desk.line("export -o other.tar").code(4).says("nothing is pending");
    assert!(!desk.path("other.tar").exists());
}

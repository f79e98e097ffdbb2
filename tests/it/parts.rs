//! `export --max-size`: several bundles by time instead of one, each complete in itself.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::Desk;

/// Text that can't be compressed below its information, the same for the same seed.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let digits = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b"0123456789abcdef"[usize::try_from(state >> 60).unwrap()])
    });
    digits.take(length).collect()
}

/// A store with records of two kinds, one a day each, that came in another order than their times.
fn store_of(desk: &Desk, days: u64, size: usize) {
    for day in (0..days).map(|day| (day * 7) % days) {
        for kind in ["alpha", "beta"] {
            let time = format!("2026-01-{:02}T00:00:00Z", day + 1);
            let text = noise(day * 2 + u64::from(kind == "beta"), size);
            let record = format!(r#"{{"kind":"{kind}","text":"{text}","time":"{time}","version":"v1"}}"#);
            desk.file("record.json", record);
            desk.line(&format!("collect --record record.json --allow-kind {kind}")).ok();
        }
    }
}

/// What `inspect` says of a bundle's records.
fn manifest(desk: &Desk, file: &str) -> Value {
    desk.line(&format!("inspect {file} --json")).ok().json()["manifest"].clone()
}

fn times(manifest: &Value) -> Vec<String> {
    let records = manifest["records"].as_array().unwrap();
    let mut times: Vec<_> = records.iter().map(|record| record["time"].as_str().unwrap().to_owned()).collect();
    times.sort();
    times
}

#[test]
fn several_bundles_hold_everything_by_time_and_none_is_larger_than_asked() {
    let desk = Desk::new();
    store_of(&desk, 10, 20_000);
    let reports = desk.line("export -o out/ --max-size 60kB --json").ok().json();
    let reports = reports.as_array().unwrap();
    let (mut before, mut ids) = (String::new(), BTreeSet::new());
    for (index, report) in reports.iter().enumerate() {
        let file = report["file"].as_str().unwrap();
        assert_eq!(report["sequence"], index + 1);
        let size = fs::metadata(desk.path(file)).unwrap().len();
        assert!(size <= 60_000, "{file}: {size}");
        assert_eq!(report["size"], size);
        // Each stands alone.
        desk.line(&format!("verify {file}")).code(3);
        let manifest = manifest(&desk, file);
        let name = format!("out/{}-{}-{}.tar", text(&manifest["client"]), text(&manifest["store"]), index + 1);
        assert_eq!(file, name);
        let times = times(&manifest);
        assert!(times[0] >= before, "{file} begins before the one before it ended");
        before.clone_from(times.last().unwrap());
        ids.extend(manifest["records"].as_array().unwrap().iter().map(|record| text(&record["id"]).to_owned()));
    }
    assert_eq!(ids.len(), 20);
    // Not one bundle more than it takes: no record is left out that had found room, and each takes 12 kB at most.
    let full = &reports[..reports.len() - 1];
    assert!(full.iter().all(|report| report["size"].as_u64().unwrap() > 48_000), "{full:?}");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn the_bundles_are_accepted_in_any_order_and_their_receipts_empty_the_store() {
    let desk = Desk::new();
    store_of(&desk, 4, 20_000);
    let reports = desk.line("export -o out/ --max-size 30kB --json").ok().json();
    let mut files: Vec<_> = reports.as_array().unwrap().iter().map(|report| text(&report["file"]).to_owned()).collect();
    files.reverse();
    desk.line(&format!("ingest {} --archive archive --trust tofu --receipts receipts", files.join(" "))).ok();
    let receipts: Vec<_> = desk.tree("receipts").into_iter().filter(|name| name.ends_with(".receipt.tar")).collect();
    assert_eq!(receipts.len(), files.len());
    for receipt in receipts {
        desk.line(&format!("receipt receipts/{receipt} --receipt-key receipts/receipt-key.pub.pem")).ok();
    }
    assert_eq!(desk.line("status --json").ok().json()["pending"]["records"], 0);
}

#[test]
fn a_record_that_can_not_fit_is_named_and_nothing_is_written() {
    let desk = Desk::new();
    store_of(&desk, 3, 4_000);
    let record =
        format!(r#"{{"kind":"large","text":"{}","time":"2026-01-02T12:00:00Z","version":"v1"}}"#, noise(9, 50_000));
    desk.file("record.json", record);
    desk.line("collect --record record.json --allow-kind large").ok();
    let refused = desk.line("export -o out/ --max-size 20kB").code(1);
    refused
        .says("(large of 2026-01-02T12:00:00Z) does not fit into a bundle of at most 20000 bytes, even alone")
        .says("hint: allow larger bundles with --max-size, or `discard` the record");
    assert!(!desk.path("out").exists());
    let status = desk.line("status --json --history").ok().json();
    assert_eq!((&status["pending"]["records"], &status["exports"]), (&7.into(), &serde_json::json!([])));
    // The limit of one bundle is not that of the other.
    desk.line("export -o out/ --max-size 40kB").ok();
}

#[test]
fn what_fits_into_one_bundle_is_one() {
    let desk = Desk::new();
    store_of(&desk, 2, 1_000);
    desk.line("export -o out/ --max-size 1MiB").ok().says("wrote    out/").says("sequence 1");
    assert_eq!(desk.tree("out").len(), 1);
    // Without a size, a directory is taken as well.
    desk.line("export -o out").ok().says("sequence 2");
    assert_eq!(desk.tree("out").len(), 2);
    let again = desk.line("export -o out --again 2").code(1);
    again.says("exists already").says("export --again 2 -o FILE");
    desk.line("export -o out --again 2 --force").ok();
    desk.line("export -o elsewhere/ --again 1").ok();
    let name = desk.tree("elsewhere").remove(0);
    assert_eq!(fs::read(desk.path("elsewhere").join(&name)).unwrap(), fs::read(desk.path("out").join(&name)).unwrap());
}

#[test]
fn a_place_or_size_that_can_not_be_is_refused_before_anything_is_done() {
    let desk = Desk::new();
    store_of(&desk, 1, 10);
    desk.line("export -o bundle.tar --max-size 1MB").code(2).says("need a directory").says("-o bundles/");
    desk.line("export -o - --max-size 1MB").code(2).says("need a directory");
    desk.line("export -o no/such/ --max-size 1MB").code(1).says("the directory no does not exist");
    desk.line("export -o record.json/ --max-size 1MB").code(1).says("record.json is a file");
    for size in ["0", "x", "10XB", "-1", "99999999999GB", "1.5MB"] {
        desk.run(["export", "-o", "out/", &format!("--max-size={size}")]).code(2).says("--max-size");
    }
    assert_eq!(desk.line("status --json --history").ok().json()["exports"], serde_json::json!([]));
    desk.line("export -o out/ --max-size 10B").code(1).says("does not fit");
    desk.line("export -o empty/ --max-size 1MB --rejected").code(4).says("nothing was rejected");
    assert!(!desk.path("empty").exists());
}

#[test]
fn an_export_beyond_a_limit_says_how_to_split_it() {
    let desk = Desk::new();
    store_of(&desk, 3, 10);
    let refused = desk.line("export -o bundle.tar --limit records=5").code(1);
    refused.says("verifying would refuse it").says("--max-size");
    assert!(!desk.path("bundle.tar").exists());
    // Other limits than the size cut as well.
    desk.line("export -o out/ --max-size 1MB --limit records=5").ok().says("wrote 2 bundles");
}

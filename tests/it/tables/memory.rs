//! Records that are made to take much memory, or time, as rows: what the bounds of every other bundle are holds for them.

use std::time::Instant;

use serde_json::{Value, json};
use uuid::Uuid;

use super::made::{Record, pack};
use crate::support::{Desk, say, skip};

/// What accepting may take, in KiB: while records are smaller than 8 MiB, and at all.
const SMALL: u64 = 96 << 10;
const LARGE: u64 = 160 << 10;

fn record(id: u64, member: &str, value: Value) -> Record {
    let month = id % 12 + 1;
    let mut document = json!({"kind": "kubermatic", "version": "v1", "time": format!("2025-{month:02}-01T00:00:00Z")});
    document[member] = value;
    Record::of(id, &document)
}

fn rows(count: usize, row: impl Fn(usize) -> Value) -> Value {
    (0..count).map(row).collect::<Vec<_>>().into()
}

/// A text that does not compress, by a number.
fn noise(number: usize, length: usize) -> String {
    let mut dice = super::Dice(number as u64);
    (0..length).map(|_| char::from(b'0' + u8::try_from(dice.below(64)).unwrap())).collect()
}

fn bundles() -> Vec<(&'static str, u64, Vec<Record>)> {
    let uuid = |number: usize| Uuid::from_u128(number as u128).to_string();
    let clusters = |count| rows(count, |number| json!({"uuid": uuid(number)}));
    let texts = |count: usize| rows(count, |number| json!({"uuid": uuid(number), "location": noise(number, 128)}));
    let unfit = |count: usize, length| {
        rows(count, |number| json!({"uuid": noise(3 * number, length), "phase": noise(3 * number + 1, length)}))
    };
    // Its UUID lies behind all of its datacenters.
    let datacenters = rows(100_000, |number| json!({"uuid": uuid(number)}));
    let many = |count: u64| (0..count).map(|id| record(id, "clusters", clusters(1000))).collect();
    vec![
        ("many small rows", SMALL, vec![record(1, "clusters", clusters(150_000))]),
        ("long texts", SMALL, vec![record(1, "seeds", texts(35_000))]),
        ("texts that are longer than any that fit", SMALL, vec![record(1, "clusters", unfit(60, 60_000))]),
        (
            "a seed with many datacenters",
            SMALL,
            vec![record(1, "seeds", json!([{"uuid": uuid(0), "datacenters": datacenters}]))],
        ),
        (
            "many problems",
            SMALL,
            vec![record(1, "problems", rows(200_000, |number| json!({"category": format!("w{number}")})))],
        ),
        (
            "a long list",
            SMALL,
            vec![record(
                1,
                "sshKeys",
                json!([{"uuid": uuid(0), "clusterUUIDs": rows(180_000, |number| uuid(number).into())}]),
            )],
        ),
        ("records of many months", SMALL, many(200)),
        ("a large record", LARGE, vec![record(1, "clusters", clusters(250_000))]),
    ]
}

#[test]
fn no_record_takes_more_memory_as_rows_than_bundles_may() {
    for (what, most, records) in bundles() {
        let desk = Desk::new();
        desk.file("bundle.tar", pack(1, 1, &records).0);
        let started = Instant::now();
        let arguments = ["ingest", "--archive", "archive", "--trust", "tofu", "bundle.tar"];
        let Some((printed, peak)) = desk.run_measured(&arguments) else {
            skip("there is no `time` to measure with");
            return;
        };
        let fits = !what.contains("longer than any");
        let printed = printed.ok();
        assert_eq!(printed.stderr.contains("rejected: schemaMismatch"), !fits, "{what}: {}", printed.stderr);
        assert!(peak <= most, "{what}: {peak} KiB");
        let said = format!("{what}: {} MiB in {:.1} s", peak >> 10, started.elapsed().as_secs_f32());
        for verb in [["tables", "rebuild", "--archive", "archive"], ["tables", "compact", "--archive", "archive"]] {
            let (printed, peak) = desk.run_measured(&verb).unwrap();
            printed.ok();
            assert!(peak <= most, "{what}, {}: {peak} KiB", verb[1]);
        }
        say("measured", &said);
    }
}

//! The page takes memory by how many installations there are, and not by how long they have been sending.

use serde_json::json;

use crate::fleets::{Archive, cluster, record};
use crate::support::{say, skip};

#[test]
fn memory_does_not_grow_with_the_archive() {
    let mut archive = Archive::new();
    for month in 1..=12 {
        let mut records = Vec::new();
        for client in 0..12 {
            for day in (1..=28).step_by(3) {
                let clusters: Vec<_> = (0..20).map(|at| cluster("aws", &format!("1.{}.{at}", 28 + at % 3))).collect();
                let members = json!({"clusters": clusters, "kubermaticVersion": "2.26.1"});
                records.push((client, record(&format!("2025-{month:02}-{day:02}T00:00:00Z"), &members)));
            }
        }
        archive.accept(&records);
    }
    let peak = |until: &str| {
        let words = ["fleet", "--archive", "archive", "--html", "fleet.html", "--force", "--until", until];
        let (printed, peak) = archive.desk.run_measured(&words)?;
        printed.ok();
        Some(peak)
    };
    let (Some(month), Some(year)) = (peak("2025-01"), peak("2025-12")) else {
        skip("there is no `time` to measure with");
        return;
    };
    assert!(year <= month + (4 << 10), "{month} KiB for a month, {year} KiB for twelve");
    say("measured", &format!("{month} KiB for a month, {year} KiB for twelve"));
}

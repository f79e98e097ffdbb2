//! The page about all installations: its numbers against those of the records, and what it must never tell.

use crate::fleets::lively;

#[test]
fn sample() {
    let archive = lively();
    archive.page();
    std::fs::copy(archive.desk.path("fleet.html"), "/tmp/fleet-sample.html").unwrap();
}

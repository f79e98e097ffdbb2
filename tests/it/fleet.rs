//! The page about all installations: its numbers against those of the records, and what it must never tell.

mod counts;
mod errors;
mod hostile;
mod memory;
mod rule;

use serde_json::{Value, json};

use crate::fleets::{Archive, Page, cluster, record};

/// A record in the middle of a month of installations that have one cluster each, with this provider and version.
fn one(month: &str, provider: &str, version: &str) -> Value {
    let members = json!({
        "kubermaticVersion": "2.25.1",
        "clusters": [cluster(provider, version)],
        "machineDeployments": [{"os": "ubuntu"}],
        "seeds": [{"country": "DE", "datacenters": []}],
    });
    record(&format!("{month}-15T12:00:00Z"), &members)
}

/// The page of an archive with these records.
fn page_of(records: &[(u8, Value)]) -> (Archive, Page) {
    let mut archive = Archive::new();
    archive.accept(records);
    let page = archive.page();
    (archive, page)
}

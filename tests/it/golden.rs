//! Golden records of the test installation; `UPDATE_GOLDEN=1` writes them anew.

use std::fs;
use std::path::Path;

use kubermatic_telemetry::agent::{Collector, Inventory, Survey, manifests};
use kubermatic_telemetry::identity::Identity;
use kubermatic_telemetry::record::canonical::{self, Bounds, Form};
use kubermatic_telemetry::record::withhold::Withholding;

use crate::support::{installation, root};

const TIME: &str = "2026-01-31T12:00:00Z";

fn inventory() -> Inventory {
    manifests::read(&installation(), &manifests::Options::default(), &mut |_, _| {}).unwrap().inventory
}

/// Compares canonical bytes with a golden file, which is indented for readers.
fn assert_golden(name: &str, bytes: &[u8]) {
    let path = root().join("testdata/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        fs::write(&path, serde_json::to_string_pretty(&value).unwrap() + "\n").unwrap();
    }
    let golden = canonical::canonicalize(&read(&path), Form::Record, &Bounds::default()).unwrap();
    let (golden, found) = (String::from_utf8(golden).unwrap(), std::str::from_utf8(bytes).unwrap());
    assert!(golden == found, "{name} differs; see with UPDATE_GOLDEN=1 and git diff what changed");
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_test_installation_gives_the_golden_records() {
    let identity = Identity::load(&root().join("testdata/snakeoil-identity")).unwrap().unwrap();
    let names = identity.pseudonymizer();
    let inventory = inventory();
    let mut survey = Survey::of(&inventory, &names);
    for (collector, name) in [(Collector::Kubermatic, "kubermatic.json"), (Collector::Kubernetes, "kubernetes.json")] {
        let document = collector.collect(&mut survey, TIME, &Withholding::default()).unwrap().unwrap();
        assert_golden(name, document.bytes());
    }
}

#[test]
fn records_are_written_as_canonical_json_would_have_them() {
    let names = kubermatic_telemetry::pseudonym::Pseudonymizer::new([3; 32]);
    let survey = || Survey::of(&inventory(), &names);
    let record = survey().kubermatic(TIME.to_owned()).unwrap();
    assert_eq!(canonical::to_canonical(&record, Form::Record).unwrap(), record.into_canonical().unwrap());
    let record = survey().kubernetes(TIME.to_owned());
    assert_eq!(canonical::to_canonical(&record, Form::Record).unwrap(), record.into_canonical().unwrap());
}

#[test]
fn equal_content_is_equal_bytes() {
    let names = kubermatic_telemetry::pseudonym::Pseudonymizer::new([3; 32]);
    let bytes = |mut inventory: Inventory| {
        inventory.master.users.reverse();
        Survey::of(&inventory, &names).kubermatic(TIME.to_owned()).unwrap().into_canonical().unwrap()
    };
    let mut shuffled = inventory();
    shuffled.master.users.reverse();
    shuffled.master.ssh_keys.reverse();
    shuffled.seeds.values_mut().for_each(|seed| seed.clusters.reverse());
    assert_eq!(bytes(inventory()), bytes(shuffled));
}

//! Golden records of the test installation; `UPDATE_GOLDEN=1` writes them anew.

use std::fs;
use std::path::Path;

use kubermatic_telemetry::agent::{Inventory, kubermatic, kubernetes, manifests};
use kubermatic_telemetry::identity::Identity;
use kubermatic_telemetry::record::canonical::{self, Bounds, Form};

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
    let record = kubermatic::collect(&inventory, &names, TIME.to_owned());
    assert_golden("kubermatic.json", &canonical::to_canonical(&record, Form::Record).unwrap());
    let record = kubernetes::collect(&inventory, &names, TIME.to_owned());
    assert_golden("kubernetes.json", &canonical::to_canonical(&record, Form::Record).unwrap());
}

#[test]
fn equal_content_is_equal_bytes() {
    let names = kubermatic_telemetry::pseudonym::Pseudonymizer::new([3; 32]);
    let bytes = |mut inventory: Inventory| {
        inventory.master.users.reverse();
        let record = kubermatic::collect(&inventory, &names, TIME.to_owned());
        canonical::to_canonical(&record, Form::Record).unwrap()
    };
    let mut shuffled = inventory();
    shuffled.master.users.reverse();
    shuffled.master.ssh_keys.reverse();
    shuffled.seeds.values_mut().for_each(|seed| seed.clusters.reverse());
    assert_eq!(bytes(inventory()), bytes(shuffled));
}

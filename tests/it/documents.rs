//! The documents in the repository: generated ones are current, and what they say to type works.

use std::fs;

use kubermatic_telemetry::record::catalogue;

use crate::support::root;

#[test]
fn the_page_of_collected_data_is_the_catalogue() {
    let path = root().join("docs/data-collected.md");
    let page = catalogue::data_collected();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == page, "docs/data-collected.md is not current; UPDATE_GOLDEN=1");
}

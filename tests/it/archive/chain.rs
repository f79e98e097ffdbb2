//! What is said of a store's chain, however long it is, and what a look at it costs.

use std::fs;

use kubermatic_telemetry::receipt::Receipt;

use super::{Made, Place, client, in_each_place, opened};
use crate::support::{header, say};

in_each_place!(the_highest_number_is_found_however_long_a_chain_is_and_whatever_gaps_it_has);

fn bundle(sequence: u64) -> Vec<u8> {
    let (client, key) = client(1);
    Made { client, key: &key, sequence, previous: None, records: &[(sequence, "x")] }.pack().0
}

fn ingested(place: &Place, sequence: u64) -> Receipt {
    place.desk.file("bundle.tar", bundle(sequence));
    let answer = place.ingest("bundle.tar").ok().json();
    opened(&fs::read(place.desk.path(answer[0]["receipt"].as_str().unwrap())).unwrap())
}

/// Bundles that a store sent before, as far as its chain goes.
fn sent_before(place: &Place, sequences: impl Iterator<Item = u64>) {
    let store = place.files().join(format!("clients/{}/stores/{}", client(1).0, header().store));
    for sequence in sequences {
        fs::write(store.join(format!("{sequence:016}-{}", "5".repeat(64))), "").unwrap();
    }
}

fn the_highest_number_is_found_however_long_a_chain_is_and_whatever_gaps_it_has(place: &Place) {
    assert_eq!(ingested(place, 1).highest_sequence, 1);
    sent_before(place, (10..=3_000).chain([900_000, 1 << 40, (1 << 53) - 5]));
    let cases = [(2, 9_007_199_254_740_987), ((1 << 53) - 1, 9_007_199_254_740_991), (3_001, 9_007_199_254_740_991)];
    for (sequence, highest) in cases {
        assert_eq!(ingested(place, sequence).highest_sequence, highest, "from {sequence}");
    }
    assert_eq!(ingested(place, 10).chain.as_str(), "fork", "two bundles have this number");
    assert_eq!(ingested(place, 4).chain.as_str(), "gap");
}

#[test]
fn a_look_at_the_chain_costs_no_more_requests_the_longer_it_is() {
    let Some(place) = Place::bucket() else { return };
    let lists = |sequence| {
        let before = place.s3().requests().len();
        ingested(&place, sequence);
        let requests = place.s3().requests();
        requests[before..].iter().filter(|name| name.contains("ListObjects")).count()
    };
    // Rotations are looked for only where the key is not known.
    assert_eq!(lists(1), 1);
    sent_before(&place, 10..=20_000);
    assert_eq!(lists(20_001), 1, "whoever comes in order reads what is around it");
    let late = lists(5);
    assert!(late < 20, "{late}");
    say("measured", &format!("{late} listings for the fifth bundle of 20,000, 1 for the last"));
}

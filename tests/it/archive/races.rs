//! Two servers on one archive, asked for the same at the same moment: what each says is what the archive has.

use std::collections::BTreeSet;
use std::sync::Barrier;

use kubermatic_telemetry::receipt::RecordStatus;
use uuid::Uuid;

use super::{Made, Place, client, deliver, first_bundle, in_each_place, letters, opened};
use crate::http::{Answer, Server};
use crate::support::say;

in_each_place!(
    a_bundle_that_comes_to_two_servers_at_once_has_one_receipt,
    of_two_records_with_one_id_that_come_at_once_one_is_rejected,
    a_record_that_comes_in_two_bundles_at_once_is_accepted,
    of_two_keys_for_a_new_client_that_come_at_once_one_is_pinned,
    a_receipt_is_found_by_whichever_server,
    of_two_bundles_at_one_place_of_a_chain_one_at_least_is_seen_as_a_fork,
);

/// How often each race is run.
const ROUNDS: u8 = 20;

/// Uploads at the same moment, each to a server.
fn at_once(uploads: &[(&Server, &[u8])]) -> Vec<Answer> {
    let barrier = Barrier::new(uploads.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = uploads
            .iter()
            .map(|(server, bundle)| {
                let (barrier, address) = (&barrier, server.address);
                scope.spawn(move || {
                    barrier.wait();
                    deliver(address, bundle).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn a_bundle_that_comes_to_two_servers_at_once_has_one_receipt(place: &Place) {
    let (one, other) = (place.serve(), place.serve());
    for round in 0..ROUNDS {
        let (bundle, _) = first_bundle(round);
        let answers = at_once(&[(&one, &bundle), (&other, &bundle), (&one, &bundle), (&other, &bundle)]);
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert!(statuses.iter().all(|status| [200, 201].contains(status)), "{statuses:?}: {}", answers[0].text());
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        let receipts: BTreeSet<_> = answers.iter().map(|answer| &answer.body).collect();
        assert_eq!(receipts.len(), 1, "one bundle has one receipt");
        assert_eq!(letters(&opened(&answers[0].body)), "aaa");
    }
    let accepted =
        place.with("/audit/").into_iter().filter(|(_, entry)| entry.windows(8).any(|word| word == b"accepted"));
    assert_eq!(place.with("/receipts/").len(), usize::from(ROUNDS));
    assert_eq!(accepted.count(), usize::from(ROUNDS), "and one entry of the audit");
    say("measured", &format!("{ROUNDS} bundles, each to two servers twice at once"));
}

/// A bundle of a client with one record of this id and text.
fn bundle_with(number: u8, sequence: u64, id: u64, text: &str) -> Vec<u8> {
    let (client, key) = client(number);
    Made { client, key: &key, sequence, previous: None, records: &[(id, text)] }.pack().0
}

fn of_two_records_with_one_id_that_come_at_once_one_is_rejected(place: &Place) {
    let (one, other) = (place.serve(), place.serve());
    one.upload(&first_bundle(1).0).is(201);
    for id in 10..10 + u64::from(ROUNDS) {
        let (x, y) = (bundle_with(1, id, id, "x"), bundle_with(1, id + 100, id, "y"));
        let answers = at_once(&[(&one, &x), (&other, &y)]);
        let mut letters: Vec<_> = answers.iter().map(|answer| letters(&opened(&answer.body))).collect();
        letters.sort();
        assert_eq!(letters, ["a", "r"]);
        let rejected = answers.iter().map(|answer| opened(&answer.body).records[0].clone());
        let rejected = rejected.into_iter().find(|record| record.status == RecordStatus::Rejected).unwrap();
        assert_eq!(rejected.reason.as_deref(), Some("idConflict"));
    }
}

fn a_record_that_comes_in_two_bundles_at_once_is_accepted(place: &Place) {
    let (one, other) = (place.serve(), place.serve());
    one.upload(&first_bundle(1).0).is(201);
    for id in 10..10 + u64::from(ROUNDS) {
        let (first, second) = (bundle_with(1, id, id, "x"), bundle_with(1, id + 100, id, "x"));
        let answers = at_once(&[(&one, &first), (&other, &second)]);
        let letters: Vec<_> = answers.iter().map(|answer| letters(&opened(&answer.body))).collect();
        assert!(letters.contains(&"a".to_owned()) && !letters.contains(&"r".to_owned()), "{letters:?}");
        let third = bundle_with(1, id + 200, id, "x");
        assert_eq!(super::letters(&opened(&one.upload(&third).is(201).body)), "d", "from now on it is known");
    }
}

fn of_two_keys_for_a_new_client_that_come_at_once_one_is_pinned(place: &Place) {
    let (one, other) = (place.serve(), place.serve());
    for round in 0..ROUNDS {
        let unknown = Uuid::from_u128(0x4000_8000_0000_0000_1000 + u128::from(round));
        let keys = [client(round * 2).1, client(round * 2 + 1).1];
        let bundles = keys
            .each_ref()
            .map(|key| Made { client: unknown, key, sequence: 1, previous: None, records: &[(1, "x")] }.pack().0);
        let answers = at_once(&[(&one, &bundles[0]), (&other, &bundles[1])]);
        let won = answers.iter().position(|answer| answer.status == 201).expect("one of them is accepted");
        answers.into_iter().nth(1 - won).unwrap().refused(403, "keyConflict");
        let pinned = place.with(&format!("{unknown}/pinned.pem"));
        assert_eq!(pinned[0].1, keys[won].public().to_pem().into_bytes());
        assert_eq!(place.with(&format!("{unknown}/bundles/")).len(), 1, "nothing of the other is kept");
        one.upload(&bundles[won]).ok();
        other.upload(&bundles[1 - won]).refused(403, "keyConflict");
    }
}

fn a_receipt_is_found_by_whichever_server(place: &Place) {
    let (one, other) = (place.serve(), place.serve());
    let (bundle, digest) = first_bundle(1);
    other.get(&format!("/v1/receipts/{digest}")).refused(404, "receiptUnknown");
    let receipt = one.upload(&bundle).is(201).body;
    assert_eq!(other.get(&format!("/v1/receipts/{digest}")).ok().body, receipt);
    assert_eq!(other.upload(&bundle).ok().body, receipt);
}

fn of_two_bundles_at_one_place_of_a_chain_one_at_least_is_seen_as_a_fork(place: &Place) {
    let (one, other) = (place.serve(), place.serve());
    for number in 0..ROUNDS {
        let (x, y) = (bundle_with(number, 1, 1, "x"), bundle_with(number, 1, 2, "y"));
        let answers = at_once(&[(&one, &x), (&other, &y)]);
        let chains: Vec<_> = answers.iter().map(|answer| opened(&answer.body).chain.as_str()).collect();
        assert!(chains.contains(&"fork"), "{chains:?}");
    }
}

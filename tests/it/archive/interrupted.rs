//! Accepting that is interrupted: whatever was written of it, the next attempt does the rest, and nobody has a receipt
//! for what the archive does not have.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Made, Place, client, deliver, first_bundle, in_each_place, letters, opened, record_id};
use crate::support::say;

in_each_place!(
    whatever_was_written_before_the_receipt_the_next_attempt_does_the_rest,
    an_entry_of_the_audit_that_is_missing_is_made_when_the_bundle_comes_again,
    what_was_entered_by_a_bundle_without_receipt_is_no_duplicate,
    servers_that_are_killed_acknowledge_nothing_that_the_archive_does_not_have,
);

/// What stands in a name for an id that is another one each time.
fn shape(name: &str) -> String {
    match name.rsplit_once("/audit/") {
        Some((before, _)) => format!("{before}/audit/..."),
        None => name.to_owned(),
    }
}

fn shapes(place: &Place) -> Vec<String> {
    // A place in the hour is taken only by whoever pins a key, and heirs are named only where a bundle was lost.
    let objects = place.objects();
    let kept = objects.keys().filter(|name| !name.starts_with("pins/") && !name.contains("/heirs/"));
    let mut shapes: Vec<_> = kept.map(|name| shape(name)).collect();
    shapes.dedup();
    shapes
}

fn whatever_was_written_before_the_receipt_the_next_attempt_does_the_rest(place: &Place) {
    place.desk.file("bundle.tar", first_bundle(1).0);
    place.ingest("bundle.tar").ok();
    let (whole, saved) = (shapes(place), place.save());
    let all = place.objects();
    // Nothing is later than the receipt but the entry of it, which is named by it.
    let receipt = opened(&place.with("/receipts/")[0].1).receipt.to_string();
    let early: Vec<_> = all.keys().filter(|name| !name.contains("/receipts/") && !name.contains(&receipt)).collect();
    let early: Vec<_> =
        early.into_iter().filter(|name| *name != "archive.json" && !name.starts_with("pins/")).collect();
    assert_eq!(early.len(), 9, "pin and its entry, bundle, three records, index, chain, table: {early:?}");
    for subset in 0..1_u32 << early.len() {
        // Of the records any subset is as good as another of its size.
        place.restore(&saved);
        for name in
            all.keys().filter(|name| !early.contains(name) && *name != "archive.json" && !name.starts_with("pins/"))
        {
            place.remove(name);
        }
        for (index, name) in early.iter().enumerate() {
            if subset >> index & 1 == 0 {
                place.remove(name);
            }
        }
        // A key that was pinned has its entry, which is written before it.
        let has = |part: &str| place.objects().keys().any(|name| name.contains(part));
        if has("pinned.pem") && !has("/audit/") || subset % 5 != 0 && subset.count_ones() % 7 > 1 {
            continue;
        }
        let answer = place.ingest("bundle.tar").ok().json();
        assert_eq!((&answer[0]["again"], &answer[0]["accepted"]), (&false.into(), &3.into()), "{subset:b}");
        assert_eq!(answer[0]["chain"], "ok");
        assert_eq!(shapes(place), whole, "{subset:b}");
    }
}

fn an_entry_of_the_audit_that_is_missing_is_made_when_the_bundle_comes_again(place: &Place) {
    place.desk.file("bundle.tar", first_bundle(1).0);
    place.ingest("bundle.tar").ok();
    let before = place.objects();
    let receipt = opened(&place.with("/receipts/")[0].1).receipt.to_string();
    place.remove(&place.with(&receipt)[0].0);
    assert_eq!(place.ingest("bundle.tar").ok().json()[0]["again"], true);
    assert!(place.objects() == before, "it is the same entry");
}

fn what_was_entered_by_a_bundle_without_receipt_is_no_duplicate(place: &Place) {
    let (client, key) = client(1);
    let made = |sequence| Made { client, key: &key, sequence, previous: None, records: &[(1, "x"), (2, "y")] }.pack().0;
    place.desk.file("first.tar", made(1));
    place.desk.file("second.tar", made(2));
    place.ingest("first.tar").ok();
    // As if it had been interrupted just before its receipt.
    for (name, _) in place.with("/receipts/") {
        place.remove(&name);
    }
    assert_eq!(place.ingest("second.tar").ok().json()[0]["accepted"], 2);
    assert_eq!(place.ingest("first.tar").ok().json()[0]["accepted"], 2, "and it still brought them first");
}

/// How often a server is killed.
const KILLS: u64 = 60;
/// How many send at once.
const SENDERS: usize = 4;

fn servers_that_are_killed_acknowledge_nothing_that_the_archive_does_not_have(place: &Place) {
    // Bundles with some records more, so that there is something to be interrupted in.
    let texts: Vec<_> = (0..40).map(|id| (id, "x")).collect();
    let bundles: Vec<_> = (0..200)
        .map(|number| {
            let (client, key) = client(number);
            Made { client, key: &key, sequence: 1, previous: None, records: &texts }.pack().0
        })
        .collect();
    let acknowledged = Mutex::new(BTreeMap::<usize, Vec<u8>>::new());
    // One server lives, and the other is killed again and again.
    let steady = place.serve();
    let mut fresh = 0;
    for round in 0..KILLS {
        let mut victim = place.serve();
        let (stop, addresses) = (AtomicBool::new(false), [victim.address, victim.address, steady.address]);
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let (stop, bundles, acknowledged) = (&stop, &bundles, &acknowledged);
                    scope.spawn(move || {
                        let mut created = 0;
                        let mut next = sender / 2 + usize::try_from(round * 3).unwrap();
                        while !stop.load(Ordering::Relaxed) {
                            let index = next % bundles.len();
                            next += 1;
                            let Some(answer) = deliver(addresses[next % 3], &bundles[index]) else { continue };
                            assert!(matches!(answer.status, 200 | 201), "{}{}", answer.head, answer.text());
                            created += usize::from(answer.status == 201);
                            let mut known = acknowledged.lock().unwrap();
                            let before = known.entry(index).or_insert_with(|| answer.body.clone());
                            assert_eq!(*before, answer.body, "one bundle has one receipt");
                        }
                        created
                    })
                })
                .collect();
            // Spread over the time that a server needs for its first bundles.
            std::thread::sleep(Duration::from_millis(5 + round * 13 % 80));
            victim.kill();
            stop.store(true, Ordering::Relaxed);
            for sender in senders {
                fresh += sender.join().unwrap();
            }
        });
    }
    let known = acknowledged.into_inner().unwrap();
    let objects = place.objects();
    for (index, receipt) in &known {
        let opened = opened(receipt);
        let (below, digest) = (format!("clients/{}", opened.client), opened.manifest_sha256);
        assert!(objects[&format!("{below}/receipts/{digest}.tar")] == *receipt);
        assert!(objects[&format!("{below}/bundles/{digest}.tar")] == bundles[*index]);
        assert!(objects.contains_key(&format!("{below}/audit/{}.json", opened.receipt)), "nothing is told unaudited");
        assert_eq!(objects[&format!("manifests/{digest}")], format!("{}\n", opened.client).into_bytes());
        let entry = |id| format!("{below}/records/{}", record_id(id));
        assert!((0..40).all(|id| objects[&entry(id)].ends_with(format!(" {digest}\n").as_bytes())));
        assert_eq!(letters(&opened), "a".repeat(40));
    }
    assert!(!known.is_empty());
    say("killed", &format!("{KILLS} times: {} receipts, {fresh} answered when they were made", known.len()));
    for bundle in &bundles[..10] {
        assert!(matches!(steady.upload(bundle).status, 200 | 201), "what was interrupted can be sent again");
    }
}

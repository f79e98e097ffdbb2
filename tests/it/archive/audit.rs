//! The audit: what was accepted, refused and pinned leaves an entry, and nobody can fill the archive with them.

use std::fs;

use kubermatic_telemetry::ingest::MOST_REFUSALS;
use kubermatic_telemetry::keys::SigningKey;
use serde_json::{Value, json};

use super::{Made, Place, client, first_bundle, in_each_place, opened};
use crate::support::say;

in_each_place!(
    an_acceptance_and_the_pin_before_it_leave_an_entry_each,
    a_refusal_lies_with_the_client_only_if_its_own_key_has_signed,
    what_is_not_signed_leaves_nothing,
    refusals_beyond_the_bound_are_counted_in_one_entry,
);

fn entries(place: &Place, below: &str) -> Vec<Value> {
    let entries = place.objects().into_iter().filter(|(name, _)| name.starts_with(below));
    entries.map(|(_, text)| serde_json::from_slice(&text).unwrap()).collect()
}

/// The entry without its time, which is checked to be one.
fn timeless(mut entry: Value) -> Value {
    let time = entry.as_object_mut().unwrap().remove("time").unwrap();
    assert!(time.as_str().unwrap().starts_with("20") && time.as_str().unwrap().ends_with('Z'), "{time}");
    entry
}

fn an_acceptance_and_the_pin_before_it_leave_an_entry_each(place: &Place) {
    let server = place.serve();
    let (bundle, digest) = first_bundle(1);
    let receipt = opened(&server.upload(&bundle).is(201).body);
    server.upload(&bundle).ok();
    let (client, key) = client(1);
    let found = entries(place, &format!("clients/{client}/audit/"));
    let [pin, accepted] = <[Value; 2]>::try_from(found).expect("two entries");
    let key = key.public().id();
    assert_eq!(timeless(pin), json!({ "event": "pin", "client": client, "key": key }));
    assert_eq!(accepted["time"], receipt.received.as_str());
    let expected = json!({
        "event": "accepted",
        "client": client,
        "key": key,
        "store": receipt.store,
        "sequence": 1,
        "bundle": receipt.bundle,
        "manifestSha256": digest,
        "receipt": receipt.receipt,
        "receiptKey": receipt.key,
        "chain": "ok",
        "records": { "accepted": 3, "duplicate": 0, "rejected": 0 },
    });
    assert_eq!(timeless(accepted), expected);
    for (name, text) in place.objects() {
        assert!(!String::from_utf8_lossy(&text).contains("127.0.0.1"), "{name} tells who called");
    }
}

fn a_refusal_lies_with_the_client_only_if_its_own_key_has_signed(place: &Place) {
    let server = place.serve();
    let (owner, key) = client(1);
    server.upload(&first_bundle(1).0).is(201);
    let made = |key: &SigningKey| Made { client: owner, key, sequence: 2, previous: None, records: &[(9, "x")] }.pack();
    // A stranger in its name.
    let (stranger, (_, other)) = (made(&client(2).1), client(2));
    server.upload(&stranger.0).refused(403, "keyConflict");
    let strange = entries(place, "audit/refusals/");
    assert_eq!(strange.len(), 1);
    let expected = json!({
        "event": "refused",
        "client": owner,
        "key": other.public().id(),
        "manifestSha256": stranger.1,
        "trusted": false,
        "code": "keyConflict",
    });
    assert_eq!(timeless(strange[0].clone()), expected);
    // Its own, with a payload that is not the one that was signed for.
    let (mut damaged, digest) = made(&key);
    let payload = damaged.len() - 1024 - 512 + 40;
    damaged[payload] ^= 1;
    server.upload(&damaged).refused(422, "payloadDigest");
    let own = entries(place, &format!("clients/{owner}/audit/"));
    let refused: Vec<_> = own.into_iter().filter(|entry| entry["event"] == "refused").map(timeless).collect();
    let expected = json!({
        "event": "refused",
        "client": owner,
        "key": key.public().id(),
        "manifestSha256": digest,
        "trusted": true,
        "code": "payloadDigest",
    });
    assert_eq!(refused, [expected]);
    assert_eq!(entries(place, "audit/refusals/").len(), 1);
}

fn what_is_not_signed_leaves_nothing(place: &Place) {
    let server = place.serve();
    server.upload(&first_bundle(1).0).is(201);
    let before = place.objects();
    let (mut forged, _) = first_bundle(2);
    // In the manifest, which the signature is over.
    let at = forged.windows(4).position(|window| window == b"test").unwrap();
    forged[at] = b'T';
    server.upload(&forged).refused(422, "signatureMismatch");
    server.upload(b"not a bundle at all").refused(400, "notABundle");
    server.upload(&first_bundle(3).0[..2_000]).is(422);
    assert!(place.objects() == before);
}

fn refusals_beyond_the_bound_are_counted_in_one_entry(place: &Place) {
    let server = place.serve();
    server.upload(&first_bundle(1).0).is(201);
    let (owner, _) = client(1);
    let made = |key: &SigningKey, sequence| {
        Made { client: owner, key, sequence, previous: None, records: &[(9, "x")] }.pack().0
    };
    let beyond = 25;
    for sequence in 1..=u64::from(MOST_REFUSALS) + beyond {
        server.upload(&made(&client(2).1, sequence)).refused(403, "keyConflict");
    }
    assert_eq!(entries(place, "audit/refusals/").len(), usize::try_from(MOST_REFUSALS).unwrap());
    // The client has room of its own.
    let mut damaged = made(&client(1).1, 5);
    let payload = damaged.len() - 1024 - 512 + 40;
    damaged[payload] ^= 1;
    server.upload(&damaged).refused(422, "payloadDigest");
    assert_eq!(entries(place, &format!("clients/{owner}/audit/")).len(), 3);
    server.signal("TERM");
    assert_eq!(server.end().0, 0);
    let more: Vec<_> =
        entries(place, "audit/refusals/").into_iter().filter(|entry| entry["event"] == "refusedMore").collect();
    let [more] = <[Value; 1]>::try_from(more).expect("one entry");
    assert_eq!(more["codes"], json!({ "keyConflict": beyond }));
    assert!(more["since"].as_str().unwrap() <= more["time"].as_str().unwrap());
    say("measured", &format!("{MOST_REFUSALS} refusals written down, {beyond} counted"));
}

/// What the audit has no room for must not be what a bundle is refused for, nor a receipt be kept back for long.
#[test]
fn without_room_for_an_entry_nobody_is_told_of_a_receipt_until_there_is() {
    let place = Place::directory();
    let (bundle, _) = first_bundle(1);
    place.desk.file("bundle.tar", &bundle);
    place.ingest("bundle.tar").ok();
    let receipt = opened(&place.with("/receipts/")[0].1);
    let audit = place.files().join(format!("clients/{}/audit", receipt.client));
    fs::remove_dir_all(&audit).unwrap();
    fs::write(&audit, "in the way").unwrap();
    place.ingest("bundle.tar").code(1).says("the archive fails at");
    fs::remove_file(&audit).unwrap();
    assert_eq!(place.ingest("bundle.tar").ok().json()[0]["again"], true);
    assert!(audit.join(format!("{}.json", receipt.receipt)).exists());
}

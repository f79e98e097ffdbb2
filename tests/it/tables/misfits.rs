//! Records that are not what their kind and version prescribe: rejected with a reason, and everything else goes on.

use serde_json::{Value, json};

use super::made::{Dice, Record, pack};
use crate::archive::{Place, in_each_place};

in_each_place!(
    what_does_not_fit_is_rejected_with_the_reason_and_everything_else_goes_on,
    what_was_let_in_by_other_rules_stays,
);

const TIME: &str = "2026-01-11T04:10:00Z";

/// A record whose one cluster tells something else than a number.
fn misfit(id: u64) -> Record {
    let cluster = json!({"uuid": "00000000-0000-8000-8000-000000000001", "etcdClusterSize": "max@example.com"});
    Record::of(id, &json!({"kind": "kubermatic", "version": "v1", "time": TIME, "clusters": [cluster]}))
}

/// What the receipt of an answer of `ingest --json` says of each record.
pub fn outcomes(place: &Place, answer: &Value) -> Vec<(String, Option<String>)> {
    let path = answer[0]["receipt"].as_str().unwrap();
    let key = "receipts/receipt-key.pub.pem";
    let receipt = place.desk.run(["inspect", path, "--receipt-key", key, "--json"]).ok().json();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let records = receipt["receipt"]["records"].as_array().unwrap().iter();
    records.map(|record| (text(&record["status"]).unwrap(), text(&record["reason"]))).collect()
}

fn rows(place: &Place, table: &str) -> Vec<Value> {
    let printed = place.tables(&format!("export --table {table} --format ndjson")).ok().stdout;
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn what_does_not_fit_is_rejected_with_the_reason_and_everything_else_goes_on(place: &Place) {
    let mut good = Record::kubernetes(1, TIME, &mut Dice(3));
    good.fits = true;
    let later = Record::of(4, &json!({"kind": "kubermatic", "version": "v2", "time": TIME, "clusters": 7}));
    let records = [good.clone(), misfit(2), Record::foreign(3, TIME), later];
    place.desk.file("first.tar", pack(1, 1, &records).0);
    let answer = place.ingest("first.tar").ok().says("1 record rejected: schemaMismatch").json();
    assert_eq!((&answer[0]["accepted"], &answer[0]["rejected"]), (&3.into(), &1.into()));
    let reason = "schemaMismatch: `clusters[].etcdClusterSize` must be a whole number below 2^32";
    // In the manifest's order: by kind, version, time.
    let expected = [("accepted", None), ("rejected", Some(reason)), ("accepted", None), ("accepted", None)];
    let mut found = outcomes(place, &answer);
    found.sort();
    let mut wanted = expected.map(|(status, reason)| (status.to_owned(), reason.map(str::to_owned)));
    wanted.sort();
    assert_eq!(found, wanted);

    let kept = |when: &str| {
        let ids: Vec<_> = rows(place, "installations").iter().map(|row| row["record_id"].clone()).collect();
        assert_eq!(ids.len(), 3, "{when}: {ids:?}");
        assert!(!ids.contains(&json!(misfit(2).id)), "{when}");
        assert!(rows(place, "clusters").is_empty(), "{when}: of neither the misfit nor a version that nobody knows");
        assert_eq!(rows(place, "nodes").len(), good.value["nodes"].as_array().unwrap().len(), "{when}");
        assert!(place.with(&misfit(2).id.to_string()).is_empty(), "{when}: its place stays free");
    };
    kept("accepted");
    place.tables("rebuild").ok();
    kept("rebuilt");

    // Sent again with its neighbours, as `export` and `export --rejected` do.
    place.desk.file("second.tar", pack(1, 2, &[good, misfit(2)]).0);
    let answer = place.ingest("second.tar").ok().json();
    let mut found = outcomes(place, &answer);
    found.sort();
    assert_eq!(found, [("duplicate".to_owned(), None), ("rejected".to_owned(), Some(reason.to_owned()))]);
}

fn what_was_let_in_by_other_rules_stays(place: &Place) {
    place.desk.file("first.tar", pack(1, 1, &[misfit(2)]).0);
    place.ingest("first.tar").ok();
    // As an ingest that knew no schemas entered it.
    let bundle = place.with("/bundles/").remove(0).0;
    let (of_client, digest) = bundle.split_once("/bundles/").unwrap();
    let entry = super::versions::let_in(place, of_client, digest.trim_end_matches(".tar"), &misfit(2));
    place.tables("rebuild").ok();
    assert_eq!(rows(place, "clusters").len(), 1, "what fits of it is shown");
    assert_eq!(rows(place, "clusters")[0]["etcd_cluster_size"], Value::Null);
    place.desk.file("second.tar", pack(1, 2, &[misfit(2)]).0);
    let answer = place.ingest("second.tar").ok().json();
    assert_eq!(outcomes(place, &answer), [("duplicate".to_owned(), None)]);
    assert!(place.objects().contains_key(&entry));
}

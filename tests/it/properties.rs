//! Properties of the formats: canonical JSON, deltas, bundles.

use std::collections::BTreeMap;
use std::io::Cursor;

use kubermatic_telemetry::bundle::pack::{self, Item};
use kubermatic_telemetry::bundle::{Limits, VerifyError, delta, verify};
use kubermatic_telemetry::digest::Digested;
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::keys::keyring::Keyring;
use kubermatic_telemetry::record::canonical::{self, Bounds, Form};
use kubermatic_telemetry::record::document::Document;
use proptest::prelude::*;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::support::header;

/// Any JSON value that canonical JSON can carry; rows with keys turn up often.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        any::<f64>()
            .prop_filter("carried exactly", |number| number.is_finite() && number.abs() < 9e15)
            .prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text(), inner.clone()), 0..6).prop_map(object),
            rows(inner),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-e]{0,3}", any::<String>(), "[\u{e000}-\u{f8ff}😀-😂\"\\\\\u{0}-\u{1f}]{0,4}"]
}

fn object(members: Vec<(String, Value)>) -> Value {
    Value::Object(members.into_iter().collect::<Map<_, _>>())
}

/// Lists of rows, keyed by `uuid`, by `id`, by both, or nearly.
fn rows(inner: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Value> {
    let row = (prop::option::of("[a-h\"]{1,2}"), prop::option::of("[a-h\n]{1,2}"), inner);
    prop::collection::vec(row, 0..8).prop_map(|rows| {
        let row = |(uuid, id, more): (Option<String>, Option<String>, Value)| {
            let keys = [("uuid", uuid.map(Value::from)), ("id", id.map(Value::from)), ("v", Some(more))];
            object(keys.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
        };
        Value::Array(rows.into_iter().map(row).collect())
    })
}

/// Records whose arrays are so long that their outlines have landmarks: what happens to a few of many rows.
fn long_members() -> impl Strategy<Value = (Value, Value)> {
    let row = (0_u16..400, 0_u8..4, 0_usize..300);
    let array = || prop::collection::btree_map(0_u16..400, (0_u8..4, 0_usize..300), 0..200);
    let (changed, gone) = (prop::collection::vec(row, 0..8), prop::collection::vec(0_u16..400, 0..8));
    let by_uuid = any::<bool>();
    (array(), array(), changed, gone, by_uuid).prop_map(|(first, second, changed, gone, by_uuid)| {
        let mut after = first.clone();
        after.retain(|key, _| !gone.contains(key));
        after.extend(changed.into_iter().map(|(key, kind, length)| (key, (kind, length))));
        let rows = |array: &BTreeMap<u16, (u8, usize)>| long_rows(array, by_uuid);
        let record = |rows: Value, more: &BTreeMap<u16, (u8, usize)>| {
            let short = |(key, (kind, length)): (&u16, &(u8, usize))| {
                (format!("m{key}"), Value::from("x".repeat(*length) + &kind.to_string()))
            };
            let long = [("list".to_owned(), rows), ("text".to_owned(), "y".repeat(5000).into())];
            object(more.iter().map(short).chain(long).collect())
        };
        (record(rows(&first), &second), record(rows(&after), &after))
    })
}

/// Rows of many lengths with keys that are spelled with escapes now and then; not all of them have a `uuid`.
fn long_rows(array: &BTreeMap<u16, (u8, usize)>, by_uuid: bool) -> Value {
    let row = |(key, (kind, length)): (&u16, &(u8, usize))| {
        let key = if key % 7 == 0 { format!("\n{key}\"") } else { key.to_string() };
        let mut row = vec![("v".to_owned(), Value::from("z".repeat(*length)))];
        row.push((if by_uuid { "uuid" } else { "id" }.to_owned(), key.into()));
        if !by_uuid && *kind > 0 {
            row.push(("uuid".to_owned(), (*kind).to_string().into()));
        }
        object(row)
    };
    Value::Array(array.iter().map(row).collect())
}

/// The top level of a record.
fn members() -> impl Strategy<Value = Value> {
    prop::collection::vec((prop_oneof!["[a-d]", text()], value()), 0..6).prop_map(object)
}

fn canonical(value: &Value) -> Vec<u8> {
    let text = serde_json::to_vec(value).unwrap();
    canonical::canonicalize(&text, Form::Record, &Bounds::default()).unwrap()
}

fn document(value: &Value) -> Document {
    Document::parse(canonical(value), &Bounds::default()).unwrap()
}

/// Records of a few kinds and versions, made at a few times, with any contents.
fn records() -> impl Strategy<Value = Vec<Document>> {
    let one = (0..3_usize, 1..3_u8, 0..5_u8, prop::option::of(any::<bool>()), members());
    let one = one.prop_map(|(kind, version, second, complete, rest)| {
        let mut record = rest.as_object().cloned().unwrap_or_default();
        record.insert("kind".into(), ["a", "a-b", "b"][kind].into());
        record.insert("version".into(), format!("v{version}").into());
        record.insert("time".into(), format!("2026-01-01T00:00:0{second}Z").into());
        record.remove("complete");
        record.extend(complete.map(|complete| ("complete".into(), complete.into())));
        document(&Value::Object(record))
    });
    prop::collection::vec(one, 1..8)
}

/// A bundle of the records, whose ids are [`id`]s, and the limits that it was packed with: tiny random records may well
/// compress better than the default ones allow.
fn bundle(records: &[Document]) -> (Vec<u8>, Limits) {
    let envelope = |record: &Document| record.envelope().unwrap();
    let items = records.iter().enumerate().map(|(index, record)| Item { id: id(index), envelope: envelope(record) });
    let load = |wanted: Uuid| {
        let index = (0..records.len()).find(|index| id(*index) == wanted).unwrap();
        Ok::<_, std::convert::Infallible>(Digested::of(records[index].bytes().to_vec()))
    };
    let limits = Limits { ratio: 1 << 20, ..Limits::default() };
    let mut payload = Cursor::new(Vec::new());
    let packed = pack::pack(header(), items.collect(), load, &key(), &limits, &mut payload, &mut |_, _| {}).unwrap();
    let mut bundle = Vec::new();
    packed.write_to(&mut bundle, &mut payload).unwrap();
    (bundle, limits)
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[5; 32])
}

fn verified<'b>(bundle: &'b [u8], limits: &Limits) -> Result<verify::Verified<Cursor<&'b [u8]>>, VerifyError> {
    verify::verify(Cursor::new(bundle), &Keyring::of_keys(vec![key().public()]), limits, &mut |_, _| {})
}

fn id(index: usize) -> Uuid {
    format!("019a9d00-0000-7000-8000-{index:012}").parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn canonical_bytes_are_canonical_and_stand_for_the_same_value(value in value()) {
        let bytes = canonical(&value);
        prop_assert_eq!(&canonical::canonicalize(&bytes, Form::Record, &Bounds::default()).unwrap(), &bytes);
        prop_assert!(canonical::check(&bytes, Form::Record, &Bounds::default()).is_ok());
        let plain = canonical::canonicalize(&bytes, Form::Plain, &Bounds::default()).unwrap();
        prop_assert_eq!(&plain, &bytes, "a record is canonical JSON too");
    }

    #[test]
    fn checking_accepts_exactly_what_canonicalizing_leaves_alone(bytes in prop::collection::vec(
        prop_oneof![Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b':'), Just(b','), Just(b'1'),
            Just(b'0'), Just(b'-'), Just(b'.'), Just(b'e'), Just(b'a'), Just(b'\\'), Just(b'u'), Just(b' ')], 0..12)) {
        let unchanged = canonical::canonicalize(&bytes, Form::Record, &Bounds::default()).is_ok_and(|it| it == bytes);
        prop_assert_eq!(canonical::check(&bytes, Form::Record, &Bounds::default()).is_ok(), unchanged);
    }

    #[test]
    fn the_order_of_members_and_rows_does_not_matter(value in value()) {
        fn reversed(value: &Value) -> Value {
            match value {
                Value::Array(items) => {
                    let keyed = items.iter().all(|item| item["uuid"].is_string());
                    let items: Vec<_> = items.iter().map(reversed).collect();
                    let distinct: std::collections::BTreeSet<_> = items.iter().map(|it| it["uuid"].to_string()).collect();
                    let turn = keyed && distinct.len() == items.len();
                    Value::Array(if turn { items.into_iter().rev().collect() } else { items })
                }
                Value::Object(members) => object(members.iter().map(|(k, v)| (k.clone(), reversed(v))).collect()),
                other => other.clone(),
            }
        }
        prop_assert_eq!(canonical(&reversed(&value)), canonical(&value));
    }

    #[test]
    fn a_delta_leads_from_any_record_to_any_other(base in members(), target in members()) {
        let (base, target) = (document(&base), document(&target));
        let delta = delta::encode(&base, &target);
        prop_assert!(canonical::check(&delta, Form::Plain, &Bounds::default()).is_ok());
        let result = delta::apply(&base, &delta, &Bounds::default(), target.bytes().len() as u64);
        let result = result.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(format!("{result:?}"), format!("{target:?}"));
    }

    #[test]
    fn a_delta_leads_from_any_long_record_to_another((base, target) in long_members()) {
        let (base, target) = (document(&base), document(&target));
        for (base, target) in [(&base, &target), (&target, &base)] {
            let delta = delta::encode(base, target);
            prop_assert!(canonical::check(&delta, Form::Plain, &Bounds::default()).is_ok());
            let result = delta::apply(base, &delta, &Bounds::default(), target.bytes().len() as u64);
            let result = result.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(format!("{result:?}"), format!("{target:?}"));
            // What was made by a delta is as good a base and as good a target as what was read.
            prop_assert_eq!(delta::encode(&result, base), delta::encode(target, base));
            prop_assert_eq!(delta::encode(base, &result), delta);
        }
    }

    #[test]
    fn any_bytes_as_a_delta_are_applied_or_refused_but_never_harmful(base in members(), delta in members()) {
        let base = document(&base);
        if let Ok(result) = delta::apply(&base, &canonical(&delta), &Bounds::default(), 1 << 16) {
            let again = Document::parse(result.bytes().to_vec(), &Bounds::default());
            prop_assert_eq!(format!("{:?}", again.unwrap()), format!("{result:?}"));
        }
    }

    #[test]
    fn any_records_come_back_from_a_bundle_byte_for_byte(records in records()) {
        let (bundle, limits) = bundle(&records);
        let mut verified = verified(&bundle, &limits).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut found = BTreeMap::new();
        verified.for_each_record(|entry, document| {
            found.insert(entry.id, document.bytes().to_vec());
            Ok::<_, ()>(())
        }).unwrap();
        let packed: BTreeMap<_, _> =
            records.iter().enumerate().map(|(index, record)| (id(index), record.bytes().to_vec())).collect();
        prop_assert_eq!(found, packed);
    }

    #[test]
    fn a_bit_that_is_flipped_anywhere_in_any_bundle_is_noticed(
        records in records(), bits in prop::collection::vec(any::<prop::sample::Index>(), 24)
    ) {
        let (mut bundle, limits) = bundle(&records);
        prop_assert!(verified(&bundle, &limits).is_ok());
        for bit in bits {
            let bit = bit.index(bundle.len() * 8);
            bundle[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verified(&bundle, &limits).is_err(), "bit {bit}");
            bundle[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

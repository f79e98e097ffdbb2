//! A second version of a record kind, made up: it is added to what accepting knows, and nothing of the first is lost.

use kubermatic_telemetry::digest::Sha256Digest;
use kubermatic_telemetry::ingest::archive::Archive;
use kubermatic_telemetry::receipt::Outcome;
use kubermatic_telemetry::record::catalogue::{Field, Privacy};
use kubermatic_telemetry::record::schema::{SCHEMAS, Schema};
use kubermatic_telemetry::tables::{self, Kinds, LAYOUTS, Layout};
use serde_json::{Value, json};

use super::made::{Dice, Record, pack};
use crate::archive::Place;
use crate::fleets::{ingest, runtime};

const fn field(name: &'static str, privacy: Privacy) -> Field {
    Field { name, doc: "Made up.", privacy }
}

/// People instead of users, whose role is a word in an object of its own.
const ROLES: &[Field] = &[field("admin", Privacy::Flag), field("team", Privacy::Choice(&["red", "blue"]))];
const PEOPLE: &[Field] = &[field("uuid", Privacy::Pseudonym("user")), field("roles", Privacy::Object(ROLES))];
const V2: &[Field] = &[
    field("kind", Privacy::Constant("kubermatic")),
    field("version", Privacy::Constant("v2")),
    field("time", Privacy::Time),
    field("people", Privacy::Rows(PEOPLE)),
];

/// What a release knows that has added the second version, as docs/analysis.md describes it.
fn with_v2<T>(use_it: impl FnOnce(Kinds<'_>) -> T) -> T {
    let second = Schema { kind: "kubermatic", version: "v2", about: "Made up.", fields: V2 };
    let layout = Layout {
        kind: "kubermatic",
        version: "v2",
        arrays: &[("users", "people")],
        members: &[("users", "is_admin", &["roles", "admin"])],
    };
    let schemas: Vec<_> = SCHEMAS.iter().copied().chain([second]).collect();
    let layouts: Vec<_> = LAYOUTS.iter().copied().chain([layout]).collect();
    use_it(Kinds { schemas: &schemas, layouts: &layouts })
}

fn v2(id: u64, roles: &Value) -> Record {
    let person = json!({"uuid": "00000000-0000-8000-8000-000000000001", "roles": roles});
    Record::of(id, &json!({"kind": "kubermatic", "version": "v2", "time": "2026-01-12T00:00:00Z", "people": [person]}))
}

fn statuses(outcomes: &[Outcome]) -> Vec<Value> {
    outcomes.iter().map(|outcome| serde_json::to_value(outcome).unwrap()["status"].clone()).collect()
}

/// Enters a record as a release did that knew no schemas; gives the object's name.
pub fn let_in(place: &Place, of_client: &str, bundle: &str, record: &Record) -> String {
    let name = format!("{of_client}/records/{}", record.id);
    place.add(&name, format!("{} {bundle}\n", Sha256Digest::of(&record.bytes)).as_bytes());
    name
}

fn users(place: &Place) -> Vec<Value> {
    let printed = place.tables("export --table users --format ndjson").ok().stdout;
    let mut rows: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    rows.sort_by_key(Value::to_string);
    rows
}

#[test]
fn a_new_version_of_a_kind_is_added_and_nothing_of_the_old_one_is_lost() {
    let place = Place::directory();
    let runtime = runtime();
    let archive = Archive::open(place.files().to_str().unwrap(), runtime.handle().clone()).unwrap();
    let mut dice = Dice(5);
    let first: Vec<_> = (0..6).map(|id| Record { fits: true, ..old(id, &mut dice) }).collect();

    // A release that knows the first version keeps the second as it comes.
    let early = v2(100, &json!({"admin": true, "team": "red"}));
    let (bundle, _) = pack(1, 1, &[first.clone(), vec![early]].concat());
    assert!(statuses(&ingest(&archive, Kinds::KNOWN, bundle)).iter().all(|status| status == "accepted"));
    let before = users(&place);
    let expected: usize = first.iter().map(|record| record.value["users"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(before.len(), expected);
    assert!(before.len() > 3);
    let versions = place.tables("export --table installations --format ndjson").ok().stdout;
    assert_eq!(versions.matches(r#""version":"v2""#).count(), 1, "it is listed");

    // The next release knows both: it checks the second version, and makes rows of what it did not know before.
    with_v2(|kinds| {
        let records = [v2(101, &json!({"admin": false})), v2(102, &json!({"admin": "yes"})), old(7, &mut dice)];
        let outcomes = ingest(&archive, kinds, pack(1, 2, &records).0);
        let rejected: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.reason.as_deref()).collect();
        assert_eq!(rejected, ["schemaMismatch: `people[].roles.admin` must be true or false"]);
        tables::rebuild(&archive, kinds, &mut |_, _| {}).unwrap();
    });
    let after = users(&place);
    assert!(before.iter().all(|row| after.contains(row)), "every row of the first version is as it was");
    let of = |id: u64| {
        let id = json!(crate::archive::record_id(id));
        after.iter().filter(|row| row["record_id"] == id).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of(100).len(), 1);
    assert_eq!((&of(100)[0]["is_admin"], &of(101)[0]["is_admin"]), (&true.into(), &false.into()));
    assert_eq!(of(100)[0]["is_service_account"], Value::Null, "which the second version does not tell");
    assert!(of(102).is_empty() && !of(7).is_empty());

    // A server of the old release beside it changes nothing of that.
    let (again, _) = pack(1, 3, &[v2(100, &json!({"admin": true, "team": "red"}))]);
    assert_eq!(statuses(&ingest(&archive, Kinds::KNOWN, again)), ["duplicate"]);
    assert_eq!(users(&place), after);
}

/// A record of the first version with users.
fn old(id: u64, dice: &mut Dice) -> Record {
    loop {
        let record = Record::kubermatic(id, "2026-01-11T00:00:00Z", dice);
        if record.fits && record.value["users"].as_array().is_some_and(|users| !users.is_empty()) {
            return record;
        }
    }
}

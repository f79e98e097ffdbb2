//! Schemas: their copies are current, other programs read them as this one does, and `schema` shows them.

use std::collections::BTreeSet;
use std::fs;

use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::record::canonical::{Form, canonicalize};
use kubermatic_telemetry::record::document::Document;
use kubermatic_telemetry::record::schema::{SCHEMAS, find};
use serde_json::{Value, json};

use crate::support::{Desk, root, say, tool};
use crate::tables::engines;
use crate::tables::made::{Dice, Record};
use crate::{leak, vectors};

#[test]
fn the_copies_are_what_the_program_prints() {
    let desk = Desk::new();
    let directory = root().join("docs/schemas");
    let mut expected = BTreeSet::from(["README.md".to_owned()]);
    for schema in &SCHEMAS {
        let printed = desk.run(["schema", schema.kind, schema.version]).ok().stdout;
        let path = directory.join(schema.file_name());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &printed).unwrap();
        }
        assert!(fs::read_to_string(&path).unwrap() == printed, "{} is not current; UPDATE_GOLDEN=1", path.display());
        let page = fs::read_to_string(directory.join("README.md")).unwrap();
        assert!(page.contains(&format!("({})", schema.file_name())), "{} is not in the README", schema.file_name());
        expected.insert(schema.file_name());
    }
    let names = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.collect::<BTreeSet<_>>(), expected);
}

#[test]
fn the_verb_lists_shows_and_writes_them() {
    let desk = Desk::new();
    let listed = desk.line("schema").ok();
    listed.prints("kubermatic v1");
    listed.prints("kubernetes v1");
    assert_eq!(desk.line("schema --json").ok().json()[0]["kind"], "kubermatic");
    let newest = desk.line("schema kubermatic").ok().stdout;
    assert_eq!(newest, desk.line("schema kubermatic v1").ok().stdout);
    fs::create_dir(desk.path("schemas")).unwrap();
    desk.line("schema --all schemas").ok().says("wrote 2 schemas to schemas");
    assert_eq!(fs::read_to_string(desk.path("schemas/kubermatic-v1.json")).unwrap(), newest);
    desk.line("schema --all nowhere").code(1).says("nowhere is no directory").says("hint: mkdir -p nowhere");
    desk.line("schema acme")
        .code(2)
        .says("there is no schema of acme")
        .says("hint: there are kubermatic v1, kubernetes v1");
    desk.line("schema kubermatic v2").code(2).says("there is no schema of kubermatic v2");
    desk.line("schema kubermatic --all schemas").code(2).says("cannot be used with");
}

/// Records that collectors make, those of the published vectors, and made ones.
fn records() -> Vec<Value> {
    let mut records: Vec<_> = leak::previews().into_iter().flat_map(|(_, records)| records).collect();
    records.extend(vectors::records());
    let mut dice = Dice(9);
    for id in 0..12 {
        records.push(Record::kubermatic(id, "2026-01-11T04:10:00Z", &mut dice).value);
        records.push(Record::kubernetes(id, "2026-01-11T04:10:00+01:00", &mut dice).value);
    }
    records
}

/// Every value of a record, by its pointer.
fn places(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| places(value, &format!("{pointer}/{name}"), found));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(index, value)| places(value, &format!("{pointer}/{index}"), found));
        }
        _ => {}
    }
    found.push(pointer.to_owned());
}

/// The record with one thing changed, or taken away.
fn mutant(record: &Value, dice: &mut Dice) -> Value {
    let uuid = "59ef1105-e829-46c3-ac28-73d7832f42d5";
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(3.5),
        json!(4_294_967_295_u64),
        json!(4_294_967_296_u64),
        json!(""),
        json!("other"),
        json!("Acme prod"),
        json!("max@example.com"),
        json!("10.0.0.1"),
        json!("v1.30.2+k3s1"),
        json!("1.2"),
        json!("DE"),
        json!("de"),
        json!("Germany"),
        json!(uuid),
        json!(uuid.to_uppercase()),
        json!("ä".repeat(128)),
        json!("ä".repeat(129)),
        json!("a\u{7f}"),
        json!("containerd://1.7.13"),
        json!("7958656Ki"),
        json!("linux\""),
        json!([]),
        json!([uuid]),
        json!(["x y"]),
        json!({}),
        json!([{}]),
        json!({"uuid": uuid}),
        json!([{"uuid": uuid, "id": uuid}]),
    ];
    let mut pointers = Vec::new();
    places(record, "", &mut pointers);
    pointers.retain(|pointer| !["", "/kind", "/version", "/time", "/complete"].contains(&pointer.as_str()));
    let at = usize::try_from(dice.below(pointers.len() as u64)).unwrap();
    let value = values[usize::try_from(dice.below(values.len() as u64)).unwrap()].clone();
    let mut mutant = record.clone();
    let (above, name) = pointers[at].rsplit_once('/').unwrap();
    match mutant.pointer_mut(above).unwrap() {
        Value::Object(members) if dice.below(4) == 0 => _ = members.remove(name),
        Value::Object(members) if dice.below(4) == 0 => _ = members.insert("unknown".to_owned(), value),
        _ => *mutant.pointer_mut(&pointers[at]).unwrap() = value,
    }
    mutant
}

fn fits(record: &Value) -> Option<bool> {
    let limits = Limits::default();
    // Two rows of one name are refused long before.
    let bytes = canonicalize(record.to_string().as_bytes(), Form::Record, &limits.json).ok()?;
    let document = Document::parse(bytes, &limits.json).unwrap();
    let schema = find(&SCHEMAS, record["kind"].as_str()?, record["version"].as_str()?).unwrap();
    Some(schema.check(&document).is_ok())
}

const SCRIPT: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
schemas = {}
for kind in ("kubermatic", "kubernetes"):
    with open(f"{sys.argv[1]}/{kind}-v1.json") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    schemas[kind] = Draft202012Validator(schema)
with open("records.ndjson") as file:
    for line in file:
        record = json.loads(line)
        print("yes" if schemas[record["kind"]].is_valid(record) else "no")
"#;

#[test]
fn another_validator_finds_the_same_records_fitting() {
    let real = records();
    let known: Vec<_> =
        real.iter().filter(|record| find(&SCHEMAS, record["kind"].as_str().unwrap(), "v1").is_some()).collect();
    assert!(known.len() > 20);
    let mut dice = Dice(21);
    let mutants = (0..4000).map(|_| {
        let at = usize::try_from(dice.below(known.len() as u64)).unwrap();
        mutant(known[at], &mut dice)
    });
    let all = known.iter().map(|record| (*record).clone()).chain(mutants);
    let (records, judged): (Vec<_>, Vec<_>) = all.filter_map(|record| fits(&record).map(|fits| (record, fits))).unzip();
    let fitting = judged.iter().filter(|fits| **fits).count();
    assert!(fitting > 500 && judged.len() - fitting > 500, "{fitting} of {}", judged.len());
    say("measured", &format!("{fitting} of {} records fit", judged.len()));
    let Some(python) = engines::python() else { return };
    let desk = Desk::new();
    let lines: Vec<_> = records.iter().map(Value::to_string).collect();
    desk.file("records.ndjson", lines.join("\n") + "\n");
    let schemas = root().join("docs/schemas");
    let output = tool(&desk.path(""), python.to_str().unwrap(), &["-c", SCRIPT, schemas.to_str().unwrap()]);
    let found = String::from_utf8(output.stdout).unwrap();
    assert_eq!(found.lines().count(), judged.len());
    for ((record, ours), theirs) in records.iter().zip(&judged).zip(found.lines()) {
        assert_eq!(*ours, theirs == "yes", "{record}");
    }
}

#[test]
fn what_collectors_make_and_the_published_vectors_have_fits() {
    let made = leak::previews().into_iter().flat_map(|(_, records)| records);
    for record in made.chain(vectors::records()) {
        assert_eq!(fits(&record), Some(true), "{record}");
    }
}

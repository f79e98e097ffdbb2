//! Tables for people without an engine, and one for machine learning.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::engines;
use super::{expected, fleet, send, sorted};
use crate::archive::{Place, in_each_place};
use crate::support::Desk;

in_each_place!(a_table_is_exported_in_every_format_with_the_same_rows, features_have_a_row_for_each_client_and_month);

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Rows with their times as JSON tells them.
fn told(rows: &[Value]) -> Vec<Value> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        let time = jiff::Timestamp::from_microsecond(row["time"].as_i64().unwrap()).unwrap();
        row["time"] = time.to_string().into();
    }
    rows
}

fn a_table_is_exported_in_every_format_with_the_same_rows(place: &Place) {
    let bundles = fleet(3, 5);
    send(place, &bundles);
    let tables = expected(place, &bundles);
    for (table, rows) in &tables {
        let printed = place.tables(&format!("export --table {table} --format ndjson")).ok();
        let found = [(table.clone(), lines(&printed.stdout))].into();
        let wanted = [(table.clone(), told(rows))].into();
        assert_eq!(sorted(&found), sorted(&wanted));
        let csv = place.tables(&format!("export --table {table}")).ok().stdout;
        let columns = found[table][0].as_object().unwrap().len();
        assert_eq!(csv.lines().next().unwrap().split(',').count(), columns, "{csv}");
        assert!(csv.starts_with("client,record_id,time,"), "{csv}");
        place.tables(&format!("export --table {table} --format parquet -o {table}.parquet")).ok();
        assert!(fs::read(place.desk.path(&format!("{table}.parquet"))).unwrap().ends_with(b"PAR1"));
    }
    let seeds = place.tables("export --table seeds --month 2025-12").ok().stdout;
    assert!(seeds.contains("2025-12-") && !seeds.contains("2026-01-"), "{seeds}");
    let place_name = r#","Zürich ""1"",\u{2028}","#;
    assert!(
        seeds.contains(place_name),
        "commas and quotes stay in their value, and what acts on a terminal is escaped: {seeds}"
    );
    let printed = place.tables("export --table seeds --format ndjson").ok().stdout;
    assert!(printed.contains(r"\u2028") && !printed.contains('\u{2028}'), "{printed}");
    place.tables("export --table seeds -o seeds.parquet").code(1).says("exists already").says("--force");
    if let Some(python) = engines::python() {
        let script = "import pandas; print(sum(len(pandas.read_parquet(f'{table}.parquet')) for table in %s))";
        let names: Vec<_> = tables.keys().map(String::as_str).collect();
        let script = script.replace("%s", &serde_json::to_string(&names).unwrap());
        let output = crate::support::tool(&place.desk.path(""), python.to_str().unwrap(), &["-c", &script]);
        let rows: usize = tables.values().map(Vec::len).sum();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), rows.to_string());
    }
}

fn features_have_a_row_for_each_client_and_month(place: &Place) {
    let bundles = fleet(3, 5);
    send(place, &bundles);
    let tables = expected(place, &bundles);
    let month = |row: &Value| {
        let time = jiff::Timestamp::from_microsecond(row["time"].as_i64().unwrap()).unwrap();
        time.to_string()[..7].to_owned()
    };
    let mut newest = BTreeMap::<(String, String), BTreeMap<&str, &Value>>::new();
    for row in &tables["installations"] {
        let of = newest.entry((row["client"].as_str().unwrap().to_owned(), month(row))).or_default();
        let order = |row: &Value| (row["time"].as_i64(), row["record_id"].as_str().map(str::to_owned));
        let slot = of.entry(row["kind"].as_str().unwrap()).or_insert(row);
        if order(row) > order(slot) {
            *slot = row;
        }
    }
    let found = lines(&place.tables("features --format ndjson").ok().stdout);
    assert_eq!(found.len(), newest.len());
    let is_of = |row: &&Value, record: &Value| row["record_id"] == record["record_id"];
    for row in &found {
        let of = &newest[&(row["client"].as_str().unwrap().to_owned(), row["month"].as_str().unwrap().to_owned())];
        let all = tables["installations"].iter().filter(|other| other["client"] == row["client"]);
        assert_eq!(row["records"], all.filter(|other| month(other) == row["month"].as_str().unwrap()).count());
        let Some(record) = of.get("kubermatic") else {
            assert_eq!(row["clusters"], Value::Null);
            continue;
        };
        for column in ["clusters", "users", "projects", "datacenters", "kubermatic_version", "complete"] {
            assert_eq!(row[column], record[column], "{column}");
        }
        let clusters: Vec<_> = tables["clusters"].iter().filter(|row| is_of(row, record)).collect();
        let count = |column: &str, value: Value| clusters.iter().filter(|row| row[column] == value).count();
        assert_eq!(row["clusters_aws"], count("provider", "aws".into()));
        assert_eq!(row["clusters_opa"], count("opa_enabled", true.into()));
        let withheld = if clusters.is_empty() { 0.into() } else { Value::Null };
        assert_eq!(row["clusters_logging"], withheld, "of which no cluster tells anything");
        let machines = tables["machine_deployments"].iter().filter(|row| is_of(row, record));
        assert_eq!(row["machine_replicas"], machines.map(|row| row["replicas"].as_i64().unwrap()).sum::<i64>());
        let nodes = of.get("kubernetes").map(|record| record["nodes"].as_i64().unwrap());
        assert_eq!(row["node_cpu_millicores"], nodes.map_or(Value::Null, |nodes| (1500 * nodes).into()));
    }
}

#[test]
fn what_can_not_be_done_is_told_before_anything_is_written() {
    let desk = Desk::new();
    desk.line("tables export --archive a --table kustom").code(2).says("there is no such table").says("installations");
    desk.line("tables compact --archive a --before 2026-13").code(2).says("a month like 2026-01");
    desk.line("tables rebuild --archive a").code(1).says("hint:");
    assert!(!desk.path("a").exists());
    let tables = desk.line("tables list --json").ok().json();
    assert_eq!(tables.as_array().unwrap().len(), 10);
    desk.line("tables list").ok().prints("machine_deployments: a row is a machine deployment of a user cluster");
}

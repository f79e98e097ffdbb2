//! `docs/analysis.md`: its queries run, and it tells of every column.

use std::fs;
use std::process::Command;

use super::engines;
use super::{BEFORE, expected, fleet, send};
use crate::archive::Place;
use crate::support::{Desk, root, say};

fn page() -> String {
    fs::read_to_string(root().join("docs/analysis.md")).unwrap()
}

/// The blocks of a language on the page.
fn blocks(language: &str) -> Vec<String> {
    let (page, start) = (page(), format!("```{language}\n"));
    let parts = page.split(&start).skip(1);
    parts.map(|part| part.split("```").next().unwrap().to_owned()).collect()
}

/// What a Python program prints.
fn python(command: &mut Command, program: &str) -> String {
    let output = command.args(["-c", program]).output().unwrap();
    assert!(output.status.success(), "{program}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_query_of_the_page_runs_in_a_directory() {
    let Some(program) = engines::python() else { return };
    let place = Place::directory();
    let bundles = fleet(4, 8);
    send(&place, &bundles);
    place.tables(&format!("compact --before {BEFORE}")).ok();
    place.tables("features -o features.csv").ok();
    let run = |text: &str| python(Command::new(&program).current_dir(place.desk.path("")), text);
    let (queries, programs) = (blocks("sql"), blocks("python"));
    let rows = "import duckdb; print(*duckdb.sql('''QUERY''').pl().rows(), sep='\\n')";
    let answers: Vec<_> = queries.iter().map(|query| run(&rows.replace("QUERY", query))).collect();
    assert!(answers.iter().all(|answer| answer.trim().starts_with('(')), "{answers:#?}");
    assert!(programs.iter().map(|program| run(program)).all(|printed| printed.lines().count() > 2));
    // Of one the answer is known: nobody's clusters are in it but those of the newest records.
    let tables = expected(&place, &bundles);
    let records = tables["installations"].iter().filter(|row| row["kind"] == "kubermatic");
    let newest = records.fold(std::collections::BTreeMap::new(), |mut newest, row| {
        let slot = newest.entry(row["client"].to_string()).or_insert(row);
        if row["time"].as_i64() > slot["time"].as_i64() {
            *slot = row;
        }
        newest
    });
    let wanted: i64 = newest.values().map(|row| row["clusters"].as_i64().unwrap()).sum();
    let lines = answers[1].lines().map(|line| line.split(", ").nth(1).unwrap().parse::<i64>().unwrap());
    assert_eq!(lines.sum::<i64>(), wanted);
    say("measured", &format!("{} queries and {} programs", queries.len(), programs.len()));
}

#[test]
fn the_programs_of_the_page_read_from_object_storage() {
    let (Some(program), Some(place)) = (engines::python(), Place::bucket()) else { return };
    send(&place, &fleet(2, 4));
    for text in blocks("python s3") {
        let text = text.replace("s3://bucket/prefix", "s3://bundles/of/kkp");
        let mut command = Command::new(&program);
        command.envs(place.s3().environment());
        assert!(python(&mut command, &text).contains("provider"));
    }
}

#[test]
fn the_page_tells_of_every_column() {
    let page = page();
    let tables = Desk::new().line("tables list --json").ok().json();
    for table in tables.as_array().unwrap() {
        let start = format!("| `{}` |", table["name"].as_str().unwrap());
        let line = page.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{start}"));
        for column in table["columns"].as_array().unwrap().iter().skip(3) {
            let name = format!("`{}`", column["name"].as_str().unwrap());
            assert!(line.contains(&name), "{start} has no {name}");
        }
    }
}

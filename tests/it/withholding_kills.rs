//! Withholding stopped at every step: nothing is lost, nothing is there twice, and nothing withheld ever leaves.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::kills::{Scene, Step, can_trace, copy_of, on_two_threads};
use crate::support::{Desk, Printed, say};

/// Two days of records of both kinds, one of them exported, and a record of another product.
fn prepared() -> Desk {
    let desk = Desk::in_memory();
    desk.collect();
    desk.line("export -o first.tar").ok();
    desk.collect();
    desk.file("r.json", r#"{"kind":"my-product","version":"v1","time":"2026-01-31T12:00:00Z"}"#);
    desk.line("collect --record r.json --allow-kind my-product").ok();
    desk
}

const EXPORT: &str = "export -o bundle.tar --omit users";

/// How many records of each kind a look without the lock tells of.
fn kinds(desk: &Desk, what: &str) -> BTreeMap<String, u64> {
    let printed = desk.line("status --json");
    assert_eq!(printed.code, 0, "{what}: {}", printed.stderr);
    let status = printed.json();
    let kinds = status["pending"]["kinds"].as_array().unwrap();
    let row = |row: &Value| (row["kind"].as_str().unwrap().to_owned(), row["records"].as_u64().unwrap());
    kinds.iter().map(row).collect()
}

fn check(scene: &Scene, desk: &Desk, what: &str) {
    let whole = kinds(&scene.desk, what);
    assert_eq!(kinds(desk, what), whole, "{what}: a record is gone, or there twice");
    let shown = desk.line("preview --omit users").ok().stdout;
    assert_eq!(shown.lines().count(), 5, "{what}");
    assert!(!shown.contains("isAdmin"), "{what}");
    // Whatever was done, the same again finishes it.
    let after = copy_of(desk);
    let again = after.line(&format!("{EXPORT} --force"));
    assert_eq!(again.code, 0, "{what}, and again: {}", again.stderr);
    assert_eq!(kinds(&after, what), whole, "{what}, and again");
    after.line("inspect bundle.tar --extract out").ok();
    let files = after.tree("out");
    assert_eq!(files.len(), 5, "{what}");
    let packed = files.iter().map(|name| fs::read_to_string(after.path("out").join(name)).unwrap() + "\n");
    assert_eq!(packed.collect::<String>(), shown, "{what}");
    assert_eq!(after.tree("state/store/records").len(), 5, "{what}: an old record is still there");
    after.line("export --again 1 -o again.tar --omit users").code(1);
    assert_eq!(crate::books::leftovers(&after.state()), Vec::<std::path::PathBuf>::new(), "{what}");
}

#[test]
fn killed_at_any_step_each_record_is_there_once_and_nothing_withheld_leaves() {
    if !can_trace() {
        return;
    }
    let scene = Scene::new("withholding", prepared(), EXPORT);
    let steps: Vec<_> = scene.steps().into_iter().filter(Step::changes_something).collect();
    on_two_threads(&steps, |step| {
        let what = format!("killed before {}", step.line);
        let (desk, _) = scene.stopped(step, "signal=KILL");
        check(&scene, &desk, &what);
    });
    assert!(steps.len() > 40, "only {} steps", steps.len());
    say("measured", &format!("{} kills, at every step of `{EXPORT}`", steps.len()));
}

#[test]
fn a_disk_that_is_full_at_any_step_is_told_and_leaves_each_record_there_once() {
    if !can_trace() {
        return;
    }
    let scene = Scene::new("withholding", prepared(), EXPORT);
    let steps: Vec<_> = scene.steps().into_iter().filter(Step::changes_something).collect();
    on_two_threads(&steps, |step| {
        let what = format!("no space for {}", step.line);
        let (desk, output) = scene.stopped(step, "error=ENOSPC");
        let printed = Printed::of(output);
        assert!(printed.code == 0 || printed.stderr.contains("error:"), "{what}: {printed:?}");
        check(&scene, &desk, &what);
    });
}

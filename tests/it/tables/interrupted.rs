//! Accepting, rebuilding and compacting that is interrupted: nobody reads half a file, or a record twice.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;

use super::made::{Dice, Record, pack};
use super::{BEFORE, fleet};
use crate::archive::{Place, in_each_place};
use crate::kills::{can_trace, under_strace};
use crate::support::{copy_all, say};

in_each_place!(
    whatever_an_interrupted_bundle_left_each_record_is_once_in_the_tables,
    of_a_record_whose_bundle_is_lost_the_rows_come_from_the_next_one_alone,
);

/// How often each record is in a table.
fn found(place: &Place, table: &str) -> BTreeMap<String, usize> {
    let printed = place.tables(&format!("export --table {table} --format ndjson")).ok();
    let mut found = BTreeMap::new();
    for line in printed.stdout.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        *found.entry(row["record_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    found
}

fn ids(records: &[Record]) -> BTreeMap<String, usize> {
    records.iter().map(|record| (record.id.to_string(), 1)).collect()
}

fn three_records() -> Vec<Record> {
    let mut dice = Dice(3);
    (1..4).map(|id| Record::kubermatic(id, "2025-11-05T00:00:00Z", &mut dice)).collect()
}

fn whatever_an_interrupted_bundle_left_each_record_is_once_in_the_tables(place: &Place) {
    let records = three_records();
    place.desk.file("first.tar", pack(1, 1, &records[..2]).0);
    place.desk.file("second.tar", pack(1, 2, &records[1..]).0);
    place.ingest("first.tar").ok();
    let (saved, all) = (place.save(), place.objects());
    let has = |name: &String, parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let names: Vec<_> =
        all.keys().filter(|name| has(name, &["/bundles/", "/records/", "/stores/", "manifests/"])).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    let late: Vec<_> = all.keys().filter(|name| has(name, &["tables/", "/receipts/"])).collect();
    let mut states = 0;
    // What comes of a bundle before its tables, in any order, since a record may have been entered by an older release
    // before its bundle was there; and of its tables none, some, or all.
    for (subset, tables) in (0..1_u32 << names.len()).map(|subset| (subset, 0)).chain([(31, 1), (31, 3), (31, 100)]) {
        place.restore(&saved);
        for name in late.iter().skip(tables).filter(|name| !name.contains("/receipts/")) {
            place.remove(name);
        }
        for name in late.iter().filter(|name| name.contains("/receipts/")) {
            place.remove(name);
        }
        for (_, name) in names.iter().enumerate().filter(|(index, _)| subset >> index & 1 == 0) {
            place.remove(name);
        }
        place.ingest("second.tar").ok();
        let after = found(place, "installations");
        let missing: Vec<_> = ids(&records[1..]).into_keys().filter(|id| after.get(id) != Some(&1)).collect();
        assert!(missing.is_empty(), "{subset:b}, {tables}: {after:?}");
        place.ingest("first.tar").ok();
        assert_eq!(found(place, "installations"), ids(&records), "{subset:b}, {tables}: and when it comes again");
        let before = place.with("tables/");
        place.tables("rebuild").ok();
        assert!(place.with("tables/") == before, "{subset:b}, {tables}: a rebuild finds the same");
        states += 1;
    }
    say("measured", &format!("{states} states that an interruption can leave"));
}

fn of_a_record_whose_bundle_is_lost_the_rows_come_from_the_next_one_alone(place: &Place) {
    let records = three_records();
    for (sequence, name) in [(1, "first.tar"), (2, "second.tar"), (3, "third.tar")] {
        place.desk.file(name, pack(1, sequence, &records).0);
    }
    place.ingest("first.tar").ok();
    for part in ["/bundles/", "/receipts/", "tables/"] {
        place.with(part).iter().for_each(|(name, _)| place.remove(name));
    }
    for bundle in ["second.tar", "third.tar", "first.tar", "second.tar"] {
        place.ingest(bundle).ok();
        assert_eq!(found(place, "installations"), ids(&records), "{bundle}");
    }
    place.tables("rebuild").ok();
    assert_eq!(found(place, "installations"), ids(&records), "rebuilt");
}

/// Calls by which an object gets its name.
const NAMING: &str = "link,linkat,rename,renameat,renameat2";
/// Calls on the way there, and afterwards.
const CALLS: [&str; 3] = ["openat", "write", "unlink,unlinkat"];

/// How a command ends under `strace`, which writes to `trace`.
fn traced(command: &Command, trace: &Path, options: &[&str]) -> ExitStatus {
    let mut strace = under_strace(command, trace, options);
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

/// What a command gives names to, in their order.
fn named(command: &Command) -> Vec<String> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let status = traced(command, trace.path(), &["-s", "4096", "-e", &format!("trace={NAMING}")]);
    assert!(status.success());
    let trace = fs::read_to_string(trace.path()).unwrap();
    // Of a call that another thread interrupts the names are in its first part.
    trace.lines().filter_map(|line| line.split('"').nth(3)).map(str::to_owned).collect()
}

/// Runs a command that is killed at the how many-th of some calls of a thread, of all or of those about one path; tells
/// whether it was.
fn killed(command: &Command, calls: &str, number: usize, path: Option<&str>) -> bool {
    let mut options = vec!["-e".to_owned(), format!("inject={calls}:signal=KILL:when={number}")];
    // Of a rename `strace` looks at the name before only: what a store calls a file that it is still writing.
    let paths = path.into_iter().flat_map(|path| [path.to_owned(), format!("{path}#1")]);
    options.extend(paths.flat_map(|path| ["-P".to_owned(), path]));
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let status = traced(command, Path::new("/dev/null"), &options);
    status.signal() == Some(9) || status.code() == Some(137)
}

/// Stops a command before each name that it gives, and at other calls, and looks at what it left, and at what the next run
/// makes of it.
fn at_every_call(place: &Place, command: impl Fn() -> Command, look: impl Fn(&str), done: impl Fn(&str)) -> usize {
    let (saved, mut kills) = (place.save(), 0);
    let mut is_stopped = |calls: &str, number: usize, path: Option<&str>| {
        place.restore(&saved);
        let is_killed = killed(&command(), calls, number, path);
        if is_killed {
            kills += 1;
            let when = format!("killed at {calls} {number} {}", path.unwrap_or_default());
            look(&when);
            let again = command().stdin(Stdio::null()).output().unwrap();
            assert!(again.status.success(), "{when}: {}", String::from_utf8_lossy(&again.stderr));
            done(&when);
        }
        is_killed
    };
    let names = named(&command());
    let tables: Vec<_> = names.iter().filter(|name| name.ends_with(".parquet")).collect();
    assert!(tables.len() > 3, "{names:?}");
    // What is named with random numbers is named otherwise each time; tables are not.
    let stopped: Vec<_> = names.iter().filter(|name| is_stopped(NAMING, 1, Some(name.as_str()))).collect();
    assert!(tables.iter().all(|name| stopped.contains(name)), "stopped before {stopped:?} of {names:?}");
    for calls in CALLS {
        // Much of what is opened and written first is not the archive's.
        let step = if calls == "unlink,unlinkat" { 1 } else { 7 };
        let mut numbers = (1..).step_by(step);
        while numbers.next().is_some_and(|number| is_stopped(calls, number, None)) {}
    }
    kills
}

#[test]
fn killed_at_any_moment_nobody_reads_a_record_twice_and_the_next_run_completes_them() {
    if !can_trace() {
        return;
    }
    let place = Place::directory();
    let bundles = fleet(1, 3);
    for (at, bundle) in bundles.iter().enumerate() {
        place.desk.file(&format!("{at}.tar"), &bundle.bytes);
    }
    let all: Vec<_> = bundles.iter().flat_map(|bundle| bundle.records.clone()).filter(|record| record.fits).collect();
    place.ingest("0.tar").ok();
    place.ingest("1.tar").ok();
    let command = || {
        let mut command = place.command("ingest");
        command.arg("2.tar");
        command
    };
    let once = |when: &str| assert!(found(&place, "installations").values().all(|times| *times == 1), "{when}");
    let complete = |when: &str| assert_eq!(found(&place, "installations"), ids(&all), "{when}");
    let ingests = at_every_call(&place, command, once, complete);
    place.ingest("2.tar").ok();

    // What was being written lies beside its place with another ending.
    let files = |place: &Place, below: &str| -> Vec<_> {
        place.with(below).into_iter().filter(|(name, _)| name.ends_with(".parquet")).collect()
    };
    let tables = files(&place, "tables/");
    let rebuild = || place.tables_command("rebuild");
    let same = |when: &str| assert!(files(&place, "tables/") == tables, "{when}");
    let rebuilds = at_every_call(&place, rebuild, complete, same);

    let compact = || {
        let mut command = place.tables_command("compact");
        command.args(["--before", BEFORE]);
        command
    };
    let whole = |when: &str| {
        complete(when);
        for (name, bytes) in files(&place, "compacted/") {
            assert!(bytes.ends_with(b"PAR1"), "{when}: half of {name}");
        }
    };
    let reference = Place::directory();
    copy_all(&place.files(), &made(&reference.files()));
    reference.tables(&format!("compact --before {BEFORE}")).ok();
    let compacted = reference.with("compacted/");
    let equal = |when: &str| assert!(files(&place, "compacted/") == compacted, "{when}");
    let compacts = at_every_call(&place, compact, whole, equal);
    say("measured", &format!("killed {ingests} times accepting, {rebuilds} rebuilding, {compacts} compacting"));
}

fn made(directory: &Path) -> std::path::PathBuf {
    fs::create_dir_all(directory).unwrap();
    directory.to_owned()
}

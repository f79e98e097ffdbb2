//! The tables, read with the engines that people use, against counts from the records themselves.

mod documentation;
pub mod engines;
mod export;
mod interrupted;
pub mod made;
mod memory;
mod misfits;
mod versions;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use self::made::{Dice, Record, Tables, expect, pack, sorted};
use crate::archive::{Place, client, deliver, in_each_place};
use crate::support::{Printed, say};

in_each_place!(
    engines_find_every_record_once_whatever_came_how_often_and_when,
    tables_are_made_again_from_bundles_that_came_before_them,
    what_comes_late_for_a_compacted_month_is_in_it_after_the_next_run,
    rows_that_are_gone_are_gone_from_compacted_months_after_the_next_run,
);

/// How many installations there are, and how many bundles of each.
const CLIENTS: u8 = 12;
const BUNDLES: u64 = 20;

/// The months that are compacted; the data goes beyond it.
const BEFORE: &str = "2026-01";

/// Time of a day from 2025-11-01 on; some are told in another zone, in which they are of another month.
fn time(day: u64) -> String {
    let (month, day) = [("2025-11", day), ("2025-12", day.wrapping_sub(30)), ("2026-01", day.wrapping_sub(61))]
        .into_iter()
        .rfind(|(_, day)| *day < 31)
        .unwrap();
    match day {
        0 => format!("{month}-01T00:30:00+01:00"),
        day => format!("{month}-{:02}T12:00:00.25Z", day.min(29) + 1),
    }
}

/// A bundle, whose it is, and the records in it.
struct Bundle {
    number: u8,
    bytes: Vec<u8>,
    records: Vec<Record>,
}

/// Bundles of many installations: several records in each, some of them in others as well, over three months.
fn fleet(clients: u8, bundles: u64) -> Vec<Bundle> {
    let mut dice = Dice(7);
    let mut all = Vec::new();
    for number in 0..clients {
        let mut before = Vec::<Record>::new();
        for sequence in 1..=bundles {
            let mut records = Vec::new();
            for at in 0..=dice.below(3) {
                let id = u64::from(number) << 32 | sequence << 8 | at;
                let time = time((sequence * 91 / bundles).min(90).saturating_sub(dice.below(3)));
                records.push(match dice.below(5) {
                    0 => Record::foreign(id, &time),
                    1 => Record::kubernetes(id, &time, &mut dice),
                    _ => Record::kubermatic(id, &time, &mut dice),
                });
            }
            // As somebody does who has not heard of a receipt.
            let again = before.last().filter(|_| dice.below(3) == 0).cloned();
            before.extend(records.clone());
            records.extend(again);
            let (bytes, _) = pack(number, sequence, &records);
            all.push(Bundle { number, bytes, records });
        }
    }
    all
}

impl Place {
    /// Runs `tables` on the archive.
    pub fn tables(&self, arguments: &str) -> Printed {
        let mut words = arguments.split_whitespace();
        let mut command = self.tables_command(words.next().unwrap());
        Printed::of(command.args(words).stdin(Stdio::null()).output().unwrap())
    }
}

/// The rows that the archive must have, by what it says who brought each record.
fn expected(place: &Place, bundles: &[Bundle]) -> Tables {
    let (objects, mut tables, mut seen) = (place.objects(), Tables::new(), BTreeSet::new());
    for bundle in bundles {
        for record in bundle.records.iter().filter(|record| seen.insert((bundle.number, record.id))) {
            let name = format!("clients/{}/records/{}", client(bundle.number).0, record.id);
            assert_eq!(objects.contains_key(&name), record.fits, "{name}");
            let Some(entry) = objects.get(&name) else { continue };
            let owner = std::str::from_utf8(entry).unwrap().trim().split_once(' ').unwrap().1.parse().unwrap();
            expect(&mut tables, bundle.number, owner, record);
        }
    }
    tables
}

/// What every engine must read with these globs.
fn check(place: &Place, tables: &Tables, globs: &[&str], when: &str) {
    let Some(python) = engines::python() else { return };
    let expected = sorted(tables);
    for (engine, read) in engines::read(&python, &place.files(), globs) {
        assert_eq!(read.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{engine}, {when}");
        for (table, lines) in &read {
            assert_eq!(lines.len(), expected[table].len(), "{engine} finds more or fewer {table}, {when}");
            let odd = lines.iter().zip(&expected[table]).find(|(found, wanted)| found != wanted);
            assert!(odd.is_none(), "{engine} reads {table} otherwise, {when}: {odd:#?}");
        }
    }
}

/// Sends every bundle, some twice, in an order of its own, to two servers from four threads.
fn send(place: &Place, bundles: &[Bundle]) {
    let servers = [place.serve(), place.serve()];
    let mut dice = Dice(11);
    let mut order: Vec<_> = (0..bundles.len()).collect();
    order.extend((0..bundles.len()).filter(|_| dice.below(4) == 0).collect::<Vec<_>>());
    for at in (1..order.len()).rev() {
        order.swap(at, usize::try_from(dice.below(at as u64 + 1)).unwrap());
    }
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for sender in 0..4 {
            let (address, order, next) = (servers[sender % 2].address, &order, &next);
            scope.spawn(move || {
                while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let answer = deliver(address, &bundles[*index].bytes).unwrap();
                    assert!(matches!(answer.status, 200 | 201), "{}{}", answer.head, answer.text());
                }
            });
        }
    });
}

/// Both ways to read: everything, and finished months from the compacted files.
const ALL: &[&str] = &["tables/{}/**/*.parquet"];
const COMPACTED: &[&str] = &["compacted/{}/*/*.parquet", "tables/{}/month=2026-01/*.parquet"];

fn engines_find_every_record_once_whatever_came_how_often_and_when(place: &Place) {
    let bundles = fleet(CLIENTS, BUNDLES);
    send(place, &bundles);
    let tables = expected(place, &bundles);
    check(place, &tables, ALL, "as they were accepted");
    let before = place.with("tables/");
    place.tables(&format!("compact --before {BEFORE}")).ok();
    check(place, &tables, COMPACTED, "compacted");
    check(place, &tables, ALL, "compacted, the small ones");
    place.tables("rebuild").ok();
    assert!(place.with("tables/") == before, "equal records are equal bytes");
    check(place, &tables, ALL, "rebuilt");
    let again = place.tables(&format!("compact --before {BEFORE} --json")).ok().json();
    assert_eq!(again["written"], 0, "what has not changed is not written again");
    let (small, large) = (place.with("tables/").len(), place.with("compacted/").len());
    let rows: usize = tables.values().map(Vec::len).sum();
    say("measured", &format!("{} bundles, {rows} rows in {small} files, compacted {large}", bundles.len()));
}

fn tables_are_made_again_from_bundles_that_came_before_them(place: &Place) {
    let bundles = fleet(3, 6);
    send(place, &bundles);
    let (before, tables) = (place.with("tables/"), expected(place, &bundles));
    for (name, _) in &before {
        place.remove(name);
    }
    let rebuilt = place.tables("rebuild --json").ok().json();
    assert_eq!((&rebuilt["clients"], &rebuilt["bundles"]), (&3.into(), &18.into()));
    assert_eq!(rebuilt["files"], before.len());
    assert!(place.with("tables/") == before);
    check(place, &tables, ALL, "rebuilt");
}

fn what_comes_late_for_a_compacted_month_is_in_it_after_the_next_run(place: &Place) {
    let bundles = fleet(2, 6);
    let (late, early) = (&bundles[..1], &bundles[1..]);
    send(place, early);
    place.tables(&format!("compact --before {BEFORE}")).ok();
    check(place, &expected(place, early), COMPACTED, "before it came");
    send(place, late);
    check(place, &expected(place, &bundles), ALL, "when it came");
    let written = place.tables(&format!("compact --before {BEFORE} --json")).ok().json()["written"].as_u64().unwrap();
    assert!(written > 0);
    check(place, &expected(place, &bundles), COMPACTED, "after the next run");
}

fn rows_that_are_gone_are_gone_from_compacted_months_after_the_next_run(place: &Place) {
    let bundles = fleet(2, 6);
    send(place, &bundles);
    place.tables(&format!("compact --before {BEFORE}")).ok();
    // As somebody does by hand who deletes a client: of some months nothing is left.
    let stay: Vec<_> = bundles.into_iter().filter(|bundle| bundle.number != 0).collect();
    let of_zero = place.with(&format!("clients/{}/bundles/", client(0).0));
    for (name, _) in of_zero {
        let digest = name.rsplit('/').next().unwrap().trim_end_matches(".tar");
        place.with("tables/").iter().filter(|(name, _)| name.contains(digest)).for_each(|(name, _)| place.remove(name));
    }
    place.tables(&format!("compact --before {BEFORE}")).ok();
    check(place, &expected(place, &stay), COMPACTED, "after it was deleted");
}

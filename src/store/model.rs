//! Tests of the store against a model of a few sets: every operation, with every way in which it can be cut off.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::{self, Write as _};
use std::path::Path;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use uuid::Uuid;

use super::faults::{self, Fault};
use super::{
    Acknowledgement, Export, ExportedRecord, LockedStore, Retention, Settled, Store, StoreError, StoredRecord, durable,
};
use crate::clock::Environment;
use crate::digest::Sha256Digest;
use crate::record::envelope::{Envelope, Kind, RecordTime, Version};

/// One thing that is done to a store.
#[derive(Debug, Clone)]
enum Operation {
    Put,
    /// Of what was never exported, of what was rejected, or of everything that is pending.
    Export(Selected),
    Deliver,
    /// A receipt for the newest export, which rejects every record whose number these bits name.
    Acknowledge {
        rejects: u8,
    },
    Retain(usize),
    /// So many of the oldest pending records.
    Discard(usize),
    /// So many of the oldest pending records, and the rejected ones.
    Replace(usize),
    /// The clock is set back.
    SetBack,
}

#[derive(Debug, Clone, Copy)]
enum Selected {
    New,
    Rejected,
    Pending,
}

/// How often a record can be replaced: its number counts up within as many.
const GENERATIONS: u64 = 1000;

/// What a store must hold. Records are told by their numbers, in the order in which they came; one that comes for another
/// one has the number after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    pending: Vec<u64>,
    rejected: Vec<u64>,
    /// The records of each export, whose sequence number is its place, and whether it was delivered.
    exports: Vec<(Vec<u64>, bool)>,
    receipts: u64,
    dropped: u64,
    discarded: u64,
    /// Records that others came for.
    replaced: BTreeSet<u64>,
}

/// A clock that can be set, and that goes on only every few times that somebody looks: several records come within the
/// same millisecond. Its random numbers are the same in each run, so that what was found once is found again.
struct Clock {
    millis: Cell<i64>,
    looks: Cell<u32>,
    draws: Cell<u32>,
}

const LOOKS_PER_MILLISECOND: u32 = 3;

impl Environment for Clock {
    fn now(&self) -> Timestamp {
        self.looks.set(self.looks.get() + 1);
        self.millis.set(self.millis.get() + i64::from(self.looks.get().is_multiple_of(LOOKS_PER_MILLISECOND)));
        Timestamp::from_millisecond(self.millis.get()).unwrap()
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.draws.set(self.draws.get() + 1);
        let digest = Sha256::digest(self.draws.get().to_be_bytes());
        bytes.copy_from_slice(&digest[..bytes.len()]);
        Ok(())
    }
}

const CLIENT: Uuid = Uuid::from_u128(1);
const START: i64 = 1_770_000_000;

/// A store in the making, and what it must hold.
struct Run {
    directory: TempDir,
    clock: Clock,
    model: Model,
    /// How many records were to be made.
    made: u64,
    numbers: BTreeMap<Sha256Digest, u64>,
}

impl Run {
    fn new() -> Self {
        // Memory is quicker than a disk, and both keep what was renamed.
        let shared = Path::new("/dev/shm");
        let directory = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
        Self {
            directory: directory.unwrap(),
            clock: Clock { millis: Cell::new(START * 1000), looks: Cell::default(), draws: Cell::default() },
            model: Model::default(),
            made: 0,
            numbers: BTreeMap::new(),
        }
    }

    fn open(&self) -> Result<LockedStore, StoreError> {
        Store::open_or_create(&self.directory.path().join("store"), CLIENT, &self.clock)?.lock()
    }

    /// Does one thing with a fault, as a process of its own. Afterwards the store holds what it held before, or what it
    /// must hold if the thing was done; nothing in between. Returns how many steps it took.
    fn step(&mut self, operation: &Operation, fault: Option<Fault>) -> u64 {
        if matches!(operation, Operation::SetBack) {
            self.clock.millis.set((START - 1_000_000) * 1000);
            return 0;
        }
        self.made += 1;
        let (before, mut done) = (self.model.clone(), self.model.clone());
        let number = self.made * GENERATIONS;
        self.numbers.insert(Sha256Digest::of(number.to_string().as_bytes()), number);
        done.apply(operation, number);
        for new in done.replaced.iter().map(|old| old + 1) {
            self.numbers.insert(Sha256Digest::of(new.to_string().as_bytes()), new);
        }
        let (result, steps) = faults::with(fault, || {
            let mut store = self.open()?;
            self.perform(&mut store, operation, number.to_string().as_bytes())
        });
        if matches!(operation, Operation::Replace(_)) {
            self.tells_of_each_once();
        }
        let store = self.open().expect("a store that opens whatever happened to it");
        let found = Model::of(&store, &self.numbers, &done);
        let hit = match fault {
            None => false,
            Some(Fault::Death(at) | Fault::Failure(at, _)) => steps >= at,
        };
        match (hit, &result) {
            (false, result) => {
                result.as_ref().expect("nothing was in the way");
                assert_eq!(found, done, "after {operation:?}");
            }
            // Nobody hears how a dead process ended.
            (true, Ok(())) if matches!(fault, Some(Fault::Failure(..))) => {
                assert_eq!(found, done, "after {operation:?}, which was said to be done, with {fault:?}");
            }
            (true, _) => {
                // Of several records each is the old one or the new one.
                let between = Model::between(&before, operation, number);
                assert!(
                    found == before || found == done || between.contains(&found),
                    "{operation:?} with {fault:?}: {before:?}, {done:?}, {found:?}"
                );
            }
        }
        self.model = found;
        self.is_tidy(&store);
        steps
    }

    fn perform(&self, store: &mut LockedStore, operation: &Operation, bytes: &[u8]) -> Result<(), StoreError> {
        match operation {
            Operation::SetBack => {}
            Operation::Put => {
                store.put(envelope(), bytes, &self.clock)?;
            }
            Operation::Export(selected) => {
                let records = select(store, *selected)?;
                if !records.is_empty() {
                    export(store, &records)?;
                }
            }
            Operation::Deliver => {
                if let Some(export) = store.exports()?.last() {
                    store.delivered(export)?;
                }
            }
            Operation::Acknowledge { rejects } => {
                if let Some(export) = store.exports()?.last() {
                    let received = Timestamp::from_second(START + i64::try_from(self.made).unwrap()).unwrap();
                    store.acknowledge(&word(store, export, *rejects, received.to_string()))?;
                }
            }
            Operation::Retain(records) => {
                store.retain(&Retention { records: *records, bytes: u64::MAX })?;
            }
            Operation::Discard(count) => {
                let mut pending = store.pending()?;
                pending.sort_unstable_by_key(|record| record.id);
                pending.truncate(*count);
                store.discard(pending)?;
            }
            Operation::Replace(count) => {
                let mut records = store.pending()?;
                records.sort_unstable_by_key(|record| record.id);
                records.truncate(*count);
                records.append(&mut store.rejected()?);
                let anew = |_: &Store, record: &StoredRecord| {
                    let number = self.numbers[&record.sha256] + 1;
                    Ok::<_, StoreError>(Some((envelope(), number.to_string().into_bytes())))
                };
                store.replace(&records, anew, &self.clock)?;
            }
        }
        Ok(())
    }

    /// Whoever looks without the lock in the middle of a replacement sees each record, the old one or the new one.
    fn tells_of_each_once(&self) {
        // There may be no store yet.
        let Some(store) = Store::open(&self.directory.path().join("store"), CLIENT).unwrap() else { return };
        let seen = |records: Vec<StoredRecord>| {
            let mut seen: Vec<_> = records.iter().map(|it| self.numbers[&it.sha256] / GENERATIONS).collect();
            seen.sort_unstable();
            seen
        };
        let before = |numbers: &[u64]| numbers.iter().map(|number| number / GENERATIONS).collect::<Vec<_>>();
        assert_eq!(seen(store.pending().unwrap()), before(&self.model.pending));
        assert_eq!(seen(store.rejected().unwrap()), before(&self.model.rejected));
    }

    /// Nothing half done lies about, and what is listed is what it says.
    fn is_tidy(&self, store: &LockedStore) {
        let root = self.directory.path().join("store");
        for place in ["", "records", "rejected", "exports", "bundles", "receipts", "quarantine"] {
            for entry in std::fs::read_dir(root.join(place)).unwrap() {
                assert!(!durable::is_temporary(&entry.unwrap().file_name()), "a leftover in {place}");
            }
        }
        assert_eq!(store.quarantined().unwrap(), []);
        for record in store.pending().unwrap().iter().chain(&store.rejected().unwrap()) {
            store.load(record).unwrap();
        }
        let (next, _) = store.next_sequence().unwrap();
        assert_eq!(next, self.model.exports.len() as u64 + 1);
        for export in store.exports().unwrap() {
            let waits = |record: &ExportedRecord| self.model.pending.contains(&self.numbers[&record.sha256]);
            let newest = export.sequence == self.model.exports.len() as u64;
            let is_replaced = |record: &ExportedRecord| self.model.replaced.contains(&self.numbers[&record.sha256]);
            if export.records.iter().any(is_replaced) {
                assert!(store.bundle(export.sequence).is_none(), "a bundle holds what was replaced");
            } else if newest && export.records.iter().any(waits) && self.model.discarded == 0 {
                assert!(store.bundle(export.sequence).is_some(), "the newest bundle is kept");
            }
        }
    }
}

impl Model {
    /// What a store holds, of the records that could be in it.
    fn of(store: &LockedStore, numbers: &BTreeMap<Sha256Digest, u64>, done: &Self) -> Self {
        let listed = |mut records: Vec<StoredRecord>| -> Vec<_> {
            records.sort_unstable_by_key(|record| record.id);
            let found: Vec<_> = records.iter().map(|record| numbers[&record.sha256]).collect();
            assert!(found.is_sorted(), "ids are not in the order in which records came: {found:?}");
            found
        };
        let (pending, rejected) = (listed(store.pending().unwrap()), listed(store.rejected().unwrap()));
        let there = |number: &u64| pending.contains(number) || rejected.contains(number);
        let replaced = done.replaced.iter().filter(|old| !there(old)).copied().collect();
        let exports = store.exports().unwrap();
        assert!(exports.iter().zip(1..).all(|(export, number)| export.sequence == number), "a gap in the ledger");
        Self {
            pending,
            rejected,
            replaced,
            exports: exports
                .iter()
                .map(|export| (export.records.iter().map(|it| numbers[&it.sha256]).collect(), export.delivered))
                .collect(),
            receipts: store.acknowledgements().unwrap().len() as u64,
            dropped: store.dropped().values().sum(),
            discarded: store.discarded().values().sum(),
        }
    }

    /// What a store may hold in the middle of an operation.
    fn between(before: &Self, operation: &Operation, number: u64) -> Vec<Self> {
        let Operation::Replace(count) = operation else { return Vec::new() };
        let all = (*count).min(before.pending.len()) + before.rejected.len();
        let first = |most: usize| {
            let mut model = before.clone();
            model.apply(&Operation::Replace((*count).min(most)), number);
            // The rejected ones come last.
            let left = most.saturating_sub((*count).min(before.pending.len()));
            for (old, new) in before.rejected.iter().zip(&mut model.rejected).skip(left) {
                model.replaced.remove(old);
                *new = *old;
            }
            model
        };
        (0..all).map(first).collect()
    }

    fn apply(&mut self, operation: &Operation, made: u64) {
        match operation {
            Operation::SetBack => {}
            Operation::Put => self.pending.push(made),
            Operation::Export(selected) => {
                let records = match selected {
                    Selected::Pending => self.pending.clone(),
                    Selected::Rejected => self.rejected.clone(),
                    Selected::New => {
                        let delivered = self.exports.iter().filter(|(_, delivered)| *delivered);
                        let known: BTreeSet<_> = delivered.flat_map(|(records, _)| records).collect();
                        self.pending.iter().filter(|record| !known.contains(record)).copied().collect()
                    }
                };
                if !records.is_empty() {
                    self.exports.push((records, false));
                }
            }
            Operation::Deliver => {
                if let Some((_, delivered)) = self.exports.last_mut() {
                    *delivered = true;
                }
            }
            Operation::Acknowledge { rejects } => {
                let Some((records, _)) = self.exports.last() else { return };
                self.receipts += 1;
                for (index, record) in records.iter().enumerate() {
                    let was_pending = self.pending.contains(record);
                    self.pending.retain(|it| it != record);
                    if !is_rejected(*rejects, index) {
                        self.rejected.retain(|it| it != record);
                    } else if was_pending {
                        self.rejected.push(*record);
                    }
                }
                self.rejected.sort_unstable();
            }
            Operation::Retain(most) => {
                let surplus = self.pending.len().saturating_sub((*most).max(1));
                self.pending.drain(..surplus);
                self.dropped += surplus as u64;
            }
            Operation::Discard(count) => {
                let count = (*count).min(self.pending.len());
                self.pending.drain(..count);
                self.discarded += count as u64;
            }
            Operation::Replace(count) => {
                for record in self.pending.iter_mut().take(*count).chain(&mut self.rejected) {
                    self.replaced.insert(*record);
                    *record += 1;
                }
            }
        }
    }
}

fn is_rejected(rejects: u8, index: usize) -> bool {
    rejects & (1 << (index % 8)) != 0
}

fn envelope() -> Envelope {
    Envelope {
        kind: Kind::new("a").unwrap(),
        version: Version::new("v1").unwrap(),
        time: RecordTime::new("2026-01-01T00:00:00Z").unwrap(),
        complete: true,
    }
}

fn select(store: &LockedStore, selected: Selected) -> Result<Vec<StoredRecord>, StoreError> {
    let mut records = match selected {
        Selected::Rejected => store.rejected()?,
        Selected::New | Selected::Pending => store.pending()?,
    };
    if matches!(selected, Selected::New) {
        let exports = store.exports()?;
        let delivered = exports.iter().filter(|export| export.delivered);
        let known: BTreeSet<_> = delivered.flat_map(|export| &export.records).map(|record| record.id).collect();
        records.retain(|record| !known.contains(&record.id));
    }
    records.sort_unstable_by_key(|record| record.id);
    Ok(records)
}

fn export(store: &LockedStore, records: &[StoredRecord]) -> Result<(), StoreError> {
    let (sequence, _) = store.next_sequence()?;
    let entries = records.iter().map(|record| ExportedRecord {
        id: record.id,
        sha256: record.sha256,
        kind: record.envelope.kind.as_str().to_owned(),
    });
    let entries: Vec<_> = entries.collect();
    store.commit::<StoreError>(sequence, |file| {
        file.write_all(b"a bundle").map_err(durable::failed("write", Path::new("a bundle")))?;
        Ok(Export {
            sequence,
            bundle: Uuid::from_u128(sequence.into()),
            manifest_sha256: Sha256Digest::of(format!("manifest {sequence}").as_bytes()),
            sha256: Sha256Digest::of(b"a bundle"),
            size: 8,
            created: "2026-01-01T00:00:00Z".to_owned(),
            key: None,
            note: None,
            withheld: Vec::new(),
            omitted: Vec::new(),
            delivered: false,
            records: entries,
        })
    })?;
    Ok(())
}

fn word(store: &LockedStore, export: &Export, rejects: u8, received: String) -> Acknowledgement {
    let settled = export.records.iter().enumerate().map(|(index, record)| Settled {
        id: record.id,
        sha256: record.sha256,
        accepted: !is_rejected(rejects, index),
        reason: is_rejected(rejects, index).then(|| "no reason".to_owned()),
    });
    Acknowledgement {
        receipt: id_of(&received),
        store: store.id(),
        bundle: export.bundle,
        manifest_sha256: export.manifest_sha256,
        sequence: export.sequence,
        received,
        chain: "ok".to_owned(),
        highest_sequence: export.sequence,
        records: settled.collect(),
    }
}

/// The id of the receipt of a time.
fn id_of(received: &str) -> Uuid {
    Uuid::parse_str(&Sha256Digest::of(received.as_bytes()).to_string()[..32]).unwrap()
}

/// A life of a store in which everything happens.
fn life() -> Vec<Operation> {
    use Operation as O;
    vec![
        O::Put,
        O::Put,
        O::Export(Selected::Pending),
        O::Put,
        O::Deliver,
        O::Acknowledge { rejects: 0b10 },
        O::Export(Selected::New),
        O::Deliver,
        O::Export(Selected::Rejected),
        O::Acknowledge { rejects: 0b1 },
        O::Put,
        O::SetBack,
        O::Put,
        O::Export(Selected::Rejected),
        O::Acknowledge { rejects: 0 },
        O::Put,
        O::Retain(3),
        O::Export(Selected::Pending),
        O::Discard(2),
        O::Retain(1),
        O::Put,
        O::Export(Selected::New),
        O::Acknowledge { rejects: 0b1 },
        O::Put,
        O::Put,
        O::Export(Selected::Pending),
        O::Replace(1),
        O::Acknowledge { rejects: 0 },
        O::Put,
        O::Replace(2),
        O::Export(Selected::Rejected),
        O::Acknowledge { rejects: 0 },
        O::Export(Selected::New),
        O::Acknowledge { rejects: 0 },
    ]
}

/// Does everything once for each step of each operation, with that step failing.
fn every_step(what: &str, fault: impl Fn(u64) -> Fault) {
    let life = life();
    let mut injected = 0_u64;
    for (index, operation) in life.iter().enumerate() {
        for at in 1.. {
            let mut run = Run::new();
            for before in &life[..index] {
                run.step(before, None);
            }
            let steps = run.step(operation, Some(fault(at)));
            if steps < at {
                break;
            }
            injected += 1;
            for after in &life[index + 1..] {
                run.step(after, None);
            }
        }
    }
    assert!(injected > 100, "only {injected} faults");
    tell(format_args!("store: {injected} operations {what}, each at every step of a life of {}", life.len()));
}

/// Says something past the harness, which keeps the output of passing tests to itself.
fn tell(text: impl std::fmt::Display) {
    writeln!(io::stderr(), "{text}").unwrap();
}

#[test]
fn records_of_one_moment_keep_their_order_when_others_come_for_them() {
    let mut run = Run::new();
    for _ in 0..30 {
        run.step(&Operation::Put, None);
    }
    run.step(&Operation::Replace(30), None);
}

#[test]
fn a_process_can_be_killed_at_every_step() {
    every_step("cut off by death", Fault::Death);
}

#[test]
fn a_disk_can_be_full_at_every_step() {
    every_step("that failed for want of space", |at| Fault::Failure(at, io::ErrorKind::StorageFull));
}

#[test]
fn a_disk_can_be_broken_at_every_step() {
    every_step("that failed by an I/O error", |at| Fault::Failure(at, io::ErrorKind::Other));
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation as O;
    prop_oneof![
        6 => Just(O::Put),
        2 => Just(O::Export(Selected::Pending)),
        2 => Just(O::Export(Selected::New)),
        1 => Just(O::Export(Selected::Rejected)),
        2 => Just(O::Deliver),
        2 => any::<u8>().prop_map(|rejects| O::Acknowledge { rejects: rejects & 0b101 }),
        1 => (0_usize..6).prop_map(O::Retain),
        1 => (0_usize..3).prop_map(O::Discard),
        1 => (0_usize..4).prop_map(O::Replace),
        1 => Just(O::SetBack),
    ]
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![
        3 => Just(None),
        2 => (1_u64..30).prop_map(|at| Some(Fault::Death(at))),
        1 => (1_u64..30).prop_map(|at| Some(Fault::Failure(at, io::ErrorKind::StorageFull))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("testdata/store-model.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_in_whatever_order_the_store_holds_what_it_must(
        life in prop::collection::vec((operation(), fault()), 1..40)
    ) {
        let mut run = Run::new();
        for (operation, fault) in &life {
            run.step(operation, *fault);
        }
    }
}

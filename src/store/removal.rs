//! Records that go without a receipt: dropped by retention, or discarded by a person. Each is counted exactly once.
//!
//! The count and the ids are written down together, then the records are removed, then the ids are forgotten. Whoever
//! comes after a process that died in between finishes the removal.

use std::collections::BTreeMap;

use super::{Description, LockedStore, StoreError, StoredRecord, describe, durable};

/// How much a store may hold. Beyond it the oldest pending records go, never because of their age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How many pending records.
    pub records: usize,
    /// How many bytes of pending records.
    pub bytes: u64,
}

impl Default for Retention {
    /// What fits into one bundle; more than a year of daily records of 5 MB.
    fn default() -> Self {
        Self { records: 20_000, bytes: 4 << 30 }
    }
}

/// What a person had removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    /// The records.
    pub records: Vec<StoredRecord>,
    /// How many kept bundles held one of them.
    pub bundles: usize,
}

impl LockedStore {
    /// Drops the oldest pending records until the store holds no more than it may. The newest one always stays.
    /// Returns what was dropped. Whoever packs holds the lock, so that nothing is dropped that is being read.
    ///
    /// # Errors
    /// The store can't be read or written; what was begun is finished at the next start.
    pub fn retain(&mut self, retention: &Retention) -> Result<Vec<StoredRecord>, StoreError> {
        let mut pending = self.pending()?;
        // By id, which is the order in which they came, whatever the clock said.
        pending.sort_unstable_by_key(|record| record.id);
        let (mut count, mut bytes) = (pending.len(), pending.iter().map(|record| record.size).sum::<u64>());
        let mut dropped = Vec::new();
        for record in pending {
            if count <= 1 || count <= retention.records && bytes <= retention.bytes {
                break;
            }
            (count, bytes) = (count - 1, bytes - record.size);
            dropped.push(record);
        }
        if !dropped.is_empty() {
            let mut counted = self.description.clone();
            counted.dropping.extend(dropped.iter().map(|record| record.id));
            count_kinds(&mut counted.dropped, &dropped);
            self.remove(counted)?;
            self.prune_bundles()?;
        }
        Ok(dropped)
    }

    /// Removes these records, pending or rejected, with the kept bundles that hold them.
    ///
    /// # Errors
    /// The store can't be read or written; what was begun is finished at the next start.
    pub fn discard(&mut self, records: Vec<StoredRecord>) -> Result<Discarded, StoreError> {
        let mut counted = self.description.clone();
        counted.discarding.extend(records.iter().map(|record| record.id));
        count_kinds(&mut counted.discarded, &records);
        let bundles = self.bundles_with(&counted.discarding)?.len();
        if !records.is_empty() {
            self.remove(counted)?;
        }
        Ok(Discarded { records, bundles })
    }

    fn remove(&mut self, counted: Description) -> Result<(), StoreError> {
        describe(&self.store.path, &counted)?;
        self.store.description = counted;
        self.finish_removal()
    }

    /// Removes what was counted as removed.
    pub(super) fn finish_removal(&mut self) -> Result<(), StoreError> {
        let Description { dropping, discarding, .. } = &self.description;
        if dropping.is_empty() && discarding.is_empty() {
            return Ok(());
        }
        // What is no longer listed must not be sent again.
        for bundle in self.bundles_with(discarding)? {
            durable::remove(&bundle)?;
        }
        let goes = |record: &&StoredRecord| dropping.contains(&record.id) || discarding.contains(&record.id);
        for record in self.pending()?.iter().filter(goes) {
            durable::remove(&self.record_path(record))?;
        }
        for record in self.rejected()?.iter().filter(goes) {
            durable::remove(&self.rejected_path(record))?;
        }
        let mut done = self.description.clone();
        done.dropping.clear();
        done.discarding.clear();
        describe(&self.store.path, &done)?;
        self.store.description = done;
        Ok(())
    }
}

fn count_kinds(counter: &mut BTreeMap<String, u64>, records: &[StoredRecord]) {
    for record in records {
        *counter.entry(record.envelope.kind.as_str().to_owned()).or_default() += 1;
    }
}

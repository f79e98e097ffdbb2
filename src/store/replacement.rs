//! Records that others come for, under ids of their own: what is withheld now must not be in them any more.
//!
//! The old ids and the new ones are written down together. A new record's appearance replaces the old one, which is not
//! listed from then on; then the old one and the bundles that hold it are removed, then the ids are forgotten. Whoever
//! comes after a process that died in between finishes that.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::durable::{self, Access, Existing};
use super::{
    LockedStore, RECORDS, REJECTED, Store, StoreError, StoredRecord, at_millis, describe, file_name, list, millis_of,
    parse_name,
};
use crate::clock::Environment;
use crate::digest::Sha256Digest;
use crate::record::envelope::Envelope;

/// What came of a replacement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replaced {
    /// How many records were replaced.
    pub records: usize,
    /// How many kept bundles held one of them.
    pub bundles: usize,
}

impl LockedStore {
    /// Replaces those of `records`, pending or rejected, for which `change` has something else: its envelope and
    /// canonical bytes. The new one has the place of the old one, in retention and in age; kept bundles that hold an old
    /// one go.
    ///
    /// # Errors
    /// `change` fails, or the store can't be read or written; each record is then the old one or the new one, and what
    /// was begun is finished at the next start.
    pub fn replace<E: From<StoreError>>(
        &mut self,
        records: &[StoredRecord],
        change: impl FnMut(&Store, &StoredRecord) -> Result<Option<(Envelope, Vec<u8>)>, E>,
        environment: &dyn Environment,
    ) -> Result<Replaced, E> {
        let replaced = self.replace_each(records, change, environment);
        // Also of what could not be done to its end.
        let bundles = self.finish_replacement();
        Ok(Replaced { records: replaced?, bundles: bundles? })
    }

    fn replace_each<E: From<StoreError>>(
        &mut self,
        records: &[StoredRecord],
        mut change: impl FnMut(&Store, &StoredRecord) -> Result<Option<(Envelope, Vec<u8>)>, E>,
        environment: &dyn Environment,
    ) -> Result<usize, E> {
        let mut count = 0;
        for (index, record) in records.iter().enumerate() {
            let Some((envelope, bytes)) = change(&self.store, record)? else { continue };
            if self.description.replacing.is_empty() {
                self.announce(&records[index..], environment)?;
            }
            self.put_instead(record, envelope, &bytes)?;
            count += 1;
        }
        Ok(count)
    }

    /// Writes down which id each record would be replaced under.
    fn announce(&mut self, records: &[StoredRecord], environment: &dyn Environment) -> Result<(), StoreError> {
        let mut description = self.description.clone();
        for record in records {
            let random = environment.uuid_v7().map_err(StoreError::System)?;
            // The old one's time: age and order are those of what was found out then.
            description.replacing.insert(record.id, at_millis(millis_of(record.id), random));
        }
        describe(&self.store.path, &description)?;
        self.store.description = description;
        Ok(())
    }

    fn put_instead(&self, old: &StoredRecord, envelope: Envelope, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(&id) = self.description.replacing.get(&old.id) else { return Ok(()) };
        let new = StoredRecord { id, envelope, sha256: Sha256Digest::of(bytes), size: bytes.len() as u64 };
        let path = self.path.join(self.place_of(old)).join(file_name(&new));
        Ok(durable::write(&path, bytes, Access::Private, Existing::Refuse)?)
    }

    /// Removes what was replaced. Returns how many kept bundles went with it.
    pub(super) fn finish_replacement(&mut self) -> Result<usize, StoreError> {
        if self.description.replacing.is_empty() {
            return Ok(0);
        }
        let mut there = BTreeSet::new();
        let mut old = Vec::new();
        for place in [RECORDS, REJECTED] {
            for name in list(&self.path.join(place))? {
                let Some(record) = name.to_str().and_then(parse_name) else { continue };
                there.insert(record.id);
                old.push((record.id, self.path.join(place).join(name)));
            }
        }
        let replaced: BTreeSet<Uuid> =
            self.description.replacing.iter().filter(|(_, new)| there.contains(new)).map(|(old, _)| *old).collect();
        let bundles = self.bundles_with(&replaced)?;
        for bundle in &bundles {
            durable::remove(bundle)?;
        }
        for (_, path) in old.iter().filter(|(id, _)| replaced.contains(id)) {
            durable::remove(path)?;
        }
        let mut done = self.description.clone();
        done.replacing.clear();
        describe(&self.store.path, &done)?;
        self.store.description = done;
        Ok(bundles.len())
    }

    /// Removes the kept bundles of these exports, whose records stay what they are. Returns how many there were.
    ///
    /// # Errors
    /// One can't be removed.
    pub fn forget_bundles(&self, sequences: &[u64]) -> Result<usize, StoreError> {
        let bundles: Vec<_> = sequences.iter().filter_map(|sequence| self.bundle(*sequence)).collect();
        bundles.iter().try_for_each(|bundle| durable::remove(bundle))?;
        Ok(bundles.len())
    }
}

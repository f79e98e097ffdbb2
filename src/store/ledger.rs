//! The ledger: what was exported under which sequence number, and what receipts said of it.
//!
//! An export is committed by its entry's appearance, after its bundle lies in the store and before its first byte
//! leaves. A bundle without an entry never left and is removed; its number is free. An entry that can't be read is set
//! aside, and keeps its number and its bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::durable::{self, Access, Existing, FileError, failed};
use super::{
    BUNDLES, EXPORTS, KEPT_BUNDLES, KEPT_BYTES, LockedStore, QUARANTINE, RECEIPTS, Store, StoreError, StoredRecord,
    list,
};
use crate::digest::Sha256Digest;
use crate::keys::KeyId;
use crate::record::canonical::MAX_INTEGER;

/// One export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    /// The sequence number.
    pub sequence: u64,
    /// The bundle's UUID.
    pub bundle: Uuid,
    /// Digest of the manifest's bytes.
    pub manifest_sha256: Sha256Digest,
    /// Digest of the whole file.
    pub sha256: Sha256Digest,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// When it was packed (RFC 3339).
    pub created: String,
    /// The key that signed it; unknown of what earlier versions exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// The note that went with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What was withheld.
    #[serde(default)]
    pub withheld: Vec<String>,
    /// What was withheld from each of its records when it was packed; `withheld` also says what a record lacked before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub omitted: Vec<String>,
    /// Whether its bytes were written out whole. If not, its records count as never exported.
    #[serde(default)]
    pub delivered: bool,
    /// The records in it.
    pub records: Vec<ExportedRecord>,
}

/// A record of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedRecord {
    /// Its id.
    pub id: Uuid,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Its kind, for people.
    pub kind: String,
}

/// What a receipt said, as far as the store is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledgement {
    /// The receipt's UUID.
    pub receipt: Uuid,
    /// The store that packed the bundle.
    pub store: Uuid,
    /// The bundle's UUID.
    pub bundle: Uuid,
    /// Digest of the bundle's manifest.
    pub manifest_sha256: Sha256Digest,
    /// The bundle's sequence number.
    pub sequence: u64,
    /// When ingest received it (RFC 3339).
    pub received: String,
    /// What ingest thinks of the chain of sequence numbers.
    pub chain: String,
    /// The highest sequence number of the store that ingest has seen.
    pub highest_sequence: u64,
    /// The records.
    pub records: Vec<Settled>,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Its id.
    pub id: Uuid,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Whether ingest has it now.
    pub accepted: bool,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A sign that this store is not the only one of its kind, or not as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Ingest has seen a higher sequence number than this store has given: it was restored from an older copy, or a copy
    /// of it is in use.
    Behind {
        /// The highest number that ingest has seen.
        seen: u64,
        /// The highest number of this store.
        own: u64,
    },
    /// Ingest has seen another bundle under this sequence number: two copies of the store are in use.
    Fork(u64),
    /// Ingest has seen the bundle after this one, and not this one, which still holds something that is pending.
    Gap(u64),
}

impl Store {
    /// Every export, oldest first. Entries that can't be read are left out; [`LockedStore`] sets them aside.
    ///
    /// # Errors
    /// The ledger can't be read.
    pub fn exports(&self) -> Result<Vec<Export>, StoreError> {
        Ok(read_all(&self.path().join(EXPORTS))?.into_iter().filter_map(|(_, entry)| entry).collect())
    }

    /// Every receipt's word, by when they were received.
    ///
    /// # Errors
    /// The ledger can't be read.
    pub fn acknowledgements(&self) -> Result<Vec<Acknowledgement>, StoreError> {
        let entries = read_all(&self.path().join(RECEIPTS))?;
        Ok(by_receipt(entries.into_iter().filter_map(|(_, entry)| entry).collect()))
    }

    /// The keys of which a receipt says that ingest has accepted a bundle that they signed.
    ///
    /// # Errors
    /// The ledger can't be read.
    pub fn confirmed_keys(&self) -> Result<BTreeSet<KeyId>, StoreError> {
        let answered: BTreeSet<_> = self.acknowledgements()?.into_iter().map(|word| word.manifest_sha256).collect();
        let exports = self.exports()?.into_iter().filter(|export| answered.contains(&export.manifest_sha256));
        Ok(exports.filter_map(|export| export.key).collect())
    }

    /// What receipts say that does not fit this store, with its likely cause.
    ///
    /// # Errors
    /// The ledger can't be read.
    pub fn doubts(&self) -> Result<Vec<Doubt>, StoreError> {
        let own = self.exports()?.last().map_or(0, |export| export.sequence);
        let words = self.acknowledgements()?;
        let of_this = || words.iter().filter(|word| word.store == self.id());
        let mut doubts = Vec::new();
        let seen = of_this().map(|word| word.highest_sequence).max().unwrap_or_default();
        if seen > own {
            doubts.push(Doubt::Behind { seen, own });
        }
        doubts.extend(of_this().filter(|word| word.chain == "fork").map(|word| Doubt::Fork(word.sequence)));
        // A gap is filled when the bundle arrives that was missing, and does not matter once nothing in it is pending.
        let arrived: BTreeSet<_> = of_this().map(|word| word.sequence).collect();
        let gaps = of_this().filter(|word| word.chain == "gap").filter_map(|word| word.sequence.checked_sub(1));
        doubts.extend(gaps.filter(|it| !arrived.contains(it) && self.bundle(*it).is_some()).map(Doubt::Gap));
        doubts.dedup();
        Ok(doubts)
    }

    /// The file of an export's bundle, if it is still kept.
    #[must_use]
    pub fn bundle(&self, sequence: u64) -> Option<PathBuf> {
        let path = self.bundle_path(sequence);
        path.is_file().then_some(path)
    }

    fn bundle_path(&self, sequence: u64) -> PathBuf {
        self.path().join(BUNDLES).join(format!("{sequence:016}.tar"))
    }

    fn export_path(&self, sequence: u64) -> PathBuf {
        self.path().join(EXPORTS).join(format!("{sequence:016}.json"))
    }
}

impl LockedStore {
    /// The next sequence number, above every one that this store or ingest knows of, and the digest of the manifest
    /// before it.
    ///
    /// # Errors
    /// The ledger can't be read, or the numbers are used up.
    pub fn next_sequence(&self) -> Result<(u64, Option<Sha256Digest>), StoreError> {
        let mut highest = 0;
        // Also what was set aside had a number.
        for place in [EXPORTS, BUNDLES, QUARANTINE] {
            let names = list(&self.path().join(place))?;
            highest = names.iter().filter_map(|name| numbered(name.to_str()?)).fold(highest, u64::max);
        }
        let acknowledged = self.acknowledgements()?;
        let of_this = || acknowledged.iter().filter(|word| word.store == self.id());
        let seen = of_this().map(|word| word.highest_sequence);
        highest = seen.filter(|number| *number < MAX_INTEGER).fold(highest, u64::max);
        // A store that was restored knows the manifest before the next one from its receipt, if at all.
        let exported = self.exports()?.last().map(|export| (export.sequence, export.manifest_sha256));
        let answered = of_this().map(|word| (word.sequence, word.manifest_sha256));
        let newest = exported.into_iter().chain(answered).max_by_key(|(sequence, _)| *sequence);
        let previous = newest.map(|(_, digest)| digest);
        if highest >= MAX_INTEGER { Err(StoreError::Exhausted) } else { Ok((highest + 1, previous)) }
    }

    /// Commits an export: its bundle first, which `write` writes, then the ledger entry that `write` returns.
    ///
    /// # Errors
    /// Either can't be written; then there was no export.
    pub fn commit<E: From<FileError> + From<StoreError>>(
        &self,
        sequence: u64,
        write: impl FnOnce(&mut File) -> Result<Export, E>,
    ) -> Result<Export, E> {
        let bundle = self.bundle_path(sequence);
        let export = durable::write_with(&bundle, Access::Private, Existing::Refuse, write)?;
        write_entry(&self.export_path(sequence), &export)?;
        // The export is committed; what could not be tidied up is tidied up at the next start.
        if let Err(error) = self.prune_bundles() {
            tracing::warn!(%error, "could not remove bundles that are no longer needed");
        }
        Ok(export)
    }

    /// Notes that an export's bytes were written out whole.
    ///
    /// # Errors
    /// The entry can't be written.
    pub fn delivered(&self, export: &Export) -> Result<(), StoreError> {
        write_entry(&self.export_path(export.sequence), &Export { delivered: true, ..export.clone() })
    }

    /// Takes a receipt's word down and lets the records go that it accepts. Once is as good as many times.
    /// Returns how many records left the pending ones: accepted, and rejected.
    ///
    /// # Errors
    /// A file operation fails; what was not done is done at the next start.
    pub fn acknowledge(&self, word: &Acknowledgement) -> Result<(usize, usize), StoreError> {
        let path = self.path().join(RECEIPTS).join(format!("{}.json", word.receipt));
        write_entry(&path, word)?;
        let done = self.settle(std::slice::from_ref(word))?;
        self.prune_bundles()?;
        Ok(done)
    }

    /// Removes the pending records that ingest has, and sets those aside that it rejected.
    fn settle(&self, words: &[Acknowledgement]) -> Result<(usize, usize), StoreError> {
        let outcomes: BTreeMap<_, _> = words
            .iter()
            .flat_map(|word| &word.records)
            .map(|record| ((record.id, record.sha256), record.accepted))
            .collect();
        let (mut accepted, mut rejected) = (0, 0);
        for record in self.pending()? {
            let path = self.record_path(&record);
            match outcomes.get(&(record.id, record.sha256)) {
                None => {}
                Some(false) => {
                    durable::rename(&path, &self.rejected_path(&record))?;
                    rejected += 1;
                }
                Some(true) => {
                    durable::remove(&path)?;
                    accepted += 1;
                }
            }
        }
        // What was rejected once can have been sent again.
        for record in self.rejected()? {
            if outcomes.get(&(record.id, record.sha256)) == Some(&true) {
                durable::remove(&self.rejected_path(&record))?;
                accepted += 1;
            }
        }
        Ok((accepted, rejected))
    }

    /// Removes bundles of which nothing is pending any more, and of the others all but the newest, within bounds. What
    /// was rejected is pending in a bundle that has no receipt.
    pub(super) fn prune_bundles(&self) -> Result<(), StoreError> {
        let ids = |records: Vec<StoredRecord>| records.into_iter().map(|record| record.id).collect::<BTreeSet<_>>();
        let (pending, rejected) = (ids(self.pending()?), ids(self.rejected()?));
        let answered: BTreeSet<_> = self.acknowledgements()?.into_iter().map(|word| word.manifest_sha256).collect();
        let (mut count, mut bytes) = (0, 0_u64);
        for export in self.exports()?.iter().rev() {
            let Some(path) = self.bundle(export.sequence) else { continue };
            let waits = |id: &Uuid| {
                pending.contains(id) || rejected.contains(id) && !answered.contains(&export.manifest_sha256)
            };
            if export.records.iter().any(|record| waits(&record.id)) {
                (count, bytes) = (count + 1, bytes.saturating_add(export.size));
                if count == 1 || count <= KEPT_BUNDLES && bytes <= KEPT_BYTES {
                    continue;
                }
            }
            durable::remove(&path)?;
        }
        Ok(())
    }

    /// The kept bundles that hold one of these records.
    pub(super) fn bundles_with(&self, records: &BTreeSet<Uuid>) -> Result<Vec<PathBuf>, StoreError> {
        let holds = |export: &Export| export.records.iter().any(|record| records.contains(&record.id));
        let exports = self.exports()?;
        Ok(exports.iter().filter(|export| holds(export)).filter_map(|export| self.bundle(export.sequence)).collect())
    }

    /// Finishes acknowledgements, undoes exports that were not committed, and sets aside what is no ledger entry.
    pub(super) fn recover_ledger(&self) -> Result<(), StoreError> {
        for (name, export) in read_all::<Export>(&self.path().join(EXPORTS))? {
            let number = name.to_str().and_then(numbered);
            if export.is_none_or(|export| Some(export.sequence) != number) {
                self.set_aside(EXPORTS, &name, "it is not the entry of an export")?;
            }
        }
        let mut words = Vec::new();
        for (name, word) in read_all::<Acknowledgement>(&self.path().join(RECEIPTS))? {
            match word {
                Some(word) => words.push(word),
                None => self.set_aside(RECEIPTS, &name, "it is not the entry of a receipt")?,
            }
        }
        self.recover_bundles()?;
        if !words.is_empty() {
            self.settle(&by_receipt(words))?;
        }
        Ok(())
    }

    /// Removes bundles that were never committed. One whose entry was set aside may have left, and stays.
    fn recover_bundles(&self) -> Result<(), StoreError> {
        let mut committed = BTreeSet::new();
        for place in [EXPORTS, QUARANTINE] {
            let names = list(&self.path().join(place))?;
            committed.extend(names.iter().filter_map(|name| numbered(name.to_str()?)));
        }
        for name in list(&self.path().join(BUNDLES))? {
            match name.to_str().and_then(numbered).filter(|number| *name == *format!("{number:016}.tar")) {
                None => self.set_aside(BUNDLES, &name, "its name is not that of a bundle")?,
                Some(number) if committed.contains(&number) => {}
                Some(_) => {
                    tracing::info!(file = %name.display(), "removed a bundle that was never committed");
                    durable::remove(&self.path().join(BUNDLES).join(name))?;
                }
            }
        }
        Ok(())
    }
}

/// Receipts' words in the order in which ingest said them, since the last one on a record counts.
fn by_receipt(mut words: Vec<Acknowledgement>) -> Vec<Acknowledgement> {
    words.sort_by(|left, right| (&left.received, left.receipt).cmp(&(&right.received, right.receipt)));
    words
}

/// The sequence number that a file is named after: 16 digits, then its extension.
fn numbered(name: &str) -> Option<u64> {
    let digits = name.get(..16).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    name[16..].starts_with('.').then(|| digits.parse().ok()).flatten().filter(|number| *number <= MAX_INTEGER)
}

/// Reads a directory of ledger entries; what is none comes as `None`.
fn read_all<T: DeserializeOwned>(directory: &Path) -> Result<Vec<(OsString, Option<T>)>, StoreError> {
    let mut entries = Vec::new();
    for name in list(directory)?.into_iter().filter(|name| !durable::is_temporary(name)) {
        let path = directory.join(&name);
        match fs::read(&path) {
            Ok(bytes) => entries.push((name, serde_json::from_slice(&bytes).ok())),
            // Whoever has the lock removed it, or set it aside.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => entries.push((name, None)),
            Err(error) => return Err(failed("read", &path)(error).into()),
        }
    }
    Ok(entries)
}

fn write_entry<T: Serialize>(path: &Path, entry: &T) -> Result<(), StoreError> {
    let text = serde_json::to_vec_pretty(entry).map_err(|error| failed("write", path)(error.into()))?;
    Ok(durable::write(path, &text, Access::Private, Existing::Replace)?)
}

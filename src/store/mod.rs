//! The store: records that are not acknowledged yet, and the ledger of what was exported and received.
//!
//! A directory with one file per record, export and receipt, each written whole ([`durable`]); there is no file that is
//! appended to, so nothing can be cut off. The store knows names, sizes and digests of records, never what is in them.
//!
//! ```text
//! store.json    which store this is, of which client and installation
//! records/      pending records; the file name says what the manifest needs to know of them
//! rejected/     records that ingest would not take
//! exports/      the ledger: one entry per sequence number; its appearance commits the export
//! bundles/      the exported bundles, kept while something in them is not acknowledged
//! receipts/     what receipts said; their appearance commits the acknowledgement
//! quarantine/   files that are not what their place says
//! lock          held by whoever changes anything
//! ```

pub mod activity;
pub mod durable;
#[cfg(test)]
pub(crate) mod faults;
mod ledger;
pub(crate) mod lock;
#[cfg(test)]
mod model;
mod removal;
mod replacement;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Environment;
use crate::digest::{Digested, Sha256Digest};
use crate::pseudonym::Pseudonym;
use crate::record::envelope::{Envelope, Kind, RecordTime, Version};
use durable::{Access, Existing, FileError, failed};

pub use ledger::{Acknowledgement, Doubt, Export, ExportedRecord, Settled};
pub use removal::{Discarded, Retention};
pub use replacement::Replaced;

const FORMAT: &str = "kubermatic-telemetry-store/1";
const RECORDS: &str = "records";
const REJECTED: &str = "rejected";
const EXPORTS: &str = "exports";
const BUNDLES: &str = "bundles";
const RECEIPTS: &str = "receipts";
const QUARANTINE: &str = "quarantine";
/// What the file is called that says why another one is in the quarantine.
const REASON: &str = ".reason";
/// How often a directory is listed from which records vanish meanwhile.
const LISTINGS: usize = 10;
/// How many bundles without a receipt are kept.
const KEPT_BUNDLES: usize = 12;
/// How many bytes of them are kept, the newest in any case.
const KEPT_BYTES: u64 = 1 << 30;

/// A store that can't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The directory is no store, though it is not empty.
    #[error("{} holds other files, and no store", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// `store.json` is damaged or of another version.
    #[error("{} is not a store's description of the format {FORMAT}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
    },
    /// The store belongs to another client.
    #[error("the store {} belongs to client {owner}, and the identity is that of client {client}", path.display())]
    OtherClient {
        /// The store.
        path: PathBuf,
        /// The client whose store it is.
        owner: Uuid,
        /// The client that asked.
        client: Uuid,
    },
    /// The record comes from another installation.
    #[error(
        "these records come from another installation than those in the store {}, and were not stored", path.display()
    )]
    OtherInstallation {
        /// The store.
        path: PathBuf,
    },
    /// It can't be told which installation the record comes from.
    #[error(
        "it can't be told whether these records come from the installation of the store {}, and they were not stored",
        path.display()
    )]
    UnknownInstallation {
        /// The store.
        path: PathBuf,
    },
    /// Another process holds the lock.
    #[error("another process has been using the store {} for {} seconds", path.display(), lock::PATIENCE.as_secs())]
    Busy {
        /// The store.
        path: PathBuf,
    },
    /// A record's file does not hold what its name says.
    #[error("the record {id} is damaged: its digest is not the one that it was stored with")]
    Damaged {
        /// The record.
        id: Uuid,
    },
    /// No sequence number is left.
    #[error("the store has no sequence number left")]
    Exhausted,
    /// No random numbers, or no lock to be had.
    #[error("the operating system refuses")]
    System(#[source] io::Error),
}

/// `store.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Description {
    format: String,
    store: Uuid,
    client: Uuid,
    /// Pseudonyms that stand for the installation, once it is known.
    #[serde(default)]
    installation: BTreeSet<String>,
    /// Records lost to retention without a receipt, by kind.
    #[serde(default)]
    dropped: BTreeMap<String, u64>,
    /// Records removed by a person, by kind.
    #[serde(default)]
    discarded: BTreeMap<String, u64>,
    /// Records that are counted as dropped and may not be gone yet, because the process died meanwhile.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    dropping: BTreeSet<Uuid>,
    /// The same of discarded ones; the bundles that hold them go as well.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    discarding: BTreeSet<Uuid>,
    /// Records that are being replaced, each with the id of the one that comes for it. Where that one is there, the old
    /// one counts no more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    replacing: BTreeMap<Uuid, Uuid>,
}

/// A record in the store, as its file name tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its id.
    pub id: Uuid,
    /// Its envelope.
    pub envelope: Envelope,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// A store.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    description: Description,
}

/// The right to change a store; held by one process at a time and gone with it.
#[derive(Debug)]
pub struct LockedStore {
    store: Store,
    _lock: File,
}

impl std::ops::Deref for LockedStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Store {
    /// Opens the store in `path`; `None` where there is none yet.
    ///
    /// # Errors
    /// It can't be read, or is not this client's.
    pub fn open(path: &Path, client: Uuid) -> Result<Option<Self>, StoreError> {
        let Some(description) = described(path)? else { return Self::absent(path).map(|()| None) };
        if description.client != client {
            let (path, owner) = (path.to_owned(), description.client);
            return Err(StoreError::OtherClient { path, owner, client });
        }
        Ok(Some(Self { path: path.to_owned(), description }))
    }

    fn absent(path: &Path) -> Result<(), StoreError> {
        let kept = list(path)?.into_iter().any(|name| !durable::is_temporary(&name));
        if kept { Err(StoreError::Foreign { path: path.to_owned() }) } else { Ok(()) }
    }

    /// Opens the store in `path`, or makes it.
    ///
    /// # Errors
    /// As [`Store::open`], or it can't be made.
    pub fn open_or_create(path: &Path, client: Uuid, environment: &dyn Environment) -> Result<Self, StoreError> {
        if let Some(store) = Self::open(path, client)? {
            return Ok(store);
        }
        let description = Description {
            format: FORMAT.to_owned(),
            store: environment.uuid_v4().map_err(StoreError::System)?,
            client,
            installation: BTreeSet::new(),
            dropped: BTreeMap::new(),
            discarded: BTreeMap::new(),
            dropping: BTreeSet::new(),
            discarding: BTreeSet::new(),
            replacing: BTreeMap::new(),
        };
        durable::create_directory_with(path, |place| {
            for name in [RECORDS, REJECTED, EXPORTS, BUNDLES, RECEIPTS, QUARANTINE] {
                durable::create_directory(&place.join(name))?;
            }
            describe(place, &description)
        })?;
        // Whether this one or another process's: it is there now.
        Self::open(path, client)?.ok_or_else(|| StoreError::Foreign { path: path.to_owned() })
    }

    /// Takes the lock, waiting for another process a while, and clears up what a crash left behind.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn lock(self) -> Result<LockedStore, StoreError> {
        let file = lock_directory(&self.path)?;
        let client = self.description.client;
        // What another process wrote in the meantime counts.
        let path = self.path;
        let store = Self::open(&path, client)?.ok_or(StoreError::Foreign { path })?;
        let mut locked = LockedStore { store, _lock: file };
        locked.recover()?;
        Ok(locked)
    }

    /// The store's UUID.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.description.store
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records lost to retention, by kind.
    #[must_use]
    pub fn dropped(&self) -> &BTreeMap<String, u64> {
        &self.description.dropped
    }

    /// Records removed by a person, by kind.
    #[must_use]
    pub fn discarded(&self) -> &BTreeMap<String, u64> {
        &self.description.discarded
    }

    /// Checks that the store is not tied to another installation than the one that all these pseudonyms stand for.
    ///
    /// # Errors
    /// It is, or it is tied to one and these stand for none.
    pub fn check_installation(&self, installation: &[Pseudonym]) -> Result<(), StoreError> {
        let (bound, path) = (&self.description.installation, || self.path.clone());
        if bound.is_empty() || installation.iter().any(|name| bound.contains(&name.to_string())) {
            Ok(())
        } else if installation.is_empty() {
            Err(StoreError::UnknownInstallation { path: path() })
        } else {
            Err(StoreError::OtherInstallation { path: path() })
        }
    }

    /// The pending records, by kind, version, time and id. Their contents are not read.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn pending(&self) -> Result<Vec<StoredRecord>, StoreError> {
        self.records_in(RECORDS)
    }

    /// When the newest record of a kind that `counts` was stored, also if it was acknowledged since. Nothing if none is
    /// known.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn newest(&self, counts: impl Fn(&str) -> bool) -> Result<Option<Timestamp>, StoreError> {
        let exports = self.exports()?;
        let exported = exports.iter().flat_map(|export| &export.records);
        let exported = exported.filter(|record| counts(&record.kind)).map(|record| record.id);
        let (pending, rejected) = (self.pending()?, self.rejected()?);
        let kept = pending.iter().chain(&rejected);
        let kept = kept.filter(|record| counts(record.envelope.kind.as_str())).map(|record| record.id);
        // The ids of records begin with the time (RFC 9562, section 5.7).
        let times = kept.chain(exported).filter_map(|id| id.get_timestamp());
        Ok(times.filter_map(|time| Timestamp::from_second(i64::try_from(time.to_unix().0).ok()?).ok()).max())
    }

    /// The records that ingest would not take.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn rejected(&self) -> Result<Vec<StoredRecord>, StoreError> {
        self.records_in(REJECTED)
    }

    /// The files that are not what their place says, with the reason that they were set aside for.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn quarantined(&self) -> Result<Vec<(String, String)>, StoreError> {
        let directory = self.path.join(QUARANTINE);
        let names = list(&directory)?.into_iter().map(|name| name.to_string_lossy().into_owned());
        let files = names.filter(|name| !name.ends_with(REASON) && !name.starts_with(durable::TEMPORARY_PREFIX));
        let with_reason = files.map(|name| {
            let reason = fs::read_to_string(directory.join(format!("{name}{REASON}"))).unwrap_or_default();
            (name, reason.trim().to_owned())
        });
        Ok(with_reason.collect())
    }

    fn records_in(&self, place: &str) -> Result<Vec<StoredRecord>, StoreError> {
        let mut records = Vec::new();
        for _ in 0..LISTINGS {
            let vanished;
            (records, vanished) = self.listed(place)?;
            if !vanished {
                break;
            }
        }
        records.sort_by(|left, right| left.envelope.order(left.id).cmp(&right.envelope.order(right.id)));
        Ok(records)
    }

    /// The records in a directory, and whether one was gone when it was looked at: another may have come for it.
    fn listed(&self, place: &str) -> Result<(Vec<StoredRecord>, bool), StoreError> {
        let directory = self.path.join(place);
        let named: Vec<_> = list(&directory)?.into_iter().filter_map(|name| parse_name(name.to_str()?)).collect();
        // Read after the names: of two that are there for one, the description tells which.
        let replacing = described(&self.path)?.map(|description| description.replacing).unwrap_or_default();
        let there: BTreeSet<_> = named.iter().map(|record| record.id).collect();
        let is_replaced = |id: &Uuid| replacing.get(id).is_some_and(|new| there.contains(new));
        let (mut records, mut vanished) = (Vec::with_capacity(named.len()), false);
        for mut record in named.into_iter().filter(|record| !is_replaced(&record.id)) {
            let path = directory.join(file_name(&record));
            match fs::metadata(&path) {
                Ok(metadata) => record.size = metadata.len(),
                // Whoever has the lock removed it, or set it aside.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    vanished = true;
                    continue;
                }
                Err(error) => return Err(failed("read", &path)(error).into()),
            }
            records.push(record);
        }
        Ok((records, vanished))
    }

    fn record_path(&self, record: &StoredRecord) -> PathBuf {
        self.path.join(RECORDS).join(file_name(record))
    }

    fn rejected_path(&self, record: &StoredRecord) -> PathBuf {
        self.path.join(REJECTED).join(file_name(record))
    }

    /// Where a record lies: among the pending ones or the rejected ones.
    fn place_of(&self, record: &StoredRecord) -> &'static str {
        if self.rejected_path(record).exists() && !self.record_path(record).exists() { REJECTED } else { RECORDS }
    }

    /// Reads the canonical bytes of a pending or rejected record and checks their digest.
    ///
    /// # Errors
    /// It can't be read, or is damaged.
    pub fn load(&self, record: &StoredRecord) -> Result<Digested, StoreError> {
        let path = self.path.join(self.place_of(record)).join(file_name(record));
        let read = Digested::of(fs::read(&path).map_err(failed("read", &path))?);
        if read.sha256() == record.sha256 { Ok(read) } else { Err(StoreError::Damaged { id: record.id }) }
    }
}

impl LockedStore {
    /// Stores a record's canonical bytes under a new id.
    ///
    /// # Errors
    /// It can't be written.
    pub fn put(
        &self,
        envelope: Envelope,
        bytes: &[u8],
        environment: &dyn Environment,
    ) -> Result<StoredRecord, StoreError> {
        let id = self.next_id(environment)?;
        let record = StoredRecord { id, envelope, sha256: Sha256Digest::of(bytes), size: bytes.len() as u64 };
        let path = self.record_path(&record);
        durable::write(&path, bytes, Access::Private, Existing::Refuse)?;
        Ok(record)
    }

    /// A new id after every one that is here, also if the clock was set back: ids are the order of retention. No two are
    /// of one millisecond, so that this order is also that of the records that come for them with the same times.
    fn next_id(&self, environment: &dyn Environment) -> Result<Uuid, StoreError> {
        let id = environment.uuid_v7().map_err(StoreError::System)?;
        let mut newest = None;
        for place in [RECORDS, REJECTED] {
            let names = list(&self.path.join(place))?;
            newest = newest.max(names.iter().filter_map(|name| Some(parse_name(name.to_str()?)?.id)).max());
        }
        // RFC 9562, section 6.2: the time goes ahead of the clock rather than back.
        let earliest = newest.map_or(0, |newest| millis_of(newest).saturating_add(1));
        Ok(at_millis(millis_of(id).max(earliest), id))
    }

    /// Ties the store to another installation than before, because a person says so.
    ///
    /// # Errors
    /// The installation is not told, or can't be written down.
    pub fn rebind(&mut self, installation: &[Pseudonym]) -> Result<(), StoreError> {
        if installation.is_empty() {
            return Err(StoreError::UnknownInstallation { path: self.path.clone() });
        }
        self.store.description.installation = installation.iter().map(ToString::to_string).collect();
        describe(&self.store.path, &self.store.description)
    }

    /// Ties the store to an installation, or checks that it is tied to this one.
    ///
    /// # Errors
    /// It is tied to another one.
    pub fn bind(&mut self, installation: &[Pseudonym]) -> Result<(), StoreError> {
        self.check_installation(installation)?;
        let known = self.description.installation.len();
        self.store.description.installation.extend(installation.iter().map(ToString::to_string));
        if self.description.installation.len() > known {
            describe(&self.store.path, &self.store.description)?;
        }
        Ok(())
    }

    /// Moves a damaged record out of the way.
    ///
    /// # Errors
    /// It can't be moved.
    pub fn quarantine(&self, record: &StoredRecord, reason: &str) -> Result<(), StoreError> {
        self.set_aside(self.place_of(record), file_name(record).as_ref(), reason)
    }

    fn set_aside(&self, place: &str, name: &OsStr, reason: &str) -> Result<(), StoreError> {
        tracing::warn!(file = %name.display(), place, reason, "set aside in the store's quarantine");
        let mut aside = self.path.join(QUARANTINE).join(name);
        let mut copies = 0;
        while aside.symlink_metadata().is_ok() {
            copies += 1;
            let mut numbered = name.to_owned();
            numbered.push(format!(".{copies}"));
            aside = self.path.join(QUARANTINE).join(numbered);
        }
        // First why, then what: a reason without its file says nothing, a file without its reason worries.
        let mut explained = aside.clone().into_os_string();
        explained.push(REASON);
        let text = format!("from {place}/: {reason}\n");
        durable::write(explained.as_ref(), text.as_bytes(), Access::Private, Existing::Replace)?;
        Ok(durable::rename(&self.path.join(place).join(name), &aside)?)
    }

    /// Finishes or undoes what a process that died had begun.
    fn recover(&mut self) -> Result<(), StoreError> {
        for place in [".", RECORDS, REJECTED, EXPORTS, BUNDLES, RECEIPTS, QUARANTINE] {
            let directory = self.path.join(place);
            // Not every way to copy a store takes empty directories along.
            durable::create_directory(&directory)?;
            for name in list(&directory)?.iter().filter(|name| durable::is_temporary(name)) {
                tracing::info!(file = %name.display(), "removed what an interrupted write left behind");
                durable::remove(&directory.join(name))?;
            }
        }
        for place in [RECORDS, REJECTED] {
            for name in list(&self.path.join(place))? {
                let named = name.to_str().and_then(parse_name).is_some();
                let path = self.path.join(place).join(&name);
                // What can't be looked at now may be sound; then the store must not be judged at all.
                if !named || !fs::metadata(&path).map_err(failed("read", &path))?.is_file() {
                    self.set_aside(place, &name, "its name is not that of a record")?;
                }
            }
        }
        self.finish_replacement()?;
        self.finish_removal()?;
        self.recover_ledger()
    }
}

/// Takes the lock of a store, waiting for another process a while. It is gone with the file.
///
/// # Errors
/// The lock is not to be had.
pub fn lock_directory(path: &Path) -> Result<File, StoreError> {
    let lock = lock::wait(&path.join("lock"), lock::Share::Alone, durable::open_lock)?;
    lock.ok_or_else(|| StoreError::Busy { path: path.to_owned() })
}

/// The client that a store belongs to, as far as can be told, whatever else is wrong with it.
#[must_use]
pub fn owner(path: &Path) -> Option<Uuid> {
    let description: serde_json::Value = serde_json::from_slice(&fs::read(path.join("store.json")).ok()?).ok()?;
    Uuid::try_parse(description["client"].as_str()?).ok()
}

/// When an id of version 7 was given, in milliseconds (RFC 9562, section 5.7).
fn millis_of(id: Uuid) -> u64 {
    (id.as_u128() >> 80) as u64
}

/// An id of version 7 at a time, with the random bits of another one.
fn at_millis(millis: u64, random: Uuid) -> Uuid {
    let mut bits = [0; 10];
    bits.copy_from_slice(&random.as_bytes()[6..]);
    uuid::Builder::from_unix_timestamp_millis(millis, &bits).into_uuid()
}

/// A store's description, if it is there.
fn described(path: &Path) -> Result<Option<Description>, StoreError> {
    let file = path.join("store.json");
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &file)(error).into()),
    };
    let description = serde_json::from_slice::<Description>(&text).ok().filter(|it| it.format == FORMAT);
    description.ok_or(StoreError::Description { path: file }).map(Some)
}

fn describe(directory: &Path, description: &Description) -> Result<(), StoreError> {
    let path = directory.join("store.json");
    let text = serde_json::to_vec_pretty(description).map_err(|error| failed("write", &path)(error.into()))?;
    Ok(durable::write(&path, &text, Access::Private, Existing::Replace)?)
}

/// The names in a directory, sorted; none where it is not there.
fn list(directory: &Path) -> Result<Vec<OsString>, StoreError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("read", directory))?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>().map_err(failed("read", directory))?;
    names.sort_unstable();
    Ok(names)
}

/// `<id>_<kind>_<version>_<time>_<complete|partial>_<sha256>.json`: at most 209 bytes.
fn file_name(record: &StoredRecord) -> String {
    let Envelope { kind, version, time, complete } = &record.envelope;
    let complete = if *complete { "complete" } else { "partial" };
    format!("{}_{kind}_{version}_{time}_{complete}_{}.json", record.id, record.sha256)
}

fn parse_name(name: &str) -> Option<StoredRecord> {
    let parts: Vec<_> = name.strip_suffix(".json")?.split('_').collect();
    let [id, kind, version, time, complete, sha256] = parts[..] else { return None };
    let envelope = Envelope {
        kind: Kind::new(kind).ok()?,
        version: Version::new(version).ok()?,
        time: RecordTime::new(time).ok()?,
        complete: match complete {
            "complete" => true,
            "partial" => false,
            _ => return None,
        },
    };
    let id = Uuid::try_parse(id).ok().filter(crate::clock::is_v7)?;
    let record = StoredRecord { id, envelope, sha256: sha256.parse().ok()?, size: 0 };
    // What is listed under another spelling could not be found again.
    (file_name(&record) == name).then_some(record)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests break files as accidents do")]
mod tests {
    use super::*;
    use crate::clock::System;

    fn envelope(time: &str) -> Envelope {
        Envelope {
            kind: Kind::new("a").unwrap(),
            version: Version::new("v1").unwrap(),
            time: RecordTime::new(time).unwrap(),
            complete: true,
        }
    }

    #[test]
    fn records_come_back_in_order_and_damage_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let client = Uuid::from_u128(1);
        let store = Store::open_or_create(&path, client, &System).unwrap().lock().unwrap();
        store.put(envelope("2026-01-02T00:00:00Z"), b"two", &System).unwrap();
        store.put(envelope("2026-01-01T00:00:00Z"), b"one", &System).unwrap();
        fs::write(path.join(RECORDS).join("stray.json"), "{}").unwrap();
        fs::write(path.join(RECORDS).join(".tmp-abc"), "half").unwrap();
        drop(store);
        let store = Store::open(&path, client).unwrap().unwrap().lock().unwrap();
        let pending = store.pending().unwrap();
        let bodies: Vec<_> = pending.iter().map(|record| store.load(record).unwrap().into_bytes()).collect();
        assert_eq!(bodies, [b"one", b"two"]);
        let reason = "from records/: its name is not that of a record";
        assert_eq!(store.quarantined().unwrap(), [("stray.json".to_owned(), reason.to_owned())]);
        assert_eq!(list(&path.join(RECORDS)).unwrap().len(), 2);
        fs::write(path.join(RECORDS).join(file_name(&pending[0])), "changed").unwrap();
        assert!(matches!(store.load(&pending[0]), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_store_belongs_to_one_client_and_one_installation() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let mut store = Store::open_or_create(&path, Uuid::from_u128(1), &System).unwrap().lock().unwrap();
        let names = crate::pseudonym::Pseudonymizer::new([1; 32]);
        let of = |uids: &[&str]| uids.iter().map(|uid| names.installation(uid)).collect::<Vec<_>>();
        store.bind(&of(&[])).unwrap();
        store.bind(&of(&["a"])).unwrap();
        store.bind(&of(&["a", "c"])).unwrap();
        store.bind(&of(&["c"])).unwrap();
        assert!(matches!(store.bind(&of(&["b"])), Err(StoreError::OtherInstallation { .. })));
        assert!(matches!(store.bind(&of(&[])), Err(StoreError::UnknownInstallation { .. })));
        assert!(matches!(Store::open(&path, Uuid::from_u128(2)), Err(StoreError::OtherClient { .. })));
    }
}

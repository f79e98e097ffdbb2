//! The reporter: packs pending records into one signed bundle that lies in the store before its first byte leaves.

#[cfg(feature = "agent")]
pub mod http;
pub mod split;
pub mod withheld;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _, Write as _};

use uuid::Uuid;

use crate::bundle::limits::LimitExceeded;
use crate::bundle::manifest::Seconds;
use crate::bundle::pack::{self, Header, Item, PackError};
use crate::bundle::{Limits, Manifest, verify};
use crate::clock::Environment;
use crate::digest::{Hashing, Sha256Digest};
use crate::identity::Signer;
use crate::record::envelope::{Kind, RecordTime};
use crate::record::withhold::Withholding;
use crate::store::durable::{self, FileError, failed};
use crate::store::{Export, ExportedRecord, LockedStore, Store, StoreError, StoredRecord};

const BESIDE: &str = "write a temporary file in";

/// What goes into an export.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only what was never exported.
    pub only_new: bool,
    /// The records that ingest rejected, and no others.
    pub rejected: bool,
    /// A note for the manifest.
    pub note: Option<String>,
    /// What is withheld: whole kinds are not taken, and everything else is to be withheld from the store's records
    /// before ([`withheld::withhold`]).
    pub withholding: Withholding,
}

/// An export that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation fails.
    #[error(transparent)]
    File(#[from] FileError),
    /// A record that is larger than a whole bundle may be.
    #[error("record {id} ({kind} of {time}) does not fit into a bundle of at most {most} bytes, even alone")]
    DoesNotFit {
        /// Its id.
        id: Uuid,
        /// Its kind.
        kind: Kind,
        /// Its time.
        time: RecordTime,
        /// What a bundle may have.
        most: u64,
        /// The limit that it exceeds.
        source: LimitExceeded,
    },
    /// The bundle can't be packed.
    #[error(transparent)]
    Pack(#[from] Box<PackError<StoreError>>),
    /// The clock is beyond what a manifest can say, or there are no random numbers.
    #[error("the operating system refuses")]
    System(#[source] io::Error),
    /// The store has no such export.
    #[error("the store has no export with the sequence number {0}")]
    NoSuchExport(u64),
    /// The export's bundle may hold what is withheld now.
    #[error("the bundle of export {0} was packed before what is withheld now was withheld, and leaves no more")]
    Withheld(u64),
    /// The export's bundle is not what was exported.
    #[error("the bundle of export {0} is damaged in the store")]
    Damaged(u64),
    /// The export's bundle is no longer kept.
    #[error("the bundle of export {0} is no longer kept")]
    NotKept(u64),
}

/// The records that an export would pack, in the manifest's order, without a look at their contents.
///
/// # Errors
/// The store can't be read.
pub fn select(store: &Store, selection: &Selection) -> Result<Vec<StoredRecord>, StoreError> {
    let is_withheld = |record: &StoredRecord| selection.withholding.withholds_kind(record.envelope.kind.as_str());
    if selection.rejected {
        return Ok(store.rejected()?.into_iter().filter(|record| !is_withheld(record)).collect());
    }
    let mut pending = store.pending()?;
    pending.retain(|record| !is_withheld(record));
    if selection.only_new {
        let exports = store.exports()?;
        let delivered = exports.iter().filter(|export| export.delivered);
        let exported: BTreeSet<_> = delivered.flat_map(|export| &export.records).map(|record| record.id).collect();
        pending.retain(|record| !exported.contains(&record.id));
    }
    Ok(pending)
}

/// Packs what `selection` takes and commits the bundle to the store; `None` where there is nothing to pack.
///
/// # Errors
/// See [`ExportError`]; the store is then as it was.
pub fn export(
    store: &LockedStore,
    signer: &Signer,
    selection: &Selection,
    limits: &Limits,
    environment: &dyn Environment,
    progress: verify::Progress<'_>,
) -> Result<Option<(Export, Manifest)>, ExportError> {
    let records = select(store, selection)?;
    let created = now(environment)?;
    export_records(store, signer, records, &created, selection, limits, environment, progress)
}

/// The time that a manifest made now says.
fn now(environment: &dyn Environment) -> Result<Seconds, ExportError> {
    Seconds::try_from(environment.now_text()).map_err(|error| ExportError::System(io::Error::other(error)))
}

/// Packs and commits `records`; those that are damaged are set aside, and the others are packed without them.
#[expect(clippy::too_many_arguments, reason = "what a bundle is made of, where it goes, and who listens")]
fn export_records(
    store: &LockedStore,
    signer: &Signer,
    mut records: Vec<StoredRecord>,
    created: &Seconds,
    selection: &Selection,
    limits: &Limits,
    environment: &dyn Environment,
    progress: verify::Progress<'_>,
) -> Result<Option<(Export, Manifest)>, ExportError> {
    if records.is_empty() {
        return Ok(None);
    }
    let place = store.next_sequence()?;
    let bundle = environment.uuid_v7().map_err(ExportError::System)?;
    let header = header(store, signer, bundle, place, created, selection)?;
    loop {
        // Unnamed and gone with the process; beside the store, where there is room for it.
        let mut payload = BufWriter::new(durable::scratch(store.path())?);
        match pack_records(store, signer, &records, header.clone(), limits, &mut payload, &mut *progress) {
            Ok(packed) => {
                let payload = payload.into_inner().map_err(|error| failed(BESIDE, store.path())(error.into_error()))?;
                return commit(store, packed, payload, &selection.withholding).map(Some);
            }
            // All of them at once.
            Err(PackError::Load { source: StoreError::Damaged { .. }, .. }) => {
                records = sound(store, records)?;
                if records.is_empty() {
                    return Ok(None);
                }
            }
            Err(PackError::Write(error)) => return Err(failed(BESIDE, store.path())(error).into()),
            Err(error) => return Err(Box::new(error).into()),
        }
    }
}

/// What the manifest of a bundle says beside its records.
fn header(
    store: &Store,
    signer: &Signer,
    bundle: Uuid,
    (sequence, previous): (u64, Option<Sha256Digest>),
    created: &Seconds,
    selection: &Selection,
) -> Result<Header, StoreError> {
    Ok(Header {
        bundle,
        client: signer.client(),
        store: store.id(),
        sequence,
        previous,
        rotation: signer.unconfirmed(&store.confirmed_keys()?).to_vec(),
        replaces: signer.replaces(),
        created: created.clone(),
        producer: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
        note: selection.note.clone(),
        withheld: selection.withholding.names().to_vec(),
        dropped: store.dropped().values().sum(),
        discarded: store.discarded().values().sum(),
    })
}

/// Packs `records` as they lie in the store.
fn pack_records(
    store: &Store,
    signer: &Signer,
    records: &[StoredRecord],
    header: Header,
    limits: &Limits,
    payload: &mut impl io::Write,
    progress: verify::Progress<'_>,
) -> Result<pack::Packed, PackError<StoreError>> {
    let items = records.iter().map(|record| Item { id: record.id, envelope: record.envelope.clone() }).collect();
    let by_id: BTreeMap<_, _> = records.iter().map(|record| (record.id, record)).collect();
    let load = |id: Uuid| store.load(by_id.get(&id).ok_or(StoreError::Damaged { id })?);
    pack::pack(header, items, load, signer.signing_key(), limits, payload, progress)
}

/// The records that are what they were stored as; the others are set aside.
fn sound(store: &LockedStore, records: Vec<StoredRecord>) -> Result<Vec<StoredRecord>, StoreError> {
    let mut sound = Vec::with_capacity(records.len());
    for record in records {
        match store.load(&record) {
            Ok(_) => sound.push(record),
            Err(StoreError::Damaged { .. }) => {
                store.quarantine(&record, "its digest is not the one it was stored with")?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(sound)
}

fn commit(
    store: &LockedStore,
    packed: pack::Packed,
    mut payload: File,
    withholding: &Withholding,
) -> Result<(Export, Manifest), ExportError> {
    let export = store.commit(packed.manifest.sequence, |file| {
        let export = write_bundle(store, &packed, &mut payload, file)?;
        Ok::<_, ExportError>(Export { omitted: withholding.names().to_vec(), ..export })
    })?;
    Ok((export, packed.manifest))
}

fn write_bundle(
    store: &Store,
    packed: &pack::Packed,
    payload: &mut File,
    file: &mut File,
) -> Result<Export, ExportError> {
    let mut out = Hashing::new(BufWriter::new(file));
    let written = packed.write_to(&mut out, &mut BufReader::new(payload)).and_then(|()| out.flush());
    written.map_err(failed("write a bundle to", store.path()))?;
    let (_, size, sha256) = out.finish();
    let manifest = &packed.manifest;
    let record = |entry: &crate::bundle::manifest::RecordEntry| ExportedRecord {
        id: entry.id,
        sha256: entry.sha256,
        kind: entry.kind.as_str().to_owned(),
    };
    Ok(Export {
        sequence: manifest.sequence,
        bundle: manifest.bundle,
        manifest_sha256: Sha256Digest::of(&packed.manifest_bytes),
        sha256,
        size,
        created: manifest.created.as_str().to_owned(),
        key: Some(manifest.key.clone()),
        note: manifest.note.clone(),
        withheld: manifest.withheld.list(usize::MAX),
        omitted: Vec::new(),
        delivered: false,
        records: manifest.records.iter().map(record).collect(),
    })
}

/// The exports that no receipt came for, oldest first, as far as their bundles are kept and hold something pending.
///
/// # Errors
/// The store can't be read.
pub fn unanswered(store: &Store) -> Result<Vec<Export>, StoreError> {
    let answered: BTreeSet<_> = store.acknowledgements()?.into_iter().map(|word| word.manifest_sha256).collect();
    let pending: BTreeSet<_> = store.pending()?.into_iter().map(|record| (record.id, record.sha256)).collect();
    let mut exports = store.exports()?;
    exports.retain(|export| {
        let matters = export.records.iter().any(|record| pending.contains(&(record.id, record.sha256)));
        matters && !answered.contains(&export.manifest_sha256) && store.bundle(export.sequence).is_some()
    });
    Ok(exports)
}

/// Opens the kept bundle of an export, once its digest is found to be the one that the export had.
///
/// # Errors
/// There is no such export, its bundle is no longer kept, or damaged, or may hold what is withheld.
pub fn open_bundle(store: &Store, sequence: u64, withholding: &Withholding) -> Result<(Export, File), ExportError> {
    let export = store.exports()?.into_iter().find(|export| export.sequence == sequence);
    let export = export.ok_or(ExportError::NoSuchExport(sequence))?;
    if withheld::may_hold(&export, withholding) {
        return Err(ExportError::Withheld(sequence));
    }
    let path = store.bundle(sequence).ok_or(ExportError::NotKept(sequence))?;
    let mut file = File::open(&path).map_err(failed("read", &path))?;
    let mut hashing = Hashing::new(&mut file);
    io::copy(&mut hashing, &mut io::sink()).map_err(failed("read", &path))?;
    let (_, _, sha256) = hashing.finish();
    if sha256 != export.sha256 {
        return Err(ExportError::Damaged(sequence));
    }
    file.rewind().map_err(failed("read", &path))?;
    Ok((export, file))
}

//! Which records an archive has: one object a record, made once, which names the bundle that brought it first.
//!
//! That a record's object is there does not say that the record was accepted: its bundle may have been interrupted
//! before its receipt. Only a receipt makes later bundles' copies duplicates.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::IngestError;
use super::accept::receipt_name;
use super::archive::{Archive, ArchiveError, client_prefix};
use crate::bundle::Manifest;
use crate::bundle::manifest::RecordEntry;
use crate::digest::Sha256Digest;
use crate::receipt::{Outcome, RecordStatus};
use crate::record::document::Document;
use crate::record::schema::{self, Schema};

/// Those records of a bundle that do not fit their schema, with the reason. They are not entered, so that a later bundle
/// with the same record finds a place that is free, should the schema have changed by then.
#[derive(Debug, Default)]
pub(crate) struct Misfits(BTreeMap<Uuid, String>);

impl Misfits {
    /// Looks at a record; of a kind or version that nobody knows every record fits.
    pub(crate) fn look(&mut self, schemas: &[Schema], entry: &RecordEntry, document: &Document) {
        let schema = schema::find(schemas, entry.kind.as_str(), entry.version.as_str());
        if let Some(Err(misfit)) = schema.map(|schema| schema.check(document)) {
            self.0.insert(entry.id, format!("{SCHEMA_MISMATCH}: {misfit}"));
        }
    }

    /// Whether a record is one.
    pub(crate) fn has(&self, record: &RecordEntry) -> bool {
        self.0.contains_key(&record.id)
    }
}

/// Why a record is rejected: another one has its id.
const ID_CONFLICT: &str = "idConflict";
/// Why a record is rejected: it is not what its kind and version prescribe.
const SCHEMA_MISMATCH: &str = "schemaMismatch";

/// The objects by which records of a bundle are entered.
pub(super) fn objects<'r>(
    manifest: &Manifest,
    manifest_sha256: Sha256Digest,
    records: impl Iterator<Item = &'r RecordEntry>,
) -> Vec<(String, Vec<u8>)> {
    let entry =
        |record: &RecordEntry| (name(manifest, record), format!("{} {manifest_sha256}\n", record.sha256).into());
    records.map(entry).collect()
}

/// What the archive had of a bundle's records before it.
pub(super) struct Present {
    /// Digest of the record and of the manifest that brought it, by the record's id.
    entries: BTreeMap<Uuid, (Sha256Digest, Sha256Digest)>,
    /// Whether each of those manifests has a receipt.
    committed: BTreeMap<Sha256Digest, bool>,
    /// Why records were not entered.
    misfits: Misfits,
}

impl Present {
    /// Looks for the records of a bundle, of which `made` tells for those that are no misfits which objects were made
    /// just now.
    pub(super) fn read(
        archive: &Archive,
        manifest: &Manifest,
        manifest_sha256: Sha256Digest,
        misfits: Misfits,
        made: &[bool],
    ) -> Result<Self, IngestError> {
        let mut made = made.iter();
        let is_known = |record: &&RecordEntry| misfits.has(record) || made.next() != Some(&true);
        let known: Vec<_> = manifest.records.iter().filter(is_known).collect();
        let names: Vec<_> = known.iter().map(|record| name(manifest, record)).collect();
        let mut entries = BTreeMap::new();
        for ((record, name), text) in known.into_iter().zip(&names).zip(archive.get_all(&names)?) {
            if text.is_none() && misfits.has(record) {
                continue;
            }
            let entry = text.as_deref().and_then(parse);
            // Without it nobody knows which record the id stands for.
            entries.insert(record.id, entry.ok_or_else(|| ArchiveError::Damaged { object: name.clone() })?);
        }
        let mut committed: BTreeMap<_, _> = entries.values().map(|(_, brought_by)| (*brought_by, false)).collect();
        committed.remove(&manifest_sha256);
        let receipts: Vec<_> =
            committed.keys().map(|digest| receipt_name(manifest.client, &digest.to_string())).collect();
        for (has_receipt, found) in committed.values_mut().zip(archive.has_all(&receipts)?) {
            *has_receipt = found;
        }
        Ok(Self { entries, committed, misfits })
    }

    /// What becomes of the bundle's records.
    pub(super) fn outcomes(&self, manifest: &Manifest, manifest_sha256: Sha256Digest) -> Vec<Outcome> {
        let outcome = |record: &RecordEntry| {
            let (status, reason) = self.status(record, manifest_sha256);
            Outcome { id: record.id, sha256: record.sha256, status, reason: reason.map(str::to_owned) }
        };
        manifest.records.iter().map(outcome).collect()
    }

    /// The bundle that brought the record first, if the archive had the record before this one.
    pub(super) fn brought_by(&self, record: &RecordEntry) -> Option<Sha256Digest> {
        let entry = self.entries.get(&record.id).filter(|(digest, _)| *digest == record.sha256);
        entry.map(|(_, brought_by)| *brought_by)
    }

    /// Why a record is not taken: another one has its id, or it does not fit its schema and was not entered before by
    /// rules of another time.
    pub(super) fn rejects(&self, record: &RecordEntry) -> Option<&str> {
        match self.entries.get(&record.id) {
            Some((digest, _)) => (*digest != record.sha256).then_some(ID_CONFLICT),
            None => self.misfits.0.get(&record.id).map(String::as_str),
        }
    }

    /// Whether another bundle was accepted.
    pub(super) fn is_committed(&self, bundle: Sha256Digest) -> bool {
        self.committed.get(&bundle) == Some(&true)
    }

    fn status(&self, record: &RecordEntry, manifest_sha256: Sha256Digest) -> (RecordStatus, Option<&str>) {
        if let Some(reason) = self.rejects(record) {
            return (RecordStatus::Rejected, Some(reason));
        }
        match self.entries.get(&record.id) {
            Some((_, brought_by))
                if *brought_by != manifest_sha256 && self.committed.get(brought_by) == Some(&true) =>
            {
                (RecordStatus::Duplicate, None)
            }
            // Entered just now, or by an attempt that was interrupted before its receipt.
            _ => (RecordStatus::Accepted, None),
        }
    }
}

fn name(manifest: &Manifest, record: &RecordEntry) -> String {
    format!("{}/records/{}", client_prefix(manifest.client), record.id)
}

pub(super) fn parse(text: &[u8]) -> Option<(Sha256Digest, Sha256Digest)> {
    let (digest, brought_by) = std::str::from_utf8(text).ok()?.trim_end().split_once(' ')?;
    Some((digest.parse().ok()?, brought_by.parse().ok()?))
}

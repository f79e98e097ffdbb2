//! Which records an archive has: one object a record, made once, which names the bundle that brought it first.
//!
//! That a record's object is there does not say that the record was accepted: its bundle may have been interrupted
//! before its receipt. Only a receipt makes later bundles' copies duplicates.

use std::collections::BTreeMap;

use super::IngestError;
use super::accept::receipt_name;
use super::archive::{Archive, ArchiveError, client_prefix};
use crate::bundle::Manifest;
use crate::bundle::manifest::RecordEntry;
use crate::digest::Sha256Digest;
use crate::receipt::{Outcome, RecordStatus};

/// The objects by which the bundle's records are entered, in the manifest's order.
pub(super) fn objects(manifest: &Manifest, manifest_sha256: Sha256Digest) -> Vec<(String, Vec<u8>)> {
    let entry =
        |record: &RecordEntry| (name(manifest, record), format!("{} {manifest_sha256}\n", record.sha256).into());
    manifest.records.iter().map(entry).collect()
}

/// What the archive had of a bundle's records before it.
pub(super) struct Present {
    /// Digest of the record and of the manifest that brought it, by the record's id.
    entries: BTreeMap<uuid::Uuid, (Sha256Digest, Sha256Digest)>,
    /// Whether each of those manifests has a receipt.
    committed: BTreeMap<Sha256Digest, bool>,
}

impl Present {
    /// Looks for the records of a bundle, of which `made` tells which objects were made just now.
    pub(super) fn read(
        archive: &Archive,
        manifest: &Manifest,
        manifest_sha256: Sha256Digest,
        made: &[bool],
    ) -> Result<Self, IngestError> {
        let known = manifest.records.iter().zip(made).filter(|(_, made)| !**made).map(|(record, _)| record);
        let (ids, names): (Vec<_>, Vec<_>) = known.map(|record| (record.id, name(manifest, record))).unzip();
        let mut entries = BTreeMap::new();
        for ((id, name), text) in ids.into_iter().zip(&names).zip(archive.get_all(&names)?) {
            let entry = text.as_deref().and_then(parse);
            // Without it nobody knows which record the id stands for.
            entries.insert(id, entry.ok_or_else(|| ArchiveError::Damaged { object: name.clone() })?);
        }
        let mut committed: BTreeMap<_, _> = entries.values().map(|(_, brought_by)| (*brought_by, false)).collect();
        committed.remove(&manifest_sha256);
        let receipts: Vec<_> =
            committed.keys().map(|digest| receipt_name(manifest.client, &digest.to_string())).collect();
        for (has_receipt, found) in committed.values_mut().zip(archive.has_all(&receipts)?) {
            *has_receipt = found;
        }
        Ok(Self { entries, committed })
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

    /// Whether another record has the id of this one.
    pub(super) fn is_conflict(&self, record: &RecordEntry) -> bool {
        self.entries.get(&record.id).is_some_and(|(digest, _)| *digest != record.sha256)
    }

    /// Whether another bundle was accepted.
    pub(super) fn is_committed(&self, bundle: Sha256Digest) -> bool {
        self.committed.get(&bundle) == Some(&true)
    }

    fn status(&self, record: &RecordEntry, manifest_sha256: Sha256Digest) -> (RecordStatus, Option<&'static str>) {
        match self.entries.get(&record.id) {
            Some((digest, _)) if *digest != record.sha256 => (RecordStatus::Rejected, Some("idConflict")),
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

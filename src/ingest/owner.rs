//! Which bundle's files have the rows of a record: every record has exactly one, its owner, which is decided by objects
//! that are made once.
//!
//! The owner is the bundle that `records/<id>` names, the one that brought the record first. A bundle is in the archive
//! before it enters a record. So whoever meets a record whose owner has no receipt, because it is being accepted or was
//! interrupted, finds the owner's bundle and writes its rows ([`crate::tables::complete`]): the same ones, under the
//! same names, as anybody else would. Nobody waits for somebody who may never come.
//!
//! Where the owner's bundle is not there, in archives of a time when records were entered first, `heirs/<id>` decides
//! between the bundles that have the record.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::archive::{Archive, ArchiveError, client_prefix};
use super::bundle_name;
use super::records::{Misfits, Present};
use crate::bundle::Manifest;
use crate::bundle::verify::Verified;
use crate::digest::Sha256Digest;

/// What a bundle has to see to before it has a receipt.
#[derive(Default)]
pub(super) struct Share {
    /// The records that it is the owner of.
    pub own: BTreeSet<Uuid>,
    /// Owners of others of its records, whose rows may not all be there.
    pub unfinished: BTreeSet<Sha256Digest>,
}

/// Finds the owners of a bundle's records, all of which were entered; `fresh` tells whether the bundle itself was not
/// there before.
pub(super) fn share<R>(
    archive: &Archive,
    verified: &Verified<R>,
    present: &Present,
    fresh: bool,
) -> Result<Share, ArchiveError> {
    let (manifest, bundle) = (&verified.manifest, verified.manifest_sha256);
    let mut share = Share::default();
    let (mut doubted, mut lost) = (Vec::new(), BTreeMap::new());
    for record in manifest.records.iter().filter(|record| present.rejects(record).is_none()) {
        match present.brought_by(record) {
            // Entered just now.
            None => _ = share.own.insert(record.id),
            Some(owner) if owner == bundle => doubted.push(record.id),
            Some(owner) if present.is_committed(owner) => {}
            Some(owner) => {
                let is_lost = match lost.get(&owner) {
                    Some(is_lost) => *is_lost,
                    None => *lost.entry(owner).or_insert(!archive.has(&bundle_name(manifest.client, owner))?),
                };
                let owner = if is_lost { claim(archive, manifest.client, record.id, bundle)? } else { owner };
                if owner == bundle { _ = share.own.insert(record.id) } else { _ = share.unfinished.insert(owner) }
            }
        }
    }
    if fresh {
        // Entered without the bundle, so that another one may be its heir.
        for record in doubted {
            let owner = claim(archive, manifest.client, record, bundle)?;
            if owner == bundle { _ = share.own.insert(record) } else { _ = share.unfinished.insert(owner) }
        }
        return Ok(share);
    }
    let heirs = heirs(archive, manifest.client, &doubted)?;
    for (record, heir) in doubted.into_iter().zip(heirs) {
        match heir {
            Some(heir) if heir != bundle => _ = share.unfinished.insert(heir),
            _ => _ = share.own.insert(record),
        }
    }
    Ok(share)
}

/// The records that a bundle in the archive is the owner of. Those that it did not come to enter are entered, unless
/// they are misfits.
pub(crate) fn own(
    archive: &Archive,
    manifest: &Manifest,
    bundle: Sha256Digest,
    misfits: &Misfits,
) -> Result<BTreeSet<Uuid>, ArchiveError> {
    let objects = super::records::objects(manifest, bundle, manifest.records.iter());
    let names: Vec<_> = objects.iter().map(|(name, _)| name.clone()).collect();
    let found = archive.get_all(&names)?;
    let missing = objects.into_iter().zip(&found).zip(&manifest.records);
    let missing = missing.filter(|((_, found), record)| found.is_none() && !misfits.has(record));
    let missing: Vec<_> = missing.map(|((object, _), _)| object).collect();
    let entries = if missing.is_empty() {
        found
    } else {
        archive.create_all(missing)?;
        archive.get_all(&names)?
    };
    let all: Vec<_> = manifest.records.iter().map(|record| record.id).collect();
    let heirs = if has_heirs(archive, manifest.client)? {
        heirs(archive, manifest.client, &all)?
    } else {
        vec![None; all.len()]
    };
    let mut own = BTreeSet::new();
    for (((record, entry), heir), name) in manifest.records.iter().zip(entries).zip(heirs).zip(names) {
        if entry.is_none() && misfits.has(record) {
            continue;
        }
        let entry = entry.as_deref().and_then(super::records::parse);
        let (digest, brought_by) = entry.ok_or(ArchiveError::Damaged { object: name })?;
        if digest == record.sha256 && heir.unwrap_or(brought_by) == bundle {
            own.insert(record.id);
        }
    }
    Ok(own)
}

fn heir_prefix(client: Uuid) -> String {
    format!("{}/heirs", client_prefix(client))
}

fn has_heirs(archive: &Archive, client: Uuid) -> Result<bool, ArchiveError> {
    Ok(!archive.list_after(&heir_prefix(client), "")?.names.is_empty())
}

/// The heirs of records, of each that has one.
fn heirs(archive: &Archive, client: Uuid, records: &[Uuid]) -> Result<Vec<Option<Sha256Digest>>, ArchiveError> {
    let names: Vec<_> = records.iter().map(|record| format!("{}/{record}", heir_prefix(client))).collect();
    let parse = |(text, name): (Option<Vec<u8>>, &String)| {
        let Some(text) = text else { return Ok(None) };
        let digest = std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok());
        digest.map(Some).ok_or_else(|| ArchiveError::Damaged { object: name.clone() })
    };
    archive.get_all(&names)?.into_iter().zip(&names).map(parse).collect()
}

/// Makes `bundle` the heir of a record unless there is one, and tells who is.
fn claim(archive: &Archive, client: Uuid, record: Uuid, bundle: Sha256Digest) -> Result<Sha256Digest, ArchiveError> {
    let name = format!("{}/{record}", heir_prefix(client));
    if archive.create(&name, format!("{bundle}\n").into_bytes())? {
        return Ok(bundle);
    }
    let heir = heirs(archive, client, &[record])?.pop().flatten();
    heir.ok_or(ArchiveError::Damaged { object: name })
}

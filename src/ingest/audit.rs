//! The audit: what was accepted and refused, and which keys were pinned, trusted and revoked, as objects that are only
//! ever made.
//!
//! The entry of an acceptance is named by its receipt and written after it, before anybody is answered. Whoever is
//! interrupted between the two was not answered, so that the bundle comes again, and each time it comes the entry is
//! made if it is not there. Before the receipt it could tell of what never happened.
//!
//! Refusals are written only where the signature is intact, and no more than [`MOST`] an hour, so that what strangers
//! send can't fill the archive; the others are counted, and one entry tells how many there were. No entry has the
//! address of a caller, which is personal data.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::IngestError;
use super::archive::{Archive, ArchiveError, KEY_CHANGES, client_prefix};
use crate::bundle::Manifest;
use crate::clock::{Environment, seconds};
use crate::digest::Sha256Digest;
use crate::keys::KeyId;
use crate::receipt::{Chain, Receipt, RecordStatus};

/// How many refusals each process writes within an hour of bundles that trusted keys have signed, and of others.
pub const MOST: u32 = 100;
/// How long refusals are counted together.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Where it lies what can't be laid at a client's door: anybody can sign in a client's name with a key of their own.
const REFUSALS: &str = "audit/refusals";

/// An entry that could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritten {
    #[error(transparent)]
    Archive(ArchiveError),
    /// No random numbers.
    #[error("the operating system refuses")]
    System(#[source] io::Error),
}

impl From<Unwritten> for IngestError {
    fn from(error: Unwritten) -> Self {
        match error {
            Unwritten::Archive(error) => Self::Archive(error),
            Unwritten::System(error) => Self::System(error),
        }
    }
}

/// Why a bundle was refused, and what is known of it.
#[derive(Debug)]
pub(super) struct Refusal<'r> {
    /// Its manifest, whose signature is intact.
    pub manifest: &'r Manifest,
    pub manifest_sha256: Sha256Digest,
    /// Whether a key that is the client's own has signed it.
    pub trusted: bool,
    /// The stable code of the reason.
    pub code: &'static str,
}

/// What happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Event<'e> {
    /// A bundle was accepted.
    Accepted {
        client: Uuid,
        key: &'e KeyId,
        store: Uuid,
        sequence: u64,
        bundle: Uuid,
        manifest_sha256: Sha256Digest,
        receipt: Uuid,
        receipt_key: &'e KeyId,
        chain: Chain,
        records: Records,
    },
    /// A bundle was refused.
    Refused { client: Uuid, key: &'e KeyId, manifest_sha256: Sha256Digest, trusted: bool, code: &'static str },
    /// More bundles were refused than are written down one by one.
    RefusedMore { since: String, codes: &'e BTreeMap<&'static str, u64> },
    /// The key of an unknown client's first bundle was about to be pinned.
    Pin { client: Uuid, key: &'e KeyId },
    /// The operator was about to trust a key.
    Trust { client: Uuid, key: &'e KeyId },
    /// The operator was about to revoke a key.
    Revoke { key: &'e KeyId },
}

/// What became of the records of an accepted bundle.
#[derive(Debug, Serialize)]
struct Records {
    accepted: usize,
    duplicate: usize,
    rejected: usize,
}

#[derive(Debug, Serialize)]
struct Entry<'e> {
    time: String,
    #[serde(flatten)]
    event: Event<'e>,
}

/// Makes the entry of an acceptance, if it is not there.
pub(super) fn accepted(archive: &Archive, manifest: &Manifest, receipt: &Receipt) -> Result<String, Unwritten> {
    let count = |status| receipt.records.iter().filter(|record| record.status == status).count();
    let event = Event::Accepted {
        client: receipt.client,
        key: &manifest.key,
        store: receipt.store,
        sequence: receipt.sequence,
        bundle: receipt.bundle,
        manifest_sha256: receipt.manifest_sha256,
        receipt: receipt.receipt,
        receipt_key: &receipt.key,
        chain: receipt.chain,
        records: Records {
            accepted: count(RecordStatus::Accepted),
            duplicate: count(RecordStatus::Duplicate),
            rejected: count(RecordStatus::Rejected),
        },
    };
    let name = format!("{}/audit/{}.json", client_prefix(receipt.client), receipt.receipt);
    write(archive, &name, &Entry { time: receipt.received.as_str().to_owned(), event })?;
    Ok(name)
}

/// Makes the entry of a key that is about to be pinned, so that no key is trusted without a trace.
pub(super) fn pinning(
    archive: &Archive,
    client: Uuid,
    key: &KeyId,
    environment: &dyn Environment,
) -> Result<(), Unwritten> {
    let place = format!("{}/audit", client_prefix(client));
    happened(archive, &place, Event::Pin { client, key }, environment)
}

/// Makes the entry of a key that the operator is about to trust as a client's, or to revoke.
pub(super) fn changing(
    archive: &Archive,
    key: &KeyId,
    trusted_as: Option<Uuid>,
    environment: &dyn Environment,
) -> Result<(), Unwritten> {
    let event = trusted_as.map_or(Event::Revoke { key }, |client| Event::Trust { client, key });
    happened(archive, KEY_CHANGES, event, environment)
}

/// Writes a refusal down, or counts it.
pub(super) fn refused(
    archive: &Archive,
    refusal: &Refusal<'_>,
    environment: &dyn Environment,
) -> Result<(), Unwritten> {
    let Refusal { manifest, manifest_sha256, trusted, code } = *refusal;
    if !archive.tally.take(environment.now(), trusted, code) {
        return Ok(());
    }
    let place = if trusted { format!("{}/audit", client_prefix(manifest.client)) } else { REFUSALS.to_owned() };
    let event = Event::Refused { client: manifest.client, key: &manifest.key, manifest_sha256, trusted, code };
    happened(archive, &place, event, environment)
}

/// Writes down how many refusals were not written down one by one, once their hour is over, or at once.
pub(super) fn sum_up(archive: &Archive, environment: &dyn Environment, at_once: bool) -> Result<(), Unwritten> {
    let Some((since, codes)) = archive.tally.close(environment.now(), at_once) else { return Ok(()) };
    happened(archive, REFUSALS, Event::RefusedMore { since: seconds(since), codes: &codes }, environment)
}

/// Makes the entry of what happens now.
fn happened(archive: &Archive, place: &str, event: Event<'_>, environment: &dyn Environment) -> Result<(), Unwritten> {
    let id = environment.uuid_v7().map_err(Unwritten::System)?;
    write(archive, &format!("{place}/{id}.json"), &Entry { time: environment.now_text(), event })
}

fn write(archive: &Archive, name: &str, entry: &Entry<'_>) -> Result<(), Unwritten> {
    let mut text = serde_json::to_vec(entry).map_err(|error| Unwritten::System(error.into()))?;
    text.push(b'\n');
    archive.create(name, text).map(drop).map_err(Unwritten::Archive)
}

/// What was refused within the hour, for one process.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Option<Hour>>);

#[derive(Debug)]
struct Hour {
    since: Timestamp,
    /// How many were written down, of trusted keys and of others.
    written: [u32; 2],
    /// The others, by code.
    more: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Whether a refusal is to be written down; if not, it was counted.
    fn take(&self, now: Timestamp, trusted: bool, code: &'static str) -> bool {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = tally.get_or_insert_with(|| Hour { since: now, written: [0; 2], more: BTreeMap::new() });
        let written = &mut hour.written[usize::from(trusted)];
        if *written < MOST {
            *written += 1;
            return true;
        }
        *hour.more.entry(code).or_default() += 1;
        false
    }

    /// Ends the hour if it is over, or `at_once`, and gives what was counted in it.
    fn close(&self, now: Timestamp, at_once: bool) -> Option<(Timestamp, BTreeMap<&'static str, u64>)> {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back ends it, too.
        let is_over = |hour: &Hour| at_once || now.duration_since(hour.since) >= HOUR || now < hour.since;
        if !tally.as_ref().is_some_and(is_over) {
            return None;
        }
        tally.take().filter(|hour| !hour.more.is_empty()).map(|hour| (hour.since, hour.more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_beyond_the_bound_are_counted_and_told_once_the_hour_is_over() {
        let (tally, start) = (Tally::default(), Timestamp::UNIX_EPOCH);
        let after = |minutes| start + SignedDuration::from_mins(minutes);
        for _ in 0..MOST {
            assert!(tally.take(start, false, "keyConflict"));
        }
        assert!(!tally.take(after(1), false, "keyConflict"));
        assert!(!tally.take(after(2), false, "keyRevoked"));
        assert!(tally.take(after(3), true, "payloadDigest"), "what strangers send leaves room for clients");
        assert!(!tally.take(after(4), false, "keyConflict"));
        assert_eq!(tally.close(after(59), false), None);
        let codes = BTreeMap::from([("keyConflict", 2), ("keyRevoked", 1)]);
        assert_eq!(tally.close(after(60), false), Some((start, codes)));
        assert_eq!(tally.close(after(61), true), None, "it is told once");
        assert!(tally.take(after(61), false, "keyConflict"), "another hour has room again");
    }
}

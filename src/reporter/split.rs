//! Several bundles instead of one: pending records cut by time, so that no bundle is larger than asked.
//!
//! Everything is planned before the first bundle is committed: a record that can't fit is found before anything is
//! written.

use std::collections::BTreeSet;
use std::io;

use jiff::Timestamp;
use uuid::Uuid;

use super::{ExportError, Selection, export_records, header, now, pack_records, select, sound};
use crate::bundle::limits::LimitExceeded;
use crate::bundle::manifest::Seconds;
use crate::bundle::pack::PackError;
use crate::bundle::{Limits, Manifest, verify};
use crate::clock::Environment;
use crate::digest::Sha256Digest;
use crate::identity::Signer;
use crate::record::canonical::MAX_INTEGER;
use crate::store::{Export, LockedStore, StoredRecord};

/// Which records go into which bundle, oldest first.
#[derive(Debug)]
pub struct Plan {
    /// The records of each bundle.
    parts: Vec<BTreeSet<Uuid>>,
    /// What every bundle says of when it was made: the size of a payload depends on it.
    created: Seconds,
    selection: Selection,
}

impl Plan {
    /// How many bundles it takes.
    #[must_use]
    pub fn bundles(&self) -> usize {
        self.parts.len()
    }
}

/// Plans bundles of at most `limits.bundle_bytes` each for what `selection` takes; `None` where there is nothing.
/// `progress` hears how many records have found their place, of how many.
///
/// # Errors
/// [`ExportError::DoesNotFit`] for a record that is too large even for a bundle of its own, or the store fails.
pub fn plan(
    store: &LockedStore,
    signer: &Signer,
    selection: &Selection,
    limits: &Limits,
    environment: &dyn Environment,
    progress: verify::Progress<'_>,
) -> Result<Option<Plan>, ExportError> {
    let mut records = sound(store, select(store, selection)?)?;
    records.sort_by_cached_key(|record| (instant(record), record.envelope.time.clone(), record.id));
    let created = now(environment)?;
    let mut plan = Plan { parts: Vec::new(), created, selection: selection.clone() };
    let all = records.len();
    let (mut rest, mut guess) = (&records[..], all);
    while let Some(first) = rest.first() {
        let mut exceeded = None;
        let count = most_that_fit(rest.len(), guess, |count| {
            let limit = exceeds(store, signer, &rest[..count], &plan, limits)?;
            let fits = limit.is_none();
            exceeded = limit.or(exceeded.take());
            Ok::<_, ExportError>(fits)
        })?;
        if let (0, Some(source)) = (count, exceeded) {
            let (kind, time) = (first.envelope.kind.clone(), first.envelope.time.clone());
            return Err(ExportError::DoesNotFit { id: first.id, kind, time, most: limits.bundle_bytes, source });
        }
        plan.parts.push(rest[..count].iter().map(|record| record.id).collect());
        (rest, guess) = (&rest[count..], count);
        progress((all - rest.len()) as u64, all as u64);
    }
    Ok(Some(plan).filter(|plan| !plan.parts.is_empty()))
}

/// Packs one of the planned bundles and commits it to the store; `None` where none of its records are pending any more.
///
/// # Errors
/// As [`super::export`].
pub fn export(
    store: &LockedStore,
    signer: &Signer,
    plan: &Plan,
    part: usize,
    limits: &Limits,
    environment: &dyn Environment,
) -> Result<Option<(Export, Manifest)>, ExportError> {
    let Some(ids) = plan.parts.get(part) else { return Ok(None) };
    let kept = store.pending()?.into_iter().chain(store.rejected()?);
    let records = kept.filter(|record| ids.contains(&record.id)).collect();
    export_records(store, signer, records, &plan.created, &plan.selection, limits, environment, &mut |_, _| {})
}

/// Second 60 of a leap second counts as second 59, and what no clock shows comes first.
fn instant(record: &StoredRecord) -> Timestamp {
    record.envelope.time.as_str().parse().unwrap_or(Timestamp::MIN)
}

/// The limit that a bundle of `records` would exceed, if any. Packed with the longest of everything that the real
/// bundle's manifest may say otherwise, so that the real one is never larger.
fn exceeds(
    store: &LockedStore,
    signer: &Signer,
    records: &[StoredRecord],
    plan: &Plan,
    limits: &Limits,
) -> Result<Option<LimitExceeded>, ExportError> {
    let Some(first) = records.first() else { return Ok(None) };
    let place = (MAX_INTEGER, Some(Sha256Digest::of(b"")));
    // Any UUIDv7 is as long as the bundle's.
    let header = header(store, signer, first.id, place, &plan.created, &plan.selection)?;
    match pack_records(store, signer, records, header, limits, &mut io::sink(), &mut |_, _| {}) {
        Ok(_) => Ok(None),
        Err(PackError::Limit(limit)) => Ok(Some(limit)),
        Err(error) => Err(Box::new(error).into()),
    }
}

/// The largest number up to `all` that fits, where everything below one that fits does so too; nothing if not even one
/// does. Looks around `guess` first, since bundles of one installation are alike.
fn most_that_fit<E>(all: usize, guess: usize, mut fits: impl FnMut(usize) -> Result<bool, E>) -> Result<usize, E> {
    let (mut fitting, mut failing) = (0, all + 1);
    let (mut next, mut step) = (guess.clamp(1, all), 1);
    while fitting + 1 < failing {
        let fit = fits(next)?;
        if fit {
            fitting = next;
        } else {
            failing = next;
        }
        next = match (fitting, failing) {
            (0, failing) => failing.saturating_sub(step).max(1),
            (fitting, failing) if failing > all => (fitting + step).min(all),
            (fitting, failing) => usize::midpoint(fitting, failing),
        };
        step *= 2;
    }
    Ok(fitting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_finds_the_border_from_every_guess() {
        for all in 1..40 {
            for border in 0..=all {
                for guess in 0..=all + 1 {
                    let mut tried = 0;
                    let found = most_that_fit(all, guess, |count| {
                        tried += 1;
                        assert!((1..=all).contains(&count), "{count} of {all}");
                        Ok::<_, ()>(count <= border)
                    });
                    assert_eq!(found, Ok(border), "of {all}, beginning at {guess}");
                    assert!(tried <= 13, "{tried} tries for {border} of {all}, beginning at {guess}");
                }
            }
        }
    }
}

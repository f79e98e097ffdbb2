//! Withholding before anything leaves: pending records that have what is withheld are replaced, and kept bundles that
//! may hold it go.

use std::collections::BTreeSet;
use std::io::{Read, Seek};

use crate::bundle::Limits;
use crate::bundle::verify::{EachError, Verified};
use crate::clock::Environment;
use crate::record::canonical::CanonicalError;
use crate::record::document::Document;
use crate::record::withhold::{Outcome, Withholding, withheld_from};
use crate::store::{Export, LockedStore, Replaced, Store, StoreError, StoredRecord};

/// Withholding that did not come about; nothing may leave then.
#[derive(Debug, thiserror::Error)]
pub enum WithholdError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record is not what it was when it was stored.
    #[error("what is withheld can't be left out of record {id}")]
    Record {
        /// Which record.
        id: uuid::Uuid,
        /// Why.
        source: CanonicalError,
    },
}

/// Withholds from everything that the store would let out. What is withheld as a whole kind stays in the store, where
/// [`super::select`] passes it over.
///
/// # Errors
/// The store fails; what was begun is finished at the next start.
pub fn withhold(
    store: &mut LockedStore,
    withholding: &Withholding,
    environment: &dyn Environment,
) -> Result<Replaced, WithholdError> {
    if withholding.is_empty() {
        return Ok(Replaced::default());
    }
    let mut records = store.pending()?;
    records.append(&mut store.rejected()?);
    records.retain(|record| withholding.touches(record.envelope.kind.as_str()));
    let holding: Vec<_> =
        store.exports()?.iter().filter(|it| may_hold(it, withholding)).map(|it| it.sequence).collect();
    let forgotten = store.forget_bundles(&holding)?;
    let change = |store: &Store, record: &StoredRecord| {
        let left = match reduced(store, record, withholding) {
            // Packing sets it aside.
            Err(WithholdError::Store(StoreError::Damaged { .. })) => return Ok(None),
            left => left?,
        };
        match left {
            Outcome::Reduced(document) => {
                let envelope = document.envelope().map_err(|_| StoreError::Damaged { id: record.id })?;
                Ok(Some((envelope, document.into_bytes())))
            }
            Outcome::Untouched | Outcome::Whole => Ok(None),
        }
    };
    let replaced = store.replace::<WithholdError>(&records, change, environment)?;
    Ok(Replaced { bundles: replaced.bundles + forgotten, ..replaced })
}

/// For which names a bundle that was verified holds something that is withheld.
///
/// # Errors
/// The file changed since it was verified.
pub fn held_by<R: Read + Seek>(
    bundle: &mut Verified<R>,
    withholding: &Withholding,
) -> Result<BTreeSet<String>, EachError<CanonicalError>> {
    let mut held = BTreeSet::new();
    bundle.for_each_record(|entry, document| {
        let kind = entry.kind.as_str();
        match withholding.apply(kind, document)? {
            Outcome::Untouched => {}
            Outcome::Whole => held.extend([kind.to_owned()]),
            Outcome::Reduced(left) => {
                let before = withheld_from(kind, document);
                held.extend(withheld_from(kind, &left).into_iter().filter(|name| !before.contains(name)));
            }
        }
        Ok(())
    })?;
    Ok(held)
}

/// What is left of a stored record.
fn reduced(store: &Store, record: &StoredRecord, withholding: &Withholding) -> Result<Outcome, WithholdError> {
    let named = |source| WithholdError::Record { id: record.id, source };
    let document = Document::parse(store.load(record)?.into_bytes(), &Limits::default().json).map_err(named)?;
    withholding.apply(record.envelope.kind.as_str(), &document).map_err(named)
}

/// Whether an export may hold something of what is withheld now, as far as its entry in the ledger tells.
#[must_use]
pub fn may_hold(export: &Export, withholding: &Withholding) -> bool {
    let omitted = Withholding::of(export.omitted.iter().map(String::as_str)).unwrap_or_default();
    export.records.iter().any(|record| withholding.touches(&record.kind)) && !omitted.covers(withholding)
}

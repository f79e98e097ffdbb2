//! Records: their envelope, the kinds that this program makes, and the catalogue of their fields.
//!
//! Nothing here knows Kubernetes; collectors (`agent`) fill these types, and the types let only anonymous values in.

pub mod canonical;
pub mod catalogue;
mod countries;
pub mod document;
pub mod envelope;
pub mod foreign;
pub mod kubermatic;
pub mod kubernetes;
pub(crate) mod outline;
pub mod problem;
pub mod reference;
#[cfg(feature = "ingest")]
pub mod schema;
pub mod values;
pub mod withhold;

use catalogue::{Catalogued, Field};

pub use crate::pseudonym::Pseudonym;

/// A row of a keyed array: an entity, known by its pseudonym.
pub trait Row: serde::Serialize {
    /// The pseudonym that the array is keyed by.
    fn key(&self) -> Pseudonym;
}

/// The kinds that this program makes itself: name, what they are, their fields.
#[must_use]
pub fn kinds() -> [(&'static str, &'static str, &'static [Field]); 2] {
    [
        (kubermatic::KIND, kubermatic::ABOUT, kubermatic::Record::FIELDS),
        (kubernetes::KIND, kubernetes::ABOUT, kubernetes::Record::FIELDS),
    ]
}

/// Whether this program makes and knows records of this kind.
#[must_use]
pub fn is_known_kind(kind: &str) -> bool {
    kinds().iter().any(|(known, ..)| *known == kind)
}

//! Schemas of record kinds: which kinds and versions accepting knows, what their records look like as JSON Schema, and
//! whether a record fits. All of it follows from the field catalogue.
//!
//! A version grows by optional members and by words, so that a record of a later release fits as well: members that the
//! schema does not name are passed over, and words are judged by their form. Whatever else changes is another version.

mod check;
mod form;
mod json;

use super::catalogue::{Catalogued as _, Field};
use super::{kubermatic, kubernetes};

pub use check::Misfit;

/// A version of a record kind.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The kind's name.
    pub kind: &'static str,
    /// The version.
    pub version: &'static str,
    /// What records of it tell.
    pub about: &'static str,
    /// The members that a record has.
    pub fields: &'static [Field],
}

/// Every version of every kind that accepting knows; those of a kind from the oldest on. None is ever taken away, since
/// archives have records of it.
pub static SCHEMAS: [Schema; 2] = [
    Schema {
        kind: kubermatic::KIND,
        version: kubermatic::VERSION,
        about: kubermatic::ABOUT,
        fields: kubermatic::Record::FIELDS,
    },
    Schema {
        kind: kubernetes::KIND,
        version: kubernetes::VERSION,
        about: kubernetes::ABOUT,
        fields: kubernetes::Record::FIELDS,
    },
];

/// The schema of a kind's version among `schemas`.
#[must_use]
pub fn find<'s>(schemas: &'s [Schema], kind: &str, version: &str) -> Option<&'s Schema> {
    schemas.iter().find(|schema| schema.kind == kind && schema.version == version)
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Record,
    Row,
    Object,
}

/// Whether a member must be there: those that make a record one, and what a row is known by, its first. Everything else
/// may be unknown, or withheld.
fn is_required(field: &Field, index: usize, level: Level) -> bool {
    match level {
        Level::Record => ["kind", "version", "time"].contains(&field.name),
        Level::Row => index == 0,
        Level::Object => false,
    }
}

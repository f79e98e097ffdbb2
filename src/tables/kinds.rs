//! Which record kinds there are tables of, and where in a record of each version the rows and values lie. A new version
//! says what it has elsewhere than the first; the tables are the same for all of them.

use super::schema::{Column, Origin};
use crate::record::schema::{SCHEMAS, Schema};
use crate::record::{kubermatic, kubernetes};

/// Where a version of a record kind has what the tables show.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The kind's name.
    pub kind: &'static str,
    /// The version.
    pub version: &'static str,
    /// Arrays that have another name than in the first version: that one, and this version's.
    pub arrays: &'static [(&'static str, &'static str)],
    /// Columns whose value lies elsewhere than in the first version: table, column, and the names on the way from the
    /// entity to the value.
    pub members: &'static [(&'static str, &'static str, &'static [&'static str])],
}

/// Every version of every kind that has more tables than `installations`. None is ever taken away, since archives have
/// records of it.
pub static LAYOUTS: [Layout; 2] = [
    Layout { kind: kubermatic::KIND, version: kubermatic::VERSION, arrays: &[], members: &[] },
    Layout { kind: kubernetes::KIND, version: kubernetes::VERSION, arrays: &[], members: &[] },
];

/// The record kinds that accepting knows: what their records look like, and which rows they make. Records of others are
/// kept as they come, and have a row in `installations` alone.
#[derive(Debug, Clone, Copy)]
pub struct Kinds<'k> {
    /// Which records fit.
    pub schemas: &'k [Schema],
    /// Where their rows lie.
    pub layouts: &'k [Layout],
}

impl Kinds<'static> {
    /// Those of this release.
    pub const KNOWN: Self = Self { schemas: &SCHEMAS, layouts: &LAYOUTS };
}

impl Kinds<'_> {
    pub(super) fn layout(&self, kind: &str, version: &str) -> Option<&Layout> {
        self.layouts.iter().find(|layout| layout.kind == kind && layout.version == version)
    }
}

impl Layout {
    /// What this version calls an array.
    pub(super) fn array(&self, first: &'static str) -> &'static str {
        self.arrays.iter().find(|(name, _)| *name == first).map_or(first, |(_, name)| name)
    }

    /// Where this version has a column's value.
    pub(super) fn origin(&self, table: &str, column: &Column) -> Origin {
        let moved = self.members.iter().find(|(of, name, _)| *of == table && *name == column.name);
        moved.map_or(column.origin, |(.., path)| Origin::Member(path))
    }
}

//! A delta as it is written: checked as a whole, then read from front to back beside its base.
//!
//! A hostile delta can name millions of members or rows in a few bytes each, so that nothing is held for each of them.

use std::ops::Range;

use super::DeltaError;
use crate::record::canonical::walk::{self, Elements, Members, Raw, string};
use crate::record::canonical::{Bounds, CanonicalError, Form, KeyField, Scanner, compare_keys, compare_spelled_names};

/// A delta whose shape was checked.
pub(super) struct Delta<'a> {
    text: &'a [u8],
    /// Where the values of its parts begin.
    set: Option<usize>,
    unset: Option<usize>,
    rows: Option<usize>,
    /// Where the strings of `unset` begin, in the order of members; nothing where they stand in that order already.
    unset_order: Option<Vec<u32>>,
    pub depth: usize,
}

/// What is to become of the rows of a member.
#[derive(Debug, Clone)]
pub(super) struct RowChanges<'a> {
    text: &'a [u8],
    /// Where `put` and `delete` begin.
    put: Option<usize>,
    delete: Option<usize>,
}

/// A row to put.
#[derive(Debug, Clone)]
pub(super) struct NewRow<'a> {
    pub key: Raw<'a>,
    pub text: &'a [u8],
    pub has_uuid: bool,
}

/// The lengths of `{}` and `[]`.
const EMPTY: usize = 2;

/// What is wrong with a delta is told once it was read as a whole: what is not canonical JSON comes first.
#[derive(Default)]
struct Findings(Option<&'static str>);

impl Findings {
    fn say(&mut self, what: &'static str) {
        self.0 = Some(what);
    }

    fn check_empty(&mut self, length: usize) {
        if length == EMPTY {
            self.say("it has an empty part, which must be left out");
        }
    }
}

impl<'a> Delta<'a> {
    pub fn parse(text: &'a [u8], bounds: &Bounds) -> Result<Self, DeltaError> {
        let mut delta = Self { text, set: None, unset: None, rows: None, unset_order: None, depth: 0 };
        let mut scanner = Scanner::new(text, Form::Plain, bounds);
        let (mut findings, mut unset_sorted) = (Findings::default(), true);
        scanner
            .members_with(|scanner, name| {
                let from = scanner.position();
                match name {
                    b"set" => {
                        delta.set = Some(from);
                        scanner.members(|_, _, _| Ok(()))?;
                    }
                    b"unset" => {
                        delta.unset = Some(from);
                        unset_sorted = scan_names(scanner, &mut findings)?;
                    }
                    b"rows" => {
                        delta.rows = Some(from);
                        scanner.members_with(|scanner, _| scan_changes(scanner, &mut findings))?;
                    }
                    _ => {
                        findings.say("it has a member other than `set`, `unset` and `rows`");
                        scanner.value()?;
                    }
                }
                findings.check_empty(scanner.position() - from);
                Ok(())
            })
            .and_then(|()| scanner.end())
            .map_err(CanonicalError::rooted)?;
        if let Some(what) = findings.0 {
            return Err(DeltaError::Invalid(what));
        }
        delta.depth = scanner.deepest();
        if !unset_sorted {
            delta.unset_order = Some(delta.order_of_unset()?);
        }
        Ok(delta)
    }

    fn order_of_unset(&self) -> Result<Vec<u32>, DeltaError> {
        let names = Elements::new(self.text, self.unset.unwrap_or_default());
        let mut order: Vec<u32> = names.filter_map(|name| u32::try_from(name.start).ok()).collect();
        let name = |at: u32| self.string_at(at as usize);
        order.sort_unstable_by(|left, right| compare_spelled_names(name(*left), name(*right)));
        if order.windows(2).any(|pair| name(pair[0]) == name(pair[1])) {
            return Err(DeltaError::Invalid("it unsets a member twice"));
        }
        Ok(order)
    }

    fn string_at(&self, at: usize) -> Raw<'a> {
        string(self.text, at..walk::value_end(self.text, at)).unwrap_or_default()
    }

    /// The members to set, in order, with their values.
    pub fn set(&self) -> impl Iterator<Item = (Raw<'a>, &'a [u8])> {
        let text = self.text;
        let members = self.set.map(|at| Members::of_object(text, at));
        members.into_iter().flatten().map(move |member| (member.name, &text[member.value]))
    }

    /// The members to unset, in order.
    pub fn unset(&self) -> impl Iterator<Item = Raw<'a>> {
        let as_written = if self.unset_order.is_none() { self.unset } else { None };
        let as_written = as_written.map(|at| Elements::new(self.text, at)).into_iter().flatten().map(|it| it.start);
        let ordered = self.unset_order.iter().flatten().map(|at| *at as usize);
        as_written.chain(ordered).map(|at| self.string_at(at))
    }

    /// The members whose rows change, in order.
    pub fn rows(&self) -> impl Iterator<Item = (Raw<'a>, RowChanges<'a>)> {
        let text = self.text;
        let members = self.rows.map(|at| Members::of_object(text, at));
        members.into_iter().flatten().map(move |member| (member.name, RowChanges::at(text, member.value)))
    }
}

/// Passes over `unset`, and tells whether its names are in order.
fn scan_names(scanner: &mut Scanner<'_>, findings: &mut Findings) -> Result<bool, CanonicalError> {
    let (mut previous, mut sorted) = (None, true);
    scanner.elements(|value| {
        match value.text {
            Some(name) => {
                let ascends = |before| compare_spelled_names(before, name).is_lt();
                sorted &= previous.replace(name).is_none_or(ascends);
            }
            None => findings.say("`unset` must be a list of member names"),
        }
        Ok(())
    })?;
    Ok(sorted)
}

/// Passes over the changes of one member's rows.
fn scan_changes(scanner: &mut Scanner<'_>, findings: &mut Findings) -> Result<(), CanonicalError> {
    let from = scanner.position();
    scanner.members_with(|scanner, name| {
        let from = scanner.position();
        match name {
            b"put" => scanner.elements(|_| Ok(()))?,
            b"delete" => scanner.elements(|key| {
                if key.text.is_none() {
                    findings.say("`delete` must be a list of keys");
                }
                Ok(())
            })?,
            _ => {
                findings.say("rows have a member other than `put` and `delete`");
                scanner.value()?;
            }
        }
        findings.check_empty(scanner.position() - from);
        Ok(())
    })?;
    findings.check_empty(scanner.position() - from);
    Ok(())
}

impl<'a> RowChanges<'a> {
    fn at(text: &'a [u8], value: Range<usize>) -> Self {
        let mut changes = Self { text, put: None, delete: None };
        for member in Members::of_object(text, value.start) {
            let part = if member.name == b"put" { &mut changes.put } else { &mut changes.delete };
            *part = Some(member.value.start);
        }
        changes
    }

    /// Checks that the rows to put have keys, and that both lists are sorted by them, each key once.
    pub fn check(&self, field: KeyField) -> Result<(), DeltaError> {
        let ascends =
            |before: &mut Option<Raw<'a>>, key| before.replace(key).is_none_or(|it| compare_keys(it, key).is_lt());
        let unsorted = DeltaError::Invalid("`put` and `delete` must be sorted by key, each key once");
        let mut before = None;
        for row in self.raw_rows() {
            let key = row.key(field).ok_or(DeltaError::Invalid("a row to put lacks the key of its array"))?;
            if !ascends(&mut before, key) {
                return Err(unsorted);
            }
        }
        before = None;
        if self.delete().all(|key| ascends(&mut before, key)) { Ok(()) } else { Err(unsorted) }
    }

    fn raw_rows(&self) -> impl Iterator<Item = walk::Row<'a>> {
        self.put.map(|at| walk::Rows::new(self.text, at)).into_iter().flatten()
    }

    /// The rows to put.
    pub fn put(&self, field: KeyField) -> impl Iterator<Item = NewRow<'a>> {
        let text = self.text;
        self.raw_rows().map(move |row| NewRow {
            key: row.key(field).unwrap_or_default(),
            text: &text[row.start..row.end],
            has_uuid: row.uuid.is_some(),
        })
    }

    /// The keys of the rows to delete.
    pub fn delete(&self) -> impl Iterator<Item = Raw<'a>> {
        let text = self.text;
        let keys = self.delete.map(|at| Elements::new(text, at)).into_iter().flatten();
        keys.map(move |key| string(text, key).unwrap_or_default())
    }
}

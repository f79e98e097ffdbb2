//! Applying a delta: the result is spliced from the base's bytes and the delta's, and so is its index.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use super::{DeltaError, compare_keys, compare_raw};
use crate::record::canonical::{self, Bounds, CanonicalError, Form, KeyField, Scanner};
use crate::record::document::{Document, Member, Row, Rows, Span, scan_member};

/// Applies a delta.
///
/// # Errors
/// A delta that is not valid for this base, or whose result is larger than `size`.
pub fn apply(base: &Document, delta: &[u8], bounds: &Bounds, size: u64) -> Result<Document, DeltaError> {
    let delta = Delta::parse(delta, bounds)?;
    let mut splicer = Splicer { base, bounds, size, out: Vec::with_capacity(base.bytes().len()), members: Vec::new() };
    splicer.out.push(b'{');
    let mut set = delta.set.iter().peekable();
    let (mut unset, mut changed) = (delta.unset.clone(), delta.rows.iter().peekable());
    for member in base.members() {
        let name = base.text(member.name);
        while let Some((new, value)) = set.next_if(|(new, _)| compare_raw(new, name).is_lt()) {
            splicer.set(new, value)?;
        }
        if unset.remove(name) {
            continue;
        }
        if let Some((_, value)) = set.next_if(|(new, _)| *new == name) {
            splicer.set(name, value)?;
        } else if let Some(changes) = changed.next_if(|changes| changes.member == name) {
            splicer.merge(name, member, changes)?;
        } else {
            splicer.copy(name, member)?;
        }
    }
    for (name, value) in set {
        splicer.set(name, value)?;
    }
    if !unset.is_empty() {
        return Err(DeltaError::Invalid("it unsets a member that is not there"));
    }
    // Both are in order, so that one which was passed over is still there.
    if changed.next().is_some() {
        return Err(DeltaError::Invalid("it changes rows of a member that is not there"));
    }
    splicer.finish()
}

/// A delta as it was read; everything borrows from its bytes.
struct Delta<'a> {
    set: Vec<(&'a str, &'a [u8])>,
    unset: BTreeSet<&'a str>,
    rows: Vec<RowChanges<'a>>,
    has_empty_part: bool,
}

/// The length of `{}` and `[]`.
const EMPTY: usize = 2;

struct RowChanges<'a> {
    member: &'a str,
    has_empty_part: bool,
    /// Where the rows to put lie; by what they are keyed, the base will tell.
    put: Option<Range<usize>>,
    delete: Vec<&'a str>,
    text: &'a [u8],
}

impl<'a> Delta<'a> {
    fn parse(text: &'a [u8], bounds: &Bounds) -> Result<Self, DeltaError> {
        let mut delta = Self { set: Vec::new(), unset: BTreeSet::new(), rows: Vec::new(), has_empty_part: false };
        let mut scanner = Scanner::new(text, Form::Plain, bounds);
        let mut invalid = None;
        scanner
            .members_with(|scanner, name| {
                let from = scanner.position();
                match name {
                    "set" => scanner.members(|_, name, value| {
                        delta.set.push((name, &text[value.range]));
                        Ok(())
                    })?,
                    "unset" => scanner.elements(|value| {
                        match value.text {
                            Some(name) if delta.unset.insert(name) => {}
                            Some(_) => invalid = Some("it unsets a member twice"),
                            None => invalid = Some("`unset` must be a list of member names"),
                        }
                        Ok(())
                    })?,
                    "rows" => scanner.members_with(|scanner, member| {
                        let changes = RowChanges::parse(scanner, text, member, &mut invalid)?;
                        delta.has_empty_part |= changes.has_empty_part;
                        delta.rows.push(changes);
                        Ok(())
                    })?,
                    _ => {
                        invalid = Some("it has a member other than `set`, `unset` and `rows`");
                        scanner.value()?;
                    }
                }
                delta.has_empty_part |= scanner.position() - from == EMPTY;
                Ok(())
            })
            .and_then(|()| scanner.end())
            .map_err(CanonicalError::rooted)?;
        if delta.has_empty_part {
            invalid = Some("it has an empty part, which must be left out");
        }
        let named = delta.set.iter().map(|(name, _)| *name).chain(delta.rows.iter().map(|changes| changes.member));
        let mut seen = delta.unset.clone();
        if !named.into_iter().all(|name| seen.insert(name)) {
            invalid = Some("it names a member twice");
        }
        invalid.map_or(Ok(delta), |reason| Err(DeltaError::Invalid(reason)))
    }
}

impl<'a> RowChanges<'a> {
    fn parse(
        scanner: &mut Scanner<'a>,
        text: &'a [u8],
        member: &'a str,
        invalid: &mut Option<&'static str>,
    ) -> Result<Self, CanonicalError> {
        let mut changes = Self { member, has_empty_part: false, put: None, delete: Vec::new(), text };
        let mut empty = true;
        scanner.members_with(|scanner, name| {
            let from = scanner.position();
            match name {
                "put" => {
                    scanner.elements(|_| Ok(()))?;
                    changes.put = Some(from..scanner.position());
                }
                "delete" => scanner.elements(|key| {
                    match key.text {
                        Some(key) => changes.delete.push(key),
                        None => *invalid = Some("`delete` must be a list of keys"),
                    }
                    Ok(())
                })?,
                _ => {
                    *invalid = Some("rows have a member other than `put` and `delete`");
                    scanner.value()?;
                }
            }
            empty = false;
            changes.has_empty_part |= scanner.position() - from == EMPTY;
            Ok(())
        })?;
        changes.has_empty_part |= empty;
        Ok(changes)
    }

    /// The rows to put, once they are known to have keys and to be sorted.
    fn keyed(&self, field: KeyField, bounds: &Bounds) -> Result<Vec<Row>, DeltaError> {
        let (mut rows, mut keyless) = (Vec::new(), false);
        if let Some(put) = &self.put {
            let text = &self.text[put.clone()];
            Scanner::new(text, Form::Plain, bounds).elements(|row| {
                let row = Row::index(&row, field, text);
                keyless |= row.is_none();
                rows.extend(row);
                Ok(())
            })?;
        }
        if keyless {
            return Err(DeltaError::Invalid("a row to put lacks the key of its array"));
        }
        let ascending = |left: &&str, right: &&str| compare_keys(left, right).is_lt();
        let sorted = rows.is_sorted_by(|left, right| ascending(&self.key(*left), &self.key(*right)));
        if sorted && self.delete.is_sorted_by(ascending) {
            Ok(rows)
        } else {
            Err(DeltaError::Invalid("`put` and `delete` must be sorted by key, each key once"))
        }
    }

    /// The text of the rows to put, which the places in them are relative to.
    fn put_text(&self) -> &'a [u8] {
        self.put.as_ref().map_or(&[], |put| &self.text[put.clone()])
    }

    fn key(&self, row: Row) -> &'a str {
        std::str::from_utf8(&self.put_text()[row.key().range()]).unwrap_or_default()
    }

    fn new_row(&self, row: Row) -> NewRow<'a> {
        let (value, key) = (row.value().range(), row.key().range());
        NewRow {
            key: self.key(row),
            key_at: key.start - value.start,
            value: &self.put_text()[value],
            has_uuid: row.has_uuid(),
        }
    }
}

/// A row on its way into the result.
struct NewRow<'a> {
    key: &'a str,
    /// Where the key lies in `value`.
    key_at: usize,
    value: &'a [u8],
    has_uuid: bool,
}

/// The result in the making.
struct Splicer<'a> {
    base: &'a Document,
    bounds: &'a Bounds,
    size: u64,
    out: Vec<u8>,
    members: Vec<Member>,
}

impl Splicer<'_> {
    fn append(&mut self, bytes: &[u8]) -> Result<Span, DeltaError> {
        let start = self.out.len();
        if (start + bytes.len()) as u64 > self.size {
            return Err(DeltaError::TooLarge(self.size));
        }
        self.out.extend_from_slice(bytes);
        Ok(Span::new(start..self.out.len()))
    }

    fn name(&mut self, name: &str) -> Result<Span, DeltaError> {
        self.append(if self.members.is_empty() { b"\"" } else { b",\"" })?;
        let span = self.append(name.as_bytes())?;
        self.append(b"\":")?;
        Ok(span)
    }

    /// Takes a member over from the base.
    fn copy(&mut self, name: &str, member: &Member) -> Result<(), DeltaError> {
        let name = self.name(name)?;
        let value = self.append(self.base.slice(member.value))?;
        let (from, to) = (member.value.range().start, value.range().start);
        let rows = member
            .rows
            .as_ref()
            .map(|rows| Rows { field: rows.field, rows: rows.rows.iter().map(|row| row.moved(from, to)).collect() });
        self.members.push(Member { name, value, rows });
        Ok(())
    }

    /// Gives a member a new value.
    fn set(&mut self, name: &str, value: &[u8]) -> Result<(), DeltaError> {
        let name = self.name(name)?;
        let canonical = record_form(value, self.bounds)?;
        let span = self.append(&canonical)?;
        let mut scanner = Scanner::new(&self.out[span.range()], Form::Record, self.bounds);
        let (_, rows) = scan_member(&mut scanner, &self.out[span.range()])?;
        let rows = rows.map(|rows| Rows {
            field: rows.field,
            rows: rows.rows.iter().map(|row| row.moved(0, span.range().start)).collect(),
        });
        self.members.push(Member { name, value: span, rows });
        Ok(())
    }

    /// Merges changed rows into a keyed array of the base.
    fn merge(&mut self, name: &str, member: &Member, changes: &RowChanges<'_>) -> Result<(), DeltaError> {
        let old = member.rows.as_ref().ok_or(DeltaError::Invalid("it changes rows of a member that has no key"))?;
        let put = changes.keyed(old.field, self.bounds)?;
        let name = self.name(name)?;
        let start = self.append(b"[")?.range().start;
        let mut rows = Vec::with_capacity(old.rows.len() + put.len());
        let mut put = put.into_iter().map(|row| changes.new_row(row)).peekable();
        let mut delete = changes.delete.iter().copied().peekable();
        for row in &old.rows {
            let key = self.base.text(row.key());
            while let Some(new) = put.next_if(|new| compare_keys(new.key, key).is_lt()) {
                self.put_row(&mut rows, &new)?;
            }
            let deleted = delete.next_if_eq(&key).is_some();
            match put.next_if(|new| new.key == key) {
                Some(_) if deleted => return Err(DeltaError::Invalid("it names a row twice")),
                Some(new) if new.value == self.base.slice(row.value()) => {
                    return Err(DeltaError::Invalid("it puts a row that the base has already"));
                }
                Some(new) => self.put_row(&mut rows, &new)?,
                None if deleted => {}
                None => self.keep_row(&mut rows, row)?,
            }
        }
        for new in put {
            self.put_row(&mut rows, &new)?;
        }
        if delete.next().is_some() {
            return Err(DeltaError::Invalid("it deletes a row that is not there"));
        }
        let end = self.append(b"]")?.range().end;
        let by_uuid = rows.iter().all(|row: &Row| row.has_uuid());
        if rows.is_empty() || (old.field == KeyField::Id && by_uuid) {
            return Err(DeltaError::Invalid("the array that it changes is not keyed by the same field afterwards"));
        }
        let rows = Some(Rows { field: old.field, rows });
        self.members.push(Member { name, value: Span::new(start..end), rows });
        Ok(())
    }

    fn keep_row(&mut self, rows: &mut Vec<Row>, row: &Row) -> Result<(), DeltaError> {
        self.separate(rows)?;
        let span = self.append(self.base.slice(row.value()))?;
        rows.push(row.moved(row.value().range().start, span.range().start));
        Ok(())
    }

    fn put_row(&mut self, rows: &mut Vec<Row>, new: &NewRow<'_>) -> Result<(), DeltaError> {
        self.separate(rows)?;
        let value = self.append(&record_form(new.value, self.bounds)?)?;
        // Sorting rows inside of this one moves nothing else, so that the key lies where it did.
        let key_from = value.range().start + new.key_at;
        rows.push(Row::new(value, Span::new(key_from..key_from + new.key.len()), new.has_uuid));
        Ok(())
    }

    fn separate(&mut self, rows: &[Row]) -> Result<(), DeltaError> {
        if rows.is_empty() { Ok(()) } else { self.append(b",").map(drop) }
    }

    fn finish(mut self) -> Result<Document, DeltaError> {
        self.append(b"}")?;
        Ok(Document::from_parts(self.out, self.members))
    }
}

/// A value in the form that records have: nested rows sorted as well. Deltas made from records have it already.
fn record_form<'v>(value: &'v [u8], bounds: &Bounds) -> Result<Cow<'v, [u8]>, DeltaError> {
    match canonical::check(value, Form::Record, bounds) {
        Ok(()) => Ok(value.into()),
        Err(_) => Ok(canonical::canonicalize(value, Form::Record, bounds)?.into()),
    }
}

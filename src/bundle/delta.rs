//! Deltas: a record as its differences from the one before it, on canonical bytes.
//!
//! Applying splices the base's bytes with the delta's, so that the work and the memory are those of a copy.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::record::canonical::{
    self, Bounds, CanonicalError, Form, KeyField, Scanned, Scanner, compare_names, unescape,
};
use crate::record::document::{Document, Member, Row, Rows, Span, offset_of, scan_member};

/// A delta that can't be applied to its base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// Not canonical JSON.
    #[error("the delta is not canonical JSON")]
    Json(#[from] CanonicalError),
    /// Not the shape of a delta, or against the rules of one.
    #[error("the delta is invalid: {0}")]
    Invalid(&'static str),
    /// The result would be larger than the manifest says.
    #[error("the delta's result is larger than the {0} bytes that the manifest says")]
    TooLarge(u64),
}

/// The canonical bytes of the delta that makes `target` from `base`.
#[must_use]
pub fn encode(base: &Document, target: &Document) -> Vec<u8> {
    let mut parts = Parts::default();
    let (mut old, mut new) = (base.members().iter().peekable(), target.members().iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => compare_raw(base.text(left.name), target.text(right.name)),
        };
        let (left, right) =
            (if order.is_le() { old.next() } else { None }, if order.is_ge() { new.next() } else { None });
        match (left, right) {
            (Some(left), None) => parts.unset.push(base.text(left.name)),
            (None, Some(right)) => parts.set(target, right),
            (Some(left), Some(right)) if base.slice(left.value) != target.slice(right.value) => {
                parts.change((base, left), (target, right));
            }
            _ => {}
        }
    }
    parts.into_bytes()
}

/// The parts of a delta in the making, each a list of ready pieces of JSON text.
#[derive(Default)]
struct Parts<'a> {
    rows: Vec<Vec<u8>>,
    set: Vec<Vec<u8>>,
    unset: Vec<&'a str>,
}

impl Parts<'_> {
    fn set(&mut self, target: &Document, member: &Member) {
        self.set.push(named(target.text(member.name), target.slice(member.value)));
    }

    fn change(&mut self, (base, old): (&Document, &Member), (target, new): (&Document, &Member)) {
        match (&old.rows, &new.rows) {
            (Some(left), Some(right)) if left.field == right.field => {
                self.rows.push(named(target.text(new.name), &row_changes((base, left), (target, right))));
            }
            _ => self.set(target, new),
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut members = Vec::new();
        if !self.rows.is_empty() {
            members.push(named("rows", &wrap(b'{', &self.rows, b'}')));
        }
        if !self.set.is_empty() {
            members.push(named("set", &wrap(b'{', &self.set, b'}')));
        }
        if !self.unset.is_empty() {
            let names: Vec<_> = self.unset.iter().map(|name| format!("\"{name}\"").into_bytes()).collect();
            members.push(named("unset", &wrap(b'[', &names, b']')));
        }
        wrap(b'{', &members, b'}')
    }
}

fn named(name: &str, value: &[u8]) -> Vec<u8> {
    let mut member = format!("\"{name}\":").into_bytes();
    member.extend_from_slice(value);
    member
}

fn wrap(open: u8, pieces: &[impl AsRef<[u8]>], close: u8) -> Vec<u8> {
    let mut text = vec![open];
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(piece.as_ref());
    }
    text.push(close);
    text
}

/// `{"delete": [key], "put": [row]}` of two keyed arrays.
fn row_changes((base, left): (&Document, &Rows), (target, right): (&Document, &Rows)) -> Vec<u8> {
    let (mut put, mut delete) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (left.rows.iter().peekable(), right.rows.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(gone), None) => {
                delete.push(quoted(base.text(gone.key)));
                old.next();
            }
            (None, Some(row)) => {
                put.push(target.slice(row.value));
                new.next();
            }
            (Some(before), Some(row)) => match compare_keys(base.text(before.key), target.text(row.key)) {
                Ordering::Less => {
                    delete.push(quoted(base.text(before.key)));
                    old.next();
                }
                Ordering::Greater => {
                    put.push(target.slice(row.value));
                    new.next();
                }
                Ordering::Equal => {
                    if base.slice(before.value) != target.slice(row.value) {
                        put.push(target.slice(row.value));
                    }
                    old.next();
                    new.next();
                }
            },
        }
    }
    let mut members = Vec::new();
    if !delete.is_empty() {
        members.push(named("delete", &wrap(b'[', &delete, b']')));
    }
    if !put.is_empty() {
        members.push(named("put", &wrap(b'[', &put, b']')));
    }
    wrap(b'{', &members, b'}')
}

fn quoted(raw: &str) -> Vec<u8> {
    format!("\"{raw}\"").into_bytes()
}

/// Orders member names that are spelled canonically.
fn compare_raw(left: &str, right: &str) -> Ordering {
    compare_names(&unescape(left), &unescape(right))
}

/// Orders row keys that are spelled canonically, by the UTF-8 bytes of what they stand for.
fn compare_keys(left: &str, right: &str) -> Ordering {
    if left.contains('\\') || right.contains('\\') { unescape(left).cmp(&unescape(right)) } else { left.cmp(right) }
}

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
    put: Vec<Scanned<'a>>,
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
        let mut changes = Self { member, has_empty_part: false, put: Vec::new(), delete: Vec::new(), text };
        let mut empty = true;
        scanner.members_with(|scanner, name| {
            let from = scanner.position();
            match name {
                "put" => scanner.elements(|row| {
                    changes.put.push(row);
                    Ok(())
                })?,
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

    /// The rows to put with their keys, once they are known to be sorted.
    fn keyed(&self, field: KeyField) -> Result<Vec<NewRow<'a>>, DeltaError> {
        let rows = self.put.iter().map(|row| {
            let key = match field {
                KeyField::Uuid => row.keys.uuid,
                KeyField::Id => row.keys.id,
            };
            let key = key.ok_or(DeltaError::Invalid("a row to put lacks the key of its array"))?;
            let value = &self.text[row.range.clone()];
            let key_at = offset_of(value, key).start;
            Ok(NewRow { key, key_at, value, has_uuid: row.keys.uuid.is_some() })
        });
        let rows = rows.collect::<Result<Vec<_>, DeltaError>>()?;
        let ascending = |left: &&str, right: &&str| compare_keys(left, right).is_lt();
        let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
        if !keys.is_sorted_by(ascending) || !self.delete.is_sorted_by(ascending) {
            return Err(DeltaError::Invalid("`put` and `delete` must be sorted by key, each key once"));
        }
        Ok(rows)
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
        let put = changes.keyed(old.field)?;
        let name = self.name(name)?;
        let start = self.append(b"[")?.range().start;
        let mut rows = Vec::with_capacity(old.rows.len() + put.len());
        let (mut put, mut delete) = (put.into_iter().peekable(), changes.delete.iter().copied().peekable());
        for row in &old.rows {
            let key = self.base.text(row.key);
            while let Some(new) = put.next_if(|new| compare_keys(new.key, key).is_lt()) {
                self.put_row(&mut rows, &new)?;
            }
            let deleted = delete.next_if_eq(&key).is_some();
            match put.next_if(|new| new.key == key) {
                Some(_) if deleted => return Err(DeltaError::Invalid("it names a row twice")),
                Some(new) if new.value == self.base.slice(row.value) => {
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
        let by_uuid = rows.iter().all(|row: &Row| row.has_uuid);
        if rows.is_empty() || (old.field == KeyField::Id && by_uuid) {
            return Err(DeltaError::Invalid("the array that it changes is not keyed by the same field afterwards"));
        }
        let rows = Some(Rows { field: old.field, rows });
        self.members.push(Member { name, value: Span::new(start..end), rows });
        Ok(())
    }

    fn keep_row(&mut self, rows: &mut Vec<Row>, row: &Row) -> Result<(), DeltaError> {
        self.separate(rows)?;
        let span = self.append(self.base.slice(row.value))?;
        rows.push(row.moved(row.value.range().start, span.range().start));
        Ok(())
    }

    fn put_row(&mut self, rows: &mut Vec<Row>, new: &NewRow<'_>) -> Result<(), DeltaError> {
        self.separate(rows)?;
        let value = self.append(&record_form(new.value, self.bounds)?)?;
        // Sorting rows inside of this one moves nothing else, so that the key lies where it did.
        let key_from = value.range().start + new.key_at;
        rows.push(Row { key: Span::new(key_from..key_from + new.key.len()), value, has_uuid: new.has_uuid });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        let bytes = canonical::canonicalize(text.as_bytes(), Form::Record, &Bounds::default()).unwrap();
        Document::parse(bytes, &Bounds::default()).unwrap()
    }

    fn applied(base: &str, delta: &str) -> Result<String, DeltaError> {
        let result = apply(&document(base), delta.as_bytes(), &Bounds::default(), 1 << 20)?;
        // The index that splicing keeps must be the one that reading the result gives.
        let again = Document::parse(result.bytes().to_vec(), &Bounds::default()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{result:?}"));
        Ok(String::from_utf8(result.into_bytes()).unwrap())
    }

    #[test]
    fn encoding_and_applying_meet() {
        let states = [
            r#"{"a":1,"rows":[{"uuid":"1","v":1},{"uuid":"2","v":1}],"z":[1]}"#,
            r#"{"a":1,"rows":[{"uuid":"1","v":2},{"uuid":"3","v":1}],"z":[1]}"#,
            r#"{"rows":[{"uuid":"0"},{"uuid":"9"}],"é":"😀"}"#,
            r#"{"rows":[],"😀":{"deep":[{"id":"a"}]},"דּ":1}"#,
            r#"{"rows":[{"id":"\n"},{"id":"\""},{"id":"é","uuid":"x"}]}"#,
            r#"{"rows":[{"id":"\n"},{"id":"\"","n":1},{"id":"ê"}]}"#,
            "{}",
        ];
        for base in states {
            for target in states {
                let delta = encode(&document(base), &document(target));
                let result = applied(base, std::str::from_utf8(&delta).unwrap()).unwrap();
                assert_eq!(result.as_bytes(), document(target).bytes(), "{base} -> {target}");
            }
        }
    }

    #[test]
    fn only_what_changed_is_in_a_delta() {
        let base = document(r#"{"a":1,"b":2,"rows":[{"uuid":"1","v":1},{"uuid":"2"},{"uuid":"3"}],"t":"x"}"#);
        let target = document(r#"{"b":2,"c":3,"rows":[{"uuid":"1","v":2},{"uuid":"3"},{"uuid":"4"}],"t":"y"}"#);
        let expected = r#"{"rows":{"rows":{"delete":["2"],"put":[{"uuid":"1","v":2},{"uuid":"4"}]}},"set":{"c":3,"t":"y"},"unset":["a"]}"#;
        assert_eq!(String::from_utf8(encode(&base, &target)).unwrap(), expected);
        assert_eq!(encode(&base, &base), b"{}");
    }

    #[test]
    fn rows_inside_of_what_is_set_are_sorted_as_in_any_record() {
        let result = applied("{}", r#"{"set":{"a":[{"in":[{"id":"2"},{"id":"1"}],"uuid":"k"}]}}"#).unwrap();
        assert_eq!(result, r#"{"a":[{"in":[{"id":"1"},{"id":"2"}],"uuid":"k"}]}"#);
        let delta = r#"{"rows":{"a":{"put":[{"in":[{"id":"2"},{"id":"1"}],"uuid":"l"}]}}}"#;
        let result = applied(r#"{"a":[{"uuid":"k"}]}"#, delta).unwrap();
        assert_eq!(result, r#"{"a":[{"uuid":"k"},{"in":[{"id":"1"},{"id":"2"}],"uuid":"l"}]}"#);
    }

    #[test]
    fn deltas_that_break_a_rule_are_refused() {
        let base = r#"{"a":1,"i":[{"id":"1"},{"id":"2","uuid":"u"}],"rows":[{"uuid":"1"},{"uuid":"2"}]}"#;
        let cases = [
            ("[]", "not canonical"),
            (r#"{"set":{"a":1,"a":2}}"#, "not canonical"),
            (r#"{"unset":["a"],"set":{"a":2}}"#, "not canonical"),
            (r#"{"set":{"a":2},"unset":["a"]}"#, "names a member twice"),
            (r#"{"rows":{"rows":{"put":[{"uuid":"3"}]}},"set":{"rows":1}}"#, "names a member twice"),
            (r#"{"unset":["a","a"]}"#, "unsets a member twice"),
            (r#"{"unset":["b"]}"#, "unsets a member that is not there"),
            (r#"{"unset":[1]}"#, "list of member names"),
            (r#"{"move":1}"#, "other than"),
            (r#"{"rows":{"rows":{"move":1}}}"#, "other than"),
            (r#"{"rows":{"rows":{"delete":[1]}}}"#, "list of keys"),
            (r#"{"rows":{"a":{"delete":["1"]}}}"#, "has no key"),
            (r#"{"rows":{"b":{"put":[{"uuid":"1"}]}}}"#, "rows of a member that is not there"),
            (r#"{"rows":{"rows":{"delete":["3"]}}}"#, "deletes a row that is not there"),
            (r#"{"rows":{"rows":{"delete":["1","2"]}}}"#, "not keyed by the same field"),
            (r#"{"rows":{"rows":{"delete":["2","1"]}}}"#, "sorted by key"),
            (r#"{"rows":{"rows":{"put":[{"uuid":"4"},{"uuid":"3"}]}}}"#, "sorted by key"),
            (r#"{"rows":{"rows":{"put":[{"uuid":"3"},{"uuid":"3"}]}}}"#, "sorted by key"),
            (r#"{"rows":{"rows":{"put":[{"id":"3"}]}}}"#, "lacks the key"),
            (r#"{"rows":{"rows":{"put":[3]}}}"#, "lacks the key"),
            (r#"{"rows":{"rows":{"put":[{"uuid":"1"}]}}}"#, "has already"),
            (r#"{"rows":{"rows":{"delete":["1"],"put":[{"n":1,"uuid":"1"}]}}}"#, "names a row twice"),
            (r#"{"rows":{"i":{"delete":["1"]}}}"#, "not keyed by the same field"),
            (r#"{"set":{}}"#, "empty part"),
            (r#"{"unset":[]}"#, "empty part"),
            (r#"{"rows":{}}"#, "empty part"),
            (r#"{"rows":{"rows":{}}}"#, "empty part"),
            (r#"{"rows":{"rows":{"delete":["1"],"put":[]}}}"#, "empty part"),
        ];
        for (delta, expected) in cases {
            let error = applied(base, delta).unwrap_err().to_string();
            assert!(error.contains(expected), "{delta}: {error}");
        }
        let tight = apply(&document(base), br#"{"set":{"b":"long enough"}}"#, &Bounds::default(), 80);
        assert_eq!(tight.unwrap_err(), DeltaError::TooLarge(80));
    }
}

//! A record's canonical bytes with an index of its top-level members and of the rows in its keyed arrays.
//!
//! Deltas and digests work on these bytes directly: no tree of values is ever built for a record that is packed or
//! verified, so memory stays a small multiple of the record's size.

use std::ops::Range;

use super::canonical::{self, Bounds, CanonicalError, Form, KeyField, Scanned, Scanner};
use super::envelope::{Envelope, EnvelopeError};

/// A place in a document's bytes. Records are far smaller than [`MAX_SIZE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

/// No document can be larger than this, whatever the limits say; keys' lengths need a bit less than places.
pub const MAX_SIZE: u64 = (u32::MAX >> 1) as u64;

impl Span {
    /// Places are below [`MAX_SIZE`], which [`Document::parse`] checks first.
    #[expect(clippy::cast_possible_truncation, reason = "documents are at most MAX_SIZE bytes")]
    pub fn new(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The same place after what it lies in went from `from` to `to`.
    fn moved(self, from: usize, to: usize) -> Self {
        let range = self.range();
        Self::new(range.start - from + to..range.end - from + to)
    }
}

/// A top-level member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The name as spelled between the quotes.
    pub name: Span,
    pub value: Span,
    pub rows: Option<Rows>,
}

/// The rows of a keyed array, sorted by their key.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub field: KeyField,
    pub rows: Vec<Row>,
}

/// One row of a keyed array. A record can have millions, so that each takes 16 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    value: Span,
    /// Where the key's spelling begins.
    key_start: u32,
    /// How long it is, and in the lowest bit whether the row has a string `uuid`.
    key_length: u32,
}

impl Row {
    /// A row at `value` with its key at `key`; `has_uuid` decides what the array is keyed by.
    pub fn new(value: Span, key: Span, has_uuid: bool) -> Self {
        Self { value, key_start: key.start, key_length: (key.end - key.start) << 1 | u32::from(has_uuid) }
    }

    /// Indexes a row of `bytes` that was scanned.
    pub fn index(row: &Scanned<'_>, field: KeyField, bytes: &[u8]) -> Option<Self> {
        let key = row.keys.field(field)?;
        let value = Span::new(row.range.clone());
        Some(Self::new(value, Span::new(offset_of(bytes, key)), row.keys.uuid.is_some()))
    }

    pub fn value(self) -> Span {
        self.value
    }

    /// The key's spelling between the quotes.
    pub fn key(self) -> Span {
        Span { start: self.key_start, end: self.key_start + (self.key_length >> 1) }
    }

    pub fn has_uuid(self) -> bool {
        self.key_length & 1 == 1
    }

    /// The same row after what it lies in went from `from` to `to`.
    pub fn moved(self, from: usize, to: usize) -> Self {
        Self::new(self.value.moved(from, to), self.key().moved(from, to), self.has_uuid())
    }
}

/// A canonical record in memory.
#[derive(Debug, Clone)]
pub struct Document {
    bytes: Vec<u8>,
    members: Vec<Member>,
}

impl Document {
    /// Indexes canonical bytes.
    ///
    /// # Errors
    /// Bytes that are not the canonical spelling of a JSON object, or that exceed `bounds`.
    pub fn parse(bytes: Vec<u8>, bounds: &Bounds) -> Result<Self, CanonicalError> {
        Self::parse_or_return(bytes, bounds).map_err(|(error, _)| error)
    }

    /// As [`Document::parse`], and gives bytes that are refused back.
    pub(crate) fn parse_or_return(bytes: Vec<u8>, bounds: &Bounds) -> Result<Self, (CanonicalError, Vec<u8>)> {
        match Self::index(&bytes, bounds) {
            Ok(members) => Ok(Self { bytes, members }),
            Err(error) => Err((error, bytes)),
        }
    }

    fn index(bytes: &[u8], bounds: &Bounds) -> Result<Vec<Member>, CanonicalError> {
        let mut members = Vec::new();
        if bytes.len() as u64 > MAX_SIZE {
            return Err(CanonicalError { path: "$".into(), reason: canonical::Reason::Spelling("a record of 2 GiB") });
        }
        let mut scanner = Scanner::new(bytes, Form::Record, bounds);
        scanner
            .members_with(|scanner, name| {
                let name = Span::new(offset_of(bytes, name));
                let (value, rows) = scan_member(scanner, bytes)?;
                members.push(Member { name, value, rows });
                Ok(())
            })
            .and_then(|()| scanner.end())
            .map_err(CanonicalError::rooted)?;
        Ok(members)
    }

    pub(crate) fn from_parts(bytes: Vec<u8>, members: Vec<Member>) -> Self {
        Self { bytes, members }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the canonical bytes back.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The text at a place, which is valid UTF-8 since the document was scanned.
    pub(crate) fn text(&self, span: Span) -> &str {
        std::str::from_utf8(&self.bytes[span.range()]).unwrap_or_default()
    }

    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.range()]
    }

    fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| self.text(member.name) == name)
    }

    /// Reads the members that every record has.
    ///
    /// # Errors
    /// A record that lacks one of them or spells it wrong.
    pub fn envelope(&self) -> Result<Envelope, EnvelopeError> {
        let value = |name| self.member(name).map(|member| self.text(member.value));
        Envelope::from_members(value("kind"), value("version"), value("time"), value("complete"))
    }

    /// How many rows each top-level array has, by name.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, u64)> {
        let arrays = self.members.iter().filter(|member| self.bytes.get(member.value.range().start) == Some(&b'['));
        arrays.map(|member| (canonical::unescape(self.text(member.name)).into_owned(), self.rows_in(member))).collect()
    }

    fn rows_in(&self, member: &Member) -> u64 {
        if let Some(rows) = &member.rows {
            return rows.rows.len() as u64;
        }
        let mut count = 0;
        let bounds = Bounds { depth: usize::MAX, string: usize::MAX };
        // The value was scanned before, so that it can't fail now.
        let scanned = Scanner::new(self.slice(member.value), Form::Plain, &bounds).elements(|_| {
            count += 1;
            Ok(())
        });
        debug_assert!(scanned.is_ok());
        count
    }
}

/// Passes over one top-level value and indexes it.
pub(crate) fn scan_member<'a>(
    scanner: &mut Scanner<'a>,
    bytes: &'a [u8],
) -> Result<(Span, Option<Rows>), CanonicalError> {
    if scanner.peek() != Some(b'[') {
        return Ok((Span::new(scanner.value()?.range), None));
    }
    let start = scanner.position();
    let mut rows = Vec::new();
    let field = scanner.rows(|field, row| rows.extend(Row::index(row, field, bytes)))?;
    Ok((Span::new(start..scanner.position()), field.map(|field| Rows { field, rows })))
}

/// Where the slice `part` lies in `whole`, which it was cut from.
pub(crate) fn offset_of(whole: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document, CanonicalError> {
        Document::parse(text.as_bytes().to_vec(), &Bounds::default())
    }

    #[test]
    fn the_index_finds_members_rows_and_counts() {
        let text = r#"{"complete":false,"kind":"k","list":[1,2],"rows":[{"uuid":"a"},{"uuid":"b"}],"time":"2026-01-01T00:00:00Z","version":"v1"}"#;
        let document = parse(text).unwrap();
        assert_eq!(document.counts(), [("list".to_owned(), 2), ("rows".to_owned(), 2)]);
        let rows = document.member("rows").unwrap().rows.as_ref().unwrap();
        assert_eq!(document.text(rows.rows[1].key()), "b");
        let envelope = document.envelope().unwrap();
        assert_eq!((envelope.kind.as_str(), envelope.complete), ("k", false));
    }

    #[test]
    fn what_is_no_canonical_object_is_refused() {
        for text in ["[]", "1", "{\"b\":1,\"a\":1}", "{\"a\":1} ", "{\"a\":[{\"id\":\"b\"},{\"id\":\"a\"}]}"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

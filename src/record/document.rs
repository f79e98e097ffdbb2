//! A record's canonical bytes with an outline of its top-level members and of the rows in its keyed arrays.
//!
//! Deltas and digests work on these bytes directly: no tree of values is ever built for a record that is packed or
//! verified, and its outline is small (`outline`), so that the memory of a record is that of its bytes.

use std::fmt;

use super::canonical::walk::{Elements, Raw};
use super::canonical::{self, Bounds, CanonicalError, Form, Scanner};
use super::envelope::{Envelope, EnvelopeError};
use super::outline::Outline;

/// No document can be larger than this, whatever the limits say; outlines have no room for more.
pub const MAX_SIZE: u64 = (u32::MAX >> 1) as u64;

/// A canonical record in memory.
#[derive(Clone)]
pub struct Document {
    bytes: Vec<u8>,
    outline: Outline,
    /// How deep it nests, or more.
    depth: usize,
}

impl Document {
    /// Outlines canonical bytes.
    ///
    /// # Errors
    /// Bytes that are not the canonical spelling of a JSON object, or that exceed `bounds`.
    pub fn parse(bytes: Vec<u8>, bounds: &Bounds) -> Result<Self, CanonicalError> {
        Self::parse_or_return(bytes, bounds).map_err(|(error, _)| error)
    }

    /// As [`Document::parse`], and gives bytes that are refused back.
    pub(crate) fn parse_or_return(bytes: Vec<u8>, bounds: &Bounds) -> Result<Self, (CanonicalError, Vec<u8>)> {
        match outline(&bytes, bounds) {
            Ok((outline, depth)) => Ok(Self { bytes, outline, depth }),
            Err(error) => Err((error.rooted(), bytes)),
        }
    }

    pub(crate) fn from_parts(bytes: Vec<u8>, outline: Outline, depth: usize) -> Self {
        Self { bytes, outline, depth }
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

    pub(crate) fn outline(&self) -> &Outline {
        &self.outline
    }

    /// How deep it nests at most.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Reads the members that every record has.
    ///
    /// # Errors
    /// A record that lacks one of them or spells it wrong.
    pub fn envelope(&self) -> Result<Envelope, EnvelopeError> {
        let value = |name: Raw<'_>| {
            let member = self.outline.find(&self.bytes, name)?;
            std::str::from_utf8(&self.bytes[member.value]).ok()
        };
        Envelope::from_members(value(b"kind"), value(b"version"), value(b"time"), value(b"complete"))
    }

    /// How many elements each top-level array has, by name.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, u64)> {
        let members = self.outline.members(&self.bytes);
        let arrays = members.filter(|member| self.bytes.get(member.value.start) == Some(&b'['));
        let counts = arrays.map(|member| {
            let count = match member.rows(&self.bytes) {
                Some(rows) => u64::from(rows.count),
                None => Elements::new(&self.bytes, member.value.start).count() as u64,
            };
            (canonical::text_of(member.name).into_owned(), count)
        });
        counts.collect()
    }
}

/// Outlines canonical bytes; also how deep they nest.
fn outline(bytes: &[u8], bounds: &Bounds) -> Result<(Outline, usize), CanonicalError> {
    if bytes.len() as u64 > MAX_SIZE {
        return Err(CanonicalError { path: String::new(), reason: canonical::Reason::Spelling("a record of 2 GiB") });
    }
    let mut outline = Outline::default();
    let mut scanner = Scanner::new(bytes, Form::Record, bounds);
    scanner.members_with(|scanner, name| {
        // Before the value: the name in its quotes and a colon.
        let start = scanner.position() - name.len() - 3;
        let (value, rows) = scanner.member_value()?;
        outline.push(start..value.end, rows);
        Ok(())
    })?;
    scanner.end()?;
    Ok((outline, scanner.deepest()))
}

/// Shows the bytes, and whether the outline is sound: one that was kept up to date by deltas has other landmarks than one
/// that is new.
impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sound = if self.outline.is_sound(&self.bytes) { "sound" } else { "broken" };
        let bytes = String::from_utf8_lossy(&self.bytes);
        formatter.debug_struct("Document").field("bytes", &bytes).field("outline", &sound).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document, CanonicalError> {
        Document::parse(text.as_bytes().to_vec(), &Bounds::default())
    }

    #[test]
    fn the_outline_finds_members_rows_and_counts() {
        let text = r#"{"complete":false,"kind":"k","list":[1,2],"rows":[{"uuid":"a"},{"uuid":"b"}],"time":"2026-01-01T00:00:00Z","version":"v1"}"#;
        let document = parse(text).unwrap();
        assert_eq!(document.counts(), [("list".to_owned(), 2), ("rows".to_owned(), 2)]);
        let member = document.outline.find(document.bytes(), b"rows").unwrap();
        let rows = member.rows(document.bytes()).unwrap();
        assert_eq!((rows.field, rows.count, rows.with_uuid), (canonical::KeyField::Uuid, 2, 2));
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

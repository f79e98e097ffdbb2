//! Making canonical JSON from any JSON text: serde reads the text, and a visitor writes the canonical spelling as it goes.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Bounds, CanonicalError, Form, KeyField, MAX_INTEGER, Reason, RowKeys, compare_names};
use crate::record::Row;

/// Returns the canonical bytes of the JSON text `input`.
///
/// # Errors
/// What canonical JSON can't carry, and what exceeds `bounds`, with its path.
pub fn canonicalize(input: &[u8], form: Form, bounds: &Bounds) -> Result<Vec<u8>, CanonicalError> {
    let mut writer = Writer { out: Vec::with_capacity(input.len()), form, bounds, failure: None, exponent: false };
    let mut deserializer = serde_json::Deserializer::from_slice(input);
    let parsed = ValueSeed { writer: &mut writer, depth: 0 }.deserialize(&mut deserializer);
    if let Err(error) = parsed.and_then(|_| deserializer.end()) {
        let error = writer.failure.unwrap_or_else(|| CanonicalError::new(Reason::Syntax(error.to_string())));
        return Err(error.rooted());
    }
    if writer.exponent && has_long_integer(input) {
        return Err(CanonicalError::new(Reason::IntegerRange).rooted());
    }
    Ok(writer.out)
}

/// Writes a record member by member, so that no more than one row of it is in memory twice.
#[derive(Debug, Default)]
pub struct RecordWriter {
    out: Vec<u8>,
}

impl RecordWriter {
    /// Writes the next member; members come in canonical order.
    ///
    /// # Errors
    /// What canonical JSON can't carry.
    pub fn member<T: Serialize>(&mut self, name: &str, value: &T) -> Result<(), CanonicalError> {
        self.begin(name);
        self.value(value).map_err(|error| error.under_member(name).rooted())
    }

    /// Writes the next member if there is a value.
    ///
    /// # Errors
    /// As [`RecordWriter::member`].
    pub fn optional<T: Serialize>(&mut self, name: &str, value: Option<&T>) -> Result<(), CanonicalError> {
        value.map_or(Ok(()), |value| self.member(name, value))
    }

    /// Writes a keyed array as the next member. Rows are unique.
    ///
    /// # Errors
    /// As [`RecordWriter::member`].
    pub fn rows<R: Row>(&mut self, name: &str, mut rows: Vec<R>) -> Result<(), CanonicalError> {
        rows.sort_by_key(Row::key);
        self.begin(name);
        self.out.push(b'[');
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.value(row).map_err(|error| error.under_index(index).under_member(name).rooted())?;
        }
        self.out.push(b']');
        Ok(())
    }

    /// The canonical bytes.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }

    fn begin(&mut self, name: &str) {
        self.out.push(if self.out.is_empty() { b'{' } else { b',' });
        write_string(&mut self.out, name);
        self.out.push(b':');
    }

    fn value<T: Serialize>(&mut self, value: &T) -> Result<(), CanonicalError> {
        let text = serde_json::to_vec(value).map_err(|error| CanonicalError::new(Reason::Syntax(error.to_string())))?;
        let bounds = Bounds { depth: 64, string: usize::MAX };
        self.out.extend_from_slice(&canonicalize(&text, Form::Record, &bounds).map_err(CanonicalError::unrooted)?);
        Ok(())
    }
}

/// Whether a token that is a plain integer has more digits than any exact one; those read as floats of 1e21 and above.
fn has_long_integer(input: &[u8]) -> bool {
    let (mut in_string, mut escaped, mut digits, mut plain) = (false, false, 0_usize, true);
    for &byte in input {
        if in_string {
            (in_string, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        match byte {
            b'0'..=b'9' => digits += 1,
            b'.' | b'e' | b'E' | b'+' if digits > 0 => plain = false,
            _ => {
                if digits > 16 && plain {
                    return true;
                }
                (in_string, digits, plain) = (byte == b'"', 0, true);
            }
        }
    }
    digits > 16 && plain
}

/// Writes a string literal with the escapes of RFC 8785, section 3.2.2.2.
fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain_from..at]);
        plain_from = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain_from..]);
    out.push(b'"');
}

struct Writer<'a> {
    out: Vec<u8>,
    form: Form,
    bounds: &'a Bounds,
    /// The error with its path; serde's own can't carry one.
    failure: Option<CanonicalError>,
    /// A float of 1e21 or more was read, which may have been an integer in the text.
    exponent: bool,
}

impl Writer<'_> {
    fn fail<E: serde::de::Error>(&mut self, reason: Reason) -> E {
        self.failure = Some(CanonicalError::new(reason));
        E::custom("")
    }

    fn string<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        if text.len() > self.bounds.string {
            return Err(self.fail(Reason::StringTooLong(self.bounds.string)));
        }
        write_string(&mut self.out, text);
        Ok(())
    }

    fn descend<E: serde::de::Error>(&mut self, depth: usize) -> Result<(), E> {
        if depth >= self.bounds.depth {
            return Err(self.fail(Reason::TooDeep(self.bounds.depth)));
        }
        Ok(())
    }

    fn locate<E: serde::de::Error>(&mut self, error: E, step: impl FnOnce(CanonicalError) -> CanonicalError) -> E {
        let failure = self.failure.take().unwrap_or_else(|| CanonicalError::new(Reason::Syntax(error.to_string())));
        self.failure = Some(step(failure));
        error
    }

    /// Puts the pieces of `out` at `ranges` into the given order; they lie behind one another, separated by commas.
    fn reorder(&mut self, start: usize, ordered: &[Range<usize>]) {
        let mut sorted = Vec::with_capacity(self.out.len() - start);
        for (index, range) in ordered.iter().enumerate() {
            if index > 0 {
                sorted.push(b',');
            }
            sorted.extend_from_slice(&self.out[range.clone()]);
        }
        self.out.truncate(start);
        self.out.append(&mut sorted);
    }
}

struct ValueSeed<'w, 'a> {
    writer: &'w mut Writer<'a>,
    depth: usize,
}

/// What a value was, as far as the container around it needs to know.
enum Written {
    Text(String),
    Object(RowKeys<String>),
    Other,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_> {
    type Value = Written;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Written, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_> {
    type Value = Written;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Written, E> {
        self.writer.out.extend_from_slice(b"null");
        Ok(Written::Other)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Written, E> {
        self.writer.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(Written::Other)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Written, E> {
        if value > MAX_INTEGER {
            return Err(self.writer.fail(Reason::IntegerRange));
        }
        self.writer.out.extend_from_slice(value.to_string().as_bytes());
        Ok(Written::Other)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Written, E> {
        if value.unsigned_abs() > MAX_INTEGER {
            return Err(self.writer.fail(Reason::IntegerRange));
        }
        self.writer.out.extend_from_slice(value.to_string().as_bytes());
        Ok(Written::Other)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Written, E> {
        #[expect(clippy::cast_precision_loss, reason = "2^53-1 is exact")]
        if value.abs() > MAX_INTEGER as f64 && value.abs() < 1e21 {
            return Err(self.writer.fail(Reason::IntegerRange));
        }
        self.writer.exponent |= value.abs() >= 1e21;
        self.writer.out.extend_from_slice(ryu_js::Buffer::new().format_finite(value).as_bytes());
        Ok(Written::Other)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Written, E> {
        self.writer.string(value)?;
        // Only a possible row key is worth a copy.
        Ok(if self.writer.form == Form::Record { Written::Text(value.to_owned()) } else { Written::Other })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Written, A::Error> {
        let Self { writer, depth } = self;
        writer.descend(depth)?;
        writer.out.push(b'[');
        let start = writer.out.len();
        let mut rows = Some(Vec::new());
        for index in 0.. {
            if index > 0 {
                writer.out.push(b',');
            }
            let from = writer.out.len();
            match items.next_element_seed(ValueSeed { writer, depth: depth + 1 }) {
                Err(error) => return Err(writer.locate(error, |e| e.under_index(index))),
                Ok(None) => {
                    writer.out.truncate(if index > 0 { from - 1 } else { from });
                    break;
                }
                Ok(Some(Written::Object(keys))) if writer.form == Form::Record => {
                    if let Some(rows) = &mut rows {
                        rows.push((keys, from..writer.out.len()));
                    }
                }
                Ok(Some(_)) => rows = None,
            }
        }
        if let Some(rows) = rows {
            sort_rows(writer, start, rows);
        }
        writer.out.push(b']');
        Ok(Written::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Written, A::Error> {
        let Self { writer, depth } = self;
        writer.descend(depth)?;
        writer.out.push(b'{');
        let start = writer.out.len();
        let mut named: Vec<(String, Range<usize>)> = Vec::new();
        let mut keys = RowKeys { is_object: true, uuid: None, id: None };
        while let Some(name) = members.next_key::<String>()? {
            if !named.is_empty() {
                writer.out.push(b',');
            }
            let from = writer.out.len();
            writer.string(&name)?;
            writer.out.push(b':');
            let written = members
                .next_value_seed(ValueSeed { writer, depth: depth + 1 })
                .map_err(|error| writer.locate(error, |e| e.under_member(&name)))?;
            match (name.as_str(), written) {
                ("uuid", Written::Text(text)) => keys.uuid = Some(text),
                ("id", Written::Text(text)) => keys.id = Some(text),
                _ => {}
            }
            named.push((name, from..writer.out.len()));
        }
        if !named.is_sorted_by(|left, right| compare_names(&left.0, &right.0) == Ordering::Less) {
            named.sort_by(|left, right| compare_names(&left.0, &right.0));
            if let Some(twice) = named.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                let name = twice[0].0.clone();
                let error = writer.fail(Reason::DuplicateMember);
                return Err(writer.locate(error, |e| e.under_member(&name)));
            }
            let ranges: Vec<_> = named.into_iter().map(|(_, range)| range).collect();
            writer.reorder(start, &ranges);
        }
        writer.out.push(b'}');
        Ok(Written::Object(keys))
    }
}

fn sort_rows(writer: &mut Writer<'_>, start: usize, rows: Vec<(RowKeys<String>, Range<usize>)>) {
    let field = if rows.iter().all(|(keys, _)| keys.uuid.is_some()) {
        KeyField::Uuid
    } else if rows.iter().all(|(keys, _)| keys.id.is_some()) {
        KeyField::Id
    } else {
        return;
    };
    let mut keyed: Vec<_> = rows.into_iter().filter_map(|(keys, range)| Some((keys.field(field)?, range))).collect();
    if keyed.is_sorted_by(|left, right| left.0 < right.0) {
        return;
    }
    keyed.sort_by(|left, right| left.0.cmp(&right.0));
    if keyed.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return;
    }
    let ranges: Vec<_> = keyed.into_iter().map(|(_, range)| range).collect();
    writer.reorder(start, &ranges);
}

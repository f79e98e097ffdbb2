//! Canonical JSON: the one spelling that a document has in this product.
//!
//! RFC 8785 (JCS), and for records the sorting of keyed arrays that `docs/bundle-format.md` adds. [`canonicalize`]
//! turns any JSON text into its canonical bytes, [`check`] tells whether bytes are canonical already without building
//! anything in memory. What JCS can't carry exactly is refused with its path. This file never looks at what a document
//! means.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// The largest magnitude of an integer that every JSON reader keeps: 2^53 − 1 (RFC 7493, section 2.2).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// What is sorted beyond the member names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// RFC 8785 as it stands: arrays keep their order (manifests, receipts, delta entries).
    Plain,
    /// Records: keyed arrays are sorted by their key as well.
    Record,
}

/// Bounds that hold for a document from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How deep arrays and objects may nest.
    pub depth: usize,
    /// The longest string or member name, in bytes of UTF-8.
    pub string: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { depth: 64, string: 64 * 1024 }
    }
}

/// Why bytes are not, or can't be made, canonical JSON; `path` says where in the document (`$` is its root).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {path}: {reason}")]
pub struct CanonicalError {
    /// Where: `$.clusters[3].name`, with control characters escaped.
    pub path: String,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a place in a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not JSON at all (or invalid UTF-8, a lone surrogate, a number that overflows).
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// An object names a member twice.
    #[error("a member is named twice")]
    DuplicateMember,
    /// An integer that not every JSON reader keeps exactly.
    #[error("an integer beyond ±(2^53-1)")]
    IntegerRange,
    /// Nested deeper than [`Bounds::depth`].
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    /// A string longer than [`Bounds::string`].
    #[error("a string longer than {0} bytes")]
    StringTooLong(usize),
    /// Valid JSON, but not spelled canonically.
    #[error("not canonical JSON (RFC 8785): {0}")]
    Spelling(&'static str),
    /// A keyed array that is not sorted by its key.
    #[error("an array of rows that is not sorted by `{0}`")]
    RowOrder(&'static str),
}

impl CanonicalError {
    fn new(reason: Reason) -> Self {
        Self { path: String::new(), reason }
    }

    fn under_member(mut self, name: &str) -> Self {
        let escaped = name.escape_debug();
        self.path = format!(".{escaped}{}", self.path);
        self
    }

    fn under_index(mut self, index: usize) -> Self {
        self.path = format!("[{index}]{}", self.path);
        self
    }

    /// Completes the path once the error has left the whole document.
    pub(crate) fn rooted(mut self) -> Self {
        self.path.insert(0, '$');
        self
    }
}

/// The member that an array's rows are keyed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyField {
    /// `uuid`, which wins over `id`.
    Uuid,
    /// `id`.
    Id,
}

impl KeyField {
    /// The member's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Id => "id",
        }
    }
}

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

/// Serializes `value` to canonical bytes.
///
/// # Errors
/// As [`canonicalize`].
pub fn to_canonical<T: serde::Serialize>(value: &T, form: Form) -> Result<Vec<u8>, CanonicalError> {
    let text =
        serde_json::to_vec(value).map_err(|error| CanonicalError::new(Reason::Syntax(error.to_string())).rooted())?;
    canonicalize(&text, form, &Bounds { depth: 64, string: usize::MAX })
}

/// Checks that `input` is canonical, byte for byte.
///
/// # Errors
/// The first place that is not.
pub fn check(input: &[u8], form: Form, bounds: &Bounds) -> Result<(), CanonicalError> {
    let mut scanner = Scanner::new(input, form, bounds);
    scanner.document().map_err(CanonicalError::rooted)
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
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
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

/// Member names are ordered by UTF-16 code units (RFC 8785, section 3.2.3).
pub(crate) fn compare_names(left: &str, right: &str) -> Ordering {
    if left.is_ascii() && right.is_ascii() { left.cmp(right) } else { left.encode_utf16().cmp(right.encode_utf16()) }
}

/// What a row offers to be keyed by.
#[derive(Debug, Default)]
pub(crate) struct RowKeys<T> {
    pub is_object: bool,
    pub uuid: Option<T>,
    pub id: Option<T>,
}

impl<T> RowKeys<T> {
    /// The row's value of `field`.
    pub fn field(self, field: KeyField) -> Option<T> {
        match field {
            KeyField::Uuid => self.uuid,
            KeyField::Id => self.id,
        }
    }
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

/// A string literal's contents between the quotes, in canonical spelling.
pub(crate) type RawStr<'a> = &'a str;

/// Reads canonical bytes one value at a time, refusing any other spelling. Keeps nothing but positions.
pub(crate) struct Scanner<'a> {
    input: &'a [u8],
    pos: usize,
    form: Form,
    bounds: Bounds,
    depth: usize,
}

/// What [`Scanner::value`] passed over.
pub(crate) struct Scanned<'a> {
    /// Where the value's bytes lie.
    pub range: Range<usize>,
    /// The contents of a string, as spelled.
    pub text: Option<RawStr<'a>>,
    /// The keys that the value has if it is an object.
    pub keys: RowKeys<RawStr<'a>>,
}

/// A keyed array: the field that it is keyed by and its rows, in order.
pub(crate) struct KeyedArray<'a> {
    pub field: KeyField,
    pub rows: Vec<Scanned<'a>>,
}

type Scan<T> = Result<T, CanonicalError>;

impl<'a> Scanner<'a> {
    pub fn new(input: &'a [u8], form: Form, bounds: &Bounds) -> Self {
        Self { input, pos: 0, form, bounds: *bounds, depth: 0 }
    }

    fn document(&mut self) -> Scan<()> {
        self.value()?;
        self.end()
    }

    /// Refuses anything behind the value.
    pub fn end(&self) -> Scan<()> {
        if self.pos == self.input.len() { Ok(()) } else { spelling("something follows the document") }
    }

    pub fn position(&self) -> usize {
        self.pos
    }

    pub fn peek(&self) -> Option<u8> {
        self.input.get(self.pos).copied()
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Scan<()> {
        if self.peek() != Some(byte) {
            return spelling(what);
        }
        self.pos += 1;
        Ok(())
    }

    /// Passes over one value.
    pub fn value(&mut self) -> Scan<Scanned<'a>> {
        let from = self.pos;
        let (mut text, mut keys) = (None, RowKeys::default());
        match self.peek() {
            Some(b'{') => keys = self.object()?,
            Some(b'[') => self.array()?,
            Some(b'"') => text = Some(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal("true")?,
            Some(b'f') => self.literal("false")?,
            Some(b'n') => self.literal("null")?,
            _ => return spelling("a value is expected"),
        }
        Ok(Scanned { range: from..self.pos, text, keys })
    }

    fn literal(&mut self, word: &'static str) -> Scan<()> {
        if !self.input[self.pos..].starts_with(word.as_bytes()) {
            return spelling("a value is expected");
        }
        self.pos += word.len();
        Ok(())
    }

    fn object(&mut self) -> Scan<RowKeys<RawStr<'a>>> {
        let mut keys = RowKeys { is_object: true, uuid: None, id: None };
        self.members(|_, name, value| {
            match name {
                "uuid" => keys.uuid = value.text,
                "id" => keys.id = value.text,
                _ => {}
            }
            Ok(())
        })?;
        Ok(keys)
    }

    /// Passes over an object, handing each member to `visit`.
    pub fn members(&mut self, mut visit: impl FnMut(&mut Self, RawStr<'a>, Scanned<'a>) -> Scan<()>) -> Scan<()> {
        self.members_with(|scanner, name| {
            let value = scanner.value()?;
            visit(scanner, name, value)
        })
    }

    /// Passes over an object; `visit` is handed each name and must pass over its value.
    pub fn members_with(&mut self, mut visit: impl FnMut(&mut Self, RawStr<'a>) -> Scan<()>) -> Scan<()> {
        self.open(b'{', "an object is expected")?;
        let mut previous: Option<RawStr<'a>> = None;
        if self.peek() != Some(b'}') {
            loop {
                let name = self.string()?;
                let ordered = previous.map(|before| compare_names(&unescape(before), &unescape(name)));
                match ordered {
                    None | Some(Ordering::Less) => previous = Some(name),
                    Some(Ordering::Equal) => {
                        return Err(CanonicalError::new(Reason::DuplicateMember).under_member(name));
                    }
                    Some(Ordering::Greater) => return spelling("member names are not sorted"),
                }
                self.expect(b':', "a colon is expected")?;
                visit(self, name).map_err(|error| error.under_member(name))?;
                if self.peek() != Some(b',') {
                    break;
                }
                self.pos += 1;
            }
        }
        self.close(b'}', "an object must end here, or go on with a comma")
    }

    fn open(&mut self, byte: u8, what: &'static str) -> Scan<()> {
        if self.depth >= self.bounds.depth {
            return Err(CanonicalError::new(Reason::TooDeep(self.bounds.depth)));
        }
        self.depth += 1;
        self.expect(byte, what)
    }

    fn close(&mut self, byte: u8, what: &'static str) -> Scan<()> {
        self.depth -= 1;
        self.expect(byte, what)
    }

    fn array(&mut self) -> Scan<()> {
        let mut order = RowOrder::default();
        let record = self.form == Form::Record;
        self.elements(|value| {
            if record {
                order.push(&value);
            }
            Ok(())
        })?;
        match order.outcome() {
            Order::Unsorted(field) => Err(CanonicalError::new(Reason::RowOrder(field.name()))),
            Order::Sorted(_) | Order::NotKeyed => Ok(()),
        }
    }

    /// Passes over an array, handing each element to `visit`.
    pub fn elements(&mut self, mut visit: impl FnMut(Scanned<'a>) -> Scan<()>) -> Scan<()> {
        self.open(b'[', "an array is expected")?;
        if self.peek() != Some(b']') {
            for index in 0.. {
                let value = self.value().map_err(|error| error.under_index(index))?;
                visit(value).map_err(|error| error.under_index(index))?;
                if self.peek() != Some(b',') {
                    break;
                }
                self.pos += 1;
            }
        }
        self.close(b']', "an array must end here, or go on with a comma")
    }

    /// Passes over an array and returns its rows if it is keyed.
    pub fn rows(&mut self) -> Scan<Option<KeyedArray<'a>>> {
        let mut rows = Some(Vec::new());
        let mut order = RowOrder::default();
        self.elements(|value| {
            order.push(&value);
            match &mut rows {
                Some(list) if value.keys.is_object => list.push(value),
                _ => rows = None,
            }
            Ok(())
        })?;
        match order.outcome() {
            Order::NotKeyed => Ok(None),
            Order::Unsorted(field) => Err(CanonicalError::new(Reason::RowOrder(field.name()))),
            Order::Sorted(field) => Ok(rows.map(|rows| KeyedArray { field, rows })),
        }
    }

    fn string(&mut self) -> Scan<RawStr<'a>> {
        self.expect(b'"', "a string is expected")?;
        let from = self.pos;
        loop {
            match self.peek() {
                None => return spelling("a string does not end"),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return spelling("a control character is not escaped"),
                Some(_) => self.pos += 1,
            }
        }
        let raw = &self.input[from..self.pos];
        self.pos += 1;
        if raw.len() > self.bounds.string && unescape_len(raw) > self.bounds.string {
            return Err(CanonicalError::new(Reason::StringTooLong(self.bounds.string)));
        }
        std::str::from_utf8(raw).map_err(|_| CanonicalError::new(Reason::Syntax("invalid UTF-8".to_owned())))
    }

    fn escape(&mut self) -> Scan<()> {
        match self.input.get(self.pos + 1) {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => self.pos += 2,
            Some(b'u') => {
                let digits = self.input.get(self.pos + 2..self.pos + 6).unwrap_or_default();
                let short = [b"0008", b"0009", b"000a", b"000c", b"000d"].iter().any(|code| digits == *code);
                let control = matches!(digits, [b'0', b'0', b'0' | b'1', b'0'..=b'9' | b'a'..=b'f']);
                if !control || short {
                    return spelling("an escape that is not the shortest");
                }
                self.pos += 6;
            }
            _ => return spelling("an escape that is not the shortest"),
        }
        Ok(())
    }

    fn number(&mut self) -> Scan<()> {
        let from = self.pos;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.pos += 1;
        }
        let token = std::str::from_utf8(&self.input[from..self.pos]).unwrap_or_default();
        let digits = token.strip_prefix('-').unwrap_or(token);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let canonical = digits == "0" && digits.len() == token.len() || !digits.starts_with('0');
            return match digits.parse::<u64>() {
                _ if !canonical => spelling("a number that is not the shortest spelling"),
                Ok(value) if value <= MAX_INTEGER => Ok(()),
                _ => Err(CanonicalError::new(Reason::IntegerRange)),
            };
        }
        match token.parse::<f64>() {
            Ok(value) if value.is_finite() && ryu_js::Buffer::new().format_finite(value) == token => Ok(()),
            _ => spelling("a number that is not the shortest spelling"),
        }
    }
}

fn spelling<T>(what: &'static str) -> Scan<T> {
    Err(CanonicalError::new(Reason::Spelling(what)))
}

/// Follows the elements of an array to tell whether it is keyed and sorted; keeps their keys only once they are not.
#[derive(Default)]
struct RowOrder<'a> {
    not_rows: bool,
    uuid: KeyOrder<'a>,
    id: KeyOrder<'a>,
}

impl<'a> RowOrder<'a> {
    fn push(&mut self, value: &Scanned<'a>) {
        self.not_rows |= !value.keys.is_object;
        if !self.not_rows {
            self.uuid.push(value.keys.uuid);
            self.id.push(value.keys.id);
        }
    }

    fn outcome(self) -> Order {
        let (field, keys) = if self.uuid.missing { (KeyField::Id, self.id) } else { (KeyField::Uuid, self.uuid) };
        if self.not_rows || keys.missing || keys.seen.is_empty() {
            Order::NotKeyed
        } else if !keys.unsorted {
            Order::Sorted(field)
        } else if has_repeats(keys.seen) {
            Order::NotKeyed
        } else {
            Order::Unsorted(field)
        }
    }
}

enum Order {
    NotKeyed,
    Sorted(KeyField),
    Unsorted(KeyField),
}

#[derive(Default)]
struct KeyOrder<'a> {
    missing: bool,
    unsorted: bool,
    seen: Vec<RawStr<'a>>,
}

impl<'a> KeyOrder<'a> {
    fn push(&mut self, key: Option<RawStr<'a>>) {
        match key {
            Some(key) if !self.missing => {
                self.unsorted |= self.seen.last().is_some_and(|last| unescape(last) >= unescape(key));
                self.seen.push(key);
            }
            _ => {
                self.missing = true;
                self.seen = Vec::new();
            }
        }
    }
}

fn has_repeats(mut keys: Vec<RawStr<'_>>) -> bool {
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

/// The text that a canonically spelled string literal stands for.
pub(crate) fn unescape(raw: RawStr<'_>) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let quoted = format!("\"{raw}\"");
    serde_json::from_str::<String>(&quoted).map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// How many bytes a canonically spelled string literal stands for.
fn unescape_len(raw: &[u8]) -> usize {
    let (mut bytes, mut at) = (0, 0);
    while let Some(&byte) = raw.get(at) {
        at += match (byte, raw.get(at + 1)) {
            (b'\\', Some(b'u')) => 6,
            (b'\\', _) => 2,
            _ => 1,
        };
        bytes += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Result<String, CanonicalError> {
        canonicalize(text.as_bytes(), Form::Plain, &Bounds::default()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    fn record(text: &str) -> String {
        let bytes = canonicalize(text.as_bytes(), Form::Record, &Bounds::default()).unwrap();
        check(&bytes, Form::Record, &Bounds::default()).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_example_of_rfc_8785_comes_out_as_printed_there() {
        let input = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
            \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(plain(input).unwrap(), expected);
        check(expected.as_bytes(), Form::Plain, &Bounds::default()).unwrap();
    }

    #[test]
    fn members_are_ordered_by_utf_16_units() {
        // U+1F600 is D83D DE00 in UTF-16 and sorts before U+FB33, though not in UTF-8.
        assert_eq!(plain("{\"\u{fb33}\":1,\"\u{1f600}\":2,\"€\":3}").unwrap(), "{\"€\":3,\"😀\":2,\"\u{fb33}\":1}");
    }

    #[test]
    fn what_can_not_be_carried_is_refused_with_its_path() {
        let cases = [
            (r#"{"a":[0,{"b":9007199254740992}]}"#, "$.a[1].b", Reason::IntegerRange),
            ("-9007199254740992", "$", Reason::IntegerRange),
            ("[1e20]", "$[0]", Reason::IntegerRange),
            ("[1000000000000000000000000]", "$", Reason::IntegerRange),
            (r#"{"a":{"b":1,"c":2,"b":3}}"#, "$.a.b", Reason::DuplicateMember),
        ];
        for (input, path, reason) in cases {
            let error = plain(input).unwrap_err();
            assert_eq!((error.path.as_str(), &error.reason), (path, &reason), "{input}");
        }
        for input in [r#"["\ud800"]"#, "[1e999]", "[1,]", "{\"a\":1}{}", "[\"\u{1}\"]", "", "nul", "[01]"] {
            assert!(matches!(plain(input).unwrap_err().reason, Reason::Syntax(_)), "{input}");
        }
        let invalid = canonicalize(b"[\"\xff\"]", Form::Plain, &Bounds::default()).unwrap_err();
        assert!(matches!(invalid.reason, Reason::Syntax(_)));
    }

    #[test]
    fn bounds_hold_for_depth_and_strings() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(plain(&nested(64)).is_ok());
        assert_eq!(plain(&nested(65)).unwrap_err().reason, Reason::TooDeep(64));
        assert!(check(nested(64).as_bytes(), Form::Plain, &Bounds::default()).is_ok());
        assert!(check(nested(65).as_bytes(), Form::Plain, &Bounds::default()).is_err());
        let text = |length: usize| format!("\"{}\"", "x".repeat(length));
        assert!(plain(&text(65_536)).is_ok());
        assert_eq!(plain(&text(65_537)).unwrap_err().reason, Reason::StringTooLong(65_536));
        assert!(check(text(65_537).as_bytes(), Form::Plain, &Bounds::default()).is_err());
    }

    #[test]
    fn only_keyed_arrays_are_sorted_and_only_in_records() {
        let rows = r#"[{"uuid":"b"},{"uuid":"a"}]"#;
        assert_eq!(record(rows), r#"[{"uuid":"a"},{"uuid":"b"}]"#);
        assert_eq!(plain(rows).unwrap(), rows);
        for kept in [
            r#"[{"uuid":"b"},{"uuid":"a"},{"uuid":"b"}]"#,
            r#"[{"uuid":"b"},{"uuid":"a"},3]"#,
            r#"[{"uuid":"b"},{"id":"a"}]"#,
            r#"[{"uuid":2},{"uuid":1}]"#,
            r#"["b","a"]"#,
            "[]",
        ] {
            assert_eq!(record(kept), kept);
        }
        // `uuid` wins where all rows have it, and then repeats there make the array unkeyed whatever `id` says.
        assert_eq!(
            record(r#"[{"id":"1","uuid":"b"},{"id":"2","uuid":"a"}]"#),
            r#"[{"id":"2","uuid":"a"},{"id":"1","uuid":"b"}]"#
        );
        assert_eq!(
            record(r#"[{"id":"2","uuid":"a"},{"id":"1","uuid":"a"}]"#),
            r#"[{"id":"2","uuid":"a"},{"id":"1","uuid":"a"}]"#
        );
        assert_eq!(record(r#"[{"id":"2","uuid":"a"},{"id":"1"}]"#), r#"[{"id":"1"},{"id":"2","uuid":"a"}]"#);
        assert_eq!(record(r#"{"a":[{"b":[{"id":"2"},{"id":"1"}]}]}"#), r#"{"a":[{"b":[{"id":"1"},{"id":"2"}]}]}"#);
    }

    #[test]
    fn check_refuses_every_other_spelling() {
        for input in [
            " 1",
            "1 ",
            "{\"a\": 1}",
            "1.0",
            "1e2",
            "-0",
            "01",
            "1E21",
            "\"\\u0041\"",
            "\"\\/\"",
            "\"\\u000A\"",
            "\"\\u000a\"",
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":2}"#,
            "[1,]",
            "{",
            "[",
            "\"",
            "",
            "tru",
            "[1 ,2]",
            "9007199254740992",
            "+1",
            ".5",
            "1.",
            "--1",
            "1e+400",
            "\"\\ud800\"",
        ] {
            assert!(check(input.as_bytes(), Form::Plain, &Bounds::default()).is_err(), "{input}");
        }
        for input in ["0", "-1", "1e+21", "1e-7", "0.000001", "\"\\u001f\\t\u{7f}\"", "{\"a\":[]}", "9007199254740991"]
        {
            assert!(check(input.as_bytes(), Form::Plain, &Bounds::default()).is_ok(), "{input}");
        }
        let unsorted = r#"{"rows":[{"id":"2"},{"id":"1"}]}"#;
        assert!(check(unsorted.as_bytes(), Form::Plain, &Bounds::default()).is_ok());
        let error = check(unsorted.as_bytes(), Form::Record, &Bounds::default()).unwrap_err();
        assert_eq!(error.to_string(), "at $.rows: an array of rows that is not sorted by `id`");
    }
}

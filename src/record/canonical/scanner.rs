//! Reading canonical JSON: one pass over the bytes that refuses any other spelling and keeps nothing but positions.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use super::{Bounds, CanonicalError, Form, KeyField, MAX_INTEGER, Reason, RowKeys, compare_names};

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

type Scan<T> = Result<T, CanonicalError>;

impl<'a> Scanner<'a> {
    pub fn new(input: &'a [u8], form: Form, bounds: &Bounds) -> Self {
        Self { input, pos: 0, form, bounds: *bounds, depth: 0 }
    }

    /// Passes over a whole document.
    pub fn document(&mut self) -> Scan<()> {
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
        let start = self.pos;
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
                    Some(Ordering::Greater) if self.is_named_before(start, name)? => {
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

    /// Whether a member of the object whose members begin at `start` has this name, of those that were passed over.
    fn is_named_before(&mut self, start: usize, name: RawStr<'a>) -> Scan<bool> {
        let end = std::mem::replace(&mut self.pos, start);
        let mut found = false;
        // The last one before `end` is the name itself.
        while !found && self.pos < end {
            let other = self.string()?;
            found = self.pos < end && other == name;
            if self.pos < end {
                self.expect(b':', "a colon is expected")?;
                self.value()?;
                self.expect(b',', "a comma is expected")?;
            }
        }
        self.pos = end;
        Ok(found)
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
        match self.form {
            Form::Plain => self.elements(|_| Ok(())),
            Form::Record => self.key_of_array().map(drop),
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

    /// Passes over an array of a record and, if it is keyed, hands each row to `visit`. Two passes: what an array is
    /// keyed by shows only at its end, and nothing is kept until then.
    pub fn rows(&mut self, mut visit: impl FnMut(KeyField, &Scanned<'a>)) -> Scan<Option<KeyField>> {
        let start = self.pos;
        let field = self.key_of_array()?;
        if let Some(field) = field {
            self.pos = start;
            self.elements(|row| {
                visit(field, &row);
                Ok(())
            })?;
        }
        Ok(field)
    }

    /// Passes over an array, which must be sorted if it is keyed, and tells by what.
    fn key_of_array(&mut self) -> Scan<Option<KeyField>> {
        let start = self.pos;
        let mut order = RowOrder::default();
        self.elements(|value| {
            order.push(&value);
            Ok(())
        })?;
        match order.outcome() {
            Order::NotKeyed => Ok(None),
            Order::Sorted(field) => Ok(Some(field)),
            // Out of order: either it has repeats, and then it is not keyed, or it is not canonical.
            Order::Unsorted(field) if self.has_repeats(start, field)? => Ok(None),
            Order::Unsorted(field) => Err(CanonicalError::new(Reason::RowOrder(field.name()))),
        }
    }

    /// Whether two rows of the array at `start` have the same key.
    fn has_repeats(&mut self, start: usize, field: KeyField) -> Scan<bool> {
        self.pos = start;
        let mut keys = Vec::new();
        self.elements(|row| {
            keys.extend(row.keys.field(field));
            Ok(())
        })?;
        keys.sort_unstable();
        Ok(keys.windows(2).any(|pair| pair[0] == pair[1]))
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

/// Follows the elements of an array to tell whether it is keyed and sorted; keeps only the last keys.
#[derive(Default)]
struct RowOrder<'a> {
    not_rows: bool,
    uuid: KeyOrder<'a>,
    id: KeyOrder<'a>,
}

impl<'a> RowOrder<'a> {
    fn push(&mut self, value: &Scanned<'a>) {
        self.not_rows |= !value.keys.is_object;
        self.uuid.push(value.keys.uuid);
        self.id.push(value.keys.id);
    }

    fn outcome(self) -> Order {
        let (field, keys) = if self.uuid.missing { (KeyField::Id, self.id) } else { (KeyField::Uuid, self.uuid) };
        match keys.last {
            Some(_) if self.not_rows || keys.missing => Order::NotKeyed,
            Some(_) if keys.unsorted => Order::Unsorted(field),
            Some(_) => Order::Sorted(field),
            None => Order::NotKeyed,
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
    last: Option<RawStr<'a>>,
}

impl<'a> KeyOrder<'a> {
    fn push(&mut self, key: Option<RawStr<'a>>) {
        self.missing |= key.is_none();
        if let Some((last, key)) = self.last.zip(key) {
            self.unsorted |= unescape(last) >= unescape(key);
        }
        self.last = key;
    }
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

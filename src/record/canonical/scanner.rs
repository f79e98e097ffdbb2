//! Reading canonical JSON: one pass over the bytes that refuses any other spelling and keeps nothing but positions.

use std::cmp::Ordering;
use std::ops::Range;

use super::walk::{self, Raw};
use super::{
    Bounds, CanonicalError, Form, KeyField, MAX_INTEGER, Reason, RowKeys, compare_keys, compare_spelled_names,
};

/// Reads canonical bytes one value at a time, refusing any other spelling. Keeps nothing but positions.
pub(crate) struct Scanner<'a> {
    input: &'a [u8],
    pos: usize,
    form: Form,
    bounds: Bounds,
    depth: usize,
    deepest: usize,
}

/// What [`Scanner::value`] passed over.
pub(crate) struct Scanned<'a> {
    /// Where the value's bytes lie.
    pub range: Range<usize>,
    /// The contents of a string, as spelled.
    pub text: Option<Raw<'a>>,
    /// The keys that the value has if it is an object.
    keys: RowKeys<Raw<'a>>,
}

/// What [`Scanner::rows`] found an array to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// What it is keyed by, if it is keyed.
    pub field: Option<KeyField>,
    /// How many elements it has.
    pub count: usize,
    /// How many of them have a string `uuid`.
    pub with_uuid: usize,
}

type Scan<T> = Result<T, CanonicalError>;

impl<'a> Scanner<'a> {
    pub fn new(input: &'a [u8], form: Form, bounds: &Bounds) -> Self {
        Self { input, pos: 0, form, bounds: *bounds, depth: 0, deepest: 0 }
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

    /// How deep what was passed over nests.
    pub fn deepest(&self) -> usize {
        self.deepest
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

    fn object(&mut self) -> Scan<RowKeys<Raw<'a>>> {
        let mut keys = RowKeys { is_object: true, uuid: None, id: None };
        self.members(|_, name, value| {
            match name {
                b"uuid" => keys.uuid = value.text,
                b"id" => keys.id = value.text,
                _ => {}
            }
            Ok(())
        })?;
        Ok(keys)
    }

    /// Passes over an object, handing each member to `visit`.
    pub fn members(&mut self, mut visit: impl FnMut(&mut Self, Raw<'a>, Scanned<'a>) -> Scan<()>) -> Scan<()> {
        self.members_with(|scanner, name| {
            let value = scanner.value()?;
            visit(scanner, name, value)
        })
    }

    /// Passes over an object; `visit` is handed each name and must pass over its value.
    pub fn members_with(&mut self, mut visit: impl FnMut(&mut Self, Raw<'a>) -> Scan<()>) -> Scan<()> {
        self.open(b'{', "an object is expected")?;
        let start = self.pos;
        let mut previous: Option<Raw<'a>> = None;
        if self.peek() != Some(b'}') {
            loop {
                let at = self.pos;
                let name = self.string()?;
                match previous.map(|before| compare_spelled_names(before, name)) {
                    None | Some(Ordering::Less) => previous = Some(name),
                    Some(Ordering::Greater) if !self.is_named(start..at, name) => {
                        return spelling("member names are not sorted");
                    }
                    Some(_) => return Err(CanonicalError::new(Reason::DuplicateMember).under_spelled(name)),
                }
                self.expect(b':', "a colon is expected")?;
                visit(self, name).map_err(|error| error.under_spelled(name))?;
                if self.peek() != Some(b',') {
                    break;
                }
                self.pos += 1;
            }
        }
        self.close(b'}', "an object must end here, or go on with a comma")
    }

    /// Whether one of the members that lie at `range`, and were passed over, has this name.
    fn is_named(&self, range: Range<usize>, name: Raw<'_>) -> bool {
        walk::Members::from(&self.input[..range.end], range.start).any(|member| member.name == name)
    }

    fn open(&mut self, byte: u8, what: &'static str) -> Scan<()> {
        if self.depth >= self.bounds.depth {
            return Err(CanonicalError::new(Reason::TooDeep(self.bounds.depth)));
        }
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        self.expect(byte, what)
    }

    fn close(&mut self, byte: u8, what: &'static str) -> Scan<()> {
        self.depth -= 1;
        self.expect(byte, what)
    }

    fn array(&mut self) -> Scan<()> {
        match self.form {
            Form::Plain => self.elements(|_| Ok(())),
            Form::Record => self.rows(|_| {}).map(drop),
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

    /// Passes over an array of a record, which must be sorted if it is keyed, and tells what it is; `visit` hears where
    /// each element begins.
    pub fn rows(&mut self, mut visit: impl FnMut(usize)) -> Scan<Shape> {
        let start = self.pos;
        let mut order = RowOrder::default();
        self.elements(|value| {
            visit(value.range.start);
            order.push(&value);
            Ok(())
        })?;
        let field = match order.outcome() {
            Order::NotKeyed => None,
            Order::Sorted(field) => Some(field),
            // Out of order: either it has repeats, and then it is not keyed, or it is not canonical.
            Order::Unsorted(field) if walk::has_repeats(self.input, start, order.count, field) => None,
            Order::Unsorted(field) => return Err(CanonicalError::new(Reason::RowOrder(field.name()))),
        };
        Ok(Shape { field, count: order.count, with_uuid: order.uuid.count })
    }

    fn string(&mut self) -> Scan<Raw<'a>> {
        self.expect(b'"', "a string is expected")?;
        let from = self.pos;
        let mut ascii = true;
        loop {
            self.pos += plain_length(&self.input[self.pos..]);
            match self.peek() {
                None => return spelling("a string does not end"),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return spelling("a control character is not escaped"),
                Some(byte) => {
                    ascii &= byte.is_ascii();
                    self.pos += 1;
                }
            }
        }
        let raw = &self.input[from..self.pos];
        self.pos += 1;
        if raw.len() > self.bounds.string && unescape_len(raw) > self.bounds.string {
            return Err(CanonicalError::new(Reason::StringTooLong(self.bounds.string)));
        }
        if !ascii && std::str::from_utf8(raw).is_err() {
            return Err(CanonicalError::new(Reason::Syntax("invalid UTF-8".to_owned())));
        }
        Ok(raw)
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
        let token = &self.input[from..self.pos];
        let digits = token.strip_prefix(b"-").unwrap_or(token);
        if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
            return self.integer(digits, digits.len() < token.len());
        }
        if is_short_decimal(digits) {
            return Ok(());
        }
        let token = std::str::from_utf8(token).unwrap_or_default();
        match token.parse::<f64>() {
            Ok(value) if value.is_finite() && ryu_js::Buffer::new().format_finite(value) == token => Ok(()),
            _ => spelling("a number that is not the shortest spelling"),
        }
    }

    #[expect(clippy::unused_self, reason = "belongs to `number`")]
    fn integer(&self, digits: &[u8], negative: bool) -> Scan<()> {
        /// So many digits stand for less than [`MAX_INTEGER`] whatever they are.
        const ALWAYS_EXACT: usize = 15;
        let canonical = digits == b"0" && !negative || digits[0] != b'0';
        if !canonical {
            return spelling("a number that is not the shortest spelling");
        }
        let exact = digits.len() <= ALWAYS_EXACT || {
            let value = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
            value.is_some_and(|value| value <= MAX_INTEGER)
        };
        if exact { Ok(()) } else { Err(CanonicalError::new(Reason::IntegerRange)) }
    }
}

fn spelling<T>(what: &'static str) -> Scan<T> {
    Err(CanonicalError::new(Reason::Spelling(what)))
}

/// Whether this is a number like `12.5` of which it is plain that it is spelled canonically. Up to fifteen significant
/// digits come back from a double as they went in, so that none of fewer digits stands for the same one; the notation
/// without an exponent is ECMAScript's from a millionth on. Trying takes a tenth of the time of making the spelling.
fn is_short_decimal(digits: &[u8]) -> bool {
    let Some(point) = digits.iter().position(|byte| !byte.is_ascii_digit()) else { return false };
    let (whole, fraction) = (&digits[..point], &digits[point + 1..]);
    let decimal = digits[point] == b'.' && fraction.iter().all(u8::is_ascii_digit) && digits.len() <= 16;
    let ends = |part: &[u8]| Some((*part.first()?, *part.last()?));
    decimal
        && match (ends(whole), ends(fraction)) {
            (Some((b'1'..=b'9', _)), Some((_, b'1'..=b'9'))) => true,
            (Some((b'0', _)), Some((_, b'1'..=b'9'))) => whole.len() == 1 && !fraction.starts_with(b"000000"),
            _ => false,
        }
}

/// How many bytes at the beginning of `text` are neither a quote, a backslash, a control character nor beyond ASCII:
/// eight are looked at together.
fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The lowest high bit that is set is exact; the ones above it may not be, since subtraction borrows.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let mut length = 0;
    for eight in text.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*eight);
        let (quote, backslash) = (word ^ (ONES * u64::from(b'"')), word ^ (ONES * u64::from(b'\\')));
        let special = (below(word, 0x20) | below(quote, 1) | below(backslash, 1) | word) & HIGH;
        if special != 0 {
            return length + special.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let rest = text[length..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20 | 0x80..));
    length + rest.unwrap_or(text.len() - length)
}

/// Follows the elements of an array to tell whether it is keyed and sorted; keeps only the last keys.
#[derive(Default)]
struct RowOrder<'a> {
    not_rows: bool,
    count: usize,
    uuid: KeyOrder<'a>,
    id: KeyOrder<'a>,
}

impl<'a> RowOrder<'a> {
    fn push(&mut self, value: &Scanned<'a>) {
        self.count += 1;
        self.not_rows |= !value.keys.is_object;
        if !self.not_rows {
            self.uuid.push(value.keys.uuid);
            self.id.push(value.keys.id);
        }
    }

    fn outcome(&self) -> Order {
        let missing = |order: &KeyOrder<'_>| order.count < self.count;
        let (field, keys) = if missing(&self.uuid) { (KeyField::Id, &self.id) } else { (KeyField::Uuid, &self.uuid) };
        match self.count {
            0 => Order::NotKeyed,
            _ if self.not_rows || missing(keys) => Order::NotKeyed,
            _ if keys.unsorted => Order::Unsorted(field),
            _ => Order::Sorted(field),
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
    count: usize,
    unsorted: bool,
    last: Option<Raw<'a>>,
}

impl<'a> KeyOrder<'a> {
    fn push(&mut self, key: Option<Raw<'a>>) {
        let Some(key) = key else { return };
        self.count += 1;
        if let Some(last) = self.last.replace(key)
            && !self.unsorted
        {
            self.unsorted = compare_keys(last, key).is_ge();
        }
    }
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

    #[test]
    fn the_plain_part_of_a_string_is_found_wherever_it_ends() {
        for special in [b'"', b'\\', 0, 0x1f, 0x80, 0xff] {
            for at in 0..20 {
                let mut text = [b'a', 0x20, 0x7f, b'!', b'#', b'[', b']'].repeat(3);
                text[at] = special;
                assert_eq!(plain_length(&text), at);
                // What follows does not matter.
                text[at + 1..].fill(0);
                assert_eq!(plain_length(&text), at);
            }
        }
        assert_eq!(plain_length(&[b' '; 21]), 21);
    }

    #[test]
    fn decimals_that_are_told_at_a_glance_are_canonical() {
        let mut told = 0;
        let parts = ["", "0", "00", "1", "10", "9007199254", "999999999999999", "01", "5", "50", "000001", "0000001"];
        for whole in parts {
            for fraction in parts {
                let token = format!("{whole}.{fraction}");
                let canonical =
                    token.parse::<f64>().is_ok_and(|value| ryu_js::Buffer::new().format_finite(value) == token);
                assert!(canonical || !is_short_decimal(token.as_bytes()), "{token}");
                told += usize::from(is_short_decimal(token.as_bytes()));
            }
        }
        assert_eq!(told, 32);
        for other in ["1", "1e5", "1.5e5", "1..5", "1.5.5", ".", "-1.5", "1.2345678901234567", "1.+5"] {
            assert!(!is_short_decimal(other.as_bytes()), "{other}");
        }
    }
}

//! Walking over canonical bytes that were checked before: where values end, and what rows are keyed by.
//!
//! It looks at no more than it must, which makes it several times faster than checking. Over bytes that are not
//! canonical it would tell nonsense, but it ends, and never reaches beyond them.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

use super::KeyField;

/// A string's spelling, without its quotes.
pub(crate) type Raw<'a> = &'a [u8];

/// Where the string literal at `at` ends.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Where the value at `at` ends.
pub(crate) fn value_end(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => string_end(text, at),
        Some(b'{' | b'[') => container_end(text, at),
        _ => {
            let rest = text.get(at..).unwrap_or_default();
            at + rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']')).unwrap_or(rest.len())
        }
    }
}

fn container_end(text: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

/// The contents of the string literal at `value`, if it is one.
pub(crate) fn string(text: &[u8], value: Range<usize>) -> Option<Raw<'_>> {
    text.get(value)?.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// The members of an object, or of a piece of one.
#[derive(Debug, Clone)]
pub(crate) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    /// Where the name's opening quote stands.
    pub start: usize,
    pub name: Raw<'a>,
    pub value: Range<usize>,
}

impl<'a> Members<'a> {
    /// Those of the object at `at`.
    pub fn of_object(text: &'a [u8], at: usize) -> Self {
        Self { text, at: at + 1 }
    }

    /// From the member at `at` on; `text` ends behind the last one.
    pub fn from(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    /// Where the object ends, once all were passed.
    pub fn end(&self) -> usize {
        self.at + 1
    }

    /// The next member's name, without a look at its value.
    pub fn next_name(&self) -> Option<Raw<'a>> {
        let start = self.at + usize::from(self.text.get(self.at) == Some(&b','));
        let end = (self.text.get(start) == Some(&b'"')).then(|| string_end(self.text, start))?;
        string(self.text, start..end)
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let name = self.next_name()?;
        let start = position(self.text, name) - 1;
        let value = start + name.len() + 3;
        self.at = value_end(self.text, value);
        Some(Member { start, name, value: value..self.at })
    }
}

/// Where the elements of an array lie.
#[derive(Debug, Clone)]
pub(crate) struct Elements<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Elements<'a> {
    /// Those of the array at `at`.
    pub fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at: at + 1 }
    }

    /// Where the array ends, once all were passed.
    pub fn end(&self) -> usize {
        self.at + 1
    }
}

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if self.text.get(self.at) == Some(&b',') {
            self.at += 1;
        }
        let start = self.at;
        if matches!(self.text.get(start), None | Some(b']')) {
            return None;
        }
        // Nonsense is passed over as well, if only by one byte.
        self.at = value_end(self.text, start).max(start + 1);
        Some(start..self.at)
    }
}

/// A row, or another element where rows can be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub start: usize,
    pub end: usize,
    pub is_object: bool,
    pub uuid: Option<Raw<'a>>,
    pub id: Option<Raw<'a>>,
}

impl<'a> Row<'a> {
    /// The element at `start`.
    pub fn at(text: &'a [u8], start: usize) -> Self {
        let mut row = Self { start, end: start, is_object: text.get(start) == Some(&b'{'), uuid: None, id: None };
        if !row.is_object {
            row.end = value_end(text, start).max(start + 1);
            return row;
        }
        let mut members = Members::of_object(text, start);
        for member in &mut members {
            match member.name {
                b"uuid" => row.uuid = string(text, member.value),
                b"id" => row.id = string(text, member.value),
                _ => {}
            }
        }
        row.end = members.end();
        row
    }

    /// What it has for `field`.
    pub fn key(&self, field: KeyField) -> Option<Raw<'a>> {
        match field {
            KeyField::Uuid => self.uuid,
            KeyField::Id => self.id,
        }
    }
}

/// The rows of an array.
#[derive(Debug, Clone)]
pub(crate) struct Rows<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Rows<'a> {
    /// Those of the array at `at`.
    pub fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at: at + 1 }
    }

    /// From the row at `at` on.
    pub fn from(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        if self.text.get(self.at) == Some(&b',') {
            self.at += 1;
        }
        if matches!(self.text.get(self.at), None | Some(b']')) {
            return None;
        }
        let row = Row::at(self.text, self.at);
        self.at = row.end;
        Some(row)
    }
}

/// Whether two rows of the array at `at`, which has `count` of them, have the same key.
///
/// An array can have millions of rows, so that of each key no more than a short hash is held; keys whose hashes meet are
/// compared. The hash is seeded by chance, so that nobody can make many of them meet.
pub(crate) fn has_repeats(text: &[u8], at: usize, count: usize, field: KeyField) -> bool {
    let seed = RandomState::new();
    #[expect(clippy::cast_possible_truncation, reason = "a short hash is wanted")]
    let hash = |key: Raw<'_>| seed.hash_one(key) as u32;
    let keys = || Rows::new(text, at).filter_map(|row| row.key(field));
    let mut hashes = Vec::with_capacity(count);
    hashes.extend(keys().map(hash));
    let met = met_twice(hashes);
    // Where a key of each such hash was seen first; none begins at zero, where the array does.
    let mut first = vec![0_u32; met.len()];
    let mut others = Vec::new();
    for key in keys() {
        let Ok(place) = met.binary_search(&hash(key)) else { continue };
        let range = spelled(text, key);
        let from = first[place] as usize;
        if from == 0 {
            first[place] = u32::try_from(range.start).unwrap_or_default();
        } else if text.get(from..from + range.len()) == text.get(range) {
            return true;
        } else {
            others.push(key);
        }
    }
    others.sort_unstable();
    others.windows(2).any(|pair| pair[0] == pair[1])
}

/// Where `key`, which was cut from `text`, lies with its closing quote.
fn spelled(text: &[u8], key: Raw<'_>) -> Range<usize> {
    let from = position(text, key);
    from..from + key.len() + 1
}

/// The numbers that are there more than once.
fn met_twice(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.sort_unstable();
    let mut kept = 0;
    for index in 1..numbers.len() {
        let number = numbers[index];
        if number == numbers[index - 1] && (kept == 0 || numbers[kept - 1] != number) {
            numbers[kept] = number;
            kept += 1;
        }
    }
    numbers.truncate(kept);
    numbers
}

/// Where `part`, which was cut from `whole`, lies in it.
pub(crate) fn position(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_members_and_rows_are_found() {
        let text = br#"{"a\"}":[1,{"id":"x","uuid":"\\"},"]",{}],"b":{"c":{}},"d":-1.5e+30}"#;
        let members: Vec<_> = Members::of_object(text, 0).map(|it| (it.name, &text[it.value])).collect();
        let values: [(&[u8], &[u8]); 3] =
            [(b"a\\\"}", br#"[1,{"id":"x","uuid":"\\"},"]",{}]"#), (b"b", br#"{"c":{}}"#), (b"d", b"-1.5e+30")];
        assert_eq!(members, values);
        let at = text.iter().position(|byte| *byte == b'[').unwrap();
        let rows: Vec<_> = Rows::new(text, at).map(|row| (row.is_object, row.id, row.uuid)).collect();
        let none = (false, None, None);
        assert_eq!(rows, [none, (true, Some(&b"x"[..]), Some(&b"\\\\"[..])), none, (true, None, None)]);
        let mut elements = Elements::new(text, at);
        assert_eq!(elements.by_ref().count(), 4);
        assert_eq!(elements.end(), value_end(text, at));
        assert_eq!(value_end(text, 0), text.len());
    }

    #[test]
    fn nonsense_comes_to_an_end() {
        for text in
            [&b""[..], b"\"", b"\"\\", b"{", b"{\"", b"{\"a\"", b"[", b"[[", b"[}", b"[,,", b"[1", b":", b"{1:2}"]
        {
            assert!(value_end(text, 0) <= text.len());
            assert!(Members::of_object(text, 0).count() <= text.len());
            assert!(Elements::new(text, 0).count() <= text.len());
            assert!(Rows::new(text, 0).count() <= text.len());
        }
    }

    #[test]
    fn repeats_are_found_among_many_keys() {
        let array = |keys: &mut dyn Iterator<Item = u32>| {
            let rows: Vec<_> = keys.map(|key| format!("{{\"id\":\"{key}\"}}")).collect();
            format!("[{}]", rows.join(","))
        };
        // So many that short hashes of different keys meet as well.
        let unique = array(&mut (0..200_000).rev());
        assert!(!has_repeats(unique.as_bytes(), 0, 200_000, KeyField::Id));
        let twice = array(&mut (0..200_000).rev().chain([77_777]));
        assert!(has_repeats(twice.as_bytes(), 0, 200_001, KeyField::Id));
        assert!(has_repeats(array(&mut [1, 1].into_iter()).as_bytes(), 0, 2, KeyField::Id));
        assert!(!has_repeats(b"[]", 0, 0, KeyField::Id));
    }
}

//! The outline of a canonical record: where its top-level members lie, and of long arrays of rows some landmarks.
//!
//! A record can have millions of rows or members, of a few bytes each. An index of them all would be larger than the
//! record, so that there is an entry for about every [`STRIDE`] bytes, and what lies between two is walked over.

use std::borrow::Cow;
use std::ops::Range;

use super::canonical::walk::{self, Members, Raw};
use super::canonical::{Bounds, CanonicalError, Form, KeyField, Scanner, compare_spelled_names};

/// About how far entries are apart, in bytes.
pub(crate) const STRIDE: usize = 4096;

/// Top-level members, in order, as they lie in a document's bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outline {
    parts: Vec<Part>,
}

/// A long member, or short ones that lie behind one another.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    start: u32,
    end: u32,
    /// Where the last of its members begins.
    last: u32,
    /// Of a long member that is a keyed array.
    rows: Option<Rows>,
}

/// A keyed array.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub field: KeyField,
    pub count: u32,
    /// How many of the rows have a string `uuid`, which decides what the array is keyed by.
    pub with_uuid: u32,
    pub landmarks: Landmarks,
}

/// Where rows begin, as seen from the array's bracket: the first, and others about [`STRIDE`] bytes apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Landmarks(Vec<u32>);

/// A top-level member.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    /// Where its name's opening quote stands.
    pub start: usize,
    /// The name as spelled between the quotes.
    pub name: Raw<'a>,
    /// Where its value lies.
    pub value: Range<usize>,
    /// What is known of its rows.
    rows: Option<&'a Rows>,
}

/// Places are below 2 GiB: no document is larger ([`super::document::MAX_SIZE`]).
#[expect(clippy::cast_possible_truncation, reason = "documents are at most MAX_SIZE bytes")]
pub(crate) fn place(at: usize) -> u32 {
    at as u32
}

impl Landmarks {
    /// Hears of a row; they come in order.
    pub fn pass(&mut self, at: usize) {
        if self.0.last().is_none_or(|last| at - *last as usize >= STRIDE) {
            self.0.push(place(at));
        }
    }

    /// The landmarks behind `at`.
    pub fn after(&self, at: usize) -> &[u32] {
        &self.0[self.0.partition_point(|mark| *mark as usize <= at)..]
    }
}

impl Rows {
    /// What the array `text` is keyed by, if anything; `text` was checked.
    pub fn of(text: &[u8]) -> Option<Self> {
        let bounds = Bounds { depth: usize::MAX, string: usize::MAX };
        Scanner::new(text, Form::Record, &bounds).keyed_rows(0).ok().flatten()
    }
}

impl Rows {
    /// All that they tell of the array `text`; whether the landmarks are in order, at rows, and not far apart.
    fn told(&self, text: &[u8]) -> (KeyField, u32, u32, bool) {
        let starts: Vec<_> = walk::Rows::new(text, 0).map(|row| place(row.start)).collect();
        let at_rows = self.landmarks.0.iter().all(|mark| starts.binary_search(mark).is_ok());
        let in_order =
            self.landmarks.0.is_sorted_by(|left, right| left < right) && self.landmarks.0.first() == Some(&1);
        (self.field, self.count, self.with_uuid, at_rows && in_order)
    }
}

impl Scanner<'_> {
    /// Passes over an array of a record, and describes it if it is keyed; `array` is where the array begins.
    fn keyed_rows(&mut self, array: usize) -> Result<Option<Rows>, CanonicalError> {
        let mut landmarks = Landmarks::default();
        let shape = self.rows(|at| landmarks.pass(at - array))?;
        let rows = |field| Rows { field, count: place(shape.count), with_uuid: place(shape.with_uuid), landmarks };
        Ok(shape.field.map(rows))
    }

    /// Passes over the value of a top-level member of a record.
    pub fn member_value(&mut self) -> Result<(Range<usize>, Option<Rows>), CanonicalError> {
        let start = self.position();
        if self.peek() != Some(b'[') {
            return Ok((self.value()?.range, None));
        }
        let rows = self.keyed_rows(start)?;
        Ok((start..self.position(), rows))
    }
}

impl Outline {
    /// Adds the next member.
    pub fn push(&mut self, whole: Range<usize>, rows: Option<Rows>) {
        let long = whole.len() >= STRIDE;
        let (start, end) = (place(whole.start), place(whole.end));
        match self.parts.last_mut() {
            Some(run) if !long && run.is_open() => {
                run.last = start;
                run.end = end;
            }
            _ => self.parts.push(Part { start, end, last: start, rows: rows.filter(|_| long) }),
        }
    }

    /// Adds all members of a part of another document, which lie at `start` in this one.
    pub fn push_part(&mut self, part: &Part, start: usize) {
        let start = place(start);
        let moved = |at: u32| at - part.start + start;
        match self.parts.last_mut() {
            Some(run) if part.is_open() && run.is_open() => {
                run.last = moved(part.last);
                run.end = moved(part.end);
            }
            _ => self.parts.push(Part { start, end: moved(part.end), last: moved(part.last), rows: part.rows.clone() }),
        }
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// All members.
    pub fn members<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Member<'a>> {
        self.parts.iter().flat_map(|part| part.members(text))
    }

    /// Whether it tells of `text` what there is.
    pub fn is_sound(&self, text: &[u8]) -> bool {
        let told = self.members(text).map(|it| (it.start, it.name, it.value));
        let there = Members::of_object(text, 0).map(|it| (it.start, it.name, it.value));
        told.eq(there)
            && self.members(text).all(|member| {
                let value = &text[member.value.clone()];
                member.rows(text).map(|rows| rows.into_owned().told(value))
                    == Rows::of(value).map(|rows| rows.told(value))
            })
            && self.parts.iter().all(|part| self.find(text, part.last(text)).is_some())
    }

    /// The member of a name.
    pub fn find<'a>(&'a self, text: &'a [u8], name: Raw<'_>) -> Option<Member<'a>> {
        let at = self.parts.partition_point(|part| compare_spelled_names(part.last(text), name).is_lt());
        self.parts.get(at)?.members(text).find(|member| member.name == name)
    }
}

impl Part {
    /// Whether another short member may join it.
    fn is_open(&self) -> bool {
        ((self.end - self.start) as usize) < STRIDE
    }

    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The name of its last member.
    pub fn last<'a>(&self, text: &'a [u8]) -> Raw<'a> {
        Members::from(&text[..self.end as usize], self.last as usize).next_name().unwrap_or_default()
    }

    /// Its members.
    pub fn members<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Member<'a>> {
        let walked = Members::from(&text[..self.end as usize], self.start as usize);
        // A long value need not be walked over to find out where it ends, also not to find out that nothing follows.
        let (one, several) = if self.start == self.last { (walked.next_name(), None) } else { (None, Some(walked)) };
        let one = one.map(|name| Member {
            start: self.start as usize,
            name,
            value: self.start as usize + name.len() + 3..self.end as usize,
            rows: self.rows.as_ref(),
        });
        let several = several.into_iter().flatten();
        let several = several.map(|it| Member { start: it.start, name: it.name, value: it.value, rows: None });
        one.into_iter().chain(several)
    }
}

impl Member<'_> {
    /// Where it lies, with its name.
    pub fn whole(&self) -> Range<usize> {
        self.start..self.value.end
    }

    /// The rows of its value, if that is a keyed array; `text` is the document's.
    pub fn rows(&self, text: &[u8]) -> Option<Cow<'_, Rows>> {
        let long = self.whole().len() >= STRIDE;
        match self.rows {
            Some(rows) => Some(Cow::Borrowed(rows)),
            None if long || text.get(self.value.start) != Some(&b'[') => None,
            None => Rows::of(&text[self.value.clone()]).map(Cow::Owned),
        }
    }
}

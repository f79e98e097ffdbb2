//! Making a delta: a walk over both records at once, and then over what was found to differ.
//!
//! What is found are places, four bytes each, and the delta's length. Its text is written from the records when it is
//! known to be wanted, so that it is never in memory beside them.

use std::cmp::Ordering;
use std::io::{self, Write};
use std::ops::Range;

use crate::record::canonical::walk::{self, Row, value_end};
use crate::record::canonical::{compare_keys, compare_spelled_names};
use crate::record::document::Document;
use crate::record::outline::{Member, Rows, place};

/// The canonical bytes of the delta that makes `target` from `base`.
#[must_use]
pub fn encode(base: &Document, target: &Document) -> Vec<u8> {
    let mut text = Vec::new();
    // Writing into memory does not fail.
    let _ = Changes::between(base, target).write_to(&mut text);
    text
}

/// What turns one record into another.
pub(crate) struct Changes<'a> {
    base: &'a [u8],
    target: &'a [u8],
    rows: Vec<RowChanges>,
    /// Where the members of `target` begin that are set.
    set: Vec<u32>,
    /// Where the members of `base` begin that are unset.
    unset: Vec<u32>,
}

/// How the rows of a member change.
struct RowChanges {
    /// Where the member begins in the target.
    member: u32,
    /// Where the keys begin in the base that are deleted, and the rows in the target that are put.
    delete: Vec<u32>,
    put: Vec<u32>,
}

impl<'a> Changes<'a> {
    /// Compares two records.
    pub fn between(base: &'a Document, target: &'a Document) -> Self {
        let mut changes =
            Self { base: base.bytes(), target: target.bytes(), rows: Vec::new(), set: Vec::new(), unset: Vec::new() };
        let mut old = base.outline().members(base.bytes()).peekable();
        let mut new = target.outline().members(target.bytes()).peekable();
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => compare_spelled_names(left.name, right.name),
            };
            let left = if order.is_le() { old.next() } else { None };
            let right = if order.is_ge() { new.next() } else { None };
            match (left, right) {
                (Some(left), None) => changes.unset.push(place(left.start)),
                (None, Some(right)) => changes.set.push(place(right.start)),
                (Some(left), Some(right)) => changes.compare(&left, &right),
                (None, None) => {}
            }
        }
        changes
    }

    fn compare(&mut self, left: &Member<'_>, right: &Member<'_>) {
        if self.base[left.value.clone()] == self.target[right.value.clone()] {
            return;
        }
        match (left.rows(self.base), right.rows(self.target)) {
            (Some(old), Some(new)) if old.field == new.field => {
                let (left, target) = (left.value.clone(), (self.target, right.value.clone()));
                let (delete, put) = compare_rows((self.base, left), target, &old);
                self.rows.push(RowChanges { member: place(right.start), delete, put });
            }
            _ => self.set.push(place(right.start)),
        }
    }

    /// How long the delta's text is, in bytes.
    pub fn size(&self) -> u64 {
        let mut count = Counter(0);
        // Counting does not fail.
        let _ = self.write_to(&mut count);
        count.0
    }

    /// Writes the delta's text.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let mut parts = List::begin(out, b"{")?;
        if !self.rows.is_empty() {
            parts.next(b"\"rows\":")?;
            let mut members = List::begin(parts.out, b"{")?;
            for changes in &self.rows {
                members.next(b"")?;
                self.write_rows(changes, members.out)?;
            }
            members.end(b"}")?;
        }
        if !self.set.is_empty() {
            parts.next(b"\"set\":")?;
            let mut members = List::begin(parts.out, b"{")?;
            for at in &self.set {
                members.next(member_at(self.target, *at))?;
            }
            members.end(b"}")?;
        }
        if !self.unset.is_empty() {
            parts.next(b"\"unset\":")?;
            let mut names = List::begin(parts.out, b"[")?;
            for at in &self.unset {
                names.next(value_at(self.base, *at))?;
            }
            names.end(b"]")?;
        }
        parts.end(b"}")
    }

    fn write_rows<W: Write>(&self, changes: &RowChanges, out: &mut W) -> io::Result<()> {
        out.write_all(value_at(self.target, changes.member))?;
        out.write_all(b":")?;
        let mut parts = List::begin(out, b"{")?;
        for (name, text, places) in
            [(&b"\"delete\":"[..], self.base, &changes.delete), (b"\"put\":", self.target, &changes.put)]
        {
            if places.is_empty() {
                continue;
            }
            parts.next(name)?;
            let mut list = List::begin(parts.out, b"[")?;
            for at in places {
                list.next(value_at(text, *at))?;
            }
            list.end(b"]")?;
        }
        parts.end(b"}")
    }
}

/// The value that begins at a place.
fn value_at(text: &[u8], at: u32) -> &[u8] {
    let at = at as usize;
    &text[at..value_end(text, at)]
}

/// The member that begins at a place, with its value.
fn member_at(text: &[u8], at: u32) -> &[u8] {
    let value = value_end(text, at as usize) + 1;
    &text[at as usize..value_end(text, value)]
}

/// A list of which one piece after the other is written, with commas between.
struct List<'w, W> {
    out: &'w mut W,
    begun: bool,
}

impl<'w, W: Write> List<'w, W> {
    fn begin(out: &'w mut W, bracket: &[u8]) -> io::Result<Self> {
        out.write_all(bracket)?;
        Ok(Self { out, begun: false })
    }

    fn next(&mut self, piece: &[u8]) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            self.out.write_all(b",")?;
        }
        self.out.write_all(piece)
    }

    fn end(self, bracket: &[u8]) -> io::Result<()> {
        self.out.write_all(bracket)
    }
}

/// Counts what is written, and keeps nothing.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0 += piece.len() as u64;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Which rows differ between two arrays that are keyed by one field: where the keys of those that are gone begin in the
/// base, and where those begin in the target that are new or changed. `old` describes the base's array.
fn compare_rows(
    (base, left): (&[u8], Range<usize>),
    (target, right): (&[u8], Range<usize>),
    old: &Rows,
) -> (Vec<u32>, Vec<u32>) {
    let (mut delete, mut put) = (Vec::new(), Vec::new());
    let field = old.field;
    let (base, target) = (&base[..left.end - 1], &target[..right.end - 1]);
    let marks = old.landmarks.after(0).iter().map(|mark| left.start + *mark as usize);
    let ends = marks.clone().skip(1).chain([base.len()]);
    let mut at = right.start + 1;
    for (from, to) in marks.zip(ends) {
        // From landmark to landmark: what is the same is passed over without a look at its rows.
        let (rest, piece) = (&target[at..], &base[from..to]);
        if rest.starts_with(piece) && (to < base.len() || rest.len() == piece.len()) {
            at += piece.len();
            continue;
        }
        let mut new = walk::Rows::from(target, at).peekable();
        for row in walk::Rows::from(&base[..to], from) {
            let key = row.key(field).unwrap_or_default();
            let is_before = |it: &Row<'_>| it.key(field).is_some_and(|it| compare_keys(it, key).is_lt());
            while let Some(added) = new.next_if(is_before) {
                put.push(place(added.start));
            }
            match new.next_if(|it| it.key(field) == Some(key)) {
                Some(same) if base[row.start..row.end] == target[same.start..same.end] => {}
                Some(changed) => put.push(place(changed.start)),
                None => delete.push(place(walk::position(base, key) - 1)),
            }
        }
        at = new.peek().map_or(target.len(), |row| row.start);
    }
    put.extend(walk::Rows::from(target, at).map(|row| place(row.start)));
    (delete, put)
}

//! Merging changed rows into a keyed array. Where nothing changes, the base is copied from landmark to landmark without a
//! look at its rows.

use std::iter::Peekable;

use super::DeltaError;
use super::apply::Splicer;
use super::text::{NewRow, RowChanges};
use crate::record::canonical::walk::{self, Raw, Row};
use crate::record::canonical::{KeyField, compare_keys};
use crate::record::outline::{Landmarks, Rows};

/// An array of the result in the making.
pub(super) struct Merge<'m, 'a> {
    splicer: &'m mut Splicer<'a>,
    /// The array of the base, and what is known of it.
    base: &'m [u8],
    old: &'m Rows,
    /// Where the array begins in the result.
    start: usize,
    /// Up to where rows of the base were appended, or left out.
    done: usize,
    count: u32,
    with_uuid: u32,
    landmarks: Landmarks,
}

impl<'m, 'a> Merge<'m, 'a> {
    /// `base` is an array of the base, from bracket to bracket, and `old` describes it.
    pub fn new(splicer: &'m mut Splicer<'a>, base: &'m [u8], old: &'m Rows) -> Self {
        let start = splicer.out.len();
        let landmarks = Landmarks::default();
        Self { splicer, base, old, start, done: 1, count: old.count, with_uuid: old.with_uuid, landmarks }
    }

    /// Appends the array as it is with the changes, which were checked, and describes it.
    pub fn run(mut self, changes: &RowChanges<'_>) -> Result<Rows, DeltaError> {
        let field = self.old.field;
        self.splicer.append(b"[")?;
        let (mut put, mut delete) = (changes.put(field).peekable(), changes.delete().peekable());
        while let Some(key) = next_key(&mut put, &mut delete) {
            let row = self.seek(key)?;
            let deleted = delete.next_if_eq(&key).is_some();
            let new = put.next_if(|new| new.key == key);
            match (row.filter(|row| row.key(field) == Some(key)), new, deleted) {
                (_, Some(_), true) => return Err(DeltaError::Invalid("it names a row twice")),
                (None, None, _) => return Err(DeltaError::Invalid("it deletes a row that is not there")),
                (Some(row), Some(new), false) if self.base[row.start..row.end] == *new.text => {
                    return Err(DeltaError::Invalid("it puts a row that the base has already"));
                }
                (row, new, _) => {
                    if let Some(row) = row {
                        self.leave_out(&row);
                    }
                    if let Some(new) = new {
                        self.put(&new)?;
                    }
                }
            }
        }
        self.copy_to(self.base.len() - 1)?;
        self.splicer.append(b"]")?;
        if self.count == 0 || (field == KeyField::Id && self.with_uuid == self.count) {
            return Err(DeltaError::Invalid("the array that it changes is not keyed by the same field afterwards"));
        }
        Ok(Rows { field, count: self.count, with_uuid: self.with_uuid, landmarks: self.landmarks })
    }

    /// Appends the rows of the base before `key`, and gives the one behind them.
    fn seek(&mut self, key: Raw<'_>) -> Result<Option<Row<'m>>, DeltaError> {
        let (base, field) = (self.base, self.old.field);
        let is_before = |row: &Row<'_>| row.key(field).is_some_and(|it| compare_keys(it, key).is_lt());
        let marks = self.old.landmarks.after(self.done);
        let passed = gallop(marks, |mark| is_before(&Row::at(base, *mark as usize)));
        let from = passed.checked_sub(1).map_or(self.done, |last| marks[last] as usize);
        let row = walk::Rows::from(base, from).find(|row| !is_before(row));
        self.copy_to(row.map_or(base.len() - 1, |row| row.start))?;
        Ok(row)
    }

    /// Appends the rows of the base up to `to`, where a row begins or the array ends.
    fn copy_to(&mut self, to: usize) -> Result<(), DeltaError> {
        let from = self.done;
        let end = if self.base.get(to) == Some(&b']') || to == from { to } else { to - 1 };
        self.done = to;
        if from == end {
            return Ok(());
        }
        let at = self.separate()?;
        self.landmarks.pass(at);
        for mark in self.old.landmarks.after(from).iter().map(|mark| *mark as usize).take_while(|mark| *mark < end) {
            self.landmarks.pass(at + mark - from);
        }
        self.splicer.append(&self.base[from..end])
    }

    /// Passes over a row of the base, up to where all before was appended.
    fn leave_out(&mut self, row: &Row<'_>) {
        self.done = if self.base.get(row.end) == Some(&b',') { row.end + 1 } else { row.end };
        self.count -= 1;
        self.with_uuid -= u32::from(row.uuid.is_some());
    }

    fn put(&mut self, new: &NewRow<'_>) -> Result<(), DeltaError> {
        let at = self.separate()?;
        self.landmarks.pass(at);
        self.count += 1;
        self.with_uuid += u32::from(new.has_uuid);
        self.splicer.record_form(new.text)
    }

    /// Appends what goes between two rows; where the next one begins, as seen from the array's bracket.
    fn separate(&mut self) -> Result<usize, DeltaError> {
        if self.splicer.out.len() - self.start > 1 {
            self.splicer.append(b",")?;
        }
        Ok(self.splicer.out.len() - self.start)
    }
}

/// How many of the first marks `is_before` holds for. Changes are near to each other, or far apart: looking takes as long
/// as the way is far.
fn gallop(marks: &[u32], is_before: impl Fn(&u32) -> bool) -> usize {
    let (mut passed, mut step) = (0, 1);
    while marks.get(passed + step - 1).is_some_and(&is_before) {
        passed += step;
        step *= 2;
    }
    let rest = &marks[passed..marks.len().min(passed + step - 1)];
    passed + rest.partition_point(is_before)
}

/// The first key that is named.
fn next_key<'d>(
    put: &mut Peekable<impl Iterator<Item = NewRow<'d>>>,
    delete: &mut Peekable<impl Iterator<Item = Raw<'d>>>,
) -> Option<Raw<'d>> {
    match (put.peek().map(|new| new.key), delete.peek().copied()) {
        (Some(new), Some(gone)) => Some(if compare_keys(gone, new).is_lt() { gone } else { new }),
        (new, gone) => new.or(gone),
    }
}

//! Applying a delta: the result is spliced from long pieces of the base and short ones of the delta, and so is its
//! outline.

use super::DeltaError;
use super::merge::Merge;
use super::text::{Delta, RowChanges};
use crate::record::canonical::walk::Raw;
use crate::record::canonical::{Bounds, Form, Scanner, compare_spelled_names, write_ordered};
use crate::record::document::{Document, MAX_SIZE};
use crate::record::outline::{Member, Outline, Rows};

/// Applies a delta.
///
/// # Errors
/// A delta that is not valid for this base, or whose result is larger than `size`.
pub fn apply(base: &Document, delta: &[u8], bounds: &Bounds, size: u64) -> Result<Document, DeltaError> {
    if delta.len() as u64 > MAX_SIZE {
        return Err(DeltaError::TooLarge(MAX_SIZE));
    }
    let delta = Delta::parse(delta, bounds)?;
    let (mut set, mut unset, mut rows) = (delta.set().peekable(), delta.unset().peekable(), delta.rows().peekable());
    // A hostile size is no reason to take memory before there is something to fill it with.
    let most = usize::try_from(size.min(MAX_SIZE)).unwrap_or(usize::MAX);
    let out = Vec::with_capacity(base.bytes().len().min(most));
    let mut splicer = Splicer { base, bounds, size, out, outline: Outline::default() };
    splicer.append(b"{")?;
    for part in base.outline().parts() {
        let last = part.last(base.bytes());
        let beyond = |name: Option<Raw<'_>>| name.is_none_or(|name| compare_spelled_names(name, last).is_gt());
        let heads = [set.peek().map(|(name, _)| *name), unset.peek().copied(), rows.peek().map(|(name, _)| *name)];
        if heads.into_iter().all(beyond) {
            let start = splicer.member(&base.bytes()[part.range()])?;
            splicer.outline.push_part(part, start);
            continue;
        }
        for member in part.members(base.bytes()) {
            while let Some((name, value)) = set.next_if(|(name, _)| compare_spelled_names(name, member.name).is_lt()) {
                splicer.set(name, value)?;
            }
            let unset = unset.next_if_eq(&member.name).is_some();
            let set = set.next_if(|(name, _)| *name == member.name);
            let changes = rows.next_if(|(name, _)| *name == member.name);
            match (unset, set, changes) {
                (false, None, None) => splicer.copy(&member)?,
                (true, None, None) => {}
                (false, Some((name, value)), None) => splicer.set(name, value)?,
                (false, None, Some((_, changes))) => splicer.merge(&member, &changes)?,
                _ => return Err(DeltaError::Invalid("it names a member twice")),
            }
        }
    }
    for (name, value) in set {
        splicer.set(name, value)?;
    }
    // All are in order, so that one which was passed over is still there.
    if unset.next().is_some() {
        return Err(DeltaError::Invalid("it unsets a member that is not there"));
    }
    if rows.next().is_some() {
        return Err(DeltaError::Invalid("it changes rows of a member that is not there"));
    }
    splicer.finish(delta.depth)
}

/// The result in the making.
pub(super) struct Splicer<'a> {
    pub base: &'a Document,
    bounds: &'a Bounds,
    size: u64,
    pub out: Vec<u8>,
    outline: Outline,
}

impl Splicer<'_> {
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), DeltaError> {
        if (self.out.len() + bytes.len()) as u64 > self.size.min(MAX_SIZE) {
            return Err(DeltaError::TooLarge(self.size));
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends the beginning of a member, or all of it; where it begins.
    fn member(&mut self, text: &[u8]) -> Result<usize, DeltaError> {
        if self.out.len() > 1 {
            self.append(b",")?;
        }
        let start = self.out.len();
        self.append(text)?;
        Ok(start)
    }

    /// Takes a member over from the base.
    fn copy(&mut self, member: &Member<'_>) -> Result<(), DeltaError> {
        let start = self.member(&self.base.bytes()[member.whole()])?;
        let rows = member.rows(self.base.bytes()).map(std::borrow::Cow::into_owned);
        self.outline.push(start..self.out.len(), rows);
        Ok(())
    }

    /// Gives a member a new value.
    fn set(&mut self, name: Raw<'_>, value: &[u8]) -> Result<(), DeltaError> {
        let start = self.member(b"\"")?;
        self.append(name)?;
        self.append(b"\":")?;
        let at = self.out.len();
        self.record_form(value)?;
        let rows = Rows::of(&self.out[at..]);
        self.outline.push(start..self.out.len(), rows);
        Ok(())
    }

    /// Merges changed rows into a keyed array of the base.
    fn merge(&mut self, member: &Member<'_>, changes: &RowChanges<'_>) -> Result<(), DeltaError> {
        let base = self.base.bytes();
        let rows = member.rows(base).ok_or(DeltaError::Invalid("it changes rows of a member that has no key"))?;
        changes.check(rows.field)?;
        let start = self.member(&base[member.start..member.value.start])?;
        let rows = Merge::new(self, &base[member.value.clone()], &rows).run(changes)?;
        self.outline.push(start..self.out.len(), Some(rows));
        Ok(())
    }

    /// Appends a value of the delta in the form that records have: nested rows sorted as well. Deltas made from records
    /// have it already.
    pub fn record_form(&mut self, value: &[u8]) -> Result<(), DeltaError> {
        match Scanner::new(value, Form::Record, self.bounds).document() {
            Ok(()) => self.append(value),
            // What is canonical otherwise can only be out of order.
            Err(_) => write_ordered(value, &mut |piece| self.append(piece)),
        }
    }

    fn finish(mut self, depth: usize) -> Result<Document, DeltaError> {
        self.append(b"}")?;
        // What a delta brings lies no deeper in the result than in the delta.
        let depth = depth.max(self.base.depth());
        Ok(Document::from_parts(self.out, self.outline, depth))
    }
}

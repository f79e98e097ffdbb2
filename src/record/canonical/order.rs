//! Putting the rows of keyed arrays into order, in a value that is canonical but for that.
//!
//! Deltas may have rows in any order inside of what they set. Whoever writes a delta has them in order, so that this is
//! rare; it holds eight bytes of each row, since an array can have millions.

use super::walk::{Elements, Members, Row, Rows, position};
use super::{KeyField, compare_keys};

/// Hands the value `text`, with its rows in order, to `write`, piece by piece.
///
/// # Errors
/// Those of `write`.
pub(crate) fn write_ordered<E>(text: &[u8], write: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut orderer = Orderer { text, copied: 0, write };
    let end = orderer.value(0)?;
    orderer.copy(end)
}

struct Orderer<'a, W> {
    text: &'a [u8],
    /// Up to where the text was written, or was written elsewhere.
    copied: usize,
    write: &'a mut W,
}

impl<E, W: FnMut(&[u8]) -> Result<(), E>> Orderer<'_, W> {
    /// Goes through the value at `at`; where it ends. As deep as values nest, which checking has bounded.
    fn value(&mut self, at: usize) -> Result<usize, E> {
        match self.text.get(at) {
            Some(b'{') => {
                let mut members = Members::of_object(self.text, at);
                for member in &mut members {
                    self.value(member.value.start)?;
                }
                Ok(members.end())
            }
            Some(b'[') => self.array(at),
            _ => Ok(super::walk::value_end(self.text, at)),
        }
    }

    fn array(&mut self, at: usize) -> Result<usize, E> {
        let mut elements = Elements::new(self.text, at);
        let Some(rows) = out_of_order(self.text, at) else {
            for element in &mut elements {
                self.value(element.start)?;
            }
            return Ok(elements.end());
        };
        self.copy(at + 1)?;
        for (index, (start, _)) in rows.iter().enumerate() {
            if index > 0 {
                (self.write)(b",")?;
            }
            self.copied = *start as usize;
            let end = self.value(self.copied)?;
            self.copy(end)?;
        }
        elements.by_ref().for_each(drop);
        self.copied = elements.end() - 1;
        Ok(elements.end())
    }

    /// Writes what was gone through up to `to`.
    fn copy(&mut self, to: usize) -> Result<(), E> {
        let piece = self.text.get(self.copied..to).unwrap_or_default();
        self.copied = to;
        (self.write)(piece)
    }
}

/// Where the rows of the array at `at` and their keys begin, in the order that they must have; nothing if they have it,
/// or if the array is not keyed.
fn out_of_order(text: &[u8], at: usize) -> Option<Vec<(u32, u32)>> {
    let (field, count) = key_field(text, at)?;
    let key = |row: &Row<'_>| row.key(field).map(|key| position(text, key));
    let sorted = Rows::new(text, at).is_sorted_by(|left, right| {
        left.key(field).zip(right.key(field)).is_some_and(|(left, right)| compare_keys(left, right).is_lt())
    });
    if sorted {
        return None;
    }
    // Places are below 2 GiB, as those of every document are.
    let place = |at: usize| u32::try_from(at).ok();
    let mut rows = Vec::with_capacity(count);
    for row in Rows::new(text, at) {
        rows.push((place(row.start)?, place(key(&row)?)?));
    }
    let spelled = |from: u32| {
        let from = from as usize;
        &text[from..super::walk::value_end(text, from - 1) - 1]
    };
    rows.sort_unstable_by(|left, right| compare_keys(spelled(left.1), spelled(right.1)));
    let repeats = rows.windows(2).any(|pair| spelled(pair[0].1) == spelled(pair[1].1));
    (!repeats).then_some(rows)
}

/// What an array would be keyed by if no key repeats, and how many rows it has.
fn key_field(text: &[u8], at: usize) -> Option<(KeyField, usize)> {
    let (mut count, mut uuid, mut id) = (0, true, true);
    for row in Rows::new(text, at) {
        count += 1;
        uuid &= row.uuid.is_some();
        id &= row.id.is_some();
        if !uuid && !id {
            return None;
        }
    }
    (count > 0).then_some((if uuid { KeyField::Uuid } else { KeyField::Id }, count))
}

#[cfg(test)]
mod tests {
    use super::super::{Bounds, Form, canonicalize};
    use super::*;

    #[test]
    fn rows_come_into_the_order_that_records_have() {
        let cases = [
            r#"[{"id":"b","x":[{"uuid":"2"},{"uuid":"1"}]},{"id":"a","x":{"y":[{"id":"d"},{"id":"c"}]}}]"#,
            r#"[{"id":"b"},{"id":"a"},{"id":"b"}]"#,
            r#"[{"id":"b","uuid":"1"},{"id":"a"}]"#,
            r#"[{"id":"\""},{"id":"\n"},{"id":"!"},{"id":"\\"}]"#,
            r#"[[{"id":"b"},{"id":"a"}],3,[],{}]"#,
            r#"{"a":[{"id":"b"},{"id":"a"}],"b":[],"c":[{"id":"b"},{"id":"a"}],"d":1}"#,
            "1",
            r#""text""#,
        ];
        for text in cases {
            let mut ordered = Vec::new();
            write_ordered(text.as_bytes(), &mut |piece| {
                ordered.extend_from_slice(piece);
                Ok::<_, std::convert::Infallible>(())
            })
            .unwrap();
            let expected = canonicalize(text.as_bytes(), Form::Record, &Bounds::default()).unwrap();
            assert_eq!(String::from_utf8(ordered).unwrap(), String::from_utf8(expected).unwrap());
        }
    }
}

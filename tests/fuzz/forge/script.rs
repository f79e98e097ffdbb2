//! Scripts: what the fuzzer writes to say which bundle to make. One step a line, so that a mutation stays where it is.

use crate::tar::Entry;

/// A step: a letter and its operands.
#[derive(Debug, Clone, Copy)]
pub struct Step<'s> {
    /// What to do.
    pub letter: u8,
    /// With what.
    pub operands: Operands<'s>,
}

/// The operands of a step, taken from its front.
#[derive(Debug, Clone, Copy)]
pub struct Operands<'s>(&'s [u8]);

/// The steps of a script.
#[must_use]
pub fn steps(script: &[u8]) -> Vec<Step<'_>> {
    let lines = script.split(|byte| *byte == b'\n').take(64);
    let step = |line: &'_ [u8]| line.split_first().map(|(letter, rest)| (*letter, rest.len()));
    lines
        .filter_map(|line| {
            let (letter, rest) = step(line)?;
            Some(Step { letter, operands: Operands(&line[line.len() - rest..]) })
        })
        .collect()
}

/// The steps of some letters.
pub fn of<'s>(steps: &[Step<'s>], letters: &'static [u8]) -> impl Iterator<Item = Step<'s>> {
    steps.iter().filter(|step| letters.contains(&step.letter)).copied()
}

/// Drops, doubles and swaps elements; `letters` are those three.
pub fn alter_list<T: Clone>(list: &mut Vec<T>, steps: &[Step<'_>], letters: &'static [u8; 3]) {
    for mut step in of(steps, letters) {
        if list.is_empty() {
            return;
        }
        let at = step.operands.number() % list.len();
        if step.letter == letters[0] {
            list.remove(at);
        } else if step.letter == letters[1] {
            list.push(list[at].clone());
        } else {
            let other = step.operands.number() % list.len();
            list.swap(at, other);
        }
    }
}

/// Writes over fields of headers; `letters` are: with a checksum that matches, without, and padding that is not zero.
pub fn alter_headers(entries: &mut [Entry], steps: &[Step<'_>], letters: &'static [u8; 3]) {
    for mut step in of(steps, letters) {
        let at = step.operands.number() % entries.len().max(1);
        let Some(entry) = entries.get_mut(at) else { return };
        if step.letter == letters[2] {
            entry.padding = step.operands.flip();
        } else {
            let field = step.operands.number();
            entry.patch(field, step.operands.rest());
            entry.sealed &= step.letter == letters[0];
        }
    }
}

impl<'s> Operands<'s> {
    /// A small number: a digit, or what another character is from `0` on.
    pub fn number(&mut self) -> usize {
        usize::from(self.byte().unwrap_or(b'0').wrapping_sub(b'0'))
    }

    /// A place in something of that length: two digits to the base of 64.
    pub fn place(&mut self, length: usize) -> usize {
        let place = self.number() * 64 + self.number();
        if length == 0 { 0 } else { place % length }
    }

    /// A character that is not NUL.
    pub fn flip(&mut self) -> u8 {
        self.byte().unwrap_or(1).max(1)
    }

    /// A word, up to the next space.
    pub fn word(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == b' ').unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        String::from_utf8_lossy(word).into_owned()
    }

    /// Everything that is left.
    #[must_use]
    pub fn rest(self) -> &'s [u8] {
        self.0
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

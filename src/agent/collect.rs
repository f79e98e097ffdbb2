//! Lists of rows in the making: objects become anonymous rows one by one, with problems on the way.

use std::collections::BTreeMap;

use super::Gap;
use crate::pseudonym::{Pseudonym, Pseudonymizer};
use crate::record::Row;
use crate::record::problem::{Category, Problem, Step};

/// What is noted while rows are made.
#[derive(Debug)]
pub(super) struct Notes<'n> {
    pub names: &'n Pseudonymizer,
    problems: Vec<Problem>,
}

impl<'n> Notes<'n> {
    pub fn new(names: &'n Pseudonymizer) -> Self {
        Self { names, problems: Vec::new() }
    }

    pub fn problem(&mut self, step: Step, category: Category, concerns: Option<Pseudonym>) {
        self.problems.push(Problem { category, concerns, step });
    }

    /// Notes what a source could not find out.
    pub fn gap(&mut self, gap: &Gap) {
        let concerns = gap.concerns.as_ref().map(|(kind, name)| self.names.of(*kind, name));
        self.problem(gap.step, gap.category, concerns);
    }

    /// Whether something is missing at a step as a whole.
    pub fn lacks(&self, step: Step) -> bool {
        self.problems.iter().any(|problem| problem.step == step && problem.concerns.is_none())
    }

    pub fn extend(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

/// The rows of one list. An object that is malformed or there twice costs only itself, with a problem for each.
#[derive(Debug)]
pub(super) struct Rows<'n, R> {
    pub notes: Notes<'n>,
    step: Step,
    /// Whether the object that was seen under a pseudonym was sound.
    seen: BTreeMap<Pseudonym, bool>,
    made: Vec<R>,
}

impl<'n, R> Rows<'n, R> {
    pub fn new(names: &'n Pseudonymizer, step: Step) -> Self {
        Self { notes: Notes::new(names), step, seen: BTreeMap::new(), made: Vec::new() }
    }

    /// Adds the object that `uuid` stands for, of which `fields` are absent if it is malformed.
    pub fn add<T>(&mut self, uuid: Pseudonym, fields: Option<&T>, row: impl FnOnce(&mut Notes<'n>, &T) -> R) {
        let before = self.see(uuid, fields.is_some());
        match fields {
            Some(fields) if before != Some(true) => self.made.push(row(&mut self.notes, fields)),
            Some(_) => {}
            None => self.notes.problem(self.step, Category::Malformed, Some(uuid)),
        }
    }

    /// Notes an object that says not even what it is called.
    pub fn add_nameless(&mut self) {
        self.notes.problem(self.step, Category::Malformed, None);
    }

    /// Forgets everything, for a list that begins anew.
    pub fn clear(&mut self) {
        *self = Self::new(self.notes.names, self.step);
    }

    /// The rows and the problems.
    pub fn into_parts(self) -> (Vec<R>, Vec<Problem>) {
        (self.made, self.notes.problems)
    }

    /// Remembers a pseudonym, and tells whether it was seen before and was sound then.
    fn see(&mut self, uuid: Pseudonym, sound: bool) -> Option<bool> {
        let before = self.seen.get(&uuid).copied();
        self.seen.insert(uuid, before == Some(true) || sound);
        if before.is_some() {
            self.notes.problem(self.step, Category::Duplicate, Some(uuid));
        }
        before
    }
}

impl<R: Row> Rows<'_, R> {
    /// Adds the rows of another list of the same kind, as if its objects had been in this one.
    pub fn append(&mut self, other: Self) {
        let mut sound: BTreeMap<_, _> = other.made.into_iter().map(|row| (row.key(), row)).collect();
        for (uuid, _) in other.seen {
            let row = sound.remove(&uuid);
            let before = self.see(uuid, row.is_some());
            self.made.extend(row.filter(|_| before != Some(true)));
        }
        self.notes.extend(other.notes.problems);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pseudonym::NameType;
    use crate::record::kubermatic::Project;
    use crate::record::problem::sorted;

    #[test]
    fn lists_that_are_appended_are_judged_as_one() {
        let names = Pseudonymizer::new([1; 32]);
        let objects = [("a", true), ("b", false), ("a", false), ("b", true), ("c", true), ("a", true), ("d", false)];
        let made = |objects: &[(&str, bool)]| {
            let mut rows = Rows::new(&names, Step::Projects);
            for (name, sound) in objects {
                let uuid = names.of(NameType::Project, name);
                rows.add(uuid, sound.then_some(&()), |_, ()| Project { uuid });
            }
            rows
        };
        let ended = |rows: Rows<'_, Project>| {
            let (mut rows, problems) = rows.into_parts();
            rows.sort_by_key(Row::key);
            (rows, sorted(problems))
        };
        let whole = ended(made(&objects));
        assert_eq!((whole.0.len(), whole.1.len()), (3, 5));
        for first in 0..=objects.len() {
            for second in first..=objects.len() {
                let mut rows = made(&objects[..first]);
                rows.append(made(&objects[first..second]));
                rows.append(made(&objects[second..]));
                assert_eq!(ended(rows), whole, "split at {first} and {second}");
            }
        }
    }
}

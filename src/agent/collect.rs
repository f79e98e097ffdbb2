//! What both collectors need: names made anonymous, and problems on the way.

use std::collections::BTreeMap;

use super::objects::Object;
use super::{Gap, Inventory};
use crate::pseudonym::{NameType, Pseudonym, Pseudonymizer};
use crate::record::problem::{self, Category, Problem, Step};

/// Objects that are not being deleted.
pub(super) fn living<T>(objects: &[Object<T>]) -> impl Iterator<Item = &Object<T>> {
    objects.iter().filter(|object| !object.deleting)
}

/// A collection in progress.
pub(super) struct Collection<'a> {
    pub names: &'a Pseudonymizer,
    problems: Vec<Problem>,
}

impl<'a> Collection<'a> {
    pub fn new(names: &'a Pseudonymizer) -> Self {
        Self { names, problems: Vec::new() }
    }

    pub fn problem(&mut self, step: Step, category: Category, concerns: Option<Pseudonym>) {
        self.problems.push(Problem { category, concerns, step });
    }

    /// Takes the source's own problems over, as far as they concern these steps.
    pub fn gaps(&mut self, inventory: &Inventory, steps: &[Step]) {
        for Gap { step, category, concerns } in inventory.gaps.iter().filter(|gap| steps.contains(&gap.step)) {
            let concerns = concerns.as_ref().map(|(kind, name)| self.names.of(*kind, name));
            self.problem(*step, *category, concerns);
        }
    }

    /// The problems in their order.
    pub fn into_problems(self) -> Vec<Problem> {
        problem::sorted(self.problems)
    }

    /// Makes a row of each object, leaving out what is malformed or there twice, with a problem for each.
    pub fn rows<'o, T: 'o, R>(
        &mut self,
        step: Step,
        kind: NameType,
        objects: impl IntoIterator<Item = &'o Object<T>>,
        row: impl FnMut(&mut Self, &Object<T>, &T, Pseudonym) -> R,
    ) -> Vec<R> {
        self.rows_named(step, objects, |names, object| names.of(kind, &object.name), row)
    }

    /// The same with pseudonyms of the caller's making.
    pub fn rows_named<'o, T: 'o, R>(
        &mut self,
        step: Step,
        objects: impl IntoIterator<Item = &'o Object<T>>,
        pseudonym: impl Fn(&Pseudonymizer, &Object<T>) -> Pseudonym,
        mut row: impl FnMut(&mut Self, &Object<T>, &T, Pseudonym) -> R,
    ) -> Vec<R> {
        // Whether the object that was seen under a pseudonym was sound.
        let mut seen = BTreeMap::new();
        let mut rows = Vec::new();
        for object in objects {
            let uuid = pseudonym(self.names, object);
            let before = seen.get(&uuid).copied();
            seen.insert(uuid, before == Some(true) || object.fields.is_some());
            if before.is_some() {
                self.problem(step, Category::Duplicate, Some(uuid));
            }
            match &object.fields {
                Some(fields) if before != Some(true) => rows.push(row(self, object, fields, uuid)),
                Some(_) => {}
                None => self.problem(step, Category::Malformed, Some(uuid)),
            }
        }
        rows
    }
}

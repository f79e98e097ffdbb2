//! Withholding: what a site leaves out of records, by category or by field.
//!
//! A name is a record kind, a category (mostly a top-level array), or the path of one field. With an array goes
//! everything that names its rows elsewhere, so that no reference leads to what is not there and no pseudonym of it is
//! left. A member that is withheld is absent; the record's own `withheld` says for which names something was left out.

mod names;
mod strip;

use std::collections::{BTreeMap, BTreeSet};

use super::canonical::{Bounds, CanonicalError};
use super::document::Document;
use super::is_known_kind;
use super::problem::Step;
pub use names::{Category, categories, categories_of, field_paths};
use names::{Reach, is_at_or_below, reach};
use strip::Cut;

/// The types of those that problems of a step can concern; the first is that of the rows that the step makes.
const MENTIONS: &[(Step, &[&str])] = &[
    (Step::Configuration, &[]),
    (Step::KubernetesVersion, &[]),
    (Step::Seeds, &["seed"]),
    (Step::Datacenters, &["datacenter"]),
    (Step::Clusters, &["cluster", "seed"]),
    (Step::Users, &["user"]),
    (Step::Projects, &["project"]),
    (Step::SshKeys, &["sshKey"]),
    (Step::MachineDeployments, &["machineDeployment", "cluster", "seed"]),
    (Step::Nodes, &["node", "cluster", "seed"]),
];

/// The one field of problems that can be withheld.
const CONCERNS: &str = "problems.concerns";

/// A name that can't be withheld.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` can't be withheld: {advice}", crate::text::shortened(name, 100))]
pub struct NotWithholdable {
    /// The name.
    pub name: String,
    /// What can.
    pub advice: String,
}

/// What is left out of records; nothing by default.
#[derive(Debug, Clone, Default)]
pub struct Withholding {
    names: Vec<String>,
    reach: Reach,
    cuts: BTreeMap<&'static str, Cut>,
}

/// What becomes of a record.
#[derive(Debug)]
pub enum Outcome {
    /// It has nothing that is withheld.
    Untouched,
    /// Everything in it is withheld.
    Whole,
    /// What is left of it.
    Reduced(Document),
}

impl Withholding {
    /// Withholds what these names say.
    ///
    /// # Errors
    /// A name that is not known, or of what every record needs.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, NotWithholdable> {
        let names: BTreeSet<_> = names.into_iter().collect();
        let mut withholding = Self::default();
        let mut paths = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let Some(reach) = reach(name) else {
                return Err(NotWithholdable { name: (*name).to_owned(), advice: names::advice(name) });
            };
            // Problems are a set, which is made anew from what is left of them.
            let members = reach.iter().filter(|(_, path)| *path != CONCERNS);
            paths.extend(members.map(|place| (*place, index)));
            withholding.drop_problems(&reach, index);
            withholding.reach.extend(reach);
        }
        paths.sort_by_key(|((_, path), _)| path.matches('.').count());
        for ((kind, path), index) in paths {
            withholding.cuts.entry(kind).or_default().tree.add(path, index);
        }
        withholding.names = names.into_iter().map(str::to_owned).collect();
        Ok(withholding)
    }

    /// Problems of what is withheld are nobody's, and others don't name it.
    fn drop_problems(&mut self, reach: &Reach, name: usize) {
        let gone: BTreeSet<_> = reach.iter().flat_map(|(kind, path)| names::owned(kind, path)).collect();
        for (kind, ..) in super::kinds() {
            let cut = self.cuts.entry(kind).or_default();
            let every_one = reach.contains(&(kind, CONCERNS));
            for (step, mentioned) in MENTIONS {
                let is_own = mentioned.first().is_some_and(|entity| gone.contains(entity));
                let is_field = reach.contains(&(kind, step.as_str()));
                if is_own || is_field {
                    cut.steps.entry(step.as_str()).or_default().insert(name);
                }
                let mentions = cut.mentions.entry(step.as_str()).or_default();
                if every_one || mentioned.iter().any(|entity| gone.contains(entity)) {
                    mentions.insert(name);
                }
            }
            if every_one || !gone.is_empty() {
                cut.elsewhere.insert(name);
            }
        }
    }

    /// Whether nothing is withheld.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names, sorted, each once.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether records of a kind are withheld as a whole.
    #[must_use]
    pub fn withholds_kind(&self, kind: &str) -> bool {
        self.names.iter().any(|name| name == kind) && is_known_kind(kind)
    }

    /// Whether a field, or all that it is part of, is withheld from records of a kind.
    #[must_use]
    pub fn withholds(&self, kind: &str, path: &str) -> bool {
        self.reach.iter().any(|(of, above)| *of == kind && is_at_or_below(path, above))
    }

    /// Whether anything can be withheld from records of a kind.
    #[must_use]
    pub fn touches(&self, kind: &str) -> bool {
        // Any name can take a problem's `concerns` along.
        !self.is_empty() && is_known_kind(kind)
    }

    /// Whether what another one withholds is withheld by this one as well.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.reach.iter().all(|(kind, path)| self.withholds(kind, path))
    }

    /// Leaves out of a record what is withheld. Doing it again changes nothing.
    ///
    /// # Errors
    /// None that can be met: what is left of a canonical record is canonical.
    pub fn apply(&self, kind: &str, record: &Document) -> Result<Outcome, CanonicalError> {
        if self.withholds_kind(kind) {
            return Ok(Outcome::Whole);
        }
        let stripped = match self.cuts.get(kind) {
            Some(cut) if self.touches(kind) => strip::strip(record.bytes(), cut, |name| self.names[name].clone()),
            _ => None,
        };
        match stripped {
            None => Ok(Outcome::Untouched),
            Some(bytes) => Document::parse(bytes, &Bounds::default()).map(Outcome::Reduced),
        }
    }
}

/// How many bytes a name in a record may have, and how many names there may be: what a later version of this program may
/// have called something.
const LONGEST_NAME: usize = 100;
const MOST_NAMES: usize = 1000;

/// What a record says was left out of it.
#[must_use]
pub fn withheld_from(kind: &str, record: &Document) -> Vec<String> {
    if !is_known_kind(kind) {
        return Vec::new();
    }
    let is_name = |name: &String| {
        (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'.')
    };
    let list = record.outline().find(record.bytes(), b"withheld");
    let names = list.map(|list| strip::texts(record.bytes(), list.value.start).filter(is_name).take(MOST_NAMES));
    names.into_iter().flatten().collect()
}

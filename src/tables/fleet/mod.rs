//! What may be told of all installations together, for people: counts by month, computed from the tables.
//!
//! Of each installation and month the newest complete record counts. What fewer than five installations have is folded
//! away here (`rule`), so that nothing that is made of a [`Fleet`] can tell it. Months are read one after the other;
//! memory grows with the number of installations and of groups.

mod adoption;
mod month;
mod names;
mod rule;

use std::collections::{BTreeMap, BTreeSet};

pub use adoption::{Adoption, Pace, WINDOW};
pub use names::{FOLDED, Name};
pub use rule::{FEW, Installations};

use self::adoption::Course;
use self::month::{Clients, Seen};
use self::names::{Id, Names};
use self::rule::{Group, fold, steps};
use super::named::months;
use super::{Progress, TablesError};
use crate::ingest::archive::Archive;

/// How many months are told of at most, the newest.
pub const MOST_MONTHS: i32 = 120;

/// By what installations, or what they have, are divided into groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Clusters by their cloud provider.
    Provider,
    /// Clusters by Kubernetes' minor version.
    Kubernetes,
    /// Clusters by their network plug-in.
    Cni,
    /// Clusters by whether they use the integration of OPA; as the next three, in groups `yes` and `no`.
    Opa,
    /// Clusters by whether they are monitored.
    Monitoring,
    /// Clusters by whether their logs are collected.
    Logging,
    /// Clusters by whether they have the SSH key agent.
    SshKeyAgent,
    /// Machine deployments by their operating system.
    Machines,
    /// Installations by the countries of their seeds and datacenters; one can be in several.
    Country,
    /// Installations by KKP's minor version.
    Kubermatic,
}

impl Subject {
    /// All of them, by their place.
    pub const ALL: [Self; 10] = [
        Self::Provider,
        Self::Kubernetes,
        Self::Cni,
        Self::Opa,
        Self::Monitoring,
        Self::Logging,
        Self::SshKeyAgent,
        Self::Machines,
        Self::Country,
        Self::Kubermatic,
    ];
}

/// A group that is told of by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is called.
    pub name: Name,
    /// How many things there are in it.
    pub items: u64,
    /// How many installations have one or more.
    pub installations: Installations,
}

/// How a month's things fall into groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Division {
    /// Groups of five installations or more, the largest first.
    pub parts: Vec<Part>,
    /// All others together, if there are any: their things and installations.
    pub others: Option<(u64, Installations)>,
    /// How many installations there are of which shares are taken: those that tell, or all if fewer than five do not.
    pub of: u64,
    /// How many tell nothing of it; none if these are fewer than five, or nobody.
    pub untold: Option<u64>,
}

impl Division {
    /// All things in it; none if nothing may be told.
    #[must_use]
    pub fn items(&self) -> Option<u64> {
        let of_parts: u64 = self.parts.iter().map(|part| part.items).sum();
        let is_told = !self.parts.is_empty() || self.others.is_some();
        is_told.then(|| of_parts + self.others.map_or(0, |(items, _)| items))
    }

    /// A group, if it is told of by itself.
    #[must_use]
    pub fn part(&self, name: &Name) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == *name)
    }
}

/// A month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Month {
    /// Its name, like `2026-01`.
    pub name: String,
    /// How many installations sent a complete record; none if fewer than five did.
    pub complete: Option<u64>,
    /// How many sent any record: at least so many, above the complete ones in steps of five; none if fewer than five did.
    pub any: Option<u64>,
    /// How many were heard of for the first time ever, in steps of five.
    pub new: u64,
    /// How many had been heard of before and sent nothing, in steps of five.
    pub silent: u64,
    divisions: Vec<Division>,
}

impl Month {
    /// What is told of a subject.
    #[must_use]
    pub fn division(&self, subject: Subject) -> Option<&Division> {
        self.divisions.get(subject as usize)
    }
}

/// What may be told of the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Months in their order, without gaps, from the first with five installations to the last. Nothing may be told if
    /// there are none.
    pub months: Vec<Month>,
    /// How Kubernetes' minor versions were adopted in user clusters.
    pub kubernetes: Vec<Adoption>,
    /// How KKP's minor versions were adopted.
    pub kubermatic: Vec<Adoption>,
    /// Whether fewer than five installations sent anything.
    pub is_too_small: bool,
}

/// Computes what may be told of the months from `since` to `until` (like `2026-01`), of at most [`MOST_MONTHS`].
///
/// # Errors
/// The archive has no tables, fails, or one of its tables can't be read.
pub fn fleet(
    archive: &Archive,
    since: Option<&str>,
    until: &str,
    progress: Progress<'_>,
) -> Result<Fleet, TablesError> {
    let mut months = months(archive)?;
    if months.is_empty() {
        let is_empty = archive.list_directories("clients")?.is_empty();
        return Err(if is_empty { TablesError::Empty } else { TablesError::Absent });
    }
    months.retain(|month| month.as_str() <= until);
    let earliest = number(until).map(|number| of_number(number - MOST_MONTHS + 1)).unwrap_or_default();
    let since = since.unwrap_or_default().max(&earliest);
    let mut work = Work::default();
    for (done, month) in (0..).zip(&months) {
        progress(done, months.len() as u64);
        if month.as_str() < since {
            // Only to know who is new later on.
            work.clients.meet_all(archive, month)?;
        } else {
            work.read(archive, month)?;
        }
    }
    Ok(work.finish())
}

/// Places of months on a line without gaps.
fn number(month: &str) -> Option<i32> {
    let (year, month) = month.split_once('-')?;
    Some(year.parse::<i32>().ok()? * 12 + month.parse::<i32>().ok()? - 1)
}

fn of_number(number: i32) -> String {
    format!("{:04}-{:02}", number.div_euclid(12), number.rem_euclid(12) + 1)
}

/// What was computed so far.
#[derive(Default)]
struct Work {
    clients: Clients,
    names: Names,
    kubernetes: Course,
    kubermatic: Course,
    /// Installations of the period.
    seen: BTreeSet<u32>,
    months: Vec<Month>,
}

impl Work {
    fn read(&mut self, archive: &Archive, name: &str) -> Result<(), TablesError> {
        let known = self.clients.count();
        self.skip_to(name, known);
        let all = month::read(archive, name, &mut self.clients, &mut self.names)?;
        self.seen.extend(all.keys());
        self.follow(&all);
        let again = all.keys().filter(|client| usize::try_from(**client).is_ok_and(|client| client < known)).count();
        let complete = all.values().filter(|seen| !seen.days.is_empty()).count() as u64;
        let any = all.len() as u64;
        let told = (complete >= FEW).then_some(complete);
        self.months.push(Month {
            name: name.to_owned(),
            complete: told,
            any: (any >= FEW).then(|| told.unwrap_or_default() + steps(any - told.unwrap_or_default())),
            new: steps((all.len() - again) as u64),
            silent: steps((known - again) as u64),
            divisions: Subject::ALL
                .iter()
                .map(|subject| told.map_or_else(Division::default, |complete| self.divide(*subject, &all, complete)))
                .collect(),
        });
        Ok(())
    }

    /// Adds the months of which there is nothing.
    fn skip_to(&mut self, name: &str, known: usize) {
        let silent = steps(known as u64);
        let last = self.months.last().and_then(|month| number(&month.name));
        if let (Some(last), Some(next)) = (last, number(name)) {
            let absent = (last + 1..next).map(|month| Month { name: of_number(month), silent, ..Month::default() });
            self.months.extend(absent);
        }
    }

    fn follow(&mut self, all: &BTreeMap<u32, Seen>) {
        let days: BTreeSet<_> = all.values().flat_map(|seen| seen.days.keys()).copied().collect();
        for day in days {
            for (client, seen) in all {
                let Some(sighting) = seen.days.get(&day) else { continue };
                self.kubernetes.hear(day, *client, &sighting.kubernetes);
                self.kubermatic.hear(day, *client, &sighting.kubermatic);
            }
            self.kubernetes.end_of(day);
            self.kubermatic.end_of(day);
        }
    }

    fn divide(&self, subject: Subject, all: &BTreeMap<u32, Seen>, complete: u64) -> Division {
        let (mut groups, mut telling) = (BTreeMap::<Id, Group>::new(), 0);
        for (client, seen) in all.iter().filter(|(_, seen)| seen.has(subject)) {
            let tally = &seen.tallies[subject as usize].0;
            telling += u64::from(tally.iter().any(|(id, _)| *id != Id::NOT_TOLD));
            for (id, count) in tally {
                let group = groups.entry(*id).or_default();
                group.items += count;
                group.members.push(*client);
            }
        }
        let of = if complete - telling < FEW { complete } else { telling };
        let folded = fold(groups);
        let part = |(id, group): &(Id, Group)| {
            let all = if *id == Id::NOT_TOLD { complete } else { of };
            let installations = Installations::among(group.size(), all);
            Part { name: self.names.name(*id), items: group.items, installations }
        };
        Division {
            parts: folded.shown.iter().map(part).collect(),
            others: folded.rest.map(|rest| (rest.items, Installations::among(rest.size(), complete))),
            of,
            untold: Some(complete - of).filter(|count| *count > 0),
        }
    }

    fn finish(mut self) -> Fleet {
        let is_too_small = (self.seen.len() as u64) < FEW;
        let first = self.months.iter().position(|month| month.any.is_some());
        let last = self.months.iter().rposition(|month| month.any.is_some());
        let (Some(first), Some(last)) = (first, last) else { return Fleet { is_too_small, ..Fleet::default() } };
        self.months.truncate(last + 1);
        self.months.drain(..first);
        Fleet {
            months: self.months,
            kubernetes: self.kubernetes.adoptions(&self.names),
            kubermatic: self.kubermatic.adoptions(&self.names),
            is_too_small,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_stand_on_a_line_without_gaps() {
        for (name, next) in [("2025-12", "2026-01"), ("2026-01", "2026-02"), ("0000-12", "0001-01")] {
            assert_eq!(of_number(number(name).unwrap() + 1), next);
        }
        assert_eq!(number("x"), None);
        for (place, subject) in Subject::ALL.iter().enumerate() {
            assert_eq!(*subject as usize, place);
        }
    }
}

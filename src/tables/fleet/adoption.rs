//! How fast minor versions are adopted: day by day, how many installations have one as of their newest complete record.
//! Of each installation the last day and its versions are kept, of each version the days that count.

use std::collections::{BTreeMap, HashMap};

use super::names::{Id, Name, Names, Tally};
use super::rule::FEW;

/// How long an installation counts after its last complete record, in days.
pub const WINDOW: i64 = 31;

/// How a minor version was adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The version.
    pub version: Name,
    /// Since when; days are counted from the one on which five installations had it.
    pub pace: Pace,
}

/// How fast a version was adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Nobody knows: five had it in the first days that there are records of.
    FromTheStart,
    /// After how many days a quarter and a half of the installations had it, if they did.
    Days {
        /// A quarter.
        quarter: Option<u32>,
        /// A half.
        half: Option<u32>,
    },
}

#[derive(Debug, Default)]
struct Milestones {
    five: i64,
    quarter: Option<i64>,
    half: Option<i64>,
}

/// How the versions of one thing went through the fleet so far.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The last day and the versions of each installation.
    installations: HashMap<u32, (i64, Vec<Id>)>,
    versions: BTreeMap<Id, Milestones>,
    /// The first day with five installations.
    start: Option<i64>,
}

impl Course {
    /// Hears of an installation's versions as of a day; days come in their order.
    pub fn hear(&mut self, day: i64, client: u32, versions: &Tally) {
        let told = versions.0.iter().map(|(id, _)| *id).filter(|id| ![Id::NOT_TOLD, Id::UNRECOGNISED].contains(id));
        self.installations.insert(client, (day, told.collect()));
    }

    /// Everything of a day was heard.
    pub fn end_of(&mut self, day: i64) {
        let (mut of, mut having) = (0, BTreeMap::<Id, u64>::new());
        for (last, versions) in self.installations.values() {
            // Those that tell nothing are none that lack it.
            if versions.is_empty() || day - last >= WINDOW {
                continue;
            }
            of += 1;
            for id in versions {
                *having.entry(*id).or_default() += 1;
            }
        }
        if of >= FEW {
            self.start.get_or_insert(day);
        }
        for (id, count) in having.into_iter().filter(|(_, count)| *count >= FEW) {
            let milestones =
                self.versions.entry(id).or_insert_with(|| Milestones { five: day, ..Milestones::default() });
            if 4 * count >= of {
                milestones.quarter.get_or_insert(day);
            }
            if 2 * count >= of {
                milestones.half.get_or_insert(day);
            }
        }
    }

    /// How each version that five had at a time was adopted, the newest first.
    pub fn adoptions(&self, names: &Names) -> Vec<Adoption> {
        let mut all: Vec<_> =
            self.versions.iter().map(|(id, milestones)| self.adoption(names.name(*id), milestones)).collect();
        all.retain(|adoption| adoption.version.version().is_some());
        all.sort_by_key(|adoption| std::cmp::Reverse(adoption.version.version()));
        all
    }

    fn adoption(&self, version: Name, milestones: &Milestones) -> Adoption {
        let since = |day: i64| u32::try_from(day - milestones.five).unwrap_or_default();
        let is_old = self.start.is_none_or(|start| milestones.five - start < WINDOW);
        let days = || Pace::Days { quarter: milestones.quarter.map(since), half: milestones.half.map(since) };
        Adoption { version, pace: if is_old { Pace::FromTheStart } else { days() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty installations with 1.1, of which one more has 1.2 each day from day 100 on.
    fn course(until: i64, most: i64) -> Vec<Adoption> {
        let (mut names, mut course) = (Names::default(), Course::default());
        for day in 0..until {
            for client in 0..20 {
                let version = if day - 100 >= i64::from(client) && i64::from(client) < most { "1.2" } else { "1.1" };
                let mut tally = Tally::default();
                tally.add(&mut names, Some(version.to_owned()));
                course.hear(day, client, &tally);
            }
            course.end_of(day);
        }
        course.adoptions(&names)
    }

    #[test]
    fn days_count_from_the_fifth_installation_on() {
        let pace =
            |until, most| course(until, most).into_iter().find(|it| it.version.label() == "1.2").map(|it| it.pace);
        assert_eq!(pace(150, 20), Some(Pace::Days { quarter: Some(0), half: Some(5) }), "five of twenty are a quarter");
        assert_eq!(pace(107, 20), Some(Pace::Days { quarter: Some(0), half: None }));
        assert_eq!(pace(150, 4), None, "four are not told of");
        assert_eq!(pace(150, 5), Some(Pace::Days { quarter: Some(0), half: None }));
        let all = course(150, 20);
        assert_eq!(all.iter().map(|it| it.version.label()).collect::<Vec<_>>(), ["1.2", "1.1"]);
        assert_eq!(all[1].pace, Pace::FromTheStart);
    }

    #[test]
    fn who_is_silent_counts_for_a_month_and_who_tells_nothing_never() {
        let (mut names, mut course) = (Names::default(), Course::default());
        let mut tell = |course: &mut Course, day, clients: std::ops::Range<u32>, version: Option<&str>| {
            for client in clients {
                let mut tally = Tally::default();
                tally.add(&mut names, version.map(str::to_owned));
                course.hear(day, client, &tally);
            }
            course.end_of(day);
        };
        tell(&mut course, 0, 0..40, Some("1.1"));
        tell(&mut course, 40, 0..20, Some("1.1"));
        tell(&mut course, 40, 50..90, None);
        tell(&mut course, 41, 0..5, Some("1.2"));
        tell(&mut course, 42, 5..10, Some("1.2"));
        let adoptions = course.adoptions(&names);
        assert_eq!(adoptions[0].pace, Pace::Days { quarter: Some(0), half: Some(1) }, "ten of twenty");
    }
}

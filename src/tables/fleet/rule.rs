//! The rule of five: what fewer than five installations have is not told by itself, nor can it be told from what is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::names::Id;

/// Fewer installations than these are not told of.
pub const FEW: u64 = 5;
/// How many groups of a month are told of by themselves, the largest first.
const MOST_GROUPS: usize = 20;

/// How many installations have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installations {
    /// How many.
    pub count: u64,
    /// Whether it can be more: those that lack it are fewer than five, and how few is not told.
    pub is_least: bool,
}

impl Installations {
    /// So many, five or more, out of `of`, unless those that are left would be a group under five.
    pub(super) fn among(count: u64, of: u64) -> Self {
        match of.saturating_sub(count) {
            0 => Self { count, is_least: false },
            left if left < FEW => Self { count: of.saturating_sub(FEW - 1).max(FEW), is_least: true },
            _ => Self { count, is_least: false },
        }
    }
}

/// A count that differences of others would give away, in steps of five.
pub(super) fn steps(count: u64) -> u64 {
    count - count % FEW
}

/// Things of one kind, and whose they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// How many.
    pub items: u64,
    /// The installations that have one or more, by their numbers.
    pub members: Vec<u32>,
}

impl Group {
    /// How many installations have one or more.
    pub fn size(&self) -> u64 {
        self.members.len() as u64
    }
}

/// What may be told of groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Folded {
    /// Groups by themselves, the largest first.
    pub shown: Vec<(Id, Group)>,
    /// All others together.
    pub rest: Option<Group>,
}

/// Folds the groups that fewer than five installations have into one. As long as that one is a single group, or fewer
/// than five installations have it, the smallest of the others goes into it too: all minus what is told is the rest.
/// Where not even all of them together make five, nothing is told.
pub(super) fn fold(groups: BTreeMap<Id, Group>) -> Folded {
    let mut shown: Vec<_> = groups.into_iter().collect();
    shown.sort_by_key(|(id, group)| (Reverse(group.size()), Reverse(group.items), *id));
    let large = shown.partition_point(|(_, group)| group.size() >= FEW);
    let mut rest = shown.split_off(large.min(MOST_GROUPS));
    if rest.is_empty() {
        return Folded { shown, rest: None };
    }
    let mut all = together(&rest);
    while rest.len() < 2 || all.size() < FEW {
        let Some(smallest) = shown.pop() else { break };
        rest.push(smallest);
        all = together(&rest);
    }
    Folded { shown, rest: (all.size() >= FEW).then_some(all) }
}

fn together(groups: &[(Id, Group)]) -> Group {
    let members: BTreeSet<_> = groups.iter().flat_map(|(_, group)| &group.members).copied().collect();
    let items = groups.iter().map(|(_, group)| group.items).sum();
    Group { items, members: members.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of these numbers of installations, each of which has one item, and no installation is in two.
    fn apart(sizes: &[u32]) -> BTreeMap<Id, Group> {
        let mut next = 0;
        let groups = sizes.iter().map(|size| {
            let members: Vec<_> = (next..next + size).collect();
            next += size;
            Group { items: u64::from(*size), members }
        });
        (2..).map(Id).zip(groups).collect()
    }

    fn sizes(sizes: &[u32]) -> (Vec<u64>, Option<u64>) {
        let folded = fold(apart(sizes));
        (folded.shown.iter().map(|(_, group)| group.size()).collect(), folded.rest.map(|rest| rest.size()))
    }

    #[test]
    fn a_group_stands_by_itself_from_five_on() {
        assert_eq!(sizes(&[4, 5, 6]), (vec![6], Some(9)), "the four take the five with them, or they could be told");
        assert_eq!(sizes(&[5, 6]), (vec![6, 5], None));
        assert_eq!(sizes(&[2, 4, 5, 6]), (vec![6, 5], Some(6)));
        assert_eq!(sizes(&[1, 1, 1, 5, 6]), (vec![6], Some(8)), "three are no five");
        assert_eq!(sizes(&[20, 1]), (vec![], Some(21)));
        assert_eq!(sizes(&[2, 2]), (vec![], None), "not even all of them are five");
        assert_eq!(sizes(&[]), (vec![], None));
    }

    #[test]
    fn what_all_minus_the_shown_leaves_is_nobody_or_five_of_two_groups() {
        let mut checked = 0;
        for shape in 0..8_u32.pow(5) {
            let groups: Vec<_> = (0..5).map(|place| shape / 8_u32.pow(place) % 8).filter(|size| *size > 0).collect();
            let (shown, rest) = sizes(&groups);
            let all: u64 = groups.iter().copied().map(u64::from).sum();
            let left = all - shown.iter().sum::<u64>();
            assert!(shown.iter().all(|size| *size >= FEW), "{groups:?}");
            match rest {
                None if shown.is_empty() => assert!(all < FEW, "{groups:?}"),
                None => assert_eq!(left, 0, "{groups:?}"),
                Some(rest) => {
                    assert_eq!(left, rest, "{groups:?}");
                    assert!(rest >= FEW && groups.len() - shown.len() >= 2, "{groups:?}");
                }
            }
            checked += 1;
        }
        assert_eq!(checked, 32_768);
    }

    #[test]
    fn installations_in_two_small_groups_count_once() {
        let group = |members: &[u32]| Group { items: 10, members: members.to_vec() };
        let groups = [(Id(2), group(&[0, 1, 2])), (Id(3), group(&[0, 1, 2, 3])), (Id(4), group(&[4, 5, 6, 7, 8]))];
        let folded = fold(groups.clone().into());
        assert!(folded.shown.is_empty(), "three and four of the same are four");
        assert_eq!(folded.rest.unwrap().size(), 9);
        assert_eq!(fold(groups[..2].iter().cloned().collect()), Folded::default());
    }

    #[test]
    fn groups_are_bounded_in_number() {
        let folded = fold(apart(&[9; 100]));
        assert_eq!((folded.shown.len(), folded.rest.unwrap().size()), (MOST_GROUPS, 9 * 80));
    }

    #[test]
    fn those_who_lack_something_are_not_told_when_they_are_few() {
        let among = |count| Installations::among(count, 20);
        assert_eq!(among(20), Installations { count: 20, is_least: false });
        for count in 16..20 {
            assert_eq!(among(count), Installations { count: 16, is_least: true });
        }
        assert_eq!(among(15), Installations { count: 15, is_least: false });
        assert_eq!(
            Installations::among(5, 6),
            Installations { count: 5, is_least: true },
            "all that are told of are five"
        );
        assert_eq!([0, 4, 5, 9, 10].map(steps), [0, 0, 5, 5, 10]);
    }
}

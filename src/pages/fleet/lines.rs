//! A fleet's groups as lines over months.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::pages::chart::{MOST_LINES, Series};
use crate::tables::fleet::{Division, FOLDED, Month, Name, Part, Subject};

/// How many groups have lines of their own at most; others are added to what is folded.
const MOST: usize = 3 * MOST_LINES - 1;
/// The groups of flags.
pub(super) const YES: &str = "yes";
const NO: &str = "no";

/// What a line tells of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// How many things there are.
    Items,
    /// How many percent of the installations have one or more.
    Installations,
}

/// Lines of the groups that are told of by themselves in any month, and one of all others where they can be added up: of
/// things, and of installations that are in one group each.
pub(super) fn lines(months: &[Month], subject: Subject, over: Over) -> Vec<Series> {
    let divisions: Vec<_> = months.iter().map(|month| month.division(subject)).collect();
    let names = chosen(&divisions);
    let mut lines: Vec<_> = names
        .iter()
        .map(|name| Series {
            name: name.label().to_owned(),
            values: divisions.iter().map(|division| value((*division)?, name, over)).collect(),
        })
        .collect();
    if over == Over::Items || subject == Subject::Kubermatic {
        let values: Vec<_> = divisions.iter().map(|division| rest((*division)?, &names, over)).collect();
        if values.iter().flatten().any(|value| *value > 0.0) {
            lines.push(Series { name: FOLDED.to_owned(), values });
        }
    }
    lines
}

/// The names that have lines: those of the newest month first, by their size, then those that were largest; in the order
/// of versions where they are ones.
fn chosen(divisions: &[Option<&Division>]) -> Vec<Name> {
    let mut sizes = BTreeMap::<&Name, (u64, u64)>::new();
    let newest = divisions.iter().rposition(|division| division.is_some_and(|division| division.items().is_some()));
    for (at, division) in divisions.iter().enumerate() {
        for part in division.iter().flat_map(|division| &division.parts) {
            let (now, most) = sizes.entry(&part.name).or_default();
            *most = part.installations.count.max(*most);
            if Some(at) == newest {
                *now = part.installations.count;
            }
        }
    }
    let mut names: Vec<_> = sizes.into_iter().collect();
    names.sort_by_key(|(name, sizes)| (Reverse(*sizes), *name));
    names.truncate(MOST);
    let mut names: Vec<_> = names.into_iter().map(|(name, _)| name.clone()).collect();
    if names.iter().any(|name| name.version().is_some()) {
        names.sort_by_key(|name| Reverse(name.version()));
    }
    names
}

fn value(division: &Division, name: &Name, over: Over) -> Option<f64> {
    let Some(part) = division.part(name) else {
        // Where nothing is folded there is nothing of it.
        return (division.items().is_some() && division.others.is_none()).then_some(0.0);
    };
    Some(match over {
        Over::Items => float(part.items),
        Over::Installations => percent(part.installations.count, share_of(division, part)),
    })
}

/// Of how many installations a group is a share.
fn share_of(division: &Division, part: &Part) -> u64 {
    if part.name == Name::NotTold { division.of + division.untold.unwrap_or_default() } else { division.of }
}

/// What is folded, and what has no line.
fn rest(division: &Division, names: &[Name], over: Over) -> Option<f64> {
    let all = division.items()?;
    let drawn = division.parts.iter().filter(|part| names.contains(&part.name)).map(|part| part.items);
    let rest = all - drawn.sum::<u64>();
    Some(if over == Over::Items { float(rest) } else { percent(rest, all) })
}

/// How many percent of clusters had a feature in each month; nothing if that is told of none.
pub(super) fn share_of_yes(months: &[Month], subject: Subject, name: &str) -> Option<Series> {
    let values: Vec<_> = months.iter().map(|month| percent_of_yes(month.division(subject)?)).collect();
    values.iter().any(Option::is_some).then(|| Series { name: name.to_owned(), values })
}

/// How many percent of the clusters that tell have a feature; nothing where either side may not be told.
pub(super) fn percent_of_yes(division: &Division) -> Option<f64> {
    let is_whole = division.others.is_none();
    match yes_and_no(division) {
        (Some(yes), Some(no)) => Some(percent(yes, yes + no)),
        (Some(_), None) if is_whole => Some(100.0),
        (None, Some(_)) if is_whole => Some(0.0),
        _ => None,
    }
}

/// Clusters with and without a feature, where they may be told.
pub(super) fn yes_and_no(division: &Division) -> (Option<u64>, Option<u64>) {
    let items = |name: &str| division.part(&Name::Is(name.to_owned())).map(|part| part.items);
    (items(YES), items(NO))
}

/// With one digit behind the point.
fn percent(part: u64, of: u64) -> f64 {
    (1000.0 * float(part) / float(of.max(1))).round() / 10.0
}

/// Percent for people.
pub(super) fn spelled(percent: f64) -> String {
    format!("{percent:.1}")
}

/// A count as a coordinate; beyond 2^53 it is not exact, where nobody counts.
#[expect(clippy::cast_precision_loss, reason = "a drawing is coarser")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

//! What groups are called. Names come from records, which are untrusted: they are escaped and cut, and there are no more
//! of one installation in a month than a sound one has.

use std::collections::HashMap;

use crate::record::values::OTHER;
use crate::text::escaped;

/// How long a name is at most, in characters.
const LONGEST: usize = 40;
/// Into how many groups one division of an installation falls in a month; what is beyond is not recognised.
const MOST: usize = 64;

const UNRECOGNISED: &str = "not recognised";
const NOT_TOLD: &str = "not told";
/// What stands for the groups that are folded.
pub const FOLDED: &str = "others";

/// What a group is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// As records have it, safe to show.
    Is(String),
    /// The agent did not know it either.
    Unrecognised,
    /// It was withheld, or could not be found out.
    NotTold,
}

impl Name {
    /// For people.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Is(name) => name,
            Self::Unrecognised => UNRECOGNISED,
            Self::NotTold => NOT_TOLD,
        }
    }

    /// Major and minor version, if it is one.
    #[must_use]
    pub fn version(&self) -> Option<(u16, u16)> {
        match self {
            Self::Is(name) => numbers(name),
            _ => None,
        }
    }
}

/// A name in short: its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub u32);

impl Id {
    /// [`Name::NotTold`].
    pub const NOT_TOLD: Self = Self(0);
    /// [`Name::Unrecognised`].
    pub const UNRECOGNISED: Self = Self(1);
    const FIRST: u32 = 2;
}

/// Every name that was met.
#[derive(Debug, Default)]
pub(super) struct Names {
    ids: HashMap<String, Id>,
    names: Vec<String>,
}

impl Names {
    /// The number of a name, if it is known already.
    fn find(&self, name: &str) -> Option<Id> {
        self.ids.get(name).copied()
    }

    fn make(&mut self, name: String) -> Id {
        let id = Id(Id::FIRST.saturating_add(u32::try_from(self.names.len()).unwrap_or(u32::MAX)));
        self.names.push(name.clone());
        self.ids.insert(name, id);
        id
    }

    /// The name of a number.
    pub fn name(&self, id: Id) -> Name {
        if id == Id::NOT_TOLD {
            return Name::NotTold;
        }
        let at = id.0.checked_sub(Id::FIRST).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.names.get(at)).map_or(Name::Unrecognised, |name| Name::Is(name.clone()))
    }
}

/// How many things an installation has of each name.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally(pub Vec<(Id, u64)>);

impl Tally {
    /// Counts a thing of this name; nothing is one that is not told. Gives the name's number.
    pub fn add(&mut self, names: &mut Names, name: Option<String>) -> Id {
        let id = match name {
            None => Id::NOT_TOLD,
            Some(name) if is_taken(&name) => Id::UNRECOGNISED,
            Some(name) => match names.find(&name) {
                Some(id) if self.0.len() < MOST || self.0.iter().any(|(known, _)| *known == id) => id,
                None if self.0.len() < MOST => names.make(name),
                _ => Id::UNRECOGNISED,
            },
        };
        match self.0.iter_mut().find(|(known, _)| *known == id) {
            Some((_, count)) => *count += 1,
            None => self.0.push((id, 1)),
        }
        id
    }
}

/// Whether a name would be taken for what it is not.
fn is_taken(name: &str) -> bool {
    name.trim().is_empty() || [OTHER, UNRECOGNISED, NOT_TOLD, FOLDED].contains(&name)
}

/// A text as a name.
pub(super) fn name(text: &str) -> String {
    let start: String = text.chars().take(LONGEST + 1).collect();
    let safe = escaped(&start);
    match safe.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &safe[..cut]),
        None => safe,
    }
}

/// The minor version that a version is of, like `1.30`; what is no version, as a name.
pub(super) fn minor(text: &str) -> String {
    numbers(text).map_or_else(|| name(text), |(major, minor)| format!("{major}.{minor}"))
}

fn numbers(text: &str) -> Option<(u16, u16)> {
    let (major, rest) = number(text.strip_prefix('v').unwrap_or(text))?;
    let (minor, rest) = number(rest.strip_prefix('.')?)?;
    (rest.is_empty() || rest.starts_with(['.', '-', '+'])).then_some((major, minor))
}

/// The number that a text begins with, and what follows.
fn number(text: &str) -> Option<(u16, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok().filter(|_| digits.len() < 5)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_of_its_minor_version() {
        for (text, expected) in [
            ("1.30.1", "1.30"),
            ("v2.25.0-rc.1", "2.25"),
            ("v1.31", "1.31"),
            ("1.29+k3s1", "1.29"),
            ("1.30<b>", "1.30<b>"),
            ("1.", "1."),
            ("12345.1.1", "12345.1.1"),
            ("1.2\u{202e}3", "1.2\\u{202e}3"),
            ("", ""),
        ] {
            assert_eq!(minor(text), expected);
        }
        assert_eq!(Name::Is("1.30".into()).version(), Some((1, 30)));
        assert_eq!(Name::NotTold.version(), None);
    }

    #[test]
    fn a_name_is_short_and_acts_on_nothing() {
        assert_eq!(name("a\u{0}\u{202e}b"), "a\\u{0}\\u{202e}b");
        assert_eq!(name(&"ä".repeat(40)), "ä".repeat(40));
        assert_eq!(name(&"ä".repeat(50_000)), "ä".repeat(40) + "…");
        assert_eq!(name(&"\u{7}".repeat(41)).chars().count(), 41);
    }

    #[test]
    fn an_installation_has_so_many_groups_at_most() {
        let (mut names, mut tally) = (Names::default(), Tally::default());
        for number in 0..100_000_u32 {
            tally.add(&mut names, Some(number.to_string()));
        }
        assert_eq!((names.names.len(), tally.0.len()), (MOST, MOST + 1));
        assert_eq!(tally.0[MOST], (Id::UNRECOGNISED, 100_000 - MOST as u64));
        assert_eq!(tally.add(&mut names, Some("7".to_owned())), Id(9), "those that it has go on counting");
        assert_eq!(tally.0.iter().map(|(_, count)| count).sum::<u64>(), 100_001);
    }

    #[test]
    fn nothing_is_called_as_what_it_is_not() {
        let (mut names, mut tally) = (Names::default(), Tally::default());
        for name in ["other", "others", "not told", "not recognised", "", " "] {
            assert_eq!(tally.add(&mut names, Some(name.to_owned())), Id::UNRECOGNISED);
        }
        assert_eq!(tally.add(&mut names, None), Id::NOT_TOLD);
        let id = tally.add(&mut names, Some("aws".to_owned()));
        assert_eq!(
            [id, Id::NOT_TOLD, Id::UNRECOGNISED].map(|id| names.name(id).label().to_owned()),
            ["aws", "not told", "not recognised"]
        );
    }
}

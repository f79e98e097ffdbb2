//! What can be named to be withheld, and which fields a name comes to: derived from the field catalogue.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::record::catalogue::{Field, Privacy};
use crate::record::kinds;

/// A name that stands for more than one field path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// How it is typed.
    pub name: &'static str,
    /// What it comes to, for people.
    pub about: String,
}

/// A field of a record kind.
#[derive(Debug)]
pub(super) struct Place {
    pub kind: &'static str,
    /// The names of its fields from the record down, with dots.
    pub path: String,
    /// Whether a record or row makes sense without it.
    optional: bool,
    privacy: Privacy,
}

/// The fields that a name comes to, as kind and path. Where a path is there, everything below it goes as well.
pub(super) type Reach = BTreeSet<(&'static str, &'static str)>;

/// What every record needs to be one, and what says how it came to lack something.
const ENVELOPE: &[&str] = &["kind", "version", "time", "complete", "withheld", "problems.category", "problems.step"];

/// A category's name, what it is, and which fields it covers.
type Across = (&'static str, &'static str, fn(Privacy) -> bool);

/// Categories that go across arrays, by what keeps a field anonymous.
const ACROSS: &[Across] = &[
    ("countries", "every country", |privacy| matches!(privacy, Privacy::Country)),
    ("locations", "every location, which is free text", |privacy| matches!(privacy, Privacy::Location)),
    ("regions", "every region", |privacy| matches!(privacy, Privacy::Region)),
    (
        "versions",
        "every version: of KKP, Kubernetes, kubelets, kernels, runtimes, plug-ins, distributions",
        |privacy| {
            matches!(privacy, Privacy::Release | Privacy::NumericRelease | Privacy::RuntimeVersion | Privacy::OsImage)
        },
    ),
];

/// A list within rows that has a name of its own, as problems have it too.
const DATACENTERS: (&str, &str) = ("datacenters", "seeds.datacenters");

static PLACES: LazyLock<Vec<Place>> = LazyLock::new(|| {
    let mut places = Vec::new();
    for (kind, _, fields) in kinds() {
        add(kind, "", fields, false, &mut places);
    }
    places
});

fn add(kind: &'static str, above: &str, fields: &'static [Field], rows: bool, places: &mut Vec<Place>) {
    for (index, field) in fields.iter().enumerate() {
        let path = format!("{above}{}", field.name);
        // A row's first field says which row it is.
        let is_needed = rows && index == 0 || ENVELOPE.contains(&path.as_str());
        let below = format!("{path}.");
        places.push(Place { kind, path, optional: !is_needed, privacy: field.privacy });
        match field.privacy {
            Privacy::Rows(fields) => add(kind, &below, fields, true, places),
            Privacy::Object(fields) => add(kind, &below, fields, false, places),
            _ => {}
        }
    }
}

/// Every category, sorted by name.
#[must_use]
pub fn categories() -> Vec<Category> {
    let mut all: Vec<_> = ACROSS.iter().map(|(name, about, _)| Category { name, about: (*about).to_owned() }).collect();
    all.push(Category { name: DATACENTERS.0, about: format!("`{}`, and what names them", DATACENTERS.1) });
    for (kind, _, fields) in kinds() {
        all.push(Category { name: kind, about: format!("whole records of kind `{kind}`") });
        for field in fields.iter().filter(|field| matches!(field.privacy, Privacy::Rows(_))) {
            let references = if owned(kind, field.name).is_empty() { "" } else { ", and what names them" };
            let about = format!("`{}`{references}", field.name);
            if all.iter().all(|category| category.name != field.name) {
                all.push(Category { name: field.name, about });
            }
        }
    }
    all.sort_by_key(|category| category.name);
    all
}

/// Every field path that can be withheld by itself, sorted, each once.
#[must_use]
pub fn field_paths() -> BTreeSet<&'static str> {
    PLACES.iter().filter(|place| place.optional).map(|place| place.path.as_str()).collect()
}

/// The categories that a field is withheld with.
#[must_use]
pub fn categories_of(kind: &str, path: &str) -> Vec<&'static str> {
    let covers = |category: &Category| {
        reach(category.name)
            .is_some_and(|reach| reach.iter().any(|(of, above)| *of == kind && is_at_or_below(path, above)))
    };
    categories().iter().filter(|it| covers(it)).map(|it| it.name).collect()
}

/// The fields that a name comes to; nothing if it is not known.
pub(super) fn reach(name: &str) -> Option<Reach> {
    let across = ACROSS.iter().find(|(category, ..)| *category == name);
    let is_kind = kinds().iter().any(|(kind, ..)| *kind == name);
    let named = if name == DATACENTERS.0 { DATACENTERS.1 } else { name };
    let is_meant = |place: &&Place| match across {
        Some((.., is_one)) => is_one(place.privacy),
        None if is_kind => place.kind == name && !place.path.contains('.'),
        None => place.path == named && place.optional,
    };
    let mut reach: Reach = PLACES.iter().filter(is_meant).map(|place| (place.kind, place.path.as_str())).collect();
    let gone: BTreeSet<_> = reach.iter().flat_map(|(kind, path)| owned(kind, path)).collect();
    let names_one = |place: &&Place| match place.privacy {
        Privacy::Pseudonym(entity) | Privacy::Pseudonyms(entity) => gone.contains(entity),
        _ => false,
    };
    // Whoever is withheld is not named elsewhere either.
    let references = PLACES.iter().filter(names_one).filter(|place| place.optional);
    reach.extend(references.map(|place| (place.kind, place.path.as_str())));
    (!reach.is_empty()).then_some(reach)
}

/// The types of what has its rows at or below a path.
pub(super) fn owned(kind: &str, path: &str) -> BTreeSet<&'static str> {
    let rows = PLACES.iter().filter(|place| place.kind == kind && is_at_or_below(&place.path, path));
    let owned = rows.filter_map(|place| match place.privacy {
        Privacy::Rows([Field { privacy: Privacy::Pseudonym(entity), .. }, ..]) => Some(*entity),
        _ => None,
    });
    owned.collect()
}

/// Whether a path is another one or lies below it.
pub(super) fn is_at_or_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Why a name can't be withheld, for people: what is meant to be typed instead.
pub(super) fn advice(name: &str) -> String {
    let known: Vec<_> = categories().iter().map(|category| category.name).collect();
    let paths = field_paths();
    if let Some(meant) = known.iter().chain(&paths).find(|it| it.eq_ignore_ascii_case(name)) {
        return format!("it is spelled `{meant}`");
    }
    if let Some((above, _)) = name.rsplit_once('.').filter(|_| PLACES.iter().any(|place| place.path == name)) {
        return format!("it says which row is which: withhold `{above}` as a whole");
    }
    if ENVELOPE.contains(&name) {
        return "every record has it".to_owned();
    }
    let top = name.split('.').next().unwrap_or(name);
    let fields: Vec<_> = paths.iter().filter(|path| path.contains('.') && is_at_or_below(path, top)).copied().collect();
    if fields.is_empty() {
        let known = known.join(", ");
        return format!("known are the categories {known}; and fields by their paths, such as `clusters.cniPlugin`");
    }
    format!("the fields of `{top}` are {}", fields.join(", "))
}

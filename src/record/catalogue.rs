//! The field catalogue: every field that can leave an installation, with its meaning and why it is anonymous.
//!
//! The record types are declared through the macro `catalogued`, so that a field can't exist without an entry here;
//! `docs/data-collected.md` is this catalogue as text.

use std::fmt::Write as _;

use super::withhold;

/// What keeps a field from identifying anybody.
#[derive(Debug, Clone, Copy)]
pub enum Privacy {
    /// The pseudonym of a name of this type.
    Pseudonym(&'static str),
    /// A list of pseudonyms of names of this type.
    Pseudonyms(&'static str),
    /// One of these words; anything else is `other`.
    Choice(&'static [&'static str]),
    /// A version number; suffixes that people choose are cut off.
    Release,
    /// The numeric part of a version.
    NumericRelease,
    /// An ISO 3166-1 alpha-2 country; anything else is `other`.
    Country,
    /// Free text in the category `locations`.
    Location,
    /// A public cloud's region, or the pseudonym of one that the customer named.
    Region,
    /// A known distribution and its version.
    OsImage,
    /// A known container runtime and its version.
    RuntimeVersion,
    /// A Kubernetes quantity.
    Quantity,
    /// True or false.
    Flag,
    /// A count.
    Number,
    /// When the record was made, to the second.
    Time,
    /// Names of categories and fields, as this page has them.
    Names,
    /// A fixed word.
    Constant(&'static str),
    /// Rows with fields of their own.
    Rows(&'static [Field]),
    /// One object with fields of its own.
    Object(&'static [Field]),
}

/// One field of a record.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its JSON name.
    pub name: &'static str,
    /// What it says.
    pub doc: &'static str,
    /// Why it is anonymous.
    pub privacy: Privacy,
}

/// A type whose fields are in the catalogue.
pub trait Catalogued {
    /// The fields, in the order of declaration.
    const FIELDS: &'static [Field];
}

/// Whether an optional field is left out.
pub(crate) trait Absent {
    fn is_absent(&self) -> bool {
        false
    }
}

impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Absent for Vec<T> {}
impl Absent for bool {}
impl Absent for u64 {}
impl Absent for u32 {}
impl Absent for &str {}
impl Absent for String {}
impl Absent for super::Pseudonym {}
impl Absent for super::values::Quantity {}

/// Declares a record type together with its catalogue: JSON name, field, type, privacy.
macro_rules! catalogued {
    ($(#[doc = $about:literal])+ pub struct $name:ident {
        $($(#[doc = $doc:literal])+ $json:literal $field:ident: $type:ty => $privacy:expr,)+
    }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                #[serde(rename = $json, skip_serializing_if = "crate::record::catalogue::Absent::is_absent")]
                pub $field: $type,
            )+
        }

        impl crate::record::catalogue::Catalogued for $name {
            const FIELDS: &'static [crate::record::catalogue::Field] = &[$(
                crate::record::catalogue::Field { name: $json, doc: concat!($($doc),+), privacy: $privacy },
            )+];
        }

        impl crate::record::catalogue::Absent for $name {}
    };
}
pub(crate) use catalogued;

/// The catalogue as Markdown: `docs/data-collected.md`.
#[must_use]
pub fn data_collected() -> String {
    let mut page = String::from(INTRODUCTION);
    for (kind, about, _) in super::kinds() {
        let _ = writeln!(page, "\n## Records of kind `{kind}`, version v1\n\n{about}\n");
        page.push_str("| field | meaning | what it can hold | withheld with |\n|---|---|---|---|\n");
        for Described { path, meaning, holds, withheld_with } in described(kind) {
            let _ = writeln!(page, "| `{path}` | {meaning} | {holds} | {withheld_with} |");
        }
    }
    page.push_str(CHOICE);
    for withhold::Category { name, about } in withhold::categories() {
        let _ = writeln!(page, "| `{name}` | {about} |");
    }
    page.push_str(CONCLUSION);
    for item in NEVER_COLLECTED {
        let _ = writeln!(page, "- {item}");
    }
    page
}

const INTRODUCTION: &str = "<!-- Generated from the record types; `UPDATE_GOLDEN=1 cargo test` writes it anew. -->\n\
# Data collected\n\n\
Every field that can leave an installation is listed here, and nothing else can: the program has no other place to\n\
put a value. `preview` prints the records of your own installation, byte for byte as they would leave.\n\n\
A *pseudonym* is a UUID computed from a name with a key that never leaves the installation (HMAC-SHA-256). It is\n\
the same from day to day, so that changes can be seen, and means nothing to anybody without the key.\n\
`kubermatic-telemetry pseudonym TYPE NAME` computes one locally.\n";

const CHOICE: &str = "\n## Withholding\n\n\
A site withholds a category, or a single field by its path without `[]`, with `--omit NAME`, the variable\n\
`KUBERMATIC_TELEMETRY_OMIT`, or the key `omit` of the installation's ConfigMap; [privacy.md](privacy.md) says how.\n\
What is withheld is absent, and what names it elsewhere is too, so that no pseudonym of it is left. The tables above\n\
say what each field goes with, beside its record's kind; one with nothing there goes with the kind alone.\n\n\
| category | is |\n|---|---|\n";

const CONCLUSION: &str = "\n## Records of other products\n\n\
A record that another product hands in (`collect --record FILE`) is taken only if the site allows its kind\n\
(`--allow-kind KIND`). Its contents are not checked by this program; `preview` and `inspect` mark it so.\n\n\
## Never collected\n\n";

/// What never leaves an installation. `docs/privacy.md` says the same.
pub const NEVER_COLLECTED: &[&str] = &[
    "Names, in whatever form: of seeds, datacenters, clusters, projects, users, SSH keys, machine deployments, nodes.",
    "E-mail addresses, IP addresses, host names, URLs, labels, annotations.",
    "Tokens, passwords, credentials, keys, kubeconfigs, fingerprints; identifiers of cloud accounts, networks, machines.",
    "Whatever else the objects in a cluster have: it is skipped while they are read, and never in memory as a whole.",
];

/// A field as it is told to people; what is between backquotes is meant as code.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its place from the record down, such as `clusters[].cloud.provider`.
    pub path: String,
    /// What it says.
    pub meaning: &'static str,
    /// What it can hold, and so why it is anonymous.
    pub holds: String,
    /// The categories that withhold it, and whether it can be withheld by itself.
    pub withheld_with: String,
}

/// Every field of a kind, those of rows and objects behind the field that has them; none of a kind that is not known.
#[must_use]
pub fn described(kind: &str) -> Vec<Described> {
    let mut all = Vec::new();
    if let Some((_, _, fields)) = super::kinds().into_iter().find(|(known, ..)| *known == kind) {
        describe(kind, "", fields, &mut all);
    }
    all
}

fn describe(kind: &str, prefix: &str, fields: &[Field], all: &mut Vec<Described>) {
    for field in fields {
        let path = format!("{prefix}{}", field.name);
        let withheld_with = withheld_with(kind, &path);
        let (path, nested) = match field.privacy {
            Privacy::Rows(nested) => (format!("{path}[]"), Some(nested)),
            Privacy::Object(nested) => (path, Some(nested)),
            Privacy::Pseudonyms(_) => (format!("{path}[]"), None),
            _ => (path, None),
        };
        let below = format!("{path}.");
        all.push(Described { path, meaning: field.doc.trim(), holds: holds(field.privacy), withheld_with });
        if let Some(nested) = nested {
            describe(kind, &below, nested, all);
        }
    }
}

/// What a field can be withheld with: categories, and whether by itself.
fn withheld_with(kind: &str, path: &str) -> String {
    let path = path.replace("[]", "");
    let categories = withhold::categories_of(kind, &path);
    let names = categories.iter().filter(|name| **name != kind).map(|name| format!("`{name}`"));
    let alone = withhold::field_paths().contains(path.as_str()) && !categories.contains(&path.as_str());
    names.chain(alone.then(|| "itself".to_owned())).collect::<Vec<_>>().join(", ")
}

fn holds(privacy: Privacy) -> String {
    match privacy {
        Privacy::Pseudonym(kind) => format!("pseudonym ({kind})"),
        Privacy::Pseudonyms(kind) => format!("pseudonyms ({kind})"),
        Privacy::Choice(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("one of {}, else `other`", words.join(", "))
        }
        Privacy::Release => "a version such as `v2.30.1`; suffixes that people choose are cut off".into(),
        Privacy::NumericRelease => "the numeric part of a version such as `5.15.0`".into(),
        Privacy::Country => "an ISO 3166-1 country code such as `DE`, else `other`".into(),
        Privacy::Location => "**free text** as configured, at most 128 characters (category `locations`)".into(),
        Privacy::Region => "the region of a public cloud (aws, azure, gcp, digitalocean, hetzner, alibaba) if it is a \
            published one, else a pseudonym (region)"
            .into(),
        Privacy::OsImage => {
            format!("a distribution and its version; one of {}, else `other`", super::values::DISTRIBUTIONS.join(", "))
        }
        Privacy::RuntimeVersion => "`containerd`, `cri-o` or `docker` and its version, else `other`".into(),
        Privacy::Quantity => "a quantity such as `7958656Ki`".into(),
        Privacy::Flag => "true or false".into(),
        Privacy::Number => "a number".into(),
        Privacy::Time => "a time to the second, in UTC".into(),
        Privacy::Names => "names of categories and fields, as this page has them".into(),
        Privacy::Constant(word) => format!("`{word}`"),
        Privacy::Rows(_) => "rows".into(),
        Privacy::Object(_) => "an object".into(),
    }
}

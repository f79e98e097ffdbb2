//! Whether a record fits its schema: over its canonical bytes as they lie, so that it takes no memory of its own.

use std::ops::Range;

use super::form::{self, Form};
use super::{Level, Schema, is_required};
use crate::record::canonical::text_of;
use crate::record::canonical::walk::{self, Elements, Members};
use crate::record::catalogue::{Field, Privacy};
use crate::record::document::Document;

/// Where a record does not fit. It has nothing of the record itself, only names of the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {must}")]
pub struct Misfit {
    /// The member, like `clusters[].cloud.provider`.
    pub path: String,
    /// What it must be.
    must: Must,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Must {
    #[error("is missing")]
    Exist,
    #[error("must be {0}")]
    Be(&'static str),
    #[error("must be `{0}`")]
    Equal(&'static str),
}

impl Schema {
    /// Checks a record of this kind and version.
    ///
    /// # Errors
    /// The first member that does not fit.
    pub fn check(&self, record: &Document) -> Result<(), Misfit> {
        let mut check = Check { text: record.bytes(), path: String::new() };
        check.object(0, self.fields, Level::Record)
    }
}

struct Check<'a> {
    text: &'a [u8],
    /// The way to the value at hand, by names of the schema.
    path: String,
}

impl Check<'_> {
    fn fails(&self, must: Must) -> Misfit {
        Misfit { path: self.path.clone(), must }
    }

    fn must(&self, fits: bool, be: &'static str) -> Result<(), Misfit> {
        if fits { Ok(()) } else { Err(self.fails(Must::Be(be))) }
    }

    /// Goes one step further for the time of `check`.
    fn within(&mut self, step: &str, check: impl FnOnce(&mut Self) -> Result<(), Misfit>) -> Result<(), Misfit> {
        let above = self.path.len();
        if above > 0 && step != "[]" {
            self.path.push('.');
        }
        self.path.push_str(step);
        check(self)?;
        self.path.truncate(above);
        Ok(())
    }

    fn object(&mut self, at: usize, fields: &[Field], level: Level) -> Result<(), Misfit> {
        self.must(self.text.get(at) == Some(&b'{'), "an object")?;
        let mut missing: usize =
            fields.iter().enumerate().filter(|(index, field)| is_required(field, *index, level)).count();
        for member in Members::of_object(self.text, at) {
            // Names are spelled in one way, and those of the schema without escapes.
            let found = fields.iter().position(|field| field.name.as_bytes() == member.name);
            let Some((index, field)) = found.and_then(|index| Some((index, fields.get(index)?))) else { continue };
            missing -= usize::from(is_required(field, index, level));
            self.within(field.name, |check| check.value(field.privacy, member.value))?;
        }
        if missing == 0 {
            return Ok(());
        }
        let is_there = |field: &Field| Members::of_object(self.text, at).any(|it| it.name == field.name.as_bytes());
        let mut required = fields.iter().enumerate().filter(|(index, field)| is_required(field, *index, level));
        let lacking = required.find(|(_, field)| !is_there(field)).map_or("", |(_, field)| field.name);
        self.within(lacking, |check| Err(check.fails(Must::Exist)))
    }

    fn value(&mut self, privacy: Privacy, at: Range<usize>) -> Result<(), Misfit> {
        match privacy {
            Privacy::Rows(fields) => self.elements(at.start, |check, row| check.object(row.start, fields, Level::Row)),
            Privacy::Object(fields) => self.object(at.start, fields, Level::Object),
            Privacy::Pseudonyms(_) | Privacy::Names => {
                self.elements(at.start, |check, element| check.text(element, form::of(privacy)))
            }
            Privacy::Flag => self.must(matches!(self.text.get(at), Some(b"true" | b"false")), "true or false"),
            Privacy::Number => {
                let number = self.text.get(at).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
                self.must(number.is_some(), "a whole number below 2^32")
            }
            Privacy::Constant(word) => {
                let is_it = walk::string(self.text, at) == Some(word.as_bytes());
                if is_it { Ok(()) } else { Err(self.fails(Must::Equal(word))) }
            }
            _ => self.text(at, form::of(privacy)),
        }
    }

    fn elements(
        &mut self,
        at: usize,
        mut element: impl FnMut(&mut Self, Range<usize>) -> Result<(), Misfit>,
    ) -> Result<(), Misfit> {
        self.must(self.text.get(at) == Some(&b'['), "an array")?;
        let text = self.text;
        self.within("[]", |check| Elements::new(text, at).try_for_each(|range| element(check, range)))
    }

    fn text(&self, at: Range<usize>, form: Option<&'static Form>) -> Result<(), Misfit> {
        let raw = walk::string(self.text, at);
        let fits = raw.is_some_and(|raw| form.is_none_or(|form| form.fits(&text_of(raw))));
        self.must(fits, form.map_or("a text", |form| form.must_be))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::record::canonical::{self, Bounds, Form as Spelling};
    use crate::record::schema::{SCHEMAS, find};

    fn check(record: &Value) -> Result<(), String> {
        let bounds = Bounds::default();
        let bytes = canonical::canonicalize(record.to_string().as_bytes(), Spelling::Record, &bounds).unwrap();
        let document = Document::parse(bytes, &bounds).unwrap();
        let (kind, version) = (record["kind"].as_str().unwrap(), record["version"].as_str().unwrap());
        let schema = find(&SCHEMAS, kind, version).unwrap_or(&SCHEMAS[0]);
        schema.check(&document).map_err(|misfit| misfit.to_string())
    }

    fn record() -> Value {
        let uuid = "59ef1105-e829-86c3-ac28-73d7832f42d5";
        json!({
            "kind": "kubermatic", "version": "v1", "time": "2026-01-11T04:10:00Z", "complete": true, "problems": [],
            "seeds": [{"uuid": uuid, "location": "Åmål \"1\"", "datacenters": [{"uuid": uuid, "country": "SE"}]}],
            "clusters": [{"uuid": uuid, "etcdClusterSize": 3, "cloud": {"provider": "aws"}}],
            "sshKeys": [{"uuid": uuid, "clusterUUIDs": [uuid, uuid]}], "withheld": ["clusters.phase", "users"],
        })
    }

    #[test]
    fn records_fit_and_may_have_more_or_less_than_is_known() {
        assert_eq!(check(&record()), Ok(()));
        let mut other = record();
        other["note"] = json!({"of": ["a later release"]});
        other["clusters"][0]["cloud"]["provider"] = json!("a-later-cloud");
        assert_eq!(check(&other), Ok(()));
        assert_eq!(check(&json!({"kind": "kubernetes", "version": "v1", "time": "2026-01-11T04:10:00Z"})), Ok(()));
    }

    #[test]
    fn what_does_not_fit_is_named_without_its_value() {
        let cases = [
            ("/version", json!("v2"), "`version` must be `v1`"),
            ("/complete", json!("yes"), "`complete` must be true or false"),
            ("/seeds", json!({}), "`seeds` must be an array"),
            ("/seeds/0", json!([]), "`seeds[]` must be an object"),
            ("/seeds/0/uuid", json!("Acme"), "`seeds[].uuid` must be a UUID in lower case"),
            (
                "/seeds/0/location",
                json!("a\nb"),
                "`seeds[].location` must be a text of at most 128 printable characters",
            ),
            ("/seeds/0/datacenters/0", json!({"country": "SE"}), "`seeds[].datacenters[].uuid` is missing"),
            (
                "/seeds/0/datacenters/0/country",
                json!("Sweden"),
                "`seeds[].datacenters[].country` must be a country code",
            ),
            (
                "/clusters/0/etcdClusterSize",
                json!(-1),
                "`clusters[].etcdClusterSize` must be a whole number below 2^32",
            ),
            (
                "/clusters/0/etcdClusterSize",
                json!(1.5),
                "`clusters[].etcdClusterSize` must be a whole number below 2^32",
            ),
            ("/clusters/0/cloud", json!(null), "`clusters[].cloud` must be an object"),
            ("/clusters/0/cloud/provider", json!("max@example.com"), "`clusters[].cloud.provider` must be a word"),
            ("/sshKeys/0/clusterUUIDs/1", json!(1), "`sshKeys[].clusterUUIDs[]` must be a UUID in lower case"),
            ("/withheld/0", json!(""), "`withheld[]` must be the name of a category or field"),
        ];
        for (pointer, value, expected) in cases {
            let mut record = record();
            *record.pointer_mut(pointer).unwrap() = value;
            assert_eq!(check(&record), Err(expected.to_owned()), "{pointer}");
        }
    }
}

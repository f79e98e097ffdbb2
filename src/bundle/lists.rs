//! Lists in a manifest that are for people, and that a hostile one could make millions of entries long: they are
//! checked when they are read, and kept as the text that they were.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

use super::error::VerifyError;
use super::members::Value;
use crate::record::canonical::text_of;
use crate::record::canonical::walk::{Elements, Members, string};

/// Rows per top-level array of a record.
#[derive(Clone, PartialEq, Eq)]
pub struct Counts(Box<str>);

/// What the site left out: categories and field paths.
#[derive(Clone, PartialEq, Eq)]
pub struct Withheld(Box<str>);

impl Counts {
    /// Makes them from names and numbers.
    ///
    /// # Errors
    /// None that can be met.
    pub fn new(counts: &[(String, u64)]) -> Result<Self, serde_json::Error> {
        let object: serde_json::Map<_, _> =
            counts.iter().map(|(name, count)| (name.clone(), (*count).into())).collect();
        serde_json::to_string(&object).map(|text| Self(text.into()))
    }

    pub(super) fn read(value: Value<'_, '_>) -> Result<Self, VerifyError> {
        value.object(|_, count| count.count().map(drop))?;
        Ok(Self(value.text().into()))
    }

    /// Names and numbers, in the manifest's order, at most `most` of them.
    #[must_use]
    pub fn list(&self, most: usize) -> Vec<(String, u64)> {
        let members = Members::of_object(self.0.as_bytes(), 0).take(most);
        let count = |value: Range<usize>| self.0[value].parse().unwrap_or_default();
        members.map(|member| (text_of(member.name).into_owned(), count(member.value))).collect()
    }
}

impl Withheld {
    /// Makes it from its entries, which are sorted, each once.
    ///
    /// # Errors
    /// None that can be met.
    pub fn new(entries: &[String]) -> Result<Self, serde_json::Error> {
        serde_json::to_string(entries).map(|text| Self(text.into()))
    }

    pub(super) fn read(value: Value<'_, '_>) -> Result<Self, VerifyError> {
        let mut last = None;
        value.array(|entry| {
            let text = entry.string("a string")?;
            if last.as_ref().is_some_and(|last| *last >= text) {
                return Err(entry.invalid("behind the entry before it, in the order of their bytes"));
            }
            last = Some(text);
            Ok(())
        })?;
        Ok(Self(value.text().into()))
    }

    /// The entries, at most `most` of them.
    #[must_use]
    pub fn list(&self, most: usize) -> Vec<String> {
        self.iter().take(most).map(Cow::into_owned).collect()
    }

    /// The entries, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let text = self.0.as_bytes();
        Elements::new(text, 0).filter_map(|entry| string(text, entry)).map(text_of)
    }
}

fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(text.to_owned()).map_err(S::Error::custom)?.serialize(serializer)
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl Serialize for Withheld {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Withheld {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

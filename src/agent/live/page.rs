//! Decoding one page of a list while it arrives: of each object only what records need, and never the page as a whole.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};
use std::marker::PhantomData;

use flate2::read::GzDecoder;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use tokio::sync::mpsc::Receiver;

use super::super::objects::Object;
use super::super::parsed::{Nameless, object};
use super::super::prune::PruneSeed;

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The objects; nothing for one without a name.
    pub objects: Vec<Option<Object<T>>>,
    /// The token that continues the list; nothing on its last page.
    pub next: Option<String>,
}

/// Why a page can't be read. What is in it is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// It is no list, or its reader failed.
    #[error("it is no whole list")]
    NotAList,
    /// It has more objects than it may.
    #[error("it has more objects than it may")]
    TooLarge,
}

/// Reads a page of at most `most` objects, compressed with gzip or not.
///
/// # Errors
/// What is not a whole list, or too long a one. An object that is malformed is none; it becomes a problem.
pub fn decode<T: DeserializeOwned>(reader: impl Read, gzip: bool, most: usize) -> Result<Page<T>, PageError> {
    let mut page = Page { objects: Vec::new(), next: None };
    let mut exceeded = false;
    let reader = io::BufReader::with_capacity(16 * 1024, reader);
    let reader: Box<dyn Read> =
        if gzip { Box::new(io::BufReader::new(GzDecoder::new(reader))) } else { Box::new(reader) };
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let seed = PageSeed { page: &mut page, most, exceeded: &mut exceeded };
    let read = seed.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match read {
        _ if exceeded => Err(PageError::TooLarge),
        Ok(()) => Ok(page),
        Err(_) => Err(PageError::NotAList),
    }
}

struct PageSeed<'p, T> {
    page: &'p mut Page<T>,
    most: usize,
    exceeded: &'p mut bool,
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for PageSeed<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for PageSeed<'_, T> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut listed = false;
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "metadata" => {
                    let metadata: ListMeta = members.next_value()?;
                    self.page.next = metadata.r#continue.filter(|token| !token.is_empty());
                }
                "items" => {
                    listed = true;
                    let items = ItemsSeed { left: self.most, exceeded: self.exceeded, kind: PhantomData::<T> };
                    self.page.objects = members.next_value_seed(items)?;
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        if listed { Ok(()) } else { Err(serde::de::Error::custom("no items")) }
    }
}

#[derive(serde::Deserialize)]
struct ListMeta {
    r#continue: Option<String>,
}

struct ItemsSeed<'p, T> {
    left: usize,
    exceeded: &'p mut bool,
    kind: PhantomData<T>,
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for ItemsSeed<'_, T> {
    type Value = Vec<Option<Object<T>>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for ItemsSeed<'_, T> {
    type Value = Vec<Option<Object<T>>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("items")
    }

    /// Go writes an empty slice that was never made as null.
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut objects = Vec::new();
        let mut credentials = BTreeSet::new();
        while let Some(value) = items.next_element_seed(PruneSeed::object(&mut credentials))? {
            if objects.len() == self.left {
                *self.exceeded = true;
                return Err(serde::de::Error::custom("too many items"));
            }
            objects.push(parse(value));
        }
        Ok(objects)
    }
}

fn parse<T: DeserializeOwned>(value: Value) -> Option<Object<T>> {
    let parsed: Result<Object<T>, Nameless> = object(value, "");
    parsed.ok()
}

/// Reads what another task sends. The end of the channel is the end of the text.
#[derive(Debug)]
pub(super) struct ChannelReader<B> {
    receiver: Receiver<B>,
    current: Option<B>,
    at: usize,
}

impl<B> ChannelReader<B> {
    pub fn new(receiver: Receiver<B>) -> Self {
        Self { receiver, current: None, at: 0 }
    }
}

impl<B: AsRef<[u8]>> Read for ChannelReader<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = self.current.as_ref().map_or(&[][..], |bytes| &bytes.as_ref()[self.at..]);
            if !rest.is_empty() {
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                self.at += count;
                return Ok(count);
            }
            self.at = 0;
            self.current = self.receiver.blocking_recv();
            if self.current.is_none() {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::objects::User;
    use super::*;

    fn page(text: &str) -> Result<Page<User>, PageError> {
        decode(text.as_bytes(), false, 3)
    }

    #[test]
    fn a_page_is_its_objects_and_the_way_on() {
        let found = page(
            r#"{"kind":"UserList","metadata":{"resourceVersion":"1","continue":"abc"},"items":[
                {"metadata":{"name":"a"},"spec":{"email":"x"}},{"metadata":{}},{"metadata":{"name":"b"},"spec":3}]}"#,
        )
        .unwrap();
        assert_eq!(found.next.as_deref(), Some("abc"));
        let names =
            found.objects.iter().map(|object| object.as_ref().map(|it| (it.name.as_str(), it.fields.is_some())));
        assert_eq!(names.collect::<Vec<_>>(), [Some(("a", true)), None, Some(("b", false))]);
    }

    #[test]
    fn the_last_page_may_lack_everything_but_items() {
        for text in [r#"{"items":null}"#, r#"{"items":[],"metadata":{"continue":""}}"#] {
            let found = page(text).unwrap();
            assert_eq!((found.objects.len(), found.next), (0, None), "{text}");
        }
    }

    #[test]
    fn what_is_no_whole_list_is_refused() {
        for text in ["", "[]", "{}", r#"{"items":{}}"#, r#"{"items":[{"metadata":{"name":"a"}}"#, r#"{"items":[]}{}"#] {
            assert_eq!(page(text).unwrap_err(), PageError::NotAList, "{text}");
        }
        assert_eq!(page(r#"{"items":[1,2,3,4]}"#).unwrap_err(), PageError::TooLarge);
    }
}

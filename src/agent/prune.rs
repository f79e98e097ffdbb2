//! Decoding objects into only the fields that a record can need.
//!
//! The tree in `keep` is an allow-list: everything else is passed over while it is read and never held, so that
//! credentials, e-mail addresses and keys do not even get into memory. What is passed over is looked at for the names
//! of fields that hold credentials, to be able to warn of them.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Value, json};

use super::keep::Keep::{self, Count, Each, List, Members, Presence, Scalar, Strings};
use super::keep::{CREDENTIALS, ROOT, ROOT_MEMBERS};

/// What a scalar is replaced by where its place asks for one and holds something else: no type takes it.
fn wrong_scalar() -> Value {
    json!([])
}

/// The same for places that ask for an object or a list.
fn wrong_container() -> Value {
    json!("")
}

/// The longest string that is kept; names and versions are far shorter.
const LONGEST: usize = 4096;

/// An object as far as it is kept.
#[derive(Debug)]
pub(super) struct Pruned {
    /// The kept fields.
    pub value: Value,
    /// Names of fields with credentials that were passed over.
    pub credentials: BTreeSet<&'static str>,
}

/// A document: one object, or the items of a `List`, each pruned as it is read.
#[derive(Debug)]
pub(super) struct Document {
    pub objects: Vec<Pruned>,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a Kubernetes object or list")
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document { objects: Vec::new() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Document, A::Error> {
        let mut credentials = BTreeSet::new();
        let (mut own, mut items) = (Map::new(), None);
        while let Some(name) = members.next_key::<String>()? {
            if name == "items" {
                items = members.next_value::<Items>()?.0;
            } else {
                keep_member(&mut members, &name, ROOT_MEMBERS, &mut own, &mut credentials)?;
            }
        }
        let kind = own.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(mut items) = items.filter(|_| kind.ends_with("List")) else {
            return Ok(Document { objects: vec![Pruned { value: Value::Object(own), credentials }] });
        };
        // The API server leaves kind and version out of the items of its own lists (NodeList).
        for item in &mut items {
            let Value::Object(object) = &mut item.value else { continue };
            if !object.contains_key("kind") && kind != "List" {
                object.insert("kind".into(), kind.trim_end_matches("List").into());
                object.insert("apiVersion".into(), own.get("apiVersion").cloned().unwrap_or_default());
            }
        }
        Ok(Document { objects: items })
    }
}

/// The items of a list, or nothing where `items` is something else.
struct Items(Option<Vec<Pruned>>);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Items, A::Error> {
        let mut items = Vec::new();
        loop {
            let mut credentials = BTreeSet::new();
            let seed = PruneSeed::object(&mut credentials);
            match elements.next_element_seed(seed)? {
                Some(value) => items.push(Pruned { value, credentials }),
                None => return Ok(Items(Some(items))),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Items, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Items(None))
    }

    fn visit_unit<E>(self) -> Result<Items, E> {
        Ok(Items(Some(Vec::new())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Items, E> {
        Ok(Items(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Items, E> {
        Ok(Items(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Items, E> {
        Ok(Items(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Items, E> {
        Ok(Items(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Items, E> {
        Ok(Items(None))
    }
}

/// Reads one member's value: kept if it is listed, else passed over.
fn keep_member<'de, A: MapAccess<'de>>(
    members: &mut A,
    name: &str,
    listed: &'static [(&'static str, Keep)],
    kept: &mut Map<String, Value>,
    credentials: &mut BTreeSet<&'static str>,
) -> Result<(), A::Error> {
    let name = name.to_owned();
    if let Some((_, keep)) = listed.iter().find(|(known, _)| *known == name) {
        let value = members.next_value_seed(PruneSeed { keep: *keep, credentials })?;
        // Where a reference to a Secret belongs, a text is what the Secret should hold.
        if value == wrong_container() {
            credentials.extend(CREDENTIALS.iter().find(|field| **field == name));
        }
        kept.insert(name, value);
        return Ok(());
    }
    members.next_value_seed(SkipSeed { name: Some(&name), credentials })
}

/// Reads a value and keeps of it what `keep` says.
pub(super) struct PruneSeed<'c> {
    keep: Keep,
    credentials: &'c mut BTreeSet<&'static str>,
}

impl<'c> PruneSeed<'c> {
    /// Reads an object.
    pub fn object(credentials: &'c mut BTreeSet<&'static str>) -> Self {
        Self { keep: ROOT, credentials }
    }
}

impl PruneSeed<'_> {
    fn scalar(self, value: Value) -> Value {
        if matches!(self.keep, Scalar) { value } else { wrong_container() }
    }
}

impl<'de> DeserializeSeed<'de> for PruneSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PruneSeed<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(self.scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(self.scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(self.scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(self.scalar(value.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        if text.len() > LONGEST { Ok(wrong_scalar()) } else { Ok(self.scalar(text.into())) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let credentials = self.credentials;
        let mut kept = Vec::new();
        let mut count = 0_u64;
        loop {
            let more = match self.keep {
                Strings => {
                    let element = elements.next_element_seed(PruneSeed { keep: Scalar, credentials })?;
                    element.map(|element| kept.push(element)).is_some()
                }
                List(keep) => {
                    let element = elements.next_element_seed(PruneSeed { keep: *keep, credentials })?;
                    element.map(|element| kept.push(element)).is_some()
                }
                _ => elements.next_element_seed(SkipSeed { name: None, credentials })?.is_some(),
            };
            if !more {
                break;
            }
            count += 1;
        }
        Ok(match self.keep {
            Strings | List(_) => Value::Array(kept),
            Count => count.into(),
            Scalar => wrong_scalar(),
            Presence | Members(_) | Each(_) => wrong_container(),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let credentials = self.credentials;
        let mut kept = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            match self.keep {
                Members(listed) => keep_member(&mut members, &name, listed, &mut kept, credentials)?,
                Each(keep) => {
                    let value = members.next_value_seed(PruneSeed { keep: *keep, credentials })?;
                    kept.insert(name, value);
                }
                _ => members.next_value_seed(SkipSeed { name: Some(&name), credentials })?,
            }
        }
        Ok(match self.keep {
            Members(_) | Each(_) | Presence => Value::Object(kept),
            Scalar => wrong_scalar(),
            Strings | Count | List(_) => wrong_container(),
        })
    }
}

/// Passes over a value, noting the names of fields that hold credentials.
struct SkipSeed<'n, 'c> {
    name: Option<&'n str>,
    credentials: &'c mut BTreeSet<&'static str>,
}

impl<'de> DeserializeSeed<'de> for SkipSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for SkipSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        let known = self.name.and_then(|name| CREDENTIALS.iter().find(|known| **known == name));
        // Workloads name their service account; a cloud's service account is a long document.
        let holds = if self.name == Some("serviceAccount") { text.len() >= 100 } else { !text.is_empty() };
        if let Some(known) = known.filter(|_| holds) {
            self.credentials.insert(known);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { credentials, .. } = self;
        while elements.next_element_seed(SkipSeed { name: None, credentials })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { name, credentials } = self;
        while let Some(member) = members.next_key::<String>()? {
            // The keys that encrypt a cluster's etcd lie in `secretbox.keys[].value`.
            if name == Some("secretbox") {
                credentials.insert("secretbox");
            }
            // Machine deployments may write `token: {value: …}` for `token: …` (machine-controller, ConfigVarString).
            let named = if member == "value" { name.filter(|name| CREDENTIALS.contains(name)) } else { None };
            members.next_value_seed(SkipSeed { name: named.or(Some(&member)), credentials })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prune(text: &str) -> Vec<Pruned> {
        serde_json::from_str::<Document>(text).unwrap().objects
    }

    #[test]
    fn only_listed_fields_are_kept() {
        let objects = prune(
            r#"{"kind":"Cluster","metadata":{"name":"c","labels":{"project-id":"p","owner":"CANARY"},
                "annotations":{"a":"CANARY"}},"spec":{"humanReadableName":"CANARY","version":"1.30.0",
                "cloud":{"dc":"d","aws":{"secretAccessKey":"CANARY"},"azure":null},
                "clusterNetwork":{"pods":{"cidrBlocks":["CANARY","CANARY"]}}},
                "status":{"address":{"adminToken":"CANARY"}}}"#,
        );
        assert!(!format!("{objects:?}").contains("CANARY"));
        let value = &objects[0].value;
        assert_eq!(value["spec"]["cloud"], json!({"dc":"d","aws":{},"azure":null}));
        assert_eq!(value["spec"]["clusterNetwork"]["pods"]["cidrBlocks"], 2);
        assert_eq!(objects[0].credentials, BTreeSet::from(["adminToken", "secretAccessKey"]));
    }

    #[test]
    fn lists_are_taken_apart_whatever_the_order_of_their_members() {
        let typed =
            r#"{"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}],"kind":"NodeList","apiVersion":"v1"}"#;
        let objects = prune(typed);
        assert_eq!(objects.len(), 2);
        assert_eq!((&objects[1].value["kind"], &objects[1].value["apiVersion"]), (&json!("Node"), &json!("v1")));
        assert_eq!(prune(r#"{"kind":"List","items":null}"#).len(), 0);
        assert_eq!(prune(r#"{"kind":"Thing","items":{"a":[1]}}"#).len(), 1);
    }

    #[test]
    fn values_of_a_wrong_type_do_not_keep_their_contents() {
        let objects = prune(r#"{"kind":"Cluster","metadata":{"name":["CANARY"]},"spec":"CANARY","status":[{"a":1}]}"#);
        assert_eq!(objects[0].value["metadata"]["name"], json!([]));
        assert_eq!((&objects[0].value["spec"], &objects[0].value["status"]), (&json!(""), &json!("")));
    }
}

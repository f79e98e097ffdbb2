//! What the tables of a record look like, from the field catalogue: a table for each array of entities, a column for each
//! field in them.

use crate::pages::bundle::value::{Shape, Value, name};
use crate::record::catalogue::{Field, Privacy};
use crate::record::kinds;
use crate::record::{kubermatic, kubernetes};

/// A field that has a column, or a line, of its own.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// The names that lead to it from the row, or the record, with dots.
    pub path: String,
    pub doc: &'static str,
    pub privacy: Privacy,
}

/// Rows that have a table of their own.
#[derive(Debug, Clone)]
pub(super) struct Array {
    pub name: &'static str,
    pub doc: &'static str,
    pub fields: &'static [Field],
    /// Rows in these rows that are entities too, such as the datacenters of seeds.
    pub inner: Option<&'static Field>,
}

/// The fields of a kind and version whose fields are in the catalogue.
pub(super) fn known(kind: &str, version: &str) -> Option<&'static [Field]> {
    let is_current = match kind {
        kubermatic::KIND => version == kubermatic::VERSION,
        kubernetes::KIND => version == kubernetes::VERSION,
        _ => false,
    };
    kinds().into_iter().find(|(known, ..)| *known == kind && is_current).map(|(.., fields)| fields)
}

/// The arrays of a record's top level.
pub(super) fn arrays(fields: &'static [Field]) -> impl Iterator<Item = Array> {
    fields.iter().filter_map(|field| match field.privacy {
        Privacy::Rows(fields) => {
            let inner = fields.iter().find(|field| is_entities(field));
            Some(Array { name: field.name, doc: field.doc.trim(), fields, inner })
        }
        _ => None,
    })
}

/// Whether a field has rows that are known by a pseudonym of their own.
fn is_entities(field: &Field) -> bool {
    matches!(field.privacy, Privacy::Rows([Field { name: "uuid" | "id", .. }, ..]))
}

/// The fields that have a column: those of objects by their paths, and rows that are no entities.
pub(super) fn leaves(fields: &'static [Field]) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    add("", fields, &mut leaves);
    leaves
}

fn add(above: &str, fields: &'static [Field], leaves: &mut Vec<Leaf>) {
    for field in fields.iter().filter(|field| !is_entities(field)) {
        let path = format!("{above}{}", field.name);
        match field.privacy {
            Privacy::Object(fields) => add(&format!("{path}."), fields, leaves),
            privacy => leaves.push(Leaf { path, doc: field.doc.trim(), privacy }),
        }
    }
}

/// Hands over whatever in an object the catalogue does not know, or knows as something else, with its path.
pub(super) fn strangers<E>(
    fields: &[Field],
    object: Value<'_>,
    above: &str,
    found: &mut impl FnMut(&str, Value<'_>) -> Result<(), E>,
) -> Result<(), E> {
    for (spelled, value) in object.members() {
        let name = name(spelled);
        let path = if above.is_empty() { name.to_string() } else { format!("{above}.{name}") };
        let known = fields.iter().find(|field| field.name == name).map(|field| field.privacy);
        match (known, value.shape()) {
            (Some(Privacy::Object(fields)), Shape::Object) => strangers(fields, value, &path, found)?,
            (Some(Privacy::Rows(fields)), Shape::Array) => {
                for (index, row) in value.elements().enumerate() {
                    let path = format!("{path}[{index}]");
                    if row.shape() == Shape::Object {
                        strangers(fields, row, &path, found)?;
                    } else {
                        found(&path, row)?;
                    }
                }
            }
            (Some(Privacy::Names | Privacy::Pseudonyms(_)), Shape::Array) if value.is_plain() => {}
            (None | Some(Privacy::Object(_) | Privacy::Rows(_)), _) | (Some(_), Shape::Object | Shape::Array) => {
                found(&path, value)?;
            }
            (Some(_), Shape::Scalar) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: &str, json: &str) -> Vec<String> {
        let mut all = Vec::new();
        let fields = known(kind, "v1").unwrap();
        let mut hear = |path: &str, value: Value<'_>| {
            all.push(format!("{path} {}", String::from_utf8_lossy(value.0)));
            Ok::<_, std::convert::Infallible>(())
        };
        strangers(fields, Value(json.as_bytes()), "", &mut hear).unwrap();
        all
    }

    #[test]
    fn every_field_of_the_catalogue_has_a_place() {
        let record = known("kubermatic", "v1").unwrap();
        let names: Vec<_> = arrays(record).map(|it| (it.name, it.inner.map(|inner| inner.name))).collect();
        assert!(names.contains(&("seeds", Some("datacenters"))) && names.contains(&("problems", None)), "{names:?}");
        let clusters = arrays(record).find(|it| it.name == "clusters").unwrap();
        let paths: Vec<_> = leaves(clusters.fields).into_iter().map(|leaf| leaf.path).collect();
        assert!(paths.contains(&"cloud.dcUUID".into()) && paths.contains(&"phase".into()), "{paths:?}");
        let nodes = arrays(known("kubernetes", "v1").unwrap()).find(|it| it.name == "nodes").unwrap();
        assert!(leaves(nodes.fields).iter().any(|leaf| leaf.path == "capacity"));
        assert!(known("kubermatic", "v2").is_none() && known("other", "v1").is_none());
    }

    #[test]
    fn whatever_the_catalogue_does_not_know_is_found() {
        let json = r#"{"clusters":[{"cloud":{"provider":"aws","token":"t"},"mla":7,"name":"n","uuid":"u"},3],
            "kind":{"a":1},"seeds":"none","users":[{"isAdmin":[1],"uuid":"v"}]}"#;
        let json = json.split_whitespace().collect::<String>();
        assert_eq!(
            found("kubermatic", &json),
            [
                "clusters[0].cloud.token \"t\"",
                "clusters[0].mla 7",
                "clusters[0].name \"n\"",
                "clusters[1] 3",
                "kind {\"a\":1}",
                "seeds \"none\"",
                "users[0].isAdmin [1]",
            ]
        );
        assert!(found("kubermatic", r#"{"clusters":[],"withheld":["users"]}"#).is_empty());
    }
}

//! Schemas as JSON Schema, draft 2020-12.

use serde_json::{Map, Value, json};

use super::{Level, Schema, form, is_required};
use crate::record::catalogue::{Field, Privacy};

impl Schema {
    /// The name of the file that it is published in.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}.json", self.kind, self.version)
    }

    /// The JSON Schema, with a line feed at its end. Its members are sorted, so that it is the same each time.
    #[must_use]
    pub fn json(&self) -> String {
        let mut schema = object(self.fields, Level::Record);
        let title = format!("Record of kind {}, version {}", self.kind, self.version);
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        schema["$id"] = format!("urn:kubermatic-telemetry:record:{}:{}", self.kind, self.version).into();
        schema["title"] = title.into();
        schema["description"] = format!("{} {COMPATIBILITY}", self.about).into();
        schema.sort_all_objects();
        format!("{schema:#}\n")
    }
}

const COMPATIBILITY: &str = "Members that are not named here are allowed and mean nothing to readers of this version; words that are given as \
     examples are those that are known, and others may follow.";

fn object(fields: &[Field], level: Level) -> Value {
    let properties: Map<_, _> = fields.iter().map(|field| (field.name.to_owned(), property(field))).collect();
    let required = fields.iter().enumerate().filter(|(index, field)| is_required(field, *index, level));
    let required: Vec<_> = required.map(|(_, field)| field.name).collect();
    let mut object = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn property(field: &Field) -> Value {
    let mut property = match field.privacy {
        Privacy::Rows(fields) => json!({"type": "array", "items": object(fields, Level::Row)}),
        Privacy::Object(fields) => object(fields, Level::Object),
        Privacy::Flag => json!({"type": "boolean"}),
        Privacy::Number => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
        Privacy::Constant(word) => json!({"const": word}),
        Privacy::Pseudonyms(_) | Privacy::Names => json!({"type": "array", "items": text(field.privacy)}),
        _ => text(field.privacy),
    };
    property["description"] = field.doc.trim().into();
    property
}

fn text(privacy: Privacy) -> Value {
    let mut text = json!({"type": "string"});
    if let Some(form) = form::of(privacy) {
        text["pattern"] = form.pattern.into();
    }
    match privacy {
        Privacy::Choice(words) => text["examples"] = json!(words.iter().chain(&["other"]).collect::<Vec<_>>()),
        Privacy::Time => text["format"] = "date-time".into(),
        Privacy::Pseudonym(_) | Privacy::Pseudonyms(_) => text["format"] = "uuid".into(),
        _ => {}
    }
    text
}

//! Fills in what a definition requires of an object, since the test installation is shorter than what KKP demands.

use serde_json::{Map, Value, json};

use super::kinds::Kind;

/// Gives an object every required field that it lacks, if one of these definitions is its own.
pub fn complete(object: &mut Value, definitions: &[Value]) {
    let Some(kind) = Kind::of(object) else { return };
    let Some(definition) = definitions.iter().find(|definition| kind.is_defined_by(definition)) else { return };
    fill(object, &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
}

fn fill(value: &mut Value, schema: &Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| fill(value, &schema["items"])),
        Value::Object(members) => fill_members(members, schema),
        _ => {}
    }
}

fn fill_members(members: &mut Map<String, Value>, schema: &Value) {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if members.get(name).is_none_or(Value::is_null) {
            members.insert(name.to_owned(), least(&schema["properties"][name]));
        }
    }
    for (name, value) in members {
        let known = schema["properties"].get(name);
        fill(value, known.unwrap_or(&schema["additionalProperties"]));
    }
}

/// A value of a type, with as little in it as may be.
fn least(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("object") => json!({}),
        Some("array") => json!([]),
        Some("boolean") => json!(false),
        Some("integer" | "number") => json!(0),
        _ => json!(""),
    }
}

//! Shells in which what the pages say is typed, and values as they come out of tests.

/// JSON as YAML, which it is, but for documents that are put together line by line.
pub fn yaml(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let members = value.as_object().unwrap().iter();
    members.map(|(key, value)| format!("{key}: {value}\n")).collect()
}

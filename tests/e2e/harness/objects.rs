//! Objects in files: definitions of kinds, and installations laid out as the manifest source wants them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::kinds::{Kind, OF_INSTALLATIONS};

/// Objects by the cluster that they came from.
#[derive(Default)]
pub struct Installation {
    pub master: Vec<Value>,
    pub seeds: BTreeMap<String, Vec<Value>>,
    pub user_clusters: BTreeMap<String, Vec<Value>>,
}

impl Installation {
    /// Reads `master/`, `seeds/<seed>/` and `user-clusters/<cluster>/`, but no file whose name `skip` names.
    pub fn read(directory: &Path, skip: &[&str]) -> Self {
        let of_each = |folder: &str| {
            let Ok(entries) = fs::read_dir(directory.join(folder)) else { return BTreeMap::new() };
            let entries = entries.map(|entry| entry.unwrap());
            let named = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
            entries.map(|entry| (named(&entry), objects_below(&entry.path(), skip))).collect()
        };
        Self {
            master: objects_below(&directory.join("master"), skip),
            seeds: of_each("seeds"),
            user_clusters: of_each("user-clusters"),
        }
    }

    /// All objects, to be changed.
    pub fn objects_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        let elsewhere = self.seeds.values_mut().chain(self.user_clusters.values_mut());
        self.master.iter_mut().chain(elsewhere.flatten())
    }

    /// The Seeds, to be changed.
    pub fn seeds_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.master.iter_mut().filter(|object| object["kind"] == "Seed")
    }
}

/// The definitions of KKP's kinds in a folder.
pub fn definitions(folder: &Path) -> Vec<Value> {
    let wanted = |object: &Value| OF_INSTALLATIONS.iter().any(|kind| kind.is_defined_by(object));
    let files = files_below(folder);
    files.iter().flat_map(|file| documents(file)).filter(wanted).collect()
}

/// Every object of an installation that is in a folder; other kinds are none.
fn objects_below(folder: &Path, skip: &[&str]) -> Vec<Value> {
    let files = files_below(folder);
    let skipped = |file: &&PathBuf| !skip.contains(&file.file_name().unwrap().to_str().unwrap());
    files.iter().filter(skipped).flat_map(|file| objects_of(file)).collect()
}

/// Every object of an installation that is in a file.
pub fn objects_of(file: &Path) -> Vec<Value> {
    let objects = documents(file).into_iter().flat_map(items);
    objects.filter(|object| Kind::of(object).is_some_and(Kind::is_of_installations)).collect()
}

/// The items of a list, or the object itself.
fn items(mut document: Value) -> Vec<Value> {
    match document.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => vec![document],
    }
}

/// The documents of a file; JSON is YAML, but slower to read as such.
fn documents(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    if text.trim_start().starts_with('{') {
        return vec![serde_json::from_str(&text).unwrap()];
    }
    parse_yaml(&text)
}

pub fn parse_yaml(text: &str) -> Vec<Value> {
    // KKP's own definitions are longer than what one would take from strangers.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_reader_input_bytes: None, max_events: 1 << 24, max_nodes: 1 << 24 },
        strict_booleans: true,
    };
    serde_saphyr::from_multiple_with_options(text, options).unwrap()
}

/// The files below a folder, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            let list = if path.is_dir() { &mut folders } else { &mut files };
            list.push(path);
        }
    }
    files.sort();
    files
}

/// A Secret with one key.
pub fn secret(namespace: &str, name: &str, key: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "namespace": namespace, "name": name },
        "stringData": { key: value },
    })
}

pub fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

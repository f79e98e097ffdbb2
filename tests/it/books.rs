//! What a state directory holds, read without the program, and what must hold of it at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use kubermatic_telemetry::digest::Sha256Digest;
use serde_json::Value;

/// A store as its next user will find it, whatever interrupted the last one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Ids of records that no receipt has settled, with their kinds.
    pub pending: BTreeMap<String, String>,
    /// Ids of records that a receipt has rejected.
    pub rejected: BTreeSet<String>,
    /// Ids of records that a receipt has accepted.
    pub accepted: BTreeSet<String>,
    /// Digests of manifests by sequence number.
    pub exports: BTreeMap<u64, String>,
    /// Digests of whole bundles.
    pub bundles: BTreeSet<String>,
    /// Names of receipts' entries.
    pub receipts: BTreeSet<String>,
    /// What was set aside.
    pub quarantine: BTreeSet<String>,
}

impl Books {
    /// Reads a state directory, and insists on what holds at any moment: every file in it is whole and what its name
    /// says, sequence numbers have no gap and name one manifest each, and what is pending can be written again.
    pub fn of(state: &Path) -> Self {
        let store = state.join("store");
        let mut books = Self { quarantine: names(&store.join("quarantine")).into_iter().collect(), ..Self::default() };
        let mut words: Vec<Value> = Vec::new();
        for name in names(&store.join("receipts")) {
            words.push(json(&store.join("receipts").join(&name)));
            books.receipts.insert(name);
        }
        words.sort_by_key(|word| word["received"].as_str().unwrap().to_owned());
        let outcomes = words.iter().flat_map(|word| word["records"].as_array().unwrap());
        let outcomes: BTreeMap<_, _> =
            outcomes.map(|record| (text(&record["id"]), record["accepted"].as_bool().unwrap())).collect();
        for (id, kind) in records(&store.join("records")) {
            if !outcomes.contains_key(&id) {
                books.pending.insert(id, kind);
            }
        }
        records(&store.join("rejected"));
        for (id, accepted) in outcomes {
            if accepted { &mut books.accepted } else { &mut books.rejected }.insert(id);
        }
        books.read_exports(&store);
        books
    }

    fn read_exports(&mut self, store: &Path) {
        for name in names(&store.join("exports")) {
            let entry = json(&store.join("exports").join(&name));
            let sequence = entry["sequence"].as_u64().unwrap();
            assert_eq!(name, format!("{sequence:016}.json"));
            let sha256 = text(&entry["sha256"]);
            let holds = |id: &Value| self.pending.contains_key(id.as_str().unwrap());
            let bundle = store.join("bundles").join(format!("{sequence:016}.tar"));
            if entry["records"].as_array().unwrap().iter().any(|record| holds(&record["id"])) || bundle.exists() {
                assert_eq!(digest(&bundle), sha256, "{}", bundle.display());
            }
            self.exports.insert(sequence, text(&entry["manifestSha256"]));
            self.bundles.insert(sha256);
        }
        let numbers: Vec<_> = self.exports.keys().copied().collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "sequence numbers have a gap");
        assert_eq!(self.exports.values().collect::<BTreeSet<_>>().len(), numbers.len(), "a manifest has two numbers");
    }
}

/// Ids and kinds of the records in a directory; each file is whole.
fn records(directory: &Path) -> BTreeMap<String, String> {
    let mut records = BTreeMap::new();
    for name in names(directory) {
        let parts: Vec<_> =
            name.strip_suffix(".json").unwrap_or_else(|| panic!("{name} is no record")).split('_').collect();
        let [id, kind, _, _, _, sha256] = parts[..] else { panic!("{name} is no record") };
        assert_eq!(digest(&directory.join(&name)), sha256, "half a record");
        assert_eq!(records.insert(id.to_owned(), kind.to_owned()), None, "{id} is there twice");
    }
    records
}

/// The names in a directory that are not temporary; none where it is not there.
fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with(".tmp-")).collect()
}

fn json(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap();
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The digest of a file, as the product writes it.
pub fn digest(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Sha256Digest::of(&bytes).to_string()
}

/// Temporary files and directories below a directory.
pub fn leftovers(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with(".tmp-") {
            found.push(path);
        } else if path.is_dir() {
            found.extend(leftovers(&path));
        }
    }
    found
}

//! The program on a live installation, and what it collected.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Desk, Printed, copy_tree};

/// A run of the program with an identity of its own.
pub struct Agent {
    pub desk: Desk,
}

/// What was collected, and how it went.
#[derive(Debug)]
pub struct Collected {
    pub printed: Printed,
    /// The lines that `preview` printed, with the time taken out.
    pub lines: Vec<String>,
    pub records: Vec<Value>,
}

impl Agent {
    pub fn new() -> Self {
        let desk = Desk::new();
        desk.line("init").ok();
        Self { desk }
    }

    /// The same identity with nothing collected.
    pub fn with_identity_of(other: &Self) -> Self {
        let desk = Desk::new();
        copy_tree(&other.desk.state().join("identity"), &desk.state().join("identity"));
        Self { desk }
    }

    /// Looks at an installation without storing anything.
    pub fn preview(&self, arguments: &[&str]) -> Collected {
        let mut command = self.desk.command();
        command.arg("preview").args(arguments);
        look(&mut command)
    }

    /// Looks with a kubeconfig of the master.
    pub fn look_with(&self, kubeconfig: &str, arguments: &[&str]) -> Collected {
        let file = self.desk.file("master.kubeconfig", kubeconfig);
        self.preview(&[&["--kubeconfig", file.to_str().unwrap()], arguments].concat())
    }

    /// Looks at manifests.
    pub fn manifests(&self, directory: &Path) -> Collected {
        self.preview(&["--manifests", directory.to_str().unwrap()])
    }

    /// The pseudonym of a name.
    pub fn pseudonym(&self, kind: &str, name: &str) -> String {
        let printed = self.desk.run(["pseudonym", kind, name]).ok();
        printed.stdout.split('\t').next().unwrap().to_owned()
    }
}

/// Runs a command that prints records.
pub fn look(command: &mut Command) -> Collected {
    let printed = Printed::of(command.output().unwrap()).ok();
    let lines: Vec<_> = printed.stdout.lines().map(timeless).collect();
    let records = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    Collected { printed, lines, records }
}

/// A record's line without the time, which is the only member of that name.
fn timeless(line: &str) -> String {
    let (before, after) = line.split_once(r#""time":""#).unwrap();
    let (time, after) = after.split_once('"').unwrap();
    assert_eq!(time.len(), "2026-01-01T00:00:00Z".len());
    assert!(!after.contains(r#""time":"#));
    format!(r#"{before}"time":""{after}"#)
}

impl Collected {
    /// The record of a kind.
    pub fn record(&self, kind: &str) -> &Value {
        let found = self.records.iter().find(|record| record["kind"] == kind);
        found.unwrap_or_else(|| panic!("there is no record of kind {kind}: {}", self.printed.stderr))
    }

    /// Problems of both records, as `step category concerns`.
    pub fn problems(&self) -> BTreeSet<String> {
        let problems = self.records.iter().flat_map(|record| record["problems"].as_array().unwrap());
        let text = |problem: &Value, field: &str| problem[field].as_str().unwrap_or("-").to_owned();
        let line = |it: &Value| format!("{} {} {}", text(it, "step"), text(it, "category"), text(it, "concerns"));
        problems.map(line).collect()
    }

    /// Insists on exactly these problems.
    pub fn has_problems(&self, expected: &[String]) {
        let expected: BTreeSet<_> = expected.iter().cloned().collect();
        assert_eq!(self.problems(), expected, "{}", self.printed.stderr);
        for record in &self.records {
            assert_eq!(record["complete"], record["problems"].as_array().unwrap().is_empty());
        }
    }

    /// How many rows there are of something.
    pub fn count(&self, kind: &str, rows: &str) -> usize {
        self.record(kind)[rows].as_array().unwrap().len()
    }
}

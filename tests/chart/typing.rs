//! Shells in which what the pages say is typed, and values as they come out of tests.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::helm::Helm;
use crate::support::{Printed, root};

/// `kubectl` with what only a kubelet can do: `exec` and `logs` go to where the tests' own kubelet has left things.
const KUBECTL: &str = r#"#!/usr/bin/env bash
set -eu
verb=
for word in "$@"; do
  case $word in
  exec | logs) verb=$word; break ;;
  --) break ;;
  esac
done
case $verb in
exec)
  [[ " $* " == *" deploy/telemetry -c agent -- "* ]] || { echo "not to be found: $*" >&2; exit 1; }
  while [ "$1" != -- ]; do shift; done
  shift
  for _ in $(seq 600); do [ -e "$PODS/agent" ] && break; sleep 0.1; done
  exec "$(readlink "$PODS/agent")" "$@" ;;
logs) cat "$PODS/log" ;;
*) exec /usr/bin/env PATH="$REST" kubectl "$@" ;;
esac
"#;

/// JSON as YAML, which it is, but for documents that are put together line by line.
pub fn yaml(json: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap();
    value.as_object().unwrap().iter().fold(String::new(), |mut yaml, (key, value)| {
        writeln!(yaml, "{key}: {value}").unwrap();
        yaml
    })
}

/// The blocks of a page in a language, between two of its headings if `section` names one.
pub fn blocks(page: &str, section: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let text = match section {
        "" => text.as_str(),
        section => {
            let heading = format!("\n## {section}\n");
            let (_, rest) = text.split_once(heading.as_str()).unwrap_or_else(|| panic!("no section {section}"));
            rest.split_once("\n## ").map_or(rest, |(section, _)| section)
        }
    };
    let fence = format!("\n```{language}\n");
    let blocks = text.split(fence.as_str()).skip(1);
    blocks.map(|rest| rest.split("\n```").next().unwrap().to_owned() + "\n").collect()
}

/// A directory with the chart, this program, Helm and `kubectl`, in which things are typed.
pub struct Typist<'t> {
    helm: &'t Helm,
    directory: &'t Path,
    /// Where the tests' kubelet leaves things.
    pods: &'t Path,
}

impl<'t> Typist<'t> {
    /// Sets the directory up; nothing if there is no `kubectl`.
    pub fn new(helm: &'t Helm, directory: &'t Path, pods: &'t Path) -> Option<Self> {
        if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
            crate::support::skip("there is no kubectl");
            return None;
        }
        symlink(root().join("deploy"), directory.join("deploy")).unwrap();
        let programs = directory.join("programs");
        fs::create_dir(&programs).unwrap();
        symlink(helm.program(), programs.join("helm")).unwrap();
        symlink(env!("CARGO_BIN_EXE_kubermatic-telemetry"), programs.join("kubermatic-telemetry")).unwrap();
        fs::write(programs.join("kubectl"), KUBECTL).unwrap();
        fs::set_permissions(programs.join("kubectl"), fs::Permissions::from_mode(0o755)).unwrap();
        Some(Self { helm, directory, pods })
    }

    /// Types a block, which must end well.
    pub fn types(&self, block: &str) -> Printed {
        let path = std::env::var("PATH").unwrap();
        let mut shell = Command::new("bash");
        shell.args(["-eu", "-o", "pipefail", "-c", block]).current_dir(self.directory).env_clear();
        shell.env("PATH", format!("{}:{path}", self.directory.join("programs").display()));
        shell.env("REST", path).env("PODS", self.pods).envs(self.helm.environment());
        let printed = Printed::of(shell.stdin(Stdio::null()).output().unwrap());
        assert_eq!(printed.code, 0, "{block}\n{}\n{}", printed.stdout, printed.stderr);
        printed
    }
}

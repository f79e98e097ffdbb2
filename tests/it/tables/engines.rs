//! DuckDB, Polars and pyarrow from PyPI, where there are any.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{root, skip, tool};

/// The Python that has the engines: `ANALYSIS_PYTHON`, or the one that `tests/it/tables/engines/build` made. Without one
/// the test goes on without engines, and says so.
pub fn python() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_kubermatic-telemetry")).ancestors().nth(2).unwrap().to_owned();
    let made = target.join("engines/venv/bin/python");
    let python = std::env::var_os("ANALYSIS_PYTHON").map_or(made, PathBuf::from);
    let works = Command::new(&python).args(["-c", "import duckdb, jsonschema, pandas, polars, pyarrow"]).output();
    if works.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip("there is no Python with DuckDB, Polars and pyarrow; tests/it/tables/engines/build makes one");
    None
}

/// What each engine reads with these globs in an archive: the lines of each table, by engine.
pub fn read(python: &Path, archive: &Path, globs: &[&str]) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let out = tempfile::tempdir().unwrap();
    let script = root().join("tests/it/tables/engines/read.py");
    let mut arguments = vec![script.to_str().unwrap(), out.path().to_str().unwrap()];
    arguments.extend(globs);
    tool(archive, python.to_str().unwrap(), &arguments);
    let mut read = BTreeMap::<_, BTreeMap<_, _>>::new();
    for entry in fs::read_dir(out.path()).unwrap() {
        let path = entry.unwrap().path();
        let (engine, table) = path.file_stem().unwrap().to_str().unwrap().split_once('.').unwrap();
        // Engines sort by code points and this program by bytes, which is the same in UTF-8.
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.split_terminator('\n').map(str::to_owned).collect();
        read.entry(engine.to_owned()).or_default().insert(table.to_owned(), lines);
    }
    read
}

//! Build script: compiles the public receipt keys of `keys/receipts/` in.
#![allow(clippy::disallowed_methods, clippy::expect_used, reason = "a build script writes to OUT_DIR and fails loudly")]
#![allow(clippy::unnecessary_debug_formatting, reason = "the path becomes a string literal in code")]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let directory = Path::new("keys/receipts");
    println!("cargo::rerun-if-changed={}", directory.display());
    let mut paths: Vec<_> = fs::read_dir(directory)
        .expect("keys/receipts is part of the repository")
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pem"))
        .collect();
    paths.sort();
    let mut code = String::from("[\n");
    for path in paths {
        let path = path.canonicalize().expect("a readable file");
        writeln!(code, "    include_str!({path:?}),").expect("memory");
    }
    code.push_str("]\n");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("receipt_keys.rs"), code).expect("a writable OUT_DIR");
}

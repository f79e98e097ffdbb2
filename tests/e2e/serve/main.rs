//! Fills one real API server with an installation of any size, and keeps it running to measure live collection.
//!
//! ```text
//! serve-installation DIR < some-input-that-stays-open
//! ```
//!
//! DIR is laid out as the manifest source wants it; `generate-installation` makes large ones. The server is master and
//! seed at once, so that there must be exactly one Seed; user clusters' own objects are left out. When everything is
//! loaded it prints the path of an administrator's kubeconfig, and then waits until its input ends, or for Ctrl-C. Then
//! the server is gone. `KUBEBUILDER_ASSETS` says where etcd and kube-apiserver are.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::print_stdout, reason = "a tool of its own")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a tool for developers")]

#[allow(dead_code, reason = "shared with the tests")]
#[path = "../harness/mod.rs"]
mod harness;

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use serde_json::Value;

use harness::load::{define, kubeconfig_secret, load};
use harness::objects::{definitions, files_below, objects_of, secret};
use harness::servers::{ApiServer, ControlPlane, assets};

/// Loading is as fast as the server is; it need not share itself out fairly.
const FLAGS: &[&str] =
    &["--enable-priority-and-fairness=false", "--max-requests-inflight=0", "--max-mutating-requests-inflight=0"];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [directory] = &arguments[..] else {
        eprintln!("usage: serve-installation DIR");
        return ExitCode::from(2);
    };
    match serve(directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(directory: &Path) -> Result<(), String> {
    let plane = ControlPlane::start(&assets()?, FLAGS);
    let server = plane.servers(&["server"]).remove(0);
    let mut definitions = definitions(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/crds"));
    for definition in &mut definitions {
        // A status that is part of its object is written with it, which halves the time.
        definition["spec"]["versions"][0]["subresources"] = Value::Null;
    }
    define(&server.admin, &definitions);
    let begin = Instant::now();
    let mut counts = BTreeMap::new();
    let mut seeds = 0;
    // One file after another, since all of them may be more than fits into memory.
    for file in ["master", "seeds"].iter().flat_map(|folder| files_below(&directory.join(folder))) {
        let objects = objects_of(&file);
        for object in &objects {
            *counts.entry(object["kind"].to_string()).or_insert(0_usize) += 1;
            if object["kind"] == "Seed" {
                seeds += 1;
                let (namespace, name) = kubeconfig_secret(object);
                let secret = secret(namespace, name, "kubeconfig", &server.admin_kubeconfig());
                assert!(load(&server.admin, &[secret]).is_empty());
            }
        }
        if let Some(rejected) = load(&server.admin, &objects).first() {
            return Err(format!("{}: {rejected:?}", file.display()));
        }
        eprintln!("{:6.1} s: {}, {} objects", begin.elapsed().as_secs_f64(), file.display(), objects.len());
    }
    if seeds != 1 {
        return Err(format!("{seeds} Seeds would all be this one server; generate-installation takes --seeds 1"));
    }
    eprintln!("loaded {counts:?}");
    wait(&plane, &server)
}

fn wait(plane: &ControlPlane, server: &ApiServer) -> Result<(), String> {
    let kubeconfig = plane.directory().join("kubeconfig");
    let failed = |error: io::Error| format!("{}: {error}", kubeconfig.display());
    std::fs::write(&kubeconfig, server.admin_kubeconfig()).map_err(failed)?;
    println!("{}", kubeconfig.display());
    io::stdin().read_to_end(&mut Vec::new()).map_err(failed)?;
    Ok(())
}

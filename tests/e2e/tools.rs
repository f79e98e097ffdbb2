//! The script that finds or builds etcd and kube-apiserver, with stand-ins for both.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/control-plane")
}

fn pinned(name: &str) -> String {
    let pins = fs::read_to_string(module().join("go.mod")).unwrap();
    let line = pins.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' ')).unwrap();
    line.split(' ').next().unwrap().to_owned()
}

fn program(at: &Path, script: &str) {
    fs::write(at, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn programs_that_say_more_than_their_version_are_found_to_be_there() {
    let cache = tempfile::tempdir().unwrap();
    let version = pinned("k8s.io/kubernetes");
    let there = cache.path().join(&version);
    fs::create_dir(&there).unwrap();
    program(&there.join("kube-apiserver"), &format!("echo 'Kubernetes {version}'"));
    let etcd = pinned("go.etcd.io/etcd/server/v3");
    // More than a pipe holds: whoever stops reading at the line that it looks for breaks it.
    program(&there.join("etcd"), &format!("echo 'etcd Version: {}' && seq 100000", etcd.strip_prefix('v').unwrap()));
    // Without Go nothing can be built instead.
    let found = Command::new(module().join("build"))
        .env("ENVTEST_DIR", cache.path())
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{told}");
    assert_eq!(String::from_utf8(found.stdout).unwrap(), format!("{}\n", there.display()), "{told}");
}

//! The documents in the repository: generated ones are current, and what they say to type works.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use kubermatic_telemetry::record::catalogue;

use crate::support::{Printed, root, skip};

#[test]
fn the_page_of_collected_data_is_the_catalogue() {
    let path = root().join("docs/data-collected.md");
    let page = catalogue::data_collected();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == page, "docs/data-collected.md is not current; UPDATE_GOLDEN=1");
}

/// The shell blocks of a page.
fn shell_blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let blocks = text.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// Runs a block at the repository's root, stopping at the first command that fails, with this build of the program and
/// a temporary directory of its own.
fn run_block(block: &str) -> Printed {
    let scratch = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_kubermatic-telemetry")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let block = block.replace("$PWD/target/release", &programs.to_string_lossy());
    let block = block.replace("/tmp/", &format!("{}/", scratch.path().display()));
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &block]).current_dir(root()).env("TMPDIR", scratch.path());
    command.env("PATH", format!("{}:{path}", programs.display()));
    Printed::of(command.stdin(Stdio::null()).output().unwrap())
}

#[test]
fn the_readmes_tour_works_as_it_is_typed() {
    let blocks = shell_blocks("README.md");
    let tour = blocks.iter().find(|block| block.contains("TOUR=")).expect("the README has a tour");
    assert!(tour.contains("$PWD/target/release"));
    run_block(tour).ok().says("0 records pending");
}

#[test]
fn the_readme_and_ci_name_the_same_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    let main = "cargo run --release -- export --manifests testdata/installation -o bundle.tar";
    assert!(readme.lines().any(|line| line == main), "the README's main command");
    assert!(shell_blocks("README.md").iter().any(|block| block.trim() == "cargo test"), "the README's test command");
    assert!(ci.lines().any(|line| line.starts_with("cargo test")), "CI runs the README's test command");
}

#[test]
fn the_worked_example_of_the_format_works_as_it_is_typed() {
    if Command::new("jq").arg("--version").output().is_err() {
        return skip("there is no jq, which the example uses");
    }
    let blocks = shell_blocks("docs/bundle-format.md");
    assert!(!blocks.is_empty(), "docs/bundle-format.md has a worked example");
    run_block(&blocks.concat()).ok();
}

#[test]
fn the_commands_of_the_page_of_keys_work_as_they_are_typed() {
    let blocks = shell_blocks("docs/keys.md");
    assert!(blocks.len() > 10, "docs/keys.md has commands");
    let printed = run_block(&blocks.concat()).ok();
    printed.prints("rotation   2 key changes");
    printed.prints("refused with exit code 1");
    assert!(printed.says("0 records pending").stderr.contains("is left without a key"));
}

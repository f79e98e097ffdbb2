//! The documents in the repository: generated ones are current, and what they say to type works.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use kubermatic_telemetry::bundle::Code;
use kubermatic_telemetry::bundle::altered::{self, Alteration};
use kubermatic_telemetry::bundle::container::Shape;
use kubermatic_telemetry::bundle::limits::Limit;
use kubermatic_telemetry::record::catalogue;

use crate::support::{Desk, Printed, root, skip};

#[test]
fn the_page_of_collected_data_is_the_catalogue() {
    let path = root().join("docs/data-collected.md");
    let page = catalogue::data_collected();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == page, "docs/data-collected.md is not current; UPDATE_GOLDEN=1");
}

/// The tables of the format that are made from the program's own.
fn tables_of_the_format() -> Vec<(&'static str, Vec<String>)> {
    let code = |text: &str| format!("`{}`", text.replace('|', "\\|"));
    let limits = Limit::ALL.iter().map(|limit| {
        let default = limit.default();
        let unit =
            [("GiB", 30), ("MiB", 20), ("KiB", 10)].into_iter().find(|(_, bits)| default.is_multiple_of(1 << bits));
        let rounded = unit.map_or_else(String::new, |(unit, bits)| format!(" ({} {unit})", default >> bits));
        format!("| {} | {default}{rounded} | {} |", code(limit.name()), limit.what())
    });
    let codes = Code::ALL.iter().map(|it| format!("| {} | {} | {} |", code(it.as_str()), it.steps(), it.meaning()));
    let repairs = Alteration::ALL.iter().map(|it| (it.what(), it.code(), it.repair().to_owned()));
    let repacked = [("the three files in another arrangement", Code::Repacked, altered::repack(Shape::Bundle))];
    let repairs = repairs
        .chain(repacked)
        .map(|(what, it, command)| format!("| {what} | {} | {} |", code(it.as_str()), code(&command)));
    vec![
        ("| `--limit` | default | what is limited |", limits.collect()),
        ("| code | step | meaning |", codes.collect()),
        ("| what it is now | code | command |", repairs.collect()),
    ]
}

#[test]
fn the_tables_of_the_format_are_those_of_the_program() {
    let path = root().join("docs/bundle-format.md");
    let mut page = fs::read_to_string(&path).unwrap();
    for (head, rows) in tables_of_the_format() {
        let start = page.find(&format!("{head}\n")).unwrap_or_else(|| panic!("there is no table `{head}`"));
        let end = start + page[start..].find("\n\n").unwrap();
        let table = format!("{head}\n|---|---|---|\n{}", rows.join("\n"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            page.replace_range(start..end, &table);
            fs::write(&path, &page).unwrap();
        }
        let end = start + page[start..].find("\n\n").unwrap();
        assert_eq!(&page[start..end], table, "docs/bundle-format.md is not current; UPDATE_GOLDEN=1");
    }
}

#[test]
fn the_help_of_verify_lists_every_limit_with_its_default() {
    let help = Desk::new().line("verify --help").ok().stdout;
    for limit in Limit::ALL {
        let line = help.lines().find(|line| line.trim_start().starts_with(&format!("{limit} ")));
        let line = line.unwrap_or_else(|| panic!("{limit} is not in the help: {help}"));
        assert!(line.contains(&format!(" {} ", limit.default())), "{line}");
        assert!(line.contains(limit.what()), "{line}");
    }
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
    for tool in ["jq", "python3"] {
        if Command::new(tool).arg("--version").output().is_err() {
            return skip(&format!("there is no {tool}, which the example uses"));
        }
    }
    let blocks = shell_blocks("docs/bundle-format.md");
    assert!(!blocks.is_empty(), "docs/bundle-format.md has a worked example");
    run_block(&blocks.concat()).ok();
}

#[test]
fn the_commands_of_the_page_of_privacy_work_as_they_are_typed() {
    if Command::new("jq").arg("--version").output().is_err() {
        return skip("there is no jq, which the page uses");
    }
    let blocks = shell_blocks("docs/privacy.md");
    assert!(blocks.len() > 7, "docs/privacy.md has commands");
    // A search that finds nothing ends with 1, which is what it is for.
    let printed = run_block(&format!("{}:", blocks.concat().replace("uniq -c", "uniq -c || true"))).ok();
    printed.prints("telemetry  off (DO_NOT_TRACK)");
    printed.prints("telemetry  off (`telemetry` in settings)");
    printed.prints("withheld   locations, sshKeys, users, versions");
    printed.prints("withheld   locations, sshKeys, users\n");
    printed.says("telemetry is off (--telemetry): no bundle was written").says("discarded 2 records");
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

#[test]
fn the_commands_of_the_page_of_sending_work_as_they_are_typed() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("there is no curl, which the page uses");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let blocks = shell_blocks("docs/send.md").concat().replace(":8080", &format!(":{port}"));
    // The server goes, whatever comes of it.
    let printed = run_block(&format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{blocks}")).ok();
    printed.prints("not sent, exit code 1");
    printed.prints("pending    0 records");
}

//! The reference client's report, which KKP reads from a container's whole log: both streams together are one document.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Desk, Printed, installation, walk};

const REPORT: &str = "preview --format telemetry-client-v2";

/// Runs a line with stderr and stdout as one stream, as a container's log has them.
fn merged(desk: &Desk, line: &str, variables: &[(&str, &str)]) -> Printed {
    let program = desk.command();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec \"$0\" {line} 2>&1")]).arg(program.get_program()).stdin(Stdio::null());
    shell.current_dir(program.get_current_dir().unwrap()).env_clear();
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Printed::of(shell.envs(variables.iter().copied()).output().unwrap())
}

/// Insists on one document and nothing else, and gives the kinds in it.
fn kinds(printed: &Printed) -> Vec<String> {
    let document: Value = serde_json::from_str(&printed.stdout).unwrap_or_else(|e| panic!("{e}: {}", printed.stdout));
    assert_eq!(printed.stdout.lines().count(), 1);
    assert_eq!(document["version"], "v2");
    let records = document["records"].as_array().cloned().unwrap_or_default();
    records.iter().map(|record| record["kind"].as_str().unwrap().to_owned()).collect()
}

const BOTH: [&str; 2] = ["kubernetes", "kubermatic"];

#[test]
fn the_whole_log_is_one_document_whatever_there_would_be_to_say() {
    let desk = Desk::new();
    desk.line("init").ok();
    assert!(kinds(&merged(&desk, REPORT, &[]).ok()).is_empty(), "nothing is pending");
    assert!(kinds(&merged(&desk, &format!("{REPORT} -q --telemetry off"), &[]).ok()).is_empty());
    // Warnings about manifests with credentials, problems, and everything that is logged.
    let from = format!("{REPORT} --manifests {}", installation().display());
    assert_eq!(kinds(&merged(&desk, &from, &[]).ok()), BOTH);
    desk.collect();
    desk.collect();
    let say_much = [
        ("KUBERMATIC_TELEMETRY_LOG_FORMAT", "json"),
        ("KUBERMATIC_TELEMETRY_METRICS_FILE", "/nowhere/at/all"),
        ("RUST_LOG", "trace"),
    ];
    for line in
        [REPORT.to_owned(), format!("{REPORT} -vvv"), format!("{REPORT} --json"), from, format!("{REPORT} --new")]
    {
        assert_eq!(kinds(&merged(&desk, &line, &say_much).ok()), BOTH, "{line}");
        assert_eq!(kinds(&merged(&desk, &line, &[]).ok()), BOTH, "{line}");
    }
    // Secrets that others can read, and a damaged record.
    let key = desk.state().join("identity/signing-key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let mut files = Vec::new();
    walk(&desk.state().join("store/records"), &mut files);
    files.sort();
    let damaged = files.iter().find(|file| file.to_string_lossy().contains("kubermatic")).unwrap();
    fs::write(damaged, "{}").unwrap();
    desk.line("preview").ok().says("is damaged").says("others can read");
    assert_eq!(kinds(&merged(&desk, REPORT, &say_much).ok()), BOTH);
    // Another product's record is none of the report's.
    desk.file("own.json", r#"{"kind":"my-product","time":"2026-01-01T00:00:00Z","version":"v1"}"#);
    desk.line("collect --record own.json --allow-kind my-product").ok();
    assert_eq!(kinds(&merged(&desk, REPORT, &[]).ok()), BOTH);
}

#[test]
fn what_can_not_be_reported_is_an_error_and_no_half_document() {
    let desk = Desk::new();
    let printed = merged(&desk, REPORT, &[]).code(1);
    assert!(printed.stdout.starts_with("error: ") && !printed.stdout.contains('{'), "{}", printed.stdout);
}

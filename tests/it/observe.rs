//! What monitoring sees: metrics in a file and over HTTP, notes on attempts, structured logs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::http::{Server, send};
use crate::support::{Desk, Printed, installation, root, say};

const FILE: &str = "telemetry.prom";

/// Samples by name and labels, read as strictly as a parser may.
pub fn samples(text: &str) -> BTreeMap<String, i64> {
    let (mut samples, mut seen, mut current) = (BTreeMap::new(), BTreeSet::new(), (String::new(), String::new()));
    assert!(text.ends_with('\n'), "half a file: {text:?}");
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert!(words.ends_with('.') && seen.insert(name.to_owned()), "{line}");
            assert!(name.starts_with("kubermatic_telemetry_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name} {kind}");
            current = (name.to_owned(), kind.to_owned());
            assert!(lines.peek().is_some_and(|line| line.starts_with(name)), "{name} has no sample");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        assert_eq!(name, current.0, "{line}");
        assert!(samples.insert(series.to_owned(), value.parse::<i64>().unwrap()).is_none(), "twice: {series}");
    }
    samples
}

fn metrics(desk: &Desk) -> BTreeMap<String, i64> {
    let text = fs::read_to_string(desk.path(FILE)).unwrap();
    samples(&text).into_iter().map(|(name, value)| (name.replace("kubermatic_telemetry_", ""), value)).collect()
}

/// A command that writes metrics.
fn measured(desk: &Desk, line: &str) -> Printed {
    let mut command = desk.command();
    command.env("KUBERMATIC_TELEMETRY_METRICS_FILE", desk.path(FILE)).args(line.split_whitespace());
    Printed::of(command.stdin(Stdio::null()).output().unwrap())
}

fn collect(desk: &Desk) -> Printed {
    measured(desk, &format!("collect --manifests {}", installation().display()))
}

#[test]
fn metrics_follow_a_record_from_its_collection_to_its_receipt() {
    let desk = Desk::new();
    measured(&desk, "status").ok();
    let none = metrics(&desk);
    assert_eq!((none["enabled"], none["state_readable"], none["pending_records{kind=\"kubernetes\"}"]), (1, 1, 0));
    assert!(!none.keys().any(|name| name.starts_with("last_")), "{none:?}");
    collect(&desk).ok();
    let collected = metrics(&desk);
    let stored = desk.line("status --json").ok().json();
    let bytes = collected["pending_bytes{kind=\"kubermatic\"}"] + collected["pending_bytes{kind=\"kubernetes\"}"];
    assert_eq!(Value::from(bytes.to_string()), stored["pending"]["bytes"].to_string());
    assert_eq!(collected["pending_records{kind=\"kubermatic\"}"], 1);
    assert_eq!(collected["last_collection_success{kind=\"kubermatic\"}"], 1);
    assert_eq!(collected["last_collection_complete{kind=\"kubermatic\"}"], 0, "the installation is broken on purpose");
    let record: Value = serde_json::from_str(desk.line("preview").ok().stdout.lines().next().unwrap()).unwrap();
    let malformed = record["problems"].as_array().unwrap().iter().filter(|it| it["category"] == "malformed").count();
    let told = collected["last_collection_problems{kind=\"kubermatic\",category=\"malformed\"}"];
    assert_eq!(told.to_string(), malformed.to_string());
    let time = |name: &str| collected[name];
    let collection = time("last_collection_timestamp_seconds{kind=\"kubernetes\"}");
    assert!(collection - time("oldest_pending_record_timestamp_seconds") < 60);
    assert_eq!(collection, time("last_successful_collection_timestamp_seconds{kind=\"kubernetes\"}"));

    let mut server = Server::open(&desk);
    let url = server.url();
    let deliver = |url: &str| {
        let line = format!("send --url {url} --receipt-key archive/receipt-key.pub.pem --deadline 1s");
        measured(&desk, &line)
    };
    deliver(&url).ok();
    let sent = metrics(&desk);
    assert_eq!((sent["pending_records{kind=\"kubermatic\"}"], sent["last_send_success"]), (0, 1));
    assert_eq!(sent["last_export_success"], 1);
    assert!(!sent.contains_key("oldest_pending_record_timestamp_seconds"), "nothing is pending");
    assert!(sent["last_acknowledgement_timestamp_seconds"] >= collection);

    server.kill();
    collect(&desk).ok();
    deliver(&url).ok().says("not delivered yet");
    let away = metrics(&desk);
    assert_eq!((away["last_send_success"], away["pending_records{kind=\"kubermatic\"}"]), (0, 1));
    assert_eq!(away["last_successful_send_timestamp_seconds"], sent["last_successful_send_timestamp_seconds"]);
    desk.line("status").ok().prints("sent       ");
    measured(&desk, "discard --kind kubernetes --yes").code(2);
    measured(&desk, "discard --kind kubernetes").ok();
    assert_eq!(metrics(&desk)["discarded_records_total{kind=\"kubernetes\"}"], 1);
    let fewer = format!("collect kubermatic --keep-records 1 --manifests {}", installation().display());
    measured(&desk, &fewer).ok();
    assert_eq!(metrics(&desk)["dropped_records_total{kind=\"kubermatic\"}"], 1);
    // Every metric is on the page, and the page has no other.
    let page = fs::read_to_string(root().join("docs/observability.md")).unwrap();
    let words = page.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    let told: BTreeSet<_> = words.filter(|word| word.starts_with("kubermatic_telemetry_")).collect();
    let text = fs::read_to_string(desk.path(FILE)).unwrap();
    let mut written: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    written.insert("kubermatic_telemetry_last_collection_problems");
    assert_eq!(told, written);
}

#[test]
fn who_reads_the_metrics_never_reads_half_of_them() {
    let desk = Desk::new();
    collect(&desk).ok();
    let (done, path) = (AtomicBool::new(false), desk.path(FILE));
    let count = metrics(&desk).len();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0_u32;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(samples(&fs::read_to_string(&path).unwrap()).len(), count);
                reads += 1;
            }
            reads
        });
        for _ in 0..20 {
            measured(&desk, "status").ok();
        }
        done.store(true, Ordering::Relaxed);
        say("measured", &format!("{} reads of a file that was written 20 times", reader.join().unwrap()));
    });
    let folder: Vec<_> = desk.tree("").into_iter().filter(|name| !name.starts_with("state/")).collect();
    assert_eq!(folder, [FILE], "nothing else is left there");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644, "others read it");
}

#[test]
fn metrics_that_can_not_be_written_change_nothing_else() {
    let desk = Desk::new();
    desk.file("file", "");
    for place in ["nowhere/m.prom", "file/m.prom"] {
        let line = format!("collect --metrics-file {place} --manifests {}", installation().display());
        desk.line(&line).ok().says("warning: the metrics were not written: ").says("hint: ");
        desk.line(&format!("receipt nothing --metrics-file {place}")).code(1).says("the metrics were not written");
        let quiet = desk.line(&format!("status -q --metrics-file {place}")).ok();
        assert_eq!(quiet.stderr, "");
    }
    assert!(!desk.path("nowhere").exists());
}

#[test]
fn metrics_tell_that_telemetry_is_off_and_that_a_state_can_not_be_read() {
    let desk = Desk::new();
    collect(&desk).ok();
    measured(&desk, "collect --telemetry off").ok();
    assert_eq!(metrics(&desk)["enabled"], 0);
    let mut command = desk.command();
    command.env("KUBERMATIC_TELEMETRY", "perhaps").args(["status", "--metrics-file"]).arg(desk.path(FILE));
    Printed::of(command.output().unwrap()).code(1);
    assert!(!metrics(&desk).contains_key("enabled"), "nobody knows");
    desk.file("state/store/store.json", "{");
    measured(&desk, "status").code(1);
    let unreadable = metrics(&desk);
    assert_eq!(unreadable["state_readable"], 0);
    assert!(!unreadable.keys().any(|name| name.starts_with("pending_")), "{unreadable:?}");
}

#[test]
fn a_collector_that_fails_is_tolerated_and_told_and_the_rest_is_sent() {
    let desk = Desk::new();
    let manifests = installation();
    let one = |kind: &str, from: &str| measured(&desk, &format!("collect {kind} --tolerate {from}"));
    let from = format!("--manifests {}", manifests.display());
    one("kubernetes", &from).ok();
    let failed = one("kubermatic", "--kubeconfig nowhere").ok().says("error: can't use the kubeconfig nowhere");
    failed.says("--tolerate allows").says("hint: ");
    let told = metrics(&desk);
    assert_eq!(told["last_collection_success{kind=\"kubermatic\"}"], 0);
    assert_eq!(told["last_collection_success{kind=\"kubernetes\"}"], 1);
    assert!(!told.contains_key("last_successful_collection_timestamp_seconds{kind=\"kubermatic\"}"));
    let status = desk.line("status").ok();
    status.prints("kubermatic: failed: can't use the kubeconfig nowhere");
    let attempts = desk.line("status --json").ok().json()["lastAttempts"].clone();
    assert!(attempts["kubermatic"]["failure"].as_str().unwrap().contains("nowhere"), "{attempts}");
    assert!(attempts["kubernetes"].get("failure").is_none(), "{attempts}");
    let server = Server::open(&desk);
    send(&desk, &server.url(), "").ok();
    assert_eq!(desk.line("status --json").ok().json()["pending"]["records"], 0);
    // Without it the failure is one; what is typed wrongly is never tolerated.
    measured(&desk, "collect kubermatic --kubeconfig nowhere").code(1);
    measured(&desk, "collect --tolerate").code(2);
    measured(&desk, &format!("collect --tolerate --strict {from}")).code(2);
}

#[test]
fn collectors_in_processes_of_their_own_share_a_store() {
    let desk = Desk::new();
    desk.line("init").ok();
    let children: Vec<_> = ["kubernetes", "kubermatic"]
        .iter()
        .map(|kind| {
            let mut command = desk.command();
            command.args(["collect", kind, "--manifests"]).arg(installation());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        Printed::of(child.wait_with_output().unwrap()).ok();
    }
    let kinds: Vec<_> = desk.line("preview").ok().stdout.lines().map(kind).collect();
    assert_eq!(kinds, ["kubermatic", "kubernetes"]);
}

fn kind(line: &str) -> String {
    serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned()
}

/// Insists that every line is a JSON object of the log's shape.
fn logged(stderr: &str) -> Vec<Value> {
    let lines: Vec<Value> = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        assert!(line["message"].is_string() && line["target"].is_string(), "{line}");
        assert!(["ERROR", "WARN", "INFO", "DEBUG"].contains(&line["level"].as_str().unwrap()), "{line}");
        line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    }
    lines
}

#[test]
fn a_structured_log_is_one_json_object_a_line_whatever_happens() {
    let desk = Desk::new();
    let manifests = format!("collect --manifests {}", installation().display());
    let mut hints = 0;
    for (line, code) in [
        (manifests.as_str(), 0),
        ("-vv export -o bundle.tar", 0),
        ("export -o bundle.tar", 1),
        ("preview --manifests nowhere", 1),
        ("send --url http://127.0.0.1:1", 1),
        ("status --metrics-file nowhere/x", 0),
        ("keys rotate --secret x", 2),
        ("no-such-verb", 2),
        ("status --nonsense", 2),
    ] {
        let printed = desk.line(&format!("{line} --log-format json")).code(code);
        let lines = logged(&printed.stderr);
        assert!(!lines.is_empty(), "{line}");
        hints += lines.iter().filter(|line| line["hint"].is_string()).count();
        assert_eq!(lines.iter().any(|line| line["level"] == "ERROR"), code != 0, "{line}: {lines:?}");
    }
    assert!(hints > 2);
    let mut command = desk.command();
    command.env("KUBERMATIC_TELEMETRY_LOG_FORMAT", "json").args(["verify", "odd\u{202e}\u{7}name"]);
    let printed = Printed::of(command.output().unwrap()).code(1);
    logged(&printed.stderr);
    assert!(!printed.stderr.contains(['\u{202e}', '\u{7}']), "nothing acts on a terminal");
}

#[test]
fn every_line_that_a_server_logs_of_a_request_has_its_id() {
    let desk = Desk::new();
    let bundle = crate::http::exported(&desk);
    let server = Server::start(&desk, ["--trust", "tofu", "--log-format", "json"]);
    let id = |answer: &crate::http::Answer| answer.header("x-request-id").unwrap().to_owned();
    let answered = id(&server.upload(&bundle).is(201));
    let line = &logged(&server.says("answered"))[0];
    assert_eq!(
        (&line["request"], &line["status"], &line["route"]),
        (&answered.into(), &201.into(), &"/v1/bundles".into())
    );
    let known =
        ["timestamp", "level", "message", "target", "request", "method", "route", "status", "seconds", "caller"];
    assert_eq!(line.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(known));
    fs::rename(desk.path("archive"), desk.path("aside")).unwrap();
    desk.file("archive", "");
    let failed = id(&server.upload(&bundle).is(503));
    let line = &logged(&server.says("ERROR"))[0];
    assert_eq!(line["span"]["request"], failed, "{line}");
}

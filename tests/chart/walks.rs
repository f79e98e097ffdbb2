//! The pods' commands, as they are rendered and in order: connected to a real server, and air-gapped with a receipt.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::servers::free_ports;
use crate::helm::{AIR_GAPPED, NAMESPACE, RELEASE, of_kind, pod_of};
use crate::pods::Pod;
use crate::releases::Cluster;
use crate::served::Server;
use crate::support::{Desk, Printed, skip};
use crate::traces::peers;
use crate::typing::yaml;

/// Many times what anything takes here.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A server of the program for everybody, with its archive on the desk, and values that have its receipt key.
pub fn server(desk: &Desk) -> (Server, String) {
    let server = Server::start(desk, "--trust tofu");
    let begin = Instant::now();
    let key = desk.path("archive/receipt-key.pub.pem");
    while !key.exists() {
        assert!(begin.elapsed() < PATIENCE, "the server has no key");
        sleep(Duration::from_millis(20));
    }
    let values = json!({ "telemetry": {
        "targetURL": server.url(), "splay": "1s", "receiptKeys": fs::read_to_string(key).unwrap(),
    } });
    (server, values.to_string())
}

/// Values on top of others.
fn and(values: &str, more: &Value) -> String {
    let mut values: Value = serde_json::from_str(values).unwrap();
    for (key, value) in more.as_object().unwrap() {
        values["telemetry"][key] = value.clone();
    }
    values.to_string()
}

fn pending(pod: &Pod, container: &str) -> u64 {
    let status = pod.exec(container, "kubermatic-telemetry status --json").ok().json();
    status["pending"]["records"].as_u64().unwrap()
}

#[test]
fn a_connected_pod_collects_and_delivers() {
    let Some(cluster) = Cluster::start() else { return };
    let desk = Desk::new();
    let (server, values) = server(&desk);
    cluster.helm.release("install", &values).ok();
    let pod = cluster.pod();
    assert_eq!(pod.names(), ["identity", "kubernetes-agent", "kubermatic-agent", "reporter"]);
    let said = pod.run_all();
    assert!(said[3].stderr.contains("2 records acknowledged"), "{}", said[3].stderr);
    // Each line of the log is a document.
    for line in said.iter().flat_map(|printed| printed.stderr.lines()) {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert_eq!(pending(&pod, "reporter"), 0);

    // The server is away: nothing is lost, and the next pod brings everything.
    drop(server);
    let pod = cluster.pod();
    for (name, printed) in pod.names().iter().zip(pod.run_all_but("reporter")) {
        assert_eq!(printed.code, 0, "{name}");
    }
    let address = "--deadline 2s";
    pod.exec("reporter", &format!("kubermatic-telemetry send {address}")).ok().says("not delivered yet");
    assert_eq!(pending(&pod, "reporter"), 2);
    let (server, values) = self::server(&desk);
    cluster.helm.release("upgrade", &values).ok();
    let pod = cluster.pod();
    pod.run_all();
    assert_eq!(pending(&pod, "reporter"), 0);
    drop(server);
}

#[test]
fn a_collector_that_fails_never_keeps_the_reporter_from_sending() {
    let Some(cluster) = Cluster::start() else { return };
    let desk = Desk::new();
    let (_server, values) = server(&desk);
    cluster.helm.release("install", &values).ok();
    let pod = cluster.pod();
    for container in ["identity", "kubernetes-agent", "kubermatic-agent"] {
        pod.run(container).ok();
    }
    // The identity is read, and then the API server goes away.
    let pod = cluster.pod();
    pod.run("identity").ok();
    cluster.server.stop();
    for container in ["kubernetes-agent", "kubermatic-agent"] {
        pod.run(container).ok().says("can't");
    }
    pod.run("reporter").ok().says("2 records acknowledged");
}

#[test]
fn a_pod_without_rights_sends_what_it_has() {
    let Some(cluster) = Cluster::start() else { return };
    let desk = Desk::new();
    let (_server, values) = server(&desk);
    cluster.helm.release("install", &values).ok();
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/telemetry-system-telemetry";
    cluster.server.admin.delete(roles);
    let said = cluster.pod().run_all();
    assert!(said[1].stderr.contains("docs/permissions.md"), "{}", said[1].stderr);
    assert_eq!(said[3].code, 0);
}

#[test]
fn the_reference_report_is_all_that_the_reporter_logs() {
    let Some(cluster) = Cluster::start() else { return };
    let values = json!({ "telemetry": { "reporterArgs": ["preview", "--format", "telemetry-client-v2"] } });
    cluster.helm.release("install", &values.to_string()).ok();
    let objects = cluster.helm.objects(&values.to_string());
    let pod = pod_of(of_kind(&objects, "CronJob").unwrap()).unwrap();
    assert_eq!(pod["metadata"]["labels"]["control-plane"], RELEASE, "by which KKP finds the pod");
    let said = cluster.pod().run_all().pop().unwrap();
    // Kubernetes keeps both streams in one log.
    let log = format!("{}{}", said.stdout, said.stderr);
    let report: Value = serde_json::from_str(&log).unwrap_or_else(|error| panic!("{error}: {log}"));
    assert!(report["version"].as_str().is_some_and(|version| !version.is_empty()));
    let kinds: Vec<_> = report["records"].as_array().unwrap().iter().map(|record| record["kind"].clone()).collect();
    assert!(kinds.contains(&json!("kubermatic")) && kinds.contains(&json!("kubernetes")), "{kinds:?}");
}

#[test]
fn helm_test_collects_and_touches_neither_the_store_nor_the_identity() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.helm.release("install", "").ok();
    let objects = cluster.helm.objects("");
    let test = objects.iter().find(|object| object["kind"] == "Pod").expect("a test");
    assert_eq!(test["metadata"]["annotations"]["helm.sh/hook"], "test");
    let pod = Pod::new(&cluster.server, NAMESPACE, test, cluster.disk());
    pod.run("collect").ok().says("collected kubernetes");
    assert!(!cluster.disk().join("claims").exists());
    let identity = "/api/v1/namespaces/telemetry-system/secrets/telemetry-identity";
    assert_eq!(cluster.status(identity), 404);
    // Without its rights it fails, which is what it is for.
    cluster.server.admin.delete("/apis/rbac.authorization.k8s.io/v1/clusterroles/telemetry-system-telemetry");
    let begin = Instant::now();
    loop {
        let printed = Pod::new(&cluster.server, NAMESPACE, test, cluster.disk()).run("collect");
        if printed.stderr.contains("not allowed") {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{}", printed.stderr);
    }
}

/// A container that runs on, and is ended with this.
pub struct Running(Child);

impl Running {
    pub fn start(pod: &Pod, container: &str, trace: Option<&str>) -> Self {
        let mut command = pod.command(container);
        command.envs(trace.map(|file| ("TRACE", file))).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Asks the container to stop as Kubernetes does, and waits.
    pub fn stop(mut self) -> i32 {
        let pid = self.0.id().to_string();
        let tree = r#"t() { for c in $(pgrep -P "$1"); do t "$c"; done; kill -TERM "$1" 2>/dev/null || :; }; t "$1""#;
        crate::support::tool(std::path::Path::new("/"), "bash", &["-c", tree, "stop", &pid]);
        self.0.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until as many records are pending.
pub fn until_pending(pod: &Pod, container: &str, number: u64) {
    let begin = Instant::now();
    while pending(pod, container) != number {
        assert!(begin.elapsed() < PATIENCE, "{number} records are not there");
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_air_gapped_walk_connects_to_the_api_server_and_to_nobody_else() {
    let Some(cluster) = Cluster::start() else { return };
    let desk = Desk::new();
    let (server, values) = server(&desk);
    // What would be sent with is there, and is not used.
    let [port] = free_ports();
    let both = format!("{}{AIR_GAPPED}metrics: {{port: {port}}}\n", yaml(&values));
    cluster.helm.release("install", &both).ok();
    let pod = cluster.pod();
    let api = cluster.server.address.to_string();
    if !traceable(&desk) {
        return;
    }
    let mut number = 0;
    let mut traced = |line: &str, input: Option<&[u8]>, peers_expected: &[&str]| {
        number += 1;
        let trace = desk.path(&format!("trace-{number}"));
        let mut command = pod.command("agent");
        command.args(line.split_whitespace()).env("TRACE", &trace);
        if let Some(input) = input {
            command.stdin(fs::File::open(desk.file("input", input)).unwrap());
        }
        let output = command.output().unwrap();
        let found = peers(&trace);
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), peers_expected, "{line}");
        let printed = Printed::of(&output).ok();
        (printed, output.stdout)
    };
    // The identity, in a container of its own.
    let trace = desk.path("trace-identity");
    let output = pod.command("identity").env("TRACE", &trace).output().unwrap();
    Printed::of(output).ok();
    assert_eq!(peers(&trace).into_iter().collect::<Vec<_>>(), [api.as_str()]);
    // The agent, which stays.
    let trace = desk.path("trace-agent");
    let agent = Running::start(&pod, "agent", trace.to_str());
    until_pending(&pod, "agent", 2);
    // While it stays it answers those who watch over it.
    let answer = ask(port, "/healthz");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let metrics = ask(port, "/metrics");
    assert!(metrics.contains("kubermatic_telemetry"), "{metrics}");

    let (said, bundle) = traced("kubermatic-telemetry export -o -", None, &[]);
    desk.file("bundle.tar", &bundle);
    let digest = crate::support::tool(&desk.path(""), "sha256sum", &["bundle.tar"]).stdout;
    let digest = String::from_utf8(digest[..64].to_vec()).unwrap();
    assert!(said.stderr.contains(&digest), "{} prints {digest}", said.stderr);
    desk.line("ingest bundle.tar --archive archive --trust tofu --receipts receipts").ok();
    let receipt = fs::read_dir(desk.path("receipts")).unwrap().map(|entry| entry.unwrap().path());
    let receipt = receipt.filter(|path| path.to_str().unwrap().ends_with(".receipt.tar")).last().unwrap();
    let bytes = fs::read(receipt).unwrap();
    let (said, _) = traced("kubermatic-telemetry receipt -", Some(&bytes), &[]);
    assert!(said.stderr.contains("0 records pending"), "{}", said.stderr);
    traced("kubermatic-telemetry status", None, &[]);
    agent.stop();
    assert_eq!(peers(&trace).into_iter().collect::<Vec<_>>(), [api.as_str()]);
    drop(server);
}

/// What a server on loopback answers.
fn ask(port: u16, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let begin = Instant::now();
    let mut stream = loop {
        match std::net::TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
        }
        sleep(Duration::from_millis(50));
    };
    write!(stream, "GET {path} HTTP/1.1\r\nhost: pod\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn traceable(desk: &Desk) -> bool {
    let trace = desk.path("tried");
    let tried = std::process::Command::new("strace").arg("-o").arg(trace).arg("true").output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        skip("`strace` is missing, or may not trace here");
    }
    can
}

#[test]
fn switched_off_nobody_is_connected_to() {
    let Some(cluster) = Cluster::start() else { return };
    let desk = Desk::new();
    if !traceable(&desk) {
        return;
    }
    let (_server, values) = server(&desk);
    let [port] = free_ports();
    let off = and(&values, &json!({ "enabled": false }));
    for (values, containers) in [
        (yaml(&off), vec!["kubernetes-agent", "kubermatic-agent", "reporter"]),
        (format!("{}{AIR_GAPPED}metrics: {{port: {port}}}\n", yaml(&off)), vec!["agent"]),
    ] {
        cluster
            .helm
            .run(&["upgrade", "--install", RELEASE, crate::helm::chart().to_str().unwrap(), "-n", NAMESPACE], &values)
            .ok();
        // No pod runs; were one left from before, this is what it would do.
        let pod = cluster.pod();
        for container in containers {
            let trace = desk.path(&format!("trace-{container}"));
            if container == "agent" {
                let running = Running::start(&pod, container, trace.to_str());
                let answer = ask(port, "/healthz");
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                sleep(Duration::from_secs(2));
                running.stop();
            } else {
                let output = pod.command(container).env("TRACE", &trace).output().unwrap();
                Printed::of(output).ok().says("telemetry is off");
            }
            assert!(peers(&trace).is_empty(), "{container}: {:?}", peers(&trace));
        }
    }
}

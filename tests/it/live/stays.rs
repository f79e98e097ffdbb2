//! Being stopped, and staying: signals, `--every`, and what a run that was ended leaves for the next.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::{Live, counts};
use crate::api::{Effect, Fault};
use crate::site::Records;
use crate::support::{root, tool};

/// How long a test waits for what must come, before it fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// The program while it runs, and what it says.
struct Running {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Running {
    fn start(live: &Live, typed: &str) -> Self {
        let mut command = live.site.desk.command();
        command.args(typed.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, said: Vec::new() }
    }

    /// Waits until the program has said something.
    fn says(&mut self, text: &str) {
        while !self.said.last().is_some_and(|line| line.contains(text)) {
            let line = self.lines.recv_timeout(PATIENCE);
            self.said.push(line.unwrap_or_else(|_| panic!("`{text}` was not said: {:?}", self.said)));
        }
    }

    /// Sends a signal, and returns the exit code and everything that was said.
    fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        tool(&root(), "bash", &["-c", &format!("kill -{signal} {}", self.child.id())]);
        // The program's end of the pipe closes when it ends.
        while let Some(line) = match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.child.kill().unwrap();
                panic!("the program did not end: {:?}", self.said)
            }
        } {
            self.said.push(line);
        }
        (self.child.wait().unwrap().code(), self.said.join("\n"))
    }
}

const STAY: &str = "collect --kubeconfig kubeconfig --every 24h";

#[test]
fn a_signal_ends_a_run_that_hangs_and_nothing_is_stored() {
    for signal in ["TERM", "INT"] {
        let live = Live::complete();
        live.fleet.seed("europe").fault(Fault::everywhere(Effect::Silence).times(1));
        let running = Running::start(&live, "collect --kubeconfig kubeconfig");
        live.fleet.seed("europe").wait_for("/version");
        let (code, said) = running.stop(signal);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("SIG{signal}")), "{said}");
        let stored = live.site.desk.tree("state/store");
        assert!(!stored.iter().any(|file| file.contains("records/") || file.contains("tmp")), "{stored:?}");
        live.run("collect").ok();
        let records = Records::of(live.site.desk.line("preview")).complete();
        counts(&records, &[("clusters", 2)]);
    }
}

#[test]
fn who_stays_collects_at_once_and_is_stopped_without_a_failure() {
    let live = Live::complete();
    let mut running = Running::start(&live, STAY);
    running.says("collecting in ");
    let (code, said) = running.stop("TERM");
    assert_eq!(code, Some(0), "{said}");
    Records::of(live.site.desk.line("preview")).complete();
}

#[test]
fn who_is_stopped_while_a_seed_hangs_stores_nothing() {
    let live = Live::complete();
    live.fleet.seed("europe").fault(Fault::everywhere(Effect::Silence));
    let running = Running::start(&live, STAY);
    live.fleet.seed("europe").wait_for("/version");
    let (code, said) = running.stop("INT");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(live.site.desk.line("preview").ok().stdout, "");
}

#[test]
fn who_begins_again_waits_for_the_rest_of_the_time() {
    let live = Live::complete();
    live.run("collect").ok();
    let before = live.fleet.master.requests().len();
    let mut running = Running::start(&live, STAY);
    running.says("collecting in ");
    let (code, said) = running.stop("TERM");
    assert_eq!((code, live.fleet.master.requests().len()), (Some(0), before), "{said}");
}

#[test]
fn who_stays_tries_again_when_the_master_is_away_and_not_when_the_kubeconfig_is() {
    let live = Live::complete();
    live.fleet.master.stop();
    let mut running = Running::start(&live, STAY);
    running.says("error: ");
    running.says("collecting in ");
    assert_eq!(running.stop("TERM").0, Some(0));
    live.site.desk.line("collect --every 24h --kubeconfig nowhere").code(1).says("nowhere");
}

#[test]
fn metrics_and_health_are_told_while_it_stays() {
    let live = Live::complete();
    let mut running = Running::start(&live, &format!("{STAY} --metrics-listen 127.0.0.1:0 --metrics-file m.prom"));
    running.says("metrics on http://");
    let told = running.said.last().unwrap().clone();
    let address = told.split("http://").nth(1).unwrap().strip_suffix("/metrics").unwrap().to_owned();
    running.says("collecting in ");
    let ask = |request: &str| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // What is no request may be answered before it is read whole.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let get = |path: &str| ask(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    let health = get("/healthz");
    assert!(health.starts_with("HTTP/1.1 200") && health.ends_with("ok\n"), "{health}");
    let metrics = get("/metrics");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{metrics}");
    let told = crate::observe::samples(metrics.split_once("\r\n\r\n").unwrap().1);
    assert_eq!(told["kubermatic_telemetry_pending_records{kind=\"kubermatic\"}"].to_string(), "1");
    let file = std::fs::read_to_string(live.site.desk.path("m.prom")).unwrap();
    assert_eq!(crate::observe::samples(&file), told);
    // What another process does is seen at once.
    live.site.desk.line("discard --all").ok();
    let told = crate::observe::samples(get("/metrics").split_once("\r\n\r\n").unwrap().1);
    assert_eq!(told["kubermatic_telemetry_pending_records{kind=\"kubermatic\"}"].to_string(), "0");
    assert!(get("/").starts_with("HTTP/1.1 404"));
    assert!(ask("POST /metrics HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n").starts_with("HTTP/1.1 405"));
    assert!(ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    let large = format!("GET /metrics HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert!(!ask(&large).contains(" 200 "));
    // However many connect and say nothing, it goes on collecting and ends when it is asked to.
    let idle: Vec<_> = (0..40).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    let (code, said) = running.stop("TERM");
    assert_eq!(code, Some(0), "{said}");
    drop(idle);
    let desk = &live.site.desk;
    desk.line("collect --every 24h --metrics-listen nonsense").code(2).says("127.0.0.1:8080 or :8080");
    desk.line("collect --metrics-listen :8080").code(2).says("--every");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = format!("{STAY} --metrics-listen {}", taken.local_addr().unwrap());
    desk.line(&refused).code(1).says("can't listen for --metrics-listen").says("hint: ");
}

#[test]
fn a_setting_that_changes_is_obeyed_at_the_next_round() {
    let live = Live::complete();
    let set = |key: &str, value: &str| live.site.desk.file(&format!("settings/{key}"), value);
    set("telemetry", "on");
    let mut running = Running::start(&live, "collect --kubeconfig kubeconfig --every 1s --settings settings");
    running.says("collected kubernetes");
    set("telemetry", "off");
    running.says("telemetry is off (`telemetry` in settings): nothing was collected");
    let records = live.site.desk.tree("state/store/records").len();
    let asked = live.fleet.master.requests().len();
    running.says("collecting in");
    running.says("telemetry is off (`telemetry` in settings): nothing was collected");
    assert_eq!(live.site.desk.tree("state/store/records").len(), records);
    assert_eq!(live.fleet.master.requests().len(), asked, "switched off, nothing is connected to");
    // What can't be understood collects nothing until somebody corrects it.
    set("telemetry", "maybe");
    running.says("`telemetry` in settings says neither `on` nor `off`");
    running.says("collecting in");
    set("omit", "users");
    set("telemetry", "on");
    running.says("withheld: users");
    assert_eq!(running.stop("TERM").0, Some(0));
}

//! Being stopped, and staying: signals, `--every`, and what a run that was ended leaves for the next.

use std::io::{BufRead as _, BufReader};
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

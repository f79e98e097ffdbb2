//! Whatever changes the state, stopped at every step: killed, or told by the system that the step failed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::books::{Books, digest, leftovers};
use crate::support::{Desk, Printed, copy_all, installation, say, skip};

const KIND: &str = "my-product";

/// What changes a file system or is how a command learns of it. Each is counted on its own.
const CALLS: &str = "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,\
                     mkdir,mkdirat,rmdir,ftruncate,fchmod,chmod,fchmodat,copy_file_range,sendfile,statx,flock,\
                     exit_group";

/// A command that is stopped, the state that it starts from, and what it does when it is not.
pub struct Scene {
    name: &'static str,
    pub desk: Desk,
    arguments: Vec<String>,
    /// What a person adds to say it again where the first attempt may have gone far enough.
    again: &'static [&'static str],
    /// How many records it adds.
    adds: usize,
    /// How many bundles it exports.
    exports: usize,
    /// The state as it is before, and after a receipt where that is what it takes.
    before: Books,
    settled: Option<Books>,
    /// Where it writes a bundle.
    output: Option<PathBuf>,
    /// What must hold afterwards, however far it came; it may change the desk.
    afterwards: fn(&Desk, &str),
}

/// One call of the program to the system.
#[derive(Debug, Clone)]
pub struct Step {
    call: String,
    /// The how many-th call of its name it is.
    number: usize,
    /// With its arguments.
    pub line: String,
    /// The desk that it was seen on.
    place: PathBuf,
}

impl Step {
    pub fn changes_something(&self) -> bool {
        match self.call.as_str() {
            "openat" => self.line.contains("O_CREAT") || self.line.contains("O_TMPFILE"),
            "statx" | "flock" | "exit_group" => false,
            _ => true,
        }
    }

    /// What the system might say to it.
    fn errors(&self) -> &'static [&'static str] {
        match self.call.as_str() {
            "openat" | "mkdir" | "mkdirat" if self.changes_something() => &["ENOSPC", "EACCES", "EROFS", "EIO"],
            "unlink" | "unlinkat" | "rmdir" => &["EIO", "EROFS"],
            "openat" | "statx" | "flock" => &["EIO"],
            _ => &["ENOSPC", "EIO"],
        }
    }
}

fn line(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Whether `strace` can do what is asked of it here.
pub fn can_trace() -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=mkdir:error=EIO", "true"]);
    let tried = strace.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let able = tried.is_ok_and(|status| status.success());
    if !able {
        skip("`strace` is missing, or may not trace here");
    }
    able
}

/// A command as it is, in its environment and directory, under `strace`, which writes to `trace`.
pub fn under_strace(program: &Command, trace: &Path, options: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(trace).args(options);
    command.arg(program.get_program()).args(program.get_args());
    command.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(program.get_current_dir().unwrap());
    command
}

/// The program under `strace`, which does to it what `inject` says.
fn traced(desk: &Desk, arguments: &[String], inject: Option<&str>, call: &str) -> (std::process::Output, String) {
    let mut program = desk.command();
    program.args(arguments);
    let trace = desk.path("trace");
    let traced = format!("trace={call}");
    let mut options = vec!["-y", "-s", "0", "-e", "signal=none", "-e", &traced];
    let injected = inject.map(|inject| format!("inject={call}:{inject}"));
    if let (Some(inject), Some(injected)) = (inject, &injected) {
        // Faster, but signals would get lost.
        options.extend(inject.starts_with("error").then_some("--seccomp-bpf"));
        options.extend(["-e", injected]);
    }
    let output = under_strace(&program, &trace, &options).stdin(Stdio::null()).output().unwrap();
    let text = fs::read_to_string(&trace).unwrap();
    fs::remove_file(trace).unwrap();
    (output, text)
}

impl Scene {
    pub fn new(name: &'static str, desk: Desk, arguments: &str) -> Self {
        let before = Books::of(&desk.state());
        Self {
            name,
            desk,
            arguments: line(arguments),
            again: &[],
            adds: 0,
            exports: 0,
            before,
            settled: None,
            output: None,
            afterwards: |_, _| {},
        }
    }

    /// A desk just like the prepared one.
    fn copy(&self) -> Desk {
        copy_of(&self.desk)
    }

    /// What the command does with the files of its desk, step by step, when nothing stops it.
    pub fn steps(&self) -> Vec<Step> {
        let desk = self.copy();
        let (output, trace) = traced(&desk, &self.arguments, None, CALLS);
        Printed::of(output).ok();
        let place = fs::canonicalize(desk.path("")).unwrap();
        let (mut steps, mut numbers, mut processes) = (Vec::new(), BTreeMap::<_, usize>::new(), Vec::new());
        for line in trace.lines() {
            let (process, rest) = line.split_once(' ').unwrap();
            let Some((call, arguments)) = rest.trim_start().split_once('(') else { continue };
            if !processes.contains(&process) {
                processes.push(process);
            }
            let number = numbers.entry(call).or_default();
            *number += 1;
            let arguments = arguments.replace(&format!("AT_FDCWD<{}>", place.display()), "AT_FDCWD");
            let told =
                ["write", "exit_group"].contains(&call) && ["1<", "2<", "0"].iter().any(|to| arguments.starts_with(to));
            if arguments.contains(place.to_str().unwrap()) || told {
                steps.push(Step {
                    call: call.to_owned(),
                    number: *number,
                    line: format!("{call}({arguments}"),
                    place: place.clone(),
                });
            }
        }
        assert_eq!(processes.len(), 1, "calls are counted by thread");
        steps
    }

    /// Runs the command with a fault at one step, and gives the desk as it is then.
    pub fn stopped(&self, step: &Step, fault: &str) -> (Desk, std::process::Output) {
        let desk = self.copy();
        let inject = format!("{fault}:when={}", step.number);
        let (output, trace) = traced(&desk, &self.arguments, Some(&inject), &step.call);
        let hit = output.status.signal() == Some(9) || trace.contains("(INJECTED)");
        assert!(hit, "{}: {fault} at {} did not happen", self.name, step.line);
        (desk, output)
    }

    /// Insists that nothing is lost and nothing half done.
    fn check(&self, desk: &Desk, what: &str) -> Books {
        let now = Books::of(&desk.state());
        let settled = self.settled.as_ref().filter(|settled| settled.receipts == now.receipts);
        let kept = settled.unwrap_or(&self.before);
        assert!(kept.pending.keys().all(|id| now.pending.contains_key(id)), "{what}: a record is gone");
        assert_eq!(now.accepted, kept.accepted, "{what}");
        assert_eq!(now.rejected, kept.rejected, "{what}");
        assert_eq!(now.receipts, kept.receipts, "{what}");
        assert_eq!(now.quarantine, kept.quarantine, "{what}");
        assert!(kept.exports.iter().all(|(number, manifest)| now.exports.get(number) == Some(manifest)), "{what}");
        if let Some(output) = &self.output {
            let path = desk.path("").join(output);
            let whole = || now.bundles.contains(&digest(&path));
            let old = || fs::read(&path).ok() == fs::read(self.desk.path("").join(output)).ok();
            assert!(!path.exists() || old() || whole(), "{what}: half a bundle");
        }
        now
    }

    /// How many records and exports there are more than before.
    fn more(&self, now: &Books) -> (usize, usize) {
        let added = now.pending.keys().filter(|id| !self.before.pending.contains_key(*id)).count();
        (added, now.exports.len() - self.before.exports.len())
    }

    /// Says the same command again, which must do all that it did not do, and clear up.
    fn finish(&self, desk: &Desk, what: &str) {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).chain(self.again.iter().copied()).collect();
        let printed = desk.run(arguments);
        assert_eq!(printed.code, 0, "{what}, and again: {}", printed.stderr);
        let now = self.check(desk, &format!("{what}, and again"));
        let (added, exported) = self.more(&now);
        assert!((self.adds..=2 * self.adds).contains(&added), "{what}: {added} records were added");
        assert!((self.exports..=2 * self.exports).contains(&exported), "{what}: {exported} bundles were exported");
        if let Some(settled) = &self.settled {
            assert_eq!(now, *settled, "{what}");
        }
        if let Some(output) = &self.output {
            assert!(now.bundles.contains(&digest(&desk.path("").join(output))), "{what}: no bundle");
        }
        assert_eq!(leftovers(&desk.state()), Vec::<PathBuf>::new(), "{what}");
        let status = desk.line("status --json").ok().json();
        assert_eq!(status["pending"]["records"], now.pending.len(), "{what}");
        let listed = desk.tree("state/store/records").len();
        assert_eq!(listed, now.pending.len(), "{what}: a record came back");
        (self.afterwards)(desk, &format!("{what}, and again"));
    }

    fn killed(&self, step: &Step) {
        let what = format!("{}, killed before {}", self.name, step.line);
        let (desk, _) = self.stopped(step, "signal=KILL");
        let now = self.check(&desk, &what);
        let (added, exported) = self.more(&now);
        assert!(added <= self.adds && exported <= self.exports, "{what}");
        let status = desk.line("status --json");
        assert_eq!(status.code, 0, "{what}: {}", status.stderr);
        (self.afterwards)(&copy_of(&desk), &what);
        self.finish(&desk, &what);
    }

    fn failed(&self, step: &Step, error: &str) {
        let what = format!("{}, {error} from {}", self.name, step.line);
        let (desk, output) = self.stopped(step, &format!("error={error}"));
        let printed = Printed::of(output);
        let now = self.check(&desk, &what);
        let (added, exported) = self.more(&now);
        if printed.code == 0 {
            assert_eq!((added, exported), (self.adds, self.exports), "{what}");
            assert!(self.settled.as_ref().is_none_or(|settled| *settled == now), "{what}");
        } else {
            assert_eq!(printed.code, 1, "{what}: {}", printed.stderr);
            assert!(added <= self.adds && exported <= self.exports, "{what}");
            let place = desk.path("");
            let place = place.to_str().unwrap().trim_end_matches('/');
            let mut files = self.arguments.iter().filter(|argument| argument.contains('.'));
            let tells = |name: &str| printed.stderr.contains(name);
            // Nothing can be told where what it is told to does not take it.
            let mute = step.line.starts_with("write(2<") || step.line.starts_with("write(1<");
            let told = mute || tells(place) || tells("to disk .: ") || files.any(|file| tells(file));
            assert!(told, "{what}: {}", printed.stderr);
        }
        (self.afterwards)(&copy_of(&desk), &what);
        self.finish(&desk, &what);
    }
}

pub fn copy_of(desk: &Desk) -> Desk {
    let copy = Desk::in_memory();
    copy_all(&desk.path(""), &copy.path(""));
    copy
}

fn record(desk: &Desk, name: &str) {
    let text = format!(r#"{{"kind":"{KIND}","version":"v1","time":"2026-01-31T12:00:00Z","name":"{name}"}}"#);
    desk.file(&format!("{name}.json"), text);
}

fn collect(name: &str) -> String {
    format!("collect --record {name}.json --allow-kind {KIND}")
}

fn ingested(desk: &Desk, bundle: &str, archive: &str) -> PathBuf {
    let ingest = format!("ingest {bundle} --archive {archive} --trust tofu --receipts {archive}-receipts --json");
    desk.path(desk.line(&ingest).ok().json()[0]["receipt"].as_str().unwrap())
}

/// A state with some of everything: what is acknowledged, what was exported, and what was not. Two receipts wait: one
/// that accepts the second bundle, and one that rejects a record of it.
pub fn prepared() -> Desk {
    let desk = Desk::in_memory();
    desk.line("init").ok();
    desk.line("keys export -o client.pem").ok();
    for name in ["a", "b", "c", "d", "e", "f"] {
        record(&desk, name);
    }
    for name in ["a", "b"] {
        desk.line(&collect(name)).ok();
    }
    desk.line("export -o first.tar").ok();
    let receipt = ingested(&desk, "first.tar", "archive");
    fs::copy(desk.path("archive/receipt-key.pub.pem"), desk.path("state/receipt-keys.pem")).unwrap();
    desk.run(["receipt", receipt.to_str().unwrap()]).ok();
    for name in ["c", "d", "e"] {
        desk.line(&collect(name)).ok();
    }
    desk.line("export -o old.tar").ok();
    desk.line(&collect("f")).ok();
    let stored = desk.tree("state/store/records");
    let doubted = stored[1].split('_').next().unwrap();
    let client = desk.line("keys show --json").ok().json()["client"].as_str().unwrap().to_owned();
    copy_all(&desk.path("archive"), &desk.path("other"));
    // Another record with this id came before.
    desk.file(&format!("other/clients/{client}/records/{doubted}"), format!("{} {}\n", "0".repeat(64), "0".repeat(64)));
    fs::copy(ingested(&desk, "old.tar", "archive"), desk.path("accepting.tar")).unwrap();
    fs::copy(ingested(&desk, "old.tar", "other"), desk.path("rejecting.tar")).unwrap();
    for archive in ["archive", "archive-receipts", "other", "other-receipts"] {
        fs::remove_dir_all(desk.path(archive)).unwrap();
    }
    desk
}

/// What a receipt does, from the receipt as it is shown.
fn settled(desk: &Desk, before: &Books, receipt: &str) -> Books {
    let receipt = desk.line(&format!("inspect {receipt} --json")).ok().json()["receipt"].clone();
    let mut after = before.clone();
    after.receipts.insert(format!("{}.json", receipt["receipt"].as_str().unwrap()));
    for record in receipt["records"].as_array().unwrap() {
        let id = record["id"].as_str().unwrap().to_owned();
        after.pending.remove(&id).unwrap();
        if record["status"] == "rejected" { &mut after.rejected } else { &mut after.accepted }.insert(id);
    }
    after
}

fn scenes() -> Vec<Scene> {
    let empty = Desk::in_memory();
    record(&empty, "a");
    let desk = prepared();
    let scene = |name, arguments: &str| Scene::new(name, copy_of(&desk), arguments);
    let receipt = |name, file: &str| {
        let scene = scene(name, &format!("receipt {file}"));
        Scene { settled: Some(settled(&scene.desk, &scene.before, file)), ..scene }
    };
    let manifests = format!("collect --manifests {}", installation().display());
    vec![
        Scene { adds: 1, ..Scene::new("the first collection", empty, &collect("a")) },
        Scene { adds: 1, ..scene("a further collection", &collect("a")) },
        Scene { adds: 2, ..scene("a collection of manifests", &manifests) },
        Scene {
            exports: 1,
            again: &["--force"],
            output: Some("bundle.tar".into()),
            ..scene("an export", "export -o bundle.tar")
        },
        Scene { output: Some("first.tar".into()), ..scene("an export again", "export --again 2 --force -o first.tar") },
        Scene { afterwards: signs_with_a_key_that_follows, ..scene("a rotation", "keys rotate") },
        receipt("a receipt that accepts", "accepting.tar"),
        receipt("a receipt that rejects", "rejecting.tar"),
    ]
}

/// Whatever key the identity has, whoever trusts the first one accepts what it signs.
fn signs_with_a_key_that_follows(desk: &Desk, what: &str) {
    let client = desk.line("keys show --json").ok().json()["client"].as_str().unwrap().to_owned();
    desk.line(&format!("keys trust client.pem --client {client} --keyring keyring")).ok();
    desk.line("export --force -o after.tar").ok();
    let verified = desk.line("verify after.tar --keyring keyring");
    assert_eq!(verified.code, 0, "{what}: {}", verified.stderr);
}

/// Does something with each of many, on two threads, and goes on where it fails, which each says by itself.
pub fn on_two_threads<T: Sync>(all: &[T], work: impl Fn(&T) + Sync) {
    let (next, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(one))).is_err() {
                        failures.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner();
    assert_eq!(failures, 0, "of {} faults, {failures} had consequences", all.len());
}

#[test]
fn killed_at_any_step_nothing_is_lost_and_the_next_run_goes_on() {
    if !can_trace() {
        return;
    }
    let scenes = scenes();
    let mut kills = Vec::new();
    for scene in &scenes {
        let steps = scene.steps().into_iter().filter(|step| step.changes_something() || step.call == "exit_group");
        kills.extend(steps.map(|step| (scene, step)));
    }
    on_two_threads(&kills, |(scene, step)| scene.killed(step));
    say("measured", &format!("{} kills, at every step of {} commands", kills.len(), scenes.len()));
}

#[test]
fn a_step_that_fails_is_told_and_leaves_the_state_as_it_was_or_will_be() {
    if !can_trace() {
        return;
    }
    let scenes = scenes();
    let mut faults = Vec::new();
    for scene in &scenes {
        let mut seen = BTreeSet::new();
        for step in scene.steps() {
            // What is looked at over and over fails once, in the commands that look at everything.
            let looks = scene.exports > 0 || scene.settled.is_some();
            if step.call != "exit_group" && (step.changes_something() || looks && seen.insert(step.line.clone())) {
                faults.extend(step.errors().iter().map(|error| (scene, step.clone(), *error)));
            }
        }
    }
    on_two_threads(&faults, |(scene, step, error)| scene.failed(step, error));
    say("measured", &format!("{} errors, at every step of {} commands", faults.len(), scenes.len()));
}

fn begins(path: &Path, with: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(with))
}

/// Follows what is on disk already and what only its process has seen.
#[derive(Default)]
struct Unsynced(BTreeSet<PathBuf>);

impl Unsynced {
    fn see(&mut self, step: &Step) {
        let place = &step.place;
        let named: Vec<_> = step.line.split('"').skip(1).step_by(2).map(|name| place.join(name)).collect();
        let open: Vec<_> =
            step.line.split('<').skip(1).map(|rest| PathBuf::from(rest.split('>').next().unwrap())).collect();
        let above = |path: &Path| path.parent().unwrap().components().collect::<PathBuf>();
        match step.call.as_str() {
            "write" | "pwrite64" if open[0].starts_with(place) => drop(self.0.insert(open[0].clone())),
            "copy_file_range" | "sendfile" => drop(self.0.insert(open[open.len() - 1].clone())),
            "fsync" | "fdatasync" => drop(self.0.remove(&open[0])),
            // The name of what is temporary need not last.
            "mkdir" | "mkdirat" | "unlink" | "unlinkat" if begins(&named[0], ".tmp-") => {}
            "mkdir" | "mkdirat" | "unlink" | "unlinkat" => drop(self.0.insert(above(&named[0]))),
            "rename" | "renameat" | "renameat2" => {
                assert!(self.0.is_empty(), "{}: {:?} is not on disk yet", step.line, self.0);
                self.0.insert(above(&named[1]));
            }
            _ => {}
        }
        // What has no name is gone with its process.
        self.0.retain(|path| !begins(path, "#"));
    }
}

#[test]
fn what_gets_its_name_is_on_disk_and_so_is_what_came_before() {
    if !can_trace() {
        return;
    }
    scenes().iter().for_each(what_gets_its_name_is_on_disk);
}

/// Follows a command that nothing stops.
pub fn what_gets_its_name_is_on_disk(scene: &Scene) {
    let (mut unsynced, mut renames) = (Unsynced::default(), 0);
    for step in scene.steps() {
        unsynced.see(&step);
        renames += usize::from(step.call.starts_with("rename"));
    }
    assert!(renames > 0 && unsynced.0.is_empty(), "{}: {:?} is not on disk", scene.name, unsynced.0);
}

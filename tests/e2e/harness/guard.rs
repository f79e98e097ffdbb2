//! What must not outlive the tests: processes are killed and their directory is removed, however the tests end.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Hears which processes there are until its input ends, which it does when this process ends in whatever way, since
/// nobody else holds the other end. Statics are never dropped, and a killed process drops nothing.
const WATCH: &str = r#"
pids=" "
while read -r sign pid; do
  case $sign in
  +) pids="$pids$pid " ;;
  -) pids=${pids%% "$pid" *}" "${pids#* "$pid" } ;;
  esac
done
[ -z "${pids% }" ] || kill -KILL $pids 2>/dev/null
rm -rf "$1" 2>/dev/null || { sleep 1; rm -rf "$1"; }
"#;

/// A directory, and the processes that work in it.
pub struct Guard {
    directory: PathBuf,
    shell: Child,
    input: Option<ChildStdin>,
    children: Mutex<Vec<Child>>,
}

/// One process under a guard.
#[derive(Clone, Copy)]
pub struct Guarded(usize);

impl Guard {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("telemetry-e2e-").tempdir().unwrap().keep();
        // A group of its own, so that a terminal's Ctrl-C ends the tests first and the shell after them.
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCH, "guard"]).arg(&directory).stdin(Stdio::piped()).process_group(0);
        let mut shell = shell.spawn().unwrap();
        let input = shell.stdin.take();
        Self { directory, shell, input, children: Mutex::default() }
    }

    /// The directory, which is nobody else's to read.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts a process.
    pub fn spawn(&self, command: &mut Command) -> Guarded {
        let mut children = self.children();
        let child = command.stdin(Stdio::null()).process_group(0).spawn().unwrap();
        self.tell('+', &child);
        children.push(child);
        Guarded(children.len() - 1)
    }

    /// Whether a process has ended by itself.
    pub fn has_ended(&self, which: Guarded) -> bool {
        let child = &mut self.children()[which.0];
        let ended = child.try_wait().unwrap().is_some();
        if ended {
            self.tell('-', child);
        }
        ended
    }

    /// Ends a process, and with it its connections and its port.
    pub fn kill(&self, which: Guarded) {
        let child = &mut self.children()[which.0];
        child.kill().unwrap();
        child.wait().unwrap();
        self.tell('-', child);
    }

    /// Sends a signal by its name.
    pub fn signal(&self, which: Guarded, name: &str) {
        let pid = self.children()[which.0].id().to_string();
        let sent = Command::new("sh").args(["-c", r#"kill -s "$1" "$2""#, "signal", name, &pid]).status().unwrap();
        assert!(sent.success(), "signal {name}");
    }

    fn children(&self) -> MutexGuard<'_, Vec<Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process that was waited for is not the shell's to kill: another one may have its number.
    fn tell(&self, sign: char, child: &Child) {
        writeln!(self.input.as_ref().unwrap(), "{sign} {}", child.id()).unwrap();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.shell.wait();
        for child in &mut *self.children() {
            let _ = child.wait();
        }
    }
}

//! What the tests share: a directory of their own, the program, and its output.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use kubermatic_telemetry::bundle::manifest::Seconds;
use kubermatic_telemetry::bundle::pack::Header;
use tempfile::TempDir;
use uuid::Uuid;

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The test installation.
pub fn installation() -> PathBuf {
    root().join("testdata/installation")
}

/// A directory for one test, with a state directory in it.
pub struct Desk {
    directory: TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Printed {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A directory in another place.
    pub fn below(place: &Path) -> Self {
        Self { directory: tempfile::tempdir_in(place).unwrap() }
    }

    /// A directory in memory, if there is a place for it, for tests that write so many files that a disk would take
    /// most of the time.
    pub fn in_memory() -> Self {
        // Containers have little of it, unless they are given more.
        let has_room = |place| rustix::fs::statvfs(place).is_ok_and(|it| it.f_bavail * it.f_frsize >= 2 << 30);
        let place = Path::new("/dev/shm");
        if has_room(place) { Self::below(place) } else { Self::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes a file, with the folders above it.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    /// The program, in this directory and with this state, in an environment of its own.
    pub fn command(&self) -> Command {
        self.at_this_desk(Command::new(env!("CARGO_BIN_EXE_kubermatic-telemetry")))
    }

    fn at_this_desk(&self, mut command: Command) -> Command {
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("KUBERMATIC_TELEMETRY_STATE", self.state());
        command
    }

    /// Runs the program.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Printed {
        Printed::of(self.command().args(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs the program, and tells how many KiB of memory it took at most; nothing if there is no `time` to ask.
    pub fn run_measured(&self, arguments: &[&str]) -> Option<(Printed, u64)> {
        let figures = self.path("measured");
        let mut command = self.at_this_desk(Command::new("/usr/bin/time"));
        command.args(["--quiet", "-f", "%M", "-o"]).arg(&figures);
        command.arg(env!("CARGO_BIN_EXE_kubermatic-telemetry")).args(arguments).stdin(Stdio::null());
        match command.output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            output => {
                let peak = fs::read_to_string(&figures).unwrap();
                Some((Printed::of(output.unwrap()), peak.trim().parse().unwrap()))
            }
        }
    }

    /// Runs the program with something on stdin.
    pub fn run_with_input<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>, input: &[u8]) -> Printed {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The program may well stop reading early.
        let _ = child.stdin.take().unwrap().write_all(input);
        Printed::of(child.wait_with_output().unwrap())
    }

    /// Runs a line of the command line; arguments are separated by spaces.
    pub fn line(&self, line: &str) -> Printed {
        self.run(line.split_whitespace())
    }

    /// Collects the test installation.
    pub fn collect(&self) -> Printed {
        self.run([OsStr::new("collect"), OsStr::new("--manifests"), installation().as_os_str()]).ok()
    }

    /// Everything in a directory below this one: relative paths, sorted.
    pub fn tree(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.path(name), &mut found);
        let base = self.path(name);
        let mut names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(&base).unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// Every file below a directory.
pub fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Copies a directory, with the empty ones in it and who may read what.
pub fn copy_all(from: &Path, to: &Path) {
    tool(from, "cp", &["-a", "./.", to.to_str().unwrap()]);
}

/// Copies the files of a directory.
pub fn copy_tree(from: &Path, to: &Path) {
    let mut files = Vec::new();
    walk(from, &mut files);
    for file in files {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

impl Printed {
    pub fn of(output: impl std::borrow::Borrow<Output>) -> Self {
        let output = output.borrow();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Insists on success.
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Insists on an exit code.
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Insists on a text on stderr.
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in stderr: {}", self.stderr);
        self
    }

    /// Insists on a text on stdout.
    pub fn prints(&self, text: &str) {
        assert!(self.stdout.contains(text), "`{text}` is not in stdout: {}", self.stdout);
    }

    /// Reads stdout as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Runs another program and insists on its success.
pub fn tool(directory: &Path, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{program} can't be run: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Everything below a directory: what files hold (of large ones the length), and which directories there are.
pub type Snapshot = BTreeMap<PathBuf, Vec<u8>>;

/// Files longer than this are told apart by their length.
const LONG: u64 = 1 << 20;

impl Desk {
    /// The desk as it is, the state directory included.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        take(self.directory.path(), &mut snapshot);
        snapshot
    }

    /// Insists that nothing was written since, nor removed.
    pub fn unchanged_since(&self, before: &Snapshot, what: &str) {
        let after = self.snapshot();
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "after `{what}`");
        for (path, contents) in &after {
            assert!(before[path] == *contents, "`{what}` changed {}", path.display());
        }
    }

    /// Runs a line of the command line in a terminal, if `script` can give one; both streams come as one.
    pub fn line_in_terminal(&self, line: &str) -> Option<Printed> {
        let program = env!("CARGO_BIN_EXE_kubermatic-telemetry");
        let mut terminal = self.terminal(&format!("'{program}' {line}"))?;
        Some(Printed::of(terminal.stdin(Stdio::null()).output().unwrap()))
    }

    /// What runs a command of the shell in a terminal in this directory, if `script` can give one.
    pub fn terminal(&self, command: &str) -> Option<Command> {
        let script = Command::new("script").arg("--version").output();
        if script.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return None;
        }
        let mut terminal = Command::new("env");
        // Who runs the tests in the background ignores signals, as all do that are started then. And a question that
        // never comes must end a test.
        terminal.args(["--default-signal=HUP,INT,QUIT", "timeout", "--foreground", "--signal=KILL", "600"]);
        terminal.args(["script", "-qec", command, "/dev/null"]);
        terminal.current_dir(self.directory.path()).env("KUBERMATIC_TELEMETRY_STATE", self.state());
        Some(terminal)
    }
}

fn take(directory: &Path, snapshot: &mut Snapshot) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            take(&path, snapshot);
        }
        let contents = if !metadata.is_file() {
            Vec::new()
        } else if metadata.len() > LONG {
            metadata.len().to_be_bytes().to_vec()
        } else {
            fs::read(&path).unwrap()
        };
        snapshot.insert(path, contents);
    }
}

/// Compresses as `gzip` does.
pub fn gzip(plain: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// The folder with KKP's own objects, which lies beside the repository (`KKP_DATA` gives another place). Where it is
/// absent, the test is skipped and says so.
pub fn kkp_samples() -> Option<PathBuf> {
    let data = std::env::var_os("KKP_DATA").map_or_else(|| root().join("../shared/kkp"), PathBuf::from);
    let samples = data.join("samples");
    if !samples.is_dir() {
        skip(&format!("there is no folder {} with KKP's own objects", samples.display()));
        return None;
    }
    Some(samples)
}

/// Says that a test is skipped.
pub fn skip(reason: &str) {
    say("skipped", reason);
}

/// Says something of a test past the harness, which keeps the output of passing tests to itself.
pub fn say(word: &str, what: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    #[expect(clippy::explicit_write, reason = "eprintln! is what the harness keeps to itself")]
    writeln!(std::io::stderr(), "{word} {name}: {what}").unwrap();
}

/// The header of a bundle that tests pack themselves, which a test changes as it needs.
pub fn header() -> Header {
    Header {
        bundle: "019a9d00-0000-7000-8000-0000000000ff".parse().unwrap(),
        client: Uuid::from_u128(1),
        store: Uuid::from_u128(2),
        sequence: 1,
        previous: None,
        rotation: Vec::new(),
        replaces: None,
        created: Seconds::try_from("2026-02-01T00:00:00Z".to_owned()).unwrap(),
        producer: "test/1".into(),
        note: None,
        withheld: Vec::new(),
        dropped: 0,
        discarded: 0,
    }
}

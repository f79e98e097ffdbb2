//! An S3 server: versitygw over a directory, on loopback, with a bucket in it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::BUCKET;
use crate::http::PATIENCE;
use crate::support::skip;

/// No secrets: the server is asked by these tests alone.
const CREDENTIALS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "snakeoil"), ("AWS_SECRET_ACCESS_KEY", "snakeoil-secret")];

/// Runs the server until its input ends, which it does when this process ends in whatever way.
const WATCH: &str = r#"
"$@" </dev/null >/dev/null 2>&1 &
echo $!
read -r _
kill -KILL $! 2>/dev/null
wait
"#;

/// A server that runs as long as this value lives.
pub struct S3 {
    program: PathBuf,
    directory: TempDir,
    address: SocketAddr,
    running: Mutex<Option<(Child, ChildStdin)>>,
}

impl S3 {
    /// Starts a server, if there is one to start.
    pub fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("S3_SERVER") else {
            skip("there is no S3 server; S3_SERVER=$(tests/it/s3-server/build) makes one");
            return None;
        };
        // Attributes of files are needed, which a file system in memory does not always have.
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("buckets").join(BUCKET)).unwrap();
        let address = free_address();
        let server = Self { program: program.into(), directory, address, running: Mutex::default() };
        server.run();
        Some(server)
    }

    /// Runs it, on the address that it had before.
    pub fn run(&self) {
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCH, "watch"]).arg(&self.program);
        shell.args(["--port", &self.address.to_string(), "--quiet", "--keep-alive", "--access-log"]).arg(self.log());
        shell.arg("posix").arg(self.directory.path().join("buckets"));
        shell.envs([("ROOT_ACCESS_KEY", CREDENTIALS[0].1), ("ROOT_SECRET_KEY", CREDENTIALS[1].1)]);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut pid = [0];
        shell.stdout.as_mut().unwrap().read_exact(&mut pid).unwrap();
        let input = shell.stdin.take().unwrap();
        *self.running.lock().unwrap() = Some((shell, input));
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(started.elapsed() < PATIENCE, "{} does not listen", self.program.display());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it at once, with what it was doing.
    pub fn kill(&self) {
        let Some((mut shell, mut input)) = self.running.lock().unwrap().take() else { return };
        let _ = input.write_all(b"\n");
        shell.wait().unwrap();
    }

    /// The directory behind the bucket.
    pub fn bucket(&self) -> PathBuf {
        self.directory.path().join("buckets").join(BUCKET)
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// The requests so far, by the names that S3 has for them.
    pub fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let name = |line: &str| line.split_whitespace().find(|word| word.starts_with("s3_")).map(str::to_owned);
        log.lines().filter_map(name).collect()
    }

    /// What the program needs to know of it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = environment(self.address);
        environment.extend(CREDENTIALS.map(|(name, value)| (name, value.to_owned())));
        environment
    }
}

/// An address that is free, also while nobody listens there: of a port that connections get by themselves, one that is
/// tried again and again might at last connect to itself.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let from = u16::try_from(std::process::id() % 8_000).unwrap();
    loop {
        let port = 20_000 + (from + NEXT.fetch_add(7, Ordering::Relaxed) % 8_000) % 8_000;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// What the program needs to know of a server on loopback, without credentials. There are none on the machine.
pub fn environment(address: SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1".to_owned()),
    ]
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.kill();
    }
}

//! `serve` and `send`: real servers on loopback, spoken to by whole commands and by hand.

mod hostile;
mod killed;
mod openapi;
mod proxied;
mod refusals;
mod sends;
mod serves;
mod tls;

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Desk, Printed, root};

/// How long anything may take here before a test gives up.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The client of the published vectors.
pub const CLIENT: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

/// A published vector.
pub fn vector(name: &str) -> Vec<u8> {
    std::fs::read(root().join("testdata/bundles/vectors").join(name)).unwrap()
}

/// A server that runs as long as this value lives.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    said: Receiver<String>,
}

impl Server {
    /// Starts a server for everybody, with its archive on the desk.
    pub fn open(desk: &Desk) -> Self {
        Self::start(desk, ["--trust", "tofu"])
    }

    /// Starts a server with its archive on the desk, on a free port.
    pub fn start<S: AsRef<OsStr>>(desk: &Desk, arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = desk.command();
        command.args(["serve", "-v", "--listen", "127.0.0.1:0", "--archive", "archive"]).args(arguments);
        Self::of(command)
    }

    /// Waits for the line that says where a server listens.
    pub fn of(mut command: std::process::Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut before = Vec::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the server did not start: {before:?}") };
            if let Some((_, address)) = line.split_once("listening on http").and_then(|(_, rest)| rest.split_once("//"))
            {
                // A structured line goes on behind it.
                break address.split('"').next().unwrap().parse().unwrap();
            }
            before.push(line);
        };
        let (sender, said) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, address, said }
    }

    /// The address for `send`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends raw bytes on a connection of their own and reads the answer.
    pub fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // The server may well answer early and close.
        let _ = stream.write_all(request);
        Answer::read(&mut stream).expect("an answer")
    }

    pub fn get(&self, path: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes())
    }

    /// Uploads a bundle with further headers, each ended by a line break.
    pub fn post(&self, headers: &str, bundle: &[u8]) -> Answer {
        self.raw(&upload(headers, bundle))
    }

    /// Uploads a bundle as `send` does.
    pub fn upload(&self, bundle: &[u8]) -> Answer {
        self.post("", bundle)
    }

    /// A series of the metrics.
    pub fn metric(&self, series: &str) -> u64 {
        let text = self.get("/metrics").ok().text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
    }

    /// Waits until a series of the metrics has a value: the server learns a moment later than its caller that an answer
    /// was read, and a connection closed.
    pub fn metric_becomes(&self, series: &str, value: u64) {
        let started = Instant::now();
        while self.metric(series) != value {
            assert!(started.elapsed() < PATIENCE, "{series} is {}, not {value}", self.metric(series));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end: exit code and everything that it said.
    pub fn end(mut self) -> (i32, String) {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        (status.code().unwrap_or(-1), self.said.iter().collect::<Vec<_>>().join("\n"))
    }

    /// Waits until it says something.
    pub fn says(&self, text: &str) -> String {
        loop {
            let line = self.said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("the server never says `{text}`"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Insists that it still serves honest people.
    pub fn still_serves(&self) {
        assert_eq!(self.upload(&vector("one-record.tar")).status / 100, 2);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes of an upload.
pub fn upload(headers: &str, bundle: &[u8]) -> Vec<u8> {
    let length = bundle.len();
    let kind = if headers.contains("Content-Type") { "" } else { "Content-Type: application/x-tar\r\n" };
    let head = format!(
        "POST /v1/bundles HTTP/1.1\r\nHost: test\r\n{kind}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), bundle].concat()
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads one answer; nothing where the connection ends without one.
    pub fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        loop {
            match reader.read_line(&mut head) {
                Ok(0) | Err(_) => return None,
                Ok(2) if head.ends_with("\r\n\r\n") => break,
                Ok(_) => {}
            }
        }
        let status = head.get(9..12)?.parse().ok()?;
        let mut answer = Self { status, head, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body = vec![0; length];
        reader.read_exact(&mut answer.body).ok()?;
        Some(answer)
    }

    /// Reads one of several answers on a connection, and nothing behind it.
    pub fn read_one(stream: &mut TcpStream) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).ok()?;
        let mut answer = Self { status: head.get(9..12)?.parse().ok()?, head, body: Vec::new() };
        answer.body = vec![0; answer.header("content-length").map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut answer.body).ok()?;
        Some(answer)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Insists on a status.
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}{}", self.head, self.text());
        self
    }

    pub fn ok(self) -> Self {
        self.is(200)
    }

    /// Insists on a problem document with a status and a code.
    pub fn refused(self, status: u16, code: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.json();
        assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()), "{problem}");
        assert_eq!(problem["type"], format!("urn:kubermatic-telemetry:problem:{code}"));
        assert_eq!(problem["instance"], format!("urn:uuid:{}", answer.header("x-request-id").unwrap()));
        assert!(problem["detail"].as_str().unwrap().len() > 10, "{problem}");
        answer
    }
}

/// A bundle of the test installation, by a client of its own.
pub fn exported(desk: &Desk) -> Vec<u8> {
    desk.collect();
    desk.line("export -o bundle.tar --force").ok();
    std::fs::read(desk.path("bundle.tar")).unwrap()
}

/// Reads until the other end closes, and tells how much came.
pub fn drain(stream: &mut TcpStream) -> usize {
    let _ = stream.shutdown(Shutdown::Write);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    rest.len()
}

/// `send` to a server whose receipts are trusted.
pub fn send(desk: &Desk, url: &str, arguments: &str) -> Printed {
    let deadline = if arguments.contains("--deadline") { "" } else { "--deadline 20s" };
    desk.line(&format!("send --url {url} --receipt-key archive/receipt-key.pub.pem {deadline} {arguments}"))
}

//! A server of the program, and requests to it that are written by hand.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::Desk;

/// A running server; it is killed when it is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Serves `archive` in the desk's directory; `line` has more of the command line, separated by spaces.
    pub fn start(desk: &Desk, line: &str) -> Self {
        Self::start_at(desk, "127.0.0.1:0", line)
    }

    pub fn start_at(desk: &Desk, address: &str, line: &str) -> Self {
        let mut command = desk.command();
        command.args(["serve", "--archive", "archive", "--spool", ".", "--listen", address]);
        command.args(line.split_whitespace()).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            assert!(stderr.read_line(&mut said).unwrap() > 0, "the server did not start: {said}");
            if let Some((_, address)) = said.trim_end().rsplit_once("listening on http://") {
                break address.parse().unwrap();
            }
        };
        // What else it says is let through, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { child, address }
    }

    /// Kills it as SIGKILL does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("sh").args(["-c", r#"kill -s "$1" "$2""#, "signal", name, &self.id().to_string()]).status();
        assert!(sent.unwrap().success(), "signal {name}");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Sends a request as it stands, and reads what comes until the connection ends.
    pub fn send(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let host = self.address;
        write!(stream, "{head}\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
        stream.write_all(body).unwrap();
        Answer::read(stream)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1"), b"")
    }

    /// Posts the form as a browser does.
    pub fn post(&self, form: &Form, headers: &str) -> Answer {
        let (kind, body) = form.encoded();
        let head = format!("POST / HTTP/1.1\r\ncontent-type: {kind}\r\ncontent-length: {}{headers}", body.len());
        self.send(&head, &body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer that was read to the end of its connection.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body without what is hidden in it, in one line and without its markup, as somebody would read it.
    pub fn read_aloud(&self) -> String {
        let mut text = self.text();
        for (start, end) in [("<head>", "</head>"), ("<!--", "-->"), ("<script>", "</script>")] {
            while let Some(at) = text.find(start) {
                let length = text[at..].find(end).unwrap() + end.len();
                text.replace_range(at..at + length, "");
            }
        }
        let (mut read, mut hidden, mut rest) = (String::new(), Vec::new(), text.as_str());
        while let Some((before, tag)) = rest.split_once('<') {
            let (tag, after) = tag.split_once('>').unwrap();
            if !hidden.contains(&true) {
                read += before;
            }
            match tag.strip_prefix('/') {
                Some(_) => drop(hidden.pop()),
                None if ["input", "meta", "link"].iter().any(|empty| tag.starts_with(empty)) => {}
                None => hidden.push(tag.split_whitespace().any(|word| word == "hidden")),
            }
            rest = after;
        }
        read.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// A form in the making.
pub struct Form {
    pub boundary: &'static str,
    body: Vec<u8>,
}

impl Form {
    pub fn new() -> Self {
        Self { boundary: "----boundary0123456789", body: Vec::new() }
    }

    pub fn field(self, name: &str, value: &str) -> Self {
        self.part(&format!("form-data; name=\"{name}\""), value.as_bytes())
    }

    pub fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.part(&format!("form-data; name=\"{name}\"; filename=\"bundle.tar\""), bytes)
    }

    /// A part with a disposition of its own.
    pub fn part(mut self, disposition: &str, bytes: &[u8]) -> Self {
        self.body.extend(format!("--{}\r\ncontent-disposition: {disposition}\r\n", self.boundary).bytes());
        self.body.extend(b"content-type: application/octet-stream\r\n\r\n");
        self.body.extend(bytes);
        self.body.extend(b"\r\n");
        self
    }

    /// Its media type and its bytes.
    pub fn encoded(&self) -> (String, Vec<u8>) {
        let kind = format!("multipart/form-data; boundary={}", self.boundary);
        (kind, [&self.body[..], format!("--{}--\r\n", self.boundary).as_bytes()].concat())
    }
}

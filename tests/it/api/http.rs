//! HTTP/1.1 by hand, for the sake of answers that no library would send.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// A request without its body, which no request of a reader has.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// By their names in lower case. Of `authorization` only whether it is `right` or `wrong`.
    pub headers: BTreeMap<String, String>,
    /// What TLS was told to be the server's name; addresses are not told.
    pub server_name: Option<String>,
}

/// The longest head of a request.
const HEAD: u64 = 64 << 10;

impl Request {
    /// Reads a request; nothing where the client went away.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = reader.by_ref().take(HEAD);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(invalid("a request line")) };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: BTreeMap::new(),
            server_name: None,
        };
        loop {
            let mut line = String::new();
            head.read_line(&mut line)?;
            if line.trim_end().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid("a header"))?;
            request.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = request.header("content-length").parse().unwrap_or(0);
        io::copy(&mut reader.take(length), &mut io::sink())?;
        Ok(Some(request))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn takes_gzip(&self) -> bool {
        self.header("accept-encoding").split(',').any(|coding| coding.split(';').next().unwrap().trim() == "gzip")
    }

    pub fn ends_connection(&self) -> bool {
        self.header("connection").eq_ignore_ascii_case("close")
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} that is none"))
}

/// An answer whose body is made piece by piece.
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Box<dyn Iterator<Item = Vec<u8>> + Send>,
}

impl Answer {
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: Box::new(std::iter::once(body.into())) }
    }

    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn head(&self, framing: &[(&str, &str)]) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            307 => "Temporary Redirect",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            406 => "Not Acceptable",
            410 => "Gone",
            429 => "Too Many Requests",
            500 => "Internal Server Error",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            _ => "Unknown",
        };
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        let own = [("Cache-Control", "no-cache, private"), ("Content-Type", self.content_type)];
        let headers = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in own.into_iter().chain(headers).chain(framing.iter().copied()) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy)]
pub enum Framing {
    ContentLength,
    Chunked,
}

const CHUNKED: (&str, &str) = ("Transfer-Encoding", "chunked");
/// Bodies up to this length have their length told; net/http of Go buffers that much.
const BUFFERED: usize = 2048;
/// Bodies above this length are compressed for those who take it.
const COMPRESSED: usize = 128 << 10;
/// How much goes into one chunk.
const CHUNK: usize = 32 << 10;

/// Writes an answer as kube-apiserver would.
pub fn write(out: &mut impl Write, mut answer: Answer, takes_gzip: bool) -> io::Result<()> {
    let buffered = if takes_gzip { COMPRESSED } else { BUFFERED };
    let mut begun = Vec::new();
    while begun.len() <= buffered
        && let Some(piece) = answer.body.next()
    {
        begun.extend(piece);
    }
    if takes_gzip && begun.len() > COMPRESSED {
        out.write_all(&answer.head(&[("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"), CHUNKED]))?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&begun)?;
        for piece in answer.body {
            encoder.write_all(&piece)?;
            let ready = std::mem::take(encoder.get_mut());
            write_chunks(out, &ready)?;
        }
        write_chunks(out, &encoder.finish()?)?;
        return write_end(out);
    }
    if begun.len() <= BUFFERED {
        out.write_all(&answer.head(&[("Content-Length", &begun.len().to_string())]))?;
        out.write_all(&begun)?;
        return out.flush();
    }
    out.write_all(&answer.head(&[CHUNKED]))?;
    for piece in answer.body {
        begun.extend(piece);
        if begun.len() >= CHUNK {
            write_chunks(out, &std::mem::take(&mut begun))?;
        }
    }
    write_chunks(out, &begun)?;
    write_end(out)
}

fn write_chunks(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    for chunk in bytes.chunks(CHUNK) {
        write!(out, "{:x}\r\n", chunk.len())?;
        out.write_all(chunk)?;
        out.write_all(b"\r\n")?;
    }
    Ok(())
}

fn write_end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"0\r\n\r\n")?;
    out.flush()
}

/// Writes an answer as far as the body's first bytes, and no end.
pub fn write_beginning(out: &mut impl Write, mut answer: Answer, length: usize, framing: Framing) -> io::Result<()> {
    let mut body: Vec<u8> = answer.body.by_ref().flatten().collect();
    assert!(length < body.len(), "the body has only {} bytes", body.len());
    let whole = body.len().to_string();
    body.truncate(length);
    match framing {
        Framing::Chunked => {
            out.write_all(&answer.head(&[CHUNKED]))?;
            write_chunks(out, &body)?;
        }
        Framing::ContentLength => {
            out.write_all(&answer.head(&[("Content-Length", &whole)]))?;
            out.write_all(&body)?;
        }
    }
    out.flush()
}

/// Writes an answer in pieces of a length, for as long as `pause` says to go on.
pub fn write_slowly(
    out: &mut impl Write,
    answer: Answer,
    length: usize,
    mut pause: impl FnMut() -> bool,
) -> io::Result<()> {
    out.write_all(&answer.head(&[CHUNKED]))?;
    let mut ready = Vec::new();
    for piece in answer.body {
        ready.extend(piece);
        while ready.len() >= length {
            let rest = ready.split_off(length);
            write_chunks(out, &ready)?;
            out.flush()?;
            ready = rest;
            if !pause() {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
    }
    write_chunks(out, &ready)?;
    write_end(out)
}

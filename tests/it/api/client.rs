//! A tiny HTTPS client, for the tests of the fake itself.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use flate2::read::GzDecoder;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::server::ApiServer;
use super::tls::provider;

/// A connection that is kept.
pub struct Client {
    tls: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    token: Option<String>,
}

/// What came of an answer.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the connection broke off before the end.
    pub cut: bool,
}

impl Client {
    /// Connects, with the server's token or with its client certificate.
    pub fn new(server: &ApiServer, with_certificate: bool) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(server.ca_pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots);
        let config = if with_certificate {
            let (certificate, key) = server.client_pems();
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        } else {
            config.with_no_client_auth()
        };
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(server.address()).unwrap();
        let token = (!with_certificate).then(|| server.token().to_owned());
        Self { tls: BufReader::new(StreamOwned::new(connection, stream)), token }
    }

    pub fn with_token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// Asks with further header lines.
    pub fn get(&mut self, target: &str, headers: &[&str]) -> Got {
        self.send(target, headers);
        self.receive().unwrap()
    }

    pub fn json(&mut self, target: &str) -> Value {
        self.get(target, &[]).json()
    }

    pub fn send(&mut self, target: &str, headers: &[&str]) {
        let mut request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n");
        let token = self.token.iter().map(|token| format!("Authorization: Bearer {token}"));
        for header in token.chain(headers.iter().map(|header| (*header).to_owned())) {
            request += &(header + "\r\n");
        }
        let tls = self.tls.get_mut();
        tls.write_all((request + "\r\n").as_bytes()).unwrap();
        tls.flush().unwrap();
    }

    /// Reads an answer; a connection that breaks off before its head is an error.
    pub fn receive(&mut self) -> io::Result<Got> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.tls.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line == "\r\n" {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let split = |line: &String| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_lowercase(), value.to_owned())
        };
        let mut got = Got { status, headers: lines[1..].iter().map(split).collect(), body: Vec::new(), cut: false };
        got.cut = match got.header("content-length").map(|length| length.parse::<u64>().unwrap()) {
            Some(length) => {
                let read = self.tls.by_ref().take(length).read_to_end(&mut got.body);
                read.is_err() || (got.body.len() as u64) < length
            }
            None => self.read_chunks(&mut got.body).is_err(),
        };
        Ok(got)
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let mut line = String::new();
            self.tls.read_line(&mut line)?;
            let length = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            self.tls.by_ref().take(length).read_to_end(body)?;
            self.tls.read_line(&mut line)?;
            if length == 0 {
                return Ok(());
            }
        }
    }
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        assert!(!self.cut);
        let mut plain = Vec::new();
        if self.header("content-encoding") == Some("gzip") {
            GzDecoder::new(&self.body[..]).read_to_end(&mut plain).unwrap();
        } else {
            plain.clone_from(&self.body);
        }
        serde_json::from_slice(&plain).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

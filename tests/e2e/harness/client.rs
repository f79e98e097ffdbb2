//! The tests' own client of an API server: it shares nothing with the program that is tested.

use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::authority::Identity;
use super::http::Message;
use super::kinds::Kind;

/// Nothing that tests ask for takes this long; it ends a test that would hang.
const LONGEST: Duration = Duration::from_mins(1);

type Connection = BufReader<StreamOwned<ClientConnection, TcpStream>>;

/// A client with one connection, which is made when it is needed. A clone makes its own.
pub struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    token: Option<String>,
    connection: Mutex<Option<Connection>>,
}

impl Clone for Client {
    fn clone(&self) -> Self {
        let (tls, token) = (Arc::clone(&self.tls), self.token.clone());
        Self { address: self.address, tls, token, connection: Mutex::default() }
    }
}

/// What an API server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// Insists on success.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.body);
        self.body
    }
}

impl Client {
    /// A client that trusts `authority` (PEM), and shows a certificate if it has one.
    pub fn new(address: SocketAddr, authority: &str, identity: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        Self { address, tls: Arc::new(config), token: None, connection: Mutex::default() }
    }

    /// The same server with a bearer token; `Self::new` without an identity has none of its own.
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub fn get(&self, path: &str) -> Value {
        self.request("GET", path, None).unwrap().ok()
    }

    /// Creates an object.
    pub fn create(&self, object: &Value) -> Answer {
        let path = Kind::of(object).unwrap_or_else(|| panic!("of a kind unknown here: {object}")).collection(object);
        self.request("POST", &path, Some(object)).unwrap()
    }

    /// Creates an object, or makes it what it is here.
    pub fn apply(&self, object: &Value) -> Value {
        let path = Kind::of(object).unwrap_or_else(|| panic!("of a kind unknown here: {object}")).path(object);
        self.request("PATCH", &format!("{path}?fieldManager=e2e&force=true"), Some(object)).unwrap().ok()
    }

    /// Sets the status of an object that is there already.
    pub fn set_status(&self, object: &Value) -> Answer {
        let path = Kind::of(object).unwrap().path(object);
        self.request("PUT", &format!("{path}/status"), Some(object)).unwrap()
    }

    pub fn delete(&self, path: &str) -> Value {
        self.request("DELETE", path, None).unwrap().ok()
    }

    /// Makes a request. A connection that the server has closed meanwhile is made anew.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        let content = if method == "PATCH" { "application/apply-patch+yaml" } else { "application/json" };
        let mut headers = vec![("host".to_owned(), self.address.to_string())];
        headers.push(("content-type".into(), content.into()));
        headers.extend(self.token.iter().map(|token| ("authorization".into(), format!("Bearer {token}"))));
        let body = body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        let answer = self.pass(&Message { start: format!("{method} {path} HTTP/1.1"), headers, body })?;
        let body = serde_json::from_slice(&answer.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&answer.body).into_owned()));
        Ok(Answer { status: answer.status(), body })
    }

    /// Passes a request on as it is.
    pub fn pass(&self, request: &Message) -> io::Result<Message> {
        let mut slot = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = slot.as_mut() {
            match exchange(connection, request) {
                Ok(Some(answer)) => return Ok(answer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Ok(None) | Err(_) => {}
            }
        }
        let mut connection = self.connect()?;
        let answer = exchange(&mut connection, request)?;
        *slot = Some(connection);
        answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&self.address, LONGEST)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LONGEST))?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let connection = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        Ok(BufReader::new(StreamOwned::new(connection, stream)))
    }
}

fn exchange(connection: &mut Connection, request: &Message) -> io::Result<Option<Message>> {
    request.write(connection.get_mut())?;
    Message::read(connection)
}

//! TLS, and a proxy that needs a private certificate authority.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::{Server, exported, send};
use crate::support::Desk;

/// A certificate authority of the tests.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a certificate for a name, and its key.
    pub fn issue(&self, desk: &Desk, file: &str, name: &str, usage: ExtendedKeyUsagePurpose) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // Named otherwise than the authority, as which OpenSSL would take it.
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages = vec![usage];
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        desk.file(&format!("{file}.pem"), certificate.pem());
        desk.file(&format!("snakeoil-{file}-key.pem"), key.serialize_pem());
    }

    fn write(&self, path: &Path) {
        fs::write(path, self.0.pem()).unwrap();
    }

    /// Writes the authority's own certificate and key, for a proxy that issues certificates itself.
    pub fn write_with_key(&self, desk: &Desk) {
        self.write(&desk.path("ca.pem"));
        desk.file("snakeoil-ca-key.pem", self.0.key().serialize_pem());
    }
}

pub const TLS: [&str; 6] = ["--trust", "tofu", "--tls-cert", "server.pem", "--tls-key", "snakeoil-server-key.pem"];

fn https(server: &Server) -> String {
    format!("https://localhost:{}", server.address.port())
}

#[test]
fn a_server_with_a_private_authority_is_sent_to_if_it_is_trusted() {
    let desk = Desk::new();
    let authority = Authority::new();
    authority.write(&desk.path("ca.pem"));
    authority.issue(&desk, "server", "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let server = Server::start(&desk, TLS);
    exported(&desk);
    let quiet = send(&desk, &https(&server), "--deadline 1s").ok();
    quiet.says("not delivered yet").says("invalid peer certificate");
    send(&desk, &https(&server), "--ca-file ca.pem").ok().says("2 records acknowledged");
    send(&desk, &https(&server), "--ca-file bundle.tar").code(1).says("bundle.tar does not hold certificates in PEM");
    send(&desk, &https(&server), "--ca-file none.pem").code(1).says("none.pem");
}

#[test]
fn a_certificate_that_changes_is_read_again() {
    let desk = Desk::new();
    let (first, second) = (Authority::new(), Authority::new());
    second.write(&desk.path("ca.pem"));
    first.issue(&desk, "server", "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let server = Server::start(&desk, TLS);
    exported(&desk);
    send(&desk, &https(&server), "--ca-file ca.pem --deadline 1s").ok().says("not delivered yet");
    // Half of a renewal leaves the old certificate in place.
    fs::write(desk.path("server.pem"), "half").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(6));
    send(&desk, &https(&server), "--ca-file ca.pem --deadline 1s").ok().says("invalid peer certificate");
    server.says("the new certificate is not used");
    second.issue(&desk, "server", "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    std::thread::sleep(std::time::Duration::from_secs(6));
    send(&desk, &https(&server), "--ca-file ca.pem").ok().says("2 records acknowledged");
}

#[test]
fn what_is_no_tls_does_no_harm_to_a_server_with_tls() {
    let desk = Desk::new();
    let authority = Authority::new();
    authority.write(&desk.path("ca.pem"));
    authority.issue(&desk, "server", "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let server = Server::start(&desk, TLS);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\xff\xff", b""] {
        use std::io::Write as _;
        let mut stream = server.connect();
        stream.write_all(garbage).unwrap();
        super::drain(&mut stream);
    }
    exported(&desk);
    send(&desk, &https(&server), "--ca-file ca.pem").ok().says("2 records acknowledged");
}

#[test]
fn a_client_certificate_is_shown_to_whoever_asks_for_it() {
    let desk = Desk::new();
    let authority = Authority::new();
    authority.write(&desk.path("ca.pem"));
    authority.issue(&desk, "server", "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    authority.issue(&desk, "client", "client", ExtendedKeyUsagePurpose::ClientAuth);
    let server = Server::open(&desk);
    // What asks is a proxy in front, as in many data centres: openssl here.
    let front = Front::start(&desk, &server);
    exported(&desk);
    let url = format!("https://localhost:{}", front.port);
    send(&desk, &url, "--ca-file ca.pem --deadline 1s").ok().says("not delivered yet");
    let with = "--ca-file ca.pem --client-cert client.pem --client-key snakeoil-client-key.pem";
    send(&desk, &url, with).ok().says("2 records acknowledged");
    let wrong = "--ca-file ca.pem --client-cert client.pem --client-key snakeoil-server-key.pem";
    send(&desk, &url, wrong).code(1).says("a certificate that goes with its private key");
    send(&desk, &url, "--client-cert client.pem").code(2).says("--client-key");
}

/// A TLS front that asks for client certificates and passes bytes on to a server.
struct Front {
    port: u16,
}

impl Front {
    fn start(desk: &Desk, server: &Server) -> Self {
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let pem = |name: &str| fs::read(desk.path(name)).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem("ca.pem")).unwrap()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .build()
            .unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(&pem("server.pem")).unwrap()],
                PrivateKeyDer::from_pem_slice(&pem("snakeoil-server-key.pem")).unwrap(),
            )
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (config, to) = (std::sync::Arc::new(config), server.address);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, stream) = (config.clone(), stream.unwrap());
                std::thread::spawn(move || pass_on(config, stream, to));
            }
        });
        Self { port }
    }
}

/// Passes one request and its answer on.
fn pass_on(
    config: std::sync::Arc<rustls::ServerConfig>,
    mut stream: std::net::TcpStream,
    to: std::net::SocketAddr,
) -> Option<()> {
    use std::io::{Read as _, Write as _};
    let mut connection = rustls::ServerConnection::new(config).ok()?;
    let mut tls = rustls::Stream::new(&mut connection, &mut stream);
    let mut server = std::net::TcpStream::connect(to).ok()?;
    let mut request = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let (mut head, mut length) = (None, 0);
    while head.is_none_or(|head| request.len() < head + length) {
        let count = tls.read(&mut buffer).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&buffer[..count]);
        if head.is_none()
            && let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            head = Some(end + 4);
        }
    }
    server.write_all(&request).ok()?;
    let answer = super::Answer::read(&mut server)?;
    tls.write_all(answer.head.as_bytes()).ok()?;
    tls.write_all(&answer.body).ok()?;
    tls.flush().ok()
}

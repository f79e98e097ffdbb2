//! A proxy in front of an API server that ends TLS, so that a test sees each request and can act between two of them.

use std::io::{BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::authority::Authority;
use crate::harness::client::Client;
use crate::harness::http::Message;
use crate::harness::kubeconfig::{User, kubeconfig};
use crate::harness::servers::ApiServer;

/// What a test wants to know of: a request, and what the API server answered.
pub type Heard = Arc<dyn Fn(&Message, &Message) + Send + Sync>;

/// A proxy that ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    authority: Authority,
    done: Arc<AtomicBool>,
}

impl Proxy {
    /// Begins to pass requests on, and tells of each before its answer goes back.
    pub fn start(server: &ApiServer, heard: Heard) -> Self {
        let authority = Authority::new("proxy authority");
        let identity = authority.server();
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let (config, done) = (Arc::new(config), Arc::new(AtomicBool::new(false)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = Client::new(server.address, &server.authority.certificate(), None);
        let over = Arc::clone(&done);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (config, upstream, heard) = (Arc::clone(&config), upstream.clone(), Arc::clone(&heard));
                std::thread::spawn(move || serve(stream.unwrap(), config, &upstream, &*heard));
            }
        });
        Self { address, authority, done }
    }

    /// A kubeconfig that leads through the proxy.
    pub fn kubeconfig(&self, token: &str) -> String {
        kubeconfig(&format!("https://{}", self.address), &self.authority.certificate(), User::Token(token))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    upstream: &Client,
    heard: &(dyn Fn(&Message, &Message) + Send + Sync),
) {
    let connection = ServerConnection::new(config).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    // However a client ends its connection is right.
    while let Ok(Some(request)) = Message::read(&mut stream) {
        let answer = upstream.pass(&request).unwrap();
        heard(&request, &answer);
        if answer.write(stream.get_mut()).and_then(|()| stream.get_mut().flush()).is_err() {
            break;
        }
    }
}

//! Certificates of fake API servers, made anew for each: a CA, the server's, and one for clients.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Whom the clients' certificate is for.
pub const CLIENT: &str = "kubermatic-telemetry";

/// What a server proves itself with, and what clients need for it.
pub struct Certificates {
    pub ca_pem: String,
    pub server: Arc<ServerConfig>,
    pub client_pem: String,
    pub client_key_pem: String,
    /// By which a server knows the client again.
    pub client_der: CertificateDer<'static>,
}

pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Certificates {
    /// Certificates for a server of these names and of loopback.
    pub fn new(names: &[String]) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "kubernetes");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();

        let own = ["127.0.0.1", "localhost", "kubernetes.default.svc.cluster.local"].map(str::to_owned);
        let mut params = CertificateParams::new([&own, names].concat()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate().unwrap();
        let server = params.signed_by(&server_key, &ca).unwrap();

        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, CLIENT);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client_key = KeyPair::generate().unwrap();
        let client = params.signed_by(&client_key, &ca).unwrap();

        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let clients = clients.allow_unauthenticated().build().unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_client_cert_verifier(clients).with_single_cert(vec![server.der().clone()], key);
        Self {
            ca_pem: ca.pem(),
            server: Arc::new(config.unwrap()),
            client_pem: client.pem(),
            client_key_pem: client_key.serialize_pem(),
            client_der: client.der().clone(),
        }
    }
}

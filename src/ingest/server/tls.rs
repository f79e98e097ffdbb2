//! TLS: a certificate and its key from files, read again when they change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at, at most.
const FRESH: Duration = Duration::from_secs(5);

/// A certificate that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has nothing of the kind in it.
    #[error("{} has no {what} in PEM", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
    },
    /// The two do not go together, or TLS can't use them.
    #[error("the certificate in {} can't be used with its key", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// The certificate of a server.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    looked: Instant,
    state: [Option<(SystemTime, u64)>; 2],
    config: Arc<ServerConfig>,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Current")
    }
}

impl Tls {
    /// Reads a chain of certificates and its private key, both in PEM.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let state = [state(certificate), state(key)];
        let config = read(certificate, key)?;
        let current = Mutex::new(Current { looked: Instant::now(), state, config });
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), current })
    }

    /// What the next connection is accepted with. Files that changed but can't be used leave the old ones in place: one of
    /// the two may be written before the other.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= FRESH {
            current.looked = Instant::now();
            let state = [state(&self.certificate), state(&self.key)];
            if state != current.state {
                match read(&self.certificate, &self.key) {
                    Ok(config) => {
                        tracing::info!("the certificate was read again");
                        (current.config, current.state) = (config, state);
                    }
                    Err(error) => tracing::warn!(error = super::told(&error), "the new certificate is not used"),
                }
            }
        }
        TlsAcceptor::from(Arc::clone(&current.config))
    }
}

fn state(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let text = |path: &Path| fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source });
    let empty = |path: &Path, what| TlsError::Empty { path: path.to_owned(), what };
    let chain = CertificateDer::pem_slice_iter(&text(certificate)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| empty(certificate, "certificate"))?;
    let secret = zeroize::Zeroizing::new(text(key)?);
    let secret = PrivateKeyDer::from_pem_slice(&secret).map_err(|_| empty(key, "private key"))?;
    let unusable = |source| TlsError::Unusable { path: certificate.to_owned(), source };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, secret).map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

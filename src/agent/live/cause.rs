//! Why a request failed: in words that name no host, and as the category of a problem.

use std::error::Error;
use std::fmt;
use std::io;

use super::connect::KubeconfigError;
use crate::record::problem::Category;

/// Why an API server gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No connection, or it broke; the kind of the operating system's error if there was one.
    Unreachable(Option<io::ErrorKind>),
    /// The certificate is not trusted.
    Untrusted,
    /// The credentials are not taken, or there are none to be had.
    Unauthorized,
    /// The credentials do not allow it.
    Forbidden,
    /// It took too long.
    Timeout,
    /// HTTP status 404.
    NotFound,
    /// HTTP status 410, again and again.
    Expired,
    /// HTTP status 429, again and again.
    Throttled,
    /// Another HTTP status that says that it failed.
    Status(u16),
    /// An answer that is not what it should be.
    Undecodable,
    /// More objects than can be.
    TooLarge,
    /// The Secret is not there, or is not named.
    SecretNotFound,
    /// The Secret lacks the key.
    KubeconfigMissing,
    /// The kubeconfig can't be used.
    Kubeconfig(KubeconfigError),
    /// It can't be told which cluster it is, so that it could be counted twice.
    Unidentified,
}

impl Cause {
    /// The category of a problem.
    #[must_use]
    pub fn category(self) -> Category {
        match self {
            Self::Unreachable(_) => Category::Unreachable,
            Self::Untrusted => Category::Untrusted,
            Self::Unauthorized => Category::Unauthorized,
            Self::Forbidden => Category::Forbidden,
            Self::Timeout => Category::Timeout,
            Self::NotFound => Category::NotInstalled,
            Self::Expired => Category::Expired,
            Self::Throttled => Category::Throttled,
            Self::Status(_) | Self::Undecodable => Category::ServerError,
            Self::TooLarge => Category::TooLarge,
            Self::SecretNotFound => Category::SecretNotFound,
            Self::KubeconfigMissing => Category::KubeconfigMissing,
            Self::Kubeconfig(KubeconfigError::Refused(_)) => Category::KubeconfigRefused,
            Self::Kubeconfig(_) => Category::KubeconfigInvalid,
            Self::Unidentified => Category::UnknownCluster,
        }
    }

    /// What an HTTP status means that is no success.
    pub(super) fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            410 => Self::Expired,
            429 => Self::Throttled,
            other => Self::Status(other),
        }
    }

    /// What an error of the client means. Its text is not kept: it can name hosts and hold what a program printed.
    pub(super) fn of_error(error: &(dyn Error + 'static)) -> Self {
        let mut found = Self::Unreachable(None);
        let mut next = Some(error);
        while let Some(error) = next {
            if error.downcast_ref::<kube::client::AuthError>().is_some() {
                return Self::Unauthorized;
            }
            if let Some(cause) = error.downcast_ref::<rustls::Error>().and_then(Self::of_tls) {
                return cause;
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                if error.kind() == io::ErrorKind::TimedOut {
                    return Self::Timeout;
                }
                let said = !matches!(error.kind(), io::ErrorKind::Other | io::ErrorKind::InvalidData);
                found = if said { Self::Unreachable(Some(error.kind())) } else { found };
                // An I/O error gives only what is below its inner error as its source.
                next = error.get_ref().map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
                continue;
            }
            next = error.source();
        }
        found
    }

    fn of_tls(error: &rustls::Error) -> Option<Self> {
        use rustls::AlertDescription as A;
        match error {
            rustls::Error::InvalidCertificate(_) => Some(Self::Untrusted),
            rustls::Error::AlertReceived(
                A::AccessDenied
                | A::BadCertificate
                | A::CertificateExpired
                | A::CertificateRequired
                | A::CertificateRevoked
                | A::CertificateUnknown
                | A::UnknownCA,
            ) => Some(Self::Unauthorized),
            _ => None,
        }
    }

    /// Whether asking again may help.
    pub(super) fn passes(self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Throttled | Self::Undecodable)
            || matches!(self, Self::Status(status) if status >= 500)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(None) => formatter.write_str("no connection"),
            Self::Unreachable(Some(kind)) => write!(formatter, "no connection ({kind})"),
            Self::Untrusted => formatter.write_str("its certificate is not one that the kubeconfig trusts"),
            Self::Unauthorized => formatter.write_str("the credentials are not accepted, or could not be made"),
            Self::Forbidden => formatter.write_str("not allowed"),
            Self::Timeout => formatter.write_str("it took too long"),
            Self::NotFound => formatter.write_str("not installed"),
            Self::Expired => formatter.write_str("the list changed faster than it could be read"),
            Self::Throttled => formatter.write_str("it has no time (HTTP status 429)"),
            Self::Status(status) => write!(formatter, "it failed (HTTP status {status})"),
            Self::Undecodable => formatter.write_str("its answer is not what it should be"),
            Self::TooLarge => formatter.write_str("there are more objects than can be"),
            Self::SecretNotFound => formatter.write_str("there is no such Secret"),
            Self::KubeconfigMissing => formatter.write_str("the Secret does not have the key that it should"),
            Self::Kubeconfig(error) => write!(formatter, "the kubeconfig can't be used: {error}"),
            Self::Unidentified => formatter.write_str("it can't be told whether it is the master itself"),
        }
    }
}

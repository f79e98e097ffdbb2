//! Where an archive lies: a directory, or a place in a bucket. Credentials never are in an address; they come from the
//! environment, by the names that the clients of each provider use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use tokio::runtime::Handle;

use super::ArchiveError;
use super::failure::{self, Failure};

/// What the program calls itself.
const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
/// How often a request is tried again, and until when. Each attempt has the clients' own time, 30 seconds.
const RETRIES: usize = 8;
const RETRY_FOR: Duration = Duration::from_secs(20);
/// The first pause before a retry, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// Where an archive lies.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    Directory(PathBuf),
    Bucket { provider: Provider, bucket: String, prefix: Path },
}

/// Whose object store it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    S3,
    Google,
    Azure,
}

impl Provider {
    /// What people call it.
    fn name(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::Google => "Google Cloud Storage",
            Self::Azure => "Azure Blob Storage",
        }
    }

    fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme.to_ascii_lowercase().as_str() {
            "s3" => Some(Self::S3),
            "gs" => Some(Self::Google),
            "az" => Some(Self::Azure),
            _ => None,
        }
    }
}

impl Address {
    /// Understands an address. What can't be understood may hold credentials, and is not told.
    pub(super) fn parse(address: &str) -> Result<Self, ArchiveError> {
        let Some((scheme, place)) = address.split_once(':') else {
            return Ok(Self::Directory(PathBuf::from(address)));
        };
        let slashes = if place.starts_with("//") { "//" } else { "" };
        let wrong = || ArchiveError::Address(format!("{}:{slashes}...", scheme.escape_debug()));
        let provider = Provider::of_scheme(scheme);
        let is_file = scheme.eq_ignore_ascii_case("file");
        let Some(place) = place.strip_prefix("//") else {
            // With one slash it would be a directory of a strange name, and nobody would notice.
            let meant = provider.is_some() || is_file;
            return if meant { Err(wrong()) } else { Ok(Self::Directory(PathBuf::from(address))) };
        };
        if is_file {
            let path = url::Url::parse(address).ok().and_then(|url| url.to_file_path().ok());
            return path.map(Self::Directory).ok_or_else(wrong);
        }
        let provider = provider.ok_or_else(wrong)?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
        let is_odd = prefix.starts_with('/') || prefix.contains(['?', '#']);
        if bucket.is_empty() || !bucket.chars().all(is_plain) || is_odd {
            return Err(wrong());
        }
        let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|_| wrong())?;
        Ok(Self::Bucket { provider, bucket: bucket.to_owned(), prefix })
    }
}

/// The client of a bucket, once it has credentials.
pub(super) fn connect(
    provider: Provider,
    bucket: &str,
    prefix: Path,
    runtime: &Handle,
) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    // Another one may have been chosen by whoever uses this library.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = provider.name();
    let settings = |error: object_store::Error| ArchiveError::Settings { store, source: failure::of_settings(&error) };
    let agent = ClientConfigKey::UserAgent;
    let (objects, authorized): (Arc<dyn ObjectStore>, _) = match provider {
        Provider::S3 => {
            let builder = AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .with_config(AmazonS3ConfigKey::Client(agent), AGENT)
                .with_retry(retries());
            let unsigned = builder.get_config_value(&AmazonS3ConfigKey::SkipSignature);
            let store = builder.build().map_err(settings)?;
            let authorized = authorize(unsigned, runtime, store.credentials().get_credential());
            (Arc::new(store), authorized)
        }
        Provider::Google => {
            let builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .with_config(GoogleConfigKey::Client(agent), AGENT)
                .with_retry(retries());
            let unsigned = builder.get_config_value(&GoogleConfigKey::SkipSignature);
            let store = builder.build().map_err(settings)?;
            let authorized = authorize(unsigned, runtime, store.credentials().get_credential());
            (Arc::new(store), authorized)
        }
        Provider::Azure => {
            let builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .with_config(AzureConfigKey::Client(agent), AGENT)
                .with_retry(retries());
            let unsigned = builder.get_config_value(&AzureConfigKey::SkipSignature);
            let store = builder.build().map_err(settings)?;
            let authorized = authorize(unsigned, runtime, store.credentials().get_credential());
            (Arc::new(store), authorized)
        }
    };
    authorized.map_err(|source| ArchiveError::Credentials { store, source })?;
    Ok(if prefix.as_ref().is_empty() { objects } else { Arc::new(PrefixStore::new(objects, prefix)) })
}

/// Whether there are credentials, unless requests are not to be signed. Asked for before anything else, so that the
/// lack of them is told as what it is.
fn authorize<C>(
    unsigned: Option<String>,
    runtime: &Handle,
    credential: impl Future<Output = object_store::Result<C>>,
) -> Result<(), Failure> {
    if unsigned.is_some_and(|unsigned| unsigned == "true") {
        return Ok(());
    }
    runtime.block_on(credential).map(drop).map_err(|error| failure::of_remote(&error))
}

fn retries() -> RetryConfig {
    let (init_backoff, max_backoff) = PAUSES;
    let backoff = BackoffConfig { init_backoff, max_backoff, ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_FOR }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(provider: Provider, bucket: &str, prefix: &str) -> Address {
        Address::Bucket { provider, bucket: bucket.to_owned(), prefix: Path::from(prefix) }
    }

    #[test]
    fn directories_and_buckets_are_told_apart() {
        let parse = |address| Address::parse(address).unwrap();
        assert_eq!(parse("archive"), Address::Directory("archive".into()));
        assert_eq!(parse("/srv/a:b"), Address::Directory("/srv/a:b".into()));
        assert_eq!(parse("file:///srv/a%20b"), Address::Directory("/srv/a b".into()));
        assert_eq!(parse("s3://bundles"), bucket(Provider::S3, "bundles", ""));
        assert_eq!(parse("S3://bundles/"), bucket(Provider::S3, "bundles", ""));
        assert_eq!(parse("gs://bundles/a/b"), bucket(Provider::Google, "bundles", "a/b"));
        assert_eq!(parse("az://bundles/a/"), bucket(Provider::Azure, "bundles", "a"));
    }

    #[test]
    fn what_no_archive_can_have_is_refused_without_telling_it() {
        let wrong = [
            "s3:/bucket",
            "s3://",
            "s3:///prefix",
            "s3://USER:SECRET@bucket",
            "s3://bucket:9000/SECRET",
            "s3://bucket/a?SECRET",
            "gs://bucket#SECRET",
            "az://bucket/../SECRET",
            "az://bucket//SECRET",
            "file:SECRET",
            "file://host/SECRET",
            "https://SECRET",
        ];
        for address in wrong {
            let error = Address::parse(address).unwrap_err().to_string();
            assert!(error.contains("... is not the address of an archive"), "{address}: {error}");
            assert!(!error.contains("SECRET"), "{error}");
        }
    }
}

//! The archive that `ingest` and `serve` accept into: where it is, whom it trusts, and what it signs with.

use std::path::PathBuf;

use clap::ValueEnum;
use tokio::runtime::{Builder, Handle, Runtime};

use kubermatic_telemetry::clock::System;
use kubermatic_telemetry::ingest::archive::{Archive, ArchiveError};
use kubermatic_telemetry::ingest::{self, IngestError, Policy, operator};
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::keys::keyring::Keyring;

use super::failure::Failure;
use super::passphrase::{PassphraseArgs, read_private_key};

/// Where what is accepted goes.
#[derive(Debug, clap::Args)]
pub struct ArchiveArgs {
    /// The archive: a directory, made if need be, or a place in a bucket that exists: `s3://BUCKET/PREFIX`,
    /// `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`. Credentials come from the environment.
    #[arg(long, value_name = "URL")]
    archive: String,
    /// Directory of trusted public keys: <client-uuid>.pem for each client, and `revoked`.
    #[arg(long, value_name = "DIR")]
    pub keyring: Option<PathBuf>,
    /// Whose bundles to accept.
    #[arg(long, value_enum, default_value_t = Trust::Keyring)]
    trust: Trust,
    /// How many unknown clients may be pinned within an hour, with --trust tofu.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub pins_per_hour: usize,
    /// The private key that signs receipts, as PEM [default: receipt-key.pem in the archive, made when it is needed].
    #[arg(long, value_name = "FILE")]
    receipt_key: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Trust {
    /// Only clients in the keyring, or whose keys the operator has put into the archive (`keys trust --archive`).
    Keyring,
    /// Also unknown clients, whose first bundle pins their key.
    Tofu,
}

/// What an archive works on.
pub fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

impl ArchiveArgs {
    pub fn policy(&self) -> Policy {
        match self.trust {
            Trust::Keyring => Policy::Keyring,
            Trust::Tofu => Policy::Tofu,
        }
    }

    /// Opens the archive. Without a keyring somebody must be trusted by what the operator has put into it.
    pub fn open(&self, keyring: &Keyring, runtime: Handle) -> Result<Archive, Failure> {
        let nobody = || {
            Failure::usage("nobody is trusted, so nothing can be accepted").hint(
                "give --keyring DIR with <client-uuid>.pem files, put keys into the archive with `keys trust --archive`, \
                 or use --trust tofu",
            )
        };
        if self.policy() == Policy::Tofu || !keyring.is_empty() {
            return Ok(Archive::open(&self.archive, runtime)?);
        }
        match Archive::open_existing(&self.archive, runtime) {
            Ok(archive) if operator::has_changes(&archive)? => Ok(archive),
            Ok(_) | Err(ArchiveError::Missing(_)) => Err(nobody()),
            Err(error) => Err(error.into()),
        }
    }

    /// The private key that was given to sign receipts with, if one was.
    pub fn given_key(&self) -> Result<Option<SigningKey>, Failure> {
        let Some(path) = &self.receipt_key else { return Ok(None) };
        Ok(Some(self.passphrase.source().unlock(&read_private_key(path)?, path)?.0))
    }
}

/// The key that signs receipts: the one that was given, or the archive's own.
pub fn receipt_key(given: Option<&SigningKey>, archive: &Archive) -> Result<SigningKey, IngestError> {
    given.map_or_else(|| ingest::local_receipt_key(archive, &System), |key| Ok(key.clone()))
}

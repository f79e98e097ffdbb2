//! `ingest`: accept bundles into an archive and sign receipts for them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

use kubermatic_telemetry::clock::System;
use kubermatic_telemetry::ingest::archive::{Archive, ArchiveError};
use kubermatic_telemetry::ingest::{self, Accepted, Ingest, IngestError, Policy, operator};
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::keys::keyring::Keyring;
use kubermatic_telemetry::receipt::RecordStatus;
use kubermatic_telemetry::store::durable::{self, Access, Existing};

use super::Done;
use super::context::shown;
use super::failure::Failure;
use super::files::{LimitArgs, open_bundle};
use super::output::{Output, count};
use super::passphrase::{PassphraseArgs, read_private_key};

/// Accept bundles into an archive and sign receipts for them: Kubermatic's side.
///
/// Verifies each bundle before anything else, keeps it, and signs a receipt. The same bundle again gives the same
/// receipt. One that is refused leaves nothing behind, and the others go on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundles; `-` is stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The archive: a directory, or a file:// URL of one; made if need be.
    #[arg(long, value_name = "URL")]
    archive: String,
    /// Directory of trusted public keys: <client-uuid>.pem for each client, and `revoked`.
    #[arg(long, value_name = "DIR")]
    keyring: Option<PathBuf>,
    /// Whose bundles to accept.
    #[arg(long, value_enum, default_value_t = Trust::Keyring)]
    trust: Trust,
    /// The private key that signs receipts, as PEM [default: receipt-key.pem in the archive, made when it is needed].
    #[arg(long, value_name = "FILE")]
    receipt_key: Option<PathBuf>,
    /// Also write the receipts, and the public key that they are signed with, into this directory.
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    /// How many unknown clients may be pinned within an hour, with --trust tofu.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pins_per_hour: usize,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Trust {
    /// Only clients in the keyring, or whose keys the operator has put into the archive (`keys trust --archive`).
    Keyring,
    /// Also unknown clients, whose first bundle pins their key.
    Tofu,
}

pub fn run(args: &Args, output: &Output) -> Done {
    let limits = args.limits.limits();
    let keyring = args.keyring.as_deref().map(Keyring::load).transpose()?.unwrap_or_default();
    let policy = match args.trust {
        Trust::Keyring => Policy::Keyring,
        Trust::Tofu => Policy::Tofu,
    };
    let archive = open_archive(args, policy == Policy::Keyring && keyring.is_empty())?;
    let given = match &args.receipt_key {
        Some(path) => Some(args.passphrase.source().unlock(&read_private_key(path)?, path)?.0),
        None => None,
    };
    let key = || given.clone().map_or_else(|| ingest::local_receipt_key(&archive, &System), Ok);
    let ingest =
        Ingest { archive: &archive, keyring: &keyring, policy, pins_per_hour: args.pins_per_hour, limits: &limits };
    let (mut failed, mut rows) = (false, Vec::new());
    for file in &args.files {
        match accept_one(file, &ingest, &key, args.receipts.as_deref(), output) {
            Ok(row) => rows.push(row),
            Err(failure) => {
                failed = true;
                output.failure(&failure);
                rows.push(json!({ "file": shown(file), "error": failure.message() }));
            }
        }
    }
    if output.is_json() {
        output.document(&rows)?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Opens the archive. Without a keyring somebody must be trusted by what the operator has put into it.
fn open_archive(args: &Args, keyring_is_empty: bool) -> Result<Archive, Failure> {
    let nobody = || {
        Failure::usage("nobody is trusted, so nothing can be accepted").hint(
            "give --keyring DIR with <client-uuid>.pem files, put keys into the archive with `keys trust --archive`, or \
             use --trust tofu",
        )
    };
    if !keyring_is_empty {
        return Ok(Archive::open(&args.archive)?);
    }
    match Archive::open_existing(&args.archive) {
        Ok(archive) if operator::has_changes(&archive)? => Ok(archive),
        Ok(_) | Err(ArchiveError::Missing(_)) => Err(nobody()),
        Err(error) => Err(error.into()),
    }
}

fn accept_one(
    file: &Path,
    ingest: &Ingest<'_>,
    key: &dyn Fn() -> Result<SigningKey, IngestError>,
    receipts: Option<&Path>,
    output: &Output,
) -> Result<Value, Failure> {
    let bundle = open_bundle(file, ingest.limits)?;
    let mut progress = output.progress("ingesting");
    let mut heard = |done, total| progress.update(done, total);
    let accepted = ingest::accept(ingest, bundle, key, &System, &mut heard);
    drop(progress);
    let accepted = accepted.map_err(|error| Failure::from(error).context(shown(file)))?;
    let receipt = receipts.map(|directory| write_receipt(&accepted, directory)).transpose()?;
    tell(file, &accepted, receipt.as_deref(), output);
    Ok(json!({
        "file": shown(file),
        "client": accepted.manifest.client,
        "sequence": accepted.manifest.sequence,
        "manifestSha256": accepted.document.manifest_sha256,
        "again": accepted.again,
        "pinned": accepted.pinned.is_some(),
        "replaces": accepted.manifest.replaces,
        "chain": accepted.document.chain,
        "accepted": with_status(&accepted, RecordStatus::Accepted),
        "duplicate": with_status(&accepted, RecordStatus::Duplicate),
        "rejected": with_status(&accepted, RecordStatus::Rejected),
        "receipt": receipt,
    }))
}

/// Writes the receipt for the client to carry back, and the public key that it can be checked with.
fn write_receipt(accepted: &Accepted, directory: &Path) -> Result<PathBuf, Failure> {
    durable::create_directory(directory)?;
    let document = &accepted.document;
    let public = directory.join("receipt-key.pub.pem");
    durable::write(&public, document.public_key.to_pem().as_bytes(), Access::Public, Existing::Replace)?;
    // The digest keeps apart what two stores with one name sent under one number.
    let digest = document.manifest_sha256.to_string();
    let name = format!("{}-{}-{}-{}.receipt.tar", document.client, document.store, document.sequence, &digest[..12]);
    let path = directory.join(name);
    durable::write(&path, &accepted.receipt, Access::Public, Existing::Replace)?;
    Ok(path)
}

fn with_status(accepted: &Accepted, status: RecordStatus) -> usize {
    accepted.document.records.iter().filter(|record| record.status == status).count()
}

fn tell(file: &Path, accepted: &Accepted, receipt: Option<&Path>, output: &Output) {
    let word = if accepted.again { "accepted before" } else { "accepted" };
    output.note(&format!(
        "{}: {word}: client {}, sequence {}, {}: {} accepted, {} duplicate, {} rejected",
        shown(file),
        accepted.manifest.client,
        accepted.manifest.sequence,
        count(accepted.manifest.records.len(), "record"),
        with_status(accepted, RecordStatus::Accepted),
        with_status(accepted, RecordStatus::Duplicate),
        with_status(accepted, RecordStatus::Rejected)
    ));
    if let Some(key) = &accepted.pinned {
        output.warning(&format!("client {} is new; pinned its key {key}", accepted.manifest.client), None);
    }
    if let Some(replaces) = accepted.manifest.replaces {
        output.note(&format!("client {} says that it continues client {replaces}", accepted.manifest.client));
    }
    if accepted.document.chain.as_str() != "ok" {
        output.warning(&format!("the store's chain shows a {}", accepted.document.chain.as_str()), None);
    }
    if let Some(receipt) = receipt {
        output.note(&format!("receipt: {}", receipt.display()));
    }
}

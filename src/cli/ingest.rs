//! `ingest`: accept bundles into an archive and sign receipts for them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use kubermatic_telemetry::clock::System;
use kubermatic_telemetry::ingest::archive::Archive;
use kubermatic_telemetry::ingest::{self, Accepted, Ingest, IngestError, OpenGate, Policy};
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::keys::keyring::Keyring;
use kubermatic_telemetry::receipt::RecordStatus;
use kubermatic_telemetry::store::durable::{self, Access, Existing};

use super::Done;
use super::context::shown;
use super::failure::Failure;
use super::files::{LimitArgs, open_bundle};
use super::output::{Output, count};

/// Accept bundles into an archive and sign receipts for them: Kubermatic's side.
///
/// Verifies each bundle before anything else, keeps it, and signs a receipt. The same bundle again gives the same
/// receipt. One that is refused leaves nothing behind, and the others go on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundles; `-` is stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    archive: ArchiveArgs,
    /// Also write the receipts, and the public key that they are signed with, into this directory.
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
}

const ARCHIVE_HELP: &str = "\
The archive: a directory, made if need be, or a place in a bucket that exists: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, \
az://CONTAINER/PREFIX. Credentials come from the environment (docs/ingest.md).";

/// Where what is accepted goes, whom the archive trusts, and what it signs with; the same for `serve`.
#[derive(Debug, clap::Args)]
pub struct ArchiveArgs {
    /// The archive: a directory, made if need be, or a bucket and a prefix in it.
    #[arg(long, value_name = "URL", long_help = ARCHIVE_HELP)]
    pub archive: String,
    /// Directory of trusted public keys: <client-uuid>.pem for each client, and `revoked`.
    #[arg(long, value_name = "DIR")]
    pub keyring: Option<PathBuf>,
    /// Whose bundles to accept.
    #[arg(long, value_enum, default_value_t = Trust::Keyring)]
    trust: Trust,
    /// The private key that signs receipts, as PEM [default: receipt-key.pem in the archive, made when it is needed].
    #[arg(long, value_name = "FILE")]
    pub receipt_key: Option<PathBuf>,
}

impl ArchiveArgs {
    pub fn policy(&self) -> Policy {
        match self.trust {
            Trust::Keyring => Policy::Keyring,
            Trust::Tofu => Policy::Tofu,
        }
    }

    /// Refuses to begin where nobody could ever be accepted.
    pub fn check(&self, keyring: &Keyring) -> Result<(), Failure> {
        if self.policy() == Policy::Keyring && keyring.is_empty() {
            return Err(Failure::usage("nobody is trusted, so nothing can be accepted")
                .hint("give --keyring DIR with <client-uuid>.pem files, or --trust tofu"));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Trust {
    /// Only clients in the keyring.
    Keyring,
    /// Also unknown clients, whose first bundle pins their key.
    Tofu,
}

pub fn run(args: &Args, output: &Output) -> Done {
    let limits = args.limits.limits();
    let keyring = args.archive.keyring.as_deref().map(Keyring::load).transpose()?.unwrap_or_default();
    args.archive.check(&keyring)?;
    let policy = args.archive.policy();
    let given = args.archive.receipt_key.as_deref().map(read_key).transpose()?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let archive = Archive::open(&args.archive.archive, runtime.handle().clone())?;
    let key = || given.clone().map_or_else(|| ingest::local_receipt_key(&archive, &System), Ok);
    let ingest = Ingest { archive: &archive, keyring: &keyring, policy, limits: &limits, gate: &OpenGate };
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
    ingest::close(&archive, &System)?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    let named = |failure: Failure| failure.context(format!("can't read the receipt key {}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(error.into()))?;
    SigningKey::from_pem(&zeroize::Zeroizing::new(text)).map_err(|error| named(error.into()))
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
        "pinned": accepted.pinned,
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
    if accepted.pinned {
        output.warning(
            &format!("client {} is new; pinned its key {}", accepted.manifest.client, accepted.manifest.key),
            None,
        );
    }
    if accepted.document.chain.as_str() != "ok" {
        output.warning(&format!("the store's chain shows a {}", accepted.document.chain.as_str()), None);
    }
    if let Some(receipt) = receipt {
        output.note(&format!("receipt: {}", receipt.display()));
    }
}

//! `ingest`: accept bundles into an archive and sign receipts for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use kubermatic_telemetry::clock::System;
use kubermatic_telemetry::ingest::{self, Accepted, Ingest, IngestError, OpenGate};
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::keys::keyring::Keyring;
use kubermatic_telemetry::receipt::RecordStatus;
use kubermatic_telemetry::store::durable::{self, Access, Existing};
use kubermatic_telemetry::tables::Kinds;

use super::Done;
use super::archive::{ArchiveArgs, receipt_key, runtime};
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

pub fn run(args: &Args, output: &Output) -> Done {
    let limits = args.limits.limits();
    let keyring = args.archive.keyring.as_deref().map(Keyring::load).transpose()?.unwrap_or_default();
    let given = args.archive.given_key()?;
    let runtime = runtime()?;
    let archive = args.archive.open(&keyring, runtime.handle().clone())?;
    let key = || receipt_key(given.as_ref(), &archive);
    let ingest = Ingest {
        archive: &archive,
        keyring: &keyring,
        policy: args.archive.policy(),
        pins_per_hour: args.archive.pins_per_hour,
        kinds: Kinds::KNOWN,
        limits: &limits,
        gate: &OpenGate,
    };
    let (mut failed, mut rows) = (false, Vec::new());
    for file in &args.files {
        match accept_one(file, &ingest, &key, args.receipts.as_deref(), output) {
            Ok(row) => rows.push(row),
            Err(failure) => {
                failed = true;
                output.failure(&failure);
                rows.push(json!({ "file": shown(file), "error": failure.message(), "code": failure.code() }));
            }
        }
    }
    if output.is_json() {
        output.document(&rows)?;
    }
    ingest::close(&archive, &System)?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
    let path = directory.join(document.file_name());
    durable::write(&path, &accepted.receipt, Access::Public, Existing::Replace)?;
    Ok(path)
}

fn with_status(accepted: &Accepted, status: RecordStatus) -> usize {
    accepted.document.records.iter().filter(|record| record.status == status).count()
}

/// How many records were rejected, by the reason.
fn rejections(accepted: &Accepted) -> BTreeMap<&str, usize> {
    let mut rejections = BTreeMap::new();
    for reason in accepted.document.records.iter().filter_map(|record| record.reason.as_deref()) {
        *rejections.entry(reason).or_default() += 1;
    }
    rejections
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
    for (reason, records) in rejections(accepted) {
        let hint =
            "they stay in the bundle; the client's store sets them aside, and `export --rejected` sends them again";
        output.warning(&format!("{} rejected: {reason}", count(records, "record")), Some(hint));
    }
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

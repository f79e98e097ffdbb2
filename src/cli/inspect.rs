//! `inspect`: show what is in a bundle or receipt.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use kubermatic_telemetry::bundle::lists::Withheld;
use kubermatic_telemetry::bundle::verify::{self, EachError, Verified};
use kubermatic_telemetry::bundle::{Code, Limits, Manifest, VerifyError, manifest};
use kubermatic_telemetry::digest::Sha256Digest;
use kubermatic_telemetry::keys::KeyId;
use kubermatic_telemetry::keys::keyring::Trust;
use kubermatic_telemetry::receipt::{self, Receipt};
use kubermatic_telemetry::record;
use kubermatic_telemetry::store::durable::{self, Access, Existing, FileError};
use kubermatic_telemetry::text::shortened;

use super::Done;
use super::context::{Context, shown};
use super::failure::Failure;
use super::files::{LimitArgs, TrustArgs, open_bundle};
use super::output::{Output, bytes, count, escaped};
use super::verify::refusal;

/// Show what is in a bundle or receipt.
///
/// Verifies the file first and says what came of it: trusted, or intact but of an unknown signer. Of a damaged file it
/// shows the error and nothing else.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle or receipt; `-` is stdin.
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// PEM file of the keys that sign receipts [default: receipt-keys.pem in the state directory].
    #[arg(long, value_name = "FILE")]
    receipt_key: Option<PathBuf>,
    /// Write the full records into this directory, one file each.
    #[arg(long, value_name = "DIR")]
    extract: Option<PathBuf>,
    #[cfg(feature = "pages")]
    #[command(flatten)]
    page: super::page::PageArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// The members that the format of receipts defines; others are shown as unknown.
const RECEIPT_MEMBERS: &[&str] = &[
    "bundle",
    "chain",
    "client",
    "format",
    "highestSequence",
    "key",
    "manifestSha256",
    "publicKey",
    "receipt",
    "received",
    "records",
    "sequence",
    "store",
];
/// How many counts of a record are shown.
const MOST_COUNTS: usize = 32;

/// How many unknown members and withheld things are shown, and how much of each; `--json` has all of it.
const MOST_SHOWN: usize = 100;
const MOST_OF_EACH: usize = 1000;

/// A bundle for machines: first whether it is trusted, last what could be long.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleDocument<'a> {
    trust: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    key: &'a KeyId,
    own_key: bool,
    manifest_sha256: Sha256Digest,
    unchecked: Vec<&'a str>,
    manifest: &'a RawValue,
}

/// A receipt for machines.
#[derive(Serialize)]
struct ReceiptDocument<'a> {
    trust: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    key: &'a KeyId,
    receipt: &'a RawValue,
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    let result = inspect(args, context, output);
    if let Err(failure) = &result
        && let Some(error) = failure.refusal()
        && output.is_json()
    {
        // Of a file that is refused, this and nothing else.
        let mut refused = refusal(failure, error.code());
        refused["trust"] = if is_damage(error) { "damaged" } else { "refused" }.into();
        output.document(&refused)?;
    }
    result
}

/// Whether the file is at fault, and not who signed it.
fn is_damage(error: &VerifyError) -> bool {
    !matches!(error.code(), Code::KeyRevoked | Code::KeyConflict | Code::TrustUnavailable)
}

fn inspect(args: &Args, context: &Context, output: &Output) -> Done {
    let limits = args.limits.limits();
    #[cfg(feature = "pages")]
    let page = args.page.target(output)?;
    let mut file = open_bundle(&args.file, &limits)?;
    let named = |failure: Failure| failure.context(shown(&args.file));
    if is_receipt(&mut file).map_err(|error| named(VerifyError::Io(error).into()))? {
        if args.extract.is_some() {
            return Err(Failure::usage("--extract is for bundles; a receipt has no records in it"));
        }
        #[cfg(feature = "pages")]
        args.page.refuse_receipt()?;
        return inspect_receipt(args, file, &limits, context, output);
    }
    let keyring = args.trust.load()?;
    #[cfg(feature = "pages")]
    let whole = page
        .as_ref()
        .map(|_| super::page::Whole::of(&mut file))
        .transpose()
        .map_err(|error| named(VerifyError::Io(error).into()))?;
    let mut progress = output.progress("verifying");
    let result = verify::verify(file, &keyring, &limits, &mut |done, total| progress.update(done, total));
    drop(progress);
    let mut verified = result.map_err(|error| named(error.into()))?;
    let own = context.identity().ok().flatten().is_some_and(|it| *it.public_key() == verified.manifest.public_key);
    if let Some(directory) = &args.extract {
        extract(&mut verified, directory)?;
        output.note(&format!("wrote {} to {}", count(verified.manifest.records.len(), "record"), directory.display()));
    }
    #[cfg(feature = "pages")]
    if let (Some(target), Some(whole)) = (page, whole) {
        let trust = (args.trust.known(), own);
        super::page::write(&target, &mut verified, (&shown(&args.file), &whole), trust, output)?;
        if matches!(target, super::files::Target::Stdout) {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if output.is_json() {
        let (manifest, trusted) = (&verified.manifest, verified.trust == Trust::Trusted);
        output.document(&BundleDocument {
            trust: trust(trusted),
            warning: warning(trusted, &manifest.key),
            kind: "bundle",
            key: &manifest.key,
            own_key: own,
            manifest_sha256: verified.manifest_sha256,
            unchecked: unchecked(manifest),
            manifest: serde_json::from_slice(&verified.manifest_bytes)?,
        })?;
    } else {
        print_bundle(args, &verified, own, output)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn trust(trusted: bool) -> &'static str {
    if trusted { "trusted" } else { "unknownSigner" }
}

fn warning(trusted: bool, key: &KeyId) -> Option<String> {
    (!trusted).then(|| format!("intact, but of an unknown signer: {key}; anybody could have signed it"))
}

/// Whether the first entry is named like a receipt's; anything else is treated as a bundle.
fn is_receipt(file: &mut File) -> std::io::Result<bool> {
    let mut start = [0; 16];
    let count = file.by_ref().take(16).read(&mut start)?;
    file.rewind()?;
    let start = &start[..count];
    Ok(start.strip_prefix(b"./").unwrap_or(start).starts_with(b"receipt.json"))
}

fn unchecked(manifest: &Manifest) -> Vec<&str> {
    let mut kinds: Vec<_> = manifest.records.iter().map(|record| record.kind.as_str()).collect();
    kinds.dedup();
    kinds.retain(|kind| !record::is_known_kind(kind));
    kinds
}

fn print_bundle(args: &Args, verified: &Verified<File>, own: bool, output: &Output) -> Result<(), Failure> {
    let manifest = &verified.manifest;
    let name = shown(&args.file);
    if verified.trust == Trust::Trusted {
        output.line(&format!("{name}: trusted: intact, and signed by a trusted key of its client"))?;
    } else {
        let own = if own { ", which is this installation's own; --key or --keyring say whom to trust" } else { "" };
        output.line(&format!("{name}: WARNING: intact, but of an unknown signer: {}{own}", manifest.key))?;
    }
    let line = |label: &str, text: &str| output.line(&format!("{label:<10} {text}"));
    line("client", &manifest.client.to_string())?;
    line("key", manifest.key.as_str())?;
    line("store", &manifest.store.to_string())?;
    line("bundle", &manifest.bundle.to_string())?;
    let previous = manifest.previous.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
    line("sequence", &format!("{} (previous manifest: {previous})", manifest.sequence))?;
    line("created", &format!("{} by {}", manifest.created.as_str(), escaped(&manifest.producer)))?;
    if let Some(replaces) = manifest.replaces {
        line("replaces", &format!("client {replaces}, as it claims"))?;
    }
    if !manifest.rotation.is_empty() {
        line("rotation", &count(manifest.rotation.len(), "key change"))?;
    }
    if let Some(note) = &manifest.note {
        line("note", &escaped(note))?;
    }
    line("withheld", &withheld(&manifest.withheld))?;
    line("lost", &format!("{} dropped, {} discarded since the store was made", manifest.dropped, manifest.discarded))?;
    line("payload", &format!("{}, sha256 {}", bytes(manifest.payload.size), manifest.payload.sha256))?;
    line("manifest", &format!("sha256 {}", verified.manifest_sha256))?;
    print_unknown(&verified.manifest_bytes, manifest::MEMBERS, output)?;
    output.line(&format!("\n{}:", count(manifest.records.len(), "record")))?;
    for record in &manifest.records {
        let complete = if record.complete { "complete" } else { "incomplete" };
        let unchecked = if record::is_known_kind(record.kind.as_str()) { "" } else { ", not checked by this program" };
        output.line(&format!(
            "  {} {} {} {complete}{unchecked}, {}, id {}",
            record.kind,
            record.version,
            record.time,
            bytes(record.size),
            record.id
        ))?;
        let counts = record.counts.list(MOST_COUNTS);
        // Names of what is missing are no rows.
        let is_rows = |name: &str| name != "withheld" || !record::is_known_kind(record.kind.as_str());
        let counts = counts.iter().filter(|(name, _)| is_rows(name));
        let counts: Vec<_> = counts.map(|(name, number)| format!("{} {number}", escaped(name))).collect();
        output.line(&format!("    {}", counts.join(", ")))?;
    }
    Ok(())
}

fn withheld(withheld: &Withheld) -> String {
    let mut list = withheld.list(MOST_SHOWN + 1);
    let more = list.len() > MOST_SHOWN;
    list.truncate(MOST_SHOWN);
    let list: Vec<_> = list.iter().map(|entry| shortened(entry, MOST_OF_EACH)).collect();
    let end = if more { ", and more" } else { "" };
    if list.is_empty() { "nothing".to_owned() } else { list.join(", ") + end }
}

/// Shows the members that this program does not know, without holding them.
fn print_unknown(document: &[u8], known: &[&str], output: &Output) -> Result<(), Failure> {
    let mut unknown = Unknown { known, output, shown: 0, result: Ok(()) };
    serde_json::Deserializer::from_slice(document).deserialize_map(&mut unknown)?;
    unknown.result?;
    match unknown.shown.saturating_sub(MOST_SHOWN) {
        0 => Ok(()),
        more => output.line(&format!("{:<10} and {more} more", "unknown")),
    }
}

struct Unknown<'o> {
    known: &'o [&'o str],
    output: &'o Output,
    shown: usize,
    result: Result<(), Failure>,
}

impl<'de> Visitor<'de> for &mut Unknown<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some((name, value)) = members.next_entry::<Cow<'de, str>, &'de RawValue>()? {
            if self.known.contains(&&*name) {
                continue;
            }
            self.shown += 1;
            if self.shown <= MOST_SHOWN && self.result.is_ok() {
                let (name, value) = (shortened(&name, MOST_OF_EACH), shortened(value.get(), MOST_OF_EACH));
                self.result = self.output.line(&format!("{:<10} {name}: {value}", "unknown"));
            }
        }
        Ok(())
    }
}

/// Writes each record to a file of its own, named after its place, time, kind and id.
fn extract(verified: &mut Verified<File>, directory: &Path) -> Result<(), Failure> {
    durable::create_directory(directory)?;
    let written = verified.for_each_record(|record, document| {
        let time: String = record.time.as_str().chars().filter(char::is_ascii_alphanumeric).collect();
        let path = directory.join(format!("{}-{time}-{}.json", record.kind, record.id));
        durable::write(&path, document.bytes(), Access::Public, Existing::Refuse)
    });
    written.map_err(|error| match error {
        EachError::Bundle(error) => Failure::from(error),
        EachError::Visitor(error) => extract_failure(error),
    })
}

fn extract_failure(error: FileError) -> Failure {
    let exists = error.source.kind() == std::io::ErrorKind::AlreadyExists;
    let failure = Failure::from(error);
    if exists { failure.hint("records are never replaced; choose an empty directory") } else { failure }
}

fn inspect_receipt(args: &Args, mut file: File, limits: &Limits, context: &Context, output: &Output) -> Done {
    let named = |failure: Failure| failure.context(shown(&args.file));
    let trusted = context.receipt_keys(args.receipt_key.as_deref())?;
    let opened = receipt::open_file(&mut file, &trusted, limits).map_err(|error| named(error.into()))?;
    if output.is_json() {
        output.document(&ReceiptDocument {
            trust: trust(opened.trusted),
            warning: warning(opened.trusted, &opened.receipt.key),
            kind: "receipt",
            key: &opened.receipt.key,
            receipt: serde_json::from_slice(&opened.document)?,
        })?;
    } else {
        print_receipt(&shown(&args.file), &opened, output)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_receipt(name: &str, opened: &receipt::Opened, output: &Output) -> Result<(), Failure> {
    let receipt: &Receipt = &opened.receipt;
    if opened.trusted {
        output.line(&format!("{name}: trusted: an intact receipt, signed by a trusted receipt key"))?;
    } else {
        output.line(&format!("{name}: WARNING: an intact receipt, but of an unknown signer: {}", receipt.key))?;
    }
    let line = |label: &str, text: &str| output.line(&format!("{label:<10} {text}"));
    line("receipt", &receipt.receipt.to_string())?;
    line("client", &receipt.client.to_string())?;
    line("store", &receipt.store.to_string())?;
    line("bundle", &format!("{}, manifest sha256 {}", receipt.bundle, receipt.manifest_sha256))?;
    line("sequence", &format!("{} (highest seen: {})", receipt.sequence, receipt.highest_sequence))?;
    line("chain", receipt.chain.as_str())?;
    line("received", receipt.received.as_str())?;
    line("key", receipt.key.as_str())?;
    print_unknown(&opened.document, RECEIPT_MEMBERS, output)?;
    output.line(&format!("\n{}:", count(receipt.records.len(), "record")))?;
    for record in &receipt.records {
        let status = record.status.as_str();
        let reason = record.reason.as_deref().map(|reason| format!(": {}", escaped(reason))).unwrap_or_default();
        output.line(&format!("  {} {status}{reason}", record.id))?;
    }
    Ok(())
}

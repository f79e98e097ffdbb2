//! Accepting a bundle: verify, store, deduplicate, and commit with a receipt.
//!
//! The order of writes makes the receipt the commit point: whoever is interrupted before it does everything again, to
//! the same effect, and whoever comes after it gets the same receipt.

use std::io::{self, Read, Seek};
use std::path::PathBuf;

use uuid::Uuid;

use super::archive::{Archive, ArchiveError, client_prefix};
use crate::bundle::manifest::{RecordEntry, Seconds};
use crate::bundle::verify::Verified;
use crate::bundle::{Limits, Manifest, VerifyError, verify};
use crate::clock::Environment;
use crate::digest::Sha256Digest;
use crate::keys::keyring::{Keyring, Trust};
use crate::keys::{self, KeyError, KeyId, PrivateKey, SigningKey};
use crate::receipt::{Chain, FORMAT, Outcome, Receipt, RecordStatus};
use crate::store::durable::{self, Access, Existing, FileError};

/// Whose bundles are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Those of clients in the keyring.
    Keyring,
    /// Also those of unknown clients: their first bundle pins their key.
    Tofu,
}

/// A bundle that is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// It does not verify.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Nothing is known of the client.
    #[error("client {client} is not in the keyring; the bundle is intact and signed by {key}{}", claim(replaces.as_ref()))]
    UnknownSigner {
        /// The client.
        client: Uuid,
        /// The signer.
        key: KeyId,
        /// The client that it says it continues.
        replaces: Option<Uuid>,
    },
    /// Too many unknown clients at once.
    #[error("client {client} is unknown, and {most} unknown clients were accepted within this hour already")]
    TooManyPins {
        /// The client.
        client: Uuid,
        /// How many an hour are accepted.
        most: usize,
    },
    /// The archive fails.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A receipt key is needed and there is none.
    #[error("the archive is not a local directory, so a receipt key must be given")]
    NoReceiptKey,
    /// The receipt key can't be read.
    #[error("{}", path.display())]
    ReceiptKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// No random numbers, or a clock that can't be told.
    #[error("the operating system refuses")]
    System(#[source] io::Error),
}

/// What became of a bundle.
#[derive(Debug)]
pub struct Accepted {
    /// Its manifest.
    pub manifest: Manifest,
    /// The receipt's file.
    pub receipt: Vec<u8>,
    /// The receipt.
    pub document: Receipt,
    /// Whether it was accepted before, so that the receipt is an old one.
    pub again: bool,
    /// The key that was pinned just now for an unknown client.
    pub pinned: Option<KeyId>,
}

/// The accepting side: an archive, whom it trusts, and what it signs with.
#[derive(Debug)]
pub struct Ingest<'a> {
    /// Where everything goes.
    pub archive: &'a Archive,
    /// The keys that the operator trusts.
    pub keyring: &'a Keyring,
    /// Whether unknown clients are welcome.
    pub policy: Policy,
    /// How many of them an hour.
    pub pins_per_hour: usize,
    /// What a bundle may be.
    pub limits: &'a Limits,
}

impl Ingest<'_> {
    /// Enters a record, and tells whether the archive has it from before.
    fn enter(
        &self,
        manifest: &Manifest,
        manifest_sha256: Sha256Digest,
        record: &RecordEntry,
    ) -> Result<Outcome, IngestError> {
        let name = format!("{}/records/{}", client_prefix(manifest.client), record.id);
        let entry = format!("{} {manifest_sha256}\n", record.sha256);
        let created = self.archive.create(&name, entry.clone().into_bytes())?;
        let present = if created { entry } else { self.text(&name)? };
        let (digest, brought_by) = present.trim_end().split_once(' ').unwrap_or_default();
        let (status, reason) = if digest != record.sha256.to_string() {
            (RecordStatus::Rejected, Some("idConflict".to_owned()))
        } else if brought_by != manifest_sha256.to_string() && self.is_committed(manifest, brought_by)? {
            (RecordStatus::Duplicate, None)
        } else {
            // Entered just now, or by an attempt that was interrupted before its receipt.
            (RecordStatus::Accepted, None)
        };
        Ok(Outcome { id: record.id, sha256: record.sha256, status, reason })
    }

    /// Whether a bundle of the client was accepted, which its receipt says.
    fn is_committed(&self, manifest: &Manifest, manifest_sha256: &str) -> Result<bool, ArchiveError> {
        self.archive.has(&receipt_name(manifest.client, manifest_sha256))
    }

    fn text(&self, name: &str) -> Result<String, IngestError> {
        let bytes = self.archive.get(name)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Enters the bundle into its store's chain, and tells what the chain looks like from there.
    fn link(&self, manifest: &Manifest, manifest_sha256: Sha256Digest) -> Result<(Chain, u64), IngestError> {
        let prefix = format!("{}/stores/{}", client_prefix(manifest.client), manifest.store);
        self.archive.create(&format!("{prefix}/{:016}-{manifest_sha256}", manifest.sequence), Vec::new())?;
        let seen: Vec<(u64, String)> = self
            .archive
            .list(&prefix)?
            .iter()
            .filter_map(|name| name.split_once('-'))
            .filter_map(|(sequence, digest)| Some((sequence.parse().ok()?, digest.to_owned())))
            .collect();
        let highest = seen.iter().map(|(sequence, _)| *sequence).max().unwrap_or(manifest.sequence);
        let at = |sequence: u64| seen.iter().filter(move |(other, _)| *other == sequence);
        let previous = manifest.previous.map(|digest| digest.0.to_string());
        let before = || at(manifest.sequence - 1);
        let follows = match &previous {
            None => manifest.sequence == 1,
            Some(previous) => before().any(|(_, digest)| digest == previous),
        };
        let forked = at(manifest.sequence).count() > 1 || !follows && before().next().is_some();
        let chain = match (forked, follows) {
            (true, _) => Chain::Fork,
            (false, true) => Chain::Ok,
            (false, false) => Chain::Gap,
        };
        Ok((chain, highest))
    }
}

fn claim(replaces: Option<&Uuid>) -> String {
    replaces.map(|client| format!("; it says that it continues client {client}")).unwrap_or_default()
}

fn receipt_name(client: Uuid, manifest_sha256: &str) -> String {
    format!("{}/receipts/{manifest_sha256}.tar", client_prefix(client))
}

/// Accepts a bundle: verifies it, keeps it, and signs a receipt for it with `receipt_key`, which is asked for only when
/// a new receipt is to be signed. The same bundle again gives the same receipt.
///
/// # Errors
/// See [`IngestError`]; without a receipt nothing was accepted.
pub fn accept<R: Read + Seek>(
    ingest: &Ingest<'_>,
    bundle: R,
    receipt_key: &dyn Fn() -> Result<SigningKey, IngestError>,
    environment: &dyn Environment,
    progress: verify::Progress<'_>,
) -> Result<Accepted, IngestError> {
    let verified = verify::verify(bundle, ingest, ingest.limits, progress)?;
    let pinned = match verified.trust {
        Trust::Trusted => None,
        _ => ingest.pin(&verified.manifest, environment)?,
    };
    let Verified { manifest_sha256, .. } = verified;
    let manifest = verified.manifest.clone();
    let prefix = client_prefix(manifest.client);
    let receipt_name = receipt_name(manifest.client, &manifest_sha256.to_string());
    if let Some(receipt) = ingest.archive.get(&receipt_name)? {
        return opened(manifest, receipt, true, pinned, ingest.limits);
    }
    ingest.keep_rotation(&manifest)?;
    let bundle_name = format!("{prefix}/bundles/{manifest_sha256}.tar");
    if !ingest.archive.has(&bundle_name)? {
        let mut bundle = verified.into_bundle().map_err(ArchiveError::Bundle)?;
        ingest.archive.store(&bundle_name, &mut bundle)?;
    }
    let records = manifest.records.iter().map(|record| ingest.enter(&manifest, manifest_sha256, record));
    let records = records.collect::<Result<Vec<_>, _>>()?;
    let (chain, highest_sequence) = ingest.link(&manifest, manifest_sha256)?;
    let key = receipt_key()?;
    let received = Seconds::try_from(environment.now_text());
    let receipt = Receipt {
        format: FORMAT.to_owned(),
        receipt: environment.uuid_v7().map_err(IngestError::System)?,
        client: manifest.client,
        store: manifest.store,
        bundle: manifest.bundle,
        manifest_sha256,
        sequence: manifest.sequence,
        received: received.map_err(|error| IngestError::System(io::Error::other(error)))?,
        key: key.public().id(),
        public_key: key.public(),
        chain,
        highest_sequence,
        records,
    };
    let mut file = Vec::new();
    receipt.write_to(&mut file, &key).map_err(IngestError::System)?;
    if ingest.archive.create(&receipt_name, file.clone())? {
        return opened(manifest, file, false, pinned, ingest.limits);
    }
    // Somebody else committed the same bundle in the meantime: theirs is the receipt.
    let theirs = ingest.archive.get(&receipt_name)?.unwrap_or(file);
    opened(manifest, theirs, true, pinned, ingest.limits)
}

fn opened(
    manifest: Manifest,
    receipt: Vec<u8>,
    again: bool,
    pinned: Option<KeyId>,
    limits: &Limits,
) -> Result<Accepted, IngestError> {
    let document = crate::receipt::open(&receipt, &[], limits)?.receipt;
    Ok(Accepted { manifest, receipt, document, again, pinned })
}

/// The receipt key of a local archive, made when it is first needed. Its public half lies beside it.
///
/// # Errors
/// The archive is not a local directory, or the key can't be read or made.
pub fn local_receipt_key(archive: &Archive, environment: &dyn Environment) -> Result<SigningKey, IngestError> {
    let directory = archive.directory().ok_or(IngestError::NoReceiptKey)?;
    let path = directory.join("receipt-key.pem");
    if !path.exists() {
        let key = SigningKey::generate(environment).map_err(IngestError::System)?;
        let pem = keys::to_pem(&key, None, environment).map_err(IngestError::System)?;
        let made = durable::write(&path, pem.as_bytes(), Access::Private, Existing::Refuse);
        // Whoever made one at the same time has won.
        if let Err(error) = made
            && error.source.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error.into());
        }
    }
    let read = PrivateKey::read(&path).map_err(|source| FileError::reading(&path, source))?;
    let key = read.and_then(|key| key.unlock(None)).map_err(|source| IngestError::ReceiptKey { path, source })?;
    let public = directory.join("receipt-key.pub.pem");
    // Somebody may have put another private key there.
    if std::fs::read_to_string(&public).ok() != Some(key.public().to_pem()) {
        durable::write(&public, key.public().to_pem().as_bytes(), Access::Public, Existing::Replace)?;
    }
    Ok(key)
}

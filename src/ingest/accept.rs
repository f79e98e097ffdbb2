//! Accepting a bundle: verify, store, deduplicate, and commit with a receipt.
//!
//! The order of writes makes the receipt the commit point: whoever is interrupted before it does everything again, to
//! the same effect, and whoever comes after it gets the same receipt.

use std::cell::Cell;
use std::io::{self, Read, Seek};
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use super::archive::{Archive, ArchiveError, Large, UNDER_WAY, client_prefix};
use super::audit::{self, Refusal, Unwritten};
use super::records::{self, Misfits, Present};
use super::{chain, owner};
use crate::bundle::container::{self, Shape};
use crate::bundle::manifest::{RecordEntry, Seconds};
use crate::bundle::verify::{Verified, check_signature};
use crate::bundle::{Limits, Manifest, VerifyError, verify};
use crate::clock::Environment;
use crate::digest::Sha256Digest;
use crate::keys::keyring::{Keyring, Trust, Trusts};
use crate::keys::rotation::Link;
use crate::keys::{self, KeyError, KeyId, PrivateKey, PublicKey, SigningKey};
use crate::receipt::{FORMAT, Outcome, Receipt};
use crate::record::document::Document;
use crate::store::durable::{self, Access, Existing, FileError};
use crate::tables::{self, Kinds, Mode, TablesError};

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
    /// The tables can't be written.
    #[error(transparent)]
    Tables(TablesError),
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
    /// More than a quota allows.
    #[error("the quota of {what} is used up")]
    Throttled {
        /// Which quota.
        what: &'static str,
        /// For how long.
        wait: Duration,
    },
    /// No random numbers, or a clock that can't be told.
    #[error("the operating system refuses")]
    System(#[source] io::Error),
}

impl From<TablesError> for IngestError {
    /// What is not the tables' own is told as it is everywhere.
    fn from(error: TablesError) -> Self {
        match error {
            TablesError::Archive(error) => Self::Archive(error),
            TablesError::File(error) => Self::File(error),
            error => Self::Tables(error),
        }
    }
}

impl IngestError {
    /// The stable code of a refusal, if it is one: a verdict on the bundle, and not something that will pass.
    #[must_use]
    pub fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Verify(VerifyError::Io(_) | VerifyError::TrustUnavailable(_) | VerifyError::Changed) => None,
            Self::Verify(error) => Some(error.code().as_str()),
            Self::UnknownSigner { .. } => Some("signerUnknown"),
            _ => None,
        }
    }
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

/// Bounds how much is accepted, where somebody has to.
pub trait Gate {
    /// Asked before a bundle is stored that was not accepted before.
    ///
    /// # Errors
    /// [`IngestError::Throttled`].
    fn admit(&self, client: Uuid) -> Result<(), IngestError>;

    /// Asked before the key of a new client is pinned.
    ///
    /// # Errors
    /// [`IngestError::Throttled`].
    fn admit_new(&self) -> Result<(), IngestError>;

    /// Told when a bundle was verified: from now on it waits for the archive more than it computes, with about so many
    /// bytes of memory held for it. May wait before it returns.
    fn verified(&self, held: usize);
}

/// A gate that lets everybody in: for a person who ingests files by hand.
#[derive(Debug, Clone, Copy)]
pub struct OpenGate;

impl Gate for OpenGate {
    fn admit(&self, _: Uuid) -> Result<(), IngestError> {
        Ok(())
    }

    fn admit_new(&self) -> Result<(), IngestError> {
        Ok(())
    }

    fn verified(&self, _: usize) {}
}

/// The accepting side: an archive, whom it trusts, and what it signs with.
pub struct Ingest<'a> {
    /// Where everything goes.
    pub archive: &'a Archive,
    /// The keys that the operator trusts.
    pub keyring: &'a Keyring,
    /// Whether unknown clients are welcome.
    pub policy: Policy,
    /// How many of them an hour, whoever writes to the archive.
    pub pins_per_hour: usize,
    /// The record kinds that are known, beyond which records are kept as they come.
    pub kinds: Kinds<'a>,
    /// What a bundle may be.
    pub limits: &'a Limits,
    /// How much is accepted.
    pub gate: &'a dyn Gate,
}

fn claim(replaces: Option<&Uuid>) -> String {
    replaces.map(|client| format!("; it says that it continues client {client}")).unwrap_or_default()
}

/// Where a receipt lies, by the digest of its manifest.
pub(super) fn receipt_name(client: Uuid, manifest_sha256: &str) -> String {
    format!("{}/receipts/{manifest_sha256}.tar", client_prefix(client))
}

/// Where a bundle lies, by the digest of its manifest.
pub(crate) fn bundle_name(client: Uuid, manifest_sha256: Sha256Digest) -> String {
    format!("{}/bundles/{manifest_sha256}.tar", client_prefix(client))
}

/// Where it stands whose receipt a manifest's is.
fn index_name(manifest_sha256: Sha256Digest) -> String {
    format!("manifests/{manifest_sha256}")
}

/// The receipt of a bundle that was accepted, by the digest of its manifest.
///
/// # Errors
/// The archive fails.
pub fn find_receipt(archive: &Archive, manifest_sha256: Sha256Digest) -> Result<Option<Vec<u8>>, ArchiveError> {
    let Some(client) = archive.get(&index_name(manifest_sha256))? else { return Ok(None) };
    let client = std::str::from_utf8(&client).ok().and_then(|client| Uuid::try_parse(client.trim()).ok());
    // An entry without its receipt is of a bundle that is being accepted, or of a client that was deleted.
    let Some(name) = client.map(|client| receipt_name(client, &manifest_sha256.to_string())) else { return Ok(None) };
    let receipt = archive.get(&name)?;
    if receipt.is_some() {
        archive.settle(&[&name])?;
    }
    Ok(receipt)
}

/// Accepts a bundle: verifies it, keeps it, and signs a receipt for it with `receipt_key`, which is asked for only when
/// a new receipt is to be signed. The same bundle again gives the same receipt.
///
/// # Errors
/// See [`IngestError`]; without a receipt nothing was accepted.
pub fn accept<R: Read + Seek>(
    ingest: &Ingest<'_>,
    mut bundle: R,
    receipt_key: &dyn Fn() -> Result<SigningKey, IngestError>,
    environment: &dyn Environment,
    progress: verify::Progress<'_>,
) -> Result<Accepted, IngestError> {
    let witness = Witness { ingest, judged: Cell::new(None) };
    let mut misfits = Misfits::default();
    let look = |entry: &RecordEntry, document: &Document| misfits.look(ingest.kinds.schemas, entry, document);
    let verified = verify::verify_each(&mut bundle, &witness, ingest.limits, look, progress);
    let verified = verified.map_err(IngestError::from);
    let accepted = verified.and_then(|verified| keep(ingest, verified, misfits, receipt_key, environment));
    let trusted = witness.judged.get() == Some(Trust::Trusted);
    let told = match accepted.as_ref().err().and_then(IngestError::refusal) {
        Some(code) => tell(ingest, &mut bundle, trusted, code, environment),
        None => Ok(()),
    };
    if let Err(error) = told.and_then(|()| audit::sum_up(ingest.archive, environment, false)) {
        // It changes nothing of what was decided.
        tracing::warn!(error = %IngestError::from(error), "the audit of refusals can't be written");
    }
    accepted
}

/// Writes down what is still only counted, before the program ends.
///
/// # Errors
/// The archive fails.
pub fn close(archive: &Archive, environment: &dyn Environment) -> Result<(), IngestError> {
    Ok(audit::sum_up(archive, environment, true)?)
}

/// Judges as ingest does, and remembers how.
struct Witness<'i> {
    ingest: &'i Ingest<'i>,
    judged: Cell<Option<Trust>>,
}

impl Trusts for Witness<'_> {
    fn judge(&self, client: Uuid, signer: &PublicKey, chain: &[Link]) -> io::Result<Trust> {
        let trust = self.ingest.judge(client, signer, chain)?;
        self.judged.set(Some(trust));
        Ok(trust)
    }
}

/// Leaves an entry of a refusal, if the bundle's signature is intact.
fn tell<R: Read + Seek>(
    ingest: &Ingest<'_>,
    bundle: &mut R,
    trusted: bool,
    code: &'static str,
    environment: &dyn Environment,
) -> Result<(), Unwritten> {
    let mut signed = || {
        let contents = container::read(bundle, Shape::Bundle, ingest.limits)?;
        let manifest = Manifest::from_bytes(&contents.document, ingest.limits)?;
        check_signature(&manifest.public_key, &contents.document, &contents.signature)?;
        Ok::<_, VerifyError>((manifest, Sha256Digest::of(&contents.document)))
    };
    let Ok((manifest, manifest_sha256)) = signed() else { return Ok(()) };
    let refusal = Refusal { manifest: &manifest, manifest_sha256, trusted, code };
    audit::refused(ingest.archive, &refusal, environment)
}

/// Keeps a bundle that was verified, and commits it with a receipt. What comes before the receipt is of no order: it
/// counts from the receipt on, and is made again, to the same effect, by whoever was interrupted.
fn keep<R: Read + Seek>(
    ingest: &Ingest<'_>,
    verified: Verified<R>,
    misfits: Misfits,
    receipt_key: &dyn Fn() -> Result<SigningKey, IngestError>,
    environment: &dyn Environment,
) -> Result<Accepted, IngestError> {
    let under_way = usize::try_from(verified.manifest.payload.size).map_or(UNDER_WAY, |size| size.min(UNDER_WAY));
    ingest.gate.verified(verified.held() + under_way);
    let pinned = match verified.trust {
        Trust::Trusted => None,
        _ => ingest.pin(&verified.manifest, environment)?,
    };
    let manifest_sha256 = verified.manifest_sha256;
    let name = receipt_name(verified.manifest.client, &manifest_sha256.to_string());
    if let Some(receipt) = ingest.archive.get(&name)? {
        return ingest.answer(verified.manifest, &name, receipt, true, pinned);
    }
    let key = receipt_key()?;
    ingest.gate.admit(verified.manifest.client)?;
    ingest.keep_rotation(&verified.manifest)?;
    let (manifest, records) = ingest.store(verified, misfits)?;
    let (chain, highest_sequence) = chain::look(ingest.archive, &manifest)?;
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
    if ingest.archive.create(&name, file.clone())? {
        return ingest.answer(manifest, &name, file, false, pinned);
    }
    // Somebody else committed the same bundle in the meantime, and theirs is the receipt; or it is this one, whose
    // making was answered too late to be heard.
    let present = ingest.archive.get(&name)?.ok_or(ArchiveError::Damaged { object: name.clone() })?;
    let again = present != file;
    ingest.answer(manifest, &name, present, again, pinned)
}

impl Ingest<'_> {
    /// Makes everything that a receipt commits, and tells what becomes of each record. The bundle comes before its records
    /// are entered, so that whoever meets one of them can see to its rows ([`owner`]).
    fn store<R: Read + Seek>(
        &self,
        mut verified: Verified<R>,
        misfits: Misfits,
    ) -> Result<(Manifest, Vec<Outcome>), IngestError> {
        let manifest_sha256 = verified.manifest_sha256;
        let name = bundle_name(verified.manifest.client, manifest_sha256);
        let fresh = self.store_bundle(&name, &mut verified)?;
        let manifest = &verified.manifest;
        let fitting = manifest.records.iter().filter(|record| !misfits.has(record));
        let mut objects = records::objects(manifest, manifest_sha256, fitting);
        let entered = objects.len();
        objects.push((index_name(manifest_sha256), format!("{}\n", manifest.client).into_bytes()));
        objects.push((chain::object(manifest, manifest_sha256), Vec::new()));
        // One of each kind names all directories.
        let last = objects.iter().skip(entered.saturating_sub(1)).map(|(name, _)| name.clone());
        let mut names: Vec<_> = last.chain([name]).collect();
        let made = self.archive.create_all(objects)?;
        let present = Present::read(self.archive, manifest, manifest_sha256, misfits, &made[..entered])?;
        let share = owner::share(self.archive, &verified, &present, fresh)?;
        for unfinished in &share.unfinished {
            names.extend(tables::complete(
                self.archive,
                self.kinds,
                verified.manifest.client,
                *unfinished,
                Mode::Make,
            )?);
        }
        names.extend(tables::write(self.archive, self.kinds, &mut verified, &share.own, Mode::Make)?);
        self.archive.settle(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let outcomes = present.outcomes(&verified.manifest, manifest_sha256);
        Ok((verified.manifest, outcomes))
    }

    /// Keeps the bundle itself; tells whether it was not there.
    fn store_bundle<R: Read + Seek>(&self, name: &str, verified: &mut Verified<R>) -> Result<bool, IngestError> {
        let mut bundle = verified.bundle().map_err(ArchiveError::Bundle)?;
        match self.archive.store_large(name, &mut bundle)? {
            Large::Small(contents) => Ok(self.archive.create(name, contents)?),
            Large::Made => Ok(true),
            Large::Present => Ok(false),
        }
    }

    /// Sees to what must be there before anybody is told of a receipt.
    fn answer(
        &self,
        manifest: Manifest,
        name: &str,
        receipt: Vec<u8>,
        again: bool,
        pinned: Option<KeyId>,
    ) -> Result<Accepted, IngestError> {
        let document = crate::receipt::open(&receipt, &[], self.limits)?.receipt;
        let entry = audit::accepted(self.archive, &manifest, &document)?;
        self.archive.settle(&[name, &entry])?;
        Ok(Accepted { manifest, receipt, document, again, pinned })
    }
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

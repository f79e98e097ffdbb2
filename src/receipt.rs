//! Receipts: the backend's signed answer, made by ingest and believed by a store only if it trusts the signer.

use std::io::{Cursor, Read, Seek, Write};

use serde::Serialize;
use uuid::Uuid;

use crate::bundle::container::{self, Shape};
use crate::bundle::limits::Limit;
use crate::bundle::manifest::Seconds;
use crate::bundle::members::{self, Value, required};
use crate::bundle::{Limits, VerifyError, pack, verify};
use crate::digest::Sha256Digest;
use crate::keys::{KeyId, PublicKey, SigningKey};
use crate::record::canonical::{self, CanonicalError, Form};
use crate::store::{Acknowledgement, LockedStore, Settled, StoreError};

/// The format that this program writes and reads.
pub const FORMAT: &str = "kubermatic-telemetry-receipt/1";

/// `receipt.json`; `docs/bundle-format.md` says what each member means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the members are documented by the format")]
pub struct Receipt {
    pub format: String,
    pub receipt: Uuid,
    pub client: Uuid,
    pub store: Uuid,
    pub bundle: Uuid,
    pub manifest_sha256: Sha256Digest,
    pub sequence: u64,
    pub received: Seconds,
    pub key: KeyId,
    pub public_key: PublicKey,
    pub chain: Chain,
    pub highest_sequence: u64,
    pub records: Vec<Outcome>,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Its id.
    pub id: Uuid,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Whether ingest has it.
    pub status: RecordStatus,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What ingest did with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordStatus {
    /// Taken.
    Accepted,
    /// It had it already.
    Duplicate,
    /// Not taken.
    Rejected,
}

impl RecordStatus {
    const ALL: [Self; 3] = [Self::Accepted, Self::Duplicate, Self::Rejected];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

impl Outcome {
    /// What the store needs to know of it.
    fn settled(&self) -> Settled {
        let accepted = matches!(self.status, RecordStatus::Accepted | RecordStatus::Duplicate);
        Settled { id: self.id, sha256: self.sha256, accepted, reason: self.reason.clone() }
    }
}

/// What ingest saw of a store's sequence numbers: evidence, never a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Chain {
    /// The bundle follows the one before it.
    Ok,
    /// The one before it was not seen.
    Gap,
    /// Two bundles claim the same place.
    Fork,
}

impl Chain {
    const ALL: [Self; 3] = [Self::Ok, Self::Gap, Self::Fork];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|chain| chain.as_str() == name)
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Gap => "gap",
            Self::Fork => "fork",
        }
    }
}

/// A receipt that is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// It is damaged, or no receipt.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Its signer is not trusted.
    #[error("the receipt is signed by {key}, which is not a trusted receipt key")]
    UnknownSigner {
        /// The signer.
        key: KeyId,
    },
    /// It is another client's.
    #[error("the receipt is for client {receipt}, and this is client {client}")]
    OtherClient {
        /// Whose it is.
        receipt: Uuid,
        /// Whose store this is.
        client: Uuid,
    },
    /// The store can't take it down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A receipt whose signature holds.
#[derive(Debug)]
pub struct Opened {
    /// The receipt.
    pub receipt: Receipt,
    /// Its exact bytes.
    pub document: Vec<u8>,
    /// Whether its signer is one of the trusted keys.
    pub trusted: bool,
}

/// What importing a receipt did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Pending records that ingest has now, and that left the store.
    pub acknowledged: usize,
    /// Pending records that ingest would not take, set aside.
    pub rejected: usize,
    /// Whether this store knows the bundle.
    pub bundle_known: bool,
}

impl Receipt {
    /// The name that it is saved under. The digest keeps apart what two stores with one name sent under one number.
    #[must_use]
    pub fn file_name(&self) -> String {
        let digest = self.manifest_sha256.to_string();
        let digest = digest.get(..12).unwrap_or(&digest);
        format!("{}-{}-{}-{digest}.receipt.tar", self.client, self.store, self.sequence)
    }

    /// Signs the receipt and writes its container.
    ///
    /// # Errors
    /// A failure to write.
    pub fn write_to(&self, out: &mut impl Write, key: &SigningKey) -> std::io::Result<()> {
        let invalid = |error: CanonicalError| std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string());
        let document = canonical::to_canonical(self, Form::Plain).map_err(invalid)?;
        let signature = pack::signature_file(key, &document);
        pack::write_receipt(out, &document, &signature, self.received.unix())
    }

    /// Reads and checks a receipt's document.
    ///
    /// # Errors
    /// What is not a sound receipt of this format within the limits.
    pub fn from_bytes(bytes: &[u8], limits: &Limits) -> Result<Self, VerifyError> {
        let receipt = Parts::default().read(bytes, limits)?;
        if receipt.public_key.id() == receipt.key { Ok(receipt) } else { Err(VerifyError::KeyId) }
    }
}

/// The members of a receipt as they are met.
#[derive(Default)]
struct Parts {
    receipt: Option<Uuid>,
    client: Option<Uuid>,
    store: Option<Uuid>,
    bundle: Option<Uuid>,
    manifest_sha256: Option<Sha256Digest>,
    sequence: Option<u64>,
    received: Option<Seconds>,
    key: Option<KeyId>,
    public_key: Option<PublicKey>,
    chain: Option<Chain>,
    highest_sequence: Option<u64>,
    records: Option<Vec<Outcome>>,
}

impl Parts {
    fn read(mut self, bytes: &[u8], limits: &Limits) -> Result<Receipt, VerifyError> {
        members::document(bytes, FORMAT, limits, |name, value| self.member(name, value, limits))?;
        Ok(Receipt {
            format: FORMAT.to_owned(),
            bundle: required("bundle", self.bundle)?,
            chain: required("chain", self.chain)?,
            client: required("client", self.client)?,
            highest_sequence: required("highestSequence", self.highest_sequence)?,
            key: required("key", self.key)?,
            manifest_sha256: required("manifestSha256", self.manifest_sha256)?,
            public_key: required("publicKey", self.public_key)?,
            receipt: required("receipt", self.receipt)?,
            received: required("received", self.received)?,
            records: required("records", self.records)?,
            sequence: required("sequence", self.sequence)?,
            store: required("store", self.store)?,
        })
    }

    fn member(&mut self, name: &str, value: Value<'_, '_>, limits: &Limits) -> Result<(), VerifyError> {
        match name {
            "bundle" => self.bundle = Some(value.uuid_v7()?),
            "chain" => self.chain = Some(value.parse("`ok`, `gap` or `fork`", Chain::named)?),
            "client" => self.client = Some(value.uuid()?),
            "highestSequence" => self.highest_sequence = Some(value.sequence()?),
            "key" => self.key = Some(value.key_id()?),
            "manifestSha256" => self.manifest_sha256 = Some(value.sha256()?),
            "publicKey" => self.public_key = Some(value.public_key()?),
            "receipt" => self.receipt = Some(value.uuid_v7()?),
            "received" => self.received = Some(value.seconds()?),
            "records" => self.records = Some(read_outcomes(value, limits)?),
            "sequence" => self.sequence = Some(value.sequence()?),
            "store" => self.store = Some(value.uuid()?),
            _ => {}
        }
        Ok(())
    }
}

fn read_outcomes(value: Value<'_, '_>, limits: &Limits) -> Result<Vec<Outcome>, VerifyError> {
    let mut outcomes = Vec::new();
    value.limited_array(Limit::Records, limits, |outcome| {
        let (mut id, mut sha256, mut status, mut reason) = (None, None, None, None);
        outcome.object(|member, value| {
            match member {
                "id" => id = Some(value.uuid_v7()?),
                "sha256" => sha256 = Some(value.sha256()?),
                "status" => {
                    status = Some(value.parse("`accepted`, `duplicate` or `rejected`", RecordStatus::named)?);
                }
                "reason" => reason = Some(value.limited_text(limits)?),
                _ => {}
            }
            Ok(())
        })?;
        outcomes.push(Outcome {
            id: outcome.required("id", id)?,
            sha256: outcome.required("sha256", sha256)?,
            status: outcome.required("status", status)?,
            reason,
        });
        Ok(())
    })?;
    Ok(outcomes)
}

/// Opens a receipt: container, document, signature; tells whether the signer is among the trusted keys.
///
/// # Errors
/// A receipt that is damaged.
pub fn open(bytes: &[u8], trusted: &[PublicKey], limits: &Limits) -> Result<Opened, VerifyError> {
    open_file(&mut Cursor::new(bytes), trusted, limits)
}

/// As [`open`], of a file of which no more is read into memory than the signed document.
///
/// # Errors
/// As [`open`].
pub fn open_file<R: Read + Seek>(file: &mut R, trusted: &[PublicKey], limits: &Limits) -> Result<Opened, VerifyError> {
    let contents = container::read(file, Shape::Receipt, limits)?;
    let receipt = Receipt::from_bytes(&contents.document, limits)?;
    verify::check_signature(&receipt.public_key, &contents.document, &contents.signature)?;
    let trusted = trusted.contains(&receipt.public_key);
    Ok(Opened { receipt, document: contents.document, trusted })
}

/// Checks a receipt for `client`: signature, signer, and whose it is.
///
/// # Errors
/// A receipt that is not to be believed.
pub fn check(bytes: &[u8], client: Uuid, trusted: &[PublicKey], limits: &Limits) -> Result<Receipt, ReceiptError> {
    check_file(&mut Cursor::new(bytes), client, trusted, limits)
}

/// As [`check`], of a file of which no more is read into memory than the signed document.
///
/// # Errors
/// As [`check`].
pub fn check_file<R: Read + Seek>(
    file: &mut R,
    client: Uuid,
    trusted: &[PublicKey],
    limits: &Limits,
) -> Result<Receipt, ReceiptError> {
    let Opened { receipt, trusted, .. } = open_file(file, trusted, limits)?;
    if !trusted {
        return Err(ReceiptError::UnknownSigner { key: receipt.key });
    }
    if receipt.client != client {
        return Err(ReceiptError::OtherClient { receipt: receipt.client, client });
    }
    Ok(receipt)
}

/// Imports a receipt that was [`check`]ed: acknowledges exactly the records whose id and digest both match.
///
/// # Errors
/// The store fails.
pub fn import(receipt: &Receipt, store: &LockedStore) -> Result<Imported, ReceiptError> {
    let known = |export: &crate::store::Export| export.manifest_sha256 == receipt.manifest_sha256;
    let bundle_known = store.exports()?.iter().any(known);
    let (acknowledged, rejected) = store.acknowledge(&Acknowledgement {
        receipt: receipt.receipt,
        store: receipt.store,
        bundle: receipt.bundle,
        manifest_sha256: receipt.manifest_sha256,
        sequence: receipt.sequence,
        received: receipt.received.as_str().to_owned(),
        chain: receipt.chain.as_str().to_owned(),
        highest_sequence: receipt.highest_sequence,
        records: receipt.records.iter().map(Outcome::settled).collect(),
    })?;
    Ok(Imported { acknowledged, rejected, bundle_known })
}

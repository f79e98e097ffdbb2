//! Receipts: the backend's signed answer, made by ingest and believed by a store only if it trusts the signer.

use std::io::{Cursor, Write};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bundle::container::{self, Shape};
use crate::bundle::limits::within;
use crate::bundle::manifest::{Seconds, parse_signed, uuid, uuid_v7};
use crate::bundle::{Limits, VerifyError, pack, verify};
use crate::digest::Sha256Digest;
use crate::keys::{KeyId, PublicKey, SigningKey};
use crate::record::canonical::{self, CanonicalError, Form, MAX_INTEGER};
use crate::store::{Acknowledgement, LockedStore, Settled, StoreError};

/// The format that this program writes and reads.
pub const FORMAT: &str = "kubermatic-telemetry-receipt/1";

/// `receipt.json`; `docs/bundle-format.md` says what each member means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the members are documented by the format")]
pub struct Receipt {
    pub format: String,
    #[serde(deserialize_with = "uuid_v7")]
    pub receipt: Uuid,
    #[serde(deserialize_with = "uuid")]
    pub client: Uuid,
    #[serde(deserialize_with = "uuid")]
    pub store: Uuid,
    #[serde(deserialize_with = "uuid_v7")]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its id.
    #[serde(deserialize_with = "uuid_v7")]
    pub id: Uuid,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Whether ingest has it.
    pub status: RecordStatus,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What ingest did with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordStatus {
    /// Taken.
    Accepted,
    /// It had it already.
    Duplicate,
    /// Not taken.
    Rejected,
}

impl Outcome {
    /// What the store needs to know of it.
    fn settled(&self) -> Settled {
        let accepted = matches!(self.status, RecordStatus::Accepted | RecordStatus::Duplicate);
        Settled { id: self.id, sha256: self.sha256, accepted, reason: self.reason.clone() }
    }
}

/// What ingest saw of a store's sequence numbers: evidence, never a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

    fn check(&self, limits: &Limits) -> Result<(), VerifyError> {
        within("the number of records", self.records.len() as u64, limits.records as u64)?;
        let reasons = self.records.iter().filter_map(|record| record.reason.as_ref());
        for reason in reasons {
            within("the length of a reason in bytes", reason.len() as u64, limits.text_bytes as u64)?;
        }
        if [self.sequence, self.highest_sequence].iter().any(|number| !(1..=MAX_INTEGER).contains(number)) {
            return Err(VerifyError::Invalid("sequence numbers must be from 1 to 2^53-1".into()));
        }
        if self.public_key.id() != self.key {
            return Err(VerifyError::KeyId);
        }
        Ok(())
    }
}

/// Opens a receipt: container, document, signature; tells whether the signer is among the trusted keys.
///
/// # Errors
/// A receipt that is damaged.
pub fn open(bytes: &[u8], trusted: &[PublicKey], limits: &Limits) -> Result<Opened, VerifyError> {
    let contents = container::read(&mut Cursor::new(bytes), Shape::Receipt, limits)?;
    let receipt: Receipt = parse_signed(&contents.document, FORMAT, limits)?;
    receipt.check(limits)?;
    verify::check_signature(&receipt.public_key, &contents.document, &contents.signature)?;
    let trusted = trusted.contains(&receipt.public_key);
    Ok(Opened { receipt, document: contents.document, trusted })
}

/// Checks a receipt for `client`: signature, signer, and whose it is.
///
/// # Errors
/// A receipt that is not to be believed.
pub fn check(bytes: &[u8], client: Uuid, trusted: &[PublicKey], limits: &Limits) -> Result<Receipt, ReceiptError> {
    let Opened { receipt, trusted, .. } = open(bytes, trusted, limits)?;
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

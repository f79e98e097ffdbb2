//! Why a bundle or receipt is refused, each reason with a stable code for machines and a hint for people.

use std::io;

use uuid::Uuid;

use super::delta::DeltaError;
use super::limits::LimitExceeded;
use crate::keys::KeyId;
use crate::keys::rotation::RotationError;
use crate::record::canonical::CanonicalError;
use crate::record::envelope::EnvelopeError;

/// Why a bundle or receipt is refused. Text that came from it is escaped before it gets here.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The file can't be read.
    #[error("it can't be read")]
    Io(#[source] io::Error),
    /// Something else altogether.
    #[error("it is not a bundle or receipt: {0}")]
    NotABundle(&'static str),
    /// A bundle that was compressed or encoded on its way.
    #[error("it was packed once more on its way: this is {0}")]
    Wrapped(&'static str),
    /// It ends too early.
    #[error("it is cut off in {0}")]
    Truncated(String),
    /// A tar header that is damaged or not of this format.
    #[error("the tar header of {entry} is not as it must be: {what}")]
    Header {
        /// Which entry.
        entry: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Something that is no regular file.
    #[error("the entry {entry} is {what}, where only regular files may be")]
    EntryType {
        /// Which entry.
        entry: String,
        /// What it is.
        what: &'static str,
    },
    /// An entry that does not belong there.
    #[error("it has an entry that does not belong there: {0}")]
    UnexpectedEntry(String),
    /// An entry that is there twice.
    #[error("the entry {0} is there twice")]
    DuplicateEntry(String),
    /// An entry that is not there.
    #[error("the entry {0} is missing")]
    MissingEntry(String),
    /// A bundle that was unpacked and packed again differently.
    #[error("it was unpacked and packed again: {0}")]
    Repacked(&'static str),
    /// Something follows the end.
    #[error("something follows its end")]
    TrailingBytes,
    /// A limit is exceeded.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// Another format, or another version of it.
    #[error("its format is \"{0}\", which this program does not know")]
    UnknownFormat(String),
    /// The signature file is not one.
    #[error("its signature file is not 64 bytes in base64 and a line feed")]
    Base64,
    /// The signature does not verify.
    #[error("its signature does not match: it was altered, or not signed by the key that it names")]
    Signature,
    /// The signed document is not canonical JSON.
    #[error("its signed document is not canonical JSON")]
    NotCanonical(#[source] CanonicalError),
    /// The signed document lacks a member or has a wrong one.
    #[error("its signed document is invalid: {0}")]
    Invalid(String),
    /// The public key does not hash to the key id.
    #[error("its `publicKey` does not belong to its `key`")]
    KeyId,
    /// The rotation chain does not hold.
    #[error("its rotation chain does not hold")]
    Rotation(#[from] RotationError),
    /// It can't be found out now whether the signer is trusted.
    #[error("it can't be found out whether its signer is trusted")]
    TrustUnavailable(#[source] io::Error),
    /// The signer is revoked.
    #[error("it was signed by a revoked key, or through one: {0}")]
    Revoked(KeyId),
    /// The client is known with other keys.
    #[error("client {client} is known with other keys than {key}, which signed it")]
    Conflict {
        /// The client.
        client: Uuid,
        /// The signer.
        key: KeyId,
    },
    /// The payload's size is not the manifest's.
    #[error("its payload has {actual} bytes, the manifest says {expected}")]
    PayloadSize {
        /// What the manifest says.
        expected: u64,
        /// What is there.
        actual: u64,
    },
    /// The payload's digest is not the manifest's.
    #[error("its payload is not the one that the manifest was signed for (SHA-256)")]
    PayloadDigest,
    /// The file changed while it was read.
    #[error("it changed while it was read")]
    Changed,
    /// The gzip stream is damaged.
    #[error("its payload is not a sound gzip stream: {0}")]
    Gzip(String),
    /// The gzip header has what it must not have.
    #[error("its payload's gzip header has a name, a time or other extras")]
    GzipHeader,
    /// Something follows the gzip member.
    #[error("{0} follows the payload's gzip stream")]
    GzipTrailing(&'static str),
    /// The records are not in the manifest's order.
    #[error("record {expected} is expected, {found} is there")]
    RecordOrder {
        /// The name that the manifest asks for.
        expected: String,
        /// The name that is there.
        found: String,
    },
    /// A record is missing.
    #[error("record {0} is missing")]
    RecordMissing(String),
    /// More records than the manifest lists.
    #[error("there are more records than the manifest lists")]
    RecordExtra,
    /// A delta at the beginning of a kind and version.
    #[error("record {0} is a delta without a base")]
    DeltaWithoutBase(String),
    /// A delta that does not apply.
    #[error("record {record} can't be made from the one before it")]
    Delta {
        /// Which record.
        record: String,
        /// Why not.
        source: DeltaError,
    },
    /// A record that is not canonical.
    #[error("record {record} is not canonical JSON")]
    RecordNotCanonical {
        /// Which record.
        record: String,
        /// Where and why.
        source: CanonicalError,
    },
    /// A record without its envelope.
    #[error("record {record} has no sound envelope")]
    RecordEnvelope {
        /// Which record.
        record: String,
        /// What is wrong.
        source: EnvelopeError,
    },
    /// A record whose kind, version, time or completeness is not what the manifest says.
    #[error("record {record} has another {field} than the manifest says")]
    RecordMismatch {
        /// Which record.
        record: String,
        /// Which member.
        field: &'static str,
    },
    /// A record of another size than the manifest says.
    #[error("record {0} has another size than the manifest says")]
    RecordSize(String),
    /// A record with another digest than the manifest says.
    #[error("record {0} has another digest than the manifest says")]
    RecordDigest(String),
}

impl VerifyError {
    /// The stable code of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "unreadable",
            Self::NotABundle(_) => "notABundle",
            Self::Wrapped(_) => "wrapped",
            Self::Truncated(_) => "truncated",
            Self::Header { .. } => "entryHeader",
            Self::EntryType { .. } => "entryType",
            Self::UnexpectedEntry(_) => "entryUnexpected",
            Self::DuplicateEntry(_) => "entryDuplicate",
            Self::MissingEntry(_) => "entryMissing",
            Self::Repacked(_) => "repacked",
            Self::TrailingBytes => "trailingBytes",
            Self::Limit(_) => "limitExceeded",
            Self::UnknownFormat(_) => "formatUnknown",
            Self::Base64 => "signatureEncoding",
            Self::Signature => "signatureMismatch",
            Self::NotCanonical(_) => "manifestNotCanonical",
            Self::Invalid(_) => "manifestInvalid",
            Self::KeyId => "keyIdMismatch",
            Self::Rotation(_) => "rotationInvalid",
            Self::TrustUnavailable(_) => "trustUnavailable",
            Self::Revoked(_) => "keyRevoked",
            Self::Conflict { .. } => "keyConflict",
            Self::PayloadSize { .. } => "payloadSize",
            Self::PayloadDigest => "payloadDigest",
            Self::Changed => "changedWhileRead",
            Self::Gzip(_) => "gzipDamaged",
            Self::GzipHeader => "gzipHeader",
            Self::GzipTrailing(_) => "gzipTrailing",
            Self::RecordOrder { .. } => "recordOrder",
            Self::RecordMissing(_) => "recordMissing",
            Self::RecordExtra => "recordExtra",
            Self::DeltaWithoutBase(_) => "deltaWithoutBase",
            Self::Delta { .. } => "deltaInvalid",
            Self::RecordNotCanonical { .. } => "recordNotCanonical",
            Self::RecordEnvelope { .. } => "recordEnvelope",
            Self::RecordMismatch { .. } => "recordMismatch",
            Self::RecordSize(_) => "recordSize",
            Self::RecordDigest(_) => "recordDigest",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Truncated(_) | Self::Gzip(_) | Self::PayloadSize { .. } => {
                Some("copy the file again and compare its sha256 with the one that `export` printed")
            }
            Self::Signature | Self::PayloadDigest => {
                Some("compare the file's sha256 with the one that `export` printed; do not use this copy")
            }
            Self::Wrapped("a gzip file") => Some("unpack it with: gzip -dc FILE > bundle.tar"),
            Self::Wrapped("base64 text") => Some("decode it with: base64 -d FILE > bundle.tar"),
            Self::Wrapped(_) => Some("unpack it first; what is inside is the bundle"),
            Self::Repacked(_) => Some(
                "repair it with: mkdir b && tar -xf FILE -C b && tar --format=ustar -cf bundle.tar -C b manifest.json \
                 manifest.json.sig records.tar.gz (a receipt: receipt.json receipt.json.sig)",
            ),
            Self::Conflict { .. } => {
                Some("if the client has a new key, ask them for its key id, and trust that key as well (`keys trust`)")
            }
            Self::UnexpectedEntry(name) if name == "receipt.json" => Some(
                "this is a receipt, not a bundle: take it to where the bundle came from, and run `kubermatic-telemetry \
                 receipt FILE` there",
            ),
            Self::UnexpectedEntry(name) if name == "manifest.json" => {
                Some("this is a bundle, not a receipt: the receipt is what came back for it")
            }
            Self::Limit(_) => Some("if a bundle of this size is meant, raise the limit; `verify --help` lists them"),
            Self::UnknownFormat(_) => Some("a newer version of this program may know it"),
            _ => None,
        }
    }
}

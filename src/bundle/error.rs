//! Why a bundle or receipt is refused, each reason with a stable code for machines (`code`) and a hint for people
//! (`hint`).

use std::io;

use uuid::Uuid;

use super::altered::Alteration;
use super::container::Shape;
use super::delta::DeltaError;
use super::json::JsonError;
use super::limits::LimitExceeded;
use crate::keys::KeyId;
use crate::keys::rotation::RotationError;
use crate::record::envelope::EnvelopeError;

/// Why a bundle or receipt is refused. Text that came from it is escaped and shortened before it gets here.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The file can't be read.
    #[error("it can't be read")]
    Io(#[source] io::Error),
    /// Something else altogether.
    #[error("it is not a bundle or receipt: {0}")]
    NotABundle(&'static str),
    /// A receipt instead of a bundle, or the other way round.
    #[error("it is a {}, where a {} is expected", expected.other().word(), expected.word())]
    WrongDocument {
        /// What was expected.
        expected: Shape,
    },
    /// A web page.
    #[error("it is a web page, perhaps a login page, that was saved instead of the file")]
    WebPage,
    /// A bundle that was altered on its way in a way that can be undone.
    #[error("it was altered on its way: this is {}", .0.what())]
    Altered(Alteration),
    /// A bundle that was altered on its way in a way that can't be undone.
    #[error("it was altered on its way: bytes that are no text were replaced by U+FFFD, and are lost")]
    Garbled,
    /// A bundle that was unpacked and packed again differently.
    #[error("it was unpacked and packed again: {how}")]
    Repacked {
        /// What is different.
        how: &'static str,
        /// What it is.
        shape: Shape,
    },
    /// It ends too early.
    #[error("it is cut off in {place}: at least {missing} bytes are missing")]
    Truncated {
        /// Where it ends.
        place: String,
        /// How many bytes are missing of what is needed next.
        missing: u64,
    },
    /// A tar header that is damaged or not of this format.
    #[error("the tar header of {entry} is not as it must be: {what}")]
    Header {
        /// Which entry.
        entry: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Something hides behind an entry.
    #[error("the padding behind the entry {0} is not zero")]
    Padding(String),
    /// Something that is no regular file.
    #[error("the entry {entry} is {}, where only regular files may be", kind.what())]
    EntryType {
        /// Which entry.
        entry: String,
        /// What it is.
        kind: EntryKind,
    },
    /// A name that leads elsewhere.
    #[error("it has an entry whose name leads elsewhere: {0}")]
    EntryPath(String),
    /// An entry that does not belong there.
    #[error("it has an entry that does not belong there: {found}, where {expected} is expected")]
    UnexpectedEntry {
        /// What is expected there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// An entry that is there twice.
    #[error("the entry {0} is there twice")]
    DuplicateEntry(String),
    /// An entry that is not there.
    #[error("the entry {0} is missing")]
    MissingEntry(String),
    /// Something follows the end.
    #[error("something follows the end of {place}")]
    TrailingBytes {
        /// The end of what.
        place: &'static str,
        /// How many bytes the file should have, where it is the file that goes on.
        whole: Option<u64>,
    },
    /// A limit is exceeded.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// A limit is exceeded by a record.
    #[error("record {record}")]
    RecordLimit {
        /// Which record.
        record: String,
        /// By how much.
        source: LimitExceeded,
    },
    /// The signed document is not canonical JSON.
    #[error("its signed document is refused")]
    Json(#[source] JsonError),
    /// Another format.
    #[error("its format is \"{0}\", which is none of this program's")]
    UnknownFormat(String),
    /// Another version of the format.
    #[error("its format is \"{0}\", a version that this program does not know")]
    UnknownVersion(String),
    /// The signed document lacks a member.
    #[error("its signed document has no `{0}`")]
    MissingMember(String),
    /// A member of the signed document is not what it must be.
    #[error("in its signed document `{member}` must be {expected}")]
    InvalidMember {
        /// Its path.
        member: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The public key does not hash to the key id.
    #[error("its `publicKey` does not belong to its `key`")]
    KeyId,
    /// The signature file is not one.
    #[error("its signature file is not 64 bytes in base64 and a line feed: {0}")]
    SignatureEncoding(&'static str),
    /// The signature does not verify.
    #[error("its signature does not match: it was altered, or not signed by the key that it names")]
    Signature,
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
    /// Another member follows the gzip member.
    #[error("a second gzip member follows the payload's first")]
    GzipSecondMember,
    /// Something else follows the gzip member.
    #[error("something follows the payload's gzip stream")]
    GzipTrailing,
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
    #[error("there are more records than the {0} that the manifest lists")]
    RecordExtra(usize),
    /// A record that is not canonical.
    #[error("record {record} is refused")]
    RecordJson {
        /// Which record.
        record: String,
        /// Where and why.
        source: JsonError,
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
    #[error("record {record} has {actual} bytes, the manifest says {expected}")]
    RecordSize {
        /// Which record.
        record: String,
        /// What the manifest says.
        expected: u64,
        /// What is there.
        actual: u64,
    },
    /// A record with another digest than the manifest says.
    #[error("record {0} has another digest than the manifest says")]
    RecordDigest(String),
    /// A delta at the beginning of a kind and version.
    #[error("record {0} is a delta without a base: the entry before it is not of its kind and version")]
    DeltaWithoutBase(String),
    /// A delta that is not canonical JSON.
    #[error("the delta of record {record} is refused")]
    DeltaJson {
        /// Which record.
        record: String,
        /// Where and why.
        source: JsonError,
    },
    /// A delta that breaks a rule.
    #[error("record {record} can't be made from the one before it: {reason}")]
    DeltaInvalid {
        /// Which record.
        record: String,
        /// Why not.
        reason: &'static str,
    },
    /// A delta that makes something else of its base than the manifest says.
    #[error("the delta of record {record} makes another record than the manifest says: {what}")]
    DeltaResult {
        /// Which record.
        record: String,
        /// What is different.
        what: &'static str,
    },
}

/// What a tar entry can be instead of a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A hard link.
    HardLink,
    /// A symbolic link.
    SymbolicLink,
    /// A character or block device.
    Device,
    /// A directory.
    Directory,
    /// A FIFO.
    Fifo,
    /// A sparse file.
    Sparse,
    /// A pax extension header.
    Pax,
    /// A GNU extension header.
    Gnu,
    /// Anything else.
    Unknown,
}

impl EntryKind {
    /// What a type flag other than that of regular files stands for.
    #[must_use]
    pub fn of(flag: u8) -> Self {
        match flag {
            b'1' => Self::HardLink,
            b'2' => Self::SymbolicLink,
            b'3' | b'4' => Self::Device,
            b'5' => Self::Directory,
            b'6' => Self::Fifo,
            b'S' => Self::Sparse,
            b'x' | b'g' => Self::Pax,
            b'L' | b'K' => Self::Gnu,
            _ => Self::Unknown,
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::HardLink => "a hard link",
            Self::SymbolicLink => "a symbolic link",
            Self::Device => "a device",
            Self::Directory => "a directory",
            Self::Fifo => "a FIFO",
            Self::Sparse => "a sparse file",
            Self::Pax => "a pax extension header",
            Self::Gnu => "a GNU extension header",
            Self::Unknown => "of an unknown type",
        }
    }
}

impl VerifyError {
    /// What is wrong with the delta of `record`, and with the JSON of it if it is that.
    pub(super) fn of_delta(record: String, error: DeltaError, json: Result<(), JsonError>) -> Self {
        match (error, json) {
            (DeltaError::Json(_), Err(source)) => {
                Self::of_record(record, source, |record, source| Self::DeltaJson { record, source })
            }
            (DeltaError::Json(_), Ok(())) => Self::DeltaInvalid { record, reason: "it has not the shape of a delta" },
            (DeltaError::Invalid(reason), _) => Self::DeltaInvalid { record, reason },
            (DeltaError::TooLarge(_), _) => Self::DeltaResult { record, what: "it is larger" },
        }
    }

    /// What is wrong with the JSON of a record: a limit, or what `otherwise` makes of it.
    pub(super) fn of_record(
        record: String,
        source: JsonError,
        otherwise: impl FnOnce(String, JsonError) -> Self,
    ) -> Self {
        match source {
            JsonError::Limit(source) => Self::RecordLimit { record, source },
            other => otherwise(record, other),
        }
    }

    /// The limit that is exceeded, if it is that.
    #[must_use]
    pub fn limit(&self) -> Option<&LimitExceeded> {
        match self {
            Self::Limit(limit) | Self::RecordLimit { source: limit, .. } | Self::Json(JsonError::Limit(limit)) => {
                Some(limit)
            }
            _ => None,
        }
    }
}

impl From<JsonError> for VerifyError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Limit(limit) => Self::Limit(limit),
            other => Self::Json(other),
        }
    }
}

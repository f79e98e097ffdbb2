//! What a machine and a person make of a refusal: its stable code, and what to do about it.

use super::altered::repack;
use super::code::Code;
use super::container::Shape;
use super::error::{EntryKind, VerifyError};
use super::json::JsonError;

impl VerifyError {
    /// The stable code of the reason.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Io(_) => Code::Unreadable,
            Self::NotABundle(_) => Code::NotABundle,
            Self::WrongDocument { .. } => Code::WrongDocument,
            Self::WebPage => Code::WebPage,
            Self::Altered(alteration) => alteration.code(),
            Self::Garbled => Code::TextConverted,
            Self::Repacked { .. } => Code::Repacked,
            Self::Truncated { .. } => Code::Truncated,
            Self::Header { .. } => Code::EntryHeader,
            Self::Padding(_) => Code::EntryPadding,
            Self::EntryType { kind, .. } => code_of_kind(*kind),
            Self::EntryPath(_) => Code::EntryPath,
            Self::UnexpectedEntry { .. } => Code::EntryUnexpected,
            Self::DuplicateEntry(_) => Code::EntryDuplicate,
            Self::MissingEntry(_) => Code::EntryMissing,
            Self::TrailingBytes { .. } => Code::TrailingBytes,
            Self::Limit(_) | Self::RecordLimit { .. } => Code::LimitExceeded,
            Self::Json(error) => code_of_json(error),
            Self::UnknownFormat(_) => Code::FormatUnknown,
            Self::UnknownVersion(_) => Code::FormatVersion,
            Self::MissingMember(_) => Code::ManifestMemberMissing,
            Self::InvalidMember { .. } => Code::ManifestMemberInvalid,
            Self::KeyId => Code::KeyIdMismatch,
            Self::SignatureEncoding(_) => Code::SignatureEncoding,
            Self::Signature => Code::SignatureMismatch,
            Self::Rotation(_) => Code::RotationInvalid,
            Self::TrustUnavailable(_) => Code::TrustUnavailable,
            Self::Revoked(_) => Code::KeyRevoked,
            Self::Conflict { .. } => Code::KeyConflict,
            Self::PayloadSize { .. } => Code::PayloadSize,
            Self::PayloadDigest => Code::PayloadDigest,
            Self::Changed => Code::ChangedWhileRead,
            Self::Gzip(_) => Code::GzipDamaged,
            Self::GzipHeader => Code::GzipHeader,
            Self::GzipSecondMember => Code::GzipSecondMember,
            Self::GzipTrailing => Code::GzipTrailing,
            Self::RecordOrder { .. } => Code::RecordOrder,
            Self::RecordMissing(_) => Code::RecordMissing,
            Self::RecordExtra(_) => Code::RecordExtra,
            Self::RecordJson { .. } => Code::RecordNotCanonical,
            Self::RecordEnvelope { .. } => Code::RecordEnvelope,
            Self::RecordMismatch { .. } => Code::RecordMismatch,
            Self::RecordSize { .. } => Code::RecordSize,
            Self::RecordDigest(_) => Code::RecordDigest,
            Self::DeltaWithoutBase(_) => Code::DeltaWithoutBase,
            Self::DeltaJson { .. } => Code::DeltaNotCanonical,
            Self::DeltaInvalid { .. } => Code::DeltaInvalid,
            Self::DeltaResult { .. } => Code::DeltaResult,
        }
    }

    /// What a person can do about it. Commands in it read from `FILE`.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Altered(alteration) => return Some(format!("repair it with: {}", alteration.repair())),
            Self::Repacked { shape, .. } => return Some(format!("repair it with: {}", repack(*shape))),
            Self::TrailingBytes { whole: Some(whole), .. } => {
                return Some(format!("repair it with: head -c {whole} FILE > repaired.tar"));
            }
            Self::Limit(limit) | Self::RecordLimit { source: limit, .. } => return Some(limit.hint()),
            Self::NotABundle(_) => "a bundle is the file that `export` wrote; see what this is with: file FILE",
            Self::WrongDocument { expected: Shape::Bundle } => "`inspect` shows receipts, and `receipt` imports them",
            Self::WrongDocument { expected: Shape::Receipt } => "`verify` checks bundles, and `inspect` shows them",
            Self::WebPage => {
                "download the file again, where need be after logging in; see what this is with: head -c 500 FILE"
            }
            Self::Garbled => "copy the file again, as binary and not as text; this copy can't be repaired",
            Self::Truncated { .. } | Self::PayloadSize { .. } => {
                "copy the file again and compare its sha256 with the one that `export` printed"
            }
            Self::Header { .. }
            | Self::Padding(_)
            | Self::Signature
            | Self::SignatureEncoding(_)
            | Self::PayloadDigest => {
                "compare the file's sha256 with the one that `export` printed; do not use this copy"
            }
            Self::UnknownVersion(_) => "a newer version of this program may know it",
            Self::Changed => "try again when nobody writes to the file any more",
            Self::Revoked(_) => "ask the client for a bundle that is signed with its present key",
            Self::Conflict { .. } => {
                "if the client has a new key, ask them for its key id, and trust that key as well (`keys trust`)"
            }
            _ if self.is_the_signers_fault() => {
                "whoever signed this did not follow the format; ask the client which program made it"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// Whether no copying can have caused it, since it is found behind the signature or signed itself.
    fn is_the_signers_fault(&self) -> bool {
        self.code().steps() == "6" || matches!(self, Self::Rotation(_))
    }
}

fn code_of_kind(kind: EntryKind) -> Code {
    match kind {
        EntryKind::HardLink | EntryKind::SymbolicLink => Code::EntryLink,
        EntryKind::Device => Code::EntryDevice,
        EntryKind::Fifo => Code::EntryFifo,
        EntryKind::Directory => Code::EntryDirectory,
        EntryKind::Sparse => Code::EntrySparse,
        EntryKind::Pax => Code::EntryPax,
        EntryKind::Gnu => Code::EntryGnu,
        EntryKind::Unknown => Code::EntryType,
    }
}

fn code_of_json(error: &JsonError) -> Code {
    match error {
        JsonError::Limit(_) => Code::LimitExceeded,
        JsonError::NotUtf8 { .. } => Code::ManifestNotUtf8,
        JsonError::NotJson(_) => Code::ManifestNotJson,
        JsonError::Duplicate(_) => Code::ManifestDuplicateMember,
        JsonError::Spelling(_) => Code::ManifestNotCanonical,
    }
}

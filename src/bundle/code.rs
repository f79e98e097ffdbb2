//! The stable codes of `verify --json`, one for each reason to refuse a bundle or receipt. Texts change, codes do not.

use std::fmt;

/// Declares the codes: for each its spelling, the steps of verifying that find it, and what it means.
macro_rules! codes {
    ($($variant:ident, $code:literal, $steps:literal, $meaning:literal;)+) => {
        /// Why a bundle or receipt is refused, for machines. `docs/bundle-format.md` has the same table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its spelling.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// The steps of verifying that find it, as the documentation numbers them.
            #[must_use]
            pub fn steps(self) -> &'static str {
                match self {
                    $(Self::$variant => $steps,)+
                }
            }

            /// What it means, in Markdown.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)+
                }
            }
        }
    };
}

codes! {
    Unreadable, "unreadable", "any", "the operating system can't open or read the file";
    NotABundle, "notABundle", "1", "something else altogether, or a part of a bundle without the rest";
    WrongDocument, "wrongDocument", "1", "a receipt where a bundle is expected, or the other way round";
    WebPage, "webPage", "1", "a page of HTML, such as a proxy's or a portal's, that was saved instead of the file";
    Wrapped, "wrapped", "1", "compressed or archived once more: gzip, xz, zstd, bzip2, zip, 7z, tar";
    Encoded, "encoded", "1", "encoded as text by a mail program: base64, quoted-printable, a whole mail message";
    TextConverted, "textConverted", "1", "converted as if it were text: line ends, UTF-8, UTF-16, a byte order mark";
    Repacked, "repacked", "1", "unpacked and packed again: another order, a folder, extension headers, not ustar";
    Truncated, "truncated", "1, 6", "it ends too early";
    EntryHeader, "entryHeader", "1, 6", "a tar header is damaged or not as prescribed";
    EntryPadding, "entryPadding", "1, 6", "the padding behind an entry is not zero";
    EntryPath, "entryPath", "1, 6", "an entry's name is absolute or has a `..` in it";
    EntryLink, "entryLink", "1, 6", "an entry is a hard or symbolic link";
    EntryDevice, "entryDevice", "1, 6", "an entry is a character or block device";
    EntryFifo, "entryFifo", "1, 6", "an entry is a FIFO";
    EntryDirectory, "entryDirectory", "1, 6", "an entry is a directory other than `./` in the outer tar";
    EntrySparse, "entrySparse", "1, 6", "an entry is a sparse file";
    EntryPax, "entryPax", "6", "a pax extension header; in the outer tar that is `repacked`";
    EntryGnu, "entryGnu", "6", "a GNU extension header; in the outer tar that is `repacked`";
    EntryType, "entryType", "1, 6", "an entry of any other type than a regular file";
    EntryUnexpected, "entryUnexpected", "1, 6", "an entry of a name that does not belong there";
    EntryDuplicate, "entryDuplicate", "1", "an entry is there twice";
    EntryMissing, "entryMissing", "1", "an entry is missing";
    TrailingBytes, "trailingBytes", "1, 6", "something other than zero blocks follows the end of a tar";
    LimitExceeded, "limitExceeded", "1, 2, 6", "a limit is exceeded";
    ManifestNotUtf8, "manifestNotUtf8", "2", "the signed document is not UTF-8";
    ManifestNotJson, "manifestNotJson", "2", "the signed document is not JSON";
    ManifestNotCanonical, "manifestNotCanonical", "2", "the signed document is JSON, but not spelled canonically";
    ManifestDuplicateMember, "manifestDuplicateMember", "2", "the signed document names a member twice in one object";
    FormatUnknown, "formatUnknown", "2", "`format` names something else than a bundle or receipt of this product";
    FormatVersion, "formatVersion", "2", "`format` names another version of the format";
    ManifestMemberMissing, "manifestMemberMissing", "2", "the signed document lacks a member";
    ManifestMemberInvalid, "manifestMemberInvalid", "2", "a member of the signed document has a wrong value";
    KeyIdMismatch, "keyIdMismatch", "2", "`publicKey` does not hash to `key`";
    SignatureEncoding, "signatureEncoding", "1, 3", "the signature file is not 64 bytes in base64 and a line feed";
    SignatureMismatch, "signatureMismatch", "3", "altered, or not signed by the key that the signed document names";
    RotationInvalid, "rotationInvalid", "4", "a link of the rotation chain does not hold";
    TrustUnavailable, "trustUnavailable", "4", "the keyring, or what else is known of the client, can't be read";
    KeyRevoked, "keyRevoked", "4", "signed by a revoked key, or through one";
    KeyConflict, "keyConflict", "4", "the client is known with other keys";
    PayloadSize, "payloadSize", "5", "the payload's size is not the manifest's";
    PayloadDigest, "payloadDigest", "5", "the payload's digest is not the manifest's";
    ChangedWhileRead, "changedWhileRead", "1, 5, 6", "the file changed while it was read";
    GzipDamaged, "gzipDamaged", "6", "the gzip stream, its checksum or its length is damaged";
    GzipHeader, "gzipHeader", "6", "the gzip header has a name, a comment, an extra field, another flag, or a time";
    GzipSecondMember, "gzipSecondMember", "6", "another gzip member follows the first";
    GzipTrailing, "gzipTrailing", "6", "something else follows the gzip member";
    RecordOrder, "recordOrder", "6", "another record of the manifest than the next";
    RecordMissing, "recordMissing", "6", "the payload ends before the manifest's last record";
    RecordExtra, "recordExtra", "6", "the payload has more records than the manifest";
    RecordNotCanonical, "recordNotCanonical", "6", "a full record is not a canonical JSON object";
    RecordEnvelope, "recordEnvelope", "6", "a record lacks `kind`, `version` or `time`, or one of them is wrong";
    RecordMismatch, "recordMismatch", "6", "a record's kind, version, time or completeness is not the manifest's";
    RecordSize, "recordSize", "6", "a full record's size is not the manifest's";
    RecordDigest, "recordDigest", "6", "a full record's digest is not the manifest's";
    DeltaWithoutBase, "deltaWithoutBase", "6", "a delta is the first entry of its kind and version";
    DeltaNotCanonical, "deltaNotCanonical", "6", "a delta is not canonical JSON";
    DeltaInvalid, "deltaInvalid", "6", "a delta breaks a rule, or does not fit the entry before it";
    DeltaResult, "deltaResult", "6", "a delta's result has another size or digest than the manifest says";
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl PartialEq<&str> for Code {
    fn eq(&self, spelling: &&str) -> bool {
        self.as_str() == *spelling
    }
}

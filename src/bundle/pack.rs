//! Packing: records into a signed bundle, within the limits that verifying has.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use uuid::Uuid;

use super::container::{self, Shape};
use super::delta::Changes;
use super::error::VerifyError;
use super::gzip::GzipWriter;
use super::json::{self, JsonError};
use super::limits::{Limit, LimitExceeded, Limits};
use super::lists::{Counts, Withheld};
use super::manifest::{Encoding, FORMAT, Manifest, PAYLOAD_NAME, Payload, RecordEntry, Seconds};
use super::verify::entry_name;
use crate::digest::{Digested, Hashing, PrefixedDigest, Sha256Digest};
use crate::keys::SigningKey;
use crate::keys::rotation::Link;
use crate::record::canonical::{CanonicalError, Form};
use crate::record::document::Document;
use crate::record::envelope::{Envelope, EnvelopeError};
use crate::record::withhold;

/// What a manifest says beside the records.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "named like the manifest's members")]
pub struct Header {
    pub bundle: Uuid,
    pub client: Uuid,
    pub store: Uuid,
    pub sequence: u64,
    pub previous: Option<Sha256Digest>,
    pub rotation: Vec<Link>,
    pub replaces: Option<Uuid>,
    pub created: Seconds,
    pub producer: String,
    pub note: Option<String>,
    /// What the site leaves out; the manifest also has what the records say was left out of them.
    pub withheld: Vec<String>,
    pub dropped: u64,
    pub discarded: u64,
}

/// A record to be packed: its id and what its manifest entry is ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The record's id.
    pub id: Uuid,
    /// Its envelope.
    pub envelope: Envelope,
}

/// A payload and the manifest for it, both final.
#[derive(Debug)]
pub struct Packed {
    /// The manifest.
    pub manifest: Manifest,
    /// Its canonical bytes, which were signed.
    pub manifest_bytes: Vec<u8>,
    /// The signature file: base64 and a line feed.
    pub signature: Vec<u8>,
}

/// A bundle that can't be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError<E> {
    /// A record can't be loaded.
    #[error("record {id} can't be loaded")]
    Load {
        /// Which record.
        id: Uuid,
        /// Why.
        source: E,
    },
    /// A record is not canonical JSON within the limits.
    #[error("record {id} is not canonical JSON")]
    Record {
        /// Which record.
        id: Uuid,
        /// Where and why.
        source: CanonicalError,
    },
    /// A record without a sound envelope, or not the one that it was announced with.
    #[error("record {id} has no sound envelope")]
    Envelope {
        /// Which record.
        id: Uuid,
        /// What is wrong.
        source: EnvelopeError,
    },
    /// A limit that verifying has would be exceeded.
    #[error("the bundle can't be packed, since verifying would refuse it")]
    Limit(#[from] LimitExceeded),
    /// Another rule that verifying has would be broken.
    #[error("the bundle can't be packed, since verifying would refuse it")]
    Rule(#[source] VerifyError),
    /// The payload can't be written.
    #[error("the payload can't be written")]
    Write(#[from] io::Error),
}

/// Packs records into `payload` and signs the manifest for it. Items are put into the manifest's order; `load` is asked
/// for one record's canonical bytes at a time, and at most two are in memory. The manifest has the digest that was made
/// of the bytes that are packed, and `load` may compare it with another one before.
///
/// # Errors
/// See [`PackError`]; nothing of what was written is then of use.
pub fn pack<E, W: Write>(
    header: Header,
    mut items: Vec<Item>,
    mut load: impl FnMut(Uuid) -> Result<Digested, E>,
    key: &SigningKey,
    limits: &Limits,
    payload: &mut W,
    progress: super::verify::Progress<'_>,
) -> Result<Packed, PackError<E>> {
    limits.within(Limit::Records, items.len() as u64)?;
    items.sort_by(|left, right| left.envelope.order(left.id).cmp(&right.envelope.order(right.id)));
    let mtime = header.created.unix();
    let gzip = GzipWriter::new(Hashing::new(payload));
    let mut inner = Hashing::new(gzip);
    let mut entries: Vec<RecordEntry> = Vec::with_capacity(items.len());
    let mut previous: Option<Document> = None;
    let (mut total, all, mut chain) = (0_u64, items.len() as u64, 0);
    let mut withheld: BTreeSet<String> = header.withheld.iter().cloned().collect();
    for (index, item) in items.into_iter().enumerate() {
        let id = item.id;
        let (bytes, sha256) = load(id).map_err(|source| PackError::Load { id, source })?.into_parts();
        limits.within(Limit::RecordBytes, bytes.len() as u64)?;
        total = total.saturating_add(bytes.len() as u64);
        limits.within(Limit::TotalBytes, total)?;
        let document = Document::parse(bytes, &limits.json).map_err(|source| PackError::Record { id, source })?;
        let envelope = document.envelope().map_err(|source| PackError::Envelope { id, source })?;
        if envelope != item.envelope {
            let source = EnvelopeError::Invalid { field: "kind, version, time or complete", expected: "as announced" };
            return Err(PackError::Envelope { id, source });
        }
        let same = |last: &RecordEntry| last.kind == envelope.kind && last.version == envelope.version;
        let base = previous.as_ref().filter(|_| entries.last().is_some_and(same) && chain < limits.delta_chain);
        let delta = base.and_then(|base| smaller_delta(base, &document, limits));
        let name = entry_name(index, envelope.kind.as_str());
        match &delta {
            Some((changes, size)) => {
                container::write_with(&mut inner, &name, *size, mtime, |out| changes.write_to(out))
            }
            None => container::write_file(&mut inner, &name, document.bytes(), mtime),
        }?;
        withheld.extend(withhold::withheld_from(envelope.kind.as_str(), &document));
        chain = if delta.is_some() { chain + 1 } else { 0 };
        entries.push(RecordEntry {
            id,
            kind: envelope.kind,
            version: envelope.version,
            time: envelope.time,
            complete: envelope.complete,
            encoding: if delta.is_some() { Encoding::Delta } else { Encoding::Full },
            size: document.bytes().len() as u64,
            sha256,
            counts: counts(&document)?,
        });
        previous = Some(document);
        progress(index as u64 + 1, all);
    }
    container::write_end(&mut inner)?;
    let (gzip, expanded, _) = inner.finish();
    let (_, size, sha256) = gzip.finish()?.finish();
    limits.within(Limit::Ratio, expanded.div_ceil(size.max(1)))?;
    let header = Header { withheld: withheld.into_iter().collect(), ..header };
    let manifest = manifest(header, Payload { name: PAYLOAD_NAME.to_owned(), size, sha256 }, entries, key)?;
    sign(manifest, key, limits)
}

/// Checks that a record could be packed, were it alone, so that one which never can does not get in the others' way.
///
/// # Errors
/// The limit that it exceeds.
pub fn check_alone(document: &Document, limits: &Limits) -> Result<(), LimitExceeded> {
    let size = document.bytes().len() as u64;
    limits.within(Limit::RecordBytes, size)?;
    let ratio = |mut gzip: GzipWriter<Hashing<io::Sink>>| {
        // Writing to nowhere does not fail.
        let written = gzip.write_all(document.bytes()).and_then(|()| gzip.finish());
        size.div_ceil(written.map_or(0, |sink| sink.finish().1).max(1))
    };
    // Half of what is allowed: among others of its like a record may compress better than alone.
    let half = Limits { ratio: limits.ratio / 2, ..limits.clone() };
    // A quick try settles it for all records but strange ones.
    if ratio(GzipWriter::quick(Hashing::new(io::sink()))) <= half.ratio / MUCH_BETTER {
        return Ok(());
    }
    half.within(Limit::Ratio, ratio(GzipWriter::new(Hashing::new(io::sink()))))
}

/// Packing compresses better than a quick try, but not by so many times.
const MUCH_BETTER: u64 = 8;

/// How many counts of a record a manifest has, and how long their names may be; they are informative.
const MOST_COUNTS: usize = 64;

fn counts(document: &Document) -> io::Result<Counts> {
    let mut counts = document.counts();
    counts.retain(|(name, _)| name.len() <= MOST_COUNTS);
    counts.truncate(MOST_COUNTS);
    Ok(Counts::new(&counts)?)
}

/// The delta and its size, if it is smaller than the record and within what verifying lets pass.
fn smaller_delta<'d>(base: &'d Document, document: &'d Document, limits: &Limits) -> Option<(Changes<'d>, u64)> {
    /// A row lies deeper in a delta than in its record: below `rows`, the member and `put`.
    const DEEPER: usize = 2;
    let changes = Changes::between(base, document);
    let size = changes.size();
    if size >= document.bytes().len() as u64 {
        return None;
    }
    let fits = document.depth() + DEEPER <= limits.json.depth || {
        let mut text = Vec::new();
        let written = changes.write_to(&mut text).is_ok();
        written && json::check(&text, Form::Plain, limits).is_ok()
    };
    fits.then_some((changes, size))
}

fn manifest(header: Header, payload: Payload, records: Vec<RecordEntry>, key: &SigningKey) -> io::Result<Manifest> {
    let public_key = key.public();
    Ok(Manifest {
        format: FORMAT.to_owned(),
        bundle: header.bundle,
        client: header.client,
        store: header.store,
        key: public_key.id(),
        public_key,
        sequence: header.sequence,
        previous: header.previous.map(PrefixedDigest),
        rotation: header.rotation,
        replaces: header.replaces,
        created: header.created,
        producer: header.producer,
        note: header.note,
        withheld: Withheld::new(&header.withheld)?,
        dropped: header.dropped,
        discarded: header.discarded,
        payload,
        records,
    })
}

fn sign<E>(manifest: Manifest, key: &SigningKey, limits: &Limits) -> Result<Packed, PackError<E>> {
    let refused = |error: VerifyError| match error {
        VerifyError::Limit(limit) => PackError::Limit(limit),
        other => PackError::Rule(other),
    };
    let manifest_bytes = manifest.to_bytes().map_err(|error| refused(VerifyError::Json(JsonError::Spelling(error))))?;
    limits.within(Limit::ManifestBytes, manifest_bytes.len() as u64)?;
    limits.within(Limit::BundleBytes, file_size(&manifest_bytes, manifest.payload.size))?;
    Manifest::from_bytes(&manifest_bytes, limits).map_err(refused)?;
    let signature = signature_file(key, &manifest_bytes);
    Ok(Packed { manifest, manifest_bytes, signature })
}

fn file_size(manifest: &[u8], payload: u64) -> u64 {
    let entry = |size: u64| 512 + size + container::padding(size) as u64;
    entry(manifest.len() as u64) + entry(89) + entry(payload) + 1024
}

/// A detached signature as its file has it: standard base64 and a line feed.
pub(crate) fn signature_file(key: &SigningKey, document: &[u8]) -> Vec<u8> {
    let mut text = BASE64.encode(key.sign(document)).into_bytes();
    text.push(b'\n');
    text
}

impl Packed {
    /// Writes the bundle; `payload` is what [`pack`] wrote, from its start.
    ///
    /// # Errors
    /// A failure to read or write.
    pub fn write_to<R: Read + Seek>(&self, out: &mut impl Write, payload: &mut R) -> io::Result<()> {
        payload.rewind()?;
        let size = self.manifest.payload.size;
        let mtime = self.manifest.created.unix();
        container::write(out, Shape::Bundle, &self.manifest_bytes, &self.signature, Some((payload, size)), mtime)
    }
}

/// Writes a receipt's container.
pub(crate) fn write_receipt(out: &mut impl Write, document: &[u8], signature: &[u8], mtime: u64) -> io::Result<()> {
    container::write(out, Shape::Receipt, document, signature, None, mtime)
}

//! Verifying a bundle, in the order of `docs/bundle-format.md`: nothing is decompressed before the signature and the
//! payload's digest hold, and nothing is handed on before every record was checked.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::bufread::GzDecoder;

use super::container::{self, BLOCK, Contents, Shape};
use super::delta;
use super::error::VerifyError;
use super::json;
use super::limits::{Limit, LimitExceeded, Limits};
use super::manifest::{Encoding, Manifest, RecordEntry};
use crate::digest::{Hashing, Sha256Digest};
use crate::keys::keyring::{Trust, Trusts};
use crate::keys::{PublicKey, rotation};
use crate::record::canonical::Form;
use crate::record::document::Document;

/// Hears how far reading has come: bytes done, and bytes in all.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// A bundle that was verified in full.
#[derive(Debug)]
pub struct Verified<R> {
    /// Its manifest.
    pub manifest: Manifest,
    /// The manifest's exact bytes.
    pub manifest_bytes: Vec<u8>,
    /// Their digest, by which ingest and receipts name the bundle.
    pub manifest_sha256: Sha256Digest,
    /// [`Trust::Trusted`], or [`Trust::Unknown`] where nothing is known of the client.
    pub trust: Trust,
    reader: R,
    signature: Vec<u8>,
    payload: (u64, u64),
    limits: Limits,
}

/// A failure while records are handed on.
#[derive(Debug)]
pub enum EachError<E> {
    /// The bundle is no longer what was verified.
    Bundle(VerifyError),
    /// The visitor failed.
    Visitor(E),
}

/// Verifies a bundle in full.
///
/// # Errors
/// The first rule that it breaks. An unknown signer is no error: see [`Verified::trust`].
pub fn verify<R: Read + Seek>(
    reader: R,
    trusts: &dyn Trusts,
    limits: &Limits,
    progress: Progress<'_>,
) -> Result<Verified<R>, VerifyError> {
    verify_each(reader, trusts, limits, |_, _| {}, progress)
}

/// As [`verify`]; `look` sees each record once its digest is right. What it finds counts only if the bundle is verified
/// as a whole.
///
/// # Errors
/// As [`verify`].
pub fn verify_each<R: Read + Seek>(
    mut reader: R,
    trusts: &dyn Trusts,
    limits: &Limits,
    mut look: impl FnMut(&RecordEntry, &Document),
    progress: Progress<'_>,
) -> Result<Verified<R>, VerifyError> {
    let Sealed { contents, manifest, trust } = open_seal(&mut reader, trusts, limits, progress)?;
    let mut verified = Verified {
        manifest_sha256: Sha256Digest::of(&contents.document),
        manifest,
        manifest_bytes: contents.document,
        trust,
        reader,
        signature: contents.signature,
        payload: contents.payload,
        limits: limits.clone(),
    };
    let walked = verified.walk(
        |_, (entry, document)| {
            look(entry, document);
            Ok::<_, std::convert::Infallible>(())
        },
        progress,
    );
    match walked {
        Ok(()) => Ok(verified),
        Err(EachError::Bundle(error)) => Err(error),
        Err(EachError::Visitor(never)) => match never {},
    }
}

/// Checks what [`verify`] checks before it decompresses anything: steps 1 to 5. The records are not looked at, so that
/// nothing is verified and nothing handed on; this is for measuring.
///
/// # Errors
/// The first rule that is broken.
pub fn check_seal<R: Read + Seek>(
    reader: &mut R,
    trusts: &dyn Trusts,
    limits: &Limits,
    progress: Progress<'_>,
) -> Result<(), VerifyError> {
    open_seal(reader, trusts, limits, progress).map(drop)
}

/// What is known after step 5.
struct Sealed {
    contents: Contents,
    manifest: Manifest,
    trust: Trust,
}

/// Steps 1 to 5.
fn open_seal<R: Read + Seek>(
    reader: &mut R,
    trusts: &dyn Trusts,
    limits: &Limits,
    progress: Progress<'_>,
) -> Result<Sealed, VerifyError> {
    let contents = container::read(reader, Shape::Bundle, limits)?;
    let manifest = Manifest::from_bytes(&contents.document, limits)?;
    check_signature(&manifest.public_key, &contents.document, &contents.signature)?;
    rotation::check(&manifest.rotation, manifest.client, &manifest.public_key)?;
    let trust = trusts.judge(manifest.client, &manifest.public_key, &manifest.rotation);
    let trust = trust.map_err(VerifyError::TrustUnavailable)?;
    match trust {
        Trust::Trusted | Trust::Unknown => {}
        Trust::Revoked => return Err(VerifyError::Revoked(manifest.key)),
        Trust::Conflict => return Err(VerifyError::Conflict { client: manifest.client, key: manifest.key }),
    }
    check_payload(reader, contents.payload, &manifest, progress)?;
    Ok(Sealed { contents, manifest, trust })
}

/// Checks a detached signature file over `document`.
pub(crate) fn check_signature(key: &PublicKey, document: &[u8], file: &[u8]) -> Result<(), VerifyError> {
    let text = file.strip_suffix(b"\n").ok_or(VerifyError::SignatureEncoding("it does not end with a line feed"))?;
    let bytes = BASE64.decode(text).map_err(|_| VerifyError::SignatureEncoding("it is not standard padded base64"))?;
    let signature = bytes.try_into().map_err(|_| VerifyError::SignatureEncoding("it has another number of bytes"))?;
    if key.verifies(document, &signature) { Ok(()) } else { Err(VerifyError::Signature) }
}

/// Step 5: size and digest of the compressed payload.
fn check_payload<R: Read + Seek>(
    reader: &mut R,
    (start, size): (u64, u64),
    manifest: &Manifest,
    progress: Progress<'_>,
) -> Result<(), VerifyError> {
    if size != manifest.payload.size {
        return Err(VerifyError::PayloadSize { expected: manifest.payload.size, actual: size });
    }
    reader.seek(SeekFrom::Start(start)).map_err(VerifyError::Io)?;
    let mut hashing = Hashing::new(reader.take(size));
    let mut buffer = vec![0; 256 * 1024];
    let mut done = 0;
    loop {
        match hashing.read(&mut buffer).map_err(VerifyError::Io)? {
            0 => break,
            count => done += count as u64,
        }
        progress(done, 2 * size);
    }
    let (_, count, digest) = hashing.finish();
    match count == size {
        false => Err(VerifyError::Changed),
        true if digest != manifest.payload.sha256 => Err(VerifyError::PayloadDigest),
        true => Ok(()),
    }
}

impl<R: Read + Seek> Verified<R> {
    /// Hands every record on, in the manifest's order, each checked again as it is read.
    ///
    /// # Errors
    /// The file changed since it was verified, or the visitor failed.
    pub fn for_each_record<E>(
        &mut self,
        mut visit: impl FnMut(&RecordEntry, &Document) -> Result<(), E>,
    ) -> Result<(), EachError<E>> {
        self.walk(|_, (entry, document)| visit(entry, document), &mut |_, _| {})
    }

    /// Hands every record on with the one before it of the same kind and version, in the manifest's order, each checked
    /// again as it is read. These two are all that is in memory.
    ///
    /// # Errors
    /// As [`Verified::for_each_record`].
    pub fn for_each_pair<E>(
        &mut self,
        mut visit: impl FnMut((&RecordEntry, &Document), (&RecordEntry, &Document)) -> Result<(), E>,
    ) -> Result<(), EachError<E>> {
        self.walk(|before, now| before.map_or(Ok(()), |before| visit(before, now)), &mut |_, _| {})
    }

    /// About how many bytes of memory this value takes when its records are handed on: the manifest as bytes, what was
    /// read of it, and two records.
    pub fn held(&self) -> usize {
        let largest = self.manifest.records.iter().map(|record| record.size).max().unwrap_or(0);
        3 * self.manifest_bytes.len() + usize::try_from(2 * largest).unwrap_or(usize::MAX / 2)
    }

    /// The bundle in the container that this program writes, made of what was verified; equal bundles give equal bytes,
    /// however they were packed on their way. Its end is reached only if the payload is still the one that was verified.
    /// The manifest's bytes go with it: of a large one there is no room for two.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn bundle(&mut self) -> io::Result<impl Read + use<'_, R>> {
        let (start, size) = self.payload;
        let document = std::mem::take(&mut self.manifest_bytes);
        let head = container::bundle_head(document, &self.signature, size, self.manifest.created.unix())?;
        let tail = vec![0; container::padding(size) + 2 * BLOCK];
        self.reader.seek(SeekFrom::Start(start))?;
        let payload = Hashing::new((&mut self.reader).take(size));
        let payload = Same { inner: Some(payload), expected: (size, self.manifest.payload.sha256) };
        Ok(head.chain(payload).chain(io::Cursor::new(tail)))
    }

    /// Step 6: decompress while hashing once more, and check every record. `visit` hears of each, and of the one before it
    /// of the same kind and version.
    fn walk<E>(
        &mut self,
        mut visit: impl FnMut(Option<(&RecordEntry, &Document)>, (&RecordEntry, &Document)) -> Result<(), E>,
        progress: Progress<'_>,
    ) -> Result<(), EachError<E>> {
        let (start, size) = self.payload;
        let bundle = EachError::Bundle;
        check_gzip_header(&mut self.reader, self.payload).map_err(bundle)?;
        self.reader.seek(SeekFrom::Start(start)).map_err(|error| bundle(VerifyError::Io(error)))?;
        let hashing = Hashing::new((&mut self.reader).take(size));
        let decoder = GzDecoder::new(BufReader::with_capacity(64 * 1024, hashing));
        let told = self.manifest.records.iter().map(|record| record.size.saturating_add(2 * BLOCK as u64));
        let told = told.fold(2 * BLOCK as u64, u64::saturating_add);
        let mut inner = Inner { decoder, read: 0, payload: size, told, limits: &self.limits };
        let mut previous: Option<(&RecordEntry, Document)> = None;
        for (index, entry) in self.manifest.records.iter().enumerate() {
            let names = Names { manifest: &self.manifest, index };
            let base = previous.filter(|(before, _)| before.kind == entry.kind && before.version == entry.version);
            let base = base.as_ref().map(|(entry, document)| (*entry, document));
            let document = inner.record(&names, base.map(|(_, document)| document)).map_err(bundle)?;
            visit(base, (entry, &document)).map_err(EachError::Visitor)?;
            progress(size + size * (index as u64 + 1) / self.manifest.records.len() as u64, 2 * size);
            previous = Some((entry, document));
        }
        drop(previous);
        let hashing = inner.finish(self.manifest.records.len()).map_err(bundle)?;
        let (_, count, digest) = hashing.finish();
        if count != size || digest != self.manifest.payload.sha256 {
            return Err(bundle(VerifyError::Changed));
        }
        Ok(())
    }
}

/// The gzip header: of a single deflated stream, without flags and without a time.
fn check_gzip_header<R: Read + Seek>(reader: &mut R, (start, size): (u64, u64)) -> Result<(), VerifyError> {
    let mut header = Vec::new();
    reader.seek(SeekFrom::Start(start)).map_err(VerifyError::Io)?;
    reader.take(size.min(10)).read_to_end(&mut header).map_err(VerifyError::Io)?;
    match header.as_slice() {
        [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, _, _] => Ok(()),
        [0x1f, 0x8b, 8, _, _, _, _, _, _, _] => Err(VerifyError::GzipHeader),
        _ => Err(VerifyError::Gzip("it does not begin like one".to_owned())),
    }
}

/// Reads something again and fails at its end if it is not the same.
struct Same<R> {
    inner: Option<Hashing<R>>,
    expected: (u64, Sha256Digest),
}

impl<R: Read> Read for Same<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(inner) = self.inner.as_mut().filter(|_| !buffer.is_empty()) else { return Ok(0) };
        let count = inner.read(buffer)?;
        if count == 0
            && let Some(inner) = self.inner.take()
        {
            let (_, size, sha256) = inner.finish();
            if (size, sha256) != self.expected {
                return Err(io::Error::new(io::ErrorKind::InvalidData, VerifyError::Changed));
            }
        }
        Ok(count)
    }
}

/// The name that a record's entry must have.
pub(super) fn entry_name(index: usize, kind: &str) -> String {
    format!("records/{index:06}-{kind}.json")
}

/// Which record is read, and which others there are.
struct Names<'m> {
    manifest: &'m Manifest,
    index: usize,
}

impl Names<'_> {
    fn entry(&self) -> &RecordEntry {
        &self.manifest.records[self.index]
    }

    fn expected(&self) -> String {
        entry_name(self.index, self.entry().kind.as_str())
    }

    fn is_listed(&self, name: &str) -> bool {
        let all = self.manifest.records.iter().enumerate();
        all.into_iter().any(|(index, entry)| entry_name(index, entry.kind.as_str()) == name)
    }
}

/// The inner tar as it comes out of the decompressor.
struct Inner<'l, R> {
    decoder: GzDecoder<BufReader<Hashing<R>>>,
    read: u64,
    payload: u64,
    /// How large it is if every record is full.
    told: u64,
    limits: &'l Limits,
}

impl<R: Read> Inner<'_, R> {
    /// Reads and checks one record.
    fn record(&mut self, names: &Names<'_>, base: Option<&Document>) -> Result<Document, VerifyError> {
        let (entry, name, limits) = (names.entry(), names.expected(), self.limits);
        let block = self.block(&name)?;
        if block == [0; BLOCK] {
            return Err(VerifyError::RecordMissing(name));
        }
        let mtime = names.manifest.created.unix();
        let size = container::check_inner(&block, &name, mtime, |found| names.is_listed(found))?;
        if let Err(source) = limits.within(Limit::RecordBytes, size) {
            return Err(VerifyError::RecordLimit { record: name, source });
        }
        if entry.encoding == Encoding::Full && size != entry.size {
            return Err(VerifyError::RecordSize { record: name, expected: entry.size, actual: size });
        }
        let bytes = self.body(&name, size)?;
        let document = match (entry.encoding, base) {
            (Encoding::Full, _) => parse_record(bytes, &name, limits)?,
            (Encoding::Delta, None) => return Err(VerifyError::DeltaWithoutBase(name)),
            (Encoding::Delta, Some(base)) => delta::apply(base, &bytes, &limits.json, entry.size).map_err(|error| {
                VerifyError::of_delta(name.clone(), error, json::check(&bytes, Form::Plain, limits))
            })?,
        };
        check_record(&document, entry, name)?;
        Ok(document)
    }

    /// Reads the end of the tar and of the gzip member, behind which nothing may follow.
    fn finish(mut self, records: usize) -> Result<Hashing<R>, VerifyError> {
        const TRAILING: VerifyError = VerifyError::TrailingBytes { place: "the records", whole: None };
        for index in 0..2 {
            let block = self.block("the end of the records")?;
            if block != [0; BLOCK] {
                return Err(if index == 0 { VerifyError::RecordExtra(records) } else { TRAILING });
            }
        }
        let mut rest = vec![0; 64 * 1024];
        let mut total = 0;
        loop {
            let count = self.read(&mut rest)?;
            total += count;
            if rest[..count].iter().any(|byte| *byte != 0) {
                return Err(TRAILING);
            }
            if count == 0 {
                break;
            }
        }
        if total % BLOCK != 0 {
            return Err(TRAILING);
        }
        let mut buffered = self.decoder.into_inner();
        let mut next = [0; 2];
        let mut found = 0;
        while found < 2 {
            match buffered.read(&mut next[found..]).map_err(VerifyError::Io)? {
                0 => break,
                count => found += count,
            }
        }
        match (found, next) {
            (0, _) => Ok(buffered.into_inner()),
            (2, [0x1f, 0x8b]) => Err(VerifyError::GzipSecondMember),
            _ => Err(VerifyError::GzipTrailing),
        }
    }

    fn block(&mut self, place: &str) -> Result<[u8; BLOCK], VerifyError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block, place)?;
        Ok(block)
    }

    fn fill(&mut self, buffer: &mut [u8], place: &str) -> Result<(), VerifyError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => {
                    return Err(VerifyError::Truncated {
                        place: place.to_owned(),
                        missing: (buffer.len() - filled) as u64,
                    });
                }
                count => filled += count,
            }
        }
        Ok(())
    }

    fn body(&mut self, name: &str, size: u64) -> Result<Vec<u8>, VerifyError> {
        const CHUNK: usize = 1 << 20;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        // Memory is taken as bytes arrive, not as a header claims.
        let mut bytes = Vec::with_capacity(size.min(CHUNK));
        while bytes.len() < size {
            let filled = bytes.len();
            bytes.resize(size.min(filled + CHUNK), 0);
            self.fill(&mut bytes[filled..], name)?;
        }
        let mut rest = [0; BLOCK];
        let rest = &mut rest[..container::padding(size as u64)];
        self.fill(rest, name)?;
        if rest.iter().any(|byte| *byte != 0) { Err(VerifyError::Padding(name.to_owned())) } else { Ok(bytes) }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, VerifyError> {
        let count = self.decoder.read(buffer).map_err(gzip_error)?;
        self.read += count as u64;
        let allowed = self.limits.ratio;
        if self.read > self.payload.saturating_mul(allowed) {
            let actual = self.read.div_ceil(self.payload.max(1));
            // Of what the manifest does not tell there may be any amount.
            let told = self.told.div_ceil(self.payload.max(1));
            let enough = if told > allowed { told } else { allowed.saturating_mul(2) };
            return Err(LimitExceeded { limit: Limit::Ratio, actual, allowed, enough }.into());
        }
        Ok(count)
    }
}

/// Tells a damaged stream from a device that can't be read.
fn gzip_error(error: io::Error) -> VerifyError {
    if error.raw_os_error().is_some() { VerifyError::Io(error) } else { VerifyError::Gzip(error.to_string()) }
}

fn parse_record(bytes: Vec<u8>, name: &str, limits: &Limits) -> Result<Document, VerifyError> {
    Document::parse_or_return(bytes, &limits.json).map_err(|(error, bytes)| {
        VerifyError::of_record(name.to_owned(), json::explain(&bytes, error, limits), |record, source| {
            VerifyError::RecordJson { record, source }
        })
    })
}

fn check_record(document: &Document, entry: &RecordEntry, name: String) -> Result<(), VerifyError> {
    let (actual, is_delta) = (document.bytes().len() as u64, entry.encoding == Encoding::Delta);
    if actual != entry.size {
        return Err(if is_delta {
            VerifyError::DeltaResult { record: name, what: "it has another size" }
        } else {
            VerifyError::RecordSize { record: name, expected: entry.size, actual }
        });
    }
    if Sha256Digest::of(document.bytes()) != entry.sha256 {
        return Err(if is_delta {
            VerifyError::DeltaResult { record: name, what: "it has another digest" }
        } else {
            VerifyError::RecordDigest(name)
        });
    }
    let envelope = match document.envelope() {
        Ok(envelope) => envelope,
        Err(source) => return Err(VerifyError::RecordEnvelope { record: name, source }),
    };
    let differences = [
        ("kind", envelope.kind != entry.kind),
        ("version", envelope.version != entry.version),
        ("time", envelope.time != entry.time),
        ("completeness", envelope.complete != entry.complete),
    ];
    match differences.into_iter().find(|(_, differs)| *differs) {
        Some((field, _)) => Err(VerifyError::RecordMismatch { record: name, field }),
        None => Ok(()),
    }
}

//! The container of bundles and receipts: plain tar, written exactly and read strictly.
//!
//! The `tar` crate makes and reads single headers; walking from one to the next is done here, because a reader that
//! skips, extends or forgives can be made to see something else than the next reader sees.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::error::{EntryKind, VerifyError};
use super::limits::{Limit, Limits};
use super::manifest::PAYLOAD_NAME;
use super::recognise::recognise;
use crate::text::shortened_bytes;

/// Tar's unit.
pub(super) const BLOCK: usize = 512;
/// `manifest.json.sig`: 88 characters of base64 and a line feed.
pub(super) const SIGNATURE_BYTES: u64 = 89;

/// The names that a container has, in order: the signed document, its signature, the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `manifest.json`, `manifest.json.sig`, `records.tar.gz`.
    Bundle,
    /// `receipt.json`, `receipt.json.sig`.
    Receipt,
}

impl Shape {
    /// The names of its entries, in order.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Bundle => &["manifest.json", "manifest.json.sig", PAYLOAD_NAME],
            Self::Receipt => &["receipt.json", "receipt.json.sig"],
        }
    }

    /// What it is called.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::Receipt => "receipt",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Bundle => Self::Receipt,
            Self::Receipt => Self::Bundle,
        }
    }
}

/// What a container holds.
#[derive(Debug)]
pub struct Contents {
    /// The exact bytes that were signed.
    pub document: Vec<u8>,
    /// The signature file as it is.
    pub signature: Vec<u8>,
    /// Where the payload begins, and its size; (0, 0) in a receipt.
    pub payload: (u64, u64),
}

/// The header of a file in one of the product's tars.
pub(super) fn header(name: &str, size: u64, mtime: u64) -> io::Result<[u8; BLOCK]> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(mtime);
    header.set_entry_type(tar::EntryType::Regular);
    let mut block = *header.as_bytes();
    seal(&mut block);
    Ok(block)
}

/// The same header as other writers of ustar spell it, with zeros for the device numbers that files do not have.
fn header_with_devices(name: &str, size: u64, mtime: u64) -> io::Result<[u8; BLOCK]> {
    let mut block = header(name, size, mtime)?;
    block[329..336].fill(b'0');
    block[337..344].fill(b'0');
    seal(&mut block);
    Ok(block)
}

/// Writes the checksum as six octal digits, NUL, space; the crate writes seven digits.
fn seal(block: &mut [u8; BLOCK]) {
    let text = spelled_checksum(block);
    block[148..156].copy_from_slice(text.as_bytes());
}

fn spelled_checksum(block: &[u8; BLOCK]) -> String {
    format!("{:06o}\0 ", checksum(block))
}

fn checksum(block: &[u8; BLOCK]) -> u32 {
    let outside = block[..148].iter().chain(&block[156..]).map(|byte| u32::from(*byte)).sum::<u32>();
    outside + 8 * u32::from(b' ')
}

/// How many zero bytes follow a file of this size.
pub(super) fn padding(size: u64) -> usize {
    let rest = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    (BLOCK - rest) % BLOCK
}

/// Writes one file of a tar.
pub(super) fn write_file(out: &mut impl Write, name: &str, bytes: &[u8], mtime: u64) -> io::Result<()> {
    write_with(out, name, bytes.len() as u64, mtime, |out| out.write_all(bytes))
}

/// Writes one file of a tar whose contents `write` writes: exactly `size` bytes.
pub(super) fn write_with<W: Write>(
    out: &mut W,
    name: &str,
    size: u64,
    mtime: u64,
    write: impl FnOnce(&mut W) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(&header(name, size, mtime)?)?;
    write(out)?;
    out.write_all(&[0; BLOCK][..padding(size)])
}

/// Writes the two zero blocks that end a tar.
pub(super) fn write_end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK])
}

/// Writes a whole container; `payload` is read for exactly `payload_size` bytes.
pub(super) fn write(
    out: &mut impl Write,
    shape: Shape,
    document: &[u8],
    signature: &[u8],
    payload: Option<(&mut dyn Read, u64)>,
    mtime: u64,
) -> io::Result<()> {
    write_head(out, shape, document, signature, mtime)?;
    if let Some((reader, size)) = payload {
        out.write_all(&header(PAYLOAD_NAME, size, mtime)?)?;
        let copied = io::copy(&mut reader.take(size), out)?;
        if copied != size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the payload is shorter than it was"));
        }
        out.write_all(&[0; BLOCK][..padding(size)])?;
    }
    write_end(out)
}

/// Everything of a bundle up to its payload; the document is not copied.
pub(super) fn bundle_head(
    document: Vec<u8>,
    signature: &[u8],
    payload: u64,
    mtime: u64,
) -> io::Result<impl Read + use<>> {
    let names = Shape::Bundle.names();
    let before = header(names[0], document.len() as u64, mtime)?;
    let mut behind = vec![0; padding(document.len() as u64)];
    write_file(&mut behind, names[1], signature, mtime)?;
    behind.extend_from_slice(&header(PAYLOAD_NAME, payload, mtime)?);
    Ok(io::Cursor::new(before).chain(io::Cursor::new(document)).chain(io::Cursor::new(behind)))
}

/// Writes what every container begins with: the signed document and its signature.
fn write_head(out: &mut impl Write, shape: Shape, document: &[u8], signature: &[u8], mtime: u64) -> io::Result<()> {
    let names = shape.names();
    write_file(out, names[0], document, mtime)?;
    write_file(out, names[1], signature, mtime)
}

/// Reads a container's shape: step 1 of verifying. The payload is passed over.
///
/// # Errors
/// Anything but the entries of `shape` in their order; of what it is instead, the most useful word.
pub fn read<R: Read + Seek>(reader: &mut R, shape: Shape, limits: &Limits) -> Result<Contents, VerifyError> {
    match read_strictly(reader, shape, limits) {
        Err(error @ (VerifyError::Io(_) | VerifyError::Limit(_) | VerifyError::Changed)) => Err(error),
        Err(error) => Err(recognise(reader, shape, error).map_err(VerifyError::Io)?),
        contents => contents,
    }
}

fn read_strictly<R: Read + Seek>(reader: &mut R, shape: Shape, limits: &Limits) -> Result<Contents, VerifyError> {
    let length = reader.seek(SeekFrom::End(0)).map_err(VerifyError::Io)?;
    reader.rewind().map_err(VerifyError::Io)?;
    limits.within(Limit::BundleBytes, length)?;
    let mut walk = Outer { reader, length, position: 0 };
    let mut contents = Contents { document: Vec::new(), signature: Vec::new(), payload: (0, 0) };
    let names = shape.names();
    let (mut next, mut directory) = (0, false);
    while let Some(entry) = walk.entry(names, next)? {
        if entry.directory {
            if std::mem::replace(&mut directory, true) {
                return Err(VerifyError::DuplicateEntry("./".into()));
            }
            continue;
        }
        let place = names.iter().position(|name| *name == entry.name);
        match place {
            Some(at) if at == next => {}
            Some(at) if at < next => return Err(VerifyError::DuplicateEntry(entry.name)),
            _ => return Err(misplaced(entry.name.as_bytes(), names.get(next).unwrap_or(&"the end"))),
        }
        match next {
            0 => {
                limits.within(Limit::ManifestBytes, entry.size)?;
                contents.document = walk.file(&entry)?;
            }
            1 if entry.size != SIGNATURE_BYTES => return Err(VerifyError::SignatureEncoding("it has another size")),
            1 => contents.signature = walk.file(&entry)?,
            _ => contents.payload = (walk.skip(&entry)?, entry.size),
        }
        next += 1;
    }
    if let Some(missing) = names.get(next) {
        return Err(VerifyError::MissingEntry((*missing).to_owned()));
    }
    Ok(contents)
}

/// An entry of another name than `expected`.
fn misplaced(name: &[u8], expected: &str) -> VerifyError {
    let found = shortened_bytes(name, 100);
    if name.starts_with(b"/") || name.split(|byte| *byte == b'/').any(|part| part == b"..") {
        VerifyError::EntryPath(found)
    } else {
        VerifyError::UnexpectedEntry { expected: expected.to_owned(), found }
    }
}

/// A header of the outer tar, as far as it counts.
struct OuterEntry {
    name: String,
    size: u64,
    directory: bool,
}

/// A walk over the outer tar.
struct Outer<'r, R> {
    reader: &'r mut R,
    length: u64,
    position: u64,
}

impl<R: Read + Seek> Outer<'_, R> {
    /// Reads the next header, or the end with everything behind it.
    fn entry(&mut self, names: &[&str], next: usize) -> Result<Option<OuterEntry>, VerifyError> {
        let place = names.get(next).copied().unwrap_or("its end marker");
        let block = self.block(place)?;
        if block == [0; BLOCK] {
            return self.end().map(|()| None);
        }
        if block[148..156] != *spelled_checksum(&block).as_bytes() {
            let what = if has_checksum(&block) { "its checksum is spelled otherwise" } else { CHECKSUM };
            return Err(VerifyError::Header { entry: place.to_owned(), what });
        }
        parse_outer(&block, place).map(Some)
    }

    fn block(&mut self, place: &str) -> Result<[u8; BLOCK], VerifyError> {
        self.available(BLOCK as u64, place)?;
        let mut block = [0; BLOCK];
        self.reader.read_exact(&mut block).map_err(changed)?;
        self.position += BLOCK as u64;
        Ok(block)
    }

    fn available(&self, size: u64, place: &str) -> Result<(), VerifyError> {
        let missing = size.saturating_sub(self.length - self.position);
        if missing > 0 { Err(VerifyError::Truncated { place: place.to_owned(), missing }) } else { Ok(()) }
    }

    fn file(&mut self, entry: &OuterEntry) -> Result<Vec<u8>, VerifyError> {
        self.available(entry.size.saturating_add(padding(entry.size) as u64), &entry.name)?;
        // So much is there, and the limits allow it; growing would take up to twice as much.
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size).unwrap_or_default());
        self.reader.take(entry.size).read_to_end(&mut bytes).map_err(VerifyError::Io)?;
        if bytes.len() as u64 != entry.size {
            return Err(VerifyError::Changed);
        }
        self.position += entry.size;
        self.pad(entry)?;
        Ok(bytes)
    }

    /// Passes over a file and returns where it begins.
    fn skip(&mut self, entry: &OuterEntry) -> Result<u64, VerifyError> {
        self.available(entry.size.saturating_add(padding(entry.size) as u64), &entry.name)?;
        let start = self.position;
        self.position += entry.size;
        self.reader.seek(SeekFrom::Start(self.position)).map_err(VerifyError::Io)?;
        self.pad(entry)?;
        Ok(start)
    }

    fn pad(&mut self, entry: &OuterEntry) -> Result<(), VerifyError> {
        let mut rest = [0; BLOCK];
        let rest = &mut rest[..padding(entry.size)];
        self.reader.read_exact(rest).map_err(changed)?;
        self.position += rest.len() as u64;
        if rest.iter().any(|byte| *byte != 0) { Err(VerifyError::Padding(entry.name.clone())) } else { Ok(()) }
    }

    /// After the first zero block: another one, and nothing but zero blocks.
    fn end(&mut self) -> Result<(), VerifyError> {
        let mut block = self.block("its end marker")?;
        let whole = Some(self.position);
        let trailing = || VerifyError::TrailingBytes { place: "the file", whole };
        if block != [0; BLOCK] {
            // One zero block is no end, so that nothing can be cut off to repair it.
            return Err(VerifyError::TrailingBytes { place: "the file", whole: None });
        }
        while self.position < self.length {
            block = self.block("its end marker").map_err(|_| trailing())?;
            if block != [0; BLOCK] {
                return Err(trailing());
            }
        }
        Ok(())
    }
}

/// A file that is shorter than it was.
fn changed(error: io::Error) -> VerifyError {
    if error.kind() == io::ErrorKind::UnexpectedEof { VerifyError::Changed } else { VerifyError::Io(error) }
}

const CHECKSUM: &str = "its checksum does not match";

/// Reads what counts of a header of the outer tar: owner, mode and time do not.
fn parse_outer(block: &[u8; BLOCK], place: &str) -> Result<OuterEntry, VerifyError> {
    let wrong = |entry: &str, what| Err(VerifyError::Header { entry: entry.to_owned(), what });
    let Some(name) = text(&block[..100]) else { return wrong(place, NAME) };
    let name = name.strip_prefix("./").unwrap_or(name).to_owned();
    let shown = shortened_bytes(name.as_bytes(), 100);
    if !matches!(block[156], b'0' | b'5') {
        return Err(VerifyError::EntryType { entry: shown, kind: EntryKind::of(block[156]) });
    }
    // POSIX ustar, or what GNU tar writes unless told otherwise.
    if block[257..265] != *b"ustar\x0000" && block[257..265] != *b"ustar  \0" {
        return wrong(&shown, "it is not ustar");
    }
    if block[157..257].iter().chain(&block[345..]).any(|byte| *byte != 0) {
        return wrong(&shown, "it has a link target or a long name");
    }
    let Some(size) = octal(&block[124..136]) else { return wrong(&shown, SIZE) };
    let directory = block[156] == b'5';
    if directory && (block[..3] != *b"./\0" || size != 0) {
        return Err(VerifyError::EntryType { entry: shown, kind: EntryKind::Directory });
    }
    Ok(OuterEntry { name, size, directory })
}

const NAME: &str = "its name is not text, or something stands behind it";
const SIZE: &str = "its size is not an octal number";

/// A field of text: up to the first NUL, behind which there is nothing else.
fn text(field: &[u8]) -> Option<&str> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let rest_is_zero = field[end..].iter().all(|byte| *byte == 0);
    std::str::from_utf8(&field[..end]).ok().filter(|_| rest_is_zero)
}

/// A field of octal digits: up to the first NUL or space, behind which there is nothing else.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(field.len());
    let rest_is_blank = field[digits..].iter().all(|byte| matches!(byte, 0 | b' '));
    let digits = std::str::from_utf8(&field[..digits]).ok().filter(|_| rest_is_blank)?;
    u64::from_str_radix(digits, 8).ok().filter(|_| !digits.starts_with('+'))
}

/// Whether a block is a tar header by its checksum, however that is spelled.
pub(super) fn has_checksum(block: &[u8; BLOCK]) -> bool {
    let field = block[148..156].trim_ascii_start();
    *block != [0; BLOCK] && octal(field) == Some(checksum(block).into())
}

/// The path and the size of a header, as a lenient reader takes them.
pub(super) fn lenient(block: &[u8; BLOCK]) -> Option<(String, u64)> {
    let (name, size) = (text(&block[..100])?, octal(block[124..136].trim_ascii_start())?);
    let prefix = if block[257..263] == *b"ustar\0" { text(&block[345..500])? } else { "" };
    Some((if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }, size))
}

/// Checks a header of the inner tar, which must be the one that this program writes.
pub(super) fn check_inner(
    block: &[u8; BLOCK],
    expected: &str,
    mtime: u64,
    is_listed: impl Fn(&str) -> bool,
) -> Result<u64, VerifyError> {
    let wrong = |what| VerifyError::Header { entry: expected.to_owned(), what };
    if block[148..156] != *spelled_checksum(block).as_bytes() {
        return Err(wrong(CHECKSUM));
    }
    if block[156] != b'0' {
        return Err(VerifyError::EntryType { entry: expected.to_owned(), kind: EntryKind::of(block[156]) });
    }
    let name = text(&block[..100]).ok_or_else(|| wrong(NAME))?;
    if name != expected {
        return Err(if is_listed(name) {
            VerifyError::RecordOrder { expected: expected.to_owned(), found: name.to_owned() }
        } else {
            misplaced(name.as_bytes(), expected)
        });
    }
    let size = octal(&block[124..136]).ok_or_else(|| wrong(SIZE))?;
    // The published test vectors have zero for the time where the format asks for that of the manifest.
    let spellings =
        [mtime, 0].into_iter().flat_map(|time| [header(name, size, time), header_with_devices(name, size, time)]);
    if !spellings.flatten().any(|spelling| spelling == *block) {
        return Err(wrong("its mode, owner, time or another field is not the prescribed one"));
    }
    Ok(size)
}

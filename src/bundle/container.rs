//! The container of bundles and receipts: plain tar, written exactly and read strictly.
//!
//! The `tar` crate makes and reads single headers; walking from one to the next is done here, because a reader that
//! skips, extends or forgives can be made to see something else than the next reader sees.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::error::VerifyError;
use super::limits::{Limits, within};
use super::manifest::PAYLOAD_NAME;

/// Tar's unit.
pub(super) const BLOCK: usize = 512;
/// `manifest.json.sig`: 88 characters of base64 and a line feed.
const SIGNATURE_BYTES: u64 = 89;

/// The names that a container has, in order: the signed document, its signature, the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `manifest.json`, `manifest.json.sig`, `records.tar.gz`.
    Bundle,
    /// `receipt.json`, `receipt.json.sig`.
    Receipt,
}

impl Shape {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Bundle => &["manifest.json", "manifest.json.sig", PAYLOAD_NAME],
            Self::Receipt => &["receipt.json", "receipt.json.sig"],
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
    let text = format!("{:06o}\0 ", checksum(block));
    block[148..156].copy_from_slice(text.as_bytes());
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

/// Everything of a bundle up to its payload.
pub(super) fn bundle_head(document: &[u8], signature: &[u8], payload: u64, mtime: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    write_head(&mut head, Shape::Bundle, document, signature, mtime)?;
    head.extend_from_slice(&header(PAYLOAD_NAME, payload, mtime)?);
    Ok(head)
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
/// Anything but the entries of `shape` in their order.
pub fn read<R: Read + Seek>(reader: &mut R, shape: Shape, limits: &Limits) -> Result<Contents, VerifyError> {
    let length = reader.seek(SeekFrom::End(0)).map_err(VerifyError::Io)?;
    reader.rewind().map_err(VerifyError::Io)?;
    within("the size of the file in bytes", length, limits.bundle_bytes)?;
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
        match names.iter().position(|name| *name == entry.name) {
            Some(at) if at == next => {}
            Some(at) if at < next => return Err(VerifyError::DuplicateEntry(entry.name)),
            Some(_) => return Err(VerifyError::Repacked("its entries are in another order")),
            None => return Err(VerifyError::UnexpectedEntry(entry.name)),
        }
        match next {
            0 => {
                within("the size of the signed document in bytes", entry.size, limits.manifest_bytes)?;
                contents.document = walk.file(&entry)?;
            }
            1 if entry.size != SIGNATURE_BYTES => return Err(VerifyError::Base64),
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
        let place = || names.get(next).map_or_else(|| "its end".to_owned(), |name| (*name).to_owned());
        if self.position == 0 && self.length < BLOCK as u64 {
            let mut start = Vec::new();
            self.reader.read_to_end(&mut start).map_err(VerifyError::Io)?;
            return Err(foreign(&start));
        }
        let block = self.block()?.ok_or_else(|| VerifyError::Truncated(place()))?;
        if block == [0; BLOCK] {
            return self.end().map(|()| None);
        }
        if block[148..156] != *format!("{:06o}\0 ", checksum(&block)).as_bytes() {
            return Err(match self.position {
                512 => foreign(&block),
                _ => VerifyError::Header { entry: place(), what: "its checksum does not match" },
            });
        }
        parse_outer(&block, &place()).map(Some)
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, VerifyError> {
        if self.position + BLOCK as u64 > self.length {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        self.reader.read_exact(&mut block).map_err(VerifyError::Io)?;
        self.position += BLOCK as u64;
        Ok(Some(block))
    }

    fn available(&self, entry: &OuterEntry) -> Result<(), VerifyError> {
        let end = self.position + entry.size + padding(entry.size) as u64;
        if end > self.length { Err(VerifyError::Truncated(entry.name.clone())) } else { Ok(()) }
    }

    fn file(&mut self, entry: &OuterEntry) -> Result<Vec<u8>, VerifyError> {
        self.available(entry)?;
        let mut bytes = Vec::new();
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
        self.available(entry)?;
        let start = self.position;
        self.position += entry.size;
        self.reader.seek(SeekFrom::Start(self.position)).map_err(VerifyError::Io)?;
        self.pad(entry)?;
        Ok(start)
    }

    fn pad(&mut self, entry: &OuterEntry) -> Result<(), VerifyError> {
        let mut rest = [0; BLOCK];
        let rest = &mut rest[..padding(entry.size)];
        self.reader.read_exact(rest).map_err(VerifyError::Io)?;
        self.position += rest.len() as u64;
        if rest.iter().any(|byte| *byte != 0) {
            return Err(VerifyError::Header { entry: entry.name.clone(), what: "its padding is not zero" });
        }
        Ok(())
    }

    /// After the first zero block: another one, and nothing but zero blocks.
    fn end(&mut self) -> Result<(), VerifyError> {
        let second = self.block()?.ok_or_else(|| VerifyError::Truncated("its end marker".into()))?;
        let mut block = second;
        loop {
            if block != [0; BLOCK] {
                return Err(VerifyError::TrailingBytes);
            }
            match self.block()? {
                Some(next) => block = next,
                None if self.position == self.length => return Ok(()),
                None => return Err(VerifyError::TrailingBytes),
            }
        }
    }
}

/// Reads what counts of a header of the outer tar: owner, mode and time do not.
fn parse_outer(block: &[u8; BLOCK], place: &str) -> Result<OuterEntry, VerifyError> {
    let wrong = |entry: &str, what| Err(VerifyError::Header { entry: entry.to_owned(), what });
    let name = text(&block[..100]).map(|name| name.strip_prefix("./").unwrap_or(name).escape_debug().to_string());
    let Some(name) = name else { return wrong(place, "its name is not text") };
    match block[156] {
        b'0' | b'5' => {}
        b'x' | b'g' | b'L' | b'K' => return Err(VerifyError::Repacked("it has tar extension headers")),
        other => return Err(VerifyError::EntryType { entry: name, what: type_name(other) }),
    }
    // POSIX ustar, or what GNU tar writes unless told otherwise.
    if block[257..265] != *b"ustar\x0000" && block[257..265] != *b"ustar  \0" {
        return wrong(&name, "it is not ustar");
    }
    if block[157..257].iter().chain(&block[345..]).any(|byte| *byte != 0) {
        return wrong(&name, "it has a link target or a long name");
    }
    let Some(size) = octal(&block[124..136]) else { return wrong(&name, "its size is not an octal number") };
    let directory = block[156] == b'5';
    if directory && (!name.is_empty() && name != "." || size != 0) {
        return Err(VerifyError::EntryType { entry: name, what: type_name(b'5') });
    }
    Ok(OuterEntry { name, size, directory })
}

fn text(field: &[u8]) -> Option<&str> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let rest_is_zero = field[end..].iter().all(|byte| *byte == 0);
    std::str::from_utf8(&field[..end]).ok().filter(|_| rest_is_zero)
}

fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(field.len());
    let rest_is_blank = field[digits..].iter().all(|byte| matches!(byte, 0 | b' '));
    let digits = std::str::from_utf8(&field[..digits]).ok().filter(|_| rest_is_blank)?;
    u64::from_str_radix(digits, 8).ok().filter(|_| !digits.starts_with('+'))
}

fn type_name(flag: u8) -> &'static str {
    match flag {
        b'1' => "a hard link",
        b'2' => "a symbolic link",
        b'3' | b'4' => "a device",
        b'5' => "a directory",
        b'6' => "a FIFO",
        b'S' => "a sparse file",
        b'x' | b'g' => "a pax extension header",
        b'L' | b'K' => "a GNU extension header",
        _ => "of an unknown type",
    }
}

/// Tells what a file is that does not begin like a container.
fn foreign(start: &[u8]) -> VerifyError {
    const WRAPPERS: &[(&[u8], &str)] = &[
        (b"\x1f\x8b", "a gzip file"),
        (b"\xfd7zXZ", "an xz file"),
        (b"\x28\xb5\x2f\xfd", "a zstd file"),
        (b"BZh", "a bzip2 file"),
        (b"PK\x03\x04", "a zip file"),
        // The base64 of `manifest` and of `receipt.`.
        (b"bWFuaWZlc3", "base64 text"),
        (b"cmVjZWlwdC", "base64 text"),
    ];
    if let Some((_, what)) = WRAPPERS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return VerifyError::Wrapped(what);
    }
    if start.is_empty() {
        return VerifyError::NotABundle("it is empty");
    }
    VerifyError::NotABundle("it does not begin with a tar header")
}

/// Checks a header of the inner tar, which must be the one that this program writes.
pub(super) fn check_inner(
    block: &[u8; BLOCK],
    expected: &str,
    mtime: u64,
    is_listed: impl Fn(&str) -> bool,
) -> Result<u64, VerifyError> {
    let wrong = |what| VerifyError::Header { entry: expected.to_owned(), what };
    if block[148..156] != *format!("{:06o}\0 ", checksum(block)).as_bytes() {
        return Err(wrong("its checksum does not match"));
    }
    if block[156] != b'0' {
        return Err(VerifyError::EntryType { entry: expected.to_owned(), what: type_name(block[156]) });
    }
    let name = text(&block[..100]).ok_or_else(|| wrong("its name is not text"))?;
    if name != expected {
        let found = name.escape_debug().to_string();
        return Err(if is_listed(name) {
            VerifyError::RecordOrder { expected: expected.to_owned(), found }
        } else {
            VerifyError::UnexpectedEntry(found)
        });
    }
    let size = octal(&block[124..136]).ok_or_else(|| wrong("its size is not an octal number"))?;
    // The published test vectors have zero for the time where the format asks for that of the manifest.
    let spellings =
        [mtime, 0].into_iter().flat_map(|time| [header(name, size, time), header_with_devices(name, size, time)]);
    if !spellings.flatten().any(|spelling| spelling == *block) {
        return Err(wrong("its mode, owner, time or another field is not the prescribed one"));
    }
    Ok(size)
}

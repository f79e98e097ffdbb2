//! Recognises what a file is that the reader of containers refused: something else, or a bundle that was altered on its
//! way. Lenient where the reader is strict, and only ever a better word for a refusal.

use std::io::{self, Read, Seek, SeekFrom};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::altered::Alteration;
use super::container::{self, BLOCK, SIGNATURE_BYTES, Shape};
use super::error::VerifyError;

/// How much of a file's beginning is looked at.
const HEAD: u64 = 1 << 20;
/// How many headers of a tar are looked at; a bundle has three, and each may have extension headers.
const MOST_HEADERS: usize = 32;

/// A better error than `error` for a container that was refused, if there is one.
///
/// # Errors
/// The file can't be read.
pub(super) fn recognise<R: Read + Seek>(reader: &mut R, shape: Shape, error: VerifyError) -> io::Result<VerifyError> {
    let mut head = Vec::new();
    reader.rewind()?;
    reader.take(HEAD).read_to_end(&mut head)?;
    if let Some(better) = of_beginning(&head) {
        return Ok(better);
    }
    let survey = Survey::take(reader)?;
    if let Some(better) = survey.arrangement(shape) {
        return Ok(better);
    }
    if survey.is_wrapped(reader)? {
        return Ok(VerifyError::Altered(Alteration::Tar));
    }
    if survey.has_line_ends(reader)? {
        return Ok(VerifyError::Altered(Alteration::LineEnds));
    }
    if contains(&head, b"\x1f\xc2\x8b\x08") {
        return Ok(VerifyError::Altered(Alteration::Utf8));
    }
    // What stands for bytes that were no text.
    if contains(&head, b"\x1f\xef\xbf\xbd\x08") {
        return Ok(VerifyError::Garbled);
    }
    Ok(if is_like_tar(&head) { error } else { VerifyError::NotABundle("it does not begin with a tar header") })
}

/// Whether a file was meant to be a tar, damaged or cut as it may be.
fn is_like_tar(head: &[u8]) -> bool {
    let start = head.strip_prefix(b"./").unwrap_or(head);
    let is_named = [Shape::Bundle, Shape::Receipt].iter().any(|shape| start.starts_with(shape.names()[0].as_bytes()));
    is_named || head.get(257..262) == Some(b"ustar") || head.get(..BLOCK) == Some(&[0; BLOCK])
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What the first bytes alone tell.
fn of_beginning(head: &[u8]) -> Option<VerifyError> {
    if head.is_empty() {
        return Some(VerifyError::NotABundle("it is empty"));
    }
    of_magic(head).or_else(|| of_text(head))
}

fn of_magic(head: &[u8]) -> Option<VerifyError> {
    const MAGIC: &[(&[u8], Alteration)] = &[
        (b"\x1f\x8b", Alteration::Gzip),
        (b"\xfd7zXZ\x00", Alteration::Xz),
        (b"\x28\xb5\x2f\xfd", Alteration::Zstd),
        (b"BZh", Alteration::Bzip2),
        (b"PK\x03\x04", Alteration::Zip),
        (b"7z\xbc\xaf\x27\x1c", Alteration::SevenZip),
        (b"\xff\xfe", Alteration::Utf16),
        (b"\xfe\xff", Alteration::Utf16),
        (b"-----BEGIN ", Alteration::Armour),
    ];
    let (_, alteration) = *MAGIC.iter().find(|(magic, _)| head.starts_with(magic))?;
    Some(VerifyError::Altered(match alteration {
        Alteration::Zip if is_zip_of_files(head) => Alteration::ZippedFiles,
        other => other,
    }))
}

/// Whether the first name in a zip file is that of a folder or of a bundle's entry, and not that of a bundle.
fn is_zip_of_files(head: &[u8]) -> bool {
    let length = head.get(26..28).map_or(0, |length| usize::from(length[0]) | usize::from(length[1]) << 8);
    let name = head.get(30..30 + length).unwrap_or_default();
    name.ends_with(b"/") || Shape::Bundle.names().iter().any(|entry| name.ends_with(entry.as_bytes()))
}

/// What a text is. Bundles are none: they have NUL bytes from the first header on.
fn of_text(head: &[u8]) -> Option<VerifyError> {
    let unmarked = head.strip_prefix(b"\xef\xbb\xbf");
    let start = &unmarked.unwrap_or(head)[..head.len().min(4096) - if unmarked.is_some() { 3 } else { 0 }];
    let lower = start.trim_ascii_start().to_ascii_lowercase();
    if [&b"<!doctype"[..], b"<html", b"<head", b"<body", b"<script", b"<?xml"].iter().any(|tag| lower.starts_with(tag))
    {
        return Some(VerifyError::WebPage);
    }
    if unmarked.is_some() {
        return Some(VerifyError::Altered(Alteration::ByteOrderMark));
    }
    if contains(start, b"\0") {
        return None;
    }
    if start.starts_with(b"{") && contains(start, b"\"format\":\"kubermatic-telemetry-") {
        return Some(VerifyError::NotABundle("it is the signed document alone, without its container"));
    }
    if is_mail(&lower) {
        return Some(VerifyError::Altered(Alteration::Mail));
    }
    if contains(start, b"=00=00") {
        return Some(VerifyError::Altered(Alteration::QuotedPrintable));
    }
    is_base64(start).then_some(VerifyError::Altered(Alteration::Base64))
}

/// Whether a text in lower case begins with the header of a mail message or of a part of one.
fn is_mail(text: &[u8]) -> bool {
    let header = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).take_while(|line| !line.is_empty());
    let words: [&[u8]; 4] = [b"mime-version:", b"content-type:", b"content-transfer-encoding:", b"received:"];
    let is_field =
        |line: &[u8]| line.iter().position(|byte| *byte == b':').is_some_and(|colon| is_name(&line[..colon]));
    let begins = text.starts_with(b"from ") || text.split(|byte| *byte == b'\n').next().is_some_and(is_field);
    begins && header.into_iter().any(|line| words.iter().any(|word| line.starts_with(word)))
}

fn is_name(field: &[u8]) -> bool {
    !field.is_empty() && field.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// Whether a text is base64 of something that could be a bundle, however it was altered before.
fn is_base64(text: &[u8]) -> bool {
    let letters: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(1024).collect();
    let Ok(decoded) = BASE64.decode(&letters[..letters.len() / 4 * 4]) else { return false };
    let is_header = decoded.first_chunk().is_some_and(container::has_checksum);
    is_header || (decoded.len() > 8 && of_magic(&decoded).is_some())
}

/// An entry of a tar as the survey saw it.
struct Seen {
    /// Without a leading `./`.
    path: String,
    /// Where its contents begin, and their size.
    place: (u64, u64),
}

/// A lenient walk over the headers of a tar.
struct Survey {
    entries: Vec<Seen>,
    /// Whether something was passed over: directories, extension headers, and what macOS adds.
    extras: bool,
    /// Whether a header is another than POSIX or GNU ones.
    is_old: bool,
    /// Whether it came to the end marker without meeting anything else.
    is_whole: bool,
}

impl Survey {
    fn take<R: Read + Seek>(reader: &mut R) -> io::Result<Self> {
        let mut survey = Self { entries: Vec::new(), extras: false, is_old: false, is_whole: false };
        let mut position = 0;
        for _ in 0..MOST_HEADERS {
            let mut block = [0; BLOCK];
            reader.seek(SeekFrom::Start(position))?;
            if !fill(reader, &mut block)? {
                break;
            }
            if block == [0; BLOCK] {
                survey.is_whole = true;
                break;
            }
            let header = container::has_checksum(&block).then(|| container::lenient(&block)).flatten();
            let Some((path, size)) = header else { break };
            let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
            match block[156] {
                b'5' => survey.extras |= block[..3] != *b"./\0",
                b'x' | b'g' | b'L' | b'K' => survey.extras = true,
                b'0' | 0 if path.rsplit('/').next().is_some_and(|name| name.starts_with("._")) => survey.extras = true,
                b'0' | 0 => survey.entries.push(Seen { path, place: (position + BLOCK as u64, size) }),
                _ => break,
            }
            survey.is_old |= block[156] == 0 || !block[257..].starts_with(b"ustar");
            position = match size.checked_next_multiple_of(BLOCK as u64).and_then(|size| size.checked_add(position)) {
                Some(next) => next + BLOCK as u64,
                None => break,
            };
        }
        Ok(survey)
    }

    /// What the names tell: the right files in another arrangement, those of the other document, or a payload alone.
    fn arrangement(&self, shape: Shape) -> Option<VerifyError> {
        let first = self.entries.first()?;
        if first.path.starts_with("records/0") {
            return Some(VerifyError::NotABundle("it is the payload of a bundle, without manifest and signature"));
        }
        let (found, folder, in_order) = [Shape::Bundle, Shape::Receipt].into_iter().find_map(|shape| {
            let (folder, in_order) = self.files_of(shape)?;
            Some((shape, folder, in_order))
        })?;
        if found != shape {
            return Some(VerifyError::WrongDocument { expected: shape });
        }
        let how = if folder {
            "its entries are in a folder"
        } else if !in_order {
            "its entries are in another order"
        } else if self.extras {
            "it has directories or extension headers"
        } else if self.is_old {
            "its headers are not ustar"
        } else {
            return None;
        };
        Some(VerifyError::Repacked { how, shape })
    }

    /// Whether the entries are exactly those of `shape`, side by side: whether in a folder, and whether in order.
    fn files_of(&self, shape: Shape) -> Option<(bool, bool)> {
        let names = shape.names();
        let split = |path: &str| {
            path.rsplit_once('/')
                .map_or((String::new(), path.to_owned()), |(folder, name)| (folder.to_owned(), name.to_owned()))
        };
        let found: Vec<_> = self.entries.iter().map(|entry| split(&entry.path)).collect();
        let folder = &found.first()?.0;
        let same_folder = found.iter().all(|(other, _)| other == folder);
        let all = names.iter().all(|name| found.iter().any(|(_, found)| found == name));
        let in_order = found.iter().map(|(_, name)| name.as_str()).eq(names.iter().copied());
        let complete = self.is_whole && same_folder && all && found.len() == names.len();
        complete.then_some((!folder.is_empty(), in_order))
    }

    /// Whether the only file in it is a tar, or could be one that is compressed.
    fn is_wrapped<R: Read + Seek>(&self, reader: &mut R) -> io::Result<bool> {
        let [only] = self.entries.as_slice() else { return Ok(false) };
        let mut block = [0; BLOCK];
        reader.seek(SeekFrom::Start(only.place.0))?;
        let is_there = self.is_whole && only.place.1 > 0 && fill(reader, &mut block)?;
        Ok(is_there && (container::has_checksum(&block) || of_magic(&block).is_some()))
    }

    /// Whether the line feed of the signature file, the first one of a container, has become two characters.
    fn has_line_ends<R: Read + Seek>(&self, reader: &mut R) -> io::Result<bool> {
        let is_signature = |entry: &&Seen| [Shape::Bundle, Shape::Receipt].iter().any(|it| entry.path == it.names()[1]);
        let signature = self.entries.get(1).filter(is_signature);
        let Some(signature) = signature.filter(|entry| entry.place.1 == SIGNATURE_BYTES) else { return Ok(false) };
        let mut end = [0; 2];
        reader.seek(SeekFrom::Start(signature.place.0 + SIGNATURE_BYTES - 1))?;
        Ok(fill(reader, &mut end)? && end == *b"\r\n")
    }
}

/// Reads as much as there is room for; tells whether there was as much.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

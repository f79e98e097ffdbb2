//! Tars and gzip streams as a forger needs them: byte by byte, and the same ones whatever release of a library is used.

use flate2::Crc;

/// Where the parts of a tar header begin.
pub const MODE: usize = 100;
pub const OWNER: usize = 108;
pub const SIZE: usize = 124;
pub const MTIME: usize = 136;
pub const CHECKSUM: usize = 148;
pub const TYPE: usize = 156;
pub const LINK: usize = 157;
pub const MAGIC: usize = 257;
pub const OWNER_NAME: usize = 265;
pub const DEVICES: usize = 329;
pub const PREFIX: usize = 345;

/// A header as the format prescribes it.
pub fn header(name: &str, size: usize, mtime: u64) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[MODE..SIZE].copy_from_slice(b"0000644\x000000000\x000000000\x00");
    block[SIZE..MTIME].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[MTIME..CHECKSUM].copy_from_slice(format!("{mtime:011o}\0").as_bytes());
    block[TYPE] = b'0';
    block[MAGIC..OWNER_NAME].copy_from_slice(b"ustar\x0000");
    seal(&mut block);
    block
}

/// Makes the checksum right.
pub fn seal(block: &mut [u8]) {
    block[CHECKSUM..TYPE].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[CHECKSUM..TYPE].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Changes a field of the header at `at`, and its checksum with it.
pub fn patched(mut bytes: Vec<u8>, at: usize, field: usize, value: &[u8]) -> Vec<u8> {
    bytes[at + field..at + field + value.len()].copy_from_slice(value);
    seal(&mut bytes[at..at + 512]);
    bytes
}

/// An entry: header, contents, padding.
pub fn entry(name: &str, contents: &[u8], mtime: u64) -> Vec<u8> {
    let mut bytes = header(name, contents.len(), mtime);
    bytes.extend(contents);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// An entry of another type.
pub fn special(name: &str, kind: u8, contents: &[u8]) -> Vec<u8> {
    patched(entry(name, contents, 0), 0, TYPE, &[kind])
}

/// A whole tar.
pub fn tar<'e>(entries: impl IntoIterator<Item = (&'e str, &'e [u8])>, mtime: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.into_iter().flat_map(|(name, contents)| entry(name, contents, mtime)).collect();
    bytes.extend([0; 1024]);
    bytes
}

/// What the header of a gzip stream says; the format asks for no flags.
pub const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A gzip stream: stored blocks, and one compressed block for each long run of one byte.
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    gzip_with(&GZIP_HEADER, plain)
}

/// The same with another header.
pub fn gzip_with(header: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(plain);
    let mut bytes = header.to_vec();
    bytes.extend(deflate(plain));
    bytes.extend(crc.sum().to_le_bytes());
    bytes.extend(crc.amount().to_le_bytes());
    bytes
}

/// Runs from this length on are compressed.
const LONG: usize = 64;

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    let (mut stored, mut at) = (0, 0);
    while at < plain.len() {
        let run = plain[at..].iter().take_while(|byte| **byte == plain[at]).count();
        if run >= LONG {
            bits.store(&plain[stored..at]);
            bits.run(plain[at], run);
            stored = at + run;
        }
        at += run;
    }
    bits.store(&plain[stored..]);
    // The last block of all: an empty stored one.
    bits.push(1, 3);
    bits.align();
    bits.bytes.extend([0, 0, 0xff, 0xff]);
    bits.bytes
}

/// Bits as deflate packs them (RFC 1951, section 3.1.1).
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used == 0 {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= u8::from(value >> bit & 1 == 1) << self.used;
            self.used = (self.used + 1) % 8;
        }
    }

    /// Codes are packed from their highest bit on.
    fn code(&mut self, code: u32, count: u32) {
        (0..count).rev().for_each(|bit| self.push(code >> bit & 1, 1));
    }

    fn align(&mut self) {
        self.used = 0;
    }

    fn store(&mut self, plain: &[u8]) {
        for piece in plain.chunks(65_535) {
            self.push(0, 3);
            self.align();
            let length = u16::try_from(piece.len()).unwrap();
            self.bytes.extend(length.to_le_bytes());
            self.bytes.extend((!length).to_le_bytes());
            self.bytes.extend(piece);
        }
    }

    /// A block with codes of its own (section 3.2.7): the byte, a copy of 258 bytes from one byte before, and the end.
    /// A copy takes two bits, so that this is as small as deflate gets.
    fn run(&mut self, byte: u8, length: usize) {
        const END: usize = 256;
        const COPY: usize = 285;
        self.push(0, 1);
        self.push(2, 2);
        // 286 codes of literals and lengths, one of distances, and 18 lengths of the codes in which those are told.
        self.push(286 - 257, 5);
        self.push(0, 5);
        self.push(18 - 4, 4);
        // In the order 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1: two bits for 0, 1, 2 and 18.
        for place in 0..18 {
            self.push(if matches!(place, 2 | 3 | 15 | 17) { 2 } else { 0 }, 3);
        }
        let mut zeros = 0;
        for symbol in 0..=COPY {
            match symbol {
                COPY => self.length_code(&mut zeros, 1),
                END => self.length_code(&mut zeros, 2),
                literal if literal == usize::from(byte) => self.length_code(&mut zeros, 2),
                _ => zeros += 1,
            }
        }
        // The one distance.
        self.length_code(&mut zeros, 1);
        let (copies, rest) = ((length - 1) / 258, (length - 1) % 258);
        self.code(0b10, 2);
        (0..copies).for_each(|_| self.code(0b00, 2));
        (0..rest).for_each(|_| self.code(0b10, 2));
        self.code(0b11, 2);
    }

    /// The zeros before it, and the length of a code.
    fn length_code(&mut self, zeros: &mut u32, length: u32) {
        while *zeros >= 11 {
            let count = (*zeros).min(138);
            self.code(0b11, 2);
            self.push(count - 11, 7);
            *zeros -= count;
        }
        (0..std::mem::take(zeros)).for_each(|_| self.code(0b00, 2));
        self.code(length, 2);
    }
}

#[test]
fn what_is_compressed_here_is_what_others_decompress() {
    use std::io::Read as _;
    let plain = [&b"abc"[..], &[0; 9_000], b"x", &[b'['; 5_000], &[7; LONG], b"end"].concat();
    let packed = gzip(&plain);
    assert!(packed.len() < 500, "{} bytes", packed.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == plain);
    let bomb = gzip(&vec![0; 1 << 24]);
    assert!((1 << 24) / bomb.len() > 1000, "a run is packed more than a thousand times smaller");
}

//! A writer of ustar that writes whatever it is told.

/// Tar's unit.
pub const BLOCK: usize = 512;

/// Where the fields of a header lie: offset and length.
const FIELDS: [(usize, usize); 13] = [
    (0, 100),   // name
    (100, 8),   // mode
    (108, 8),   // owner
    (116, 8),   // group
    (124, 12),  // size
    (136, 12),  // time
    (156, 1),   // type
    (157, 100), // link
    (257, 8),   // magic and version
    (265, 32),  // owner's name
    (297, 32),  // group's name
    (329, 16),  // device numbers
    (345, 167), // prefix, and what is behind it
];

/// An entry: its contents, and its header before the checksum.
#[derive(Debug, Clone)]
pub struct Entry {
    header: [u8; BLOCK],
    /// What follows the header.
    pub body: Vec<u8>,
    /// What the padding consists of.
    pub padding: u8,
    /// Whether the checksum is made to match.
    pub sealed: bool,
}

impl Entry {
    /// A regular file, as the format prescribes it.
    #[must_use]
    pub fn new(name: &str, body: &[u8]) -> Self {
        let mut header = [0; BLOCK];
        let mut entry = Self { header, body: body.to_vec(), padding: 0, sealed: true };
        header[100..124].copy_from_slice(b"0000644\x000000000\x000000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", body.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        entry.header = header;
        entry.patch(0, name.as_bytes());
        entry
    }

    /// A directory.
    #[must_use]
    pub fn directory(name: &str) -> Self {
        let mut entry = Self::new(name, b"");
        entry.header[156] = b'5';
        entry
    }

    /// Gives the entry another time.
    pub fn date(&mut self, seconds: u64) {
        self.header[136..147].copy_from_slice(format!("{seconds:011o}").as_bytes());
    }

    /// Writes over a field of the header, the rest of which becomes NUL.
    pub fn patch(&mut self, field: usize, text: &[u8]) {
        let (start, length) = FIELDS[field % FIELDS.len()];
        let text = &text[..text.len().min(length)];
        self.header[start..start + length].fill(0);
        self.header[start..start + text.len()].copy_from_slice(text);
    }
}

/// Writes the checksum that a header must have.
pub fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A tar of these entries, with so many zero blocks at its end.
#[must_use]
pub fn write(entries: &[Entry], end: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let mut header = entry.header;
        if entry.sealed {
            seal(&mut header);
        }
        bytes.extend(header);
        bytes.extend(&entry.body);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), entry.padding);
    }
    bytes.resize(bytes.len() + end * BLOCK, 0);
    bytes
}

/// Makes the checksum of every header match, as far as the headers lead from one to the next.
pub fn seal_all(bytes: &mut [u8]) {
    let mut position = 0;
    while let Some(header) = bytes.get_mut(position..position + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            return;
        }
        seal(header);
        let size = std::str::from_utf8(&header[124..135]).ok();
        let Some(size) = size.and_then(|size| usize::from_str_radix(size, 8).ok()) else { return };
        position += BLOCK + size.next_multiple_of(BLOCK);
    }
}

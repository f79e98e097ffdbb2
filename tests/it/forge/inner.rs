//! Inner tars that are not as they must be, in bundles whose signature and digest hold.

use super::archive::{
    CHECKSUM, DEVICES, LINK, MAGIC, MODE, MTIME, OWNER, OWNER_NAME, PREFIX, SIZE, TYPE, entry, header, patched,
};
use super::{Case, FIRST, Forge, case};

fn inner(
    name: &str,
    code: &'static str,
    about: &'static str,
    change: impl FnOnce(Vec<u8>) -> Vec<u8> + 'static,
) -> Case {
    case(&format!("inner-{name}"), code, about, Forge::new().inner(change).build())
}

/// The same with two records.
fn pair(name: &str, code: &'static str, about: &'static str, change: fn(Vec<u8>) -> Vec<u8>) -> Case {
    case(&format!("inner-{name}"), code, about, Forge::pair().inner(change).build())
}

fn field(name: &str, about: &'static str, at: usize, value: &'static [u8]) -> Case {
    inner(name, "entryHeader", about, move |bytes| patched(bytes, 0, at, value))
}

/// The first record's entry under another name.
fn renamed(name: &str, code: &'static str, about: &'static str, other: &str) -> Case {
    case(&format!("inner-{name}"), code, about, Forge::new().entry(0, other, FIRST).build())
}

pub fn cases() -> Vec<Case> {
    let mut cases = types();
    cases.extend(names());
    cases.extend(fields());
    cases.extend(ends());
    cases
}

fn types() -> Vec<Case> {
    let kind = |name: &str, code, about, flag: &'static [u8]| {
        inner(name, code, about, move |bytes| patched(bytes, 0, TYPE, flag))
    };
    vec![
        kind("hard-link", "entryLink", "a hard link", b"1"),
        kind("symbolic-link", "entryLink", "a symbolic link", b"2"),
        kind("character-device", "entryDevice", "a character device", b"3"),
        kind("directory", "entryDirectory", "a directory", b"5"),
        kind("fifo", "entryFifo", "a FIFO", b"6"),
        kind("nul-type", "entryType", "a regular file of the time before ustar", b"\0"),
        kind("sparse", "entrySparse", "a sparse file", b"S"),
        kind("pax", "entryPax", "a pax extension header", b"x"),
        kind("gnu-long-name", "entryGnu", "a GNU long name", b"L"),
        inner("pax-before", "entryPax", "a pax extension header that renames the record", |bytes| {
            let pax = patched(entry("PaxHeaders/x", b"26 path=../../etc/shadow\n\n", 0), 0, TYPE, b"x");
            [pax, bytes].concat()
        }),
        inner("link-behind", "recordExtra", "a link behind the last record", |mut bytes| {
            bytes.truncate(bytes.len() - 1024);
            bytes.extend(patched(patched(header("records/x", 0, 0), 0, TYPE, b"2"), 0, LINK, b"/etc/passwd"));
            bytes.extend([0; 1024]);
            bytes
        }),
    ]
}

fn names() -> Vec<Case> {
    vec![
        renamed("name", "entryUnexpected", "another name", "records/x.json"),
        renamed("path-that-climbs", "entryPath", "a path that climbs", "../../../../etc/cron.d/x"),
        renamed("absolute-path", "entryPath", "an absolute path", "/records/000000-a.json"),
        renamed("name-that-acts", "entryUnexpected", "a name that would clear the screen", "\u{1b}[2J"),
        case("inner-order", "recordOrder", "the second record's name first", {
            Forge::pair().entry(0, "records/000001-a.json", FIRST).build()
        }),
        pair("swapped", "recordOrder", "the records in another order", |bytes| {
            [&bytes[1024..2048], &bytes[..1024], &bytes[2048..]].concat()
        }),
    ]
}

fn fields() -> Vec<Case> {
    vec![
        field("size-in-base-256", "a size in base 256", SIZE, b"\x80\0\0\0\0\0\0\0\0\0\0\x60"),
        field("size-negative", "a negative size", SIZE, &[0xff; 12]),
        field("mode", "another mode", MODE, b"0000755"),
        field("owner", "another owner", OWNER, b"0001750"),
        field("owner-name", "an owner's name", OWNER_NAME, b"root"),
        field("time", "another time", MTIME, b"00000000001"),
        field("gnu-magic", "GNU's magic", MAGIC, b"ustar  \0"),
        field("devices", "a device number", DEVICES, b"0000001\0"),
        field("prefix", "a prefix", PREFIX, b"p"),
        field("bytes-at-the-end", "something at the end of a header", 511, b"x"),
        inner("checksum", "entryHeader", "a wrong checksum", |mut bytes| {
            bytes[CHECKSUM] = b'7';
            bytes
        }),
        inner("padding", "entryPadding", "something in the padding", |mut bytes| {
            bytes[512 + FIRST.len()] = 1;
            bytes
        }),
        inner("size-beyond-the-end", "limitExceeded", "a record that claims to be 8 GiB", |bytes| {
            patched(bytes, 0, SIZE, b"77777777777")
        }),
        inner("size-of-the-manifest", "recordSize", "a full entry of another size than the manifest says", |bytes| {
            patched(bytes, 0, SIZE, b"00000000010")
        }),
    ]
}

fn ends() -> Vec<Case> {
    vec![
        inner("no-end-marker", "truncated", "without zero blocks at the end", |mut bytes| {
            bytes.truncate(bytes.len() - 1024);
            bytes
        }),
        inner("half-an-end-marker", "truncated", "with one zero block at the end", |mut bytes| {
            bytes.truncate(bytes.len() - 512);
            bytes
        }),
        inner("cut-in-a-record", "truncated", "cut in a record", |mut bytes| {
            bytes.truncate(540);
            bytes
        }),
        inner("empty", "truncated", "no tar at all", |_| Vec::new()),
        inner("second-tar", "trailingBytes", "another tar behind the end", |bytes| bytes.repeat(2)),
        inner("trailing-half-block", "trailingBytes", "half a zero block behind the end", |mut bytes| {
            bytes.extend([0; 256]);
            bytes
        }),
        inner("one-zero-block-and-more", "trailingBytes", "a header behind a single zero block", |mut bytes| {
            bytes.truncate(bytes.len() - 512);
            bytes.extend(header("x", 0, 0));
            bytes
        }),
        pair("missing", "recordMissing", "the end where the second record should be", |bytes| {
            [&bytes[..1024], &[0; 1024]].concat()
        }),
        inner("none", "recordMissing", "an end marker alone", |_| vec![0; 1024]),
        inner("extra", "recordExtra", "a second record", |mut bytes| {
            bytes.truncate(bytes.len() - 1024);
            bytes.extend(entry("records/000001-a.json", FIRST.as_bytes(), 0));
            bytes.extend([0; 1024]);
            bytes
        }),
    ]
}

//! Outer tars that are not as they must be.

use super::archive::{CHECKSUM, LINK, MAGIC, MODE, PREFIX, SIZE, TYPE, entry, header, patched, seal, special, tar};
use super::{Case, Forge, case, places};

/// A sound bundle that is changed when it is finished.
fn outer(name: &str, code: &'static str, about: &'static str, change: fn(Vec<u8>) -> Vec<u8>) -> Case {
    case(name, code, about, Forge::new().outer(change).build())
}

/// Something in place of the end marker, which follows it.
fn before_end(mut bytes: Vec<u8>, addition: &[u8]) -> Vec<u8> {
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(addition);
    bytes.extend([0; 1024]);
    bytes
}

/// The files in another arrangement: places into the three of a bundle.
fn arranged(bytes: &[u8], order: &[usize]) -> Vec<u8> {
    let places = places(bytes);
    let mut arranged: Vec<u8> = order.iter().flat_map(|at| &bytes[places[*at]..places[*at + 1]]).copied().collect();
    arranged.extend([0; 1024]);
    arranged
}

pub fn cases() -> Vec<Case> {
    let mut cases = cut();
    cases.extend(entries());
    cases.extend(headers());
    cases.extend(ends());
    cases.extend(limits());
    cases
}

fn cut() -> Vec<Case> {
    vec![
        outer("cut-to-nothing", "notABundle", "an empty file", |_| Vec::new()),
        outer("cut-in-first-header", "truncated", "cut in the first header", |mut bytes| {
            bytes.truncate(300);
            bytes
        }),
        outer("cut-in-manifest", "truncated", "cut in the manifest", |mut bytes| {
            bytes.truncate(700);
            bytes
        }),
        outer("cut-in-signature", "truncated", "cut in the signature", |mut bytes| {
            bytes.truncate(places(&bytes)[1] + 512 + 40);
            bytes
        }),
        outer("cut-in-payload", "truncated", "cut in the payload", |mut bytes| {
            bytes.truncate(places(&bytes)[2] + 512 + 100);
            bytes
        }),
        outer("cut-in-padding", "truncated", "cut in the padding behind the payload", |mut bytes| {
            bytes.truncate(places(&bytes)[3] - 1);
            bytes
        }),
        outer("no-end-marker", "truncated", "without zero blocks at the end", |mut bytes| {
            bytes.truncate(bytes.len() - 1024);
            bytes
        }),
        outer("half-an-end-marker", "truncated", "with one zero block at the end", |mut bytes| {
            bytes.truncate(bytes.len() - 512);
            bytes
        }),
        outer("payload-beyond-the-end", "truncated", "a payload that claims to be 1 TiB", |bytes| {
            let at = places(&bytes)[2];
            patched(bytes, at, SIZE, b"20000000000\0")
        }),
        outer("only-zeros", "entryMissing", "nothing but an end marker", |_| vec![0; 1024]),
        outer("text", "notABundle", "a line of text", |_| b"This is not the file that you are looking for.\n".to_vec()),
    ]
}

fn entries() -> Vec<Case> {
    let special_entry = |name: &str, code, about, kind: u8| {
        let change = move |bytes: Vec<u8>| before_end(bytes, &special("extra", kind, b""));
        case(name, code, about, Forge::new().outer(change).build())
    };
    vec![
        outer("order", "repacked", "the signature before the manifest", |bytes| arranged(&bytes, &[1, 0, 2])),
        outer("folder", "repacked", "the three files in a folder", |bytes| {
            let named = |bytes: Vec<u8>, at: usize, name: &str| {
                let mut field = format!("bundle/{name}").into_bytes();
                field.resize(100, 0);
                patched(bytes, at, 0, &field)
            };
            let places = places(&bytes);
            let bytes = named(bytes, places[0], "manifest.json");
            let bytes = named(bytes, places[1], "manifest.json.sig");
            let bytes = named(bytes, places[2], "records.tar.gz");
            [special("bundle/", b'5', b""), bytes].concat()
        }),
        outer("pax-headers", "repacked", "a pax extension header before the manifest", |bytes| {
            [special("PaxHeaders/manifest.json", b'x', b"30 mtime=1767398400.123456789\n"), bytes].concat()
        }),
        outer("gnu-long-name", "repacked", "a GNU long name before the manifest", |bytes| {
            [special("././@LongLink", b'L', b"manifest.json\0"), bytes].concat()
        }),
        outer("v7-headers", "repacked", "headers of the time before ustar", |mut bytes| {
            for at in places(&bytes).into_iter().take(3) {
                bytes = patched(bytes, at, MAGIC, &[0; 8]);
            }
            bytes
        }),
        outer("apple-double", "repacked", "a file of resource forks, as macOS adds them", |bytes| {
            [entry("./._manifest.json", b"\0\x05\x16\x07", 0), bytes].concat()
        }),
        outer("directory-of-another-name", "repacked", "a directory entry ./.", |bytes| {
            [special("./.", b'5', b""), bytes].concat()
        }),
        outer("directory-twice", "entryDuplicate", "the directory entry ./ twice", |bytes| {
            [special("./", b'5', b""), special("./", b'5', b""), bytes].concat()
        }),
        outer("manifest-twice", "entryDuplicate", "a second, empty manifest at the end", |bytes| {
            before_end(bytes, &entry("manifest.json", b"", 0))
        }),
        outer("signature-twice", "entryDuplicate", "a second signature behind the first", |bytes| {
            let places = places(&bytes);
            [&bytes[..places[2]], &bytes[places[1]..]].concat()
        }),
        outer("no-payload", "entryMissing", "manifest and signature alone", |bytes| arranged(&bytes, &[0, 1])),
        outer("no-signature", "entryUnexpected", "the payload behind the manifest", |bytes| arranged(&bytes, &[0, 2])),
        outer("extra-entry", "entryUnexpected", "a fourth file at the end", |bytes| {
            before_end(bytes, &entry("README", b"read me", 0))
        }),
        outer("extra-entry-first", "entryUnexpected", "a fourth file at the beginning", |bytes| {
            [entry("README", b"read me", 0), bytes].concat()
        }),
        outer("path-that-climbs", "entryPath", "a fourth file outside of where it is unpacked", |bytes| {
            before_end(bytes, &entry("../../.bashrc", b"", 0))
        }),
        outer("absolute-path", "entryPath", "a fourth file at an absolute path", |bytes| {
            before_end(bytes, &entry("/etc/cron.d/x", b"", 0))
        }),
        outer("terminal-escape-in-a-name", "entryUnexpected", "a name that would clear the screen", |bytes| {
            before_end(bytes, &entry("\u{1b}[2J\u{202e}gpj.x", b"", 0))
        }),
        special_entry("hard-link", "entryLink", "a hard link", b'1'),
        special_entry("symbolic-link", "entryLink", "a symbolic link", b'2'),
        special_entry("character-device", "entryDevice", "a character device", b'3'),
        special_entry("empty-folder", "repacked", "an empty folder beside the files", b'5'),
        special_entry("fifo", "entryFifo", "a FIFO", b'6'),
        special_entry("sparse", "entrySparse", "a sparse file", b'S'),
        special_entry("pax-at-the-end", "repacked", "a pax extension header for nothing", b'g'),
        outer("manifest-as-a-directory", "entryDirectory", "a manifest that is a directory", |bytes| {
            patched(bytes, 0, TYPE, b"5")
        }),
        outer("manifest-as-a-link", "entryLink", "a manifest that is a symbolic link", |bytes| {
            patched(bytes, 0, TYPE, b"2")
        }),
    ]
}

fn headers() -> Vec<Case> {
    vec![
        outer("checksum", "entryHeader", "a wrong header checksum", |mut bytes| {
            bytes[CHECKSUM + 5] ^= 1;
            bytes
        }),
        outer("checksum-seven-digits", "entryHeader", "a right checksum of seven digits", |mut bytes| {
            let digits = String::from_utf8(bytes[CHECKSUM..CHECKSUM + 6].to_vec()).unwrap();
            bytes[CHECKSUM..TYPE].copy_from_slice(format!("0{digits}\0").as_bytes());
            bytes
        }),
        outer("size-in-base-256", "entryHeader", "a size in base 256", |bytes| {
            let size = u16::from_str_radix(std::str::from_utf8(&bytes[SIZE..SIZE + 11]).unwrap(), 8).unwrap();
            let field = [&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &size.to_be_bytes()].concat();
            patched(bytes, 0, SIZE, &field)
        }),
        outer("negative-size", "entryHeader", "a negative size in base 256", |bytes| {
            patched(bytes, 0, SIZE, &[0xff; 12])
        }),
        outer("size-with-a-9", "entryHeader", "a size with a digit that is not octal", |bytes| {
            patched(bytes, 0, SIZE + 9, b"9")
        }),
        outer("size-with-a-sign", "entryHeader", "a size with a plus sign", |bytes| patched(bytes, 0, SIZE, b"+")),
        outer("prefix", "entryHeader", "a header with a prefix", |bytes| patched(bytes, 0, PREFIX, b"p")),
        outer("link-name", "entryHeader", "a regular file with a link name", |bytes| {
            patched(bytes, 0, LINK, b"/etc/passwd")
        }),
        outer("hidden-bytes-behind-a-name", "entryHeader", "something behind the NUL of a name", |bytes| {
            patched(bytes, 0, 50, b"hidden")
        }),
        outer("name-that-is-no-text", "entryHeader", "a name that is not UTF-8", |bytes| {
            before_end(bytes, &patched(header("x", 0, 0), 0, 0, b"\xff\xfe"))
        }),
        outer("name-without-a-nul", "entryUnexpected", "a name of a hundred bytes", |bytes| {
            before_end(bytes, &patched(header("x", 0, 0), 0, 0, &[b'n'; MODE]))
        }),
        outer("magic", "entryHeader", "another magic", |bytes| patched(bytes, 0, MAGIC, b"ustar\x0001")),
        outer("padding", "entryPadding", "something in the padding behind the manifest", |mut bytes| {
            let at = places(&bytes)[1] - 1;
            bytes[at] = 1;
            bytes
        }),
        outer("payload-padding", "entryPadding", "something in the padding behind the payload", |mut bytes| {
            let at = places(&bytes)[3] - 1;
            bytes[at] = 1;
            bytes
        }),
    ]
}

fn ends() -> Vec<Case> {
    vec![
        outer("trailing-block", "trailingBytes", "a block behind the end", |mut bytes| {
            bytes.extend([1; 512]);
            bytes
        }),
        outer("trailing-line-feed", "trailingBytes", "a line feed behind the end", |mut bytes| {
            bytes.push(b'\n');
            bytes
        }),
        outer("trailing-half-block", "trailingBytes", "half a zero block behind the end", |mut bytes| {
            bytes.extend([0; 256]);
            bytes
        }),
        outer("one-zero-block-and-more", "trailingBytes", "a header behind a single zero block", |mut bytes| {
            bytes.truncate(bytes.len() - 512);
            bytes.extend(entry("more", b"", 0));
            bytes
        }),
    ]
}

fn limits() -> Vec<Case> {
    vec![
        outer("manifest-of-1-tib", "limitExceeded", "a manifest that claims to be 1 TiB", |bytes| {
            patched(bytes, 0, SIZE, b"20000000000\0")
        }),
        outer("larger-than-allowed", "limitExceeded", "a bundle of more bytes than are allowed", |bytes| bytes)
            .limit("bundle-bytes=4096"),
        outer("longer-manifest-than-allowed", "limitExceeded", "a manifest of more bytes than are allowed", |bytes| {
            bytes
        })
        .limit("manifest-bytes=512"),
        case(
            "signature-of-88-bytes",
            "signatureEncoding",
            "a signature file of 88 bytes",
            tar([("manifest.json", &b"{}"[..]), ("manifest.json.sig", &[b'A'; 88]), ("records.tar.gz", b"")], 0),
        ),
        outer("unsealed", "entryHeader", "a third header without a checksum", |mut bytes| {
            let at = places(&bytes)[2];
            seal(&mut bytes[at..at + 512]);
            bytes[at + CHECKSUM..at + TYPE].fill(b' ');
            bytes
        }),
    ]
}

//! Bundles that something happened to on their way, each by hand, so that no compressor has to stay as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Crc;

use super::archive::{gzip, tar};
use super::receipts;
use super::{Case, Forge, case};

fn altered(name: &str, code: &'static str, about: &'static str, change: fn(Vec<u8>) -> Vec<u8>) -> Case {
    case("", code, about, Forge::new().outer(change).build()).named(name)
}

/// A zip file of one entry that is not compressed.
fn zip(name: &str, contents: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(contents);
    let (size, length) = (crc.amount().to_le_bytes(), u16::try_from(name.len()).unwrap().to_le_bytes());
    let common =
        [&[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..], &crc.sum().to_le_bytes(), &size, &size, &length, &[0, 0]].concat();
    let mut bytes = [&b"PK\x03\x04"[..], &common, name.as_bytes(), contents].concat();
    let start = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let central = [&b"PK\x01\x02"[..], &[20, 0], &common, &[0; 10], &[0; 4], name.as_bytes()].concat();
    let length = u32::try_from(central.len()).unwrap().to_le_bytes();
    bytes.extend(&central);
    bytes.extend([&b"PK\x05\x06"[..], &[0, 0, 0, 0, 1, 0, 1, 0], &length, &start, &[0, 0]].concat());
    bytes
}

fn lines(text: &str, end: &str) -> String {
    let pieces = text.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned() + end);
    pieces.collect()
}

fn quoted_printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut width = 0;
    for byte in bytes {
        let piece = match byte {
            b'!'..=b'<' | b'>'..=b'~' => char::from(*byte).to_string(),
            other => format!("={other:02X}"),
        };
        if width + piece.len() > 75 {
            text.push_str("=\r\n");
            width = 0;
        }
        width += piece.len();
        text.push_str(&piece);
    }
    text + "\r\n"
}

const MAIL: &str = "Received: from desk.example by mail.example; Sun, 04 Jan 2026 08:00:00 +0000\r\n\
    From: admin@desk.example\r\nTo: telemetry@example.org\r\nSubject: the bundle of this quarter\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=-cut-here\"\r\n\r\n\
    --=-cut-here\r\nContent-Type: text/plain\r\n\r\nPlease find it attached.\r\n\r\n\
    --=-cut-here\r\nContent-Type: application/x-tar; name=\"bundle.tar\"\r\nContent-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename=\"bundle.tar\"\r\n\r\n";

pub fn cases() -> Vec<Case> {
    vec![
        altered("gzip.tar.gz", "wrapped", "compressed with gzip", |bytes| gzip(&bytes)),
        altered("zip.zip", "wrapped", "in a zip file", |bytes| zip("bundle.tar", &bytes)),
        altered("zip-of-files.zip", "wrapped", "unpacked and then in a zip file", |_| zip("b/manifest.json", b"{}")),
        altered("xz.tar.xz", "wrapped", "the beginning of an xz file", |_| {
            b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46".to_vec()
        }),
        altered("zstd.tar.zst", "wrapped", "the beginning of a zstd file", |_| b"\x28\xb5\x2f\xfd\x04\x58".to_vec()),
        altered("bzip2.tar.bz2", "wrapped", "the beginning of a bzip2 file", |_| b"BZh91AY&SY".to_vec()),
        altered("7z.7z", "wrapped", "the beginning of a 7z file", |_| b"7z\xbc\xaf\x27\x1c\0\x04".to_vec()),
        altered("tar-in-tar.tar", "wrapped", "archived once more with tar", |bytes| {
            tar([("x/bundle.tar", &bytes[..])], 0)
        }),
        altered("gzip-in-tar.tar", "wrapped", "compressed, then archived with tar", |bytes| {
            tar([("bundle.tar.gz", gzip(&bytes).as_slice())], 0)
        }),
        altered("base64.txt", "encoded", "base64 on one line", |bytes| BASE64.encode(bytes).into_bytes()),
        altered("base64-lines.txt", "encoded", "base64 in lines that end with CR LF", |bytes| {
            lines(&BASE64.encode(bytes), "\r\n").into_bytes()
        }),
        altered("base64-of-gzip.txt", "encoded", "base64 of a gzip file", |bytes| {
            BASE64.encode(gzip(&bytes)).into_bytes()
        }),
        altered("armour.txt", "encoded", "base64 between lines of dashes", |bytes| {
            let text = lines(&BASE64.encode(bytes), "\n");
            format!("-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n").into_bytes()
        }),
        altered("quoted-printable.txt", "encoded", "quoted-printable", |bytes| quoted_printable(&bytes).into_bytes()),
        altered("mail.eml", "encoded", "a mail message with the bundle attached", |bytes| {
            format!("{MAIL}{}--=-cut-here--\r\n", lines(&BASE64.encode(bytes), "\r\n")).into_bytes()
        }),
        altered("mail-part.txt", "encoded", "one part of a mail message, with its headers", |bytes| {
            let text = lines(&BASE64.encode(bytes), "\n");
            format!("Content-Type: application/x-tar\nContent-Transfer-Encoding: base64\n\n{text}").into_bytes()
        }),
        altered("cr-lf.tar", "textConverted", "every LF became CR LF", |bytes| {
            bytes.iter().flat_map(|byte| if *byte == b'\n' { vec![b'\r', b'\n'] } else { vec![*byte] }).collect()
        }),
        altered("utf-8.tar", "textConverted", "taken for Latin-1 and written as UTF-8", |bytes| {
            bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()
        }),
        altered("replaced.tar", "textConverted", "what is not UTF-8 was replaced by U+FFFD", |bytes| {
            String::from_utf8_lossy(&bytes).into_owned().into_bytes()
        }),
        altered("utf-16.tar", "textConverted", "written as UTF-16", |bytes| {
            let units = bytes.iter().flat_map(|byte| [*byte, 0]);
            [0xff, 0xfe].into_iter().chain(units).collect()
        }),
        altered("byte-order-mark.tar", "textConverted", "with a byte order mark in front", |bytes| {
            [&b"\xef\xbb\xbf"[..], &bytes].concat()
        }),
        altered("login.html", "webPage", "a login page", |_| {
            b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body></body></html>\n".to_vec()
        }),
        case("", "notABundle", "the manifest alone", Forge::new().parts().0).named("manifest.json"),
        case("", "wrapped", "the payload alone", Forge::new().parts().2).named("records.tar.gz"),
        case("", "notABundle", "the payload alone, decompressed", {
            let forge = Forge::new();
            let entries = forge.entries.iter().map(|(name, contents)| (name.as_str(), contents.as_slice()));
            tar(entries, 0)
        })
        .named("records.tar"),
        case("receipt-for-a-bundle", "wrongDocument", "a receipt", receipts::sound()),
    ]
}

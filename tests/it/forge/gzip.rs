//! Payloads whose gzip stream is not as it must be.

use flate2::Crc;

use super::archive::{GZIP_HEADER, gzip, gzip_with};
use super::{Case, Forge, case};

fn payload(name: &str, code: &'static str, about: &'static str, change: fn(Vec<u8>) -> Vec<u8>) -> Case {
    case(name, code, about, Forge::new().payload(change).build())
}

fn header(name: &str, about: &'static str, header: &'static [u8]) -> Case {
    case(name, "gzipHeader", about, Forge::new().gzip(|plain| gzip_with(header, &plain)).build())
}

/// A header that promises a checksum of itself.
const FLAGGED: &[u8] = b"\x1f\x8b\x08\x02\0\0\0\0\0\xff";

pub fn cases() -> Vec<Case> {
    let damaged = "gzipDamaged";
    vec![
        payload("gzip-second-member", "gzipSecondMember", "an empty second member", |bytes| {
            [bytes, gzip(b"")].concat()
        }),
        case("gzip-in-two-members", "truncated", "the tar in two members", {
            Forge::new().gzip(|plain| [gzip(&plain[..512]), gzip(&plain[512..])].concat()).build()
        }),
        payload("gzip-trailing-zeros", "gzipTrailing", "zeros behind the stream", |bytes| {
            [bytes, vec![0; 512]].concat()
        }),
        payload("gzip-trailing-byte", "gzipTrailing", "a byte behind the stream", |mut bytes| {
            bytes.push(0x1f);
            bytes
        }),
        header("gzip-name", "a file name", b"\x1f\x8b\x08\x08\0\0\0\0\0\xffx.tar\0"),
        header("gzip-comment", "a comment", b"\x1f\x8b\x08\x10\0\0\0\0\0\xffhello\0"),
        header("gzip-extra", "an extra field", b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x04\0AB\0\0"),
        header("gzip-time", "a time", b"\x1f\x8b\x08\0\x01\0\0\0\0\xff"),
        case("gzip-header-checksum", "gzipHeader", "a checksum of the header", {
            let mut crc = Crc::new();
            crc.update(FLAGGED);
            let header = [FLAGGED, &crc.sum().to_le_bytes()[..2]].concat();
            Forge::new().gzip(move |plain| gzip_with(&header, &plain)).build()
        }),
        header("gzip-reserved-flag", "a reserved flag", b"\x1f\x8b\x08\x20\0\0\0\0\0\xff"),
        payload("gzip-method", damaged, "another method than deflate", |mut bytes| {
            bytes[2] = 7;
            bytes
        }),
        payload("gzip-none", damaged, "no gzip stream at all", |_| b"plain text, and no stream".to_vec()),
        payload("gzip-header-alone", damaged, "a gzip header and nothing else", |_| GZIP_HEADER.to_vec()),
        payload("gzip-wrong-crc", damaged, "a wrong checksum", |mut bytes| {
            let at = bytes.len() - 8;
            bytes[at] ^= 1;
            bytes
        }),
        payload("gzip-wrong-length", damaged, "a wrong length", |mut bytes| {
            let at = bytes.len() - 4;
            bytes[at] ^= 1;
            bytes
        }),
        payload("gzip-cut", damaged, "cut in the trailer", |mut bytes| {
            bytes.truncate(bytes.len() - 4);
            bytes
        }),
        payload("gzip-cut-in-data", "gzipDamaged", "cut in the data", |mut bytes| {
            bytes.truncate(bytes.len() / 2);
            bytes
        }),
        payload("gzip-block-type", damaged, "a block of the type that is reserved", |mut bytes| {
            bytes[10] = 0b110;
            bytes
        }),
        case(
            "payload-size",
            "payloadSize",
            "a payload of another size than the manifest says",
            Forge::new().with("/payload/size", 1).build(),
        ),
        case(
            "payload-digest",
            "payloadDigest",
            "a payload of another digest than the manifest says",
            Forge::new().with("/payload/sha256", "0".repeat(64)).build(),
        ),
        case(
            "payload-altered",
            "payloadDigest",
            "a payload with one bit flipped",
            Forge::new()
                .outer(|mut bytes| {
                    let at = super::places(&bytes)[2] + 512 + 100;
                    bytes[at] ^= 1;
                    bytes
                })
                .build(),
        ),
    ]
}

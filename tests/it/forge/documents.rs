//! Manifests that are not canonical JSON.

use super::{Case, Forge, case};

/// A sound manifest in which `from` becomes `to` before it is signed.
fn replaced(name: &str, code: &'static str, about: &'static str, from: &'static str, to: impl Into<String>) -> Case {
    case(name, code, about, Forge::new().replace(from, to).build())
}

fn changed(name: &str, code: &'static str, about: &'static str, change: fn(Vec<u8>) -> Vec<u8>) -> Case {
    case(name, code, about, Forge::new().text(change).build())
}

/// A manifest with an unknown member that is read only to be passed over.
fn unknown(name: &str, code: &'static str, about: &'static str, value: impl Into<String>) -> Case {
    replaced(name, code, about, "\"withheld\":[]", format!("\"withheld\":[],\"x\":{}", value.into()))
}

pub fn cases() -> Vec<Case> {
    let not_canonical = "manifestNotCanonical";
    vec![
        changed("manifest-not-utf-8", "manifestNotUtf8", "a byte that is not UTF-8", |bytes| {
            let at = bytes.windows(7).position(|text| text == b"forge/1").unwrap();
            [&bytes[..at], b"\xe9", &bytes[at + 1..]].concat()
        }),
        changed("manifest-overlong-utf-8", "manifestNotUtf8", "a slash in two bytes", |bytes| {
            let at = bytes.windows(7).position(|text| text == b"forge/1").unwrap() + 5;
            [&bytes[..at], b"\xc0\xaf", &bytes[at + 1..]].concat()
        }),
        changed("manifest-with-a-mark", "manifestNotJson", "a byte order mark in front", |bytes| {
            [&b"\xef\xbb\xbf"[..], &bytes].concat()
        }),
        changed("manifest-cut", "manifestNotJson", "without its last brace", |mut bytes| {
            bytes.pop();
            bytes
        }),
        changed("manifest-empty", "manifestNotJson", "an empty manifest", |_| Vec::new()),
        changed("manifest-twice-in-one", "manifestNotJson", "two manifests in a row", |bytes| bytes.repeat(2)),
        replaced("manifest-nan", "manifestNotJson", "NaN", "\"dropped\":0", "\"dropped\":NaN"),
        replaced("manifest-control-character", "manifestNotJson", "a tab that is not escaped", "forge/1", "forge/\t1"),
        changed("manifest-line-feed", not_canonical, "a line feed behind it", |mut bytes| {
            bytes.push(b'\n');
            bytes
        }),
        replaced("manifest-space", not_canonical, "a space", "\"dropped\":0", "\"dropped\": 0"),
        replaced(
            "manifest-unsorted",
            not_canonical,
            "members that are not sorted",
            "\"discarded\":0,\"dropped\":0",
            "\"dropped\":0,\"discarded\":0",
        ),
        unknown(
            "manifest-unsorted-utf-16",
            not_canonical,
            "members sorted by UTF-8 instead of UTF-16",
            "{\"\u{fb33}\":1,\"\u{1f600}\":2}",
        ),
        replaced(
            "manifest-escaped-name",
            not_canonical,
            "a name that is escaped without need",
            "\"format\"",
            "\"\\u0066ormat\"",
        ),
        replaced(
            "manifest-escaped-slash",
            not_canonical,
            "a slash that is escaped without need",
            "forge/1",
            "forge\\/1",
        ),
        unknown("manifest-upper-case-escape", not_canonical, "an escape in upper case", "\"\\u001F\""),
        unknown("manifest-lone-surrogate", not_canonical, "half a pair of surrogates", "\"\\ud800\""),
        replaced("manifest-1-0", not_canonical, "1.0", "\"sequence\":1", "\"sequence\":1.0"),
        replaced("manifest-1e0", not_canonical, "1e0", "\"sequence\":1", "\"sequence\":1e0"),
        replaced("manifest-minus-zero", not_canonical, "-0", "\"dropped\":0", "\"dropped\":-0"),
        unknown("manifest-large-integer", not_canonical, "an integer beyond 2^53-1", "9007199254740992"),
        unknown("manifest-1e400", not_canonical, "a number that overflows", "1e400"),
        unknown(
            "manifest-long-number",
            not_canonical,
            "a number with more digits than it needs",
            "0.1000000000000000055",
        ),
        unknown("manifest-exponent", not_canonical, "an exponent without its plus", "1e21"),
        replaced(
            "manifest-member-twice",
            "manifestDuplicateMember",
            "a member twice",
            "\"dropped\":0",
            "\"dropped\":0,\"dropped\":1",
        ),
        replaced(
            "manifest-member-twice-apart",
            "manifestDuplicateMember",
            "a member again at the end",
            "\"withheld\":[]",
            "\"withheld\":[],\"client\":1",
        ),
        unknown(
            "manifest-member-twice-inside",
            "manifestDuplicateMember",
            "a member twice in an unknown one",
            "{\"a\":[{\"b\":1,\"b\":1}]}",
        ),
        unknown(
            "manifest-escaped-member-twice",
            not_canonical,
            "a member twice, the second time escaped",
            "{\"a\":1,\"\\u0061\":1}",
        ),
        unknown("manifest-depth-65", "limitExceeded", "65 levels", "[".repeat(64) + &"]".repeat(64)),
        unknown(
            "manifest-string-of-65537",
            "limitExceeded",
            "a string of 65,537 bytes",
            format!("\"{}\"", "x".repeat(65_537)),
        ),
        unknown(
            "manifest-name-of-101",
            "limitExceeded",
            "a name of 101 bytes",
            format!("{{\"{}\":1}}", "x".repeat(101)),
        )
        .limit("string-bytes=100"),
    ]
}

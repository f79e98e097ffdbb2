//! Bundles with nothing wrong, which a verifier that is too strict would refuse.

use std::fs;

use serde_json::json;

use super::archive::{DEVICES, MAGIC, MODE, MTIME, OWNER_NAME, SIZE, gzip_with, patched, special};
use super::keys::{rotated, with_mixed_key};
use super::{Case, FIRST, Forge, SECOND, case, places};
use crate::support::root;

fn sound(name: &str, about: &'static str, forge: Forge) -> Case {
    case(name, "valid", about, forge.build())
}

/// The vectors of an independent implementation.
fn published(name: &str, about: &'static str) -> Case {
    let bytes = fs::read(root().join(format!("testdata/bundles/vectors/{name}.tar"))).unwrap();
    case(name, "valid", about, bytes)
}

/// A record of these members, which are sorted between `complete` and `kind`, and behind `version`.
fn record(kind: &str, version: &str, time: &str, before: &str, behind: &str) -> String {
    format!(r#"{{"complete":true,{before}"kind":"{kind}","time":"{time}","version":"{version}"{behind}}}"#)
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        published("one-record", "published: the smallest bundle"),
        published("deltas-two-kinds", "published: two kinds, deltas, a note"),
        published("rotated-key", "published: a key that the trusted one names"),
        sound("full-and-delta", "a full record and a delta", Forge::pair()),
    ];
    cases.extend(manifests());
    cases.extend(records());
    cases.extend(deltas());
    cases.extend(containers());
    cases.extend(trust());
    cases
}

fn manifests() -> Vec<Case> {
    vec![
        sound("unknown-members", "members that are not known yet, also inside of others", {
            Forge::new()
                .with("/someday", json!({"more": [1, 2.5, null, {"uuid": "b"}, {"uuid": "a"}]}))
                .with("/payload/codec", "gzip")
                .with("/records/0/tags", json!(["x"]))
        }),
        sound("note", "a note of 1,024 bytes with what acts on terminals", {
            Forge::new().with("/note", format!("{:x<1015}\u{1b}[2J\u{202e}\u{7f}\n", ""))
        }),
        sound("withheld", "what was withheld, sorted by bytes", {
            Forge::new()
                .with("/withheld", json!(["Z", "a", "kubermatic.users.email", "locations", "\u{fb33}", "\u{1f600}"]))
        }),
        sound("replaces", "a client that says whom it continues", {
            Forge::new().with("/replaces", "00000000-0000-4000-8000-000000000001")
        }),
        sound("counts", "counts that are none, and large ones", {
            Forge::pair()
                .with("/records/0/counts", json!({}))
                .with("/records/1/counts", json!({"ä\u{1b}": 9_007_199_254_740_991_u64}))
        }),
        sound("last-sequence", "the last sequence number there is", {
            Forge::new()
                .with("/sequence", 9_007_199_254_740_991_u64)
                .with("/previous", format!("sha256:{}", "0".repeat(64)))
                .with("/dropped", 9_007_199_254_740_991_u64)
        }),
        sound("created-before-1970", "a clock before 1970, whose time no header can hold", {
            Forge::new().with("/created", "1969-12-31T23:59:59Z")
        }),
        sound("created-in-9999", "a clock in 9999, whose time no header can hold", {
            Forge::new().with("/created", "9999-12-31T23:59:59Z")
        }),
        sound("created-in-a-leap-second", "a leap second", Forge::new().with("/created", "2016-12-31T23:59:60Z")),
        sound("manifest-strings", "escapes, and members sorted by UTF-16", {
            Forge::new()
                .with("/producer", "\"\\/\u{8}\u{c}\n\r\t\u{1f}\u{7f}€\u{1f600}")
                .with("/x", json!({"\u{fb33}": 1, "\u{1f600}": 2, "": 3}))
        }),
        sound("manifest-numbers", "numbers of every shape in members that are not known", {
            Forge::new().replace(
                "\"withheld\":[]",
                concat!(
                    "\"withheld\":[],\"x\":[0,-1,1.5,1e+21,1.7976931348623157e+308,5e-324,1e-7,0.000001,",
                    "123456789012345.67,-2.5e-9]"
                ),
            )
        }),
        sound("limits-reached", "64 levels and a string of 65,536 bytes", {
            Forge::new()
                .with("/x", json!("x".repeat(65_536)))
                .replace("\"withheld\":[]", format!("\"withheld\":[],\"wz\":{}{}", "[".repeat(63), "]".repeat(63)))
        }),
        sound("no-records", "no records at all", Forge::of(&[])),
    ]
}

fn records() -> Vec<Case> {
    let times = [
        "0000-01-01T00:00:00-23:59",
        "2016-12-31T23:59:60Z",
        "2026-01-01T00:00:00.000000001+05:45",
        "2026-01-01T00:00:00.5Z",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:60.123-00:00",
        "9999-12-31T23:59:59.999999999Z",
    ];
    let of_times = times.map(|time| record("a", "v1", time, "", ""));
    let of_times: Vec<_> = of_times.iter().map(|text| ("full", text.as_str(), text.as_str())).collect();
    let kinds = [("a", "v1"), ("a", "v10"), ("a", "v2"), ("a-1", "v1"), ("a1", "v9999"), ("kubermatic", "v1")];
    let of_kinds = kinds.map(|(kind, version)| record(kind, version, "2026-01-01T00:00:00Z", "", ""));
    let of_kinds: Vec<_> = of_kinds.iter().map(|text| ("full", text.as_str(), text.as_str())).collect();
    let strings = record(
        "a",
        "v1",
        "2026-01-01T00:00:00Z",
        "\"d\":{\"\u{1f600}\":1,\"\u{fb33}\":2},",
        ",\"é\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u001f\u{7f}\u{1f600}\"",
    );
    let rows = record(
        "a",
        "v1",
        "2026-01-01T00:00:00Z",
        "",
        concat!(
            r#","w":[{"uuid":"b"},{"uuid":"a"},{"uuid":"b"}],"x":[{"uuid":"b"},{"id":"a"}],"#,
            r#""y":[{"id":"1"},{"id":"2","uuid":"a"}],"#,
            r#""z":[{"id":"2","uuid":"a"},{"id":"1","uuid":"b","z":[{"id":"1"},{"id":"2"}]}]"#
        ),
    );
    let empty = record("a", "v1", "2026-01-01T00:00:00Z", "\"d\":{},", ",\"x\":[],\"y\":[[],{}],\"z\":\"\"");
    let incomplete = r#"{"complete":false,"kind":"a","problems":[],"time":"2026-01-01T00:00:00Z","version":"v1"}"#;
    let silent = r#"{"kind":"a","time":"2026-01-01T00:00:00Z","version":"v1"}"#;
    let one = |name: &str, about, record: &str| sound(name, about, Forge::of(&[("full", record, record)]));
    vec![
        sound("times", "times with fractions and offsets, sorted as text", Forge::of(&of_times)),
        sound("kinds-and-versions", "kinds and versions, sorted as text", Forge::of(&of_kinds)),
        one("record-strings", "escapes, and members sorted by UTF-16", &strings),
        one("record-rows", "arrays that are keyed by uuid, by id, or not at all", &rows),
        one("record-empty-things", "empty arrays, objects and strings", &empty),
        one("record-incomplete", "a record that is not complete", incomplete),
        one("record-without-completeness", "a record that does not say whether it is complete", silent),
    ]
}

fn deltas() -> Vec<Case> {
    let state = |day: u32, members: &str| record("a", "v1", &format!("2026-01-0{day}T00:00:00Z"), members, "");
    let first = state(1, r#""d":1,"gone":[1],"ids":[{"id":"1","n":1},{"id":"3"}],"#);
    let second = state(2, r#""d":{"now":"an object"},"ids":[{"id":"1","n":2},{"id":"2"}],"#);
    let third = state(3, r#""d":{"now":"an object"},"ids":[],"#);
    let fourth = state(4, r#""d":{"now":"an object"},"ids":[{"id":"1","in":[{"id":"1"},{"id":"2"}]}],"#);
    let time = |day: u32| format!("\"time\":\"2026-01-0{day}T00:00:00Z\"");
    let entries = [
        format!(
            r#"{{"rows":{{"ids":{{"delete":["3"],"put":[{{"id":"1","n":2}},{{"id":"2"}}]}}}},{},"unset":["gone"]}}"#,
            format_args!(r#""set":{{"d":{{"now":"an object"}},{}}}"#, time(2))
        ),
        format!(r#"{{"set":{{"ids":[],{}}}}}"#, time(3)),
        // Rows inside of what is set are sorted in the result, however the delta has them.
        format!(r#"{{"set":{{"ids":[{{"id":"1","in":[{{"id":"2"}},{{"id":"1"}}]}}],{}}}}}"#, time(4)),
    ];
    let escaped = [
        record("a", "v1", "2026-01-01T00:00:00Z", "\"i\":[{\"id\":\"\\n\"},{\"id\":\"\\\"\"},{\"id\":\"é\"}],", ""),
        record("a", "v1", "2026-01-02T00:00:00Z", "\"i\":[{\"id\":\"\\\"\",\"n\":1},{\"id\":\"\u{1f600}\"}],", ""),
    ];
    let escaped_delta = concat!(
        "{\"rows\":{\"i\":{\"delete\":[\"\\n\",\"é\"],\"put\":[{\"id\":\"\\\"\",\"n\":1},{\"id\":\"\u{1f600}\"}]}},",
        "\"set\":{\"time\":\"2026-01-02T00:00:00Z\"}}"
    );
    vec![
        sound("delta-parts", "deltas with every part", {
            Forge::of(&[
                ("full", &first, &first),
                ("delta", &second, &entries[0]),
                ("delta", &third, &entries[1]),
                ("delta", &fourth, &entries[2]),
            ])
        }),
        sound(
            "delta-of-nothing",
            "two records that are equal",
            Forge::of(&[("full", FIRST, FIRST), ("delta", FIRST, "{}")]),
        ),
        sound("delta-keys-that-are-escaped", "keys of rows that are spelled with escapes", {
            Forge::of(&[("full", &escaped[0], &escaped[0]), ("delta", &escaped[1], escaped_delta)])
        }),
        sound("delta-of-rows-set", "rows that are set as a whole though they are keyed", {
            let delta = r#"{"set":{"rows":[{"uuid":"2"}],"time":"2026-01-02T00:00:00Z"}}"#;
            Forge::of(&[("full", FIRST, FIRST), ("delta", SECOND, delta)])
        }),
        sound("full-again", "a full record between deltas", {
            let (third, fourth) = (SECOND.replace("01-02", "01-03"), SECOND.replace("01-02", "01-04"));
            let delta = r#"{"set":{"time":"2026-01-04T00:00:00Z"}}"#;
            Forge::of(&[("full", FIRST, FIRST), ("full", &third, &third), ("delta", &fourth, delta)])
        }),
    ]
}

fn containers() -> Vec<Case> {
    let outer = |name: &str, about, change: fn(Vec<u8>) -> Vec<u8>| sound(name, about, Forge::new().outer(change));
    let each = |bytes: Vec<u8>, field: usize, value: &[u8]| {
        places(&bytes).into_iter().take(3).fold(bytes, |bytes, at| patched(bytes, at, field, value))
    };
    vec![
        outer("dotted-names", "a directory entry ./ and names that begin with it", |bytes| {
            let named = |bytes: Vec<u8>, at: usize, name: &[u8]| patched(bytes, at, 0, name);
            let places = places(&bytes);
            let bytes = named(bytes, places[0], b"./manifest.json");
            let bytes = named(bytes, places[1], b"./manifest.json.sig");
            let bytes = named(bytes, places[2], b"./records.tar.gz");
            [special("./", b'5', b""), bytes].concat()
        }),
        sound(
            "gnu-magic",
            "headers as GNU tar writes them",
            Forge::new().outer(move |bytes| each(bytes, MAGIC, b"ustar  \0")),
        ),
        sound("owners-and-times", "owners, modes and times of somebody", {
            Forge::new().outer(move |bytes| {
                let bytes = each(bytes, MODE, b"0000600\x000001750\x000001750\0");
                let bytes = each(bytes, MTIME, b"17777777777\0");
                let bytes = each(bytes, OWNER_NAME, b"somebody\0");
                each(bytes, DEVICES, b"0000000\x000000000\0")
            })
        }),
        outer("sizes-with-spaces", "a size that ends with a space", |bytes| {
            let at = places(&bytes)[1];
            patched(bytes, at, SIZE, b"00000000131 ")
        }),
        outer("ten-kib", "zero blocks up to ten KiB, as tar programs fill up", |mut bytes| {
            bytes.resize(bytes.len().next_multiple_of(10_240), 0);
            bytes
        }),
        sound("inner-zero-blocks", "more zero blocks at the end of the inner tar", {
            Forge::new().inner(|mut bytes| {
                bytes.resize(bytes.len().next_multiple_of(10_240), 0);
                bytes
            })
        }),
        sound("inner-times-of-zero", "times of zero in the inner tar", {
            Forge::pair().inner(|bytes| {
                [0, 1024].into_iter().fold(bytes, |bytes, at| patched(bytes, at, MTIME, b"00000000000\0"))
            })
        }),
        sound("inner-devices-of-zeros", "device numbers spelled as zeros in the inner tar", {
            Forge::pair().inner(|bytes| {
                [0, 1024].into_iter().fold(bytes, |bytes, at| patched(bytes, at, DEVICES, b"0000000\x000000000\0"))
            })
        }),
        sound("gzip-system", "another operating system and level in the gzip header", {
            Forge::new().gzip(|plain| gzip_with(b"\x1f\x8b\x08\0\0\0\0\0\x02\x03", &plain))
        }),
    ]
}

fn trust() -> Vec<Case> {
    let with = |name: &str, code, about, keyring, forge: Forge| case(name, code, about, forge.build()).keyring(keyring);
    vec![
        with("nobody-trusted", "signerUnknown", "a verifier that trusts nobody", None, Forge::new()),
        with("others-trusted", "signerUnknown", "a verifier that knows other clients", Some("others"), Forge::new()),
        sound("rotated-thrice", "three rotations, of which the first began with the trusted key", rotated(3)),
        sound("rotated-16-times", "as many rotations as are allowed", rotated(16)),
        with("trusted-in-the-middle", "valid", "a chain through the trusted key", Some("second-key"), rotated(3)),
        with(
            "rotated-of-an-unknown",
            "signerUnknown",
            "a chain of a client that is not listed",
            Some("others"),
            rotated(3),
        ),
        with("signer-itself-trusted", "valid", "a trusted signer behind a chain", Some("second-key"), rotated(2)),
        sound("key-of-mixed-order", "a key with a part of small order, whose signature holds", with_mixed_key(true))
            .keyring(None)
            .unknown(),
    ]
}

impl Case {
    fn unknown(self) -> Self {
        Self { code: "signerUnknown", ..self }
    }
}

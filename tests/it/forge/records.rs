//! Records that are not what the manifest says, or not as records must be.

use super::{Case, FIRST, Forge, SECOND, case};

/// A full record in the first place, which the manifest describes rightly as far as size and digest go.
fn first(name: &str, code: &'static str, about: &'static str, record: impl AsRef<[u8]>) -> Case {
    case(&format!("record-{name}"), code, about, Forge::new().first(record).build())
}

/// A record with these members beside its envelope, in order: `beginning` before `complete`, `end` behind `version`.
fn record(beginning: &str, end: &str) -> String {
    format!(r#"{{{beginning}"complete":true,"kind":"a","time":"2026-01-01T00:00:00Z","version":"v1"{end}}}"#)
}

pub fn cases() -> Vec<Case> {
    let mut cases = described();
    cases.extend(spelled());
    cases.extend(enveloped());
    cases
}

fn described() -> Vec<Case> {
    let with = |name: &str, code, about, path: &str, value: serde_json::Value| {
        case(&format!("record-{name}"), code, about, Forge::new().with(path, value).build())
    };
    vec![
        with("of-another-size", "recordSize", "another size than the manifest says", "/records/0/size", 5.into()),
        with(
            "of-another-digest",
            "recordDigest",
            "another digest than the manifest says",
            "/records/0/sha256",
            "0".repeat(64).into(),
        ),
        with("of-another-completeness", "recordMismatch", "another completeness", "/records/0/complete", false.into()),
        with("of-another-version", "recordMismatch", "another version", "/records/0/version", "v2".into()),
        with(
            "of-another-time",
            "recordMismatch",
            "the same time in another spelling",
            "/records/0/time",
            "2026-01-01T00:00:00.0Z".into(),
        ),
        case("record-of-another-kind", "recordMismatch", "another kind", {
            Forge::new().with("/records/0/kind", "b").entry(0, "records/000000-b.json", FIRST).build()
        }),
        case("records-swapped", "recordDigest", "each record under the other's name", {
            let forge = Forge::of(&[("full", FIRST, SECOND), ("full", SECOND, FIRST)]);
            forge.build()
        }),
        case("delta-listed-as-full", "recordSize", "a delta that is listed as full", {
            Forge::pair().with("/records/1/encoding", "full").build()
        }),
    ]
}

fn spelled() -> Vec<Case> {
    let not_canonical = "recordNotCanonical";
    vec![
        first("empty", not_canonical, "an empty record", ""),
        first("array", not_canonical, "a record that is an array", "[]"),
        first("not-json", not_canonical, "a record that is no JSON", "{\"a\":}"),
        first(
            "not-utf-8",
            not_canonical,
            "a record that is not UTF-8",
            [record("", ",\"x\":\"").as_bytes(), b"\xff\"}"].concat(),
        ),
        first("with-space", not_canonical, "a space", record("", ", \"x\":1")),
        first("unsorted", not_canonical, "members that are not sorted", record("", ",\"a\":1")),
        first("member-twice", not_canonical, "a member twice", record("", ",\"x\":1,\"x\":1")),
        first("large-integer", not_canonical, "an integer beyond 2^53-1", record("", ",\"x\":9007199254740993")),
        first("lone-surrogate", not_canonical, "half a pair of surrogates", record("", ",\"x\":\"\\udc00\"")),
        first(
            "rows-unsorted",
            not_canonical,
            "rows that are not sorted by uuid",
            record("", ",\"x\":[{\"uuid\":\"b\"},{\"uuid\":\"a\"}]"),
        ),
        first(
            "rows-unsorted-inside",
            not_canonical,
            "rows inside of a row that are not sorted",
            record("", ",\"x\":[{\"in\":[{\"id\":\"b\"},{\"id\":\"a\"}],\"uuid\":\"a\"}]"),
        ),
        first(
            "rows-sorted-by-utf-16",
            not_canonical,
            "rows sorted by UTF-16 instead of UTF-8",
            record("", ",\"x\":[{\"uuid\":\"\u{1f600}\"},{\"uuid\":\"\u{fb33}\"}]"),
        ),
        first(
            "rows-sorted-by-id-with-uuids",
            not_canonical,
            "rows sorted by id though all have a uuid",
            record("", ",\"x\":[{\"id\":\"1\",\"uuid\":\"b\"},{\"id\":\"2\",\"uuid\":\"a\"}]"),
        ),
        first(
            "depth-65",
            "limitExceeded",
            "65 levels",
            record("", &format!(",\"x\":{}{}", "[".repeat(64), "]".repeat(64))),
        ),
        first(
            "string-of-65537",
            "limitExceeded",
            "a string of 65,537 bytes",
            record("", &format!(",\"x\":\"{}\"", "x".repeat(65_537))),
        ),
        case(
            "record-larger-than-allowed",
            "limitExceeded",
            "a record of more bytes than are allowed",
            Forge::new().build(),
        )
        .limit("record-bytes=50"),
        case(
            "records-larger-than-allowed",
            "limitExceeded",
            "records of more bytes together than are allowed",
            Forge::pair().build(),
        )
        .limit("total-bytes=150"),
    ]
}

fn enveloped() -> Vec<Case> {
    let code = "recordEnvelope";
    vec![
        first("without-kind", code, "no kind", r#"{"complete":true,"time":"2026-01-01T00:00:00Z","version":"v1"}"#),
        first("without-time", code, "no time", r#"{"complete":true,"kind":"a","version":"v1"}"#),
        first(
            "kind-number",
            code,
            "a kind that is no string",
            r#"{"kind":1,"time":"2026-01-01T00:00:00Z","version":"v1"}"#,
        ),
        first("time-now", code, "a time that is none", r#"{"kind":"a","time":"now","version":"v1"}"#),
        first(
            "complete-null",
            code,
            "a completeness that is null",
            r#"{"complete":null,"kind":"a","time":"2026-01-01T00:00:00Z","version":"v1"}"#,
        ),
    ]
}

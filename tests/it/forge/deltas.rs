//! Deltas that break a rule.

use super::{Case, FIRST, Forge, SECOND, case, line};

/// A base with rows by `uuid`, rows by `id`, and a member that is not keyed.
const BASE: &str = concat!(
    r#"{"complete":true,"i":[{"id":"1"},{"id":"2","uuid":"u"}],"kind":"a","rows":[{"uuid":"1"},{"uuid":"2"}],"#,
    r#""time":"2026-01-01T00:00:00Z","version":"v1","x":1}"#
);

/// A delta against [`BASE`]; what it should make does not matter, since it is refused before.
fn delta(name: &str, about: &'static str, delta: &str) -> Case {
    coded(name, "deltaInvalid", about, delta)
}

fn coded(name: &str, code: &'static str, about: &'static str, delta: &str) -> Case {
    // There is room for whatever the delta makes, so that its size is not what is wrong.
    let target = BASE.replace("\"x\":1", &format!("\"x\":\"{}\"", "x".repeat(300)));
    let forge = Forge::of(&[("full", BASE, BASE), ("delta", &target, delta)]);
    case(&format!("delta-{name}"), code, about, forge.build())
}

pub fn cases() -> Vec<Case> {
    let mut cases = shapes();
    cases.extend(rows());
    cases.extend(results());
    cases.extend(bases());
    cases
}

fn shapes() -> Vec<Case> {
    let not_canonical = "deltaNotCanonical";
    vec![
        coded("not-json", not_canonical, "a delta that is no JSON", "{\"set\":"),
        coded("not-utf-8", not_canonical, "a delta with a mark in front", "\u{feff}{}"),
        coded("unsorted", not_canonical, "members that are not sorted", r#"{"unset":["x"],"set":{"a":1}}"#),
        coded("set-twice", not_canonical, "a member set twice", r#"{"set":{"x":2,"x":3}}"#),
        coded(
            "depth-65",
            "limitExceeded",
            "65 levels",
            &format!("{{\"set\":{{\"x\":{}{}}}}}", "[".repeat(63), "]".repeat(63)),
        ),
        delta("array", "a delta that is an array", "[]"),
        delta("unknown-part", "a part that is none", r#"{"move":{"x":2}}"#),
        delta("unset-object", "an `unset` that is an object", r#"{"unset":{"x":1}}"#),
        delta("unset-number", "an `unset` of a number", r#"{"unset":[1]}"#),
        delta("rows-array", "`rows` that are an array", r#"{"rows":["rows"]}"#),
        delta("empty-set", "an empty `set`", r#"{"set":{}}"#),
        delta("empty-unset", "an empty `unset`", r#"{"unset":[]}"#),
        delta("empty-changes", "rows without changes", r#"{"rows":{"rows":{}}}"#),
        delta("empty-put", "an empty `put`", r#"{"rows":{"rows":{"delete":["1"],"put":[]}}}"#),
        delta("set-and-unset", "a member that is set and unset", r#"{"set":{"x":2},"unset":["x"]}"#),
        delta(
            "set-and-rows",
            "a member that is set and has changed rows",
            r#"{"rows":{"rows":{"delete":["1"]}},"set":{"rows":1}}"#,
        ),
        delta("unset-twice", "a member that is unset twice", r#"{"unset":["x","x"]}"#),
        delta("unset-absent", "unsetting a member that is not there", r#"{"unset":["y"]}"#),
    ]
}

fn rows() -> Vec<Case> {
    vec![
        delta("unknown-change", "a change of rows that is none", r#"{"rows":{"rows":{"move":["1"]}}}"#),
        delta("put-object", "a `put` that is an object", r#"{"rows":{"rows":{"put":{"uuid":"3"}}}}"#),
        delta("rows-of-a-number", "rows of a member that is not keyed", r#"{"rows":{"x":{"put":[{"uuid":"1"}]}}}"#),
        delta("rows-of-nothing", "rows of a member that is not there", r#"{"rows":{"y":{"put":[{"uuid":"1"}]}}}"#),
        delta("delete-absent", "deleting a row that is not there", r#"{"rows":{"rows":{"delete":["3"]}}}"#),
        delta("delete-unsorted", "deletions that are not sorted", r#"{"rows":{"i":{"delete":["2","1"]}}}"#),
        delta("delete-twice", "a row that is deleted twice", r#"{"rows":{"rows":{"delete":["1","1"]}}}"#),
        delta(
            "put-unsorted",
            "rows to put that are not sorted",
            r#"{"rows":{"rows":{"put":[{"uuid":"4"},{"uuid":"3"}]}}}"#,
        ),
        delta("put-twice", "a row that is put twice", r#"{"rows":{"rows":{"put":[{"uuid":"3"},{"uuid":"3"}]}}}"#),
        delta(
            "put-and-delete",
            "a row that is put and deleted",
            r#"{"rows":{"rows":{"delete":["1"],"put":[{"n":1,"uuid":"1"}]}}}"#,
        ),
        delta("put-the-same", "putting a row that equals the base's", r#"{"rows":{"rows":{"put":[{"uuid":"1"}]}}}"#),
        delta("put-without-key", "a row without the key", r#"{"rows":{"rows":{"put":[{"id":"3"}]}}}"#),
        delta("put-number", "a row that is a number", r#"{"rows":{"rows":{"put":[3]}}}"#),
        delta(
            "delete-all",
            "deleting every row, which leaves an array that is not keyed",
            r#"{"rows":{"rows":{"delete":["1","2"]}}}"#,
        ),
        delta("keyed-otherwise", "rows that are keyed by uuid afterwards", r#"{"rows":{"i":{"delete":["1"]}}}"#),
    ]
}

fn results() -> Vec<Case> {
    let with = |name: &str, about, entry: &str| {
        case(
            &format!("delta-{name}"),
            "deltaResult",
            about,
            Forge::pair().entry(1, "records/000001-a.json", entry).build(),
        )
    };
    vec![
        with("of-nothing", "a delta that changes nothing, where something should have changed", "{}"),
        with(
            "result-shorter",
            "a result that is shorter",
            r#"{"set":{"time":"2026-01-02T00:00:00Z"},"unset":["rows"]}"#,
        ),
        with("result-longer", "a result that is longer", r#"{"set":{"a":"and more","time":"2026-01-02T00:00:00Z"}}"#),
        with("result-of-the-same-size", "a result of the same size", r#"{"set":{"time":"2026-01-03T00:00:00Z"}}"#),
        with(
            "result-with-rows-unsorted",
            "rows that are set out of order, which are not what is digested",
            r#"{"set":{"rows":[{"uuid":"3"},{"uuid":"2"}],"time":"2026-01-02T00:00:00Z"}}"#,
        ),
    ]
}

fn bases() -> Vec<Case> {
    let other = FIRST.replace("\"kind\":\"a\"", "\"kind\":\"b\"").replace("01-01", "01-02");
    let version = FIRST.replace("\"v1\"", "\"v2\"").replace("01-01", "01-02");
    vec![
        case("delta-chain-longer-than-allowed", "limitExceeded", "two deltas in a row where one is allowed", {
            let nothing = ("delta", FIRST, "{}");
            Forge::of(&[("full", FIRST, FIRST), nothing, nothing]).build()
        })
        .limit("delta-chain=1"),
        case(
            "delta-first",
            "deltaWithoutBase",
            "a delta as the first record",
            Forge::new().with("/records/0/encoding", "delta").build(),
        ),
        case("delta-first-of-its-kind", "deltaWithoutBase", "a delta as the first record of its kind", {
            Forge::of(&[("full", FIRST, FIRST), ("delta", &other, "{}")]).build()
        }),
        case("delta-first-of-its-version", "deltaWithoutBase", "a delta as the first record of its version", {
            Forge::of(&[("full", FIRST, FIRST), ("delta", &version, "{}")]).build()
        }),
        case("delta-against-a-later-record", "deltaResult", "a delta that was made against the record behind it", {
            // Against the third record it would be right; the second's base is the first, and can be no other.
            let (second, third) = (SECOND.to_owned(), SECOND.replace("\"2\"", "\"3\"").replace("01-02", "01-03"));
            let delta = r#"{"set":{"time":"2026-01-02T00:00:00Z"}}"#;
            let forge = Forge::of(&[("full", FIRST, FIRST), ("delta", &second, delta), ("full", &third, &third)]);
            forge.build()
        }),
        case("full-listed-as-delta", "deltaInvalid", "a full record that is listed as a delta", {
            Forge::of(&[("full", FIRST, FIRST), ("delta", SECOND, SECOND)]).build()
        }),
        case("delta-larger-than-allowed", "limitExceeded", "a delta of more bytes than a record may have", {
            let long = format!("{{\"set\":{{\"x\":\"{}\"}}}}", "x".repeat(200));
            let mut forge = Forge::of(&[("full", FIRST, FIRST), ("delta", SECOND, &long)]);
            forge.manifest["records"][1] = line(2, "delta", SECOND);
            forge.build()
        })
        .limit("record-bytes=150"),
    ]
}

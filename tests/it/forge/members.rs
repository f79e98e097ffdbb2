//! Manifests with a member that is missing or not what it must be.

use serde_json::{Value, json};

use super::{Case, Forge, case};

const MISSING: &str = "manifestMemberMissing";
const INVALID: &str = "manifestMemberInvalid";

fn with(name: &str, code: &'static str, about: &'static str, path: &str, value: impl Into<Value>) -> Case {
    case(name, code, about, Forge::new().with(path, value).build())
}

fn missing(name: &'static str, path: &str) -> Case {
    case(&format!("without-{name}"), MISSING, "a member is missing", Forge::new().without(path).build())
}

pub fn cases() -> Vec<Case> {
    let mut cases = absent();
    cases.extend(of_the_bundle());
    cases.extend(of_records());
    cases.extend(limits());
    cases
}

fn absent() -> Vec<Case> {
    let top = [
        ("bundle", "/bundle"),
        ("client", "/client"),
        ("created", "/created"),
        ("discarded", "/discarded"),
        ("dropped", "/dropped"),
        ("format", "/format"),
        ("key", "/key"),
        ("payload", "/payload"),
        ("previous", "/previous"),
        ("producer", "/producer"),
        ("public-key", "/publicKey"),
        ("records", "/records"),
        ("sequence", "/sequence"),
        ("store", "/store"),
        ("withheld", "/withheld"),
        ("payload-name", "/payload/name"),
        ("record-id", "/records/0/id"),
        ("record-kind", "/records/0/kind"),
        ("record-version", "/records/0/version"),
        ("record-time", "/records/0/time"),
        ("record-complete", "/records/0/complete"),
        ("record-encoding", "/records/0/encoding"),
        ("record-size", "/records/0/size"),
        ("record-sha256", "/records/0/sha256"),
        ("record-counts", "/records/0/counts"),
    ];
    let mut cases: Vec<_> = top.into_iter().map(|(name, path)| missing(name, path)).collect();
    for (name, member) in [("without-payload-size", "size"), ("without-payload-sha256", "sha256")] {
        // When the text is final, since the forge fills in what is missing.
        let forge = Forge::new().text(move |bytes| {
            let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
            manifest["payload"].as_object_mut().unwrap().remove(member).unwrap();
            serde_json::to_vec(&manifest).unwrap()
        });
        cases.push(case(name, MISSING, "a member is missing", forge.build()));
    }
    cases
}

fn of_the_bundle() -> Vec<Case> {
    vec![
        with("format-2", "formatVersion", "version 2 of the format", "/format", "kubermatic-telemetry-bundle/2"),
        with(
            "format-of-a-receipt",
            "formatUnknown",
            "the format of receipts",
            "/format",
            "kubermatic-telemetry-receipt/1",
        ),
        with("format-with-escapes", "formatUnknown", "a format that would clear the screen", "/format", "\u{1b}[2Jx"),
        with("format-number", INVALID, "a format that is no string", "/format", 1),
        case(
            "manifest-is-an-array",
            INVALID,
            "a manifest that is an array",
            Forge::new().text(|_| b"[]".to_vec()).build(),
        ),
        case(
            "manifest-by-position",
            INVALID,
            "an array of a manifest's values",
            Forge::new()
                .text(|bytes| {
                    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
                    serde_json::to_vec(&manifest.as_object().unwrap().values().collect::<Vec<_>>()).unwrap()
                })
                .build(),
        ),
        with(
            "bundle-of-version-4",
            INVALID,
            "a bundle id of version 4",
            "/bundle",
            "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
        ),
        with(
            "client-in-upper-case",
            INVALID,
            "a UUID in upper case",
            "/client",
            "6F9619FF-8B86-4D01-B42D-00CF4FC964FF",
        ),
        with(
            "client-without-hyphens",
            INVALID,
            "a UUID without hyphens",
            "/client",
            "6f9619ff8b864d01b42d00cf4fc964ff",
        ),
        with("client-path", INVALID, "a client that is a path", "/client", "../../../../etc/passwd"),
        with("store-null", INVALID, "a store that is null", "/store", Value::Null),
        with("key-without-prefix", INVALID, "a key id without sha256:", "/key", "0".repeat(64)),
        with("sequence-0", INVALID, "sequence 0", "/sequence", 0),
        with("sequence-negative", INVALID, "sequence -1", "/sequence", -1),
        case(
            "sequence-2-53",
            "manifestNotCanonical",
            "sequence 2^53",
            Forge::new().replace("\"sequence\":1", "\"sequence\":9007199254740992").build(),
        ),
        with("sequence-fraction", INVALID, "sequence 1.5", "/sequence", 1.5),
        with("previous-without-prefix", INVALID, "a previous digest without sha256:", "/previous", "0".repeat(64)),
        with(
            "previous-in-upper-case",
            INVALID,
            "a previous digest in upper case",
            "/previous",
            format!("sha256:{}", "A".repeat(64)),
        ),
        with("created-with-offset", INVALID, "created with an offset", "/created", "2026-01-03T00:00:00+00:00"),
        with(
            "created-on-february-30",
            INVALID,
            "created on a day that does not exist",
            "/created",
            "2026-02-30T00:00:00Z",
        ),
        with("producer-number", INVALID, "a producer that is no string", "/producer", 1),
        with("note-null", INVALID, "a note that is null", "/note", Value::Null),
        with("replaces-null", INVALID, "replaces that is null", "/replaces", Value::Null),
        with("withheld-unsorted", INVALID, "withheld that is not sorted", "/withheld", json!(["b", "a"])),
        with("withheld-twice", INVALID, "an entry of withheld twice", "/withheld", json!(["a", "a"])),
        with("dropped-negative", INVALID, "a negative count", "/dropped", -1),
        with("payload-of-another-name", INVALID, "a payload of another name", "/payload/name", "../records.tar.gz"),
        case(
            "payload-as-an-array",
            INVALID,
            "a payload that is an array of its values",
            by_position(|manifest| &mut manifest["payload"], &["name", "size", "sha256"]),
        ),
        with("rotation-null", INVALID, "a rotation that is null", "/rotation", Value::Null),
        with("rotation-of-texts", INVALID, "a rotation of something else than links", "/rotation", json!(["x"])),
    ]
}

/// A manifest in which an object has become an array of its values.
fn by_position(place: fn(&mut Value) -> &mut Value, order: &'static [&'static str]) -> Vec<u8> {
    let turn = move |bytes: Vec<u8>| {
        let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
        let object = place(&mut manifest);
        *object = order.iter().map(|name| object[name].clone()).collect();
        serde_json::to_vec(&manifest).unwrap()
    };
    Forge::new().text(turn).build()
}

fn of_records() -> Vec<Case> {
    let again = "019a9d00-0000-7000-8000-000000000001";
    vec![
        with("records-object", INVALID, "records that are no array", "/records", json!({})),
        case(
            "line-as-an-array",
            INVALID,
            "a record's line as an array of its values",
            by_position(
                |manifest| &mut manifest["records"][0],
                &["id", "kind", "version", "time", "complete", "encoding", "size", "sha256", "counts"],
            ),
        ),
        with(
            "line-id-of-version-4",
            INVALID,
            "a record id of version 4",
            "/records/0/id",
            "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
        ),
        case("line-id-twice", INVALID, "two records of one id", Forge::pair().with("/records/1/id", again).build()),
        with("line-kind-path", INVALID, "a kind that is a path", "/records/0/kind", "../a"),
        with("line-kind-of-64", INVALID, "a kind of 64 characters", "/records/0/kind", "a".repeat(64)),
        with("line-version-0", INVALID, "version v0", "/records/0/version", "v0"),
        with("line-version-of-5-digits", INVALID, "version v10000", "/records/0/version", "v10000"),
        with("line-time-without-offset", INVALID, "a time without an offset", "/records/0/time", "2026-01-01T00:00:00"),
        with(
            "line-time-10-digits",
            INVALID,
            "ten digits of fraction",
            "/records/0/time",
            "2026-01-01T00:00:00.0123456789Z",
        ),
        with("line-encoding-unknown", INVALID, "an unknown encoding", "/records/0/encoding", "brotli"),
        with(
            "line-encoding-object",
            INVALID,
            "an encoding that is an object",
            "/records/0/encoding",
            json!({"full": null}),
        ),
        with("line-size-negative", INVALID, "a negative size", "/records/0/size", -1),
        with("line-sha256-upper-case", INVALID, "a digest in upper case", "/records/0/sha256", "A".repeat(64)),
        with("line-counts-text", INVALID, "a count that is no number", "/records/0/counts/rows", "1"),
        case(
            "records-unsorted",
            INVALID,
            "records that are not ordered by time",
            Forge::pair().with("/records/0/time", "2026-02-01T00:00:00Z").build(),
        ),
        case(
            "records-unsorted-by-id",
            INVALID,
            "records of one time that are not ordered by id",
            Forge::pair()
                .with("/records/1/time", "2026-01-01T00:00:00Z")
                .with("/records/0/id", "019a9d00-0000-7000-8000-000000000003")
                .build(),
        ),
    ]
}

fn limits() -> Vec<Case> {
    vec![
        with("note-of-1025", "limitExceeded", "a note of 1,025 bytes", "/note", "x".repeat(1025)),
        with(
            "line-of-32-mib-and-one",
            "limitExceeded",
            "a record that claims a byte more than 32 MiB",
            "/records/0/size",
            33_554_433,
        ),
        with(
            "records-of-more-than-4-gib",
            "limitExceeded",
            "records that claim more than is allowed",
            "/records/0/size",
            9_007_199_254_740_991_u64,
        )
        .limit("record-bytes=9007199254740991"),
        case("more-records-than-allowed", "limitExceeded", "two records where one is allowed", Forge::pair().build())
            .limit("records=1"),
    ]
}

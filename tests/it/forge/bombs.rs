//! Bundles that stay small on a disk and would not in memory, or that would keep a processor busy.

use super::archive::{entry, gzip};
use super::{Case, FIRST, Forge, case, line};

/// A record with this in one of its members.
fn record(value: &str) -> String {
    format!(r#"{{"complete":true,"kind":"a","time":"2026-01-01T00:00:00Z","version":"v1","x":{value}}}"#)
}

fn alone(record: &str) -> Forge {
    Forge::of(&[("full", record, record)])
}

pub fn cases() -> Vec<Case> {
    const MIB: usize = 1 << 20;
    vec![
        case("bomb-of-zeros", "limitExceeded", "16 MiB of zero blocks behind the records", {
            Forge::new().inner(|bytes| [bytes, vec![0; 16 * MIB]].concat()).build()
        }),
        case("bomb-record", "limitExceeded", "a record of 24 MiB of one character", {
            alone(&record(&format!("\"{}\"", "x".repeat(24 * MIB)))).build()
        }),
        case("bomb-nesting", "limitExceeded", "a record of 300,000 brackets", {
            Forge::new().first(record(&("[".repeat(150_000) + &"]".repeat(150_000)))).build()
        })
        .limit("ratio=2000"),
        case("bomb-open-brackets", "limitExceeded", "a manifest of 20,000 open brackets", {
            Forge::new().text(|_| vec![b'['; 20_000]).build()
        }),
        case("bomb-members", "limitExceeded", "a manifest that says it has a billion records' worth of bytes", {
            let mut forge = Forge::new();
            let one = line(1, "full", FIRST);
            forge.manifest["records"] = (1..=40_u32)
                .map(|id| {
                    let mut line = one.clone();
                    line["id"] = format!("019a9d00-0000-7000-8000-{id:012x}").into();
                    line["size"] = 33_554_432.into();
                    line
                })
                .collect();
            forge.build()
        })
        .limit("total-bytes=1000000000"),
        case("bomb-of-a-bomb", "recordNotCanonical", "a record that is a gzip stream of a gzip stream", {
            alone(&record("1")).first(gzip(&gzip(&vec![0; 4 * MIB]))).build()
        }),
        case("bomb-links", "rotationInvalid", "sixteen links of one key to itself", {
            let key = super::client_key().public().to_base64();
            let link = serde_json::json!({"previousKey": key, "publicKey": key, "signature": "A".repeat(86) + "=="});
            Forge::new().with("/rotation", vec![link; 16]).build()
        }),
        case("bomb-entries", "recordExtra", "twenty records that the manifest does not list", {
            Forge::new()
                .inner(|mut bytes| {
                    bytes.truncate(bytes.len() - 1024);
                    bytes.extend(entry("records/000001-a.json", b"", 0).repeat(20));
                    bytes.extend([0; 1024]);
                    bytes
                })
                .build()
        }),
    ]
}

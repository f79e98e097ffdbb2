//! Packing: what is asked for, in which order, and what becomes of records that can't be packed.

use std::fs;

use kubermatic_telemetry::bundle::limits::Limit;
use kubermatic_telemetry::bundle::pack::{self, Item, PackError};
use kubermatic_telemetry::bundle::{Limits, pack::check_alone};
use kubermatic_telemetry::digest::Digested;
use kubermatic_telemetry::keys::SigningKey;
use kubermatic_telemetry::record::document::Document;
use uuid::Uuid;

use crate::support::{Desk, header};

fn id(index: usize) -> Uuid {
    format!("019a9d00-0000-7000-8000-{index:012}").parse().unwrap()
}

fn record(index: usize, text: &str) -> Vec<u8> {
    format!(r#"{{"kind":"a","text":"{text}","time":"2026-01-{index:02}T00:00:00Z","version":"v1"}}"#).into_bytes()
}

fn document(bytes: Vec<u8>) -> Document {
    Document::parse(bytes, &Limits::default().json).unwrap()
}

/// Packs twelve records of which `load` gives the bytes: what came of it, and which were asked for and packed.
fn packed(load: impl Fn(usize) -> Result<Vec<u8>, &'static str>) -> (Result<(), String>, Vec<usize>, u64) {
    let items = (1..=12).rev();
    let items = items.map(|index| Item { id: id(index), envelope: document(record(index, "")).envelope().unwrap() });
    let (mut asked, mut done) = (Vec::new(), 0);
    let next = |wanted: Uuid| {
        asked.push((1..=12).find(|index| id(*index) == wanted).unwrap());
        load(*asked.last().unwrap()).map(Digested::of)
    };
    let (key, limits) = (SigningKey::from_seed(&[5; 32]), Limits::default());
    let mut progress = |count, all| {
        assert_eq!(all, 12);
        done = count;
    };
    let packed = pack::pack(header(), items.collect(), next, &key, &limits, &mut Vec::new(), &mut progress);
    let told = packed.map(drop).map_err(|error| match error {
        PackError::Load { id, source } => format!("load {id}: {source}"),
        PackError::Record { id, .. } => format!("record {id}"),
        PackError::Envelope { id, .. } => format!("envelope {id}"),
        other => format!("{other:?}"),
    });
    (told, asked, done)
}

#[test]
fn records_are_asked_for_in_the_manifests_order_and_the_first_that_fails_is_named() {
    let sound = |index| Ok(record(index, "x"));
    assert_eq!(packed(sound), (Ok(()), (1..=12).collect(), 12));
    let cases = [
        ("load 019a9d00-0000-7000-8000-000000000007: gone", Err("gone")),
        ("record 019a9d00-0000-7000-8000-000000000007", Ok(b"{}}".to_vec())),
        ("envelope 019a9d00-0000-7000-8000-000000000007", Ok(record(30, "x"))),
    ];
    for (expected, seventh) in cases {
        // Those behind it fail too, and nobody gets to know.
        let load = |index| if index >= 7 { seventh.clone() } else { sound(index) };
        let (told, asked, done) = packed(load);
        assert_eq!((told, asked, done), (Err(expected.to_owned()), (1..=7).collect(), 6));
    }
}

#[test]
fn damaged_records_among_many_are_set_aside_with_the_reason_and_the_others_leave() {
    let desk = Desk::new();
    for _ in 0..6 {
        desk.collect();
    }
    let names = desk.tree("state/store/records");
    let damaged = [&names[3], &names[8]];
    for (name, text) in damaged.iter().zip(["{}", "no JSON"]) {
        fs::write(desk.path("state/store/records").join(name), text).unwrap();
    }
    let exported = desk.line("export -o bundle.tar --json").ok().says("its digest is not the one it was stored with");
    let counts = exported.json()["records"].clone();
    assert_eq!(counts["kubermatic"].as_u64().unwrap() + counts["kubernetes"].as_u64().unwrap(), 10);
    let status = desk.line("status --json").ok().json();
    let aside: Vec<_> = status["quarantine"].as_array().unwrap().iter().map(|file| file["file"].clone()).collect();
    assert_eq!(aside, damaged.map(|name| serde_json::Value::from(name.as_str())));
    desk.line("verify bundle.tar").code(3);
}

#[test]
fn whether_a_record_compresses_too_well_is_told_by_what_packing_makes_of_it() {
    let mut noise = 1_u64;
    let mut word = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{noise:016x}")
    };
    let mut ratios = Vec::new();
    // From what compresses as records do to what hardly any record is like; the last is too large to be held.
    for (repeats, words) in [(0, 500), (50, 500), (500, 100), (4000, 20), (1000, 300)] {
        let text: String = (0..words).map(|_| word() + &"a".repeat(16 * repeats)).collect::<Vec<_>>().concat();
        // Strings have a limit of their own.
        let pieces: Vec<_> = text.as_bytes().chunks(10_000).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
        let rows = serde_json::to_string(&pieces).unwrap();
        let text = format!(r#"{{"kind":"a","rows":{rows},"time":"2026-01-01T00:00:00Z","version":"v1"}}"#);
        let document = document(text.into_bytes());
        let with = |ratio| check_alone(&document, &Limits { ratio, ..Limits::default() });
        let exceeded = with(2).unwrap_err();
        assert_eq!((exceeded.limit, exceeded.allowed), (Limit::Ratio, 1));
        // Half of the limit is what one record may have.
        let (passes, fails) = (with(2 * exceeded.actual), with(2 * exceeded.actual - 1));
        assert_eq!((passes, fails.map_err(|it| it.actual)), (Ok(()), Err(exceeded.actual)), "{words} words");
        ratios.push(exceeded.actual);
    }
    assert!(ratios.iter().any(|ratio| *ratio < 10) && ratios.iter().any(|ratio| *ratio > 200), "{ratios:?}");
}

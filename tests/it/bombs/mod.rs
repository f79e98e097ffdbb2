//! What a signer who means harm can make the program take: every command that reads bundles or receipts, with its peak
//! memory. No test looks at the time: `docs/performance.md` has what these took.

mod hostile;

use std::fmt::Write as _;
use std::time::Instant;

use crate::support::{Desk, say, skip};
use hostile::{Hostile, delta, filled, header, key, keys, receipt, record, record_with};

const MIB: usize = 1 << 20;
/// What any bundle or receipt may make any command take, in KiB.
const MOST: u64 = 160 * 1024;
/// The same while no record is larger than [`SMALL`].
const MOST_OF_SMALL: u64 = 96 * 1024;
const SMALL: usize = 8 * MIB - 1;
/// The largest record, with room for its envelope.
const LARGE: usize = 32 * MIB - 256;

/// What a command is to answer to a file: its exit code, and what it says.
type Answer = (i32, &'static str);

const VALID: Answer = (3, "");
const REFUSED: i32 = 1;

/// Reads a bundle with every command that reads bundles, each with as little memory as it may take.
fn read_bundle(what: &str, bundle: &[u8], (code, says): Answer, most: u64) {
    let desk = Desk::in_memory();
    desk.file("bundle.tar", bundle);
    desk.run(["init"]).ok();
    let accepted = if code == 3 { 0 } else { code };
    let commands: [(&[&str], i32); 4] = [
        (&["verify", "bundle.tar"], code),
        (&["inspect", "bundle.tar"], accepted),
        (&["--json", "inspect", "bundle.tar"], accepted),
        (&["ingest", "--archive", "archive", "--trust", "tofu", "bundle.tar"], accepted),
    ];
    for (arguments, code) in commands {
        measure(&desk, what, arguments, (code, says), most);
    }
    if code != 3 {
        assert_eq!(desk.tree("archive/clients"), [""; 0], "nothing of what is refused is kept");
    }
}

/// Reads a receipt with the commands that read receipts.
fn read_receipt(what: &str, bytes: &[u8], says: &'static str, most: u64) {
    let desk = Desk::in_memory();
    desk.file("receipt.tar", bytes);
    desk.file("receipt-key.pem", key().public().to_pem());
    desk.run(["init", "--client-uuid", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"]).ok();
    let code = if says.is_empty() { 0 } else { REFUSED };
    for arguments in
        [&["receipt", "receipt.tar"][..], &["inspect", "receipt.tar"], &["--json", "inspect", "receipt.tar"]]
    {
        let arguments = [arguments, &["--receipt-key", "receipt-key.pem"]].concat();
        measure(&desk, what, &arguments, (code, says), most);
    }
}

fn measure(desk: &Desk, what: &str, arguments: &[&str], (code, says): Answer, most: u64) {
    let begun = Instant::now();
    let Some((printed, peak)) = desk.run_measured(arguments) else {
        return skip("there is no /usr/bin/time to measure memory with");
    };
    let took = begun.elapsed().as_millis();
    let command = arguments.iter().find(|word| !word.starts_with('-')).unwrap_or(&"");
    let json = if arguments.contains(&"--json") { " --json" } else { "" };
    say("measured", &format!("{what}: {command}{json}: {} MiB, {took} ms", peak.div_ceil(1024)));
    let printed = printed.code(code).says(says);
    assert!(peak <= most, "{what}: {arguments:?} took {peak} KiB, and may take {most}: {}", printed.stderr);
}

/// The sizes that records are tried in, with what each may take. Without optimisation the largest take a minute each.
fn sizes() -> Vec<(usize, u64)> {
    if cfg!(debug_assertions) {
        skip("records of 32 MiB are for `cargo test --release --test it bombs::`");
        return vec![(SMALL, MOST_OF_SMALL)];
    }
    vec![(SMALL, MOST_OF_SMALL), (LARGE, MOST)]
}

/// Rows of the fewest bytes, as many as fit.
fn tiny_rows(size: usize) -> String {
    filled(['[', ']'], keys().map(|key| format!("{{\"id\":\"{key}\"}}")), size)
}

/// Members of the fewest bytes, as many as fit, each with a comma behind it.
fn tiny_members(size: usize) -> String {
    let mut text = String::with_capacity(size);
    for key in keys() {
        if text.len() + 10 > size {
            break;
        }
        // They sort between `kind` and `time`.
        let _ = write!(text, "\"l{key}\":0,");
    }
    text
}

#[test]
fn rows_by_the_million_take_no_more_than_two_records() {
    for (size, most) in sizes() {
        let rows = tiny_rows(size - 200);
        let (first, second) = (record(0, "rows", &rows), record(1, "rows", &rows));
        let bundle = Hostile::new(1).full(first.as_bytes()).full(second.as_bytes()).build();
        read_bundle(&format!("two full records of {size} bytes"), &bundle, VALID, most);
        let bundle = Hostile::new(1).full(first.as_bytes()).delta(delta(1, "").as_bytes(), second.as_bytes()).build();
        read_bundle(&format!("a delta of nothing to {size} bytes"), &bundle, VALID, most);
    }
}

#[test]
fn deltas_as_large_as_their_records_take_no_more() {
    for (size, most) in sizes() {
        // Every row is replaced by a longer one.
        let base = filled(['[', ']'], keys().map(|key| format!("{{\"id\":\"{key}\"}}")), size / 3 * 2);
        let put = base.replace("\"}", "\",\"v\":1}");
        let result = record(1, "rows", &put);
        let changes = delta(1, &format!("\"rows\":{{\"rows\":{{\"put\":{put}}}}}"));
        let bundle = Hostile::new(1).full(record(0, "rows", &base).as_bytes());
        let bundle = bundle.delta(changes.as_bytes(), result.as_bytes()).build();
        read_bundle(&format!("rows that are all put, {size} bytes"), &bundle, VALID, most);

        // Every row but one is deleted.
        let base = tiny_rows(size - 200);
        let names = filled(['[', ']'], keys().skip(1).map(|key| format!("\"{key}\"")), size / 2 - 4000);
        let gone = names.matches(',').count() + 1;
        let kept: Vec<_> = base[1..base.len() - 1].split("},{").collect();
        let kept: Vec<_> = kept.iter().take(1).chain(kept.iter().skip(1 + gone)).copied().collect();
        let result = record(1, "rows", &format!("[{}]", kept.join("},{")));
        let changes = delta(1, &format!("\"rows\":{{\"rows\":{{\"delete\":{names}}}}}"));
        let bundle = Hostile::new(1).full(record(0, "rows", &base).as_bytes());
        let bundle = bundle.delta(changes.as_bytes(), result.as_bytes()).build();
        read_bundle(&format!("rows that are all deleted, {size} bytes"), &bundle, VALID, most);
    }
}

#[test]
fn members_by_the_million_take_no_more() {
    for (size, most) in sizes() {
        let members = tiny_members(size - 200);
        let (first, second) = (record_with(0, &members), record_with(1, &members));
        let bundle = Hostile::new(1).full(first.as_bytes()).delta(delta(1, "").as_bytes(), second.as_bytes()).build();
        read_bundle(&format!("members to {size} bytes"), &bundle, VALID, most);

        // All of them go, named in the opposite order.
        let names: Vec<_> = members.split(":0,").filter(|name| !name.is_empty()).collect();
        let unset = names.iter().rev().copied().collect::<Vec<_>>().join(",");
        let changes = delta(1, "");
        let changes = format!("{},\"unset\":[{unset}]}}", &changes[..changes.len() - 1]);
        let bundle = Hostile::new(1).full(first.as_bytes());
        let bundle = bundle.delta(changes.as_bytes(), record_with(1, "").as_bytes()).build();
        read_bundle(&format!("members that are all unset, {size} bytes"), &bundle, VALID, most);
    }
}

#[test]
fn arrays_that_a_delta_sets_out_of_order_take_no_more() {
    for (size, most) in sizes() {
        let base = record(0, "rows", &tiny_rows(size - 200));
        let sorted = tiny_rows(size - 400);
        let set = backwards(&sorted);
        // The last row has the key of the one before it.
        let twice = format!("{},{}]", &set[..set.rfind(',').unwrap()], set.rsplit(',').nth(1).unwrap());
        for (what, set, result) in [("sorted", &set, &sorted), ("with a key twice", &twice, &twice)] {
            let changes = format!("{{\"set\":{{\"rows\":{set},\"time\":\"2026-01-01T00:00:01Z\"}}}}");
            let bundle = Hostile::new(1).full(base.as_bytes());
            let bundle = bundle.delta(changes.as_bytes(), record(1, "rows", result).as_bytes()).build();
            read_bundle(&format!("rows out of order, {what}, {size} bytes"), &bundle, VALID, most);
        }
    }
}

/// The same array with its rows in the opposite order; there is no comma in them.
fn backwards(array: &str) -> String {
    let rows: Vec<_> = array[1..array.len() - 1].rsplit(',').collect();
    format!("[{}]", rows.join(","))
}

/// Each level of nesting holds rows that are out of order because a key is there twice. Whoever looks for that twice on
/// each level looks two to the thirtieth times at the innermost.
#[test]
fn nested_arrays_that_are_not_keyed_are_looked_at_a_few_times_and_not_for_ever() {
    let mut rows = "[]".to_owned();
    for _ in 0..30 {
        rows = format!("[{{\"id\":\"b\",\"in\":{rows}}},{{\"id\":\"a\"}},{{\"id\":\"a\"}}]");
    }
    let bundle = Hostile::new(6).full(record(0, "rows", &rows).as_bytes()).build();
    read_bundle("nested arrays that are not keyed", &bundle, VALID, MOST_OF_SMALL);
    let set = format!("{{\"set\":{{\"rows\":{rows},\"time\":\"2026-01-01T00:00:01Z\"}}}}");
    let bundle = Hostile::new(6).full(record(0, "rows", "[]").as_bytes());
    let bundle = bundle.delta(set.as_bytes(), record(1, "rows", &rows).as_bytes()).build();
    read_bundle("nested arrays that are not keyed in a delta", &bundle, VALID, MOST_OF_SMALL);
}

#[test]
fn payloads_that_expand_too_far_are_refused_when_they_do() {
    let empty = record(0, "rows", "[]");
    let mut zeros = Hostile::new(9).full(empty.as_bytes());
    zeros.raw(&[0; 1024]);
    let zero = vec![0; MIB];
    (0..200).for_each(|_| zeros.raw(&zero));
    read_bundle("zeros behind the records", &zeros.build(), (REFUSED, "ratio"), MOST_OF_SMALL);

    let mut long = Hostile::new(9);
    long.list("full", LARGE, kubermatic_telemetry::digest::Sha256Digest::of(b""));
    long.raw(&header("records/000000-a.json", LARGE as u64));
    (0..LARGE / MIB).for_each(|_| long.raw(&zero));
    read_bundle("a record of zeros", &long.build(), (REFUSED, ""), MOST);

    for (what, claimed, says) in
        [("all that a tar can", 0o777_7777_7777, "record-bytes"), ("a byte more", LARGE as u64 + 1, "")]
    {
        let mut claims = Hostile::new(9);
        claims.list("full", LARGE, kubermatic_telemetry::digest::Sha256Digest::of(b""));
        claims.raw(&header("records/000000-a.json", claimed));
        read_bundle(&format!("a record that claims {what}"), &claims.build(), (REFUSED, says), MOST_OF_SMALL);
    }

    let mut many = Hostile::new(9).full(empty.as_bytes());
    let next = header("records/000001-a.json", 0);
    (0..100_000).for_each(|_| many.raw(&next));
    read_bundle("files that are not listed", &many.build(), (REFUSED, ""), MOST_OF_SMALL);
}

#[test]
fn nesting_and_strings_without_end_are_refused() {
    let nested = "[".repeat(MIB) + &"]".repeat(MIB);
    let long = format!("\"{}\"", "x".repeat(SMALL - 200));
    for (what, value, says) in [("nesting", &nested, "json-depth"), ("a string", &long, "string-bytes")] {
        let bundle = Hostile::new(1).full(record(0, "rows", value).as_bytes()).build();
        read_bundle(&format!("{what} in a record"), &bundle, (REFUSED, says), MOST_OF_SMALL);
        let changes = format!("{{\"set\":{{\"rows\":{value}}}}}");
        let bundle = Hostile::new(1).full(record(0, "rows", "[]").as_bytes());
        let bundle = bundle.delta(changes.as_bytes(), record(1, "rows", value).as_bytes()).build();
        read_bundle(&format!("{what} in a delta"), &bundle, (REFUSED, says), MOST_OF_SMALL);
        let bundle = Hostile::new(1).with("unknown", value.clone()).build();
        read_bundle(&format!("{what} in a manifest"), &bundle, (REFUSED, says), MOST_OF_SMALL);
        read_receipt(&format!("{what} in a receipt"), &receipt(&[("unknown", value.clone())]), says, MOST_OF_SMALL);
    }
}

#[test]
fn records_that_amount_to_too_much_are_refused_before_anything_is_unpacked() {
    let base = record(0, "rows", &tiny_rows(LARGE - 200));
    let mut bundle = Hostile::new(1).full(base.as_bytes());
    for index in 1..=128 {
        bundle.list("delta", 32 * MIB, kubermatic_telemetry::digest::Sha256Digest::of(&[index]));
    }
    read_bundle("a little more than 4 GiB", &bundle.build(), (REFUSED, "total-bytes"), MOST_OF_SMALL);

    let mut bundle = Hostile::new(1);
    for index in 0_u32..20_001 {
        bundle.list("full", 100, kubermatic_telemetry::digest::Sha256Digest::of(&index.to_be_bytes()));
    }
    read_bundle("20,001 records", &bundle.build(), (REFUSED, "records"), MOST_OF_SMALL);
}

#[test]
fn manifests_full_of_tiny_things_take_no_more() {
    let size = 16 * MIB - 2000;
    let empty = || Hostile::new(1).full(record(0, "rows", "[]").as_bytes());
    let repeated = |piece: &str| filled(['[', ']'], std::iter::repeat_with(|| piece.to_owned()), size);
    let tiny = || filled(['{', '}'], keys().map(|key| format!("\"{key}\":0")), size);
    let cases = [
        ("records that are no objects", empty().with("records", repeated("0")), (REFUSED, "records")),
        ("records without anything", empty().with("records", repeated("{}")), (REFUSED, "records")),
        ("links that are no objects", empty().with("rotation", repeated("0")), (REFUSED, "rotation")),
        (
            "things withheld",
            empty().with("withheld", filled(['[', ']'], keys().map(|key| format!("\"{key}\"")), size)),
            VALID,
        ),
        ("unknown numbers", empty().with("unknown", repeated("0")), VALID),
        ("unknown arrays", empty().with("unknown", repeated("[]")), VALID),
        ("unknown members", empty().with("unknown", tiny()), VALID),
        ("unknown nesting", empty().with("unknown", repeated(&("[".repeat(60) + &"]".repeat(60)))), VALID),
        ("unknown text", empty().with("unknown", repeated(&format!("\"{}\"", "\u{202e}".repeat(20_000)))), VALID),
    ];
    for (what, bundle, answer) in cases {
        read_bundle(&format!("a manifest of {what}"), &bundle.build(), answer, MOST_OF_SMALL);
    }
    // Members of the manifest itself; they sort behind all that it must have.
    let members = tiny_members(size / 11 * 10).replace("\"l", "\"zz");
    let bundle = empty().with("zy", format!("0,{}", members.trim_end_matches(',')));
    read_bundle("a manifest of members", &bundle.build(), VALID, MOST_OF_SMALL);
}

#[test]
fn counts_by_the_million_take_no_more_beside_the_largest_records() {
    for (size, most) in sizes() {
        let rows = tiny_rows(size - 200);
        let (first, second) = (record(0, "rows", &rows), record(1, "rows", &rows));
        let bundle = Hostile::new(1).full(first.as_bytes()).delta(delta(1, "").as_bytes(), second.as_bytes());
        let counts = filled(['{', '}'], keys().map(|key| format!("\"{key}\":0")), 16 * MIB - 4000);
        let bundle = bundle.with_counts(&counts);
        read_bundle(&format!("counts, and records of {size} bytes"), &bundle.build(), VALID, most);

        let sorted = tiny_rows(size - 400);
        let set = format!("{{\"set\":{{\"rows\":{},\"time\":\"2026-01-01T00:00:01Z\"}}}}", backwards(&sorted));
        let bundle = Hostile::new(1).full(first.as_bytes());
        let bundle = bundle.delta(set.as_bytes(), record(1, "rows", &sorted).as_bytes()).with_counts(&counts);
        read_bundle(&format!("counts, and rows out of order, {size} bytes"), &bundle.build(), VALID, most);
    }
}

#[test]
fn receipts_full_of_tiny_things_take_no_more() {
    let size = 16 * MIB - 2000;
    let repeated = |piece: &str| filled(['[', ']'], std::iter::repeat_with(|| piece.to_owned()), size);
    let outcome = |index: usize| {
        let reason = "r".repeat(600);
        format!(
            "{{\"id\":\"019a9d00-0000-7000-8000-{index:012}\",\"reason\":\"{reason}\",\"sha256\":\"{}\",\"status\":\"rejected\"}}",
            "0".repeat(64)
        )
    };
    let cases = [
        ("records", vec![("records", repeated("0"))], "records"),
        ("records without anything", vec![("records", repeated("{}"))], "records"),
        ("reasons", vec![("records", filled(['[', ']'], (0..20_000).map(outcome), size))], ""),
        ("unknown numbers", vec![("unknown", repeated("0"))], ""),
        ("unknown arrays", vec![("unknown", repeated("[]"))], ""),
        ("unknown nesting", vec![("unknown", repeated(&("[".repeat(60) + &"]".repeat(60))))], ""),
    ];
    for (what, texts, says) in cases {
        read_receipt(&format!("a receipt of {what}"), &receipt(&texts), says, MOST_OF_SMALL);
    }
    let mut large = receipt(&[]);
    large.resize(255 * MIB, 0);
    read_receipt("a receipt with zeros behind it", &large, "", MOST_OF_SMALL);
}

#[test]
fn twenty_thousand_tiny_records_take_no_more() {
    let mut bundle = Hostile::new(1);
    for index in 0..20_000 {
        bundle = bundle.full(record(index, "rows", "[]").as_bytes());
    }
    read_bundle("20,000 records", &bundle.build(), VALID, MOST_OF_SMALL);
}

#[test]
fn the_chain_of_deltas_is_bounded_for_those_who_ask() {
    let desk = Desk::new();
    for _ in 0..5 {
        desk.collect();
    }
    desk.line("export -o bundle.tar").ok();
    desk.line("verify --limit delta-chain=4 bundle.tar").code(3);
    desk.line("verify --limit delta-chain=3 bundle.tar").code(1).says("delta-chain").says("4 is more than 3");
    desk.line("verify --help").ok().prints("delta-chain");

    // Packing keeps to it: a full record comes where the chain would be too long.
    desk.line("export --limit delta-chain=2 -o short.tar").ok();
    desk.line("verify --limit delta-chain=2 short.tar").code(3);
    let inspected = desk.line("--json inspect short.tar").ok().json();
    let records = inspected["manifest"]["records"].as_array().unwrap();
    let encodings: Vec<_> = records.iter().map(|record| record["encoding"].as_str().unwrap()).collect();
    assert_eq!(encodings, ["full", "delta", "delta", "full", "delta"].repeat(2), "two kinds of records");
}

/// The most work that the limits allow: 4 GiB of records, in the ways that take longest. Release builds only.
#[test]
#[ignore = "takes minutes, and shows what docs/performance.md says"]
fn as_much_as_the_limits_allow_takes_its_time_and_no_more_memory() {
    let mut cases = Vec::new();
    let rows = tiny_rows(LARGE - 200);
    let mut bundle = Hostile::new(9).full(record(0, "rows", &rows).as_bytes());
    for index in 1..128 {
        bundle = bundle.delta(delta(index, "").as_bytes(), record(index, "rows", &rows).as_bytes());
    }
    cases.push(("127 deltas of nothing, each to 32 MiB", bundle.build()));

    let rows = tiny_rows(214_000);
    let mut bundle = Hostile::new(9).full(record(0, "rows", &rows).as_bytes());
    for index in 1..20_000 {
        bundle = bundle.delta(delta(index, "").as_bytes(), record(index, "rows", &rows).as_bytes());
    }
    cases.push(("19,999 deltas of nothing, each to 214 kB", bundle.build()));

    for (what, number) in [("whole numbers", "1"), ("decimals", "1.5"), ("the smallest number", "5e-324")] {
        let numbers = filled(['[', ']'], std::iter::repeat_with(|| number.to_owned()), LARGE - 200);
        let mut bundle = Hostile::new(1);
        for index in 0..128 {
            bundle = bundle.full(record(index, "rows", &numbers).as_bytes());
        }
        cases.push((what, bundle.build()));
    }
    for (what, bundle) in cases {
        read_bundle(&format!("4 GiB: {what}"), &bundle, VALID, MOST);
    }
}

//! The three states of a file that `inspect` knows: damaged, intact but of an unknown signer, trusted. And that nothing
//! in a file acts on the terminal that shows it.

use serde_json::json;

use crate::forge::{self, Forge, receipts};
use crate::support::{Desk, Printed};

/// What acts on a terminal or hides what stands beside it, as it must show in lines and in JSON.
const ACTING: &str = "x\u{1b}[2J\u{9b}31m\u{202e}\u{200b}\u{7f}\u{e0041}\ny";
const IN_LINES: &str = r"x\u{1b}[2J\u{9b}31m\u{202e}\u{200b}\u{7f}\u{e0041}\u{a}y";
const IN_JSON: &str = r"x\u001b[2J\u009b31m\u202e\u200b\u007f\udb40\udc41\ny";

/// A bundle with such text wherever a signer can put text.
fn acting() -> Vec<u8> {
    Forge::new()
        .with("/note", ACTING)
        .with("/producer", ACTING)
        .with("/withheld", json!([ACTING]))
        .with("/records/0/counts", json!({ACTING: 3}))
        .with(&format!("/{ACTING}"), json!({ACTING: [ACTING]}))
        .build()
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.file("acting.tar", acting());
    desk.file("receipt.tar", receipts::sound());
    desk.file("receipt.pem", receipts::public_key());
    desk.file("client.pem", forge::client_key().public().to_pem());
    desk
}

fn first_line(printed: &Printed) -> String {
    printed.stdout.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn an_unknown_signer_is_warned_of_first_with_the_key_id_and_a_trusted_one_is_said_to_be_that() {
    let desk = desk();
    let key = forge::client_key().public().id();
    let unknown = desk.line("inspect acting.tar").ok();
    assert_eq!(first_line(&unknown), format!("acting.tar: WARNING: intact, but of an unknown signer: {key}"));
    let trusted = desk.line("inspect acting.tar --key client.pem").ok();
    assert_eq!(first_line(&trusted), "acting.tar: trusted: intact, and signed by a trusted key of its client");
    assert!(!trusted.stdout.contains("WARNING"));
    let rest = |printed: &Printed| printed.stdout.split_once('\n').unwrap().1.to_owned();
    assert_eq!(rest(&unknown), rest(&trusted), "what is shown is the same");

    let unknown = desk.line("inspect acting.tar --json").ok();
    assert!(unknown.stdout.starts_with("{\n  \"trust\": \"unknownSigner\",\n  \"warning\": \""), "{}", unknown.stdout);
    let document = unknown.json();
    assert!(document["warning"].as_str().unwrap().contains(key.as_str()));
    assert_eq!((&document["key"], &document["type"]), (&json!(key), &json!("bundle")));
    let trusted = desk.line("inspect acting.tar --key client.pem --json").ok();
    assert!(trusted.stdout.starts_with("{\n  \"trust\": \"trusted\",\n  \"type\": \"bundle\""), "{}", trusted.stdout);
}

#[test]
fn receipts_have_the_same_states() {
    let desk = desk();
    let unknown = desk.line("inspect receipt.tar").ok();
    assert!(
        first_line(&unknown).starts_with("receipt.tar: WARNING: an intact receipt, but of an unknown signer: sha256:")
    );
    let unknown = desk.line("inspect receipt.tar --json").ok();
    assert!(
        unknown.stdout.starts_with(
            "{\n  \"trust\": \"unknownSigner\",\n  \"warning\": \"intact, but of an unknown signer: sha256:"
        )
    );
    let trusted = desk.line("inspect receipt.tar --receipt-key receipt.pem").ok();
    assert_eq!(first_line(&trusted), "receipt.tar: trusted: an intact receipt, signed by a trusted receipt key");
    let trusted = desk.line("inspect receipt.tar --receipt-key receipt.pem --json").ok();
    assert!(trusted.stdout.starts_with("{\n  \"trust\": \"trusted\",\n  \"type\": \"receipt\""));
    assert_eq!(trusted.json()["receipt"]["records"][2]["reason"], "idConflict");
    let bytes = receipts::sound();
    let piped = desk.run_with_input(["inspect", "-", "--receipt-key", "receipt.pem"], &bytes).ok();
    assert_eq!(first_line(&piped), "stdin: trusted: an intact receipt, signed by a trusted receipt key");
    let mut damaged = bytes;
    damaged[600] ^= 1;
    desk.file("damaged.tar", damaged);
    let damaged = desk.line("inspect damaged.tar --json").code(1);
    assert_eq!(damaged.json()["trust"], "damaged");
    assert_eq!(desk.line("inspect damaged.tar").code(1).stdout, "");
}

#[test]
fn of_a_damaged_file_there_is_the_error_and_nothing_else_also_in_json() {
    let desk = desk();
    let mut bytes = acting();
    let last = bytes.len() - 1100;
    bytes[last] ^= 1;
    desk.file("damaged.tar", bytes);
    let printed = desk.line("inspect damaged.tar --extract records").code(1);
    assert_eq!(printed.stdout, "");
    let document = desk.line("inspect damaged.tar --json").code(1).json();
    let mut members: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["code", "error", "hint", "limit", "trust"], "{document}");
    assert_eq!(document["trust"], "damaged");
    assert!(!desk.path("records").exists());

    // Not damaged, but nothing to be shown either: the client is known with other keys.
    desk.file("other.pem", receipts::public_key());
    let printed = desk.line("inspect acting.tar --key other.pem --json").code(1);
    assert_eq!((&printed.json()["trust"], &printed.json()["code"]), (&json!("refused"), &json!("keyConflict")));
    assert!(!printed.stdout.contains("2J"));
}

#[test]
fn nothing_that_a_signer_writes_acts_on_a_terminal() {
    let desk = desk();
    let shown = desk.line("inspect acting.tar").ok();
    let in_json = desk.line("inspect acting.tar --json").ok();
    let verified = desk.line("verify acting.tar").code(3);
    for printed in [&shown, &in_json, &verified] {
        let all = format!("{}{}", printed.stdout, printed.stderr);
        let acts = |c: char| c != '\n' && kubermatic_telemetry::text::escaped(&c.to_string()) != c.to_string();
        assert!(!all.contains(acts), "{}", all.escape_debug());
    }
    let lines: Vec<_> = shown.stdout.lines().filter(|line| line.contains(IN_LINES)).collect();
    let of = |label: &str| lines.iter().any(|line| line.starts_with(label));
    assert!(of("created ") && of("note ") && of("withheld ") && of("unknown "), "{lines:#?}");
    assert!(lines.iter().any(|line| line.trim() == format!("{IN_LINES} 3")), "counts: {lines:#?}");
    // In an unknown member's value, which is shown as JSON, the rest is escaped as in any text.
    assert_eq!(in_json.stdout.matches(IN_JSON).count(), 7, "{}", in_json.stdout);
    assert_eq!(in_json.json()["manifest"]["note"], ACTING, "and it reads as what it was");
}

#[test]
fn names_of_files_do_not_act_either() {
    let desk = Desk::new();
    desk.file("\u{1b}[2Jx.tar", "not a bundle");
    for arguments in [["verify", "\u{1b}[2Jx.tar"], ["inspect", "\u{1b}[2Jx.tar"], ["verify", "\u{1b}[2Jnone.tar"]] {
        let printed = desk.run(arguments).code(1);
        assert!(!printed.stderr.contains('\u{1b}') && printed.stderr.contains(r"\u{1b}[2J"), "{}", printed.stderr);
    }
}

#[test]
fn long_things_are_cut_for_people_and_whole_in_json() {
    let desk = Desk::new();
    let long = "w".repeat(60_000);
    let many: Vec<_> = (0..300).map(|number| format!("{number:04}")).collect();
    let mut forge = Forge::new().with("/withheld", json!(many)).with("/x", long.as_str());
    for number in 0..300 {
        forge = forge.with(&format!("/y{number}"), number);
    }
    desk.file("long.tar", forge.build());
    let shown = desk.line("inspect long.tar").ok().stdout;
    assert!(shown.len() < 10_000, "{} bytes", shown.len());
    assert!(shown.contains("0099, and more\n") && shown.contains("(60002 bytes)\n"), "{shown}");
    assert!(shown.contains("unknown    and 201 more\n"), "{shown}");
    let whole = desk.line("inspect long.tar --json").ok().json();
    assert_eq!(whole["manifest"]["x"], long);
    assert_eq!(whole["manifest"]["withheld"][299], "0299");
}

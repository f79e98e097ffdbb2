//! Wrong inputs: each has a message of its own, and nothing is written.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Desk, Printed, copy_tree, gzip, installation, skip};

const DIRECTORY_HINT: &str = "docs/air-gap.md has the kubectl commands that make such a directory";
const PARSE_HINT: &str = "export the objects again; an interrupted kubectl leaves half a file";
const SIZE_HINT: &str = "reduce it with docs/reduce.jq";
const IDENTITY_HINT: &str = "restore the identity from a backup; if it is lost, `init --new-client` makes a new client";
const ENVELOPE_HINT: &str = r#"every record begins like {"kind":"my-product","version":"v1","time":"…"}"#;
const COPY_HINT: &str = "copy the file again and compare its sha256 with the one that `export` printed";
const TAMPERED_HINT: &str = "compare the file's sha256 with the one that `export` printed; do not use this copy";

const CONFIGURATION: &str = "
apiVersion: kubermatic.k8c.io/v1
kind: KubermaticConfiguration
metadata: {name: kubermatic, uid: 6c1e}
";
const RECORD: &str = r#"{"kind":"my-product","version":"v1","time":"2026-01-31T12:00:00Z","licences":[{"seats":3}]}"#;

/// Insists on an exit code, a message and a hint (or none), and that nothing was written.
fn refused_with(desk: &Desk, line: &str, code: i32, message: &str, hint: &str) {
    let before = desk.snapshot();
    let printed = desk.line(line).code(code);
    tells(&printed, message, hint);
    desk.unchanged_since(&before, line);
}

fn refused(desk: &Desk, line: &str, message: &str, hint: &str) {
    refused_with(desk, line, 1, message, hint);
}

fn tells(printed: &Printed, message: &str, hint: &str) {
    let Printed { stdout, stderr, .. } = printed;
    assert!(stderr.contains(&format!("error: {message}")), "`{message}` is not in: {stderr}");
    assert!(stdout.is_empty(), "there is something on stdout: {stdout}");
    if hint.is_empty() {
        assert!(!stderr.contains("hint:"), "a hint came unexpected: {stderr}");
    } else {
        assert!(stderr.contains(&format!("\n\nhint: {hint}")), "`{hint}` is not the hint in: {stderr}");
    }
}

/// Insists that no verb takes the directory `m`, and that not even an identity is made for it.
fn manifests_refused(desk: &Desk, message: &str, hint: &str) {
    for line in ["collect --manifests m", "export --manifests m -o bundle.tar", "preview --manifests m"] {
        refused(desk, line, message, hint);
    }
    assert!(!desk.state().exists());
}

/// A desk with one manifest of these contents.
fn desk_with(name: &str, contents: impl AsRef<[u8]>) -> Desk {
    let desk = Desk::new();
    desk.file(name, contents);
    desk
}

/// A desk that has exported `bundle.tar` and its public key `client.pem`.
fn exported() -> Desk {
    let desk = Desk::new();
    desk.collect();
    desk.line("export -o bundle.tar").ok();
    desk.line("keys export -o client.pem").ok();
    desk
}

/// Changes a few bytes of a file into another file.
fn tamper(desk: &Desk, from: &str, to: &str, old: &[u8], new: &[u8]) {
    let mut bytes = fs::read(desk.path(from)).unwrap();
    let place = bytes.windows(old.len()).position(|window| window == old).unwrap();
    bytes.splice(place..place + old.len(), new.iter().copied());
    desk.file(to, bytes);
}

/// Where the compressed records begin in a bundle.
fn payload_of(bundle: &[u8]) -> usize {
    bundle.windows(3).position(|window| window == b"\x1f\x8b\x08").unwrap()
}

// Directories of manifests.

#[test]
fn a_missing_directory_is_named() {
    manifests_refused(&Desk::new(), "the directory m does not exist", DIRECTORY_HINT);
}

#[test]
fn an_empty_directory_is_named() {
    let desk = Desk::new();
    fs::create_dir(desk.path("m")).unwrap();
    let message = "there are no manifests (*.yaml, *.yml, *.json, also with .gz) in m";
    manifests_refused(&desk, message, DIRECTORY_HINT);
    desk.file("m/notes.txt", "nothing to see");
    manifests_refused(&desk, message, DIRECTORY_HINT);
}

#[test]
fn a_file_is_no_directory() {
    manifests_refused(&desk_with("m", CONFIGURATION), "m is not a directory", DIRECTORY_HINT);
}

#[test]
fn a_directory_without_objects_of_kkp_is_refused() {
    let desk = desk_with("m/nodes.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: worker}\n");
    manifests_refused(&desk, "there are no objects of KKP (kubermatic.k8c.io/v1) in m", DIRECTORY_HINT);
}

#[test]
fn yaml_that_does_not_parse_is_told_with_file_and_line_and_nothing_of_its_contents() {
    let desk = desk_with("m/cut.yaml", "kind: Seed\nmetadata:\n  name: CANARY\n   uid: CANARY\n");
    manifests_refused(&desk, "m/cut.yaml, line 4, column 7: not valid YAML\n", PARSE_HINT);
    assert!(!desk.line("collect --manifests m -vvv").stderr.contains("CANARY"));
}

#[test]
fn json_that_does_not_parse_is_told_with_file_and_line_and_nothing_of_its_contents() {
    let desk = desk_with("m/cut.json", "{\"kind\":\"List\",\"items\":[\n{\"kind\":\"CANARY\",\n\"meta");
    manifests_refused(&desk, "m/cut.json, line 3, column 5: not valid JSON\n", PARSE_HINT);
    assert!(!desk.line("collect --manifests m -vvv").stderr.contains("CANARY"));
}

#[test]
fn two_configurations_on_the_master_are_told_with_their_files() {
    let desk = desk_with("m/master/a.yaml", CONFIGURATION);
    desk.file("m/master/b.yaml", CONFIGURATION.replace("6c1e", "7d2f"));
    manifests_refused(
        &desk,
        "there are 2 KubermaticConfigurations on the master, where exactly one may be: m/master/a.yaml, m/master/b.yaml",
        "keep the configuration of this installation only",
    );
}

#[test]
fn an_object_without_a_name_is_told_with_its_place() {
    let desk = desk_with("m/seeds.yaml", format!("{CONFIGURATION}---\napiVersion: kubermatic.k8c.io/v1\nkind: Seed\n"));
    let hint = "kubectl writes every object with its name; export the objects again";
    manifests_refused(&desk, "m/seeds.yaml, object 2: a Seed without metadata.name", hint);
}

#[test]
fn an_unreadable_file_is_told_with_its_reason() {
    let desk = desk_with("m/configuration.yaml", CONFIGURATION);
    symlink("nowhere", desk.path("m/x.yaml")).unwrap();
    manifests_refused(&desk, "can't read m/x.yaml: No such file or directory", "");
}

#[test]
fn damaged_compression_is_told_with_its_file() {
    let whole = gzip(CONFIGURATION);
    let desk = desk_with("m/x.yaml.gz", &whole[..whole.len() - 12]);
    manifests_refused(&desk, "can't read m/x.yaml.gz: ", "");
    // What is compressed is told by what is in a file, since names get lost on the way.
    desk.file("m/x.yaml.gz", CONFIGURATION);
    desk.line("preview --manifests m").code(1).says("and 0 Seeds in it");
    fs::remove_file(desk.path("m/x.yaml.gz")).unwrap();
    desk.file("m/x.yaml", &whole);
    desk.line("preview --manifests m").code(1).says("and 0 Seeds in it");
}

#[test]
fn a_file_of_100_mb_is_too_large() {
    for name in ["m/x.yaml", "m/x.json"] {
        let desk = desk_with(name, "");
        File::create(desk.path(name)).unwrap().set_len(100_000_000).unwrap();
        manifests_refused(&desk, &format!("{name} is larger than 67108864 bytes"), SIZE_HINT);
    }
}

#[test]
fn a_file_may_be_as_large_as_the_limit_and_no_larger() {
    let desk = desk_with("m/x.yaml", format!("{CONFIGURATION}spec:\n{}", "- a\n".repeat(100)));
    let size = fs::metadata(desk.path("m/x.yaml")).unwrap().len();
    desk.line(&format!("preview --manifests m --max-file-size {size}")).code(1).says("and 0 Seeds in it");
    let line = format!("collect --manifests m --max-file-size {}", size - 1);
    refused(&desk, &line, &format!("m/x.yaml is larger than {} bytes", size - 1), SIZE_HINT);
}

#[test]
fn a_small_file_that_expands_to_a_large_one_is_too_large() {
    let desk = desk_with("m/x.yaml.gz", gzip(format!("{CONFIGURATION}# {}\n", "x".repeat(1_000_000))));
    assert!(fs::metadata(desk.path("m/x.yaml.gz")).unwrap().len() < 10_000);
    let line = "collect --manifests m --max-file-size 10000";
    refused(&desk, line, "m/x.yaml.gz is larger than 10000 bytes", SIZE_HINT);
}

#[test]
fn aliases_that_stand_for_too_much_are_refused() {
    let level = |(name, below): (char, char)| format!("{name}: &{name} [{}]", vec![format!("*{below}"); 9].join(", "));
    let mut bomb = vec!["a: &a [x, x, x, x, x, x, x, x, x]".to_owned()];
    bomb.extend(('b'..='i').zip('a'..).map(level));
    let desk = desk_with("m/bomb.yaml", bomb.join("\n"));
    let message = "m/bomb.yaml is nested too deeply, or its aliases stand for too much";
    refused(&desk, "collect --manifests m", message, "kubectl writes no aliases; export the objects again");
}

#[test]
fn deep_nesting_is_refused_and_never_overflows_the_stack() {
    let bombs = [
        ("m/bomb.yaml", format!("a: {}", "[".repeat(100_000))),
        ("m/bomb.yaml", format!("a: {}", "{a: ".repeat(100_000))),
        ("m/bomb.yaml", "- ".repeat(100_000)),
        ("m/bomb.json", format!("{{\"a\":{}", "[".repeat(100_000))),
    ];
    for (name, bomb) in bombs {
        let desk = desk_with(name, bomb);
        let before = desk.snapshot();
        desk.line("collect --manifests m").code(1).says(&format!("error: {name}"));
        desk.unchanged_since(&before, "collect");
    }
}

#[test]
fn sound_files_that_nest_too_deeply_are_told_so() {
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let files = [("m/deep.yaml", format!("a: {nested}\n")), ("m/deep.json", format!("{{\"a\":{nested}}}\n"))];
    for (name, contents) in files {
        let desk = desk_with(name, contents);
        let message = format!("{name} is nested too deeply");
        refused(&desk, "collect --manifests m", &message, "kubectl writes no aliases; export the objects again");
    }
}

#[test]
fn records_of_another_installation_are_refused() {
    let desk = Desk::new();
    desk.collect();
    copy_tree(&installation(), &desk.path("m"));
    let file = desk.path("m/master/kubermaticconfiguration.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("cf67f076-2ec2-45ab-a955-8a56fdda5453", "d0000000-0000-4000-8000-000000000000"))
        .unwrap();
    for line in ["collect --manifests m", "export --manifests m -o bundle.tar"] {
        let message = "these records come from another installation than those in the store";
        refused(&desk, line, message, "every installation needs a state directory of its own");
    }
}

#[test]
fn wrong_manifests_leave_a_used_state_as_it_was() {
    let desk = Desk::new();
    desk.collect();
    desk.file("m/cut.json", "{");
    refused(&desk, "collect --manifests m", "m/cut.json, line 1, column 1: not valid JSON", PARSE_HINT);
    refused(&desk, "export --manifests m -o bundle.tar", "m/cut.json", PARSE_HINT);
}

// Records of other products.

#[test]
fn a_record_that_is_none_is_told_what_is_wrong() {
    let with = |member: &str| format!("{},{member}}}", RECORD.trim_end_matches('}'));
    let cases = [
        ("nonsense".to_owned(), "at $: not valid JSON", ""),
        (String::new(), "at $: not valid JSON", ""),
        (format!("{RECORD} {RECORD}"), "at $: not valid JSON", ""),
        (with(r#""a":{"b":1,"b":2}"#), "at $.a.b: a member is named twice", ""),
        (with(r#""kind":"my-product""#), "at $.kind: a member is named twice", ""),
        (with(r#""a":[9007199254740992]"#), "at $.a[0]: an integer beyond ±(2^53-1)", ""),
        (with(r#""a":-9007199254740992"#), "at $.a: an integer beyond ±(2^53-1)", ""),
        (with(r#""a":1e400"#), "at $.a: not valid JSON", ""),
        (with(r#""a":"\ud800""#), "at $.a: not valid JSON", ""),
        ("[1]".to_owned(), "a record must be a JSON object", "its members kind, version and time are required"),
        ("null".to_owned(), "a record must be a JSON object", "its members kind, version and time are required"),
        (RECORD.replace("\"kind\"", "\"k\""), "the record has no `kind`", ENVELOPE_HINT),
        (RECORD.replace("version", "v"), "the record has no `version`", ENVELOPE_HINT),
        (RECORD.replace("time", "t"), "the record has no `time`", ENVELOPE_HINT),
        (RECORD.replace("my-product", "My Product"), "the record's `kind` must be a string like", ENVELOPE_HINT),
        (RECORD.replace("\"my-product\"", "7"), "the record's `kind` must be a string like", ENVELOPE_HINT),
        (RECORD.replace("v1", "1.0"), "the record's `version` must be a string like `v1`", ENVELOPE_HINT),
        (RECORD.replace("2026-01-31T", ""), "the record's `time` must be an RFC 3339 time like", ENVELOPE_HINT),
        (with(r#""complete":"yes""#), "the record's `complete` must be true or false", ENVELOPE_HINT),
    ];
    for (record, message, hint) in cases {
        let desk = desk_with("r.json", &record);
        refused(&desk, "collect --record r.json --allow-kind my-product", &format!("r.json: {message}"), hint);
    }
}

#[test]
fn a_record_that_exceeds_limits_is_told_which() {
    let with = |value: String| RECORD.replace("[{\"seats\":3}]", &value);
    let deep = with(format!("{}{}", "[".repeat(65), "]".repeat(65)));
    let desk = desk_with("r.json", deep);
    desk.line("collect --record r.json --allow-kind my-product").code(1).says(": nested deeper than 64 levels");
    desk.file("r.json", with(format!("\"{}\"", "x".repeat(65_537))));
    refused(
        &desk,
        "collect --record r.json --allow-kind my-product",
        "r.json: at $.licences: a string longer than 65536 bytes",
        "",
    );
    File::create(desk.path("r.json")).unwrap().set_len((32 << 20) + 1).unwrap();
    refused(&desk, "collect --record r.json", "r.json is larger than 33554432 bytes", "");
}

#[test]
fn a_record_file_that_can_not_be_read_is_named() {
    let desk = Desk::new();
    refused(&desk, "collect --record r.json", "can't read r.json: No such file or directory", "");
    fs::create_dir(desk.path("r.json")).unwrap();
    refused(&desk, "collect --record r.json", "can't read r.json: Is a directory", "");
}

#[test]
fn records_of_this_program_are_not_taken_from_files() {
    for kind in ["kubermatic", "kubernetes"] {
        let desk = desk_with("r.json", RECORD.replace("my-product", kind));
        let line = format!("collect --record r.json --allow-kind {kind}");
        let message = format!("r.json: records of kind {kind} are made by this program itself");
        refused(&desk, &line, &message, "collect them with --manifests DIR");
    }
}

#[test]
fn a_kind_that_the_site_does_not_allow_is_refused() {
    let desk = desk_with("r.json", RECORD);
    for line in ["collect --record r.json", "collect --record r.json --allow-kind another-product"] {
        let message = "r.json: records of kind my-product are not allowed here";
        refused(&desk, line, message, "if this site allows them, say so with --allow-kind my-product");
    }
}

#[test]
fn an_allowed_record_is_taken_from_a_file_or_stdin_and_marked_as_unchecked_all_the_way() {
    let desk = desk_with("r.json", RECORD);
    desk.line("collect --record r.json --allow-kind my-product").ok().says("its contents are not checked");
    let later = RECORD.replace("01-31", "02-01");
    let arguments = ["collect", "--record", "-", "--allow-kind", "my-product"];
    desk.run_with_input(arguments, later.as_bytes()).ok().says("stored a record of kind my-product");
    let preview = desk.line("preview").ok().says("a record of kind my-product follows, which is not checked by this");
    let lines: Vec<Value> = preview.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [RECORD, &later].map(|text| serde_json::from_str::<Value>(text).unwrap()));

    desk.line("export -o bundle.tar").ok().says("2 records (2 my-product)");
    desk.line("keys export -o client.pem").ok();
    desk.line("verify bundle.tar --key client.pem").ok();
    let shown = desk.line("inspect bundle.tar --key client.pem").ok().stdout;
    assert_eq!(shown.matches("my-product v1").count(), 2, "{shown}");
    assert_eq!(shown.matches("complete, not checked by this program").count(), 2, "{shown}");
    assert_eq!(desk.line("inspect bundle.tar --json").ok().json()["unchecked"], json!(["my-product"]));
}

#[test]
fn a_wrong_record_on_stdin_is_told_as_such() {
    let desk = Desk::new();
    let printed = desk.run_with_input(["collect", "--record", "-"], b"[1]").code(1);
    tells(&printed, "stdin: a record must be a JSON object", "its members kind, version and time are required");
    assert!(desk.snapshot().is_empty());
}

// Outputs.

#[test]
fn an_output_that_exists_is_replaced_only_by_force() {
    let desk = desk_with("bundle.tar", "precious");
    desk.collect();
    let hint = "choose another name, or replace it with --force";
    refused(&desk, "export -o bundle.tar", "bundle.tar exists already", hint);
    let line = format!("export -o bundle.tar --manifests {}", installation().display());
    refused(&desk, &line, "bundle.tar exists already", hint);
    desk.line("export -o bundle.tar --force").ok().says("sequence 1");
    desk.line("verify bundle.tar").code(3);
    desk.line("keys export -o bundle.tar").code(1).says("bundle.tar exists already");
}

#[test]
fn a_directory_is_an_output_for_bundles_only() {
    let desk = Desk::new();
    fs::create_dir(desk.path("out")).unwrap();
    desk.collect();
    refused(&desk, "keys export -o out", "out is a directory", "name a file in it");
    refused(&desk, "keys export -o out/ --force", "out/ is a directory", "name a file in it");
    // Bundles have names of their own.
    desk.line("export -o out").ok().says("wrote    out/");
}

#[test]
fn an_output_in_a_missing_directory_is_refused_before_anything_is_packed() {
    let desk = Desk::new();
    desk.collect();
    refused(&desk, "export -o out/bundle.tar", "the directory out does not exist", "");
}

#[test]
fn a_name_that_only_a_directory_can_have_is_refused_before_anything_is_packed() {
    let desk = Desk::new();
    desk.collect();
    let before = desk.snapshot();
    desk.line("keys export -o out/").code(1).says("error: ").says("out");
    desk.unchanged_since(&before, "keys export -o out/");
}

#[test]
fn a_terminal_is_no_output() {
    let desk = Desk::new();
    desk.collect();
    let before = desk.snapshot();
    let Some(printed) = desk.line_in_terminal("export -o -") else {
        skip("there is no `script` (util-linux) to get a terminal from");
        return;
    };
    let Printed { code, stdout, .. } = printed;
    assert_eq!(code, 2, "{stdout}");
    assert!(stdout.contains("error: a bundle is not written to a terminal"), "{stdout}");
    assert!(stdout.contains("hint: write it to a file with -o FILE, or send stdout elsewhere"), "{stdout}");
    desk.unchanged_since(&before, "export -o - in a terminal");
}

/// Insists that export 1 failed after it was packed, and that nothing of it is lost.
fn export_is_safe_in_the_store(desk: &Desk, printed: &Printed, reason: &str) {
    let hint = "the bundle is safe in the store; write it somewhere else with: export --again 1 -o FILE";
    assert_eq!(printed.code, 1, "{printed:?}");
    tells(printed, reason, hint);
    let history = desk.line("status --history").ok().stdout;
    assert!(history.contains(" sequence 1: 2 records, ") && history.contains(", not written out whole"), "{history}");
    let new: Vec<_> = desk.line("preview --new").ok().stdout.lines().map(str::to_owned).collect();
    assert_eq!(new.len(), 2, "records that never left count as new");

    let again = desk.line("export --again 1 -o bundle.tar --json").ok().json();
    assert_eq!(again["sequence"], 1);
    desk.line("verify bundle.tar").code(3);
    assert!(!desk.line("status --history").ok().stdout.contains("not written out whole"));
    desk.line("export --new -o new.tar").code(4);
}

#[test]
fn a_full_disk_leaves_the_bundle_in_the_store() {
    let desk = Desk::new();
    desk.collect();
    let printed = desk.line("export -o /dev/full");
    export_is_safe_in_the_store(&desk, &printed, "can't write to /dev/full: No space left on device");
}

#[test]
fn a_closed_pipe_leaves_the_bundle_in_the_store() {
    let desk = Desk::new();
    desk.collect();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let printed = Printed::of(desk.command().args(["export", "-o", "-"]).stdout(writer).output().unwrap());
    export_is_safe_in_the_store(&desk, &printed, "can't write to stdout: Broken pipe");
}

#[test]
fn new_still_finds_what_an_export_could_not_write() {
    let desk = Desk::new();
    desk.collect();
    desk.line("export -o /dev/full").code(1);
    desk.line("export --new -o bundle.tar").ok().says("sequence 2").says("2 records");
}

#[test]
fn an_export_that_never_was_can_not_be_written_again() {
    let desk = Desk::new();
    desk.collect();
    let message = "the store has no export with the sequence number 7";
    refused(&desk, "export --again 7 -o bundle.tar", message, "`status --history` lists the exports");
}

// Nothing to do, or not allowed to.

#[test]
fn nothing_pending_is_no_failure_and_writes_nothing() {
    let desk = Desk::new();
    for _ in 0..2 {
        let before = desk.snapshot();
        desk.line("export -o bundle.tar").code(4).says("nothing is pending: no bundle was written");
        desk.line("preview").ok().says("nothing is pending: nothing would leave");
        desk.unchanged_since(&before, "export");
        desk.line("init").ok();
    }
}

#[test]
fn nothing_new_is_told_apart_from_nothing_pending() {
    let desk = exported();
    let printed = desk.line("export --new -o new.tar").code(4).says("no bundle was written");
    assert!(!printed.stderr.contains("nothing is pending"), "2 records are pending: {}", printed.stderr);
    assert!(!desk.path("new.tar").exists());
}

/// Runs a line with `NAME=VALUE` in the environment, or with more options.
fn run_with(desk: &Desk, setting: &str, line: &str) -> Printed {
    let mut command = desk.command();
    command.args(line.split_whitespace()).stdin(Stdio::null());
    match setting.split_once('=') {
        Some((name, value)) => command.env(name, value),
        None => command.args(setting.split_whitespace()),
    };
    Printed::of(command.output().unwrap())
}

#[test]
fn where_telemetry_is_off_nothing_is_collected_exported_or_shown() {
    let switches = [
        ("KUBERMATIC_TELEMETRY=off", "KUBERMATIC_TELEMETRY"),
        ("DO_NOT_TRACK=1", "DO_NOT_TRACK"),
        ("--telemetry off", "--telemetry"),
    ];
    for (switch, by) in switches {
        let desk = desk_with("r.json", RECORD);
        copy_tree(&installation(), &desk.path("m"));
        off_writes_nothing(&desk, switch, by);
        desk.collect();
        off_writes_nothing(&desk, switch, by);
    }
}

fn off_writes_nothing(desk: &Desk, switch: &str, by: &str) {
    let cases = [
        ("collect --manifests m", 0, "nothing was collected"),
        ("collect --record r.json --allow-kind my-product", 0, "nothing was collected"),
        ("export -o bundle.tar", 4, "no bundle was written"),
        ("export --manifests m -o bundle.tar", 4, "no bundle was written"),
        ("preview", 0, "nothing would leave"),
        ("preview --manifests m", 0, "nothing would leave"),
    ];
    for (line, code, result) in cases {
        let before = desk.snapshot();
        let printed = run_with(desk, switch, line).code(code).says(&format!("telemetry is off ({by}): {result}\n"));
        assert_eq!(printed.stdout, "");
        desk.unchanged_since(&before, line);
    }
}

#[test]
fn the_command_line_switches_telemetry_on_again() {
    let desk = desk_with("r.json", RECORD);
    let line = "collect --record r.json --allow-kind my-product --telemetry on";
    run_with(&desk, "KUBERMATIC_TELEMETRY=off", line).ok().says("stored a record");
    let status = run_with(&desk, "DO_NOT_TRACK=1", "status --json").ok().json();
    assert_eq!(status["telemetry"], json!({"on": false, "decidedBy": "DO_NOT_TRACK"}));
}

#[test]
fn a_setting_that_says_neither_on_nor_off_is_an_error() {
    let desk = Desk::new();
    copy_tree(&installation(), &desk.path("m"));
    desk.collect();
    for line in ["collect --manifests m", "export -o bundle.tar", "preview"] {
        let before = desk.snapshot();
        let printed = run_with(&desk, "KUBERMATIC_TELEMETRY=maybe", line).code(1);
        let message = "KUBERMATIC_TELEMETRY says neither `on` nor `off`";
        tells(&printed, message, "set it to on or off, or use --telemetry on|off");
        desk.unchanged_since(&before, line);
    }
}

// Bundles and receipts that are not what they seem.

/// Insists that a file is refused alike by everything that reads bundles, and that nothing of it is kept.
fn bundle_refused(desk: &Desk, file: &str, message: &str, hint: &str) {
    let message = format!("{file}: {message}");
    refused(desk, &format!("verify {file} --key client.pem"), &message, hint);
    refused(desk, &format!("inspect {file}"), &message, hint);
    refused(desk, &format!("inspect {file} --extract records"), &message, hint);
    let line = format!("ingest {file} --archive archive --trust tofu --receipts receipts");
    let printed = desk.line(&line).code(1);
    // The audit tells of it, and nothing else does.
    let kept = desk.tree("archive").into_iter().filter(|name| name != "archive.json" && !name.starts_with("audit/"));
    assert_eq!(kept.collect::<Vec<_>>(), [""; 0], "nothing of a refused bundle is archived");
    assert!(!desk.path("receipts").exists());
    tells(&printed, &message, hint);
}

#[test]
fn a_truncated_bundle_is_refused_wherever_it_was_cut() {
    let whole = exported();
    let bytes = fs::read(whole.path("bundle.tar")).unwrap();
    let payload = payload_of(&bytes);
    let cuts = [
        (0, "it is not a bundle or receipt: it is empty", "a bundle is the file that `export` wrote"),
        (600, "it is cut off in manifest.json: at least ", COPY_HINT),
        (payload + 100, "it is cut off in records.tar.gz: at least ", COPY_HINT),
        (bytes.len() - 1, "it is cut off in its end marker: at least 1 bytes are missing", COPY_HINT),
    ];
    for (length, message, hint) in cuts {
        let desk = desk_with("cut.tar", &bytes[..length]);
        fs::copy(whole.path("client.pem"), desk.path("client.pem")).unwrap();
        bundle_refused(&desk, "cut.tar", message, hint);
    }
}

#[test]
fn a_bundle_with_an_altered_manifest_is_refused() {
    let desk = exported();
    tamper(&desk, "bundle.tar", "tampered.tar", b"\"sequence\":1", b"\"sequence\":2");
    bundle_refused(&desk, "tampered.tar", "its signature does not match: it was altered", TAMPERED_HINT);
}

#[test]
fn a_bundle_with_an_altered_payload_is_refused() {
    let desk = exported();
    let mut bytes = fs::read(desk.path("bundle.tar")).unwrap();
    let payload = payload_of(&bytes);
    bytes[payload + 100] ^= 1;
    desk.file("tampered.tar", bytes);
    bundle_refused(&desk, "tampered.tar", "its payload is not the one that the manifest was signed for", TAMPERED_HINT);
}

#[test]
fn a_refused_bundle_does_not_keep_the_others_from_ingest() {
    let desk = exported();
    desk.file("junk.tar", "junk");
    let printed = desk.line("ingest junk.tar bundle.tar --archive archive --trust tofu --json").code(1);
    let rows = printed.says("error: junk.tar: it is not a bundle or receipt").json();
    assert!(rows[0]["error"].as_str().unwrap().starts_with("junk.tar: "), "{rows}");
    assert_eq!(rows[1]["accepted"], 2);
}

#[test]
fn a_client_that_nobody_knows_is_not_ingested() {
    let desk = exported();
    refused_with(
        &desk,
        "ingest bundle.tar --archive archive",
        2,
        "nobody is trusted, so nothing can be accepted",
        "give --keyring DIR with <client-uuid>.pem files, put keys into the archive with",
    );
    let stranger = "00000000-0000-4000-8000-000000000001";
    desk.line(&format!("keys trust client.pem --client {stranger} --keyring keyring")).ok();
    let printed = desk.line("ingest bundle.tar --archive archive --keyring keyring").code(1);
    tells(&printed.says(" is not in the keyring; the bundle is intact"), "bundle.tar: client ", "ask the client for");
    assert!(!desk.path("archive/clients").exists());
}

#[test]
fn another_key_than_the_signers_is_refused() {
    let (desk, other) = (exported(), exported());
    fs::copy(other.path("client.pem"), desk.path("other.pem")).unwrap();
    for line in ["verify bundle.tar --key other.pem", "inspect bundle.tar --key other.pem"] {
        refused(&desk, line, "bundle.tar: client ", "if the client has a new key, ask them for its key id");
        desk.line(line).code(1).says(" is known with other keys than sha256:");
    }
}

#[test]
fn a_private_key_is_no_public_key() {
    let desk = exported();
    let message = "state/identity/signing-key.pem: holds a private key, which does not belong here";
    refused(&desk, "verify bundle.tar --key state/identity/signing-key.pem", message, "private keys stay where");
    desk.file("none.pem", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n");
    let message = "none.pem: no Ed25519 public key in PEM (`BEGIN PUBLIC KEY`) in it";
    refused(&desk, "verify bundle.tar --key none.pem", message, "`keys export` writes it");
    refused(&desk, "verify bundle.tar --key absent.pem", "can't read absent.pem: No such file", "");
}

/// A desk whose bundle was ingested: the receipt is `receipt.tar`, the key that signed it `receipt-key.pem`.
fn answered() -> Desk {
    let desk = exported();
    let rows = desk.line("ingest bundle.tar --archive archive --trust tofu --receipts receipts --json").ok().json();
    fs::copy(desk.path(rows[0]["receipt"].as_str().unwrap()), desk.path("receipt.tar")).unwrap();
    fs::copy(desk.path("receipts/receipt-key.pub.pem"), desk.path("receipt-key.pem")).unwrap();
    desk
}

#[test]
fn a_receipt_for_another_client_is_refused() {
    let (desk, other) = (answered(), exported());
    for name in ["receipt.tar", "receipt-key.pem"] {
        fs::copy(desk.path(name), other.path(name)).unwrap();
    }
    let line = "receipt receipt.tar --receipt-key receipt-key.pem";
    let hint = "import it where the bundle was exported, with that state directory (--state DIR)";
    refused(&other, line, "receipt.tar: the receipt is for client ", hint);
    other.line(line).code(1).says("2 records pending");
}

#[test]
fn a_refused_receipt_makes_no_store() {
    let (desk, new) = (answered(), Desk::new());
    for name in ["receipt.tar", "receipt-key.pem"] {
        fs::copy(desk.path(name), new.path(name)).unwrap();
    }
    new.line("init").ok();
    let line = "receipt receipt.tar --receipt-key receipt-key.pem";
    refused(&new, line, "receipt.tar: the receipt is for client ", "import it where the bundle was exported");
}

#[test]
fn a_receipt_of_an_unknown_signer_is_refused() {
    let desk = answered();
    let hint = "if this is Kubermatic's key, add its PEM to receipt-keys.pem in the state directory";
    refused(
        &desk,
        "receipt receipt.tar --receipt-key client.pem",
        "receipt.tar: the receipt is signed by sha256:",
        hint,
    );
    let message = "no key is trusted to sign receipts, so none can be believed";
    refused(&desk, "receipt receipt.tar", message, "get Kubermatic's receipt key from a place that you trust");
}

#[test]
fn a_tampered_receipt_is_refused() {
    let desk = answered();
    tamper(&desk, "receipt.tar", "tampered.tar", b"\"accepted\"", b"\"rejected\"");
    let message = "tampered.tar: its signature does not match: it was altered";
    refused(&desk, "receipt tampered.tar --receipt-key receipt-key.pem", message, TAMPERED_HINT);
    refused(&desk, "inspect tampered.tar --receipt-key receipt-key.pem", message, TAMPERED_HINT);
    let message = "bundle.tar: it is a bundle, where a receipt is expected";
    refused(&desk, "receipt bundle.tar --receipt-key receipt-key.pem", message, "`verify` checks bundles");
    let message = "receipt.tar: it is a receipt, where a bundle is expected";
    refused(&desk, "verify receipt.tar", message, "`inspect` shows receipts");
}

// Usage.

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    let desk = Desk::new();
    let cases = [
        ("", "requires a subcommand"),
        ("collekt", "unrecognized subcommand 'collekt'"),
        ("collect --bogus", "unexpected argument '--bogus'"),
        ("collect", "there is nothing to collect from"),
        ("collect --manifests m --record r.json", "cannot be used with"),
        ("collect --allow-kind my-product", "required arguments were not provided"),
        ("collect --record r.json --allow-kind My_Product", "the record's `kind` must be a string like"),
        ("collect kubelet --manifests m", "invalid value 'kubelet'"),
        ("export", "required arguments were not provided"),
        ("export --json -o -", "--json and -o - both want stdout"),
        ("export --again one -o b.tar", "invalid value 'one'"),
        ("export --again 1 --new -o b.tar", "cannot be used with"),
        ("export --again 1 --manifests m -o b.tar", "cannot be used with"),
        ("verify b.tar --limit records", "NAME=NUMBER is expected"),
        ("pseudonym planet earth", "invalid value 'planet'"),
        ("pseudonym seed europe --cluster c", "do not apply to seed"),
        ("preview --telemetry maybe", "invalid value 'maybe'"),
    ];
    for (line, message) in cases {
        let printed = desk.line(line).code(2).says(message);
        assert_eq!(printed.stdout, "", "{line}");
    }
    let hint = "\n\nhint: give --kubeconfig FILE for a cluster, --manifests DIR for exported manifests";
    desk.line("collect").code(2).says(hint);
    desk.line("export --json -o -").code(2).says("\n\nhint: write the bundle to a file with -o FILE");
    assert!(desk.snapshot().is_empty());
}

// Identities and stores.

#[test]
fn a_partial_identity_is_never_completed() {
    for missing in ["client-uuid", "pseudonym.key", "signing-key.pem"] {
        let desk = desk_with("r.json", RECORD);
        desk.collect();
        fs::remove_file(desk.state().join("identity").join(missing)).unwrap();
        let collect = "collect --record r.json --allow-kind my-product";
        for line in ["init", collect, "export -o bundle.tar", "preview", "status", "keys show"] {
            let printed = desk.line(line).code(1);
            tells(&printed.says(&format!("is not complete: {missing} is missing")), "the identity in ", IDENTITY_HINT);
        }
        assert!(!desk.state().join("identity").join(missing).exists());
        refused(&desk, collect, "the identity in ", IDENTITY_HINT);
    }
}

#[test]
fn a_damaged_identity_is_told_with_its_file_and_nothing_of_its_contents() {
    let damages = [
        ("client-uuid", "does not hold a UUID"),
        ("pseudonym.key", "does not hold 64 hexadecimal digits"),
        ("signing-key.pem", "not an Ed25519 private key in PEM"),
    ];
    for (file, message) in damages {
        let desk = Desk::new();
        desk.line("init").ok();
        fs::write(desk.state().join("identity").join(file), "CANARY").unwrap();
        let before = desk.snapshot();
        let printed = desk.line("init").code(1).says(message).says(file).says(IDENTITY_HINT);
        assert!(!printed.stderr.contains("CANARY"));
        desk.unchanged_since(&before, "init");
    }
}

#[test]
fn an_identity_is_not_made_among_other_files() {
    let desk = desk_with("state/identity/holiday.jpg", "not a key");
    desk.file("r.json", RECORD);
    for line in ["init", "collect --record r.json --allow-kind my-product", "export -o bundle.tar"] {
        let before = desk.snapshot();
        let printed = desk.line(line).code(1).says("identity holds other files, and no identity");
        tells(&printed, "", "give another place with --identity DIR or --state DIR");
        desk.unchanged_since(&before, line);
    }
}

#[test]
fn a_store_is_not_made_among_other_files() {
    let desk = desk_with("state/store/holiday.jpg", "not a record");
    desk.file("r.json", RECORD);
    desk.line("init").ok();
    let before = desk.snapshot();
    let line = "collect --record r.json --allow-kind my-product";
    let printed = desk.line(line).code(1).says("store holds other files, and no store");
    tells(&printed, "", "give another place with --store DIR or --state DIR");
    desk.unchanged_since(&before, line);
}

/// A desk with records in its store and without the identity that they belong to.
fn bereft() -> Desk {
    let desk = desk_with("r.json", RECORD);
    copy_tree(&installation(), &desk.path("m"));
    desk.collect();
    fs::remove_dir_all(desk.state().join("identity")).unwrap();
    desk
}

#[test]
fn a_store_whose_identity_is_gone_gets_no_new_one() {
    let desk = bereft();
    let collect = "collect --record r.json --allow-kind my-product";
    for line in ["collect --manifests m", collect, "export -o bundle.tar", "export --manifests m -o bundle.tar"] {
        refused(&desk, line, "there is a store in ", IDENTITY_HINT);
        desk.line(line).code(1).says("but its identity is not in ");
    }
}

#[test]
fn init_makes_no_identity_beside_a_store_of_another() {
    refused(&bereft(), "init", "there is a store in ", IDENTITY_HINT);
}

#[test]
fn a_lost_identity_is_not_passed_over_in_silence() {
    for line in ["status", "preview"] {
        let printed = bereft().line(line);
        let all = format!("{}{}", printed.stdout, printed.stderr);
        assert!(all.contains("its identity is not in"), "`{line}` says nothing of it: {all}");
    }
}

#[test]
fn a_new_client_starts_over_where_the_identity_is_lost() {
    let desk = bereft();
    desk.line("init --new-client").ok().says("moved ");
    desk.line("collect --manifests m").ok();
    assert_eq!(desk.line("status --json").ok().json()["pending"]["records"], 2);
}

#[test]
fn a_store_of_another_client_is_refused() {
    let desk = desk_with("r.json", RECORD);
    desk.collect();
    desk.line("init --identity other --store none-yet").ok();
    let line = "collect --record r.json --allow-kind my-product --identity other";
    refused(&desk, line, "the store ", "use the identity that the store was made with");
    refused(&desk, "export -o bundle.tar --identity other", "the store ", "use the identity that");
}

#[test]
fn of_many_that_start_at_once_all_get_one_identity() {
    let desk = Desk::new();
    let start = |_| {
        let mut command = desk.command();
        command.args(["init", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..8).map(start).collect();
    let outputs = children.into_iter().map(|child| Printed::of(child.wait_with_output().unwrap()).ok());
    let outputs: Vec<_> = outputs.collect();
    let keys: BTreeSet<_> = outputs.iter().map(|it| format!("{} {}", it.json()["client"], it.json()["key"])).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(outputs.iter().filter(|it| it.stderr.contains("made the identity")).count(), 1);
    assert_eq!(desk.tree("state"), ["identity/client-uuid", "identity/pseudonym.key", "identity/signing-key.pem"]);
    let kept = desk.line("keys show --json").ok().json();
    assert_eq!(format!("{} {}", kept["client"], kept["key"]), *keys.first().unwrap());
}

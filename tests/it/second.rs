//! The second verifier, in Python, against this program: on the vectors, on bundles that were exported, and on bundles
//! that were damaged and forged at random.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use kubermatic_telemetry::bundle::limits::{Limit, Limits};
use kubermatic_telemetry::bundle::verify;
use kubermatic_telemetry::keys::PublicKey;
use kubermatic_telemetry::keys::keyring::{Keyring, Trust};
use serde_json::{Value, json};

use crate::forge::{DELTA, FIRST, Forge, SECOND, client_key};
use crate::support::{Desk, Printed, copy_tree, root, say, skip};
use crate::vectors::{all, place};

/// A script of the second verifier, if its tools are there.
fn python(script: &str, arguments: &[&str]) -> Option<Printed> {
    for tool in ["python3", "openssl"] {
        if Command::new(tool).arg(if tool == "openssl" { "version" } else { "--version" }).output().is_err() {
            skip(&format!("there is no {tool}, which the second verifier needs"));
            return None;
        }
    }
    let mut command = Command::new("python3");
    command.arg(root().join("tests/interop").join(script)).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(Printed::of(command.output().unwrap()))
}

/// Runs the second verifier on a folder of vectors; what it says otherwise than is expected.
fn disagreements(place: &Path) -> Option<(usize, Vec<Value>)> {
    let printed = python("vectors.py", &[place.to_str().unwrap()])?;
    assert!(printed.code < 2 && printed.stderr.is_empty(), "it fails: {}", printed.stderr);
    let rows: Vec<Value> = printed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = rows.len();
    Some((count, rows.into_iter().filter(|row| row["right"] != true).collect()))
}

#[test]
fn it_agrees_on_every_vector() {
    let Some((count, wrong)) = disagreements(&place()) else { return };
    assert_eq!(wrong, Vec::<Value>::new());
    assert_eq!(count, all().count());
    say("measured", &format!("{count} vectors on which both verifiers agree"));
}

#[test]
fn it_has_the_same_limits() {
    let script = "import json, bundle; print(json.dumps(bundle.LIMITS))";
    let mut command = Command::new("python3");
    command.args(["-c", script]).current_dir(root().join("tests/interop")).env("PYTHONDONTWRITEBYTECODE", "1");
    let Ok(output) = command.output() else { return skip("there is no python3") };
    let expected: Value = Limit::ALL.iter().map(|limit| (limit.name().to_owned(), json!(limit.default()))).collect();
    assert_eq!(Printed::of(output).ok().json(), expected);
}

#[test]
fn it_agrees_on_exported_bundles_whoever_is_trusted() {
    let (desk, other) = (Desk::new(), Desk::new());
    (0..3).for_each(|_| drop(desk.collect()));
    other.line("init").ok();
    other.line("keys export -o other.pem").ok();
    fs::copy(other.path("other.pem"), desk.path("other.pem")).unwrap();
    desk.line("export -o bundle.tar --note grün").ok();
    desk.line("keys export -o client.pem").ok();
    let client = desk.line("keys show --json").ok().json()["client"].as_str().unwrap().to_owned();
    desk.line(&format!("keys trust client.pem --client {client} --keyring keyring")).ok();
    copy_tree(&desk.path("keyring"), &desk.path("revoked"));
    let id = desk.line("keys show --json").ok().json()["key"].as_str().unwrap().to_owned();
    desk.file("revoked/revoked", format!("{id} # lost\n"));
    let answers = [
        ("", "signerUnknown"),
        ("--key client.pem", "valid"),
        ("--keyring keyring", "valid"),
        ("--key other.pem", "keyConflict"),
        ("--keyring revoked", "keyRevoked"),
        ("--keyring absent", "trustUnavailable"),
        ("--limit records=1", "limitExceeded"),
    ];
    for (options, code) in answers {
        let own = desk.line(&format!("verify --json bundle.tar {options}"));
        let mut arguments: Vec<String> = vec!["--json".to_owned(), desk.path("bundle.tar").display().to_string()];
        for option in options.split_whitespace() {
            let is_path = !option.starts_with("--") && !option.contains('=');
            arguments.push(if is_path { desk.path(option).display().to_string() } else { option.to_owned() });
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let Some(second) = python("verify.py", &arguments) else { return };
        assert_eq!(own.json()["code"], code, "{options}: {}", own.stderr);
        assert_eq!((&second.json()["code"], second.code), (&own.json()["code"], own.code), "{options}");
    }
}

/// Numbers that are the same in every run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end
    }

    /// Something done to bytes somewhere.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        const PIECES: &[&[u8]] = &[
            b"\"",
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b"0",
            b"-",
            b"1e5",
            b".5",
            b"null",
            b"\\",
            b"\\u0041",
            b" ",
            b"\0",
            b"\xc3\xa9",
            b"\xff",
            b"\"a\":1,",
            b",{\"uuid\":\"0\"}",
            b"[]",
            b"{}",
            b"9007199254740993",
            b"\n",
        ];
        let at = self.below(bytes.len().max(1));
        match self.below(5) {
            0 => bytes.insert(at.min(bytes.len()), b' '),
            1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => {
                let end = (at + self.below(40)).min(bytes.len());
                let piece = bytes[at.min(end)..end].to_vec();
                let to = self.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            _ => {
                let piece = PIECES[self.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
}

/// A forged bundle in which a part was damaged before it was signed; the part that comes last is damaged behind that.
fn damaged(chance: &mut Chance) -> Vec<u8> {
    let third = SECOND.replace("01-02", "01-03").replace("\"2\"", "\"3\"");
    let delta = DELTA.replace("01-02", "01-03").replace("\"2\"", "\"3\"").replace("\"1\"", "\"2\"");
    let mut forge = Forge::of(&[("full", FIRST, FIRST), ("delta", SECOND, DELTA), ("delta", &third, &delta)]);
    let seed = chance.0;
    let mut again = Chance(seed ^ 0x5555);
    let times = 1 + chance.below(3);
    let mut spoil = move |mut bytes: Vec<u8>| {
        (0..times).for_each(|_| again.damage(&mut bytes));
        bytes
    };
    match chance.below(7) {
        0 | 1 => forge.text(spoil),
        2 => {
            let record = spoil(FIRST.as_bytes().to_vec());
            forge.first(record)
        }
        3 | 4 => {
            let at = 1 + chance.below(2);
            let entry = std::mem::take(&mut forge.entries[at].1);
            forge.entries[at].1 = spoil(entry);
            forge
        }
        5 => forge.inner(spoil),
        _ => forge.payload(spoil),
    }
    .build()
}

fn code_of(bytes: &[u8], keyring: &Keyring) -> String {
    match verify::verify(Cursor::new(bytes), keyring, &Limits::default(), &mut |_, _| {}) {
        Ok(verified) if verified.trust == Trust::Trusted => "valid".to_owned(),
        Ok(_) => "signerUnknown".to_owned(),
        Err(error) => error.code().as_str().to_owned(),
    }
}

/// How many damaged bundles are compared; `DAMAGED=20000` compares more.
fn how_many() -> usize {
    std::env::var("DAMAGED").ok().and_then(|text| text.parse().ok()).unwrap_or(400)
}

#[test]
fn it_agrees_on_bundles_that_were_damaged_before_and_after_they_were_signed() {
    let desk = Desk::new();
    let keyring = Keyring::of_keys(vec![client_key().public()]);
    let exported = exported(&desk);
    let signers = PublicKey::all_from_pem(&fs::read_to_string(desk.path("client.pem")).unwrap()).unwrap();
    let mut chance = Chance(0x0123_4567_89ab_cdef);
    let mut rows = Vec::new();
    for number in 0..how_many() {
        let (bytes, keyring, name) = if number % 4 == 0 {
            let mut bytes = exported.clone();
            chance.damage(&mut bytes);
            (bytes, Keyring::of_keys(signers.clone()), "exporter")
        } else {
            (damaged(&mut chance), keyring.clone(), "client")
        };
        let code = code_of(&bytes, &keyring);
        let file = format!("{number:06}.tar");
        desk.file(&format!("v/valid/{file}"), bytes);
        rows.push(json!({"file": file, "code": code, "keyring": name}));
    }
    desk.file("v/valid/expected.json", json!(rows).to_string());
    desk.file("v/hostile/expected.json", "[]");
    copy_tree(&place().join("keyrings/client"), &desk.path("v/keyrings/client"));
    let client = desk.line("keys show --json").ok().json()["client"].as_str().unwrap().to_owned();
    fs::create_dir_all(desk.path("v/keyrings/exporter")).unwrap();
    fs::copy(desk.path("client.pem"), desk.path(&format!("v/keyrings/exporter/{client}.pem"))).unwrap();
    let Some((count, wrong)) = disagreements(&desk.path("v")) else { return };
    // The format leaves open which of the two a delta gets that is both.
    let either = ["deltaInvalid", "deltaResult"];
    let expected = |row: &Value| {
        rows.iter().find(|it| format!("valid/{}", it["file"].as_str().unwrap()) == row["file"]).unwrap()["code"].clone()
    };
    let wrong: Vec<_> = wrong
        .iter()
        .map(|row| (row["file"].clone(), expected(row), row["code"].clone()))
        .filter(|(_, own, second)| !(either.iter().any(|it| own == it) && either.iter().any(|it| second == it)))
        .collect();
    if !wrong.is_empty() {
        let kept = desk.path("v");
        copy_tree(&kept, &std::env::temp_dir().join("disagreements"));
    }
    let mut codes: Vec<_> = rows.iter().map(|row| row["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert!(wrong.is_empty(), "file, this program's code, the second verifier's: {wrong:#?}");
    say("measured", &format!("{count} damaged bundles on which both verifiers agree, with {} codes", codes.len()));
}

/// A bundle as this program writes it, with deltas, and the key that signed it in `client.pem`.
fn exported(desk: &Desk) -> Vec<u8> {
    (0..3).for_each(|_| drop(desk.collect()));
    desk.line("export -o bundle.tar").ok();
    desk.line("keys export -o client.pem").ok();
    fs::read(desk.path("bundle.tar")).unwrap()
}

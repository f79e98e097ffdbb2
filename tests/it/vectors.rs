//! The test vectors in `testdata/bundles`: whole bundles and receipts as files, and what must come of each.
//!
//! `UPDATE_VECTORS=1 cargo test --test it vectors::the_vectors` forges them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kubermatic_telemetry::bundle::Code;
use kubermatic_telemetry::bundle::limits::Limit;
use serde_json::{Value, json};

use crate::forge::{self, Case, receipts};
use crate::support::{Desk, Printed, root, say, walk};

/// Where the vectors are.
pub fn place() -> PathBuf {
    root().join("testdata/bundles")
}

/// A vector as its index describes it.
#[derive(Debug)]
pub struct Vector {
    pub file: PathBuf,
    pub code: String,
    pub exit: i32,
    keyring: Option<String>,
    limits: Vec<String>,
}

impl Vector {
    pub fn is_receipt(&self) -> bool {
        self.name().ends_with(".receipt.tar")
    }

    pub fn name(&self) -> String {
        self.file.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The options that the index asks for.
    pub fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        if let Some(keyring) = &self.keyring {
            let (option, path) = if self.is_receipt() {
                ("--receipt-key", place().join("keyrings/receipts.pem"))
            } else {
                ("--keyring", place().join("keyrings").join(keyring))
            };
            options.extend([option.to_owned(), path.to_str().unwrap().to_owned()]);
        }
        options.extend(self.limits.iter().flat_map(|limit| ["--limit".to_owned(), limit.clone()]));
        options
    }
}

/// The records of the vectors that an independent implementation published.
pub fn records() -> Vec<Value> {
    let mut records = Vec::new();
    for entry in fs::read_dir(root().join("testdata/bundles/vectors")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().ends_with(".records.json") {
            records.extend(serde_json::from_slice::<Vec<Value>>(&fs::read(path).unwrap()).unwrap());
        }
    }
    records
}

/// Every vector of a folder, as its index lists them.
pub fn vectors(folder: &str) -> Vec<Vector> {
    let index = fs::read(place().join(folder).join("expected.json")).unwrap();
    let index: Vec<Value> = serde_json::from_slice(&index).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let vector = |row: &Value| Vector {
        file: place().join(folder).join(row["file"].as_str().unwrap()),
        code: text(&row["code"]).unwrap(),
        exit: i32::try_from(row["exit"].as_i64().unwrap()).unwrap(),
        keyring: text(&row["keyring"]),
        limits: row["limits"].as_array().into_iter().flatten().filter_map(text).collect(),
    };
    index.iter().map(vector).collect()
}

pub fn all() -> impl Iterator<Item = Vector> {
    ["valid", "hostile"].into_iter().flat_map(vectors)
}

/// The folder as it must be: each file, and what it holds.
fn expected() -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for (folder, cases) in [("valid", forge::valid()), ("hostile", forge::hostile())] {
        let mut names = BTreeSet::new();
        for case in &cases {
            assert!(names.insert(&case.name), "two vectors are named {}", case.name);
        }
        let rows: Vec<_> = cases.iter().map(|case| format!("  {}", row(case))).collect();
        files.push((PathBuf::from(folder).join("expected.json"), format!("[\n{}\n]\n", rows.join(",\n")).into_bytes()));
        files.extend(cases.into_iter().map(|case| (Path::new(folder).join(case.name), case.bytes)));
    }
    for (name, keys) in forge::keyrings() {
        let folder = Path::new("keyrings").join(name);
        files.extend(keys.into_iter().map(|(file, text)| (folder.join(file), text.into_bytes())));
    }
    files.push(("keyrings/receipts.pem".into(), receipts::public_key().into_bytes()));
    files
}

/// What the index says of a vector, on one line.
fn row(case: &Case) -> String {
    let exit = match case.code {
        "valid" => 0,
        // `inspect`, which reads receipts, only warns.
        "signerUnknown" => {
            if case.is_receipt() {
                0
            } else {
                3
            }
        }
        _ => 1,
    };
    let mut row = json!({"file": case.name, "about": case.about, "code": case.code, "exit": exit});
    if let Some(keyring) = case.keyring.filter(|_| !case.is_receipt()) {
        row["keyring"] = keyring.into();
    } else if case.keyring.is_some() {
        row["keyring"] = "receipts.pem".into();
    }
    if !case.limits.is_empty() {
        row["limits"] = case.limits.clone().into();
    }
    row.to_string()
}

#[test]
fn the_vectors_are_what_the_forge_makes() {
    let expected = expected();
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        for folder in ["valid", "hostile", "keyrings"] {
            let _ = fs::remove_dir_all(place().join(folder));
        }
        for (path, bytes) in &expected {
            let path = place().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
    let mut total = 0;
    for (path, bytes) in &expected {
        let found = fs::read(place().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(found == *bytes, "{} is not what the forge makes; UPDATE_VECTORS=1 makes it anew", path.display());
        total += found.len();
    }
    let mut found = Vec::new();
    for folder in ["valid", "hostile", "keyrings"] {
        walk(&place().join(folder), &mut found);
    }
    assert_eq!(found.len(), expected.len(), "there are files that the forge does not make");
    assert!(total < 2_500_000, "{total} bytes are too many for a repository");
    say("measured", &format!("{} vectors, {total} bytes", all().count()));
}

/// Runs `verify --json`, or `inspect --json` on a receipt, on a file or on stdin.
fn check(desk: &Desk, vector: &Vector, on_stdin: bool) -> Printed {
    let mut arguments = vec![if vector.is_receipt() { "inspect" } else { "verify" }.to_owned(), "--json".to_owned()];
    arguments.extend(vector.options());
    if on_stdin {
        arguments.push("-".to_owned());
        return desk.run_with_input(arguments, &fs::read(&vector.file).unwrap());
    }
    arguments.push(vector.file.to_str().unwrap().to_owned());
    desk.run(arguments)
}

/// The code that the program gives; what `inspect` accepts has none.
fn code_of(printed: &Printed) -> String {
    let document = printed.json();
    match (document["code"].as_str(), document["trust"].as_str()) {
        (Some(code), _) => code.to_owned(),
        (None, Some("trusted")) => "valid".to_owned(),
        (None, Some("unknownSigner")) => "signerUnknown".to_owned(),
        _ => panic!("neither a code nor trust: {document}"),
    }
}

#[test]
fn each_vector_has_the_code_and_the_exit_code_beside_it_as_a_file_and_on_a_pipe() {
    let desk = Desk::new();
    let mut wrong = Vec::new();
    for vector in all() {
        for on_stdin in [false, true] {
            let printed = check(&desk, &vector, on_stdin);
            let found = (code_of(&printed), printed.code);
            if found != (vector.code.clone(), vector.exit) {
                wrong.push(format!("{}: {found:?}: {}", vector.name(), printed.stderr));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
}

#[test]
fn inspect_says_of_each_hostile_vector_why_it_is_refused_and_nothing_else() {
    let desk = Desk::new();
    for vector in vectors("hostile") {
        let arguments = vector.options().into_iter().chain(["--extract".into(), "records".into()]);
        let mut arguments: Vec<String> = arguments.chain([vector.file.to_str().unwrap().to_owned()]).collect();
        if vector.is_receipt() || vector.code == "wrongDocument" {
            arguments.retain(|argument| !["--extract", "records"].contains(&argument.as_str()));
        }
        arguments.insert(0, "inspect".to_owned());
        if vector.code == "wrongDocument" {
            // Whatever it is given, `inspect` knows by itself which of the two it is.
            desk.run(arguments).ok();
            continue;
        }
        let printed = desk.run(arguments).code(1);
        assert_eq!(printed.stdout, "", "{}", vector.name());
        let lines: Vec<_> = printed.stderr.lines().filter(|line| !line.is_empty()).collect();
        assert!(lines[0].starts_with("error: ") && lines.len() <= 2, "{}: {}", vector.name(), printed.stderr);
        assert!(lines.get(1).is_none_or(|line| line.starts_with("hint: ")), "{}: {}", vector.name(), printed.stderr);
        let is_plain = printed.stderr.chars().all(|c| c == '\n' || !c.is_control());
        assert!(
            is_plain && !printed.stderr.contains('\u{202e}'),
            "{}: {}",
            vector.name(),
            printed.stderr.escape_debug()
        );
        assert!(printed.stderr.len() < 2000, "{}: {} bytes of error", vector.name(), printed.stderr.len());
    }
    assert!(!desk.path("records").exists(), "nothing is extracted from what is refused");
}

#[test]
fn no_hostile_vector_keeps_the_program_busy() {
    let desk = Desk::new();
    let mut slowest = (Duration::ZERO, String::new());
    for vector in vectors("hostile") {
        let start = Instant::now();
        check(&desk, &vector, false);
        slowest = slowest.max((start.elapsed(), vector.name()));
    }
    say("measured", &format!("the slowest of the hostile vectors, {}, took {:?}", slowest.1, slowest.0));
    // Under a second with optimization; here without it, and beside other tests.
    assert!(slowest.0 < Duration::from_secs(10), "{slowest:?}");
}

/// The codes that no file can show: what is wrong is around the bundle. Each has a test in `refusals`.
const OF_NO_FILE: &[&str] = &["unreadable", "trustUnavailable", "changedWhileRead"];

#[test]
fn every_code_has_a_vector_or_a_test_and_no_vector_has_another() {
    let shown: BTreeSet<String> = all().map(|vector| vector.code).collect();
    for code in Code::ALL {
        let is_shown = shown.contains(code.as_str());
        assert!(is_shown != OF_NO_FILE.contains(&code.as_str()), "{code} has no vector, or has one against all odds");
    }
    let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).chain(["valid", "signerUnknown"]).collect();
    let unknown: Vec<_> = shown.iter().filter(|code| !codes.contains(code.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_eq!(codes.len(), Code::ALL.len() + 2, "no code is there twice");
}

#[test]
fn every_limit_has_a_vector_that_exceeds_it_and_passes_with_the_option_of_the_hint() {
    let desk = Desk::new();
    let mut exceeded = BTreeSet::new();
    for vector in vectors("hostile").into_iter().filter(|vector| vector.code == "limitExceeded") {
        let printed = check(&desk, &vector, false);
        let refused = printed.json();
        let name = refused["limit"]["name"].as_str().unwrap().to_owned();
        let (actual, allowed) = (&refused["limit"]["actual"], &refused["limit"]["allowed"]);
        for word in [&name, &actual.to_string(), &allowed.to_string()] {
            assert!(printed.stderr.contains(word), "{}: `{word}` is not in {}", vector.name(), printed.stderr);
        }
        let hint = refused["hint"].as_str().unwrap();
        let option = hint.split_whitespace().skip_while(|word| *word != "--limit").nth(1);
        let Some(option) = option else {
            assert!(hint.contains("can be at most"), "{}: {hint}", vector.name());
            continue;
        };
        let mut raised = vector;
        raised.limits.push(option.to_owned());
        let again = check(&desk, &raised, false).json();
        // How far a stream expands that no manifest tells of is not known before.
        let is_known = raised.name() != "bomb-of-zeros.tar";
        let same = again["limit"]["name"].as_str() == Some(name.as_str());
        assert!(!same || !is_known, "{}: {option} does not suffice: {again}", raised.name());
        exceeded.insert(name);
    }
    let all: BTreeSet<_> = Limit::ALL.iter().map(|limit| limit.name().to_owned()).collect();
    assert_eq!(exceeded, all, "limits that are exceeded by a vector");
}

//! The page of error messages: what it lists is what the program says.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::support::{Desk, installation, root, say, walk};

/// The messages of the page, each as its fixed parts.
fn page() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let mut messages = Vec::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 3, "{row}");
        assert!(cells.iter().all(|cell| cell.trim().len() > 3), "an empty cell: {row}");
        for message in cells[0].split("<br>") {
            let message = message.trim();
            let plain = message.strip_prefix("`` ").and_then(|it| it.strip_suffix(" ``"));
            let plain = plain.or_else(|| message.strip_prefix('`')?.strip_suffix('`'));
            messages.push(parts(plain.unwrap_or_else(|| panic!("{message}")), '…', '…'));
        }
    }
    assert!(messages.len() > 100, "{}", messages.len());
    messages
}

/// The fixed parts of a message, between what stands for something else.
fn parts(text: &str, open: char, close: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == open {
            if open != close {
                let _ = rest.by_ref().find(|&c| c == close);
            }
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// Whether a text has these parts, one after the other.
fn has(text: &str, parts: &[String]) -> bool {
    let mut rest = text;
    parts.iter().all(|part| match rest.split_once(part.as_str()) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// The string literals of the program's source, in the order of their files; escapes and continued lines undone.
fn literals(file: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = file.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '/' if rest.peek() == Some(&'/') => drop(rest.by_ref().find(|&c| c == '\n')),
            '\'' => {
                // A character, perhaps a quotation mark; a lifetime has no second quote so near.
                let ahead: String = rest.clone().take(2).collect();
                if ahead == "\"'" {
                    rest.nth(1);
                }
            }
            '"' => {
                let mut literal = String::new();
                while let Some(c) = rest.next() {
                    match c {
                        '"' => break,
                        '\\' => match rest.next() {
                            Some('n') => literal.push('\n'),
                            Some('\n') => while rest.next_if(|c| c.is_whitespace()).is_some() {},
                            Some(other) => literal.push(other),
                            None => {}
                        },
                        other => literal.push(other),
                    }
                }
                literals.push(literal);
            }
            _ => {}
        }
    }
    literals
}

fn sources(places: &[&str]) -> String {
    let mut files: Vec<PathBuf> = Vec::new();
    for place in places {
        let path = root().join(place);
        if path.is_file() { files.push(path) } else { walk(&path, &mut files) }
    }
    let rust = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// What the program says on many occasions on which somebody made a mistake.
fn said() -> Vec<String> {
    let desk = Desk::new();
    let mut said = Vec::new();
    let mut run = |desk: &Desk, line: &str| {
        let printed = desk.line(line);
        assert_ne!(printed.code, 0, "{line}: {printed:?}");
        said.push(printed.stderr);
    };
    let manifests = installation().display().to_string();
    // Nothing is there yet.
    for line in [
        "collect",
        "preview --user-clusters",
        "init --secret a/b",
        "keys show",
        "export --json -o -",
        "preview --manifests nowhere",
        "collect --kubeconfig nowhere",
        "verify nothing --keyring k",
        "receipt nothing",
        "preview --kubeconfig a --kubeconfig-for x=y --kubeconfig-for x=z",
        "init --new-client --secret a/b",
        "pseudonym seed europe --cluster c",
        "man nowhere",
        "verify nothing --keyring nowhere",
        "export -o .",
    ] {
        run(&desk, line);
    }
    let unclear = desk.command().env("KUBERMATIC_TELEMETRY", "perhaps").arg("collect").output().unwrap();
    let homeless = desk.command().env_clear().arg("status").output().unwrap();
    for output in [unclear, homeless] {
        assert!(!output.status.success());
        said.push(String::from_utf8(output.stderr).unwrap());
    }
    let mut run = |desk: &Desk, line: &str| {
        let printed = desk.line(line);
        assert_ne!(printed.code, 0, "{line}: {printed:?}");
        said.push(printed.stderr);
    };
    // Kubeconfigs and manifests that are none.
    let context = "{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}]";
    for (name, text) in [
        ("a", "["),
        ("b", "{}"),
        ("c", "{current-context: x}"),
        ("d", &format!("{context}}}")),
        ("e", &format!("{context}, clusters: [{{name: k, cluster: {{server: 'ftp://a.invalid'}}}}]}}")),
        (
            "f",
            &format!(
                "{context}, clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:1', certificate-authority: n}}}}]}}"
            ),
        ),
        ("g", &format!("{context}, clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:1'}}}}]}}")),
    ] {
        desk.file(name, text);
        run(&desk, &format!("preview --request-timeout 2s --kubeconfig {name}"));
    }
    for (folder, file, text) in [
        ("m1", "notes.txt", ""),
        ("m2", "nodes.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: worker}\n"),
        ("m3", "cut.yaml", "a:\n b\n c: d: e"),
        ("m4", "empty.yaml", ""),
        ("m5", "odd.yaml", "apiVersion: kubermatic.k8c.io/v1\nkind: Seed\nmetadata: {}\n"),
        ("m6", "seeds/nobody/clusters.yaml", "apiVersion: kubermatic.k8c.io/v1\nkind: Cluster\nmetadata: {name: a}\n"),
    ] {
        desk.file(&format!("{folder}/{file}"), text);
        run(&desk, &format!("preview --manifests {folder}"));
    }
    run(&desk, "preview --manifests m1/notes.txt");
    run(&desk, &format!("preview --max-file-size 10 --manifests {manifests}"));
    for text in [
        "[]",
        "{}",
        r#"{"kind":"kubermatic","version":"v1","time":"2026-01-01T00:00:00Z"}"#,
        r#"{"kind":"own","version":"v1","time":"2026-01-01T00:00:00Z"}"#,
        r#"{"kind":"own","version":"v1","time":1}"#,
    ] {
        desk.file("r.json", text);
        run(&desk, "collect --record r.json");
    }
    // A state in use.
    desk.collect();
    desk.line("export -o bundle.tar").ok();
    desk.line("keys export -o own.pem").ok();
    for line in [
        "export -o bundle.tar",
        "export -o nowhere/b.tar",
        "export -o bundle.tar/",
        "export --max-size 1MB -o b.tar",
        "export --max-size 2kB -o many/",
        "export --again 7 -o x.tar",
        "discard 019a9d00-0000-7000-8000-0000000000ff",
        "init --signing-key own.pem",
        "init --encrypt",
        "init --client-uuid 6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
        "keys rotate --import own.pem",
        "keys rotate --secret a/b",
        "keys rotate --import bundle.tar",
        "send --url http://127.0.0.1:1",
        "send --url http://127.0.0.1:1 --receipt-key bundle.tar",
        "send --url http://127.0.0.1:1 --receipt-key own.pem --proxy http://u:p@127.0.0.1:1",
        "send --url ftp://a --receipt-key own.pem",
        "receipt bundle.tar --receipt-key own.pem",
        "verify own.pem --key own.pem",
        "ingest bundle.tar --archive archive",
        "status --state bundle.tar",
        "keys passphrase",
        "collect --every 24h --kubeconfig nowhere --metrics-listen 192.0.2.1:1",
    ] {
        run(&desk, line);
    }
    std::fs::create_dir_all(desk.path("many")).unwrap();
    run(&desk, "export --max-size 2kB -o many/");
    run(&desk, &format!("export -o n.tar --note {}", "n".repeat(2000)));
    run(&desk, &format!("collect --strict --manifests {manifests}"));
    desk.file(
        "other/a.yaml",
        "apiVersion: kubermatic.k8c.io/v1\nkind: KubermaticConfiguration\nmetadata: {name: k, uid: u}\n",
    );
    run(&desk, "collect --manifests other");
    desk.file("other/a.yaml", "apiVersion: kubermatic.k8c.io/v1\nkind: KubermaticConfiguration\nmetadata: {name: k}\n");
    run(&desk, "collect --manifests other");
    let bundle = fs::read(desk.path("bundle.tar")).unwrap();
    desk.file("cut.tar", &bundle[..bundle.len() / 2]);
    let mut altered = bundle.clone();
    let place = altered.windows(9).position(|window| window == b"\"created\"").unwrap();
    altered[place + 12] ^= 1;
    desk.file("altered.tar", altered);
    desk.file("page.tar", "<!DOCTYPE html><html><body>Log in</body></html>");
    for file in ["cut.tar", "altered.tar", "page.tar", "nothing.tar", "own.pem"] {
        run(&desk, &format!("verify {file} --key own.pem"));
    }
    // Identities and stores that are not as they were.
    let other = Desk::new();
    other.line("init").ok();
    fs::rename(desk.state().join("store"), other.state().join("store")).unwrap();
    run(&other, "status");
    fs::remove_dir_all(other.state().join("identity")).unwrap();
    run(&other, "status");
    other.file("state/store/store.json", "{");
    fs::rename(desk.state().join("identity"), other.state().join("identity")).unwrap();
    run(&other, "status");
    fs::remove_file(other.state().join("identity/client-uuid")).unwrap();
    run(&other, "status");
    other.file("state/identity/client-uuid", "x");
    run(&other, "status");
    let stray = Desk::new();
    stray.file("state/identity/photo", "");
    run(&stray, "init");
    said
}

#[test]
fn every_message_on_the_page_is_one_that_the_program_has() {
    let (said, all) = (said(), literals(&sources(&["src"])));
    let all: Vec<_> = all.iter().map(|literal| parts(literal, '{', '}').join("…")).collect();
    let (mut heard, mut unsaid) = (0, Vec::new());
    for message in page() {
        if said.iter().any(|text| text.contains("error: ") && has(text, &message)) {
            heard += 1;
        } else if !all.iter().any(|literal| has(literal, &message)) {
            unsaid.push(message.join("…"));
        }
    }
    // Put together of several pieces of source; `tests/e2e/identity` hears those of Secrets from a real API server.
    let composed = [
        "the metrics were not written: ",
        "can't get the Secret ",
        "can't create the Secret ",
        "can't update the Secret ",
        "can't … the Secret ",
    ];
    unsaid.retain(|message| {
        !composed.iter().any(|known| message.starts_with(known) || message.contains(" the Secret …: "))
    });
    assert!(unsaid.is_empty(), "nobody says: {unsaid:#?}");
    say("measured", &format!("{heard} of {} messages of the page heard from whole commands", page().len()));
    assert!(heard >= 60, "{heard}");
}

#[test]
fn every_error_of_identity_store_and_sending_is_on_the_page() {
    let text = sources(&[
        "src/identity",
        "src/store/mod.rs",
        "src/keys/mod.rs",
        "src/receipt.rs",
        "src/reporter",
        "src/agent/live/mod.rs",
        "src/agent/live/connect.rs",
        "src/agent/live/kept.rs",
        "src/agent/manifests/mod.rs",
        "src/record/foreign.rs",
    ]);
    let page: Vec<_> = page().iter().map(|message| message.join("…")).collect();
    let mut missing = BTreeSet::new();
    let mut count = 0;
    for attribute in text.split("#[error(").skip(1) {
        let Some(literal) = literals(attribute).into_iter().next() else { continue };
        let before = attribute.split('"').next().unwrap_or_default();
        if !before.trim().is_empty() {
            continue; // transparent
        }
        let fixed = parts(&literal, '{', '}');
        if fixed.iter().all(|part| part.trim().len() < 4) {
            continue;
        }
        count += 1;
        let long: Vec<_> =
            fixed.iter().filter(|part| part.trim().len() > 3).map(|part| part.trim().to_owned()).collect();
        let words = |part: &String| part.split('`').next().unwrap_or_default().trim().to_owned();
        if !page.iter().any(|message| has(message, &long.iter().map(words).collect::<Vec<_>>())) {
            missing.insert(literal);
        }
    }
    assert!(missing.is_empty(), "not on the page: {missing:#?}");
    say("measured", &format!("{count} errors of the source are on the page"));
    assert!(count > 60, "{count}");
}

//! The build script: which receipt keys it compiles in, and what it refuses to build with.

use std::path::Path;
use std::process::Command;

use crate::support::{Desk, Printed, root, tool};

/// The build script as a program of its own, with a repository that has nothing but `keys/receipts/`.
fn built() -> Desk {
    let desk = Desk::new();
    let script = root().join("src/build.rs");
    tool(&desk.path(""), "rustc", &["--edition", "2024", "-o", "script", script.to_str().unwrap()]);
    std::fs::create_dir_all(desk.path("keys/receipts")).unwrap();
    desk
}

fn run(desk: &Desk) -> Printed {
    let mut script = Command::new(desk.path("script"));
    Printed::of(script.current_dir(desk.path("")).env("OUT_DIR", desk.path("")).output().unwrap())
}

fn snakeoil(name: &str) -> String {
    std::fs::read_to_string(root().join("testdata/keys").join(name)).unwrap()
}

#[test]
fn a_build_has_the_receipt_keys_that_lie_there_and_none_if_there_are_none() {
    let desk = built();
    desk.file("keys/receipts/.gitkeep", "");
    run(&desk).ok();
    assert_eq!(std::fs::read_to_string(desk.path("receipt_keys.rs")).unwrap(), "[\n]\n");
    let (first, second) = (snakeoil("snakeoil-client.pub.pem"), snakeoil("snakeoil-client-rotated.pub.pem"));
    desk.file("keys/receipts/b.pem", format!("# for receipts\n{first}{second}"));
    desk.file("keys/receipts/a.pem", first.replace('\n', "\r\n"));
    run(&desk).ok();
    let code = std::fs::read_to_string(desk.path("receipt_keys.rs")).unwrap();
    let names: Vec<_> = code.lines().filter_map(|line| line.trim().strip_prefix("include_str!(\"")).collect();
    let names: Vec<_> =
        names.iter().map(|name| Path::new(name.trim_end_matches("\"),")).file_name().unwrap()).collect();
    assert_eq!(names, ["a.pem", "b.pem"]);
}

#[test]
fn a_build_fails_on_anything_else_that_lies_there_and_says_why() {
    let desk = built();
    let public = snakeoil("snakeoil-client.pub.pem");
    let damaged = "not public Ed25519 keys in PEM (BEGIN PUBLIC KEY), or damaged";
    let cases = [
        ("key.pem", snakeoil("snakeoil-client.pem"), "a private key, which must not be in the repository"),
        ("key.pem", format!("{public}{}", snakeoil("snakeoil-client.pem")), "a private key"),
        ("key.pem", public.replace("PUBLIC", "ENCRYPTED PRIVATE"), "a private key"),
        ("key.pem", String::new(), damaged),
        ("key.pem", public.replace("MCow", "MCox"), damaged),
        ("key.pem", public.replacen("=\n", "\n", 1), damaged),
        ("key.pem", public.replace("-----END PUBLIC KEY-----", ""), damaged),
        ("key.pem", format!("{public}{}", &public[..60]), damaged),
        ("key.pem", public.replace("PUBLIC KEY", "CERTIFICATE"), damaged),
        ("key.pub", public.clone(), "only public keys named *.pem belong here"),
        ("README.md", "keys".to_owned(), "only public keys named *.pem belong here"),
    ];
    for (name, contents, message) in cases {
        let file = desk.file(&format!("keys/receipts/{name}"), &contents);
        let printed = run(&desk).code(1);
        printed.prints(&format!("cargo::error=keys/receipts/{name}: {message}"));
        assert!(!desk.path("receipt_keys.rs").exists(), "{name}: {contents}");
        std::fs::remove_file(file).unwrap();
    }
    std::fs::remove_dir(desk.path("keys/receipts")).unwrap();
    run(&desk).code(1).prints("cargo::error=keys/receipts: ");
}

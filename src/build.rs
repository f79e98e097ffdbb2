//! Build script: compiles the public receipt keys of `keys/receipts/` in, and fails on anything else that lies there. A
//! key that is left out in silence would have receipts refused; a private one would be published. It also finds out what
//! `--version` says of the build.
#![allow(clippy::disallowed_methods, reason = "a build script writes to OUT_DIR")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

const DIRECTORY: &str = "keys/receipts";
/// Names the commit where there is no repository, such as in an image's build.
const COMMIT: &str = "KUBERMATIC_TELEMETRY_COMMIT";
/// The DER of an Ed25519 public key up to its 32 bytes (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={DIRECTORY}");
    println!("cargo::rerun-if-changed=src/build.rs");
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    version()?;
    let mut code = String::from("[\n");
    for path in pems()? {
        let named = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| named(&error))?;
        check(&text).map_err(|what| named(&what))?;
        let path = path.canonicalize().map_err(|error| named(&error))?;
        let name = path.to_str().ok_or_else(|| named(&"its name is not UTF-8"))?;
        writeln!(code, "    include_str!({name:?}),").map_err(|error| named(&error))?;
    }
    code.push_str("]\n");
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    let out = Path::new(&out).join("receipt_keys.rs");
    fs::write(&out, code).map_err(|error| format!("{}: {error}", out.display()))
}

/// Tells the compiler what `--version` says: version, commit, features.
fn version() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let commit = match variable(COMMIT) {
        Some(commit) => commit,
        None => commit().unwrap_or_else(|| "unknown".to_owned()),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if commit.len() > 64 || !commit.bytes().all(is_plain) {
        return Err(format!("{COMMIT} is no commit: letters, digits, dots and dashes, at most 64"));
    }
    let features = ["agent", "ingest", "pages"];
    let on = |name: &&str| variable(&format!("CARGO_FEATURE_{}", name.to_uppercase())).is_some();
    let features: Vec<_> = features.into_iter().filter(on).collect();
    let features = if features.is_empty() { "none".to_owned() } else { features.join("+") };
    let version = variable("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rustc-env=BUILT_FROM={commit}");
    println!("cargo::rustc-env=BUILT_WITH={features}");
    println!("cargo::rustc-env=BUILT_AS={version} ({commit}, features {features})");
    Ok(())
}

/// The commit that is checked out here, if this is a repository of its own.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    let here = env::current_dir().ok()?.canonicalize().ok()?;
    if Path::new(&git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()? != here {
        return None;
    }
    // While one develops, each commit would have everything compiled again for one line.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
        for name in ["HEAD", "packed-refs"].into_iter().map(str::to_owned).chain(branch) {
            let file = git(&["rev-parse", "--git-path", &name]).filter(|file| Path::new(file).exists());
            if let Some(file) = file {
                println!("cargo::rerun-if-changed={file}");
            }
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// The key files, sorted. Hidden files are those of git and editors.
fn pems() -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(DIRECTORY).map_err(|error| format!("{DIRECTORY}: {error}"))? {
        let path = entry.map_err(|error| format!("{DIRECTORY}: {error}"))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "pem") {
            return Err(format!("{}: only public keys named *.pem belong here", path.display()));
        }
        paths.push(path);
    }
    paths.sort();
    Ok(paths)
}

/// Whether a text has public Ed25519 keys in PEM in it, each whole, and no private one.
fn check(text: &str) -> Result<(), &'static str> {
    if text.contains("PRIVATE KEY") {
        return Err("a private key, which must not be in the repository: treat it as known to everybody");
    }
    let damaged = "not public Ed25519 keys in PEM (BEGIN PUBLIC KEY), or damaged";
    let mut keys = 0;
    for block in text.split("-----BEGIN ").skip(1) {
        let body = block.strip_prefix("PUBLIC KEY-----").and_then(|rest| rest.split_once("-----END PUBLIC KEY-----"));
        let der = body.and_then(|(body, _)| decode(body)).ok_or(damaged)?;
        if der.len() != 44 || !der.starts_with(&SPKI_PREFIX) {
            return Err(damaged);
        }
        keys += 1;
    }
    if keys == 0 { Err(damaged) } else { Ok(()) }
}

/// Decodes the base64 of 44 bytes: 60 digits, one of them padding.
fn decode(body: &str) -> Option<Vec<u8>> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: String = body.split_ascii_whitespace().collect();
    let digits = digits.strip_suffix('=').filter(|digits| digits.len() == 59)?;
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in digits.chars() {
        bits = bits << 6 | u32::try_from(DIGITS.find(digit)?).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

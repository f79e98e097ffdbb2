//! Bundles in the hands of other programs: GNU tar, bsdtar, Python's tarfile, Go's archive/tar, openssl and sha256sum
//! read and check what `export` wrote, and what the four packers make of it is taken, or told with its repair.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::support::{Desk, root, say, skip, tool};

const BUNDLE: [&str; 3] = ["manifest.json", "manifest.json.sig", "records.tar.gz"];
const RECEIPT: [&str; 2] = ["receipt.json", "receipt.json.sig"];

/// A program that reads and writes tars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    GnuTar,
    Bsdtar,
    Python,
    Go,
}

impl Program {
    /// Those that this machine has. Tests say what they skip for those that it lacks.
    fn present() -> Vec<Self> {
        let all = [Self::GnuTar, Self::Bsdtar, Self::Python, Self::Go];
        all.into_iter()
            .filter(|program| {
                let present = program.is_present();
                if !present {
                    skip(&format!("there is no {program:?}"));
                }
                present
            })
            .collect()
    }

    fn is_present(self) -> bool {
        let (name, argument, says) = match self {
            Self::GnuTar => ("tar", "--version", "GNU tar"),
            Self::Bsdtar => ("bsdtar", "--version", "bsdtar"),
            Self::Python => ("python3", "--version", "Python 3"),
            Self::Go => ("go", "version", "go version"),
        };
        let output = Command::new(name).arg(argument).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(says))
    }

    fn run(self, at: &Path, arguments: &[&str]) -> Output {
        let scripts = root().join("tests/interop");
        let mut command = match self {
            Self::GnuTar => Command::new("tar"),
            Self::Bsdtar => Command::new("bsdtar"),
            Self::Python => {
                let mut python = Command::new("python3");
                python.arg(scripts.join("tarball.py"));
                python
            }
            Self::Go => {
                let mut go = Command::new("go");
                go.arg("run").arg(scripts.join("tarball.go"));
                // The standard library is enough, and nothing is fetched.
                go.env("GOPROXY", "off").env("GOTOOLCHAIN", "local").env_remove("GOFLAGS");
                go
            }
        };
        let output = command.args(arguments).current_dir(at).output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaints.is_empty(), "{self:?} {arguments:?}: {complaints}");
        output
    }

    fn list(self, at: &Path, file: &str) -> Vec<String> {
        let verb = if self.is_tar() { "-tf" } else { "list" };
        let listed = String::from_utf8(self.run(at, &[verb, file]).stdout).unwrap();
        listed.lines().map(str::to_owned).collect()
    }

    fn extract(self, at: &Path, file: &str, directory: &str) {
        fs::create_dir_all(at.join(directory)).unwrap();
        if self.is_tar() {
            self.run(at, &["-xf", file, "-C", directory]);
        } else {
            self.run(at, &["extract", file, directory]);
        }
    }

    /// Packs the files of `directory` as this program does with these options, or in this format.
    fn pack(self, at: &Path, file: &str, directory: &str, options: &str, names: &[&str]) {
        let mut arguments: Vec<&str> = Vec::new();
        if self.is_tar() {
            arguments.extend(["-cf", file]);
            arguments.extend(options.split_whitespace());
            arguments.extend(["-C", directory]);
        } else {
            arguments.extend(["pack", file, directory, options]);
        }
        arguments.extend(names);
        self.run(at, &arguments);
    }

    fn is_tar(self) -> bool {
        matches!(self, Self::GnuTar | Self::Bsdtar)
    }

    /// Other owners, times and dialects of tar, none of which a bundle's signature covers.
    fn harmless(self) -> &'static [&'static str] {
        match self {
            Self::GnuTar => &[
                "",
                "--format=gnu",
                "--format=oldgnu",
                "--format=ustar",
                "--format=gnu --owner=operator:1234 --group=staff:5678 --mtime=2001-02-03",
                "--format=ustar --owner=operator:1234 --group=staff:5678 --mtime=2001-02-03",
                "--format=gnu --numeric-owner --owner=:1234 --group=:5678",
                "--format=ustar --numeric-owner --owner=:1234 --group=:5678",
                // Numbers that do not fit into octal digits, which GNU tar writes in a way of its own.
                "--format=gnu --numeric-owner --owner=:4000000000 --group=:4000000000 --mtime=@-5",
                "--format=ustar --mode=u=rwx,go= --blocking-factor=1",
                "--format=gnu --blocking-factor=2048",
                "--format=gnu --sparse",
            ],
            Self::Bsdtar => &[
                "",
                "--format ustar",
                "--format gnutar",
                "--format ustar --uid 1234 --gid 5678 --uname operator --gname staff",
                "--format gnutar --uid 1234 --gid 5678 --uname operator --gname staff",
                "--format ustar --numeric-owner --uid 1234 --gid 5678",
                "--format gnutar --numeric-owner --uid 2000000000 --gid 2000000000",
                "--format ustar -b 20",
                "--format gnutar -b 1",
            ],
            Self::Python | Self::Go => &["gnu", "ustar"],
        }
    }

    /// What makes it write pax headers for files whose times have fractions of a second.
    fn pax(self) -> &'static str {
        match self {
            Self::GnuTar => "--format=pax",
            Self::Bsdtar => "--format pax",
            Self::Python | Self::Go => "pax",
        }
    }

    /// What keeps it from adding a directory's files by itself.
    fn shallow(self) -> &'static str {
        match self {
            Self::GnuTar => "--no-recursion",
            Self::Bsdtar => "-n",
            Self::Python | Self::Go => "",
        }
    }
}

/// A desk with a bundle of four records in `bundle.tar`, two of them deltas, and the client's key in `client.pub.pem`.
fn exported() -> Desk {
    let desk = Desk::new();
    desk.collect();
    desk.collect();
    desk.line("export -o bundle.tar").ok();
    desk.line("keys export -o client.pub.pem").ok();
    desk
}

/// The same, unpacked into `b`, with the times of another day, which have fractions of a second.
fn unpacked() -> Desk {
    let desk = exported();
    tool(&desk.path(""), "sh", &["-ec", "mkdir b; tar -xf bundle.tar -C b; touch -d 2001-02-03T04:05:06.789 b/*"]);
    desk
}

fn read_json(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Runs a line of shell and gives what it prints.
fn shell(at: &Path, line: &str) -> String {
    String::from_utf8(tool(at, "bash", &["-euo", "pipefail", "-c", line]).stdout).unwrap()
}

fn verify(desk: &Desk, file: &str) -> Value {
    desk.line(&format!("verify {file} --key client.pub.pem --json")).json()
}

#[test]
fn every_program_lists_and_extracts_a_bundle_and_stock_tools_find_in_it_what_its_manifest_says() {
    let desk = exported();
    let at = desk.path("");
    for program in Program::present() {
        assert_eq!(program.list(&at, "bundle.tar"), BUNDLE, "{program:?}");
        let directory = format!("{program:?}");
        program.extract(&at, "bundle.tar", &directory);
        let inside = desk.path(&directory);
        let manifest = read_json(inside.join("manifest.json"));

        check_signature_by_hand(&inside);
        check_key_by_hand(&inside, &manifest);
        let sum = shell(&inside, "sha256sum < records.tar.gz");
        assert_eq!(sum.split(' ').next(), manifest["payload"]["sha256"].as_str(), "{program:?}");
        assert_eq!(fs::metadata(inside.join("records.tar.gz")).unwrap().len(), manifest["payload"]["size"]);
        tool(&inside, "gzip", &["-t", "records.tar.gz"]);

        check_records(program, &inside, &manifest);
    }
}

/// The signature as an administrator checks it, who also sees that openssl would notice another manifest.
fn check_signature_by_hand(inside: &Path) {
    let verify = "openssl pkeyutl -verify -pubin -inkey ../client.pub.pem -rawin -sigfile sig.bin -in";
    shell(inside, "base64 -d manifest.json.sig > sig.bin");
    assert_eq!(shell(inside, &format!("{verify} manifest.json")), "Signature Verified Successfully\n");
    let altered = shell(
        inside,
        &format!("sed 's/\"sequence\":1/\"sequence\":2/' manifest.json > altered; {verify} altered || true"),
    );
    assert_eq!(altered, "Signature Verification Failure\n");
}

/// The key id is the digest of the SPKI, both of the one that the client handed over and of the manifest's.
fn check_key_by_hand(inside: &Path, manifest: &Value) {
    let key = manifest["key"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let sum = shell(inside, "openssl pkey -pubin -in ../client.pub.pem -outform DER | sha256sum");
    assert_eq!(sum.split(' ').next(), Some(key));
    fs::write(inside.join("spki.der"), BASE64.decode(manifest["publicKey"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(shell(inside, "sha256sum < spki.der").split(' ').next(), Some(key));
    let pem = shell(inside, "openssl pkey -pubin -inform DER -in spki.der");
    assert_eq!(pem, fs::read_to_string(inside.join("../client.pub.pem")).unwrap());
}

/// The inner tar in the hands of this program: its names, and each full record's digest.
fn check_records(program: Program, inside: &Path, manifest: &Value) {
    let records = manifest["records"].as_array().unwrap();
    let name =
        |(index, record): (usize, &Value)| format!("records/{index:06}-{}.json", record["kind"].as_str().unwrap());
    let names: Vec<_> = records.iter().enumerate().map(name).collect();
    assert_eq!(program.list(inside, "records.tar.gz"), names, "{program:?}");
    program.extract(inside, "records.tar.gz", "unpacked");
    let mut encodings = Vec::new();
    for (index, (name, record)) in names.iter().zip(records).enumerate() {
        let sum = shell(inside, &format!("sha256sum < unpacked/{name}"));
        let is_the_record = sum.split(' ').next() == record["sha256"].as_str();
        let encoding = record["encoding"].as_str().unwrap();
        // The second run may have been in the same second as the first, which leaves nothing to tell.
        let same = index > 0 && record["sha256"] == records[index - 1]["sha256"];
        assert_eq!(is_the_record, encoding == "full", "{program:?}: {name}");
        if encoding == "delta" {
            let delta = read_json(inside.join("unpacked").join(name));
            let expected = if same { json!({}) } else { json!({"set": {"time": record["time"]}}) };
            assert_eq!(delta, expected, "{program:?}: {name}");
        }
        encodings.push(encoding);
    }
    assert_eq!(encodings, ["full", "delta", "full", "delta"]);
}

#[test]
fn a_bundle_packed_again_in_the_same_order_still_verifies_and_is_the_same_to_ingest() {
    let desk = unpacked();
    let at = desk.path("");
    let dotted = ["./manifest.json", "./manifest.json.sig", "./records.tar.gz"];
    let below = [&["./"], &dotted[..]].concat();
    let sha256 = verify(&desk, "bundle.tar")["manifestSha256"].clone();
    let mut files = vec!["bundle.tar".to_owned()];
    for program in Program::present() {
        for options in program.harmless() {
            let shallow = format!("{options} {}", program.shallow());
            let ways = [(*options, &BUNDLE[..]), (*options, &dotted[..]), (shallow.trim_end(), &below[..])];
            for (options, names) in ways {
                let file = format!("{}.tar", files.len());
                program.pack(&at, &file, "b", options, names);
                let listed = program.list(&at, &file).len();
                assert_eq!(listed, names.len(), "{program:?} {options} {names:?}");
                let result = verify(&desk, &file);
                assert_eq!(result["code"], "valid", "{program:?} {options} {names:?}: {result}");
                assert_eq!(result["manifestSha256"], sha256, "{program:?} {options} {names:?}");
                files.push(file);
            }
        }
    }
    // GNU tar fills up to ten KiB unless told otherwise.
    let length = fs::metadata(desk.path("1.tar")).unwrap().len();
    assert!(length.is_multiple_of(10240), "the first is GNU tar's, with {length} bytes");

    let arguments = ["ingest", "--archive", "archive", "--trust", "tofu", "--receipts", "receipts"];
    desk.run(arguments.into_iter().chain(files.iter().map(String::as_str))).ok();
    let kept: Vec<_> = desk.tree("archive").into_iter().filter(|name| name.contains("/bundles/")).collect();
    assert_eq!(kept.len(), 1, "one bundle, whoever packed it: {kept:?}");
    let kept = fs::read(desk.path("archive").join(&kept[0])).unwrap();
    assert!(kept == fs::read(desk.path("bundle.tar")).unwrap(), "and it is kept as it was exported");
    say("measured", &format!("{} ways to pack a bundle again that still verify", files.len() - 1));
}

#[test]
fn a_bundle_packed_again_otherwise_is_told_and_the_hint_repairs_it() {
    let desk = unpacked();
    let at = desk.path("");
    let [manifest, signature, payload] = BUNDLE;
    let orders = [
        [manifest, payload, signature],
        [signature, manifest, payload],
        [signature, payload, manifest],
        [payload, manifest, signature],
        [payload, signature, manifest],
    ];
    let mut made = 0;
    for program in Program::present() {
        let plain = program.harmless()[0];
        let mut ways: Vec<_> = orders.iter().map(|order| (plain, *order)).collect();
        ways.push((program.pax(), BUNDLE));
        let mut ways: Vec<_> = ways.into_iter().map(|(options, names)| (options, names.to_vec())).collect();
        if program == Program::Go {
            // It writes names as they are given, where others make `./` of these.
            ways.extend([".", "./."].map(|directory| (plain, [&[directory], &BUNDLE[..]].concat())));
        }
        for (options, names) in ways {
            let file = format!("{made}.tar");
            program.pack(&at, &file, "b", options, &names);
            let refused = verify(&desk, &file);
            assert_eq!(refused["code"], "repacked", "{program:?} {options} {names:?}: {refused}");
            let shown = desk.line(&format!("verify {file}")).code(1);
            let hint = refused["hint"].as_str().unwrap();
            assert!(shown.stderr.contains(hint), "people see the hint too: {}", shown.stderr);
            for tar in [Program::GnuTar, Program::Bsdtar].into_iter().filter(|tar| tar.is_present()) {
                follow(&desk, tar, hint, &file);
                assert_eq!(verify(&desk, "repair/bundle.tar")["code"], "valid", "{tar:?} after {program:?} {names:?}");
            }
            made += 1;
        }
    }
    say("measured", &format!("{made} ways to pack a bundle again that are told and repaired"));
}

/// Does what a hint says to `file`, in a new directory `repair`, with this program for `tar`.
fn follow(desk: &Desk, tar: Program, hint: &str, file: &str) {
    let (_, command) = hint.split_once("with: ").expect("the hint gives a command");
    let (command, _) = command.split_once(" (").unwrap_or((command, ""));
    let command = command.replace("FILE", file);
    let program = if tar == Program::Bsdtar { "bsdtar" } else { "tar" };
    let prepare = format!("rm -rf repair; mkdir repair; cp {file} repair; cd repair");
    shell(&desk.path(""), &format!("{prepare}; tar() {{ command {program} \"$@\"; }}; {command}"));
}

#[test]
fn the_order_of_a_directory_is_taken_or_told_never_something_else() {
    let desk = unpacked();
    let at = desk.path("");
    for program in Program::present().into_iter().filter(|program| program.is_tar()) {
        program.pack(&at, "directory.tar", "b", program.harmless()[0], &["."]);
        let found = verify(&desk, "directory.tar");
        let in_order = program
            .list(&at, "directory.tar")
            .iter()
            .filter_map(|name| name.strip_prefix("./"))
            .filter(|name| !name.is_empty())
            .eq(BUNDLE);
        assert_eq!(found["code"], if in_order { "valid" } else { "repacked" }, "{program:?}: {found}");
    }
}

#[test]
fn a_receipt_packed_again_in_the_same_order_still_acknowledges() {
    let desk = exported();
    let at = desk.path("");
    let ingested = desk.line("ingest bundle.tar --archive archive --trust tofu --receipts receipts --json").ok().json();
    let receipt = ingested[0]["receipt"].as_str().unwrap();
    tool(&at, "sh", &["-ec", &format!("mkdir r; tar -xf {receipt} -C r; touch -d 2001-02-03T04:05:06.789 r/*")]);
    let import = |file: &str| desk.line(&format!("receipt {file} --receipt-key receipts/receipt-key.pub.pem --json"));
    let mut acknowledged = Vec::new();
    for program in Program::present() {
        assert_eq!(program.list(&at, receipt), RECEIPT, "{program:?}");
        for options in program.harmless() {
            program.pack(&at, "again.tar", "r", options, &["./receipt.json", "./receipt.json.sig"]);
            let imported = import("again.tar").ok().json();
            acknowledged.push(imported["receipts"][0]["acknowledged"].as_u64().unwrap());
        }
        program.pack(&at, "turned.tar", "r", program.harmless()[0], &["receipt.json.sig", "receipt.json"]);
        import("turned.tar").code(1).says("packed again");
    }
    assert_eq!(acknowledged.iter().sum::<u64>(), 4, "each record once: {acknowledged:?}");
    assert_eq!(acknowledged[0], 4);
}

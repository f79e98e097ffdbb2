//! What people are told of bundles that are refused: commands that repair them, and what is the matter around them.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

use kubermatic_telemetry::bundle::altered::Alteration;
use kubermatic_telemetry::bundle::verify::EachError;
use kubermatic_telemetry::bundle::{Code, Limits, VerifyError, verify};
use kubermatic_telemetry::keys::PublicKey;
use kubermatic_telemetry::keys::keyring::{Keyring, Trust, Trusts};
use kubermatic_telemetry::keys::rotation::Link;
use uuid::Uuid;

use crate::forge::{Forge, client_key};
use crate::support::{Desk, Printed, say, skip};

/// Something done to `bundle.tar`, which leaves `altered`: the tools that it and its repair need, and the commands.
struct Way {
    what: &'static str,
    code: &'static str,
    tools: &'static [&'static str],
    command: &'static str,
}

const fn way(what: &'static str, code: &'static str, tools: &'static [&'static str], command: &'static str) -> Way {
    Way { what, code, tools, command }
}

const WAYS: &[Way] = &[
    way("a gzip file", "wrapped", &["gzip"], "gzip -c bundle.tar > altered"),
    way("an xz file", "wrapped", &["xz"], "xz -c bundle.tar > altered"),
    way("a zstd file", "wrapped", &["zstd"], "zstd -qc bundle.tar > altered"),
    way("a bzip2 file", "wrapped", &["bzip2"], "bzip2 -c bundle.tar > altered"),
    way("a zip file", "wrapped", &["zip", "unzip"], "zip -q made.zip bundle.tar && mv made.zip altered"),
    way(
        "a zip file of an unpacked bundle",
        "wrapped",
        &["zip", "unzip"],
        "mkdir u && tar -xf bundle.tar -C u && zip -qr made.zip u && mv made.zip altered",
    ),
    way(
        "a zip file of an unpacked bundle",
        "wrapped",
        &["zip", "unzip"],
        "tar -xf bundle.tar && zip -q made.zip manifest.json manifest.json.sig records.tar.gz && mv made.zip altered",
    ),
    way("a 7z file", "wrapped", &["7z"], "7z a -bso0 made.7z bundle.tar && mv made.7z altered"),
    way("a tar file with the bundle in it", "wrapped", &[], "tar -cf altered bundle.tar"),
    way("a tar file with the bundle in it", "wrapped", &["gzip"], "gzip bundle.tar && tar -cf altered bundle.tar.gz"),
    way("base64 text", "encoded", &[], "base64 bundle.tar > altered"),
    way("base64 text", "encoded", &[], "base64 -w0 bundle.tar > altered"),
    way("base64 text", "encoded", &[], "base64 bundle.tar | sed 's/$/\\r/' > altered"),
    way("base64 text", "encoded", &["gzip"], "gzip -c bundle.tar | base64 > altered"),
    way(
        "base64 text between lines of dashes",
        "encoded",
        &[],
        "(echo -----BEGIN CERTIFICATE-----; base64 -w64 bundle.tar; echo -----END CERTIFICATE-----) > altered",
    ),
    way(
        "quoted-printable text",
        "encoded",
        &["python3"],
        "python3 -c 'import quopri; quopri.encode(open(\"bundle.tar\",\"rb\"),open(\"altered\",\"wb\"),True)'",
    ),
    way(
        "a mail message, perhaps with the bundle attached",
        "encoded",
        &["python3"],
        "python3 -c 'from email.message import EmailMessage; mail=EmailMessage(); mail[\"From\"]=\"a@example.org\"; \
         mail.set_content(\"Please find it attached.\"); mail.add_attachment(open(\"bundle.tar\",\"rb\").read(), \
         maintype=\"application\", subtype=\"x-tar\", filename=\"b.tar\"); \
         open(\"altered\",\"wb\").write(bytes(mail))'",
    ),
    way(
        "a mail message, perhaps with the bundle attached",
        "encoded",
        &["python3"],
        "(printf 'Content-Type: application/x-tar\\r\\nContent-Transfer-Encoding: base64\\r\\n\\r\\n'; \
         base64 bundle.tar) > altered",
    ),
    way(
        "a mail message, perhaps with the bundle attached",
        "encoded",
        &["python3"],
        "(printf 'From a@example.org Sun Jan  4 08:00:00 2026\\nReceived: by mail.example\\nMIME-Version: 1.0\\n'; \
         printf 'Content-Type: application/x-tar\\nContent-Transfer-Encoding: quoted-printable\\n\\n'; \
         python3 -c 'import binascii,sys; sys.stdout.buffer.write(binascii.b2a_qp(open(\"bundle.tar\",\"rb\").read(), \
         quotetabs=True, istext=False))') > altered",
    ),
    way("a bundle whose line feeds became CR LF", "textConverted", &[], "LC_ALL=C sed 's/$/\\r/' bundle.tar > altered"),
    way(
        "a bundle whose bytes were taken for Latin-1 and written as UTF-8",
        "textConverted",
        &["iconv"],
        "iconv -f ISO-8859-1 -t UTF-8 bundle.tar > altered",
    ),
    way("UTF-16 text", "textConverted", &["iconv"], "iconv -f ISO-8859-1 -t UTF-16 bundle.tar > altered"),
    way("UTF-16 text", "textConverted", &["iconv"], "base64 bundle.tar | iconv -f ASCII -t UTF-16 > altered"),
    way(
        "something behind a byte order mark",
        "textConverted",
        &[],
        "(printf '\\357\\273\\277'; cat bundle.tar) > altered",
    ),
    way(
        "in another order",
        "repacked",
        &[],
        "tar -xf bundle.tar && tar -cf altered records.tar.gz manifest.json manifest.json.sig",
    ),
    way("in a folder", "repacked", &[], "mkdir -p 'a b/c' && tar -xf bundle.tar -C 'a b/c' && tar -cf altered 'a b'"),
    way("in a folder", "repacked", &[], "mkdir -p ./c && tar -xf bundle.tar -C c && tar -cf altered ./c"),
    way(
        "extension headers",
        "repacked",
        &[],
        "tar -xf bundle.tar && tar --format=pax -cf altered manifest.json manifest.json.sig records.tar.gz",
    ),
    way(
        "not ustar",
        "repacked",
        &[],
        "tar -xf bundle.tar && tar --format=v7 -cf altered manifest.json manifest.json.sig records.tar.gz",
    ),
    way("something follows the end", "trailingBytes", &[], "(cat bundle.tar; echo Scanned for viruses.) > altered"),
];

fn has(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

fn shell(place: &Path, command: &str) {
    let output = Command::new("sh").args(["-ec", command]).current_dir(place).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A desk with an exported bundle and its client's key.
fn exported() -> Desk {
    let desk = Desk::new();
    desk.collect();
    desk.collect();
    desk.run(["export", "-o", "bundle.tar", "--note", "one\nand another\r\nline"]).ok();
    desk.line("keys export -o client.pem").ok();
    desk
}

fn verified(desk: &Desk, file: &str) -> Printed {
    desk.run(["verify", "--json", "--key", "client.pem", file])
}

/// Does what the hints say until the bundle is valid; how often that was.
fn repair(desk: &Desk, way: &Way) -> usize {
    let mut file = "altered".to_owned();
    for step in 1..5 {
        let refused = verified(desk, &file);
        if refused.code == 0 {
            return step - 1;
        }
        let document = refused.json();
        if step == 1 {
            assert_eq!(document["code"], way.code, "{}: {document}", way.command);
            assert!(document["error"].as_str().unwrap().contains(way.what), "{}: {document}", way.command);
        }
        let hint = document["hint"].as_str().unwrap_or_else(|| panic!("{}: no hint: {document}", way.command));
        assert!(refused.stderr.contains(hint), "people see it too: {}", refused.stderr);
        let command = hint.strip_prefix("repair it with: ").unwrap_or_else(|| panic!("{}: {hint}", way.command));
        let place = format!("step-{step}");
        fs::create_dir(desk.path(&place)).unwrap();
        shell(&desk.path(&place), &command.replace("FILE", &format!("../{file}")));
        let made = ["repaired.tar", "bundle.tar"].into_iter().find(|name| desk.path(&place).join(name).exists());
        file = format!("{place}/{}", made.unwrap_or_else(|| panic!("{command} makes nothing")));
    }
    panic!("{}: it is not valid after four repairs: {}", way.command, verified(desk, &file).stderr)
}

#[test]
fn each_way_of_altering_a_bundle_is_told_and_the_command_in_the_hint_undoes_it() {
    let whole = exported();
    let mut seen = BTreeSet::new();
    let mut skipped = BTreeSet::<&str>::new();
    for way in WAYS {
        seen.insert(way.what);
        let missing: Vec<_> = way.tools.iter().filter(|tool| !has(tool)).collect();
        if !missing.is_empty() {
            skipped.extend(missing);
            continue;
        }
        let desk = Desk::new();
        for file in ["bundle.tar", "client.pem"] {
            fs::copy(whole.path(file), desk.path(file)).unwrap();
        }
        shell(&desk.path(""), way.command);
        assert!(repair(&desk, way) > 0, "{} alters nothing", way.command);
    }
    for alteration in Alteration::ALL {
        assert!(seen.contains(alteration.what()), "nothing is altered into {}", alteration.what());
    }
    if !skipped.is_empty() {
        skip(&format!("alterations that need what is not there: {skipped:?}"));
    }
    say("measured", &format!("{} ways to alter a bundle that are told and undone", WAYS.len()));
}

#[test]
fn a_receipt_in_a_folder_is_told_and_the_command_in_the_hint_repairs_it() {
    let desk = exported();
    desk.line("ingest bundle.tar --archive archive --trust tofu --receipts receipts").ok();
    shell(&desk.path(""), "mkdir r && tar -xf receipts/*.receipt.tar -C r && tar -cf altered r");
    let refused = desk.line("receipt altered --receipt-key receipts/receipt-key.pub.pem").code(1);
    let hint = refused.stderr.lines().find_map(|line| line.strip_prefix("hint: repair it with: ")).unwrap().to_owned();
    shell(&desk.path(""), &hint.replace("FILE", "altered"));
    let imported = desk.line("receipt receipt.tar --receipt-key receipts/receipt-key.pub.pem --json").ok().json();
    assert_eq!(imported["receipts"][0]["acknowledged"], 4);
}

#[test]
fn what_can_not_be_opened_or_looked_up_has_a_code_too() {
    let desk = exported();
    fs::create_dir(desk.path("folder")).unwrap();
    desk.file("broken/revoked.txt", "");
    let cases = [
        ("verify --json absent.tar", Code::Unreadable, "absent.tar"),
        ("verify --json folder", Code::Unreadable, "folder is a directory"),
        ("verify --json /proc/self/mem", Code::Unreadable, "/proc/self/mem: it can't be read"),
        ("verify --json bundle.tar --keyring absent", Code::TrustUnavailable, "absent"),
        ("verify --json bundle.tar --keyring broken", Code::TrustUnavailable, "revoked.txt"),
        ("verify --json bundle.tar --key bundle.tar", Code::TrustUnavailable, "bundle.tar"),
    ];
    for (line, code, message) in cases {
        let printed = desk.line(line).code(1).says(message);
        let document = printed.json();
        assert_eq!((&document["code"], &document["result"]), (&code.as_str().into(), &"refused".into()), "{line}");
    }
}

#[test]
fn more_on_a_pipe_than_is_allowed_is_refused_before_all_of_it_is_kept() {
    let desk = exported();
    let bytes = fs::read(desk.path("bundle.tar")).unwrap();
    let printed = desk.run_with_input(["verify", "--json", "--limit", "bundle-bytes=2000", "-"], &bytes).code(1);
    let document = printed.json();
    assert_eq!(document["limit"], serde_json::json!({"name": "bundle-bytes", "actual": 2001, "allowed": 2000}));
    let hint = "if it is meant to be as large, allow that with --limit bundle-bytes=4000";
    assert_eq!(document["hint"], hint);
    let endless = Command::new("sh")
        .args(["-c", "yes | \"$0\" verify --limit bundle-bytes=100000 -", env!("CARGO_BIN_EXE_kubermatic-telemetry")])
        .output();
    Printed::of(endless.unwrap()).code(1).says("bundle-bytes");
}

/// A file that somebody writes to while it is read: at a seek a byte of the payload becomes another that decompresses
/// to the same, so that only its digest can tell.
#[derive(Debug)]
struct Changing {
    file: Cursor<Vec<u8>>,
    seeks: Rc<Cell<usize>>,
    at: usize,
}

impl Read for Changing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for Changing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.seeks.set(self.seeks.get() + 1);
        if self.seeks.get() == self.at {
            // The operating system in the gzip header.
            let place = crate::forge::places(self.file.get_ref())[2] + 512 + 9;
            self.file.get_mut()[place] ^= 1;
        }
        self.file.seek(to)
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_never_accepted() {
    let keyring = Keyring::of_keys(vec![client_key().public()]);
    let seeks = Rc::new(Cell::new(0));
    let open = |at| {
        seeks.set(0);
        let file = Changing { file: Cursor::new(Forge::pair().build()), seeks: Rc::clone(&seeks), at };
        verify::verify(file, &keyring, &Limits::default(), &mut |_, _| {})
    };
    let mut sound = open(0).unwrap();
    let to_verify = seeks.get();
    sound.for_each_record(|_, _| Ok::<_, ()>(())).unwrap();
    let to_read = seeks.get();
    assert!(to_verify < to_read);
    let codes: Vec<_> = (1..=to_verify).map(|at| open(at).unwrap_err().code()).collect();
    assert_eq!((codes[0], codes[to_verify - 1]), (Code::PayloadDigest, Code::ChangedWhileRead), "{codes:?}");
    for at in to_verify + 1..=to_read {
        let refused = open(at).unwrap().for_each_record(|_, _| Ok::<_, ()>(())).unwrap_err();
        assert!(matches!(refused, EachError::Bundle(VerifyError::Changed)), "{refused:?}");
    }
}

/// A file that gets shorter while it is read.
#[derive(Debug)]
struct Shrinking(Cursor<Vec<u8>>, usize);

impl Read for Shrinking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for Shrinking {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = self.0.seek(to)?;
        if matches!(to, SeekFrom::End(_)) {
            self.0.get_mut().truncate(self.1);
        }
        Ok(end)
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_told_as_that() {
    let keyring = Keyring::of_keys(vec![client_key().public()]);
    let whole = Forge::pair().build();
    for length in [10, 600, 2000, whole.len() - 1200] {
        let file = Shrinking(Cursor::new(whole.clone()), length);
        let refused = verify::verify(file, &keyring, &Limits::default(), &mut |_, _| {}).unwrap_err();
        assert_eq!(refused.code(), Code::ChangedWhileRead, "cut to {length} bytes: {refused}");
    }
}

/// Whom to trust can't be found out.
struct Unavailable;

impl Trusts for Unavailable {
    fn judge(&self, _: Uuid, _: &PublicKey, _: &[Link]) -> io::Result<Trust> {
        Err(io::Error::other("the archive does not answer"))
    }
}

#[test]
fn a_bundle_is_not_accepted_while_nobody_knows_whom_to_trust() {
    let bundle = Cursor::new(Forge::new().build());
    let refused = verify::verify(bundle, &Unavailable, &Limits::default(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(&refused, VerifyError::TrustUnavailable(cause) if cause.to_string().contains("does not answer")));
    assert_eq!(refused.code(), Code::TrustUnavailable);
}

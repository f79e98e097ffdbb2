//! Private keys under a passphrase: who asks for it, where it comes from, and what other programs make of such keys.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::support::{Desk, Printed, skip, tool};

const PASSPHRASE: &str = "correct horse";
const RECORD: &str = r#"{"kind":"a-product","version":"v1","time":"2026-01-31T12:00:00Z"}"#;
const COLLECT: &str = "collect --record record.json --allow-kind a-product";
const WITHOUT_TERMINAL: &str = "the passphrase of the signing key is needed, and there is no terminal to ask for it";

/// A desk with a protected identity and a pending record; `p` holds the passphrase, `wrong` another one.
fn protected() -> Desk {
    let desk = Desk::new();
    desk.file("p", format!("{PASSPHRASE}\nmore\n"));
    desk.file("wrong", "battery staple\n");
    desk.file("record.json", RECORD);
    desk.line("init --encrypt --passphrase-file p").ok();
    desk.line(COLLECT).ok();
    desk
}

fn key_file(desk: &Desk) -> String {
    fs::read_to_string(desk.path("state/identity/signing-key.pem")).unwrap()
}

fn openssl(desk: &Desk, arguments: &str) -> String {
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    String::from_utf8(tool(&desk.path(""), "openssl", &arguments).stdout).unwrap()
}

#[test]
fn a_protected_key_is_encrypted_on_disk_for_its_owner_and_openssl_reads_it() {
    let desk = protected();
    let shown = desk.line("keys show --json").ok().json();
    assert_eq!(shown["encrypted"], true);
    desk.line("keys show").ok().prints("encrypted with a passphrase");
    let file = key_file(&desk);
    assert!(file.contains("BEGIN ENCRYPTED PRIVATE KEY") && !file.contains("BEGIN PRIVATE KEY"), "{file}");
    let path = desk.path("state/identity/signing-key.pem");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let public = openssl(&desk, "pkey -in state/identity/signing-key.pem -passin file:p -pubout");
    assert_eq!(shown["publicKey"], public);
    let wrong = ["pkey", "-in", "state/identity/signing-key.pem", "-passin", "file:wrong", "-noout"];
    assert!(!Command::new("openssl").args(wrong).current_dir(desk.path("")).output().unwrap().status.success());
}

#[test]
fn only_what_signs_asks_for_the_passphrase() {
    let desk = protected();
    let key = ["--passphrase-file", "p"];
    for line in [
        COLLECT,
        "status",
        "keys show",
        "keys export",
        "keys export -o public.pem",
        "preview",
        "pseudonym seed x",
        "init",
    ] {
        desk.line(line).ok();
    }
    let before = desk.snapshot();
    for line in ["export -o bundle.tar", "keys rotate", "keys passphrase --remove"] {
        desk.line(line).code(1).says(WITHOUT_TERMINAL).says("hint: give it with --passphrase-file FILE or");
    }
    desk.unchanged_since(&before, "what needs a passphrase");
    desk.run(["export", "-o", "bundle.tar"].iter().chain(&key)).ok();
    for line in ["inspect bundle.tar", "verify bundle.tar --key public.pem", "export --again 1 -o again.tar"] {
        desk.line(line).ok();
    }
    desk.line("ingest bundle.tar --archive archive --trust tofu --receipts receipts").ok();
    let receipt = desk.tree("receipts").into_iter().find(|name| name.contains(".receipt.")).unwrap();
    desk.line(&format!("receipt receipts/{receipt} --receipt-key archive/receipt-key.pub.pem")).ok();
    // Nothing is pending: nobody is asked for what is not needed.
    desk.line("export -o next.tar").code(4).says("nothing is pending");
    desk.line("discard --all").ok();
}

#[test]
fn the_passphrase_comes_from_a_file_a_variable_naming_one_stdin_or_a_descriptor() {
    let desk = protected();
    let mut number = 0;
    let mut exported = |run: &dyn Fn(&str) -> Printed| {
        number += 1;
        run(&format!("export -o {number}.tar")).ok();
        desk.line(&format!("verify {number}.tar --key public.pem")).ok();
    };
    desk.line("keys export -o public.pem").ok();
    exported(&|line| desk.line(&format!("{line} --passphrase-file p")));
    exported(&|line| {
        let mut command = desk.command();
        command.env("KUBERMATIC_TELEMETRY_PASSPHRASE_FILE", "p").args(line.split(' '));
        Printed::of(command.stdin(Stdio::null()).output().unwrap())
    });
    exported(&|line| {
        let arguments = format!("{line} --passphrase-file -");
        desk.run_with_input(arguments.split(' '), format!("{PASSPHRASE}\r\n").as_bytes())
    });
    // By number: of a pipe, of a file, and of a file that has lost its name.
    for redirection in ["3< <(cat p)", "3< p", "3<<< \"$(head -n 1 p)\""] {
        exported(&|line| {
            // A variable that names another file does not matter then.
            let program = desk.command();
            let mut shell = Command::new("bash");
            shell.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
            shell.env("KUBERMATIC_TELEMETRY_PASSPHRASE_FILE", "wrong").current_dir(desk.path(""));
            let line = format!("'{}' {line} --passphrase-fd 3 {redirection}", program.get_program().display());
            Printed::of(shell.args(["-c", &line]).stdin(Stdio::null()).output().unwrap())
        });
    }
}

#[test]
fn a_passphrase_that_is_wrong_or_can_not_be_had_is_told_and_nothing_is_written() {
    let desk = protected();
    desk.file("empty", "\nsecond line");
    desk.file("long", "x".repeat(2000));
    let before = desk.snapshot();
    for (options, message) in [
        ("--passphrase-file wrong", "the signing key: wrong passphrase"),
        ("--passphrase-file empty", "can't read the passphrase from empty: the passphrase is empty"),
        ("--passphrase-file long", "can't read the passphrase from long: the passphrase is longer than 1024 bytes"),
        ("--passphrase-file absent", "can't read the passphrase from absent: No such file"),
        ("--passphrase-fd 77", "can't read the passphrase from /dev/fd/77: "),
    ] {
        for line in ["export -o bundle.tar", "keys rotate", "keys passphrase --remove"] {
            let printed = desk.line(&format!("{line} {options}")).code(1).says(message);
            assert!(!printed.stderr.contains("battery"), "{}", printed.stderr);
        }
    }
    desk.line("export -o bundle.tar --passphrase-fd x").code(2);
    desk.unchanged_since(&before, "wrong passphrases");
}

#[test]
fn a_passphrase_file_that_others_can_read_is_warned_of() {
    let desk = protected();
    fs::set_permissions(desk.path("p"), fs::Permissions::from_mode(0o644)).unwrap();
    desk.line("export -o 1.tar --passphrase-file p").ok().says("a secret that others can read: chmod 600 it");
    fs::set_permissions(desk.path("p"), fs::Permissions::from_mode(0o600)).unwrap();
    let quiet = desk.line("export -o 2.tar --passphrase-file p").ok();
    assert!(!quiet.stderr.contains("others can read"), "{}", quiet.stderr);
}

#[test]
fn a_passphrase_is_set_changed_removed_and_kept_by_a_rotation() {
    let desk = Desk::new();
    desk.file("p", PASSPHRASE);
    desk.file("q", "quite another");
    desk.file("record.json", RECORD);
    desk.line(COLLECT).ok();
    let key = desk.line("keys show --json").ok().json()["key"].clone();
    let encrypted = || {
        let shown = desk.line("keys show --json").ok().json();
        (shown["encrypted"].as_bool().unwrap(), shown["key"] == key)
    };
    assert_eq!(encrypted(), (false, true));
    desk.line("keys passphrase").code(1).says("no terminal").says("--new-passphrase-file FILE or --new-passphrase-fd");
    desk.line("keys passphrase --new-passphrase-file p")
        .ok()
        .says("is encrypted with a passphrase now")
        .says("backups");
    assert_eq!(encrypted(), (true, true));
    desk.line("keys passphrase --passphrase-file p --new-passphrase-file q").ok().says("has another passphrase now");
    desk.line("export -o 1.tar --passphrase-file p").code(1).says("wrong passphrase");
    desk.line("export -o 1.tar --passphrase-file q").ok();
    desk.line("keys rotate --passphrase-file q").ok();
    assert_eq!(encrypted(), (true, false));
    desk.line("export -o 2.tar --passphrase-file q").ok();
    assert_eq!(desk.line("inspect 2.tar --json").ok().json()["manifest"]["rotation"].as_array().unwrap().len(), 1);
    desk.line("keys passphrase --remove --passphrase-file q").ok().says("has no passphrase any more");
    assert!(!key_file(&desk).contains("ENCRYPTED"));
    desk.line("export -o 3.tar").ok();
    desk.line("keys passphrase --remove").ok().says("had no passphrase");
    desk.line("init --encrypt --passphrase-file p").code(1).says("has an identity already").says("`keys passphrase`");
}

#[test]
fn keys_that_openssl_encrypted_are_taken_as_they_are() {
    let ways = [
        "genpkey -algorithm ed25519 -aes256 -pass file:p -out made.pem",
        "genpkey -algorithm ed25519 -aes-128-cbc -pass file:p -out made.pem",
        "pkcs8 -topk8 -in plain.pem -scrypt -passout file:p -out made.pem",
        "pkcs8 -topk8 -in plain.pem -v2 aes-256-cbc -v2prf hmacWithSHA512 -iter 100000 -passout file:p -out made.pem",
    ];
    for way in ways {
        let desk = Desk::new();
        desk.file("p", PASSPHRASE);
        desk.file("record.json", RECORD);
        openssl(&desk, "genpkey -algorithm ed25519 -out plain.pem");
        openssl(&desk, way);
        let public = openssl(&desk, "pkey -in made.pem -passin file:p -pubout");
        desk.line("init --signing-key made.pem").code(1).says("the passphrase of made.pem is needed");
        assert!(!desk.state().exists(), "{way}");
        let made = desk.line("init --signing-key made.pem --passphrase-file p --json").ok().json();
        assert_eq!((&made["publicKey"], &made["encrypted"]), (&public.into(), &true.into()), "{way}");
        desk.line(COLLECT).ok();
        desk.line("export -o bundle.tar --passphrase-file p").ok();
    }
}

#[test]
fn an_imported_key_has_the_passphrase_of_the_identity_or_else_its_own() {
    let desk = Desk::new();
    desk.file("p", PASSPHRASE);
    desk.file("q", "quite another");
    for name in ["first", "second", "third"] {
        openssl(&desk, &format!("genpkey -algorithm ed25519 -aes256 -pass file:q -out {name}.pem"));
    }
    desk.line("init").ok();
    desk.line("keys rotate --import first.pem")
        .code(1)
        .says("the passphrase of first.pem is needed")
        .says("hint: give it with --import-passphrase-file FILE or --import-passphrase-fd NUMBER");
    desk.line("keys rotate --import first.pem --import-passphrase-file p").code(1).says("first.pem: wrong passphrase");
    desk.line("keys rotate --import first.pem --import-passphrase-file q").ok();
    openssl(&desk, "pkey -in state/identity/signing-key.pem -passin file:q -noout");
    desk.line("keys passphrase --passphrase-file q --new-passphrase-file p").ok();
    desk.line("keys rotate --import second.pem --import-passphrase-file q --passphrase-file p").ok();
    let public = openssl(&desk, "pkey -in state/identity/signing-key.pem -passin file:p -pubout");
    assert_eq!(public, openssl(&desk, "pkey -in second.pem -passin file:q -pubout"));
    desk.line("keys rotate --import-passphrase-file q --passphrase-file p").code(2).says("--import");
}

/// An encrypted key that asks for 16 GiB of memory. What it holds is zeros.
const BOMB: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGVMFEGCSqGSIb3DQEFDTBEMCMGCSsGAQQB2kcECzAWBAgAAAAAAAAAAAIEAQAA
AAIBCAIBATAdBglghkgBZQMEASoEEAAAAAAAAAAAAAAAAAAAAAAEQAAAAAAAAAAA
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
AAAAAAAAAAA=
-----END ENCRYPTED PRIVATE KEY-----
";

#[test]
fn an_encryption_that_is_too_old_or_asks_for_too_much_is_refused_with_the_way_out() {
    let desk = Desk::new();
    // Twice, since openssl takes the second line for the new file.
    desk.file("p", format!("{PASSPHRASE}\n{PASSPHRASE}\n"));
    openssl(&desk, "genpkey -algorithm ed25519 -out plain.pem");
    openssl(&desk, "pkcs8 -topk8 -in plain.pem -v2 des3 -passout file:p -out des.pem");
    openssl(&desk, "pkcs8 -topk8 -in plain.pem -iter 20000000 -passout file:p -out slow.pem");
    openssl(&desk, "pkcs8 -topk8 -in plain.pem -v2 aes256 -passout file:p -out good.pem");
    let good = fs::read_to_string(desk.path("good.pem")).unwrap();
    desk.file("cut.pem", good.replacen(&good[60..80], "", 1));
    desk.file("bomb.pem", BOMB);
    let hint = "hint: encrypt it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW";
    for (name, message) in [
        ("des.pem", "encrypted in a way that this program does not read"),
        ("cut.pem", "encrypted in a way that this program does not read, or damaged"),
        ("slow.pem", "asks for 20000000 rounds of PBKDF2, and at most 10000000 are allowed"),
        ("bomb.pem", "asks for 17179870208 bytes of memory for scrypt, and at most 134217728 are allowed"),
    ] {
        let line = format!("init --signing-key {name} --passphrase-file p");
        desk.line(&line).code(1).says(&format!("{name}: ")).says(message).says(hint);
    }
    openssl(&desk, "pkcs8 -topk8 -v2 aes-256-cbc -in des.pem -passin file:p -out new.pem -passout file:p");
    desk.line("init --signing-key new.pem --passphrase-file p").ok();
}

#[test]
fn a_key_file_without_its_own_public_key_is_told() {
    let desk = protected();
    let other = Desk::new();
    other.line("init").ok();
    let stranger = other.line("keys export").ok().stdout;
    let file = key_file(&desk);
    let (encrypted, _) = file.split_once("-----BEGIN PUBLIC KEY").unwrap();
    let place = "state/identity/signing-key.pem";
    desk.file(place, format!("{encrypted}{stranger}"));
    let message = "the public key in it is not that of the private key";
    desk.line("export -o bundle.tar --passphrase-file p").code(1).says(&format!("{place}: {message}"));
    desk.file(place, encrypted);
    let told = desk.line("keys show").code(1).says("its public key is not beside it");
    told.says("hint: add the public key to the file: openssl pkey -in FILE -pubout >> FILE");
    // As the hint says.
    let public = openssl(&desk, &format!("pkey -in {place} -passin file:p -pubout"));
    desk.file(place, format!("{encrypted}{public}"));
    desk.line("export -o bundle.tar --passphrase-file p").ok();
}

#[test]
fn receipts_are_signed_with_a_protected_key() {
    let desk = Desk::new();
    desk.file("p", PASSPHRASE);
    desk.file("wrong", "battery staple");
    desk.file("record.json", RECORD);
    desk.line(COLLECT).ok();
    desk.line("export -o bundle.tar").ok();
    openssl(&desk, "genpkey -algorithm ed25519 -aes256 -pass file:p -out receipts.pem");
    let ingest = "ingest bundle.tar --archive archive --trust tofu --receipts out --receipt-key receipts.pem";
    desk.line(ingest).code(1).says("the passphrase of receipts.pem is needed");
    desk.line(&format!("{ingest} --passphrase-file wrong")).code(1).says("receipts.pem: wrong passphrase");
    assert!(!desk.path("archive/clients").exists(), "nothing is accepted without a key to say so");
    desk.line(&format!("{ingest} --passphrase-file p")).ok();
    let public = openssl(&desk, "pkey -in receipts.pem -passin file:p -pubout");
    assert_eq!(fs::read_to_string(desk.path("out/receipt-key.pub.pem")).unwrap(), public);
    // One that somebody has put into the archive is not asked for there.
    fs::copy(desk.path("receipts.pem"), desk.path("archive/receipt-key.pem")).unwrap();
    desk.line("export -o again.tar").ok();
    let refused = desk.line("ingest again.tar --archive archive --trust tofu").code(1);
    refused.says("receipt-key.pem: the private key is encrypted").says("hint: give the file with --receipt-key FILE");
}

#[test]
fn nothing_that_is_said_holds_a_passphrase_or_a_private_key() {
    let desk = protected();
    desk.file("plain", "quite another");
    openssl(&desk, "genpkey -algorithm ed25519 -out made.pem");
    let made = fs::read_to_string(desk.path("made.pem")).unwrap();
    let mut secrets = vec![PASSPHRASE.to_owned(), "quite another".to_owned(), made.lines().nth(1).unwrap().to_owned()];
    for line in [
        "keys show -vvv --json",
        "export -o bundle.tar --passphrase-file p -vvv",
        "keys rotate --import made.pem --passphrase-file p -vvv --json",
        "keys passphrase --passphrase-file p --new-passphrase-file plain -vvv",
        "keys passphrase --passphrase-file plain --remove -vvv",
        "keys rotate -vvv",
        "ingest bundle.tar --archive archive --trust tofu -vvv --json",
        "keys trust archive/receipt-key.pem --client 6f9619ff-8b86-4d01-b42d-00cf4fc964ff --keyring keyring -vvv",
        "init --new-client -vvv --json",
        "keys rotate --import archive/receipt-key.pem -vvv --json",
        "status -vvv",
    ] {
        let printed = desk.line(line);
        for name in ["state/identity/signing-key.pem", "archive/receipt-key.pem"] {
            let file = fs::read_to_string(desk.path(name)).unwrap_or_default();
            let body = file.split_once("PRIVATE KEY-----\n").and_then(|(_, rest)| rest.lines().next());
            secrets.extend(body.map(str::to_owned));
        }
        let said = printed.stdout + &printed.stderr;
        assert!(secrets.iter().all(|secret| !said.contains(secret)), "{line}: {said}");
    }
    assert!(secrets.len() > 10, "private keys were looked for");
}

/// A command in a terminal, which a test reads and types into.
struct Session {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    seen: String,
}

impl Session {
    /// Runs a command of the shell, in which `$P` is the program, in a terminal, if `script` can give one.
    fn start(desk: &Desk, command: &str) -> Option<Self> {
        let Some(mut terminal) = desk.terminal(command) else {
            skip("there is no `script`, which gives a terminal");
            return None;
        };
        terminal.env("P", env!("CARGO_BIN_EXE_kubermatic-telemetry")).env("SHELL", "/bin/bash");
        terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = terminal.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self { child, input, output, seen: String::new() })
    }

    /// Reads until a text has come since the last one that was waited for.
    fn wait_for(&mut self, text: &str) -> String {
        let mut byte = [0];
        let mut since = String::new();
        while !since.contains(text) {
            assert_eq!(self.output.read(&mut byte).unwrap(), 1, "`{text}` did not come: {}{since}", self.seen);
            since.push(char::from(byte[0]));
        }
        self.seen.push_str(&since);
        since
    }

    /// Types something, once it was asked for.
    fn answer(&mut self, question: &str, keys: &str) {
        self.wait_for(question);
        self.input.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end; gives the exit code and everything that was shown.
    fn end(mut self) -> (i32, String) {
        self.output.read_to_string(&mut self.seen).unwrap();
        drop(self.input);
        (self.child.wait().unwrap().code().unwrap_or(-1), self.seen)
    }
}

const ASKED: &str = "passphrase of the signing key: ";

#[test]
fn a_person_is_asked_on_the_terminal_which_does_not_show_the_answer() {
    let desk = protected();
    let Some(mut session) = Session::start(&desk, "$P export -o bundle.tar") else { return };
    session.answer(ASKED, &format!("{PASSPHRASE}\n"));
    let (code, shown) = session.end();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("horse") && shown.contains("wrote    bundle.tar"), "{shown}");
    // Also where stdin is something else.
    let mut session = Session::start(&desk, "$P export -o - < record.json > second.tar").unwrap();
    session.answer(ASKED, &format!("{PASSPHRASE}\n"));
    assert_eq!(session.end().0, 0);
    desk.line("inspect second.tar").ok();
}

#[test]
fn a_person_may_mistype_twice() {
    let desk = protected();
    let Some(mut session) = Session::start(&desk, "$P export -o bundle.tar") else { return };
    for answer in ["wrong\n", "also wrong\n"] {
        session.answer(ASKED, answer);
    }
    // The kernel lets a person correct what was typed.
    session.answer(ASKED, &format!("correkt\u{7f}\u{7f}{}\n", &PASSPHRASE[5..]));
    let (code, shown) = session.end();
    assert_eq!(code, 0, "{shown}");
    let mut session = Session::start(&desk, "$P export -o second.tar").unwrap();
    for answer in ["wrong\n", "wrong\n", "wrong\n"] {
        session.answer(ASKED, answer);
    }
    let (code, shown) = session.end();
    assert_eq!((code, desk.path("second.tar").exists()), (1, false), "{shown}");
    assert!(shown.contains("wrong passphrase, or the encrypted private key is damaged"), "{shown}");
}

#[test]
fn a_new_passphrase_is_typed_twice_and_the_same() {
    let desk = Desk::new();
    let Some(mut session) = Session::start(&desk, "$P init --encrypt") else { return };
    session.answer("new passphrase of the signing key: ", "one\n");
    session.answer("the same once more: ", "two\n");
    let (code, shown) = session.end();
    assert!(code == 1 && shown.contains("are not the same"), "{shown}");
    assert!(!desk.state().exists());
    let mut session = Session::start(&desk, "$P init --encrypt").unwrap();
    session.answer("new passphrase of the signing key: ", "one\n");
    session.answer("the same once more: ", "one\n");
    assert_eq!(session.end().0, 0);
    let mut session = Session::start(&desk, "$P keys passphrase").unwrap();
    session.answer(ASKED, "one\n");
    session.answer("new passphrase of the signing key: ", "two\n");
    session.answer("the same once more: ", "two\n");
    assert_eq!(session.end().0, 0);
    desk.file("p", "two");
    desk.line("keys rotate --passphrase-file p").ok();
    let mut session = Session::start(&desk, "$P init --new-client --encrypt").unwrap();
    session.answer("new passphrase of the signing key: ", "\n");
    let (code, shown) = session.end();
    assert!(code == 1 && shown.contains("the passphrase is empty"), "{shown}");
}

/// What the terminal is set to is shown once the program has ended.
const AFTERWARDS: &str = "; echo \"ended $?\"; stty -a";

#[test]
fn whatever_ends_the_question_the_terminal_shows_again_what_is_typed() {
    let desk = protected();
    // The shell must outlive what is typed to end the program.
    let line = format!("trap : INT QUIT; $P export -o bundle.tar{AFTERWARDS}");
    for (keys, code) in
        [("\u{3}", 130), ("\u{1c}", 131), ("half\u{3}", 130), ("\u{4}", 1), ("wrong\nwrong\nwrong\n", 1)]
    {
        let Some(mut session) = Session::start(&desk, &line) else { return };
        session.answer(ASKED, keys);
        session.wait_for(&format!("ended {code}"));
        let settings = session.wait_for("echoke");
        assert!(settings.contains(" echo ") && !settings.contains("-echo "), "{keys:?}: {settings}");
        session.end();
    }
    assert!(!desk.path("bundle.tar").exists());
}

#[test]
fn signals_from_elsewhere_find_the_terminal_as_it_was() {
    let desk = protected();
    // The process becomes the program, whose number is known then.
    let line = format!("(echo \"number $BASHPID.\"; exec $P export -o bundle.tar){AFTERWARDS}");
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        let Some(mut session) = Session::start(&desk, &line) else { return };
        let told = session.wait_for(".");
        let number = told.trim_end_matches('.').rsplit(' ').next().unwrap().to_owned();
        session.wait_for(ASKED);
        tool(&desk.path(""), "kill", &["-s", signal, &number]);
        session.wait_for(&format!("ended {code}"));
        let settings = session.wait_for("echoke");
        assert!(settings.contains(" echo ") && !settings.contains("-echo "), "{signal}: {settings}");
        session.end();
    }
    // A signal that is ignored ends nothing: the question comes again.
    let line = line.replace("exec", "trap '' HUP; exec");
    let mut session = Session::start(&desk, &line).unwrap();
    let told = session.wait_for(".");
    let number = told.trim_end_matches('.').rsplit(' ').next().unwrap().to_owned();
    session.wait_for(ASKED);
    tool(&desk.path(""), "kill", &["-s", "HUP", &number]);
    session.answer(ASKED, &format!("{PASSPHRASE}\n"));
    session.wait_for("ended 0");
    session.end();
}

//! The upload page as programs see it: its headers, its form, and what forms that are none lead to. `tests/browser` has
//! the rest.

use std::fs;
use std::io::Write as _;
use std::net::Shutdown;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::made::{Made, make, make_many, private};
use crate::served::{Answer, Form, Server};
use crate::support::{Desk, root, say};

/// A server that takes whatever verifies, and a bundle.
fn served(line: &str) -> (Desk, Server, Vec<u8>) {
    let desk = Desk::new();
    let server = Server::start(&desk, &format!("--trust tofu {line}"));
    (desk, server, vector("one-record.tar"))
}

fn vector(name: &str) -> Vec<u8> {
    fs::read(root().join("testdata/bundles/vectors").join(name)).unwrap()
}

/// Insists on a page with a status and a text that somebody would read.
fn tells(answer: &Answer, status: u16, text: &str) {
    let read = answer.read_aloud();
    assert_eq!(answer.status, status, "{read}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(read.contains(text), "`{text}` is not in: {read}");
}

/// Insists that no bundle was accepted.
fn keeps_nothing(desk: &Desk) {
    let kept =
        desk.tree("archive").into_iter().filter(|name| name.contains("/bundles/") || name.contains("/receipts/"));
    assert_eq!(kept.collect::<Vec<_>>(), Vec::<String>::new());
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    text.split_once(start).unwrap().1.split_once(end).unwrap().0
}

#[test]
fn the_page_may_run_what_it_was_delivered_with_and_nothing_else() {
    let (_desk, server, bundle) = served("");
    let page = server.get("/");
    tells(&page, 200, "At most 268.4 MB.");
    let refused = server.post(&Form::new().file("bundle", b"nothing"), "");
    let taken = server.post(&Form::new().file("bundle", &bundle), "");
    for answer in [&page, &refused, &taken] {
        let (text, policy) = (answer.text(), answer.header("content-security-policy").unwrap());
        for (name, start, end) in [("script-src", "<script>", "</script>"), ("style-src", "<style>", "</style>")] {
            assert_eq!(text.matches(start).count(), 1, "one {name}");
            let digest = STANDARD.encode(Sha256::digest(between(&text, start, end)));
            assert!(policy.contains(&format!("{name} 'sha256-{digest}';")), "{policy}");
        }
        for directive in [
            "default-src 'none'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|given| given == directive), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("referrer-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        assert!(answer.header("permissions-policy").unwrap().contains("camera=()"));
        // No markup runs script or sets style, and nothing comes from elsewhere.
        let markup = text.replace(between(&text, "<script>", "</script>"), "");
        for word in [" on", " style="] {
            let tags = markup.split('<').filter_map(|tag| tag.split_once('>')).map(|(tag, _)| tag);
            let found: Vec<_> = tags.filter(|tag| tag.contains(word) && !tag.starts_with("!--")).collect();
            assert!(found.is_empty(), "{found:?}");
        }
        for word in ["src=", "@import", "url("] {
            assert!(!markup.contains(word), "{word}");
        }
    }
}

#[test]
fn the_script_makes_no_markup_out_of_text() {
    let page = served("").1.get("/").text();
    let script = between(&page, "<script>", "</script>");
    for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "DOMParser"]
    {
        assert!(!script.contains(word), "{word}");
    }
    assert!(script.contains("\"use strict\";"));
    say("measured", &format!("the page has {} bytes, of which script {}", page.len(), script.len()));
}

#[test]
fn a_form_is_answered_with_a_page_and_a_receipt_to_save() {
    let (desk, server, bundle) = served("");
    let taken = server.post(&Form::new().file("bundle", &bundle), "");
    tells(&taken, 201, "The bundle has arrived");
    tells(&taken, 201, "Records taken1 Records known before0 Records not taken0");
    assert!(taken.text().contains("<title>The bundle has arrived · "));
    let text = taken.text();
    let link = between(&text, "data-part=\"receipt\" href=\"", "\"").to_owned();
    assert!(link.starts_with("v1/receipts/"), "{link}");
    let receipt = server.get(&format!("/{link}"));
    let name = between(receipt.header("content-disposition").unwrap(), "filename=\"", "\"").to_owned();
    tells(&taken, 201, &format!("There, this command takes it: kubermatic-telemetry receipt {name} Until then"));
    desk.file(&name, &receipt.body);
    let shown = desk.line(&format!("inspect {name} --json")).ok().json();
    assert_eq!(shown["receipt"]["records"][0]["status"], "accepted");

    let again = server.post(&Form::new().file("bundle", &bundle), "");
    tells(&again, 200, "This bundle had arrived before");
    assert!(!again.read_aloud().contains("The bundle has arrived"));
    assert_eq!(server.get(&format!("/{link}")).body, receipt.body);

    let instead = server.post(&Form::new().file("bundle", &receipt.body), "");
    tells(&instead, 400, "What is wrong: it is a receipt, where a bundle is expected");
}

#[test]
fn a_bundle_that_is_refused_is_told_with_its_hint_and_code() {
    let (desk, server, bundle) = served("--limit bundle-bytes=20000");
    let mut tampered = bundle.clone();
    let at = tampered.windows(10).position(|window| window == b"\"sequence\"").unwrap();
    tampered[at + 11] ^= 2;
    let cases: [(&[u8], u16, &str, &str); 6] = [
        (&tampered, 422, "its signature does not match", "code signatureMismatch"),
        (&bundle[..2000], 422, "it is cut off in", "What to do: copy the file again"),
        (
            b"\x1f\x8b\x08 and so on",
            400,
            "this is a gzip file",
            "What to do: repair it with: gzip -dc < FILE > repaired.tar",
        ),
        (b"", 400, "it is empty", "The server has kept nothing of it"),
        (&vec![b'x'; 30_000], 413, "the bundle is larger than 20000 bytes", "--max-size 20000"),
        (&vec![b'x'; 80_000], 413, "the bundle is larger than 20000 bytes", "code limitExceeded"),
    ];
    for (file, status, wrong, more) in cases {
        let answer = server.post(&Form::new().file("bundle", file), "");
        tells(&answer, status, "The bundle was not accepted");
        tells(&answer, status, wrong);
        let read = answer.read_aloud().replace("&gt;", ">").replace("&lt;", "<");
        assert!(read.contains(more), "`{more}` is not in: {read}");
        let id = answer.header("x-request-id").unwrap();
        assert!(read.contains(&format!("request {id}")), "{read}");
    }
    keeps_nothing(&desk);
    let counted = server.get("/metrics").text();
    assert!(counted.contains("kubermatic_telemetry_refusals_total{code=\"signatureMismatch\"} 1"), "{counted}");
}

#[test]
fn what_comes_out_of_a_bundle_stands_in_the_page_as_text() {
    let (_desk, server, mut bundle) = served("");
    // The name of the first entry is told by the error.
    bundle[..100].fill(0);
    bundle[..27].copy_from_slice("<b onx='\"&\u{202e}>".repeat(2).get(..27).unwrap().as_bytes());
    let sum: u32 = bundle[..512]
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    bundle[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let answer = server.post(&Form::new().file("bundle", &bundle), "");
    tells(&answer, 422, "an entry that does not belong there");
    let text = answer.text();
    assert!(!text.contains("<b onx") && !text.contains('\u{202e}'), "{text}");
    assert!(text.contains("&lt;b onx="), "{text}");
}

#[test]
fn a_form_that_is_not_the_pages_is_refused_and_nothing_of_it_is_kept() {
    let (desk, server, bundle) = served("");
    let form = || Form::new();
    let invalid = "The bundle was not accepted What is wrong: the form";
    let cases: [(&str, Form, u16, &str); 9] = [
        ("no field", form(), 400, "no file was chosen"),
        ("nothing chosen", form().part("form-data; name=\"bundle\"; filename=\"\"", b""), 400, "no file was chosen"),
        ("another name", form().file("file", &bundle), 400, invalid),
        ("a field before", form().field("note", "x").file("bundle", &bundle), 400, invalid),
        ("a field behind", form().file("bundle", &bundle).field("note", "x"), 400, invalid),
        ("two files", form().file("bundle", &bundle).file("bundle", &bundle), 400, invalid),
        ("no name", form().part("form-data", &bundle), 400, invalid),
        ("a token where none is wanted", form().field("token", "x").file("bundle", &bundle), 400, invalid),
        ("a huge name", form().file(&"x".repeat(5 << 20), &bundle), 400, invalid),
    ];
    for (what, form, status, text) in cases {
        let answer = server.post(&form, "");
        assert_eq!(answer.status, status, "{what}");
        tells(&answer, status, text);
    }
    let (kind, body) = form().file("bundle", &bundle).encoded();
    let send = |kind: &str, length: usize, body: &[u8]| {
        server.send(&format!("POST / HTTP/1.1\r\ncontent-type: {kind}\r\ncontent-length: {length}"), body)
    };
    tells(&send("multipart/form-data; boundary=other", body.len(), &body), 400, invalid);
    tells(&send("multipart/form-data", body.len(), &body), 415, "this is not the form of the upload page");
    tells(&send("application/x-tar", bundle.len(), &bundle), 415, "programs send bundles to /v1/bundles");
    tells(&send(&kind, body.len() - 40, &body[..body.len() - 40]), 400, "the bundle did not arrive as a whole");
    tells(&send(&kind, 200, &body[..200]), 400, "did not arrive as a whole");

    let mut stream = server.connect();
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\n");
    write!(stream, "{head}content-length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(&body[..body.len() / 2]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    drop(stream);
    keeps_nothing(&desk);
    tells(&server.post(&form().file("bundle", &bundle), ""), 201, "The bundle has arrived");
}

#[test]
fn a_form_that_never_comes_to_its_file_is_refused_early() {
    const LENGTH: usize = 100 << 20;
    let (_desk, server, _) = served("");
    let (kind, _) = Form::new().encoded();
    let mut stream = server.connect();
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\n");
    write!(stream, "{head}content-length: {LENGTH}\r\n\r\n").unwrap();
    let mut body = b"------boundary0123456789\r\ncontent-disposition: form-data; name=\"".to_vec();
    body.resize(LENGTH, b'x');
    stream.write_all(&body).unwrap();
    // Whoever looked through all of it for an end of the name would take long, or much memory.
    tells(&Answer::read(stream), 400, "the form did not arrive as a whole, or is not one");
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let peak: u64 = between(&status, "VmHWM:", "kB").trim().parse().unwrap();
    say("measured", &format!("peak memory {peak} kB"));
    assert!(peak < 64 * 1024, "{peak} kB");
}

#[test]
fn a_form_that_stops_is_cut_off() {
    let (_desk, server, bundle) = served("--idle-timeout 1s");
    let (kind, body) = Form::new().file("bundle", &bundle).encoded();
    // In what stands before the file, and in the file.
    for length in [60, 1_000] {
        let mut stream = server.connect();
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\n");
        write!(stream, "{head}content-length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(&body[..length]).unwrap();
        tells(&Answer::read(stream), 408, "The server can’t take the bundle now");
    }
}

#[test]
fn a_server_with_a_token_asks_for_it_in_the_page_and_gives_the_receipt_with_the_answer() {
    let desk = Desk::new();
    desk.file("token", "snakeoil-0123456789");
    let server = Server::start(&desk, "--trust tofu --token-file token");
    let bundle = vector("one-record.tar");
    let page = server.get("/");
    tells(&page, 200, "Access token");
    assert!(!page.text().contains("snakeoil"), "the token is not in the page");
    assert!(!served("").1.get("/").read_aloud().contains("token"), "an open server asks for none");

    let file = |form: Form| form.file("bundle", &bundle);
    let with = |token: &str| Form::new().field("token", token);
    let wanted = "this server expects a bearer token";
    tells(&server.post(&file(Form::new()), ""), 401, wanted);
    tells(&server.post(&file(with("snakeoil-9876543210")), ""), 401, "is not the one that this server expects");
    tells(&server.post(&Form::new().file("bundle", &bundle).field("token", "snakeoil-0123456789"), ""), 401, wanted);
    let twice = with("wrong").field("token", "snakeoil-0123456789");
    tells(&server.post(&file(twice), ""), 400, "does not belong there");
    tells(&server.post(&file(with(&"x".repeat(100_000))), ""), 400, "or is not one");
    keeps_nothing(&desk);

    let answer = server.post(&file(with(" snakeoil-0123456789\n")), "");
    tells(&answer, 201, "The bundle has arrived");
    let text = answer.text();
    assert!(!text.contains("snakeoil-0123456789"), "the token does not come back");
    assert!(!text.contains("href=\"v1/receipts"), "no link that needs the token");
    let receipt = STANDARD.decode(between(&text, "href=\"data:application/x-tar;base64,", "\"")).unwrap();
    desk.file("receipt.tar", receipt);
    desk.line("inspect receipt.tar").ok();
    let header = "\r\nauthorization: Bearer snakeoil-0123456789";
    tells(&server.post(&file(Form::new()), header), 200, "This bundle had arrived before");
}

#[test]
fn a_receipt_that_no_link_can_hold_is_told_of() {
    let desk = Desk::in_memory();
    desk.file("token", "snakeoil-0123456789");
    let server = Server::start(&desk, "--trust tofu --token-file token");
    make_many(&desk, "many.tar", 8_000);
    let form = Form::new().field("token", "snakeoil-0123456789");
    let answer = server.post(&form.file("bundle", &fs::read(desk.path("many.tar")).unwrap()), "");
    tells(&answer, 201, "This receipt is too large to be saved from here.");
    assert!(!answer.read_aloud().contains("Save the receipt"));
    assert!(answer.body.len() < 100_000);
}

#[test]
fn a_server_that_has_had_enough_says_when_to_come_back() {
    let (_desk, server, bundle) = served("--quota address-bundles=1");
    let form = || Form::new().file("bundle", &bundle);
    tells(&server.post(&form(), ""), 201, "The bundle has arrived");
    let answer = server.post(&form(), "");
    tells(&answer, 429, "The server can’t take the bundle now");
    tells(&answer, 429, "The server asks to wait 60 minutes.");
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 3_000);
}

#[test]
fn a_form_of_another_site_is_refused() {
    let (desk, server, bundle) = served("");
    let form = || Form::new().file("bundle", &bundle);
    for headers in [
        "\r\nsec-fetch-site: cross-site".to_owned(),
        "\r\nsec-fetch-site: same-site".to_owned(),
        "\r\norigin: http://other.example".to_owned(),
        "\r\norigin: null".to_owned(),
    ] {
        let answer = server.post(&form(), &headers);
        tells(&answer, 403, "the form was posted from another site");
    }
    keeps_nothing(&desk);
    tells(&server.post(&form(), "\r\nsec-fetch-site: same-origin"), 201, "The bundle has arrived");
    tells(&server.post(&form(), &format!("\r\norigin: http://{}", server.address)), 200, "arrived before");
}

#[test]
fn an_answer_that_comes_early_is_there_for_whoever_sends_before_reading() {
    let (_desk, server, _) = served("--limit bundle-bytes=20000");
    for (path, kind, status) in [("/", Form::new().encoded().0, 413), ("/v1/bundles", "application/x-tar".into(), 413)]
    {
        let head = format!("POST {path} HTTP/1.1\r\ncontent-type: {kind}\r\ncontent-length: 50000000");
        assert_eq!(server.send(&head, &vec![b'x'; 50_000_000]).status, status, "{path}");
    }
}

#[test]
fn gaps_forks_and_rejected_records_are_told_in_words() {
    let (desk, server, _) = served("");
    let key = private("snakeoil-client.pem");
    let made = |sequence, previous, record| Made { key: &key, sequence, previous, record };
    let first = make(&desk, "1.tar", &made(1, None, (1, "x")));
    let second = make(&desk, "2.tar", &made(2, Some(first), (2, "x")));
    make(&desk, "2b.tar", &made(2, Some(first), (1, "x")));
    let missing = make(&desk, "3.tar", &made(3, Some(second), (4, "x")));
    make(&desk, "4.tar", &made(4, Some(missing), (1, "y")));
    let words = ["An earlier bundle is missing", "Another bundle has the same number", "Some records were not taken"];
    for (name, taken, known, rejected, expected) in [
        ("1.tar", 1, 0, 0, [false, false, false]),
        ("2.tar", 1, 0, 0, [false, false, false]),
        ("4.tar", 0, 0, 1, [true, false, true]),
        ("2b.tar", 0, 1, 0, [false, true, false]),
    ] {
        let answer = server.post(&Form::new().file("bundle", &fs::read(desk.path(name)).unwrap()), "");
        tells(&answer, 201, &format!("Records taken{taken} Records known before{known} Records not taken{rejected}"));
        let read = answer.read_aloud();
        assert_eq!(words.map(|word| read.contains(word)), expected, "{name}: {read}");
    }
}

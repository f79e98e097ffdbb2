//! What goes wrong: on the stick, on the way, and at the server.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::people::{Scene, export, export_large, part, slot, tar};
use crate::served::Server;
use crate::support::{gzip, root, say, tool};

/// What stands beside bundles to tell of them, and is none.
fn is_index(name: &str) -> bool {
    name == "expected.json" || name.ends_with("records.json")
}

/// Has the page look at a file, and insists that it says what `verify` says, if it says anything. Tells whether it does.
fn looked_at(scene: &Scene, name: &str) -> bool {
    let browser = &scene.browser;
    scene.choose(name);
    let told = "const text = (name) => document.querySelector(`[data-slot=${name}]`).closest('section').checkVisibility()\
                && document.querySelector(`[data-slot=${name}]`).textContent;\
                return [text('which'), text('file'), text('detail'), text('hint')]";
    let told = loop {
        let told = browser.run(told);
        let shown = told[1].as_str().is_some_and(|file| file.starts_with(&format!("{name}, ")));
        if shown || told[0] == name {
            break told;
        }
        thread::sleep(Duration::from_millis(5));
    };
    if told[0] != name {
        return false;
    }
    assert!(!browser.is_shown(&part("upload")), "{name}");
    let verified = scene.desk.line(&format!("verify {name}")).code(1).stderr;
    let (error, hint) = verified.split_once("\n\nhint: ").unwrap_or((&verified, ""));
    let error = error.trim_end().strip_prefix(&format!("error: {name}: ")).unwrap();
    let detail = told[2].as_str().unwrap();
    // Why JSON is not canonical is left to the program.
    if detail != "its signed document is refused" {
        assert_eq!(detail, error, "{name}");
        // Limits are raised by whoever runs the server.
        let expected = if error.contains("exceeds the limit") { "" } else { hint.trim_end() };
        assert_eq!(told[3], expected, "{name}");
    }
    true
}

#[test]
fn a_file_that_is_no_bundle_is_told_with_the_words_of_verify_and_not_sent() {
    let Some(scene) = Scene::open("") else { return };
    let (desk, browser) = (&scene.desk, &scene.browser);
    export(desk, "bundle.tar", "x");
    let bundle = fs::read(desk.path("bundle.tar")).unwrap();
    desk.file("empty.tar", b"");
    desk.file("bundle.tar.gz", gzip(&bundle));
    desk.file("page.html", format!("<!DOCTYPE html><html>{}</html>", " ".repeat(2000)));
    desk.file("short.txt", "hello");
    desk.file("cut.tar", &bundle[..bundle.len() / 2]);
    let at = desk.path("");
    tool(&at, "sh", &["-c", "base64 bundle.tar > bundle.b64; mkdir b; tar -xf bundle.tar -C b"]);
    let names = ["records.tar.gz", "manifest.json", "manifest.json.sig"];
    tool(&at, "tar", &[&["--format=ustar", "-cf", "order.tar", "-C", "b"], &names[..]].concat());
    tool(&at, "tar", &["--format=pax", "--pax-option=a=b", "-cf", "pax.tar", "-C", "b", names[1], names[2], names[0]]);
    tar(&desk.path("photos.tar"), &[("photos/1.jpg", b"x")]);
    let files = "empty.tar bundle.tar.gz page.html short.txt cut.tar bundle.b64 order.tar pax.tar photos.tar";
    for name in files.split(' ') {
        assert!(looked_at(&scene, name), "{name}");
    }
    // Somebody has copied it anew, to the same name.
    desk.file("photos.tar", &bundle);
    scene.choose("photos.tar");
    browser.wait_for(&part("summary"), "Nothing has been sent yet");
    scene.sent_nothing();
    scene.is_content();
}

#[test]
fn of_published_bundles_the_page_says_what_verify_says_or_lets_them_pass() {
    let Some(scene) = Scene::open("") else { return };
    let (mut told, mut passed) = (0, 0);
    for folder in ["hostile", "valid", "vectors"] {
        let folder = root().join("testdata/bundles").join(folder);
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !is_index(name)).collect();
        names.sort();
        for name in names {
            fs::copy(folder.join(&name), scene.desk.path(&name)).unwrap();
            if looked_at(&scene, &name) {
                told += 1;
            } else {
                passed += 1;
            }
            if name == "receipt-for-a-bundle.tar" {
                scene.browser.picture("receipt-instead");
            }
        }
    }
    say("measured", &format!("the page told what was wrong with {told} files, and let {passed} pass"));
    assert!(told > 100, "{told}");
    scene.sent_nothing();
    scene.is_content();
}

#[test]
fn a_bundle_that_tar_packed_again_is_no_mistake() {
    let Some(scene) = Scene::open("") else { return };
    export(&scene.desk, "bundle.tar", "x");
    let at = scene.desk.path("");
    let names = "./ ./manifest.json ./manifest.json.sig ./records.tar.gz";
    let pack = format!("mkdir b; tar -xf bundle.tar -C b; tar -cf packed.tar --no-recursion -C b {names}");
    tool(&at, "sh", &["-c", &pack]);
    scene.upload("packed.tar");
    scene.browser.wait_for(&part("accepted"), "The bundle has arrived");
    scene.is_content();
}

#[test]
fn what_is_larger_than_the_server_takes_is_not_sent() {
    let Some(scene) = Scene::open("--limit bundle-bytes=9000") else { return };
    export(&scene.desk, "bundle.tar", "x");
    assert!(scene.browser.text("#bundle-help").contains("At most 9000 bytes."));
    scene.choose("bundle.tar");
    let told = scene.browser.wait_for(&part("refused"), "the bundle is larger than 9000 bytes");
    assert!(told.contains("export -o DIR/ --max-size 9000"), "{told}");
    scene.sent_nothing();
    scene.is_content();

    let Some(scene) = Scene::open("--limit manifest-bytes=500") else { return };
    export(&scene.desk, "bundle.tar", "x");
    scene.choose("bundle.tar");
    scene.browser.wait_for(&part("refused"), "the size of the signed document exceeds the limit `manifest-bytes`");
    let detail = scene.browser.text(&slot("detail"));
    scene.desk.line("verify bundle.tar --limit manifest-bytes=500").code(1).says(&detail);
    scene.sent_nothing();
}

#[test]
fn a_tampered_bundle_is_refused_in_the_servers_words() {
    let Some(scene) = Scene::open("") else { return };
    export(&scene.desk, "bundle.tar", "CHG-0815");
    let bundle = fs::read(scene.desk.path("bundle.tar")).unwrap();
    let flip = |name: &str, at: usize, bit: u8| {
        let mut tampered = bundle.clone();
        tampered[at] ^= bit;
        scene.desk.file(name, tampered);
    };
    let find = |text: &[u8]| bundle.windows(text.len()).position(|window| window == text).unwrap();
    flip("manifest.tar", find(b"CHG-0815"), 1);
    flip("payload.tar", find(b"records.tar.gz\0") + 700, 1);
    for (name, detail, code) in [
        ("manifest.tar", "its signature does not match", "signatureMismatch"),
        ("payload.tar", "its payload is not the one that the manifest was signed for", "payloadDigest"),
    ] {
        scene.upload(name);
        let told = scene.browser.wait_for(&part("refused"), detail);
        for text in ["The bundle was not accepted", "do not use this copy", code, "The server has kept nothing of it"] {
            assert!(told.contains(text), "`{text}` is not in {told}");
        }
        assert!(told.contains(&format!("File: {name}")), "{told}");
        assert!(!scene.browser.is_shown(&part("upload")), "the same bytes are refused again");
    }
    scene.browser.picture("tampered");
    scene.is_content_but_for(&[422]);
}

#[test]
fn a_server_that_goes_away_half_way_has_nothing_and_takes_the_bundle_later() {
    let Some(mut scene) = Scene::open("") else { return };
    export_large(&scene.desk, "large.tar");
    // What is stopped takes no more than fits into the buffers of the connection.
    scene.server.signal("STOP");
    scene.upload("large.tar");
    let started = scene.browser.wait_for(&slot("progress-text"), " MB of ");
    assert!(started.contains(" %: "), "{started}");
    scene.browser.picture("uploading");
    scene.server.kill();
    let told = scene.browser.wait_for(&part("refused"), "The connection broke");
    for text in ["a bundle that did not arrive whole is not kept", "upload it again, which is harmless"] {
        assert!(told.contains(text), "`{text}` is not in {told}");
    }
    scene.browser.picture("broken");
    // Nobody is there: the same words.
    scene.browser.click(&part("upload"));
    scene.browser.wait_for(&part("refused"), "the server could not be reached, or went away");
    assert!(!scene.desk.path("archive/clients").exists());
    scene.is_content_but_for(&[0]);

    let address = scene.server.address.to_string();
    scene.server = Server::start_at(&scene.desk, &address, "--trust tofu");
    scene.browser.click(&part("upload"));
    scene.browser.wait_for(&part("accepted"), "The bundle has arrived");
    let (name, receipt) = scene.save_receipt();
    scene.desk.file(&name, receipt);
    scene
        .desk
        .line(&format!("receipt {name} --receipt-key archive/receipt-key.pub.pem"))
        .ok()
        .says("0 records pending");
}

#[test]
fn an_upload_is_cancelled_and_begun_anew() {
    let Some(scene) = Scene::open("") else { return };
    export_large(&scene.desk, "large.tar");
    scene.server.signal("STOP");
    scene.upload("large.tar");
    scene.browser.wait_for(&slot("progress-text"), " MB of ");
    let holds = "const e = new Event('beforeunload', {cancelable: true}); dispatchEvent(e); return e.defaultPrevented";
    assert_eq!(scene.browser.run(holds), true, "the page is not left unasked");
    scene.browser.click(&part("cancel"));
    let told = scene.browser.wait_for(&part("refused"), "The upload was cancelled");
    assert!(told.contains("you cancelled it after ") && told.contains("is not kept"), "{told}");
    assert!(!scene.browser.is_shown(&part("progress")));
    assert_eq!(scene.browser.run(holds), false);
    scene.server.signal("CONT");
    scene.browser.click(&part("upload"));
    scene.browser.wait_for(&part("accepted"), "The bundle has arrived");
    scene.is_content();
}

#[test]
fn a_stick_that_is_pulled_out_is_told_from_a_connection_that_broke() {
    let Some(scene) = Scene::open("") else { return };
    export(&scene.desk, "bundle.tar", "x");
    scene.choose("bundle.tar");
    scene.browser.wait_for(&part("summary"), "Nothing has been sent yet");
    fs::remove_file(scene.desk.path("bundle.tar")).unwrap();
    scene.browser.click(&part("upload"));
    scene.browser.wait_for(&part("refused"), "see that the stick is still there");
    export(&scene.desk, "bundle.tar", "x");
    scene.upload("bundle.tar");
    scene.browser.wait_for(&part("accepted"), "The bundle has arrived");
    scene.is_content_but_for(&[0]);
}

#[test]
fn a_server_that_has_had_enough_says_when_to_come_back() {
    let Some(scene) = Scene::open("--quota address-bundles=1") else { return };
    export(&scene.desk, "bundle.tar", "x");
    scene.upload("bundle.tar");
    scene.browser.wait_for(&part("accepted"), "The bundle has arrived");
    scene.upload("bundle.tar");
    let told = scene.browser.wait_for(&part("refused"), "The server can’t take the bundle now");
    for text in ["the quota of bundles of this address is used up", "The server asks to wait 60 minutes"] {
        assert!(told.contains(text), "`{text}` is not in {told}");
    }
    scene.is_content_but_for(&[429]);
}

/// Stands before a server and answers uploads itself, as what is in between sometimes does.
fn in_between(server: SocketAddr, answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut request = vec![0; 64 * 1024];
                let count = stream.read(&mut request).unwrap_or_default();
                if request.starts_with(b"POST") {
                    // All of it, so that the answer is not lost.
                    let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
                    while stream.read(&mut request).is_ok_and(|count| count > 0) {}
                    let _ = stream.write_all(answer.as_bytes());
                } else if count > 0 {
                    let mut behind = TcpStream::connect(server).unwrap();
                    behind.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
                    let _ = std::io::copy(&mut behind, &mut stream);
                }
            });
        }
    });
    address
}

#[test]
fn an_answer_that_is_not_the_servers_is_not_taken_for_a_receipt() {
    let Some(scene) = Scene::open("") else { return };
    export(&scene.desk, "bundle.tar", "x");
    let login = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
    let refusal =
        "HTTP/1.1 413 Too Large\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
    for (answer, heading, text) in [
        (login, "The connection broke", "the answer is not a receipt of this bundle"),
        (refusal, "The bundle was not accepted", "the answer was “413 Too Large” and not the server’s own"),
    ] {
        let address = in_between(scene.server.address, answer);
        scene.browser.goto(&format!("http://{address}/"));
        scene.upload("bundle.tar");
        let told = scene.browser.wait_for(&part("refused"), heading);
        assert!(told.contains(text), "{told}");
    }
}

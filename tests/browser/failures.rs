//! What goes wrong: on the stick, on the way, and at the server.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::people::{Scene, export, export_large, part, slot, tar};
use crate::served::Server;
use crate::support::{gzip, tool};

#[test]
fn a_file_that_verify_would_refuse_is_told_and_not_sent() {
    let Some(scene) = Scene::open("") else { return };
    let (desk, browser) = (&scene.desk, &scene.browser);
    export(desk, "bundle.tar", "x");
    desk.line("keys export -o client.pub.pem").ok();
    desk.line("ingest bundle.tar --archive archive --trust tofu --receipts receipts").ok();
    let bundle = fs::read(desk.path("bundle.tar")).unwrap();
    let receipt = desk.tree("receipts").into_iter().find(|name| name.ends_with(".receipt.tar")).unwrap();
    fs::copy(desk.path("receipts").join(receipt), desk.path("receipt.tar")).unwrap();
    desk.file("empty.tar", b"");
    desk.file("bundle.tar.gz", gzip(&bundle));
    desk.file("bundle.zip", b"PK\x03\x04 and so on");
    desk.file("page.html", format!("<!DOCTYPE html><html>{}</html>", " ".repeat(2000)));
    desk.file("short.txt", "hello");
    desk.file("cut.tar", &bundle[..bundle.len() / 2]);
    desk.file("headless.tar", &bundle[..700]);
    desk.file("endless.tar", &bundle[..bundle.len() - 1024]);
    let mut damaged = bundle.clone();
    let second = bundle.windows(17).position(|window| window == b"manifest.json.sig").unwrap();
    damaged[second + 3] ^= 1;
    desk.file("damaged.tar", damaged);
    let at = desk.path("");
    tool(&at, "sh", &["-c", "base64 bundle.tar > bundle.b64; mkdir b; tar -xf bundle.tar -C b"]);
    let names = ["records.tar.gz", "manifest.json", "manifest.json.sig"];
    tool(&at, "tar", &[&["--format=ustar", "-cf", "order.tar", "-C", "b"], &names[..]].concat());
    tool(&at, "tar", &["--format=pax", "--pax-option=a=b", "-cf", "pax.tar", "-C", "b", names[1], names[2], names[0]]);
    let manifest = fs::read(desk.path("b/manifest.json")).unwrap();
    let signature = fs::read(desk.path("b/manifest.json.sig")).unwrap();
    let file = |name: &str, files: &[(&str, &[u8])]| tar(&desk.path(name), files);
    file("half.tar", &[(names[1], &manifest), (names[2], &signature)]);
    file("twice.tar", &[(names[1], &manifest), (names[1], &manifest)]);
    file("photos.tar", &[("photos/1.jpg", b"x")]);
    file("json.tar", &[(names[1], b"{"), (names[2], &signature), (names[0], b"")]);
    let other = String::from_utf8(manifest).unwrap().replace("bundle/1", "bundle/2");
    file("newer.tar", &[(names[1], other.as_bytes()), (names[2], &signature), (names[0], b"")]);

    let files = [
        "empty.tar",
        "bundle.tar.gz",
        "bundle.zip",
        "bundle.b64",
        "page.html",
        "short.txt",
        "cut.tar",
        "headless.tar",
        "endless.tar",
        "damaged.tar",
        "receipt.tar",
        "order.tar",
        "pax.tar",
        "half.tar",
        "twice.tar",
        "photos.tar",
        "json.tar",
        "newer.tar",
    ];
    for name in files {
        scene.choose(name);
        browser.wait_for(&part("refused"), "This file can’t be uploaded");
        let (detail, hint) = (browser.text(&slot("detail")), browser.text(&slot("hint")));
        // What the page keeps back the program refuses as well, which has more room for words.
        desk.line(&format!("verify {name} --key client.pub.pem")).code(1);
        assert!(detail.len() > 10, "{name}: {detail}");
        if name != "damaged.tar" {
            assert!(hint.len() > 10, "{name}: {hint}");
        }
        assert_eq!(browser.text(&slot("which")), name);
        assert!(!browser.is_shown(&part("upload")), "{name}");
    }
    for (name, hint) in [
        ("receipt.tar", "this is a receipt, not a bundle"),
        ("page.html", "this is a web page"),
        ("empty.tar", "copy the file again"),
        ("photos.tar", "choose the file that `kubermatic-telemetry export` wrote"),
    ] {
        scene.choose(name);
        browser.wait_for(&part("refused"), hint);
        if name == "receipt.tar" {
            browser.picture("receipt-instead");
        }
    }
    // Somebody has copied it anew, to the same name.
    desk.file("photos.tar", &bundle);
    scene.choose("photos.tar");
    browser.wait_for(&part("summary"), "Nothing has been sent yet");
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
    scene.browser.wait_for(&part("refused"), "the size of the signed document in bytes exceeds the limit");
    scene.desk.line("verify bundle.tar --limit manifest-bytes=500").code(1).says("manifest-bytes");
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
                    let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(500)));
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

//! What a server answers where it does not take a bundle: status, stable code, and when to come back.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use super::{Answer, CLIENT, Server, exported, upload, vector};
use crate::support::{Desk, root};

/// Trusts a snakeoil key for the vectors' client.
fn trust(desk: &Desk, key: &str) {
    let key = root().join("testdata/keys").join(key);
    desk.line(&format!("keys trust {} --client {CLIENT} --keyring keyring", key.display())).ok();
}

#[test]
fn what_is_no_bundle_is_refused_with_400() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    server.upload(b"").refused(400, "notABundle");
    server.upload(b"hello").refused(400, "notABundle");
    server.upload(b"<html>").refused(400, "webPage");
    assert!(!desk.path("archive/clients").exists());
}

#[test]
fn a_bundle_that_does_not_verify_is_refused_with_422_and_leaves_nothing() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let good = vector("one-record.tar");
    let mut bad = good.clone();
    let payload = bad.windows(4).position(|bytes| bytes == b"\x1f\x8b\x08\x00").unwrap();
    bad[payload + 20] ^= 1;
    server.upload(&bad).refused(422, "payloadDigest");
    server.upload(&good[..payload + 100]).refused(422, "truncated");
    assert!(!desk.path("archive/clients").exists());
    let refusals = server.metric("kubermatic_telemetry_http_requests_total{route=\"/v1/bundles\",status=\"422\"}");
    assert_eq!(refusals, 2);
}

#[test]
fn a_signer_that_is_not_the_clients_is_refused_with_403() {
    let desk = Desk::new();
    trust(&desk, "snakeoil-client-rotated.pub.pem");
    let server = Server::start(&desk, ["--keyring", "keyring"]);
    server.upload(&vector("one-record.tar")).refused(403, "keyConflict");
    let stranger = Desk::new();
    let answer = server.upload(&exported(&stranger)).refused(403, "signerUnknown");
    assert!(answer.json()["hint"].as_str().unwrap().contains("keys export"));
    server.upload(&vector("rotated-key.tar")).is(201);
}

#[test]
fn a_revocation_is_heard_without_a_restart() {
    let desk = Desk::new();
    trust(&desk, "snakeoil-client.pub.pem");
    let server = Server::start(&desk, ["--keyring", "keyring", "--keyring-age", "1s"]);
    server.upload(&vector("one-record.tar")).is(201);
    let key =
        desk.line(&format!("inspect {} --json", root().join("testdata/bundles/vectors/one-record.tar").display()));
    let key = key.json()["manifest"]["key"].as_str().unwrap().to_owned();
    fs::write(desk.path("keyring/revoked"), key + "\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    server.upload(&vector("deltas-two-kinds.tar")).refused(403, "keyRevoked");
    // A keyring that can't be read any more might hold a revocation.
    fs::write(desk.path("keyring/revoked"), "nonsense\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    server.upload(&vector("deltas-two-kinds.tar")).refused(503, "trustUnavailable");
    server.get("/readyz").refused(503, "notReady");
}

#[test]
fn what_is_too_large_is_refused_with_413_before_it_is_read() {
    let desk = Desk::new();
    let server = Server::start(&desk, ["--trust", "tofu", "--limit", "bundle-bytes=5000"]);
    // Only the headers are sent: the answer comes without the body.
    let head =
        b"POST /v1/bundles HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-tar\r\nContent-Length: 5001\r\n\r\n";
    let answer = server.raw(head).refused(413, "limitExceeded");
    assert!(answer.json()["hint"].as_str().unwrap().contains("--max-size 5000"));
    // One that does not say how long it is.
    let mut stream = server.connect();
    let head = "POST /v1/bundles HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(format!("{:x}\r\n{}\r\n", 6000, "x".repeat(6000)).as_bytes()).unwrap();
    Answer::read(&mut stream).unwrap().refused(413, "limitExceeded");
}

#[test]
fn a_bundle_is_sent_with_its_media_type() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let bundle = vector("one-record.tar");
    for kind in
        ["text/plain", "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let answer = server.post(&format!("Content-Type: {kind}\r\n"), &bundle).refused(415, "mediaType");
        assert!(answer.json()["hint"].as_str().unwrap().contains("application/x-tar"));
    }
    server.post("Content-Type: Application/X-Tar; x=y\r\n", &bundle).is(201);
    server.post("Content-Type: application/octet-stream\r\n", &bundle).is(200);
}

#[test]
fn a_closed_server_asks_for_its_token() {
    let desk = Desk::new();
    desk.file("token", "snakeoil-token-0123456789\n");
    let server = Server::start(&desk, ["--trust", "tofu", "--token-file", "token"]);
    let bundle = vector("one-record.tar");
    let answer = server.upload(&bundle).refused(401, "unauthorized");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    for wrong in ["Bearer x", "Basic snakeoil-token-0123456789", "Bearer snakeoil-token-0123456780", "Bearer"] {
        server.post(&format!("Authorization: {wrong}\r\n"), &bundle).refused(401, "unauthorized");
    }
    let answer = server.post("Authorization: bearer snakeoil-token-0123456789\r\n", &bundle).is(201);
    server.get(answer.header("location").unwrap()).refused(401, "unauthorized");
    server.get("/healthz").ok();
    let (_, said) = {
        server.signal("TERM");
        server.end()
    };
    assert!(!said.contains("snakeoil-token"), "{said}");
}

#[test]
fn quotas_bound_what_a_client_and_an_address_bring() {
    let desk = Desk::new();
    let server = Server::start(&desk, ["--trust", "tofu", "--quota", "client-bundles=1"]);
    server.upload(&vector("one-record.tar")).is(201);
    server.upload(&vector("one-record.tar")).is(200);
    let answer = server.upload(&vector("deltas-two-kinds.tar")).refused(429, "throttled");
    assert!((3000..=3600).contains(&answer.header("retry-after").unwrap().parse::<u32>().unwrap()));
    assert_eq!(server.metric("kubermatic_telemetry_refusals_total{code=\"throttled\"}"), 1);
    drop(server);

    let server = Server::start(&desk, ["--trust", "tofu", "--quota", "address-bundles=2"]);
    server.upload(b"x").is(400);
    server.upload(b"x").is(400);
    server.upload(&vector("deltas-two-kinds.tar")).refused(429, "throttled");
    drop(server);

    let server = Server::start(&desk, ["--trust", "tofu", "--quota", "address-bytes=5000"]);
    server.upload(&vector("deltas-two-kinds.tar"));
    server.upload(b"x").refused(429, "throttled");
    drop(server);

    let server = Server::start(&desk, ["--trust", "tofu", "--quota", "address-clients=1"]);
    let (first, second) = (Desk::new(), Desk::new());
    server.upload(&exported(&first)).is(201);
    server.upload(&exported(&second)).refused(429, "throttled");
    // Known clients are not in the way of the new ones, nor the other way round.
    server.upload(&vector("deltas-two-kinds.tar")).is(201);
}

#[test]
fn behind_a_proxy_quotas_count_by_whom_the_proxy_saw() {
    let desk = Desk::new();
    let server = Server::start(&desk, ["--trust", "tofu", "--proxies", "1", "--quota", "address-bundles=1"]);
    let from = |address: &str| server.post(&format!("X-Forwarded-For: 10.0.0.1, {address}\r\n"), b"x").status;
    assert_eq!((from("192.0.2.1"), from("192.0.2.2"), from("192.0.2.1")), (400, 400, 429));
}

#[test]
fn beyond_its_uploads_a_server_asks_to_come_back() {
    let desk = Desk::new();
    let server = Server::start(&desk, ["--trust", "tofu", "--max-uploads", "1"]);
    let request = upload("", &vector("one-record.tar"));
    let mut slow = server.connect();
    slow.write_all(&request[..500]).unwrap();
    server.metric_becomes("kubermatic_telemetry_uploads", 1);
    let answer = server.upload(&vector("one-record.tar")).refused(503, "busy");
    assert_eq!(answer.header("retry-after"), Some("5"));
    slow.write_all(&request[500..]).unwrap();
    Answer::read(&mut slow).unwrap().is(201);
    server.still_serves();
}

#[test]
fn a_spool_that_is_full_is_answered_with_507() {
    let desk = Desk::new();
    let server = Server::of(cramped(&desk));
    let answer = server.upload(&vec![b'x'; 100_000]).refused(507, "storageFull");
    assert!(answer.json()["hint"].as_str().unwrap().contains("send it again later"));
    server.get("/healthz").ok();
}

/// A server whose files can't grow beyond a few blocks, which a full disk looks like from inside.
pub fn cramped(desk: &Desk) -> Command {
    let program = env!("CARGO_BIN_EXE_kubermatic-telemetry");
    let mut command = Command::new("sh");
    let line = format!(
        "trap '' XFSZ; ulimit -f 4; exec '{program}' serve --listen 127.0.0.1:0 --archive archive --trust tofu"
    );
    command.args(["-c", &line]).current_dir(desk.path(""));
    command
}

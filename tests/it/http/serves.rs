//! What a server does for honest people: receipts, health, metrics, an orderly end.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use super::{Answer, CLIENT, Server, exported, upload, vector};
use crate::support::Desk;

#[test]
fn a_bundle_is_answered_with_its_receipt_and_always_with_the_same() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let bundle = exported(&desk);
    let first = server.upload(&bundle).is(201);
    assert_eq!(first.header("content-type"), Some("application/x-tar"));
    let again = server.upload(&bundle).is(200);
    assert_eq!(first.body, again.body);
    let fetched = server.get(first.header("location").unwrap()).ok();
    assert_eq!(fetched.body, first.body);
    assert!(fetched.header("content-disposition").unwrap().ends_with(".receipt.tar\""));
    // It is a receipt that the store takes.
    desk.file("receipt.tar", &first.body);
    desk.line("receipt receipt.tar --receipt-key archive/receipt-key.pub.pem").ok().says("2 records acknowledged");
    // The same bundle by hand into the same archive is known.
    let ingested = desk.line("ingest bundle.tar --archive archive --trust tofu --json").ok().json();
    assert_eq!(ingested[0]["again"], true);
}

#[test]
fn whoever_asks_for_json_gets_a_summary() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let answer = server.post("Accept: application/json\r\n", &vector("deltas-two-kinds.tar")).is(201);
    assert_eq!(answer.header("vary"), Some("accept"));
    let summary = answer.json();
    assert_eq!((&summary["client"], &summary["again"]), (&CLIENT.into(), &false.into()));
    // Its sequence number is not its first.
    assert_eq!((&summary["chain"], &summary["records"]["rejected"]), (&"gap".into(), &0.into()));
    assert_eq!(summary["receipt"], answer.header("location").unwrap());
    let receipt = server.get(summary["receipt"].as_str().unwrap()).ok();
    assert_eq!(receipt.header("content-type"), Some("application/x-tar"));
    let both = server.post("Accept: application/json, application/x-tar\r\n", &vector("deltas-two-kinds.tar")).ok();
    assert_eq!(both.body, receipt.body, "a receipt is worth more than a summary");
}

#[test]
fn receipts_are_asked_for_by_the_digest_of_their_manifest() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let unknown = format!("/v1/receipts/{}", "0".repeat(64));
    server.get(&unknown).refused(404, "receiptUnknown");
    for bad in
        ["x", "..", "%2e%2e%2f%2e%2e%2freceipt-key.pem", "..%2f..%2freceipt-key.pem", &"A".repeat(64), &"0".repeat(65)]
    {
        server.get(&format!("/v1/receipts/{bad}")).refused(400, "digestInvalid");
    }
    for bad in
        ["/v1/receipts/", "/v1/receipts/a/b", "/v1/receipts/../bundles", "/v1/receipts/../../etc/passwd", "/v2/bundles"]
    {
        assert_eq!(server.get(bad).status, 404, "{bad}");
    }
    server
        .raw(b"DELETE /v1/bundles HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .refused(405, "methodNotAllowed");
}

#[test]
fn health_and_readiness_are_told() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    assert_eq!(server.get("/healthz").ok().text(), "ok\n");
    assert_eq!(server.get("/readyz").ok().text(), "ready\n");
    fs::remove_dir_all(desk.path("archive")).unwrap();
    fs::write(desk.path("archive"), "in the way").unwrap();
    assert_eq!(server.get("/healthz").ok().text(), "ok\n");
    let refused = server.get("/readyz").refused(503, "notReady");
    assert!(refused.header("retry-after").is_some());
    // Whom the archive trusts can't be found out either.
    server.upload(&vector("one-record.tar")).refused(503, "trustUnavailable");
}

#[test]
fn metrics_tell_what_came_and_what_became_of_it() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    for series in ["bundles_total{result=\"new\"}", "chains_total{result=\"gap\"}", "chains_total{result=\"fork\"}"] {
        assert_eq!(server.metric(&format!("kubermatic_telemetry_{series}")), 0);
    }
    server.upload(&vector("one-record.tar")).is(201);
    server.upload(&vector("one-record.tar")).is(200);
    server.upload(b"nonsense").is(400);
    let expected = [
        ("bundles_total{result=\"new\"}", 1),
        ("bundles_total{result=\"again\"}", 1),
        ("records_total{result=\"accepted\"}", 1),
        ("chains_total{result=\"ok\"}", 1),
        ("new_clients_total", 1),
        ("refusals_total{code=\"notABundle\"}", 1),
        ("http_requests_total{route=\"/v1/bundles\",status=\"201\"}", 1),
        ("uploads", 0),
        ("connections", 1),
    ];
    for (series, value) in expected {
        server.metric_becomes(&format!("kubermatic_telemetry_{series}"), value);
    }
}

#[test]
fn operators_can_have_a_listener_of_their_own() {
    let desk = Desk::new();
    let server = Server::start(&desk, ["--trust", "tofu", "--operator-listen", "127.0.0.1:0"]);
    let line = server.says("for operators on");
    let address = line.rsplit("//").next().unwrap().parse().unwrap();
    server.get("/metrics").refused(404, "notFound");
    server.get("/healthz").ok();
    let mut stream = std::net::TcpStream::connect::<std::net::SocketAddr>(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert!(Answer::read(&mut stream).unwrap().ok().text().ends_with("# EOF\n"));
}

#[test]
fn the_log_has_request_ids_and_no_names() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let answer = server.upload(&vector("one-record.tar")).is(201);
    let line = server.says("route=\"/v1/bundles\"");
    assert!(line.contains(answer.header("x-request-id").unwrap()), "{line}");
    assert!(line.contains("status=201"), "{line}");
    let line = server.get("/secret?token=canary").head + &server.says("status=404");
    assert!(!line.contains("canary"), "{line}");
}

#[test]
fn asked_to_stop_a_server_finishes_what_has_begun() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let request = upload("", &vector("one-record.tar"));
    let mut stream = server.connect();
    let (first, rest) = request.split_at(request.len() - 700);
    stream.write_all(first).unwrap();
    let mut idle = server.connect();
    std::thread::sleep(Duration::from_millis(100));
    server.signal("TERM");
    server.says("stopping");
    stream.write_all(rest).unwrap();
    Answer::read(&mut stream).unwrap().is(201);
    assert!(Answer::read(&mut idle).is_none(), "an idle connection is closed");
    let address = server.address;
    let (code, said) = server.end();
    assert_eq!(code, 0, "{said}");
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn an_upload_that_never_ends_is_cut_off_when_the_grace_is_over() {
    let desk = Desk::new();
    let server = Server::start(&desk, ["--trust", "tofu", "--grace", "200ms"]);
    let mut stream = server.connect();
    let request = upload("", &vector("one-record.tar"));
    stream.write_all(&request[..400]).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    server.signal("TERM");
    let (code, said) = server.end();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("1 connection cut off"), "{said}");
}

#[test]
fn a_server_does_not_start_where_it_could_not_serve() {
    let desk = Desk::new();
    desk.line("serve --archive archive").code(2).says("nobody is trusted").says("--trust tofu");
    desk.line("serve --archive archive --trust tofu --listen nowhere").code(2).says("--listen");
    desk.line("serve --archive archive --trust tofu --tls-cert none.pem").code(2).says("--tls-key");
    desk.line("serve --archive archive --trust tofu --tls-cert none.pem --tls-key none.pem")
        .code(1)
        .says("can't read none.pem");
    desk.file("short", "abc");
    desk.line("serve --archive archive --trust tofu --token-file short").code(1).says("at least 16 characters");
    desk.line("serve --archive archive --trust tofu --quota nonsense=1").code(2).says("there is no quota");
    let server = Server::open(&desk);
    let taken = format!("serve --archive archive --trust tofu --listen {}", server.address);
    desk.line(&taken).code(1).says("can't listen on").says("Address already in use");
}

//! People who mean harm: the server stays up, and honest people are served.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Answer, PATIENCE, Server, drain, upload, vector};
use crate::support::{Desk, say};

#[test]
fn headers_that_trickle_are_cut_off() {
    let desk = Desk::new();
    let server = Server::start(&desk, ["--trust", "tofu", "--header-timeout", "500ms"]);
    let mut slow: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    }
    let started = Instant::now();
    let mut cut_off = 0;
    while cut_off < slow.len() && started.elapsed() < PATIENCE {
        for stream in &mut slow {
            let _ = stream.write_all(b"X-A: b\r\n");
        }
        std::thread::sleep(Duration::from_millis(100));
        cut_off = slow.iter().filter(|stream| is_cut_off(stream)).count();
    }
    assert_eq!(cut_off, slow.len());
    server.still_serves();
    // Nor may a connection say nothing at all, before or after a request.
    let mut silent = server.connect();
    let mut kept = server.connect();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&mut kept).unwrap().status, 200);
    assert_eq!((wait_for_end(&mut silent), wait_for_end(&mut kept)), (true, true));
}

/// Whether the server ended it: there is an end to read, an error, or an answer though nothing was asked.
fn is_cut_off(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    !matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

fn wait_for_end(stream: &mut TcpStream) -> bool {
    use std::io::Read as _;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    // An answer of 408 may come first.
    stream.read_to_end(&mut rest).is_ok()
}

#[test]
fn bodies_that_trickle_or_stop_are_cut_off() {
    let desk = Desk::new();
    let server = Server::start(&desk, ["--trust", "tofu", "--idle-timeout", "300ms", "--upload-timeout", "2s"]);
    let request = upload("", &vector("one-record.tar"));
    let mut stopped = server.connect();
    stopped.write_all(&request[..600]).unwrap();
    Answer::read(&mut stopped).unwrap().refused(408, "tooSlow");
    let mut trickling = server.connect();
    trickling.write_all(&request[..600]).unwrap();
    let answer = std::thread::scope(|scope| {
        let mut writer = trickling.try_clone().unwrap();
        scope.spawn(move || {
            for byte in &request[600..] {
                if writer.write_all(&[*byte]).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Answer::read(&mut trickling).unwrap()
    });
    answer.refused(408, "tooSlow");
    server.still_serves();
}

#[test]
fn lengths_that_lie_and_bodies_without_end_do_no_harm() {
    let desk = Desk::new();
    let server = Server::start(&desk, ["--trust", "tofu", "--limit", "bundle-bytes=100000"]);
    let bundle = vector("one-record.tar");
    let head = |more: &str| {
        format!("POST /v1/bundles HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-tar\r\n{more}\r\n\r\n")
            .into_bytes()
    };
    // Longer than what comes.
    let mut stream = server.connect();
    stream.write_all(&[head(&format!("Content-Length: {}", bundle.len() + 1)), bundle.clone()].concat()).unwrap();
    drain(&mut stream);
    // Shorter: the rest is no request.
    let mut stream = server.connect();
    let short = [head("Content-Length: 1000"), bundle.clone()].concat();
    stream.write_all(&short).unwrap();
    assert_eq!(Answer::read(&mut stream).unwrap().status, 422);
    // Chunks without end.
    let mut stream = server.connect();
    stream.write_all(&head("Transfer-Encoding: chunked")).unwrap();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    for _ in 0..50 {
        stream.write_all(chunk.as_bytes()).unwrap();
    }
    // It is answered though the body goes on; what comes after that is thrown away for a while.
    Answer::read(&mut stream).unwrap().refused(413, "limitExceeded");
    let numbers = ["-1", "18446744073709551616", "1e3", "0x10", "5, 6", ""];
    for number in numbers {
        let answer = server.raw(&head(&format!("Content-Length: {number}")));
        assert!((400..500).contains(&answer.status), "{number}: {}", answer.head);
    }
    server.still_serves();
}

#[test]
fn requests_that_two_readers_could_read_differently_are_refused() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let start = "POST /v1/bundles HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-tar\r\n";
    let second = "GET /healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n";
    let shapes = [
        format!("{start}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}"),
        format!("{start}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef{second}"),
        format!("{start}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{second}"),
        format!("{start}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{second}"),
        format!("{start}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{second}"),
        format!("{start}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{second}"),
        format!("{start}Transfer-Encoding: chunked\r\n\r\n-1\r\n{second}"),
        format!("{start}Content-Length: 0\r\n folded: x\r\n\r\n{second}"),
        format!("POST /v1/bundles HTTP/1.1\nHost: test\nContent-Length: 0\n\n{second}"),
        format!("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{second}"),
    ];
    for shape in &shapes {
        let mut stream = server.connect();
        stream.write_all(shape.as_bytes()).unwrap();
        let mut answers = Vec::new();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        while let Some(answer) = Answer::read_one(&mut stream) {
            answers.push(answer.status);
        }
        // Never is the second request answered as part of a body that was read otherwise: either the first is refused and
        // the connection ends, or both are requests by every reading.
        let smuggled = answers.len() > 1 && answers[0] == 400;
        assert!(!smuggled, "{shape:?}: {answers:?}");
    }
    server.still_serves();
}

#[test]
fn garbage_does_no_harm() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let header = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    let shapes: Vec<&[u8]> = vec![
        b"\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/receipts/%00%0d%0a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        long.as_bytes(),
        header.as_bytes(),
        many.as_bytes(),
    ];
    for shape in shapes {
        let mut stream = server.connect();
        let _ = stream.write_all(shape);
        drain(&mut stream);
    }
    server.still_serves();
}

#[test]
fn thousands_of_connections_leave_room_for_others() {
    let desk = Desk::new();
    let server = Server::start(
        &desk,
        ["--trust", "tofu", "--max-connections", "200", "--max-address-connections", "100", "--header-timeout", "2s"],
    );
    let mut held = Vec::new();
    let mut opened = 0;
    for _ in 0..3_000 {
        if let Ok(stream) = TcpStream::connect(server.address) {
            opened += 1;
            held.push(stream);
        }
        if held.len() > 500 {
            held.drain(..250);
        }
    }
    drop(held);
    say("connections", &format!("{opened} opened against a server for 100 of an address"));
    let started = Instant::now();
    loop {
        let mut stream = server.connect();
        let _ = stream.write_all(&upload("", &vector("one-record.tar")));
        if Answer::read(&mut stream).is_some_and(|answer| answer.status / 100 == 2) {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "honest people are not served");
    }
}

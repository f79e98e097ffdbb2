//! `send`: what is delivered, what is tried again, and what a person hears of it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Answer, PATIENCE, Server, exported, send, vector};
use crate::support::{Desk, Printed};

/// What a moody server does with one request.
#[derive(Debug, Clone)]
enum Mood {
    /// Passes it on.
    Fair,
    /// Passes it on, and loses the answer.
    Forgetful,
    /// Answers itself.
    Says(String),
    /// Closes the connection after so many bytes.
    Gone(usize),
    /// Says nothing.
    Silent,
}

/// A server in front of another one that has a mood for each request, the last one for all that follow.
struct Moody {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Moody {
    fn new(to: Option<SocketAddr>, moods: Vec<Mood>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, bodies) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, kept) = (Arc::clone(&requests), Arc::clone(&bodies));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let mood = moods.get(number).or(moods.last()).unwrap().clone();
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || live(stream.unwrap(), &mood, to, &kept));
            }
        });
        Self { address, requests, bodies }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn live(mut stream: TcpStream, mood: &Mood, to: Option<SocketAddr>, bodies: &Mutex<Vec<Vec<u8>>>) -> Option<()> {
    if let Mood::Gone(bytes) = mood {
        stream.read_exact(&mut vec![0; *bytes]).ok()?;
        return None;
    }
    let (head, body) = read_request(&mut stream)?;
    bodies.lock().unwrap().push(body.clone());
    match mood {
        Mood::Silent => std::thread::sleep(PATIENCE),
        Mood::Says(answer) => stream.write_all(answer.as_bytes()).ok()?,
        _ => {
            let mut server = TcpStream::connect(to?).ok()?;
            server.write_all(&[head, body].concat()).ok()?;
            let answer = Answer::read(&mut server)?;
            if matches!(mood, Mood::Fair) {
                stream.write_all(&[answer.head.as_bytes(), &answer.body].concat()).ok()?;
            }
        }
    }
    Some(())
}

fn read_request(stream: &mut TcpStream) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.expect("a length")];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn says(status: &str, headers: &str, body: &str) -> Mood {
    Mood::Says(format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ))
}

fn pending(desk: &Desk) -> u64 {
    desk.line("status --json").ok().json()["pending"]["records"].as_u64().unwrap()
}

#[test]
fn what_is_pending_is_delivered_and_leaves_the_store() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    desk.collect();
    let sent = send(&desk, &server.url(), "--json --note CHG-1").ok().json();
    assert_eq!((&sent["bundles"][0]["acknowledged"], &sent["later"]), (&2.into(), &false.into()));
    assert_eq!(pending(&desk), 0);
    send(&desk, &server.url(), "").ok().says("nothing is pending: nothing was sent");
    let status = desk.line("status --json --history").ok().json();
    assert_eq!((&status["exports"][0]["note"], &status["exports"][0]["delivered"]), (&"CHG-1".into(), &true.into()));
    assert_eq!(status["receipts"].as_array().unwrap().len(), 1);
}

#[test]
fn nothing_to_send_is_no_failure() {
    let desk = Desk::new();
    fs::create_dir(desk.path("archive")).unwrap();
    let key = desk.line("init --state other").ok().stdout;
    desk.file(
        "archive/receipt-key.pub.pem",
        key.split_once("-----BEGIN").map(|(_, pem)| format!("-----BEGIN{pem}")).unwrap(),
    );
    send(&desk, "http://127.0.0.1:9", "").ok().says("nothing is pending");
    assert!(!desk.state().exists(), "nothing was made");
}

#[test]
fn switched_off_nothing_is_connected_to() {
    let desk = Desk::new();
    desk.collect();
    let moody = Moody::new(None, vec![says("500 No", "", "")]);
    let off = desk.line(&format!("send --url {} --telemetry off", moody.url())).ok();
    off.says("telemetry is off (--telemetry): nothing was sent");
    assert_eq!(moody.requests(), 0);
}

#[test]
fn sending_can_wait_a_while_by_chance_and_can_be_stopped_meanwhile() {
    let desk = Desk::new();
    desk.collect();
    let server = Server::open(&desk);
    let key = desk.path("archive/receipt-key.pub.pem");
    let send = |splay: &str| {
        let mut command = desk.command();
        command.args(["send", "--splay", splay, "--url", &server.url()]).env("KUBERMATIC_TELEMETRY_RECEIPT_KEY", &key);
        command
    };
    let mut child = send("364d").stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.starts_with("sending in "), "{said}");
    let killed = Command::new("sh").args(["-c", &format!("kill -TERM {}", child.id())]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(pending(&desk), 2, "nothing was sent");
    Printed::of(send("1s").output().unwrap()).ok().says("2 records acknowledged");
}

#[test]
fn a_server_that_is_away_is_quietly_tried_again_another_time() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    exported(&desk);
    let url = server.url();
    drop(server);
    let quiet = send(&desk, &url, "--deadline 300ms").ok();
    assert_eq!(quiet.stderr.lines().count(), 1, "one line: {}", quiet.stderr);
    quiet.says("not delivered yet: can't deliver bundle 1: the server can't be reached").says("stays in the store");
    let later = send(&desk, &url, "--deadline 300ms --json").ok().json();
    assert_eq!(later["later"], true);
    // Ages are told in seconds.
    std::thread::sleep(Duration::from_secs(2));
    let overdue = send(&desk, &url, "--deadline 300ms --overdue 1s").code(1);
    overdue
        .says("nothing was delivered, and the oldest record has waited for 0 days")
        .says("hint: see that the server");
    assert_eq!(pending(&desk), 2);
}

#[test]
fn what_passes_is_tried_again_until_it_has_passed() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let plan = vec![
        Mood::Gone(100),
        says("503 Busy", "Retry-After: 1\r\n", "{}"),
        says("429 Too Many", "", ""),
        says("502 Bad", "", "<html>"),
        says("507 Full", "", "{\"detail\":\"no room\"}"),
        Mood::Fair,
    ];
    let moody = Moody::new(Some(server.address), plan);
    let bundle = exported(&desk);
    let started = Instant::now();
    send(&desk, &moody.url(), "--deadline 60s").ok().says("2 records acknowledged");
    assert!(started.elapsed() >= Duration::from_secs(1), "Retry-After is heard");
    assert_eq!(moody.requests(), 6);
    assert!(moody.bodies.lock().unwrap().iter().all(|body| *body == bundle), "always the same bytes");
}

#[test]
fn throttled_or_failing_for_too_long_is_told_with_the_last_word() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    drop(server);
    exported(&desk);
    let body = r#"{"code":"throttled","detail":"the quota is\u001b[31m used up"}"#;
    let moody = Moody::new(None, vec![says("429 Too Many Requests", "Retry-After: 3600\r\n", body)]);
    let quiet = send(&desk, &moody.url(), "").ok();
    quiet.says("429 Too Many Requests: the quota is\\u{1b}[31m used up");
    assert_eq!(moody.requests(), 1, "an hour is beyond the deadline");
    let silent = Moody::new(None, vec![Mood::Silent]);
    send(&desk, &silent.url(), "--idle-timeout 300ms --deadline 1s").ok().says("did not answer in time");
    send(&desk, &silent.url(), "--timeout 300ms --deadline 1s").ok().says("did not answer in time");
    send(&desk, &silent.url(), "--deadline 500ms").ok().says("not sent in time");
}

#[test]
fn what_the_server_refuses_is_a_failure_with_its_words() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    drop(server);
    exported(&desk);
    let body = r#"{"code":"keyConflict","detail":"known with other keys","hint":"ask\nthem"}"#;
    let moody = Moody::new(None, vec![says("403 Forbidden", "", body)]);
    let refused = send(&desk, &moody.url(), "").code(1);
    refused
        .says("the server refused the bundle: 403 Forbidden: known with other keys")
        .says("the server says: ask\\u{a}them");
    for status in
        ["400 Bad Request", "404 Not Found", "413 Payload Too Large", "415 No", "422 Unprocessable Entity", "204 No"]
    {
        let moody = Moody::new(None, vec![says(status, "", "")]);
        send(&desk, &moody.url(), "").code(1).says(&status[..3]);
        assert_eq!(moody.requests(), 1, "{status}");
    }
    assert_eq!(pending(&desk), 2);
}

#[test]
fn redirects_stay_on_the_server_and_keep_the_method() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    exported(&desk);
    let elsewhere = Moody::new(Some(server.address), vec![Mood::Fair]);
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("Location: {}/v1/bundles\r\n", elsewhere.url());
        let moody = Moody::new(None, vec![says(status, &location, "")]);
        let refused = send(&desk, &moody.url(), "").code(1);
        refused.says("redirect, which is followed only within the same server").says(&elsewhere.url());
    }
    assert_eq!(elsewhere.requests(), 0);
    let see_other =
        Moody::new(Some(server.address), vec![says("303 See Other", "Location: /other\r\n", ""), Mood::Fair]);
    send(&desk, &see_other.url(), "").code(1).says("303");
    assert_eq!(see_other.requests(), 1);
    let circle = Moody::new(None, vec![says("307 Temporary Redirect", "Location: /v1/bundles\r\n", "")]);
    send(&desk, &circle.url(), "").code(1).says("it goes in circles");
    let here = Moody::new(
        Some(server.address),
        vec![says("308 Permanent Redirect", "Location: /v1/bundles\r\n", ""), Mood::Fair],
    );
    send(&desk, &here.url(), "").ok().says("2 records acknowledged");
}

#[test]
fn an_answer_that_was_lost_is_made_good_by_the_next_one() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let moody = Moody::new(Some(server.address), vec![Mood::Forgetful]);
    desk.collect();
    send(&desk, &moody.url(), "--deadline 1s").ok().says("not delivered yet");
    assert_eq!((pending(&desk), moody.requests() >= 1), (2, true));
    // What is collected meanwhile goes after it, in a bundle of its own.
    desk.collect();
    let sent = send(&desk, &server.url(), "--json").ok().json();
    let sequences: Vec<_> =
        sent["bundles"].as_array().unwrap().iter().map(|row| row["sequence"].as_u64().unwrap()).collect();
    assert_eq!((sequences, pending(&desk)), (vec![1, 2], 0));
    assert!(server.metric("kubermatic_telemetry_bundles_total{result=\"again\"}") >= 1);
    assert_eq!(server.metric("kubermatic_telemetry_chains_total{result=\"ok\"}"), 2, "no gap and no fork");
}

#[test]
fn a_bundle_that_was_exported_by_hand_is_sent_as_it_is() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let moody = Moody::new(Some(server.address), vec![Mood::Fair]);
    let bundle = exported(&desk);
    send(&desk, &moody.url(), "").ok();
    assert_eq!(*moody.bodies.lock().unwrap(), [bundle]);
    assert_eq!(pending(&desk), 0);
}

#[test]
fn nothing_but_a_receipt_counts() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    exported(&desk);
    let login = Moody::new(None, vec![says("200 OK", "", "<html>Please log in</html>")]);
    send(&desk, &login.url(), "").code(1).says("is no receipt that this installation believes");
    // A receipt that is genuine, for another client.
    let foreign = server.upload(&vector("one-record.tar")).is(201).body;
    let answer =
        [b"HTTP/1.1 200 OK\r\nContent-Length: ", foreign.len().to_string().as_bytes(), b"\r\n\r\n", &foreign].concat();
    let moody = Moody::new(None, vec![Mood::Says(String::from_utf8(answer).unwrap())]);
    send(&desk, &moody.url(), "").code(1).says("the receipt is for client");
    // One of a server whose key is not trusted.
    let other = Desk::new();
    let stranger = Server::open(&other);
    send(&desk, &stranger.url(), "").code(1).says("is not a trusted receipt key");
    assert_eq!(pending(&desk), 2);
    desk.line(&format!("send --url {}", server.url())).code(1).says("no key is trusted to sign receipts");
    send(&desk, &server.url(), "").ok();
}

#[test]
fn a_bundle_that_was_carried_is_sent_for_somebody_else() {
    let (desk, site) = (Desk::new(), Desk::new());
    let server = Server::open(&desk);
    let bundle = exported(&site);
    desk.file("carried.tar", &bundle);
    let sent = send(&desk, &server.url(), "--bundle carried.tar --receipt receipt.tar --json").ok();
    assert_eq!(sent.json()["bundles"][0]["acknowledged"], 0);
    sent.says("carried.tar: delivered; its receipt belongs to client");
    assert!(!desk.state().exists());
    fs::copy(desk.path("receipt.tar"), site.path("receipt.tar")).unwrap();
    fs::copy(desk.path("archive/receipt-key.pub.pem"), site.path("key.pem")).unwrap();
    site.line("receipt receipt.tar --receipt-key key.pem").ok().says("2 records acknowledged");
    send(&desk, &server.url(), "--bundle carried.tar --receipt receipt.tar").code(1).says("receipt.tar exists already");
    desk.file("damaged.tar", &bundle[..5000]);
    send(&desk, &server.url(), "--bundle damaged.tar").code(1).says("damaged.tar").says("cut off");
    // A person who sends a file wants to know now.
    send(&desk, "http://127.0.0.1:9", "--bundle carried.tar --deadline 300ms").code(1).says("can't be reached");
    // At the site itself the store is told at once.
    let again = Desk::new();
    exported(&again);
    fs::create_dir(again.path("archive")).unwrap();
    fs::copy(desk.path("archive/receipt-key.pub.pem"), again.path("archive/receipt-key.pub.pem")).unwrap();
    send(&again, &server.url(), "--bundle bundle.tar").ok().says("2 records acknowledged");
    assert_eq!(pending(&again), 0);
}

#[test]
fn addresses_and_secrets_that_would_leak_are_refused() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    exported(&desk);
    for (url, word) in [
        ("ftp://x", "an http:// or https:// address"),
        ("http://user:canary@127.0.0.1:9", "process lists"),
        ("http://127.0.0.1:9/?token=canary", "without `?`"),
        ("nonsense", "--url"),
    ] {
        let refused = send(&desk, url, "");
        assert!(refused.code > 0, "{url}");
        refused.says(word);
    }
    send(&desk, &server.url(), "--proxy http://user:canary@127.0.0.1:9").code(2).says("HTTPS_PROXY");
    desk.file("token", "snakeoil-token-0123456789");
    let moody = Moody::new(None, vec![says("401 Unauthorized", "", "")]);
    let refused = send(&desk, &moody.url(), "--token-file token -vvv").code(1).says("--token-file");
    assert!(!refused.stderr.contains("snakeoil-token"), "{}", refused.stderr);
    desk.file("token", "two\nlines");
    send(&desk, &server.url(), "--token-file token").code(1).says("a token that a header can carry");
}

#[test]
fn a_closed_server_is_sent_to_with_its_token() {
    let desk = Desk::new();
    desk.file("token", "snakeoil-token-0123456789\n");
    let server = Server::start(&desk, ["--trust", "tofu", "--token-file", "token"]);
    desk.collect();
    send(&desk, &server.url(), "").code(1).says("401").says("Authorization: Bearer TOKEN");
    send(&desk, &server.url(), "--token-file token").ok().says("2 records acknowledged");
}

#[test]
fn two_at_once_deliver_everything_once() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    desk.collect();
    let url = server.url();
    let codes: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| send(&desk, &url, "").ok().code)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!((codes, pending(&desk)), (vec![0; 4], 0));
    let accepted = server.metric("kubermatic_telemetry_records_total{result=\"accepted\"}");
    assert_eq!(accepted, 2);
}

#[test]
fn a_kept_bundle_that_holds_what_is_withheld_now_is_not_sent_again() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    // The first attempt comes to nothing, so that its bundle waits in the store.
    desk.collect();
    let nowhere = Moody::new(None, vec![says("503 Service Unavailable", "", "busy"); 50]);
    send(&desk, &nowhere.url(), "--deadline 1s").ok();
    assert!(nowhere.requests() > 0);
    let moody = Moody::new(Some(server.address), vec![Mood::Fair; 2]);
    let said = send(&desk, &moody.url(), "--omit users,kubernetes").ok();
    said.says("removed 1 stored bundle that may hold what is withheld");
    let bodies = moody.bodies.lock().unwrap().clone();
    assert_eq!(bodies.len(), 1, "one bundle, which was packed anew");
    desk.file("sent.tar", &bodies[0]);
    desk.line("inspect sent.tar --extract out").ok().prints("withheld   kubernetes, users\n");
    let files = desk.tree("out");
    assert_eq!(files.len(), 1);
    let record = std::fs::read_to_string(desk.path("out").join(&files[0])).unwrap();
    assert!(record.contains("sshKeys") && !record.contains("isAdmin"), "{record}");
    // The nodes' record waits until its kind is allowed again.
    assert_eq!(pending(&desk), 1);
    send(&desk, &moody.url(), "").ok();
    assert_eq!(pending(&desk), 0);
}

#[test]
fn a_bundle_from_a_file_of_this_client_obeys_as_well() {
    let desk = Desk::new();
    let server = Server::open(&desk);
    let bundle = exported(&desk);
    let moody = Moody::new(Some(server.address), vec![Mood::Fair; 2]);
    let refused = send(&desk, &moody.url(), "--bundle bundle.tar --omit users").code(1);
    refused.says("bundle.tar holds what is withheld: users").says("hint: export anew");
    assert_eq!(moody.requests(), 0);
    // What it does not hold does not matter, nor what somebody else withholds from theirs.
    let elsewhere = Desk::new();
    elsewhere.line("init").ok();
    elsewhere.file("bundle.tar", &bundle);
    let key = desk.path("archive/receipt-key.pub.pem");
    let url = moody.url();
    let line =
        ["send", "--url", &url, "--bundle", "bundle.tar", "--omit", "users", "--receipt-key", key.to_str().unwrap()];
    elsewhere.run(line).ok();
}

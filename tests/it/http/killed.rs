//! A server that is killed at any moment, under load: whoever has a receipt has it for something that is kept.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::receipt;

use super::{Answer, Server, exported, upload};
use crate::support::{Desk, say};

/// How often the server is killed.
const ROUNDS: u64 = 250;
/// How many send at once.
const SENDERS: usize = 4;

#[test]
fn nothing_is_acknowledged_that_the_archive_does_not_have() {
    let desk = Desk::in_memory();
    // Bundles of several clients, of which each is sent again and again, by several at once.
    let bundles: Vec<_> = (0..12)
        .flat_map(|_| {
            let site = Desk::in_memory();
            let first = exported(&site);
            site.line("export -o second.tar").ok();
            [first, fs::read(site.path("second.tar")).unwrap()]
        })
        .collect();
    let acknowledged = Mutex::new(BTreeMap::<usize, Vec<u8>>::new());
    let (mut answers, mut fresh) = (0, 0);
    for round in 0..ROUNDS {
        // Everything is new every now and then, so that every step of accepting is met by a kill.
        if round % 25 == 0 {
            check(&desk, &bundles, &acknowledged);
            let _ = fs::remove_dir_all(desk.path("archive/clients"));
            acknowledged.lock().unwrap().clear();
        }
        let mut server = Server::start(
            &desk,
            [
                "--trust",
                "tofu",
                "--quota",
                "address-bundles=1000000",
                "--quota",
                "address-clients=1000000",
                "--pins-per-hour",
                "100000",
            ],
        );
        let stop = AtomicBool::new(false);
        let address = server.address;
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let (stop, bundles, acknowledged) = (&stop, &bundles, &acknowledged);
                    scope.spawn(move || {
                        let (mut count, mut created) = (0, 0);
                        let mut next = sender * 7 + usize::try_from(round).unwrap();
                        while !stop.load(Ordering::Relaxed) {
                            let index = next % bundles.len();
                            next += 1;
                            let Some(answer) = deliver(address, &bundles[index]) else { continue };
                            assert!(matches!(answer.status, 200 | 201), "{}{}", answer.head, answer.text());
                            count += 1;
                            created += usize::from(answer.status == 201);
                            let mut known = acknowledged.lock().unwrap();
                            let before = known.entry(index).or_insert_with(|| answer.body.clone());
                            assert_eq!(*before, answer.body, "one bundle has one receipt");
                        }
                        (count, created)
                    })
                })
                .collect();
            // Spread over the time that a server needs for its first bundles.
            std::thread::sleep(Duration::from_millis(round * 7 % 60));
            server.kill();
            stop.store(true, Ordering::Relaxed);
            for sender in senders {
                let (count, created) = sender.join().unwrap();
                answers += count;
                fresh += created;
            }
        });
    }
    check(&desk, &bundles, &acknowledged);
    assert!(fresh > 0);
    say("killed", &format!("{ROUNDS} times: {answers} receipts, {fresh} of them for bundles that were new"));
    // And everything that was interrupted can be sent again.
    let server =
        Server::start(&desk, ["--trust", "tofu", "--quota", "address-clients=1000000", "--pins-per-hour", "100000"]);
    for bundle in &bundles {
        assert!(matches!(server.upload(bundle).status, 200 | 201));
    }
}

fn deliver(address: std::net::SocketAddr, bundle: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(&upload("", bundle)).ok()?;
    Answer::read(&mut stream)
}

/// Insists that the archive has the bundle, the receipt and the records of everything that was acknowledged.
fn check(desk: &Desk, bundles: &[Vec<u8>], acknowledged: &Mutex<BTreeMap<usize, Vec<u8>>>) {
    for (index, bytes) in acknowledged.lock().unwrap().iter() {
        let receipt = receipt::open(bytes, &[], &Limits::default()).unwrap().receipt;
        let place = desk.path("archive/clients").join(receipt.client.to_string());
        let digest = receipt.manifest_sha256;
        assert_eq!(fs::read(place.join(format!("receipts/{digest}.tar"))).unwrap(), *bytes);
        assert_eq!(fs::read(place.join(format!("bundles/{digest}.tar"))).unwrap(), bundles[*index]);
        for record in &receipt.records {
            let entry = fs::read_to_string(place.join(format!("records/{}", record.id))).unwrap();
            assert!(entry.starts_with(&record.sha256.to_string()), "{entry}");
        }
    }
}

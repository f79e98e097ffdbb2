//! Many processes at once on one state directory and one archive: in the end everything is accounted for.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::books::{Books, leftovers};
use crate::support::{Desk, Printed, say};

const CROWD: usize = 8;
const ROUNDS: usize = 20;
/// Records that each collects in a round.
const PARTS: usize = 8;

/// What the crowd has done so far.
#[derive(Default)]
struct Done {
    operations: AtomicUsize,
    stored: Mutex<Vec<String>>,
    bundles: Mutex<Vec<String>>,
    /// Bundles and receipts on their way to whoever takes them next.
    exported: Mutex<Vec<String>>,
    signed: Mutex<Vec<String>>,
}

impl Done {
    fn line(&self, desk: &Desk, line: &str) -> Printed {
        self.operations.fetch_add(1, Ordering::Relaxed);
        desk.line(line)
    }

    fn collect(&self, desk: &Desk, name: &str) {
        let text = format!(r#"{{"kind":"crowd","version":"v1","time":"2026-01-31T12:00:00Z","name":"{name}"}}"#);
        desk.file(&format!("{name}.json"), text);
        let printed = self.line(desk, &format!("collect --record {name}.json --allow-kind crowd --json")).ok().json();
        self.stored.lock().unwrap().push(printed["stored"][0]["id"].as_str().unwrap().to_owned());
    }

    fn export(&self, desk: &Desk, flag: &str, bundle: &str) {
        let printed = self.line(desk, &format!("export {flag} -o {bundle}"));
        if printed.code == 4 {
            assert!(!desk.path(bundle).exists());
            return;
        }
        printed.ok();
        self.bundles.lock().unwrap().push(bundle.to_owned());
        self.exported.lock().unwrap().push(bundle.to_owned());
    }

    fn ingest(&self, desk: &Desk) {
        let Some(bundle) = self.exported.lock().unwrap().pop() else { return };
        let line = format!("ingest {bundle} --archive archive --trust tofu --receipts receipts --json");
        let printed = self.line(desk, &line).ok().json();
        self.signed.lock().unwrap().push(printed[0]["receipt"].as_str().unwrap().to_owned());
    }

    fn receipt(&self, desk: &Desk) {
        let Some(receipt) = self.signed.lock().unwrap().pop() else { return };
        self.line(desk, &format!("receipt {receipt} --receipt-key receipts/receipt-key.pub.pem")).ok();
    }

    /// One of the crowd: mostly collects, and does a bit of everything else.
    fn work(&self, desk: &Desk, worker: usize) {
        for round in 0..ROUNDS {
            let name = format!("{worker}-{round}");
            for part in 0..PARTS {
                self.collect(desk, &format!("{name}-{part}"));
            }
            self.line(desk, "status --json").ok();
            self.export(desk, "--new", &format!("new-{name}.tar"));
            self.ingest(desk);
            self.line(desk, "preview").ok();
            self.receipt(desk);
            if round % 5 == worker % 5 {
                self.export(desk, "", &format!("all-{name}.tar"));
                self.ingest(desk);
                self.receipt(desk);
            }
        }
    }
}

#[test]
fn of_many_at_once_each_does_what_it_says_and_nothing_is_lost_or_done_twice() {
    let (desk, done) = (Desk::in_memory(), Done::default());
    std::thread::scope(|scope| {
        for worker in 0..CROWD {
            let (desk, done) = (&desk, &done);
            scope.spawn(move || done.work(desk, worker));
        }
    });
    let books = Books::of(&desk.state());
    let stored = done.stored.lock().unwrap().clone();
    let pending: BTreeSet<_> = books.pending.keys().cloned().collect();
    assert_eq!(stored.len(), CROWD * ROUNDS * PARTS);
    assert!(pending.is_disjoint(&books.accepted));
    assert_eq!(stored.iter().cloned().collect::<BTreeSet<_>>().len(), stored.len(), "an id was given away twice");
    assert_eq!(pending.union(&books.accepted).cloned().collect::<BTreeSet<_>>(), stored.into_iter().collect());
    assert!(!books.accepted.is_empty() && books.rejected.is_empty() && books.quarantine.is_empty(), "{books:?}");

    let bundles = done.bundles.lock().unwrap().clone();
    assert_eq!(books.exports.len(), bundles.len());
    desk.line("keys export -o client.pub.pem").ok();
    let mut manifests = BTreeSet::new();
    for bundle in &bundles {
        desk.line(&format!("verify {bundle} --key client.pub.pem")).ok();
        let shown = desk.line(&format!("inspect {bundle} --json")).ok().json();
        let sequence = shown["manifest"]["sequence"].as_u64().unwrap();
        assert_eq!(books.exports[&sequence], shown["manifestSha256"].as_str().unwrap());
        assert!(manifests.insert(sequence), "two bundles have the number {sequence}");
    }

    // What is left leaves, too; perhaps nothing was.
    done.collect(&desk, "rest");
    desk.line("export -o rest.tar").ok();
    let rest = desk.line("ingest rest.tar --archive archive --trust tofu --receipts receipts --json").ok().json();
    let receipt = rest[0]["receipt"].as_str().unwrap();
    desk.line(&format!("receipt {receipt} --receipt-key receipts/receipt-key.pub.pem")).ok();
    assert_eq!(desk.line("status --json").ok().json()["pending"]["records"], 0);
    assert!(leftovers(&desk.state()).is_empty() && leftovers(&desk.path("archive")).is_empty());
    let operations = done.operations.into_inner();
    say("measured", &format!("{operations} operations, {CROWD} processes at once, {} bundles", bundles.len()));
}

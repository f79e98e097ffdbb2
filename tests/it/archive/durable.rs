//! A power cut: what is answered for is on disk before, and not only in the memory of the operating system.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Place, first_bundle};
use crate::http::Server;
use crate::kills::{can_trace, under_strace};

/// What writes, names, syncs and answers.
const CALLS: &str = "openat,write,pwrite64,writev,sendto,sendmsg,fsync,fdatasync,link,linkat,rename,renameat,renameat2,\
                     mkdir,mkdirat";

/// One call, at one of its ends, with what it was about.
struct Event {
    thread: String,
    call: String,
    arguments: String,
    begins: bool,
    ends: bool,
}

/// Reads what `strace -f` wrote, where calls of several threads are cut in two.
fn events(trace: &str) -> Vec<Event> {
    let mut open = BTreeMap::new();
    let mut events = Vec::new();
    for line in trace.lines() {
        let (thread, rest) = line.split_once(' ').unwrap();
        let (thread, rest) = (thread.to_owned(), rest.trim_start());
        if let Some(rest) = rest.strip_prefix("<... ") {
            let call = rest.split(' ').next().unwrap().to_owned();
            let Some(arguments) = open.remove(&(thread.clone(), call.clone())) else { continue };
            events.push(Event { thread, call, arguments, begins: false, ends: true });
        } else if let Some((call, arguments)) = rest.split_once('(') {
            let (call, arguments) = (call.to_owned(), arguments.to_owned());
            let ends = !arguments.ends_with("<unfinished ...>");
            if !ends {
                open.insert((thread.clone(), call.clone()), arguments.clone());
            }
            events.push(Event { thread, call, arguments, begins: true, ends });
        }
    }
    events
}

/// What is not on disk yet: files that were written, and directories with names that they did not have.
#[derive(Default)]
struct Unsynced {
    /// Since which event.
    dirty: BTreeSet<(PathBuf, usize)>,
    /// Since when each thread waits for the disk, and for what.
    waiting: BTreeMap<String, (PathBuf, usize)>,
    synced: usize,
}

impl Unsynced {
    fn see(&mut self, at: usize, event: &Event, archive: &Path) {
        let named: Vec<_> = event.arguments.split('"').skip(1).step_by(2).map(PathBuf::from).collect();
        let open = || event.arguments.split('<').nth(1).map(|rest| PathBuf::from(rest.split('>').next().unwrap()));
        let above = |path: &Path| path.parent().unwrap().to_owned();
        match event.call.as_str() {
            "write" | "pwrite64" if event.begins => self.dirty.extend(open().map(|path| (path, at))),
            "link" | "linkat" | "rename" | "renameat" | "renameat2" if event.begins => {
                self.dirty.insert((above(&named[1]), at));
            }
            "mkdir" | "mkdirat" if event.begins => drop(self.dirty.insert((above(&named[0]), at))),
            "fsync" | "fdatasync" => {
                if event.begins {
                    self.waiting.insert(event.thread.clone(), (open().unwrap(), at));
                }
                if event.ends {
                    let (path, since) = self.waiting.remove(&event.thread).unwrap();
                    // What was done after it began may have been too late for it.
                    self.dirty.retain(|(dirty, when)| *dirty != path || *when > since);
                    self.synced += 1;
                }
            }
            _ => {}
        }
        self.dirty.retain(|(path, _)| path.starts_with(archive));
    }

    /// What is not on disk, but for what is still being named.
    fn besides(&self, own: &str) -> Vec<&PathBuf> {
        self.dirty.iter().map(|(path, _)| path).filter(|path| !path.to_str().unwrap().contains(own)).collect()
    }
}

/// A server under `strace`, and what it did.
fn traced(place: &Place, uploads: &[&[u8]]) -> Vec<Event> {
    let mut program = place.command("serve");
    program.args(["--listen", "127.0.0.1:0"]);
    let trace = place.desk.path("trace");
    let options = ["-y", "-s", "16", "-e", "signal=none", "-e", &format!("trace={CALLS}")];
    let server = Server::of(under_strace(&program, &trace, &options));
    for bundle in uploads {
        assert_eq!(server.upload(bundle).status / 100, 2);
    }
    // `strace` passes a signal on to nobody: its child is asked.
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.pid())).unwrap();
    let child = children.split_whitespace().next().unwrap();
    assert!(Command::new("kill").args(["-s", "TERM", child]).status().unwrap().success());
    assert_eq!(server.end().0, 0);
    events(&fs::read_to_string(trace).unwrap())
}

fn is_answer(event: &Event) -> bool {
    event.begins && event.arguments.contains("\"HTTP/1.1 20") && event.call != "openat"
}

#[test]
fn a_receipt_is_on_disk_before_it_is_answered_and_what_it_commits_before_it() {
    if !can_trace() {
        return;
    }
    let place = Place::directory();
    let archive = fs::canonicalize(place.desk.path("")).unwrap().join("archive");
    let (mut unsynced, mut answers, mut receipts) = (Unsynced::default(), 0, 0);
    for (at, event) in traced(&place, &[&first_bundle(1).0, &first_bundle(2).0]).iter().enumerate() {
        if is_answer(event) {
            assert!(unsynced.dirty.is_empty(), "not on disk when it is answered: {:?}", unsynced.dirty);
            answers += 1;
        }
        if event.call.starts_with("link") && event.begins && event.arguments.contains("/receipts/") {
            assert!(unsynced.dirty.is_empty(), "not on disk when the receipt gets its name: {:?}", unsynced.dirty);
            receipts += 1;
        }
        unsynced.see(at, event, &archive);
    }
    assert_eq!((answers, receipts), (2, 2));
    assert!(unsynced.synced > 20, "{} syncs", unsynced.synced);
    assert_eq!(unsynced.besides("nothing"), Vec::<&PathBuf>::new());
}

/// Whoever made a receipt may have been killed before the disk was told of it, or of the directories above.
#[test]
fn a_receipt_that_another_process_made_is_on_disk_before_it_is_answered() {
    if !can_trace() {
        return;
    }
    let place = Place::directory();
    let (bundle, _) = first_bundle(1);
    place.desk.file("bundle.tar", &bundle);
    place.ingest("bundle.tar").ok();
    let archive = fs::canonicalize(place.desk.path("archive")).unwrap();
    let below = archive.join(format!("clients/{}", super::client(1).0));
    let mut synced = BTreeSet::new();
    let events = traced(&place, &[&bundle]);
    let answered = events.iter().position(is_answer).unwrap();
    for event in events[..answered].iter().filter(|event| event.call == "fsync" && event.begins) {
        synced.extend(event.arguments.split(['<', '>']).nth(1).map(PathBuf::from));
    }
    for directory in
        [archive.clone(), archive.join("clients"), below.clone(), below.join("receipts"), below.join("audit")]
    {
        assert!(synced.contains(&directory), "{} is not on disk", directory.display());
    }
}

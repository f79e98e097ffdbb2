//! A file system that is full, down to the last block: what is told, what stays, and that it works once there is room.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::books::{Books, leftovers};
use crate::support::{Desk, Printed, copy_all, skip};

const BLOCK: usize = 4096;

/// A file system of 256 KiB in a mount namespace of its own, which ends with the process that holds it.
struct Disk {
    holder: Child,
    /// The mount as it is seen from outside of the namespace.
    place: PathBuf,
    _mountpoint: Desk,
}

impl Disk {
    fn new() -> Option<Self> {
        let mountpoint = Desk::new();
        for flags in [&["--mount"][..], &["--map-root-user", "--mount"]] {
            let mut unshare = Command::new("unshare");
            unshare.args(flags).args([
                "sh",
                "-c",
                r#"mount -t tmpfs -o size=256k tmpfs "$1" && echo mounted && read -r _"#,
            ]);
            unshare.arg("disk").arg(mountpoint.path(""));
            let started = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
            let Ok(mut holder) = started else { continue };
            let mut line = String::new();
            BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
            let inside = mountpoint.path("");
            let place = PathBuf::from(format!("/proc/{}/root{}", holder.id(), inside.display()));
            if line == "mounted\n" && fs::read_dir(&place).is_ok() {
                return Some(Self { holder, place, _mountpoint: mountpoint });
            }
            holder.kill().unwrap();
            holder.wait().unwrap();
        }
        skip("`unshare` may not make a mount namespace here, which a full file system needs");
        None
    }

    /// Takes all the room but for some blocks.
    fn fill(&self, free: usize) -> PathBuf {
        let path = self.place.join("filler");
        let mut filler = File::create(&path).unwrap();
        let mut written = 0;
        while filler.write_all(&[0; BLOCK]).is_ok() {
            written += BLOCK;
        }
        filler.set_len(written.saturating_sub(free * BLOCK) as u64).unwrap();
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

const COLLECT: &str = "collect --record record.json --allow-kind my-product";

/// A desk on the disk, with the files of another one.
fn moved(volume: &Disk, from: &Desk) -> Desk {
    let desk = Desk::below(&volume.place);
    copy_all(&from.path(""), &desk.path(""));
    desk
}

/// A desk elsewhere: its state is empty, or has a record that was exported and one that was not, and a receipt waits.
fn prepared(used: bool) -> Desk {
    let desk = Desk::new();
    let head = r#"{"kind":"my-product","version":"v1","time":"2026-01-31T12:00:00Z","rows":""#;
    // Hardly smaller when compressed, so that a bundle has several blocks.
    let rows: Vec<_> = (0..900_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string()).collect();
    let rows = rows.concat();
    desk.file("record.json", format!("{head}{rows}\"}}"));
    if used {
        desk.line(COLLECT).ok();
        desk.line("export -o first.tar").ok();
        let ingest = "ingest first.tar --archive archive --trust tofu --receipts receipts --json";
        let receipt = desk.line(ingest).ok().json()[0]["receipt"].as_str().unwrap().to_owned();
        fs::rename(desk.path(&receipt), desk.path("receipt.tar")).unwrap();
        fs::copy(desk.path("archive/receipt-key.pub.pem"), desk.path("state/receipt-keys.pem")).unwrap();
        for directory in ["archive", "receipts"] {
            fs::remove_dir_all(desk.path(directory)).unwrap();
        }
        desk.line(COLLECT).ok();
    }
    desk
}

/// Insists on a failure that names what could not be written.
fn full(printed: Printed, desk: &Desk) -> Printed {
    let place = desk.path("");
    let place = place.to_str().unwrap().trim_end_matches('/');
    printed.code(1).says("No space left on device").says(place).says(" bytes are free there)")
}

/// Runs a command with no block free, with one, and so on until it succeeds; until then nothing changes.
fn until_there_is_room(used: bool, line: &str) {
    let Some(volume) = Disk::new() else { return };
    let from = prepared(used);
    for free in 0.. {
        let desk = moved(&volume, &from);
        let before = Books::of(&desk.state());
        let snapshot = desk.snapshot();
        let filler = volume.fill(free);
        let printed = desk.line(line);
        if printed.code == 0 {
            assert!(free > 0, "`{line}` wrote nothing");
            return;
        }
        full(printed, &desk);
        assert_eq!(Books::of(&desk.state()), before, "`{line}` with {free} blocks");
        assert!(leftovers(&desk.path("")).is_empty());
        if free == 0 && used {
            desk.unchanged_since(&snapshot, line);
        }
        fs::remove_file(filler).unwrap();
        desk.line(line).ok();
    }
}

#[test]
fn the_first_collection_needs_room() {
    until_there_is_room(false, COLLECT);
}

#[test]
fn a_further_collection_needs_room() {
    until_there_is_room(true, COLLECT);
}

#[test]
fn a_receipt_needs_room() {
    until_there_is_room(true, "receipt receipt.tar");
}

#[test]
fn an_export_needs_room_and_is_safe_once_it_is_in_the_store() {
    let Some(volume) = Disk::new() else { return };
    let from = prepared(true);
    let mut outcomes = Vec::new();
    for free in 0.. {
        let desk = moved(&volume, &from);
        let before = Books::of(&desk.state());
        let filler = volume.fill(free);
        // Seen from outside, a relative path would lead somewhere else.
        let bundle = desk.path("bundle.tar");
        let export =
            |arguments: &[&str]| desk.run([&["export", "--json", "-o", bundle.to_str().unwrap()], arguments].concat());
        let printed = export(&[]);
        if printed.code == 0 {
            break;
        }
        let printed = full(printed, &desk);
        let after = Books::of(&desk.state());
        assert_eq!((&after.pending, &after.receipts), (&before.pending, &before.receipts));
        assert!(leftovers(&desk.path("")).is_empty() && !bundle.exists());
        fs::remove_file(filler).unwrap();
        let safe = after.exports.len() > before.exports.len();
        if safe {
            printed.says("the bundle is safe in the store").says("export --again 2 -o FILE");
            export(&["--again", "2"]).ok();
        } else {
            assert_eq!(after, before);
            assert_eq!(export(&[]).ok().json()["sequence"], 2);
        }
        desk.line("verify bundle.tar").code(3);
        outcomes.push(safe);
    }
    assert!(outcomes.is_sorted() && !outcomes[0] && outcomes[outcomes.len() - 1], "{outcomes:?}");
}

#[test]
fn a_full_stick_gets_no_half_bundle() {
    let Some(volume) = Disk::new() else { return };
    let desk = prepared(true);
    let stick = Desk::below(&volume.place);
    let bundle = stick.path("bundle.tar");
    let filler = volume.fill(1);
    let export = |arguments: &[&str]| desk.run([&["export", "-o", bundle.to_str().unwrap()], arguments].concat());
    full(export(&[]), &stick).says("export --again 2 -o FILE");
    assert!(stick.tree("").is_empty());
    fs::remove_file(filler).unwrap();
    export(&["--again", "2"]).ok();
    desk.run(["verify", bundle.to_str().unwrap()]).code(3);
}

#[test]
fn words_that_can_not_be_written_do_not_stop_the_work() {
    let desk = prepared(false);
    for (line, verbosity) in [(COLLECT, ""), ("export -o bundle.tar", "-vvv")] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = desk.command();
        command.args(line.split_whitespace()).args(verbosity.split_whitespace()).stderr(full);
        assert_eq!(command.status().unwrap().code(), Some(0), "{line}");
    }
    assert_eq!(Books::of(&desk.state()).exports.len(), 1);
}

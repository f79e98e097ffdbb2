//! What can't be done, and what is told then; nothing is written half.

use std::fs;

use super::one;
use crate::fleets::Archive;
use crate::support::Desk;

fn six() -> Archive {
    let mut archive = Archive::new();
    archive.accept(&(0..6).map(|client| (client, one("2025-06", "aws", "1.30.1"))).collect::<Vec<_>>());
    archive
}

#[test]
fn an_archive_without_what_the_page_is_made_of_says_what_to_do() {
    let desk = Desk::new();
    desk.line("fleet --archive nowhere --html a.html").code(1).says("nowhere").says("hint:");
    assert!(!desk.path("nowhere").exists() && !desk.path("a.html").exists());
    // One that was opened, and took nothing.
    desk.file("not-a-bundle.tar", "x");
    desk.line("ingest --archive empty --trust tofu not-a-bundle.tar").code(1);
    desk.line("fleet --archive empty --html a.html").code(1).says("has no bundles yet").says("hint: accept bundles");
    let archive = six();
    fs::remove_dir_all(archive.desk.path("archive/tables")).unwrap();
    let printed = archive.desk.line("fleet --archive archive --html a.html");
    printed.code(1).says("no tables of them").says("hint: `tables rebuild`");
    assert!(!archive.desk.path("a.html").exists());
    archive.desk.line("tables rebuild --archive archive").ok();
    archive.desk.line("fleet --archive archive --html a.html").ok().says("fleet: 1 month");
}

#[test]
fn a_table_that_is_damaged_is_named_and_no_page_is_written() {
    let archive = six();
    let name = archive.desk.tree("archive").into_iter().find(|name| name.starts_with("tables/clusters/")).unwrap();
    archive.desk.file(&format!("archive/{name}"), "PAR1");
    let printed = archive.desk.line("fleet --archive archive --html a.html").code(1);
    printed.says(&format!("the table's file {name}")).says("hint: `tables rebuild`");
    assert!(archive.desk.tree("").iter().all(|name| !name.contains("a.html") && !name.contains(".tmp")));
}

#[test]
fn a_month_is_written_as_one() {
    let desk = Desk::new();
    for month in ["2025", "2025-13", "2025-1", "x", "2025-06-01"] {
        desk.line(&format!("fleet --archive a --html a.html --since {month}")).code(2).says("a month like 2026-01");
    }
    let printed = desk.line("fleet --archive a --html a.html --since 2025-07 --until 2025-06").code(2);
    printed.says("the months end with 2025-06, before they begin").says("hint:");
    desk.line("fleet --archive a").code(2).says("--html");
}

#[test]
fn a_file_that_is_there_stays_unless_it_may_go() {
    let archive = six();
    let desk = &archive.desk;
    desk.file("a.html", "mine");
    desk.line("fleet --archive archive --html a.html").code(1).says("a.html exists already").says("--force");
    assert_eq!(fs::read_to_string(desk.path("a.html")).unwrap(), "mine");
    desk.line("fleet --archive archive --html a.html --force").ok();
    let page = fs::read_to_string(desk.path("a.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"), "{page}");
    assert_eq!(desk.line("fleet --archive archive --html -").ok().stdout, page, "the same on stdout");
    desk.line("fleet --archive archive --html nowhere/a.html").code(1).says("the directory nowhere does not exist");
    desk.line("fleet --archive archive --html archive").code(1).says("is a directory");
    if let Some(printed) = desk.line_in_terminal("fleet --archive archive --html -") {
        assert!(printed.code == 2 && printed.stdout.contains("--html FILE"), "{printed:?}");
    }
    let json = desk.line("fleet --archive archive --html b.html --json").ok().json();
    assert_eq!((&json["months"], &json["bytes"]), (&1.into(), &page.len().into()));
}

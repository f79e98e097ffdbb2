//! One file for each table and finished month, which reads faster than many small ones.
//!
//! It lies beside them, below `compacted/`, and takes nothing away: to put one file in the place of many can't be done at
//! one moment in an object store, so that whoever lists files in between would see records twice or not at all. So below
//! `tables/` nothing changes, and below `compacted/` a month is there as a whole or not at all, whenever somebody looks
//! and wherever this is killed. What comes late for a month that was compacted is in it after the next run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Seek as _, SeekFrom};

use sha2::{Digest as _, Sha256};

use super::file::{TableReader, TableWriter};
use super::schema::{TABLES, Table};
use super::{COMPACTED_PREFIX, GROUP_BYTES, Progress, TABLES_PREFIX, TablesError, of_spool};
use crate::ingest::archive::{Archive, ArchiveError};
use crate::store::durable::{self, FileError};

/// What a compacted file tells: a digest of the files that it was made of.
const SOURCES: &str = "kubermatic-telemetry.sources";
/// How much memory a row group takes, which is larger than those of bundles: it has the rows of many.
const LARGE_GROUP_BYTES: usize = 4 * GROUP_BYTES;
/// How much of a file is held in memory while it is made.
const SPOOL_BYTES: usize = 1 << 20;

/// What was compacted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// How many months of tables there are that are finished.
    pub months: u64,
    /// How many of them were written; the others were as they should be.
    pub written: u64,
    /// How many files went into those.
    pub files: u64,
}

/// Compacts the months before `month`, like `2026-01`, of every table.
///
/// # Errors
/// The archive fails, or one of its tables can't be read.
pub fn compact(archive: &Archive, month: &str, progress: Progress<'_>) -> Result<Compacted, TablesError> {
    let mut work = BTreeSet::new();
    for (at, table) in TABLES.iter().enumerate() {
        // Also those that have no rows any more, because a client was deleted.
        let mut directories = archive.list_directories(&format!("{TABLES_PREFIX}/{}", table.name))?;
        directories.extend(archive.list_directories(&format!("{COMPACTED_PREFIX}/{}", table.name))?);
        let months =
            directories.into_iter().filter(|name| name.strip_prefix("month=").is_some_and(|name| name < month));
        work.extend(months.map(|month| (at, month)));
    }
    let mut compacted = Compacted { months: work.len() as u64, ..Compacted::default() };
    for (done, (table, directory)) in (0..).zip(&work) {
        progress(done, work.len() as u64);
        if let Some(files) = compact_month(archive, &TABLES[*table], directory)? {
            compacted.written += 1;
            compacted.files += files;
        }
    }
    Ok(compacted)
}

/// Compacts a month of a table; tells of how many files, or nothing if they had been compacted.
fn compact_month(archive: &Archive, table: &Table, directory: &str) -> Result<Option<u64>, TablesError> {
    let from = format!("{TABLES_PREFIX}/{}/{directory}", table.name);
    let name = format!("{COMPACTED_PREFIX}/{}/{directory}/all.parquet", table.name);
    let sources = sources(archive, table, &from)?;
    let present = archive.fetch(&name)?;
    // One that can't be read is made again.
    if present.and_then(|file| TableReader::new(file).ok()?.note(SOURCES)).is_some_and(|found| found == sources) {
        return Ok(None);
    }
    let mut files = 0;
    let mut writer = TableWriter::new(table, durable::spool(SPOOL_BYTES), LARGE_GROUP_BYTES).map_err(of_spool)?;
    each_file(archive, &from, |object, _| {
        files += 1;
        read_file(archive, table, object, |row| writer.push(row).map_err(of_spool))
    })?;
    let mut file = writer.finish(&[(SOURCES, sources)]).map_err(of_spool)?;
    let spooled = |error| FileError::writing(&std::env::temp_dir(), error);
    file.seek(SeekFrom::Start(0)).map_err(spooled)?;
    archive.replace(&name, &mut file)?;
    archive.settle(&[&name])?;
    Ok(Some(files))
}

/// A digest of a month's files: their names and sizes, and the columns that are made of them.
fn sources(archive: &Archive, table: &Table, prefix: &str) -> Result<String, TablesError> {
    let mut digest = Sha256::new();
    for column in table.columns() {
        digest.update(format!("{} {}\n", column.name, column.kind.name()));
    }
    each_file(archive, prefix, |object, size| {
        digest.update(format!("{object} {size}\n"));
        Ok(())
    })?;
    Ok(hexadecimal(&digest.finalize()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Visits the files of a month, in the order of their names, a page of them in memory at a time.
pub(super) fn each_file(
    archive: &Archive,
    prefix: &str,
    mut visit: impl FnMut(&str, u64) -> Result<(), TablesError>,
) -> Result<(), TablesError> {
    let mut after = String::new();
    loop {
        let page = archive.list_sized(prefix, &after)?;
        for (name, size) in page.objects.iter().filter(|(name, _)| name.ends_with(".parquet")) {
            visit(&format!("{prefix}/{name}"), *size)?;
        }
        match page.objects.last() {
            Some((last, _)) if !page.is_last => after.clone_from(last),
            _ => return Ok(()),
        }
    }
}

/// Hands the rows of a table's file on.
pub(super) fn read_file(
    archive: &Archive,
    table: &Table,
    object: &str,
    mut visit: impl FnMut(super::rows::Row) -> Result<(), TablesError>,
) -> Result<(), TablesError> {
    let file = archive.fetch(object)?.ok_or_else(|| ArchiveError::Damaged { object: object.to_owned() })?;
    let damaged = |source| TablesError::Table { object: object.to_owned(), source };
    let reader = TableReader::new(file).map_err(damaged)?;
    reader.each(table, |row| visit(row).map_err(Stop::Visitor)).map_err(|stop| match stop {
        Stop::Visitor(error) => error,
        Stop::File(source) => TablesError::Table { object: object.to_owned(), source },
    })
}

/// Why reading ended: because of what is read, or of who reads.
enum Stop {
    Visitor(TablesError),
    File(parquet::errors::ParquetError),
}

impl From<parquet::errors::ParquetError> for Stop {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::File(error)
    }
}

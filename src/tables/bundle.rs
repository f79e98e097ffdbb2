//! The rows of one bundle, which go into files of its own: streamed, so that memory does not grow with the bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};

use tempfile::SpooledTempFile;
use uuid::Uuid;

use super::file::TableWriter;
use super::rows::{self, Place, Row};
use super::schema::TABLES;
use super::{GROUP_BYTES, Kinds, Mode, TABLES_PREFIX, TablesError, of_spool};
use crate::bundle::Limits;
use crate::bundle::limits::Limit;
use crate::bundle::manifest::RecordEntry;
use crate::bundle::verify::{self, EachError, Verified};
use crate::digest::Sha256Digest;
use crate::ingest::archive::{Archive, ArchiveError, Large};
use crate::ingest::{Misfits, bundle_name, owner};
use crate::keys::PublicKey;
use crate::keys::keyring::{Trust, Trusts};
use crate::keys::rotation::Link;
use crate::record::document::Document;
use crate::store::durable::{self, FileError};

/// How much memory the rows of all tables take together before those of the fullest are written.
const HELD_BYTES: usize = 8 << 20;
/// How much of a file is held in memory, and how much of those that wait to be stored together.
const SPOOL_BYTES: usize = 256 << 10;
const WAITING_BYTES: usize = 2 << 20;

/// Writes the rows of those records of a bundle that it is the owner of, and tells the names of the files.
pub(crate) fn write<R: Read + Seek>(
    archive: &Archive,
    kinds: Kinds<'_>,
    verified: &mut Verified<R>,
    own: &BTreeSet<Uuid>,
    mode: Mode,
) -> Result<Vec<String>, TablesError> {
    if own.is_empty() {
        return Ok(Vec::new());
    }
    let (client, bundle) = (verified.manifest.client, verified.manifest_sha256);
    let mut sink = Sink::new(archive, bundle, mode);
    let is_read = |entry: &RecordEntry| kinds.layout(entry.kind.as_str(), entry.version.as_str()).is_some();
    let mut owned = verified.manifest.records.iter().filter(|entry| own.contains(&entry.id));
    if !owned.clone().any(is_read) {
        // Reading them once more, which takes as long as verifying, would tell nothing.
        owned.try_for_each(|entry| {
            let month = rows::month(rows::instant(entry.time.as_str()));
            let row = rows::unread(Place { client, bundle, entry });
            row.map_or(Ok(()), |(table, row)| sink.push(table, &month, row))
        })?;
        return sink.finish();
    }
    let walked = verified.for_each_record(|entry, document| {
        if !own.contains(&entry.id) {
            return Ok(());
        }
        let month = rows::month(rows::instant(entry.time.as_str()));
        let place = Place { client, bundle, entry };
        rows::each(document, place, kinds, |table, row| sink.push(table, &month, row))
    });
    match walked {
        Ok(()) => sink.finish(),
        Err(EachError::Visitor(error)) => Err(error),
        Err(EachError::Bundle(source)) => {
            Err(TablesError::Bundle { object: bundle_name(client, bundle), source: Box::new(source) })
        }
    }
}

/// Writes the rows of a bundle that is in the archive, whoever was interrupted doing so.
pub(crate) fn complete(
    archive: &Archive,
    kinds: Kinds<'_>,
    client: Uuid,
    bundle: Sha256Digest,
    mode: Mode,
) -> Result<Vec<String>, TablesError> {
    let name = bundle_name(client, bundle);
    let damaged = |source| TablesError::Bundle { object: name.clone(), source: Box::new(source) };
    let file = archive.fetch(&name)?.ok_or_else(|| ArchiveError::Damaged { object: name.clone() })?;
    let mut misfits = Misfits::default();
    let look = |entry: &RecordEntry, document: &Document| misfits.look(kinds.schemas, entry, document);
    let verified = verify::verify_each(file, &Anybody, &no_limits(), look, &mut |_, _| {});
    let mut verified = verified.map_err(damaged)?;
    if (verified.manifest.client, verified.manifest_sha256) != (client, bundle) {
        return Err(ArchiveError::Damaged { object: name }.into());
    }
    let own = owner::own(archive, &verified.manifest, bundle, &misfits)?;
    write(archive, kinds, &mut verified, &own, mode)
}

/// What is in the archive was within the limits that held when it came.
fn no_limits() -> Limits {
    let mut limits = Limits::default();
    for limit in Limit::ALL {
        limits.set(*limit, u64::MAX);
    }
    limits
}

/// What is in the archive was trusted when it came.
struct Anybody;

impl Trusts for Anybody {
    fn judge(&self, _: Uuid, _: &PublicKey, _: &[Link]) -> std::io::Result<Trust> {
        Ok(Trust::Trusted)
    }
}

/// A table's file that is being written.
struct Open {
    month: String,
    writer: TableWriter<SpooledTempFile>,
}

/// Where the rows of a bundle go. Of each table one file is open at a time: records come in the order of their times, so
/// that a month seldom comes again; if it does, there is another file.
struct Sink<'a> {
    archive: &'a Archive,
    bundle: Sha256Digest,
    mode: Mode,
    open: Vec<Option<Open>>,
    /// How many files there are of a table's month.
    parts: BTreeMap<(usize, String), u32>,
    /// Small files, which are stored together.
    waiting: Vec<(String, Vec<u8>)>,
    names: Vec<String>,
}

impl<'a> Sink<'a> {
    fn new(archive: &'a Archive, bundle: Sha256Digest, mode: Mode) -> Self {
        Self {
            archive,
            bundle,
            mode,
            open: TABLES.iter().map(|_| None).collect(),
            parts: BTreeMap::new(),
            waiting: Vec::new(),
            names: Vec::new(),
        }
    }

    fn push(&mut self, table: usize, month: &str, row: Row) -> Result<(), TablesError> {
        if self.open[table].as_ref().is_some_and(|open| open.month != month) {
            self.close(table)?;
        }
        let open = match &mut self.open[table] {
            Some(open) => open,
            none => {
                let writer = TableWriter::new(&TABLES[table], durable::spool(SPOOL_BYTES), GROUP_BYTES);
                none.insert(Open { month: month.to_owned(), writer: writer.map_err(of_spool)? })
            }
        };
        open.writer.push(row).map_err(of_spool)?;
        let held = |open: &Option<Open>| open.as_ref().map_or(0, |open| open.writer.held());
        if self.open.iter().map(held).sum::<usize>() < HELD_BYTES {
            return Ok(());
        }
        let fullest = self.open.iter_mut().max_by_key(|open| held(open)).and_then(Option::as_mut);
        fullest.map_or(Ok(()), |open| open.writer.flush().map_err(of_spool))
    }

    /// Ends a table's file and stores it.
    fn close(&mut self, table: usize) -> Result<(), TablesError> {
        let Some(Open { month, writer }) = self.open[table].take() else { return Ok(()) };
        let spooled = |error| FileError::writing(&std::env::temp_dir(), error);
        let mut file = writer.finish(&[]).map_err(of_spool)?;
        file.seek(SeekFrom::Start(0)).map_err(spooled)?;
        let mut name = format!("{TABLES_PREFIX}/{}/month={month}/{}", TABLES[table].name, self.bundle);
        let part = self.parts.entry((table, month)).or_insert(0);
        *part += 1;
        if *part > 1 {
            name = format!("{name}-{part}");
        }
        name.push_str(".parquet");
        self.names.push(name.clone());
        if self.mode == Mode::Replace {
            return Ok(self.archive.replace(&name, &mut file)?);
        }
        if let Large::Small(small) = self.archive.store_large(&name, &mut file)? {
            self.waiting.push((name, small));
        }
        let waiting: usize = self.waiting.iter().map(|(_, contents)| contents.len()).sum();
        if waiting > WAITING_BYTES { self.store_waiting() } else { Ok(()) }
    }

    fn store_waiting(&mut self) -> Result<(), TablesError> {
        self.archive.create_all(std::mem::take(&mut self.waiting))?;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<String>, TablesError> {
        for table in 0..TABLES.len() {
            self.close(table)?;
        }
        self.store_waiting()?;
        Ok(self.names)
    }
}

//! Tables for analysis: records to typed rows, in Parquet files that engines read as they lie in the archive.
//!
//! ```text
//! tables/<table>/month=YYYY-MM/<manifest-sha256>.parquet    what accepting a bundle writes: rows of its own records
//! compacted/<table>/month=YYYY-MM/all.parquet               a finished month in one file, made by `tables compact`
//! ```
//!
//! Below `tables/` every record is at any moment exactly once: in the files of its owner (`crate::ingest::owner`), whose
//! names are fixed by the bundle and whose rows are fixed by its records. Nothing is ever removed there, and a rebuild
//! replaces a file by one with the same records. Below `compacted/` every record is at most once, as of the last run.

mod bundle;
mod compact;
mod export;
mod features;
mod file;
#[cfg(feature = "pages")]
pub mod fleet;
mod kinds;
mod named;
mod rebuild;
mod rows;
mod schema;

use std::io;

use parquet::errors::ParquetError;

use crate::bundle::VerifyError;
use crate::ingest::archive::ArchiveError;
use crate::store::durable::FileError;

pub(crate) use bundle::{complete, write};
pub use compact::{Compacted, compact};
pub use export::{Format, export};
pub use features::features;
pub use kinds::{Kinds, LAYOUTS, Layout};
pub use rebuild::{Rebuilt, rebuild};
pub use schema::{Column, TABLES, Table, Type};

/// Where the files of all bundles lie, by table.
const TABLES_PREFIX: &str = "tables";
/// Where the files of finished months lie, by table.
const COMPACTED_PREFIX: &str = "compacted";

/// How much memory the rows of a table take before they are written.
const GROUP_BYTES: usize = 4 << 20;

/// Hears how far the work has come: how much is done, and how much there is.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// What happens to a file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It stays: it has the same rows.
    Make,
    /// It is replaced: the rows are made by newer rules.
    Replace,
}

/// Tables that can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// The archive fails.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An archived bundle does not verify.
    #[error("the archived bundle {object}")]
    Bundle {
        /// The bundle's object.
        object: String,
        /// What is wrong with it.
        source: Box<VerifyError>,
    },
    /// A table's file can't be read.
    #[error("the table's file {object}")]
    Table {
        /// The object.
        object: String,
        /// What is wrong with it.
        source: ParquetError,
    },
    /// Rows can't be written.
    #[error("the rows can't be written")]
    Rows(#[from] ParquetError),
    /// Nothing was accepted yet.
    #[error("the archive has no bundles yet, so there is nothing to compute")]
    Empty,
    /// There are bundles and no tables.
    #[error("the archive has bundles, and no tables of them")]
    Absent,
    /// What is asked for can't be written to.
    #[error("the output can't be written")]
    Output(#[source] io::Error),
}

impl TablesError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Archive(error) => error.hint(),
            Self::Bundle { .. } => Some("restore the object from a backup of the archive"),
            Self::Table { .. } | Self::Absent => {
                Some("`tables rebuild` makes every table again from the archived bundles")
            }
            Self::Empty => Some("accept bundles into it first, with `ingest` or `serve`, or give another archive"),
            Self::File(_) | Self::Rows(_) | Self::Output(_) => None,
        }
    }
}

/// Rows are written to a temporary file first, whose failure is told as that of every other file.
fn of_spool(error: ParquetError) -> TablesError {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => FileError::writing(&std::env::temp_dir(), *error).into(),
            Err(cause) => ParquetError::External(cause).into(),
        },
        error => error.into(),
    }
}

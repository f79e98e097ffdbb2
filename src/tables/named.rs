//! Rows of a month, one after the other, whose values are asked for by their columns: for what is computed from the tables.
//!
//! It reads `tables/`, which is right at every moment. What is compacted is as of the last run, and a rebuild by newer rules
//! can leave files of the same names and sizes with other values in them.

use super::compact::{each_file, read_file};
use super::rows::{Cell, Row};
use super::schema::Table;
use super::{TABLES_PREFIX, TablesError};
use crate::ingest::archive::Archive;

/// What the name of a month's directory begins with.
const MONTH: &str = "month=";

/// A row, whose values are asked for by their columns.
#[derive(Clone)]
pub(super) struct Named {
    table: &'static Table,
    row: Row,
}

impl Named {
    /// A value; none where there is no such column.
    pub fn cell(&self, name: &str) -> &Cell {
        let at = self.table.columns().position(|column| column.name == name);
        at.and_then(|at| self.row.get(at)).unwrap_or(&Cell::Null)
    }

    /// A text, if it is one.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.cell(name) {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number, if it is one; a time in microseconds since 1970.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.cell(name) {
            Cell::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Yes or no, if it is one.
    #[cfg(feature = "pages")]
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.cell(name) {
            Cell::Flag(flag) => Some(*flag),
            _ => None,
        }
    }
}

/// The months of which there are records, like `2026-01`, in their order.
pub(super) fn months(archive: &Archive) -> Result<Vec<String>, TablesError> {
    let directories = archive.list_directories(&format!("{TABLES_PREFIX}/installations"))?;
    let mut months: Vec<_> =
        directories.iter().filter_map(|name| name.strip_prefix(MONTH)).map(str::to_owned).collect();
    months.sort();
    Ok(months)
}

/// Visits the rows of a table of a month like `2026-01`.
pub(super) fn each_row(
    archive: &Archive,
    table: &str,
    month: &str,
    mut visit: impl FnMut(Named),
) -> Result<(), TablesError> {
    let Some(table) = Table::named(table) else { return Ok(()) };
    each_file(archive, &format!("{TABLES_PREFIX}/{}/{MONTH}{month}", table.name), |object, _| {
        read_file(archive, table, object, |row| {
            visit(Named { table, row });
            Ok(())
        })
    })
}

//! A table as one file, for people without an engine: CSV, JSON lines or Parquet.

use std::fmt::Write as FmtWrite;
use std::io::{BufWriter, Write};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::compact::{each_file, read_file};
use super::file::TableWriter;
use super::rows::{Cell, Row};
use super::schema::{Column, Table, Type};
use super::{GROUP_BYTES, Progress, TABLES_PREFIX, TablesError};
use crate::ingest::archive::Archive;
use crate::text::{escaped, is_safe};

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a heading (RFC 4180); the texts of a list stand between spaces.
    Csv,
    /// A JSON object a line.
    Ndjson,
    /// Parquet.
    Parquet,
}

/// Writes a table, of all months or of one (`2026-01`), a row group in memory at a time; tells how many rows.
///
/// # Errors
/// The archive fails, one of its tables can't be read, or the output can't be written.
pub fn export(
    archive: &Archive,
    table: &'static Table,
    month: Option<&str>,
    format: Format,
    out: &mut (dyn Write + Send),
    progress: Progress<'_>,
) -> Result<u64, TablesError> {
    let mut writer = RowWriter::new(table, format, out)?;
    let mut rows = 0;
    let mut months = archive.list_directories(&format!("{TABLES_PREFIX}/{}", table.name))?;
    months.retain(|name| name.strip_prefix("month=").is_some_and(|name| month.is_none_or(|month| name == month)));
    months.sort();
    for (done, directory) in (0..).zip(&months) {
        progress(done, months.len() as u64);
        each_file(archive, &format!("{TABLES_PREFIX}/{}/{directory}", table.name), |object, _| {
            read_file(archive, table, object, |row| {
                rows += 1;
                writer.push(row)
            })
        })?;
    }
    writer.finish()?;
    Ok(rows)
}

/// Writes rows in one of the formats.
pub(super) struct RowWriter<'o> {
    table: &'static Table,
    inner: Inner<'o>,
}

enum Inner<'o> {
    Csv(BufWriter<&'o mut (dyn Write + Send)>),
    Ndjson(BufWriter<&'o mut (dyn Write + Send)>),
    Parquet(Box<TableWriter<&'o mut (dyn Write + Send)>>),
}

impl<'o> RowWriter<'o> {
    pub fn new(table: &'static Table, format: Format, out: &'o mut (dyn Write + Send)) -> Result<Self, TablesError> {
        let inner = match format {
            Format::Csv => {
                let mut out = BufWriter::new(out);
                let names: Vec<_> = table.columns().map(|column| column.name).collect();
                write!(out, "{}\r\n", names.join(",")).map_err(TablesError::Output)?;
                Inner::Csv(out)
            }
            Format::Ndjson => Inner::Ndjson(BufWriter::new(out)),
            Format::Parquet => Inner::Parquet(Box::new(TableWriter::new(table, out, GROUP_BYTES)?)),
        };
        Ok(Self { table, inner })
    }

    pub fn push(&mut self, row: Row) -> Result<(), TablesError> {
        let written = match &mut self.inner {
            Inner::Parquet(writer) => return Ok(writer.push(row)?),
            Inner::Csv(out) => {
                let values: Vec<_> =
                    row.into_iter().zip(self.table.columns()).map(|(cell, column)| csv(cell, column)).collect();
                write!(out, "{}\r\n", values.join(","))
            }
            Inner::Ndjson(out) => {
                let members = row.into_iter().zip(self.table.columns());
                let object: Map<_, _> =
                    members.map(|(cell, column)| (column.name.to_owned(), json(cell, column.kind))).collect();
                writeln!(out, "{}", escaped_json(&Value::Object(object).to_string()))
            }
        };
        written.map_err(TablesError::Output)
    }

    pub fn finish(self) -> Result<(), TablesError> {
        match self.inner {
            Inner::Csv(mut out) | Inner::Ndjson(mut out) => out.flush().map_err(TablesError::Output),
            Inner::Parquet(writer) => Ok(writer.finish(&[]).map(drop)?),
        }
    }
}

/// A time as RFC 3339 has it; what its calendar does not have, as a number.
fn time(micros: i64) -> String {
    Timestamp::from_microsecond(micros).map_or_else(|_| micros.to_string(), |time| time.to_string())
}

fn json(cell: Cell, kind: Type) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) => text.into(),
        Cell::Flag(flag) => flag.into(),
        Cell::Number(number) if kind == Type::Time => time(number).into(),
        Cell::Number(number) => number.into(),
        Cell::Texts(texts) => texts.into(),
    }
}

fn csv(cell: Cell, column: &Column) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Text(text) => quoted(&text),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Number(number) if column.kind == Type::Time => time(number),
        Cell::Number(number) => number.to_string(),
        Cell::Texts(texts) => quoted(&texts.join(" ")),
    }
}

/// JSON with more escaped than JSON asks for: what acts on a terminal.
fn escaped_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_safe(c) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = FmtWrite::write_fmt(&mut escaped, format_args!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

/// A text as a value of CSV: control characters are escaped, and one that a spreadsheet would take for a formula gets an
/// apostrophe, since it comes from outside; an empty one is told from none by its quotes.
fn quoted(text: &str) -> String {
    let text = &escaped(text);
    let guard = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    if text.is_empty() || text.contains(['"', ',']) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{guard}{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_one_value_and_no_formula() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,\"b\"\n"), "\"a,\"\"b\"\"\\u{a}\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
        assert_eq!(quoted(""), "\"\"");
    }

    #[test]
    fn times_are_told_as_records_tell_them() {
        assert_eq!(time(1_769_909_400_500_000), "2026-02-01T01:30:00.5Z");
    }
}

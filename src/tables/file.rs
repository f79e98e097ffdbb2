//! A table's rows as a Parquet file, in row groups of a bounded size, and back. Equal rows give equal bytes.

use std::fs::File;
use std::io::{Seek, Write};
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader as _, RowGroupReader, SerializedFileReader};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type as Node, TypePtr};

use super::rows::{Cell, Row};
use super::schema::{Column, Table, Type};

/// How much a row group holds at most, in rows; engines work on this many at a time.
const GROUP_ROWS: usize = 1 << 16;
/// What a value takes in memory beside its text.
const CELL: usize = 40;

/// Writes rows as they come, and holds no more of them than one row group.
pub(crate) struct TableWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    buffers: Vec<Buffer>,
    rows: usize,
    bytes: usize,
    most: usize,
}

impl<W: Write + Send> TableWriter<W> {
    /// Begins a file, whose row groups take about `most` bytes of memory.
    pub fn new(table: &Table, out: W, most: usize) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(env!("CARGO_PKG_NAME").to_owned())
            .set_offset_index_disabled(true)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .build();
        let file = SerializedFileWriter::new(out, schema(table)?, Arc::new(properties))?;
        let buffers = table.columns().map(Buffer::new).collect();
        Ok(Self { file, buffers, rows: 0, bytes: 0, most })
    }

    /// How much memory the rows take that were not written yet.
    pub fn held(&self) -> usize {
        self.bytes
    }

    /// Adds a row.
    pub fn push(&mut self, row: Row) -> Result<()> {
        for (buffer, cell) in self.buffers.iter_mut().zip(row) {
            self.bytes += buffer.push(cell)?;
        }
        self.rows += 1;
        if self.rows == GROUP_ROWS || self.bytes >= self.most { self.flush() } else { Ok(()) }
    }

    /// Writes what is held as a row group.
    pub fn flush(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for buffer in &mut self.buffers {
            let Some(mut column) = group.next_column()? else { return Err(odd("a column is missing")) };
            buffer.write(&mut column)?;
            column.close()?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    /// Ends the file, which tells `notes` of itself, and gives it back.
    pub fn finish(mut self, notes: &[(&str, String)]) -> Result<W> {
        self.flush()?;
        for (key, value) in notes {
            self.file.append_key_value_metadata(KeyValue::new((*key).to_owned(), value.clone()));
        }
        self.file.into_inner()
    }
}

fn odd(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

fn schema(table: &Table) -> Result<TypePtr> {
    let fields = table.columns().map(|column| node(column).map(Arc::new)).collect::<Result<_>>()?;
    Ok(Arc::new(Node::group_type_builder(table.name).with_fields(fields).build()?))
}

fn node(column: &Column) -> Result<Node> {
    let repetition = if column.required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
    let plain = |kind| Node::primitive_type_builder(column.name, kind).with_repetition(repetition);
    match column.kind {
        Type::Text => text(column.name, repetition),
        Type::Flag => plain(Physical::BOOLEAN).build(),
        Type::Number => plain(Physical::INT64).build(),
        Type::Time => {
            plain(Physical::INT64).with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MICROS))).build()
        }
        Type::Texts => {
            let element = text("element", Repetition::REQUIRED)?;
            let list = Node::group_type_builder("list").with_repetition(Repetition::REPEATED);
            let list = list.with_fields(vec![Arc::new(element)]).build()?;
            Node::group_type_builder(column.name)
                .with_repetition(repetition)
                .with_converted_type(ConvertedType::LIST)
                .with_logical_type(Some(LogicalType::List))
                .with_fields(vec![Arc::new(list)])
                .build()
        }
    }
}

fn text(name: &str, repetition: Repetition) -> Result<Node> {
    Node::primitive_type_builder(name, Physical::BYTE_ARRAY)
        .with_repetition(repetition)
        .with_converted_type(ConvertedType::UTF8)
        .with_logical_type(Some(LogicalType::String))
        .build()
}

/// The values of a column in a row group, with what Parquet calls levels: how much of the way to a value is there, and
/// whether it goes on with a list.
struct Buffer {
    kind: Type,
    required: bool,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    texts: Vec<ByteArray>,
    flags: Vec<bool>,
    numbers: Vec<i64>,
}

impl Buffer {
    fn new(column: &Column) -> Self {
        Self {
            kind: column.kind,
            required: column.required,
            definitions: Vec::new(),
            repetitions: Vec::new(),
            texts: Vec::new(),
            flags: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Takes a value; tells how much memory it takes.
    fn push(&mut self, cell: Cell) -> Result<usize> {
        self.definitions.push(i16::from(cell != Cell::Null));
        match (self.kind, cell) {
            (_, Cell::Null) if !self.required => {
                self.repetitions.push(0);
                Ok(CELL)
            }
            (Type::Text, Cell::Text(text)) => {
                let size = CELL + text.len();
                self.texts.push(text.into_bytes().into());
                Ok(size)
            }
            (Type::Flag, Cell::Flag(flag)) => {
                self.flags.push(flag);
                Ok(CELL)
            }
            (Type::Number | Type::Time, Cell::Number(number)) => {
                self.numbers.push(number);
                Ok(CELL)
            }
            (Type::Texts, Cell::Texts(texts)) => {
                let size = texts.iter().map(|text| CELL + text.len()).sum::<usize>();
                self.repetitions.push(0);
                // One level deeper for each element; an empty list has none.
                if !texts.is_empty() {
                    self.definitions.pop();
                    self.definitions.extend(texts.iter().map(|_| 2));
                    self.repetitions.extend(texts.iter().skip(1).map(|_| 1));
                }
                self.texts.extend(texts.into_iter().map(|text| ByteArray::from(text.into_bytes())));
                Ok(CELL + size)
            }
            _ => Err(odd("a value is not of its column's type")),
        }
    }

    /// Writes the values, and forgets them.
    fn write(&mut self, column: &mut SerializedColumnWriter<'_>) -> Result<()> {
        let definitions = (!self.required).then_some(self.definitions.as_slice());
        match self.kind {
            Type::Text => column.typed::<ByteArrayType>().write_batch(&self.texts, definitions, None)?,
            Type::Flag => column.typed::<BoolType>().write_batch(&self.flags, definitions, None)?,
            Type::Number | Type::Time => column.typed::<Int64Type>().write_batch(&self.numbers, definitions, None)?,
            Type::Texts => {
                let repetitions = Some(self.repetitions.as_slice());
                column.typed::<ByteArrayType>().write_batch(&self.texts, definitions, repetitions)?
            }
        };
        self.definitions.clear();
        self.repetitions.clear();
        self.texts.clear();
        self.flags.clear();
        self.numbers.clear();
        Ok(())
    }
}

/// A table's file.
pub(crate) struct TableReader {
    file: SerializedFileReader<File>,
}

impl TableReader {
    /// Opens a file.
    pub fn new(mut file: File) -> Result<Self> {
        file.rewind()?;
        Ok(Self { file: SerializedFileReader::new(file)? })
    }

    /// What the file tells of itself by a name.
    pub fn note(&self, key: &str) -> Option<String> {
        let notes = self.file.metadata().file_metadata().key_value_metadata()?;
        notes.iter().find(|note| note.key == key)?.value.clone()
    }

    /// Hands its rows on, a row group in memory at a time. Columns that the file does not have yet are empty.
    pub fn each<E: From<ParquetError>>(
        &self,
        table: &Table,
        mut visit: impl FnMut(Row) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        for index in 0..self.file.num_row_groups() {
            let group = self.file.get_row_group(index)?;
            let columns = table.columns().map(|column| Values::read(&*group, column));
            let mut columns = columns.collect::<Result<Vec<_>>>()?;
            for _ in 0..group.metadata().num_rows() {
                visit(columns.iter_mut().map(Values::next).collect::<Result<_>>()?)?;
            }
        }
        Ok(())
    }
}

/// The values of a column in a row group, on their way out.
struct Values {
    kind: Type,
    definitions: std::vec::IntoIter<i16>,
    repetitions: std::iter::Peekable<std::vec::IntoIter<i16>>,
    texts: std::vec::IntoIter<ByteArray>,
    flags: std::vec::IntoIter<bool>,
    numbers: std::vec::IntoIter<i64>,
    /// Whether the file does not have the column.
    absent: bool,
    required: bool,
}

impl Values {
    fn read(group: &dyn RowGroupReader, column: &Column) -> Result<Self> {
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let mut buffer = Buffer::new(column);
        let all = group.metadata().columns();
        let at =
            all.iter().position(|found| found.column_path().parts().first().is_some_and(|name| name == column.name));
        if let Some(at) = at {
            let (definitions, repetitions) = (&mut buffer.definitions, &mut buffer.repetitions);
            match (group.get_column_reader(at)?, column.kind) {
                (ColumnReader::ByteArrayColumnReader(reader), Type::Text | Type::Texts) => {
                    read_all(reader, rows, definitions, repetitions, &mut buffer.texts)?;
                }
                (ColumnReader::BoolColumnReader(reader), Type::Flag) => {
                    read_all(reader, rows, definitions, repetitions, &mut buffer.flags)?;
                }
                (ColumnReader::Int64ColumnReader(reader), Type::Number | Type::Time) => {
                    read_all(reader, rows, definitions, repetitions, &mut buffer.numbers)?;
                }
                _ => return Err(odd("a column is of another type")),
            }
        }
        Ok(Self {
            kind: column.kind,
            definitions: buffer.definitions.into_iter(),
            repetitions: buffer.repetitions.into_iter().peekable(),
            texts: buffer.texts.into_iter(),
            flags: buffer.flags.into_iter(),
            numbers: buffer.numbers.into_iter(),
            absent: at.is_none(),
            required: column.required,
        })
    }

    fn text(&mut self) -> Result<String> {
        let bytes = self.texts.next().ok_or_else(|| odd("a value is missing"))?;
        String::from_utf8(bytes.data().to_vec()).map_err(|_| odd("a text is not UTF-8"))
    }

    fn next(&mut self) -> Result<Cell> {
        if self.absent {
            return if self.required { Err(odd("a column is missing")) } else { Ok(Cell::Null) };
        }
        let definition = if self.required { 1 } else { self.definitions.next().unwrap_or(0) };
        if self.kind == Type::Texts {
            self.repetitions.next();
        }
        let missing = || odd("a value is missing");
        match (definition, self.kind) {
            (0, _) => Ok(Cell::Null),
            (_, Type::Text) => self.text().map(Cell::Text),
            (_, Type::Flag) => self.flags.next().map(Cell::Flag).ok_or_else(missing),
            (_, Type::Number | Type::Time) => self.numbers.next().map(Cell::Number).ok_or_else(missing),
            (1, Type::Texts) => Ok(Cell::Texts(Vec::new())),
            (_, Type::Texts) => {
                let mut texts = vec![self.text()?];
                while self.repetitions.next_if_eq(&1).is_some() {
                    self.definitions.next();
                    texts.push(self.text()?);
                }
                Ok(Cell::Texts(texts))
            }
        }
    }
}

/// Reads a column of a row group to its end.
fn read_all<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    rows: usize,
    definitions: &mut Vec<i16>,
    repetitions: &mut Vec<i16>,
    values: &mut Vec<T::T>,
) -> Result<()> {
    let mut read = 0;
    while read < rows {
        match reader.read_records(rows - read, Some(definitions), Some(repetitions), values)? {
            (0, ..) => return Err(odd("a row group ends early")),
            (more, ..) => read += more,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> &'static Table {
        Table::named("ssh_keys").unwrap()
    }

    fn row(number: i64) -> Row {
        let list = |count: i64| Cell::Texts((0..count).map(|at| format!("{number}-{at}")).collect());
        let text = |text: &str| Cell::Text(text.to_owned());
        let owners = if number % 3 == 0 { Cell::Null } else { list(number % 4) };
        let id = if number % 5 == 0 { Cell::Null } else { text("k") };
        vec![text("c"), text("r"), Cell::Number(number), id, owners, list(number % 3)]
    }

    fn written(most: usize) -> File {
        let mut writer = TableWriter::new(table(), tempfile::tempfile().unwrap(), most).unwrap();
        (0..1000).for_each(|number| writer.push(row(number)).unwrap());
        writer.finish(&[("a", "b".to_owned())]).unwrap()
    }

    #[test]
    fn what_is_written_in_many_row_groups_is_read_as_it_was() {
        for most in [1, 10_000, usize::MAX] {
            let reader = TableReader::new(written(most)).unwrap();
            let mut read = Vec::new();
            reader
                .each(table(), |row| {
                    read.push(row);
                    Ok::<_, ParquetError>(())
                })
                .unwrap();
            assert_eq!(read, (0..1000).map(row).collect::<Vec<_>>());
            assert_eq!(reader.note("a").as_deref(), Some("b"));
        }
    }

    #[test]
    fn a_column_that_a_file_does_not_have_is_empty() {
        let reader = TableReader::new(written(10_000)).unwrap();
        let mut rows = 0;
        let visit = |row: Row| {
            rows += 1;
            assert_eq!((&row[2], &row[4]), (&Cell::Number(rows - 1), &Cell::Null));
            Ok::<_, ParquetError>(())
        };
        reader.each(Table::named("users").unwrap(), visit).unwrap();
        assert_eq!(rows, 1000);
    }
}

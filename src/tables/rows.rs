//! Records to rows: pure, and over the record's bytes as they lie. What is in a record is untrusted: a value of another
//! type than its column is left out, and so is an element of an array that is no object.

use std::ops::Range;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Unit};
use uuid::Uuid;

use super::kinds::{Kinds, Layout};
use super::schema::{Column, Origin, Rows, TABLES, Table, Type};
use crate::bundle::manifest::RecordEntry;
use crate::digest::Sha256Digest;
use crate::record::canonical::text_of;
use crate::record::canonical::walk::{self, Elements, Members};
use crate::record::document::Document;

/// A value in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// None.
    Null,
    /// Of [`Type::Text`].
    Text(String),
    /// Of [`Type::Flag`].
    Flag(bool),
    /// Of [`Type::Number`], or microseconds since 1970 of [`Type::Time`].
    Number(i64),
    /// Of [`Type::Texts`].
    Texts(Vec<String>),
}

/// How many texts a list has at most; one of more is left out, since each takes far more memory than in the record.
const MOST_TEXTS: usize = 1 << 16;
/// How long a UUID is with its quotes.
const SHORT: usize = 38;

/// The values of a row, in the order of its table's columns.
pub(crate) type Row = Vec<Cell>;

/// A record in a bundle.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Whose bundle it is.
    pub client: Uuid,
    /// The digest of the bundle's manifest.
    pub bundle: Sha256Digest,
    /// The record's entry in the manifest.
    pub entry: &'a RecordEntry,
}

/// The instant that a record tells, in UTC; a leap second is the one before, and what lies beyond the calendar its end.
pub(crate) fn instant(time: &str) -> DateTime {
    let (text, offset) = match time.strip_suffix('Z') {
        Some(text) => (text, SignedDuration::ZERO),
        None => time.split_at_checked(time.len().saturating_sub(6)).map_or(
            (time, SignedDuration::ZERO),
            |(text, offset)| {
                let digits =
                    |range: Range<usize>| offset.get(range).and_then(|digits| digits.parse().ok()).unwrap_or(0);
                let minutes = 60 * digits(1..3) + digits(4..6);
                let seconds: i64 = if offset.starts_with('-') { -60 * minutes } else { 60 * minutes };
                (text, SignedDuration::from_secs(seconds))
            },
        ),
    };
    let local: DateTime = text.parse().unwrap_or(DateTime::MIN);
    local.saturating_sub(offset).max(Date::constant(0, 1, 1).at(0, 0, 0, 0))
}

/// An instant in microseconds since 1970.
pub(crate) fn micros(instant: DateTime) -> i64 {
    let days =
        Date::constant(1970, 1, 1).until((Unit::Day, instant.date())).map_or(0, |span| i64::from(span.get_days()));
    let time = instant.time();
    let seconds = (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60 + i64::from(time.second());
    (days * 86_400 + seconds) * 1_000_000 + i64::from(time.subsec_nanosecond()) / 1000
}

/// The month of an instant, like `2026-01`.
pub(crate) fn month(instant: DateTime) -> String {
    format!("{:04}-{:02}", instant.year(), instant.month())
}

/// Makes the rows of a record, for the tables by their index in [`TABLES`].
pub(crate) fn each<E>(
    document: &Document,
    place: Place<'_>,
    kinds: Kinds<'_>,
    mut visit: impl FnMut(usize, Row) -> Result<(), E>,
) -> Result<(), E> {
    let layout = kinds.layout(place.entry.kind.as_str(), place.entry.version.as_str());
    let record = Record { text: document.bytes(), document: Some(document), place, layout };
    for (index, table) in TABLES.iter().enumerate() {
        let columns = record.columns(table);
        match (table.rows, layout) {
            (Rows::Records, _) => visit(index, record.row(&columns, None, &Cell::Null, 0))?,
            (Rows::Array(array), Some(layout)) => {
                let kind = Cell::Text(place.entry.kind.to_string());
                for (position, at) in record.objects(layout.array(array)).enumerate() {
                    visit(index, record.row(&columns, Some(at), &kind, position))?;
                }
            }
            (Rows::Nested(outer, inner), Some(layout)) => {
                for parent in record.objects(layout.array(outer)) {
                    // Looked for once: it may lie behind all of what is in there.
                    let uuid = record.short(parent, "uuid");
                    for (position, at) in record.inner(parent, layout.array(inner)).enumerate() {
                        visit(index, record.row(&columns, Some(at), &uuid, position))?;
                    }
                }
            }
            (Rows::Array(_) | Rows::Nested(..), None) | (Rows::Computed, _) => {}
        }
    }
    Ok(())
}

/// The one row of a record of a kind or version that has no tables, which tells nothing that its bundle's manifest does
/// not: the table by its index, and the row.
pub(crate) fn unread(place: Place<'_>) -> Option<(usize, Row)> {
    let record = Record { text: &[], document: None, place, layout: None };
    let of_records = TABLES.iter().enumerate().find(|(_, table)| matches!(table.rows, Rows::Records));
    of_records.map(|(index, table)| (index, record.row(&record.columns(table), None, &Cell::Null, 0)))
}

/// A column, and where a record of the version at hand has its value.
type Placed = (&'static Column, Origin);

struct Record<'a> {
    text: &'a [u8],
    /// Not of one whose contents make no rows.
    document: Option<&'a Document>,
    place: Place<'a>,
    /// Of a kind and version that has rows of its own.
    layout: Option<&'a Layout>,
}

impl<'a> Record<'a> {
    fn columns(&self, table: &Table) -> Vec<Placed> {
        let origin = |column: &Column| self.layout.map_or(column.origin, |layout| layout.origin(table.name, column));
        table.columns().map(|column| (column, origin(column))).collect()
    }

    /// A row of the object at `at`, or of the record itself, which lies in the one at `parent`.
    fn row(&self, columns: &[Placed], at: Option<usize>, parent: &Cell, position: usize) -> Row {
        let mut row: Row = columns.iter().map(|(_, origin)| self.own(*origin, parent, position)).collect();
        match at {
            Some(at) => self.fill(columns, &mut row, at, &[]),
            None => self.fill_from_record(columns, &mut row),
        }
        row
    }

    /// What is not a member of the entity.
    fn own(&self, origin: Origin, parent: &Cell, position: usize) -> Cell {
        match origin {
            Origin::Client => Cell::Text(self.place.client.to_string()),
            Origin::RecordId => Cell::Text(self.place.entry.id.to_string()),
            Origin::RecordTime => Cell::Number(micros(instant(self.place.entry.time.as_str()))),
            Origin::Bundle => Cell::Text(self.place.bundle.to_string()),
            Origin::Size => Cell::Number(i64::try_from(self.place.entry.size).unwrap_or(i64::MAX)),
            Origin::Position => whole(position),
            Origin::Parent => parent.clone(),
            Origin::Count(array) => self.listed(array).map_or(Cell::Null, |objects| whole(objects.count())),
            // The one count of rows that lie deeper.
            Origin::Computed => self.listed("seeds").map_or(Cell::Null, |seeds| {
                let inner = self.layout.map_or("datacenters", |layout| layout.array("datacenters"));
                whole(seeds.map(|seed| self.inner(seed, inner).count()).sum())
            }),
            _ => Cell::Null,
        }
    }

    /// The objects of an array that the first version calls so, if it is there.
    fn listed(&self, array: &'static str) -> Option<impl Iterator<Item = usize> + use<'a>> {
        let array = self.layout?.array(array);
        self.array(array).is_some().then(|| self.objects(array))
    }

    /// Members of the record itself; of a kind that is not known those that every record has.
    fn fill_from_record(&self, columns: &[Placed], row: &mut Row) {
        for (cell, (column, origin)) in row.iter_mut().zip(columns) {
            let Origin::Member([name]) = origin else { continue };
            *cell = match *name {
                "kind" => Cell::Text(self.place.entry.kind.to_string()),
                "version" => Cell::Text(self.place.entry.version.to_string()),
                "complete" => Cell::Flag(self.place.entry.complete),
                _ if self.layout.is_none() => Cell::Null,
                name => self.top(name).map_or(Cell::Null, |at| self.read(column.kind, at)),
            };
        }
    }

    /// Members of the object at `at`, which is found on the way `above` in an entity.
    fn fill(&self, columns: &[Placed], row: &mut Row, at: usize, above: &[&str]) {
        for member in Members::of_object(self.text, at) {
            let mut deeper = None;
            for (cell, (column, origin)) in row.iter_mut().zip(columns) {
                match *origin {
                    Origin::Member(path) => match path.strip_prefix(above) {
                        Some([name]) if name.as_bytes() == member.name => {
                            *cell = self.read(column.kind, member.value.clone());
                        }
                        Some([name, _, ..]) if name.as_bytes() == member.name => deeper = Some(*name),
                        _ => {}
                    },
                    Origin::Capacity { resource, scale } if above.is_empty() && member.name == b"capacity" => {
                        *cell = self.capacity(member.value.start, resource, scale);
                    }
                    Origin::Capacities if above.is_empty() && member.name == b"capacity" => {
                        *cell = self.capacities(member.value.start);
                    }
                    _ => {}
                }
            }
            if let Some(name) = deeper
                && self.text.get(member.value.start) == Some(&b'{')
            {
                self.fill(columns, row, member.value.start, &[above, &[name]].concat());
            }
        }
    }

    fn top(&self, name: &str) -> Option<Range<usize>> {
        Some(self.document?.outline().find(self.text, name.as_bytes())?.value)
    }

    /// Where an array of the record begins.
    fn array(&self, name: &str) -> Option<usize> {
        self.top(name).map(|at| at.start).filter(|at| self.text.get(*at) == Some(&b'['))
    }

    /// Where the objects of an array of the record begin.
    fn objects(&self, array: &str) -> impl Iterator<Item = usize> + use<'a> {
        objects(self.text, self.array(array))
    }

    /// Where the objects of an array in the object at `at` begin.
    fn inner(&self, at: usize, array: &str) -> impl Iterator<Item = usize> + use<'a> {
        objects(self.text, self.member(at, array).map(|value| value.start))
    }

    /// A member of the object at `at`.
    fn member(&self, at: usize, name: &str) -> Option<Range<usize>> {
        Members::of_object(self.text, at).find(|member| member.name == name.as_bytes()).map(|member| member.value)
    }

    /// A member of the object at `at` that is told again in every row in it, if it is no longer than a UUID is.
    fn short(&self, at: usize, name: &str) -> Cell {
        let value = self.member(at, name).filter(|value| value.len() <= SHORT);
        value.map_or(Cell::Null, |at| self.read(Type::Text, at))
    }

    fn string(&self, at: Range<usize>) -> Option<String> {
        walk::string(self.text, at).map(|raw| text_of(raw).into_owned())
    }

    /// A value, if it is of the type.
    fn read(&self, kind: Type, at: Range<usize>) -> Cell {
        match (kind, &self.text[at.clone()]) {
            (Type::Text, _) => self.string(at).map_or(Cell::Null, Cell::Text),
            (Type::Flag, b"true") => Cell::Flag(true),
            (Type::Flag, b"false") => Cell::Flag(false),
            (Type::Number, text) => {
                let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
                number.map_or(Cell::Null, Cell::Number)
            }
            (Type::Texts, [b'[', ..]) => {
                texts(Elements::new(self.text, at.start).filter_map(|element| self.string(element)))
            }
            _ => Cell::Null,
        }
    }

    /// The resources in the array at `at` and their quantities.
    fn resources(&self, at: usize) -> impl Iterator<Item = (String, String)> {
        objects(self.text, Some(at)).filter_map(|resource| {
            let text = |name| self.member(resource, name).and_then(|at| self.string(at));
            Some((text("resource")?, text("value")?))
        })
    }

    fn capacities(&self, at: usize) -> Cell {
        texts(self.resources(at).map(|(resource, quantity)| format!("{resource}={quantity}")))
    }

    fn capacity(&self, at: usize, resource: &str, scale: i64) -> Cell {
        let found = self.resources(at).find(|(name, _)| name == resource);
        found.and_then(|(_, text)| quantity(&text, scale)).map_or(Cell::Null, Cell::Number)
    }
}

/// A list, unless it is longer than any that means something.
fn texts(texts: impl Iterator<Item = String>) -> Cell {
    let texts: Vec<_> = texts.take(MOST_TEXTS + 1).collect();
    if texts.len() > MOST_TEXTS { Cell::Null } else { Cell::Texts(texts) }
}

/// Where the objects of the array at `at` begin, if there is one.
fn objects(text: &[u8], at: Option<usize>) -> impl Iterator<Item = usize> + use<'_> {
    let array = at.filter(|at| text.get(*at) == Some(&b'['));
    let elements = array.into_iter().flat_map(|at| Elements::new(text, at));
    elements.map(|element| element.start).filter(|at| text.get(*at) == Some(&b'{'))
}

fn whole(number: usize) -> Cell {
    Cell::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A quantity of Kubernetes in units of `1 / scale`, rounded up as Kubernetes does; nothing if it is none or too large.
fn quantity(text: &str, scale: i64) -> Option<i64> {
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, suffix) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() > 24 || whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (factor, divisor): (i128, i128) = match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => return None,
    };
    let number: i128 = format!("{whole}{fraction}").parse().ok()?;
    let divisor = divisor.checked_mul(10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?;
    let amount = number.checked_mul(factor)?.checked_mul(i128::from(scale))?;
    i64::try_from((amount + divisor - 1) / divisor).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::bundle::Limits;
    use crate::bundle::lists::Counts;
    use crate::bundle::manifest::Encoding;
    use crate::record::canonical::{Form, canonicalize};
    use crate::record::schema::{self, SCHEMAS};

    #[test]
    fn times_are_told_in_utc_and_never_leave_the_calendar() {
        let told = |time: &str| (month(instant(time)), micros(instant(time)));
        assert_eq!(told("1970-01-01T00:00:00Z"), ("1970-01".into(), 0));
        assert_eq!(told("2026-01-31T23:30:00.5-02:00"), ("2026-02".into(), 1_769_909_400_500_000));
        assert_eq!(told("2026-02-01T00:30:00+01:00").0, "2026-01");
        assert_eq!(told("2016-12-31T23:59:60Z"), told("2016-12-31T23:59:59Z"));
        assert_eq!(told("0000-01-01T00:00:00+23:59").0, "0000-01");
        assert_eq!(told("9999-12-31T23:59:59-23:59").0, "9999-12");
        assert!(told("1969-12-31T23:59:59Z").1 == -1_000_000);
    }

    /// Values of every type where records have others, members that are told by more than one name, and none at all.
    fn any_value() -> impl Strategy<Value = Value> {
        let names = prop::sample::select(vec![
            "uuid",
            "id",
            "cloud",
            "provider",
            "dcUUID",
            "mla",
            "monitoringEnabled",
            "cniPlugin",
            "type",
            "version",
            "datacenters",
            "capacity",
            "resource",
            "value",
            "clusterUUIDs",
            "isAdmin",
            "step",
            "x",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z0-9.\\\\\"\u{e4}\n]{0,40}".prop_map(Value::from),
            prop::sample::select(vec!["cpu", "memory", "1500m", "16Gi", "9999999999999999E"]).prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, move |inner| {
            let members = prop::collection::btree_map(names.clone(), inner.clone(), 0..6);
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(Value::from),
                members.prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_record_says_its_rows_have_the_types_of_their_columns(
            members in prop::collection::btree_map(
                prop::sample::select(vec![
                    "seeds", "clusters", "users", "projects", "sshKeys", "machineDeployments", "nodes", "problems",
                    "kubernetesVersion", "kubermaticEdition", "withheld",
                ]),
                any_value(),
                0..8,
            ),
            kind in prop::sample::select(vec!["kubermatic", "kubernetes", "other"]),
        ) {
            let mut record = json!({"kind": kind, "version": "v1", "time": "2026-01-01T00:00:00Z"});
            for (name, value) in members {
                record[name] = value;
            }
            let limits = Limits::default();
            // Keys that are there twice are refused long before.
            let bytes = canonicalize(record.to_string().as_bytes(), Form::Record, &limits.json);
            prop_assume!(bytes.is_ok());
            let document = Document::parse(bytes.unwrap_or_default(), &limits.json).unwrap();
            if let Some(schema) = schema::find(&SCHEMAS, kind, "v1") {
                let _ = schema.check(&document);
            }
            let envelope = document.envelope().unwrap();
            let entry = RecordEntry {
                id: Uuid::nil(),
                kind: envelope.kind,
                version: envelope.version,
                time: envelope.time,
                complete: envelope.complete,
                encoding: Encoding::Full,
                size: document.bytes().len() as u64,
                sha256: Sha256Digest::of(document.bytes()),
                counts: Counts::new(&[]).unwrap(),
            };
            let place = Place { client: Uuid::nil(), bundle: entry.sha256, entry: &entry };
            let mut of_records = 0;
            let visited = each(&document, place, Kinds::KNOWN, |table, row| {
                of_records += usize::from(table == 0);
                assert_eq!(row.len(), TABLES[table].columns().count());
                for (cell, column) in row.iter().zip(TABLES[table].columns()) {
                    let is_typed = match cell {
                        Cell::Null => !column.required,
                        Cell::Text(_) => column.kind == Type::Text,
                        Cell::Flag(_) => column.kind == Type::Flag,
                        Cell::Number(_) => matches!(column.kind, Type::Number | Type::Time),
                        Cell::Texts(_) => column.kind == Type::Texts,
                    };
                    assert!(is_typed, "{} {}: {cell:?}", TABLES[table].name, column.name);
                }
                Ok::<_, std::convert::Infallible>(())
            });
            prop_assert!(visited.is_ok());
            prop_assert_eq!(of_records, 1, "a record is one row of installations");
        }
    }

    #[test]
    fn quantities_are_numbers_of_their_unit() {
        assert_eq!(quantity("8", 1000), Some(8000));
        assert_eq!(quantity("1500m", 1000), Some(1500));
        assert_eq!(quantity("0.5", 1000), Some(500));
        assert_eq!(quantity("1Ki", 1), Some(1024));
        assert_eq!(quantity("1.5Gi", 1), Some(3 << 29));
        assert_eq!(quantity("1n", 1), Some(1));
        for bad in ["", ".", "Ki", "-1", "1x", "1.2.3", "999999999999999999999999Ei", &"9".repeat(40)] {
            assert_eq!(quantity(bad, 1), None, "{bad}");
        }
    }
}

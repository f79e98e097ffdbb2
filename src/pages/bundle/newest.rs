//! The newest record of a kind: every entity in tables, and everything else that is in it.

use std::io::{self, Write};

use maud::{PreEscaped, html};

use super::shape::{Array, Leaf, arrays, known, leaves, strangers};
use super::signer::code_words;
use super::value::{Shape, Value};
use crate::bundle::manifest::RecordEntry;
use crate::pages::table::Column;
use crate::pages::{Page, count, said};
use crate::record::catalogue::{Field, Privacy};
use crate::record::document::Document;
use crate::record::withhold::{Withholding, withheld_from};

/// How many columns a table has beside that of the row's name, so that it fits a screen and a sheet of paper.
const MOST_COLUMNS: usize = 6;
/// Tables with more rows than these are folded.
const MOST_OPEN: usize = 60;

/// Hears of a row, and of what it is in: that array's name, and its row's key.
type Hear<'h> = &'h mut dyn FnMut(Option<(&str, Option<Value<'_>>)>, Value<'_>) -> io::Result<()>;

/// Hands over the rows of a table, as often as it is asked.
type Each<'e> = dyn Fn(Hear<'_>) -> io::Result<()> + 'e;

/// A record whose fields are in the catalogue.
struct Known<'a> {
    kind: &'a str,
    record: Value<'a>,
    withholding: Withholding,
}

/// Shows a record.
pub(super) fn write<W: Write>(page: &mut Page<W>, entry: &RecordEntry, document: &Document) -> io::Result<()> {
    let (kind, version) = (entry.kind.as_str(), entry.version.as_str());
    let record = Value(document.bytes());
    page.put(html! { h3 { "Newest record of kind " (kind) " " (version) ", " (entry.time) } })?;
    let Some(fields) = known(kind, version) else {
        page.put(html! {
            div.note {
                p {
                    strong { "Not checked by this program: " }
                    "another product made this record, or another version of this program. What it holds is shown as it \
                     is, all of it."
                }
            }
        })?;
        return page.indented(record);
    };
    // A later version of this program may withhold by names that this one does not know.
    let names = withheld_from(kind, document);
    let names = names.iter().map(String::as_str).filter(|name| Withholding::of([*name]).is_ok());
    let withholding = Withholding::of(names).unwrap_or_default();
    let known = Known { kind, record, withholding };
    known.strangers(fields, page)?;
    known.scalars(fields, page)?;
    arrays(fields).try_for_each(|array| known.array(&array, page))
}

impl Known<'_> {
    /// What the catalogue does not have can't be in a record of this program; somebody else made it.
    fn strangers<W: Write>(&self, fields: &[Field], page: &mut Page<W>) -> io::Result<()> {
        let mut number = 0;
        strangers(fields, self.record, "", &mut |_, _| {
            number += 1;
            Ok::<_, io::Error>(())
        })?;
        if number == 0 {
            return Ok(());
        }
        page.put(html! {
            div.note {
                p {
                    strong { "WARNING: " }
                    "this record has " (count(number, "value"))
                    " that the list of all fields below does not know. This program does not make such records."
                }
            }
        })?;
        let columns = [Column::plain("where"), Column::plain("value")];
        page.table("Values that the list of fields does not know", &columns, |rows| {
            strangers(fields, self.record, "", &mut |path, value| {
                rows.open(|row| {
                    row.cell(|page| page.put(said(path)))?;
                    row.cell(|page| page.value(value))
                })
            })
        })
    }

    /// The fields of the record itself, one a row.
    fn scalars<W: Write>(&self, fields: &'static [Field], page: &mut Page<W>) -> io::Result<()> {
        let own = leaves(fields).into_iter().filter(|leaf| !matches!(leaf.privacy, Privacy::Rows(_)));
        let columns = [Column::plain("field"), Column::plain("value"), Column::plain("meaning")];
        page.table("The record as a whole", &columns, |rows| {
            for leaf in own {
                rows.open(|row| {
                    row.cell(|page| page.put(html! { code { (leaf.path) } }))?;
                    row.cell(|page| self.leaf(&leaf.path, &leaf, self.record, page))?;
                    row.cell(|page| page.put(code_words(leaf.doc)))
                })?;
            }
            Ok(())
        })
    }

    /// A field's value, or why there is none; `path` leads to it from the record.
    fn leaf<W: Write>(&self, path: &str, leaf: &Leaf, row: Value<'_>, page: &mut Page<W>) -> io::Result<()> {
        match (row.at(&leaf.path), leaf.privacy) {
            (Some(value), Privacy::Rows(fields)) if value.elements().all(|it| is_simple(it, fields)) => {
                inner_rows(value, fields, page)
            }
            (Some(value), _) => page.value(value),
            (None, _) if self.withholding.withholds(self.kind, path) => page.put(html! { span.absent { "withheld" } }),
            (None, _) => page.put(html! { span.absent { "absent" } }),
        }
    }

    /// An array of entities, with those in them.
    fn array<W: Write>(&self, array: &Array, page: &mut Page<W>) -> io::Result<()> {
        page.put(html! { h4 { (array.name) } p { (code_words(array.doc)) } })?;
        let Some(value) = self.record.member(array.name) else {
            let is_withheld = self.withholding.withholds(self.kind, array.name);
            return page.put(html! {
                p.absent {
                    @if is_withheld { "Withheld by the site: the record does not say whether there are any." }
                    @else { "The record does not say whether there are any." }
                }
            });
        };
        self.tables(array.name, array.name, array.fields, page, &|hear: Hear<'_>| {
            value.elements().try_for_each(|row| hear(None, row))
        })?;
        let Some(inner) = array.inner else { return Ok(()) };
        let Privacy::Rows(fields) = inner.privacy else { return Ok(()) };
        let caption = format!("{} of {}", inner.name, array.name);
        page.put(html! { h4 { (caption) } p { (code_words(inner.doc.trim())) } })?;
        let path = format!("{}.{}", array.name, inner.name);
        if self.withholding.withholds(self.kind, &path) {
            return page.put(html! { p.absent { "Withheld by the site." } });
        }
        self.tables(&caption, &path, fields, page, &|hear: Hear<'_>| {
            for parent in value.elements() {
                let rows = parent.member(inner.name).into_iter().flat_map(Value::elements);
                let key = array.fields.first().and_then(|field| parent.member(field.name));
                rows.into_iter().try_for_each(|row| hear(Some((array.name, key)), row))?;
            }
            Ok(())
        })
    }

    /// The tables of rows: as many as their fields need, each with all rows. `each` hands the rows over, with what they
    /// are in.
    fn tables<W: Write>(
        &self,
        title: &str,
        path: &str,
        fields: &'static [Field],
        page: &mut Page<W>,
        each: &Each<'_>,
    ) -> io::Result<()> {
        let (mut number, mut above) = (0, None);
        each(&mut |parent, row| {
            if row.shape() == Shape::Object {
                number += 1;
                above = parent.map(|(name, _)| name.to_owned());
            }
            Ok(())
        })?;
        if number == 0 {
            return page.put(html! { p.absent { "There are none." } });
        }
        let leaves = leaves(fields);
        let Some((key, others)) = leaves.split_first() else { return Ok(()) };
        let parts: Vec<_> = others.chunks(MOST_COLUMNS).collect();
        if parts.is_empty() && above.is_none() {
            return list(title, number, page, each);
        }
        let parts = if parts.is_empty() { vec![&[][..]] } else { parts };
        let write = |page: &mut Page<W>| {
            for (index, part) in parts.iter().enumerate() {
                let all = format!("{title}: {}", count(number, "row"));
                let caption = match parts.len() {
                    1 => all,
                    several => format!("{all}, fields {} of {several}", index + 1),
                };
                let columns = heads(key, part, above.as_deref());
                page.table(&caption, &columns, |rows| {
                    each(&mut |parent, row| {
                        if row.shape() != Shape::Object {
                            // It is among the values that the catalogue does not know.
                            return Ok(());
                        }
                        rows.open(|cells| {
                            for leaf in std::iter::once(key).chain(*part) {
                                let path = format!("{path}.{}", leaf.path);
                                cells.cell(|page| self.leaf(&path, leaf, row, page))?;
                            }
                            match parent {
                                Some((_, Some(key))) => cells.cell(|page| page.value(key)),
                                Some((_, None)) => cells.cell(|page| page.put("?")),
                                None => Ok(()),
                            }
                        })
                    })
                })?;
            }
            Ok(())
        };
        if number > MOST_OPEN as u64 {
            page.folded(&format!("{title}: {}", count(number, "row")), write)
        } else {
            write(page)
        }
    }
}

/// Entities of which nothing is told but which they are.
fn list<W: Write>(title: &str, number: u64, page: &mut Page<W>, each: &Each<'_>) -> io::Result<()> {
    let list = |page: &mut Page<W>| {
        page.put(PreEscaped("<ul class=\"list\">"))?;
        each(&mut |_, row| {
            if row.shape() != Shape::Object {
                return Ok(());
            }
            page.put(PreEscaped("<li>"))?;
            row.members().try_for_each(|(_, value)| page.value(value))?;
            page.put(PreEscaped("</li>"))
        })?;
        page.put(PreEscaped("</ul>"))
    };
    let all = format!("{title}: {}", count(number, "row"));
    if number > MOST_OPEN as u64 { page.folded(&all, list) } else { list(page) }
}

fn heads(key: &Leaf, part: &[Leaf], above: Option<&str>) -> Vec<Column> {
    let heads = std::iter::once(key).chain(part);
    let heads = heads.map(|leaf| Column { name: leaf.path.clone(), meaning: meaning(leaf) });
    heads.chain(above.map(|above| Column::plain(&format!("one of {above}")))).collect()
}

/// What a field says, and what rows in it say.
fn meaning(leaf: &Leaf) -> String {
    let Privacy::Rows(fields) = leaf.privacy else { return leaf.doc.replace('`', "") };
    let names: Vec<_> = fields.iter().map(|field| field.name).collect();
    format!("{} Each: {}.", leaf.doc, names.join(", ")).replace('`', "")
}

/// Whether a row has all these fields, which are scalars, and no other.
fn is_simple(row: Value<'_>, fields: &[Field]) -> bool {
    row.shape() == Shape::Object
        && row.members().count() == fields.len()
        && fields.iter().all(|field| row.member(field.name).is_some_and(|it| it.shape() == Shape::Scalar))
}

/// Rows that are no entities, such as what a node has: each in few words.
fn inner_rows<W: Write>(rows: Value<'_>, fields: &[Field], page: &mut Page<W>) -> io::Result<()> {
    let mut is_empty = true;
    for row in rows.elements() {
        is_empty = false;
        page.put(PreEscaped("<span class=\"field\">"))?;
        for value in fields.iter().filter_map(|field| row.member(field.name)) {
            page.value(value)?;
            page.put(" ")?;
        }
        page.put(PreEscaped("</span>"))?;
    }
    if is_empty { page.put(html! { span.absent { "an empty list" } }) } else { Ok(()) }
}

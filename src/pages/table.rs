//! Tables of a page, written row by row: a caption, headings with what they mean, and a frame that scrolls sideways where
//! the screen is too narrow.

use std::io::{self, Write};

use maud::{Markup, PreEscaped, html};

use super::Page;

/// A column's heading.
#[derive(Debug, Clone)]
pub struct Column {
    /// What it is called.
    pub name: String,
    /// What it says, if the name does not.
    pub meaning: String,
}

impl Column {
    /// A column whose name says it all.
    #[must_use]
    pub fn plain(name: &str) -> Self {
        Self { name: name.to_owned(), meaning: String::new() }
    }
}

/// Cells of a row: the first is its heading.
pub type Cells = Vec<Markup>;

impl<W: Write> Page<W> {
    /// Adds a table; `fill` hands over the rows, one after the other.
    ///
    /// # Errors
    /// It can't be written, or `fill` fails.
    pub fn table<E: From<io::Error>>(
        &mut self,
        caption: &str,
        columns: &[Column],
        fill: impl FnOnce(&mut Rows<'_, W>) -> Result<(), E>,
    ) -> Result<(), E> {
        // It takes the focus, so that a keyboard can scroll it.
        self.put(PreEscaped("<div class=\"wide\" role=\"group\" tabindex=\"0\" aria-label=\""))?;
        self.put(caption)?;
        self.put(PreEscaped("\"><table>"))?;
        self.put(head(caption, columns))?;
        self.put(PreEscaped("<tbody>"))?;
        fill(&mut Rows { page: self })?;
        Ok(self.put(PreEscaped("</tbody></table></div>"))?)
    }
}

/// Takes the rows of a table.
#[derive(Debug)]
pub struct Rows<'p, W> {
    page: &'p mut Page<W>,
}

impl<W: Write> Rows<'_, W> {
    /// Adds a row whose cells are written one after the other, since they may be large.
    ///
    /// # Errors
    /// It can't be written, or `fill` fails.
    pub fn open<E: From<io::Error>>(
        &mut self,
        fill: impl FnOnce(&mut OpenRow<'_, W>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.page.put(PreEscaped("<tr>"))?;
        fill(&mut OpenRow { page: self.page, cells: 0 })?;
        Ok(self.page.put(PreEscaped("</tr>"))?)
    }

    /// Adds a row.
    ///
    /// # Errors
    /// It can't be written.
    pub fn row(&mut self, cells: Cells) -> io::Result<()> {
        self.page.put(row(cells))
    }
}

/// Takes the cells of a row; the first is its heading.
#[derive(Debug)]
pub struct OpenRow<'p, W> {
    page: &'p mut Page<W>,
    cells: usize,
}

impl<W: Write> OpenRow<'_, W> {
    /// Adds a cell that `fill` writes.
    ///
    /// # Errors
    /// It can't be written, or `fill` fails.
    pub fn cell<E: From<io::Error>>(&mut self, fill: impl FnOnce(&mut Page<W>) -> Result<(), E>) -> Result<(), E> {
        let (open, close) = if self.cells == 0 { ("<th scope=\"row\">", "</th>") } else { ("<td>", "</td>") };
        self.cells += 1;
        self.page.put(PreEscaped(open))?;
        fill(self.page)?;
        Ok(self.page.put(PreEscaped(close))?)
    }
}

/// A table that is known as a whole.
#[must_use]
pub fn table(caption: &str, columns: &[Column], rows: impl IntoIterator<Item = Cells>) -> Markup {
    html! {
        div.wide role="group" tabindex="0" aria-label=(caption) {
            table {
                (head(caption, columns))
                tbody { @for cells in rows { (row(cells)) } }
            }
        }
    }
}

fn head(caption: &str, columns: &[Column]) -> Markup {
    html! {
        caption { (caption) }
        thead {
            tr {
                @for column in columns {
                    th scope="col" abbr=[(!column.meaning.is_empty()).then_some(&column.name)] {
                        (column.name)
                        @if !column.meaning.is_empty() { " " span.meaning { (column.meaning) } }
                    }
                }
            }
        }
    }
}

fn row(cells: Cells) -> Markup {
    let mut cells = cells.into_iter();
    html! {
        tr {
            @if let Some(heading) = cells.next() { th scope="row" { (heading) } }
            @for cell in cells { td { (cell) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_its_rows_and_columns_are() {
        let columns =
            [Column::plain("user"), Column { name: "isAdmin".into(), meaning: "Whether <they> rule.".into() }];
        let rows: [Cells; 1] = [vec![html! { "a" }, html! { "true" }]];
        let whole = table("Users & more", &columns, rows.clone()).into_string();
        let mut page = Page { out: Vec::new() };
        page.table("Users & more", &columns, |all| rows.into_iter().try_for_each(|row| all.row(row))).unwrap();
        assert_eq!(String::from_utf8(page.out).unwrap(), whole, "written row by row it is the same");
        let mut page = Page { out: Vec::new() };
        let cells = |row: &mut OpenRow<'_, Vec<u8>>| {
            row.cell(|page| page.text("a"))?;
            row.cell(|page| page.text("true"))
        };
        page.table("Users & more", &columns, |all| all.open(cells)).unwrap();
        assert_eq!(String::from_utf8(page.out).unwrap(), whole, "and cell by cell");
        for expected in [
            "aria-label=\"Users &amp; more\"",
            "<caption>Users &amp; more</caption>",
            "<th scope=\"col\">user</th>",
            "<th scope=\"col\" abbr=\"isAdmin\">isAdmin <span class=\"meaning\">Whether &lt;they&gt; rule.</span></th>",
            "<tr><th scope=\"row\">a</th><td>true</td></tr>",
        ] {
            assert!(whole.contains(expected), "{expected} in {whole}");
        }
    }
}

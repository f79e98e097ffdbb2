//! What can leave an installation, and what never does: the lists that somebody compares a bundle with.

use std::io::{self, Write};

use maud::html;

use super::signer::code_words;
use crate::pages::Page;
use crate::pages::table::Column;
use crate::record::catalogue::{NEVER_COLLECTED, described};
use crate::record::kinds;

/// What is never collected.
pub(super) fn never<W: Write>(page: &mut Page<W>) -> io::Result<()> {
    page.put(html! {
        p {
            "Records of this program’s kinds can’t hold any of these; a string gets into one only as a pseudonym, a word of \
             a known list, a version, a country, a published region, or a quantity. Free text is the "
            code { "location" } " of seeds and datacenters, and the note."
        }
        ul { @for item in NEVER_COLLECTED { li { (item) } } }
    })
}

/// Every field that there can be.
pub(super) fn all<W: Write>(page: &mut Page<W>) -> io::Result<()> {
    page.put(html! {
        p { "Every field that a record of this program’s kinds can have. There is no other place that a value could be in." }
    })?;
    let columns = ["field", "meaning", "what it can hold", "withheld with"].map(Column::plain);
    for (kind, about, _) in kinds() {
        let caption = format!("All fields of records of kind {kind}, version v1");
        page.put(html! { h3 { "Kind " (kind) } p { (about) } })?;
        page.folded(&caption, |page| {
            page.table(&caption, &columns, |rows| {
                described(kind).into_iter().try_for_each(|field| {
                    rows.row(vec![
                        html! { code { (field.path) } },
                        html! { (code_words(field.meaning)) },
                        html! { (code_words(&field.holds)) },
                        html! { (code_words(&field.withheld_with)) },
                    ])
                })
            })
        })?;
    }
    Ok(())
}

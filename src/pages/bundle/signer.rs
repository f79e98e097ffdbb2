//! Who signed a bundle and when, what was withheld, and which records are in it: what its manifest says.

use std::io::{self, Write};

use maud::{Markup, Render, html};

use super::value::{Value, name};
use super::{Facts, Known, shape};
use crate::bundle::Manifest;
use crate::bundle::manifest::{Encoding, MEMBERS, RecordEntry};
use crate::bundle::verify::Verified;
use crate::keys::keyring::Trust;
use crate::pages::table::Column;
use crate::pages::{Page, count, number, said};
use crate::record::withhold;

/// Tables with more rows than these are folded.
const MOST_OPEN: usize = 31;

/// What the file is and whether it is to be trusted, before anything else.
pub(super) fn verdict(manifest: &Manifest, trust: Trust, facts: &Facts<'_>) -> Markup {
    let trusted = trust == Trust::Trusted;
    html! {
        div class=(if trusted { "outcome good" } else { "outcome bad" }) {
            @if trusted {
                h2 { "Trusted: intact, and signed by a trusted key of its client" }
                p { "Nobody has changed the file since it was signed, and " (whom(trusted, facts.known)) }
            } @else {
                h2 { "WARNING: intact, but of an unknown signer" }
                p { "Nobody has changed the file since it was signed, but anybody could have signed it: " (whom(trusted, facts.known)) }
                @if facts.own {
                    p { "The key that signed it is this installation’s own." }
                }
            }
            p { (sentence(manifest)) }
            @if !manifest.records.iter().all(is_checked) {
                p { "Some of the records are of another product. This program has not checked what they hold." }
            }
        }
    }
}

/// Whether the catalogue has the fields of a record's kind and version.
fn is_checked(record: &RecordEntry) -> bool {
    shape::known(record.kind.as_str(), record.version.as_str()).is_some()
}

fn whom(trusted: bool, known: Known) -> &'static str {
    match (trusted, known) {
        (true, Known::Keyring) => "the keyring that was given has the key for this client.",
        (true, _) => "the key is the one that was given to be trusted.",
        (false, Known::Nobody) => "no key was given that would be trusted (--keyring or --key).",
        (false, Known::Keyring) => "the keyring that was given has no key of this client.",
        (false, Known::Keys) => "the key that was given is another one.",
    }
}

/// How many records of which days.
fn sentence(manifest: &Manifest) -> String {
    let days = manifest.records.iter().map(|record| record.time.as_str().get(..10).unwrap_or_default());
    let days: std::collections::BTreeSet<_> = days.collect();
    let records = count(manifest.records.len() as u64, "record");
    let of = match (days.first(), days.last()) {
        (Some(first), Some(last)) if first == last => format!("{records} of {first}"),
        (Some(first), Some(last)) => {
            format!("{records} of {}, from {first} to {last}", count(days.len() as u64, "day"))
        }
        _ => "no records".to_owned(),
    };
    format!("It is a bundle of usage records of one installation, and holds {of}.")
}

/// Who signed it, when, and what else the manifest says of the bundle as a whole.
pub(super) fn signer<R, W: Write>(page: &mut Page<W>, verified: &Verified<R>, facts: &Facts<'_>) -> io::Result<()> {
    let manifest = &verified.manifest;
    let previous = manifest.previous.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
    let trust = match (verified.trust, facts.own) {
        (Trust::Trusted, _) => "trusted",
        (_, true) => "unknown; it is this installation’s own key",
        (_, false) => "unknown",
    };
    page.put(html! {
        dl {
            (line("Note", html! { @if let Some(note) = &manifest.note { (said(note)) } @else { span.absent { "none" } } }))
            (line("Client", html! { span.id { (manifest.client) } }))
            (line("Key that signed it", html! { span.id { (manifest.key) } }))
            (line("Is the key trusted", html! { (trust) }))
            (line("Created", html! { (manifest.created.as_str()) }))
            (line("Made by", said(&manifest.producer)))
            (line("Sequence number", html! { (number(manifest.sequence)) }))
            (line("Manifest before it", html! { span.id { (previous) } }))
            @if let Some(replaces) = manifest.replaces {
                (line("Replaces client", html! { span.id { (replaces) } " (as the bundle claims)" }))
            }
            (line("Key changes", rotation(manifest)))
            (line("Records dropped", html! { (number(manifest.dropped)) " lost to the bounds of the store, unsent" }))
            (line("Records discarded", html! { (number(manifest.discarded)) " removed by a person" }))
            (line("Bundle", html! { span.id { (manifest.bundle) } }))
            (line("Store", html! { span.id { (manifest.store) } }))
            (line("File", html! {
                (said(facts.file)) ", " (number(facts.size)) " bytes, SHA-256 " span.id { (facts.sha256) }
            }))
            (line("Payload", html! {
                (number(manifest.payload.size)) " bytes, SHA-256 " span.id { (manifest.payload.sha256) }
            }))
            (line("Manifest", html! { "SHA-256 " span.id { (verified.manifest_sha256) } }))
        }
    })?;
    unknown(page, &verified.manifest_bytes)
}

fn line(term: &str, description: impl Render) -> Markup {
    html! { div { dt { (term) } dd { (description) } } }
}

fn rotation(manifest: &Manifest) -> Markup {
    html! {
        @if manifest.rotation.is_empty() { "none since the last receipt" }
        @for link in &manifest.rotation {
            div { span.id { (link.previous_key.id()) } " handed over to " span.id { (link.public_key.id()) } }
        }
    }
}

/// Members of the manifest that the format does not have; they are signed like the others.
fn unknown<W: Write>(page: &mut Page<W>, manifest: &[u8]) -> io::Result<()> {
    let unknown = || Value(manifest).members().filter(|(spelled, _)| !MEMBERS.contains(&&*name(spelled)));
    if unknown().next().is_none() {
        return Ok(());
    }
    page.put(html! { div.note { p { "The manifest says more than this program understands." } } })?;
    page.table("What the manifest says beyond its format", &["member", "value"].map(Column::plain), |rows| {
        for (spelled, value) in unknown() {
            rows.open(|row| {
                row.cell(|page| page.text(&name(spelled)))?;
                row.cell(|page| page.value(value))
            })?;
        }
        Ok(())
    })
}

/// What the site left out.
pub(super) fn withheld<W: Write>(page: &mut Page<W>, manifest: &Manifest) -> io::Result<()> {
    if manifest.withheld.iter().next().is_none() {
        return page.put(html! { p { "Nothing: the site left nothing out of what is listed below." } });
    }
    page.put(html! {
        p {
            "The site left these out. What is withheld is absent from the records, and so is whatever names it elsewhere: \
             no pseudonym of it is left. In the tables below such a field is marked “withheld”, and one that has no value \
             for another reason “absent”."
        }
    })?;
    let categories = withhold::categories();
    let paths = withhold::field_paths();
    page.table("Withheld", &["name", "is"].map(Column::plain), |rows| {
        for entry in manifest.withheld.iter() {
            let category = categories.iter().find(|category| category.name == entry);
            let about = match category {
                Some(category) => code_words(&category.about),
                None if paths.contains(&*entry) => html! { "this field" },
                None => html! { span.absent { "not a name that this program knows" } },
            };
            rows.row(vec![html! { code { (said(&entry)) } }, about])?;
        }
        Ok(())
    })
}

/// Text in which words between backquotes are code; stress is left out.
pub(super) fn code_words(text: &str) -> Markup {
    html! {
        @for (index, part) in text.replace("**", "").split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The records as the manifest lists them.
pub(super) fn records<W: Write>(page: &mut Page<W>, manifest: &Manifest) -> io::Result<()> {
    let columns = ["record", "kind", "time", "complete", "size in bytes", "encoding", "id"].map(Column::plain);
    let caption = format!("Records: {}", number(manifest.records.len() as u64));
    let table = |page: &mut Page<W>| {
        page.table(&caption, &columns, |rows| {
            for (index, record) in manifest.records.iter().enumerate() {
                let checked = is_checked(record);
                rows.row(vec![
                    html! { (number(index as u64 + 1)) },
                    html! {
                        (record.kind) " " (record.version)
                        @if !checked { br; strong { "not checked by this program" } }
                    },
                    html! { (record.time) },
                    html! { @if record.complete { "complete" } @else { "incomplete: see its problems" } },
                    html! { span.number { (number(record.size)) } },
                    html! { @match record.encoding { Encoding::Full => "full", Encoding::Delta => "delta" } },
                    html! { span.id { (record.id) } },
                ])?;
            }
            Ok(())
        })
    };
    if manifest.records.len() > MOST_OPEN { page.folded(&caption, table) } else { table(page) }
}

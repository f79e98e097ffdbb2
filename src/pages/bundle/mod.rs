//! The page of a bundle: everything that is in it, for whoever decides whether the stick may leave.
//!
//! It is made of a bundle that was verified in full, and of nothing else. Records are read again as often as the page
//! needs them, so that two of them at a time are in memory and no more.

mod changes;
mod counts;
mod fields;
mod newest;
mod shape;
mod signer;
mod value;

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, Write};

use maud::html;

use super::{Page, TooLarge};
use crate::bundle::VerifyError;
use crate::bundle::verify::{EachError, Verified};
use crate::digest::Sha256Digest;
use counts::Counts;

/// Whose keys are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nobody's.
    Nobody,
    /// Those of a keyring, each for its client.
    Keyring,
    /// Some keys for whatever client.
    Keys,
}

/// What is known of a bundle beside what is in it.
#[derive(Debug, Clone)]
pub struct Facts<'f> {
    /// The file's name, for people.
    pub file: &'f str,
    /// Its size in bytes.
    pub size: u64,
    /// The digest of all of it, as `sha256sum` prints it.
    pub sha256: Sha256Digest,
    /// Whose keys it was checked with.
    pub known: Known,
    /// Whether this installation's own key signed it.
    pub own: bool,
}

/// A page that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The bundle is no longer what was verified.
    #[error(transparent)]
    Bundle(VerifyError),
    /// There is more in the bundle than a page can show.
    #[error(transparent)]
    TooLarge(TooLarge),
    /// The page can't be written.
    #[error("can't write the page")]
    Write(io::Error),
}

impl From<io::Error> for PageError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<TooLarge>() {
            Ok(error) => Self::TooLarge(error),
            Err(error) => Self::Write(error),
        }
    }
}

impl From<EachError<io::Error>> for PageError {
    fn from(error: EachError<io::Error>) -> Self {
        match error {
            EachError::Bundle(error) => Self::Bundle(error),
            EachError::Visitor(error) => error.into(),
        }
    }
}

/// The sections of the page, for the links at its top: where each is, and its heading.
const SECTIONS: [(&str, &str); 8] = [
    ("signer", "Who signed it, and when"),
    ("withheld", "What was withheld"),
    ("records", "The records in it"),
    ("counts", "Counts over time"),
    ("newest", "Everything in the newest records"),
    ("changes", "What changed from record to record"),
    ("never", "What is never collected"),
    ("fields", "All fields that there can be"),
];

/// Writes the page of a bundle.
///
/// # Errors
/// The file changed since it was verified, or the page can't be written.
pub fn write<R: Read + Seek, W: Write>(verified: &mut Verified<R>, facts: &Facts<'_>, out: W) -> Result<(), PageError> {
    let mut page = Page::begin(out, &format!("Bundle {} of {}", verified.manifest.sequence, verified.manifest.client))?;
    page.put(html! {
        h1 { "What is in this bundle" }
        (signer::verdict(&verified.manifest, verified.trust, facts))
        nav aria-label="Contents" {
            ul { @for (id, heading) in SECTIONS { li { a href={ "#" (id) } { (heading) } } } }
        }
    })?;
    for (id, heading) in SECTIONS {
        page.section(id, heading, |page| match id {
            "signer" => Ok(signer::signer(page, verified, facts)?),
            "withheld" => Ok(signer::withheld(page, &verified.manifest)?),
            "records" => Ok(signer::records(page, &verified.manifest)?),
            "counts" => counts(page, verified),
            "newest" => newest(page, verified),
            "changes" => changes(page, verified),
            "never" => Ok(fields::never(page)?),
            _ => Ok(fields::all(page)?),
        })?;
    }
    page.finish(concat!(
        "Made by kubermatic-telemetry ",
        env!("CARGO_PKG_VERSION"),
        ". This page holds everything that it shows, runs no script, and asks nothing of any network."
    ))?;
    Ok(())
}

fn counts<R: Read + Seek, W: Write>(page: &mut Page<W>, verified: &mut Verified<R>) -> Result<(), PageError> {
    let mut counts = Counts::default();
    verified.for_each_record(|entry, document| {
        counts.add(entry, document);
        Ok::<_, io::Error>(())
    })?;
    Ok(counts.write(page)?)
}

fn newest<R: Read + Seek, W: Write>(page: &mut Page<W>, verified: &mut Verified<R>) -> Result<(), PageError> {
    let records = &verified.manifest.records;
    let is_last = |index: usize| {
        records.get(index + 1).is_none_or(|next| {
            let this = &records[index];
            (&this.kind, &this.version) != (&next.kind, &next.version)
        })
    };
    let newest: BTreeSet<_> =
        (0..records.len()).filter(|index| is_last(*index)).map(|index| records[index].id).collect();
    if newest.is_empty() {
        return Ok(page.put(html! { p { "There are no records." } })?);
    }
    verified.for_each_record(
        |entry, document| {
            if newest.contains(&entry.id) { newest::write(page, entry, document) } else { Ok(()) }
        },
    )?;
    Ok(())
}

fn changes<R: Read + Seek, W: Write>(page: &mut Page<W>, verified: &mut Verified<R>) -> Result<(), PageError> {
    let mut number = 0;
    page.put(html! {
        p {
            "Each record beside the one before it of the same kind. Together with the newest records above this is \
             everything in all of them."
        }
    })?;
    verified.for_each_pair(|before, now| {
        number += 1;
        changes::write(page, before, now)
    })?;
    if number == 0 {
        page.put(html! { p { "There is one record of each kind, so that there is nothing to compare." } })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::bundle::lists::Counts;
    use crate::bundle::manifest::{Encoding, RecordEntry};
    use crate::digest::Sha256Digest;

    /// A record as a manifest could list it.
    pub fn entry(time: &str) -> RecordEntry {
        RecordEntry {
            id: uuid::Uuid::nil(),
            kind: "kubermatic".parse().unwrap(),
            version: "v1".parse().unwrap(),
            time: time.parse().unwrap(),
            complete: true,
            encoding: Encoding::Full,
            size: 0,
            sha256: Sha256Digest::of(b""),
            counts: Counts::new(&[]).unwrap(),
        }
    }
}

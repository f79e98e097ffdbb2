//! Makes every table again from the archived bundles: for new columns and kinds, and for bundles that were accepted before
//! there were tables. Each file is replaced as a whole by one with the same records, so that readers never see a record
//! twice or miss one that was there, and whoever is killed starts again.

use uuid::Uuid;

use super::{Kinds, Mode, Progress, TablesError, complete};
use crate::digest::Sha256Digest;
use crate::ingest::archive::{Archive, CLIENTS, client_prefix};

/// What was made again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many clients there are.
    pub clients: u64,
    /// How many bundles.
    pub bundles: u64,
    /// How many files were written.
    pub files: u64,
}

/// Makes the rows of every bundle in the archive again.
///
/// # Errors
/// The archive fails, or a bundle in it is damaged.
pub fn rebuild(archive: &Archive, kinds: Kinds<'_>, progress: Progress<'_>) -> Result<Rebuilt, TablesError> {
    let mut rebuilt = Rebuilt::default();
    let clients = archive.list_directories(CLIENTS)?;
    let all = clients.len() as u64;
    for client in clients.iter().filter_map(|name| Uuid::try_parse(name).ok()) {
        progress(rebuilt.clients, all);
        each_bundle(archive, client, |bundle| {
            let files = complete(archive, kinds, client, bundle, Mode::Replace)?;
            archive.settle(&files.iter().map(String::as_str).collect::<Vec<_>>())?;
            rebuilt.bundles += 1;
            rebuilt.files += files.len() as u64;
            Ok(())
        })?;
        rebuilt.clients += 1;
    }
    Ok(rebuilt)
}

/// Visits the bundles of a client, a page of names in memory at a time.
fn each_bundle(
    archive: &Archive,
    client: Uuid,
    mut visit: impl FnMut(Sha256Digest) -> Result<(), TablesError>,
) -> Result<(), TablesError> {
    let prefix = format!("{}/bundles", client_prefix(client));
    let mut after = String::new();
    loop {
        let page = archive.list_after(&prefix, &after)?;
        for name in &page.names {
            if let Some(digest) = name.strip_suffix(".tar").and_then(|digest| digest.parse().ok()) {
                visit(digest)?;
            }
        }
        match page.names.last() {
            Some(last) if !page.is_last => after.clone_from(last),
            _ => return Ok(()),
        }
    }
}

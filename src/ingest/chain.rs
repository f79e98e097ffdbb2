//! The chain of a store's bundles as it was seen: one object a bundle, without contents, whose name begins with the
//! sequence number in as many digits as the largest has. So names are in the order of numbers, and a look at the chain
//! costs what lies around the bundle and the way to its end, not what a store has sent in all its years.

use super::archive::{Archive, ArchiveError, client_prefix};
use crate::bundle::Manifest;
use crate::digest::Sha256Digest;
use crate::receipt::Chain;

/// The object by which a bundle is entered into its store's chain.
pub(super) fn object(manifest: &Manifest, manifest_sha256: Sha256Digest) -> String {
    format!("{}/{}-{manifest_sha256}", prefix(manifest), number(manifest.sequence))
}

/// What the chain looks like from a bundle that was entered: whether it follows the one before it, and the highest
/// number that was seen.
pub(super) fn look(archive: &Archive, manifest: &Manifest) -> Result<(Chain, u64), ArchiveError> {
    let prefix = prefix(manifest);
    // In the order of names `N` comes before `N-...`.
    let page = archive.list_after(&prefix, &number(manifest.sequence - 1))?;
    let seen: Vec<(u64, &str)> = page.names.iter().filter_map(|name| parse(name)).collect();
    let last = seen.last().map_or(manifest.sequence, |(sequence, _)| *sequence).max(manifest.sequence);
    let highest = if page.is_last { last } else { highest(archive, &prefix, last)? };
    let at = |sequence: u64| seen.iter().filter(move |(other, _)| *other == sequence);
    let previous = manifest.previous.map(|digest| digest.0.to_string());
    let before = || at(manifest.sequence - 1);
    let follows = match &previous {
        None => manifest.sequence == 1,
        Some(previous) => before().any(|(_, digest)| digest == previous),
    };
    let forked = at(manifest.sequence).count() > 1 || !follows && before().next().is_some();
    let chain = match (forked, follows) {
        (true, _) => Chain::Fork,
        (false, true) => Chain::Ok,
        (false, false) => Chain::Gap,
    };
    Ok((chain, highest))
}

/// The highest number, given one that was seen: in steps that grow until there is nothing, and then by halves.
fn highest(archive: &Archive, prefix: &str, seen: u64) -> Result<u64, ArchiveError> {
    let (mut low, mut high, mut step) = (seen, None, 1_000_u64);
    loop {
        let from = match high {
            None => low.saturating_add(step),
            Some(high) if high - low <= 1 => return Ok(low),
            Some(high) => low + (high - low) / 2,
        };
        let page = archive.list_after(prefix, &number(from))?;
        match page.names.iter().filter_map(|name| parse(name)).next_back() {
            Some((last, _)) if page.is_last => return Ok(last),
            Some((last, _)) => low = last.max(low + 1),
            None => high = Some(from),
        }
        step = step.saturating_mul(2);
    }
}

fn prefix(manifest: &Manifest) -> String {
    format!("{}/stores/{}", client_prefix(manifest.client), manifest.store)
}

/// A sequence number in as many digits as 2^53 has.
fn number(sequence: u64) -> String {
    format!("{sequence:016}")
}

fn parse(name: &str) -> Option<(u64, &str)> {
    let (sequence, digest) = name.split_once('-')?;
    Some((sequence.parse().ok()?, digest))
}

//! What the operator changes in an archive: keys that are trusted, and keys that are revoked for good.
//!
//! Objects are only made. The audit comes first, so that no change is without a trace; where the change did not follow it
//! did not happen, and doing it again makes another trace.

use std::collections::BTreeSet;
use std::io;

use uuid::Uuid;

use super::archive::{Archive, ArchiveError, CLIENTS, KEY_CHANGES, REVOKED};
use super::audit::{self, Unwritten};
use super::trust::{kept_chain, operator_key, operator_keys, pinned_key, revocation, rotations};
use crate::clock::Environment;
use crate::keys::keyring::change::{Affected, Revoked, Trusted};
use crate::keys::rotation::{self, Link};
use crate::keys::{KeyId, PublicKey};

/// A change that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The archive fails.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A key that is to be trusted was revoked.
    #[error("the key {0} is revoked in the archive")]
    IsRevoked(KeyId),
    /// No random numbers.
    #[error("the operating system refuses")]
    System(#[source] io::Error),
}

impl From<Unwritten> for ChangeError {
    fn from(error: Unwritten) -> Self {
        match error {
            Unwritten::Archive(error) => Self::Archive(error),
            Unwritten::System(error) => Self::System(error),
        }
    }
}

/// What trusting keys did in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedInArchive {
    /// What it did to the keys.
    pub keys: Trusted,
    /// A pinned key of the client that no longer counts, since the operator has listed others.
    pub unpinned: Option<KeyId>,
}

/// Whether the operator has ever changed anything in the archive.
///
/// # Errors
/// The archive fails.
pub fn has_changes(archive: &Archive) -> Result<bool, ArchiveError> {
    Ok(!archive.list(KEY_CHANGES)?.is_empty())
}

/// Trusts these keys as a client's, which replaces its pin.
///
/// # Errors
/// One is revoked, or the archive fails; keys before the one at which it failed are trusted.
pub fn trust(
    archive: &Archive,
    client: Uuid,
    keys: &[PublicKey],
    environment: &dyn Environment,
) -> Result<TrustedInArchive, ChangeError> {
    for key in keys {
        if archive.has(&revocation(&key.id()))? {
            return Err(ChangeError::IsRevoked(key.id()));
        }
    }
    let mut trusted = Trusted::default();
    for key in keys {
        let (id, object) = (key.id(), operator_key(client, &key.id()));
        if archive.has(&object)? {
            trusted.before.push(id);
        } else {
            audit::changing(archive, &id, Some(client), environment)?;
            archive.create(&object, key.to_pem().into_bytes())?;
            trusted.added.push(id);
        }
    }
    let listed = operator_keys(archive, client)?;
    let unpinned = pinned_key(archive, client)?.filter(|pin| !listed.contains(pin)).map(|pin| pin.id());
    let unpinned = match unpinned {
        Some(pin) if archive.has(&revocation(&pin))? => None,
        pin => pin,
    };
    Ok(TrustedInArchive { keys: trusted, unpinned })
}

/// Revokes these keys, for whatever client.
///
/// # Errors
/// The archive fails; keys before the one at which it failed are revoked.
pub fn revoke(archive: &Archive, ids: &BTreeSet<KeyId>, environment: &dyn Environment) -> Result<Revoked, ChangeError> {
    let mut revoked = Revoked::default();
    for id in ids {
        let object = revocation(id);
        if archive.has(&object)? {
            revoked.before.push(id.clone());
        } else {
            audit::changing(archive, id, None, environment)?;
            archive.create(&object, Vec::new())?;
            revoked.added.push(id.clone());
        }
    }
    if !revoked.added.is_empty() {
        revoked.affected = affected(archive, &revoked.added)?;
    }
    Ok(revoked)
}

/// The clients that lost keys, now that these are revoked.
fn affected(archive: &Archive, added: &[KeyId]) -> Result<Vec<Affected>, ArchiveError> {
    let revoked: BTreeSet<_> = archive
        .list(REVOKED)?
        .into_iter()
        .filter_map(|digits| KeyId::try_from(format!("sha256:{digits}")).ok())
        .collect();
    let before: BTreeSet<_> = revoked.iter().filter(|id| !added.contains(id)).cloned().collect();
    let mut all = Vec::new();
    for name in archive.list_directories(CLIENTS)? {
        let Ok(client) = Uuid::try_parse(&name) else { continue };
        let keys = Keys::of(archive, client)?;
        let (had, has) = (keys.that_count(&before), keys.that_count(&revoked));
        let lost: Vec<_> = had.difference(&has).cloned().collect();
        if !lost.is_empty() {
            all.push(Affected { client, lost, left: has.len() });
        }
    }
    Ok(all)
}

/// What an archive knows of a client's keys.
struct Keys {
    listed: Vec<PublicKey>,
    chains: Vec<Vec<Link>>,
}

impl Keys {
    fn of(archive: &Archive, client: Uuid) -> Result<Self, ArchiveError> {
        let mut listed = operator_keys(archive, client)?;
        if listed.is_empty() {
            listed.extend(pinned_key(archive, client)?);
        }
        let mut chains = Vec::new();
        for name in archive.list(&rotations(client))? {
            let kept = kept_chain(archive, client, &name)?;
            let sound = |kept: &Vec<Link>| {
                kept.last().is_some_and(|last| rotation::check(kept, client, &last.public_key).is_ok())
            };
            chains.extend(kept.filter(sound));
        }
        Ok(Self { listed, chains })
    }

    /// The keys with which the client could sign, were these revoked.
    fn that_count(&self, revoked: &BTreeSet<KeyId>) -> BTreeSet<KeyId> {
        let mut good: BTreeSet<_> = self.listed.iter().map(PublicKey::id).filter(|id| !revoked.contains(id)).collect();
        loop {
            let known = good.len();
            for chain in &self.chains {
                let keys: Vec<_> = chain.iter().map(|link| link.previous_key.id()).collect();
                if keys.iter().any(|id| good.contains(id)) && !keys.iter().any(|id| revoked.contains(id)) {
                    let led_to = chain.iter().map(|link| link.public_key.id());
                    good.extend(led_to.filter(|id| !revoked.contains(id)));
                }
            }
            if good.len() == known {
                return good;
            }
        }
    }
}

//! Whom ingest trusts: the keyring, what the operator put into the archive, pins, and the rotations that bundles brought.
//!
//! All of it is looked up for each bundle, so that what the operator changes counts from the next one on.

use std::collections::BTreeSet;
use std::io;

use uuid::Uuid;

use super::accept::{Ingest, IngestError, Policy};
use super::archive::{Archive, ArchiveError, PINS, REVOKED, client_prefix};
use super::audit;
use crate::bundle::{Manifest, VerifyError};
use crate::clock::Environment;
use crate::digest::Sha256Digest;
use crate::keys::keyring::{Keyring, Trust, Trusts};
use crate::keys::rotation::{self, Link};
use crate::keys::{KeyId, PublicKey};

impl Trusts for Ingest<'_> {
    fn judge(&self, client: Uuid, signer: &PublicKey, chain: &[Link]) -> io::Result<Trust> {
        self.look_up(client, signer, chain).map_err(io::Error::other)
    }
}

impl Ingest<'_> {
    fn look_up(&self, client: Uuid, signer: &PublicKey, chain: &[Link]) -> Result<Trust, ArchiveError> {
        let mut known = self.keyring.of_client(client);
        known.insert(client, operator_keys(self.archive, client)?);
        if self.policy == Policy::Tofu && !known.lists(client) {
            known.insert(client, pinned_key(self.archive, client)?);
        }
        let judge = |known: &mut Keyring, signer: &PublicKey, chain: &[Link]| {
            for id in ids(signer, chain) {
                if self.archive.has(&revocation(&id))? {
                    known.revoke(id);
                }
            }
            Ok::<_, ArchiveError>(known.judge(client, signer, chain))
        };
        let mut judged = judge(&mut known, signer, chain)?;
        if judged != Trust::Conflict {
            return Ok(judged);
        }
        // Clients send a chain only until it is confirmed, so that theirs may begin where an earlier one ended.
        let names = self.archive.list(&rotations(client))?;
        let mut seen = ids(signer, chain);
        let mut sought: Vec<_> = chain.iter().map(|link| link.previous_key.clone()).chain([signer.clone()]).collect();
        while let Some(key) = sought.pop() {
            for name in names.iter().filter(|name| name.starts_with(digits(&key.id()))) {
                let Some(kept) = kept_chain(self.archive, client, name)? else { continue };
                if rotation::check(&kept, client, &key).is_err() {
                    continue;
                }
                match judge(&mut known, &key, &kept)? {
                    Trust::Trusted => return Ok(Trust::Trusted),
                    // Says more than that the key is not the client's.
                    Trust::Revoked => judged = Trust::Revoked,
                    Trust::Unknown | Trust::Conflict => {
                        let earlier = kept.iter().map(|link| &link.previous_key);
                        sought.extend(earlier.filter(|key| seen.insert(key.id())).cloned());
                    }
                }
            }
        }
        Ok(judged)
    }

    /// Pins the key of an unknown client's first bundle: the oldest in its rotation chain, so that older bundles that are
    /// still under way count as well. Of two at once one wins, and the other is judged by it.
    pub(super) fn pin(&self, manifest: &Manifest, environment: &dyn Environment) -> Result<Option<KeyId>, IngestError> {
        let (client, key) = (manifest.client, manifest.key.clone());
        if self.policy != Policy::Tofu || self.keyring.lists(client) {
            return Err(IngestError::UnknownSigner { client, key, replaces: manifest.replaces });
        }
        self.gate.admit_new()?;
        self.claim_pin(client, environment)?;
        let oldest = manifest.rotation.first().map_or(&manifest.public_key, |link| &link.previous_key);
        audit::pinning(self.archive, client, &oldest.id(), environment)?;
        let pinned = self.archive.create(&pin(client), oldest.to_pem().into_bytes())?;
        match self.judge(client, &manifest.public_key, &manifest.rotation) {
            Ok(Trust::Trusted) => Ok(pinned.then(|| oldest.id())),
            Ok(Trust::Revoked) => Err(VerifyError::Revoked(key).into()),
            Ok(_) => Err(VerifyError::Conflict { client, key }.into()),
            Err(error) => Err(VerifyError::TrustUnavailable(error).into()),
        }
    }

    /// Takes one of the places that an hour has for unknown clients. One that is not used then is lost. Nothing in it
    /// tells whose it is: what lies outside of a client's own place must not name it.
    fn claim_pin(&self, client: Uuid, environment: &dyn Environment) -> Result<(), IngestError> {
        let now = environment.now_text();
        let hour = format!("{PINS}/{}", &now[..now.len().min("2026-01-01T00".len())]);
        let taken = self.archive.list(&hour)?.len();
        for place in taken..self.pins_per_hour {
            if self.archive.create(&format!("{hour}/{place:06}"), Vec::new())? {
                return Ok(());
            }
        }
        Err(IngestError::TooManyPins { client, most: self.pins_per_hour })
    }

    /// Keeps the chain that led to the signer, where it is needed: the client sends it only until it has a receipt.
    pub(super) fn keep_rotation(&self, manifest: &Manifest) -> Result<(), IngestError> {
        if manifest.rotation.is_empty() || self.look_up(manifest.client, &manifest.public_key, &[])? == Trust::Trusted {
            return Ok(());
        }
        let chain = serde_json::to_vec(&manifest.rotation).map_err(|error| IngestError::System(error.into()))?;
        // Another chain to the same key is kept beside it: a key of one may be revoked.
        let digest = Sha256Digest::of(&chain).to_string();
        let name = format!("{}/{}-{}.json", rotations(manifest.client), digits(&manifest.key), &digest[..12]);
        self.archive.create(&name, chain)?;
        // The client forgets it with the receipt.
        self.archive.settle(&[&name]).map_err(IngestError::from)
    }
}

/// The signer's id and those of the keys in its chain.
fn ids(signer: &PublicKey, chain: &[Link]) -> BTreeSet<KeyId> {
    chain.iter().map(|link| link.previous_key.id()).chain([signer.id()]).collect()
}

/// The keys of a client that the operator put into the archive.
pub(super) fn operator_keys(archive: &Archive, client: Uuid) -> Result<Vec<PublicKey>, ArchiveError> {
    let directory = operator_directory(client);
    let names = archive.list(&directory)?;
    let keys = names.iter().map(|name| {
        let object = format!("{directory}/{name}");
        let key = read_key(archive, &object)?;
        // An archive that was tampered with, or badly copied, must not trust what it was not told to.
        key.filter(|key| operator_key(client, &key.id()) == object).ok_or(ArchiveError::Damaged { object })
    });
    keys.collect()
}

/// The key that was pinned for a client.
pub(super) fn pinned_key(archive: &Archive, client: Uuid) -> Result<Option<PublicKey>, ArchiveError> {
    read_key(archive, &pin(client))
}

fn read_key(archive: &Archive, object: &str) -> Result<Option<PublicKey>, ArchiveError> {
    let Some(pem) = archive.get(object)? else { return Ok(None) };
    let keys = PublicKey::all_from_pem(&String::from_utf8_lossy(&pem));
    let key = keys.ok().and_then(|keys| <[PublicKey; 1]>::try_from(keys).ok());
    key.map(|[key]| Some(key)).ok_or_else(|| ArchiveError::Damaged { object: object.to_owned() })
}

/// A chain that an earlier bundle brought; nothing where it is damaged, since the client can bring it again.
pub(super) fn kept_chain(archive: &Archive, client: Uuid, name: &str) -> Result<Option<Vec<Link>>, ArchiveError> {
    let kept = archive.get(&format!("{}/{name}", rotations(client)))?.unwrap_or_default();
    Ok(serde_json::from_slice(&kept).ok().filter(|kept: &Vec<Link>| !kept.is_empty()))
}

/// Where the chains lie that introduced keys.
pub(super) fn rotations(client: Uuid) -> String {
    format!("{}/rotations", client_prefix(client))
}

fn operator_directory(client: Uuid) -> String {
    format!("{}/keys", client_prefix(client))
}

/// The object by which the operator trusts a key.
pub(super) fn operator_key(client: Uuid, key: &KeyId) -> String {
    format!("{}/{}.pem", operator_directory(client), digits(key))
}

/// The object by which a key is revoked.
pub(super) fn revocation(key: &KeyId) -> String {
    format!("{REVOKED}/{}", digits(key))
}

fn pin(client: Uuid) -> String {
    format!("{}/pinned.pem", client_prefix(client))
}

/// The digits of a key id, which names of objects can have.
fn digits(key: &KeyId) -> &str {
    key.as_str().trim_start_matches("sha256:")
}

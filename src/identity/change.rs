//! Changing an identity's signing key, or how it is protected. Killed at any instant, either the old key is there or the
//! new one, each with the rotations that led to it.

use std::collections::BTreeSet;
use std::fs::File;

use super::{Identity, IdentityError, ROTATIONS, SIGNING_KEY};
use crate::clock::Environment;
use crate::keys::rotation::{Link, MOST_LINKS};
use crate::keys::{self, KeyId, Passphrase, SigningKey};
use crate::store::durable::{self, Access, Existing, FileError};

/// The right to change the signing key; held by one process at a time and gone with it.
#[derive(Debug)]
pub struct LockedIdentity {
    identity: Identity,
    _lock: File,
}

impl std::ops::Deref for LockedIdentity {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

impl LockedIdentity {
    /// Takes the lock of an identity, waiting a while for whoever signs, and clears up what a crash left behind.
    ///
    /// # Errors
    /// The lock is not to be had, or the identity can no longer be read.
    pub fn open(identity: &Identity) -> Result<Self, IdentityError> {
        let lock = identity.lock()?;
        let identity = identity.again()?;
        durable::remove_temporary(&identity.directory)?;
        Ok(Self { identity, _lock: lock })
    }

    /// Signs with `next` from now on, which the present key names; `passphrase` is the present one's, `protection` the
    /// next one's. Rotations that receipts have confirmed (`confirmed`, see [`Identity::unconfirmed`]) are forgotten.
    ///
    /// # Errors
    /// The passphrase is wrong, the next key is no new one, too many rotations are unconfirmed, or the directory can't
    /// be written.
    pub fn rotate(
        self,
        passphrase: Option<&Passphrase>,
        next: &SigningKey,
        protection: Option<&Passphrase>,
        confirmed: &BTreeSet<KeyId>,
        environment: &dyn Environment,
    ) -> Result<Identity, IdentityError> {
        let public = next.public();
        let known = self.rotations.iter().map(|link| &link.previous_key).chain([self.public_key()]);
        if known.into_iter().any(|key| *key == public) {
            return Err(IdentityError::UsedKey { key: public.id() });
        }
        let done = self.rotations.iter().rposition(|link| confirmed.contains(&link.public_key.id()));
        let mut rotations = self.rotations[done.map_or(0, |last| last + 1)..].to_vec();
        if rotations.len() >= MOST_LINKS {
            return Err(IdentityError::TooManyRotations);
        }
        rotations.push(Link::sign(self.client, &self.unlock(passphrase)?, &public));
        // First how the key came about, which says nothing of the present one, then the key: its appearance commits.
        let path = self.directory.join(ROTATIONS);
        let text = serde_json::to_vec_pretty(&rotations).map_err(|error| FileError::writing(&path, error.into()))?;
        durable::write(&path, &text, Access::Private, Existing::Replace)?;
        self.write_key(next, protection, environment)
    }

    /// Protects the signing key with another passphrase than before, or with none.
    ///
    /// # Errors
    /// The passphrase so far is wrong, or the directory can't be written.
    pub fn protect(
        self,
        passphrase: Option<&Passphrase>,
        protection: Option<&Passphrase>,
        environment: &dyn Environment,
    ) -> Result<Identity, IdentityError> {
        self.write_key(&self.unlock(passphrase)?, protection, environment)
    }

    fn write_key(
        &self,
        key: &SigningKey,
        passphrase: Option<&Passphrase>,
        environment: &dyn Environment,
    ) -> Result<Identity, IdentityError> {
        let pem = keys::to_pem(key, passphrase, environment).map_err(IdentityError::Random)?;
        durable::write(&self.directory.join(SIGNING_KEY), pem.as_bytes(), Access::Private, Existing::Replace)?;
        self.identity.again()
    }
}

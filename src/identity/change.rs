//! Changing an identity's signing key, or how it is protected. Killed at any instant, either the old key is there or the
//! new one, each with the rotations that led to it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;

use zeroize::Zeroizing;

use super::secret::{Parts, SecretName};
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
    /// The passphrase is wrong, the next key is no new one, or too many rotations are unconfirmed.
    pub fn rotation(
        &self,
        passphrase: Option<&Passphrase>,
        next: &SigningKey,
        protection: Option<&Passphrase>,
        confirmed: &BTreeSet<KeyId>,
        environment: &dyn Environment,
    ) -> Result<Change, IdentityError> {
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
        let path = self.directory.join(ROTATIONS);
        let text = serde_json::to_vec_pretty(&rotations).map_err(|error| FileError::writing(&path, error.into()))?;
        let key = keys::to_pem(next, protection, environment).map_err(IdentityError::Random)?;
        Ok(Change { rotations: Some(text), key })
    }

    /// Protects the signing key with another passphrase than before, or with none.
    ///
    /// # Errors
    /// The passphrase so far is wrong.
    pub fn protection(
        &self,
        passphrase: Option<&Passphrase>,
        protection: Option<&Passphrase>,
        environment: &dyn Environment,
    ) -> Result<Change, IdentityError> {
        let key = self.unlock(passphrase)?;
        let key = keys::to_pem(&key, protection, environment).map_err(IdentityError::Random)?;
        Ok(Change { rotations: None, key })
    }

    /// Makes a change in the directory. One that comes from a Secret (`heard` is the one that has heard of the change)
    /// is changed after it.
    ///
    /// # Errors
    /// The directory comes from a Secret that has not heard of it, or can't be written.
    pub fn commit(self, change: &Change, heard: Option<&SecretName>) -> Result<Identity, IdentityError> {
        if let Some(secret) = self.secret.clone().filter(|secret| heard != Some(secret)) {
            return Err(IdentityError::KeptInSecret { directory: self.identity.directory, secret });
        }
        self.write(change)
    }

    /// Makes the directory what its Secret is.
    pub(super) fn follow(self, parts: &Parts) -> Result<Identity, IdentityError> {
        let value = |wanted| parts.values().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_vec());
        let key = Zeroizing::new(value(SIGNING_KEY).unwrap_or_default());
        let key = Zeroizing::new(String::from_utf8_lossy(&key).into_owned());
        // Neither chain may ever lie beside a key that it does not lead to.
        self.write(&Change { rotations: Some(b"[]".to_vec()), key })?;
        if let Some(rotations) = value(ROTATIONS) {
            let path = self.directory.join(ROTATIONS);
            durable::write(&path, &rotations, Access::Private, Existing::Replace)?;
        }
        self.identity.again()
    }

    fn write(&self, change: &Change) -> Result<Identity, IdentityError> {
        // First how the key came about, which says nothing of the present one, then the key: its appearance commits.
        if let Some(rotations) = &change.rotations {
            durable::write(&self.directory.join(ROTATIONS), rotations, Access::Private, Existing::Replace)?;
        }
        let path = self.directory.join(SIGNING_KEY);
        durable::write(&path, change.key.as_bytes(), Access::Private, Existing::Replace)?;
        self.identity.again()
    }
}

/// What is to become of the signing key.
pub struct Change {
    /// The rotations that lead to it; nothing if they stay.
    rotations: Option<Vec<u8>>,
    /// The key in PEM.
    key: Zeroizing<String>,
}

impl fmt::Debug for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Change")
    }
}

impl Change {
    /// Makes the change in the parts of an identity.
    pub fn apply(&self, parts: &mut Parts) {
        if let Some(rotations) = &self.rotations {
            parts.set(ROTATIONS, rotations);
        }
        parts.set(SIGNING_KEY, self.key.as_bytes());
    }
}

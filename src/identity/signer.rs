//! Signing in the name of an identity, whose key nobody changes meanwhile.

use std::fs::File;

use super::{Identity, IdentityError, SIGNING_KEY};
use crate::keys::{Passphrase, SigningKey};
use crate::store::durable::{self, FileError};
use crate::store::lock::{self, Share};

/// An identity that can sign. As long as it lives nobody changes its key; others may sign as well.
#[derive(Debug)]
pub struct Signer {
    identity: Identity,
    key: SigningKey,
    _lock: Option<File>,
}

impl std::ops::Deref for Signer {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

impl Signer {
    /// Unlocks the key of an identity as it is now: it may have been changed since it was loaded.
    ///
    /// # Errors
    /// Another process is changing the key and does not end, or the passphrase is missing or wrong, or the identity can
    /// no longer be read.
    pub fn open(identity: &Identity, passphrase: Option<&Passphrase>) -> Result<Self, IdentityError> {
        let path = identity.directory.join(SIGNING_KEY);
        let open = |path: &std::path::Path| File::open(path).map_err(|source| FileError::reading(path, source));
        let lock = match lock::wait(&path, Share::WithOthers, open) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return Err(IdentityError::Busy { path }),
            // Where there are no locks nobody can hold one.
            Err(error) if error.operation == lock::LOCKING => None,
            Err(error) => return Err(error.into()),
        };
        let identity = identity.again()?;
        let key = identity.unlock(passphrase)?;
        Ok(Self { identity, key, _lock: lock })
    }

    /// The key that signs manifests.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }
}

impl Identity {
    /// The identity as it is now.
    pub(super) fn again(&self) -> Result<Self, IdentityError> {
        let now = Self::load_quietly(&self.directory)?.filter(|now| now.client == self.client);
        now.ok_or_else(|| IdentityError::Replaced { directory: self.directory.clone() })
    }

    /// Keeps everybody else from signing and from changing the key.
    pub(super) fn lock(&self) -> Result<File, IdentityError> {
        let path = self.directory.join(SIGNING_KEY);
        let lock = lock::wait(&path, Share::Alone, durable::open_existing)?;
        lock.ok_or(IdentityError::Busy { path })
    }
}

//! Changing a keyring directory: trusting keys, and revoking them for good.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{Keyring, KeyringError};
use crate::keys::{KeyId, PublicKey};
use crate::store::durable::{self, Access, Existing, FileError};
use crate::store::lock::{self, Share};

/// What trusting keys did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trusted {
    /// Keys that were not listed for the client before.
    pub added: Vec<KeyId>,
    /// Keys that were.
    pub before: Vec<KeyId>,
}

/// What revoking keys did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Keys that were not revoked before.
    pub added: Vec<KeyId>,
    /// Keys that were.
    pub before: Vec<KeyId>,
    /// The clients that lost keys by it.
    pub affected: Vec<Affected>,
}

/// A client that lost keys by a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// The client.
    pub client: Uuid,
    /// Keys that counted and no longer do.
    pub lost: Vec<KeyId>,
    /// How many keys of the client still count.
    pub left: usize,
}

/// The right to change a keyring directory; held by one process at a time and gone with it.
#[derive(Debug)]
pub struct LockedKeyring {
    path: PathBuf,
    keyring: Keyring,
    _lock: File,
}

impl LockedKeyring {
    /// Takes the lock of a keyring that is there.
    ///
    /// # Errors
    /// It is not there, or can't be read, or another process does not let go of it.
    pub fn open(path: &Path) -> Result<Self, KeyringError> {
        if !path.is_dir() {
            return Err(KeyringError::Missing { path: path.to_owned() });
        }
        let lock = lock::wait(&path.join(".lock"), Share::Alone, durable::open_lock)?;
        let lock = lock.ok_or_else(|| KeyringError::Busy { path: path.to_owned() })?;
        durable::remove_temporary(path)?;
        Ok(Self { path: path.to_owned(), keyring: Keyring::load(path)?, _lock: lock })
    }

    /// Takes the lock of a keyring, which is made if need be.
    ///
    /// # Errors
    /// As [`LockedKeyring::open`], or it can't be made.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyringError> {
        durable::create_directory(path)?;
        Self::open(path)
    }

    /// Trusts these keys as a client's.
    ///
    /// # Errors
    /// One is revoked, or the file can't be written; then none is trusted.
    pub fn trust(&self, client: Uuid, keys: &[PublicKey]) -> Result<Trusted, KeyringError> {
        if let Some(key) = keys.iter().map(PublicKey::id).find(|id| self.keyring.is_revoked(id)) {
            return Err(KeyringError::IsRevoked { key, path: self.path.clone() });
        }
        let path = self.path.join(format!("{client}.pem"));
        // What a person has written between the keys stays.
        let mut text = read(&path)?;
        let mut listed: BTreeSet<_> = self.keys_of(client).iter().map(PublicKey::id).collect();
        let mut trusted = Trusted::default();
        for key in keys {
            if listed.insert(key.id()) {
                text.push_str(&key.to_pem());
                trusted.added.push(key.id());
            } else if !trusted.added.contains(&key.id()) {
                trusted.before.push(key.id());
            }
        }
        if !trusted.added.is_empty() {
            durable::write(&path, text.as_bytes(), Access::Public, Existing::Replace)?;
        }
        Ok(trusted)
    }

    /// Revokes these keys, for whatever client.
    ///
    /// # Errors
    /// The file can't be written; then none is revoked.
    pub fn revoke(&self, ids: &BTreeSet<KeyId>) -> Result<Revoked, KeyringError> {
        let (before, added): (Vec<_>, Vec<_>) = ids.iter().cloned().partition(|id| self.keyring.is_revoked(id));
        if !added.is_empty() {
            let path = self.path.join("revoked");
            let mut text = read(&path)?;
            for id in &added {
                text.push_str(id.as_str());
                text.push('\n');
            }
            durable::write(&path, text.as_bytes(), Access::Public, Existing::Replace)?;
        }
        let affected = self.keyring.clients().filter_map(|(client, keys)| {
            let ids: BTreeSet<_> = keys.iter().map(PublicKey::id).collect();
            let lost: Vec<_> = added.iter().filter(|id| ids.contains(id)).cloned().collect();
            let left = ids.iter().filter(|id| !self.keyring.is_revoked(id) && !added.contains(id)).count();
            (!lost.is_empty()).then_some(Affected { client, lost, left })
        });
        let affected = affected.collect();
        Ok(Revoked { added, before, affected })
    }

    fn keys_of(&self, client: Uuid) -> &[PublicKey] {
        self.keyring.clients().find(|(other, _)| *other == client).map_or(&[], |(_, keys)| keys)
    }
}

/// Reads a file that may not be there; what it holds ends with a line feed.
fn read(path: &Path) -> Result<String, KeyringError> {
    match fs::read_to_string(path) {
        Ok(text) if text.is_empty() || text.ends_with('\n') => Ok(text),
        Ok(text) => Ok(text + "\n"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(FileError::reading(path, error).into()),
    }
}

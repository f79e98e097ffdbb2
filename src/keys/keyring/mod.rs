//! The keyring: which public keys a verifier trusts for which client, and which keys are revoked.
//!
//! A directory: `<client-uuid>.pem` holds the public keys of one client, `revoked` one key id a line. [`change`] writes it.

pub mod change;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use uuid::Uuid;

use super::rotation::Link;
use super::{KeyError, KeyId, PublicKey};
use crate::store::durable::FileError;

/// A keyring that can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The directory or a file in it.
    #[error("can't read {}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A `.pem` file that is not named after a client.
    #[error("{} is not named after a client: <client-uuid>.pem is expected", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// A file that is nearly named `revoked`.
    #[error("{} is not read: the file of revoked keys must be named revoked", path.display())]
    MisnamedRevoked {
        /// The file.
        path: PathBuf,
    },
    /// A file without keys in it.
    #[error("{}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: KeyError,
    },
    /// A line of `revoked` that is no key id.
    #[error("{}, line {line}", path.display())]
    Revoked {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong in it.
        source: KeyError,
    },
    /// A key that is to be trusted was revoked.
    #[error("the key {key} is revoked in {}", path.display())]
    IsRevoked {
        /// The key.
        key: KeyId,
        /// The keyring.
        path: PathBuf,
    },
    /// The directory is not there.
    #[error("there is no keyring {}", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// Another process is changing the keyring.
    #[error("another process has been changing the keyring {} for a while", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// A file can't be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What a keyring says of a signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The key is listed for the client, or follows from a listed one by rotation.
    Trusted,
    /// Nothing is listed for the client.
    Unknown,
    /// The key, or the key that named it, is revoked.
    Revoked,
    /// The client is listed with other keys.
    Conflict,
}

/// Something that knows which signers to trust: a keyring, or an archive with its own pins.
pub trait Trusts {
    /// Judges a signer whose rotation chain was checked (`rotation::check`).
    ///
    /// # Errors
    /// What is known can't be looked up now.
    fn judge(&self, client: Uuid, signer: &PublicKey, chain: &[Link]) -> io::Result<Trust>;
}

impl Trusts for Keyring {
    fn judge(&self, client: Uuid, signer: &PublicKey, chain: &[Link]) -> io::Result<Trust> {
        Ok(Self::judge(self, client, signer, chain))
    }
}

/// The keys that a verifier trusts.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    clients: BTreeMap<Uuid, Vec<PublicKey>>,
    /// Keys trusted for whatever client.
    any: Vec<PublicKey>,
    revoked: BTreeSet<KeyId>,
}

impl Keyring {
    /// Reads a keyring directory. Files other than `*.pem` and `revoked` are left alone.
    ///
    /// # Errors
    /// A directory or file that can't be read, or does not hold what its name says.
    pub fn load(directory: &Path) -> Result<Self, KeyringError> {
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| KeyringError::Read { path: path.to_owned(), source })
        };
        let mut keyring = Self::default();
        let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(|source| KeyringError::Read { path: directory.to_owned(), source })?;
        for path in entries.into_iter().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            if name == "revoked" {
                keyring.revoked.extend(parse_revoked(&path, &read(&path)?)?);
            } else if name.starts_with("revoked") {
                // A revocation that is not heard would be worse than any other mistake.
                return Err(KeyringError::MisnamedRevoked { path });
            } else if path.extension().is_some_and(|extension| extension == "pem") {
                let client = path.file_stem().and_then(|stem| stem.to_str()).and_then(parse_client);
                let client = client.ok_or_else(|| KeyringError::Name { path: path.clone() })?;
                let keys = PublicKey::all_from_pem(&read(&path)?);
                keyring.clients.insert(client, keys.map_err(|source| KeyringError::Key { path, source })?);
            }
        }
        Ok(keyring)
    }

    /// Trusts `keys` for whatever client (`verify --key`).
    #[must_use]
    pub fn of_keys(keys: Vec<PublicKey>) -> Self {
        Self { any: keys, ..Self::default() }
    }

    /// Adds keys of a client. None at all leave it unlisted.
    pub fn insert(&mut self, client: Uuid, keys: impl IntoIterator<Item = PublicKey>) {
        let mut keys = keys.into_iter().peekable();
        if keys.peek().is_some() {
            self.clients.entry(client).or_default().extend(keys);
        }
    }

    /// Revokes a key.
    pub fn revoke(&mut self, id: KeyId) {
        self.revoked.insert(id);
    }

    /// The part of the keyring that has a say on one client.
    #[must_use]
    pub fn of_client(&self, client: Uuid) -> Self {
        let keys = self.clients.get(&client).map(|keys| (client, keys.clone()));
        Self { clients: keys.into_iter().collect(), any: self.any.clone(), revoked: self.revoked.clone() }
    }

    /// The clients that the keyring lists, with their keys.
    pub fn clients(&self) -> impl Iterator<Item = (Uuid, &[PublicKey])> {
        self.clients.iter().map(|(client, keys)| (*client, keys.as_slice()))
    }

    /// Whether a key is revoked.
    #[must_use]
    pub fn is_revoked(&self, id: &KeyId) -> bool {
        self.revoked.contains(id)
    }

    /// Whether any key is listed for a client.
    #[must_use]
    pub fn lists(&self, client: Uuid) -> bool {
        !self.any.is_empty() || self.clients.contains_key(&client)
    }

    /// Whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.any.is_empty()
    }

    /// Judges a signer whose rotation chain was checked (`rotation::check`).
    #[must_use]
    pub fn judge(&self, client: Uuid, signer: &PublicKey, chain: &[Link]) -> Trust {
        if self.revoked.contains(&signer.id()) {
            return Trust::Revoked;
        }
        let listed = self.clients.get(&client).into_iter().flatten().chain(&self.any).collect::<Vec<_>>();
        if listed.contains(&signer) {
            return Trust::Trusted;
        }
        // A revoked key signs nothing, so that no link of the chain may be one's: also not for a client that is unknown.
        if chain.iter().any(|link| self.revoked.contains(&link.previous_key.id())) {
            return Trust::Revoked;
        }
        if chain.iter().any(|link| listed.contains(&&link.previous_key)) {
            return Trust::Trusted;
        }
        if listed.is_empty() { Trust::Unknown } else { Trust::Conflict }
    }
}

fn parse_client(stem: &str) -> Option<Uuid> {
    let client = Uuid::try_parse(stem).ok()?;
    (client.to_string() == stem).then_some(client)
}

fn parse_revoked(path: &Path, text: &str) -> Result<BTreeSet<KeyId>, KeyringError> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.split('#').next().unwrap_or("").trim()));
    let ids = lines.filter(|(_, line)| !line.is_empty()).map(|(line, id)| {
        KeyId::try_from(id.to_owned()).map_err(|source| KeyringError::Revoked { path: path.to_owned(), line, source })
    });
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::super::SigningKey;
    use super::super::rotation::{self, RotationError};
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn link(client: Uuid, previous: &SigningKey, next: &SigningKey) -> Link {
        Link::sign(client, previous, &next.public())
    }

    #[test]
    fn trust_follows_listed_keys_rotation_and_revocation() {
        let client = Uuid::from_u128(1);
        let (a, b, c) = (key(1), key(2), key(3));
        let chain = [link(client, &a, &b), link(client, &b, &c)];
        rotation::check(&chain, client, &c.public()).unwrap();
        let mut keyring = Keyring::default();
        assert_eq!(keyring.judge(client, &a.public(), &[]), Trust::Unknown);
        keyring.insert(client, [a.public()]);
        assert_eq!(keyring.judge(client, &a.public(), &[]), Trust::Trusted);
        assert_eq!(keyring.judge(client, &c.public(), &[]), Trust::Conflict);
        assert_eq!(keyring.judge(client, &c.public(), &chain), Trust::Trusted);
        assert_eq!(keyring.judge(Uuid::from_u128(2), &c.public(), &chain), Trust::Unknown);
        keyring.revoke(b.public().id());
        assert_eq!(keyring.judge(client, &c.public(), &chain), Trust::Revoked);
        assert_eq!(keyring.judge(client, &b.public(), &chain[..1]), Trust::Revoked);
        assert_eq!(keyring.judge(client, &a.public(), &[]), Trust::Trusted);
    }

    #[test]
    fn a_chain_holds_only_as_a_whole() {
        let client = Uuid::from_u128(1);
        let (a, b, c) = (key(1), key(2), key(3));
        let good = [link(client, &a, &b), link(client, &b, &c)];
        assert_eq!(rotation::check(&good, client, &b.public()), Err(RotationError::End));
        assert_eq!(rotation::check(&good, Uuid::from_u128(2), &c.public()), Err(RotationError::Signature(0)));
        let gap = [link(client, &a, &b), link(client, &a, &c)];
        assert_eq!(rotation::check(&gap, client, &c.public()), Err(RotationError::Broken(1)));
        let mut forged = good.clone();
        forged[1].signature = good[0].signature.clone();
        assert_eq!(rotation::check(&forged, client, &c.public()), Err(RotationError::Signature(1)));
    }
}

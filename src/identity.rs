//! The identity of an installation: client UUID, signing key and pseudonym key, in a directory.
//!
//! Made once, all at once, and never overwritten: whoever loses these files is another client.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::clock::Environment;
use crate::keys::{KeyError, SigningKey};
use crate::pseudonym::Pseudonymizer;
use crate::store::durable::{self, Access, Existing, FileError};

/// The files of an identity directory.
const CLIENT: &str = "client-uuid";
const SIGNING_KEY: &str = "signing-key.pem";
const PSEUDONYM_KEY: &str = "pseudonym.key";
/// Optional: the client UUID that this one says it continues.
const REPLACES: &str = "replaces";

/// Who signs for an installation.
pub struct Identity {
    client: Uuid,
    replaces: Option<Uuid>,
    signing_key: SigningKey,
    pseudonym_key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity({})", self.client)
    }
}

/// An identity that can't be read or made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The directory or a file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Some of the files are there, others are not.
    #[error("the identity in {} is not complete: {} is missing", directory.display(), missing.join(" and "))]
    Partial {
        /// The directory.
        directory: PathBuf,
        /// The files that are missing.
        missing: Vec<&'static str>,
    },
    /// The directory holds other things.
    #[error("{} holds other files, and no identity", directory.display())]
    Foreign {
        /// The directory.
        directory: PathBuf,
    },
    /// A file does not hold what it must.
    #[error("{} does not hold {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it must hold.
        expected: &'static str,
    },
    /// The signing key's file does not hold one.
    #[error("{}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// There is an identity already, and another client UUID was asked for.
    #[error("{} has an identity already, with the client UUID {existing}", directory.display())]
    Exists {
        /// The directory.
        directory: PathBuf,
        /// Its client UUID.
        existing: Uuid,
    },
    /// No random numbers.
    #[error("the operating system gives no random numbers")]
    Random(#[source] io::Error),
}

/// What a new identity is made with.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewIdentity {
    /// A client UUID to keep; a random one if absent.
    pub client: Option<Uuid>,
    /// The client UUID that the new one says it continues.
    pub replaces: Option<Uuid>,
}

impl Identity {
    /// Reads the identity in `directory`; `None` where the place is empty or not there.
    ///
    /// # Errors
    /// A directory that can't be read, or holds an identity in part, or something else.
    pub fn load(directory: &Path) -> Result<Option<Self>, IdentityError> {
        let present = list(directory)?;
        if present.is_empty() {
            return Ok(None);
        }
        let missing: Vec<_> = [CLIENT, SIGNING_KEY, PSEUDONYM_KEY]
            .into_iter()
            .filter(|name| !present.iter().any(|p| p == name))
            .collect();
        match missing.len() {
            0 => Self::read(directory, present.iter().any(|name| name == REPLACES)).map(Some),
            3 => Err(IdentityError::Foreign { directory: directory.to_owned() }),
            _ => Err(IdentityError::Partial { directory: directory.to_owned(), missing }),
        }
    }

    fn read(directory: &Path, replaces: bool) -> Result<Self, IdentityError> {
        let path = |name| directory.join(name);
        for secret in [SIGNING_KEY, PSEUDONYM_KEY] {
            let open_to_others = fs::metadata(path(secret)).is_ok_and(|metadata| metadata.mode() & 0o077 != 0);
            if open_to_others {
                tracing::warn!(file = %path(secret).display(), "a secret that others can read: chmod 600 it");
            }
        }
        let signing_key = SigningKey::from_pem(&text(&path(SIGNING_KEY))?)
            .map_err(|source| IdentityError::Key { path: path(SIGNING_KEY), source })?;
        let key = text(&path(PSEUDONYM_KEY))?;
        let pseudonym_key = from_hex(key.trim())
            .ok_or_else(|| IdentityError::Content { path: path(PSEUDONYM_KEY), expected: "64 hexadecimal digits" })?;
        let replaces = if replaces { Some(uuid(&path(REPLACES))?) } else { None };
        Ok(Self { client: uuid(&path(CLIENT))?, replaces, signing_key, pseudonym_key })
    }

    /// Reads the identity in `directory`, or makes one where the place is empty; tells whether it is new. Of several
    /// that make one at once, all get the first one's.
    ///
    /// # Errors
    /// As [`Identity::load`], or the directory can't be written.
    pub fn load_or_create(
        directory: &Path,
        new: NewIdentity,
        environment: &dyn Environment,
    ) -> Result<(Self, bool), IdentityError> {
        if let Some(identity) = Self::load(directory)? {
            return match new.client {
                Some(client) if client != identity.client => {
                    Err(IdentityError::Exists { directory: directory.to_owned(), existing: identity.client })
                }
                _ => Ok((identity, false)),
            };
        }
        let identity = Self::generate(new, environment).map_err(IdentityError::Random)?;
        if durable::create_directory_with(directory, |place| identity.save(place))? {
            return Ok((identity, true));
        }
        let winner = Self::load(directory)?;
        winner
            .map(|identity| (identity, false))
            .ok_or_else(|| IdentityError::Foreign { directory: directory.to_owned() })
    }

    fn generate(new: NewIdentity, environment: &dyn Environment) -> io::Result<Self> {
        let mut pseudonym_key = Zeroizing::new([0; 32]);
        environment.random(pseudonym_key.as_mut_slice())?;
        let client = new.client.map_or_else(|| environment.uuid_v4(), Ok)?;
        let signing_key = SigningKey::generate(environment)?;
        Ok(Self { client, replaces: new.replaces, signing_key, pseudonym_key })
    }

    fn save(&self, directory: &Path) -> Result<(), IdentityError> {
        let write =
            |name, bytes: &[u8]| durable::write(&directory.join(name), bytes, Access::Private, Existing::Refuse);
        let pem = self.signing_key.to_pem();
        let pem = pem.map_err(|source| IdentityError::Key { path: directory.join(SIGNING_KEY), source })?;
        write(SIGNING_KEY, pem.as_bytes())?;
        let key = Zeroizing::new(crate::digest::hex(self.pseudonym_key.as_slice()) + "\n");
        write(PSEUDONYM_KEY, key.as_bytes())?;
        if let Some(replaces) = self.replaces {
            write(REPLACES, format!("{replaces}\n").as_bytes())?;
        }
        Ok(write(CLIENT, format!("{}\n", self.client).as_bytes())?)
    }

    /// The client UUID.
    #[must_use]
    pub fn client(&self) -> Uuid {
        self.client
    }

    /// The client UUID that this one says it continues.
    #[must_use]
    pub fn replaces(&self) -> Option<Uuid> {
        self.replaces
    }

    /// The key that signs manifests.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// What makes this installation's pseudonyms.
    #[must_use]
    pub fn pseudonymizer(&self) -> Pseudonymizer {
        Pseudonymizer::new(*self.pseudonym_key)
    }
}

/// The names in a directory, temporary ones left out; nothing where it is not there.
fn list(directory: &Path) -> Result<Vec<String>, IdentityError> {
    let failed = |source| FileError::reading(directory, source);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let names = names.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    let kept = names.into_iter().filter(|name| !durable::is_temporary(name));
    Ok(kept.map(|name| name.to_string_lossy().into_owned()).collect())
}

fn text(path: &Path) -> Result<Zeroizing<String>, IdentityError> {
    let text = fs::read_to_string(path).map_err(durable::failed("read", path))?;
    Ok(Zeroizing::new(text))
}

fn uuid(path: &Path) -> Result<Uuid, IdentityError> {
    let text = text(path)?;
    Uuid::try_parse(text.trim()).map_err(|_| IdentityError::Content { path: path.to_owned(), expected: "a UUID" })
}

fn from_hex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    if !crate::digest::is_hex_sha256(text) {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests break files as accidents do")]
mod tests {
    use super::*;
    use crate::clock::System;

    #[test]
    fn an_identity_is_made_once_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("identity");
        assert!(Identity::load(&place).unwrap().is_none());
        let (made, new) = Identity::load_or_create(&place, NewIdentity::default(), &System).unwrap();
        assert!(new);
        let (read, new) = Identity::load_or_create(&place, NewIdentity::default(), &System).unwrap();
        assert!(!new);
        assert_eq!(made.client(), read.client());
        assert_eq!(made.signing_key().public(), read.signing_key().public());
        let name = |identity: &Identity| identity.pseudonymizer().of(crate::pseudonym::NameType::Seed, "x");
        assert_eq!(name(&made), name(&read));
        assert_eq!(format!("{read:?}"), format!("Identity({})", read.client()));
    }

    #[test]
    fn a_partial_identity_is_never_completed() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("identity");
        Identity::load_or_create(&place, NewIdentity::default(), &System).unwrap();
        fs::remove_file(place.join(PSEUDONYM_KEY)).unwrap();
        let error = Identity::load_or_create(&place, NewIdentity::default(), &System).unwrap_err();
        assert!(error.to_string().ends_with("is not complete: pseudonym.key is missing"), "{error}");
    }

    #[test]
    fn of_many_that_start_at_once_all_get_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("identity");
        let clients = std::thread::scope(|scope| {
            let start = || Identity::load_or_create(&place, NewIdentity::default(), &System).unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(clients.iter().filter(|(_, new)| *new).count(), 1);
        assert!(clients.iter().all(|(identity, _)| identity.client() == clients[0].0.client()));
    }
}

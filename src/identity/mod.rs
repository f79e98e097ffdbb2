//! The identity of an installation: client UUID, signing key and pseudonym key, in a directory.
//!
//! Made once, all at once: whoever loses these files is another client. Only the signing key changes, by rotation
//! ([`LockedIdentity`]); everything else stays, and an identity is only ever moved aside ([`renew`]).
//!
//! ```text
//! client-uuid       the client UUID
//! signing-key.pem   the signing key; under a passphrase its public key lies in the same file
//! pseudonym.key     what pseudonyms are made with, in hexadecimal digits
//! replaces          the client UUID that this one says it continues, if any
//! rotations.json    the rotations that led to the signing key, as far as receipts may not have confirmed them
//! secret            NAMESPACE/NAME of the Kubernetes Secret that all of it comes from, if it does ([`secret`])
//! ```

mod change;
pub mod renew;
pub mod secret;
mod signer;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::clock::Environment;
use crate::keys::rotation::{self, Link, MOST_LINKS, RotationError};
use crate::keys::{KeyError, KeyId, Passphrase, PrivateKey, PublicKey, SigningKey};
use crate::pseudonym::Pseudonymizer;
use crate::store::durable::{self, FileError};
use crate::store::lock;

pub use change::{Change, LockedIdentity};
pub use secret::SecretName;
pub use signer::Signer;

use secret::Parts;

/// The files of an identity directory.
const CLIENT: &str = "client-uuid";
const SIGNING_KEY: &str = "signing-key.pem";
const PSEUDONYM_KEY: &str = "pseudonym.key";
/// Optional: the client UUID that this one says it continues.
const REPLACES: &str = "replaces";
/// Optional: the rotations that led to the signing key.
const ROTATIONS: &str = "rotations.json";
/// Optional: the Secret that the identity comes from.
const SECRET: &str = "secret";
/// Without one of these there is no identity.
const REQUIRED: [&str; 3] = [CLIENT, SIGNING_KEY, PSEUDONYM_KEY];

/// Who signs for an installation; everything but the private key, which may need a passphrase ([`Identity::unlock`]).
#[derive(Clone)]
pub struct Identity {
    directory: PathBuf,
    client: Uuid,
    replaces: Option<Uuid>,
    private: PrivateKey,
    public: PublicKey,
    rotations: Vec<Link>,
    pseudonym_key: Zeroizing<[u8; 32]>,
    secret: Option<SecretName>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity({})", self.client)
    }
}

/// An identity that can't be read, made or changed.
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
    /// A new client was begun and not finished.
    #[error("a new client was begun in {} and not finished", staged.display())]
    Unfinished {
        /// The identity that was made for it.
        staged: PathBuf,
    },
    /// A file does not hold what it must.
    #[error("{} does not hold {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it must hold.
        expected: &'static str,
    },
    /// The signing key's file does not hold one, or not one that can be used.
    #[error("{}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// The rotations don't lead to the signing key.
    #[error("{} does not belong to the signing key beside it", path.display())]
    OtherRotations {
        /// The file.
        path: PathBuf,
    },
    /// The rotations don't hold.
    #[error("{}", path.display())]
    Rotations {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: RotationError,
    },
    /// There is an identity already, and one with other properties was asked for.
    #[error("{} has an identity already, with the client UUID {existing}", directory.display())]
    Exists {
        /// The directory.
        directory: PathBuf,
        /// Its client UUID.
        existing: Uuid,
    },
    /// The directory comes from another Secret.
    #[error("the identity in {} comes from the Secret {secret}", directory.display())]
    OtherSecret {
        /// The directory.
        directory: PathBuf,
        /// The Secret that it comes from.
        secret: SecretName,
    },
    /// Directory and Secret hold identities of one client with different keys.
    #[error("{} and the Secret {secret} hold different keys of one client", directory.display())]
    OtherKeys {
        /// The directory.
        directory: PathBuf,
        /// The Secret.
        secret: SecretName,
    },
    /// A change would be lost, since the directory comes from a Secret.
    #[error("the identity in {} comes from the Secret {secret}, which would not hear of the change", directory.display())]
    KeptInSecret {
        /// The directory.
        directory: PathBuf,
        /// The Secret.
        secret: SecretName,
    },
    /// Another identity is there than a moment ago.
    #[error("the identity in {} has just been replaced by another one", directory.display())]
    Replaced {
        /// The directory.
        directory: PathBuf,
    },
    /// Another process holds the signing key.
    #[error("another process has been using {} for {} seconds", path.display(), lock::PATIENCE.as_secs())]
    Busy {
        /// The signing key's file.
        path: PathBuf,
    },
    /// The new signing key is no new one.
    #[error("the key {key} is this identity's already, or was before")]
    UsedKey {
        /// Its id.
        key: KeyId,
    },
    /// A manifest could not carry the chain.
    #[error("the key was changed {MOST_LINKS} times without a receipt, and a bundle can't tell of more")]
    TooManyRotations,
    /// No random numbers.
    #[error("the operating system gives no random numbers")]
    Random(#[source] io::Error),
}

/// What a new identity is made with.
#[derive(Debug, Clone, Default)]
pub struct NewIdentity {
    /// A client UUID to keep; a random one if absent.
    pub client: Option<Uuid>,
    /// The client UUID that the new one says it continues.
    pub replaces: Option<Uuid>,
    /// A signing key to take; a new one if absent.
    pub signing_key: Option<SigningKey>,
    /// What the signing key is protected with.
    pub passphrase: Option<Passphrase>,
}

impl Identity {
    /// Reads the identity in `directory`; `None` where the place is empty or not there.
    ///
    /// # Errors
    /// A directory that can't be read, or holds an identity in part, or something else.
    pub fn load(directory: &Path) -> Result<Option<Self>, IdentityError> {
        let identity = Self::load_quietly(directory)?;
        if let Some(identity) = &identity {
            identity.warn_of_open_secrets();
        }
        Ok(identity)
    }

    /// As [`Identity::load`], for who has loaded it before.
    fn load_quietly(directory: &Path) -> Result<Option<Self>, IdentityError> {
        let present = list(directory)?;
        if present.is_empty() {
            let staged = staged(directory);
            // Another identity made here would not know whom it continues.
            return if staged.exists() { Err(IdentityError::Unfinished { staged }) } else { Ok(None) };
        }
        let missing: Vec<_> = REQUIRED.into_iter().filter(|name| !present.iter().any(|p| p == name)).collect();
        match missing.len() {
            0 => Self::read(directory, &present).map(Some),
            3 => Err(IdentityError::Foreign { directory: directory.to_owned() }),
            _ => Err(IdentityError::Partial { directory: directory.to_owned(), missing }),
        }
    }

    fn read(directory: &Path, present: &[String]) -> Result<Self, IdentityError> {
        let path = |name| directory.join(name);
        let has = |name| present.iter().any(|present| present == name);
        let wrong = |source| IdentityError::Key { path: path(SIGNING_KEY), source };
        // Before the rotations: a rotation writes them the other way round, so that what was read fits together.
        let private = PrivateKey::read(&path(SIGNING_KEY)).map_err(durable::failed("read", &path(SIGNING_KEY)))?;
        let private = private.map_err(wrong)?;
        let read = |name, _| if has(name) { text(&path(name)).map(Some) } else { Ok(None) };
        let identity = Self::assemble(directory, private, &read)?;
        let expected = "NAMESPACE/NAME of a Secret";
        let secret = match read(SECRET, expected)? {
            Some(name) => {
                let parsed = name.trim().parse();
                Some(parsed.map_err(|_| IdentityError::Content { path: path(SECRET), expected })?)
            }
            None => None,
        };
        Ok(Self { secret, ..identity })
    }

    /// Puts an identity together from its key and its other parts, which `read` gives by name; it also hears what each
    /// has to hold. Errors say that they lie in `place`.
    fn assemble(
        place: &Path,
        private: PrivateKey,
        read: &dyn Fn(&'static str, &'static str) -> Result<Option<Zeroizing<String>>, IdentityError>,
    ) -> Result<Self, IdentityError> {
        let wrong = |name, expected| IdentityError::Content { path: place.join(name), expected };
        let part = |name, expected| read(name, expected)?.ok_or_else(|| wrong(name, expected));
        let uuid = |name, text: &str| Uuid::try_parse(text.trim()).map_err(|_| wrong(name, "a UUID"));
        let public = private
            .public()
            .ok_or_else(|| IdentityError::Key { path: place.join(SIGNING_KEY), source: KeyError::PublicMissing })?;
        let client = uuid(CLIENT, &part(CLIENT, "a UUID")?)?;
        let rotations = match read(ROTATIONS, "a chain of rotations")? {
            Some(text) => rotations(&place.join(ROTATIONS), &text, client, &public)?,
            None => Vec::new(),
        };
        let expected = "64 hexadecimal digits";
        let pseudonym_key =
            from_hex(part(PSEUDONYM_KEY, expected)?.trim()).ok_or_else(|| wrong(PSEUDONYM_KEY, expected))?;
        let replaces = read(REPLACES, "a UUID")?.map(|text| uuid(REPLACES, &text)).transpose()?;
        let directory = place.to_owned();
        Ok(Self { directory, client, replaces, private, public, rotations, pseudonym_key, secret: None })
    }

    fn warn_of_open_secrets(&self) {
        for secret in [SIGNING_KEY, PSEUDONYM_KEY].map(|name| self.directory.join(name)) {
            let open_to_others = fs::metadata(&secret).is_ok_and(|metadata| metadata.mode() & 0o077 != 0);
            if open_to_others {
                tracing::warn!(file = %secret.display(), "a secret that others can read: chmod 600 it");
            }
        }
    }

    /// Reads the identity in `directory`, or makes one where the place is empty; tells whether it is new. Of several
    /// that make one at once, all get the first one's.
    ///
    /// # Errors
    /// As [`Identity::load`], or there is one and another client was asked for, or the directory can't be written.
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
        let made = Self::create(directory, new, environment)?;
        let identity = Self::load(directory)?;
        let identity = identity.ok_or_else(|| IdentityError::Foreign { directory: directory.to_owned() })?;
        Ok((identity, made))
    }

    /// Makes an identity where none is; gives false if another one was there first.
    fn create(directory: &Path, new: NewIdentity, environment: &dyn Environment) -> Result<bool, IdentityError> {
        let parts = Parts::generate(new, environment)?;
        durable::create_directory_with(directory, |place| Ok(parts.write(place)?))
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

    /// The Kubernetes Secret that the identity comes from, and that has to hear of changes.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretName> {
        self.secret.as_ref()
    }

    /// The public half of the key that signs manifests.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Whether it takes a passphrase to sign.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.private.is_encrypted()
    }

    /// The key that signs manifests. A passphrase that is not needed is not looked at.
    ///
    /// # Errors
    /// The passphrase is missing or wrong, or the private key is not the public one's.
    pub fn unlock(&self, passphrase: Option<&Passphrase>) -> Result<SigningKey, IdentityError> {
        let key = self.private.unlock(passphrase);
        key.map_err(|source| IdentityError::Key { path: self.directory.join(SIGNING_KEY), source })
    }

    /// The chain of rotations that a manifest must carry, where `confirmed` are the keys of which a receipt says that
    /// ingest has accepted a bundle that they signed: nothing once the present key is among them, else all of it.
    #[must_use]
    pub fn unconfirmed(&self, confirmed: &BTreeSet<KeyId>) -> &[Link] {
        if confirmed.contains(&self.public.id()) { &[] } else { &self.rotations }
    }

    /// What makes this installation's pseudonyms.
    #[must_use]
    pub fn pseudonymizer(&self) -> Pseudonymizer {
        Pseudonymizer::new(*self.pseudonym_key)
    }
}

/// Where a new client's identity waits for the old one to be moved aside.
fn staged(directory: &Path) -> PathBuf {
    let mut name = directory.file_name().map_or_else(|| OsString::from("identity"), ToOwned::to_owned);
    name.push("-new-client");
    directory.with_file_name(name)
}

/// The rotations up to the present key. What follows was begun and did not come about.
fn rotations(path: &Path, text: &str, client: Uuid, present: &PublicKey) -> Result<Vec<Link>, IdentityError> {
    let expected = "a chain of rotations";
    let mut links: Vec<Link> =
        serde_json::from_str(text).map_err(|_| IdentityError::Content { path: path.to_owned(), expected })?;
    let led_here = links.iter().rposition(|link| link.public_key == *present);
    match (led_here, links.first()) {
        (Some(last), _) => links.truncate(last + 1),
        (None, Some(first)) if first.previous_key != *present => {
            return Err(IdentityError::OtherRotations { path: path.to_owned() });
        }
        (None, _) => links.clear(),
    }
    let checked = rotation::check(&links, client, present);
    checked.map_err(|source| IdentityError::Rotations { path: path.to_owned(), source })?;
    Ok(links)
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

//! An identity that is kept in a Kubernetes Secret: its name, its contents, and the directory that it is read from.
//!
//! The keys of the Secret are the names of an identity directory's files. The Secret is what counts: a directory is
//! filled from it, remembers which one it was (the file `secret`), and follows it when the signing key was changed
//! elsewhere. How a Secret is read and made is not known here.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::change::LockedIdentity;
use super::{
    CLIENT, Identity, IdentityError, NewIdentity, PSEUDONYM_KEY, REPLACES, REQUIRED, ROTATIONS, SECRET, SIGNING_KEY,
};
use crate::clock::Environment;
use crate::keys::{KeyError, PrivateKey, SigningKey};
use crate::store::durable::{self, Access, Existing, FileError};

/// The name of a Secret, with its namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName {
    namespace: String,
    name: String,
}

/// A text that names no Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write it as NAMESPACE/NAME, in lower-case letters, digits, dots and dashes")]
pub struct NotASecretName;

impl SecretName {
    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name in the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where errors say that something of it lies.
    fn place(&self) -> PathBuf {
        PathBuf::from(format!("Secret {self}"))
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for SecretName {
    type Err = NotASecretName;

    /// A namespace is a label of RFC 1123, a Secret's name a subdomain of it.
    fn from_str(text: &str) -> Result<Self, NotASecretName> {
        let is_label = |text: &str, most: usize| {
            let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !text.is_empty()
                && text.len() <= most
                && text.bytes().all(inside)
                && !text.starts_with('-')
                && !text.ends_with('-')
        };
        let (namespace, name) = text.split_once('/').ok_or(NotASecretName)?;
        if is_label(namespace, 63) && name.len() <= 253 && name.split('.').all(|label| is_label(label, 253)) {
            Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
        } else {
            Err(NotASecretName)
        }
    }
}

/// What an identity consists of, by the names of its files. Wiped from memory when it is dropped.
#[derive(Clone)]
pub struct Parts(BTreeMap<&'static str, Zeroizing<Vec<u8>>>);

impl fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// What became of an identity directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// It was made.
    Made,
    /// It held this identity already.
    Same,
    /// It held an earlier signing key of this identity, or the same one otherwise protected.
    Updated,
}

impl Parts {
    /// The parts of a new identity.
    ///
    /// # Errors
    /// No random numbers.
    pub fn generate(new: NewIdentity, environment: &dyn Environment) -> Result<Self, IdentityError> {
        let random = IdentityError::Random;
        let mut pseudonym_key = Zeroizing::new([0; 32]);
        environment.random(pseudonym_key.as_mut_slice()).map_err(random)?;
        let client = new.client.map_or_else(|| environment.uuid_v4(), Ok).map_err(random)?;
        let key = new.signing_key.map_or_else(|| SigningKey::generate(environment), Ok).map_err(random)?;
        let pem = crate::keys::to_pem(&key, new.passphrase.as_ref(), environment).map_err(random)?;
        let pseudonym_key = Zeroizing::new(crate::digest::hex(pseudonym_key.as_slice()));
        let mut parts = BTreeMap::from([
            (SIGNING_KEY, Zeroizing::new(pem.as_bytes().to_vec())),
            (PSEUDONYM_KEY, Zeroizing::new([pseudonym_key.as_bytes(), b"\n"].concat())),
            (CLIENT, Zeroizing::new(format!("{client}\n").into_bytes())),
        ]);
        if let Some(replaces) = new.replaces {
            parts.insert(REPLACES, Zeroizing::new(format!("{replaces}\n").into_bytes()));
        }
        Ok(Self(parts))
    }

    /// The parts of the identity in a directory.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn of_directory(identity: &Identity) -> Result<Self, IdentityError> {
        let mut parts = BTreeMap::new();
        for name in REQUIRED.into_iter().chain([REPLACES, ROTATIONS]) {
            let path = identity.directory.join(name);
            match std::fs::read(&path) {
                Ok(bytes) => drop(parts.insert(name, Zeroizing::new(bytes))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !REQUIRED.contains(&name) => {}
                Err(error) => return Err(FileError::reading(&path, error).into()),
            }
        }
        Ok(Self(parts))
    }

    /// Those of these named values that an identity has; others are none of it.
    #[must_use]
    pub fn from_values(mut values: BTreeMap<String, Zeroizing<Vec<u8>>>) -> Self {
        let names = REQUIRED.into_iter().chain([REPLACES, ROTATIONS]);
        Self(names.filter_map(|name| Some((name, values.remove(name)?))).collect())
    }

    /// The values by their names.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.0.iter().map(|(name, value)| (*name, value.as_slice()))
    }

    pub(super) fn set(&mut self, name: &'static str, value: &[u8]) {
        self.0.insert(name, Zeroizing::new(value.to_vec()));
    }

    /// The identity that these parts of a Secret are, whole and sound.
    ///
    /// # Errors
    /// A part is missing, or does not hold what it must.
    pub fn check(&self, secret: &SecretName) -> Result<Identity, IdentityError> {
        let place = secret.place();
        let missing: Vec<_> = REQUIRED.into_iter().filter(|name| !self.0.contains_key(name)).collect();
        if !missing.is_empty() {
            return Err(IdentityError::Partial { directory: place, missing });
        }
        let read = |name: &'static str, expected: &'static str| {
            let Some(value) = self.0.get(name) else { return Ok(None) };
            let text = std::str::from_utf8(value).map(|text| Zeroizing::new(text.to_owned()));
            text.map(Some).map_err(|_| IdentityError::Content { path: place.join(name), expected })
        };
        let wrong = |source| IdentityError::Key { path: place.join(SIGNING_KEY), source };
        let pem = read(SIGNING_KEY, "a private key")?.unwrap_or_default();
        let private = PrivateKey::from_pem(&pem).map_err(wrong)?;
        private.public().ok_or_else(|| wrong(KeyError::PublicMissing))?;
        Identity::assemble(&place, private, &read)
    }

    /// Writes the parts into an empty directory.
    pub(super) fn write(&self, place: &Path) -> Result<(), FileError> {
        let write =
            |(name, value): (&str, &[u8])| durable::write(&place.join(name), value, Access::Private, Existing::Refuse);
        self.values().try_for_each(write)
    }
}

/// Makes an identity directory that of the identity in a Secret, and gives it. An identity of another client, or with
/// other keys than the Secret's, stays as it is.
///
/// # Errors
/// The directory holds another identity, one from another Secret, or something else, or it can't be written.
pub fn adopt(directory: &Path, parts: &Parts, secret: &SecretName) -> Result<(Identity, Adopted), IdentityError> {
    let kept = parts.check(secret)?;
    let marker = format!("{secret}\n");
    let mut adopted = Adopted::Same;
    let mut present = Identity::load(directory)?;
    if present.is_none() {
        let made = durable::create_directory_with(directory, |place| {
            parts.write(place)?;
            durable::write(&place.join(SECRET), marker.as_bytes(), Access::Private, Existing::Refuse)?;
            Ok::<_, IdentityError>(())
        })?;
        adopted = if made { Adopted::Made } else { Adopted::Same };
        present = Identity::load(directory)?;
    }
    let present = present.ok_or_else(|| IdentityError::Foreign { directory: directory.to_owned() })?;
    check_owner(&present, kept.client, secret)?;
    let followed = present.secret.as_ref() == Some(secret);
    let same_key = present.public == kept.public && present.rotations == kept.rotations;
    let same_protection = Parts::of_directory(&present)?.0.get(SIGNING_KEY) == parts.0.get(SIGNING_KEY);
    if *present.pseudonym_key != *kept.pseudonym_key || (!followed && present.public != kept.public) {
        return Err(IdentityError::OtherKeys { directory: directory.to_owned(), secret: secret.clone() });
    }
    if !followed {
        durable::write(&directory.join(SECRET), marker.as_bytes(), Access::Private, Existing::Refuse)?;
    }
    if followed && !(same_key && same_protection) {
        LockedIdentity::open(&present)?.follow(parts)?;
        adopted = Adopted::Updated;
    }
    let identity = Identity::load(directory)?;
    Ok((identity.ok_or_else(|| IdentityError::Foreign { directory: directory.to_owned() })?, adopted))
}

/// Insists that an identity directory is one of this client, and of no other Secret.
///
/// # Errors
/// It is another one's.
pub fn check_owner(present: &Identity, client: Uuid, secret: &SecretName) -> Result<(), IdentityError> {
    let directory = present.directory.clone();
    match &present.secret {
        _ if present.client != client => Err(IdentityError::Exists { directory, existing: present.client }),
        Some(other) if other != secret => Err(IdentityError::OtherSecret { directory, secret: other.clone() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_a_name_that_kubernetes_would_take() {
        for good in ["a/b", "telemetry-system/identity.v1", "0/0"] {
            assert_eq!(good.parse::<SecretName>().unwrap().to_string(), good);
        }
        for bad in ["", "a", "/", "a/", "/b", "a/b/c", "A/b", "a/b_c", "a/.b", "a/-b", "a.b/c", "a/b\n", "../a"] {
            assert_eq!(bad.parse::<SecretName>(), Err(NotASecretName), "{bad:?}");
        }
    }
}

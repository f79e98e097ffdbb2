//! Private keys as their files hold them: in the clear, or under a passphrase with the public key beside it, so that it
//! can be read without.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::passphrase::Passphrase;
use super::{KeyError, PublicKey, SigningKey, pem, protected};
use crate::clock::Environment;

const PRIVATE: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";
/// Files of keys are much smaller.
const MOST_BYTES: usize = 64 * 1024;

/// A private key as a PEM file holds it.
#[derive(Debug, Clone)]
pub struct PrivateKey {
    held: Held,
    /// The public key that lies beside it.
    beside: Option<PublicKey>,
}

#[derive(Clone)]
enum Held {
    Plain(SigningKey),
    /// The DER of an `EncryptedPrivateKeyInfo`.
    Encrypted(Vec<u8>),
}

impl std::fmt::Debug for Held {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Encrypted(_) => "Encrypted",
        })
    }
}

impl PrivateKey {
    /// Reads a PEM text with one private key, `BEGIN PRIVATE KEY` or `BEGIN ENCRYPTED PRIVATE KEY`, and perhaps its
    /// public key.
    ///
    /// # Errors
    /// A text that is none, or whose public key belongs to another private one.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (mut held, mut beside) = (None, None);
        for block in pem::blocks(text) {
            let der = block.der.ok_or(KeyError::NotPrivate)?;
            match block.label {
                PRIVATE if held.is_none() => held = Some(Held::Plain(SigningKey::from_der(&der)?)),
                ENCRYPTED if held.is_none() => held = Some(Held::Encrypted(der.to_vec())),
                PUBLIC if beside.is_none() => beside = Some(PublicKey::from_spki(&der)?),
                PRIVATE | ENCRYPTED | PUBLIC => return Err(KeyError::Several),
                _ => return Err(KeyError::NotPrivate),
            }
        }
        let held = held.ok_or(KeyError::NotPrivate)?;
        match (&held, &beside) {
            (Held::Plain(key), Some(public)) if key.public() != *public => Err(KeyError::Mismatch),
            _ => Ok(Self { held, beside }),
        }
    }

    /// Reads a file, of any kind but a large one.
    ///
    /// # Errors
    /// It can't be read, or holds no private key; the inner result tells which.
    pub fn read(path: &Path) -> io::Result<Result<Self, KeyError>> {
        Self::read_from(&File::open(path)?)
    }

    /// As [`PrivateKey::read`], from an open file.
    ///
    /// # Errors
    /// As [`PrivateKey::read`].
    pub fn read_from(file: &File) -> io::Result<Result<Self, KeyError>> {
        // Of its final size from the start: what is moved leaves a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
        file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MOST_BYTES {
            return Ok(Err(KeyError::NotPrivate));
        }
        Ok(std::str::from_utf8(&bytes).map_err(|_| KeyError::NotPrivate).and_then(Self::from_pem))
    }

    /// The public key, if it can be told without a passphrase.
    #[must_use]
    pub fn public(&self) -> Option<PublicKey> {
        match &self.held {
            Held::Plain(key) => Some(key.public()),
            Held::Encrypted(_) => self.beside.clone(),
        }
    }

    /// Whether it takes a passphrase to sign with it.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self.held, Held::Encrypted(_))
    }

    /// The key to sign with. A passphrase that is not needed is not looked at.
    ///
    /// # Errors
    /// The passphrase is missing or wrong, or the public key beside it belongs to another private one.
    pub fn unlock(&self, passphrase: Option<&Passphrase>) -> Result<SigningKey, KeyError> {
        let key = match (&self.held, passphrase) {
            (Held::Plain(key), _) => key.clone(),
            (Held::Encrypted(der), Some(passphrase)) => protected::decrypt(der, passphrase)?,
            (Held::Encrypted(_), None) => return Err(KeyError::Locked),
        };
        match &self.beside {
            Some(public) if *public != key.public() => Err(KeyError::Mismatch),
            _ => Ok(key),
        }
    }
}

/// The PEM text of a private key: as it is, or under a passphrase, with its public key then.
///
/// # Errors
/// No random numbers to encrypt it with.
pub fn to_pem(
    key: &SigningKey,
    passphrase: Option<&Passphrase>,
    environment: &dyn Environment,
) -> io::Result<Zeroizing<String>> {
    let Some(passphrase) = passphrase else { return Ok(pem::encode(PRIVATE, key.to_der().as_slice())) };
    let encrypted = pem::encode(ENCRYPTED, &protected::encrypt(key, passphrase, environment)?);
    Ok(Zeroizing::new(format!("{}{}", encrypted.as_str(), key.public().to_pem())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::System;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::read_line(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_protected_key_tells_its_public_half_and_opens_with_its_passphrase() {
        let key = SigningKey::from_seed(&[7; 32]);
        let text = to_pem(&key, Some(&passphrase("p")), &System).unwrap();
        let read = PrivateKey::from_pem(&text).unwrap();
        assert!(read.is_encrypted());
        assert_eq!(read.public(), Some(key.public()));
        assert_eq!(read.unlock(Some(&passphrase("p"))).unwrap().public(), key.public());
        assert_eq!(read.unlock(None).unwrap_err(), KeyError::Locked);
        assert_eq!(read.unlock(Some(&passphrase("q"))).unwrap_err(), KeyError::WrongPassphrase);
        let plain = to_pem(&key, None, &System).unwrap();
        let read = PrivateKey::from_pem(&plain).unwrap();
        assert_eq!((read.is_encrypted(), read.public()), (false, Some(key.public())));
        assert_eq!(read.unlock(None).unwrap().public(), key.public());
    }

    #[test]
    fn a_public_key_beside_a_private_one_must_be_its_own() {
        let (key, other) = (SigningKey::from_seed(&[7; 32]), SigningKey::from_seed(&[8; 32]).public().to_pem());
        let plain = to_pem(&key, None, &System).unwrap();
        assert_eq!(PrivateKey::from_pem(&format!("{}{other}", *plain)).unwrap_err(), KeyError::Mismatch);
        let text = to_pem(&key, Some(&passphrase("p")), &System).unwrap();
        let (encrypted, _) = text.split_once("-----BEGIN PUBLIC").unwrap();
        let mixed = PrivateKey::from_pem(&format!("{encrypted}{other}")).unwrap();
        assert_eq!(mixed.unlock(Some(&passphrase("p"))).unwrap_err(), KeyError::Mismatch);
        let bare = PrivateKey::from_pem(encrypted).unwrap();
        assert_eq!(bare.public(), None);
        assert_eq!(bare.unlock(Some(&passphrase("p"))).unwrap().public(), key.public());
        assert_eq!(PrivateKey::from_pem(&format!("{}{}", *plain, *plain)).unwrap_err(), KeyError::Several);
    }
}

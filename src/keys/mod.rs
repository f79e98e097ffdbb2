//! Signing keys, public keys and their ids: Ed25519 in PEM, PKCS#8 for private keys and SPKI for public ones
//! (RFC 8410), as `openssl pkey` reads and writes them.

pub mod keyring;
mod passphrase;
mod pem;
mod private;
mod protected;
pub mod rotation;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub use passphrase::{Passphrase, PassphraseError};
pub use private::{PrivateKey, to_pem};

/// The DER of an Ed25519 SPKI up to the 32 bytes of the key (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// The DER of an Ed25519 private key up to its 32 bytes: PKCS#8 version 1 (RFC 8410, section 7), since OpenSSL 3.0 does
/// not read the newer version with the public key.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a PKCS#8 PEM of an Ed25519 key.
    #[error("not an Ed25519 private key in PEM (PKCS#8, `BEGIN PRIVATE KEY`)")]
    NotPrivate,
    /// More than one key where one is expected.
    #[error("holds more than one key of a kind")]
    Several,
    /// A private key with another one's public key.
    #[error("the public key in it is not that of the private key")]
    Mismatch,
    /// A passphrase is needed.
    #[error("the private key is encrypted, and there is no passphrase")]
    Locked,
    /// The passphrase is another one.
    #[error("wrong passphrase, or the encrypted private key is damaged")]
    WrongPassphrase,
    /// An encryption that is not known, or not encoded as it must be.
    #[error("the private key is encrypted in a way that this program does not read, or damaged")]
    UnknownEncryption,
    /// Decrypting would take too much.
    #[error("the private key asks for {asked} {what}, and at most {most} are allowed")]
    Cost {
        /// What it asks for.
        what: &'static str,
        /// How much.
        asked: u64,
        /// How much it may ask for.
        most: u64,
    },
    /// An encrypted private key without its public key, which is needed where no passphrase is asked for.
    #[error("the private key is encrypted, and its public key is not beside it")]
    PublicMissing,
    /// No public key in the PEM text.
    #[error("no Ed25519 public key in PEM (`BEGIN PUBLIC KEY`) in it")]
    NotPublic,
    /// A private key where only public ones belong.
    #[error("holds a private key, which does not belong here")]
    UnexpectedPrivate,
    /// Not a key id.
    #[error("not a key id (`sha256:` and 64 hexadecimal digits)")]
    NotKeyId,
}

impl KeyError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotPrivate => Some(
                "`openssl genpkey -algorithm ed25519` makes such a key; others are converted with `openssl pkcs8 -topk8`",
            ),
            Self::NotPublic => Some("`keys export` writes it, or: openssl pkey -in PRIVATE.pem -pubout"),
            Self::UnexpectedPrivate => {
                Some("private keys stay where they were made; take its public key: openssl pkey -in FILE -pubout")
            }
            Self::Locked | Self::WrongPassphrase => Some(
                "give the passphrase on a terminal when asked, or with --passphrase-file FILE or --passphrase-fd NUMBER",
            ),
            Self::UnknownEncryption | Self::Cost { .. } => {
                Some("encrypt it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW")
            }
            Self::PublicMissing => Some("add the public key to the file: openssl pkey -in FILE -pubout >> FILE"),
            Self::NotKeyId => Some("`keys show` prints the key id of an installation"),
            Self::Several | Self::Mismatch => None,
        }
    }
}

/// The id of a public key: `sha256:` and the hex SHA-256 of its SPKI DER.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        let valid = text.strip_prefix("sha256:").is_some_and(crate::digest::is_hex_sha256);
        if valid { Ok(Self(text)) } else { Err(KeyError::NotKeyId) }
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

/// An Ed25519 public key; in JSON the base64 of its SPKI DER.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", self.id())
    }
}

impl PublicKey {
    /// The key's SPKI DER, 44 bytes.
    #[must_use]
    pub fn spki(&self) -> [u8; 44] {
        let mut der = [0; 44];
        der[..12].copy_from_slice(&SPKI_PREFIX);
        der[12..].copy_from_slice(self.0.as_bytes());
        der
    }

    /// Decodes an SPKI DER.
    ///
    /// # Errors
    /// Anything but the 44 bytes of an Ed25519 key.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let key = der.strip_prefix(&SPKI_PREFIX).and_then(|key| <[u8; 32]>::try_from(key).ok());
        let key = key.and_then(|key| ed25519_dalek::VerifyingKey::from_bytes(&key).ok());
        key.map(Self).ok_or(KeyError::NotPublic)
    }

    /// The base64 of the SPKI DER, as manifests carry it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        BASE64.encode(self.spki())
    }

    /// The key as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", self.to_base64())
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(format!("sha256:{}", crate::digest::hex(&Sha256::digest(self.spki()))))
    }

    /// Verifies a signature, strictly: small-order keys and malleable signatures are refused.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }

    /// Reads every public key of a PEM text, which may hold comments between them.
    ///
    /// # Errors
    /// A text without a public key, with a damaged one, or with a private one.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, KeyError> {
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::UnexpectedPrivate);
        }
        let blocks = pem::blocks(text).into_iter().filter(|block| block.label == "PUBLIC KEY");
        let keys = blocks.map(|block| Self::from_spki(&block.der.ok_or(KeyError::NotPublic)?));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(KeyError::NotPublic) } else { Ok(keys) }
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::from_spki(&BASE64.decode(text).map_err(|_| KeyError::NotPublic)?)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_base64()
    }
}

/// An Ed25519 private key. It is wiped when dropped and never printed.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({})", self.public().id())
    }
}

impl SigningKey {
    /// Makes a key from 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Makes a new key.
    ///
    /// # Errors
    /// No random bytes can be had.
    pub fn generate(environment: &dyn crate::clock::Environment) -> std::io::Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        environment.random(seed.as_mut_slice())?;
        Ok(Self::from_seed(&seed))
    }

    /// Reads a PKCS#8 PEM that is not encrypted, with or without the public key in it.
    ///
    /// # Errors
    /// A text that is none.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        PrivateKey::from_pem(text)?.unlock(None)
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_der(der).map(Self).map_err(|_| KeyError::NotPrivate)
    }

    fn to_der(&self) -> Zeroizing<[u8; 48]> {
        let mut der = Zeroizing::new([0; 48]);
        der[..16].copy_from_slice(&PKCS8_PREFIX);
        der[16..].copy_from_slice(self.0.as_bytes());
        der
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// What lay in `keys/receipts/` when this was built.
const RECEIPT_KEYS: &[&str] = &include!(concat!(env!("OUT_DIR"), "/receipt_keys.rs"));

/// The receipt keys that this release believes: those in `keys/receipts/` when it was built.
#[must_use]
pub fn compiled_in_receipt_keys() -> Vec<PublicKey> {
    RECEIPT_KEYS.iter().flat_map(|pem| PublicKey::all_from_pem(pem).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_pem() {
        let key = SigningKey::from_seed(&[7; 32]);
        let pem = to_pem(&key, None, &crate::clock::System).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI"), "PKCS#8 v1, 48 bytes");
        assert_eq!(SigningKey::from_pem(&pem).unwrap().public(), key.public());
        let public = key.public();
        assert_eq!(PublicKey::all_from_pem(&public.to_pem()).unwrap(), std::slice::from_ref(&public));
        let two =
            format!("# first\n{}\n# second\n{}", public.to_pem(), SigningKey::from_seed(&[8; 32]).public().to_pem());
        assert_eq!(PublicKey::all_from_pem(&two).unwrap().len(), 2);
        assert_eq!(PublicKey::all_from_pem(&pem), Err(KeyError::UnexpectedPrivate));
        assert_eq!(PublicKey::all_from_pem("nothing"), Err(KeyError::NotPublic));
    }

    #[test]
    fn every_receipt_key_that_is_compiled_in_is_one() {
        // The build looks at their shape only, not whether they are points of the curve.
        for pem in RECEIPT_KEYS {
            assert!(PublicKey::all_from_pem(pem).is_ok(), "{pem}");
        }
    }

    #[test]
    fn private_keys_do_not_show_in_debug_output() {
        let key = SigningKey::from_seed(&[7; 32]);
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.public().id()));
    }

    #[test]
    fn small_order_keys_verify_nothing() {
        let mut der = SPKI_PREFIX.to_vec();
        der.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let weak = PublicKey::from_spki(&der).unwrap();
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!weak.verifies(b"anything", &signature));
    }
}

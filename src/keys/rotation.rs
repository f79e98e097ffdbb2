//! Rotation: the chain of statements by which older keys of a client name newer ones, made and checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{PublicKey, SigningKey};

/// How many links a chain may have; the same as the limit that verifying has unless it is told otherwise.
pub const MOST_LINKS: usize = 16;

/// One link: the previous key's signature that names the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The key that signs.
    pub previous_key: PublicKey,
    /// The key that it names.
    pub public_key: PublicKey,
    /// The signature in base64.
    pub signature: String,
}

impl Link {
    /// Makes a link: the previous key names the next one, for one client.
    #[must_use]
    pub fn sign(client: Uuid, previous: &SigningKey, next: &PublicKey) -> Self {
        let (previous_key, public_key) = (previous.public(), next.clone());
        let signature = previous.sign(statement(client, &previous_key, &public_key).as_bytes());
        Self { previous_key, public_key, signature: BASE64.encode(signature) }
    }
}

/// A chain that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// A link does not begin where the one before it ended.
    #[error("link {0} does not begin with the key that the link before it names")]
    Broken(usize),
    /// A link's signature does not verify.
    #[error("the signature of link {0} does not verify")]
    Signature(usize),
    /// The last link names another key than the signer's.
    #[error("its last link does not name the key that signed the manifest")]
    End,
}

/// The text that a previous key signs.
fn statement(client: Uuid, previous: &PublicKey, next: &PublicKey) -> String {
    format!("kubermatic-telemetry-rotation/1 {client} {} {}", previous.to_base64(), next.to_base64())
}

/// Checks every link of `chain`, oldest first, which must end at `signer`. An empty chain holds.
///
/// # Errors
/// The first link that does not hold.
pub fn check(chain: &[Link], client: Uuid, signer: &PublicKey) -> Result<(), RotationError> {
    for (index, link) in chain.iter().enumerate() {
        if index > 0 && chain[index - 1].public_key != link.previous_key {
            return Err(RotationError::Broken(index));
        }
        let signature = BASE64.decode(&link.signature).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        let signature = signature.ok_or(RotationError::Signature(index))?;
        let statement = statement(client, &link.previous_key, &link.public_key);
        if !link.previous_key.verifies(statement.as_bytes(), &signature) {
            return Err(RotationError::Signature(index));
        }
    }
    match chain.last() {
        Some(last) if last.public_key != *signer => Err(RotationError::End),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_may_be_as_long_as_verifying_takes_it() {
        assert_eq!(crate::bundle::Limits::default().rotation, MOST_LINKS as u64);
    }
}

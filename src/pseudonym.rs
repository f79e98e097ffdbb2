//! Pseudonyms: UUIDs that stand for names, stable within an installation and meaningless outside of it.
//!
//! HMAC-SHA-256 with the installation's pseudonym key over `type 0x00 scope 0x00 name`, of which the first 16 bytes
//! become a UUID of version 8 (RFC 9562, section 5.8). Without the key nobody can test a guess.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use uuid::{Builder, Uuid};
use zeroize::Zeroizing;

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameType {
    /// A seed.
    Seed,
    /// A datacenter.
    Datacenter,
    /// A user cluster.
    Cluster,
    /// A project.
    Project,
    /// A user.
    User,
    /// An SSH key.
    SshKey,
    /// A machine deployment.
    MachineDeployment,
    /// A node.
    Node,
    /// A region that the customer named.
    Region,
}

impl NameType {
    /// Every type.
    pub const ALL: &'static [Self] = &[
        Self::Seed,
        Self::Datacenter,
        Self::Cluster,
        Self::Project,
        Self::User,
        Self::SshKey,
        Self::MachineDeployment,
        Self::Node,
        Self::Region,
    ];

    /// The type's name in the HMAC's input and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::Datacenter => "datacenter",
            Self::Cluster => "cluster",
            Self::Project => "project",
            Self::User => "user",
            Self::SshKey => "sshKey",
            Self::MachineDeployment => "machineDeployment",
            Self::Node => "node",
            Self::Region => "region",
        }
    }

    /// Whether names of this type are only unique within a cluster and namespace.
    #[must_use]
    pub fn is_scoped(self) -> bool {
        matches!(self, Self::MachineDeployment | Self::Node)
    }
}

/// A pseudonym.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Pseudonym(Uuid);

impl fmt::Display for Pseudonym {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Where a machine deployment or node lives; parts that do not apply are empty (a master's node has none).
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// The seed's name.
    pub seed: &'a str,
    /// The user cluster's name.
    pub cluster: &'a str,
    /// The namespace.
    pub namespace: &'a str,
}

/// Turns names into pseudonyms with one installation's key.
pub struct Pseudonymizer {
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Pseudonymizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pseudonymizer(..)")
    }
}

impl Pseudonymizer {
    /// Takes the pseudonym key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { key: Zeroizing::new(key) }
    }

    /// The pseudonym of a name that is unique in the installation.
    #[must_use]
    pub fn of(&self, kind: NameType, name: &str) -> Pseudonym {
        self.compute(kind.as_str(), "", name)
    }

    /// The pseudonym of a machine deployment or node.
    #[must_use]
    pub fn scoped(&self, kind: NameType, scope: Scope<'_>, name: &str) -> Pseudonym {
        let scope = [scope.seed, scope.cluster, scope.namespace].join("\u{1f}");
        self.compute(kind.as_str(), &scope, name)
    }

    /// The pseudonym that ties a store to its installation; `uid` is that of an object which lives as long as it.
    #[must_use]
    pub fn installation(&self, uid: &str) -> Pseudonym {
        self.compute("installation", "", uid)
    }

    fn compute(&self, kind: &str, scope: &str, name: &str) -> Pseudonym {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.as_slice()).unwrap_or_else(|_| unreachable!("any length"));
        mac.update([kind, scope, name].join("\0").as_bytes());
        let digest = mac.finalize().into_bytes();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Pseudonym(Builder::from_custom_bytes(bytes).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Computed with `printf 'seed\0\0kubermatic' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0101…01`.
    #[test]
    fn a_pseudonym_is_the_head_of_the_hmac_as_a_uuid_of_version_8() {
        let names = Pseudonymizer::new([1; 32]);
        let seed = names.of(NameType::Seed, "kubermatic");
        assert_eq!(seed.to_string(), "59ef1105-e829-86c3-ac28-73d7832f42d5");
        let scope = Scope { seed: "s", cluster: "c", namespace: "kube-system" };
        let deployment = names.scoped(NameType::MachineDeployment, scope, "workers");
        assert_eq!(deployment.to_string(), "fec78094-cb3d-8316-8cf4-9e8cc49f1a0a");
        assert_ne!(Pseudonymizer::new([2; 32]).of(NameType::Seed, "kubermatic"), seed);
        assert_ne!(names.of(NameType::Project, "kubermatic"), seed);
    }

    #[test]
    fn the_key_is_not_in_the_debug_output() {
        assert_eq!(format!("{:?}", Pseudonymizer::new([7; 32])), "Pseudonymizer(..)");
    }
}

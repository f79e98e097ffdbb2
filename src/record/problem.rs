//! Problems: what a record could not find out, told without a name or an address.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Pseudonym;

/// The part of a collection that a problem concerns; most are named like the array that lacks something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// The `KubermaticConfiguration`.
    Configuration,
    /// The Kubernetes version of the master or of a seed.
    KubernetesVersion,
    /// A seed as a whole, or the list of seeds.
    Seeds,
    /// A datacenter of a seed.
    Datacenters,
    /// A user cluster, or the list of them.
    Clusters,
    /// A user.
    Users,
    /// A project.
    Projects,
    /// An SSH key.
    SshKeys,
    /// A machine deployment, or those of one user cluster.
    MachineDeployments,
    /// A node, or those of one cluster.
    Nodes,
}

/// Why something is missing from a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Category {
    /// The source has no data for it: no folder, no file.
    NotProvided,
    /// An object that must exist does not.
    NotFound,
    /// The object does not have the shape that its kind prescribes.
    Malformed,
    /// Two objects of one name; one of them counts.
    Duplicate,
    /// More than one cloud provider, or contradicting ones, where there must be one.
    AmbiguousProvider,
    /// An API group that KKP used before 2.19.
    LegacyApiGroup,
    /// A cluster or SSH key without its project.
    NoProject,
    /// An object of a cluster that is not known.
    UnknownCluster,
    /// No connection to the API server.
    Unreachable,
    /// The API server's certificate is not one that its kubeconfig trusts.
    Untrusted,
    /// The API server does not take the credentials.
    Unauthorized,
    /// The credentials do not allow it.
    Forbidden,
    /// The API server took too long.
    Timeout,
    /// The API server had no time for it, however often it was asked.
    Throttled,
    /// The API server failed, or answered something else than it should.
    ServerError,
    /// The list changed faster than it could be read.
    Expired,
    /// More objects than can be.
    TooLarge,
    /// The resource is not installed.
    NotInstalled,
    /// The Secret with the kubeconfig does not exist, or is not named.
    SecretNotFound,
    /// The Secret does not have the key that the kubeconfig should be under.
    KubeconfigMissing,
    /// What should be a kubeconfig is none.
    KubeconfigInvalid,
    /// The kubeconfig asks for what one from a Secret may not: a program to run, or a file of this machine.
    KubeconfigRefused,
}

/// One thing that a record could not find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Problem {
    // In canonical order, so that the text of a problem is its canonical bytes.
    /// Why.
    pub category: Category,
    /// The pseudonym of what it concerns; absent where it concerns the installation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concerns: Option<Pseudonym>,
    /// Where.
    pub step: Step,
}

/// How many problems of each category a record tells of, given its bytes. What does not look like a record has none.
#[must_use]
pub fn by_category(record: &[u8]) -> BTreeMap<String, u64> {
    #[derive(Deserialize)]
    struct Listed {
        category: String,
    }
    #[derive(Deserialize)]
    struct Problems {
        #[serde(default)]
        problems: Vec<Listed>,
    }
    let mut counted = BTreeMap::new();
    for problem in serde_json::from_slice::<Problems>(record).map(|it| it.problems).unwrap_or_default() {
        *counted.entry(problem.category).or_default() += 1;
    }
    counted
}

const STEPS: &[&str] = &[
    "configuration",
    "kubernetesVersion",
    "seeds",
    "datacenters",
    "clusters",
    "users",
    "projects",
    "sshKeys",
    "machineDeployments",
    "nodes",
];
const CATEGORIES: &[&str] = &[
    "notProvided",
    "notFound",
    "malformed",
    "duplicate",
    "ambiguousProvider",
    "legacyApiGroup",
    "noProject",
    "unknownCluster",
    "unreachable",
    "untrusted",
    "unauthorized",
    "forbidden",
    "timeout",
    "throttled",
    "serverError",
    "expired",
    "tooLarge",
    "notInstalled",
    "secretNotFound",
    "kubeconfigMissing",
    "kubeconfigInvalid",
    "kubeconfigRefused",
];

impl Step {
    /// Its name in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        STEPS.get(self as usize).copied().unwrap_or_default()
    }
}

impl super::catalogue::Catalogued for Problem {
    const FIELDS: &'static [super::catalogue::Field] = &[
        super::catalogue::Field {
            name: "category",
            doc: "Why something is missing.",
            privacy: super::catalogue::Privacy::Choice(CATEGORIES),
        },
        super::catalogue::Field {
            name: "concerns",
            doc: "What it concerns; absent for the installation as a whole.",
            privacy: super::catalogue::Privacy::Pseudonym("of the step's type"),
        },
        super::catalogue::Field {
            name: "step",
            doc: "Where something is missing.",
            privacy: super::catalogue::Privacy::Choice(STEPS),
        },
    ];
}

/// Sorts problems by their canonical bytes and drops repeats, as `docs/bundle-format.md` asks of sets.
#[must_use]
pub fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_cached_key(|problem| serde_json::to_string(problem).unwrap_or_default());
    problems.dedup();
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_knows_every_step_and_category() {
        use Category as C;
        use Step as S;
        let word = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        for step in [
            S::Configuration,
            S::KubernetesVersion,
            S::Seeds,
            S::Datacenters,
            S::Clusters,
            S::Users,
            S::Projects,
            S::SshKeys,
            S::MachineDeployments,
            S::Nodes,
        ] {
            assert_eq!(word(serde_json::to_value(step).unwrap()), step.as_str());
        }
        for category in [
            C::NotProvided,
            C::NotFound,
            C::Malformed,
            C::Duplicate,
            C::AmbiguousProvider,
            C::LegacyApiGroup,
            C::NoProject,
            C::UnknownCluster,
            C::Unreachable,
            C::Untrusted,
            C::Unauthorized,
            C::Forbidden,
            C::Timeout,
            C::Throttled,
            C::ServerError,
            C::Expired,
            C::TooLarge,
            C::NotInstalled,
            C::SecretNotFound,
            C::KubeconfigMissing,
            C::KubeconfigInvalid,
            C::KubeconfigRefused,
        ] {
            assert!(CATEGORIES.contains(&word(serde_json::to_value(category).unwrap()).as_str()));
        }
    }
}

//! The agent: looks at an installation and makes records of it.
//!
//! A source finds objects: `manifests` in a directory, `live` through the Kubernetes API. Collectors are pure functions
//! that make anonymous rows of them, which a [`Survey`] holds until they become records. Nothing here knows the files of
//! the store.

mod collect;
mod keep;
mod kubermatic;
mod kubernetes;
pub mod live;
pub mod manifests;
pub mod objects;
mod parsed;
mod providers;
mod prune;
mod survey;

use std::collections::{BTreeMap, BTreeSet};

use crate::pseudonym::NameType;
use crate::record;
use crate::record::canonical::{Bounds, CanonicalError};
use crate::record::document::Document;
use crate::record::problem::{Category, Step};
use crate::record::withhold::{Outcome, Withholding};
pub use survey::Survey;

use objects::{Cluster, Configuration, MachineDeployment, Node, Object, Project, Seed, SshKey, User};

/// A collector, which makes records of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Collector {
    /// Seeds, user clusters, users, projects, SSH keys, machine deployments.
    Kubermatic,
    /// Nodes.
    Kubernetes,
}

impl Collector {
    /// Every collector.
    pub const ALL: &'static [Self] = &[Self::Kubermatic, Self::Kubernetes];

    /// The kind of its records.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Kubermatic => record::kubermatic::KIND,
            Self::Kubernetes => record::kubernetes::KIND,
        }
    }

    /// Makes the canonical record of what was found, at `time` (RFC 3339, UTC, whole seconds), without what is withheld,
    /// and takes the rows for it. Nothing where what it is about is not installed, or withheld as a whole.
    ///
    /// # Errors
    /// None that can be met: collectors make nothing that canonical JSON can't carry.
    pub fn collect(
        self,
        survey: &mut Survey,
        time: &str,
        withholding: &Withholding,
    ) -> Result<Option<Document>, CanonicalError> {
        let bytes = match self {
            Self::Kubermatic => match survey.kubermatic(time.to_owned()) {
                Some(record) => record.into_canonical()?,
                None => return Ok(None),
            },
            Self::Kubernetes => survey.kubernetes(time.to_owned()).into_canonical()?,
        };
        let document = Document::parse(bytes, &Bounds::default())?;
        Ok(match withholding.apply(self.kind(), &document)? {
            Outcome::Untouched => Some(document),
            Outcome::Reduced(reduced) => Some(reduced),
            Outcome::Whole => None,
        })
    }
}

/// Everything that a source found, before anything of it is made anonymous.
#[derive(Debug, Default)]
pub struct Inventory {
    /// The master cluster.
    pub master: Master,
    /// The seed clusters that were looked at, by the seed's name.
    pub seeds: BTreeMap<String, SeedCluster>,
    /// The user clusters that were looked at, by the cluster's name.
    pub user_clusters: BTreeMap<String, UserCluster>,
    /// Machine deployments of which it is not known whose they are.
    pub stray_machine_deployments: Vec<Object<MachineDeployment>>,
    /// What the source itself could not find out.
    pub gaps: Vec<Gap>,
}

/// What was found on the master cluster.
#[derive(Debug, Default)]
pub struct Master {
    /// UIDs of objects that live as long as the installation: its configuration's and its `kube-system`'s.
    pub installation_uids: BTreeSet<String>,
    /// Kubernetes version.
    pub version: Option<String>,
    /// KKP's configuration; exactly one is expected.
    pub configurations: Vec<Object<Configuration>>,
    /// Seeds.
    pub seeds: Vec<Object<Seed>>,
    /// Projects.
    pub projects: Vec<Object<Project>>,
    /// Users.
    pub users: Vec<Object<User>>,
    /// SSH keys.
    pub ssh_keys: Vec<Object<SshKey>>,
    /// Nodes.
    pub nodes: Vec<Object<Node>>,
}

/// What was found on a seed cluster.
#[derive(Debug, Default)]
pub struct SeedCluster {
    /// Kubernetes version.
    pub version: Option<String>,
    /// User clusters.
    pub clusters: Vec<Object<Cluster>>,
    /// Nodes.
    pub nodes: Vec<Object<Node>>,
}

/// What was found on a user cluster.
#[derive(Debug, Default)]
pub struct UserCluster {
    /// Machine deployments.
    pub machine_deployments: Vec<Object<MachineDeployment>>,
    /// Nodes.
    pub nodes: Vec<Object<Node>>,
}

/// Something that a source could not find out, with the name that it concerns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Where.
    pub step: Step,
    /// Why.
    pub category: Category,
    /// What it concerns.
    pub concerns: Option<(NameType, String)>,
}

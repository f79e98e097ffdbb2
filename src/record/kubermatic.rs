//! The record kind `kubermatic`, version v1: one KKP installation at one time.

use super::canonical::{CanonicalError, RecordWriter};
use super::catalogue::{Privacy, catalogued};
use super::problem::Problem;
use super::values::{self, Choice, Country, Location, Region, Release};
use super::{Pseudonym, Row};

/// The kind's name.
pub const KIND: &str = "kubermatic";
/// The version of its schema.
pub const VERSION: &str = "v1";
/// What the kind is for.
pub const ABOUT: &str =
    "A KKP installation: its seeds, user clusters, users, projects, SSH keys and machine deployments.";

catalogued! {
    /// An installation at one time.
    pub struct Record {
        /// The record kind.
        "kind" kind: &'static str => Privacy::Constant(KIND),
        /// The version of the record's schema.
        "version" version: &'static str => Privacy::Constant(VERSION),
        /// When the record was made.
        "time" time: String => Privacy::Time,
        /// Whether everything could be read; if not, `problems` says what is missing.
        "complete" complete: bool => Privacy::Flag,
        /// What could not be read, without names.
        "problems" problems: Vec<Problem> => Privacy::Rows(Problem::FIELDS),
        /// Kubernetes version of the master cluster.
        "kubernetesVersion" kubernetes_version: Option<Release> => Privacy::Release,
        /// KKP's edition.
        "kubermaticEdition" kubermatic_edition: Option<Choice> => Privacy::Choice(values::EDITIONS),
        /// KKP's version.
        "kubermaticVersion" kubermatic_version: Option<Release> => Privacy::Release,
        /// The seeds, also one that is being deleted.
        "seeds" seeds: Vec<Seed> => Privacy::Rows(Seed::FIELDS),
        /// The user clusters of all seeds; those being deleted have the phase `Terminating`.
        "clusters" clusters: Vec<Cluster> => Privacy::Rows(Cluster::FIELDS),
        /// The users, without those being deleted.
        "users" users: Vec<User> => Privacy::Rows(User::FIELDS),
        /// The projects, without those being deleted.
        "projects" projects: Vec<Project> => Privacy::Rows(Project::FIELDS),
        /// The SSH keys, without those being deleted.
        "sshKeys" ssh_keys: Vec<SshKey> => Privacy::Rows(SshKey::FIELDS),
        /// The machine deployments of the user clusters that were looked at, without those being deleted.
        "machineDeployments" machine_deployments: Vec<MachineDeployment> => Privacy::Rows(MachineDeployment::FIELDS),
        /// For which names the site left something out; absent where nothing was.
        "withheld" withheld: Option<Vec<String>> => Privacy::Names,
    }
}

catalogued! {
    /// A seed.
    pub struct Seed {
        /// The seed.
        "uuid" uuid: Pseudonym => Privacy::Pseudonym("seed"),
        /// Where it is.
        "country" country: Option<Country> => Privacy::Country,
        /// Where it is, in the operator's words.
        "location" location: Option<Location> => Privacy::Location,
        /// How its user clusters are exposed by default.
        "exposeStrategy" expose_strategy: Option<Choice> => Privacy::Choice(values::EXPOSE_STRATEGIES),
        /// Kubernetes version of the seed cluster.
        "kubernetesVersion" kubernetes_version: Option<Release> => Privacy::Release,
        /// Its datacenters.
        "datacenters" datacenters: Vec<Datacenter> => Privacy::Rows(Datacenter::FIELDS),
        /// Whether monitoring, logging and alerting of user clusters is installed on the seed.
        "userClusterMlaEnabled" user_cluster_mla_enabled: bool => Privacy::Flag,
    }
}

catalogued! {
    /// A datacenter of a seed.
    pub struct Datacenter {
        /// The datacenter.
        "uuid" uuid: Pseudonym => Privacy::Pseudonym("datacenter"),
        /// Where it is.
        "country" country: Option<Country> => Privacy::Country,
        /// Where it is, in the operator's words.
        "location" location: Option<Location> => Privacy::Location,
        /// Its cloud provider; absent where it is ambiguous or unknown.
        "provider" provider: Option<Choice> => Privacy::Choice(values::PROVIDERS),
        /// The provider's region.
        "region" region: Option<Region> => Privacy::Region,
    }
}

catalogued! {
    /// A user cluster.
    pub struct Cluster {
        /// The cluster.
        "uuid" uuid: Pseudonym => Privacy::Pseudonym("cluster"),
        /// The seed that runs its control plane.
        "seedUUID" seed_uuid: Pseudonym => Privacy::Pseudonym("seed"),
        /// The project that it belongs to.
        "projectUUID" project_uuid: Option<Pseudonym> => Privacy::Pseudonym("project"),
        /// How its API server is exposed.
        "exposeStrategy" expose_strategy: Option<Choice> => Privacy::Choice(values::EXPOSE_STRATEGIES),
        /// Members of its etcd ring.
        "etcdClusterSize" etcd_cluster_size: u32 => Privacy::Number,
        /// Kubernetes version that is wanted for its control plane.
        "kubernetesServerVersion" kubernetes_server_version: Option<Release> => Privacy::Release,
        /// KKP version that reconciled it last.
        "kubermaticVersion" kubermatic_version: Option<Release> => Privacy::Release,
        /// Container runtime of its nodes.
        "containerRuntime" container_runtime: Option<Choice> => Privacy::Choice(values::CONTAINER_RUNTIMES),
        /// Where its nodes run.
        "cloud" cloud: Cloud => Privacy::Object(Cloud::FIELDS),
        /// Whether the OPA integration is on.
        "opaIntegrationEnabled" opa_integration_enabled: bool => Privacy::Flag,
        /// Monitoring and logging.
        "mla" mla: Mla => Privacy::Object(Mla::FIELDS),
        /// Whether the agent that distributes SSH keys is on.
        "enableUserSSHKeyAgent" enable_user_ssh_key_agent: bool => Privacy::Flag,
        /// Its network plug-in.
        "cniPlugin" cni_plugin: Option<CniPlugin> => Privacy::Object(CniPlugin::FIELDS),
        /// Its network.
        "clusterNetwork" cluster_network: ClusterNetwork => Privacy::Object(ClusterNetwork::FIELDS),
        /// Where it is in its life.
        "phase" phase: Option<Choice> => Privacy::Choice(values::PHASES),
    }
}

catalogued! {
    /// Where a cluster's nodes run.
    pub struct Cloud {
        /// The cloud provider; absent where it is ambiguous or unknown.
        "provider" provider: Option<Choice> => Privacy::Choice(values::PROVIDERS),
        /// The datacenter.
        "dcUUID" dc_uuid: Option<Pseudonym> => Privacy::Pseudonym("datacenter"),
    }
}

catalogued! {
    /// Monitoring and logging of a cluster.
    pub struct Mla {
        /// Whether its metrics are collected.
        "monitoringEnabled" monitoring_enabled: bool => Privacy::Flag,
        /// Whether its logs are collected.
        "loggingEnabled" logging_enabled: bool => Privacy::Flag,
    }
}

catalogued! {
    /// A cluster's network plug-in.
    pub struct CniPlugin {
        /// Which one.
        "type" kind: Option<Choice> => Privacy::Choice(values::CNI_PLUGINS),
        /// Its version.
        "version" version: Option<Release> => Privacy::Release,
    }
}

catalogued! {
    /// A cluster's network.
    pub struct ClusterNetwork {
        /// The address families.
        "ipFamily" ip_family: Option<Choice> => Privacy::Choice(values::IP_FAMILIES),
        /// Whether the control plane reaches nodes through Konnectivity.
        "konnectivityEnabled" konnectivity_enabled: bool => Privacy::Flag,
    }
}

catalogued! {
    /// A user of KKP.
    pub struct User {
        /// The user.
        "uuid" uuid: Pseudonym => Privacy::Pseudonym("user"),
        /// Whether they administrate KKP.
        "isAdmin" is_admin: bool => Privacy::Flag,
        /// Whether it is a service account and not a person.
        "isServiceAccount" is_service_account: bool => Privacy::Flag,
    }
}

catalogued! {
    /// A project.
    pub struct Project {
        /// The project.
        "uuid" uuid: Pseudonym => Privacy::Pseudonym("project"),
    }
}

catalogued! {
    /// An SSH key.
    pub struct SshKey {
        /// The key.
        "uuid" uuid: Pseudonym => Privacy::Pseudonym("sshKey"),
        /// The projects that own it: one, in every KKP of today.
        "ownerProjectUUID" owner_project_uuid: Vec<Pseudonym> => Privacy::Pseudonyms("project"),
        /// The clusters that it is installed on.
        "clusterUUIDs" cluster_uuids: Vec<Pseudonym> => Privacy::Pseudonyms("cluster"),
    }
}

catalogued! {
    /// A machine deployment of a user cluster.
    pub struct MachineDeployment {
        /// The machine deployment.
        "uuid" uuid: Pseudonym => Privacy::Pseudonym("machineDeployment"),
        /// The user cluster that it belongs to.
        "clusterUUID" cluster_uuid: Pseudonym => Privacy::Pseudonym("cluster"),
        /// Operating system of its machines.
        "os" os: Option<Choice> => Privacy::Choice(values::MACHINE_SYSTEMS),
        /// Kubelet version of its machines.
        "kubeletVersion" kubelet_version: Option<Release> => Privacy::Release,
        /// How many machines it asks for.
        "numberOfReplicas" number_of_replicas: u32 => Privacy::Number,
        /// Cloud provider of its machines, by KKP's name.
        "provider" provider: Option<Choice> => Privacy::Choice(values::MACHINE_PROVIDERS),
    }
}

impl Record {
    /// The record's canonical bytes. Rows are unique, as collectors make them.
    ///
    /// # Errors
    /// None that can be met: nothing in a record is beyond canonical JSON.
    pub fn into_canonical(self) -> Result<Vec<u8>, CanonicalError> {
        let mut writer = RecordWriter::default();
        writer.rows("clusters", self.clusters)?;
        writer.member("complete", &self.complete)?;
        writer.member("kind", &self.kind)?;
        writer.optional("kubermaticEdition", self.kubermatic_edition.as_ref())?;
        writer.optional("kubermaticVersion", self.kubermatic_version.as_ref())?;
        writer.optional("kubernetesVersion", self.kubernetes_version.as_ref())?;
        writer.rows("machineDeployments", self.machine_deployments)?;
        writer.member("problems", &self.problems)?;
        writer.rows("projects", self.projects)?;
        writer.rows("seeds", self.seeds)?;
        writer.rows("sshKeys", self.ssh_keys)?;
        writer.member("time", &self.time)?;
        writer.rows("users", self.users)?;
        writer.member("version", &self.version)?;
        writer.optional("withheld", self.withheld.as_ref())?;
        Ok(writer.finish())
    }
}

macro_rules! row {
    ($($type:ty),+) => {
        $(impl Row for $type {
            fn key(&self) -> Pseudonym {
                self.uuid
            }
        })+
    };
}
row!(Seed, Cluster, User, Project, SshKey, MachineDeployment);

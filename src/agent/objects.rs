//! The fields of KKP's and Kubernetes' objects that records need; everything is optional, everything else is unknown.
//!
//! Paths and meanings are those of KKP 2.19 to 2.31 (`sdk/apis/kubermatic/v1`), machine-controller
//! (`sdk/apis/cluster/v1alpha1`) and Kubernetes v1. An object whose fields have other types than its kind prescribes
//! is malformed and costs only itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::pseudonym::NameType;
use crate::record::problem::Step;

/// An object: its metadata, and its fields unless it is malformed.
#[derive(Debug, Clone)]
pub struct Object<T> {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`, empty where there is none.
    pub namespace: String,
    /// `metadata.uid`.
    pub uid: Option<String>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// The label `project-id` (`sdk/apis/kubermatic/v1/cluster.go`, `ProjectIDLabelKey`).
    pub project: Option<String>,
    /// The names of the projects in `metadata.ownerReferences`.
    pub owner_projects: Vec<String>,
    /// The object's fields; `None` where they have other types than the kind prescribes.
    pub fields: Option<T>,
}

/// An object of a kind that records need.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the kinds")]
pub enum Parsed {
    Configuration(Object<Configuration>),
    Seed(Object<Seed>),
    Cluster(Object<Cluster>),
    Project(Object<Project>),
    User(Object<User>),
    SshKey(Object<SshKey>),
    MachineDeployment(Object<MachineDeployment>),
    Node(Object<Node>),
    /// The namespace `kube-system`, whose UID stands for the cluster.
    KubeSystem(Option<String>),
    /// An object of an API group that KKP used before 2.19.
    Legacy {
        step: Step,
        concerns: Option<(NameType, String)>,
    },
    /// What `kubectl version -o json` prints.
    Version(Option<String>),
    /// A kind that records do not need.
    Other,
}

/// An object of a needed kind without a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nameless(pub &'static str);

const KKP: &str = "kubermatic.k8c.io/v1";

impl Parsed {
    /// Takes a pruned object apart.
    pub(super) fn from_value(value: Value) -> Result<Self, Nameless> {
        let kind = value["kind"].as_str().unwrap_or_default().to_owned();
        let version = value["apiVersion"].as_str().unwrap_or_default().to_owned();
        if version.starts_with("kubermatic.k8s.io/") || version.starts_with("operator.kubermatic.io/") {
            return Ok(legacy(&kind, &value));
        }
        Ok(match (version.as_str(), kind.as_str()) {
            (KKP, "KubermaticConfiguration") => Self::Configuration(object(value, "KubermaticConfiguration")?),
            (KKP, "Seed") => Self::Seed(object(value, "Seed")?),
            (KKP, "Cluster") => Self::Cluster(object(value, "Cluster")?),
            (KKP, "Project") => Self::Project(object(value, "Project")?),
            (KKP, "User") => Self::User(object(value, "User")?),
            (KKP, "UserSSHKey") => Self::SshKey(object(value, "UserSSHKey")?),
            ("cluster.k8s.io/v1alpha1", "MachineDeployment") => {
                Self::MachineDeployment(object(value, "MachineDeployment")?)
            }
            ("v1", "Node") => Self::Node(object(value, "Node")?),
            ("v1", "Namespace") if value["metadata"]["name"] == "kube-system" => {
                Self::KubeSystem(uid(&value["metadata"]))
            }
            ("", "") if value.get("serverVersion").is_some() => {
                Self::Version(value["serverVersion"]["gitVersion"].as_str().map(str::to_owned))
            }
            _ => Self::Other,
        })
    }
}

impl Parsed {
    /// UID and name, by which an object that was exported twice is known; nothing where it has no UID.
    pub(super) fn identity(&self) -> Option<(String, String)> {
        fn of<T>(object: &Object<T>) -> Option<(String, String)> {
            Some((object.uid.clone()?, object.name.clone()))
        }
        match self {
            Self::Configuration(object) => of(object),
            Self::Seed(object) => of(object),
            Self::Cluster(object) => of(object),
            Self::Project(object) => of(object),
            Self::User(object) => of(object),
            Self::SshKey(object) => of(object),
            Self::MachineDeployment(object) => of(object),
            Self::Node(object) => of(object),
            Self::KubeSystem(_) | Self::Legacy { .. } | Self::Version(_) | Self::Other => None,
        }
    }
}

fn uid(metadata: &Value) -> Option<String> {
    metadata["uid"].as_str().filter(|uid| !uid.is_empty()).map(str::to_owned)
}

fn legacy(kind: &str, value: &Value) -> Parsed {
    let (step, name_type) = match kind {
        "KubermaticConfiguration" => (Step::Configuration, None),
        "Seed" => (Step::Seeds, Some(NameType::Seed)),
        "Cluster" => (Step::Clusters, Some(NameType::Cluster)),
        "Project" => (Step::Projects, Some(NameType::Project)),
        "User" => (Step::Users, Some(NameType::User)),
        "UserSSHKey" => (Step::SshKeys, Some(NameType::SshKey)),
        _ => return Parsed::Other,
    };
    let name = value["metadata"]["name"].as_str();
    Parsed::Legacy { step, concerns: name_type.zip(name.map(str::to_owned)) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    labels: Option<Labels>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(rename = "project-id")]
    project: Option<String>,
}

#[derive(Deserialize)]
struct Owner {
    kind: Option<String>,
    name: Option<String>,
}

fn object<T: DeserializeOwned>(mut value: Value, kind: &'static str) -> Result<Object<T>, Nameless> {
    let name = value["metadata"]["name"].as_str().filter(|name| !name.is_empty());
    let name = name.ok_or(Nameless(kind))?.to_owned();
    let metadata = value["metadata"].take();
    let mut object = Object {
        name,
        namespace: metadata["namespace"].as_str().unwrap_or_default().to_owned(),
        uid: uid(&metadata),
        deleting: metadata["deletionTimestamp"].is_string(),
        project: None,
        owner_projects: Vec::new(),
        fields: None,
    };
    if let Ok(metadata) = serde_json::from_value::<Metadata>(metadata) {
        object.project = metadata.labels.and_then(|labels| labels.project).filter(|project| !project.is_empty());
        let owners = metadata.owner_references.into_iter().flatten();
        let projects = owners.filter(|owner| owner.kind.as_deref() == Some("Project"));
        object.owner_projects = projects.filter_map(|owner| owner.name).filter(|name| !name.is_empty()).collect();
        object.fields = serde_json::from_value(value).ok();
    }
    Ok(object)
}

/// `KubermaticConfiguration` (`configuration.go`).
#[derive(Debug, Clone, Default, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Configuration {
    #[serde(default)]
    pub spec: Option<ConfigurationSpec>,
    #[serde(default)]
    pub status: Option<ConfigurationStatus>,
}

/// `KubermaticConfiguration.spec`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct ConfigurationSpec {
    pub expose_strategy: Option<String>,
}

/// `KubermaticConfiguration.status`, since 2.21.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct ConfigurationStatus {
    pub kubermatic_edition: Option<String>,
    pub kubermatic_version: Option<String>,
}

/// `Seed` (`datacenter.go`).
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Seed {
    pub spec: SeedSpec,
    #[serde(default)]
    pub status: Option<SeedStatus>,
}

/// `Seed.spec`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct SeedSpec {
    pub country: Option<String>,
    pub location: Option<String>,
    pub expose_strategy: Option<String>,
    pub mla: Option<SeedMla>,
    /// Taken apart one by one, so that a broken one costs only itself.
    pub datacenters: Option<BTreeMap<String, Value>>,
}

/// `Seed.spec.mla`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct SeedMla {
    #[serde(rename = "userClusterMLAEnabled")]
    pub user_cluster_mla_enabled: Option<bool>,
}

/// `Seed.status`, since 2.21.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct SeedStatus {
    pub versions: Option<SeedVersions>,
}

/// `Seed.status.versions`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct SeedVersions {
    pub cluster: Option<String>,
}

/// `Seed.spec.datacenters[]`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Datacenter {
    pub country: Option<String>,
    pub location: Option<String>,
    /// The provider union, by provider key; null where a key has no value.
    pub spec: BTreeMap<String, Option<DatacenterProvider>>,
}

/// What says the region in a datacenter's provider object; which field depends on the provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct DatacenterProvider {
    pub region: Option<String>,
    pub location: Option<String>,
    pub datacenter: Option<String>,
    #[serde(rename = "locationID")]
    pub location_id: Option<String>,
    pub metro: Option<String>,
}

/// `Cluster` (`cluster.go`).
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Cluster {
    pub spec: ClusterSpec,
    #[serde(default)]
    pub status: Option<ClusterStatus>,
}

/// `Cluster.spec`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct ClusterSpec {
    pub expose_strategy: Option<String>,
    pub version: Option<String>,
    pub container_runtime: Option<String>,
    pub components_override: Option<ComponentsOverride>,
    pub features: Option<Features>,
    pub cloud: Option<Cloud>,
    pub opa_integration: Option<Switch>,
    pub mla: Option<Mla>,
    #[serde(rename = "enableUserSSHKeyAgent")]
    pub enable_user_ssh_key_agent: Option<bool>,
    pub cni_plugin: Option<CniPlugin>,
    pub cluster_network: Option<ClusterNetwork>,
}

/// `Cluster.spec.componentsOverride`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct ComponentsOverride {
    pub etcd: Option<Etcd>,
}

/// `Cluster.spec.componentsOverride.etcd`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Etcd {
    pub cluster_size: Option<i64>,
}

/// `Cluster.spec.features`, of which one matters.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Features {
    pub etcd_launcher: Option<bool>,
}

/// `Cluster.spec.cloud`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Cloud {
    pub dc: Option<String>,
    pub provider_name: Option<String>,
    /// The provider union, by provider key; null where a key has no value.
    #[serde(flatten)]
    pub providers: BTreeMap<String, Option<Empty>>,
}

/// An object of which only the presence matters.
#[derive(Debug, Clone, Deserialize)]
pub struct Empty {}

/// Something that is on or off.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Switch {
    pub enabled: Option<bool>,
}

/// `Cluster.spec.mla`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Mla {
    pub monitoring_enabled: Option<bool>,
    pub logging_enabled: Option<bool>,
}

/// `Cluster.spec.cniPlugin`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct CniPlugin {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub version: Option<String>,
}

/// `Cluster.spec.clusterNetwork`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct ClusterNetwork {
    pub ip_family: Option<String>,
    pub konnectivity_enabled: Option<bool>,
    pub pods: Option<Pods>,
}

/// `Cluster.spec.clusterNetwork.pods`, of which the number of blocks matters.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Pods {
    pub cidr_blocks: Option<u64>,
}

/// `Cluster.status`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct ClusterStatus {
    pub phase: Option<String>,
    pub conditions: Option<Conditions>,
}

/// `Cluster.status.conditions`, of which one says which KKP reconciled the cluster last.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Conditions {
    #[serde(rename = "ClusterControllerReconciledSuccessfully")]
    pub reconciled: Option<Condition>,
}

/// A condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Condition {
    pub kubermatic_version: Option<String>,
}

/// `Project`, of which the metadata is enough.
#[derive(Debug, Clone, Deserialize)]
pub struct Project {}

/// `User` (`user.go`).
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct User {
    pub spec: UserSpec,
}

/// `User.spec`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct UserSpec {
    pub admin: Option<bool>,
    /// Only service accounts have one.
    pub project: Option<String>,
}

/// `UserSSHKey` (`sshkeys.go`).
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct SshKey {
    pub spec: SshKeySpec,
}

/// `UserSSHKey.spec`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct SshKeySpec {
    /// Since 2.21; before, only the owner references say it.
    pub project: Option<String>,
    pub clusters: Option<Vec<String>>,
}

/// `MachineDeployment` (machine-controller, `machinedeployment_types.go`).
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct MachineDeployment {
    pub spec: MachineDeploymentSpec,
}

/// `MachineDeployment.spec`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct MachineDeploymentSpec {
    pub replicas: Option<u32>,
    pub template: MachineTemplate,
}

/// `MachineDeployment.spec.template`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct MachineTemplate {
    pub spec: MachineSpec,
}

/// `MachineDeployment.spec.template.spec`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct MachineSpec {
    pub provider_spec: Option<ProviderSpec>,
    pub versions: Option<MachineVersions>,
}

/// `providerSpec` (machine-controller, `providerconfig/types.go`).
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct ProviderSpec {
    pub value: Option<ProviderValue>,
}

/// `providerSpec.value`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct ProviderValue {
    pub cloud_provider: Option<String>,
    pub operating_system: Option<String>,
}

/// `versions` of a machine.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct MachineVersions {
    pub kubelet: Option<String>,
}

/// `Node`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct Node {
    #[serde(default)]
    pub spec: Option<NodeSpec>,
    #[serde(default)]
    pub status: Option<NodeStatus>,
}

/// `Node.spec`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named like the fields")]
pub struct NodeSpec {
    #[serde(rename = "providerID")]
    pub provider_id: Option<String>,
}

/// `Node.status`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct NodeStatus {
    pub node_info: Option<NodeInfo>,
    pub capacity: Option<BTreeMap<String, Value>>,
}

/// `Node.status.nodeInfo`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct NodeInfo {
    pub operating_system: Option<String>,
    pub os_image: Option<String>,
    pub kernel_version: Option<String>,
    pub architecture: Option<String>,
    pub container_runtime_version: Option<String>,
    pub kubelet_version: Option<String>,
}

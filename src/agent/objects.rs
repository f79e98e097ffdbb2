//! The fields of KKP's and Kubernetes' objects that records need; everything is optional, everything else is unknown.
//!
//! Paths and meanings are those of KKP 2.19 to 2.31 (`sdk/apis/kubermatic/v1`), machine-controller
//! (`sdk/apis/cluster/v1alpha1`) and Kubernetes v1. An object whose fields have other types than its kind prescribes
//! is malformed and costs only itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

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
    /// Where the seed's kubeconfig is.
    pub kubeconfig: Option<SecretReference>,
    /// Taken apart one by one, so that a broken one costs only itself.
    pub datacenters: Option<BTreeMap<String, Value>>,
}

/// `Seed.spec.kubeconfig` (core `ObjectReference`), as far as KKP looks at it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct SecretReference {
    pub namespace: Option<String>,
    pub name: Option<String>,
    /// The key of the Secret's `data`.
    pub field_path: Option<String>,
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
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named like the fields")]
pub struct ClusterStatus {
    pub phase: Option<String>,
    pub conditions: Option<Conditions>,
    /// Where the cluster's control plane and its kubeconfigs are; empty while it is being made or deleted.
    pub namespace_name: Option<String>,
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

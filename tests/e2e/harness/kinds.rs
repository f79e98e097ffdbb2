//! Where objects of each kind lie on an API server.

use serde_json::Value;

/// A kind of object that tests create.
pub struct Kind {
    api_version: &'static str,
    name: &'static str,
    pub plural: &'static str,
    pub namespaced: bool,
    /// Whether its status is written by a request of its own.
    pub status: bool,
}

const fn kind(
    api_version: &'static str,
    name: &'static str,
    plural: &'static str,
    namespaced: bool,
    status: bool,
) -> Kind {
    Kind { api_version, name, plural, namespaced, status }
}

/// The namespace of Seeds and of the configuration.
pub const NAMESPACE: &str = "kubermatic";

const KKP: &str = "kubermatic.k8c.io/v1";
const RBAC: &str = "rbac.authorization.k8s.io/v1";

pub const CONFIGURATIONS: Kind = kind(KKP, "KubermaticConfiguration", "kubermaticconfigurations", true, true);
pub const SEEDS: Kind = kind(KKP, "Seed", "seeds", true, true);
pub const PROJECTS: Kind = kind(KKP, "Project", "projects", false, true);
pub const USERS: Kind = kind(KKP, "User", "users", false, true);
pub const KEYS: Kind = kind(KKP, "UserSSHKey", "usersshkeys", false, false);
pub const CLUSTERS: Kind = kind(KKP, "Cluster", "clusters", false, true);
pub const MACHINES: Kind = kind("cluster.k8s.io/v1alpha1", "MachineDeployment", "machinedeployments", true, true);
pub const NODES: Kind = kind("v1", "Node", "nodes", false, true);

/// The kinds that an installation consists of.
pub const OF_INSTALLATIONS: &[Kind] = &[CONFIGURATIONS, SEEDS, PROJECTS, USERS, KEYS, CLUSTERS, MACHINES, NODES];

const OTHERS: &[Kind] = &[
    kind("v1", "Namespace", "namespaces", false, false),
    kind("v1", "Secret", "secrets", true, false),
    kind("v1", "ServiceAccount", "serviceaccounts", true, false),
    kind(RBAC, "ClusterRole", "clusterroles", false, false),
    kind(RBAC, "ClusterRoleBinding", "clusterrolebindings", false, false),
    kind(RBAC, "Role", "roles", true, false),
    kind(RBAC, "RoleBinding", "rolebindings", true, false),
    kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", false, false),
    kind("v1", "ConfigMap", "configmaps", true, false),
    kind("v1", "PersistentVolume", "persistentvolumes", false, true),
    kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims", true, true),
    kind("v1", "Pod", "pods", true, true),
    kind("batch/v1", "CronJob", "cronjobs", true, true),
    kind("apps/v1", "Deployment", "deployments", true, true),
    kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", true, false),
    kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules", true, false),
];

impl Kind {
    /// The kind of an object, if it is one of those above.
    pub fn of(object: &Value) -> Option<&'static Self> {
        let all = OF_INSTALLATIONS.iter().chain(OTHERS);
        all.into_iter().find(|it| object["kind"] == it.name && object["apiVersion"] == it.api_version)
    }

    /// Whether installations consist of it.
    pub fn is_of_installations(&self) -> bool {
        OF_INSTALLATIONS.iter().any(|it| it.plural == self.plural)
    }

    /// The name of its definition.
    pub fn definition(&self) -> String {
        format!("{}.{}", self.plural, self.api_version.split_once('/').map_or("", |(group, _)| group))
    }

    /// Whether an object is its definition.
    pub fn is_defined_by(&self, object: &Value) -> bool {
        object["kind"] == "CustomResourceDefinition" && object["metadata"]["name"] == self.definition()
    }

    /// Where its group and version is described.
    pub fn group(&self) -> String {
        let prefix = if self.api_version == "v1" { "/api" } else { "/apis" };
        format!("{prefix}/{}", self.api_version)
    }

    /// Where all objects of the kind are listed, over all namespaces.
    pub fn list(&self) -> String {
        format!("{}/{}", self.group(), self.plural)
    }

    /// Where an object is created.
    pub fn collection(&self, object: &Value) -> String {
        if !self.namespaced {
            return self.list();
        }
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        format!("{}/namespaces/{namespace}/{}", self.group(), self.plural)
    }

    /// Where an object lies.
    pub fn path(&self, object: &Value) -> String {
        format!("{}/{}", self.collection(object), object["metadata"]["name"].as_str().unwrap())
    }
}

//! The lists that are read, by their paths.

/// A list at cluster scope.
#[derive(Debug)]
pub(super) struct Resource {
    /// The path of its requests.
    pub path: &'static str,
    /// What is attempted, as permissions name it: verb, plural, and group after a dot.
    pub name: &'static str,
    /// Whether names and labels are enough.
    pub metadata_only: bool,
    /// Whether there is nothing to be missed where it is not installed.
    pub optional: bool,
}

macro_rules! kkp {
    ($plural:literal) => {
        Resource {
            path: concat!("/apis/kubermatic.k8c.io/v1/", $plural),
            name: concat!("list ", $plural, ".kubermatic.k8c.io"),
            metadata_only: false,
            optional: false,
        }
    };
}

pub(super) const CONFIGURATIONS: Resource = kkp!("kubermaticconfigurations");
pub(super) const SEEDS: Resource = kkp!("seeds");
pub(super) const PROJECTS: Resource = Resource { metadata_only: true, ..kkp!("projects") };
pub(super) const USERS: Resource = kkp!("users");
/// Their owners are in the metadata, but only a while after they were made, and their clusters never are.
pub(super) const SSH_KEYS: Resource = kkp!("usersshkeys");
pub(super) const CLUSTERS: Resource = kkp!("clusters");
pub(super) const NODES: Resource =
    Resource { path: "/api/v1/nodes", name: "list nodes", metadata_only: false, optional: false };
pub(super) const MACHINE_DEPLOYMENTS: Resource = Resource {
    path: "/apis/cluster.k8s.io/v1alpha1/machinedeployments",
    name: "list machinedeployments.cluster.k8s.io",
    metadata_only: false,
    // Clusters whose machines KKP does not make have no machine-controller.
    optional: true,
};

/// The group and version of KKP since 2.19.
pub(super) const KKP: &str = "/apis/kubermatic.k8c.io/v1";
/// The group and version of KKP before it.
pub(super) const LEGACY_KKP: &str = "/apis/kubermatic.k8s.io/v1";
/// The namespace whose UID stands for a cluster.
pub(super) const KUBE_SYSTEM: &str = "/api/v1/namespaces/kube-system";
/// The server's version.
pub(super) const VERSION: &str = "/version";

//! The fields of objects that records need: an allow-list of paths, and the names of fields that hold credentials.

/// What to keep of a value.
#[derive(Clone, Copy)]
pub(super) enum Keep {
    /// A string, number or boolean.
    Scalar,
    /// A list of strings.
    Strings,
    /// How many elements a list has.
    Count,
    /// Whether an object is there, not what is in it.
    Presence,
    /// These members of an object.
    Members(&'static [(&'static str, Keep)]),
    /// Every member of an object, each alike.
    Each(&'static Keep),
    /// Every element of a list, each alike.
    List(&'static Keep),
}

use Keep::{Count, Each, List, Members, Presence, Scalar, Strings};

const REGION: Keep = Members(&[
    ("datacenter", Scalar),
    ("location", Scalar),
    ("locationID", Scalar),
    ("metro", Scalar),
    ("region", Scalar),
]);

/// The provider keys of `DatacenterSpec` and `CloudSpec` (KKP `sdk/apis/kubermatic/v1/datacenter.go`, `cluster.go`).
macro_rules! providers {
    ($keep:expr $(, $more:expr)*) => {
        Members(&[
            ("alibaba", $keep), ("anexia", $keep), ("aws", $keep), ("azure", $keep), ("baremetal", $keep),
            ("bringyourown", $keep), ("digitalocean", $keep), ("edge", $keep), ("fake", $keep), ("gcp", $keep),
            ("hetzner", $keep), ("kubevirt", $keep), ("nutanix", $keep), ("openstack", $keep), ("packet", $keep),
            ("vmwareclouddirector", $keep), ("vsphere", $keep) $(, $more)*
        ])
    };
}

const DATACENTER: Keep = Members(&[("country", Scalar), ("location", Scalar), ("spec", providers!(REGION))]);

const METADATA: Keep = Members(&[
    ("deletionTimestamp", Scalar),
    ("labels", Members(&[("project-id", Scalar)])),
    ("name", Scalar),
    ("namespace", Scalar),
    ("ownerReferences", List(&Members(&[("kind", Scalar), ("name", Scalar)]))),
    ("uid", Scalar),
]);

const SPEC: Keep = Members(&[
    ("admin", Scalar),
    ("cloud", providers!(Presence, ("dc", Scalar), ("providerName", Scalar))),
    (
        "clusterNetwork",
        Members(&[("ipFamily", Scalar), ("konnectivityEnabled", Scalar), ("pods", Members(&[("cidrBlocks", Count)]))]),
    ),
    ("clusters", Strings),
    ("cniPlugin", Members(&[("type", Scalar), ("version", Scalar)])),
    ("componentsOverride", Members(&[("etcd", Members(&[("clusterSize", Scalar)]))])),
    ("containerRuntime", Scalar),
    ("country", Scalar),
    ("datacenters", Each(&DATACENTER)),
    ("enableUserSSHKeyAgent", Scalar),
    ("exposeStrategy", Scalar),
    ("features", Members(&[("etcdLauncher", Scalar)])),
    // A Seed's reference to a Secret.
    ("kubeconfig", Members(&[("fieldPath", Scalar), ("name", Scalar), ("namespace", Scalar)])),
    ("location", Scalar),
    ("mla", Members(&[("loggingEnabled", Scalar), ("monitoringEnabled", Scalar), ("userClusterMLAEnabled", Scalar)])),
    ("opaIntegration", Members(&[("enabled", Scalar)])),
    ("project", Scalar),
    ("providerID", Scalar),
    ("replicas", Scalar),
    (
        "template",
        Members(&[(
            "spec",
            Members(&[
                (
                    "providerSpec",
                    Members(&[("value", Members(&[("cloudProvider", Scalar), ("operatingSystem", Scalar)]))]),
                ),
                ("versions", Members(&[("kubelet", Scalar)])),
            ]),
        )]),
    ),
    ("version", Scalar),
]);

const STATUS: Keep = Members(&[
    ("capacity", Each(&Scalar)),
    ("conditions", Members(&[("ClusterControllerReconciledSuccessfully", Members(&[("kubermaticVersion", Scalar)]))])),
    ("kubermaticEdition", Scalar),
    ("kubermaticVersion", Scalar),
    ("namespaceName", Scalar),
    (
        "nodeInfo",
        Members(&[
            ("architecture", Scalar),
            ("containerRuntimeVersion", Scalar),
            ("kernelVersion", Scalar),
            ("kubeletVersion", Scalar),
            ("operatingSystem", Scalar),
            ("osImage", Scalar),
        ]),
    ),
    ("phase", Scalar),
    ("versions", Members(&[("cluster", Scalar)])),
]);

/// Everything that is kept of an object of any kind, and of `kubectl version`.
pub(super) const ROOT: Keep = Members(&[
    ("apiVersion", Scalar),
    ("data", Presence),
    ("kind", Scalar),
    ("metadata", METADATA),
    ("serverVersion", Members(&[("gitVersion", Scalar)])),
    ("spec", SPEC),
    ("status", STATUS),
    ("stringData", Presence),
]);

/// Names of fields that hold credentials when they hold a string: in KKP's objects, machine deployments, Secrets'
/// neighbours and kubeconfigs.
pub(super) const CREDENTIALS: &[&str] = &[
    "accessKeyID",
    "accessKeyId",
    "accessKeySecret",
    "adminToken",
    "apiKey",
    "apiToken",
    "applicationCredentialSecret",
    "client-key-data",
    "clientSecret",
    "imagePullSecret",
    "issuerClientSecret",
    "issuerCookieKey",
    "kubeconfig",
    "password",
    "rhelSubscriptionManagerPassword",
    "rhsmOfflineToken",
    "secretAccessKey",
    "secretKey",
    "serviceAccount",
    "serviceAccountKey",
    "token",
];

pub(super) const ROOT_MEMBERS: &[(&str, Keep)] = match ROOT {
    Members(members) => members,
    _ => &[],
};

//! The objects of the installation. Each is made from its number alone, so that they can be written one at a time.

use crate::Options;
use crate::random::Random;
use crate::value::{Value, list, map};

/// A cloud provider, as far as datacenters and machines tell them apart.
struct Provider {
    /// What KKP calls it.
    name: &'static str,
    /// What machine-controller calls it.
    machines: &'static str,
    /// The fields of its datacenters.
    datacenter: &'static [(&'static str, &'static str)],
}

const PROVIDERS: &[Provider] = &[
    Provider { name: "aws", machines: "aws", datacenter: &[("region", "eu-central-1")] },
    Provider { name: "azure", machines: "azure", datacenter: &[("location", "westeurope")] },
    Provider {
        name: "vsphere",
        machines: "vsphere",
        datacenter: &[("datacenter", "hall-7"), ("cluster", "compute-a")],
    },
    Provider {
        name: "openstack",
        machines: "openstack",
        datacenter: &[("region", "one"), ("availabilityZone", "az-2")],
    },
    Provider { name: "gcp", machines: "gce", datacenter: &[("region", "europe-west3")] },
    Provider { name: "hetzner", machines: "hetzner", datacenter: &[("datacenter", "fsn1-dc14"), ("network", "kkp")] },
    Provider { name: "kubevirt", machines: "kubevirt", datacenter: &[] },
    Provider { name: "digitalocean", machines: "digitalocean", datacenter: &[("region", "fra1")] },
    Provider { name: "nutanix", machines: "nutanix", datacenter: &[("endpoint", "prism.example.invalid")] },
    Provider {
        name: "vmwareclouddirector",
        machines: "vmware-cloud-director",
        datacenter: &[("url", "https://vcd.example.invalid"), ("catalog", "kkp")],
    },
];

const DATACENTERS_PER_SEED: u64 = 4;
const KKP_VERSIONS: &[&str] = &["v2.29.4", "v2.30.0", "v2.30.1"];
const KUBERNETES_VERSIONS: &[&str] = &["1.30.14", "1.31.11", "1.32.4", "1.32.8", "1.33.1", "1.33.4"];
const COUNTRIES: &[&str] = &["DE", "NL", "SG", "US", "FR", "BR", "JP"];
const EXPOSE_STRATEGIES: &[&str] = &["NodePort", "LoadBalancer", "Tunneling"];
const OPERATING_SYSTEMS: &[&str] = &["ubuntu", "flatcar", "rhel", "rockylinux", "amzn2"];
const LAST_SEEN: &str = "2026-01-11T04:00:00Z";

/// Conditions of a cluster, each with the version of KKP that wrote it.
const CONDITIONS: &[&str] = &[
    "AddonControllerReconciledSuccessfully",
    "AddonInstallerControllerReconciledSuccessfully",
    "BackupControllerReconciledSuccessfully",
    "CNIControllerReconciledSuccessfully",
    "CloudControllerReconciledSuccessfully",
    "ClusterControllerReconciledSuccessfully",
    "ClusterInitialized",
    "EtcdClusterInitialized",
    "IPAMControllerReconciledSuccessfully",
    "MachineDeploymentReconciledSuccessfully",
    "MonitoringControllerReconciledSuccessfully",
    "SeedResourcesUpToDate",
    "UpdateControllerReconciledSuccessfully",
    "UpdateProgress",
];

/// Parts of a control plane whose health and version a cluster reports.
const COMPONENTS: &[&str] = &[
    "apiserver",
    "cloudProviderInfrastructure",
    "controller",
    "etcd",
    "konnectivity",
    "machineController",
    "operatingSystemManager",
    "scheduler",
    "userClusterControllerManager",
];

/// An object that may change from day to day.
struct Life {
    /// How often it has changed.
    changes: u64,
    /// How often it has been replaced by a new one.
    replaced: u64,
}

impl Life {
    /// The life of an object up to a day; about one in a hundred changes on each.
    fn up_to(day: u64, kind: &str, number: u64) -> Self {
        let happens = |day: &u64| Random::new(kind, &[number, *day]).chance(1);
        let changes = u64::try_from((1..=day).filter(happens).count()).unwrap_or(u64::MAX);
        Self { changes, replaced: changes / 4 }
    }
}

/// The name of a seed.
pub fn seed_name(seed: u64) -> String {
    format!("seed-{seed:03}")
}

/// The name that a cluster has on the day of the options.
pub fn cluster_name(options: &Options, cluster: u64) -> String {
    name_of_cluster(cluster, &Life::up_to(options.day, "cluster change", cluster))
}

fn name_of_cluster(cluster: u64, life: &Life) -> String {
    Random::new("cluster name", &[cluster, life.replaced]).name()
}

fn project_name(project: u64) -> String {
    Random::new("project name", &[project]).name()
}

fn datacenter(seed: u64, index: u64) -> (String, &'static Provider) {
    let provider = (seed + index) % u64::try_from(PROVIDERS.len()).unwrap_or(1);
    let provider = &PROVIDERS[usize::try_from(provider).unwrap_or(0)];
    (format!("{}-{seed:03}-{index}", provider.name), provider)
}

/// What `kubectl version -o json` prints.
pub fn version() -> Value {
    let side = || {
        map! {
            "buildDate" => "2025-08-13T14:37:12Z",
            "compiler" => "gc",
            "gitTreeState" => "clean",
            "gitVersion" => "v1.33.4",
            "major" => "1",
            "minor" => "33",
            "platform" => "linux/amd64",
        }
    };
    map! { "clientVersion" => side(), "kustomizeVersion" => "v5.6.0", "serverVersion" => side() }
}

/// The configuration of the installation.
pub fn configuration() -> Value {
    let mut random = Random::new("configuration", &[]);
    let mut metadata = metadata("kubermatic".to_owned(), &mut random, 7);
    metadata.set("namespace", "kubermatic");
    object(
        "kubermatic.k8c.io/v1",
        "KubermaticConfiguration",
        metadata,
        map! { "ingress" => map! { "domain" => "kkp.example.invalid" }, "userCluster" => map! { "apiserverReplicas" => 2 } },
        map! { "kubermaticEdition" => "EE", "kubermaticVersion" => "v2.30.1" },
    )
}

/// A seed with its datacenters.
pub fn seed(options: &Options, seed: u64) -> Value {
    let mut random = Random::new("seed", &[seed]);
    let mut metadata = metadata(seed_name(seed), &mut random, 12);
    metadata.set("namespace", "kubermatic");
    let country = random.pick(COUNTRIES);
    let datacenters = (0..DATACENTERS_PER_SEED).map(|index| {
        let (name, provider) = datacenter(seed, index);
        let fields: Value =
            provider.datacenter.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let location = format!("hall {index}");
        (name, map! { "country" => country, "location" => location, "spec" => map! { provider.name => fields } })
    });
    object(
        "kubermatic.k8c.io/v1",
        "Seed",
        metadata,
        map! {
            "country" => country,
            "datacenters" => datacenters.collect::<Value>(),
            "exposeStrategy" => random.pick(EXPOSE_STRATEGIES),
            "kubeconfig" => map! { "name" => format!("{}-kubeconfig", seed_name(seed)), "namespace" => "kubermatic" },
            "location" => format!("site {seed}"),
            "mla" => map! { "userClusterMLAEnabled" => random.chance(50) },
        },
        map! {
            "clusters" => options.clusters / options.seeds,
            "phase" => "Healthy",
            "versions" => map! { "cluster" => "v1.33.4", "kubermatic" => "v2.30.1" },
        },
    )
}

/// A project.
pub fn project(project: u64) -> Value {
    let mut random = Random::new("project", &[project]);
    let metadata = metadata(project_name(project), &mut random, 1);
    let spec = map! { "name" => format!("example project {project}") };
    object("kubermatic.k8c.io/v1", "Project", metadata, spec, map! { "phase" => "Active" })
}

/// A user; one in fifty is an administrator, one in twenty a service account.
pub fn user(options: &Options, user: u64) -> Value {
    let life = Life::up_to(options.day, "user change", user);
    let mut random = Random::new("user", &[user, life.replaced]);
    let admin = random.chance(2) != (life.changes % 2 == 1);
    if random.chance(5) {
        return service_account(options, &mut random);
    }
    let name = random.hex(64);
    let metadata = metadata(name, &mut random, 2 + life.changes);
    let spec = map! {
        "admin" => admin,
        "email" => format!("user-{user}-{}@example.invalid", life.replaced),
        "name" => format!("Example User {user}"),
        "settings" => map! { "itemsPerPage" => 10, "selectedTheme" => "dark" },
    };
    object("kubermatic.k8c.io/v1", "User", metadata, spec, map! { "lastSeen" => LAST_SEEN })
}

fn service_account(options: &Options, random: &mut Random) -> Value {
    let project = project_name(random.below(options.projects));
    let name = format!("serviceaccount-{}", random.name());
    let spec = map! {
        "admin" => false,
        "email" => format!("{name}@sa.example.invalid"),
        "name" => "example robot",
        "project" => project.as_str(),
    };
    let mut metadata = metadata(name, random, 1);
    metadata.set("labels", map! { "initialGroup" => format!("editors-{project}") });
    metadata.set("ownerReferences", list![owner(project)]);
    object("kubermatic.k8c.io/v1", "User", metadata, spec, map! {})
}

/// An SSH key with up to three clusters. It has no public key: that would be personal data.
pub fn ssh_key(options: &Options, key: u64) -> Value {
    let mut random = Random::new("key", &[key]);
    let project = project_name(random.below(options.projects));
    let count = if options.clusters == 0 { 0 } else { random.below(4) };
    let clusters: Value =
        (0..count).map(|_| Value::from(cluster_name(options, random.below(options.clusters)))).collect();
    let spec = map! {
        "clusters" => clusters,
        "fingerprint" => "",
        "name" => format!("example key {key}"),
        "project" => project.as_str(),
    };
    let mut metadata = metadata(format!("key-{}", random.name()), &mut random, 2);
    metadata.set("ownerReferences", list![owner(project)]);
    map! { "apiVersion" => "kubermatic.k8c.io/v1", "kind" => "UserSSHKey", "metadata" => metadata, "spec" => spec }
}

/// A cluster.
pub fn cluster(options: &Options, cluster: u64) -> Value {
    let life = Life::up_to(options.day, "cluster change", cluster);
    let mut random = Random::new("cluster", &[cluster, life.replaced]);
    let name = name_of_cluster(cluster, &life);
    let (datacenter, provider) = datacenter(cluster % options.seeds, random.below(DATACENTERS_PER_SEED));
    let step = random.below(3) + life.changes % 4;
    let version = KUBERNETES_VERSIONS[usize::try_from(step).unwrap_or(0)];
    let mut metadata = metadata(name.clone(), &mut random, 5 + life.changes);
    metadata.set("finalizers", list!["kubermatic.k8c.io/cleanup-namespace", "kubermatic.k8c.io/delete-nodes"]);
    metadata.set("labels", map! { "project-id" => project_name(random.below(options.projects)) });
    metadata.set("managedFields", managed_fields());
    let cloud = map! {
        "dc" => datacenter,
        "providerName" => provider.name,
        provider.name => map! {
            "credentialsReference" => map! { "name" => format!("credential-{}-{name}", provider.name), "namespace" => "kubermatic" },
        },
    };
    let spec = cluster_spec(&mut random, cloud, version);
    let status = cluster_status(&mut random, &name, version, life.changes);
    object("kubermatic.k8c.io/v1", "Cluster", metadata, spec, status)
}

fn cluster_spec(random: &mut Random, cloud: Value, version: &str) -> Value {
    let (cni, cni_version) =
        random.pick(&[("cilium", "1.18.1"), ("cilium", "1.17.7"), ("canal", "v3.30"), ("canal", "v3.29")]);
    let dual_stack = random.chance(10);
    let pods = if dual_stack { list!["172.25.0.0/16", "fd01::/48"] } else { list!["172.25.0.0/16"] };
    map! {
        "auditLogging" => map! {},
        "cloud" => cloud,
        "clusterNetwork" => map! {
            "dnsDomain" => "cluster.local",
            "ipFamily" => if dual_stack { "IPv4+IPv6" } else { "IPv4" },
            "konnectivityEnabled" => true,
            "nodeCidrMaskSizeIPv4" => 24,
            "nodeLocalDNSCacheEnabled" => true,
            "pods" => map! { "cidrBlocks" => pods },
            "proxyMode" => "ipvs",
            "services" => map! { "cidrBlocks" => list!["10.240.16.0/20"] },
        },
        "cniPlugin" => map! { "type" => cni, "version" => cni_version },
        "componentsOverride" => map! {
            "apiserver" => map! { "nodePortRange" => "30000-32767", "replicas" => 2 },
            "controllerManager" => map! { "leaderElection" => map! {}, "replicas" => 1 },
            "etcd" => map! { "clusterSize" => random.pick(&[3, 3, 3, 5]), "diskSize" => "5Gi" },
            "scheduler" => map! { "leaderElection" => map! {}, "replicas" => 1 },
        },
        "containerRuntime" => "containerd",
        "enableUserSSHKeyAgent" => random.chance(60),
        "exposeStrategy" => random.pick(EXPOSE_STRATEGIES),
        "features" => map! {
            "apiserverNetworkPolicy" => true,
            "etcdLauncher" => random.chance(90),
            "externalCloudProvider" => true,
        },
        "humanReadableName" => "example cluster",
        "kubernetesDashboard" => map! { "enabled" => true },
        "mla" => map! { "loggingEnabled" => random.chance(30), "monitoringEnabled" => random.chance(40) },
        "opaIntegration" => map! { "enabled" => random.chance(20), "webhookTimeoutSeconds" => 10 },
        "pause" => false,
        "version" => version,
    }
}

fn cluster_status(random: &mut Random, name: &str, version: &str, changes: u64) -> Value {
    let written_by = KKP_VERSIONS[usize::try_from(changes).unwrap_or(0).min(KKP_VERSIONS.len() - 1)];
    let conditions = CONDITIONS.iter().map(|condition| {
        let status = map! {
            "kubermaticVersion" => written_by,
            "lastHeartbeatTime" => LAST_SEEN,
            "lastTransitionTime" => random.time(),
            "status" => "True",
        };
        ((*condition).to_owned(), status)
    });
    let conditions: Value = conditions.collect();
    let each = |value: &str| COMPONENTS.iter().map(|part| ((*part).to_owned(), value.into())).collect::<Value>();
    map! {
        "address" => map! {
            "externalName" => format!("{name}.kkp.example.invalid"),
            "internalURL" => format!("apiserver-external.cluster-{name}.svc.cluster.local."),
            "ip" => format!("192.0.2.{}", random.below(250)),
            "port" => 6443,
            "url" => format!("https://{name}.kkp.example.invalid:6443"),
        },
        "conditions" => conditions,
        "extendedHealth" => each("HealthStatusUp"),
        "namespaceName" => format!("cluster-{name}"),
        "phase" => if random.chance(2) { "Updating" } else { "Running" },
        "resourceUsage" => map! { "cpu" => "12", "memory" => "48G", "storage" => "400G" },
        "versions" => map! {
            "apiserver" => version,
            "controlPlane" => version,
            "controllerManager" => version,
            "oldestNodeVersion" => version,
            "scheduler" => version,
        },
    }
}

/// What the API server notes about who wrote which field: a good part of every real object.
fn managed_fields() -> Value {
    let owned = |names: &[&str]| {
        names.iter().map(|name| (format!("f:{name}"), map! { "f:kubermaticVersion" => map! {} })).collect::<Value>()
    };
    list![map! {
        "apiVersion" => "kubermatic.k8c.io/v1",
        "fieldsType" => "FieldsV1",
        "fieldsV1" => map! {
            "f:status" => map! { "f:conditions" => owned(CONDITIONS), "f:extendedHealth" => owned(COMPONENTS) },
        },
        "manager" => "seed-controller-manager",
        "operation" => "Update",
        "subresource" => "status",
        "time" => LAST_SEEN,
    }]
}

/// A machine deployment of a cluster.
pub fn machine_deployment(options: &Options, cluster: u64, deployment: u64) -> Value {
    let life = Life::up_to(options.day, "cluster change", cluster);
    let name = format!("{}-worker-{deployment}", name_of_cluster(cluster, &life));
    // The datacenter that `cluster` drew first.
    let index = Random::new("cluster", &[cluster, life.replaced]).below(DATACENTERS_PER_SEED);
    let (_, provider) = datacenter(cluster % options.seeds, index);
    let mut random = Random::new("machine deployment", &[deployment, life.replaced]);
    let system = random.pick(OPERATING_SYSTEMS);
    let replicas = random.below(12);
    let template = map! {
        "metadata" => map! { "labels" => map! { "machine" => name.as_str() } },
        "spec" => map! {
            "metadata" => map! {},
            "providerSpec" => map! {
                "value" => map! {
                    "cloudProvider" => provider.machines,
                    "cloudProviderSpec" => map! { "diskSize" => 50, "instanceType" => "medium" },
                    "operatingSystem" => system,
                    "operatingSystemSpec" => map! { "distUpgradeOnBoot" => false },
                },
            },
            "versions" => map! { "kubelet" => random.pick(KUBERNETES_VERSIONS) },
        },
    };
    let spec = map! {
        "replicas" => replicas,
        "selector" => map! { "matchLabels" => map! { "machine" => name.as_str() } },
        "template" => template,
    };
    let mut metadata = metadata(name, &mut random, 3);
    metadata.set("namespace", "kube-system");
    let status = map! { "availableReplicas" => replicas, "readyReplicas" => replicas, "replicas" => replicas };
    object("cluster.k8s.io/v1alpha1", "MachineDeployment", metadata, spec, status)
}

/// A node of the master, a seed or a user cluster, named after it.
pub fn node(owner: &str, node: u64) -> Value {
    let mut random = Random::new(owner, &[node]);
    let name = format!("{owner}-node-{node}");
    let (image, kernel) = random.pick(&[
        ("Ubuntu 24.04.3 LTS", "6.8.0-79-generic"),
        ("Flatcar Container Linux by Kinvolk 4230.2.3 (Oklo)", "6.6.100-flatcar"),
        ("Rocky Linux 9.6 (Blue Onyx)", "5.14.0-570.32.1.el9_6.x86_64"),
    ]);
    let resources = || {
        map! { "cpu" => "8", "ephemeral-storage" => "101430960Ki", "memory" => "32864284Ki", "pods" => "110" }
    };
    let status = map! {
        "addresses" => list![map! { "address" => name.as_str(), "type" => "Hostname" }],
        "allocatable" => resources(),
        "capacity" => resources(),
        "nodeInfo" => map! {
            "architecture" => random.pick(&["amd64", "amd64", "amd64", "arm64"]),
            "bootID" => random.uuid(),
            "containerRuntimeVersion" => "containerd://2.1.4",
            "kernelVersion" => kernel,
            "kubeProxyVersion" => "",
            "kubeletVersion" => format!("v{}", random.pick(KUBERNETES_VERSIONS)),
            "machineID" => random.hex(32),
            "operatingSystem" => "linux",
            "osImage" => image,
            "systemUUID" => random.uuid(),
        },
    };
    let scheme = random.pick(&["aws", "azure", "gce", "openstack", "vsphere", "hcloud"]);
    let spec = map! { "providerID" => format!("{scheme}://{}", random.uuid()) };
    object("v1", "Node", metadata(name, &mut random, 1), spec, status)
}

fn metadata(name: String, random: &mut Random, generation: u64) -> Value {
    map! {
        "creationTimestamp" => random.time(),
        "generation" => generation,
        "name" => name,
        "resourceVersion" => (1_000_000 + random.below(90_000_000) + generation).to_string(),
        "uid" => random.uuid(),
    }
}

fn owner(project: String) -> Value {
    map! { "apiVersion" => "kubermatic.k8c.io/v1", "kind" => "Project", "name" => project }
}

fn object(api_version: &str, kind: &str, metadata: Value, spec: Value, status: Value) -> Value {
    map! { "apiVersion" => api_version, "kind" => kind, "metadata" => metadata, "spec" => spec, "status" => status }
}

//! A made-up installation as rows of a record, and what becomes of it from day to day. It knows no files.

use kubermatic_telemetry::pseudonym::{NameType, Pseudonym, Pseudonymizer, Scope};
use kubermatic_telemetry::record::kubermatic::{
    Cloud, Cluster, ClusterNetwork, CniPlugin, Datacenter, KIND, MachineDeployment, Mla, Project, Record, Seed, SshKey,
    User, VERSION,
};
use kubermatic_telemetry::record::values::{self, Choice, Country, Location, Region, Release};

use crate::random::Random;

/// How much there is of everything on the first day.
pub struct Sizes {
    /// Seeds, each with [`DATACENTERS`].
    pub seeds: u64,
    /// User clusters.
    pub clusters: u64,
    /// Projects.
    pub projects: u64,
    /// Users.
    pub users: u64,
    /// SSH keys.
    pub keys: u64,
    /// Machine deployments, spread over the clusters.
    pub machine_deployments: u64,
}

/// How many percent of the changes are deletions and creations, as many of the one as of the other. The others change
/// values: of clusters versions, phases and switches; of users whether they are administrators.
#[derive(Clone, Copy)]
pub struct Churn {
    /// Of the changes of clusters.
    pub clusters: u64,
    /// Of the changes of users.
    pub users: u64,
}

/// Providers of datacenters, with a region where the provider publishes its regions.
const PROVIDERS: &[(&str, Option<&str>)] = &[
    ("aws", Some("eu-central-1")),
    ("azure", Some("westeurope")),
    ("vsphere", None),
    ("openstack", None),
    ("gcp", Some("europe-west3")),
    ("hetzner", Some("fsn1")),
    ("kubevirt", None),
];
const DATACENTERS: u64 = 4;
const COUNTRIES: &[&str] = &["DE", "NL", "SG", "US", "FR", "BR", "JP"];
const KKP: &[&str] = &["v2.29.4", "v2.30.0", "v2.30.1"];
const KUBERNETES: &[&str] = &["1.31.11", "1.32.4", "1.32.8", "1.33.1", "1.33.4", "1.34.0"];
const CNI: &[(&str, &str)] = &[("cilium", "1.18.1"), ("cilium", "1.17.7"), ("canal", "v3.30"), ("canal", "v3.29")];
const SYSTEMS: &[&str] = &["ubuntu", "ubuntu", "ubuntu", "flatcar", "rhel", "rockylinux", "amzn2"];

/// The installation as it is on one day.
pub struct Site {
    names: Pseudonymizer,
    random: Random,
    /// How many names were given, so that none is given twice.
    named: u64,
    seeds: Vec<Seed>,
    clusters: Vec<Cluster>,
    users: Vec<User>,
    projects: Vec<Project>,
    keys: Vec<SshKey>,
    machine_deployments: Vec<MachineDeployment>,
}

/// What happens to something.
enum Change {
    Value,
    Delete,
    Create,
}

impl Site {
    /// The first day of an installation; equal sizes and numbers give equal sites.
    pub fn new(sizes: &Sizes, number: u64) -> Self {
        let mut key = [0x5a; 32];
        key[..8].copy_from_slice(&(number ^ 0x5a5a_5a5a_5a5a_5a5a).to_le_bytes());
        let places: &[u64] = if number == 0 { &[] } else { &[number] };
        let mut site = Self {
            names: Pseudonymizer::new(key),
            random: Random::new("site", places),
            named: 0,
            seeds: Vec::new(),
            clusters: Vec::new(),
            users: Vec::new(),
            projects: Vec::new(),
            keys: Vec::new(),
            machine_deployments: Vec::new(),
        };
        site.seeds = (0..sizes.seeds).map(|seed| site.seed(seed)).collect();
        site.projects = (0..sizes.projects).map(|_| Project { uuid: site.name(NameType::Project) }).collect();
        for _ in 0..sizes.clusters {
            let cluster = site.cluster();
            site.clusters.push(cluster);
        }
        for number in 0..sizes.machine_deployments {
            let cluster = number.checked_rem(sizes.clusters).and_then(|index| usize::try_from(index).ok());
            if let Some(cluster) = cluster.and_then(|index| site.clusters.get(index)).cloned() {
                let deployment = site.machine_deployment(&cluster);
                site.machine_deployments.push(deployment);
            }
        }
        site.users = (0..sizes.users).map(|_| site.user()).collect();
        for _ in 0..sizes.keys {
            let key = site.ssh_key();
            site.keys.push(key);
        }
        site
    }

    /// The record that a collector would make of it.
    pub fn record(&self, time: String) -> Record {
        Record {
            kind: KIND,
            version: VERSION,
            time,
            complete: true,
            problems: Vec::new(),
            kubernetes_version: Release::reduce("v1.33.4"),
            kubermatic_edition: Choice::among(values::EDITIONS, "EE"),
            kubermatic_version: Release::reduce("v2.30.1"),
            seeds: self.seeds.clone(),
            clusters: self.clusters.clone(),
            users: self.users.clone(),
            projects: self.projects.clone(),
            ssh_keys: self.keys.clone(),
            machine_deployments: self.machine_deployments.clone(),
            withheld: None,
        }
    }

    /// Lets a day pass: one percent of the clusters and of the users change.
    pub fn pass_a_day(&mut self, churn: Churn) {
        for _ in 0..self.clusters.len() / 100 {
            match self.change(churn.clusters) {
                Change::Value => self.change_cluster(),
                Change::Delete => self.delete_cluster(),
                Change::Create => self.create_cluster(),
            }
        }
        for _ in 0..self.users.len() / 100 {
            let user = index(&mut self.random, self.users.len());
            match self.change(churn.users) {
                Change::Value => self.users[user].is_admin = !self.users[user].is_admin,
                Change::Delete => drop(self.users.swap_remove(user)),
                Change::Create => {
                    let user = self.user();
                    self.users.push(user);
                }
            }
        }
    }

    /// What happens to something of which `churn` percent of the changes are deletions or creations.
    fn change(&mut self, churn: u64) -> Change {
        if !self.random.chance(churn) {
            return Change::Value;
        }
        if self.random.chance(50) { Change::Delete } else { Change::Create }
    }

    fn create_cluster(&mut self) {
        let cluster = self.cluster();
        if !self.machine_deployments.is_empty() {
            let deployment = self.machine_deployment(&cluster);
            self.machine_deployments.push(deployment);
        }
        self.clusters.push(cluster);
    }

    fn delete_cluster(&mut self) {
        let gone = index(&mut self.random, self.clusters.len());
        let gone = self.clusters.swap_remove(gone).uuid;
        self.machine_deployments.retain(|deployment| deployment.cluster_uuid != gone);
        for key in &mut self.keys {
            key.cluster_uuids.retain(|cluster| *cluster != gone);
        }
    }

    fn change_cluster(&mut self) {
        let changed = index(&mut self.random, self.clusters.len());
        let (random, cluster) = (&mut self.random, &mut self.clusters[changed]);
        match random.below(6) {
            0 | 1 => cluster.kubernetes_server_version = Release::reduce(random.pick(KUBERNETES)),
            2 => cluster.kubermatic_version = Release::reduce(random.pick(KKP)),
            3 => cluster.mla.monitoring_enabled = !cluster.mla.monitoring_enabled,
            4 => cluster.opa_integration_enabled = !cluster.opa_integration_enabled,
            _ => cluster.phase = Choice::among(values::PHASES, random.pick(&["Running", "Updating"])),
        }
    }

    fn name(&mut self, kind: NameType) -> Pseudonym {
        self.named += 1;
        self.names.of(kind, &format!("example-{}", self.named))
    }

    fn seed(&mut self, seed: u64) -> Seed {
        let country = Country::reduce(self.random.pick(COUNTRIES));
        let datacenters = (0..DATACENTERS).map(|number| {
            let (provider, region) = PROVIDERS[index(&mut self.random, PROVIDERS.len())];
            let uuid = self.name(NameType::Datacenter);
            let region = match region {
                Some(public) => Region::Public(public.to_owned()),
                None => Region::Private(self.name(NameType::Region)),
            };
            Datacenter {
                uuid,
                country: country.clone(),
                location: Location::new(&format!("hall {number}")),
                provider: Choice::among(values::PROVIDERS, provider),
                region: Some(region),
            }
        });
        let mut datacenters: Vec<_> = datacenters.collect();
        datacenters.sort_by_key(|datacenter| datacenter.uuid);
        Seed {
            uuid: self.name(NameType::Seed),
            country,
            location: Location::new(&format!("site {seed}")),
            expose_strategy: Choice::among(values::EXPOSE_STRATEGIES, self.random.pick(values::EXPOSE_STRATEGIES)),
            kubernetes_version: Release::reduce("v1.33.4"),
            datacenters,
            user_cluster_mla_enabled: self.random.chance(50),
        }
    }

    fn cluster(&mut self) -> Cluster {
        let uuid = self.name(NameType::Cluster);
        let random = &mut self.random;
        let seed = &self.seeds[index(random, self.seeds.len())];
        let datacenter = &seed.datacenters[index(random, seed.datacenters.len())];
        let (cni, cni_version) = random.pick(CNI);
        Cluster {
            uuid,
            seed_uuid: seed.uuid,
            project_uuid: Some(self.projects[index(random, self.projects.len())].uuid),
            expose_strategy: seed.expose_strategy,
            etcd_cluster_size: random.pick(&[3, 3, 3, 5]),
            kubernetes_server_version: Release::reduce(random.pick(KUBERNETES)),
            kubermatic_version: Release::reduce(random.pick(KKP)),
            container_runtime: Choice::among(values::CONTAINER_RUNTIMES, "containerd"),
            cloud: Cloud { provider: datacenter.provider, dc_uuid: Some(datacenter.uuid) },
            opa_integration_enabled: random.chance(20),
            mla: Mla { monitoring_enabled: random.chance(40), logging_enabled: random.chance(30) },
            enable_user_ssh_key_agent: random.chance(60),
            cni_plugin: Some(CniPlugin {
                kind: Choice::among(values::CNI_PLUGINS, cni),
                version: Release::reduce(cni_version),
            }),
            cluster_network: ClusterNetwork {
                ip_family: Choice::among(values::IP_FAMILIES, if random.chance(10) { "IPv4+IPv6" } else { "IPv4" }),
                konnectivity_enabled: true,
            },
            phase: Choice::among(values::PHASES, if random.chance(2) { "Updating" } else { "Running" }),
        }
    }

    fn machine_deployment(&mut self, cluster: &Cluster) -> MachineDeployment {
        self.named += 1;
        let cluster_name = cluster.uuid.to_string();
        let scope = Scope { seed: "example", cluster: &cluster_name, namespace: "kube-system" };
        let random = &mut self.random;
        MachineDeployment {
            uuid: self.names.scoped(NameType::MachineDeployment, scope, &format!("workers-{}", self.named)),
            cluster_uuid: cluster.uuid,
            os: Choice::among(values::MACHINE_SYSTEMS, random.pick(SYSTEMS)),
            kubelet_version: cluster.kubernetes_server_version.clone(),
            number_of_replicas: random.pick(&[1, 2, 3, 3, 4, 5, 6, 8, 10, 12]),
            provider: cluster.cloud.provider,
        }
    }

    fn user(&mut self) -> User {
        let uuid = self.name(NameType::User);
        User { uuid, is_admin: self.random.chance(2), is_service_account: self.random.chance(5) }
    }

    /// A key belongs to one project, and KKP installs it on clusters of that project only.
    fn ssh_key(&mut self) -> SshKey {
        let uuid = self.name(NameType::SshKey);
        let project = self.projects[index(&mut self.random, self.projects.len())].uuid;
        let clusters = self.clusters.iter().filter(|cluster| cluster.project_uuid == Some(project));
        let mut clusters: Vec<_> = clusters.filter(|_| self.random.chance(75)).map(|cluster| cluster.uuid).collect();
        clusters.sort();
        SshKey { uuid, owner_project_uuid: vec![project], cluster_uuids: clusters }
    }
}

/// A place in a list that is not empty.
fn index(random: &mut Random, length: usize) -> usize {
    usize::try_from(random.below(u64::try_from(length).unwrap_or(0))).unwrap_or(0)
}

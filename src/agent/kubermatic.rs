//! The collector of `kubermatic` records: a pure function from an inventory to a record.
//!
//! Defaults are what KKP does where a field is absent, with the KKP file that says so beside each.

use std::collections::{BTreeMap, BTreeSet};

use super::collect::{Collection, living};
use super::objects::{self, Object};
use super::{Inventory, providers};
use crate::pseudonym::{NameType, Pseudonym, Pseudonymizer, Scope};
use crate::record::kubermatic::{
    Cloud, Cluster, ClusterNetwork, CniPlugin, Datacenter, KIND, MachineDeployment, Mla, Project, Record, Seed, SshKey,
    User, VERSION,
};
use crate::record::problem::{Category, Step};
use crate::record::values::{self, Choice, Country, Location, Release};

/// The steps whose problems belong into this record.
const STEPS: &[Step] = &[
    Step::Configuration,
    Step::KubernetesVersion,
    Step::Seeds,
    Step::Datacenters,
    Step::Clusters,
    Step::Users,
    Step::Projects,
    Step::SshKeys,
    Step::MachineDeployments,
];

/// Makes the record of an installation at `time` (RFC 3339, UTC, whole seconds).
#[must_use]
pub fn collect(inventory: &Inventory, names: &Pseudonymizer, time: String) -> Record {
    let mut collection = Collection::new(names);
    collection.gaps(inventory, STEPS);
    let configuration = configuration(inventory, &mut collection);
    let kubernetes_version = version(inventory, &mut collection);
    let seeds = seeds(inventory, &configuration, &mut collection);
    let clusters = clusters(inventory, &configuration, &mut collection);
    let projects = living(&inventory.master.projects);
    let projects = collection.rows(Step::Projects, NameType::Project, projects, |_, _, _, uuid| Project { uuid });
    let users = living(&inventory.master.users);
    let users = collection.rows(Step::Users, NameType::User, users, |_, object, fields, uuid| User {
        uuid,
        is_admin: fields.spec.admin.unwrap_or(false),
        is_service_account: is_service_account(object, fields),
    });
    if inventory.master.users.is_empty() {
        collection.problem(Step::Users, Category::NotProvided, None);
    }
    let ssh_keys = living(&inventory.master.ssh_keys);
    let ssh_keys = collection.rows(Step::SshKeys, NameType::SshKey, ssh_keys, ssh_key);
    let machine_deployments = machine_deployments(inventory, &mut collection);
    let problems = collection.into_problems();
    Record {
        kind: KIND,
        version: VERSION,
        time,
        complete: problems.is_empty(),
        problems,
        kubernetes_version,
        kubermatic_edition: configuration.edition,
        kubermatic_version: configuration.version,
        seeds,
        clusters,
        users,
        projects,
        ssh_keys,
        machine_deployments,
    }
}

/// What the configuration says.
struct Installed {
    edition: Option<Choice>,
    version: Option<Release>,
    expose_strategy: String,
}

/// The one configuration (KKP `pkg/provider/kubernetes/configuration.go`); none is a problem.
fn configuration(inventory: &Inventory, collection: &mut Collection<'_>) -> Installed {
    let objects = &inventory.master.configurations;
    let fields = objects.iter().find_map(|object| object.fields.clone());
    match (objects.is_empty(), &fields) {
        (true, _) => collection.problem(Step::Configuration, Category::NotFound, None),
        (false, None) => collection.problem(Step::Configuration, Category::Malformed, None),
        (false, Some(_)) => {}
    }
    let fields = fields.unwrap_or_default();
    let status = fields.status.unwrap_or_default();
    let strategy = fields.spec.and_then(|spec| spec.expose_strategy).filter(|text| !text.is_empty());
    Installed {
        edition: status.kubermatic_edition.and_then(|edition| Choice::among(values::EDITIONS, &edition)),
        version: status.kubermatic_version.and_then(|version| Release::reduce(&version)),
        // pkg/defaulting/configuration.go
        expose_strategy: strategy.unwrap_or_else(|| "NodePort".to_owned()),
    }
}

/// The master's Kubernetes version; both collectors report it.
pub(super) fn version(inventory: &Inventory, collection: &mut Collection<'_>) -> Option<Release> {
    let version = inventory.master.version.as_deref().and_then(Release::reduce);
    if version.is_none() {
        collection.problem(Step::KubernetesVersion, Category::NotProvided, None);
    }
    version
}

fn seeds(inventory: &Inventory, configuration: &Installed, collection: &mut Collection<'_>) -> Vec<Seed> {
    let mut datacenters_seen = BTreeSet::new();
    collection.rows(Step::Seeds, NameType::Seed, &inventory.master.seeds, |collection, object, fields, uuid| {
        let spec = &fields.spec;
        let own_version = inventory.seeds.get(&object.name).and_then(|seed| seed.version.clone());
        let known_version = || fields.status.as_ref()?.versions.as_ref()?.cluster.clone();
        let datacenters = spec.datacenters.iter().flatten();
        Seed {
            uuid,
            country: spec.country.as_deref().and_then(Country::reduce),
            location: spec.location.as_deref().and_then(Location::new),
            expose_strategy: Choice::among(values::EXPOSE_STRATEGIES, seed_strategy(spec, configuration)),
            kubernetes_version: own_version.or_else(known_version).as_deref().and_then(Release::reduce),
            datacenters: datacenters
                .filter_map(|(name, value)| datacenter(name, value, &mut datacenters_seen, collection))
                .collect(),
            user_cluster_mla_enabled: spec.mla.as_ref().and_then(|mla| mla.user_cluster_mla_enabled).unwrap_or(false),
        }
    })
}

/// pkg/defaulting/seed.go: the seed's strategy, else the configuration's.
fn seed_strategy<'s>(spec: &'s objects::SeedSpec, configuration: &'s Installed) -> &'s str {
    spec.expose_strategy.as_deref().filter(|text| !text.is_empty()).unwrap_or(&configuration.expose_strategy)
}

fn datacenter(
    name: &str,
    value: &serde_json::Value,
    seen: &mut BTreeSet<Pseudonym>,
    collection: &mut Collection<'_>,
) -> Option<Datacenter> {
    let uuid = collection.names.of(NameType::Datacenter, name);
    if !seen.insert(uuid) {
        collection.problem(Step::Datacenters, Category::Duplicate, Some(uuid));
        return None;
    }
    let Ok(fields) = serde_json::from_value::<objects::Datacenter>(value.clone()) else {
        collection.problem(Step::Datacenters, Category::Malformed, Some(uuid));
        return None;
    };
    let provider = providers::of_datacenter(&fields).unwrap_or_else(|providers::Ambiguous| {
        collection.problem(Step::Datacenters, Category::AmbiguousProvider, Some(uuid));
        None
    });
    Some(Datacenter {
        uuid,
        country: fields.country.as_deref().and_then(Country::reduce),
        location: fields.location.as_deref().and_then(Location::new),
        provider: provider.and_then(|(name, _)| Choice::among(values::PROVIDERS, name)),
        region: provider.and_then(|(name, fields)| providers::region(name, fields, collection.names)),
    })
}

fn clusters(inventory: &Inventory, configuration: &Installed, collection: &mut Collection<'_>) -> Vec<Cluster> {
    let strategies: BTreeMap<_, _> = inventory
        .master
        .seeds
        .iter()
        .filter_map(|seed| Some((seed.name.as_str(), seed_strategy(&seed.fields.as_ref()?.spec, configuration))))
        .collect();
    // Cluster names are unique in an installation, so that the seeds' clusters are judged as one list.
    let all = inventory.seeds.iter().flat_map(|(seed, cluster)| cluster.clusters.iter().map(move |it| (seed, it)));
    let mut owners = BTreeMap::new();
    for (seed, object) in all.clone() {
        owners.entry(object.name.as_str()).or_insert(seed.as_str());
    }
    let objects = all.map(|(_, object)| object);
    collection.rows(Step::Clusters, NameType::Cluster, objects, |collection, object, fields, uuid| {
        let seed = owners.get(object.name.as_str()).copied().unwrap_or_default();
        let default = strategies.get(seed).copied().unwrap_or(&configuration.expose_strategy);
        cluster(collection, object, fields, &Place { uuid, seed, strategy: default })
    })
}

/// What a cluster's own object does not say.
struct Place<'p> {
    uuid: Pseudonym,
    seed: &'p str,
    strategy: &'p str,
}

fn cluster(
    collection: &mut Collection<'_>,
    object: &Object<objects::Cluster>,
    fields: &objects::Cluster,
    place: &Place<'_>,
) -> Cluster {
    let (spec, uuid) = (&fields.spec, place.uuid);
    let project_uuid = object.project.as_deref().map(|project| collection.names.of(NameType::Project, project));
    if project_uuid.is_none() {
        collection.problem(Step::Clusters, Category::NoProject, Some(uuid));
    }
    let kubernetes_server_version = spec.version.as_deref().and_then(Release::reduce);
    if kubernetes_server_version.is_none() || spec.cloud.is_none() {
        collection.problem(Step::Clusters, Category::Malformed, Some(uuid));
    }
    let strategy = spec.expose_strategy.as_deref().filter(|text| !text.is_empty()).unwrap_or(place.strategy);
    let reconciled = || fields.status.as_ref()?.conditions.as_ref()?.reconciled.as_ref()?.kubermatic_version.as_deref();
    let runtime = spec.container_runtime.as_deref().filter(|text| !text.is_empty()).unwrap_or("containerd");
    Cluster {
        uuid,
        seed_uuid: collection.names.of(NameType::Seed, place.seed),
        project_uuid,
        expose_strategy: Choice::among(values::EXPOSE_STRATEGIES, strategy),
        etcd_cluster_size: etcd_cluster_size(spec),
        kubernetes_server_version,
        kubermatic_version: reconciled().and_then(Release::reduce),
        container_runtime: Choice::among(values::CONTAINER_RUNTIMES, runtime),
        cloud: cloud(collection, spec, uuid),
        opa_integration_enabled: spec.opa_integration.as_ref().and_then(|opa| opa.enabled).unwrap_or(false),
        mla: Mla {
            monitoring_enabled: spec.mla.as_ref().and_then(|mla| mla.monitoring_enabled).unwrap_or(false),
            logging_enabled: spec.mla.as_ref().and_then(|mla| mla.logging_enabled).unwrap_or(false),
        },
        // pkg/resources/usercluster/deployment.go: absent means on.
        enable_user_ssh_key_agent: spec.enable_user_ssh_key_agent.unwrap_or(true),
        cni_plugin: spec.cni_plugin.as_ref().map(|cni| CniPlugin {
            kind: cni.kind.as_deref().and_then(|kind| Choice::among(values::CNI_PLUGINS, kind)),
            version: cni.version.as_deref().and_then(Release::reduce),
        }),
        cluster_network: cluster_network(spec),
        phase: phase(object, fields),
    }
}

/// pkg/resources/etcd/statefulset.go: 3 unless the launcher is on, which takes 3 to 9.
fn etcd_cluster_size(spec: &objects::ClusterSpec) -> u32 {
    let launcher = spec.features.as_ref().and_then(|features| features.etcd_launcher).unwrap_or(false);
    let wanted = spec.components_override.as_ref().and_then(|it| it.etcd.as_ref()).and_then(|etcd| etcd.cluster_size);
    let size = wanted.filter(|_| launcher).unwrap_or(3).clamp(3, 9);
    u32::try_from(size).unwrap_or(3)
}

fn cloud(collection: &mut Collection<'_>, spec: &objects::ClusterSpec, uuid: Pseudonym) -> Cloud {
    let Some(cloud) = &spec.cloud else { return Cloud { provider: None, dc_uuid: None } };
    let provider = providers::of_cluster(cloud).unwrap_or_else(|providers::Ambiguous| {
        collection.problem(Step::Clusters, Category::AmbiguousProvider, Some(uuid));
        None
    });
    let dc = cloud.dc.as_deref().filter(|name| !name.is_empty());
    Cloud { provider, dc_uuid: dc.map(|name| collection.names.of(NameType::Datacenter, name)) }
}

fn cluster_network(spec: &objects::ClusterSpec) -> ClusterNetwork {
    let network = spec.cluster_network.as_ref();
    let blocks = network.and_then(|it| it.pods.as_ref()).and_then(|pods| pods.cidr_blocks).unwrap_or(0);
    // pkg/defaulting/cluster.go: two blocks of pod addresses make a dual stack.
    let default = if blocks < 2 { "IPv4" } else { "IPv4+IPv6" };
    let family = network.and_then(|it| it.ip_family.as_deref()).filter(|text| !text.is_empty()).unwrap_or(default);
    ClusterNetwork {
        ip_family: Choice::among(values::IP_FAMILIES, family),
        // The API server fills true in since 2.26; controllers take an absent value as off.
        konnectivity_enabled: network.and_then(|it| it.konnectivity_enabled).unwrap_or(false),
    }
}

fn phase(object: &Object<objects::Cluster>, fields: &objects::Cluster) -> Option<Choice> {
    let phase = fields.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    Choice::among(values::PHASES, if object.deleting { "Terminating" } else { phase })
}

/// sdk/apis/kubermatic/v1/helper/user.go: by its name, and only service accounts have a project.
fn is_service_account(object: &Object<objects::User>, fields: &objects::User) -> bool {
    object.name.starts_with("serviceaccount-") || fields.spec.project.as_ref().is_some_and(|name| !name.is_empty())
}

fn ssh_key(
    collection: &mut Collection<'_>,
    object: &Object<objects::SshKey>,
    fields: &objects::SshKey,
    uuid: Pseudonym,
) -> SshKey {
    // `spec.project` is authoritative since 2.21 and immutable; before, the owner references were.
    let project = fields.spec.project.iter().filter(|name| !name.is_empty());
    let owners: Vec<_> =
        if project.clone().next().is_some() { project.collect() } else { object.owner_projects.iter().collect() };
    if owners.is_empty() {
        collection.problem(Step::SshKeys, Category::NoProject, Some(uuid));
    }
    let set = |kind, names: &mut dyn Iterator<Item = &String>| -> Vec<Pseudonym> {
        names.map(|name| collection.names.of(kind, name)).collect::<BTreeSet<_>>().into_iter().collect()
    };
    SshKey {
        uuid,
        owner_project_uuid: set(NameType::Project, &mut owners.into_iter()),
        cluster_uuids: set(NameType::Cluster, &mut fields.spec.clusters.iter().flatten()),
    }
}

fn machine_deployments(inventory: &Inventory, collection: &mut Collection<'_>) -> Vec<MachineDeployment> {
    let seeds = seeds_of_clusters(inventory);
    let mut rows = Vec::new();
    for (cluster, found) in &inventory.user_clusters {
        let cluster_uuid = collection.names.of(NameType::Cluster, cluster);
        let Some(seed) = seeds.get(cluster.as_str()) else {
            collection.problem(Step::MachineDeployments, Category::UnknownCluster, Some(cluster_uuid));
            continue;
        };
        let pseudonym = |names: &Pseudonymizer, object: &Object<objects::MachineDeployment>| {
            let scope = Scope { seed, cluster, namespace: &object.namespace };
            names.scoped(NameType::MachineDeployment, scope, &object.name)
        };
        let living = living(&found.machine_deployments);
        rows.extend(collection.rows_named(Step::MachineDeployments, living, pseudonym, |_, _, fields, uuid| {
            machine_deployment(fields, uuid, cluster_uuid)
        }));
    }
    for stray in &inventory.stray_machine_deployments {
        let scope = Scope { namespace: &stray.namespace, ..Scope::default() };
        let uuid = collection.names.scoped(NameType::MachineDeployment, scope, &stray.name);
        collection.problem(Step::MachineDeployments, Category::UnknownCluster, Some(uuid));
    }
    rows
}

/// Which seed runs each user cluster.
pub(super) fn seeds_of_clusters(inventory: &Inventory) -> BTreeMap<&str, &str> {
    let mut seeds = BTreeMap::new();
    for (seed, found) in &inventory.seeds {
        for cluster in &found.clusters {
            seeds.entry(cluster.name.as_str()).or_insert(seed.as_str());
        }
    }
    seeds
}

fn machine_deployment(
    fields: &objects::MachineDeployment,
    uuid: Pseudonym,
    cluster_uuid: Pseudonym,
) -> MachineDeployment {
    let spec = &fields.spec.template.spec;
    let value = spec.provider_spec.as_ref().and_then(|it| it.value.as_ref());
    let system = value.and_then(|value| value.operating_system.as_deref()).unwrap_or_default();
    let provider = value.and_then(|value| value.cloud_provider.as_deref()).unwrap_or_default();
    let kubelet = spec.versions.as_ref().and_then(|versions| versions.kubelet.as_deref());
    MachineDeployment {
        uuid,
        cluster_uuid,
        os: Choice::among(values::MACHINE_SYSTEMS, system),
        kubelet_version: kubelet.and_then(Release::reduce),
        // machine-controller sdk/apis/cluster/v1alpha1/defaults.go
        number_of_replicas: fields.spec.replicas.unwrap_or(1),
        provider: providers::of_machines(provider),
    }
}

//! The collector of `kubermatic` records: pure functions from objects to rows.
//!
//! Defaults are what KKP does where a field is absent, with the KKP file that says so beside each.

use std::collections::BTreeSet;

use super::collect::{Notes, Rows};
use super::objects::{self, Object};
use super::providers;
use crate::pseudonym::{NameType, Pseudonym, Scope};
use crate::record::kubermatic::{
    Cloud, Cluster, ClusterNetwork, CniPlugin, Datacenter, MachineDeployment, Mla, Project, Seed, SshKey, User,
};
use crate::record::problem::{Category, Step};
use crate::record::values::{self, Choice, Country, Location, Release};

/// What the configuration says.
#[derive(Debug)]
pub(super) struct Installed {
    pub edition: Option<Choice>,
    pub version: Option<Release>,
    expose_strategy: String,
}

impl Installed {
    /// The one configuration (KKP `pkg/provider/kubernetes/configuration.go`); none is a problem, and so are two.
    pub fn of(objects: &[Object<objects::Configuration>], notes: &mut Notes<'_>) -> Self {
        let fields = objects.iter().find_map(|object| object.fields.clone());
        match (objects.len(), &fields) {
            (0, _) if notes.lacks(Step::Configuration) => {}
            (0, _) => notes.problem(Step::Configuration, Category::NotFound, None),
            (_, None) => notes.problem(Step::Configuration, Category::Malformed, None),
            (1, Some(_)) => {}
            (_, Some(_)) => notes.problem(Step::Configuration, Category::Duplicate, None),
        }
        let fields = fields.unwrap_or_default();
        let status = fields.status.unwrap_or_default();
        let strategy = fields.spec.and_then(|spec| spec.expose_strategy).filter(|text| !text.is_empty());
        Self {
            edition: status.kubermatic_edition.and_then(|edition| Choice::among(values::EDITIONS, &edition)),
            version: status.kubermatic_version.and_then(|version| Release::reduce(&version)),
            // pkg/defaulting/configuration.go
            expose_strategy: strategy.unwrap_or_else(|| "NodePort".to_owned()),
        }
    }

    /// pkg/defaulting/seed.go: the seed's strategy, else the configuration's.
    pub fn strategy_of<'s>(&'s self, seed: Option<&'s objects::Seed>) -> &'s str {
        let own = seed.and_then(|seed| seed.spec.expose_strategy.as_deref());
        own.filter(|text| !text.is_empty()).unwrap_or(&self.expose_strategy)
    }
}

/// Adds a seed, which counts also while it is being deleted; `version` is what its own API server says.
pub(super) fn add_seed(
    rows: &mut Rows<'_, Seed>,
    object: &Object<objects::Seed>,
    version: Option<&str>,
    configuration: &Installed,
    datacenters_seen: &mut BTreeSet<Pseudonym>,
) {
    let uuid = rows.notes.names.of(NameType::Seed, &object.name);
    rows.add(uuid, object.fields.as_ref(), |notes, fields| {
        let spec = &fields.spec;
        let known_version = || fields.status.as_ref()?.versions.as_ref()?.cluster.as_deref();
        let datacenters = spec.datacenters.iter().flatten();
        let mla = spec.mla.as_ref().and_then(|mla| mla.user_cluster_mla_enabled);
        Seed {
            uuid,
            country: spec.country.as_deref().and_then(Country::reduce),
            location: spec.location.as_deref().and_then(Location::new),
            expose_strategy: Choice::among(values::EXPOSE_STRATEGIES, configuration.strategy_of(Some(fields))),
            kubernetes_version: version.or_else(known_version).and_then(Release::reduce),
            datacenters: datacenters
                .filter_map(|(name, value)| datacenter(name, value, datacenters_seen, notes))
                .collect(),
            user_cluster_mla_enabled: mla.unwrap_or(false),
        }
    });
}

fn datacenter(
    name: &str,
    value: &serde_json::Value,
    seen: &mut BTreeSet<Pseudonym>,
    notes: &mut Notes<'_>,
) -> Option<Datacenter> {
    let uuid = notes.names.of(NameType::Datacenter, name);
    if !seen.insert(uuid) {
        notes.problem(Step::Datacenters, Category::Duplicate, Some(uuid));
        return None;
    }
    let Ok(fields) = serde_json::from_value::<objects::Datacenter>(value.clone()) else {
        notes.problem(Step::Datacenters, Category::Malformed, Some(uuid));
        return None;
    };
    let provider = providers::of_datacenter(&fields).unwrap_or_else(|providers::Ambiguous| {
        notes.problem(Step::Datacenters, Category::AmbiguousProvider, Some(uuid));
        None
    });
    Some(Datacenter {
        uuid,
        country: fields.country.as_deref().and_then(Country::reduce),
        location: fields.location.as_deref().and_then(Location::new),
        provider: provider.and_then(|(name, _)| Choice::among(values::PROVIDERS, name)),
        region: provider.and_then(|(name, fields)| providers::region(name, fields, notes.names)),
    })
}

/// Adds a project that is not being deleted.
pub(super) fn add_project(rows: &mut Rows<'_, Project>, object: &Object<objects::Project>) {
    if !object.deleting {
        let uuid = rows.notes.names.of(NameType::Project, &object.name);
        rows.add(uuid, object.fields.as_ref(), |_, _| Project { uuid });
    }
}

/// Adds a user who is not being deleted.
pub(super) fn add_user(rows: &mut Rows<'_, User>, object: &Object<objects::User>) {
    if !object.deleting {
        let uuid = rows.notes.names.of(NameType::User, &object.name);
        rows.add(uuid, object.fields.as_ref(), |_, fields| User {
            uuid,
            is_admin: fields.spec.admin.unwrap_or(false),
            is_service_account: is_service_account(object, fields),
        });
    }
}

/// Adds a cluster of `seed`, also while it is being deleted; `strategy` is how the seed exposes clusters by default.
pub(super) fn add_cluster(rows: &mut Rows<'_, Cluster>, object: &Object<objects::Cluster>, seed: &str, strategy: &str) {
    let uuid = rows.notes.names.of(NameType::Cluster, &object.name);
    let place = Place { uuid, seed, strategy };
    rows.add(uuid, object.fields.as_ref(), |notes, fields| cluster(notes, object, fields, &place));
}

/// What a cluster's own object does not say.
struct Place<'p> {
    uuid: Pseudonym,
    seed: &'p str,
    strategy: &'p str,
}

fn cluster(
    notes: &mut Notes<'_>,
    object: &Object<objects::Cluster>,
    fields: &objects::Cluster,
    place: &Place<'_>,
) -> Cluster {
    let (spec, uuid) = (&fields.spec, place.uuid);
    let project_uuid = object.project.as_deref().map(|project| notes.names.of(NameType::Project, project));
    if project_uuid.is_none() {
        notes.problem(Step::Clusters, Category::NoProject, Some(uuid));
    }
    let kubernetes_server_version = spec.version.as_deref().and_then(Release::reduce);
    if kubernetes_server_version.is_none() || spec.cloud.is_none() {
        notes.problem(Step::Clusters, Category::Malformed, Some(uuid));
    }
    let strategy = spec.expose_strategy.as_deref().filter(|text| !text.is_empty()).unwrap_or(place.strategy);
    let reconciled = || fields.status.as_ref()?.conditions.as_ref()?.reconciled.as_ref()?.kubermatic_version.as_deref();
    let runtime = spec.container_runtime.as_deref().filter(|text| !text.is_empty()).unwrap_or("containerd");
    Cluster {
        uuid,
        seed_uuid: notes.names.of(NameType::Seed, place.seed),
        project_uuid,
        expose_strategy: Choice::among(values::EXPOSE_STRATEGIES, strategy),
        etcd_cluster_size: etcd_cluster_size(spec),
        kubernetes_server_version,
        kubermatic_version: reconciled().and_then(Release::reduce),
        container_runtime: Choice::among(values::CONTAINER_RUNTIMES, runtime),
        cloud: cloud(notes, spec, uuid),
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

fn cloud(notes: &mut Notes<'_>, spec: &objects::ClusterSpec, uuid: Pseudonym) -> Cloud {
    let Some(cloud) = &spec.cloud else { return Cloud { provider: None, dc_uuid: None } };
    let provider = providers::of_cluster(cloud).unwrap_or_else(|providers::Ambiguous| {
        notes.problem(Step::Clusters, Category::AmbiguousProvider, Some(uuid));
        None
    });
    let dc = cloud.dc.as_deref().filter(|name| !name.is_empty());
    Cloud { provider, dc_uuid: dc.map(|name| notes.names.of(NameType::Datacenter, name)) }
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

/// Adds an SSH key that is not being deleted.
pub(super) fn add_ssh_key(rows: &mut Rows<'_, SshKey>, object: &Object<objects::SshKey>) {
    if !object.deleting {
        let uuid = rows.notes.names.of(NameType::SshKey, &object.name);
        rows.add(uuid, object.fields.as_ref(), |notes, fields| ssh_key(notes, object, fields, uuid));
    }
}

fn ssh_key(
    notes: &mut Notes<'_>,
    object: &Object<objects::SshKey>,
    fields: &objects::SshKey,
    uuid: Pseudonym,
) -> SshKey {
    // `spec.project` is authoritative since 2.21 and immutable; before, the owner references were.
    let project = fields.spec.project.iter().filter(|name| !name.is_empty());
    let owners: Vec<_> =
        if project.clone().next().is_some() { project.collect() } else { object.owner_projects.iter().collect() };
    if owners.is_empty() {
        notes.problem(Step::SshKeys, Category::NoProject, Some(uuid));
    }
    let set = |kind, names: &mut dyn Iterator<Item = &String>| -> Vec<Pseudonym> {
        names.map(|name| notes.names.of(kind, name)).collect::<BTreeSet<_>>().into_iter().collect()
    };
    SshKey {
        uuid,
        owner_project_uuid: set(NameType::Project, &mut owners.into_iter()),
        cluster_uuids: set(NameType::Cluster, &mut fields.spec.clusters.iter().flatten()),
    }
}

/// Adds a machine deployment that is not being deleted, of a user cluster of `seed`.
pub(super) fn add_machine_deployment(
    rows: &mut Rows<'_, MachineDeployment>,
    object: &Object<objects::MachineDeployment>,
    seed: &str,
    cluster: &str,
) {
    if !object.deleting {
        let names = rows.notes.names;
        let scope = Scope { seed, cluster, namespace: &object.namespace };
        let uuid = names.scoped(NameType::MachineDeployment, scope, &object.name);
        let cluster_uuid = names.of(NameType::Cluster, cluster);
        rows.add(uuid, object.fields.as_ref(), |_, fields| machine_deployment(fields, uuid, cluster_uuid));
    }
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

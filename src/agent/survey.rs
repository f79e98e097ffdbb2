//! What a source found, made anonymous: rows and problems, of which records are made.

use std::collections::{BTreeMap, BTreeSet};

use super::Inventory;
use super::collect::{Notes, Rows};
use super::kubermatic::{self, Installed};
use super::kubernetes::{self, Whose};
use super::objects::{Object, Seed};
use crate::pseudonym::{NameType, Pseudonym, Pseudonymizer, Scope};
use crate::record::kubermatic as rows;
use crate::record::kubernetes as node_rows;
use crate::record::problem::{self, Category, Problem, Step};
use crate::record::values::{Choice, Release};

/// An installation as it may be told about.
#[derive(Debug)]
pub struct Survey {
    pub(super) installation: Vec<Pseudonym>,
    pub(super) kubernetes_version: Option<Release>,
    /// Nothing where KKP is not installed.
    pub(super) kubermatic: Option<Platform>,
    pub(super) nodes: Vec<node_rows::Node>,
    pub(super) problems: Vec<Problem>,
}

/// What was found of KKP.
#[derive(Debug, Default)]
pub(super) struct Platform {
    pub edition: Option<Choice>,
    pub version: Option<Release>,
    pub seeds: Vec<rows::Seed>,
    pub clusters: Vec<rows::Cluster>,
    pub users: Vec<rows::User>,
    pub projects: Vec<rows::Project>,
    pub ssh_keys: Vec<rows::SshKey>,
    pub machine_deployments: Vec<rows::MachineDeployment>,
}

impl Survey {
    /// Makes the objects of an inventory anonymous.
    #[must_use]
    pub fn of(inventory: &Inventory, names: &Pseudonymizer) -> Self {
        let mut notes = Notes::new(names);
        inventory.gaps.iter().for_each(|gap| notes.gap(gap));
        let (of_nodes, problems) = nodes(inventory, names);
        notes.extend(problems);
        let kubermatic = platform(inventory, &mut notes);
        let kubernetes_version = version(inventory.master.version.as_deref(), &mut notes);
        Self {
            installation: inventory.master.installation_uids.iter().map(|uid| names.installation(uid)).collect(),
            kubernetes_version,
            kubermatic: Some(kubermatic),
            nodes: of_nodes,
            problems: notes.into_problems(),
        }
    }

    /// The pseudonyms that stand for the installation, by which a store knows its own.
    #[must_use]
    pub fn installation(&self) -> &[Pseudonym] {
        &self.installation
    }

    /// Makes the record of KKP at `time` (RFC 3339, UTC, whole seconds), and takes the rows for it. Nothing where KKP
    /// is not installed.
    pub fn kubermatic(&mut self, time: String) -> Option<rows::Record> {
        let found = self.kubermatic.take()?;
        let problems = self.problems(|problem| problem.step != Step::Nodes);
        Some(rows::Record {
            kind: rows::KIND,
            version: rows::VERSION,
            time,
            complete: problems.is_empty(),
            problems,
            kubernetes_version: self.kubernetes_version.clone(),
            kubermatic_edition: found.edition,
            kubermatic_version: found.version,
            seeds: found.seeds,
            clusters: found.clusters,
            users: found.users,
            projects: found.projects,
            ssh_keys: found.ssh_keys,
            machine_deployments: found.machine_deployments,
            withheld: None,
        })
    }

    /// Makes the record of the nodes at `time` (RFC 3339, UTC, whole seconds), and takes the rows for it.
    pub fn kubernetes(&mut self, time: String) -> node_rows::Record {
        let of_master = |problem: &Problem| problem.step == Step::KubernetesVersion && problem.concerns.is_none();
        let problems = self.problems(|problem| problem.step == Step::Nodes || of_master(problem));
        node_rows::Record {
            kind: node_rows::KIND,
            version: node_rows::VERSION,
            time,
            complete: problems.is_empty(),
            problems,
            kubernetes_version: self.kubernetes_version.clone(),
            nodes: std::mem::take(&mut self.nodes),
            withheld: None,
        }
    }

    fn problems(&self, belongs: impl Fn(&Problem) -> bool) -> Vec<Problem> {
        problem::sorted(self.problems.iter().filter(|problem| belongs(problem)).copied().collect())
    }
}

/// The master's Kubernetes version; both records have it.
pub(super) fn version(text: Option<&str>, notes: &mut Notes<'_>) -> Option<Release> {
    let version = text.and_then(Release::reduce);
    if version.is_none() && !notes.lacks(Step::KubernetesVersion) {
        notes.problem(Step::KubernetesVersion, Category::NotProvided, None);
    }
    version
}

/// The rows of the seeds; `version_of` is what a seed's own API server says.
pub(super) fn seeds<'v>(
    objects: &[Object<Seed>],
    configuration: &Installed,
    version_of: impl Fn(&str) -> Option<&'v str>,
    notes: &mut Notes<'_>,
) -> Vec<rows::Seed> {
    let mut datacenters_seen = BTreeSet::new();
    let mut seeds = Rows::new(notes.names, Step::Seeds);
    for object in objects {
        let version = version_of(&object.name);
        kubermatic::add_seed(&mut seeds, object, version, configuration, &mut datacenters_seen);
    }
    take(seeds, notes)
}

/// Takes the rows of a list, and leaves its problems with the others.
pub(super) fn take<R>(rows: Rows<'_, R>, notes: &mut Notes<'_>) -> Vec<R> {
    let (rows, problems) = rows.into_parts();
    notes.extend(problems);
    rows
}

fn platform(inventory: &Inventory, notes: &mut Notes<'_>) -> Platform {
    let (names, master) = (notes.names, &inventory.master);
    let configuration = Installed::of(&master.configurations, notes);
    let version_of = |seed: &str| inventory.seeds.get(seed)?.version.as_deref();
    let seeds = seeds(&master.seeds, &configuration, version_of, notes);
    let (mut projects, mut users) = (Rows::new(names, Step::Projects), Rows::new(names, Step::Users));
    let mut ssh_keys = Rows::new(names, Step::SshKeys);
    master.projects.iter().for_each(|object| kubermatic::add_project(&mut projects, object));
    master.users.iter().for_each(|object| kubermatic::add_user(&mut users, object));
    master.ssh_keys.iter().for_each(|object| kubermatic::add_ssh_key(&mut ssh_keys, object));
    Platform {
        edition: configuration.edition,
        version: configuration.version.clone(),
        seeds,
        clusters: clusters(inventory, &configuration, notes),
        users: take(users, notes),
        projects: take(projects, notes),
        ssh_keys: take(ssh_keys, notes),
        machine_deployments: machine_deployments(inventory, notes),
    }
}

/// Cluster names are unique in an installation, so that the seeds' clusters are judged as one list.
fn clusters(inventory: &Inventory, configuration: &Installed, notes: &mut Notes<'_>) -> Vec<rows::Cluster> {
    let mut clusters = Rows::new(notes.names, Step::Clusters);
    for (name, found) in &inventory.seeds {
        let seed = inventory.master.seeds.iter().find(|seed| seed.name == *name);
        let strategy = configuration.strategy_of(seed.and_then(|seed| seed.fields.as_ref()));
        found.clusters.iter().for_each(|object| kubermatic::add_cluster(&mut clusters, object, name, strategy));
    }
    take(clusters, notes)
}

fn machine_deployments(inventory: &Inventory, notes: &mut Notes<'_>) -> Vec<rows::MachineDeployment> {
    let seeds = seeds_of_clusters(inventory);
    let mut all = Vec::new();
    for (cluster, found) in &inventory.user_clusters {
        let Some(seed) = seeds.get(cluster.as_str()) else {
            let concerns = notes.names.of(NameType::Cluster, cluster);
            notes.problem(Step::MachineDeployments, Category::UnknownCluster, Some(concerns));
            continue;
        };
        let mut rows = Rows::new(notes.names, Step::MachineDeployments);
        for object in &found.machine_deployments {
            kubermatic::add_machine_deployment(&mut rows, object, seed, cluster);
        }
        all.extend(take(rows, notes));
    }
    for stray in &inventory.stray_machine_deployments {
        let scope = Scope { namespace: &stray.namespace, ..Scope::default() };
        let uuid = notes.names.scoped(NameType::MachineDeployment, scope, &stray.name);
        notes.problem(Step::MachineDeployments, Category::UnknownCluster, Some(uuid));
    }
    all
}

fn nodes(inventory: &Inventory, names: &Pseudonymizer) -> (Vec<node_rows::Node>, Vec<Problem>) {
    let mut notes = Notes::new(names);
    let mut all = Vec::new();
    let mut add = |objects: &[_], whose, notes: &mut Notes<'_>| {
        let mut rows = Rows::new(names, Step::Nodes);
        for object in objects {
            kubernetes::add_node(&mut rows, object, whose);
        }
        all.extend(take(rows, notes));
    };
    add(&inventory.master.nodes, Whose::MASTER, &mut notes);
    for (seed, found) in &inventory.seeds {
        add(&found.nodes, Whose { seed, cluster: "" }, &mut notes);
    }
    let seeds = seeds_of_clusters(inventory);
    for (cluster, found) in &inventory.user_clusters {
        match seeds.get(cluster.as_str()) {
            Some(seed) => add(&found.nodes, Whose { seed, cluster }, &mut notes),
            None if found.nodes.is_empty() => {}
            None => {
                let concerns = names.of(NameType::Cluster, cluster);
                notes.problem(Step::Nodes, Category::UnknownCluster, Some(concerns));
            }
        }
    }
    (all, notes.into_problems())
}

/// Which seed runs each user cluster.
fn seeds_of_clusters(inventory: &Inventory) -> BTreeMap<&str, &str> {
    let mut seeds = BTreeMap::new();
    for (seed, found) in &inventory.seeds {
        for cluster in &found.clusters {
            seeds.entry(cluster.name.as_str()).or_insert(seed.as_str());
        }
    }
    seeds
}

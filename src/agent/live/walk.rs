//! The way through an installation: what is asked of which API server, and what it leaves when it fails.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};
use kube::Config;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::cause::Cause;
use super::client::{ApiServer, Sink};
use super::resources::{self, Resource};
use super::{Found, Installation, Place, Trouble, Version, secrets};
use crate::agent::Collector;
use crate::agent::collect::{Notes, Rows};
use crate::agent::kubermatic::{self, Installed};
use crate::agent::kubernetes::{self, Whose};
use crate::agent::objects::{self, Object};
use crate::agent::survey::{self, Platform, Survey};
use crate::pseudonym::{NameType, Pseudonym, Pseudonymizer};
use crate::record::kubermatic::{Cluster, MachineDeployment};
use crate::record::kubernetes::Node;
use crate::record::problem::{Category, Step};

/// How many seeds, and how many user clusters, are read at once.
const AT_ONCE: usize = 8;

/// One walk through an installation.
pub(super) struct Walk<'w> {
    installation: &'w Installation,
    names: &'w Pseudonymizer,
    heard: &'w dyn Fn(u64, u64),
    /// Steps done, and steps known so far.
    progress: Cell<(u64, u64)>,
    notes: RefCell<Notes<'w>>,
    troubles: RefCell<Vec<Trouble>>,
    /// Names of seeds and user clusters that a kubeconfig was given for and that were found.
    met: RefCell<BTreeSet<String>>,
}

/// What a seed gave.
struct SeedFound<'w> {
    name: String,
    /// Nothing where it could not be connected to.
    server: Option<ApiServer>,
    version: Option<String>,
    uid: Option<String>,
    is_master: bool,
    clusters: Rows<'w, Cluster>,
    nodes: Vec<Node>,
    targets: Vec<Target>,
}

/// A user cluster that is to be looked at.
struct Target {
    name: String,
    namespace: Option<String>,
}

/// An object of which the UID is wanted.
#[derive(Deserialize)]
struct Identified {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    uid: Option<String>,
}

/// Which KKP a master has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Installed,
    Legacy,
    Absent,
}

/// Makes rows of objects.
struct Making<'m, 'n, R, F> {
    rows: &'m mut Rows<'n, R>,
    add: F,
}

impl<T, R, F: FnMut(&mut Rows<'_, R>, &Object<T>)> Sink<T> for Making<'_, '_, R, F> {
    fn clear(&mut self) {
        self.rows.clear();
    }

    fn take(&mut self, object: Option<Object<T>>) {
        match object {
            Some(object) => (self.add)(self.rows, &object),
            None => self.rows.add_nameless(),
        }
    }
}

/// Makes rows of clusters, and remembers which of them are to be looked at.
struct Clusters<'m, 'n, 's> {
    rows: &'m mut Rows<'n, Cluster>,
    targets: &'m mut Vec<Target>,
    is_target: &'m dyn Fn(&str) -> bool,
    seed: &'s str,
    strategy: &'s str,
}

impl Sink<objects::Cluster> for Clusters<'_, '_, '_> {
    fn clear(&mut self) {
        self.rows.clear();
        self.targets.clear();
    }

    fn take(&mut self, object: Option<Object<objects::Cluster>>) {
        let Some(object) = object else { return self.rows.add_nameless() };
        kubermatic::add_cluster(self.rows, &object, self.seed, self.strategy);
        // One that is being deleted may have no API server any more.
        if !object.deleting && (self.is_target)(&object.name) {
            let status = object.fields.and_then(|fields| fields.status);
            let namespace = status.and_then(|status| status.namespace_name).filter(|name| !name.is_empty());
            self.targets.push(Target { name: object.name, namespace });
        }
    }
}

impl<'w> Walk<'w> {
    pub fn new(installation: &'w Installation, names: &'w Pseudonymizer, heard: &'w dyn Fn(u64, u64)) -> Self {
        Self {
            installation,
            names,
            heard,
            progress: Cell::default(),
            notes: RefCell::new(Notes::new(names)),
            troubles: RefCell::default(),
            met: RefCell::default(),
        }
    }

    /// Walks, and returns everything but what the requests came to.
    pub async fn installation(self) -> Found {
        let master = &self.installation.master.until(self.cluster_deadline());
        let master_uid = self.master_uid(master).await;
        let presence = self.presence(master).await;
        let (mut configurations, mut seeds) = (Vec::new(), Vec::new());
        if presence == Presence::Installed {
            if self.wants(Collector::Kubermatic) {
                self.list(master, Place::Master, &resources::CONFIGURATIONS, Step::Configuration, &mut configurations)
                    .await;
            }
            if self.wants_seeds() {
                self.list(master, Place::Master, &resources::SEEDS, Step::Seeds, &mut seeds).await;
            }
        }
        seeds.sort_by(|left: &Object<objects::Seed>, right| left.name.cmp(&right.name));
        let master_nodes = self.nodes(master, Place::Master, Whose::MASTER).await;
        let configuration = Installed::of(&configurations, &mut self.notes.borrow_mut());
        let platform = match presence {
            Presence::Installed if self.wants(Collector::Kubermatic) => {
                Some(self.platform(master, &configuration).await)
            }
            Presence::Legacy => Some(Platform::default()),
            Presence::Installed | Presence::Absent => None,
        };
        let found = self.seeds(&seeds, &configuration, master_uid.as_deref()).await;
        let (machine_deployments, user_nodes) = self.user_clusters(&found).await;
        let version_of = |name: &str| found.iter().find(|seed| seed.name == name)?.version.as_deref();
        let seed_rows = survey::seeds(&seeds, &configuration, version_of, &mut self.notes.borrow_mut());
        let mut survey = Survey {
            installation: Vec::new(),
            kubernetes_version: survey::version(self.installation.version.as_deref(), &mut self.notes.borrow_mut()),
            kubermatic: platform,
            nodes: master_nodes,
            problems: Vec::new(),
        };
        let mut clusters = Rows::new(self.names, Step::Clusters);
        for seed in found {
            clusters.append(seed.clusters);
            survey.nodes.extend(seed.nodes);
        }
        survey.nodes.extend(user_nodes);
        let clusters = self.take(clusters);
        if let Some(platform) = &mut survey.kubermatic {
            (platform.seeds, platform.clusters) = (seed_rows, clusters);
            platform.machine_deployments = machine_deployments;
        }
        let configuration_uid = configurations.into_iter().next().and_then(|object| object.uid);
        let uids: BTreeSet<_> = master_uid.into_iter().chain(configuration_uid).collect();
        survey.installation = uids.iter().map(|uid| self.names.installation(uid)).collect();
        let has_kubermatic = presence != Presence::Absent;
        let unknown_kubeconfigs = self.unknown_kubeconfigs();
        survey.problems = self.notes.into_inner().into_problems();
        let mut troubles = self.troubles.into_inner();
        troubles.sort_by_key(|trouble| trouble.place);
        Found { survey, has_kubermatic, troubles, unknown_kubeconfigs, requests: 0, bytes: 0 }
    }

    fn wants(&self, collector: Collector) -> bool {
        self.installation.options.collectors.contains(&collector)
    }

    /// Whether a list of what a collector reads is wanted, by its member in the record.
    fn wants_list(&self, collector: Collector, member: &str) -> bool {
        self.wants(collector) && !self.installation.options.withholding.withholds(collector.kind(), member)
    }

    fn wants_nodes(&self) -> bool {
        self.wants_list(Collector::Kubernetes, "nodes")
    }

    fn wants_machine_deployments(&self) -> bool {
        self.wants_list(Collector::Kubermatic, "machineDeployments")
    }

    /// Whether user clusters are connected to, where they are to be looked at.
    fn wants_user_clusters(&self) -> bool {
        self.wants_nodes() || self.wants_machine_deployments()
    }

    /// Whether seeds are connected to, which takes what their objects say.
    fn wants_seeds(&self) -> bool {
        let rows = ["seeds", "clusters"].into_iter().any(|member| self.wants_list(Collector::Kubermatic, member));
        rows || self.wants_user_clusters()
    }

    fn is_given(&self, name: &str) -> bool {
        self.installation.kubeconfigs.contains_key(name)
    }

    /// The master's own UID, by which it is recognised as a seed.
    async fn master_uid(&self, master: &ApiServer) -> Option<String> {
        self.uid(master).await.unwrap_or_else(|cause| {
            self.trouble(Place::Master, Some(GET_KUBE_SYSTEM), cause);
            self.problem(Step::Nodes, cause.category(), Place::Master);
            None
        })
    }

    async fn uid(&self, server: &ApiServer) -> Result<Option<String>, Cause> {
        let namespace: Identified = server.get(resources::KUBE_SYSTEM).await?;
        Ok(namespace.metadata.uid.filter(|uid| !uid.is_empty()))
    }

    /// Whether KKP is there. Where that can't be told, its lists will tell.
    async fn presence(&self, master: &ApiServer) -> Presence {
        if master.exists(resources::KKP).await != Ok(false) {
            return Presence::Installed;
        }
        if master.exists(resources::LEGACY_KKP).await == Ok(true) {
            self.problem(Step::Configuration, Category::LegacyApiGroup, Place::Master);
            return Presence::Legacy;
        }
        Presence::Absent
    }

    /// The lists of the master that are KKP's.
    async fn platform(&self, master: &ApiServer, configuration: &Installed) -> Platform {
        let projects = self.master_rows(master, &resources::PROJECTS, Step::Projects, kubermatic::add_project).await;
        let users = self.master_rows(master, &resources::USERS, Step::Users, kubermatic::add_user).await;
        let ssh_keys = self.master_rows(master, &resources::SSH_KEYS, Step::SshKeys, kubermatic::add_ssh_key).await;
        Platform {
            edition: configuration.edition,
            version: configuration.version.clone(),
            projects,
            users,
            ssh_keys,
            ..Platform::default()
        }
    }

    async fn master_rows<T: DeserializeOwned + Send + 'static, R>(
        &self,
        master: &ApiServer,
        resource: &'static Resource,
        step: Step,
        add: impl FnMut(&mut Rows<'_, R>, &Object<T>),
    ) -> Vec<R> {
        if !self.wants_list(Collector::Kubermatic, step.as_str()) {
            return Vec::new();
        }
        let mut rows = Rows::new(self.names, step);
        let mut making = Making { rows: &mut rows, add };
        self.list(master, Place::Master, resource, step, &mut making).await;
        self.take(rows)
    }

    /// The nodes of a cluster, if they are wanted.
    async fn nodes(&self, server: &ApiServer, place: Place, whose: Whose<'_>) -> Vec<Node> {
        if !self.wants_nodes() {
            return Vec::new();
        }
        let mut rows = Rows::new(self.names, Step::Nodes);
        let add = |rows: &mut Rows<'_, Node>, object: &Object<objects::Node>| kubernetes::add_node(rows, object, whose);
        self.list(server, place, &resources::NODES, Step::Nodes, &mut Making { rows: &mut rows, add }).await;
        self.take(rows)
    }

    /// Every seed, some at once; by name.
    async fn seeds(
        &self,
        seeds: &[Object<objects::Seed>],
        configuration: &Installed,
        master_uid: Option<&str>,
    ) -> Vec<SeedFound<'w>> {
        let found = stream::iter(seeds).map(|seed| self.seed(seed, configuration, master_uid));
        let mut found: Vec<_> = found.buffer_unordered(AT_ONCE).collect().await;
        found.sort_by(|left, right| left.name.cmp(&right.name));
        self.count_once(&mut found);
        found
    }

    /// Drops the nodes of a seed that leads to the cluster of another one; its user clusters are recognised by name.
    fn count_once(&self, seeds: &mut [SeedFound<'w>]) {
        let mut seen = BTreeSet::new();
        for seed in seeds.iter_mut().filter(|seed| !seed.is_master) {
            let repeated = seed.uid.as_ref().is_some_and(|uid| !seen.insert(uid.clone()));
            if repeated {
                seed.nodes.clear();
                let place = Place::Seed(self.names.of(NameType::Seed, &seed.name));
                self.problem(Step::Nodes, Category::Duplicate, place);
            }
        }
    }

    async fn seed(
        &self,
        object: &Object<objects::Seed>,
        configuration: &Installed,
        master_uid: Option<&str>,
    ) -> SeedFound<'w> {
        let place = Place::Seed(self.names.of(NameType::Seed, &object.name));
        let mut found = SeedFound {
            name: object.name.clone(),
            server: None,
            version: None,
            uid: None,
            is_master: false,
            clusters: Rows::new(self.names, Step::Clusters),
            nodes: Vec::new(),
            targets: Vec::new(),
        };
        let reference = object.fields.as_ref().and_then(|fields| fields.spec.kubeconfig.as_ref());
        let secret = secrets::of_seed(&object.namespace, reference);
        let steps = [Step::Seeds, Step::Nodes];
        let keeper = &self.installation.master;
        let Some(server) = self.connect(&object.name, place, &steps, keeper, secret).await else { return found };
        match server.get::<Version>(resources::VERSION).await {
            Ok(version) => found.version = version.git_version,
            Err(cause) => {
                self.lost(place, None, &steps, cause);
                return found;
            }
        }
        let strategy = configuration.strategy_of(object.fields.as_ref());
        self.clusters(&server, place, strategy, &mut found).await;
        if !self.wants_user_clusters() {
            return found;
        }
        match self.identified(&server, master_uid).await {
            Ok((uid, is_master)) => (found.uid, found.is_master) = (Some(uid), is_master),
            Err(cause) => {
                // Nodes of the master would count twice.
                self.lost(place, Some(GET_KUBE_SYSTEM), &[Step::Nodes], cause);
                found.server = Some(server);
                return found;
            }
        }
        if !found.is_master {
            found.nodes = self.nodes(&server, place, Whose { seed: &object.name, cluster: "" }).await;
        }
        found.server = Some(server);
        found
    }

    /// A seed's UID, and whether it is the master's.
    async fn identified(&self, seed: &ApiServer, master_uid: Option<&str>) -> Result<(String, bool), Cause> {
        let uid = self.uid(seed).await?;
        let (uid, master) = uid.zip(master_uid).ok_or(Cause::Unidentified)?;
        let is_master = uid == master;
        Ok((uid, is_master))
    }

    async fn clusters(&self, server: &ApiServer, place: Place, strategy: &str, found: &mut SeedFound<'w>) {
        let every = self.installation.options.user_clusters;
        let looks_further = self.wants_user_clusters() && (every || !self.installation.kubeconfigs.is_empty());
        if !self.wants_list(Collector::Kubermatic, "clusters") && !looks_further {
            return;
        }
        let is_target = |name: &str| {
            let given = self.is_given(name);
            if given {
                self.met.borrow_mut().insert(name.to_owned());
            }
            (every || given) && self.wants_user_clusters()
        };
        let mut sink = Clusters {
            rows: &mut found.clusters,
            targets: &mut found.targets,
            is_target: &is_target,
            seed: &found.name,
            strategy,
        };
        self.list(server, place, &resources::CLUSTERS, Step::Clusters, &mut sink).await;
    }

    /// Every user cluster that is to be looked at, some at once.
    async fn user_clusters(&self, seeds: &[SeedFound<'w>]) -> (Vec<MachineDeployment>, Vec<Node>) {
        let mut seen = BTreeSet::new();
        let targets = seeds.iter().flat_map(|seed| seed.targets.iter().map(move |target| (seed, target)));
        // A cluster that two seeds have is a problem already, and counts as the first one's.
        let targets = targets.filter(|(_, target)| seen.insert(&target.name)).collect::<Vec<_>>();
        let found = stream::iter(targets).map(|(seed, target)| self.user_cluster(seed, target));
        let found: Vec<_> = found.buffer_unordered(AT_ONCE).collect().await;
        let (machine_deployments, nodes): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        (machine_deployments.into_iter().flatten().collect(), nodes.into_iter().flatten().collect())
    }

    async fn user_cluster(&self, seed: &SeedFound<'w>, target: &Target) -> (Vec<MachineDeployment>, Vec<Node>) {
        let Some(seed_server) = &seed.server else { return Default::default() };
        let place = Place::UserCluster(self.names.of(NameType::Cluster, &target.name));
        let seed_server = seed_server.until(self.cluster_deadline());
        let inside = self.installation.inside && seed.is_master;
        let secret = secrets::of_user_cluster(&target.name, target.namespace.as_deref(), inside);
        let steps = [Step::MachineDeployments, Step::Nodes];
        let Some(server) = self.connect(&target.name, place, &steps, &seed_server, Ok(secret)).await else {
            return Default::default();
        };
        // Without a connection both lists would fail alike.
        if let Err(cause) = server.exists(resources::VERSION).await {
            self.lost(place, None, &steps, cause);
            return Default::default();
        }
        let machine_deployments = self.machine_deployments(&server, place, &seed.name, &target.name).await;
        let whose = Whose { seed: &seed.name, cluster: &target.name };
        (machine_deployments, self.nodes(&server, place, whose).await)
    }

    async fn machine_deployments(
        &self,
        server: &ApiServer,
        place: Place,
        seed: &str,
        cluster: &str,
    ) -> Vec<MachineDeployment> {
        if !self.wants_machine_deployments() {
            return Vec::new();
        }
        let step = Step::MachineDeployments;
        let mut rows = Rows::new(self.names, step);
        let add = |rows: &mut Rows<'_, MachineDeployment>, object: &Object<objects::MachineDeployment>| {
            kubermatic::add_machine_deployment(rows, object, seed, cluster);
        };
        self.list(server, place, &resources::MACHINE_DEPLOYMENTS, step, &mut Making { rows: &mut rows, add }).await;
        self.take(rows)
    }

    /// The API server of a seed or user cluster; without it these steps are lost.
    async fn connect(
        &self,
        name: &str,
        place: Place,
        steps: &[Step],
        keeper: &ApiServer,
        secret: Result<secrets::Place, Cause>,
    ) -> Option<ApiServer> {
        let config = self.config(name, keeper, secret).await;
        let server = config.and_then(|config| keeper.beside(config, self.cluster_deadline()));
        let lost = |cause| {
            let attempt = matches!(cause, Cause::Forbidden).then_some(GET_SECRETS);
            self.lost(place, attempt, steps, cause);
        };
        server.map_err(lost).ok()
    }

    /// The kubeconfig that was given for a seed or user cluster, else that of its Secret.
    async fn config(
        &self,
        name: &str,
        keeper: &ApiServer,
        secret: Result<secrets::Place, Cause>,
    ) -> Result<Config, Cause> {
        match self.installation.kubeconfigs.get(name) {
            Some(config) => {
                self.met.borrow_mut().insert(name.to_owned());
                Ok(config.clone())
            }
            None => secrets::read(keeper, &secret?).await,
        }
    }

    fn cluster_deadline(&self) -> Instant {
        self.installation.deadline.min(Instant::now() + self.installation.options.cluster_timeout)
    }

    /// Reads a list, or notes that it could not be read.
    async fn list<T: DeserializeOwned + Send + 'static>(
        &self,
        server: &ApiServer,
        place: Place,
        resource: &'static Resource,
        step: Step,
        sink: &mut dyn Sink<T>,
    ) {
        self.advance(0, 1);
        let listed = server.list(resource, sink).await;
        if let Err(cause) = listed
            && !(cause == Cause::NotFound && resource.optional)
        {
            self.trouble(place, Some(resource.name), cause);
            self.problem(step, cause.category(), place);
        }
        self.advance(1, 0);
    }

    fn advance(&self, done: u64, known: u64) {
        let (before, total) = self.progress.get();
        self.progress.set((before + done, total + known));
        (self.heard)(before + done, total + known);
    }

    /// Takes the rows of a list, and leaves its problems with the others.
    fn take<R>(&self, rows: Rows<'_, R>) -> Vec<R> {
        survey::take(rows, &mut self.notes.borrow_mut())
    }

    /// Notes that a whole place, or several steps of it, can't be read.
    fn lost(&self, place: Place, attempt: Option<&'static str>, steps: &[Step], cause: Cause) {
        self.trouble(place, attempt, cause);
        for step in steps {
            self.problem(*step, cause.category(), place);
        }
    }

    fn problem(&self, step: Step, category: Category, place: Place) {
        self.notes.borrow_mut().problem(step, category, place.pseudonym());
    }

    fn trouble(&self, place: Place, attempt: Option<&'static str>, cause: Cause) {
        self.troubles.borrow_mut().push(Trouble { place, attempt, cause });
    }

    fn unknown_kubeconfigs(&self) -> Vec<usize> {
        if !self.wants_list(Collector::Kubermatic, "clusters") && !self.wants_user_clusters() {
            // Nobody looked.
            return Vec::new();
        }
        let met = self.met.borrow();
        let given = self.installation.options.kubeconfigs.iter().enumerate();
        given.filter(|(_, (name, _))| !met.contains(name)).map(|(index, _)| index + 1).collect()
    }
}

/// What is attempted, as permissions name it.
const GET_KUBE_SYSTEM: &str = "get namespaces/kube-system";
const GET_SECRETS: &str = "get secrets";

impl Place {
    /// What a problem there concerns; nothing for the master.
    #[must_use]
    pub fn pseudonym(self) -> Option<Pseudonym> {
        match self {
            Self::Master => None,
            Self::Seed(name) | Self::UserCluster(name) => Some(name),
        }
    }
}

//! A whole installation of fakes: a master, its seeds and their user clusters, with the Secrets that lead from one to
//! the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::access::Access;
use super::kubeconfig::{Kubeconfig, secret};
use super::objects::{KKP, MACHINES, Objects};
use super::server::{ApiServer, Setup};

const SEEDS: &str = "seeds.kubermatic.k8c.io";
const CLUSTERS: &str = "clusters.kubermatic.k8c.io";

/// What is to be started, for tests to change before it is.
pub struct Plan {
    pub master: Objects,
    pub access: Access,
    pub seeds: BTreeMap<String, Objects>,
    /// Those that are not here are started all the same if a seed has them, with nothing in them.
    pub user_clusters: BTreeMap<String, Objects>,
    /// The seed that is the master itself.
    pub master_seed: Option<String>,
    /// Names that the servers' certificates are for, beyond the usual ones.
    pub names: Vec<String>,
    /// Makes the servers' tokens; random ones otherwise.
    pub tokens: Option<Box<dyn FnMut() -> String>>,
}

/// The running servers.
pub struct Fleet {
    pub master: ApiServer,
    seeds: BTreeMap<String, ApiServer>,
    user_clusters: BTreeMap<String, ApiServer>,
}

impl Plan {
    /// What a directory has that is laid out like `testdata/installation`.
    pub fn of(directory: &Path) -> Self {
        let mut master = Objects::from_manifests(&directory.join("master"));
        master.install(KKP);
        let mut seeds = each(&directory.join("seeds"), KKP);
        for seed in master.all(SEEDS) {
            // Where nobody exported a seed's version, what its Seed says is true.
            let version = seed["status"]["versions"]["cluster"].as_str().map(str::to_owned);
            let objects = seed["metadata"]["name"].as_str().and_then(|name| seeds.get_mut(name));
            if let Some(objects) = objects.filter(|objects| objects.version.is_none()) {
                objects.version = version;
            }
        }
        let user_clusters = each(&directory.join("user-clusters"), MACHINES);
        let (access, names) = (Access::default(), Vec::new());
        Self { master, access, seeds, user_clusters, master_seed: None, names, tokens: None }
    }

    /// Starts the servers, and puts the Secrets where KKP keeps them.
    pub fn start(mut self) -> Fleet {
        if let Some(objects) = self.master_seed.as_ref().and_then(|name| self.seeds.remove(name)) {
            objects.all(CLUSTERS).into_iter().for_each(|cluster| self.master.add(cluster));
        }
        let master = std::mem::replace(&mut self.master, Objects::new());
        let access = self.access.clone();
        let fleet = Fleet {
            master: self.server(master, access),
            seeds: std::mem::take(&mut self.seeds)
                .into_iter()
                .map(|(name, objects)| (name, self.server(objects, Access::default())))
                .collect(),
            user_clusters: BTreeMap::new(),
        };
        let fleet = Fleet { user_clusters: self.user_clusters_of(&fleet), ..fleet };
        let names: Vec<_> = fleet.seeds.keys().chain(&self.master_seed).cloned().collect();
        for name in &names {
            fleet.lead_to_seed(name);
        }
        fleet
    }

    fn server(&mut self, objects: Objects, access: Access) -> ApiServer {
        let mut setup = Setup { names: self.names.clone(), access, ..Setup::default() };
        if let Some(tokens) = &mut self.tokens {
            setup.token = tokens();
        }
        ApiServer::start_with(objects, setup)
    }

    /// Starts the user clusters of every seed, and puts their Secrets there.
    fn user_clusters_of(&mut self, fleet: &Fleet) -> BTreeMap<String, ApiServer> {
        let mut started = BTreeMap::new();
        for seed in fleet.seeds.values().chain([&fleet.master]) {
            for cluster in seed.change(|objects| objects.all(CLUSTERS)) {
                let name = cluster["metadata"]["name"].as_str().unwrap().to_owned();
                let mut objects = self.user_clusters.remove(&name).unwrap_or_else(Objects::new);
                objects.install(MACHINES);
                let server = self.server(objects, Access::default());
                let namespace = cluster["status"]["namespaceName"].as_str();
                let namespace = namespace.map_or_else(|| format!("cluster-{name}"), str::to_owned);
                let external = Kubeconfig::of(&server).secret(&namespace, "admin-kubeconfig", "kubeconfig");
                let internal = Kubeconfig::with_certificate(&server);
                let internal = internal.secret(&namespace, "internal-admin-kubeconfig", "kubeconfig");
                seed.change(|objects| [external, internal].into_iter().for_each(|secret| objects.put(secret)));
                started.insert(name, server);
            }
        }
        started
    }
}

/// The clusters of the folders in a folder.
fn each(directory: &Path, group: &str) -> BTreeMap<String, Objects> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeMap::new() };
    let clusters = entries.map(|entry| {
        let entry = entry.unwrap();
        let mut objects = Objects::from_manifests(&entry.path());
        objects.install(group);
        (entry.file_name().into_string().unwrap(), objects)
    });
    clusters.collect()
}

impl Fleet {
    pub fn start(directory: &Path) -> Self {
        Plan::of(directory).start()
    }

    /// A seed's server, which may be the master's.
    pub fn seed(&self, name: &str) -> &ApiServer {
        self.seeds.get(name).unwrap_or(&self.master)
    }

    pub fn user_cluster(&self, name: &str) -> &ApiServer {
        self.user_clusters.get(name).unwrap_or_else(|| panic!("no seed has a cluster {name}"))
    }

    pub fn servers(&self) -> impl Iterator<Item = &ApiServer> {
        [&self.master].into_iter().chain(self.seeds.values()).chain(self.user_clusters.values())
    }

    /// The namespace, name and key of the Secret with a seed's kubeconfig.
    pub fn secret_of(&self, seed: &str) -> (String, String, String) {
        let seed = self.seed_object(seed);
        let (reference, metadata) = (&seed["spec"]["kubeconfig"], &seed["metadata"]);
        let namespace = reference["namespace"].as_str().or(metadata["namespace"].as_str()).unwrap();
        let key = reference["fieldPath"].as_str().unwrap_or("kubeconfig");
        (namespace.to_owned(), reference["name"].as_str().unwrap().to_owned(), key.to_owned())
    }

    /// Puts another text where a seed's kubeconfig is.
    pub fn put_kubeconfig(&self, seed: &str, text: &str) {
        let (namespace, name, key) = self.secret_of(seed);
        self.master.change(|objects| objects.put(secret(&namespace, &name, &key, text)));
    }

    /// Changes a seed's kubeconfig.
    pub fn change_kubeconfig(&self, seed: &str, change: impl FnOnce(&mut Kubeconfig)) {
        self.put_kubeconfig(seed, &self.seed(seed).kubeconfig_with(change));
    }

    fn seed_object(&self, name: &str) -> Value {
        let seeds = self.master.change(|objects| objects.all(SEEDS));
        seeds.into_iter().find(|seed| seed["metadata"]["name"] == name).unwrap_or_else(|| panic!("no Seed {name}"))
    }

    /// Changes a Seed on the master.
    pub fn change_seed(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut seed = self.seed_object(name);
        change(&mut seed);
        self.master.change(|objects| objects.put(seed));
    }

    /// Sets the reference where the Seed has none, and makes the Secret.
    fn lead_to_seed(&self, name: &str) {
        if self.seed_object(name)["spec"]["kubeconfig"]["name"].is_null() {
            let reference = json!({"namespace": "kubermatic", "name": format!("kubeconfig-{name}")});
            self.change_seed(name, |seed| seed["spec"]["kubeconfig"] = reference);
        }
        self.change_kubeconfig(name, |_| {});
    }
}

//! An installation on API servers of its own: a master, its seeds, and user clusters.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::kinds::{self, Kind};
use super::load::{Rejected, define, kubeconfig_secret, load};
use super::objects::{Installation, secret};
use super::servers::{ApiServer, ControlPlane};

/// The name of the server of user clusters that have nothing in them.
const EMPTY: &str = "empty";

/// An installation that can be collected from.
pub struct Site {
    pub master: Arc<ApiServer>,
    /// By the Seed's name.
    pub seeds: BTreeMap<String, Arc<ApiServer>>,
    /// By the Cluster's name.
    pub user_clusters: BTreeMap<String, Arc<ApiServer>>,
    /// What the servers would not take.
    pub rejected: Vec<Rejected>,
}

impl Site {
    /// Starts a server for the master, for each seed, and for each user cluster that the installation has objects of.
    /// All other user clusters are served by one that is empty.
    pub fn start(plane: &ControlPlane, installation: &Installation, definitions: &[Value]) -> Self {
        let seeds = installation.seeds.iter().map(|(name, objects)| Part { name, of_kkp: true, objects });
        let clusters = installation.user_clusters.iter().map(|(name, objects)| Part { name, of_kkp: false, objects });
        let mut parts = vec![Part { name: "master", of_kkp: true, objects: &installation.master }];
        parts.extend(seeds.chain(clusters));
        parts.push(Part { name: EMPTY, of_kkp: false, objects: &[] });
        let names: Vec<_> = parts.iter().map(|part| part.name).collect();
        let servers: BTreeMap<_, _> = names.iter().zip(plane.servers(&names)).map(|(n, s)| (*n, Arc::new(s))).collect();
        let rejected: Vec<_> = std::thread::scope(|scope| {
            let filled: Vec<_> =
                parts.iter().map(|part| scope.spawn(|| part.fill(&servers[part.name], definitions))).collect();
            filled.into_iter().flat_map(|it| it.join().unwrap()).collect()
        });
        let clusters = installation.seeds.values().flatten().filter(|object| object["kind"] == "Cluster");
        let clusters = clusters.map(|cluster| cluster["metadata"]["name"].as_str().unwrap());
        let taken = clusters.filter(|name| rejected.iter().all(|rejected| rejected.name != *name));
        let server = |name: &str| Arc::clone(servers.get(name).unwrap_or(&servers[EMPTY]));
        let site = Self {
            master: server("master"),
            seeds: installation.seeds.keys().map(|name| (name.clone(), server(name))).collect(),
            user_clusters: taken.map(|name| (name.to_owned(), server(name))).collect(),
            rejected,
        };
        site.give_kubeconfigs(installation);
        site
    }

    /// Puts kubeconfigs where KKP keeps them: of seeds on the master, of user clusters on their seed.
    fn give_kubeconfigs(&self, installation: &Installation) {
        for seed in installation.master.iter().filter(|object| object["kind"] == "Seed") {
            let name = seed["metadata"]["name"].as_str().unwrap();
            if let Some(server) = self.seeds.get(name) {
                let (namespace, name) = kubeconfig_secret(seed);
                let secret = secret(namespace, name, "kubeconfig", &server.admin_kubeconfig());
                self.master.admin.create(&secret).ok();
            }
        }
        for (seed, objects) in &installation.seeds {
            let mut secrets = Vec::new();
            for cluster in objects.iter().filter(|object| object["kind"] == "Cluster") {
                let name = cluster["metadata"]["name"].as_str().unwrap();
                let Some(server) = self.user_clusters.get(name) else { continue };
                let kubeconfig = server.admin_kubeconfig();
                let namespace = format!("cluster-{name}");
                for name in ["admin-kubeconfig", "internal-admin-kubeconfig"] {
                    secrets.push(secret(&namespace, name, "kubeconfig", &kubeconfig));
                }
            }
            assert!(load(&self.seeds[seed].admin, &secrets).is_empty());
        }
    }

    /// Writes what an administrator would export of the servers as they are, as the manifest source wants it.
    pub fn dump(&self, directory: &Path) {
        let of_master = [kinds::CONFIGURATIONS, kinds::SEEDS, kinds::PROJECTS, kinds::USERS, kinds::KEYS, kinds::NODES];
        dump_server(&self.master, &of_master, &directory.join("master"));
        for (name, server) in &self.seeds {
            dump_server(server, &[kinds::CLUSTERS, kinds::NODES], &directory.join("seeds").join(name));
        }
        for (name, server) in &self.user_clusters {
            dump_server(server, &[kinds::MACHINES, kinds::NODES], &directory.join("user-clusters").join(name));
        }
    }
}

/// What belongs onto one server.
#[derive(Clone, Copy)]
struct Part<'p> {
    name: &'p str,
    /// Whether KKP is installed there; machine deployments are elsewhere.
    of_kkp: bool,
    objects: &'p [Value],
}

impl Part<'_> {
    /// Defines the kinds that are there, and loads the objects.
    fn fill(self, server: &ApiServer, definitions: &[Value]) -> Vec<Rejected> {
        let is_of_kkp = |definition: &&Value| definition["spec"]["group"] == "kubermatic.k8c.io";
        let wanted = definitions.iter().filter(|definition| is_of_kkp(definition) == self.of_kkp).cloned();
        define(&server.admin, &wanted.collect::<Vec<_>>());
        load(&server.admin, self.objects)
    }
}

fn dump_server(server: &ApiServer, kinds: &[Kind], folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let write = |name: &str, contents: &Value| fs::write(folder.join(name), contents.to_string()).unwrap();
    for kind in kinds {
        write(&format!("{}.json", kind.plural), &server.admin.get(&kind.list()));
    }
    write("kube-system.json", &server.admin.get("/api/v1/namespaces/kube-system"));
    write("version.json", &serde_json::json!({ "serverVersion": server.admin.get("/version") }));
}

//! What a fake cluster has: its version, the resources that are installed, and the objects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use crate::support::walk;

/// A kind of object as the API serves it.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
}

const fn resource(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
) -> Resource {
    Resource { group, version, plural, kind, namespaced }
}

pub const KKP: &str = "kubermatic.k8c.io";
pub const MACHINES: &str = "cluster.k8s.io";
/// The group of before KKP 2.19.
const LEGACY: &str = "kubermatic.k8s.io";

/// Every resource that a fake cluster can have; those of the core group are always there.
pub const RESOURCES: &[Resource] = &[
    resource("", "v1", "configmaps", "ConfigMap", true),
    resource("", "v1", "namespaces", "Namespace", false),
    resource("", "v1", "nodes", "Node", false),
    resource("", "v1", "secrets", "Secret", true),
    resource(KKP, "v1", "clusters", "Cluster", false),
    resource(KKP, "v1", "kubermaticconfigurations", "KubermaticConfiguration", true),
    resource(KKP, "v1", "projects", "Project", false),
    resource(KKP, "v1", "seeds", "Seed", true),
    resource(KKP, "v1", "users", "User", false),
    resource(KKP, "v1", "usersshkeys", "UserSSHKey", false),
    resource(LEGACY, "v1", "clusters", "Cluster", false),
    resource(LEGACY, "v1", "seeds", "Seed", true),
    resource(MACHINES, "v1alpha1", "machinedeployments", "MachineDeployment", true),
];

impl Resource {
    /// The resource of a title such as `seeds.kubermatic.k8c.io` or `nodes`.
    pub fn titled(title: &str) -> &'static Self {
        let found = RESOURCES.iter().find(|resource| resource.title() == title);
        found.unwrap_or_else(|| panic!("the fake API server knows no resource {title}"))
    }

    fn of(object: &Value) -> Option<&'static Self> {
        let (version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
        RESOURCES.iter().find(|resource| resource.kind == kind && resource.api_version() == version)
    }

    pub fn title(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The path of the list at cluster scope.
    pub fn path(&self) -> String {
        if self.group.is_empty() {
            format!("/api/v1/{}", self.plural)
        } else {
            format!("/apis/{}/{}/{}", self.group, self.version, self.plural)
        }
    }
}

/// Everything that a cluster has.
#[derive(Debug, Clone)]
pub struct Objects {
    /// What `/version` says as `gitVersion`, if the manifests told.
    pub version: Option<String>,
    installed: BTreeSet<String>,
    lists: BTreeMap<String, List>,
}

impl Objects {
    /// A cluster with nothing but what every cluster has.
    pub fn new() -> Self {
        let installed = RESOURCES.iter().filter(|resource| resource.group.is_empty()).map(Resource::title).collect();
        let mut objects = Self { version: None, installed, lists: BTreeMap::new() };
        let labels = json!({"kubernetes.io/metadata.name": "kube-system"});
        // It stands for the cluster, so that no two may have the same.
        let mut uid = [0; 16];
        getrandom::fill(&mut uid).unwrap();
        let uid = Builder::from_random_bytes(uid).into_uuid();
        objects.add(json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "kube-system", "labels": labels, "uid": uid},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        }));
        objects
    }

    /// A cluster with what a folder of manifests has; kinds that the fake does not know are left out.
    pub fn from_manifests(directory: &Path) -> Self {
        let mut objects = Self::new();
        let mut files = Vec::new();
        walk(directory, &mut files);
        files.sort();
        for file in files {
            for document in documents(&file) {
                objects.take(document);
            }
        }
        objects
    }

    fn take(&mut self, document: Value) {
        if let Some(version) = document["serverVersion"]["gitVersion"].as_str() {
            self.version = Some(version.to_owned());
        } else if let Some(Value::Array(items)) = document.get("items") {
            // Items of typed lists do not repeat what the list says.
            let kind = document["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).unwrap_or_default();
            for item in items {
                let mut item = item.clone();
                if item.get("kind").is_none() {
                    item["kind"] = json!(kind);
                    item["apiVersion"] = document["apiVersion"].clone();
                }
                self.take(item);
            }
        } else if Resource::of(&document).is_some() {
            self.add(document);
        }
    }

    /// Serves every resource of an API group from now on, as its CRDs would make the server do.
    pub fn install(&mut self, group: &str) {
        let of_group = RESOURCES.iter().filter(|resource| resource.group == group);
        self.installed.extend(of_group.map(Resource::title));
    }

    /// Takes one resource away, with its objects.
    pub fn uninstall(&mut self, title: &str) {
        let title = Resource::titled(title).title();
        self.installed.remove(&title);
        self.lists.remove(&title);
    }

    pub fn is_installed(&self, resource: &Resource) -> bool {
        self.installed.contains(&resource.title())
    }

    /// Adds an object, and its resource if need be. One that is there already is not added again, but another one of
    /// its name is, although no real server could have it: exports can, and the same records shall come out.
    pub fn add(&mut self, mut object: Value) {
        let resource = Resource::of(&object).unwrap_or_else(|| panic!("not an object of a known kind: {object}"));
        self.installed.insert(resource.title());
        let mut key = key_of(&object);
        complete(resource, &key, &mut object);
        let kept = self.lists.entry(resource.title()).or_default().kept();
        let same = |(other, it): &(String, Arc<Value>)| {
            other.split('\u{1}').next() == Some(key.as_str()) && it["metadata"]["uid"] == object["metadata"]["uid"]
        };
        if kept.iter().any(same) {
            return;
        }
        if kept.iter().any(|(other, _)| *other == key) {
            // Sorts behind the first, and behind the continue token that ends with it.
            key = format!("{key}\u{1}{}", object["metadata"]["uid"]);
        }
        let at = kept.partition_point(|(other, _)| *other < key);
        kept.insert(at, (key, Arc::new(object)));
    }

    /// Adds an object in place of all that have its name.
    pub fn put(&mut self, object: Value) {
        let resource = Resource::of(&object).unwrap_or_else(|| panic!("not an object of a known kind: {object}"));
        self.remove(&resource.title(), &key_of(&object));
        self.add(object);
    }

    /// Removes what has this name, or this namespace and name with a slash between them.
    pub fn remove(&mut self, title: &str, key: &str) -> bool {
        let kept = self.lists.entry(Resource::titled(title).title()).or_default().kept();
        let before = kept.len();
        kept.retain(|(_, object)| key_of(object) != key);
        kept.len() < before
    }

    /// Lets a list be made row by row, only when it is asked for. Rows must come in the order of their names, and are
    /// served as they are.
    pub fn make(&mut self, title: &str, count: usize, row: impl Fn(usize) -> Value + Send + Sync + 'static) {
        let resource = Resource::titled(title);
        self.installed.insert(resource.title());
        self.lists.insert(resource.title(), List::Made { count, row: Arc::new(row) });
    }

    pub fn list(&self, resource: &Resource) -> List {
        self.lists.get(&resource.title()).cloned().unwrap_or_default()
    }

    /// The objects of a resource, to be read and changed by tests.
    pub fn all(&self, title: &str) -> Vec<Value> {
        let list = self.list(Resource::titled(title));
        (0..list.len()).map(|index| (*list.at(index)).clone()).collect()
    }
}

/// The place of an object among those of its kind, as etcd orders them.
fn key_of(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// What the API server gives every object that lacks it.
fn complete(resource: &Resource, key: &str, object: &mut Value) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    let digest = Sha256::digest(format!("{}\0{key}", resource.title()));
    let uid = Builder::from_random_bytes(digest[..16].try_into().unwrap()).into_uuid();
    let revision = u16::from_be_bytes([digest[16], digest[17]]);
    metadata.entry("uid").or_insert_with(|| json!(uid));
    metadata.entry("resourceVersion").or_insert_with(|| json!((1000 + u32::from(revision)).to_string()));
    metadata.entry("creationTimestamp").or_insert_with(|| json!("2026-01-01T00:00:00Z"));
}

/// The objects of a resource in the order of their keys, never changed once it was handed out.
#[derive(Clone)]
pub enum List {
    Kept(Arc<Vec<(String, Arc<Value>)>>),
    Made { count: usize, row: Arc<dyn Fn(usize) -> Value + Send + Sync> },
}

impl Default for List {
    fn default() -> Self {
        Self::Kept(Arc::default())
    }
}

impl fmt::Debug for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list of {}", self.len())
    }
}

impl List {
    pub fn len(&self) -> usize {
        match self {
            Self::Kept(objects) => objects.len(),
            Self::Made { count, .. } => *count,
        }
    }

    pub fn at(&self, index: usize) -> Arc<Value> {
        match self {
            Self::Kept(objects) => Arc::clone(&objects[index].1),
            Self::Made { row, .. } => Arc::new(row(index)),
        }
    }

    pub fn key(&self, index: usize) -> String {
        match self {
            Self::Kept(objects) => objects[index].0.clone(),
            Self::Made { row, .. } => key_of(&row(index)),
        }
    }

    /// The index of the first object whose key is not below `start`.
    pub fn first_from(&self, start: &str) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.key(middle).as_str() < start { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Those of one namespace.
    pub fn within(&self, namespace: &str) -> Self {
        let all = (0..self.len()).map(|index| (self.key(index), self.at(index)));
        Self::Kept(Arc::new(all.filter(|(_, object)| object["metadata"]["namespace"] == namespace).collect()))
    }

    fn kept(&mut self) -> &mut Vec<(String, Arc<Value>)> {
        match self {
            Self::Kept(objects) => Arc::make_mut(objects),
            Self::Made { .. } => panic!("a list that is made row by row can't be changed"),
        }
    }
}

/// The documents of a manifest file, YAML or JSON.
fn documents(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    let name = file.display();
    if text.trim_start().starts_with('{') {
        let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        return documents.map(|document| document.unwrap_or_else(|error| panic!("{name}: {error}"))).collect();
    }
    let options = serde_saphyr::options! { strict_booleans: true };
    let mut bytes = text.as_bytes();
    let documents = serde_saphyr::read_with_options::<_, Value>(&mut bytes, options);
    documents.map(|document| document.unwrap_or_else(|error| panic!("{name}: {error}"))).collect()
}

//! Telling what an object is, and taking it apart.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::objects::{Cluster, Configuration, MachineDeployment, Node, Object, Project, Seed, SshKey, User};
use crate::pseudonym::NameType;
use crate::record::problem::Step;

/// An object of a kind that records need.
#[derive(Debug)]
pub(super) enum Parsed {
    Configuration(Object<Configuration>),
    Seed(Object<Seed>),
    Cluster(Object<Cluster>),
    Project(Object<Project>),
    User(Object<User>),
    SshKey(Object<SshKey>),
    MachineDeployment(Object<MachineDeployment>),
    Node(Object<Node>),
    /// The namespace `kube-system`, whose UID stands for the cluster.
    KubeSystem(Option<String>),
    /// An object of an API group that KKP used before 2.19.
    Legacy {
        step: Step,
        concerns: Option<(NameType, String)>,
    },
    /// What `kubectl version -o json` prints.
    Version(Option<String>),
    /// A kind that records do not need.
    Other,
}

/// An object of a needed kind without a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nameless(pub &'static str);

const KKP: &str = "kubermatic.k8c.io/v1";

impl Parsed {
    /// Takes a pruned object apart.
    pub(super) fn from_value(value: Value) -> Result<Self, Nameless> {
        let kind = value["kind"].as_str().unwrap_or_default().to_owned();
        let version = value["apiVersion"].as_str().unwrap_or_default().to_owned();
        if version.starts_with("kubermatic.k8s.io/") || version.starts_with("operator.kubermatic.io/") {
            return Ok(legacy(&kind, &value));
        }
        Ok(match (version.as_str(), kind.as_str()) {
            (KKP, "KubermaticConfiguration") => Self::Configuration(object(value, "KubermaticConfiguration")?),
            (KKP, "Seed") => Self::Seed(object(value, "Seed")?),
            (KKP, "Cluster") => Self::Cluster(object(value, "Cluster")?),
            (KKP, "Project") => Self::Project(object(value, "Project")?),
            (KKP, "User") => Self::User(object(value, "User")?),
            (KKP, "UserSSHKey") => Self::SshKey(object(value, "UserSSHKey")?),
            ("cluster.k8s.io/v1alpha1", "MachineDeployment") => {
                Self::MachineDeployment(object(value, "MachineDeployment")?)
            }
            ("v1", "Node") => Self::Node(object(value, "Node")?),
            ("v1", "Namespace") if value["metadata"]["name"] == "kube-system" => {
                Self::KubeSystem(uid(&value["metadata"]))
            }
            ("", "") if value.get("serverVersion").is_some() => {
                Self::Version(value["serverVersion"]["gitVersion"].as_str().map(str::to_owned))
            }
            _ => Self::Other,
        })
    }
}

impl Parsed {
    /// UID and name, by which an object that was exported twice is known; nothing where it has no UID.
    pub(super) fn identity(&self) -> Option<(String, String)> {
        fn of<T>(object: &Object<T>) -> Option<(String, String)> {
            Some((object.uid.clone()?, object.name.clone()))
        }
        match self {
            Self::Configuration(object) => of(object),
            Self::Seed(object) => of(object),
            Self::Cluster(object) => of(object),
            Self::Project(object) => of(object),
            Self::User(object) => of(object),
            Self::SshKey(object) => of(object),
            Self::MachineDeployment(object) => of(object),
            Self::Node(object) => of(object),
            Self::KubeSystem(_) | Self::Legacy { .. } | Self::Version(_) | Self::Other => None,
        }
    }
}

fn uid(metadata: &Value) -> Option<String> {
    metadata["uid"].as_str().filter(|uid| !uid.is_empty()).map(str::to_owned)
}

fn legacy(kind: &str, value: &Value) -> Parsed {
    let (step, name_type) = match kind {
        "KubermaticConfiguration" => (Step::Configuration, None),
        "Seed" => (Step::Seeds, Some(NameType::Seed)),
        "Cluster" => (Step::Clusters, Some(NameType::Cluster)),
        "Project" => (Step::Projects, Some(NameType::Project)),
        "User" => (Step::Users, Some(NameType::User)),
        "UserSSHKey" => (Step::SshKeys, Some(NameType::SshKey)),
        _ => return Parsed::Other,
    };
    let name = value["metadata"]["name"].as_str();
    Parsed::Legacy { step, concerns: name_type.zip(name.map(str::to_owned)) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    labels: Option<Labels>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(rename = "project-id")]
    project: Option<String>,
}

#[derive(Deserialize)]
struct Owner {
    kind: Option<String>,
    name: Option<String>,
}

/// Takes an object of a known kind apart.
pub(super) fn object<T: DeserializeOwned>(mut value: Value, kind: &'static str) -> Result<Object<T>, Nameless> {
    let name = value["metadata"]["name"].as_str().filter(|name| !name.is_empty());
    let name = name.ok_or(Nameless(kind))?.to_owned();
    let metadata = value["metadata"].take();
    let mut object = Object {
        name,
        namespace: metadata["namespace"].as_str().unwrap_or_default().to_owned(),
        uid: uid(&metadata),
        deleting: metadata["deletionTimestamp"].is_string(),
        project: None,
        owner_projects: Vec::new(),
        fields: None,
    };
    if let Ok(metadata) = serde_json::from_value::<Metadata>(metadata) {
        object.project = metadata.labels.and_then(|labels| labels.project).filter(|project| !project.is_empty());
        let owners = metadata.owner_references.into_iter().flatten();
        let projects = owners.filter(|owner| owner.kind.as_deref() == Some("Project"));
        object.owner_projects = projects.filter_map(|owner| owner.name).filter(|name| !name.is_empty()).collect();
        object.fields = serde_json::from_value(value).ok();
    }
    Ok(object)
}

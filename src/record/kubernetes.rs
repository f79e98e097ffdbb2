//! The record kind `kubernetes`, version v1: the nodes of the clusters that were looked at.

use super::canonical::{CanonicalError, RecordWriter};
use super::catalogue::{Privacy, catalogued};
use super::problem::Problem;
use super::values::{self, Choice, OsImage, Quantity, Release, RuntimeVersion};
use super::{Pseudonym, Row};

/// The kind's name.
pub const KIND: &str = "kubernetes";
/// The version of its schema.
pub const VERSION: &str = "v1";
/// What the kind is for.
pub const ABOUT: &str = "The nodes of the master, of seeds and of user clusters, as far as they were looked at.";

catalogued! {
    /// Nodes at one time.
    pub struct Record {
        /// The record kind.
        "kind" kind: &'static str => Privacy::Constant(KIND),
        /// The version of the record's schema.
        "version" version: &'static str => Privacy::Constant(VERSION),
        /// When the record was made.
        "time" time: String => Privacy::Time,
        /// Whether everything could be read; if not, `problems` says what is missing.
        "complete" complete: bool => Privacy::Flag,
        /// What could not be read, without names.
        "problems" problems: Vec<Problem> => Privacy::Rows(Problem::FIELDS),
        /// Kubernetes version of the master cluster.
        "kubernetesVersion" kubernetes_version: Option<Release> => Privacy::Release,
        /// The nodes, without those being deleted.
        "nodes" nodes: Vec<Node> => Privacy::Rows(Node::FIELDS),
        /// For which names the site left something out; absent where nothing was.
        "withheld" withheld: Option<Vec<String>> => Privacy::Names,
    }
}

catalogued! {
    /// A node.
    pub struct Node {
        /// The node.
        "id" id: Pseudonym => Privacy::Pseudonym("node"),
        /// The seed whose node it is, or that runs its cluster's control plane; absent for the master's nodes.
        "seedUUID" seed_uuid: Option<Pseudonym> => Privacy::Pseudonym("seed"),
        /// The user cluster whose node it is; absent for nodes of the master and of seeds.
        "clusterUUID" cluster_uuid: Option<Pseudonym> => Privacy::Pseudonym("cluster"),
        /// Operating system.
        "operatingSystem" operating_system: Option<Choice> => Privacy::Choice(values::NODE_SYSTEMS),
        /// Distribution.
        "osImage" os_image: Option<OsImage> => Privacy::OsImage,
        /// Kernel.
        "kernelVersion" kernel_version: Option<Release> => Privacy::NumericRelease,
        /// Processor architecture.
        "architecture" architecture: Option<Choice> => Privacy::Choice(values::ARCHITECTURES),
        /// Container runtime.
        "containerRuntimeVersion" container_runtime_version: Option<RuntimeVersion> => Privacy::RuntimeVersion,
        /// Kubelet.
        "kubeletVersion" kubelet_version: Option<Release> => Privacy::Release,
        /// Cloud provider, from the scheme of the node's provider id, by KKP's name.
        "cloudProvider" cloud_provider: Option<Choice> => Privacy::Choice(values::MACHINE_PROVIDERS),
        /// What the node has, sorted by resource.
        "capacity" capacity: Vec<Resource> => Privacy::Rows(Resource::FIELDS),
    }
}

catalogued! {
    /// An amount of a resource.
    pub struct Resource {
        /// Which resource; those that are not listed here are left out.
        "resource" resource: &'static str => Privacy::Choice(values::RESOURCES),
        /// How much of it.
        "value" value: Quantity => Privacy::Quantity,
    }
}

impl Record {
    /// The record's canonical bytes. Nodes are unique, as the collector makes them.
    ///
    /// # Errors
    /// None that can be met: nothing in a record is beyond canonical JSON.
    pub fn into_canonical(self) -> Result<Vec<u8>, CanonicalError> {
        let mut writer = RecordWriter::default();
        writer.member("complete", &self.complete)?;
        writer.member("kind", &self.kind)?;
        writer.optional("kubernetesVersion", self.kubernetes_version.as_ref())?;
        writer.rows("nodes", self.nodes)?;
        writer.member("problems", &self.problems)?;
        writer.member("time", &self.time)?;
        writer.member("version", &self.version)?;
        writer.optional("withheld", self.withheld.as_ref())?;
        Ok(writer.finish())
    }
}

impl Row for Node {
    fn key(&self) -> Pseudonym {
        self.id
    }
}

//! The collector of `kubernetes` records: a pure function from an inventory to a record.

use super::collect::{Collection, living};
use super::kubermatic::{seeds_of_clusters, version};
use super::objects::{self, Object};
use super::{Inventory, providers};
use crate::pseudonym::{NameType, Pseudonym, Pseudonymizer, Scope};
use crate::record::kubernetes::{KIND, Node, Record, Resource, VERSION};
use crate::record::problem::{Category, Step};
use crate::record::values::{self, Choice, OsImage, Quantity, Release, RuntimeVersion};

/// Makes the record of an installation's nodes at `time` (RFC 3339, UTC, whole seconds).
#[must_use]
pub fn collect(inventory: &Inventory, names: &Pseudonymizer, time: String) -> Record {
    let mut collection = Collection::new(names);
    collection.gaps(inventory, &[Step::Nodes]);
    let kubernetes_version = version(inventory, &mut collection);
    let mut nodes = cluster_nodes(&mut collection, &inventory.master.nodes, "", "");
    if inventory.master.nodes.is_empty() {
        collection.problem(Step::Nodes, Category::NotProvided, None);
    }
    for (seed, found) in &inventory.seeds {
        nodes.extend(cluster_nodes(&mut collection, &found.nodes, seed, ""));
    }
    let seeds = seeds_of_clusters(inventory);
    for (cluster, found) in &inventory.user_clusters {
        match seeds.get(cluster.as_str()) {
            Some(seed) => nodes.extend(cluster_nodes(&mut collection, &found.nodes, seed, cluster)),
            None if found.nodes.is_empty() => {}
            None => {
                let concerns = collection.names.of(NameType::Cluster, cluster);
                collection.problem(Step::Nodes, Category::UnknownCluster, Some(concerns));
            }
        }
    }
    let problems = collection.into_problems();
    Record { kind: KIND, version: VERSION, time, complete: problems.is_empty(), problems, kubernetes_version, nodes }
}

/// The nodes of one cluster: the master's where both names are empty, a seed's where only `cluster` is.
fn cluster_nodes(
    collection: &mut Collection<'_>,
    nodes: &[Object<objects::Node>],
    seed: &str,
    cluster: &str,
) -> Vec<Node> {
    let pseudonym = |names: &Pseudonymizer, object: &Object<objects::Node>| {
        names.scoped(NameType::Node, Scope { seed, cluster, namespace: "" }, &object.name)
    };
    let filled = |kind, name: &str| (!name.is_empty()).then(|| collection.names.of(kind, name));
    let (seed_uuid, cluster_uuid) = (filled(NameType::Seed, seed), filled(NameType::Cluster, cluster));
    collection.rows_named(Step::Nodes, living(nodes), pseudonym, |collection, _, fields, id| {
        node(collection, fields, &Place { id, seed_uuid, cluster_uuid })
    })
}

/// What a node's own object does not say.
struct Place {
    id: Pseudonym,
    seed_uuid: Option<Pseudonym>,
    cluster_uuid: Option<Pseudonym>,
}

fn node(collection: &mut Collection<'_>, fields: &objects::Node, place: &Place) -> Node {
    let info = fields.status.as_ref().and_then(|status| status.node_info.clone());
    if info.is_none() {
        collection.problem(Step::Nodes, Category::Malformed, Some(place.id));
    }
    let info = info.unwrap_or_default();
    let provider_id = fields.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()).unwrap_or_default();
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Node {
        id: place.id,
        seed_uuid: place.seed_uuid,
        cluster_uuid: place.cluster_uuid,
        operating_system: Choice::among(values::NODE_SYSTEMS, &text(&info.operating_system)),
        os_image: OsImage::reduce(&text(&info.os_image)),
        kernel_version: Release::numeric(&text(&info.kernel_version)),
        architecture: Choice::among(values::ARCHITECTURES, &text(&info.architecture)),
        container_runtime_version: RuntimeVersion::reduce(&text(&info.container_runtime_version)),
        kubelet_version: Release::reduce(&text(&info.kubelet_version)),
        cloud_provider: providers::of_node(provider_id),
        capacity: capacity(fields),
    }
}

/// Known resources only: what follows a vendor's domain can be chosen by the customer.
fn capacity(fields: &objects::Node) -> Vec<Resource> {
    let capacity = fields.status.as_ref().and_then(|status| status.capacity.as_ref());
    let known = values::RESOURCES.iter().filter_map(|resource| {
        let value = match capacity?.get(*resource)? {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some(Resource { resource, value: Quantity::new(&value)? })
    });
    known.collect()
}

//! The collector of `kubernetes` records: pure functions from nodes to rows.

use super::collect::{Notes, Rows};
use super::objects::{self, Object};
use super::providers;
use crate::pseudonym::{NameType, Pseudonym, Scope};
use crate::record::kubernetes::{Node, Resource};
use crate::record::problem::{Category, Step};
use crate::record::values::{self, Choice, OsImage, Quantity, Release, RuntimeVersion};

/// Whose nodes they are: the master's where both names are empty, a seed's where only `cluster` is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'w> {
    pub seed: &'w str,
    pub cluster: &'w str,
}

impl Whose<'static> {
    pub const MASTER: Self = Self { seed: "", cluster: "" };
}

/// Adds a node that is not being deleted.
pub(super) fn add_node(rows: &mut Rows<'_, Node>, object: &Object<objects::Node>, whose: Whose<'_>) {
    if object.deleting {
        return;
    }
    let names = rows.notes.names;
    let Whose { seed, cluster } = whose;
    let id = names.scoped(NameType::Node, Scope { seed, cluster, namespace: "" }, &object.name);
    let filled = |kind, name: &str| (!name.is_empty()).then(|| names.of(kind, name));
    let place = Place { id, seed_uuid: filled(NameType::Seed, seed), cluster_uuid: filled(NameType::Cluster, cluster) };
    rows.add(id, object.fields.as_ref(), |notes, fields| node(notes, fields, &place));
}

/// What a node's own object does not say.
struct Place {
    id: Pseudonym,
    seed_uuid: Option<Pseudonym>,
    cluster_uuid: Option<Pseudonym>,
}

fn node(notes: &mut Notes<'_>, fields: &objects::Node, place: &Place) -> Node {
    let info = fields.status.as_ref().and_then(|status| status.node_info.clone());
    if info.is_none() {
        notes.problem(Step::Nodes, Category::Malformed, Some(place.id));
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

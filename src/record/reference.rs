//! The report document of the reference client (telemetry-client v0.5, report version v2), from this product's
//! records: the same field names for those who read that format, with this product's pseudonyms as ids.
//!
//! Nothing is stored or signed in this form. Addresses stay empty.

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Member names of the reference client's kubermatic record, for each of ours.
const KUBERMATIC: &[(&str, &str)] = &[
    ("kubermaticEdition", "kubermatic_edition"),
    ("kubermaticVersion", "kubermatic_version"),
    ("seeds", "seeds"),
    ("clusters", "clusters"),
    ("users", "users"),
    ("projects", "projects"),
    ("sshKeys", "ssh_keys"),
];
const SEED: &[(&str, &str)] = &[
    ("uuid", "uuid"),
    ("country", "country"),
    ("location", "location"),
    ("exposeStrategy", "expose_strategy"),
    ("datacenters", "datacenters"),
];
const CLUSTER: &[(&str, &str)] = &[
    ("uuid", "uuid"),
    ("seedUUID", "seed_uuid"),
    ("projectUUID", "project_uuid"),
    ("exposeStrategy", "expose_strategy"),
    ("etcdClusterSize", "etcd_cluster_size"),
    ("kubernetesServerVersion", "kubernetes_server_version"),
    ("opaIntegrationEnabled", "opa_integration_enabled"),
    ("enableUserSSHKeyAgent", "user_ssh_key_agent_enabled"),
];
const CLOUD: &[(&str, &str)] = &[("provider", "provider_name"), ("dcUUID", "datacenter_uuid")];
const MLA: &[(&str, &str)] = &[("monitoringEnabled", "monitoring_enabled"), ("loggingEnabled", "logging_enabled")];
const NETWORK: &[(&str, &str)] = &[("ipFamily", "ip_family"), ("konnectivityEnabled", "konnectivity_enabled")];
const USER: &[(&str, &str)] = &[("uuid", "uuid"), ("isAdmin", "is_admin")];
const NODE: &[(&str, &str)] = &[
    ("id", "id"),
    ("operatingSystem", "operating_system"),
    ("osImage", "os_image"),
    ("kernelVersion", "kernel_version"),
    ("architecture", "architecture"),
    ("containerRuntimeVersion", "container_runtime_version"),
    ("kubeletVersion", "kubelet_version"),
    ("cloudProvider", "cloud_provider"),
    ("capacity", "capacity"),
];

/// Makes the report of `client` at `time` from records of the kinds `kubernetes` and `kubermatic`, version v1; other
/// records have no counterpart there and are passed over.
#[must_use]
pub fn report(client: Uuid, time: &str, records: &[Value]) -> Value {
    let records: Vec<_> = records
        .iter()
        .filter_map(|record| match record["kind"].as_str() {
            Some(super::kubernetes::KIND) => Some(kubernetes(record)),
            Some(super::kubermatic::KIND) => Some(kubermatic(record)),
            _ => None,
        })
        .collect();
    let mut report = json!({
        "version": "v2",
        "time": time,
        "client_uuid": client.to_string(),
        "client_location": empty_location(),
        "master_location": empty_location(),
    });
    if !records.is_empty() {
        report["records"] = Value::Array(records);
    }
    report
}

/// The zero value of the reference client's location object, which its backend fills by geo-IP.
fn empty_location() -> Value {
    let words = ["city", "country", "country_code", "organization", "ip", "region", "region_name", "timezone", "zip"];
    let mut location: Map<_, _> = words.iter().map(|word| ((*word).to_owned(), json!(""))).collect();
    location.extend([("latitude".to_owned(), json!(0)), ("longitude".to_owned(), json!(0))]);
    Value::Object(location)
}

fn kubernetes(record: &Value) -> Value {
    let nodes = rows(&record["nodes"], |node| {
        let mut node = renamed(node, NODE);
        node.insert("external_ip".into(), json!(""));
        node
    });
    let mut result = head(record);
    result.insert("kubernetes_version".into(), text(&record["kubernetesVersion"]));
    insert_rows(&mut result, "nodes", nodes);
    Value::Object(result)
}

fn kubermatic(record: &Value) -> Value {
    let mut result = head(record);
    for (ours, theirs) in KUBERMATIC {
        let value = &record[*ours];
        match *theirs {
            "seeds" => insert_rows(&mut result, theirs, rows(value, seed)),
            "clusters" => insert_rows(&mut result, theirs, rows(value, cluster)),
            "users" => insert_rows(&mut result, theirs, rows(value, |user| renamed(user, USER))),
            "projects" => {
                insert_rows(&mut result, theirs, rows(value, |project| renamed(project, &[("uuid", "uuid")])));
            }
            "ssh_keys" => insert_rows(&mut result, theirs, rows(value, ssh_key)),
            _ => drop(result.insert((*theirs).into(), text(value))),
        }
    }
    Value::Object(result)
}

fn head(record: &Value) -> Map<String, Value> {
    let members = [("kind", record["kind"].clone()), ("version", json!("v2")), ("time", record["time"].clone())];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn seed(seed: &Value) -> Map<String, Value> {
    let mut result = renamed(seed, SEED);
    if result.get("datacenters").is_some_and(|list| list.as_array().is_some_and(Vec::is_empty)) {
        result.remove("datacenters");
    }
    result
}

fn cluster(cluster: &Value) -> Map<String, Value> {
    let mut result = renamed(cluster, CLUSTER);
    let cni = &cluster["cniPlugin"];
    result.insert("cni_plugin".into(), json!({"type": text(&cni["type"]), "version": text(&cni["version"])}));
    result.insert("cloud".into(), Value::Object(renamed(&cluster["cloud"], CLOUD)));
    result.insert("mla".into(), Value::Object(renamed(&cluster["mla"], MLA)));
    result.insert("cluster_network".into(), Value::Object(renamed(&cluster["clusterNetwork"], NETWORK)));
    result
}

fn ssh_key(key: &Value) -> Map<String, Value> {
    let mut result = renamed(key, &[("uuid", "uuid"), ("clusterUUIDs", "cluster_uuids")]);
    if let Some(owner) = key["ownerProjectUUID"].get(0) {
        result.insert("owner_project_uuid".into(), owner.clone());
    }
    if result.get("cluster_uuids").is_some_and(|list| list.as_array().is_some_and(Vec::is_empty)) {
        result.remove("cluster_uuids");
    }
    result
}

fn renamed(object: &Value, names: &[(&str, &str)]) -> Map<String, Value> {
    let present = names.iter().filter_map(|(ours, theirs)| Some(((*theirs).to_owned(), object.get(*ours)?.clone())));
    present.collect()
}

fn rows(list: &Value, row: impl Fn(&Value) -> Map<String, Value>) -> Vec<Value> {
    list.as_array().into_iter().flatten().map(|item| Value::Object(row(item))).collect()
}

fn insert_rows(result: &mut Map<String, Value>, name: &str, rows: Vec<Value>) {
    if !rows.is_empty() {
        result.insert(name.to_owned(), Value::Array(rows));
    }
}

fn text(value: &Value) -> Value {
    if value.is_string() { value.clone() } else { json!("") }
}

//! Records of made installations, their bundles, and the rows that they must give, told apart from the program.

use std::collections::BTreeMap;
use std::io::{Cursor, Seek as _};

use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::bundle::pack::{self, Header, Item};
use kubermatic_telemetry::digest::{Digested, Sha256Digest};
use kubermatic_telemetry::record::canonical::{Form, canonicalize};
use kubermatic_telemetry::record::document::Document;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::archive::{client, record_id};
use crate::support::header;

/// A record, and the number that its id is made of.
#[derive(Clone)]
pub struct Record {
    pub id: Uuid,
    pub bytes: Vec<u8>,
    pub value: Value,
    /// Whether it is what its kind and version prescribe.
    pub fits: bool,
}

/// Numbers that look random and are always the same.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn pick(&mut self, words: &[&str]) -> Value {
        let at = self.below(words.len() as u64);
        words[usize::try_from(at).unwrap()].into()
    }

    fn flag(&mut self) -> Value {
        (self.below(2) == 1).into()
    }
}

fn uuid(kind: u128, number: u64) -> Value {
    Uuid::from_u128(0x1234_5678_0000_8000_8000_0000_0000_0000 + (kind << 32) + u128::from(number)).to_string().into()
}

fn rows(most: u64, mut row: impl FnMut(u64) -> Value) -> Value {
    (0..most).map(&mut row).collect::<Vec<_>>().into()
}

impl Record {
    pub fn of(id: u64, value: &Value) -> Self {
        let limits = Limits::default();
        let bytes = canonicalize(value.to_string().as_bytes(), Form::Record, &limits.json).unwrap();
        Self { id: record_id(id), value: serde_json::from_slice(&bytes).unwrap(), bytes, fits: true }
    }

    /// A record of an installation, which has what the dice give it; some lack members, and some do not fit their schema.
    pub fn kubermatic(id: u64, time: &str, dice: &mut Dice) -> Self {
        let versions = ["1.29.4", "1.30.1", "1.31.0"];
        let providers = ["aws", "azure", "gcp", "vsphere", "other"];
        let mut value = json!({
            "kind": "kubermatic", "version": "v1", "time": time, "complete": dice.below(4) > 0,
            "kubermaticEdition": dice.pick(&["CE", "EE"]), "kubermaticVersion": dice.pick(&["2.24.0", "2.25.1"]),
            "kubernetesVersion": dice.pick(&versions),
            "problems": rows(dice.below(3), |_| json!({"category": "timeout", "step": "nodes"})),
            "seeds": rows(dice.below(3), |seed| json!({
                "uuid": uuid(1, seed), "country": "DE", "location": "Zürich \"1\",\u{2028}",
                "expose": 1, "kubernetesVersion": "1.28.0", "userClusterMlaEnabled": seed == 0,
                "datacenters": rows(seed + 1, |dc| json!({
                    "uuid": uuid(2, 10 * seed + dc), "provider": "aws", "region": "eu-central-1", "country": "FR",
                })),
            })),
            "clusters": rows(dice.below(6), |cluster| json!({
                "uuid": uuid(3, cluster), "seedUUID": uuid(1, 0), "projectUUID": uuid(4, cluster % 2),
                "cloud": {"provider": dice.pick(&providers), "dcUUID": uuid(2, 0)}, "phase": "Running",
                "kubernetesServerVersion": dice.pick(&versions), "exposeStrategy": "NodePort",
                "etcdClusterSize": 3, "containerRuntime": "containerd", "opaIntegrationEnabled": dice.flag(),
                "mla": {"monitoringEnabled": dice.flag()},
                "cniPlugin": {"type": dice.pick(&["canal", "cilium"]), "version": "v3.27"},
                "clusterNetwork": {"ipFamily": "IPv4", "konnectivityEnabled": true},
                "enableUserSSHKeyAgent": dice.flag(),
            })),
            "users": rows(dice.below(4), |user| json!({"uuid": uuid(5, user), "isAdmin": user == 0, "isServiceAccount": false})),
            "projects": rows(dice.below(3), |project| json!({"uuid": uuid(4, project)})),
            "sshKeys": rows(dice.below(3), |key| json!({
                "uuid": uuid(6, key), "ownerProjectUUID": [uuid(4, 0)],
                "clusterUUIDs": rows(key, |cluster| uuid(3, cluster)),
            })),
            "machineDeployments": rows(dice.below(5), |machines| json!({
                "uuid": uuid(7, machines), "clusterUUID": uuid(3, 0), "os": dice.pick(&["ubuntu", "flatcar"]),
                "kubeletVersion": "1.30.1", "numberOfReplicas": dice.below(9), "provider": "aws",
            })),
        });
        if dice.below(4) == 0 {
            value.as_object_mut().unwrap().remove("users");
        }
        let fits = dice.below(8) > 0;
        if !fits {
            value["projects"] = json!([1, "x", null]);
        }
        Self { fits, ..Self::of(id, &value) }
    }

    /// A record of nodes.
    pub fn kubernetes(id: u64, time: &str, dice: &mut Dice) -> Self {
        let value = json!({
            "kind": "kubernetes", "version": "v1", "time": time, "complete": true, "problems": [],
            "kubernetesVersion": "1.31.0",
            "nodes": rows(dice.below(5), |node| json!({
                "id": uuid(8, node), "clusterUUID": uuid(3, 0), "operatingSystem": "linux", "osImage": "Ubuntu 24.04",
                "kernelVersion": "6.8.0", "architecture": dice.pick(&["amd64", "arm64"]),
                "containerRuntimeVersion": "containerd://1.7.13", "kubeletVersion": "1.31.0", "cloudProvider": "aws",
                "capacity": [{"resource": "cpu", "value": "1500m"}, {"resource": "memory", "value": "16Gi"}],
            })),
        });
        Self::of(id, &value)
    }

    /// A record of another product, which has what tables are made of elsewhere.
    pub fn foreign(id: u64, time: &str) -> Self {
        let value =
            json!({"kind": "my-product", "version": "v3", "time": time, "clusters": [{"uuid": "x"}], "size": 1});
        Self::of(id, &value)
    }
}

/// Packs records of a client as a bundle; also the digest of its manifest.
pub fn pack(number: u8, sequence: u64, records: &[Record]) -> (Vec<u8>, Sha256Digest) {
    let (id, key) = client(number);
    let limits = Limits::default();
    let envelope = |record: &Record| Document::parse(record.bytes.clone(), &limits.json).unwrap().envelope().unwrap();
    let items = records.iter().map(|record| Item { id: record.id, envelope: envelope(record) }).collect();
    let all: BTreeMap<_, _> = records.iter().map(|record| (record.id, &record.bytes)).collect();
    let load = |id: Uuid| Ok::<_, std::convert::Infallible>(Digested::of(all[&id].clone()));
    let header = Header { client: id, sequence, ..header() };
    let mut payload = Cursor::new(Vec::new());
    let packed = pack::pack(header, items, load, &key, &limits, &mut payload, &mut |_, _| {}).unwrap();
    payload.rewind().unwrap();
    let mut bundle = Vec::new();
    packed.write_to(&mut bundle, &mut payload).unwrap();
    (bundle, Sha256Digest::of(&packed.manifest_bytes))
}

/// The columns of tables that are members of an entity: table, array, and for each column its type and the way to it.
type Members = (&'static str, &'static str, &'static [(&'static str, char, &'static str)]);
const MEMBERS: &[Members] = &[
    (
        "seeds",
        "/seeds",
        &[
            ("seed_uuid", 's', "/uuid"),
            ("country", 's', "/country"),
            ("location", 's', "/location"),
            ("expose_strategy", 's', "/exposeStrategy"),
            ("kubernetes_version", 's', "/kubernetesVersion"),
            ("user_cluster_mla_enabled", 'b', "/userClusterMlaEnabled"),
        ],
    ),
    (
        "clusters",
        "/clusters",
        &[
            ("cluster_uuid", 's', "/uuid"),
            ("seed_uuid", 's', "/seedUUID"),
            ("project_uuid", 's', "/projectUUID"),
            ("datacenter_uuid", 's', "/cloud/dcUUID"),
            ("provider", 's', "/cloud/provider"),
            ("phase", 's', "/phase"),
            ("kubernetes_version", 's', "/kubernetesServerVersion"),
            ("kubermatic_version", 's', "/kubermaticVersion"),
            ("expose_strategy", 's', "/exposeStrategy"),
            ("etcd_cluster_size", 'n', "/etcdClusterSize"),
            ("container_runtime", 's', "/containerRuntime"),
            ("cni_type", 's', "/cniPlugin/type"),
            ("cni_version", 's', "/cniPlugin/version"),
            ("ip_family", 's', "/clusterNetwork/ipFamily"),
            ("konnectivity_enabled", 'b', "/clusterNetwork/konnectivityEnabled"),
            ("opa_enabled", 'b', "/opaIntegrationEnabled"),
            ("monitoring_enabled", 'b', "/mla/monitoringEnabled"),
            ("logging_enabled", 'b', "/mla/loggingEnabled"),
            ("user_ssh_key_agent_enabled", 'b', "/enableUserSSHKeyAgent"),
        ],
    ),
    (
        "users",
        "/users",
        &[("user_uuid", 's', "/uuid"), ("is_admin", 'b', "/isAdmin"), ("is_service_account", 'b', "/isServiceAccount")],
    ),
    ("projects", "/projects", &[("project_uuid", 's', "/uuid")]),
    (
        "ssh_keys",
        "/sshKeys",
        &[
            ("ssh_key_uuid", 's', "/uuid"),
            ("owner_project_uuids", 'l', "/ownerProjectUUID"),
            ("cluster_uuids", 'l', "/clusterUUIDs"),
        ],
    ),
    (
        "machine_deployments",
        "/machineDeployments",
        &[
            ("machine_deployment_uuid", 's', "/uuid"),
            ("cluster_uuid", 's', "/clusterUUID"),
            ("os", 's', "/os"),
            ("kubelet_version", 's', "/kubeletVersion"),
            ("replicas", 'n', "/numberOfReplicas"),
            ("provider", 's', "/provider"),
        ],
    ),
    (
        "nodes",
        "/nodes",
        &[
            ("node_uuid", 's', "/id"),
            ("seed_uuid", 's', "/seedUUID"),
            ("cluster_uuid", 's', "/clusterUUID"),
            ("operating_system", 's', "/operatingSystem"),
            ("os_image", 's', "/osImage"),
            ("kernel_version", 's', "/kernelVersion"),
            ("architecture", 's', "/architecture"),
            ("container_runtime_version", 's', "/containerRuntimeVersion"),
            ("kubelet_version", 's', "/kubeletVersion"),
            ("provider", 's', "/cloudProvider"),
        ],
    ),
    (
        "problems",
        "/problems",
        &[("step", 's', "/step"), ("category", 's', "/category"), ("concerns", 's', "/concerns")],
    ),
];

/// Rows by table, as JSON.
pub type Tables = BTreeMap<String, Vec<Value>>;

fn typed(row: &Value, kind: char, pointer: &str) -> Value {
    let value = row.pointer(pointer).cloned().unwrap_or_default();
    let fits = match kind {
        's' => value.is_string(),
        'b' => value.is_boolean(),
        'n' => value.is_i64(),
        _ => value.is_array(),
    };
    if fits { value } else { Value::Null }
}

fn objects<'v>(value: &'v Value, pointer: &str) -> Vec<&'v Value> {
    let array = value.pointer(pointer).and_then(Value::as_array);
    array.into_iter().flatten().filter(|row| row.is_object()).collect()
}

/// Adds the rows of a record that `bundle` is the owner of.
pub fn expect(tables: &mut Tables, number: u8, bundle: Sha256Digest, record: &Record) {
    let value = &record.value;
    let text = |name: &str| value[name].as_str().unwrap().to_owned();
    let time = text("time").parse::<jiff::Timestamp>().unwrap().as_microsecond();
    let common = || {
        let common = [("client", json!(client(number).0)), ("record_id", json!(record.id)), ("time", json!(time))];
        common.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>()
    };
    let is_known = ["kubermatic", "kubernetes"].contains(&text("kind").as_str());
    let mut row = common();
    row.insert("kind".into(), text("kind").into());
    row.insert("version".into(), text("version").into());
    row.insert("complete".into(), value.get("complete").cloned().unwrap_or(true.into()));
    for (column, member) in [
        ("kubermatic_edition", "/kubermaticEdition"),
        ("kubermatic_version", "/kubermaticVersion"),
        ("kubernetes_version", "/kubernetesVersion"),
    ] {
        row.insert(column.into(), if is_known { typed(value, 's', member) } else { Value::Null });
    }
    let datacenters: Vec<_> = objects(value, "/seeds")
        .into_iter()
        .flat_map(|seed| objects(seed, "/datacenters").into_iter().map(move |datacenter| (seed, datacenter)))
        .collect();
    for (table, array, _) in MEMBERS {
        let count = || objects(value, array).len().into();
        row.insert((*table).into(), if is_known && value.pointer(array).is_some() { count() } else { Value::Null });
    }
    let has_seeds = is_known && value.get("seeds").is_some();
    row.insert("datacenters".into(), if has_seeds { datacenters.len().into() } else { Value::Null });
    row.insert("record_bytes".into(), record.bytes.len().into());
    row.insert("bundle".into(), bundle.to_string().into());
    let mut add = |table: &str, row: Map<_, _>| tables.entry(table.to_owned()).or_default().push(row.into());
    add("installations", row);
    if !is_known {
        return;
    }
    for (seed, datacenter) in datacenters {
        let mut row = common();
        row.insert("seed_uuid".into(), seed["uuid"].clone());
        row.insert("datacenter_uuid".into(), datacenter["uuid"].clone());
        for name in ["country", "location", "provider", "region"] {
            row.insert(name.into(), datacenter.get(name).cloned().unwrap_or_default());
        }
        add("datacenters", row);
    }
    for (table, array, columns) in MEMBERS {
        for (position, entity) in objects(value, array).into_iter().enumerate() {
            let mut row = common();
            for (column, kind, pointer) in *columns {
                row.insert((*column).into(), typed(entity, *kind, pointer));
            }
            if *table == "problems" {
                row.insert("position".into(), position.into());
                row.insert("kind".into(), text("kind").into());
            }
            if *table == "nodes" {
                // What every made node has.
                row.insert("cpu_millicores".into(), 1500.into());
                row.insert("memory_bytes".into(), (16_u64 << 30).into());
                row.insert("ephemeral_storage_bytes".into(), Value::Null);
                row.insert("pods".into(), Value::Null);
                row.insert("capacity".into(), json!(["cpu=1500m", "memory=16Gi"]));
            }
            add(table, row);
        }
    }
}

/// Rows in a form that does not depend on their order.
pub fn sorted(tables: &Tables) -> BTreeMap<String, Vec<String>> {
    let lines = |rows: &Vec<Value>| {
        let mut lines: Vec<_> = rows.iter().map(Value::to_string).collect();
        lines.sort();
        lines
    };
    tables.iter().map(|(table, rows)| (table.clone(), lines(rows))).collect()
}

//! Real objects of KKP, where the folder with them is present.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::catalogue::violations;
use crate::support::{Desk, kkp_samples, walk};

/// An arrangement of samples: folder, and the files in it. A name occurs once in each, as on a real master.
type Arrangement = &'static [(&'static str, &'static [&'static str])];

const CLUSTERS: Arrangement = &[
    (
        "master",
        &[
            "kubermaticconfigurations/kubermatic-ci.yaml",
            "kubermaticconfigurations/legacy-kubermatic-ci-v2.18.0.yaml",
            "seeds/seed-ci-many-providers.yaml",
            "seeds/seed-example.yaml",
            "seeds/legacy-seed-ci-v2.18.0.yaml",
            "derived/projects.yaml",
            "derived/usersshkeys.yaml",
            "users/dashboard-e2e-users.yaml",
            "nodes/node-hetzner-cloud-externalip.yaml",
            "nodes/node-no-providerid-kubernetes-docs.yaml",
        ],
    ),
    (
        "seeds/__SEED_NAME__",
        &[
            "clusters/cluster-aws.yaml",
            "clusters/cluster-azure.yaml",
            "clusters/cluster-gcp.yaml",
            "clusters/cluster-hetzner.yaml",
            "clusters/cluster-openstack.yaml",
            "clusters/live-dump-vsphere-v2.23.6.yaml",
            "clusters/minimal-by-crd-vsphere.yaml",
            "derived/cluster-anexia.yaml",
            "derived/cluster-baremetal.yaml",
        ],
    ),
    ("user-clusters/avznsmznpt", &["machinedeployments/e2e-aws.yaml"]),
    ("user-clusters/{clusters/cluster-azure.yaml}", &["machinedeployments/e2e-azure.yaml"]),
    ("user-clusters/{clusters/cluster-gcp.yaml}", &["machinedeployments/e2e-gce.yaml"]),
    ("user-clusters/{clusters/cluster-hetzner.yaml}", &["machinedeployments/e2e-hetzner.yaml"]),
    ("user-clusters/{derived/cluster-baremetal.yaml}", &["machinedeployments/e2e-kubevirt.yaml"]),
    ("user-clusters/{clusters/cluster-openstack.yaml}", &["machinedeployments/e2e-openstack.yaml"]),
    ("user-clusters/p462m4j465", &["machinedeployments/e2e-vsphere.yaml"]),
];

const GENERATED: Arrangement = &[
    (
        "master",
        &[
            "kubermaticconfigurations/kubermatic-generated-ce.yaml",
            "seeds/dashboard-ci-seed.yaml",
            "seeds/seed-generated-ce.yaml",
        ],
    ),
    // Apart from the others, since its UID is that of the cluster that it was derived from.
    ("seeds/__SEED_NAME__", &["derived/legacy-cluster-packet-no-labels.yaml"]),
];

pub const ARRANGEMENTS: [Arrangement; 2] = [CLUSTERS, GENERATED];

/// Copies the samples of an arrangement; a file in braces stands for the name of the object in it.
pub fn arrange(desk: &Desk, samples: &Path, arrangement: Arrangement) {
    for (folder, files) in arrangement {
        let folder = match folder.split_once('{') {
            Some((above, file)) => format!("{above}{}", name_in(&samples.join(file.trim_end_matches('}')))),
            None => (*folder).to_owned(),
        };
        for file in *files {
            let name = file.replace('/', "-");
            desk.file(&format!("manifests/{folder}/{name}"), fs::read(samples.join(file)).unwrap());
        }
    }
}

fn name_in(file: &Path) -> String {
    let object: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

/// A collection of samples.
struct Collected {
    desk: Desk,
    kubermatic: Value,
    kubernetes: Value,
}

impl Collected {
    fn new(desk: Desk) -> Self {
        desk.line("collect --manifests manifests").ok();
        let preview = desk.line("preview").ok();
        let records: Vec<Value> = preview.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [kubermatic, kubernetes] = <[Value; 2]>::try_from(records).unwrap();
        for record in [&kubermatic, &kubernetes] {
            assert_eq!(violations(record), Vec::<String>::new());
        }
        Self { desk, kubermatic, kubernetes }
    }

    fn of(samples: &Path, arrangement: Arrangement) -> Self {
        let desk = Desk::new();
        arrange(&desk, samples, arrangement);
        Self::new(desk)
    }

    fn pseudonym(&self, kind: &str, name: &str) -> String {
        let printed = self.desk.run(["pseudonym", kind, name]).ok();
        printed.stdout.split_once('\t').unwrap().0.to_owned()
    }

    /// The row of a name.
    fn row(&self, rows: &str, kind: &str, name: &str) -> &Value {
        let uuid = self.pseudonym(kind, name);
        let mut rows = self.kubermatic[rows].as_array().unwrap().iter();
        rows.find(|row| row["uuid"] == uuid).unwrap_or_else(|| panic!("no row for {kind} {name}"))
    }

    fn cluster(&self, name: &str) -> &Value {
        self.row("clusters", "cluster", name)
    }

    /// Whether there is this problem, about something with a name, or about nothing.
    fn has_problem(&self, step: &str, category: &str, concerns: Option<(&str, &str)>) -> bool {
        let mut wanted = json!({"step": step, "category": category});
        if let Some((kind, name)) = concerns {
            wanted["concerns"] = self.pseudonym(kind, name).into();
        }
        self.kubermatic["problems"].as_array().unwrap().contains(&wanted)
    }

    fn count(&self, rows: &str) -> usize {
        self.kubermatic[rows].as_array().unwrap().len()
    }
}

#[test]
fn every_sample_is_used() {
    let Some(samples) = kkp_samples() else { return };
    let mut found = Vec::new();
    walk(&samples, &mut found);
    let present = found.iter().map(|path| path.strip_prefix(&samples).unwrap().to_str().unwrap());
    let used = ARRANGEMENTS.iter().flat_map(|it| it.iter()).flat_map(|(_, files)| files.iter().copied());
    assert_eq!(present.collect::<BTreeSet<_>>(), used.collect());
}

#[test]
fn the_samples_make_records_with_every_object_in_them() {
    let Some(samples) = kkp_samples() else { return };
    let collected = Collected::of(&samples, CLUSTERS);
    let rows = ["seeds", "clusters", "users", "projects", "sshKeys", "machineDeployments"];
    assert_eq!(rows.map(|name| collected.count(name)), [2, 9, 2, 4, 4, 7], "{rows:?}");
    assert_eq!(collected.kubernetes["nodes"].as_array().unwrap().len(), 2);
}

#[test]
fn objects_of_old_api_groups_are_problems() {
    let Some(samples) = kkp_samples() else { return };
    let collected = Collected::of(&samples, CLUSTERS);
    assert!(collected.has_problem("configuration", "legacyApiGroup", None));
    assert!(collected.has_problem("seeds", "legacyApiGroup", Some(("seed", "__SEED_NAME__"))));
    assert!(collected.has_problem("seeds", "notProvided", Some(("seed", "kubermatic"))));
    // Neither costs the current objects beside them anything.
    assert_eq!(collected.row("seeds", "seed", "__SEED_NAME__")["country"], "DE");
    assert_eq!(collected.row("seeds", "seed", "kubermatic")["country"], "FR");
}

#[test]
fn the_clusters_say_what_their_objects_say() {
    let Some(samples) = kkp_samples() else { return };
    let collected = Collected::of(&samples, CLUSTERS);
    let aws = collected.cluster("avznsmznpt");
    assert_eq!((&aws["kubermaticVersion"], &aws["kubernetesServerVersion"]), (&json!("v2.23.12"), &json!("1.27.6")));
    assert_eq!((&aws["enableUserSSHKeyAgent"], &aws["phase"]), (&json!(false), &json!("Running")));
    assert_eq!(aws["cniPlugin"], json!({"type": "canal", "version": "v3.25"}));
    assert_eq!(aws["projectUUID"], collected.pseudonym("project", "l8zvpg6dph"));
    assert_eq!(aws["cloud"]["dcUUID"], collected.pseudonym("datacenter", "aws-eu-west-1a-mirror"));
    let live = collected.cluster("p462m4j465");
    assert_eq!((&live["exposeStrategy"], &live["kubermaticVersion"]), (&json!("Tunneling"), &json!("v2.23.6")));
    assert_eq!(live["mla"], json!({"monitoringEnabled": true, "loggingEnabled": true}));
    assert_eq!((&live["opaIntegrationEnabled"], &live["cloud"]["provider"]), (&json!(true), &json!("vsphere")));
    let minimal = collected.cluster("xxx-crd-cluster-id");
    assert_eq!(minimal["clusterNetwork"]["ipFamily"], "IPv4");
    assert!(minimal.get("kubermaticVersion").is_none() && minimal.get("phase").is_none());
    let providers: BTreeSet<_> = collected.kubermatic["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cluster| cluster["cloud"]["provider"].as_str().unwrap())
        .collect();
    let expected = ["anexia", "aws", "azure", "baremetal", "gcp", "hetzner", "openstack", "vsphere"];
    assert_eq!(providers, BTreeSet::from(expected));
}

#[test]
fn a_cluster_without_its_project_keeps_its_provider() {
    let Some(samples) = kkp_samples() else { return };
    let collected = Collected::of(&samples, GENERATED);
    let packet = collected.cluster("packetold1");
    assert_eq!((&packet["cloud"]["provider"], packet.get("projectUUID")), (&json!("packet"), None));
    assert_eq!((&packet["enableUserSSHKeyAgent"], packet.get("cniPlugin")), (&json!(true), None));
    assert!(collected.has_problem("clusters", "noProject", Some(("cluster", "packetold1"))));
}

#[test]
fn ssh_keys_know_their_project_by_either_way() {
    let Some(samples) = kkp_samples() else { return };
    let collected = Collected::of(&samples, CLUSTERS);
    let project = collected.pseudonym("project", "l8zvpg6dph");
    let key = |name| collected.row("sshKeys", "sshKey", name);
    assert_eq!(key("key-4wzxg5kv7p")["ownerProjectUUID"], json!([project]));
    assert_eq!(key("key-4wzxg5kv7p")["clusterUUIDs"], json!([collected.pseudonym("cluster", "avznsmznpt")]));
    assert_eq!(key("key-noownerref")["ownerProjectUUID"], json!([project]));
    assert_eq!(key("key-b92gxwjjgd")["clusterUUIDs"].as_array().unwrap().len(), 3);
    assert_eq!(key("key-zzzzzzzzzz")["ownerProjectUUID"], json!([]));
    assert!(collected.has_problem("sshKeys", "noProject", Some(("sshKey", "key-zzzzzzzzzz"))));
}

#[test]
fn ssh_keys_from_before_2_21_know_their_project_by_owner_references_only() {
    let Some(samples) = kkp_samples() else { return };
    let desk = Desk::new();
    arrange(&desk, &samples, CLUSTERS);
    let text = fs::read_to_string(samples.join("derived/usersshkeys.yaml")).unwrap();
    let old: Vec<_> = text.lines().filter(|line| !line.starts_with("  project:")).collect();
    desk.file("manifests/master/derived-usersshkeys.yaml", old.join("\n"));
    let collected = Collected::new(desk);
    let owners = &collected.row("sshKeys", "sshKey", "key-4wzxg5kv7p")["ownerProjectUUID"];
    assert_eq!(*owners, json!([collected.pseudonym("project", "l8zvpg6dph")]));
    assert!(collected.has_problem("sshKeys", "noProject", Some(("sshKey", "key-noownerref"))));
}

#[test]
fn machine_deployments_belong_to_the_cluster_that_they_were_exported_from() {
    let Some(samples) = kkp_samples() else { return };
    let collected = Collected::of(&samples, CLUSTERS);
    let deployments = collected.kubermatic["machineDeployments"].as_array().unwrap();
    let providers: BTreeSet<_> = deployments.iter().map(|it| it["provider"].as_str().unwrap()).collect();
    let expected = ["aws", "azure", "gcp", "hetzner", "kubevirt", "openstack", "vsphere"];
    assert_eq!(providers, BTreeSet::from(expected));
    let uuids: BTreeSet<_> = deployments.iter().map(|it| it["uuid"].as_str().unwrap()).collect();
    assert_eq!(uuids.len(), 7, "all have one name, in clusters of their own");
    // The placeholders of the test suite are versions and systems that nobody knows.
    assert!(deployments.iter().all(|it| it["os"] == "other" && it["kubeletVersion"] == "other"));
    let aws = deployments.iter().find(|it| it["provider"] == "aws").unwrap();
    assert_eq!(aws["clusterUUID"], collected.pseudonym("cluster", "avznsmznpt"));
    assert_eq!(aws["numberOfReplicas"], 1);
}

#[test]
fn nodes_say_what_their_objects_say_and_no_address() {
    let Some(samples) = kkp_samples() else { return };
    let collected = Collected::of(&samples, CLUSTERS);
    let nodes = collected.kubernetes["nodes"].as_array().unwrap();
    let [hetzner, plain] =
        ["Ubuntu 20.04.1", "Ubuntu 21.10"].map(|image| nodes.iter().find(|node| node["osImage"] == image).unwrap());
    assert_eq!((&hetzner["cloudProvider"], plain.get("cloudProvider")), (&json!("hetzner"), None));
    assert_eq!((&hetzner["kernelVersion"], &plain["kernelVersion"]), (&json!("5.4.0"), &json!("5.13.0")));
    assert_eq!(hetzner["containerRuntimeVersion"], "containerd://1.2.13");
    assert_eq!(hetzner["capacity"].as_array().unwrap().len(), 6);
    let text = collected.kubernetes.to_string();
    assert!(["203.0.113.132", "192.168.0.113", "kube-worker", "8440811"].iter().all(|name| !text.contains(name)));
}

#[test]
fn a_generated_seed_with_all_providers_at_once_is_ambiguous() {
    let Some(samples) = kkp_samples() else { return };
    let collected = Collected::of(&samples, GENERATED);
    assert!(collected.has_problem("datacenters", "ambiguousProvider", Some(("datacenter", "<<exampledc>>"))));
    let seed = collected.row("seeds", "seed", "<<exampleseed>>");
    assert_eq!(seed["datacenters"].as_array().unwrap().len(), 1);
    assert_eq!((seed["datacenters"][0].get("provider"), seed.get("country")), (None, None));
    assert_eq!(seed["exposeStrategy"], "NodePort");
    assert!(collected.kubermatic.get("kubermaticVersion").is_none(), "a configuration without status");
}

#[test]
fn regions_of_public_clouds_are_kept_and_the_others_are_pseudonyms() {
    let Some(samples) = kkp_samples() else { return };
    let collected = Collected::of(&samples, GENERATED);
    let datacenters = collected.row("seeds", "seed", "__SEED_NAME__")["datacenters"].as_array().unwrap();
    let region = |name: &str| {
        let uuid = collected.pseudonym("datacenter", name);
        datacenters.iter().find(|it| it["uuid"] == uuid).unwrap()["region"].as_str()
    };
    let kept = [
        ("aws-eu-central-1a", "eu-central-1"),
        ("azure-westeurope", "westeurope"),
        ("gcp-westeurope", "europe-west3"),
        ("do-fra1", "fra1"),
        ("hetzner-nbg1", "nbg1"),
        ("alibaba-eu-central-1a", "eu-central-1"),
    ];
    for (name, expected) in kept {
        assert_eq!(region(name), Some(expected), "{name}");
    }
    for (name, own) in [("vsphere-ger", "Hamburg"), ("syseleven-dbl1", "dbl"), ("anexia-at", "__ANEXIA_LOCATION_ID__")]
    {
        assert_eq!(region(name), Some(collected.pseudonym("region", own).as_str()), "{name}");
    }
    assert_eq!((region("kubevirt-europe-west3-c"), region("nutanix-ger")), (None, None));
}

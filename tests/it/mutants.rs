//! Objects in which one field after another has a value of another type, with canaries in it.

use kubermatic_telemetry::pseudonym::Pseudonymizer;
use serde_json::{Value, json};

use crate::canaries::{Planter, Scanner};
use crate::catalogue::violations;
use crate::leak::preview_of;
use crate::support::Desk;

/// One good object of each kind, with every field that records read.
fn good_objects() -> Vec<(&'static str, Value)> {
    vec![
        ("master/seeds.json", seed()),
        ("seeds/home/clusters.json", cluster()),
        ("master/projects.json", object("Project", &json!({"name": "§"}))),
        ("master/users.json", object("User", &json!({"admin": true, "email": "§", "project": "§"}))),
        ("master/keys.json", object("UserSSHKey", &json!({"project": "§", "clusters": ["§", "§"], "publicKey": "§"}))),
        ("user-clusters/c/deployments.json", machine_deployment()),
        ("master/nodes.json", node()),
    ]
}

fn object(kind: &str, spec: &Value) -> Value {
    let owners = json!([{"kind": "Project", "name": "§", "uid": "§"}]);
    let metadata = json!({"name": "§", "labels": {"project-id": "§", "§": "§"}, "ownerReferences": owners, "uid": "§"});
    json!({"apiVersion": "kubermatic.k8c.io/v1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn seed() -> Value {
    let spec = json!({"country": "DE", "location": "x", "exposeStrategy": "NodePort",
        "mla": {"userClusterMLAEnabled": true},
        "datacenters": {"§": {"country": "AT", "location": "x", "spec": {"aws": {"region": "eu-central-1"}, "§": "§"}}}});
    let mut seed = object("Seed", &spec);
    seed["status"] = json!({"clusters": 1, "versions": {"cluster": "v1.32.8", "kubermatic": "v2.30.1"}});
    seed
}

fn cluster() -> Value {
    let mut cluster = object(
        "Cluster",
        &json!({"version": "1.32.8", "exposeStrategy": "NodePort", "containerRuntime": "containerd",
            "cloud": {"dc": "§", "providerName": "aws", "aws": {"secretAccessKey": "§"}},
            "clusterNetwork": {"ipFamily": "IPv4", "konnectivityEnabled": true, "pods": {"cidrBlocks": ["¶/16", "§"]}},
            "cniPlugin": {"type": "canal", "version": "v3.29"},
            "componentsOverride": {"etcd": {"clusterSize": 5}}, "features": {"etcdLauncher": true},
            "enableUserSSHKeyAgent": true, "opaIntegration": {"enabled": true},
            "mla": {"loggingEnabled": true, "monitoringEnabled": true}}),
    );
    let reconciled = json!({"kubermaticVersion": "v2.30.1", "message": "§"});
    cluster["status"] = json!({"phase": "Running", "address": {"adminToken": "§"},
        "conditions": {"ClusterControllerReconciledSuccessfully": reconciled}});
    cluster
}

fn machine_deployment() -> Value {
    let value = json!({"cloudProvider": "aws", "operatingSystem": "ubuntu", "cloudProviderSpec": "§"});
    let machine = json!({"providerSpec": {"value": value}, "versions": {"kubelet": "1.32.8"}});
    let mut deployment = object("MachineDeployment", &json!({"replicas": 3, "template": {"spec": machine}}));
    deployment["apiVersion"] = "cluster.k8s.io/v1alpha1".into();
    deployment["metadata"]["namespace"] = "§".into();
    deployment
}

fn node() -> Value {
    let mut node = object("Node", &json!({"providerID": "aws:///§/§"}));
    node["apiVersion"] = "v1".into();
    node["status"] = json!({
        "capacity": {"cpu": "4", "memory": "1Gi", "§": "§"}, "addresses": [{"address": "¶"}],
        "nodeInfo": {"architecture": "amd64", "containerRuntimeVersion": "containerd://1.7.13", "kernelVersion": "6.8.0",
            "kubeletVersion": "v1.33.4", "operatingSystem": "linux", "osImage": "Ubuntu 24.04.3 LTS"},
    });
    node
}

/// The object with each of its fields replaced by each wrong value, and once left out.
fn mutants(good: &Value) -> Vec<Value> {
    let mut pointers = Vec::new();
    find_pointers(good, "", &mut pointers);
    pointers.retain(|pointer| !["/apiVersion", "/kind", "/metadata", "/metadata/name"].contains(&pointer.as_str()));
    let mut mutants = Vec::new();
    for pointer in pointers {
        mutants.extend(wrong_values(&pointer).into_iter().map(|value| {
            let mut mutant = good.clone();
            *mutant.pointer_mut(&pointer).unwrap() = value;
            mutant
        }));
        mutants.push(without(good, &pointer));
    }
    mutants
}

fn find_pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in members {
        let pointer = format!("{at}/{name}");
        find_pointers(value, &pointer, found);
        found.push(pointer);
    }
}

fn wrong_values(pointer: &str) -> Vec<Value> {
    let mut values = vec![
        json!(["§"]),
        json!([["§"], {"§": "§"}]),
        json!([]),
        json!({"§": "§"}),
        json!({}),
        json!(7),
        json!(-1),
        json!(7.5),
        json!(true),
        Value::Null,
    ];
    // Two empty UIDs have a test of their own.
    if !pointer.ends_with("/uid") {
        values.push(json!(""));
    }
    // A location is let through.
    if !pointer.ends_with("/location") {
        values.push(json!("§"));
    }
    values
}

fn without(good: &Value, pointer: &str) -> Value {
    let mut mutant = good.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match mutant.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.remove(name)),
        Value::Array(list) => drop(list.remove(name.parse().unwrap())),
        _ => unreachable!("only those have members"),
    }
    mutant
}

/// Writes an installation of mutants, and returns how many of each kind there are.
pub fn write_mutants(planter: &mut Planter, desk: &Desk) -> Vec<(String, usize)> {
    let configuration = json!({"apiVersion": "kubermatic.k8c.io/v1", "kind": "KubermaticConfiguration",
        "metadata": {"name": "x", "uid": "x"}});
    let mut home = seed();
    home["metadata"]["name"] = "home".into();
    let mut owner = cluster();
    owner["metadata"]["name"] = "c".into();
    write(planter, desk, "master/a.json", &[configuration, home]);
    write(planter, desk, "seeds/home/a.json", &[owner]);
    let counts = good_objects().into_iter().map(|(place, good)| {
        let mutants = mutants(&good);
        write(planter, desk, place, &mutants);
        (good["kind"].as_str().unwrap().to_owned(), mutants.len())
    });
    counts.collect()
}

fn write(planter: &mut Planter, desk: &Desk, place: &str, objects: &[Value]) {
    let lines: Vec<_> = objects.iter().map(Value::to_string).collect();
    desk.file(&format!("manifests/{place}"), planter.fill(place, &lines.join("\n")));
}

#[test]
fn values_of_a_wrong_type_leave_no_trace_and_cost_only_their_object() {
    let (desk, mut planter) = (Desk::new(), Planter::default());
    let counts = write_mutants(&mut planter, &desk);
    let records = preview_of(&desk, &desk.path("manifests"));
    let scanner = Scanner::new(&planter);
    for record in &records {
        let found = scanner.find(record.to_string().as_bytes());
        assert!(found.is_empty(), "{} leaks, such as {}", found.len(), found[..found.len().min(5)].join("\n"));
        assert_eq!(violations(record), Vec::<String>::new());
    }
    for (kind, mutants) in counts {
        let (step, rows, malformed) = row_counts(&records, &kind);
        let own = usize::from(["Seed", "Cluster"].contains(&kind.as_str()));
        assert_eq!(rows + malformed, mutants + own, "{kind}: every one is a row in {step} or a malformed object");
        assert!(rows > 0 && (malformed > 0 || kind == "Project"), "{kind}: {rows} rows, {malformed} malformed");
    }
}

/// How many rows there are for a kind, and how many objects that are none because they are malformed.
fn row_counts(records: &[Value], kind: &str) -> (&'static str, usize, usize) {
    let (step, id) = match kind {
        "Seed" => ("seeds", "uuid"),
        "Cluster" => ("clusters", "uuid"),
        "Project" => ("projects", "uuid"),
        "User" => ("users", "uuid"),
        "UserSSHKey" => ("sshKeys", "uuid"),
        "MachineDeployment" => ("machineDeployments", "uuid"),
        _ => ("nodes", "id"),
    };
    let record = records.iter().find(|record| record.get(step).is_some()).unwrap();
    let rows: Vec<_> = record[step].as_array().unwrap().iter().map(|row| &row[id]).collect();
    let problems = record["problems"].as_array().unwrap().iter();
    let malformed = problems.filter(|it| it["step"] == step && it["category"] == "malformed");
    // A cluster without a version is a row and malformed.
    let left_out = malformed.filter(|it| !rows.contains(&&it["concerns"])).count();
    (step, rows.len(), left_out)
}

#[test]
fn a_configuration_with_values_of_a_wrong_type_leaves_no_trace() {
    let mut good = object("KubermaticConfiguration", &json!({"exposeStrategy": "NodePort", "imagePullSecret": "§"}));
    good["status"] = json!({"kubermaticEdition": "EE", "kubermaticVersion": "v2.30.1"});
    let versions = json!({"serverVersion": {"gitVersion": "v1.33.4"}});
    let configurations = mutants(&good).into_iter().map(|mutant| (mutant, versions.clone()));
    let versions = mutants(&versions).into_iter().map(|mutant| (good.clone(), mutant));
    let names = Pseudonymizer::new([7; 32]);
    for (configuration, version) in configurations.chain(versions) {
        let (desk, mut planter) = (Desk::new(), Planter::default());
        write(&mut planter, &desk, "master/a.json", &[configuration, seed()]);
        write(&mut planter, &desk, "master/version.json", &[version]);
        let record = collect(&desk, &names);
        let found = Scanner::new(&planter).find(record.to_string().as_bytes());
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(violations(&record), Vec::<String>::new());
    }
}

/// Collects through the library, which is quicker than the program.
fn collect(desk: &Desk, names: &Pseudonymizer) -> Value {
    use kubermatic_telemetry::agent::{Survey, manifests};
    let options = manifests::Options::default();
    let found = manifests::read(&desk.path("manifests"), &options, &mut |_, _| {}).unwrap();
    let record = Survey::of(&found.inventory, names).kubermatic("2026-01-11T04:10:00Z".to_owned()).unwrap();
    serde_json::from_slice(&record.into_canonical().unwrap()).unwrap()
}

#[test]
fn objects_with_an_empty_uid_are_not_taken_for_one() {
    let (desk, mut planter) = (Desk::new(), Planter::default());
    let mut project = object("Project", &json!({}));
    project["metadata"]["uid"] = "".into();
    write(&mut planter, &desk, "master/a.json", &[project.clone(), project, seed()]);
    let record = collect(&desk, &Pseudonymizer::new([7; 32]));
    assert_eq!(record["projects"].as_array().unwrap().len(), 2);
}

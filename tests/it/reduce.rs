//! `docs/reduce.jq` keeps what records need, and no credential, e-mail address or other name.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::canaries::{Planter, Scanner, hex, write_installation};
use crate::mutants::write_mutants;
use crate::real_objects::{ARRANGEMENTS, arrange};
use crate::support::{Desk, copy_tree, installation, kkp_samples, root, skip, walk};

/// Whether there is jq; without it the test is skipped and says so.
fn jq_is_there() -> bool {
    let found = Command::new("jq").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        skip("there is no jq");
    }
    found
}

/// What `kubectl get -o json | jq -f docs/reduce.jq` would write for each of the manifests.
fn reduce(desk: &Desk) {
    let mut files = Vec::new();
    walk(&desk.path("manifests"), &mut files);
    files.retain(|file| file.extension().is_some_and(|extension| extension != "md"));
    for file in files {
        let relative = file.strip_prefix(desk.path("manifests")).unwrap().display().to_string();
        let documents = documents(&file);
        // `kubectl version` is not reduced.
        let version = documents.iter().any(|document| document.get("serverVersion").is_some());
        let input = documents.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        let output = if version { input.into_bytes() } else { jq(&input, &relative) };
        // The same order as before: some objects count because they are the first of their name.
        desk.file(&format!("reduced/{relative}.json"), output);
    }
}

fn documents(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    if file.extension().is_some_and(|extension| extension == "json") {
        return serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect();
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

fn jq(input: &str, name: &str) -> Vec<u8> {
    let mut command = Command::new("jq");
    command.arg("-f").arg(root().join("docs/reduce.jq")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Collects the manifests and the reduced ones with one identity, and compares what came of it.
fn assert_the_same_records(desk: &Desk) {
    reduce(desk);
    let [full, reduced] = ["manifests", "reduced"].map(|directory| {
        desk.line(&format!("collect --manifests {directory} --store {directory}-store")).ok();
        records(&desk.line(&format!("preview --store {directory}-store")).ok().stdout)
    });
    for (full, reduced) in full.iter().zip(&reduced) {
        for (name, value) in full.as_object().unwrap() {
            assert_eq!(difference(value, &reduced[name]), None, "{name}");
        }
    }
    assert_eq!(full, reduced);
}

/// The records without their time.
fn records(preview: &str) -> Vec<Value> {
    let without_time = |line| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        record.as_object_mut().unwrap().remove("time");
        record
    };
    preview.lines().map(without_time).collect()
}

/// The first rows that differ, where the whole would be too much to read.
fn difference<'v>(left: &'v Value, right: &'v Value) -> Option<(&'v Value, &'v Value)> {
    match (left.as_array(), right.as_array()) {
        (Some(lefts), Some(rights)) if lefts.len() == rights.len() => {
            lefts.iter().zip(rights).find(|(left, right)| left != right)
        }
        _ => (left != right).then_some((left, right)),
    }
}

#[test]
fn the_reduced_test_installation_gives_the_same_records() {
    if !jq_is_there() {
        return;
    }
    let desk = Desk::new();
    copy_tree(&installation(), &desk.path("manifests"));
    assert_the_same_records(&desk);
}

#[test]
fn the_reduced_samples_give_the_same_records() {
    let Some(samples) = kkp_samples().filter(|_| jq_is_there()) else { return };
    for arrangement in ARRANGEMENTS {
        let desk = Desk::new();
        arrange(&desk, &samples, arrangement);
        assert_the_same_records(&desk);
    }
}

#[test]
fn reduced_values_of_a_wrong_type_give_the_same_problems() {
    if !jq_is_there() {
        return;
    }
    let desk = Desk::new();
    write_mutants(&mut Planter::default(), &desk);
    assert_the_same_records(&desk);
}

#[test]
fn the_reduced_installation_of_canaries_gives_the_same_records_and_has_no_secret() {
    if !jq_is_there() {
        return;
    }
    let (desk, mut planter) = (Desk::new(), Planter::default());
    write_installation(&mut planter, &root().join("testdata/canaries"), &desk.path("manifests"));
    assert_the_same_records(&desk);
    let (kept, secret) = canaries_by_use(&desk, &planter);
    assert!(secret.len() > 300 && kept.len() > 50, "{} secrets, {} kept", secret.len(), kept.len());
    let scanner = Scanner::of(secret.iter().map(|canary| ("the manifests", canary.as_str())));
    let mut files = Vec::new();
    walk(&desk.path("reduced"), &mut files);
    for file in files {
        if documents(&file).iter().all(|document| document.get("serverVersion").is_none()) {
            let found = scanner.find(&fs::read(&file).unwrap());
            assert!(found.is_empty(), "{}: {}", file.display(), found.join("\n"));
        }
    }
}

/// The fields that a reduced object may keep; `*` is any name, and lists have no step of their own.
const KEPT: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.deletionTimestamp",
    "metadata.labels.project-id",
    "metadata.ownerReferences.kind",
    "metadata.ownerReferences.name",
    "spec.cloud.dc",
    "spec.cloud.providerName",
    "spec.clusterNetwork.ipFamily",
    "spec.clusters",
    "spec.cniPlugin.type",
    "spec.cniPlugin.version",
    "spec.containerRuntime",
    "spec.country",
    "spec.datacenters.*.country",
    "spec.datacenters.*.spec.*.datacenter",
    "spec.datacenters.*.spec.*.location",
    "spec.datacenters.*.spec.*.locationID",
    "spec.datacenters.*.spec.*.metro",
    "spec.datacenters.*.spec.*.facilities",
    "spec.datacenters.*.spec.*.region",
    "spec.exposeStrategy",
    "spec.location",
    "spec.project",
    "spec.providerID",
    "spec.template.spec.providerSpec.value.cloudProvider",
    "spec.template.spec.providerSpec.value.operatingSystem",
    "spec.template.spec.versions.kubelet",
    "spec.version",
    "status.capacity.*",
    "status.conditions.ClusterControllerReconciledSuccessfully.kubermaticVersion",
    "status.kubermaticEdition",
    "status.kubermaticVersion",
    "status.nodeInfo.architecture",
    "status.nodeInfo.containerRuntimeVersion",
    "status.nodeInfo.kernelVersion",
    "status.nodeInfo.kubeletVersion",
    "status.nodeInfo.operatingSystem",
    "status.nodeInfo.osImage",
    "status.phase",
    "status.versions.apiserver",
    "status.versions.cluster",
    "status.versions.controlPlane",
    "status.versions.kubermatic",
];

/// Kinds of which something is kept.
const KINDS: &[&str] =
    &["Cluster", "KubermaticConfiguration", "MachineDeployment", "Node", "Project", "Seed", "User", "UserSSHKey"];

/// The canaries of fields that may be kept, and all others.
fn canaries_by_use(desk: &Desk, planter: &Planter) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut files = Vec::new();
    walk(&desk.path("manifests"), &mut files);
    let mut kept = Vec::new();
    for document in files.iter().flat_map(|file| documents(file)) {
        let objects = document["items"].as_array().cloned().unwrap_or_else(|| vec![document.clone()]);
        let list_kind = document["kind"].as_str().unwrap_or_default().trim_end_matches("List");
        for object in objects {
            let kind = object["kind"].as_str().unwrap_or(list_kind);
            if KINDS.contains(&kind) {
                find_kept("", &object, &mut kept);
            }
        }
    }
    let text = kept.join("\n");
    // KKP names users by the SHA-256 of their address; the canary in the address is still looked for.
    let is_kept = |canary: &String| text.contains(canary) || text.contains(&hex(&Sha256::digest(canary)));
    planter.secrets.iter().map(|(_, canary)| canary.clone()).partition(is_kept)
}

fn find_kept(path: &str, value: &Value, kept: &mut Vec<String>) {
    let datacenter_or_resource = ["spec.datacenters", "status.capacity"].contains(&path);
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if datacenter_or_resource {
                kept.push(name.clone());
            }
            find_kept(&path, value, kept);
        }),
        Value::Array(list) => list.iter().for_each(|value| find_kept(path, value, kept)),
        Value::String(text) if KEPT.iter().any(|pattern| matches(pattern, path)) => {
            let scheme = text.split_once("://").filter(|_| path == "spec.providerID");
            kept.push(scheme.map_or(text.as_str(), |(scheme, _)| scheme).to_owned());
        }
        _ => {}
    }
}

/// Names can have dots in them, so that the ends are compared, and what lies between stands for `*`.
fn matches(pattern: &str, path: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == path };
    let end = rest.rsplit('*').next().unwrap_or(rest);
    path.len() > start.len() + end.len() && path.starts_with(start) && path.ends_with(end)
}

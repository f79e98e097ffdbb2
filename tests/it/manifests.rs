//! The manifest source: layouts, formats, duplicates, what counts and what does not.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Desk, Printed, gzip};

// Objects made from a few parameters; `more` is laid over what every object of the kind has.

fn object(kind: &str, name: &str, more: Value) -> Value {
    let version = match kind {
        "ConfigMap" | "Namespace" | "Node" | "Secret" => "v1",
        "MachineDeployment" => "cluster.k8s.io/v1alpha1",
        _ => "kubermatic.k8c.io/v1",
    };
    let metadata = json!({"name": name, "uid": format!("{kind}-{name}")});
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": metadata});
    lay_over(&mut object, more);
    object
}

/// Lays the members of an object over those of another, at every depth.
fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                lay_over(below.entry(name).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

fn configuration() -> Value {
    let status = json!({"kubermaticEdition": "CE", "kubermaticVersion": "v2.31.0"});
    object("KubermaticConfiguration", "kubermatic", json!({"metadata": {"namespace": "kubermatic"}, "status": status}))
}

fn seed(name: &str, spec: Value) -> Value {
    object("Seed", name, Value::from_iter([("metadata", json!({"namespace": "kubermatic"})), ("spec", spec)]))
}

fn cluster(name: &str, spec: Value) -> Value {
    let metadata = json!({"labels": {"project-id": "project"}});
    let mut cluster = object("Cluster", name, json!({"metadata": metadata, "spec": {"version": "1.33.4"}}));
    lay_over(&mut cluster["spec"], json!({"cloud": {"dc": "dc", "providerName": "aws", "aws": {}}}));
    lay_over(&mut cluster["spec"], spec);
    cluster
}

fn user(name: &str, spec: Value) -> Value {
    object("User", name, Value::from_iter([("spec", spec)]))
}

fn ssh_key(name: &str, spec: Value) -> Value {
    object("UserSSHKey", name, Value::from_iter([("spec", spec)]))
}

fn project(name: &str) -> Value {
    object("Project", name, json!({"spec": {"name": "a name for people"}}))
}

fn node(name: &str, more: Value) -> Value {
    let mut node = object("Node", name, json!({"status": {"nodeInfo": {"kubeletVersion": "v1.33.4"}}}));
    lay_over(&mut node, more);
    node
}

fn machines(name: &str, spec: Value) -> Value {
    let value = json!({"cloudProvider": "aws", "operatingSystem": "ubuntu"});
    let template = json!({"spec": {"providerSpec": {"value": value}, "versions": {"kubelet": "1.33.4"}}});
    let more = json!({"metadata": {"namespace": "kube-system"}, "spec": {"template": template}});
    let mut machines = object("MachineDeployment", name, more);
    lay_over(&mut machines["spec"], spec);
    machines
}

fn version(version: &str) -> Value {
    json!({"clientVersion": {"gitVersion": "v1.99.0"}, "serverVersion": {"gitVersion": version}})
}

/// The same object with another UID, as it is when it was copied or made anew.
fn copy_of(object: &Value) -> Value {
    let mut copy = object.clone();
    copy["metadata"]["uid"] = json!(format!("copy-of-{}", object["metadata"]["uid"]));
    copy
}

fn deleted(object: &Value) -> Value {
    let mut deleted = object.clone();
    deleted["metadata"]["deletionTimestamp"] = json!("2026-01-31T12:00:00Z");
    deleted
}

fn list(objects: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// Block YAML, as `kubectl -o yaml` prints it but for the quotes.
fn yaml(value: &Value, indent: usize) -> String {
    let margin = "  ".repeat(indent);
    let lines: Vec<_> = match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().map(|(name, value)| format!("\n{margin}{name}: {}", yaml(value, indent + 1))).collect()
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| format!("\n{margin}- {}", yaml(item, indent + 1))).collect()
        }
        scalar => vec![scalar.to_string()],
    };
    lines.concat()
}

// A site with an identity, and what is collected there.

struct Site {
    desk: Desk,
}

/// Both records, as `preview` prints them.
struct Records {
    kubermatic: Value,
    kubernetes: Value,
    stderr: String,
}

impl Site {
    /// An identity, and nothing to collect.
    fn empty() -> Self {
        let desk = Desk::new();
        desk.line("init").ok();
        Self { desk }
    }

    /// A master and the Seeds `names`, without folders of their own.
    fn with_seeds(names: &[&str]) -> Self {
        let site = Self::empty();
        site.put("master/all.json", &[configuration(), user("somebody", json!({})), node("m1", json!({}))]);
        site.put("master/seeds.json", &names.iter().map(|name| seed(name, json!({}))).collect::<Vec<_>>());
        site.write("master/version.json", version("v1.33.4").to_string());
        site
    }

    /// A complete installation: one Seed, `europe`, with one user cluster, `c1`.
    fn complete() -> Self {
        let site = Self::with_seeds(&["europe"]);
        site.put("seeds/europe/all.json", &[cluster("c1", json!({})), node("s1", json!({}))]);
        site
    }

    fn write(&self, file: &str, contents: impl AsRef<[u8]>) {
        self.desk.file(&format!("m/{file}"), contents);
    }

    /// Writes objects as `kubectl get … -o json` does.
    fn put(&self, file: &str, objects: &[Value]) {
        self.write(file, list(objects));
    }

    fn read(&self) -> Records {
        let Printed { stdout, stderr, .. } = self.desk.line("preview --manifests m").ok();
        let records: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |kind| records.iter().find(|record| record["kind"] == kind).unwrap().clone();
        Records { kubermatic: of("kubermatic"), kubernetes: of("kubernetes"), stderr }
    }

    fn refused(&self, message: &str, hint: &str) {
        for line in ["preview --manifests m", "collect --manifests m"] {
            let printed = self.desk.line(line).code(1).says(&format!("error: {message}"));
            assert_eq!(printed.stdout, "");
            printed.says(&format!("\n\nhint: {hint}"));
        }
        assert!(!self.desk.state().join("store").exists());
    }

    /// The pseudonym that `pseudonym TYPE NAME` prints; `what` may end with options.
    fn id(&self, what: &str) -> Value {
        let printed = self.desk.line(&format!("pseudonym {what}")).ok();
        json!(printed.stdout.split('\t').next().unwrap())
    }

    fn ids(&self, kind: &str, names: &[&str]) -> Value {
        let mut ids: Vec<_> = names.iter().map(|name| self.id(&format!("{kind} {name}"))).collect();
        ids.sort_by_key(ToString::to_string);
        json!(ids)
    }

    fn problem(&self, step: &str, category: &str, what: &str) -> Value {
        json!({"category": category, "concerns": self.id(what), "step": step})
    }
}

impl Records {
    /// Insists that nothing is missing.
    fn complete(self) -> Self {
        for record in [&self.kubermatic, &self.kubernetes] {
            assert_eq!((&record["complete"], &record["problems"]), (&json!(true), &json!([])), "{record}");
        }
        self
    }

    fn ids(&self, rows: &str) -> Value {
        let (record, key) = if rows == "nodes" { (&self.kubernetes, "id") } else { (&self.kubermatic, "uuid") };
        record[rows].as_array().unwrap().iter().map(|row| row[key].clone()).collect()
    }

    /// The records without their times, to be compared.
    fn timeless(mut self) -> [Value; 2] {
        for record in [&mut self.kubermatic, &mut self.kubernetes] {
            record.as_object_mut().unwrap().remove("time");
        }
        [self.kubermatic, self.kubernetes]
    }
}

fn row(rows: &Value, id: &Value) -> Value {
    let found = rows.as_array().unwrap().iter().find(|row| row["uuid"] == *id || row["id"] == *id);
    found.unwrap_or_else(|| panic!("{id} is not in {rows}")).clone()
}

fn sorted(problems: &[Value]) -> Value {
    let mut problems = problems.to_vec();
    problems.sort_by_key(ToString::to_string);
    json!(problems)
}

// Layouts.

#[test]
fn folders_say_where_objects_came_from() {
    let site = Site::complete();
    site.put("user-clusters/c1/all.json", &[machines("workers", json!({})), node("w1", json!({}))]);
    let records = site.read().complete();
    let node = |what: &str| row(&records.kubernetes["nodes"], &site.id(&format!("node {what}")));
    let (europe, c1) = (site.id("seed europe"), site.id("cluster c1"));
    let place = |node: Value| (node["seedUUID"].clone(), node["clusterUUID"].clone());
    assert_eq!(place(node("m1")), (Value::Null, Value::Null));
    assert_eq!(place(node("s1 --seed europe")), (europe.clone(), Value::Null));
    assert_eq!(place(node("w1 --seed europe --cluster c1")), (europe.clone(), c1.clone()));
    assert_eq!(records.kubermatic["clusters"][0]["seedUUID"], europe);
    let id = site.id("machineDeployment workers --seed europe --cluster c1 --namespace kube-system");
    assert_eq!(row(&records.kubermatic["machineDeployments"], &id)["clusterUUID"], c1);
}

/// What a flat directory can hold of an installation with one Seed.
fn flat_objects() -> Vec<Value> {
    let key = ssh_key("key-1", json!({"project": "project", "clusters": ["c1"]}));
    let user = user("somebody", json!({"admin": true}));
    let (seed, cluster) = (seed("europe", json!({"country": "DE"})), cluster("c1", json!({})));
    vec![configuration(), seed, cluster, project("project"), user, key, node("m1", json!({})), version("v1.33.4")]
}

#[test]
fn a_flat_directory_works_with_one_seed() {
    let site = Site::empty();
    site.put("all.json", &flat_objects());
    let records = site.read().complete();
    assert_eq!(records.kubermatic["clusters"][0]["seedUUID"], site.id("seed europe"));
    assert_eq!(records.kubermatic["kubernetesVersion"], "v1.33.4");
}

#[test]
fn a_flat_directory_does_not_work_with_another_number_of_seeds() {
    let hint = "sort the files into master/, seeds/<seed>/ and user-clusters/<cluster>/";
    for (count, names) in [(0, &[][..]), (2, &["europe", "asia"])] {
        let site = Site::empty();
        let seeds: Vec<_> = names.iter().map(|name| seed(name, json!({}))).collect();
        site.put("all.json", &[&seeds[..], &[configuration(), cluster("c1", json!({}))]].concat());
        site.refused(&format!("m has no folders master/, seeds/ and user-clusters/, and {count} Seeds in it"), hint);
    }
}

#[test]
fn machine_deployments_in_a_flat_directory_belong_to_nobody_known() {
    let site = Site::empty();
    site.put("all.json", &[&flat_objects()[..], &[machines("workers", json!({}))]].concat());
    let record = site.read().kubermatic;
    assert_eq!(record["machineDeployments"], json!([]));
    let what = "machineDeployment workers --namespace kube-system";
    assert_eq!(record["problems"], json!([site.problem("machineDeployments", "unknownCluster", what)]));
}

#[test]
fn a_file_beside_the_folders_is_not_guessed_at() {
    for file in ["nodes.yaml", "seeds/clusters.json", "user-clusters/nodes.yaml.gz"] {
        let site = Site::complete();
        site.put(file, &[]);
        site.refused(
            &format!("m/{file} lies outside of master/, seeds/<seed>/ and user-clusters/<cluster>/"),
            "sort the files into master/, seeds/<seed>/ and user-clusters/<cluster>/",
        );
    }
    let site = Site::complete();
    site.write("README.md", "how this was exported");
    site.write("seeds/notes.txt", "which seeds there are");
    site.read().complete();
}

// Formats: the same objects give the same records.

/// Insists that files give the records of the flat objects in one JSON list.
fn same_records(what: &str, files: &[(&str, Vec<u8>)]) {
    let site = Site::empty();
    site.put("all.json", &flat_objects());
    let expected = site.read().complete().timeless();
    fs::remove_dir_all(site.desk.path("m")).unwrap();
    for (file, contents) in files {
        site.write(file, contents);
    }
    assert_eq!(site.read().timeless(), expected, "{what}");
}

#[test]
fn every_format_of_kubectl_gives_the_same_records() {
    let objects = flat_objects();
    let each = |text: &dyn Fn(&Value) -> String| objects.iter().map(text).collect::<String>().into_bytes();
    let list = list(&objects);
    let documents = each(&|object| format!("---{}\n", yaml(object, 0)));
    let lists = yaml(&serde_json::from_str(&list).unwrap(), 0).into_bytes();
    same_records("a YAML stream", &[("a.yaml", documents.clone())]);
    same_records("a YAML list", &[("a.yml", lists.clone())]);
    same_records("JSON documents one after another", &[("a.json", each(&|object| format!("{object:#}\n")))]);
    same_records("JSON in a file named YAML", &[("a.yaml", format!("\n  {list}").into_bytes())]);
    same_records("YAML in a file named JSON", &[("a.json", documents.clone())]);
    same_records("a YAML stream of JSON", &[("a.yaml", each(&|object| format!("--- # from jq\n{object}\n")))]);
    same_records("compressed YAML", &[("a.yaml.gz", gzip(&documents))]);
    same_records("compressed JSON", &[("a.json.gz", gzip(&list))]);
    let (first, second) = documents.split_at(documents.len() / 2);
    same_records("two compressed files in one", &[("a.yaml.gz", [gzip(first), gzip(second)].concat())]);
    same_records("nested folders", &[("a/b/c/d.yaml", lists), ("a/empty.yaml", b"# nothing\n---\n".to_vec())]);
}

#[test]
fn objects_may_lie_in_files_of_their_own() {
    let objects = flat_objects();
    let names: Vec<_> = (0..objects.len()).map(|number| format!("deep/{number}/object.json")).collect();
    let files: Vec<_> =
        names.iter().zip(&objects).map(|(name, object)| (name.as_str(), object.to_string().into_bytes())).collect();
    same_records("a file each", &files);
}

#[test]
fn items_of_a_typed_list_have_the_kind_of_the_list() {
    let typed = |object: &Value| -> String {
        let mut item = object.clone();
        let Some(kind) = item["kind"].take().as_str().map(str::to_owned) else { return object.to_string() };
        let version = item["apiVersion"].take();
        item.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        json!({"kind": format!("{kind}List"), "apiVersion": version, "metadata": {}, "items": [item]}).to_string()
    };
    same_records("kubectl get --raw", &[("a.json", flat_objects().iter().map(typed).collect::<String>().into_bytes())]);
}

#[test]
fn hidden_files_and_other_extensions_are_passed_over() {
    let junk = || b"{{{ CANARY".to_vec();
    let names = [".hidden.yaml", ".git/x.yaml", "notes.txt", "a.yaml.bak", "b.json~", "c.yaml.zst", "gz", "yaml"];
    let mut files: Vec<_> = names.iter().map(|name| (*name, junk())).collect();
    files.push(("all.json", list(&flat_objects()).into_bytes()));
    same_records("junk", &files);
}

// What counts.

#[test]
fn kinds_that_are_not_needed_are_ignored_whatever_is_in_them() {
    let site = Site::complete();
    let other = |version: &str, kind: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": [1], "items": {"a": 1}});
    let objects = [
        other("cluster.x-k8s.io/v1beta1", "Cluster", "other"),
        other("v1", "ConfigMap", "other"),
        other("argoproj.io/v1alpha1", "Project", "other"),
        other("kubermatic.k8c.io/v1", "ClusterTemplate", "other"),
        other("kubermatic.k8c.io/v1", "Addon", "other"),
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "CANARY"}),
        json!({"kind": "User"}),
        json!({}),
    ];
    let expected = site.read().complete().timeless();
    site.put("master/other.json", &objects);
    site.put("seeds/europe/other.json", &objects);
    site.put("user-clusters/c1/other.json", &objects);
    assert_eq!(site.read().timeless(), expected);
}

#[test]
fn copies_of_the_masters_objects_on_seeds_do_not_count() {
    let site = Site::complete();
    let objects = [project("p1"), ssh_key("k1", json!({"project": "p1"})), user("u1", json!({}))];
    site.put("master/more.json", &objects);
    let expected = site.read().complete().timeless();
    let mut copies: Vec<_> = objects.iter().map(copy_of).collect();
    copies.extend([copy_of(&configuration()), copy_of(&seed("europe", json!({"country": "DE"})))]);
    copies.extend([project("p2"), ssh_key("k2", json!({"project": "p2"})), user("u2", json!({}))]);
    site.put("seeds/europe/copies.json", &copies);
    assert_eq!(site.read().timeless(), expected);
}

#[test]
fn an_object_that_was_exported_twice_counts_once() {
    let site = Site::complete();
    site.put("master/projects.json", &[project("p1")]);
    site.put("user-clusters/c1/all.json", &[machines("workers", json!({})), node("w1", json!({}))]);
    let expected = site.read().complete().timeless();
    let everything = [configuration(), seed("europe", json!({})), project("p1"), user("somebody", json!({}))];
    site.put("master/again.json", &everything);
    site.put("seeds/europe/again.json", &[cluster("c1", json!({})), cluster("c1", json!({})), node("s1", json!({}))]);
    site.put("user-clusters/c1/again.json", &[machines("workers", json!({})), node("w1", json!({}))]);
    assert_eq!(site.read().timeless(), expected);
}

#[test]
fn a_name_with_another_uid_is_a_duplicate_and_one_counts() {
    let site = Site::complete();
    let doubles = [project("p1"), user("u1", json!({})), ssh_key("k1", json!({"project": "p1"}))];
    site.put("master/doubles.json", &[&doubles[..], &doubles.each_ref().map(copy_of)].concat());
    site.put("seeds/europe/doubles.json", &[copy_of(&cluster("c1", json!({}))), copy_of(&node("s1", json!({})))]);
    let workers = machines("workers", json!({}));
    site.put("user-clusters/c1/doubles.json", &[workers.clone(), copy_of(&workers)]);
    let records = site.read();
    let problems = [
        site.problem("projects", "duplicate", "project p1"),
        site.problem("users", "duplicate", "user u1"),
        site.problem("sshKeys", "duplicate", "sshKey k1"),
        site.problem("clusters", "duplicate", "cluster c1"),
        site.problem(
            "machineDeployments",
            "duplicate",
            "machineDeployment workers --seed europe --cluster c1 --namespace kube-system",
        ),
    ];
    assert_eq!(records.kubermatic["problems"], sorted(&problems));
    let node = site.problem("nodes", "duplicate", "node s1 --seed europe");
    assert_eq!(records.kubernetes["problems"], json!([node]));
    for (rows, count) in [("projects", 1), ("users", 2), ("sshKeys", 1), ("clusters", 1), ("nodes", 2)] {
        assert_eq!(records.ids(rows).as_array().unwrap().len(), count, "{rows}");
    }
}

#[test]
fn of_a_sound_and_a_malformed_object_of_one_name_the_sound_one_counts() {
    let site = Site::complete();
    let mut malformed = copy_of(&cluster("c2", json!({})));
    malformed["spec"] = json!("nothing");
    site.put("seeds/europe/doubles.json", &[malformed, cluster("c2", json!({}))]);
    assert_eq!(site.read().ids("clusters"), site.ids("cluster", &["c1", "c2"]));
}

#[test]
fn two_objects_of_one_name_in_different_clusters_are_two() {
    let site = Site::complete();
    site.put("seeds/europe/c2.json", &[cluster("c2", json!({}))]);
    for cluster in ["c1", "c2"] {
        let objects = [machines("workers", json!({})), node("n", json!({}))];
        let objects = objects.map(|mut object| {
            object["metadata"]["uid"] = json!(format!("{cluster}-{}", object["kind"]));
            object
        });
        site.put(&format!("user-clusters/{cluster}/all.json"), &objects);
    }
    let records = site.read().complete();
    assert_eq!(records.ids("machineDeployments").as_array().unwrap().len(), 2);
    assert_eq!(records.ids("nodes").as_array().unwrap().len(), 4);
}

#[test]
fn a_folder_that_is_named_like_no_seed_is_refused_with_the_names_of_the_seeds() {
    let site = Site::with_seeds(&["europe", "asia"]);
    site.put("seeds/erope/all.json", &[cluster("c1", json!({}))]);
    let hint = "rename the folder, or export the Seeds to master/ again";
    site.refused("m/seeds/erope is named like no Seed; the Seeds are: asia, europe", hint);
}

#[test]
fn a_seed_without_a_folder_is_a_problem_with_its_pseudonym() {
    let site = Site::with_seeds(&["europe", "asia"]);
    site.put("seeds/europe/all.json", &[cluster("c1", json!({})), node("s1", json!({}))]);
    let records = site.read();
    assert_eq!(records.kubermatic["problems"], json!([site.problem("seeds", "notProvided", "seed asia")]));
    assert_eq!(records.kubernetes["problems"], json!([site.problem("nodes", "notProvided", "seed asia")]));
    assert_eq!(records.ids("seeds"), site.ids("seed", &["asia", "europe"]), "the Seed itself is known");
}

#[test]
fn a_seed_whose_folder_has_no_clusters_has_none() {
    let site = Site::with_seeds(&["europe"]);
    site.put("seeds/europe/nodes.json", &[node("s1", json!({}))]);
    assert_eq!(site.read().complete().ids("clusters"), json!([]));
}

#[test]
fn versions_come_from_the_folders_of_master_and_seeds() {
    let site = Site::with_seeds(&["asia", "europe"]);
    for (name, own) in [("asia", Some("v1.31.2-gke.100")), ("europe", None)] {
        let mut seed = seed(name, json!({}));
        seed["status"] = json!({"versions": {"cluster": "v1.29.0"}});
        site.put(&format!("master/{name}.json"), &[seed]);
        site.put(&format!("seeds/{name}/all.json"), &[node(name, json!({}))]);
        if let Some(own) = own {
            site.write(&format!("seeds/{name}/version.json"), version(own).to_string());
        }
    }
    fs::remove_file(site.desk.path("m/master/seeds.json")).unwrap();
    let records = site.read().complete();
    assert_eq!(records.kubermatic["kubernetesVersion"], "v1.33.4");
    assert_eq!(records.kubernetes["kubernetesVersion"], "v1.33.4");
    let of = |name: &str| row(&records.kubermatic["seeds"], &site.id(name))["kubernetesVersion"].clone();
    assert_eq!((of("seed asia"), of("seed europe")), (json!("v1.31.2-gke.100"), json!("v1.29.0")));
}

#[test]
fn what_the_master_folder_lacks_is_a_problem_each() {
    let site = Site::empty();
    site.put("master/seeds.json", &[seed("europe", json!({}))]);
    site.put("seeds/europe/all.json", &[cluster("c1", json!({})), node("s1", json!({}))]);
    let records = site.read();
    let problem = |step: &str, category: &str| json!({"category": category, "step": step});
    let version = problem("kubernetesVersion", "notProvided");
    let expected = [problem("configuration", "notFound"), problem("users", "notProvided"), version.clone()];
    assert_eq!(records.kubermatic["problems"], sorted(&expected));
    assert_eq!(records.kubernetes["problems"], sorted(&[version, problem("nodes", "notProvided")]));
    let warning = "warning: the manifests do not tell which installation they are of";
    site.desk.line("collect --manifests m").ok().says(warning);
}

/// An object of an API group that KKP used before 2.19.
fn legacy(kind: &str, name: &str) -> Value {
    let group =
        if kind == "KubermaticConfiguration" { "operator.kubermatic.io/v1alpha1" } else { "kubermatic.k8s.io/v1" };
    json!({"apiVersion": group, "kind": kind, "metadata": {"name": name, "uid": name}})
}

#[test]
fn objects_of_older_api_groups_are_problems() {
    let site = Site::complete();
    let kinds = ["KubermaticConfiguration", "Project", "User", "UserSSHKey", "Addon"];
    site.put("master/old.json", &kinds.map(|kind| legacy(kind, "old")));
    site.put("seeds/europe/old.json", &[legacy("Cluster", "old"), legacy("Project", "copy")]);
    let record = site.read().kubermatic;
    let expected = [
        json!({"category": "legacyApiGroup", "step": "configuration"}),
        site.problem("projects", "legacyApiGroup", "project old"),
        site.problem("users", "legacyApiGroup", "user old"),
        site.problem("sshKeys", "legacyApiGroup", "sshKey old"),
        site.problem("clusters", "legacyApiGroup", "cluster old"),
    ];
    assert_eq!(record["problems"], sorted(&expected));
    assert_eq!(record["clusters"].as_array().unwrap().len(), 1);
}

#[test]
fn an_installation_older_than_the_api_group_is_collected_with_problems() {
    let site = Site::empty();
    site.put("master/old.json", &[legacy("KubermaticConfiguration", "kubermatic"), legacy("Seed", "europe")]);
    site.put("seeds/europe/old.json", &[legacy("Cluster", "c1"), node("s1", json!({}))]);
    let problems = site.read().kubermatic["problems"].to_string();
    assert!(problems.contains(&site.problem("seeds", "legacyApiGroup", "seed europe").to_string()), "{problems}");
}

#[test]
fn objects_of_an_unknown_user_cluster_are_problems() {
    let site = Site::complete();
    site.put("user-clusters/c9/all.json", &[machines("workers", json!({})), node("w1", json!({}))]);
    let records = site.read();
    let expected = |step| json!([site.problem(step, "unknownCluster", "cluster c9")]);
    assert_eq!(records.kubermatic["problems"], expected("machineDeployments"));
    assert_eq!(records.kubernetes["problems"], expected("nodes"));
    assert_eq!(records.kubermatic["machineDeployments"], json!([]));
    assert_eq!(records.ids("nodes").as_array().unwrap().len(), 2);
}

#[test]
fn objects_being_deleted_do_not_count_except_clusters() {
    let site = Site::complete();
    let (key, user) = (ssh_key("gone", json!({"project": "gone"})), user("gone", json!({})));
    site.put("master/gone.json", &[project("gone"), key, user, node("gone", json!({}))].map(|it| deleted(&it)));
    let mut cluster = deleted(&cluster("c2", json!({})));
    cluster["status"] = json!({"phase": "Running"});
    site.put("seeds/europe/gone.json", &[cluster, deleted(&node("gone-too", json!({})))]);
    site.put("user-clusters/c1/gone.json", &[deleted(&machines("gone", json!({})))]);
    let records = site.read().complete();
    for (rows, count) in [("projects", 0), ("sshKeys", 0), ("users", 1), ("machineDeployments", 0), ("nodes", 2)] {
        assert_eq!(records.ids(rows).as_array().unwrap().len(), count, "{rows}");
    }
    assert_eq!(row(&records.kubermatic["clusters"], &site.id("cluster c2"))["phase"], "Terminating");
}

#[test]
fn clusters_under_master_do_not_count_and_are_warned_about() {
    let site = Site::complete();
    site.put("master/clusters.json", &[cluster("c2", json!({}))]);
    let records = site.read().complete();
    assert_eq!(records.ids("clusters"), site.ids("cluster", &["c1"]));
    let warning = "warning: user clusters in m/master/clusters.json are not counted: they live on seeds\n\
                   hint: export them from each seed into seeds/<seed>/, also where the master is a seed itself";
    assert!(records.stderr.contains(warning), "{}", records.stderr);
}

#[test]
fn clusters_under_master_do_not_hide_those_of_their_seed() {
    let site = Site::complete();
    site.put("master/clusters.json", &[cluster("c1", json!({}))]);
    assert_eq!(site.read().complete().ids("clusters"), site.ids("cluster", &["c1"]));
}

#[test]
fn nodes_of_a_master_that_is_its_own_seed_count_once_and_nothing_is_missing() {
    let site = Site::with_seeds(&["europe"]);
    site.put("seeds/europe/all.json", &[cluster("c1", json!({})), node("m1", json!({}))]);
    assert_eq!(site.read().complete().ids("nodes").as_array().unwrap().len(), 1);
}

#[test]
fn a_malformed_object_costs_only_itself() {
    let site = Site::complete();
    let wrong = |mut object: Value| {
        object["spec"] = json!("CANARY");
        object
    };
    site.put("master/wrong.json", &[user("u1", json!({})), ssh_key("k1", json!({}))].map(wrong));
    site.put("seeds/europe/wrong.json", &[wrong(cluster("c2", json!({})))]);
    let wrong_type = cluster("c3", json!({"version": {"major": "CANARY"}}));
    site.put("seeds/europe/wrong-type.json", &[wrong_type]);
    let record = site.read().kubermatic;
    let expected = [
        site.problem("users", "malformed", "user u1"),
        site.problem("sshKeys", "malformed", "sshKey k1"),
        site.problem("clusters", "malformed", "cluster c2"),
        site.problem("clusters", "malformed", "cluster c3"),
    ];
    assert_eq!(record["problems"], sorted(&expected));
    assert_eq!(record["clusters"].as_array().unwrap().len(), 1);
    assert!(!record.to_string().contains("CANARY"));
}

// Credentials.

#[test]
fn credentials_are_warned_about_by_the_names_of_their_fields_only() {
    let preset = object("Preset", "p", json!({"spec": {"openstack": {"password": "FAKE-CREDENTIAL"}}}));
    let keys = json!({"keys": [{"name": "k", "value": "FAKE-CREDENTIAL"}]});
    let cases = [
        ("secretAccessKey", cluster("c2", json!({"cloud": {"aws": {"secretAccessKey": "FAKE-CREDENTIAL"}}}))),
        ("clientSecret", cluster("c2", json!({"oidc": {"clientSecret": "FAKE-CREDENTIAL"}}))),
        ("secretbox", cluster("c2", json!({"encryptionConfiguration": {"secretbox": keys}}))),
        ("password", preset),
        ("data", object("Secret", "s", json!({"data": {"ca.crt": "RkFLRS1DUkVERU5USUFM"}}))),
        ("adminToken", {
            let mut cluster = cluster("c2", json!({}));
            cluster["status"] = json!({"address": {"adminToken": "FAKE-CREDENTIAL"}});
            cluster
        }),
    ];
    for (field, object) in cases {
        let site = Site::complete();
        site.put("seeds/europe/full.json", &[object]);
        let printed = site.desk.line("preview --manifests m -vvv").ok();
        let warning = "warning: 1 manifest file with credentials, such as m/seeds/europe/full.json (fields: ";
        assert!(printed.stderr.contains(&format!("{warning}{field})")), "{field}: {}", printed.stderr);
        assert!(printed.stderr.contains("hint: nothing of them is collected, but do not keep such files"));
        let all = printed.stdout + &printed.stderr;
        assert!(!all.contains("FAKE-CREDENTIAL") && !all.contains("RkFLRS"), "{field}: {all}");
    }
}

#[test]
fn manifests_without_credentials_are_not_warned_about() {
    let site = Site::complete();
    let seed = seed("europe", json!({"kubeconfig": {"name": "europe-kubeconfig", "namespace": "kubermatic"}}));
    site.put("master/seeds.json", &[seed]);
    let empty =
        cluster("c2", json!({"cloud": {"aws": {"secretAccessKey": "", "credentialsReference": {"name": "x"}}}}));
    site.put("seeds/europe/empty.json", &[empty]);
    assert_eq!(site.read().complete().stderr, "");
}

// Places of the state.

#[test]
fn identity_and_store_go_where_they_are_told() {
    let site = Site::complete();
    fs::remove_dir_all(site.desk.state()).unwrap();
    let made = site.desk.line("collect --manifests m --identity vault/id --store data/store").ok();
    made.says("made the identity of this installation in vault/id: back it up");
    assert!(!site.desk.state().exists());
    assert_eq!(site.desk.tree("vault"), ["id/client-uuid", "id/pseudonym.key", "id/signing-key.pem"]);
    assert_eq!(site.desk.tree("data/store/records").len(), 2);
    let preview = site.desk.line("preview --identity vault/id --store data/store").ok();
    assert_eq!(preview.stdout.lines().count(), 2);
    site.desk.line("export -o bundle.tar --identity vault/id --store data/store").ok().says("sequence 1");
    site.desk.line("export -o other.tar").code(4);
}

#[test]
fn collectors_can_be_run_one_at_a_time() {
    let site = Site::complete();
    let collected = site.desk.line("collect kubernetes --manifests m --json").ok().json();
    assert_eq!(collected["stored"].as_array().unwrap().len(), 1);
    assert_eq!(collected["stored"][0]["kind"], "kubernetes");
    assert_eq!(site.desk.line("preview").ok().stdout.lines().count(), 1);
}

// What KKP does where a field is absent, and what fields are reduced to: cases of an object and what comes of it.

/// Collects a cluster for each case and compares one place of its row; null means that it is not there.
fn clusters_have(place: &str, cases: &[(Value, Value)]) {
    let site = Site::complete();
    let names: Vec<_> = (0..cases.len()).map(|number| format!("case-{number}")).collect();
    let clusters: Vec<_> = cases.iter().zip(&names).map(|((spec, _), name)| cluster(name, spec.clone())).collect();
    site.put("seeds/europe/cases.json", &clusters);
    let record = site.read().complete().kubermatic;
    for ((spec, expected), name) in cases.iter().zip(&names) {
        let row = row(&record["clusters"], &site.id(&format!("cluster {name}")));
        assert_eq!(row.pointer(place).unwrap_or(&Value::Null), expected, "{place} of {spec}");
    }
}

#[test]
fn etcd_has_three_members_unless_the_launcher_makes_more() {
    let etcd = |launcher: Value, size: Value| json!({"features": {"etcdLauncher": launcher}, "componentsOverride": {"etcd": {"clusterSize": size}}});
    let cases = [
        (json!({}), 3),
        (json!({"componentsOverride": {"etcd": {"clusterSize": 5}}}), 3),
        (json!({"componentsOverride": {}, "features": {"etcdLauncher": true}}), 3),
        (etcd(json!(false), json!(5)), 3),
        (etcd(json!(true), json!(5)), 5),
        (etcd(json!(true), json!(9)), 9),
        (etcd(json!(true), json!(11)), 9),
        (etcd(json!(true), json!(1)), 3),
        (etcd(json!(true), json!(0)), 3),
        (etcd(json!(true), json!(-7)), 3),
        (etcd(json!(true), json!(null)), 3),
        (etcd(json!(null), json!(5)), 3),
    ];
    clusters_have("/etcdClusterSize", &cases.map(|(spec, size)| (spec, json!(size))));
}

#[test]
fn the_expose_strategy_falls_back_to_the_seeds_and_the_configurations() {
    for (configured, fallback) in [(json!({}), "NodePort"), (json!({"exposeStrategy": "Tunneling"}), "Tunneling")] {
        let site = Site::with_seeds(&[]);
        let mut configuration = configuration();
        configuration["spec"] = configured;
        site.put("master/all.json", &[configuration, user("u", json!({})), node("m1", json!({}))]);
        let seeds =
            [seed("own", json!({"exposeStrategy": "LoadBalancer"})), seed("plain", json!({"exposeStrategy": ""}))];
        site.put("master/seeds.json", &seeds);
        for name in ["own", "plain"] {
            let plain = cluster(&format!("{name}-plain"), json!({}));
            let empty = cluster(&format!("{name}-empty"), json!({"exposeStrategy": ""}));
            let special = cluster(&format!("{name}-special"), json!({"exposeStrategy": "NodePort"}));
            let odd = cluster(&format!("{name}-odd"), json!({"exposeStrategy": "Pigeon"}));
            site.put(&format!("seeds/{name}/all.json"), &[plain, empty, special, odd, node(name, json!({}))]);
        }
        let record = site.read().complete().kubermatic;
        let of = |rows: &str, what: &str| row(&record[rows], &site.id(what))["exposeStrategy"].clone();
        assert_eq!(of("seeds", "seed own"), "LoadBalancer");
        assert_eq!(of("seeds", "seed plain"), fallback);
        for (name, inherited) in [("own", "LoadBalancer"), ("plain", fallback)] {
            assert_eq!(of("clusters", &format!("cluster {name}-plain")), inherited);
            assert_eq!(of("clusters", &format!("cluster {name}-empty")), inherited);
            assert_eq!(of("clusters", &format!("cluster {name}-special")), "NodePort");
            assert_eq!(of("clusters", &format!("cluster {name}-odd")), "other");
        }
    }
}

#[test]
fn the_ip_family_follows_from_the_blocks_of_pod_addresses() {
    let network =
        |family: Value, blocks: Value| json!({"clusterNetwork": {"ipFamily": family, "pods": {"cidrBlocks": blocks}}});
    let (one, two) = (json!(["172.25.0.0/16"]), json!(["172.25.0.0/16", "fd01::/48"]));
    let cases = [
        (json!({}), "IPv4"),
        (json!({"clusterNetwork": {}}), "IPv4"),
        (network(json!(null), json!(null)), "IPv4"),
        (network(json!(""), json!([])), "IPv4"),
        (network(json!(""), one.clone()), "IPv4"),
        (network(json!(""), two.clone()), "IPv4+IPv6"),
        (network(json!("IPv4"), two), "IPv4"),
        (network(json!("IPv4+IPv6"), one.clone()), "IPv4+IPv6"),
        (network(json!("IPv7"), one), "other"),
    ];
    clusters_have("/clusterNetwork/ipFamily", &cases.map(|(spec, family)| (spec, json!(family))));
}

#[test]
fn the_ssh_key_agent_is_on_unless_it_is_switched_off() {
    let agent = |value: Value| json!({"enableUserSSHKeyAgent": value});
    let cases =
        [(json!({}), true), (agent(json!(null)), true), (agent(json!(true)), true), (agent(json!(false)), false)];
    clusters_have("/enableUserSSHKeyAgent", &cases.map(|(spec, on)| (spec, json!(on))));
}

#[test]
fn the_container_runtime_is_containerd_by_default() {
    let runtime = |value: &str| json!({"containerRuntime": value});
    let cases = [
        (json!({}), "containerd"),
        (runtime(""), "containerd"),
        (runtime("docker"), "docker"),
        (runtime("containerd"), "containerd"),
        (runtime("acme-runtime"), "other"),
    ];
    clusters_have("/containerRuntime", &cases.map(|(spec, runtime)| (spec, json!(runtime))));
}

#[test]
fn switches_of_clusters_are_off_where_they_are_absent() {
    let cases = [
        ("/opaIntegrationEnabled", json!({"opaIntegration": {"enabled": true}})),
        ("/mla/monitoringEnabled", json!({"mla": {"monitoringEnabled": true}})),
        ("/mla/loggingEnabled", json!({"mla": {"loggingEnabled": true}})),
        ("/clusterNetwork/konnectivityEnabled", json!({"clusterNetwork": {"konnectivityEnabled": true}})),
    ];
    for (place, on) in cases {
        clusters_have(place, &[(json!({}), json!(false)), (on, json!(true))]);
    }
}

#[test]
fn network_plugins_are_known_by_type_and_version() {
    let plugin = |kind: &str, version: &str| json!({"cniPlugin": {"type": kind, "version": version}});
    let cases = [
        (json!({}), Value::Null),
        (plugin("cilium", "1.16.9"), json!({"type": "cilium", "version": "1.16.9"})),
        (plugin("canal", "v3.29"), json!({"type": "canal", "version": "v3.29"})),
        (plugin("none", ""), json!({"type": "none"})),
        (plugin("acme-net", "v1.0-acme"), json!({"type": "other", "version": "v1.0"})),
    ];
    clusters_have("/cniPlugin", &cases);
}

#[test]
fn the_provider_of_a_cluster_is_its_one_key_or_its_name() {
    let cloud = |members: Value| {
        let mut cloud = json!({"aws": null, "providerName": null});
        lay_over(&mut cloud, members);
        json!({"cloud": cloud})
    };
    let cases = [
        (cloud(json!({"hetzner": {}})), json!("hetzner")),
        (cloud(json!({"hetzner": {"network": "n"}, "openstack": null})), json!("hetzner")),
        (cloud(json!({"vsphere": {}, "providerName": "vsphere"})), json!("vsphere")),
        (cloud(json!({"providerName": "kubevirt"})), json!("kubevirt")),
        (cloud(json!({"packet": {}, "providerName": "packet"})), json!("packet")),
        (cloud(json!({"acme": {}, "providerName": "acme"})), json!("other")),
        (cloud(json!({})), Value::Null),
    ];
    clusters_have("/cloud/provider", &cases);
}

#[test]
fn providers_that_contradict_each_other_are_ambiguous() {
    let clouds = [json!({"aws": {}, "gcp": {}}), json!({"aws": {}, "providerName": "gcp"})];
    for cloud in clouds {
        let site = Site::complete();
        site.put("seeds/europe/cases.json", &[cluster("c2", json!({"cloud": cloud}))]);
        let record = site.read().kubermatic;
        assert_eq!(record["problems"], json!([site.problem("clusters", "ambiguousProvider", "cluster c2")]));
        let row = row(&record["clusters"], &site.id("cluster c2"));
        assert_eq!(row["cloud"], json!({"dcUUID": site.id("datacenter dc")}), "a guess would be worse than nothing");
    }
}

#[test]
fn clusters_tell_their_project_datacenter_version_and_phase() {
    let site = Site::complete();
    let mut running = cluster("c2", json!({"version": "1.32.1"}));
    let conditions = json!({
        "ClusterControllerReconciledSuccessfully": {"kubermaticVersion": "v2.31.0-3-gabc1234"},
        "AddonControllerReconciledSuccessfully": {"kubermaticVersion": "v2.22.2"}
    });
    running["status"] = json!({"phase": "Running", "conditions": conditions, "versions": {"controlPlane": "1.31.0"}});
    let mut stray = cluster("c3", json!({}));
    stray["metadata"]["labels"] = json!({"project-id": ""});
    site.put("seeds/europe/more.json", &[running, stray, cluster("c4", json!({"version": ""}))]);
    let record = site.read().kubermatic;
    let of = |name: &str| row(&record["clusters"], &site.id(&format!("cluster {name}")));
    let c2 = of("c2");
    assert_eq!(c2["projectUUID"], site.id("project project"));
    assert_eq!(c2["cloud"]["dcUUID"], site.id("datacenter dc"));
    assert_eq!(c2["kubernetesServerVersion"], "1.32.1");
    assert_eq!((&c2["kubermaticVersion"], &c2["phase"]), (&json!("v2.31.0-3-gabc1234"), &json!("Running")));
    assert_eq!((&of("c3")["projectUUID"], &of("c3")["phase"]), (&Value::Null, &Value::Null));
    let expected =
        [site.problem("clusters", "noProject", "cluster c3"), site.problem("clusters", "malformed", "cluster c4")];
    assert_eq!(record["problems"], sorted(&expected));
}

/// Collects a datacenter for each case and compares its row with what is expected, the UUID left out.
fn datacenters_are(site: &Site, cases: &[(Value, Value)]) -> Value {
    let datacenters: serde_json::Map<_, _> = cases
        .iter()
        .enumerate()
        .map(|(number, (datacenter, _))| (format!("dc-{number}"), datacenter.clone()))
        .collect();
    site.put("master/seeds.json", &[seed("europe", json!({"datacenters": datacenters}))]);
    let record = site.read().kubermatic;
    for (number, (datacenter, expected)) in cases.iter().enumerate() {
        let mut row = row(&record["seeds"][0]["datacenters"], &site.id(&format!("datacenter dc-{number}")));
        row.as_object_mut().unwrap().remove("uuid");
        assert_eq!(row, *expected, "{datacenter}");
    }
    record
}

#[test]
fn the_provider_of_a_datacenter_is_its_one_key() {
    let site = Site::complete();
    let spec = |spec: Value| json!({"spec": spec});
    let cases = [
        (spec(json!({"bringyourown": {}})), json!({"provider": "bringyourown"})),
        (spec(json!({"aws": null, "nutanix": {"endpoint": "e"}})), json!({"provider": "nutanix"})),
        (spec(json!({"kubevirt": {}, "requiredEmails": ["x"], "kubelb": {}})), json!({"provider": "kubevirt"})),
        (spec(json!({"enforceAuditLogging": true, "machineFlavorFilter": {}})), json!({})),
        (spec(json!({"edge": null})), json!({})),
        (spec(json!({})), json!({})),
        (
            json!({"country": "de", "location": "Hall 3", "spec": {"edge": {}}}),
            json!({"country": "DE", "location": "Hall 3", "provider": "edge"}),
        ),
        (json!({"country": "Factory 7", "spec": {"fake": {}}}), json!({"country": "other", "provider": "fake"})),
    ];
    let record = datacenters_are(&site, &cases);
    assert_eq!(record["problems"], json!([]));
}

#[test]
fn a_broken_datacenter_costs_only_itself() {
    let site = Site::complete();
    let datacenters = json!({
        "two": {"spec": {"aws": {"region": "eu-central-1"}, "gcp": {}}},
        "none": {"spec": null},
        "good": {"spec": {"aws": {"region": "eu-central-1"}}}
    });
    site.put("master/seeds.json", &[seed("europe", json!({"datacenters": datacenters}))]);
    let record = site.read().kubermatic;
    let expected = [
        site.problem("datacenters", "ambiguousProvider", "datacenter two"),
        site.problem("datacenters", "malformed", "datacenter none"),
    ];
    assert_eq!(record["problems"], sorted(&expected));
    let rows = &record["seeds"][0]["datacenters"];
    assert_eq!(row(rows, &site.id("datacenter good"))["region"], "eu-central-1");
    assert_eq!(row(rows, &site.id("datacenter two")), json!({"uuid": site.id("datacenter two")}));
    assert_eq!(rows.as_array().unwrap().len(), 2);
}

#[test]
fn public_regions_are_kept_and_private_ones_become_pseudonyms() {
    let site = Site::complete();
    let private = |name: &str| site.id(&format!("region {name}"));
    let cases = [
        ("aws", json!({"region": "eu-central-1"}), json!("eu-central-1")),
        ("aws", json!({"region": "acme-1"}), private("acme-1")),
        ("azure", json!({"location": "westeurope", "region": "ignored"}), json!("westeurope")),
        ("gcp", json!({"region": "europe-west3"}), json!("europe-west3")),
        ("digitalocean", json!({"region": "fra1"}), json!("fra1")),
        ("alibaba", json!({"region": "cn-hangzhou"}), json!("cn-hangzhou")),
        ("hetzner", json!({"datacenter": "nbg1-dc3"}), json!("nbg1")),
        ("hetzner", json!({"datacenter": "nbg1-dc3", "location": "fsn1"}), json!("fsn1")),
        ("hetzner", json!({"datacenter": "nbg1-dc3", "location": ""}), json!("nbg1")),
        ("openstack", json!({"region": "eu-central-1"}), private("eu-central-1")),
        ("vsphere", json!({"datacenter": "hall-4"}), private("hall-4")),
        ("anexia", json!({"locationID": "a1b2"}), private("a1b2")),
        ("packet", json!({"metro": "am"}), private("am")),
        ("kubevirt", json!({"region": "r"}), Value::Null),
        ("nutanix", json!({"endpoint": "prism.example.invalid"}), Value::Null),
        ("vmwareclouddirector", json!({"url": "https://vcd.example.invalid"}), Value::Null),
        ("baremetal", json!({}), Value::Null),
        ("aws", json!({"region": ""}), Value::Null),
    ];
    let cases = cases.map(|(provider, fields, region)| {
        let mut expected = json!({"provider": provider});
        if !region.is_null() {
            expected["region"] = region;
        }
        (json!({"spec": {provider: fields}}), expected)
    });
    let record = datacenters_are(&site, &cases);
    assert!(!record.to_string().contains("example.invalid"));
}

/// Collects a machine deployment for each case and compares one place of its row.
fn machines_have(place: &str, cases: &[(Value, Value)]) {
    let site = Site::complete();
    let named = |number: usize| format!("case-{number}");
    let objects: Vec<_> =
        cases.iter().enumerate().map(|(number, (spec, _))| machines(&named(number), spec.clone())).collect();
    site.put("user-clusters/c1/cases.json", &objects);
    let record = site.read().complete().kubermatic;
    for (number, (spec, expected)) in cases.iter().enumerate() {
        let scope = "--seed europe --cluster c1 --namespace kube-system";
        let id = site.id(&format!("machineDeployment {} {scope}", named(number)));
        let row = row(&record["machineDeployments"], &id);
        assert_eq!(row.get(place).unwrap_or(&Value::Null), expected, "{place} of {spec}");
    }
}

fn machine_value(member: &str, value: &str) -> Value {
    json!({"template": {"spec": {"providerSpec": {"value": {member: value}}}}})
}

#[test]
fn providers_of_machines_have_kkps_names() {
    let names = [
        ("gce", "gcp"),
        ("vmware-cloud-director", "vmwareclouddirector"),
        ("equinixmetal", "packet"),
        ("packet", "packet"),
        ("aws", "aws"),
        ("azure", "azure"),
        ("alibaba", "alibaba"),
        ("hetzner", "hetzner"),
        ("linode", "linode"),
        ("vultr", "vultr"),
        ("scaleway", "scaleway"),
        ("opennebula", "opennebula"),
        ("external", "external"),
        ("edge", "edge"),
        ("acme-cloud", "other"),
    ];
    machines_have("provider", &names.map(|(raw, name)| (machine_value("cloudProvider", raw), json!(name))));
}

#[test]
fn operating_systems_of_machines_are_known_ones() {
    let names = ["amzn2", "centos", "coreos", "flatcar", "rhel", "rockylinux", "sles", "ubuntu"];
    let known = names.map(|name| (machine_value("operatingSystem", name), json!(name)));
    machines_have("os", &known);
    machines_have("os", &[(machine_value("operatingSystem", "acme-os"), json!("other"))]);
}

#[test]
fn a_machine_deployment_has_one_replica_unless_it_says_otherwise() {
    let replicas = |number: Value| json!({"replicas": number});
    let cases = [(json!({}), 1), (replicas(json!(null)), 1), (replicas(json!(0)), 0), (replicas(json!(40)), 40)];
    machines_have("numberOfReplicas", &cases.map(|(spec, number)| (spec, json!(number))));
}

#[test]
fn kubelet_versions_of_machines_may_be_absent() {
    let kubelet = |version: &str| json!({"template": {"spec": {"versions": {"kubelet": version}}}});
    let cases = [
        (kubelet("v1.33.4"), json!("v1.33.4")),
        (kubelet(""), Value::Null),
        (kubelet("1.30.2-acme"), json!("1.30.2")),
        (json!({"template": {"spec": {"versions": null}}}), Value::Null),
    ];
    machines_have("kubeletVersion", &cases);
}

/// Collects a node for each case and compares one member of its row.
fn nodes_have(member: &str, cases: &[(Value, Value)]) {
    let site = Site::complete();
    let objects: Vec<_> =
        cases.iter().enumerate().map(|(number, (more, _))| node(&format!("case-{number}"), more.clone())).collect();
    site.put("master/cases.json", &objects);
    let record = site.read().complete().kubernetes;
    for (number, (more, expected)) in cases.iter().enumerate() {
        let row = row(&record["nodes"], &site.id(&format!("node case-{number}")));
        assert_eq!(row.get(member).unwrap_or(&Value::Null), expected, "{member} of {more}");
    }
}

#[test]
fn the_provider_of_a_node_is_the_scheme_of_its_provider_id() {
    let ids = [
        ("aws:///eu-central-1a/i-0123456789abcdef0", "aws"),
        ("azure:///subscriptions/00000000-0000-4000-8000-000000000000/x", "azure"),
        ("gce://project/zone/node", "gcp"),
        ("hcloud://1234", "hetzner"),
        ("openstack:///f00d", "openstack"),
        ("openstack://region/f00d", "openstack"),
        ("vsphere://4211", "vsphere"),
        ("kubevirt://vm", "kubevirt"),
        ("nutanix://vm", "nutanix"),
        ("digitalocean://1", "digitalocean"),
        ("anexia://1", "anexia"),
        ("vmware-cloud-director://urn", "vmwareclouddirector"),
        ("equinixmetal://1", "packet"),
        ("kind://docker/kind/node", "kind"),
        ("a://b://c", "other"),
        ("acme://1", "other"),
    ];
    let mut cases: Vec<_> =
        ids.iter().map(|(id, provider)| (json!({"spec": {"providerID": id}}), json!(provider))).collect();
    cases.extend([(json!({}), Value::Null), (json!({"spec": {"providerID": ""}}), Value::Null)]);
    nodes_have("cloudProvider", &cases);
}

fn node_info(member: &str, value: &str) -> Value {
    json!({"status": {"nodeInfo": {member: value}}})
}

#[test]
fn os_images_are_reduced_to_a_distribution_and_its_version() {
    let images = [
        ("Ubuntu 22.04.4 LTS", "Ubuntu 22.04.4"),
        ("Flatcar Container Linux by Kinvolk 3815.2.0 (Oklo)", "Flatcar Container Linux 3815.2.0"),
        ("Red Hat Enterprise Linux 9.4 (Plow)", "Red Hat Enterprise Linux 9.4"),
        ("Debian GNU/Linux 12 (bookworm)", "Debian GNU/Linux 12"),
        ("Rocky Linux 9.3 (Blue Onyx)", "Rocky Linux 9.3"),
        ("Amazon Linux 2", "Amazon Linux 2"),
        ("Ubuntu acme edition", "Ubuntu"),
        ("AcmeOS 7", "other"),
    ];
    nodes_have("osImage", &images.map(|(raw, reduced)| (node_info("osImage", raw), json!(reduced))));
}

#[test]
fn kernels_are_reduced_to_their_numbers() {
    let kernels =
        [("5.15.0-105-generic", "5.15.0"), ("6.6.88-flatcar", "6.6.88"), ("6.1-acme", "6.1"), ("acme", "other")];
    nodes_have("kernelVersion", &kernels.map(|(raw, reduced)| (node_info("kernelVersion", raw), json!(reduced))));
}

#[test]
fn other_facts_of_nodes_are_known_words_and_versions() {
    let cases = [
        ("operatingSystem", "linux", "linux"),
        ("operatingSystem", "acmeos", "other"),
        ("architecture", "arm64", "arm64"),
        ("architecture", "acme64", "other"),
        ("containerRuntimeVersion", "containerd://1.7.13", "containerd://1.7.13"),
        ("containerRuntimeVersion", "acme://1.0", "other"),
        ("kubeletVersion", "v1.33.4+k3s1", "v1.33.4+k3s1"),
        ("kubeletVersion", "v1.33.4-acme", "v1.33.4"),
    ];
    for (member, raw, reduced) in cases {
        nodes_have(member, &[(node_info(member, raw), json!(reduced)), (node_info(member, ""), Value::Null)]);
    }
}

#[test]
fn capacity_has_known_resources_only_sorted_by_name() {
    let resource = |name: &str, value: &str| json!({"resource": name, "value": value});
    let capacity = json!({
        "pods": "110",
        "memory": "7958656Ki",
        "cpu": 4,
        "ephemeral-storage": "48G",
        "hugepages-2Mi": "0",
        "nvidia.com/gpu": "2",
        "acme.example/quantum": "1",
        "nvidia.com/acme-secret": "1",
        "hugepages-1Gi": "a lot",
        "amd.com/gpu": null
    });
    let expected = [
        resource("cpu", "4"),
        resource("ephemeral-storage", "48G"),
        resource("hugepages-2Mi", "0"),
        resource("memory", "7958656Ki"),
        resource("nvidia.com/gpu", "2"),
        resource("pods", "110"),
    ];
    let none = json!([]);
    nodes_have("capacity", &[(json!({"status": {"capacity": capacity}}), json!(expected)), (json!({}), none)]);
}

#[test]
fn users_are_administrators_and_service_accounts_where_their_objects_say_so() {
    let site = Site::complete();
    let cases = [
        ("person", json!({}), false, false),
        ("admin", json!({"admin": true, "isAdmin": false}), true, false),
        ("no-admin", json!({"admin": false, "isAdmin": true}), false, false),
        ("serviceaccount-x8k2", json!({"project": "p"}), false, true),
        ("serviceaccount-y9m3", json!({}), false, true),
        ("robot", json!({"project": "p"}), false, true),
        ("human", json!({"project": ""}), false, false),
    ];
    let users: Vec<_> = cases.iter().map(|(name, spec, ..)| user(name, spec.clone())).collect();
    site.put("master/users.json", &users);
    let record = site.read().complete().kubermatic;
    for (name, _, admin, service) in cases {
        let id = site.id(&format!("user {name}"));
        let expected = json!({"isAdmin": admin, "isServiceAccount": service, "uuid": id});
        assert_eq!(row(&record["users"], &id), expected, "{name}");
    }
}

#[test]
fn ssh_keys_belong_to_the_project_of_their_spec_or_else_to_their_owners() {
    let site = Site::complete();
    let owned = |name: &str, spec: Value| {
        let mut key = ssh_key(name, spec);
        let owner = |kind: &str, name: &str| json!({"kind": kind, "name": name});
        key["metadata"]["ownerReferences"] = json!([owner("User", "u"), owner("Project", "old")]);
        key
    };
    let clusters = json!({"project": "p", "clusters": ["c1", "c9", "c1"]});
    let keys = [
        ssh_key("spec", clusters),
        owned("both", json!({"project": "p"})),
        owned("owners", json!({})),
        ssh_key("none", json!({})),
    ];
    site.put("master/keys.json", &keys);
    let record = site.read().kubermatic;
    let of = |name: &str| row(&record["sshKeys"], &site.id(&format!("sshKey {name}")));
    assert_eq!(of("spec")["ownerProjectUUID"], site.ids("project", &["p"]));
    assert_eq!(of("spec")["clusterUUIDs"], site.ids("cluster", &["c1", "c9"]), "also clusters that are gone");
    assert_eq!(of("both")["ownerProjectUUID"], site.ids("project", &["p"]));
    assert_eq!(of("owners")["ownerProjectUUID"], site.ids("project", &["old"]));
    assert_eq!((&of("none")["ownerProjectUUID"], &of("none")["clusterUUIDs"]), (&json!([]), &json!([])));
    assert_eq!(record["problems"], json!([site.problem("sshKeys", "noProject", "sshKey none")]));
}

#[test]
fn edition_and_version_are_the_configurations() {
    let cases = [
        (json!({"kubermaticEdition": "EE", "kubermaticVersion": "v2.30.1"}), json!("EE"), json!("v2.30.1")),
        (json!({"kubermaticEdition": "", "kubermaticVersion": ""}), Value::Null, Value::Null),
        (json!({"kubermaticEdition": "Acme", "kubermaticVersion": "v2.31.0-acme"}), json!("other"), json!("v2.31.0")),
        (json!({"kubermaticVersion": "v2.31.0-5-gabc1234"}), Value::Null, json!("v2.31.0-5-gabc1234")),
    ];
    for (status, edition, version) in cases {
        let site = Site::complete();
        let mut configuration = configuration();
        configuration["status"] = status;
        site.put("master/all.json", &[configuration, user("u", json!({})), node("m1", json!({}))]);
        let record = site.read().complete().kubermatic;
        let found = |member: &str| record.get(member).cloned().unwrap_or_default();
        assert_eq!((found("kubermaticEdition"), found("kubermaticVersion")), (edition, version));
    }
}

#[test]
fn seeds_tell_country_location_and_monitoring() {
    let site = Site::complete();
    let spec = json!({"country": "Germany", "location": " Hall 3 ", "mla": {"userClusterMLAEnabled": true}});
    let mut wrong = seed("asia", json!({"mla": {"userClusterMlaEnabled": true}}));
    wrong["metadata"]["uid"] = json!("asia");
    site.put("master/seeds.json", &[seed("europe", spec), wrong]);
    site.put("seeds/asia/all.json", &[node("s2", json!({}))]);
    let record = site.read().complete().kubermatic;
    let of = |name: &str| row(&record["seeds"], &site.id(&format!("seed {name}")));
    let europe = of("europe");
    assert_eq!((&europe["country"], &europe["location"]), (&json!("DE"), &json!("Hall 3")));
    assert_eq!(europe["userClusterMlaEnabled"], true);
    let asia = of("asia");
    assert_eq!((asia.get("country"), &asia["userClusterMlaEnabled"]), (None, &json!(false)));
    assert_eq!(asia["datacenters"], json!([]));
}

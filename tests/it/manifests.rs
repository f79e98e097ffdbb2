//! The manifest source: layouts, formats, duplicates, what counts and what does not.

use std::fs;

use serde_json::{Value, json};

use crate::site::{
    Site, cluster, configuration, copy_of, deleted, list, machines, node, object, project, row, seed, sorted, ssh_key,
    user, version, yaml,
};
use crate::support::gzip;

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
    let warning = "warning: it can't be told which installation this is";
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

//! What comes of a sound installation: the same record as from its manifests, by gentle requests.

use std::fs;

use serde_json::{Value, json};

use super::{Live, complete, counts, problems};
use crate::api::{Access, ApiServer, Objects, Request, Rule};
use crate::site::{Site, node};
use crate::support::{copy_tree, installation};

const SEEDS: &str = "/apis/kubermatic.k8c.io/v1/seeds";
const PROJECTS: &str = "/apis/kubermatic.k8c.io/v1/projects";
const USERS: &str = "/apis/kubermatic.k8c.io/v1/users";

/// The test installation without what no server of today can have: objects of an API group that is gone.
fn test_installation() -> Site {
    let site = Site::empty();
    copy_tree(&installation(), &site.desk.path("m"));
    let broken = site.desk.path("m/seeds/europe/broken.yaml");
    let text = fs::read_to_string(&broken).unwrap();
    let documents: Vec<_> =
        text.split("---\n").filter(|text| !text.contains("apiVersion: kubermatic.k8s.io/")).collect();
    assert_eq!(documents.len(), 2);
    fs::write(broken, documents.join("---\n")).unwrap();
    site
}

/// The lines of a preview with the times taken out, to be compared byte for byte.
fn timeless(preview: &str) -> Vec<String> {
    let lines = preview.lines().map(|line| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let time = format!(r#""time":{}"#, record["time"]);
        assert_eq!(line.matches(&time).count(), 1);
        line.replace(&time, "")
    });
    lines.collect()
}

#[test]
fn the_record_from_a_live_installation_is_the_one_from_its_manifests() {
    let live = Live::of(test_installation());
    let manifests = live.site.desk.line("preview --manifests m").ok();
    let found = live.run("preview --user-clusters").ok();
    assert_eq!(timeless(&found.stdout), timeless(&manifests.stdout), "{}", found.stderr);
    let records = live.read("--user-clusters");
    counts(&records, &[("clusters", 17), ("machineDeployments", 6), ("users", 12), ("nodes", 16)]);
}

#[test]
fn pages_of_any_size_give_the_same_record() {
    let live = Live::of(test_installation());
    let whole = timeless(&live.run("preview --user-clusters").ok().stdout);
    for size in ["1", "2", "3", "5"] {
        let before: Vec<_> = live.fleet.servers().map(|server| server.requests().len()).collect();
        let found = live.run(&format!("preview --user-clusters --page-size {size}")).ok();
        assert_eq!(timeless(&found.stdout), whole, "--page-size {size}: {}", found.stderr);
        let requests =
            live.fleet.servers().zip(before).flat_map(|(server, before)| server.requests().split_off(before));
        let limits: Vec<_> = requests.filter_map(|request| request.asks("limit").map(str::to_owned)).collect();
        assert!(limits.len() > 40 && limits.iter().all(|limit| limit == size), "{limits:?}");
    }
    let master = &live.fleet.master;
    let after_first = |request: &&Request| request.is_continued();
    assert!(master.requests_for(SEEDS).iter().filter(after_first).count() >= 3, "pages were turned");
}

#[test]
fn requests_are_lists_in_pages_and_single_objects_and_nothing_else() {
    let live = Live::complete();
    live.read("--user-clusters").complete();
    let all: Vec<_> = live.fleet.servers().flat_map(ApiServer::requests).collect();
    assert!(all.len() > 20);
    for request in &all {
        assert_eq!((request.method.as_str(), request.asks("resourceVersion")), ("GET", None), "{request:?}");
        let known = ["continue", "limit"];
        assert!(request.query.keys().all(|name| known.contains(&name.as_str())), "{request:?}");
        assert!(!request.path.ends_with("/secrets"), "Secrets are never listed");
        let groups = ["/api/v1/nodes", "/apis/kubermatic.k8c.io/v1/", "/apis/cluster.k8s.io/v1alpha1/"];
        let lists = groups.iter().any(|group| request.path.starts_with(group));
        assert_eq!(request.asks("limit"), lists.then_some("500"), "{request:?}");
        assert_ne!(request.headers.get("authorization").map(String::as_str), Some("wrong"));
        assert_eq!(request.header("user-agent"), concat!("kubermatic-telemetry/", env!("CARGO_PKG_VERSION")));
    }
    for request in live.fleet.master.requests_for(PROJECTS) {
        let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        assert_eq!(request.header("accept").split(',').next(), Some(accept), "projects' names are never asked for");
    }
}

#[test]
fn each_secret_is_read_by_its_name_and_no_other() {
    let live = Live::complete();
    live.read("--user-clusters").complete();
    let secrets = |server: &ApiServer| {
        let paths = server.requests().into_iter().map(|request| request.path);
        let mut paths: Vec<_> = paths.filter(|path| path.contains("/secrets")).collect();
        paths.sort();
        paths
    };
    let of_seed = |seed| format!("/api/v1/namespaces/kubermatic/secrets/kubeconfig-{seed}");
    assert_eq!(secrets(&live.fleet.master), ["asia", "europe"].map(of_seed));
    let europe = live.fleet.seed("europe");
    assert_eq!(secrets(europe), ["/api/v1/namespaces/cluster-e1/secrets/admin-kubeconfig"]);
}

#[test]
fn user_clusters_are_let_alone_unless_they_are_asked_for() {
    let live = Live::complete();
    let records = live.read("").complete();
    counts(&records, &[("clusters", 2), ("machineDeployments", 0), ("nodes", 3)]);
    assert!(live.fleet.user_cluster("e1").requests().is_empty());
    let seeds = ["asia", "europe"].map(|seed| live.fleet.seed(seed));
    assert!(seeds.iter().all(|seed| !seed.requests().iter().any(|request| request.path.contains("/secrets"))));
}

#[test]
fn a_collector_asks_for_nothing_that_it_does_not_need() {
    let live = Live::complete();
    live.run("collect kubernetes").ok();
    let record = live.site.desk.line("preview").ok().json();
    assert_eq!((&record["kind"], problems(&record)), (&json!("kubernetes"), vec![]));
    let mut asked: Vec<_> = live.fleet.servers().flat_map(ApiServer::requests).collect();
    asked
        .retain(|request| ["users", "usersshkeys", "projects", "clusters"].iter().any(|it| request.path.ends_with(it)));
    assert!(asked.is_empty(), "{asked:?}");
    let live = Live::complete();
    live.run("collect kubermatic").ok();
    assert_eq!(live.site.desk.line("preview").ok().json()["kind"], "kubermatic");
    assert!(live.fleet.servers().all(|server| server.requests_for("/api/v1/nodes").is_empty()));
}

#[test]
fn a_hundred_thousand_users_are_all_there() {
    let live = Live::planned_complete(|plan| {
        plan.master.make("users.kubermatic.k8c.io", 100_000, |index| {
            let metadata = json!({"name": format!("{index:064x}")});
            json!({"apiVersion": "kubermatic.k8c.io/v1", "kind": "User", "metadata": metadata,
                   "spec": {"admin": index % 1000 == 0}})
        });
    });
    let records = live.read("--page-size 5000").complete();
    counts(&records, &[("users", 100_000)]);
    let users = records.kubermatic["users"].as_array().unwrap();
    assert_eq!(users.iter().filter(|user| user["isAdmin"] == json!(true)).count(), 100);
    assert_eq!(live.fleet.master.requests_for(USERS).len(), 20);
}

#[test]
fn a_master_that_is_a_seed_itself_counts_once() {
    let site = complete();
    // What is on the master is what its own folder and its folder as a seed have.
    fs::remove_file(site.desk.path("m/seeds/europe/all.json")).unwrap();
    site.put("seeds/europe/all.json", &[crate::site::cluster("e1", json!({})), node("m1", json!({}))]);
    let live = Live::planned(site, |plan| plan.master_seed = Some("europe".to_owned()));
    let records = live.read("").complete();
    counts(&records, &[("clusters", 2), ("seeds", 2), ("nodes", 2), ("users", 1)]);
    let nodes = records.kubernetes["nodes"].as_array().unwrap();
    assert_eq!(nodes.iter().filter(|node| node.get("seedUUID").is_none()).count(), 1, "the master's node is its own");
    assert_eq!(live.fleet.master.requests_for("/api/v1/nodes").len(), 1);
    assert_eq!(live.fleet.master.requests_for(USERS).len(), 1);
}

#[test]
fn two_seeds_that_are_one_cluster_do_not_count_twice() {
    // Somebody gave both Seeds the same kubeconfig.
    let live = Live::complete();
    let europe = live.fleet.seed("europe").kubeconfig();
    live.fleet.put_kubeconfig("asia", &europe);
    let records = live.read("--user-clusters");
    counts(&records, &[("clusters", 1), ("machineDeployments", 1), ("nodes", 3)]);
    let duplicate = |record| problems(record).iter().filter(|(_, category, _)| *category == "duplicate").count();
    assert_eq!((duplicate(&records.kubermatic), duplicate(&records.kubernetes)), (1, 1), "{}", records.stderr);
}

#[test]
fn without_kkp_only_the_nodes_are_collected() {
    let site = Site::empty();
    let live = Live::planned(site, |plan| {
        plan.master = Objects::new();
        plan.master.add(node("n1", json!({})));
    });
    let printed = live.run("collect").ok();
    assert!(printed.stderr.contains("KKP is not installed"), "{}", printed.stderr);
    let record = live.site.desk.line("preview").ok().json();
    assert_eq!((&record["kind"], problems(&record)), (&json!("kubernetes"), vec![]));
    assert_eq!(record["nodes"].as_array().unwrap().len(), 1);
}

#[test]
fn where_it_can_not_be_told_which_cluster_it_is_nodes_of_seeds_do_not_count() {
    let rule = Rule::new("get", "namespaces").named("kube-system", "kube-system");
    let live = Live::planned_complete(|plan| plan.access = Access::but(rule));
    let records = live.read("");
    counts(&records, &[("clusters", 2), ("nodes", 1)]);
    assert_eq!(problems(&records.kubermatic), []);
    let [asia, europe] = ["asia", "europe"].map(|seed| live.site.id(&format!("seed {seed}")));
    let found = problems(&records.kubernetes);
    assert_eq!(found.len(), 3, "{found:?}");
    for problem in
        [("nodes", "forbidden", Value::Null), ("nodes", "unknownCluster", asia), ("nodes", "unknownCluster", europe)]
    {
        assert!(found.contains(&problem), "{problem:?}: {found:?}");
    }
}

#[test]
fn an_installation_of_before_2_19_is_told_from_none() {
    let live = Live::planned(Site::empty(), |plan| {
        plan.master = Objects::new();
        let mut seed = crate::site::seed("kubermatic", json!({}));
        seed["apiVersion"] = json!("kubermatic.k8s.io/v1");
        plan.master.add(seed);
        plan.master.add(node("n1", json!({})));
    });
    let records = live.read("");
    assert_eq!(records.kubermatic["complete"], json!(false));
    let found = problems(&records.kubermatic);
    assert!(found.contains(&("configuration", "legacyApiGroup", Value::Null)), "{found:?}");
    counts(&records, &[("nodes", 1)]);
}

#[test]
fn answers_are_not_compressed_where_the_kubeconfig_says_so() {
    let live = Live::complete();
    let text = live.fleet.master.kubeconfig_with(|it| it.cluster["disable-compression"] = json!(true));
    live.site.desk.file("kubeconfig", text);
    live.read("").complete();
    assert!(!live.fleet.master.requests().iter().any(Request::takes_gzip));
    assert!(live.fleet.seed("europe").requests().iter().any(Request::takes_gzip));
}

#[test]
fn the_version_comes_from_the_server_and_not_from_the_seed_object() {
    let live = Live::complete();
    live.fleet.change_seed("europe", |seed| seed["status"] = json!({"versions": {"cluster": "v1.20.0"}}));
    let records = live.read("").complete();
    assert_eq!(records.kubermatic["kubernetesVersion"], "v1.33.4");
    let versions: Vec<_> = records.kubermatic["seeds"].as_array().unwrap().iter().collect();
    assert!(versions.iter().all(|seed| seed["kubernetesVersion"] == "v1.32.8"), "{versions:?}");
}

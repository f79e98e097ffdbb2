//! What becomes of a list that fails: it costs only itself, and what passes by itself costs nothing.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Live, complete, counts, lacks_only, problems};
use crate::api::{Access, Cluster, Effect, Fault, Framing, Objects, Rule};
use crate::site::{Records, Site, cluster, node, project, ssh_key, user};

const CLUSTERS: &str = "/apis/kubermatic.k8c.io/v1/clusters";
const NODES: &str = "/api/v1/nodes";
const PROJECTS: &str = "/apis/kubermatic.k8c.io/v1/projects";
const USERS: &str = "/apis/kubermatic.k8c.io/v1/users";

/// A complete installation with these users instead of the usual one.
fn with_users(names: &[&str]) -> Live {
    Live::planned_complete(|plan| {
        plan.master.remove("users.kubermatic.k8c.io", "somebody");
        for name in names {
            plan.master.add(user(name, json!({})));
        }
    })
}

fn users(live: &Live, records: &Records, names: &[&str]) {
    assert_eq!(records.ids("users"), live.site.ids("user", names), "{}", records.stderr);
}

#[test]
fn a_list_that_expires_in_the_middle_begins_anew_and_nothing_counts_twice() {
    let live = with_users(&["a", "b", "c", "d"]);
    live.fleet.master.fault(Fault::at(USERS, Effect::Error(410, None)).continued().after(1).times(1));
    let records = live.read("--page-size 1").complete();
    users(&live, &records, &["a", "b", "c", "d"]);
    let requests = live.fleet.master.requests_for(USERS);
    let continued: Vec<_> = requests.iter().map(crate::api::Request::is_continued).collect();
    assert_eq!(continued, [false, true, true, false, true, true, true]);
}

#[test]
fn a_list_that_begins_anew_is_of_one_state() {
    // The token that the server offers with status 410 would mix two states, and one of them lacks `a`.
    let live = with_users(&["a", "b", "c"]);
    live.fleet.master.after(1, USERS, |cluster: &mut Cluster| {
        cluster.compact();
        cluster.change(|objects| {
            objects.remove("users.kubermatic.k8c.io", "a");
            objects.add(user("aa", json!({})));
        });
    });
    let records = live.read("--page-size 1").complete();
    users(&live, &records, &["aa", "b", "c"]);
}

#[test]
fn a_list_that_always_expires_is_given_up() {
    let live = with_users(&["a", "b", "c"]);
    live.fleet.master.fault(Fault::at(USERS, Effect::Error(410, None)).continued());
    let records = live.read("--page-size 1");
    assert_eq!(problems(&records.kubermatic), [("users", "expired", Value::Null)]);
    counts(&records, &[("users", 0), ("clusters", 2)]);
}

#[test]
fn objects_that_come_and_go_between_pages_do_not_shift_the_others() {
    let live = with_users(&["b", "d", "f", "h"]);
    live.fleet.master.after(2, USERS, |cluster: &mut Cluster| {
        cluster.change(|objects| {
            objects.remove("users.kubermatic.k8c.io", "b");
            objects.remove("users.kubermatic.k8c.io", "f");
            objects.add(user("a", json!({})));
            objects.add(user("e", json!({})));
        });
    });
    let records = live.read("--page-size 1").complete();
    users(&live, &records, &["b", "d", "f", "h"]);
}

#[test]
fn a_server_that_has_no_time_is_asked_again() {
    let live = Live::complete();
    let master = &live.fleet.master;
    master.fault(Fault::at(USERS, Effect::Error(429, Some(1))).times(1));
    master.fault(Fault::at(NODES, Effect::Error(429, None)).times(1));
    master.fault(Fault::at(PROJECTS, Effect::Error(503, Some(1))).times(1));
    let europe = live.fleet.seed("europe");
    europe.fault(Fault::at(CLUSTERS, Effect::Error(504, None)).times(1));
    europe.fault(Fault::at("/version", Effect::Error(500, None)).times(1));
    let asia = live.fleet.seed("asia");
    asia.fault(Fault::at(NODES, Effect::Error(503, None)).times(2));
    asia.fault(Fault::at(CLUSTERS, Effect::html(502)).times(1));
    let records = live.read("").complete();
    assert_eq!(records.timeless(), live.read("").complete().timeless());
    assert_eq!(master.requests_for(USERS).len(), 3, "one answered 429, and one of each run");
}

#[test]
fn a_list_that_stays_broken_costs_only_itself() {
    let live = Live::planned_complete(|plan| plan.master.add(ssh_key("key", json!({"project": "p"}))));
    let master = &live.fleet.master;
    master.fault(Fault::at(USERS, Effect::Error(429, Some(0))));
    master.fault(Fault::at(NODES, Effect::Error(503, Some(0))));
    live.fleet.seed("europe").fault(Fault::at(CLUSTERS, Effect::Error(500, None)));
    let printed = live.run("collect").ok();
    for attempt in ["list users.kubermatic.k8c.io", "list nodes", "list clusters.kubermatic.k8c.io"] {
        assert!(printed.stderr.contains(attempt), "{}", printed.stderr);
    }
    let records = Records::of(live.site.desk.line("preview"));
    let europe = live.site.id("seed europe");
    assert_eq!(
        problems(&records.kubermatic),
        [("clusters", "serverError", europe), ("users", "throttled", Value::Null)]
    );
    assert_eq!(problems(&records.kubernetes), [("nodes", "serverError", Value::Null)]);
    counts(&records, &[("clusters", 1), ("users", 0), ("sshKeys", 1), ("nodes", 2)]);
}

#[test]
fn strict_fails_after_an_incomplete_record_was_stored() {
    let live = Live::planned_complete(|plan| plan.access = Access::but(Rule::new("list", "users.kubermatic.k8c.io")));
    let printed = live.run("collect --strict").code(1);
    assert!(printed.stderr.contains("error: ") && printed.stderr.contains("\n\nhint: "), "{}", printed.stderr);
    let records = Records::of(live.site.desk.line("preview"));
    assert_eq!(problems(&records.kubermatic), [("users", "forbidden", Value::Null)]);
    Live::complete().run("collect --strict").ok();
}

#[test]
fn what_is_not_allowed_is_named_by_verb_and_resource() {
    let lists = ["kubermaticconfigurations", "seeds", "projects", "usersshkeys"];
    let rules = lists.map(|plural| Rule::new("list", format!("{plural}.kubermatic.k8c.io")));
    let rules = rules.into_iter().chain([Rule::new("get", "namespaces").named("kube-system", "kube-system")]);
    let live = Live::planned_complete(|plan| plan.access = Access::only(rules));
    let records = live.read("");
    for attempt in ["list users.kubermatic.k8c.io", "list nodes", "get secrets"] {
        assert!(records.stderr.contains(attempt), "{}", records.stderr);
    }
    assert!(records.stderr.contains("hint: "), "{}", records.stderr);
    let [asia, europe] = ["asia", "europe"].map(|seed| live.site.id(&format!("seed {seed}")));
    let mut found = problems(&records.kubermatic);
    found.sort_by_key(|(step, _, concerns)| (*step, concerns != &asia));
    let of = |step, concerns: &Value| (step, "forbidden", concerns.clone());
    assert_eq!(found, [of("seeds", &asia), of("seeds", &europe), of("users", &Value::Null)]);
    assert_eq!(problems(&records.kubernetes).len(), 3);
    assert_eq!(records.ids("projects"), json!([]));
    // The server's own words name the user.
    assert!(!records.stderr.contains("serviceaccount"), "{}", records.stderr);
}

#[test]
fn a_page_whose_connection_breaks_is_asked_for_again() {
    let live = with_users(&["a", "b", "c", "d"]);
    let master = &live.fleet.master;
    master.fault(Fault::at(USERS, Effect::Cut(200, Framing::ContentLength)).continued().times(1));
    master.fault(Fault::at(USERS, Effect::Cut(200, Framing::Chunked)).after(3).times(1));
    live.fleet.seed("europe").fault(Fault::at(CLUSTERS, Effect::Cut(0, Framing::Chunked)).times(1));
    let records = live.read("--page-size 1").complete();
    users(&live, &records, &["a", "b", "c", "d"]);
    counts(&records, &[("clusters", 2)]);
    assert_eq!(master.requests_for(USERS).len(), 6, "four pages, two of them twice");
}

#[test]
fn a_page_that_stops_in_the_middle_ends_in_a_timeout() {
    let live = Live::complete();
    live.fleet.master.fault(Fault::at(USERS, Effect::Hang(50)));
    live.fleet.seed("asia").fault(Fault::at(NODES, Effect::Silence));
    let records = live.read("--request-timeout 3s");
    assert_eq!(problems(&records.kubermatic), [("users", "timeout", Value::Null)], "{}", records.stderr);
    assert_eq!(problems(&records.kubernetes), [("nodes", "timeout", live.site.id("seed asia"))]);
    counts(&records, &[("clusters", 2), ("nodes", 2)]);
}

#[test]
fn a_list_that_is_slow_comes_all_the_same() {
    let live = with_users(&["a", "b", "c", "d"]);
    live.fleet.master.fault(Fault::at(USERS, Effect::Slow(16, Duration::from_millis(5))));
    let records = live.read("").complete();
    users(&live, &records, &["a", "b", "c", "d"]);
}

#[test]
fn a_list_without_an_end_ends() {
    let live = Live::complete();
    live.fleet.master.fault(Fault::at(USERS, Effect::Endless(32 << 10, Duration::ZERO)));
    let records = live.read("");
    assert_eq!(problems(&records.kubermatic), [("users", "tooLarge", Value::Null)], "{}", records.stderr);
    counts(&records, &[("users", 0), ("clusters", 2)]);
}

#[test]
fn a_list_that_drips_without_an_end_ends_with_the_time_for_its_cluster() {
    let live = Live::complete();
    live.fleet.seed("europe").fault(Fault::at(CLUSTERS, Effect::Endless(64, Duration::from_millis(50))));
    let records = live.read("--cluster-timeout 6s");
    let timeout = |step| (step, "timeout", live.site.id("seed europe"));
    assert_eq!(problems(&records.kubermatic), [timeout("clusters")], "{}", records.stderr);
    // Nothing else of this seed has any time left.
    assert_eq!(problems(&records.kubernetes), [timeout("nodes")], "{}", records.stderr);
    counts(&records, &[("users", 1), ("clusters", 1), ("nodes", 2)]);
}

#[test]
fn answers_that_are_no_list_cost_only_themselves() {
    let answers = [
        Effect::html(200),
        Effect::Body(200, "application/json", "{\"items\":[{\"metadata\":{\"name\":\"x\"}}, ".to_owned()),
        Effect::Items("\"words\"".to_owned()),
        Effect::Items("{}".to_owned()),
        Effect::deep(100_000),
        Effect::Body(200, "application/json", String::new()),
    ];
    let names: Vec<_> = (0..answers.len()).map(|index| format!("s{index}")).collect();
    let site = Site::with_seeds(&names.iter().map(String::as_str).chain(["sound"]).collect::<Vec<_>>());
    for name in names.iter().map(String::as_str).chain(["sound"]) {
        site.put(&format!("seeds/{name}/all.json"), &[cluster(&format!("c-{name}"), json!({})), node("n", json!({}))]);
    }
    let live = Live::of(site);
    for (name, answer) in names.iter().zip(answers) {
        live.fleet.seed(name).fault(Fault::at(CLUSTERS, answer));
    }
    let records = live.read("");
    let found = problems(&records.kubermatic);
    assert_eq!(found.len(), names.len(), "{found:?}");
    for name in &names {
        let of_seed = ("clusters", "serverError", live.site.id(&format!("seed {name}")));
        assert!(found.contains(&of_seed), "{name}: {found:?}");
    }
    assert_eq!(problems(&records.kubernetes), []);
    counts(&records, &[("clusters", 1), ("nodes", names.len() + 2)]);
}

#[test]
fn malformed_objects_cost_only_themselves() {
    let live = Live::planned_complete(|plan| {
        let malformed = |mut object: Value, member: &str, value: Value| {
            object[member] = value;
            object
        };
        plan.master.add(malformed(user("words", json!({})), "spec", json!("words")));
        plan.master.add(malformed(ssh_key("key", json!({})), "spec", json!([1])));
        plan.master.add(project("p"));
        plan.seeds.get_mut("asia").unwrap().add(malformed(cluster("none", json!({})), "spec", Value::Null));
        plan.seeds.get_mut("asia").unwrap().add(malformed(node("n", json!({})), "status", json!("words")));
    });
    let nameless = r#"[{"metadata":{}},{"metadata":{"name":"b"},"spec":{}},null,7,{"metadata":"words"}]"#;
    live.fleet.seed("europe").fault(Fault::at(CLUSTERS, Effect::Items(nameless.replace('b', "europe-cluster"))));
    let records = live.read("");
    let steps: Vec<_> = problems(&records.kubermatic).into_iter().map(|(step, category, _)| (step, category)).collect();
    assert!(steps.iter().all(|(_, category)| ["malformed", "noProject"].contains(category)), "{steps:?}");
    for step in ["clusters", "sshKeys", "users"] {
        assert!(steps.contains(&(step, "malformed")), "{step}: {steps:?}");
    }
    assert_eq!(problems(&records.kubernetes).len(), 1);
    counts(&records, &[("users", 1), ("projects", 1), ("clusters", 2), ("sshKeys", 0), ("nodes", 3)]);
}

#[test]
fn a_resource_that_is_not_installed_costs_only_itself() {
    let live = Live::planned(complete(), |plan| plan.master.uninstall("usersshkeys.kubermatic.k8c.io"));
    let records = live.read("");
    assert_eq!(problems(&records.kubermatic), [("sshKeys", "notInstalled", Value::Null)]);
    assert_eq!(problems(&records.kubernetes), []);
    assert!(records.stderr.contains("list usersshkeys.kubermatic.k8c.io"), "{}", records.stderr);
}

#[test]
fn a_user_cluster_without_machine_deployments_lacks_nothing() {
    let live = Live::complete();
    live.fleet.user_cluster("e1").change(|objects| objects.uninstall("machinedeployments.cluster.k8s.io"));
    let records = live.read("--user-clusters").complete();
    counts(&records, &[("machineDeployments", 1), ("nodes", 5)]);
}

#[test]
fn a_user_cluster_that_does_not_answer_costs_only_itself() {
    let live = Live::complete();
    live.fleet.user_cluster("e1").stop();
    let records = live.read("--user-clusters");
    lacks_only(&records, "unreachable", ["machineDeployments", "nodes"], &live.site.id("cluster e1"));
    counts(&records, &[("clusters", 2), ("machineDeployments", 1), ("nodes", 4)]);
}

#[test]
fn large_answers_are_asked_for_compressed() {
    let live = Live::planned_complete(|plan| {
        plan.master.make("users.kubermatic.k8c.io", 3000, |index| user(&format!("user-{index:06}"), json!({})));
    });
    let records = live.read("--page-size 3000").complete();
    counts(&records, &[("users", 3000)]);
    let requests = live.fleet.master.requests_for(USERS);
    assert!(requests.iter().all(crate::api::Request::takes_gzip), "{requests:?}");
}

#[test]
fn an_installation_without_objects_is_an_installation() {
    let site = Site::empty();
    let live = Live::planned(site, |plan| {
        plan.master = Objects::new();
        plan.master.install("kubermatic.k8c.io");
    });
    let records = live.read("");
    assert_eq!(records.kubermatic["complete"], json!(false));
    counts(&records, &[("seeds", 0), ("users", 0), ("nodes", 0)]);
}

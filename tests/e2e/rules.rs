//! The rules of the page, each missing in turn: what the record lacks then, and that stderr names the rule.

use serde_json::{Value, json};

use crate::agent::{Agent, Collected};
use crate::harness::site::Site;
use crate::permissions::{Page, grant};
use crate::sites::sound;

const MASTER: &[&str] = &["telemetry-master.yaml", "telemetry-seed-secrets.yaml"];
const SEED: &[&str] = &["telemetry-seed.yaml", "telemetry-user-cluster-secrets.yaml"];

/// Takes a resource out of the rules, or one name of it; no rule may be left out of the test.
fn without(mut objects: Vec<Value>, resource: &str, name: Option<&str>) -> Vec<Value> {
    let mut taken = 0;
    let rules = objects.iter_mut().filter_map(|object| object.get_mut("rules")?.as_array_mut());
    for rule in rules.flatten() {
        let has_it = rule["resources"].as_array().unwrap().contains(&json!(resource));
        if has_it {
            let (field, value) = name.map_or(("resources", resource), |name| ("resourceNames", name));
            let values = rule[field].as_array_mut().unwrap();
            let before = values.len();
            values.retain(|it| it != value);
            taken += before - values.len();
        }
    }
    assert_eq!(taken, 1, "{resource} {name:?}");
    // A role without anything in it can't be: it goes, with what binds it.
    for object in &mut objects {
        let emptied = |rule: &Value| rule["resources"] == json!([]) || rule["resourceNames"] == json!([]);
        if let Some(rules) = object.get_mut("rules").and_then(Value::as_array_mut) {
            rules.retain(|rule| !emptied(rule));
        }
    }
    objects
}

/// Everything that rules allow, as resource and perhaps name.
fn resources(objects: &[Value]) -> Vec<String> {
    let rules = objects.iter().filter_map(|object| object["rules"].as_array()).flatten();
    let resources = rules.flat_map(|rule| rule["resources"].as_array().unwrap());
    resources.map(|resource| resource.as_str().unwrap().to_owned()).collect()
}

/// Insists on these problems, each of which ends with what it concerns, and on a line that names the rule.
fn lacks(found: &Collected, place: &str, rule: &str, problems: &[String]) {
    found.has_problems(problems);
    let line = format!("warning: {place}: {rule}: not allowed");
    assert!(found.printed.stderr.contains(&line), "`{line}`: {}", found.printed.stderr);
    assert!(found.printed.stderr.contains("docs/permissions.md"), "{}", found.printed.stderr);
}

fn seeds(site: &Site, agent: &Agent) -> Vec<String> {
    site.seeds.keys().map(|name| agent.pseudonym("seed", name)).collect()
}

#[test]
fn each_rule_on_the_master_costs_what_it_is_for_and_nothing_else() {
    let Some(site) = sound() else { return };
    let (agent, rules) = (Agent::new(), Page::read().objects(MASTER));
    let seeds = seeds(site, &agent);
    let kkp = |plural: &str| format!("list {plural}.kubermatic.k8c.io");
    for resource in resources(&rules) {
        let account = format!("without-{resource}");
        let token = grant(&site.master, &without(rules.clone(), &resource, None), &account);
        let found = agent.look_with(&site.master.kubeconfig(&token), &[]);
        let (rule, problems) = match resource.as_str() {
            "nodes" => ("list nodes".to_owned(), vec!["nodes forbidden -".to_owned()]),
            "namespaces" => {
                let mut problems: Vec<_> = seeds.iter().map(|seed| format!("nodes unknownCluster {seed}")).collect();
                problems.push("nodes forbidden -".to_owned());
                ("get namespaces/kube-system".to_owned(), problems)
            }
            "kubermaticconfigurations" => (kkp(&resource), vec!["configuration forbidden -".to_owned()]),
            "usersshkeys" => (kkp(&resource), vec!["sshKeys forbidden -".to_owned()]),
            "seeds" | "projects" | "users" => (kkp(&resource), vec![format!("{resource} forbidden -")]),
            "secrets" => continue,
            other => panic!("{other} is a rule that no test leaves out"),
        };
        lacks(&found, "the master", &rule, &problems);
    }
}

#[test]
fn a_seed_whose_secret_may_not_be_read_costs_itself() {
    let Some(site) = sound() else { return };
    let agent = Agent::new();
    let rules = without(Page::read().objects(MASTER), "secrets", Some("asia-kubeconfig"));
    let token = grant(&site.master, &rules, "without-asia");
    let found = agent.look_with(&site.master.kubeconfig(&token), &[]);
    let asia = agent.pseudonym("seed", "asia");
    let problems = ["seeds", "nodes"].map(|step| format!("{step} forbidden {asia}"));
    lacks(&found, &format!("seed {asia}"), "get secrets", &problems);
}

#[test]
fn each_rule_on_a_seed_costs_what_it_is_for_and_nothing_else() {
    let Some(site) = sound() else { return };
    let (agent, page) = (Agent::new(), Page::read());
    let (seed, europe) = (&site.seeds["europe"], agent.pseudonym("seed", "europe"));
    let master = site.master.kubeconfig(&grant(&site.master, &page.objects(MASTER), "seed-rules"));
    let rules = page.objects(SEED);
    for resource in resources(&rules) {
        let account = format!("without-{resource}");
        let token = grant(seed, &without(rules.clone(), &resource, None), &account);
        let file = agent.desk.file("europe.kubeconfig", seed.kubeconfig(&token));
        let given = format!("europe={}", file.display());
        let found = agent.look_with(&master, &["--user-clusters", "--kubeconfig-for", &given]);
        let place = format!("seed {europe}");
        match resource.as_str() {
            "nodes" => lacks(&found, &place, "list nodes", &[format!("nodes forbidden {europe}")]),
            "namespaces" => {
                lacks(&found, &place, "get namespaces/kube-system", &[format!("nodes forbidden {europe}")]);
            }
            "clusters" => {
                lacks(&found, &place, "list clusters.kubermatic.k8c.io", &[format!("clusters forbidden {europe}")]);
            }
            "secrets" => {
                let list = seed.admin.get("/apis/kubermatic.k8c.io/v1/clusters");
                let names = list["items"].as_array().unwrap().iter();
                let names = names.map(|cluster| cluster["metadata"]["name"].as_str().unwrap());
                let clusters: Vec<_> = names.map(|name| agent.pseudonym("cluster", name)).collect();
                let steps = ["machineDeployments", "nodes"];
                let of_each = clusters.iter().flat_map(|it| steps.map(|step| format!("{step} forbidden {it}")));
                let place = format!("user cluster {}", clusters[0]);
                lacks(&found, &place, "get secrets", &of_each.collect::<Vec<_>>());
            }
            other => panic!("{other} is a rule that no test leaves out"),
        }
    }
}

#[test]
fn each_rule_in_a_user_cluster_costs_what_it_is_for_and_nothing_else() {
    let Some(site) = sound() else { return };
    let (agent, page) = (Agent::new(), Page::read());
    let (server, cluster) = (&site.user_clusters["qxn7d5wv2k"], agent.pseudonym("cluster", "qxn7d5wv2k"));
    let master = site.master.kubeconfig(&grant(&site.master, &page.objects(MASTER), "cluster-rules"));
    let rules = page.objects(&["telemetry-user-cluster.yaml"]);
    for resource in resources(&rules) {
        let account = format!("without-{resource}");
        let token = grant(server, &without(rules.clone(), &resource, None), &account);
        let file = agent.desk.file("cluster.kubeconfig", server.kubeconfig(&token));
        let given = format!("qxn7d5wv2k={}", file.display());
        // With a kubeconfig of its own a user cluster is looked at without being asked for.
        let found = agent.look_with(&master, &["--kubeconfig-for", &given]);
        let (rule, step) = match resource.as_str() {
            "nodes" => ("list nodes", "nodes"),
            "machinedeployments" => ("list machinedeployments.cluster.k8s.io", "machineDeployments"),
            other => panic!("{other} is a rule that no test leaves out"),
        };
        lacks(&found, &format!("user cluster {cluster}"), rule, &[format!("{step} forbidden {cluster}")]);
    }
}

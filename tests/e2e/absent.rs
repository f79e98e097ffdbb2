//! Clusters that lack one kind of KKP's, or all of them.

use serde_json::json;

use crate::agent::Agent;
use crate::harness::kinds;
use crate::harness::load::{define, load, undefine};
use crate::harness::objects::secret;
use crate::sites::{control_plane, minimal_definitions, sound, sound_installation};

#[test]
fn a_kind_that_is_not_installed_costs_itself() {
    let Some(plane) = control_plane() else { return };
    let [master, seed]: [_; 2] = plane.servers(&["master", "seed"]).try_into().ok().unwrap();
    define(&master.admin, &minimal_definitions());
    // Nothing of KKP is on this seed, as before its installation.
    let mut objects = sound_installation().master;
    objects.retain(|object| object["kind"] != "Seed" || object["metadata"]["name"] == "europe");
    objects.push(secret("kubermatic", "europe-kubeconfig", "kubeconfig", &seed.admin_kubeconfig()));
    assert!(load(&master.admin, &objects).is_empty());
    let agent = Agent::new();
    let europe = agent.pseudonym("seed", "europe");
    let whole = agent.look_with(&master.admin_kubeconfig(), &[]);
    whole.has_problems(&[format!("clusters notInstalled {europe}")]);
    let line = format!("seed {europe}: list clusters.kubermatic.k8c.io: not installed");
    assert!(whole.printed.stderr.contains(&line), "{}", whole.printed.stderr);

    undefine(&master.admin, &kinds::USERS);
    let found = agent.look_with(&master.admin_kubeconfig(), &[]);
    found.has_problems(&[format!("clusters notInstalled {europe}"), "users notInstalled -".to_owned()]);
    assert!(found.printed.stderr.contains("the master: list users.kubermatic.k8c.io: not installed"));
    assert_eq!(found.count("kubermatic", "users"), 0);
    assert_eq!(found.record("kubermatic")["projects"], whole.record("kubermatic")["projects"]);
}

#[test]
fn without_kkp_only_the_nodes_are_collected() {
    let Some(site) = sound() else { return };
    let server = &site.user_clusters["qxn7d5wv2k"];
    let agent = Agent::new();
    agent.desk.file("master.kubeconfig", server.admin_kubeconfig());
    let collected = agent.desk.line("collect --kubeconfig master.kubeconfig --json").ok();
    let stored = collected.json()["stored"].as_array().unwrap().clone();
    assert_eq!((stored.len(), &stored[0]["kind"]), (1, &json!("kubernetes")));
    let collected = collected.says("KKP is not installed here: only the nodes are collected");
    let found = agent.preview(&[]);
    found.has_problems(&[]);
    assert!(found.count("kubernetes", "nodes") > 0, "{}", collected.stderr);
}

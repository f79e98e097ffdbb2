//! Everything is up: what is collected is what is there, with the rules of the page and no others.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::agent::{Agent, Collected};
use crate::harness::objects::Installation;
use crate::harness::schema::complete;
use crate::harness::site::Site;
use crate::permissions::{Page, grant};
use crate::sites::{control_plane, minimal_definitions, real_definitions, sound};
use crate::support::installation;

const MASTER: &[&str] = &["telemetry-master.yaml", "telemetry-seed-secrets.yaml"];

/// A kubeconfig of the master with the rules of the page.
fn with_secrets(site: &Site, account: &str) -> String {
    let token = grant(&site.master, &Page::read().objects(MASTER), account);
    site.master.kubeconfig(&token)
}

/// Insists that two collections are the same, byte for byte.
fn same(live: &Collected, other: &Collected) {
    assert_eq!(live.lines.len(), 2, "{}", live.printed.stderr);
    for (record, other) in live.records.iter().zip(&other.records) {
        for (name, value) in record.as_object().unwrap() {
            let (Some(rows), Some(others)) = (value.as_array(), other[name].as_array()) else { continue };
            let lacking = |from: &[Value], of: &[Value]| of.iter().filter(|row| !from.contains(row)).cloned().collect();
            let (missing, surplus): (Vec<_>, Vec<_>) = (lacking(rows, others), lacking(others, rows));
            assert!(missing.is_empty() && surplus.is_empty(), "{name}: lacks {missing:#?}, and has {surplus:#?}");
        }
    }
    assert!(live.lines == other.lines, "{}", live.printed.stderr);
}

#[test]
fn a_live_installation_gives_the_record_of_its_manifests() {
    let Some(site) = sound() else { return };
    assert!(site.rejected.is_empty(), "{:#?}", site.rejected);
    let agent = Agent::new();
    site.dump(&agent.desk.path("manifests"));
    let live = agent.look_with(&with_secrets(site, "whole"), &["--user-clusters"]);
    live.has_problems(&[]);
    assert_eq!(live.count("kubermatic", "clusters"), site.user_clusters.len());
    assert!(live.count("kubermatic", "machineDeployments") > 0);
    same(&live, &agent.manifests(&agent.desk.path("manifests")));
}

#[test]
fn pages_end_wherever_they_may() {
    let Some(site) = sound() else { return };
    let agent = Agent::new();
    let kubeconfig = with_secrets(site, "pages");
    let whole = agent.look_with(&kubeconfig, &["--user-clusters"]);
    for size in ["1", "2", "3"] {
        same(&agent.look_with(&kubeconfig, &["--user-clusters", "--page-size", size]), &whole);
    }
}

#[test]
fn kubeconfigs_that_may_only_read_are_enough_everywhere() {
    let Some(site) = sound() else { return };
    let (agent, page) = (Agent::new(), Page::read());
    let token = grant(&site.master, &page.objects(&["telemetry-master.yaml"]), "readers");
    let mut arguments = vec!["--user-clusters".to_owned()];
    let mut give = |name: &str, kubeconfig: String| {
        let file = agent.desk.file(&format!("{name}.kubeconfig"), kubeconfig);
        arguments.extend(["--kubeconfig-for".to_owned(), format!("{name}={}", file.display())]);
    };
    for (name, seed) in &site.seeds {
        let token = grant(seed, &page.objects(&["telemetry-seed.yaml"]), "readers");
        give(name, seed.kubeconfig(&token));
    }
    for (name, cluster) in &site.user_clusters {
        let token = grant(cluster, &page.objects(&["telemetry-user-cluster.yaml"]), "readers");
        give(name, cluster.kubeconfig(&token));
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let found = agent.look_with(&site.master.kubeconfig(&token), &arguments);
    found.has_problems(&[]);
    same(&found, &agent.look_with(&with_secrets(site, "readers-secrets"), &["--user-clusters"]));
}

#[test]
fn a_seed_s_reader_may_be_allowed_the_kubeconfigs_of_its_user_clusters() {
    let Some(site) = sound() else { return };
    let (agent, page) = (Agent::new(), Page::read());
    let files = ["telemetry-seed.yaml", "telemetry-user-cluster-secrets.yaml"];
    let token = grant(&site.seeds["europe"], &page.objects(&files), "user-clusters");
    let file = agent.desk.file("europe.kubeconfig", site.seeds["europe"].kubeconfig(&token));
    let given = format!("europe={}", file.display());
    let arguments = ["--user-clusters", "--kubeconfig-for", &given];
    let found = agent.look_with(&with_secrets(site, "user-clusters"), &arguments);
    found.has_problems(&[]);
    assert!(found.count("kubermatic", "machineDeployments") > 0);
}

#[test]
fn collect_and_export_read_what_preview_shows() {
    let Some(site) = sound() else { return };
    let agent = Agent::new();
    let kubeconfig = with_secrets(site, "verbs");
    let shown = agent.look_with(&kubeconfig, &[]);
    agent.desk.line("collect --kubeconfig master.kubeconfig --strict").ok().says("complete");
    same(&agent.preview(&[]), &shown);

    let other = Agent::new();
    other.desk.file("master.kubeconfig", kubeconfig);
    let exported = other.desk.line("export --kubeconfig master.kubeconfig -o bundle.tar --json").ok().json();
    assert_eq!(exported["records"], serde_json::json!({ "kubermatic": 1, "kubernetes": 1 }));

    // Without the flag the variable says where the master is.
    let mut command = agent.desk.command();
    command.arg("collect").env("KUBECONFIG", "master.kubeconfig");
    let printed = command.output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
}

#[test]
fn another_context_than_the_current_one_can_be_chosen() {
    let Some(site) = sound() else { return };
    let agent = Agent::new();
    let kubeconfig = with_secrets(site, "context");
    let elsewhere = kubeconfig.replace(r#""current-context": "it""#, r#""current-context": "elsewhere""#);
    assert_ne!(elsewhere, kubeconfig);
    agent.desk.file("master.kubeconfig", &elsewhere);
    agent.desk.line("preview --kubeconfig master.kubeconfig").code(1).says("it has no such context");
    agent.look_with(&elsewhere, &["--context", "it"]).has_problems(&[]);
}

#[test]
fn one_collector_makes_one_record_and_the_same_as_both() {
    let Some(site) = sound() else { return };
    let agent = Agent::new();
    let whole = agent.look_with(&with_secrets(site, "one"), &["--user-clusters"]);
    for kind in ["kubermatic", "kubernetes"] {
        let other = Agent::with_identity_of(&agent);
        other.desk.file("master.kubeconfig", fs::read(agent.desk.path("master.kubeconfig")).unwrap());
        other.desk.line(&format!("collect {kind} --kubeconfig master.kubeconfig --user-clusters --strict")).ok();
        let found = other.preview(&[]);
        assert_eq!(found.records, [whole.record(kind).clone()]);
    }
}

#[test]
fn broken_objects_make_the_problems_that_their_manifests_make() {
    let Some(plane) = control_plane() else { return };
    let mut installation = Installation::read(&installation(), &[]);
    installation.user_clusters.retain(|name, _| name == "qxn7d5wv2k");
    let site = Site::start(&plane, &installation, &minimal_definitions());
    // What is from before KKP 2.19 is of another kind, and not even tried.
    assert!(site.rejected.is_empty(), "{:#?}", site.rejected);
    let agent = Agent::new();
    site.dump(&agent.desk.path("manifests"));
    let kubeconfig = with_secrets(&site, "broken");
    let manifests = agent.manifests(&agent.desk.path("manifests"));
    for size in ["500", "1"] {
        let live = agent.look_with(&kubeconfig, &["--user-clusters", "--page-size", size]);
        same(&live, &manifests);
        let categories: BTreeSet<_> =
            live.problems().iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
        let expected = ["ambiguousProvider", "malformed", "noProject"].map(str::to_owned).into();
        assert_eq!(categories, expected, "{:#?}", live.problems());
    }
}

#[test]
fn kkp_s_own_definitions_give_the_same_record_as_manifests_of_the_same_servers() {
    let Some(definitions) = real_definitions() else { return };
    let Some(plane) = control_plane() else { return };
    let mut installation = Installation::read(&installation(), &[]);
    installation.user_clusters.retain(|name, _| name == "qxn7d5wv2k");
    installation.objects_mut().for_each(|object| complete(object, &definitions));
    let site = Site::start(&plane, &installation, &definitions);
    let rejected: BTreeSet<_> = site.rejected.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(rejected, BTreeSet::from(["qxn7d5wv2k-worker-words", "s9qc4hx8gw"]), "{:#?}", site.rejected);
    assert!(site.rejected.iter().all(|it| it.answer.status == 422), "{:#?}", site.rejected);
    let agent = Agent::new();
    site.dump(&agent.desk.path("manifests"));
    let live = agent.look_with(&with_secrets(&site, "real"), &["--user-clusters"]);
    same(&live, &agent.manifests(&agent.desk.path("manifests")));
}

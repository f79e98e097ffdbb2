//! Kubeconfigs in Secrets as KKP allows them, and in every way in which they can be wrong.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::agent::{Agent, Collected};
use crate::harness::kubeconfig::{User, kubeconfig};
use crate::harness::load::{define, load};
use crate::harness::objects::secret;
use crate::harness::servers::{ControlPlane, assets, free_ports};
use crate::sites::{control_plane, minimal_definitions};
use crate::support::skip;

/// Where nobody listens.
fn nowhere() -> String {
    let [port] = free_ports();
    format!("https://127.0.0.1:{port}")
}

/// Asks a program for credentials, which a kubeconfig from a Secret may not.
const EXEC: &str = "{apiVersion: v1, kind: Config, current-context: it, contexts: [{name: it, context: {cluster: it, \
    user: it}}], clusters: [{name: it, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: it, user: {exec: \
    {apiVersion: client.authentication.k8s.io/v1, command: touch, args: [executed]}}}]}";

/// What was collected of an installation in which every kubeconfig is wrong in another way, but one of each kind.
struct Crooked {
    agent: Agent,
    found: Collected,
}

fn crooked() -> Option<&'static Crooked> {
    static CROOKED: OnceLock<Crooked> = OnceLock::new();
    if let Err(reason) = assets() {
        skip(&reason);
        return None;
    }
    Some(CROOKED.get_or_init(|| collect(&control_plane().unwrap())))
}

fn collect(plane: &ControlPlane) -> Crooked {
    let [master, seed]: [_; 2] = plane.servers(&["master", "seed"]).try_into().ok().unwrap();
    let mut objects = vec![json!({
        "apiVersion": "kubermatic.k8c.io/v1", "kind": "KubermaticConfiguration",
        "metadata": { "namespace": "kubermatic", "name": "kubermatic" },
        "status": { "kubermaticEdition": "CE", "kubermaticVersion": "v2.31.0" },
    })];
    let stranger = kubeconfig(&seed.url(), &master.authority.certificate(), User::Token("nonsense"));
    let unreachable = kubeconfig(&nowhere(), &seed.authority.certificate(), User::Token("nonsense"));
    for (name, reference, kubeconfig) in [
        // Without a namespace it is the Seed's own, and the key can be another one.
        ("sound", json!({ "name": "sound", "fieldPath": "config" }), Some(seed.admin_kubeconfig())),
        ("secretless", json!({ "name": "secretless", "namespace": "kubermatic" }), None),
        ("unnamed", json!({}), None),
        ("wrong-key", json!({ "name": "wrong-key" }), Some(seed.admin_kubeconfig())),
        ("malformed", json!({ "name": "malformed", "fieldPath": "config" }), Some("{clusters: [".to_owned())),
        ("executing", json!({ "name": "executing", "fieldPath": "config" }), Some(EXEC.to_owned())),
        ("untrusted", json!({ "name": "untrusted", "fieldPath": "config" }), Some(stranger)),
        ("unauthorized", json!({ "name": "unauthorized", "fieldPath": "config" }), Some(seed.kubeconfig("nonsense"))),
        ("unreachable", json!({ "name": "unreachable", "fieldPath": "config" }), Some(unreachable.clone())),
    ] {
        objects.push(json!({
            "apiVersion": "kubermatic.k8c.io/v1", "kind": "Seed",
            "metadata": { "namespace": "kubermatic", "name": name },
            "spec": { "kubeconfig": reference },
        }));
        objects.extend(kubeconfig.map(|text| secret("kubermatic", name, "config", &text)));
    }
    let mut of_seed = Vec::new();
    for (name, namespace, secret_of) in [
        ("alright", Some("elsewhere"), Some(("kubeconfig", master.admin_kubeconfig()))),
        ("secretless", None, None),
        ("wrong-key", None, Some(("config", master.admin_kubeconfig()))),
        ("malformed", None, Some(("kubeconfig", "{clusters: [".to_owned()))),
        ("unreachable", None, Some(("kubeconfig", unreachable))),
    ] {
        of_seed.push(cluster(name, namespace));
        let standard = format!("cluster-{name}");
        let namespace = namespace.unwrap_or(&standard);
        of_seed.extend(secret_of.map(|(key, text)| secret(namespace, "admin-kubeconfig", key, &text)));
    }
    for (server, objects) in [(&master, &objects), (&seed, &of_seed)] {
        define(&server.admin, &minimal_definitions());
        assert!(load(&server.admin, objects).is_empty());
    }
    let agent = Agent::new();
    let found = agent.look_with(&master.admin_kubeconfig(), &["--user-clusters", "--request-timeout", "10s"]);
    Crooked { agent, found }
}

fn cluster(name: &str, namespace: Option<&str>) -> Value {
    json!({
        "apiVersion": "kubermatic.k8c.io/v1", "kind": "Cluster",
        "metadata": { "name": name, "labels": { "project-id": "p4kzv8n2dx" } },
        "spec": { "version": "1.33.4", "cloud": { "dc": "here", "providerName": "aws", "aws": {} } },
        "status": { "namespaceName": namespace.unwrap_or_default() },
    })
}

impl Crooked {
    /// Insists on the problems that a seed or user cluster has.
    fn has(&self, kind: &str, name: &str, category: &str, says: &str) {
        let pseudonym = self.agent.pseudonym(kind, name);
        let all = self.found.problems();
        let of_it: BTreeSet<_> = all.iter().filter(|line| line.ends_with(&pseudonym)).cloned().collect();
        let first = if kind == "seed" { "seeds" } else { "machineDeployments" };
        let expected = [first, "nodes"].map(|step| format!("{step} {category} {pseudonym}"));
        assert_eq!(of_it, expected.into(), "{}", self.found.printed.stderr);
        let place = if kind == "seed" { "seed" } else { "user cluster" };
        let line = format!("warning: {place} {pseudonym}: {says}");
        assert!(self.found.printed.stderr.contains(&line), "`{line}`: {}", self.found.printed.stderr);
    }

    fn has_none(&self, kind: &str, name: &str) {
        let pseudonym = self.agent.pseudonym(kind, name);
        assert!(!self.found.printed.stderr.contains(&pseudonym), "{}", self.found.printed.stderr);
        assert!(!self.found.problems().iter().any(|line| line.ends_with(&pseudonym)), "{:#?}", self.found.problems());
    }
}

#[test]
fn a_seed_s_secret_may_be_in_the_seed_s_namespace_and_under_another_key() {
    let Some(crooked) = crooked() else { return };
    crooked.has_none("seed", "sound");
    let seed = crooked.agent.pseudonym("seed", "sound");
    let clusters = crooked.found.record("kubermatic")["clusters"].as_array().unwrap();
    assert_eq!(clusters.iter().filter(|row| row["seedUUID"] == seed.as_str()).count(), 5);
}

#[test]
fn whatever_is_wrong_with_seeds_their_own_rows_are_there() {
    let Some(crooked) = crooked() else { return };
    assert_eq!(crooked.found.count("kubermatic", "seeds"), 9);
    assert_eq!(crooked.found.record("kubermatic")["kubermaticVersion"], "v2.31.0");
    assert_eq!(crooked.found.record("kubermatic")["complete"], false);
}

#[test]
fn a_seed_without_a_secret_is_secret_not_found() {
    let Some(crooked) = crooked() else { return };
    crooked.has("seed", "secretless", "secretNotFound", "there is no such Secret");
    crooked.has("seed", "unnamed", "secretNotFound", "there is no such Secret");
}

#[test]
fn a_seed_s_secret_without_the_key_is_kubeconfig_missing() {
    let Some(crooked) = crooked() else { return };
    crooked.has("seed", "wrong-key", "kubeconfigMissing", "the Secret does not have the key");
}

#[test]
fn a_seed_s_kubeconfig_that_is_none_is_kubeconfig_invalid() {
    let Some(crooked) = crooked() else { return };
    crooked.has("seed", "malformed", "kubeconfigInvalid", "the kubeconfig can't be used: it is not a kubeconfig");
}

#[test]
fn a_seed_s_kubeconfig_that_wants_to_run_a_program_is_refused() {
    let Some(crooked) = crooked() else { return };
    crooked.has("seed", "executing", "kubeconfigRefused", "the kubeconfig can't be used: it asks for a program");
    assert!(!crooked.agent.desk.path("executed").exists());
}

#[test]
fn a_seed_with_another_certificate_is_untrusted() {
    let Some(crooked) = crooked() else { return };
    crooked.has("seed", "untrusted", "untrusted", "its certificate is not one that the kubeconfig trusts");
}

#[test]
fn a_seed_that_does_not_take_the_token_is_unauthorized() {
    let Some(crooked) = crooked() else { return };
    crooked.has("seed", "unauthorized", "unauthorized", "the credentials are not accepted");
}

#[test]
fn a_seed_that_nobody_answers_for_is_unreachable() {
    let Some(crooked) = crooked() else { return };
    crooked.has("seed", "unreachable", "unreachable", "no connection");
}

#[test]
fn a_user_cluster_s_secret_is_in_the_namespace_that_its_status_names() {
    let Some(crooked) = crooked() else { return };
    crooked.has_none("cluster", "alright");
}

#[test]
fn user_clusters_whose_secrets_are_wrong_cost_themselves() {
    let Some(crooked) = crooked() else { return };
    crooked.has("cluster", "secretless", "secretNotFound", "there is no such Secret");
    crooked.has("cluster", "wrong-key", "kubeconfigMissing", "the Secret does not have the key");
    crooked.has("cluster", "malformed", "kubeconfigInvalid", "the kubeconfig can't be used: it is not a kubeconfig");
    crooked.has("cluster", "unreachable", "unreachable", "no connection");
    assert_eq!(crooked.found.count("kubermatic", "clusters"), 5);
}

//! The rights that the chart renders, used by the real collectors: all of them are enough, and none can be spared.

use serde_json::{Value, json};

use crate::harness::objects::{namespace, secret};
use crate::harness::servers::ApiServer;
use crate::helm::{Helm, NAMESPACE};
use crate::permissions::grant;
use crate::sites::sound;
use crate::support::{Desk, say};

/// The Secrets of the test installation's seeds.
const VALUES: &str =
    "rbac: {seedSecrets: [{namespace: kubermatic, names: [asia-kubeconfig, europe-kubeconfig, onprem-kubeconfig]}]}";
const EARLIER: &str = "0d1f6c1e-7a56-4c50-8a0b-2f7f0a6f1b11";

/// What one rule allows: one verb on one resource, perhaps of one name.
#[derive(Debug, Clone, PartialEq)]
struct Right {
    /// The role, by its place among the objects.
    role: usize,
    group: String,
    resource: String,
    verb: String,
    name: Option<String>,
}

/// Everything that roles allow, one by one.
fn rights(objects: &[Value]) -> Vec<Right> {
    let mut rights = Vec::new();
    for (role, object) in objects.iter().enumerate() {
        for rule in object["rules"].as_array().into_iter().flatten() {
            let list = |field: &str| match rule[field].as_array() {
                Some(values) => values.iter().map(|value| Some(value.as_str().unwrap().to_owned())).collect(),
                None => vec![None],
            };
            for group in list("apiGroups").into_iter().flatten() {
                for resource in list("resources").into_iter().flatten() {
                    for verb in list("verbs").into_iter().flatten() {
                        for name in list("resourceNames") {
                            let (group, resource) = (group.clone(), resource.clone());
                            rights.push(Right { role, group, resource, verb: verb.clone(), name });
                        }
                    }
                }
            }
        }
    }
    rights
}

/// The objects with rules of one right each, and only these rights; a role that has none left keeps its binding.
fn with_rights(objects: &[Value], rights: &[Right]) -> Vec<Value> {
    let mut objects = objects.to_vec();
    for (role, object) in objects.iter_mut().enumerate() {
        if object.get("rules").is_none() {
            continue;
        }
        let own = rights.iter().filter(|right| right.role == role);
        let rules = own.map(|right| {
            let mut rule = json!({ "apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb] });
            if let Some(name) = &right.name {
                rule["resourceNames"] = json!([name]);
            }
            rule
        });
        object["rules"] = rules.collect();
    }
    objects
}

/// The rendered rights for an account and a namespace of one test's own.
fn rendered(helm: &Helm, test: &str) -> (String, Vec<Value>) {
    let own = format!("{NAMESPACE}-{test}");
    let yaml = helm.render(VALUES).ok().stdout.replace(NAMESPACE, &own);
    let objects = crate::harness::objects::parse_yaml(&yaml);
    let wanted = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
    let objects = objects.into_iter().filter(|object| wanted.iter().any(|kind| object["kind"] == *kind));
    (own, objects.collect())
}

/// Does everything that the pods do with the API server, and says what went wrong.
fn everything(server: &ApiServer, token: &str, space: &str) -> Result<(), String> {
    let desk = Desk::new();
    desk.file("kubeconfig", server.kubeconfig(token));
    let identity = format!("--kubeconfig kubeconfig --secret {space}/telemetry-identity");
    let lines = [
        format!("init {identity} --take-over {space}/telemetry-client-uuid"),
        // Another pod, to which the Secret is there already.
        format!("init {identity} --take-over {space}/telemetry-client-uuid --identity second"),
        "collect kubernetes --strict --kubeconfig kubeconfig".to_owned(),
        "collect kubermatic --strict --kubeconfig kubeconfig".to_owned(),
    ];
    for line in &lines {
        let printed = desk.line(line);
        if printed.code != 0 {
            return Err(format!("{line}: {}", printed.stderr));
        }
    }
    let shown = desk.line("keys show --json").ok().json();
    if shown["client"] != EARLIER {
        return Err("the client UUID was not taken over".into());
    }
    Ok(())
}

/// Tries rights in a namespace of their own.
fn attempt(server: &ApiServer, objects: &[Value], space: &str) -> Result<(), String> {
    server.admin.apply(&namespace(space));
    server.admin.apply(&secret(space, "telemetry-client-uuid", "uuid", EARLIER));
    let token = grant(server, objects, space);
    everything(server, &token, space)
}

#[test]
fn the_rendered_rights_are_enough_and_none_can_be_spared() {
    let (Some(helm), Some(site)) = (Helm::offline(), sound()) else { return };
    let (space, objects) = rendered(&helm, "all");
    let all = rights(&objects);
    attempt(&site.master, &with_rights(&objects, &all), &space).unwrap();
    for (number, right) in all.iter().enumerate() {
        let making = right.resource == "secrets" && right.verb == "create";
        assert!(["get", "list"].contains(&right.verb.as_str()) || making, "{right:?}");
        let (space, objects) = rendered(&helm, &format!("without-{number}"));
        let others = rights(&objects).into_iter().enumerate().filter(|(it, _)| *it != number);
        let rest: Vec<_> = others.map(|(_, right)| right).collect();
        let tried = attempt(&site.master, &with_rights(&objects, &rest), &space);
        assert!(tried.is_err(), "{right:?} can be spared");
    }
    say("measured", &format!("{} rights, each left out once", all.len()));
}

#[test]
fn rights_that_are_not_rendered_are_not_there() {
    let Some(helm) = Helm::offline() else { return };
    let all = |values: &str| rights(&helm.objects(values));
    let plain = all("");
    assert!(plain.iter().all(|right| right.verb != "list" || right.resource != "secrets"), "no Secrets are listed");
    let named = |right: &&Right| right.resource == "secrets" && right.verb == "get";
    let secrets: Vec<_> = plain.iter().filter(named).map(|right| right.name.as_deref()).collect();
    assert_eq!(secrets, [Some("telemetry-identity"), Some("telemetry-client-uuid")]);
    let given = all(&format!("telemetry: {{uuid: {EARLIER}}}"));
    assert_eq!(given.len(), plain.len() - 1, "with a UUID of its own no earlier Secret is read");
    assert!(all("rbac: {create: false}").is_empty());
}

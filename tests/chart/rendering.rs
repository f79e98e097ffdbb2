//! What the chart renders, without a cluster and looked at by one.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use kubermatic_telemetry::record::withhold;
use serde_json::{Value, json};

use crate::harness::client::{Answer, Client};
use crate::harness::kinds::Kind;
use crate::harness::load::define;
use crate::harness::objects::{namespace, parse_yaml};
use crate::helm::{AIR_GAPPED, Helm, NAMESPACE, chart, containers, of_kind, pod_of, tool};
use crate::sites::control_plane;
use crate::support::{Printed, root, say};

/// The values in the YAML blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let blocks = text.split("\n```yaml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned() + "\n");
    blocks.filter(|block| !block.contains("apiVersion:")).collect()
}

/// Every combination of values that is documented: each block alone in both modes, and all blocks of the chart's page.
fn documented() -> Vec<String> {
    let readme = blocks("deploy/helm/kubermatic-telemetry/README.md");
    assert!(readme.len() > 10, "the chart's page has values");
    let on = "telemetry: {enabled: true}".to_owned();
    let all = merged(&readme.iter().cloned().chain([on]).collect::<Vec<_>>());
    let alone = readme.into_iter().chain(blocks("docs/install.md")).chain([String::new(), all]);
    alone.flat_map(|block| [merged(&[block.clone(), AIR_GAPPED.to_owned()]), block]).collect()
}

/// One document out of several, as Helm merges files of values.
fn merged(blocks: &[String]) -> String {
    fn merge(into: &mut Value, from: Value) {
        match (into, from) {
            (Value::Object(into), Value::Object(from)) => {
                for (key, value) in from {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
            (into, from) => *into = from,
        }
    }
    let mut all = json!({});
    for document in blocks.iter().flat_map(|block| parse_yaml(block)) {
        merge(&mut all, document);
    }
    all.to_string()
}

#[test]
fn helm_has_nothing_to_complain_of() {
    let Some(helm) = Helm::offline() else { return };
    let chart = chart();
    for values in ["", AIR_GAPPED] {
        helm.run(&["lint", "--strict", chart.to_str().unwrap()], values).ok().prints("0 chart(s) failed");
    }
}

#[test]
fn every_documented_combination_of_values_is_valid_on_an_old_and_on_a_new_kubernetes() {
    let (Some(helm), Some(validate)) = (Helm::offline(), tool("kubectl-validate")) else { return };
    let crds = root().join("tests/chart/crds");
    let folder = tempfile::tempdir().unwrap();
    let mut rendered = Vec::new();
    for (number, values) in documented().iter().enumerate() {
        let printed = helm.render(values).ok();
        fs::write(folder.path().join(format!("{number:02}.yaml")), &printed.stdout).unwrap();
        rendered.push(helm.objects(values));
    }
    // The oldest that the chart allows.
    let oldest = "1.25";
    assert!(fs::read_to_string(chart().join("Chart.yaml")).unwrap().contains(&format!(">={oldest}.0-0")));
    let mut command = Command::new(validate);
    command.arg(folder.path()).args(["--version", oldest, "--local-crds"]).arg(crds);
    Printed::of(command.env_clear().env("HOME", folder.path()).output().unwrap()).ok();

    let Some(plane) = control_plane() else { return };
    let server = plane.servers(&["rendering"]).remove(0);
    for name in [NAMESPACE, "kubermatic"] {
        server.admin.create(&namespace(name)).ok();
    }
    let text = fs::read_to_string(root().join("tests/chart/crds/monitoring.coreos.com_prometheusrules.yaml")).unwrap();
    define(&server.admin, &parse_yaml(&text));
    let restricted = json!({ "metadata": { "labels": {
        "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest",
    } } });
    let mut target = namespace(NAMESPACE);
    target["metadata"]["labels"] = restricted["metadata"]["labels"].clone();
    server.admin.apply(&target);
    let mut pods = 0;
    let begin = std::time::Instant::now();
    for objects in &rendered {
        let account = of_kind(objects, "ServiceAccount").expect("an account");
        server.admin.apply(account);
        for object in objects {
            until_served(&server.admin, object, begin);
            let answer = look_at(&server.admin, object);
            // The account is there for the pods.
            let there = object["kind"] == "ServiceAccount" && answer.status == 409;
            assert!(answer.status == 201 || there, "{}: {}", object["kind"], answer.body);
            if let Some(template) = pod_of(object) {
                let metadata = json!({ "name": "pod", "namespace": NAMESPACE });
                let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] });
                let answer = look_at(&server.admin, &pod);
                assert_eq!(answer.status, 201, "under the policy `restricted`: {}", answer.body);
                pods += 1;
            }
        }
    }
    let objects: usize = rendered.iter().map(Vec::len).sum();
    say("measured", &format!("{} combinations, {objects} objects, {pods} pods", rendered.len()));
}

/// Has the server look at an object as if it were created; fields that it does not know are an error.
fn look_at(client: &Client, object: &Value) -> Answer {
    let path = Kind::of(object).unwrap_or_else(|| panic!("of a kind unknown here: {object}")).collection(object);
    client.request("POST", &format!("{path}?dryRun=All&fieldValidation=Strict"), Some(object)).unwrap()
}

/// A kind that was just defined is served a little later.
fn until_served(client: &Client, object: &Value, begin: std::time::Instant) {
    while object["kind"] == "PrometheusRule" && look_at(client, object).status == 404 {
        assert!(begin.elapsed().as_secs() < 60, "PrometheusRules are not served");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn values_that_nobody_knows_or_that_cant_be_meant_are_refused_with_a_reason() {
    let Some(helm) = Helm::offline() else { return };
    for (values, reason) in [
        ("telemetry: {enable: false}", "enable"),
        ("telemetry: {categories: {user: false}}", "user"),
        ("mode: offline", "mode"),
        ("image: {digest: sha256:1}", "digest"),
        ("telemetry: {uuid: no-uuid}", "uuid"),
        ("telemetry: {receiptKeys: '-----BEGIN PRIVATE KEY-----'}", "receiptKeys"),
        ("connection: {proxy: {url: 'http://user:word@proxy:3128'}}", "url"),
        ("networkPolicy: {apiServers: {cidrs: [10.0.0.1]}}", "cidrs"),
        ("mode: airgapped", "networkPolicy.apiServers.cidrs"),
        ("telemetry: {targetURL: 'https://telemetry.k8c.io/api/v1'}", "without it"),
        ("telemetry: {reporterArgs: [http, '--client-uuid=$(CLIENT_UUID)']}", "telemetry-client's"),
        ("telemetry: {kubeconfigs: {names: [europe]}}", "telemetry.kubeconfigs.existingSecret"),
        ("persistence: {local: {path: /srv}}", "persistence.local.node"),
        ("connection: {proxy: {existingSecret: proxy}}", "networkPolicy.endpoint.ports"),
        ("telemetry: {kubermaticAgent: {image: {tag: v0.5.2}}}", "image"),
    ] {
        helm.render(values).code(1).says(reason);
    }
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    let values = parse_yaml(&fs::read_to_string(chart().join("values.yaml")).unwrap()).remove(0);
    let text = fs::read_to_string(chart().join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    same_names("", &values, &schema);
    let names: BTreeSet<_> = withhold::categories().iter().map(|category| category.name).collect();
    let listed = values["telemetry"]["categories"].as_object().unwrap();
    assert_eq!(listed.keys().map(String::as_str).collect::<BTreeSet<_>>(), names, "the program's categories");
    assert!(listed.values().all(|value| value == true));
}

fn same_names(above: &str, values: &Value, schema: &Value) {
    let Some(known) = schema["properties"].as_object() else { return };
    assert_eq!(schema["additionalProperties"], false, "{above}");
    let known: BTreeSet<_> = known.keys().filter(|key| *key != "global").collect();
    assert_eq!(values.as_object().unwrap().keys().collect::<BTreeSet<_>>(), known, "{above}");
    for key in known {
        same_names(&format!("{above}.{key}"), &values[key], &schema["properties"][key]);
    }
}

#[test]
fn every_value_is_explained() {
    let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let mut explained = false;
    let mut groups: Vec<(usize, bool)> = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim_start();
        if line.is_empty() {
            explained = false;
        } else if line.starts_with('#') {
            explained = true;
        } else if !line.starts_with('-') {
            groups.retain(|(depth, _)| *depth < indent);
            // What is below something that is explained, or beside it without a gap, belongs to it.
            let above = groups.iter().any(|(_, explained)| *explained);
            let plain = ["image:", "telemetry:", "cronJob:", "serviceAccount:", "rbac:", "networkPolicy:", "alerts:"];
            let plain =
                plain.contains(&line) || ["metrics:", "podSecurityContext:", "securityContext:"].contains(&line);
            assert!(explained || above || plain, "{line} is not explained");
            groups.push((indent, explained || plain));
        }
    }
}

#[test]
fn the_air_gapped_mode_renders_nothing_to_send_with() {
    let Some(helm) = Helm::offline() else { return };
    let canaries = "
telemetry: {targetURL: 'https://canary-1.example.com', reporterArgs: [send, canary-2], splay: 17m}
connection:
  proxy: {url: 'http://canary-3:1', noProxy: canary-4}
  ca: canary-5
  clientCertificateSecret: canary-6
  tokenSecret: canary-7
networkPolicy:
  endpoint: {cidrs: [198.51.100.0/24], ports: [4711]}
  extraEgress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]
";
    let connected = helm.render(canaries).ok().stdout;
    for canary in ["canary-1", "canary-3", "canary-5", "canary-6", "canary-7", "198.51.100", "4711", "203.0.113"] {
        assert!(connected.contains(canary), "{canary} is rendered where it is meant");
    }
    let values = merged(&[canaries.into(), AIR_GAPPED.into(), "alerts: {enabled: true}".into()]);
    let rendered = helm.render(&values).ok().stdout;
    let words =
        ["canary", "198.51.100", "4711", "203.0.113", "http://", "https://", "PROXY", "_URL", "_CA_", "send", "splay"];
    for word in words {
        assert!(!rendered.contains(word), "{word}: {rendered}");
    }
    assert!(!rendered.contains("PrometheusRule"), "alerts are silent");
    let objects = helm.objects(&values);
    let policy = of_kind(&objects, "NetworkPolicy").unwrap();
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    let egress = policy["spec"]["egress"].as_array().unwrap();
    assert_eq!(egress.len(), 2, "API servers and DNS");
    assert_eq!(egress[0]["to"], json!([{ "ipBlock": { "cidr": "127.0.0.0/8" } }]));
    assert!(egress[1]["ports"].as_array().unwrap().iter().all(|port| port["port"] == 53));
    let deployment = of_kind(&objects, "Deployment").unwrap();
    assert_eq!(
        (&deployment["spec"]["replicas"], &deployment["spec"]["strategy"]["type"]),
        (&json!(1), &json!("Recreate"))
    );
}

#[test]
fn off_is_off() {
    let Some(helm) = Helm::offline() else { return };
    for mode in ["", AIR_GAPPED] {
        let objects =
            helm.objects(&merged(&[mode.into(), "telemetry: {enabled: false}\nalerts: {enabled: true}".into()]));
        assert_eq!(of_kind(&objects, "ConfigMap").unwrap()["data"]["telemetry"], "off");
        let runs = of_kind(&objects, "CronJob").is_some_and(|it| it["spec"]["suspend"] != true)
            || of_kind(&objects, "Deployment").is_some_and(|it| it["spec"]["replicas"] != 0);
        assert!(!runs, "no pod runs");
        for kind in ["ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "PrometheusRule"] {
            assert!(of_kind(&objects, kind).is_none(), "{kind}");
        }
        assert!(of_kind(&objects, "PersistentVolumeClaim").is_some(), "what is in the volume stays");
    }
}

#[test]
fn what_is_withheld_is_in_the_installations_setting() {
    let Some(helm) = Helm::offline() else { return };
    let setting = |values: &str| {
        let objects = helm.objects(values);
        let data = of_kind(&objects, "ConfigMap").unwrap()["data"].clone();
        (data["telemetry"].as_str().unwrap().to_owned(), data["omit"].as_str().unwrap().to_owned())
    };
    assert_eq!(setting(""), ("on".into(), String::new()));
    let values = "telemetry: {categories: {users: false, locations: false}, omit: [clusters.cniPlugin, users]}";
    assert_eq!(setting(values), ("on".into(), "locations,users,clusters.cniPlugin".into()));
}

#[test]
fn no_secret_is_ever_rendered_and_every_rendering_is_the_same() {
    let Some(helm) = Helm::offline() else { return };
    for values in documented() {
        let objects = helm.objects(&values);
        assert!(of_kind(&objects, "Secret").is_none());
        assert_eq!(objects, helm.objects(&values));
    }
}

#[test]
fn the_cronjob_runs_once_a_day_at_a_minute_of_its_own() {
    let Some(helm) = Helm::offline() else { return };
    let schedule = |values: &str| {
        let objects = helm.objects(values);
        let spec = of_kind(&objects, "CronJob").unwrap()["spec"].clone();
        assert_eq!(spec["concurrencyPolicy"], "Forbid");
        for deadline in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
            assert!(spec[deadline].is_u64(), "{deadline}");
        }
        assert!(spec["jobTemplate"]["spec"]["activeDeadlineSeconds"].is_u64());
        spec["schedule"].as_str().unwrap().to_owned()
    };
    let uuid = |digit: u32| format!("telemetry: {{uuid: 00000000-0000-4000-8000-{digit:012}}}");
    let schedules: BTreeSet<_> = (0..20).map(|digit| schedule(&uuid(digit))).collect();
    assert!(schedules.len() > 15, "they differ: {schedules:?}");
    for it in &schedules {
        let fields: Vec<_> = it.split(' ').collect();
        let (minute, hour): (u32, u32) = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
        assert!(minute < 60 && hour < 24 && fields[2..] == ["*", "*", "*"], "{it}");
    }
    assert_eq!(schedule("telemetry: {schedule: '* * * * *'}"), "* * * * *");
}

#[test]
fn every_container_is_what_the_values_say() {
    let Some(helm) = Helm::offline() else { return };
    let readme = merged(&blocks("deploy/helm/kubermatic-telemetry/README.md"));
    let on = "telemetry: {enabled: true}".to_owned();
    for mode in [String::new(), AIR_GAPPED.to_owned()] {
        let objects = helm.objects(&merged(&[readme.clone(), on.clone(), mode]));
        let pods: Vec<_> = objects.iter().filter_map(pod_of).collect();
        assert_eq!(pods.len(), 2, "one that works, and one that tests");
        for pod in pods {
            assert_eq!(pod["metadata"]["labels"]["team"], "platform");
            assert_eq!(pod["spec"]["priorityClassName"], "system-cluster-critical");
            assert_eq!(pod["spec"]["imagePullSecrets"], json!([{ "name": "registry-example-com" }]));
            assert_eq!(pod["spec"]["tolerations"][0]["effect"], "NoSchedule");
            assert!(pod["spec"]["affinity"]["nodeAffinity"].is_object());
            assert!(pod["spec"]["nodeSelector"].is_object());
            assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
            for container in containers(pod) {
                assert!(
                    container["image"]
                        .as_str()
                        .unwrap()
                        .ends_with(&format!("@sha256:{}", "0123456789abcdef".repeat(4)))
                );
                assert!(container["env"].as_array().unwrap().iter().any(|it| it["name"] == "RUST_BACKTRACE"));
                assert!(container["resources"]["limits"]["memory"].is_string());
                let has_token =
                    container["volumeMounts"].as_array().unwrap().iter().any(|it| it["name"] == "api-access");
                assert_eq!(has_token, container["name"] != "reporter", "who sends has no business with the API server");
            }
        }
    }
}

//! Releases on an API server: installed, upgraded, taken away and installed again.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::load::{define, load};
use crate::harness::objects::{namespace, secret};
use crate::harness::servers::{ApiServer, ControlPlane};
use crate::helm::{AIR_GAPPED, Helm, NAMESPACE, RELEASE};
use crate::pods::{self, Pod};
use crate::sites::{control_plane, minimal_definitions, sound_installation};
use crate::support::root;

const CLAIM: &str = "/api/v1/namespaces/telemetry-system/persistentvolumeclaims/telemetry";
const IDENTITY: &str = "/api/v1/namespaces/telemetry-system/secrets/telemetry-identity";
/// The client UUID of an installation of telemetry-client.
pub const EARLIER: &str = "5a1c4c0e-3f0e-4b6b-9b6c-6d2f0c9b7a11";

/// A master without seeds, and Helm as its administrator.
pub struct Cluster {
    // Ends when the cluster does.
    _plane: ControlPlane,
    pub server: ApiServer,
    pub helm: Helm,
    disk: TempDir,
}

impl Cluster {
    /// Nothing, where something that this needs is missing.
    pub fn start() -> Option<Self> {
        let helm = Helm::offline()?;
        let plane = control_plane()?;
        drop(helm);
        if !pods::can_run() {
            return None;
        }
        let server = plane.servers(&["master"]).remove(0);
        define(&server.admin, &minimal_definitions());
        let master = sound_installation().master.into_iter().filter(|object| object["kind"] != "Seed");
        assert!(load(&server.admin, &master.collect::<Vec<_>>()).is_empty());
        server.admin.create(&namespace(NAMESPACE)).ok();
        let helm = Helm::of(&server)?;
        Some(Self { _plane: plane, server, helm, disk: tempfile::tempdir().unwrap() })
    }

    pub fn disk(&self) -> &Path {
        self.disk.path()
    }

    /// The next pod of the `CronJob` or the `Deployment`.
    pub fn pod(&self) -> Pod {
        let of = |group: &str, plural: &str| {
            let path = format!("/apis/{group}/v1/namespaces/{NAMESPACE}/{plural}/{RELEASE}");
            let found = self.server.admin.request("GET", &path, None).unwrap();
            (found.status == 200).then_some(found.body)
        };
        let template = match (of("batch", "cronjobs"), of("apps", "deployments")) {
            (Some(cronjob), None) => cronjob["spec"]["jobTemplate"]["spec"]["template"].clone(),
            (None, Some(deployment)) => deployment["spec"]["template"].clone(),
            (cronjob, deployment) => panic!("one of them is there: {cronjob:?} {deployment:?}"),
        };
        Pod::new(&self.server, NAMESPACE, &template, self.disk())
    }

    pub fn status(&self, path: &str) -> u16 {
        self.server.admin.request("GET", path, None).unwrap().status
    }
}

/// The client UUID of a pod's identity, and how many records are pending in its store.
fn known(pod: &Pod, container: &str) -> (String, u64) {
    let status = pod.exec(container, "kubermatic-telemetry status --json").ok().json();
    (status["client"].as_str().unwrap().to_owned(), status["pending"]["records"].as_u64().unwrap())
}

/// Makes the identity and collects, in the connected mode.
fn collect(cluster: &Cluster) -> Pod {
    let pod = cluster.pod();
    for container in ["identity", "kubernetes-agent", "kubermatic-agent"] {
        pod.run(container).ok();
    }
    pod
}

#[test]
fn upgrades_and_reinstallations_keep_the_client_and_every_pending_record() {
    let Some(cluster) = Cluster::start() else { return };
    let helm = &cluster.helm;
    helm.release("install", "").ok().prints("create job --from=cronjob/telemetry");
    let (client, pending) = known(&collect(&cluster), "reporter");
    assert_eq!(pending, 2);
    let (claim, identity) = (cluster.server.admin.get(CLAIM), cluster.server.admin.get(IDENTITY));
    assert_eq!(
        cluster.server.admin.get("/api/v1/namespaces/telemetry-system/configmaps/telemetry")["data"]["telemetry"],
        "on"
    );

    helm.release("upgrade", "telemetry: {splay: 5m, categories: {users: false}}").ok();
    assert_eq!(known(&collect(&cluster), "reporter"), (client.clone(), 4));

    // Another mode, on the same volume and with the same identity.
    helm.release("upgrade", AIR_GAPPED).ok().prints("kubermatic-telemetry export -o -");
    let pod = cluster.pod();
    pod.run("identity").ok();
    assert_eq!(known(&pod, "agent"), (client.clone(), 4));

    helm.uninstall().ok();
    assert_eq!(cluster.server.admin.get(IDENTITY)["data"], identity["data"], "the identity stays");
    assert_eq!(cluster.server.admin.get(CLAIM)["metadata"]["uid"], claim["metadata"]["uid"], "so does the volume");
    for gone in
        ["apis/apps/v1/namespaces/telemetry-system/deployments", "api/v1/namespaces/telemetry-system/configmaps"]
    {
        assert_eq!(cluster.status(&format!("/{gone}/telemetry")), 404, "{gone}");
    }
    helm.release("install", "").ok();
    assert_eq!(cluster.server.admin.get(CLAIM)["metadata"]["uid"], claim["metadata"]["uid"]);
    assert_eq!(known(&collect(&cluster), "reporter"), (client.clone(), 6));

    // As tools do that render elsewhere and apply.
    let Some(offline) = Helm::offline() else { return };
    for object in offline.objects("") {
        if object["metadata"]["annotations"].get("helm.sh/hook").is_none() {
            cluster.server.admin.apply(&object);
        }
    }
    assert_eq!(known(&collect(&cluster), "reporter"), (client, 8));
    assert_eq!(cluster.server.admin.get(IDENTITY)["data"], identity["data"]);
}

/// telemetry-client's chart as it is installed by KKP, as far as it matters here.
pub fn install_telemetry_client(cluster: &Cluster) {
    let chart = root().join("tests/chart/telemetry-client");
    let arguments = ["install", RELEASE, chart.to_str().unwrap(), "--namespace", NAMESPACE];
    cluster.helm.run(&arguments, &format!("telemetry: {{uuid: {EARLIER}}}")).ok();
}

/// The names of all `CronJobs` that are not suspended.
pub fn reporters(cluster: &Cluster) -> Vec<String> {
    let list = cluster.server.admin.get("/apis/batch/v1/namespaces/telemetry-system/cronjobs");
    let active = list["items"].as_array().unwrap().iter().filter(|it| it["spec"]["suspend"] != true);
    active.map(|it| it["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_upgrade_that_would_lose_the_earlier_client_uuid_is_refused_and_says_what_to_type() {
    let Some(cluster) = Cluster::start() else { return };
    install_telemetry_client(&cluster);
    assert_eq!(reporters(&cluster), ["telemetry-job"]);
    let refused = cluster.helm.release("upgrade", "mode: connected").code(1);
    let typed = "annotate secret telemetry-client-uuid helm.sh/resource-policy=keep";
    assert!(refused.stderr.contains(typed), "{}", refused.stderr);
    assert_eq!(reporters(&cluster), ["telemetry-job"], "nothing was changed");
    // With the UUID among the values nothing has to be read.
    cluster.helm.release("upgrade", &format!("telemetry: {{uuid: {EARLIER}}}")).ok();
    assert_eq!(reporters(&cluster), ["telemetry"]);
    assert_eq!(known(&collect(&cluster), "reporter").0, EARLIER);
}

#[test]
fn a_client_uuid_in_a_secret_of_ones_own_is_taken_over() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.server.admin.create(&secret(NAMESPACE, "my-uuid", "uuid", EARLIER)).ok();
    cluster.helm.release("install", "telemetry: {existingSecret: my-uuid}").ok();
    assert_eq!(known(&collect(&cluster), "reporter").0, EARLIER);
}

#[test]
fn the_setting_takes_effect_in_what_runs_already() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.helm.release("install", "").ok();
    let path = "/api/v1/namespaces/telemetry-system/configmaps/telemetry";
    let mut setting: Value = cluster.server.admin.get(path);
    setting["data"] = json!({ "telemetry": "off" });
    cluster.server.admin.request("PUT", path, Some(&setting)).unwrap().ok();
    let pod = cluster.pod();
    pod.run("identity").ok();
    for container in ["kubernetes-agent", "kubermatic-agent", "reporter"] {
        let said = pod.run(container).ok().stderr;
        assert!(said.contains("telemetry is off") && said.contains("/etc/kubermatic-telemetry/settings"), "{said}");
    }
    assert!(!pod.directory("store").join("state/store").exists(), "nothing was stored");
    setting = cluster.server.admin.get(path);
    setting["data"] = json!({ "omit": "users" });
    cluster.server.admin.request("PUT", path, Some(&setting)).unwrap().ok();
    let pod = collect(&cluster);
    let shown = pod.exec("reporter", "kubermatic-telemetry preview").ok().stdout;
    let record: Value = shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|it: &Value| it["kind"] == "kubermatic")
        .unwrap();
    assert!(record.get("users").is_none() && record.get("projects").is_some(), "{record}");
}

#[test]
fn a_directory_of_a_node_is_a_volume_where_there_is_no_storage_class() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.helm.release("install", "persistence: {local: {node: master-1, path: /srv/telemetry}}").ok();
    let volume = "/api/v1/persistentvolumes/telemetry-system-telemetry";
    let made = cluster.server.admin.get(volume);
    assert_eq!(made["spec"]["claimRef"]["name"], "telemetry");
    assert_eq!(made["spec"]["persistentVolumeReclaimPolicy"], "Retain");
    let claim = cluster.server.admin.get(CLAIM);
    assert_eq!(
        (&claim["spec"]["storageClassName"], &claim["spec"]["volumeName"]),
        (&json!(""), &made["metadata"]["name"])
    );
    cluster.helm.uninstall().ok();
    assert_eq!((cluster.status(volume), cluster.status(CLAIM)), (200, 200));
    cluster.helm.release("install", "persistence: {local: {node: master-1, path: /srv/telemetry}}").ok();
}

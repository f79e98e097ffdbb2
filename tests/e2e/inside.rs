//! A master that is a seed itself, looked at from outside and from a pod of it.

use std::process::Command;

use crate::agent::Agent;
use crate::harness::load::{define, load};
use crate::harness::objects::secret;
use crate::harness::servers::{ApiServer, free_ports};
use crate::harness::site::Site;
use crate::permissions::{Page, grant};
use crate::sites::{control_plane, minimal_definitions, sound, sound_installation};
use crate::support::{Desk, Printed, skip};

/// Gives the program what it finds in a pod, in a mount namespace of its own.
const IN_A_POD: &str = r#"
set -e
mount -t tmpfs tmpfs /var/run/
mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
cp account/* /var/run/secrets/kubernetes.io/serviceaccount/
exec "$@"
"#;

/// A server that is master and seed `europe`, with a kubeconfig to itself; its user clusters are those of `site`.
fn both(site: &Site) -> Option<ApiServer> {
    let plane = control_plane()?;
    let server = plane.servers(&["both"]).remove(0);
    define(&server.admin, &minimal_definitions());
    let mut installation = sound_installation();
    let mut objects = installation.seeds.remove("europe").unwrap();
    let clusters = objects.iter().filter(|object| object["kind"] == "Cluster");
    let clusters: Vec<_> = clusters.map(|it| it["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    let master = installation.master.into_iter();
    objects.extend(master.filter(|object| object["kind"] != "Seed" || object["metadata"]["name"] == "europe"));
    objects.push(secret("kubermatic", "europe-kubeconfig", "kubeconfig", &server.admin_kubeconfig()));
    let [port] = free_ports();
    for name in clusters {
        let internal = site.user_clusters[&name].admin_kubeconfig();
        let external = internal.replace(&site.user_clusters[&name].url(), &format!("https://127.0.0.1:{port}"));
        let namespace = format!("cluster-{name}");
        objects.push(secret(&namespace, "internal-admin-kubeconfig", "kubeconfig", &internal));
        objects.push(secret(&namespace, "admin-kubeconfig", "kubeconfig", &external));
    }
    assert!(load(&server.admin, &objects).is_empty());
    Some(server)
}

/// A command that runs another one in a pod, or at least in what looks like one.
fn in_a_pod() -> Option<Command> {
    let ways: [&[&str]; 2] = [&["--map-root-user", "--mount"], &["--mount"]];
    for flags in ways {
        let tried = Command::new("unshare").args(flags).args(["mount", "-t", "tmpfs", "tmpfs", "/var/run/"]).output();
        if tried.is_ok_and(|output| output.status.success()) {
            let mut command = Command::new("unshare");
            command.args(flags).args(["sh", "-c", IN_A_POD, "pod"]);
            return Some(command);
        }
    }
    skip("`unshare` may not make a mount namespace here, which a pod's files need");
    None
}

#[test]
fn the_nodes_of_a_master_that_is_a_seed_count_once() {
    let Some(site) = sound() else { return };
    let Some(server) = both(site) else { return };
    let agent = Agent::new();
    let files = ["telemetry-master.yaml", "telemetry-seed-secrets.yaml"];
    let token = grant(&server, &Page::read().objects(&files), "both");
    let found = agent.look_with(&server.kubeconfig(&token), &[]);
    found.has_problems(&[]);
    let nodes = server.admin.get("/api/v1/nodes")["items"].as_array().unwrap().len();
    let rows = found.record("kubernetes")["nodes"].as_array().unwrap();
    assert_eq!(rows.len(), nodes);
    assert!(rows.iter().all(|row| row.get("seedUUID").is_none()), "the master's nodes are no seed's");
    let europe = agent.pseudonym("seed", "europe");
    let clusters = found.record("kubermatic")["clusters"].as_array().unwrap();
    assert!(!clusters.is_empty() && clusters.iter().all(|row| row["seedUUID"] == europe.as_str()));
}

#[test]
fn a_pod_finds_its_cluster_and_reads_internal_kubeconfigs() {
    let Some(site) = sound() else { return };
    let Some(mut command) = in_a_pod() else { return };
    let Some(server) = both(site) else { return };
    let (agent, page) = (Agent::new(), Page::read());
    // The page says which name to put in.
    let mut rules = page.objects(&["telemetry-master.yaml", "telemetry-seed.yaml"]);
    let secrets = page.files["telemetry-user-cluster-secrets.yaml"].replace("[admin-", "[internal-admin-");
    rules.extend(crate::harness::objects::parse_yaml(&secrets));
    let token = grant(&server, &rules, "pod");
    agent.desk.file("account/token", &token);
    agent.desk.file("account/ca.crt", server.authority.certificate());
    agent.desk.file("account/namespace", "telemetry-system");
    agent.desk.file("europe.kubeconfig", server.kubeconfig(&token));
    command.arg(agent.desk.command().get_program());
    command.args(["collect", "--user-clusters", "--kubeconfig-for", "europe=europe.kubeconfig", "--strict"]);
    command.current_dir(agent.desk.path("")).env("KUBERMATIC_TELEMETRY_STATE", agent.desk.state());
    command.env_remove("KUBECONFIG").env("KUBERNETES_SERVICE_HOST", server.address.ip().to_string());
    command.env("KUBERNETES_SERVICE_PORT", server.address.port().to_string());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = agent.preview(&[]);
    found.has_problems(&[]);
    assert!(found.count("kubermatic", "machineDeployments") > 0, "user clusters were looked at");
}

#[test]
fn a_pod_makes_its_identity_with_the_account_that_it_has() {
    let Some(mut command) = in_a_pod() else { return };
    let Some(plane) = control_plane() else { return };
    let server = plane.servers(&["pod"]).remove(0);
    let page = Page::read();
    let rules = page.objects(&["telemetry-master.yaml", "telemetry-identity.yaml"]);
    let token = grant(&server, &rules, "identity");
    let desk = Desk::new();
    desk.file("account/token", &token);
    desk.file("account/ca.crt", server.authority.certificate());
    desk.file("account/namespace", "telemetry-system");
    // The rules of tests are renamed, and with them the Secret that they name.
    let secret = "telemetry-system/kubermatic-telemetry-identity-identity";
    command.arg(desk.command().get_program()).args(["init", "--secret", secret]).current_dir(desk.path(""));
    command.env("KUBERMATIC_TELEMETRY_STATE", desk.state()).env_remove("KUBECONFIG");
    command.env("KUBERMATIC_TELEMETRY_IDENTITY", desk.path("memory/identity"));
    command.env("KUBERNETES_SERVICE_HOST", server.address.ip().to_string());
    command.env("KUBERNETES_SERVICE_PORT", server.address.port().to_string());
    Printed::of(command.output().unwrap()).ok().says("made the Secret");
    let first = std::fs::read(desk.path("memory/identity/client-uuid")).unwrap();
    // The pod is started again, with an empty memory.
    std::fs::remove_dir_all(desk.path("memory")).unwrap();
    Printed::of(command.output().unwrap()).ok();
    assert_eq!(std::fs::read(desk.path("memory/identity/client-uuid")).unwrap(), first);
}

//! The pages about the chart, typed as they stand.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::objects::parse_yaml;
use crate::harness::servers::free_ports;
use crate::kubelet::with_kubelet;
use crate::releases::{Cluster, EARLIER, install_telemetry_client, reporters};
use crate::support::{Desk, tool};
use crate::typing::{Typist, blocks};
use crate::walks::server;

const INSTALL: &str = "docs/install.md";
const CONNECTED: &str = "1. Connected";
const AIR_GAPPED: &str = "2. Air-gapped, with a mirrored registry";

/// The values that a section has, with the server and the key of the test in them.
fn values(section: &str, server: &str) -> Value {
    let page = blocks(INSTALL, section, "yaml");
    assert_eq!(page.len(), 1, "{section}");
    let mut values = parse_yaml(&page[0]).remove(0);
    let server: Value = serde_json::from_str(server).unwrap();
    for (key, value) in server["telemetry"].as_object().unwrap() {
        values["telemetry"][key] = value.clone();
    }
    values
}

/// The digest that `sha256sum` prints.
fn digest(directory: &Path, file: &str) -> String {
    String::from_utf8(tool(directory, "sha256sum", &[file]).stdout).unwrap()[..64].to_owned()
}

#[test]
fn a_connected_installation_works_as_it_is_typed_until_it_is_removed() {
    let Some(cluster) = Cluster::start() else { return };
    let (desk, scratch) = (Desk::new(), tempfile::tempdir().unwrap());
    let (_server, server) = server(&desk);
    let Some(typist) = Typist::new(&cluster.helm, scratch.path(), cluster.disk()) else { return };
    fs::write(scratch.path().join("values.yaml"), values(CONNECTED, &server).to_string()).unwrap();
    with_kubelet(&cluster, cluster.disk(), || {
        let said: Vec<_> = blocks(INSTALL, CONNECTED, "sh").iter().map(|block| typist.types(block)).collect();
        assert!(said[1].stdout.contains("Phase:") && said[1].stdout.contains("Succeeded"), "{}", said[1].stdout);
        let log = &said[2].stdout;
        for expected in ["[pod/identity]", "BEGIN PUBLIC KEY", "2 records acknowledged"] {
            assert!(log.contains(expected), "{expected}: {log}");
        }
        let backup = fs::read_to_string(scratch.path().join("telemetry-identity.yaml")).unwrap();
        assert!(backup.contains("pseudonym.key"));

        for block in blocks(INSTALL, "4. Changing, upgrading, rendering elsewhere", "sh") {
            typist.types(&block);
        }
        let setting = cluster.server.admin.get("/api/v1/namespaces/telemetry-system/configmaps/telemetry");
        assert_eq!(setting["data"], json!({ "telemetry": "off", "omit": "users,locations" }));
        let uninstall = blocks(INSTALL, "6. Uninstalling", "sh");
        typist.types(&uninstall[0]);
        let identity = "/api/v1/namespaces/telemetry-system/secrets/telemetry-identity";
        assert_eq!(cluster.status(identity), 200);
        typist.types(&uninstall[1]);
        assert_eq!(cluster.status(identity), 404);
    });
}

#[test]
fn an_air_gapped_installation_and_its_walk_work_as_they_are_typed() {
    let Some(cluster) = Cluster::start() else { return };
    let (desk, scratch) = (Desk::new(), tempfile::tempdir().unwrap());
    let (_server, server) = server(&desk);
    let Some(typist) = Typist::new(&cluster.helm, scratch.path(), cluster.disk()) else { return };
    let mut chosen = values(AIR_GAPPED, &server);
    let [port] = free_ports();
    chosen["metrics"] = json!({ "port": port });
    fs::write(scratch.path().join("values-airgapped.yaml"), chosen.to_string()).unwrap();
    fs::write(scratch.path().join("master.kubeconfig"), cluster.server.admin_kubeconfig()).unwrap();
    with_kubelet(&cluster, cluster.disk(), || {
        for block in blocks(INSTALL, AIR_GAPPED, "sh") {
            typist.types(&block);
        }
        let status = "kubectl -n telemetry-system exec deploy/telemetry -c agent -- kubermatic-telemetry status --json";
        let pending = || typist.types(status).json()["pending"]["records"].clone();
        let begin = std::time::Instant::now();
        while pending() != 2 {
            assert!(begin.elapsed() < crate::walks::PATIENCE, "nothing is collected");
        }
        let walk = blocks("docs/air-gap.md", "In a cluster", "sh");
        let word = |word: &str| walk.iter().find(|block| block.contains(word)).expect(word).as_str();
        let out = typist.types(word("export -o -"));
        let first = digest(scratch.path(), "bundle.tar");
        assert!(out.stderr.contains(&first) && out.stdout.contains(&first), "{} {}", out.stderr, out.stdout);
        typist.types(word("--again"));
        assert_eq!(digest(scratch.path(), "bundle.tar"), first);
        typist.types(word("inspect"));
        typist.types(word("keys show"));
        desk.file("bundle.tar", fs::read(scratch.path().join("bundle.tar")).unwrap());
        desk.line("ingest bundle.tar --archive archive --trust tofu --receipts receipts").ok();
        let receipts = desk.tree("receipts");
        let receipt = receipts.iter().find(|name| name.ends_with(".receipt.tar")).unwrap();
        fs::copy(desk.path("receipts").join(receipt), scratch.path().join("receipt.tar")).unwrap();
        let back = typist.types(word("receipt -"));
        assert!(back.stderr.contains("0 records pending"), "{}", back.stderr);
        typist.types(word("--kubeconfig"));
        let client = typist.types(status).json()["client"].clone();
        let packed = desk.run(["inspect", "--json", scratch.path().join("desk.tar").to_str().unwrap()]);
        assert!(packed.stdout.contains(client.as_str().unwrap()), "{}", packed.stdout);
        assert_eq!(walk.len(), 6, "every block was typed");
    });
}

#[test]
fn telemetry_client_is_replaced_as_it_is_typed_without_two_reporters() {
    let Some(cluster) = Cluster::start() else { return };
    let (desk, scratch) = (Desk::new(), tempfile::tempdir().unwrap());
    let (_server, server) = server(&desk);
    let Some(typist) = Typist::new(&cluster.helm, scratch.path(), cluster.disk()) else { return };
    fs::write(scratch.path().join("values.yaml"), values(CONNECTED, &server).to_string()).unwrap();
    install_telemetry_client(&cluster);
    let steps = blocks(INSTALL, "3. In place of telemetry-client", "sh");
    assert_eq!(steps.len(), 4);
    let mut seen = vec![reporters(&cluster)];
    for step in &steps[..3] {
        typist.types(step);
        seen.push(reporters(&cluster));
    }
    let (old, new) = (vec!["telemetry-job".to_owned()], vec!["telemetry".to_owned()]);
    assert_eq!(seen, [old.clone(), old, Vec::new(), new], "never two");
    assert_eq!(cluster.status("/apis/batch/v1/namespaces/telemetry-system/cronjobs/telemetry-job"), 404);
    let pod = cluster.pod();
    pod.run_all();
    assert!(typist.types(&steps[3]).stdout.starts_with(EARLIER));
    // The next pod has the Secret no more, and the identity all the same.
    cluster.pod().run_all();
    let status = pod.exec("reporter", "kubermatic-telemetry status --json").ok().json();
    assert_eq!(status["client"], EARLIER);
}

#[test]
fn the_notes_say_what_can_be_typed() {
    let Some(cluster) = Cluster::start() else { return };
    let (desk, scratch) = (Desk::new(), tempfile::tempdir().unwrap());
    let (_server, server) = server(&desk);
    let Some(typist) = Typist::new(&cluster.helm, scratch.path(), cluster.disk()) else { return };
    let indented = |notes: &str| -> String {
        let lines = notes.lines().filter(|line| line.starts_with("  ") && !line.contains("receipt.tar"));
        // Logs of tests come from a kubelet.
        lines.map(|line| line.replace("--logs", "") + "\n").collect()
    };
    with_kubelet(&cluster, cluster.disk(), || {
        let notes = cluster.helm.release("install", &server).ok().stdout;
        let typed = indented(&notes);
        assert!(typed.contains("create job") && typed.contains("helm test") && typed.contains("get seeds"), "{typed}");
        typist.types(&typed);
        let [port] = free_ports();
        let often = "telemetry: {every: 1s}\n";
        let values = format!("{}{often}metrics: {{port: {port}}}\n", crate::helm::AIR_GAPPED);
        let notes = cluster.helm.release("upgrade", &values).ok().stdout;
        let typed = indented(&notes);
        assert!(typed.contains("export -o -"), "{typed}");
        // What the agent collects first may not be there yet, and one of the two is none of this line's business.
        let wait = "until kubectl -n telemetry-system exec deploy/telemetry -c agent -- kubermatic-telemetry status | \
            grep -q 'pending *[1-9]'; do sleep 1; done\n";
        typist.types(&format!("{wait}{typed}"));
    });
}

//! The commands of `docs/permissions.md`, typed as they stand.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::agent::{Agent, look};
use crate::harness::servers::ApiServer;
use crate::harness::site::Site;
use crate::permissions::{Page, token};
use crate::sites::{control_plane, minimal_definitions, sound_installation};
use crate::support::skip;

/// The clusters that the page works with, as it names them.
const NAMES: [&str; 3] = ["master", "europe", "qxn7d5wv2k"];

#[test]
fn what_the_page_says_to_type_makes_kubeconfigs_that_are_enough_and_goes_away_again() {
    if Command::new("kubectl").arg("version").arg("--client").output().is_err() {
        return skip("there is no kubectl");
    }
    let Some(plane) = control_plane() else { return };
    let mut installation = sound_installation();
    installation.master.retain(|object| object["kind"] != "Seed" || object["metadata"]["name"] == "europe");
    installation.seeds.retain(|name, _| name == "europe");
    installation.user_clusters.retain(|name, _| name == "qxn7d5wv2k");
    let site = Site::start(&plane, &installation, &minimal_definitions());
    let servers = [&site.master, &site.seeds["europe"], &site.user_clusters["qxn7d5wv2k"]];
    let (agent, page) = (Agent::new(), Page::read());
    for (name, server) in NAMES.iter().zip(servers) {
        agent.desk.file(&format!("{name}-admin.kubeconfig"), server.admin_kubeconfig());
    }
    for (name, text) in &page.files {
        agent.desk.file(name, text);
    }
    let command = |word: &str| page.commands.iter().find(|it| it.contains(word)).expect(word).as_str();
    let named = command("NAME=europe");
    let after = page.commands.iter().position(|it| it == named).unwrap();
    // Sections 1 to 4, in one shell, and then section 5 for each cluster.
    let mut script: String = page.commands[..after].iter().fold(String::new(), |mut script, command| {
        writeln!(script, "{command}").unwrap();
        script
    });
    for name in NAMES {
        let named = named.replace("NAME=europe", &format!("NAME={name}"));
        for command in [named.as_str(), command("telemetry-token"), command("cat > $NAME.kubeconfig"), command("can-i")]
        {
            writeln!(script, "{command}").unwrap();
        }
    }
    let typed = with_token_controller(&servers.map(|server| &**server), || run(&agent, &script));
    assert!(typed.contains("kubermatic/europe-kubeconfig"), "{typed}");

    let looked = |script: &str| {
        let mut shell = shell(&agent, script);
        look(&mut shell)
    };
    let preview = command("kubermatic-telemetry preview");
    let found = looked(preview);
    found.has_problems(&[]);
    assert!(found.count("kubermatic", "machineDeployments") > 0);

    // The other kind of token, for the seed.
    let expiring = [named, command("create token"), command("cat > $NAME.kubeconfig")].join("\n");
    run(&agent, &expiring);
    let again = looked(preview);
    assert_eq!(again.lines, found.lines);

    run(&agent, command("kubectl delete"));
    // An API server remembers for some seconds whose a token is; rules go at once.
    agent.desk.line("collect --strict --kubeconfig master.kubeconfig").code(1);
}

/// A shell in the desk's directory that stops at the first failure, with the program on its path.
fn shell(agent: &Agent, script: &str) -> Command {
    let program = agent.desk.command();
    let folder = Path::new(program.get_program()).parent().unwrap().to_owned();
    let mut shell = Command::new("bash");
    shell.args(["-eu", "-o", "pipefail", "-c", script]).current_dir(agent.desk.path("")).env_clear();
    for (name, value) in program.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([folder].into_iter().chain(std::env::split_paths(&path))).unwrap();
    shell.env("PATH", path);
    shell
}

fn run(agent: &Agent, script: &str) -> String {
    let output = shell(agent, script).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Does something while Secrets for tokens are filled, which is the work of a controller that is not there.
fn with_token_controller<T>(servers: &[&ApiServer], work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for server in servers {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    fill_tokens(server);
                    sleep(Duration::from_millis(100));
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn fill_tokens(server: &ApiServer) {
    let path = "/api/v1/namespaces/telemetry-system/secrets";
    let list = server.admin.get(path);
    for secret in list["items"].as_array().unwrap() {
        if secret["type"] != "kubernetes.io/service-account-token" || secret.get("data").is_some() {
            continue;
        }
        let name = &secret["metadata"]["annotations"]["kubernetes.io/service-account.name"];
        let account = json!({ "metadata": { "namespace": "telemetry-system", "name": name } });
        let mut filled: Value = secret.clone();
        filled["data"] = json!({ "token": STANDARD.encode(token(server, &account)) });
        let path = format!("{path}/{}", secret["metadata"]["name"].as_str().unwrap());
        // A list leaves kind and version out; kubectl may have been quicker with another change.
        (filled["apiVersion"], filled["kind"]) = (json!("v1"), json!("Secret"));
        server.admin.request("PUT", &path, Some(&filled)).unwrap();
    }
}

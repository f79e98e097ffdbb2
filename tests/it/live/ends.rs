//! What a run leaves behind, however it ends, and what it never tells.

use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::{Live, complete, counts, problems};
use crate::api::{Access, ApiServer, Effect, Fault, Kubeconfig, Objects, Plan, Proxy, Rule};
use crate::canaries::{Planter, Scanner, unpacked, write_installation};
use crate::leak::nothing;
use crate::site::{Records, Site};
use crate::support::{Desk, Printed, root, tool};

/// How long a test waits for a program that must end, before it fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for a program that was asked to end.
fn ended(child: Child) -> Printed {
    let (sender, receiver) = mpsc::channel();
    let id = child.id().to_string();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(PATIENCE) else {
        signal("KILL", &id);
        panic!("the program did not end");
    };
    Printed::of(output.unwrap())
}

fn signal(name: &str, id: &str) {
    tool(&root(), "bash", &["-c", &format!("kill -{name} {id}")]);
}

#[test]
fn a_signal_ends_a_run_that_hangs_and_nothing_is_stored() {
    for name in ["TERM", "INT"] {
        let live = Live::complete();
        live.fleet.seed("europe").fault(Fault::everywhere(Effect::Silence).times(1));
        let mut command = live.site.desk.command();
        command.args(["collect", "--kubeconfig", "kubeconfig"]).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        live.fleet.seed("europe").wait_for("/version");
        signal(name, &child.id().to_string());
        let printed = ended(child).code(1);
        assert!(printed.stderr.contains(&format!("SIG{name}")), "{}", printed.stderr);
        let stored = live.site.desk.tree("state/store");
        assert!(!stored.iter().any(|file| file.contains("records/") || file.contains("tmp")), "{stored:?}");
        live.run("collect").ok();
        let records = Records::of(live.site.desk.line("preview")).complete();
        counts(&records, &[("clusters", 2)]);
    }
}

#[test]
fn records_of_a_live_installation_go_the_whole_way() {
    let live = Live::complete();
    let desk = &live.site.desk;
    live.run("collect --user-clusters").ok();
    live.run("collect --user-clusters").ok();
    assert_eq!(desk.line("preview").ok().stdout.lines().count(), 4);
    desk.line("export -o bundle.tar").ok();
    desk.line("keys export -o client.pub.pem").ok();
    desk.line("verify bundle.tar --key client.pub.pem").ok();
}

#[test]
fn an_export_of_a_live_installation_verifies_and_leaves_nothing_else_behind() {
    let live = Live::complete();
    let desk = &live.site.desk;
    let before = desk.tree("");
    live.run("export -o bundle.tar").ok();
    let mut left = desk.tree("");
    left.retain(|file| !before.contains(file) && !file.starts_with("state/"));
    assert_eq!(left, ["bundle.tar"]);
    desk.line("keys export -o client.pub.pem").ok();
    desk.line("verify bundle.tar --key client.pub.pem").ok();
    let inspected = desk.line("inspect bundle.tar --json").ok().json();
    assert_eq!(inspected["manifest"]["records"].as_array().map(Vec::len), Some(2), "{inspected}");
}

#[test]
fn a_preview_of_a_live_installation_leaves_nothing_behind() {
    let desk = Desk::new();
    let fleet = Plan::of(&complete().desk.path("m")).start();
    desk.file("kubeconfig", fleet.master.kubeconfig());
    let before = desk.snapshot();
    Records::of(desk.line("preview --kubeconfig kubeconfig --user-clusters")).complete();
    desk.unchanged_since(&before, "preview");
}

#[test]
fn a_kubeconfig_that_leads_nowhere_is_an_error_with_a_hint() {
    let live = Live::complete();
    let desk = &live.site.desk;
    let master = &live.fleet.master;
    desk.file("without.kubeconfig", master.kubeconfig_with(|it| it.current = None));
    desk.file("words.kubeconfig", "[words");
    let cases = [
        ("--kubeconfig nowhere.kubeconfig", "nowhere.kubeconfig", Some("--kubeconfig FILE")),
        ("--kubeconfig without.kubeconfig", "without.kubeconfig", Some("--context NAME")),
        ("--kubeconfig kubeconfig --context other", "kubeconfig", Some("kubectl config get-contexts")),
        ("--kubeconfig words.kubeconfig", "words.kubeconfig", None),
    ];
    for (options, file, hint) in cases {
        for verb in ["collect", "preview", "export -o bundle.tar"] {
            let printed = desk.line(&format!("{verb} {options}")).code(1);
            let told = format!("{verb} {options}: {}", printed.stderr);
            assert!(printed.stderr.starts_with("error: ") && printed.stderr.contains(file), "{told}");
            let (_, hinted) = printed.stderr.split_once("\n\nhint: ").unwrap_or_default();
            assert!(hint.is_none_or(|hint| hinted.contains(hint)), "{told}");
            assert_eq!(printed.stdout, "");
        }
    }
    assert!(master.requests().is_empty());
    assert!(!desk.state().join("store").exists());
}

#[test]
fn a_master_that_can_not_be_asked_is_an_error_and_nothing_is_stored() {
    let other = ApiServer::start(Objects::new());
    let authority = crate::api::Kubeconfig::of(&other).cluster["certificate-authority-data"].clone();
    let live = Live::complete();
    let (desk, master) = (&live.site.desk, &live.fleet.master);
    desk.file("token.kubeconfig", master.kubeconfig_with(|it| it.user = json!({"token": "wrong"})));
    desk.file(
        "authority.kubeconfig",
        master.kubeconfig_with(|it| it.cluster["certificate-authority-data"] = authority),
    );
    for file in ["token.kubeconfig", "authority.kubeconfig"] {
        let printed = desk.line(&format!("collect --kubeconfig {file}")).code(1);
        assert!(printed.stderr.contains("\n\nhint: "), "{}", printed.stderr);
    }
    master.stop();
    let printed = live.run("collect").code(1);
    assert!(printed.stderr.starts_with("error: ") && printed.stderr.contains("\n\nhint: "), "{}", printed.stderr);
    assert!(!desk.state().join("store").exists());
}

#[test]
fn options_that_contradict_each_other_are_wrong_usage() {
    let live = Live::complete();
    for options in [
        "--manifests m",
        "--page-size 0",
        "--timeout 0s",
        "--timeout soon",
        "--request-timeout -1s",
        "--cluster-timeout 15",
    ] {
        live.run(&format!("collect {options}")).code(2);
    }
    for options in ["--timeout 1h30m", "--request-timeout 500ms", "--cluster-timeout 5m"] {
        live.run(&format!("collect {options}")).ok();
    }
}

#[test]
fn records_of_another_installation_are_refused() {
    let live = Live::complete();
    live.run("collect").ok();
    let other = Live::planned(complete(), |plan| {
        let mut configuration = crate::site::configuration();
        configuration["metadata"]["uid"] = json!("another");
        plan.master.put(configuration);
        let mut namespace = plan.master.all("namespaces").remove(0);
        namespace["metadata"]["uid"] = json!("another");
        plan.master.put(namespace);
    });
    live.site.desk.file("other.kubeconfig", other.fleet.master.kubeconfig());
    let printed = live.site.desk.line("collect --kubeconfig other.kubeconfig").code(1);
    assert!(printed.stderr.contains("\n\nhint: "), "{}", printed.stderr);
    assert_eq!(live.site.desk.line("preview").ok().stdout.lines().count(), 2);
}

/// The installation of canaries, served live: seeds are reached at names that are canaries themselves.
struct Canaries {
    live: Live,
    planter: Planter,
    printed: Vec<(String, Printed)>,
    _proxies: Vec<Proxy>,
}

impl Canaries {
    fn new() -> Self {
        let site = Site { desk: Desk::new() };
        let mut planter = Planter::default();
        write_installation(&mut planter, &root().join("testdata/canaries"), &site.desk.path("m"));
        let seeds = ["first", "second"].map(|key| planter.named(key));
        let hosts = seeds.each_ref().map(|seed| planter.named(&format!("host of {seed}")) + ".example.invalid");
        let tokens: Vec<_> = (0..100).map(|number| planter.named(&format!("token {number}"))).collect();
        let live = Live::planned(site, |plan| {
            plan.names = hosts.to_vec();
            let mut tokens = tokens.into_iter();
            plan.tokens = Some(Box::new(move || tokens.next().unwrap()));
        });
        let mut proxies = Vec::new();
        for (seed, host) in seeds.iter().zip(&hosts) {
            let proxy = Proxy::to(live.fleet.seed(seed).address());
            let name = planter.named(&format!("context of {seed}"));
            live.fleet.change_kubeconfig(seed, |it| {
                it.name.clone_from(&name);
                it.current = Some(name);
                it.cluster["server"] = json!(format!("https://{host}:6443"));
                it.cluster["proxy-url"] = json!(proxy.url());
            });
            proxies.push(proxy);
        }
        Self { live, planter, printed: Vec::new(), _proxies: proxies }
    }

    fn run(&mut self, line: &str) -> &Printed {
        let printed = self.live.run(&format!("{line} -vvv"));
        self.printed.push((line.to_owned(), printed));
        &self.printed.last().unwrap().1
    }

    /// Insists on finding nothing in anything that was printed or written.
    fn nothing_told(&mut self) {
        let mut scanner = Scanner::new(&self.planter);
        let node = ["node", "machine", "system"].map(|key| self.planter.named(key)).concat();
        scanner.add_digest("the reference client's node id", &Md5::digest(node));
        for (line, printed) in &self.printed {
            nothing(&scanner, &format!("stdout of {line}"), printed.stdout.as_bytes());
            nothing(&scanner, &format!("stderr of {line}"), printed.stderr.as_bytes());
        }
        let desk = &self.live.site.desk;
        let own = |name: &String| !name.starts_with("m/") && name != "kubeconfig";
        for name in desk.tree("").into_iter().filter(own) {
            nothing(&scanner, &name, name.as_bytes());
            for layer in unpacked(&std::fs::read(desk.path(&name)).unwrap()) {
                nothing(&scanner, &name, &layer);
            }
        }
    }
}

#[test]
fn no_canary_of_a_live_installation_is_told_or_stored() {
    let mut canaries = Canaries::new();
    canaries.run("preview --user-clusters");
    canaries.run("collect --user-clusters");
    canaries.run("export -o bundle.tar --user-clusters");
    for (line, printed) in &canaries.printed {
        assert_eq!(printed.code, 0, "{line}: {}", printed.stderr);
    }
    let records = Records::of(canaries.live.site.desk.line("preview"));
    let none = |rows: &Value| rows.as_array().unwrap().is_empty();
    for rows in ["seeds", "clusters", "users", "projects", "sshKeys", "machineDeployments"] {
        assert!(!none(&records.kubermatic[rows]), "{rows}: {:?}", problems(&records.kubermatic));
    }
    assert!(!none(&records.kubernetes["nodes"]));
    canaries.nothing_told();
}

#[test]
fn no_canary_is_told_when_everything_fails() {
    let mut canaries = Canaries::new();
    let seeds = ["first", "second"].map(|key| canaries.planter.named(key));
    let echo = canaries.planter.named("echo");
    let fleet = &canaries.live.fleet;
    let [clusters, users, projects] =
        ["clusters", "users", "projects"].map(|plural| format!("/apis/kubermatic.k8c.io/v1/{plural}"));
    // Servers that say more than they should, and lists that can't be read.
    let body = |status, text: String| Effect::Body(status, "application/json", text);
    let said = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": echo, "reason": echo});
    fleet.master.fault(Fault::at(&users, body(403, said.to_string())));
    fleet.master.fault(Fault::at(&projects, body(200, format!("{{\"items\": [{{\"{echo}\": {echo}}}]}}"))));
    fleet.seed(&seeds[0]).fault(Fault::at("/version", body(500, said.to_string())));
    fleet.seed(&seeds[1]).fault(Fault::at(&clusters, Effect::Items(format!("{{\"{echo}\": \"{echo}\"}}"))));
    fleet.seed(&seeds[1]).fault(Fault::at("/api/v1/nodes", body(302, echo.clone())));
    canaries.run("collect --user-clusters");
    let refusing = Proxy::refusing();
    let fleet = &canaries.live.fleet;
    fleet.servers().for_each(ApiServer::mend);
    let first = |change: &dyn Fn(&mut Kubeconfig)| fleet.seed(&seeds[0]).kubeconfig_with(|it| change(it));
    let broken = [
        format!("{{\"{echo}\": [\"{echo}\""),
        first(&|it| it.user = json!({"exec": {"command": echo, "apiVersion": echo}})),
        first(&|it| it.user = json!({"client-certificate-data": echo, "client-key-data": echo})),
        first(&|it| it.user = json!({"token": format!("{echo}\n{echo}")})),
        first(&|it| it.cluster["server"] = json!(format!("{echo} {echo}"))),
        first(&|it| it.cluster["proxy-url"] = json!(format!("http://{echo}:{echo}@127.0.0.1:1"))),
        first(&|it| it.cluster["tls-server-name"] = json!(format!("{echo}.example.invalid"))),
        first(&|it| {
            it.cluster["server"] = json!(format!("https://{echo}.example.invalid"));
            it.cluster["proxy-url"] = json!(refusing.url());
        }),
    ];
    for text in broken {
        canaries.live.fleet.put_kubeconfig(&seeds[0], &text);
        canaries.run("preview");
    }
    canaries.live.fleet.seed(&seeds[1]).stop();
    canaries.run("collect kubernetes");
    for (line, printed) in &canaries.printed {
        assert_eq!(printed.code, 0, "{line}: {}", printed.stderr);
        assert!(printed.stderr.contains("warning: "), "{line}: {}", printed.stderr);
    }
    canaries.nothing_told();
}

#[test]
fn the_scanner_finds_a_canary_that_a_live_installation_lets_through() {
    // The locations are in the records; a scanner that does not find them finds nothing at all.
    let mut canaries = Canaries::new();
    canaries.run("preview");
    let locations = Scanner::of_locations(&canaries.planter);
    assert!(!locations.find(canaries.printed[0].1.stdout.as_bytes()).is_empty());
}

#[test]
fn a_seed_that_may_not_be_asked_is_told_without_its_name() {
    let live = Live::planned_complete(|plan| plan.access = Access::but(Rule::new("get", "secrets")));
    let printed = live.run("collect -vvv").ok();
    for name in ["asia", "europe", "somebody"] {
        assert!(!printed.stderr.contains(name), "{name}: {}", printed.stderr);
    }
    assert!(printed.stderr.contains(live.site.id("seed asia").as_str().unwrap()));
}

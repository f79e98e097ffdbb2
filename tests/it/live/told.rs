//! What is never told: canaries in everything that a live installation holds, and in what its servers say.

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::{Live, problems};
use crate::api::{Access, ApiServer, Effect, Fault, Kubeconfig, Proxy, Rule};
use crate::canaries::{Planter, Scanner, unpacked, write_installation};
use crate::leak::nothing;
use crate::site::{Records, Site};
use crate::support::{Desk, Printed, root};

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

//! API servers that are down or hang, and what is collected without them.

use serde_json::Value;

use crate::agent::{Agent, Collected};
use crate::harness::servers::ApiServer;
use crate::harness::site::Site;
use crate::permissions::{Page, grant};
use crate::sites::{control_plane, sound};

/// What a test of a broken server needs: an installation, a server that can be broken, and the program.
struct Case {
    site: &'static Site,
    agent: Agent,
    kubeconfig: String,
    victim: ApiServer,
}

impl Case {
    fn new(account: &str) -> Option<Self> {
        let site = sound()?;
        let plane = control_plane()?;
        let victim = plane.servers(&["victim"]).remove(0);
        let page = Page::read().objects(&["telemetry-master.yaml", "telemetry-seed-secrets.yaml"]);
        let kubeconfig = site.master.kubeconfig(&grant(&site.master, &page, account));
        Some(Self { site, agent: Agent::new(), kubeconfig, victim })
    }

    /// Looks at the installation, in which the victim is the cluster of a name.
    fn look(&self, name: &str, arguments: &[&str]) -> Collected {
        let file = self.agent.desk.file("victim.kubeconfig", self.victim.admin_kubeconfig());
        let given = format!("{name}={}", file.display());
        let arguments = [&["--kubeconfig-for", &given, "--request-timeout", "10s"], arguments].concat();
        self.agent.look_with(&self.kubeconfig, &arguments)
    }

    /// Insists on one seed being lost, and nothing else.
    fn lacks_seed(&self, found: &Collected, seed: &str, category: &str) {
        let pseudonym = self.agent.pseudonym("seed", seed);
        let lost = |step: &str| format!("{step} {category} {pseudonym}");
        found.has_problems(&[lost("seeds"), lost("nodes")]);
        assert!(found.printed.stderr.contains(&format!("seed {pseudonym}: ")), "{}", found.printed.stderr);
        assert!(!found.printed.stderr.contains(seed), "{}", found.printed.stderr);
        // The Seed itself is the master's.
        assert_eq!(found.count("kubermatic", "seeds"), self.site.seeds.len());
        let whole = self.agent.look_with(&self.kubeconfig, &[]);
        let left = |rows: &str, record: &str| {
            let all = whole.record(record)[rows].as_array().unwrap().clone();
            all.into_iter().filter(|row| row["seedUUID"] != pseudonym.as_str()).collect::<Value>()
        };
        assert_eq!(found.record("kubermatic")["clusters"], left("clusters", "kubermatic"));
        assert_eq!(found.record("kubernetes")["nodes"], left("nodes", "kubernetes"));
    }
}

#[test]
fn a_seed_that_is_down_costs_itself() {
    let Some(case) = Case::new("seed-down") else { return };
    case.victim.stop();
    case.lacks_seed(&case.look("europe", &[]), "europe", "unreachable");
}

#[test]
fn a_seed_that_hangs_costs_itself() {
    let Some(case) = Case::new("seed-hangs") else { return };
    case.victim.pause();
    case.lacks_seed(&case.look("asia", &[]), "asia", "timeout");
}

#[test]
fn a_user_cluster_that_is_down_or_hangs_costs_itself() {
    let Some(case) = Case::new("cluster-down") else { return };
    let pseudonym = case.agent.pseudonym("cluster", "r9lb6tqz4m");
    let check = |category: &str| {
        let found = case.look("r9lb6tqz4m", &["--user-clusters"]);
        let lost = |step: &str| format!("{step} {category} {pseudonym}");
        found.has_problems(&[lost("machineDeployments"), lost("nodes")]);
        let rows = found.record("kubermatic")["machineDeployments"].as_array().unwrap();
        assert!(!rows.is_empty(), "the other user cluster's are there");
        assert_eq!(found.count("kubermatic", "clusters"), case.site.user_clusters.len());
    };
    case.victim.pause();
    check("timeout");
    case.victim.stop();
    check("unreachable");
}

#[test]
fn without_the_master_nothing_is_collected() {
    let Some(plane) = control_plane() else { return };
    let victim = plane.servers(&["victim"]).remove(0);
    let agent = Agent::new();
    agent.desk.file("master.kubeconfig", victim.admin_kubeconfig());
    let collect = "collect --kubeconfig master.kubeconfig --request-timeout 10s";
    victim.pause();
    agent.desk.line(collect).code(1).says("can't read the master: it took too long");
    victim.stop();
    agent.desk.line(collect).code(1).says("can't read the master: no connection");
    agent.desk.line("preview").ok().says("nothing is pending");
}

//! The live source: the whole program against fake API servers.
//!
//! `whole` is what comes of a sound installation, `lists` what becomes of a list that fails, `seeds` the ways to seeds
//! and user clusters, `ends` what a run leaves behind, `stays` how it is stopped, `told` what it never tells, and
//! `withheld` what is not even asked for.

mod ends;
mod lists;
mod seeds;
mod stays;
mod told;
mod whole;
mod withheld;

use serde_json::{Value, json};

use crate::api::{Fleet, Plan};
use crate::site::{Records, Site, cluster, node};
use crate::support::Printed;

/// A site whose manifests in `m/` are served, and the master's kubeconfig on its desk.
struct Live {
    site: Site,
    fleet: Fleet,
}

impl Live {
    fn of(site: Site) -> Self {
        Self::planned(site, |_| {})
    }

    /// The same after a change of what is served.
    fn planned(site: Site, change: impl FnOnce(&mut Plan)) -> Self {
        let mut plan = Plan::of(&site.desk.path("m"));
        change(&mut plan);
        let fleet = plan.start();
        site.desk.file("kubeconfig", fleet.master.kubeconfig());
        Self { site, fleet }
    }

    /// Two seeds with a cluster and a node each, and machines in the clusters.
    fn complete() -> Self {
        Self::planned_complete(|_| {})
    }

    fn planned_complete(change: impl FnOnce(&mut Plan)) -> Self {
        Self::planned(complete(), change)
    }

    /// Runs a verb on the live installation; the line may go on with options.
    fn run(&self, line: &str) -> Printed {
        let (verb, options) = line.split_once(' ').unwrap_or((line, ""));
        self.site.desk.line(&format!("{verb} --kubeconfig kubeconfig {options}"))
    }

    /// The records, as `preview` prints them.
    fn read(&self, options: &str) -> Records {
        Records::of(self.run(&format!("preview {options}")))
    }
}

fn complete() -> Site {
    let site = Site::with_seeds(&["asia", "europe"]);
    for (seed, name) in [("asia", "a1"), ("europe", "e1")] {
        site.put(&format!("seeds/{seed}/all.json"), &[cluster(name, json!({})), node(&format!("{seed}-1"), json!({}))]);
        site.write(&format!("seeds/{seed}/version.json"), crate::site::version("v1.32.8").to_string());
        let machines = crate::site::machines(&format!("{name}-machines"), json!({}));
        site.put(&format!("user-clusters/{name}/all.json"), &[machines, node(&format!("{name}-1"), json!({}))]);
    }
    site
}

/// What is missing from a record: step, category, and whom it concerns.
fn problems(record: &Value) -> Vec<(&str, &str, Value)> {
    let problems = record["problems"].as_array().unwrap();
    assert_eq!(record["complete"], json!(problems.is_empty()), "{record}");
    let mut found: Vec<_> = problems
        .iter()
        .map(|it| (it["step"].as_str().unwrap(), it["category"].as_str().unwrap(), it["concerns"].clone()))
        .collect();
    found.sort_by_key(|(step, category, _)| (*step, *category));
    found
}

/// Insists that nothing is missing but one thing from each record, of the same kind and concerning the same.
fn lacks_only(records: &Records, category: &str, steps: [&str; 2], concerns: &Value) {
    for (record, step) in [&records.kubermatic, &records.kubernetes].into_iter().zip(steps) {
        assert_eq!(problems(record), [(step, category, concerns.clone())], "{}", records.stderr);
    }
}

/// Insists on how many rows there are.
fn counts(records: &Records, wanted: &[(&str, usize)]) {
    for (rows, count) in wanted {
        let record = if *rows == "nodes" { &records.kubernetes } else { &records.kubermatic };
        assert_eq!(record[*rows].as_array().unwrap().len(), *count, "{rows}: {}", records.stderr);
    }
}

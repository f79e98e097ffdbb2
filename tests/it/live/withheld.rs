//! What is withheld is not asked for, unless something else needs it.

use std::collections::BTreeSet;

use kubermatic_telemetry::record::canonical::Bounds;
use kubermatic_telemetry::record::document::Document;
use kubermatic_telemetry::record::withhold::{Outcome, Withholding};

use super::Live;

const KKP: &str = "/apis/kubermatic.k8c.io/v1";
const MACHINES: &str = "/apis/cluster.k8s.io/v1alpha1/machinedeployments";

/// Every path that any server was asked for, after so many requests to each.
fn asked(live: &Live, before: &[usize]) -> BTreeSet<String> {
    let requests = live.fleet.servers().zip(before).flat_map(|(server, before)| server.requests().split_off(*before));
    requests.map(|request| request.path).collect()
}

/// How many requests each server has had.
fn counted(live: &Live) -> Vec<usize> {
    live.fleet.servers().map(|server| server.requests().len()).collect()
}

/// The lines of a preview, without their times.
fn lines(live: &Live, options: &str) -> Vec<String> {
    let printed = live.run(&format!("preview --user-clusters {options}")).ok();
    assert!(!printed.stderr.contains("warning"), "{}", printed.stderr);
    let timeless = |line: &str| {
        let (before, after) = line.split_once(r#""time":""#).unwrap();
        format!(r#"{before}"time":"2026-01-31T12:00:00Z{}"#, &after[20..])
    };
    printed.stdout.lines().map(timeless).collect()
}

#[test]
fn lists_that_nothing_needs_are_not_requested_and_the_rest_is_as_it_was() {
    let users = format!("{KKP}/users");
    let (keys, projects) = (format!("{KKP}/usersshkeys"), format!("{KKP}/projects"));
    let (seeds, clusters) = (format!("{KKP}/seeds"), format!("{KKP}/clusters"));
    let (configurations, nodes) = (format!("{KKP}/kubermaticconfigurations"), "/api/v1/nodes".to_owned());
    let machines = MACHINES.to_owned();
    let cases: &[(&str, &[&String])] = &[
        ("users", &[&users]),
        ("sshKeys", &[&keys]),
        ("projects", &[&projects]),
        ("nodes", &[&nodes]),
        ("machineDeployments", &[&machines]),
        ("users,nodes,machineDeployments", &[&users, &nodes, &machines]),
        ("clusters,nodes,machineDeployments", &[&clusters, &nodes, &machines]),
        ("kubernetes", &[&nodes]),
        ("kubermatic", &[&users, &keys, &projects, &machines, &configurations]),
        ("seeds,clusters,nodes,machineDeployments", &[&seeds, &clusters, &nodes, &machines]),
        // The way to machines and nodes leads through these.
        ("seeds,clusters", &[]),
        ("locations,users.isAdmin", &[]),
    ];
    let live = Live::complete();
    live.site.desk.line("init").ok();
    let before = counted(&live);
    let whole = lines(&live, "");
    let all = asked(&live, &before);
    for path in [&users, &keys, &projects, &seeds, &clusters, &nodes, &machines, &configurations] {
        assert!(all.contains(path), "{path} is never requested");
    }
    for (names, absent) in cases {
        let before = counted(&live);
        let left = lines(&live, &format!("--omit {names}"));
        let asked = asked(&live, &before);
        let expected: BTreeSet<_> = all.iter().filter(|path| absent.contains(path)).collect();
        let missing: BTreeSet<_> = [&users, &keys, &projects, &seeds, &clusters, &nodes, &machines, &configurations]
            .into_iter()
            .filter(|path| !asked.contains(*path))
            .collect();
        assert_eq!(missing, expected, "with --omit {names}");
        let withholding = Withholding::of(names.split(',')).unwrap();
        let later = whole.iter().filter_map(|line| {
            let document = Document::parse(line.clone().into_bytes(), &Bounds::default()).unwrap();
            match withholding.apply(document.envelope().unwrap().kind.as_str(), &document).unwrap() {
                Outcome::Untouched => Some(line.clone()),
                Outcome::Reduced(document) => Some(String::from_utf8(document.into_bytes()).unwrap()),
                Outcome::Whole => None,
            }
        });
        assert_eq!(left, later.collect::<Vec<_>>(), "with --omit {names}");
    }
}

#[test]
fn what_may_not_be_listed_is_no_problem_where_it_is_withheld() {
    use crate::api::{Access, Rule};

    let live = Live::planned_complete(|plan| plan.access = Access::but(Rule::new("list", "users.kubermatic.k8c.io")));
    let records = live.read("");
    assert_eq!(records.kubermatic["complete"], false);
    let records = live.read("--omit users");
    assert_eq!(records.kubermatic["complete"], true, "{}", records.stderr);
}

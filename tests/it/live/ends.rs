//! What a run leaves behind, and what keeps it from beginning.

use serde_json::json;

use super::{Live, complete};
use crate::api::{ApiServer, Kubeconfig, Objects, Plan};
use crate::site::Records;
use crate::support::{Desk, Printed};

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
    let authority = Kubeconfig::of(&other).cluster["certificate-authority-data"].clone();
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

/// Runs a line of the command line with a value of `$KUBECONFIG`.
fn run_with(live: &Live, value: &str, typed: &str) -> Printed {
    let mut command = live.site.desk.command();
    Printed::of(command.args(typed.split(' ')).env("KUBECONFIG", value).output().unwrap())
}

#[test]
fn the_variable_kubeconfig_leads_to_the_master_of_a_collection() {
    let live = Live::complete();
    let (desk, master) = (&live.site.desk, &live.fleet.master);
    // As for kubectl, files are merged, and those that are not there are passed over.
    let cluster = master.kubeconfig_with(|it| it.current = None);
    let (cluster, _) = cluster.split_once("users:").unwrap();
    desk.file("first", cluster);
    desk.file("second", master.kubeconfig_with(|it| it.cluster = json!({"server": "https://elsewhere.invalid"})));
    run_with(&live, "missing:first:second", "collect").ok();
    Records::of(desk.line("preview")).complete();
    run_with(&live, "missing", "collect").code(1).says("missing");
    // What shows and what packs does not go looking for clusters.
    let before = master.requests().len();
    run_with(&live, "first:second", "preview").ok();
    run_with(&live, "first:second", "export -o bundle.tar").ok();
    assert_eq!(master.requests().len(), before);
}

#[test]
fn of_several_kubeconfigs_the_broken_one_is_named() {
    let live = Live::complete();
    live.site.desk.file("broken", "[words");
    let printed = run_with(&live, "kubeconfig:broken", "collect").code(1);
    assert!(printed.stderr.contains("broken"), "{}", printed.stderr);
}

#[test]
fn a_token_that_fits_into_no_header_is_an_error() {
    let live = Live::complete();
    let text = live.fleet.master.kubeconfig_with(|it| it.user = json!({"token": "two\nlines"}));
    live.site.desk.file("kubeconfig", text);
    let printed = live.run("collect").code(1);
    assert!(printed.stderr.starts_with("error: ") && !printed.stderr.contains("lines"), "{}", printed.stderr);
}

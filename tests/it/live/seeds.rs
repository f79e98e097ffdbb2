//! The ways to seeds and user clusters: Secrets, kubeconfigs, proxies, and what a kubeconfig may not do.

use std::fs;

use serde_json::{Value, json};

use super::{Live, complete, counts, lacks_only, problems};
use crate::api::{Access, ApiServer, Effect, Fault, Kubeconfig, Objects, Proxy, Rule, secret};
use crate::site::Records;

/// What a record lacks where a seed as a whole is missing.
const SEED: [&str; 2] = ["seeds", "nodes"];

/// Insists that `europe` is missing for this reason, and that everything else is there.
fn lacks_europe(live: &Live, records: &Records, category: &str) {
    lacks_only(records, category, SEED, &live.site.id("seed europe"));
    counts(records, &[("seeds", 2), ("clusters", 1), ("users", 1), ("nodes", 2)]);
    assert!(!records.stderr.contains("europe"), "seeds are told by their pseudonyms: {}", records.stderr);
}

#[test]
fn a_seed_that_hangs_ends_in_a_timeout_and_the_rest_is_there() {
    let live = Live::complete();
    live.fleet.seed("europe").fault(Fault::everywhere(Effect::Silence));
    lacks_europe(&live, &live.read("--request-timeout 3s"), "timeout");
}

#[test]
fn everything_that_hangs_ends_with_the_time_for_all() {
    let live = Live::complete();
    live.fleet.seed("europe").fault(Fault::at("/apis/kubermatic.k8c.io/v1/clusters", Effect::Hang(1)));
    live.fleet.seed("asia").fault(Fault::everywhere(Effect::Silence));
    let records = live.read("--timeout 6s");
    counts(&records, &[("seeds", 2), ("clusters", 0), ("users", 1)]);
    let [asia, europe] = ["asia", "europe"].map(|seed| live.site.id(&format!("seed {seed}")));
    let found = problems(&records.kubermatic);
    assert_eq!(found, [("clusters", "timeout", europe), ("seeds", "timeout", asia)], "{}", records.stderr);
}

#[test]
fn a_seed_that_is_down_is_unreachable() {
    let live = Live::complete();
    live.fleet.seed("europe").stop();
    lacks_europe(&live, &live.read(""), "unreachable");
}

#[test]
fn a_token_that_is_not_taken_is_unauthorized() {
    let live = Live::complete();
    live.fleet.change_kubeconfig("europe", |it| it.user = json!({"token": "an-old-one"}));
    lacks_europe(&live, &live.read(""), "unauthorized");
}

#[test]
fn a_certificate_of_another_authority_is_untrusted() {
    let live = Live::complete();
    let other = Kubeconfig::of(&ApiServer::start(Objects::new()));
    let authority = other.cluster["certificate-authority-data"].clone();
    live.fleet.change_kubeconfig("europe", |it| it.cluster["certificate-authority-data"] = authority);
    lacks_europe(&live, &live.read(""), "untrusted");
}

#[test]
fn a_certificate_for_another_name_is_untrusted() {
    let live = Live::complete();
    live.fleet.change_kubeconfig("europe", |it| it.cluster["tls-server-name"] = json!("example.invalid"));
    lacks_europe(&live, &live.read(""), "untrusted");
}

#[test]
fn a_secret_that_may_not_be_read_is_forbidden() {
    let rule = Rule::new("get", "secrets").named("kubermatic", "kubeconfig-europe");
    let live = Live::planned_complete(|plan| plan.access = Access::but(rule));
    let records = live.read("");
    lacks_europe(&live, &records, "forbidden");
    assert!(records.stderr.contains("get secrets"), "{}", records.stderr);
}

#[test]
fn a_secret_that_is_not_there_is_not_found() {
    let live = Live::complete();
    live.fleet.master.remove("secrets", "kubermatic/kubeconfig-europe");
    lacks_europe(&live, &live.read(""), "secretNotFound");
    let live = Live::complete();
    live.fleet.change_seed("europe", |seed| seed["spec"]["kubeconfig"] = Value::Null);
    lacks_europe(&live, &live.read(""), "secretNotFound");
}

#[test]
fn a_secret_whose_name_is_a_path_is_not_read() {
    let live = Live::complete();
    live.fleet.change_seed("europe", |seed| seed["spec"]["kubeconfig"]["name"] = json!("../../default/secrets/x"));
    lacks_europe(&live, &live.read(""), "secretNotFound");
    let requests = live.fleet.master.requests();
    assert!(!requests.iter().any(|request| request.path.contains("..") || request.path.contains("default")));
}

#[test]
fn a_secret_without_the_key_lacks_the_kubeconfig() {
    let live = Live::complete();
    let kubeconfig = live.fleet.seed("europe").kubeconfig();
    live.fleet.master.change(|it| it.put(secret("kubermatic", "kubeconfig-europe", "config", &kubeconfig)));
    lacks_europe(&live, &live.read(""), "kubeconfigMissing");
    live.fleet.put_kubeconfig("europe", "");
    lacks_europe(&live, &live.read(""), "kubeconfigMissing");
}

#[test]
fn what_is_no_kubeconfig_is_invalid() {
    let live = Live::complete();
    let sound = live.fleet.seed("europe").kubeconfig();
    let cases = [
        "kind: [".to_owned(),
        "words".to_owned(),
        "{}".to_owned(),
        "\u{1}\u{2}".to_owned(),
        live.fleet.seed("europe").kubeconfig_with(|it| it.current = None),
        live.fleet.seed("europe").kubeconfig_with(|it| it.current = Some("other".to_owned())),
        live.fleet.seed("europe").kubeconfig_with(|it| it.cluster["server"] = json!("")),
        live.fleet.seed("europe").kubeconfig_with(|it| it.cluster["server"] = json!("not a server")),
        live.fleet.seed("europe").kubeconfig_with(|it| it.cluster["certificate-authority-data"] = json!("words")),
        live.fleet.seed("europe").kubeconfig_with(|it| it.cluster["proxy-url"] = json!("ftp://proxy.invalid")),
        sound.replace("clusters:", "other:"),
    ];
    for case in cases {
        live.fleet.put_kubeconfig("europe", &case);
        lacks_europe(&live, &live.read(""), "kubeconfigInvalid");
    }
    let mut binary = secret("kubermatic", "kubeconfig-europe", "kubeconfig", "");
    binary["data"]["kubeconfig"] = json!("/////w==");
    live.fleet.master.change(|it| it.put(binary));
    lacks_europe(&live, &live.read(""), "kubeconfigInvalid");
}

#[test]
fn a_kubeconfig_that_a_client_chokes_on_costs_only_its_seed() {
    let live = Live::complete();
    let users = [
        json!({"token": "two\nlines"}),
        json!({"token": "tok\u{1}en"}),
        json!({"token": "t\u{f6}k\u{e9}n"}),
        json!({"username": "a:b\nc", "password": "\u{1}\n"}),
        json!({"client-certificate-data": "words", "client-key-data": "words"}),
        json!({"client-certificate-data": "d29yZHM=", "client-key-data": "d29yZHM="}),
        json!({"client-certificate-data": "", "client-key-data": ""}),
        json!({}),
        Value::Null,
    ];
    let clusters = [
        ("server", json!("https://127.0.0.1:0")),
        ("server", json!("https://127.0.0.1:99999")),
        ("server", json!("https://[::1")),
        ("server", json!("https://name with spaces.invalid")),
        ("server", json!("https://user:password@")),
        ("server", json!("unix:///run/x.sock")),
        ("server", json!("http://127.0.0.1:1")),
        ("tls-server-name", json!("not a name")),
        ("tls-server-name", json!("..")),
        ("proxy-url", json!("http://")),
        ("proxy-url", json!("http://127.0.0.1:99999")),
        ("proxy-url", json!("socks5://a\nb:c@127.0.0.1:1")),
        (
            "certificate-authority-data",
            json!("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCndvcmRzCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"),
        ),
    ];
    let changes = users.map(|user| (user, None)).into_iter();
    let changes = changes.chain(clusters.map(|(member, value)| (json!({"token": "t"}), Some((member, value)))));
    let (europe, mut failed) = (live.site.id("seed europe"), Vec::new());
    for (user, change) in changes {
        live.fleet.change_kubeconfig("europe", |it| {
            it.user.clone_from(&user);
            if let Some((member, value)) = &change {
                it.cluster[*member].clone_from(value);
            }
        });
        let printed = live.run("preview");
        if printed.code != 0 {
            failed.push(format!("{user} {change:?}: {}", printed.stderr));
            continue;
        }
        let records = Records::of(printed);
        let of_europe = |record| problems(record).iter().filter(|it| it.2 == europe).count();
        assert_eq!((of_europe(&records.kubermatic), of_europe(&records.kubernetes)), (1, 1), "{user} {change:?}");
        counts(&records, &[("seeds", 2), ("clusters", 1), ("users", 1), ("nodes", 2)]);
    }
    assert!(failed.is_empty(), "{} of them ended everything: {failed:#?}", failed.len());
}

#[test]
fn a_kubeconfig_from_a_secret_runs_no_program_and_reads_no_file() {
    let live = Live::complete();
    let desk = &live.site.desk;
    let token = desk.file("token", live.fleet.seed("europe").token());
    let (certificate, key) = live.fleet.seed("europe").client_pems();
    let (certificate, key) = (desk.file("client.pem", certificate), desk.file("client-key.pem", key));
    let authority = desk.file("ca.pem", live.fleet.seed("europe").ca_pem());
    let (plugin, trace) = plugin(&live, live.fleet.seed("europe").token());
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": "Never"});
    let helper = json!({"cmd-path": plugin, "token-key": "{.status.token}", "expiry-key": "{.none}"});
    let users = [
        json!({ "exec": exec }),
        json!({"exec": exec, "token": live.fleet.seed("europe").token()}),
        json!({"auth-provider": {"name": "gcp", "config": helper}}),
        json!({"auth-provider": {"name": "oidc", "config": {}}, "token": live.fleet.seed("europe").token()}),
        json!({ "tokenFile": token }),
        json!({"client-certificate": certificate, "client-key": key}),
    ];
    for user in users {
        live.fleet.change_kubeconfig("europe", |it| it.user = user.clone());
        let records = live.read("");
        lacks_europe(&live, &records, "kubeconfigRefused");
        assert!(!trace.exists(), "{user} ran a program");
    }
    live.fleet.change_kubeconfig("europe", |it| {
        it.cluster["certificate-authority"] = json!(authority);
        it.cluster.as_object_mut().unwrap().remove("certificate-authority-data");
    });
    let records = live.read("");
    lacks_europe(&live, &records, "kubeconfigRefused");
    assert!(records.stderr.contains("hint: "), "{}", records.stderr);
    let own = live.fleet.seed("europe").requests();
    assert!(own.is_empty(), "nothing was sent to it: {own:?}");
}

/// A program that leaves a trace and prints a credential, and the trace.
fn plugin(live: &Live, token: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let trace = live.site.desk.path("was-executed");
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": token},
    });
    let script = format!("#!/bin/sh\n: > '{}'\nprintf '%s' '{credential}'\n", trace.display());
    let plugin = live.site.desk.file("plugin", script);
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    (plugin, trace)
}

#[test]
fn a_user_clusters_kubeconfig_runs_no_program_either() {
    let live = Live::complete();
    let (plugin, trace) = plugin(&live, live.fleet.user_cluster("e1").token());
    let mut kubeconfig = Kubeconfig::of(live.fleet.user_cluster("e1"));
    kubeconfig.user = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": plugin}});
    let secrets = ["admin-kubeconfig", "internal-admin-kubeconfig"];
    let secrets = secrets.map(|name| kubeconfig.secret("cluster-e1", name, "kubeconfig"));
    live.fleet.seed("europe").change(|objects| secrets.into_iter().for_each(|it| objects.put(it)));
    let records = live.read("--user-clusters");
    let concerns = live.site.id("cluster e1");
    lacks_only(&records, "kubeconfigRefused", ["machineDeployments", "nodes"], &concerns);
    assert!(!trace.exists() && live.fleet.user_cluster("e1").requests().is_empty());
}

#[test]
fn a_user_cluster_without_a_secret_costs_only_itself() {
    let live = Live::complete();
    for name in ["admin-kubeconfig", "internal-admin-kubeconfig"] {
        live.fleet.seed("europe").remove("secrets", &format!("cluster-e1/{name}"));
    }
    let records = live.read("--user-clusters");
    lacks_only(&records, "secretNotFound", ["machineDeployments", "nodes"], &live.site.id("cluster e1"));
    counts(&records, &[("clusters", 2), ("machineDeployments", 1), ("nodes", 4)]);
}

#[test]
fn the_operators_own_kubeconfig_may_do_what_kubectl_lets_it() {
    let live = Live::complete();
    let (master, desk) = (&live.fleet.master, &live.site.desk);
    let wanted = live.read("").complete().timeless();
    let (plugin, trace) = plugin(&live, master.token());
    desk.file("keys/token", master.token());
    let (certificate, key) = master.client_pems();
    desk.file("keys/client.pem", certificate);
    desk.file("keys/client-key.pem", key);
    desk.file("keys/ca.pem", master.ca_pem());
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": "Never"});
    let users = [
        json!({ "exec": exec }),
        json!({"tokenFile": "token"}),
        json!({"client-certificate": "client.pem", "client-key": "client-key.pem"}),
        Kubeconfig::with_certificate(master).user,
    ];
    for user in users {
        // Relative paths are relative to the kubeconfig, as for kubectl.
        let text = master.kubeconfig_with(|it| {
            it.user = user.clone();
            it.cluster["certificate-authority"] = json!("ca.pem");
            it.cluster.as_object_mut().unwrap().remove("certificate-authority-data");
        });
        desk.file("keys/kubeconfig", text);
        let records = Records::of(desk.line("preview --kubeconfig keys/kubeconfig"));
        assert_eq!(records.complete().timeless(), wanted, "{user}");
    }
    assert!(trace.exists());
    let text =
        master.kubeconfig_with(|it| it.cluster = json!({"server": master.url(), "insecure-skip-tls-verify": true}));
    desk.file("keys/kubeconfig", text);
    let records = Records::of(desk.line("preview --kubeconfig keys/kubeconfig"));
    assert_eq!(records.complete().timeless(), wanted);
    let text = master.kubeconfig_with(|it| {
        it.cluster["tls-server-name"] = json!("kubernetes.default.svc.cluster.local");
        it.current = None;
    });
    desk.file("keys/kubeconfig", text);
    let records = Records::of(desk.line("preview --kubeconfig keys/kubeconfig --context kubermatic"));
    assert_eq!(records.complete().timeless(), wanted);
    let last = master.requests().pop().unwrap();
    assert_eq!(last.server_name.as_deref(), Some("kubernetes.default.svc.cluster.local"));
}

#[test]
fn namespace_and_key_of_a_secret_have_defaults() {
    let live = Live::complete();
    let kubeconfig = live.fleet.seed("europe").kubeconfig();
    live.fleet.master.remove("secrets", "kubermatic/kubeconfig-europe");
    live.fleet.master.change(|objects| {
        objects.put(secret("kubermatic", "plain", "kubeconfig", &kubeconfig));
        objects.put(secret("elsewhere", "special", "config", &kubeconfig));
    });
    let references = [
        json!({"name": "plain"}),
        json!({"name": "plain", "namespace": "", "fieldPath": ""}),
        json!({"name": "special", "namespace": "elsewhere", "fieldPath": "config"}),
    ];
    for reference in references {
        live.fleet.change_seed("europe", |seed| seed["spec"]["kubeconfig"] = reference);
        counts(&live.read("").complete(), &[("clusters", 2)]);
    }
}

#[test]
fn the_namespace_of_a_user_cluster_is_what_its_status_says() {
    let site = complete();
    let mut cluster = crate::site::cluster("e1", json!({}));
    cluster["status"] = json!({"namespaceName": "somewhere-else"});
    site.put("seeds/europe/clusters.json", &[cluster]);
    site.put("seeds/europe/all.json", &[crate::site::node("europe-1", json!({}))]);
    let live = Live::of(site);
    counts(&live.read("--user-clusters").complete(), &[("machineDeployments", 2)]);
    let secrets = live.fleet.seed("europe").requests().into_iter().filter(|request| request.path.contains("secrets"));
    assert!(secrets.into_iter().all(|request| request.path.contains("/namespaces/somewhere-else/")));
}

#[test]
fn proxy_variables_are_ignored() {
    let live = Live::complete();
    let wanted = live.read("").complete().timeless();
    let proxy = Proxy::refusing();
    let values = [proxy.url(), "not a proxy".to_owned(), "http://[::1".to_owned(), "socks5://proxy.invalid".to_owned()];
    for value in &values {
        let mut command = live.site.desk.command();
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
            command.env(name, value).env(name.to_lowercase(), value);
        }
        command.env("NO_PROXY", "[").env("no_proxy", ",");
        let output = command.args(["preview", "--kubeconfig", "kubeconfig"]).output().unwrap();
        let records = Records::of(crate::support::Printed::of(output));
        assert_eq!(records.complete().timeless(), wanted, "{value}");
    }
    assert_eq!(proxy.targets(), [] as [&str; 0]);
}

#[test]
fn the_proxy_of_a_kubeconfig_is_used() {
    let live = Live::complete();
    let (to_master, to_europe) =
        (Proxy::to(live.fleet.master.address()), Proxy::to(live.fleet.seed("europe").address()));
    let text = live.fleet.master.kubeconfig_with(|it| {
        it.cluster["proxy-url"] = json!(to_master.url());
        it.cluster["server"] = json!("https://kubernetes.default.svc.cluster.local:6443");
    });
    live.site.desk.file("kubeconfig", text);
    live.fleet.change_kubeconfig("europe", |it| it.cluster["proxy-url"] = json!(to_europe.url()));
    counts(&live.read("").complete(), &[("clusters", 2)]);
    let targets = to_master.targets();
    assert!(
        !targets.is_empty() && targets.iter().all(|it| it == "kubernetes.default.svc.cluster.local:6443"),
        "{targets:?}"
    );
    assert!(!to_europe.targets().is_empty());
    let seen = live.fleet.master.requests();
    assert!(seen.iter().all(|it| it.server_name.as_deref() == Some("kubernetes.default.svc.cluster.local")));
}

#[test]
fn a_redirect_is_not_followed() {
    // Where it leads to would get the token.
    let live = Live::complete();
    let other = ApiServer::start(Objects::new());
    live.fleet.seed("europe").fault(Fault::everywhere(Effect::Redirect(format!("{}/version", other.url()))));
    lacks_europe(&live, &live.read(""), "serverError");
    assert!(other.requests().is_empty());
}

#[test]
fn a_proxy_that_refuses_leaves_a_seed_unreachable() {
    let live = Live::complete();
    let proxy = Proxy::refusing();
    live.fleet.change_kubeconfig("europe", |it| it.cluster["proxy-url"] = json!(proxy.url()));
    lacks_europe(&live, &live.read(""), "unreachable");
    assert!(!proxy.targets().is_empty());
}

#[test]
fn a_server_s_name_may_end_with_a_dot() {
    // KKP writes it so for a master that is a seed itself.
    let live = Live::complete();
    let proxy = Proxy::to(live.fleet.seed("europe").address());
    live.fleet.change_kubeconfig("europe", |it| {
        it.cluster["proxy-url"] = json!(proxy.url());
        it.cluster["server"] = json!("https://kubernetes.default.svc.cluster.local.");
    });
    counts(&live.read("").complete(), &[("clusters", 2), ("nodes", 3)]);
    assert!(
        proxy.targets().iter().all(|it| it == "kubernetes.default.svc.cluster.local.:443"),
        "{:?}",
        proxy.targets()
    );
    let seen = live.fleet.seed("europe").requests();
    assert!(seen.iter().all(|it| it.server_name.as_deref() == Some("kubernetes.default.svc.cluster.local")));
}

#[test]
fn a_kubeconfig_that_was_given_for_a_seed_takes_the_place_of_its_secret() {
    let live = Live::complete();
    let desk = &live.site.desk;
    desk.file("europe.kubeconfig", live.fleet.seed("europe").kubeconfig());
    desk.file("asia.kubeconfig", live.fleet.seed("asia").kubeconfig());
    let given = "--kubeconfig-for europe=europe.kubeconfig --kubeconfig-for asia=asia.kubeconfig";
    let records = live.read(given).complete();
    counts(&records, &[("clusters", 2), ("nodes", 3)]);
    let secrets = live.fleet.master.requests().into_iter().filter(|request| request.path.contains("/secrets"));
    assert_eq!(secrets.count(), 0);
    assert!(!records.stderr.contains("warning"), "{}", records.stderr);
}

#[test]
fn a_kubeconfig_that_was_given_for_a_user_cluster_leads_there() {
    let live = Live::complete();
    live.site.desk.file("e1.kubeconfig", live.fleet.user_cluster("e1").kubeconfig());
    let records = live.read("--kubeconfig-for e1=e1.kubeconfig").complete();
    counts(&records, &[("machineDeployments", 1), ("nodes", 4)]);
    assert!(live.fleet.servers().all(|server| !server.requests().iter().any(|it| it.path.contains("/secrets/admin"))));
    assert!(live.fleet.user_cluster("a1").requests().is_empty());
}

#[test]
fn a_kubeconfig_for_nobody_is_warned_of() {
    let live = Live::complete();
    live.site.desk.file("other.kubeconfig", live.fleet.seed("europe").kubeconfig());
    let records = live.read("--kubeconfig-for nobody=other.kubeconfig").complete();
    assert!(records.stderr.contains("warning: --kubeconfig-for"), "{}", records.stderr);
    counts(&records, &[("clusters", 2)]);
    let printed = live.run("preview --kubeconfig-for europe=missing.kubeconfig").code(1);
    assert!(printed.stderr.contains("missing.kubeconfig"), "{}", printed.stderr);
    live.run("preview --kubeconfig-for europe").code(2);
}

//! What goes over the wire, seen by a proxy in front of the master: nothing but reading, and lists that change meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Once};

use serde_json::Value;

use crate::agent::Agent;
use crate::harness::http::Message;
use crate::harness::kinds::{self, Kind};
use crate::harness::load::{define, load};
use crate::harness::servers::{ApiServer, ControlPlane};
use crate::harness::site::Site;
use crate::permissions::{Page, grant};
use crate::proxy::Proxy;
use crate::sites::{control_plane_with, minimal_definitions, sound, sound_installation};

const MASTER: &[&str] = &["telemetry-master.yaml", "telemetry-seed-secrets.yaml"];

/// The method, path and query of a request.
fn target(request: &Message) -> (&str, &str, &str) {
    let mut words = request.start.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (method, path, query)
}

#[test]
fn the_master_is_asked_for_what_the_page_lists_and_nothing_else() {
    let Some(site) = sound() else { return };
    let token = grant(&site.master, &Page::read().objects(MASTER), "requests");
    let requests = Arc::new(Mutex::new(Vec::new()));
    let proxy = Proxy::start(&site.master, {
        let requests = Arc::clone(&requests);
        Arc::new(move |request, answer| requests.lock().unwrap().push((request.start.clone(), answer.status())))
    });
    Agent::new().look_with(&proxy.kubeconfig(&token), &["--page-size", "2"]).has_problems(&[]);
    let requests = requests.lock().unwrap();
    let mut paths = BTreeSet::new();
    for (start, status) in &*requests {
        let request = Message { start: start.clone(), ..Message::default() };
        let (method, path, query) = target(&request);
        assert_eq!((method, *status), ("GET", 200), "{start}");
        assert!(!query.contains("watch"), "{start}");
        let is_list = path == "/api/v1/nodes" || path.starts_with("/apis/kubermatic.k8c.io/v1/");
        assert_eq!(query.contains("limit=2"), is_list, "{start}");
        paths.insert(path.to_owned());
    }
    let lists = ["kubermaticconfigurations", "seeds", "projects", "users", "usersshkeys"];
    let lists = lists.map(|plural| format!("/apis/kubermatic.k8c.io/v1/{plural}"));
    let secrets = ["asia", "europe", "onprem"];
    let secrets = secrets.map(|seed| format!("/api/v1/namespaces/kubermatic/secrets/{seed}-kubeconfig"));
    let single = ["/version", "/apis/kubermatic.k8c.io/v1", "/api/v1/namespaces/kube-system", "/api/v1/nodes"];
    let expected: BTreeSet<_> = lists.into_iter().chain(secrets).chain(single.map(str::to_owned)).collect();
    assert_eq!(paths, expected);
}

/// The paths that the master is asked for in a preview.
fn asked_for(site: &Site, token: &str, options: &[&str]) -> BTreeSet<String> {
    let paths = Arc::new(Mutex::new(BTreeSet::new()));
    let proxy = Proxy::start(&site.master, {
        let paths = Arc::clone(&paths);
        Arc::new(move |request, _| {
            paths.lock().unwrap().insert(target(request).1.to_owned());
        })
    });
    Agent::new().look_with(&proxy.kubeconfig(token), options).has_problems(&[]);
    paths.lock().unwrap().clone()
}

#[test]
fn what_is_withheld_is_not_requested_from_the_api_server() {
    let Some(site) = sound() else { return };
    let token = grant(&site.master, &Page::read().objects(MASTER), "withheld");
    let all = asked_for(site, &token, &[]);
    let kkp = |plural: &str| format!("/apis/kubermatic.k8c.io/v1/{plural}");
    let nodes = || "/api/v1/nodes".to_owned();
    let cases = [
        ("users", vec![kkp("users")]),
        ("sshKeys", vec![kkp("usersshkeys")]),
        ("projects", vec![kkp("projects")]),
        ("nodes", vec![nodes()]),
        ("kubernetes,users,sshKeys", vec![nodes(), kkp("users"), kkp("usersshkeys")]),
        ("locations,clusters.cniPlugin,users.isAdmin", Vec::new()),
    ];
    for (names, absent) in cases {
        let asked = asked_for(site, &token, &["--omit", names]);
        let expected: BTreeSet<_> = all.iter().filter(|path| !absent.contains(path)).cloned().collect();
        assert!(expected.len() + absent.len() == all.len(), "{absent:?} is never asked for");
        assert_eq!(asked, expected, "with --omit {names}");
    }
}

#[test]
fn what_is_withheld_needs_no_permission() {
    let Some(site) = sound() else { return };
    let mut objects = Page::read().objects(MASTER);
    for rule in
        objects.iter_mut().filter_map(|object| object.get_mut("rules")).filter_map(Value::as_array_mut).flatten()
    {
        let resources = rule["resources"].as_array_mut().unwrap();
        resources.retain(|resource| !["users", "usersshkeys"].iter().any(|withheld| resource == withheld));
    }
    for object in &mut objects {
        if let Some(rules) = object.get_mut("rules").and_then(Value::as_array_mut) {
            rules.retain(|rule| rule["resources"].as_array().is_none_or(|resources| !resources.is_empty()));
        }
    }
    let token = grant(&site.master, &objects, "withheld-without");
    let agent = Agent::new();
    let kubeconfig = site.master.kubeconfig(&token);
    let (users, keys) = (("users", "forbidden"), ("sshKeys", "forbidden"));
    let incomplete = agent.look_with(&kubeconfig, &[]);
    let problems = incomplete.records[0]["problems"].as_array().unwrap();
    for (step, category) in [users, keys] {
        assert!(problems.iter().any(|it| it["step"] == step && it["category"] == category), "{problems:?}");
    }
    agent.look_with(&kubeconfig, &["--omit", "users,sshKeys"]).has_problems(&[]);
}

/// A master without seeds, whose lists a test may change.
struct Changing {
    plane: Arc<ControlPlane>,
    server: Arc<ApiServer>,
    token: String,
}

impl Changing {
    fn new() -> Option<Self> {
        // Without the cache etcd alone knows what was; with it, a server remembers a while what etcd has forgotten.
        let plane = Arc::new(control_plane_with(&["--watch-cache=false"])?);
        let server = Arc::new(plane.servers(&["changing"]).remove(0));
        define(&server.admin, &minimal_definitions());
        let mut objects = sound_installation().master;
        objects.retain(|object| object["kind"] != "Seed");
        assert!(load(&server.admin, &objects).is_empty());
        let token = grant(&server, &Page::read().objects(&["telemetry-master.yaml"]), "changing");
        Some(Self { plane, server, token })
    }

    fn names(&self, kind: &Kind) -> Vec<String> {
        let list = self.server.admin.get(&kind.list());
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
        list["items"].as_array().unwrap().iter().map(name).collect()
    }

    /// A proxy that does something once, between the first page of the projects and the second.
    fn after_first_page(&self, statuses: &Arc<Mutex<Vec<u16>>>, act: impl Fn() + Send + Sync + 'static) -> Proxy {
        let (once, statuses) = (Once::new(), Arc::clone(statuses));
        Proxy::start(
            &self.server,
            Arc::new(move |request, answer| {
                if target(request).1.ends_with("/projects") {
                    statuses.lock().unwrap().push(answer.status());
                    once.call_once(&act);
                }
            }),
        )
    }
}

#[test]
fn what_is_deleted_between_two_pages_neither_breaks_the_list_nor_doubles_a_row() {
    let Some(changing) = Changing::new() else { return };
    let (projects, statuses) = (changing.names(&kinds::PROJECTS), Arc::default());
    let proxy = changing.after_first_page(&statuses, {
        let server = Arc::clone(&changing.server);
        // One that was read already, and one that comes later.
        let doomed = [projects.first().unwrap().clone(), projects.last().unwrap().clone()];
        move || doomed.iter().for_each(|name| drop(server.admin.delete(&format!("{}/{name}", kinds::PROJECTS.list()))))
    });
    let found = Agent::new().look_with(&proxy.kubeconfig(&changing.token), &["--page-size", "2"]);
    found.has_problems(&[]);
    assert_eq!(changing.names(&kinds::PROJECTS), projects[1..projects.len() - 1]);
    // A continued list is of the time when it began.
    assert_eq!(found.count("kubermatic", "projects"), projects.len());
    assert_eq!(statuses.lock().unwrap()[..], [200, 200, 200]);
}

#[test]
fn a_list_that_the_server_forgets_between_two_pages_is_read_anew() {
    let Some(changing) = Changing::new() else { return };
    let (projects, statuses) = (changing.names(&kinds::PROJECTS), Arc::default());
    let proxy = changing.after_first_page(&statuses, {
        let (server, plane) = (Arc::clone(&changing.server), Arc::clone(&changing.plane));
        let doomed = projects.first().unwrap().clone();
        move || {
            server.admin.delete(&format!("{}/{doomed}", kinds::PROJECTS.list()));
            plane.compact();
        }
    });
    let found = Agent::new().look_with(&proxy.kubeconfig(&changing.token), &["--page-size", "2"]);
    found.has_problems(&[]);
    assert_eq!(found.count("kubermatic", "projects"), projects.len() - 1);
    assert_eq!(statuses.lock().unwrap()[..], [200, 410, 200, 200, 200]);
}

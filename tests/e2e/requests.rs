//! What goes over the wire, seen by a proxy in front of the master: nothing but reading, and lists that change meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::agent::Agent;
use crate::harness::http::Message;
use crate::harness::kinds;
use crate::harness::load::{define, load};
use crate::permissions::{Page, grant};
use crate::proxy::Proxy;
use crate::sites::{control_plane, minimal_definitions, sound, sound_installation};

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

#[test]
fn what_is_deleted_between_two_pages_neither_breaks_the_list_nor_doubles_a_row() {
    let Some(plane) = control_plane() else { return };
    let server = Arc::new(plane.servers(&["changing"]).remove(0));
    define(&server.admin, &minimal_definitions());
    let mut objects = sound_installation().master;
    objects.retain(|object| object["kind"] != "Seed");
    assert!(load(&server.admin, &objects).is_empty());
    let token = grant(&server, &Page::read().objects(&["telemetry-master.yaml"]), "deletion");
    let names = |kind: &kinds::Kind| -> Vec<String> {
        let list = server.admin.get(&kind.list());
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
        list["items"].as_array().unwrap().iter().map(name).collect()
    };
    let (projects, users) = (names(&kinds::PROJECTS), names(&kinds::USERS));
    let proxy = Proxy::start(&server, {
        let (server, projects) = (Arc::clone(&server), projects.clone());
        let deleted = Mutex::new(false);
        Arc::new(move |request, _| {
            let (_, path, query) = target(request);
            let mut deleted = deleted.lock().unwrap();
            if path.ends_with("/projects") && !query.contains("continue") && !*deleted {
                *deleted = true;
                // One that was read already, and one that comes later.
                for name in [projects.first().unwrap(), projects.last().unwrap()] {
                    server.admin.delete(&format!("{}/{name}", kinds::PROJECTS.list()));
                }
            }
        })
    });
    let agent = Agent::new();
    let found = agent.look_with(&proxy.kubeconfig(&token), &["--page-size", "2"]);
    found.has_problems(&[]);
    assert_eq!(names(&kinds::PROJECTS), projects[1..projects.len() - 1]);
    // A continued list is of the time when it began.
    assert_eq!(found.count("kubermatic", "projects"), projects.len());
    assert_eq!(found.count("kubermatic", "users"), users.len());
}

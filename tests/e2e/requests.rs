//! What goes over the wire, seen by a proxy in front of the master: nothing but reading, and lists that change meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Once};

use serde_json::Value;

use crate::agent::Agent;
use crate::harness::http::Message;
use crate::harness::kinds::{self, Kind};
use crate::harness::load::{define, load};
use crate::harness::servers::{ApiServer, ControlPlane};
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

//! Loads objects into an API server, as far as a server takes what another one has written.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::kinds::{self, Kind, OF_INSTALLATIONS};
use super::objects::namespace;

/// How long a server may take to serve a new kind; many times what it needs.
const LONGEST_DEFINITION: Duration = Duration::from_mins(1);

/// What only the server itself may set.
const BY_SERVER: &[&str] =
    &["uid", "resourceVersion", "creationTimestamp", "managedFields", "deletionTimestamp", "generation", "selfLink"];

const UNKNOWN_UID: &str = "00000000-0000-0000-0000-000000000000";

/// Keeps an object that is being deleted, where its own finalizers do not.
const FINALIZER: &str = "e2e.kubermatic.k8c.io/keep";

/// An object that a server would not take, and what it said.
#[derive(Debug)]
pub struct Rejected {
    pub name: String,
    pub answer: Answer,
}

/// Defines kinds, and waits until the server serves them.
pub fn define(client: &Client, definitions: &[Value]) {
    for definition in definitions {
        client.create(definition).ok();
    }
    let defined = OF_INSTALLATIONS.iter().filter(|kind| definitions.iter().any(|it| kind.is_defined_by(it)));
    let begin = Instant::now();
    for kind in defined {
        while !is_served(client, kind) {
            assert!(begin.elapsed() < LONGEST_DEFINITION, "{} is not served", kind.plural);
            sleep(Duration::from_millis(50));
        }
    }
}

/// Takes a kind away, with all objects of it, and waits until the server serves it no longer.
pub fn undefine(client: &Client, kind: &Kind) {
    client.delete(&format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}", kind.definition()));
    let begin = Instant::now();
    while is_served(client, kind) || client.request("GET", &kind.list(), None).unwrap().status != 404 {
        assert!(begin.elapsed() < LONGEST_DEFINITION, "{} is still served", kind.plural);
        sleep(Duration::from_millis(50));
    }
}

/// Whether a kind can be listed and is announced.
fn is_served(client: &Client, kind: &Kind) -> bool {
    let group = client.request("GET", &kind.group(), None).unwrap();
    let announced =
        group.body["resources"].as_array().is_some_and(|all| all.iter().any(|it| it["name"] == kind.plural));
    announced && client.request("GET", &format!("{}?limit=1", kind.list()), None).unwrap().status == 200
}

/// Creates objects, with several connections at once, and returns what the server would not take. Of two objects of
/// one name one counts.
pub fn load(client: &Client, objects: &[Value]) -> Vec<Rejected> {
    let namespaces: BTreeSet<_> = objects.iter().filter_map(|it| it["metadata"]["namespace"].as_str()).collect();
    for name in namespaces {
        let status = client.create(&namespace(name)).status;
        assert!(status == 201 || status == 409, "{status}");
    }
    let next = AtomicUsize::new(0);
    let worker = || {
        let client = client.clone();
        let mut rejected = Vec::new();
        while let Some(object) = objects.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(answer) = put(&client, object) {
                rejected.push(Rejected { name: object["metadata"]["name"].as_str().unwrap().to_owned(), answer });
            }
        }
        rejected
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..objects.len().min(16)).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|it| it.join().unwrap()).collect()
    })
}

/// Creates an object with its status, and begins to delete it if it was being deleted.
fn put(client: &Client, object: &Value) -> Result<(), Answer> {
    let kind = Kind::of(object).unwrap();
    let mut object = object.clone();
    let deleting = !object["metadata"]["deletionTimestamp"].is_null();
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in BY_SERVER {
        metadata.remove(*field);
    }
    for owner in metadata.get_mut("ownerReferences").and_then(Value::as_array_mut).into_iter().flatten() {
        // The server insists on one, and does not look whether it is right.
        owner.as_object_mut().unwrap().entry("uid").or_insert_with(|| json!(UNKNOWN_UID));
    }
    if deleting {
        metadata.entry("finalizers").or_insert_with(|| json!([FINALIZER]));
    }
    let answer = client.create(&object);
    match answer.status {
        201 => {}
        409 => return Ok(()),
        _ => return Err(answer),
    }
    let mut created = answer.body;
    // Where the status has a request of its own, the server leaves it out here.
    if kind.status && object.get("status").is_some() && created.get("status").is_none() {
        created["status"] = object["status"].take();
        let answer = client.set_status(&created);
        if answer.status != 200 {
            // Half an object would be another one than what was given.
            client.delete(&kind.path(&object));
            return Err(answer);
        }
    }
    if deleting {
        client.delete(&kind.path(&object));
    }
    Ok(())
}

/// Where a Seed's kubeconfig lies: namespace and name of the Secret.
pub fn kubeconfig_secret(seed: &Value) -> (&str, &str) {
    let reference = &seed["spec"]["kubeconfig"];
    let namespace = reference["namespace"].as_str().or(seed["metadata"]["namespace"].as_str());
    (namespace.unwrap_or(kinds::NAMESPACE), reference["name"].as_str().unwrap())
}

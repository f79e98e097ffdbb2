//! The rules and commands of `docs/permissions.md`, taken from it as they stand, and accounts that have these rules.

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::objects::parse_yaml;
use crate::harness::servers::ApiServer;
use crate::support::root;

/// The name that the page gives to everything; accounts of tests have it with something behind it.
const NAME: &str = "kubermatic-telemetry";

/// How long rules may take to hold; many times what they need.
const LONGEST: Duration = Duration::from_secs(30);

/// The page, in pieces.
pub struct Page {
    /// What is to be saved as a file, by its name.
    pub files: BTreeMap<String, String>,
    /// What is to be typed, in this order.
    pub commands: Vec<String>,
}

impl Page {
    /// Reads the page. Each YAML block has, in the text before it, the name of the file to save it as.
    pub fn read() -> Self {
        let text = fs::read_to_string(root().join("docs/permissions.md")).unwrap();
        let mut page = Self { files: BTreeMap::new(), commands: Vec::new() };
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("\n```") {
            let (language, after) = after.split_once('\n').unwrap();
            let (block, after) = after.split_once("\n```").unwrap();
            match language {
                "yaml" => {
                    let named = before.rsplit('`').find(|word| word.starts_with("telemetry-"));
                    page.files.insert(named.expect("the file's name").to_owned(), block.to_owned() + "\n");
                }
                "sh" => page.commands.push(block.to_owned()),
                _ => panic!("a block of {language}"),
            }
            rest = after;
        }
        page
    }

    /// The objects of some files.
    pub fn objects(&self, files: &[&str]) -> Vec<Value> {
        files.iter().flat_map(|file| parse_yaml(&self.files[*file])).collect()
    }
}

/// Applies rules for an account of its own, waits until they hold, and returns the account's token. Nobody else has
/// this `account`.
pub fn grant(server: &ApiServer, objects: &[Value], account: &str) -> String {
    let account = format!("{NAME}-{account}");
    let mut objects: Vec<_> = objects.iter().map(|object| renamed(object, &account)).collect();
    objects.sort_by_key(|object| object["kind"] != "Namespace");
    for object in &objects {
        server.admin.apply(object);
    }
    let subject = objects.iter().find(|object| object["kind"] == "ServiceAccount").expect("an account");
    let token = token(server, subject);
    let client = server.client(&token);
    for object in &objects {
        wait_for_rules(&client, object);
    }
    token
}

/// A token of a service account, as the API server makes them for pods.
pub fn token(server: &ApiServer, account: &Value) -> String {
    let text = |field: &str| account["metadata"][field].as_str().unwrap();
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{}/token", text("namespace"), text("name"));
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let answer = server.admin.request("POST", &path, Some(&request)).unwrap().ok();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

/// Gives everything that bears the page's name another one.
fn renamed(object: &Value, name: &str) -> Value {
    match object {
        Value::String(text) => match text.strip_prefix(NAME) {
            Some(rest) if rest.is_empty() || rest.starts_with('-') => Value::String(format!("{name}{rest}")),
            _ => object.clone(),
        },
        Value::Array(values) => values.iter().map(|value| renamed(value, name)).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(key, value)| (key.clone(), renamed(value, name))).collect())
        }
        other => other.clone(),
    }
}

/// The API server hears of new rules a little later than it stores them.
fn wait_for_rules(client: &Client, role: &Value) {
    let begin = Instant::now();
    let none = Vec::new();
    for rule in role["rules"].as_array().unwrap_or(&none) {
        for asked in questions(rule, role["metadata"]["namespace"].as_str()) {
            while !is_allowed(client, &asked) {
                assert!(begin.elapsed() < LONGEST, "{asked} is not allowed");
                sleep(Duration::from_millis(20));
            }
        }
    }
}

/// What a rule allows, as access reviews ask for it.
fn questions(rule: &Value, namespace: Option<&str>) -> Vec<Value> {
    let list = |field: &str| match rule[field].as_array() {
        Some(values) => values.clone(),
        None => vec![Value::Null],
    };
    let mut questions = Vec::new();
    for resource in list("resources") {
        for name in list("resourceNames") {
            questions.push(json!({
                "group": rule["apiGroups"][0],
                "resource": resource,
                "verb": rule["verbs"][0],
                "name": name,
                "namespace": namespace,
            }));
        }
    }
    questions
}

fn is_allowed(client: &Client, asked: &Value) -> bool {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": asked },
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    client.request("POST", path, Some(&review)).unwrap().body["status"]["allowed"] == true
}

//! A site in the making: objects from a few parameters, and what is collected from them.

use serde_json::{Value, json};

use crate::support::{Desk, Printed};

// Objects made from a few parameters; `more` is laid over what every object of the kind has.

pub fn object(kind: &str, name: &str, more: Value) -> Value {
    let version = match kind {
        "ConfigMap" | "Namespace" | "Node" | "Secret" => "v1",
        "MachineDeployment" => "cluster.k8s.io/v1alpha1",
        _ => "kubermatic.k8c.io/v1",
    };
    let metadata = json!({"name": name, "uid": format!("{kind}-{name}")});
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": metadata});
    lay_over(&mut object, more);
    object
}

/// Lays the members of an object over those of another, at every depth.
pub fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                lay_over(below.entry(name).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

pub fn configuration() -> Value {
    let status = json!({"kubermaticEdition": "CE", "kubermaticVersion": "v2.31.0"});
    object("KubermaticConfiguration", "kubermatic", json!({"metadata": {"namespace": "kubermatic"}, "status": status}))
}

pub fn seed(name: &str, spec: Value) -> Value {
    object("Seed", name, Value::from_iter([("metadata", json!({"namespace": "kubermatic"})), ("spec", spec)]))
}

pub fn cluster(name: &str, spec: Value) -> Value {
    let metadata = json!({"labels": {"project-id": "project"}});
    let mut cluster = object("Cluster", name, json!({"metadata": metadata, "spec": {"version": "1.33.4"}}));
    lay_over(&mut cluster["spec"], json!({"cloud": {"dc": "dc", "providerName": "aws", "aws": {}}}));
    lay_over(&mut cluster["spec"], spec);
    cluster
}

pub fn user(name: &str, spec: Value) -> Value {
    object("User", name, Value::from_iter([("spec", spec)]))
}

pub fn ssh_key(name: &str, spec: Value) -> Value {
    object("UserSSHKey", name, Value::from_iter([("spec", spec)]))
}

pub fn project(name: &str) -> Value {
    object("Project", name, json!({"spec": {"name": "a name for people"}}))
}

pub fn node(name: &str, more: Value) -> Value {
    let mut node = object("Node", name, json!({"status": {"nodeInfo": {"kubeletVersion": "v1.33.4"}}}));
    lay_over(&mut node, more);
    node
}

pub fn machines(name: &str, spec: Value) -> Value {
    let value = json!({"cloudProvider": "aws", "operatingSystem": "ubuntu"});
    let template = json!({"spec": {"providerSpec": {"value": value}, "versions": {"kubelet": "1.33.4"}}});
    let more = json!({"metadata": {"namespace": "kube-system"}, "spec": {"template": template}});
    let mut machines = object("MachineDeployment", name, more);
    lay_over(&mut machines["spec"], spec);
    machines
}

pub fn version(version: &str) -> Value {
    json!({"clientVersion": {"gitVersion": "v1.99.0"}, "serverVersion": {"gitVersion": version}})
}

/// The same object with another UID, as it is when it was copied or made anew.
pub fn copy_of(object: &Value) -> Value {
    let mut copy = object.clone();
    copy["metadata"]["uid"] = json!(format!("copy-of-{}", object["metadata"]["uid"]));
    copy
}

pub fn deleted(object: &Value) -> Value {
    let mut deleted = object.clone();
    deleted["metadata"]["deletionTimestamp"] = json!("2026-01-31T12:00:00Z");
    deleted
}

pub fn list(objects: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// Block YAML, as `kubectl -o yaml` prints it but for the quotes.
pub fn yaml(value: &Value, indent: usize) -> String {
    let margin = "  ".repeat(indent);
    let lines: Vec<_> = match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().map(|(name, value)| format!("\n{margin}{name}: {}", yaml(value, indent + 1))).collect()
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| format!("\n{margin}- {}", yaml(item, indent + 1))).collect()
        }
        scalar => vec![scalar.to_string()],
    };
    lines.concat()
}

// A site with an identity, and what is collected there.

pub struct Site {
    pub desk: Desk,
}

/// Both records, as `preview` prints them.
pub struct Records {
    pub kubermatic: Value,
    pub kubernetes: Value,
    pub stderr: String,
}

impl Site {
    /// An identity, and nothing to collect.
    pub fn empty() -> Self {
        let desk = Desk::new();
        desk.line("init").ok();
        Self { desk }
    }

    /// A master and the Seeds `names`, without folders of their own.
    pub fn with_seeds(names: &[&str]) -> Self {
        let site = Self::empty();
        site.put("master/all.json", &[configuration(), user("somebody", json!({})), node("m1", json!({}))]);
        site.put("master/seeds.json", &names.iter().map(|name| seed(name, json!({}))).collect::<Vec<_>>());
        site.write("master/version.json", version("v1.33.4").to_string());
        site
    }

    /// A complete installation: one Seed, `europe`, with one user cluster, `c1`.
    pub fn complete() -> Self {
        let site = Self::with_seeds(&["europe"]);
        site.put("seeds/europe/all.json", &[cluster("c1", json!({})), node("s1", json!({}))]);
        site
    }

    pub fn write(&self, file: &str, contents: impl AsRef<[u8]>) {
        self.desk.file(&format!("m/{file}"), contents);
    }

    /// Writes objects as `kubectl get … -o json` does.
    pub fn put(&self, file: &str, objects: &[Value]) {
        self.write(file, list(objects));
    }

    pub fn read(&self) -> Records {
        Records::of(self.desk.line("preview --manifests m"))
    }

    pub fn refused(&self, message: &str, hint: &str) {
        for line in ["preview --manifests m", "collect --manifests m"] {
            let printed = self.desk.line(line).code(1).says(&format!("error: {message}"));
            assert_eq!(printed.stdout, "");
            printed.says(&format!("\n\nhint: {hint}"));
        }
        assert!(!self.desk.state().join("store").exists());
    }

    /// The pseudonym that `pseudonym TYPE NAME` prints; `what` may end with options.
    pub fn id(&self, what: &str) -> Value {
        let printed = self.desk.line(&format!("pseudonym {what}")).ok();
        json!(printed.stdout.split('\t').next().unwrap())
    }

    pub fn ids(&self, kind: &str, names: &[&str]) -> Value {
        let mut ids: Vec<_> = names.iter().map(|name| self.id(&format!("{kind} {name}"))).collect();
        ids.sort_by_key(ToString::to_string);
        json!(ids)
    }

    pub fn problem(&self, step: &str, category: &str, what: &str) -> Value {
        json!({"category": category, "concerns": self.id(what), "step": step})
    }
}

impl Records {
    /// What `preview` printed.
    pub fn of(printed: Printed) -> Self {
        let Printed { stdout, stderr, .. } = printed.ok();
        let records: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |kind| records.iter().find(|record| record["kind"] == kind).unwrap().clone();
        Self { kubermatic: of("kubermatic"), kubernetes: of("kubernetes"), stderr }
    }

    /// Insists that nothing is missing.
    pub fn complete(self) -> Self {
        for record in [&self.kubermatic, &self.kubernetes] {
            assert_eq!((&record["complete"], &record["problems"]), (&json!(true), &json!([])), "{record}");
        }
        self
    }

    pub fn ids(&self, rows: &str) -> Value {
        let (record, key) = if rows == "nodes" { (&self.kubernetes, "id") } else { (&self.kubermatic, "uuid") };
        record[rows].as_array().unwrap().iter().map(|row| row[key].clone()).collect()
    }

    /// The records without their times, to be compared.
    pub fn timeless(mut self) -> [Value; 2] {
        for record in [&mut self.kubermatic, &mut self.kubernetes] {
            record.as_object_mut().unwrap().remove("time");
        }
        [self.kubermatic, self.kubernetes]
    }
}

pub fn row(rows: &Value, id: &Value) -> Value {
    let found = rows.as_array().unwrap().iter().find(|row| row["uuid"] == *id || row["id"] == *id);
    found.unwrap_or_else(|| panic!("{id} is not in {rows}")).clone()
}

pub fn sorted(problems: &[Value]) -> Value {
    let mut problems = problems.to_vec();
    problems.sort_by_key(ToString::to_string);
    json!(problems)
}

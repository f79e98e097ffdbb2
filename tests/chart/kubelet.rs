//! What a cluster would do with pods: a Deployment's pod runs on, a Job's pod and a pod of its own run to their end. It
//! leaves scripts and logs where the shells of `typing` find them, in place of `kubectl exec` and `kubectl logs`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::helm::NAMESPACE;
use crate::pods::Pod;
use crate::releases::Cluster;
use crate::walks::Running;

const TIME: &str = "2026-01-01T00:00:00Z";

/// Does something while pods run.
pub fn with_kubelet<T>(cluster: &Cluster, folder: &Path, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut kubelet = Kubelet { cluster, folder, seen: BTreeSet::new(), running: None };
            while !done.load(Ordering::Relaxed) {
                kubelet.look();
                sleep(Duration::from_millis(200));
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

struct Kubelet<'c> {
    cluster: &'c Cluster,
    folder: &'c Path,
    /// Jobs and pods that have run.
    seen: BTreeSet<String>,
    /// The Deployment's UID and generation, and its container.
    running: Option<(String, Running)>,
}

impl Kubelet<'_> {
    fn look(&mut self) {
        for job in self.list("/apis/batch/v1", "jobs") {
            if self.seen.insert(uid(&job)) {
                self.finish_job(&job);
            }
        }
        for pod in self.list("/api/v1", "pods") {
            if self.seen.insert(uid(&pod)) {
                self.finish_pod(&pod);
            }
        }
        let deployments = self.list("/apis/apps/v1", "deployments");
        let wanted = deployments.first().filter(|it| it["spec"]["replicas"] == 1);
        let name = wanted.map(|it| format!("{} {}", uid(it), it["metadata"]["generation"]));
        if self.running.as_ref().map(|(name, _)| name) != name.as_ref() {
            let _ = fs::remove_file(self.folder.join("agent"));
            // One at a time, as with the strategy Recreate.
            if let Some((_, running)) = self.running.take() {
                running.stop();
            }
            if let (Some(deployment), Some(name)) = (wanted, name) {
                let pod = self.pod(&deployment["spec"]["template"]);
                pod.run("identity").ok();
                self.running = Some((name, Running::start(&pod, "agent", None)));
                std::os::unix::fs::symlink(pod.script("agent"), self.folder.join("agent")).unwrap();
            }
        }
    }

    fn list(&self, group: &str, plural: &str) -> Vec<Value> {
        let list = self.cluster.server.admin.get(&format!("{group}/namespaces/{NAMESPACE}/{plural}"));
        list["items"].as_array().unwrap().clone()
    }

    fn pod(&self, template: &Value) -> Pod {
        Pod::new(&self.cluster.server, NAMESPACE, template, self.cluster.disk())
    }

    /// Runs the containers of a job's pod in order, and says that it is complete if they all ended well.
    fn finish_job(&self, job: &Value) {
        let pod = self.pod(&job["spec"]["template"]);
        let (mut log, mut failed) = (String::new(), false);
        for name in pod.names() {
            let printed = pod.run(&name);
            for line in printed.stdout.lines().chain(printed.stderr.lines()) {
                writeln!(log, "[pod/{name}] {line}").unwrap();
            }
            failed |= printed.code != 0;
        }
        fs::write(self.folder.join("log"), log).unwrap();
        let kind = if failed { ["FailureTarget", "Failed"] } else { ["SuccessCriteriaMet", "Complete"] };
        let conditions: Vec<_> =
            kind.iter().map(|kind| json!({ "type": kind, "status": "True", "lastTransitionTime": TIME })).collect();
        let start = job["metadata"]["creationTimestamp"].clone();
        let mut status = json!({ "startTime": start, "conditions": conditions, "uncountedTerminatedPods": {} });
        if !failed {
            status["completionTime"] = start;
            status["succeeded"] = json!(1);
        }
        self.set_status(job, "batch/v1", "Job", "/apis/batch/v1", "jobs", status);
    }

    fn finish_pod(&self, object: &Value) {
        let pod = self.pod(object);
        let good = pod.names().iter().all(|name| pod.run(name).code == 0);
        let status = json!({ "phase": if good { "Succeeded" } else { "Failed" } });
        self.set_status(object, "v1", "Pod", "/api/v1", "pods", status);
    }

    fn set_status(&self, object: &Value, version: &str, kind: &str, group: &str, plural: &str, status: Value) {
        let mut object = object.clone();
        (object["apiVersion"], object["kind"], object["status"]) = (json!(version), json!(kind), status);
        let name = object["metadata"]["name"].as_str().unwrap();
        let path = format!("{group}/namespaces/{NAMESPACE}/{plural}/{name}/status");
        self.cluster.server.admin.request("PUT", &path, Some(&object)).unwrap().ok();
    }
}

impl Drop for Kubelet<'_> {
    fn drop(&mut self) {
        if let Some((_, running)) = self.running.take() {
            running.stop();
        }
    }
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap().to_owned()
}

//! Helm and the chart: rendering without a cluster, and releases on an API server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::objects::parse_yaml;
use crate::harness::servers::ApiServer;
use crate::support::{Printed, root, skip};

/// The namespace that KKP's installer puts telemetry into.
pub const NAMESPACE: &str = "telemetry-system";
/// The release's name, as KKP's installer has it.
pub const RELEASE: &str = "telemetry";
/// What the air-gapped mode can't be without; API servers of tests are on loopback.
pub const AIR_GAPPED: &str = "mode: airgapped\nnetworkPolicy: {apiServers: {cidrs: [127.0.0.0/8]}}\n";

/// A program that the script `tests/chart/tools/build` has built.
pub fn tool(name: &str) -> Option<PathBuf> {
    let Some(tools) = std::env::var_os("CHART_TOOLS") else {
        skip("CHART_TOOLS is not set; export CHART_TOOLS=$(tests/chart/tools/build)");
        return None;
    };
    let program = PathBuf::from(tools).join(name);
    assert!(program.is_file(), "CHART_TOOLS has no {name}: {}", program.display());
    Some(program)
}

/// The chart's directory.
pub fn chart() -> PathBuf {
    root().join("deploy/helm/kubermatic-telemetry")
}

/// Helm with nothing of this machine's configuration.
pub struct Helm {
    program: PathBuf,
    home: TempDir,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// Helm that reaches no cluster; nothing if it has not been built.
    pub fn offline() -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        Some(Self { program: tool("helm")?, home, kubeconfig: None })
    }

    /// Helm as an administrator of a cluster.
    pub fn of(server: &ApiServer) -> Option<Self> {
        let mut helm = Self::offline()?;
        let kubeconfig = helm.home.path().join("kubeconfig");
        fs::write(&kubeconfig, server.admin_kubeconfig()).unwrap();
        helm.kubeconfig = Some(kubeconfig);
        Some(helm)
    }

    /// The variables that a shell needs to run Helm as this one.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let mut variables = vec![("HOME", self.home.path().to_owned())];
        variables.extend(self.kubeconfig.clone().map(|file| ("KUBECONFIG", file)));
        variables
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs Helm with values, which are YAML.
    pub fn run(&self, arguments: &[&str], values: &str) -> Printed {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile_in(self.home.path()).unwrap();
        fs::write(file.path(), values).unwrap();
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().envs(self.environment()).current_dir(self.home.path());
        if !values.is_empty() {
            command.arg("--values").arg(file.path());
        }
        Printed::of(command.output().unwrap())
    }

    /// What the chart renders, as text.
    pub fn render(&self, values: &str) -> Printed {
        let chart = chart();
        self.run(&["template", RELEASE, chart.to_str().unwrap(), "--namespace", NAMESPACE], values)
    }

    /// The objects that the chart renders.
    pub fn objects(&self, values: &str) -> Vec<Value> {
        let objects = parse_yaml(&self.render(values).ok().stdout);
        objects.into_iter().filter(|object| !object.is_null()).collect()
    }

    /// A verb on the release, such as `install`, with the chart.
    pub fn release(&self, verb: &str, values: &str) -> Printed {
        let chart = chart();
        self.run(&[verb, RELEASE, chart.to_str().unwrap(), "--namespace", NAMESPACE], values)
    }

    pub fn uninstall(&self) -> Printed {
        self.run(&["uninstall", RELEASE, "--namespace", NAMESPACE], "")
    }
}

/// The object of a kind; the first, if there are several.
pub fn of_kind<'o>(objects: &'o [Value], kind: &str) -> Option<&'o Value> {
    objects.iter().find(|object| object["kind"] == kind)
}

/// The pod that an object describes, if it does.
pub fn pod_of(object: &Value) -> Option<&Value> {
    match object["kind"].as_str()? {
        "CronJob" => Some(&object["spec"]["jobTemplate"]["spec"]["template"]),
        "Deployment" => Some(&object["spec"]["template"]),
        "Pod" => Some(object),
        _ => None,
    }
}

/// The init containers and then the containers of a pod.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
    lists.into_iter().flatten().flatten()
}

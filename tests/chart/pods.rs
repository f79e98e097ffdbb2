//! Pods without a kubelet: each container is the program as it was rendered, with the same arguments, environment, user
//! and volumes, in a read-only root of its own.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::servers::ApiServer;
use crate::helm::containers;
use crate::permissions::token;
use crate::support::{Printed, skip};

/// Makes the root out of what the image has (here: what a program needs that is not static), mounts volumes, and
/// enters it. `$mounts` has lines of source, target and mode; `$TRACE` has strace write what the network hears of it.
const ENTER: &str = r#"
set -e
mount -t tmpfs tmpfs "$root"
mkdir -p "$root"/{usr,program,etc/ssl,proc}
mount --bind /usr "$root/usr"
for name in bin lib lib64; do ln -s "usr/$name" "$root/$name"; done
mount --bind /etc/ssl "$root/etc/ssl"
touch "$root/program/kubermatic-telemetry"
mount --bind "$program" "$root/program/kubermatic-telemetry"
while read -r source target mode; do
  [ -n "$source" ] || continue
  mkdir -p "$root$target"
  mount --bind "$source" "$root$target"
  [ "$mode" = rw ] || mount -o remount,bind,ro "$root$target"
done <<< "$mounts"
mount -o remount,ro "$root"
exec ${TRACE:+strace -f -s 0 -e trace=%network -o "$TRACE"} \
  chroot --userspec="$user:$group" --groups="$group" "$root" /usr/bin/env -i "${variables[@]}" "$@"
"#;

/// Whether pods can be run here; says why not.
pub fn can_run() -> bool {
    let tried = Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        skip("`unshare` may not make a mount namespace here, which a pod's root needs");
    }
    can
}

/// A pod whose volumes are directories.
pub struct Pod {
    spec: Value,
    disk: PathBuf,
    volumes: Vec<(String, PathBuf)>,
    /// What the kubelet adds to every container's environment.
    api: [(&'static str, String); 2],
    secrets: Value,
}

impl Pod {
    /// Makes a pod of a template's `spec`. Claims are directories in `disk`, which outlive it as volumes do.
    pub fn new(server: &ApiServer, namespace: &str, template: &Value, disk: &Path) -> Self {
        let spec = template["spec"].clone();
        let secrets = server.admin.get(&format!("/api/v1/namespaces/{namespace}/secrets"));
        let address = server.address;
        let api = [
            ("KUBERNETES_SERVICE_HOST", address.ip().to_string()),
            ("KUBERNETES_SERVICE_PORT", address.port().to_string()),
        ];
        let scratch = tempfile::Builder::new().prefix("pod-").tempdir_in(disk).unwrap().keep();
        let mut pod = Self { spec, disk: scratch, volumes: Vec::new(), api, secrets };
        for volume in pod.spec["volumes"].as_array().unwrap().clone() {
            let name = volume["name"].as_str().unwrap().to_owned();
            let directory = pod.volume(server, namespace, &volume, disk);
            pod.volumes.push((name, directory));
        }
        pod
    }

    fn group(&self) -> u32 {
        u32::try_from(self.spec["securityContext"]["fsGroup"].as_u64().expect("a group that owns volumes")).unwrap()
    }

    /// The directory of a volume, as the kubelet makes it.
    fn volume(&self, server: &ApiServer, namespace: &str, volume: &Value, disk: &Path) -> PathBuf {
        let own = self.disk.join(volume["name"].as_str().unwrap());
        if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
            let claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}");
            assert_eq!(server.admin.get(&claims)["metadata"]["name"], claim, "the claim is there");
            return self.writable(disk.join("claims").join(claim));
        }
        if volume.get("emptyDir").is_some() {
            return self.writable(own);
        }
        fs::create_dir_all(&own).unwrap();
        if let Some(map) = volume.get("configMap") {
            let path = format!("/api/v1/namespaces/{namespace}/configmaps/{}", map["name"].as_str().unwrap());
            let found = server.admin.request("GET", &path, None).unwrap();
            assert!(found.status == 200 || map["optional"] == true, "{path}: {}", found.status);
            self.mounted(&own, found.body["data"].as_object().into_iter().flatten().map(text_entry));
        } else if let Some(secret) = volume.get("secret") {
            let data = self.secret(secret["secretName"].as_str().unwrap())["data"].clone();
            self.mounted(&own, data.as_object().unwrap().iter().map(|(key, value)| (key.clone(), decoded(value))));
        } else if let Some(sources) = volume["projected"]["sources"].as_array() {
            let account = json!({ "metadata": { "namespace": namespace, "name": self.spec["serviceAccountName"] } });
            let files = sources.iter().map(|source| {
                let (item, contents) = if let Some(token_of) = source.get("serviceAccountToken") {
                    (token_of["path"].clone(), token(server, &account))
                } else if let Some(map) = source.get("configMap") {
                    assert_eq!(map["name"], "kube-root-ca.crt");
                    (map["items"][0]["path"].clone(), server.authority.certificate())
                } else {
                    (source["downwardAPI"]["items"][0]["path"].clone(), namespace.to_owned())
                };
                (item.as_str().unwrap().to_owned(), contents.into_bytes())
            });
            self.mounted(&own, files);
        } else {
            panic!("a volume of another kind: {volume}");
        }
        own
    }

    /// A directory that the pod's group may write to.
    fn writable(&self, directory: PathBuf) -> PathBuf {
        if !directory.exists() {
            fs::create_dir_all(&directory).unwrap();
            chown(&directory, Some(0), Some(self.group())).unwrap();
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o2775)).unwrap();
        }
        directory
    }

    /// Files as the kubelet swaps them in: each is a link into a directory that a link leads to.
    fn mounted(&self, directory: &Path, files: impl Iterator<Item = (String, Vec<u8>)>) {
        let data = directory.join("..2026_01_01_00_00_00.1");
        fs::create_dir_all(&data).unwrap();
        symlink(data.file_name().unwrap(), directory.join("..data")).unwrap();
        for (name, contents) in files {
            fs::write(data.join(&name), contents).unwrap();
            chown(data.join(&name), Some(0), Some(self.group())).unwrap();
            fs::set_permissions(data.join(&name), fs::Permissions::from_mode(0o440)).unwrap();
            symlink(Path::new("..data").join(&name), directory.join(&name)).unwrap();
        }
    }

    fn secret(&self, name: &str) -> &Value {
        let found = self.secrets["items"].as_array().unwrap().iter().find(|it| it["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("there is no Secret {name}, which the pod would wait for"))
    }

    fn container(&self, name: &str) -> &Value {
        let pod = json!({ "spec": self.spec });
        let found = containers(&pod).position(|container| container["name"] == name);
        let lists = ["initContainers", "containers"].map(|list| self.spec[list].as_array());
        lists.into_iter().flatten().flatten().nth(found.unwrap_or_else(|| panic!("no container {name}"))).unwrap()
    }

    /// Where a volume lies.
    pub fn directory(&self, volume: &str) -> &Path {
        &self.volumes.iter().find(|(name, _)| name == volume).unwrap().1
    }

    /// A script that runs its arguments in a container, or what the container was rendered with if it has none.
    pub fn script(&self, name: &str) -> PathBuf {
        let container = self.container(name);
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let root = self.disk.join(format!("root-{name}"));
        fs::create_dir_all(&root).unwrap();
        let mut mounts = String::new();
        for mount in container["volumeMounts"].as_array().unwrap() {
            let source = self.directory(mount["name"].as_str().unwrap());
            let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
            writeln!(mounts, "{} {} {mode}", source.display(), mount["mountPath"].as_str().unwrap()).unwrap();
        }
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        let mut variables = vec![quoted("PATH=/program")];
        variables.extend(self.api.iter().map(|(name, value)| quoted(&format!("{name}={value}"))));
        for variable in container["env"].as_array().unwrap() {
            let value = variable["value"].as_str().map_or_else(|| self.referenced(variable), str::to_owned);
            variables.push(quoted(&format!("{}={value}", variable["name"].as_str().unwrap())));
        }
        let arguments = container["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap());
        let rendered: Vec<_> = ["kubermatic-telemetry"].into_iter().chain(arguments).map(quoted).collect();
        assert!(container.get("command").is_none(), "the image knows its program");
        let user = self.spec["securityContext"]["runAsUser"].as_u64().expect("a user");
        let script = format!(
            "#!/usr/bin/env bash\n# Inside a mount namespace of its own.\n\
             [ -n \"$INSIDE\" ] || INSIDE=1 exec unshare --mount \"$0\" \"$@\"\n\
             root={} program={} mounts={} user={user} group={}\nvariables=({})\n[ $# -gt 0 ] || set -- {}\n{ENTER}",
            quoted(root.to_str().unwrap()),
            quoted(env!("CARGO_BIN_EXE_kubermatic-telemetry")),
            quoted(&mounts),
            self.group(),
            variables.join(" "),
            rendered.join(" "),
        );
        let path = self.disk.join(format!("run-{name}"));
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A variable that has its value from a Secret.
    fn referenced(&self, variable: &Value) -> String {
        let reference = &variable["valueFrom"]["secretKeyRef"];
        let secret = self.secret(reference["name"].as_str().unwrap());
        String::from_utf8(decoded(&secret["data"][reference["key"].as_str().unwrap()])).unwrap()
    }

    /// A command that runs a container as it was rendered.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.script(name));
        command.stdin(Stdio::null()).env_remove("INSIDE");
        command
    }

    /// Runs a container as it was rendered, to its end.
    pub fn run(&self, name: &str) -> Printed {
        Printed::of(self.command(name).output().unwrap())
    }

    /// Runs a command in a container, as `kubectl exec` does.
    pub fn exec(&self, name: &str, line: &str) -> Printed {
        Printed::of(self.command(name).args(line.split_whitespace()).output().unwrap())
    }

    /// The names of the init containers, in order, and then of the containers.
    pub fn names(&self) -> Vec<String> {
        let pod = json!({ "spec": self.spec });
        containers(&pod).map(|container| container["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Runs the containers in order but one.
    pub fn run_all_but(&self, name: &str) -> Vec<Printed> {
        self.names().iter().filter(|it| *it != name).map(|name| self.run(name)).collect()
    }

    /// Runs the containers in order, each to a good end.
    pub fn run_all(&self) -> Vec<Printed> {
        self.names().iter().map(|name| self.run(name).ok()).collect()
    }
}

fn text_entry((key, value): (&String, &Value)) -> (String, Vec<u8>) {
    (key.clone(), value.as_str().unwrap().as_bytes().to_owned())
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

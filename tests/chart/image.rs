//! What the image consists of: the Dockerfile and the script that fills it; and, where `IMAGE_ROOT` names a directory
//! that the script has filled, what is in there.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Printed, root, say, skip, tool, walk};

/// The most that the program without the accepting side may have.
const LARGEST: u64 = 10 << 20;

/// The directory that `deploy/image/build` has filled.
fn filled() -> Option<PathBuf> {
    let Some(directory) = std::env::var_os("IMAGE_ROOT") else {
        skip("IMAGE_ROOT is not set; FEATURES=agent deploy/image/build target/image/rootfs fills one in some minutes");
        return None;
    };
    Some(directory.into())
}

#[test]
fn the_image_is_one_static_program_that_runs_as_nobody_without_anything_else() {
    let Some(image) = filled() else { return };
    let mut files = Vec::new();
    walk(&image, &mut files);
    let mut names: Vec<_> = files.iter().map(|file| file.strip_prefix(&image).unwrap().to_str().unwrap()).collect();
    names.sort_unstable();
    let expected = [
        "etc/group",
        "etc/nsswitch.conf",
        "etc/passwd",
        "etc/ssl/certs/ca-certificates.crt",
        "usr/bin/kubermatic-telemetry",
        "usr/share/doc/kubermatic-telemetry/LICENSE",
        "usr/share/doc/kubermatic-telemetry/sbom.cdx.json",
    ];
    assert_eq!(names, expected);
    for file in &files {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o6022, 0, "{}", file.display());
    }
    let program = image.join("usr/bin/kubermatic-telemetry");
    let headers = tool(&image, "readelf", &["--program-headers", "--dynamic", program.to_str().unwrap()]);
    let headers = String::from_utf8(headers.stdout).unwrap();
    assert!(!headers.contains("INTERP") && !headers.contains("NEEDED"), "it is static: {headers}");
    // Nothing tells on whose machine it was built.
    let bytes = fs::read(&program).unwrap();
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".into());
    for path in [format!("{home}/.cargo"), root().display().to_string()] {
        assert!(!bytes.windows(path.len()).any(|window| window == path.as_bytes()), "{path}");
    }
    let mut command = Command::new("chroot");
    command
        .args(["--userspec=65532:65532"])
        .arg(&image)
        .args(["/usr/bin/kubermatic-telemetry", "--version"])
        .env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    let Ok(output) = command.output() else { return skip("there is no chroot") };
    let version = Printed::of(output).ok().stdout;
    assert!(version.starts_with("kubermatic-telemetry ") && version.lines().count() == 1, "{version}");
    if !version.contains("ingest") {
        assert!(bytes.len() as u64 <= LARGEST, "{} bytes are more than {LARGEST}", bytes.len());
    }
    if !version.contains("pages") {
        let of_pages = b"default-src 'none'; style-src";
        assert!(!bytes.windows(of_pages.len()).any(|window| window == of_pages), "there is something of pages in it");
    }
    say("measured", &format!("{} bytes: {}", bytes.len(), version.trim()));
}

#[test]
fn the_bill_of_materials_lists_what_is_in_the_program() {
    let Some(image) = filled() else { return };
    let text = fs::read_to_string(image.join("usr/share/doc/kubermatic-telemetry/sbom.cdx.json")).unwrap();
    let bill: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert_eq!(bill["metadata"]["component"]["name"], "kubermatic-telemetry");
    let components = bill["components"].as_array().unwrap();
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    for name in ["kube", "ed25519-dalek", "rustls", "serde_json"] {
        assert!(has(name), "{name}");
    }
    assert!(!has("proptest") && !has("rcgen"), "what only tests use is not in it");
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for component in components {
        let (name, version) = (component["name"].as_str().unwrap(), component["version"].as_str().unwrap());
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")), "{name} {version}");
    }
    assert!(!text.contains(root().to_str().unwrap()) && bill.get("serialNumber").is_none(), "the same each time");
}

/// The image in a root of its own, whose program looks a name up.
struct Lookup {
    scratch: TempDir,
    port: u16,
}

impl Lookup {
    fn new(image: &Path) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let copy = scratch.path().join("root");
        tool(scratch.path(), "cp", &["-a", image.to_str().unwrap(), copy.to_str().unwrap()]);
        fs::copy(root().join("testdata/bundles/vectors/one-record.tar"), copy.join("tmp/bundle.tar")).unwrap();
        fs::copy(root().join("testdata/keys/snakeoil-client.pub.pem"), copy.join("tmp/key.pem")).unwrap();
        let [port] = crate::harness::servers::free_ports();
        Self { scratch, port }
    }

    /// What is said when a bundle is sent to a server that does not listen: whether its name led anywhere.
    fn look(&self, resolver: &str, hosts: &str, name: &str) -> String {
        let copy = self.scratch.path().join("root");
        fs::write(copy.join("etc/hosts"), format!("{hosts}\n")).unwrap();
        fs::write(copy.join("etc/resolv.conf"), format!("{resolver}\n")).unwrap();
        let mut command = Command::new("chroot");
        command.arg("--userspec=65532:65532").arg(&copy).args([
            "/usr/bin/kubermatic-telemetry",
            "send",
            "--deadline",
            "5s",
        ]);
        command.args(["--bundle", "/tmp/bundle.tar", "--receipt-key", "/tmp/key.pem"]).env_clear();
        command.args(["--url", &format!("http://{name}:{}", self.port)]).env("PATH", std::env::var_os("PATH").unwrap());
        Printed::of(command.output().unwrap()).code(1).stderr
    }
}

#[test]
fn names_are_looked_up_in_the_files_that_kubernetes_writes() {
    let Some(image) = filled() else { return };
    if !crate::pods::can_run() {
        return;
    }
    let lookup = Lookup::new(&image);
    // Nobody answers there at once.
    let resolver = "nameserver 127.0.0.154\noptions timeout:1 attempts:1";
    let found = lookup.look(resolver, "127.0.0.1 in-files.example", "in-files.example");
    assert!(found.to_lowercase().contains("refused"), "{found}");
    let missing = lookup.look(resolver, "127.0.0.1 in-files.example", "elsewhere.example");
    assert!(!missing.to_lowercase().contains("refused"), "{missing}");
}

/// Answers questions of the DNS with an address of loopback, as long as the tests run.
fn answer_names(socket: &UdpSocket) {
    let mut question = [0; 512];
    while let Ok((length, asker)) = socket.recv_from(&mut question) {
        // The question, up to its type and class; what follows are extensions.
        let end = question[12..length].iter().position(|byte| *byte == 0).unwrap() + 12 + 5;
        let is_address = question[end - 4..end - 2] == [0, 1];
        let mut answer = question[..end].to_vec();
        answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
        if is_address {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
        }
        let _ = socket.send_to(&answer, asker);
    }
}

#[test]
fn names_are_looked_up_with_dns() {
    let Some(image) = filled() else { return };
    if !crate::pods::can_run() {
        return;
    }
    let Ok(socket) = UdpSocket::bind("127.0.0.153:53") else { return skip("port 53 of 127.0.0.153 can't be had") };
    std::thread::spawn(move || answer_names(&socket));
    let looked = Lookup::new(&image).look("nameserver 127.0.0.153", "", "in-dns.example");
    assert!(looked.to_lowercase().contains("refused"), "{looked}");
}

#[test]
fn the_dockerfile_makes_the_same_image_of_it_each_time() {
    let Some(image) = filled() else { return };
    if Command::new("buildah").arg("--version").output().is_err() {
        return skip("there is no buildah");
    }
    assert!(image.ends_with("rootfs"), "the Dockerfile copies a directory of that name");
    let storage = tempfile::tempdir().unwrap();
    let buildah = |arguments: &[&str]| {
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", "vfs", "--root"]).arg(storage.path().join("root"));
        command.arg("--runroot").arg(storage.path().join("run")).args(arguments);
        Printed::of(command.output().unwrap()).ok().stdout
    };
    let (context, dockerfile) = (storage.path().join("empty"), root().join("deploy/image/Dockerfile"));
    fs::create_dir(&context).unwrap();
    // What the first stage would make is there already; a base image would have to come from a registry.
    let stage = format!("build={}", image.parent().unwrap().display());
    let builds = ["first", "second"].map(|name| {
        let tag = format!("localhost/{name}");
        let arguments =
            ["build", "--isolation", "chroot", "--timestamp", "0", "--build-context", &stage, "--tag", &tag];
        let more = ["--build-arg", "COMMIT=0123", "--no-cache", "--file", dockerfile.to_str().unwrap()];
        buildah(&[&arguments[..], &more, &[context.to_str().unwrap()]].concat());
        serde_json::from_str::<Value>(&buildah(&["inspect", "--type", "image", &tag])).unwrap()
    });
    let config = &builds[0]["OCIv1"]["config"];
    assert_eq!(
        (&config["User"], &config["Entrypoint"][0]),
        (&"65532:65532".into(), &"/usr/bin/kubermatic-telemetry".into())
    );
    let labels = &config["Labels"];
    assert_eq!(labels["org.opencontainers.image.revision"], "0123");
    for label in ["title", "description", "licenses", "vendor", "source", "version"] {
        assert!(labels[format!("org.opencontainers.image.{label}")].is_string(), "{label}");
    }
    let layers = |build: &Value| build["OCIv1"]["rootfs"]["diff_ids"].clone();
    assert_eq!(layers(&builds[0]).as_array().unwrap().len(), 1);
    assert_eq!(layers(&builds[0]), layers(&builds[1]));
}

#[test]
fn the_dockerfile_runs_the_script_and_sets_what_the_chart_counts_on() {
    let text = fs::read_to_string(root().join("deploy/image/Dockerfile")).unwrap();
    for line in [
        "  deploy/image/build /rootfs",
        "FROM scratch",
        "COPY --from=build /rootfs/ /",
        "USER 65532:65532",
        "ENTRYPOINT [\"/usr/bin/kubermatic-telemetry\"]",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}");
    }
    let version = format!("ARG VERSION={}", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&version), "{version}");
    let chart = fs::read_to_string(crate::helm::chart().join("Chart.yaml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        chart.contains(&format!("\nappVersion: {version}\n")) && chart.contains(&format!("\nversion: {version}\n"))
    );
}

//! What the image consists of: the Dockerfile and the script that fills it; and, where `IMAGE_ROOT` names a directory
//! that the script has filled, what is in there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{Printed, root, say, skip, tool, walk};

/// The most that the program without the accepting side may have.
const LARGEST: u64 = 10 << 20;

/// The directory that `deploy/image/build` has filled.
fn filled() -> Option<PathBuf> {
    let Some(directory) = std::env::var_os("IMAGE_ROOT") else {
        skip("IMAGE_ROOT is not set; FEATURES=agent deploy/image/build target/image/root fills one in some minutes");
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
    let Ok(output) = command.output() else { return skip("there is no chroot") };
    let version = Printed::of(output).ok().stdout;
    assert!(version.starts_with("kubermatic-telemetry ") && version.lines().count() == 1, "{version}");
    if !version.contains("ingest") {
        assert!(bytes.len() as u64 <= LARGEST, "{} bytes are more than {LARGEST}", bytes.len());
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

#[test]
fn names_are_looked_up_in_the_files_that_kubernetes_writes() {
    let Some(image) = filled() else { return };
    if !crate::pods::can_run() {
        return;
    }
    // Nobody listens there: what counts is that the name leads somewhere.
    let script = r#"
mount -t tmpfs tmpfs /mnt && cp -a "$1/." /mnt/ && echo "127.0.0.1 endpoint.example" > /mnt/etc/hosts
exec chroot --userspec=65532:65532 /mnt /usr/bin/kubermatic-telemetry send --bundle /tmp/bundle.tar \
  --receipt-key /tmp/key.pem --url "http://$2" --deadline 1s"#;
    let scratch = tempfile::tempdir().unwrap();
    let copy = scratch.path().join("root");
    tool(scratch.path(), "cp", &["-a", image.to_str().unwrap(), copy.to_str().unwrap()]);
    fs::copy(root().join("testdata/bundles/vectors/one-record.tar"), copy.join("tmp/bundle.tar")).unwrap();
    fs::copy(root().join("testdata/keys/snakeoil-client.pub.pem"), copy.join("tmp/key.pem")).unwrap();
    let look = |server: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", script, "image", copy.to_str().unwrap(), server]).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap());
        Printed::of(command.output().unwrap()).code(1).stderr
    };
    let [port] = crate::harness::servers::free_ports();
    let found = look(&format!("endpoint.example:{port}"));
    let missing = look(&format!("elsewhere.example:{port}"));
    assert!(found.to_lowercase().contains("refused"), "{found}");
    assert!(!missing.to_lowercase().contains("refused"), "{missing}");
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

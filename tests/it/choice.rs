//! The site's choice: which place decides, what each place can say, and how it is told when it can't be understood.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::support::{Desk, Printed, installation};

/// Runs a line with environment variables.
fn run(desk: &Desk, variables: &[(&str, &str)], line: &str) -> Printed {
    let mut command = desk.command();
    command.envs(variables.iter().copied()).args(line.split_whitespace()).stdin(std::process::Stdio::null());
    Printed::of(command.output().unwrap())
}

/// What the installation, the environment and the command line say; what holds, and which place decided.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str, bool, &'static str);

const SETTINGS: (&str, &str) = ("KUBERMATIC_TELEMETRY_SETTINGS", "settings");

/// A mounted `ConfigMap` with this data, laid out as Kubernetes does, which exchanges it as a whole.
fn mount(desk: &Desk, version: u32, data: &[(&str, &str)]) {
    let place = format!("settings/..v{version}");
    fs::create_dir_all(desk.path(&place)).unwrap();
    for (key, value) in data {
        desk.file(&format!("{place}/{key}"), value);
    }
    let next = desk.path("settings/..data_tmp");
    symlink(format!("..v{version}"), &next).unwrap();
    fs::rename(next, desk.path("settings/..data")).unwrap();
    for name in ["telemetry", "omit"] {
        let _ = fs::remove_file(desk.path("settings").join(name));
        if data.iter().any(|(key, _)| *key == name) {
            symlink(format!("..data/{name}"), desk.path("settings").join(name)).unwrap();
        }
    }
}

#[test]
fn the_command_line_decides_before_the_environment_before_the_installation() {
    let desk = Desk::new();
    let cases: &[Case] = &[
        ("", &[], "", true, "default"),
        ("off", &[], "", false, "`telemetry` in settings"),
        ("on", &[], "", true, "`telemetry` in settings"),
        ("off", &[("KUBERMATIC_TELEMETRY", "on")], "", true, "KUBERMATIC_TELEMETRY"),
        ("on", &[("KUBERMATIC_TELEMETRY", "off")], "", false, "KUBERMATIC_TELEMETRY"),
        ("on", &[("DO_NOT_TRACK", "1")], "", false, "DO_NOT_TRACK"),
        ("off", &[("DO_NOT_TRACK", "0")], "", false, "`telemetry` in settings"),
        ("off", &[("KUBERMATIC_TELEMETRY", "off")], "--telemetry on", true, "--telemetry"),
        ("on", &[("KUBERMATIC_TELEMETRY", "on")], "--telemetry off", false, "--telemetry"),
    ];
    for (version, (setting, variables, option, on, by)) in (0..).zip(cases) {
        let data = [("telemetry", *setting)];
        mount(&desk, version, if setting.is_empty() { &[] } else { &data });
        let variables: Vec<_> = variables.iter().copied().chain([SETTINGS]).collect();
        let status = run(&desk, &variables, &format!("status --json {option}")).ok().json();
        assert_eq!(status["telemetry"], json!({"on": on, "decidedBy": by}), "{setting} {variables:?} {option}");
        let word = if *on { "on" } else { "off" };
        run(&desk, &variables, &format!("status {option}")).ok().prints(&format!("telemetry  {word} ({by})\n"));
    }
}

#[test]
fn switched_off_in_the_installation_every_verb_obeys() {
    let desk = Desk::new();
    desk.collect();
    mount(&desk, 1, &[("telemetry", "off\n")]);
    let collect = format!("collect --manifests {}", installation().display());
    let cases = [
        (collect.as_str(), 0, "nothing was collected"),
        ("export -o bundle.tar", 4, "no bundle was written"),
        ("export --again 1 -o bundle.tar", 4, "no bundle was written"),
        ("preview", 0, "nothing would leave"),
        #[cfg(feature = "agent")]
        ("send --url http://127.0.0.1:9", 0, "nothing was sent"),
    ];
    for (line, code, result) in cases {
        let before = desk.snapshot();
        let said = run(&desk, &[SETTINGS], line).code(code);
        said.says(&format!("telemetry is off (`telemetry` in settings): {result}\n"));
        let option = format!("--settings settings {line}");
        desk.line(&option).code(code).says(result);
        desk.unchanged_since(&before, line);
    }
    desk.line("export -o bundle.tar --settings settings --telemetry on").ok();
}

#[test]
fn what_places_withhold_adds_up_and_status_tells_which_withholds_what() {
    let desk = Desk::new();
    desk.collect();
    mount(&desk, 1, &[("omit", "locations\nsshKeys, users\n")]);
    let variables = [SETTINGS, ("KUBERMATIC_TELEMETRY_OMIT", "nodes users")];
    let line = "status --omit clusters.cniPlugin --omit users";
    let status = run(&desk, &variables, &format!("{line} --json")).ok().json();
    let by = json!([
        {"place": "--omit", "names": ["clusters.cniPlugin", "users"]},
        {"place": "KUBERMATIC_TELEMETRY_OMIT", "names": ["nodes", "users"]},
        {"place": "`omit` in settings", "names": ["locations", "sshKeys", "users"]},
    ]);
    let names = json!(["clusters.cniPlugin", "locations", "nodes", "sshKeys", "users"]);
    assert_eq!(status["withheld"], json!({"names": names, "by": by}));
    let said = run(&desk, &variables, line).ok();
    said.prints(
        "withheld   clusters.cniPlugin, locations, nodes, sshKeys, users\n             --omit: clusters.cniPlugin, \
         users\n             KUBERMATIC_TELEMETRY_OMIT: nodes, users\n             `omit` in settings: locations, sshKeys, \
         users\n",
    );
    let exported = run(&desk, &variables, "export -o bundle.tar --omit clusters.cniPlugin --json").ok().json();
    assert_eq!(exported["withheld"], names);
}

#[test]
fn a_file_with_the_configmap_says_the_same() {
    let desk = Desk::new();
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: telemetry\n  namespace: kubermatic\ndata:\n  \
                telemetry: \"off\"\n  omit: |\n    users\n    regions\n";
    let json = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"telemetry":"off","omit":"users,regions"}}"#;
    desk.file("c.yaml", yaml);
    desk.file("c.json", json);
    desk.file("bare.json", r#"{"kind":"ConfigMap"}"#);
    for file in ["c.yaml", "c.json"] {
        let status = desk.line(&format!("status --json --settings {file}")).ok().json();
        assert_eq!(status["telemetry"], json!({"on": false, "decidedBy": format!("`telemetry` in {file}")}));
        assert_eq!(status["withheld"]["names"], json!(["regions", "users"]));
    }
    let status = desk.line("status --json --settings bare.json").ok().json();
    assert_eq!(status["telemetry"], json!({"on": true, "decidedBy": "default"}));
    desk.file("switch.yaml", "kind: ConfigMap\ndata:\n  telemetry: false\n");
    assert_eq!(desk.line("status --json --settings switch.yaml").ok().json()["telemetry"]["on"], false);
}

#[test]
fn a_setting_that_can_t_be_understood_lets_nothing_leave() {
    let desk = Desk::new();
    desk.collect();
    desk.file("unclear/telemetry", "maybe");
    desk.file("unknown/telemtry", "off");
    desk.file("names/omit", "users,user");
    desk.file("list.yaml", "kind: List\nitems: []\n");
    desk.file("text.yaml", "off");
    desk.file("binary.json", r#"{"kind":"ConfigMap","binaryData":{"omit":"dXNlcnM="}}"#);
    desk.file("large/omit", vec![b' '; (2 << 20) + 1]);
    desk.file("bytes/omit", [0xff, 0xfe]);
    fs::create_dir_all(desk.path("folder/omit")).unwrap();
    let cases = [
        ("unclear", "`telemetry` in unclear says neither `on` nor `off`"),
        ("unknown", "unknown has the key `telemtry`; known are `telemetry` and `omit`"),
        ("names", "`omit` in names: `user` can't be withheld: known are the categories clusters, countries,"),
        ("missing", "can't read the installation's setting missing"),
        ("list.yaml", "list.yaml is not a ConfigMap"),
        ("text.yaml", "text.yaml is not a ConfigMap"),
        ("binary.json", "binary.json has the key `omit`"),
        ("large", "larger than 2097152 bytes"),
        ("bytes", "can't read the installation's setting bytes/omit"),
        ("folder", "can't read the installation's setting folder/omit"),
        ("/dev/null", "/dev/null is not a ConfigMap"),
    ];
    for (settings, message) in cases {
        let collect = format!("collect --manifests {}", installation().display());
        for line in ["export -o bundle.tar", "preview", "status", &collect] {
            let before = desk.snapshot();
            let said = desk.line(&format!("{line} --settings {settings}")).code(1).says(message);
            assert_eq!(said.stdout, "", "{line}");
            desk.unchanged_since(&before, line);
        }
    }
    // What is decided before is not asked.
    desk.line("export -o bundle.tar --settings missing --telemetry off").code(4).says("telemetry is off (--telemetry)");
}

#[test]
fn a_name_that_can_t_be_withheld_is_told_with_its_place_and_what_can() {
    let desk = Desk::new();
    desk.collect();
    let cases = [
        ("usres", "--omit: `usres` can't be withheld: known are the categories clusters, countries, datacenters"),
        ("Users", "it is spelled `users`"),
        ("clusters.cni", "the fields of `clusters` are clusters.cloud, clusters.cloud.dcUUID"),
        ("users.uuid", "it says which row is which: withhold `users` as a whole"),
        ("time", "`time` can't be withheld: every record has it"),
        ("users,,x\u{1b}[31m", "`x\\u{1b}[31m` can't be withheld"),
    ];
    for (name, message) in cases {
        let said = desk.run(["preview", "--omit", name]).code(2).says(message);
        assert_eq!(said.stderr.matches("can't be withheld").count(), 1, "{}", said.stderr);
        said.says("hint: docs/data-collected.md lists every");
    }
    run(&desk, &[("KUBERMATIC_TELEMETRY_OMIT", "usres")], "export -o bundle.tar")
        .code(1)
        .says("KUBERMATIC_TELEMETRY_OMIT: `usres`");
    assert!(!desk.path("bundle.tar").exists());
    let long = "x".repeat(100_000);
    let said = desk.run(["preview", "--omit", &long]).code(2);
    assert!(said.stderr.len() < 1000, "{} bytes", said.stderr.len());
}

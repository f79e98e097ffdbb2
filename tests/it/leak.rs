//! No leak: whatever is planted in an installation's names and secrets is found nowhere.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::canaries::{Planter, Scanner, reference_id, unpacked, write_installation};
use crate::support::{Desk, Printed, copy_tree, installation, root};
use md5::{Digest as _, Md5};

/// An installation of canaries on a desk, and everything that was printed about it.
struct Site {
    desk: Desk,
    planter: Planter,
    manifests: Vec<PathBuf>,
    printed: Vec<(String, Printed)>,
}

impl Site {
    fn new() -> Self {
        let (desk, mut planter) = (Desk::new(), Planter::default());
        let target = desk.path("manifests");
        let manifests = write_installation(&mut planter, &root().join("testdata/canaries"), &target);
        Self { desk, planter, manifests, printed: Vec::new() }
    }

    /// Runs the program at its most verbose.
    fn run(&mut self, line: &str, code: i32) -> &Printed {
        let printed = self.desk.line(&format!("{line} -vvv")).code(code);
        self.printed.push((line.to_owned(), printed));
        &self.printed.last().unwrap().1
    }

    fn scanner(&mut self) -> Scanner {
        let mut scanner = Scanner::new(&self.planter);
        let node = ["node", "machine", "system"].map(|key| self.planter.named(key)).concat();
        scanner.add_digest("the reference client's node id", &Md5::digest(node));
        scanner
    }

    /// Insists on finding nothing in what was printed; paths that the operator gave may be told.
    fn nothing_printed(&self, scanner: &Scanner) {
        for (line, printed) in &self.printed {
            let told = without_paths(&printed.stderr, &self.manifests);
            nothing(scanner, &format!("stdout of {line}"), printed.stdout.as_bytes());
            nothing(scanner, &format!("stderr of {line}"), told.as_bytes());
        }
    }

    /// Insists on finding nothing in any file but the manifests.
    fn nothing_stored(&self, scanner: &Scanner) {
        for (name, bytes) in self.files() {
            nothing(scanner, &name, name.as_bytes());
            for layer in unpacked(&bytes) {
                nothing(scanner, &name, &layer);
            }
        }
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let names = self.desk.tree("").into_iter().filter(|name| !name.starts_with("manifests/"));
        names.map(|name| (name.clone(), fs::read(self.desk.path(&name)).unwrap())).collect()
    }

    /// The newest record of a kind, as `preview` shows it.
    fn record(&self, kind: &str) -> Value {
        record(&self.desk.line("preview").ok(), kind)
    }
}

fn record(preview: &Printed, kind: &str) -> Value {
    let mut records = preview.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.rfind(|record| record["kind"] == kind).unwrap()
}

fn without_paths(text: &str, manifests: &[PathBuf]) -> String {
    // Names are told relative to the directory that the operator gave.
    let mut told = text.to_owned();
    for path in manifests {
        let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
        let start = parts.iter().rposition(|part| *part == "manifests").unwrap();
        told = told.replace(&parts[start..].join("/"), "a manifest");
    }
    told
}

/// Insists that nothing is found.
pub fn nothing(scanner: &Scanner, place: &str, haystack: &[u8]) {
    let found = scanner.find(haystack);
    assert!(found.is_empty(), "{} leaks in {place}, such as {}", found.len(), found[..found.len().min(5)].join("\n"));
}

#[test]
fn no_canary_leaves_in_records_bundles_receipts_or_logs() {
    let mut site = Site::new();
    collect_and_look(&mut site);
    export_and_inspect(&mut site);
    let scanner = site.scanner();
    site.nothing_stored(&scanner);
    ingest_and_acknowledge(&mut site);
    site.nothing_stored(&scanner);
    site.nothing_printed(&scanner);
    assert!(site.printed.len() > 25, "every command was run");
}

fn collect_and_look(site: &mut Site) {
    site.run("init", 0);
    site.run("preview --manifests manifests", 0);
    site.run("collect --manifests manifests", 0);
    for format in ["records", "pretty", "telemetry-client-v2"] {
        site.run(&format!("preview --format {format}"), 0);
    }
    let report = &site.printed.last().unwrap().1;
    assert_eq!(report.stderr, "", "the report is the only thing on either stream");
    site.run("status --history", 0);
}

fn export_and_inspect(site: &mut Site) {
    site.run("export -o first.tar --note ticket", 0);
    // A second record of each kind, so that there are deltas.
    let gone = site.manifests.iter().find(|path| path.to_string_lossy().contains("/seeds/")).unwrap();
    fs::remove_file(gone).unwrap();
    site.run("export -o second.tar --manifests manifests --json", 0);
    site.run("inspect second.tar", 0);
    site.run("inspect second.tar --json", 0);
    site.run("inspect second.tar --extract extracted", 0);
    site.run("verify second.tar", 3);
    site.run("keys show", 0);
    site.run("keys export -o client.pub.pem", 0);
    site.run("verify second.tar --key client.pub.pem --json", 0);
    site.run("status --json --history", 0);
}

fn ingest_and_acknowledge(site: &mut Site) {
    let client = site.desk.line("keys show --json").ok().json()["client"].as_str().unwrap().to_owned();
    site.run(&format!("keys trust client.pub.pem --client {client} --keyring keyring"), 0);
    site.run("ingest first.tar --archive archive --keyring keyring --receipts receipts", 0);
    site.run("ingest second.tar --archive archive --keyring keyring --receipts receipts --json", 0);
    site.run("ingest second.tar --archive other-archive --trust tofu --receipts other-receipts", 0);
    let receipts: Vec<_> =
        site.desk.tree("receipts").into_iter().filter(|name| name.ends_with("receipt.tar")).collect();
    assert_eq!(receipts.len(), 2);
    for receipt in receipts {
        site.run(&format!("inspect receipts/{receipt}"), 0);
        site.run(&format!("inspect receipts/{receipt} --json"), 0);
        site.run(&format!("receipt receipts/{receipt}"), 1);
        site.run(&format!("receipt receipts/{receipt} --receipt-key receipts/receipt-key.pub.pem --json"), 0);
    }
    site.run("status --history", 0);
    site.run("status --history --json", 0);
    site.run("export -o third.tar", 4);
}

#[test]
fn the_installation_of_canaries_is_read_and_not_passed_over() {
    let mut site = Site::new();
    site.run("collect --manifests manifests", 0);
    let record = site.record("kubermatic");
    let rows = ["seeds", "clusters", "users", "projects", "sshKeys", "machineDeployments"];
    let counts = rows.map(|name| record[name].as_array().unwrap().len());
    assert_eq!(counts, [3, 22, 3, 2, 3, 3], "{rows:?}");
    assert_eq!(site.record("kubernetes")["nodes"].as_array().unwrap().len(), 5);
    let categories: Vec<_> = record["problems"].as_array().unwrap().iter().map(|it| &it["category"]).collect();
    for category in
        ["notProvided", "malformed", "duplicate", "ambiguousProvider", "legacyApiGroup", "noProject", "unknownCluster"]
    {
        assert!(categories.iter().any(|found| *found == category), "no problem {category}");
    }
    let datacenters =
        record["seeds"].as_array().unwrap().iter().flat_map(|seed| seed["datacenters"].as_array().unwrap());
    assert_eq!(datacenters.clone().count(), 24);
    assert_eq!(datacenters.filter(|it| it["region"].is_string()).count(), 14, "regions are read");
}

#[test]
fn the_scanner_finds_what_is_let_through() {
    let mut site = Site::new();
    collect_and_look(&mut site);
    export_and_inspect(&mut site);
    let locations = Scanner::of_locations(&site.planter);
    let files = site.files();
    let holds = |part: &str, layers: &dyn Fn(&[u8]) -> Vec<Vec<u8>>| {
        let mut found = files.iter().filter(|(name, _)| name.contains(part)).flat_map(|(_, bytes)| layers(bytes));
        found.any(|layer| !locations.find(&layer).is_empty())
    };
    for part in ["state/store/records/", "extracted/"] {
        assert!(holds(part, &|bytes| vec![bytes.to_vec()]), "{part}");
    }
    for part in ["first.tar", "second.tar", "state/store/bundles/"] {
        assert!(!holds(part, &|bytes| vec![bytes.to_vec()]), "{part} is compressed");
        assert!(holds(part, &unpacked), "{part}");
    }
    for (line, printed) in site.printed.iter().filter(|(line, _)| line.starts_with("preview")) {
        assert!(!locations.find(printed.stdout.as_bytes()).is_empty(), "{line}");
    }
}

#[test]
fn the_scanner_finds_every_disguise() {
    let mut planter = Planter::default();
    planter.fill("a place", "name: \"§{name}\"\nemail: \"¥{name}\"\naddress: \"¶/24\"");
    let name = planter.named("name");
    let scanner = Scanner::new(&planter);
    let disguises = [
        format!("x{name}x"),
        name.to_uppercase(),
        name[..9].to_owned(),
        crate::canaries::hex(name.as_bytes()).to_uppercase(),
        crate::canaries::hex(&Md5::digest(&name)),
        crate::canaries::hex(&sha1::Sha1::digest(&name)),
        crate::canaries::hex(&sha2::Sha256::digest(format!("{name}@mail.invalid"))),
        reference_id(&name).to_string(),
        base64(&format!("{name}:x")),
        base64(&format!("a{name}:x")),
        base64(&format!("ab{name}")),
        "100.65.0.102".to_owned(),
    ];
    for disguise in disguises {
        assert!(!scanner.find(disguise.as_bytes()).is_empty(), "{disguise}");
    }
    assert_eq!(scanner.find(b"Hamburg 100.65.0.10 cnry00002"), Vec::<String>::new());
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn reference_ids_are_computed_as_the_reference_client_does() {
    let vectors = [
        ("", "4ae71336-e44b-39bf-b9d2-752e234818a5"),
        ("kubermatic", "a564e772-777f-3217-967d-e9321cfac2d4"),
        ("aws-eu-central-1a", "82c4180c-415e-319e-93ba-ab715fff235e"),
        ("l8zvpg6dph", "4fc40aaf-39ac-3dae-9a51-d9eb50e7fb90"),
    ];
    for (name, id) in vectors {
        assert_eq!(reference_id(name).to_string(), id);
    }
}

#[test]
fn a_location_is_let_through_short_and_without_control_characters() {
    let mut site = Site::new();
    site.run("collect --manifests manifests", 0);
    let record = site.record("kubermatic");
    let seeds = record["seeds"].as_array().unwrap().iter();
    let found: Vec<_> = seeds.filter_map(|seed| seed["location"].as_str()).collect();
    let [first, .., left, right] = &site.planter.locations[..] else { panic!("too few locations") };
    assert_eq!(found.iter().filter(|location| *location == first).count(), 1);
    let long = found.iter().find(|location| location.starts_with(left)).unwrap();
    assert!(long.starts_with(&format!("{left}[31m{right} and words")), "{long}");
    assert_eq!(long.chars().count(), 128);
    assert!(found.iter().all(|location| !location.contains(char::is_control)));
}

#[test]
fn a_location_has_no_invisible_characters() {
    // They can reverse or hide what a security officer reads in a preview.
    let seed = "Ham\u{202e}burg\u{200b} \u{2066}7\u{2069}\u{2028}\u{feff}";
    let record = plain_site(&[("spec:\n  location: x", &format!("spec:\n  location: \"{seed}\""))]);
    assert_eq!(record["seeds"][0]["location"], "Hamburg 7");
}

/// The record of an installation with one object of a kind, after a few replacements.
fn plain_site(replacements: &[(&str, &str)]) -> Value {
    let desk = Desk::new();
    let text = replacements.iter().fold(PLAIN.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    desk.file("manifests/all.yaml", text);
    let preview = desk.line("preview --manifests manifests").ok();
    let mut both = record(&preview, "kubermatic");
    both["nodes"] = record(&preview, "kubernetes")["nodes"].take();
    both
}

const PLAIN: &str = "\
apiVersion: kubermatic.k8c.io/v1
kind: KubermaticConfiguration
metadata: {name: kubermatic, uid: u}
status: {kubermaticEdition: EE, kubermaticVersion: v2.30.1}
---
apiVersion: kubermatic.k8c.io/v1
kind: Seed
metadata: {name: kubermatic}
spec:
  location: x
---
apiVersion: kubermatic.k8c.io/v1
kind: Cluster
metadata: {name: c, labels: {project-id: p}}
spec: {version: 1.32.8, cloud: {dc: d, providerName: aws}, cniPlugin: {type: canal, version: v3.29}}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
status:
  capacity: {cpu: \"4\", memory: 1Gi}
  nodeInfo:
    containerRuntimeVersion: containerd://1.7.13
    kernelVersion: 6.8.0-79-generic
    kubeletVersion: v1.33.4
    osImage: Ubuntu 24.04.3 LTS
";

#[test]
fn an_address_in_place_of_a_version_does_not_get_through() {
    let address = "203.0.113.77";
    let record = plain_site(&[
        ("v2.30.1", &format!("v{address}")),
        ("1.32.8", address),
        ("v3.29", address),
        ("1.7.13", address),
        ("6.8.0-79-generic", address),
        ("v1.33.4", address),
        ("24.04.3", address),
    ]);
    assert!(!record.to_string().contains(address), "{record}");
}

#[test]
fn an_address_in_place_of_a_quantity_does_not_get_through() {
    let record = plain_site(&[("\"4\"", "203.0.113.77"), ("1Gi", "203.0.113.77Gi")]);
    assert!(!record.to_string().contains("203.0.113.77"), "{record}");
}

#[test]
fn a_version_keeps_no_chain_of_numbers() {
    // A telephone number, for example; `git describe` and distributions put one number there.
    let record = plain_site(&[("v2.30.1", "v2.30.1-49-40-123456-78"), ("1.32.8", "1.32.8-rc.1-49-40-123456")]);
    assert!(!record.to_string().contains("-40-123456"), "{record}");
}

#[test]
fn logs_do_not_name_seeds_and_user_clusters() {
    // Their folders must be named like them, so that a path is as telling as the name.
    let mut site = Site::new();
    site.run("collect --manifests manifests", 0);
    let names = ["first", "second", "plain", "words", "unknown"].map(|key| site.planter.named(key));
    let stderr = &site.printed[0].1.stderr;
    let lines: Vec<_> = stderr.lines().filter(|line| names.iter().any(|name| line.contains(name))).collect();
    assert_eq!(lines, Vec::<&str>::new());
}

#[test]
fn a_pseudonym_leads_back_to_the_seed_that_a_problem_concerns() {
    let mut site = Site::new();
    site.run("collect --manifests manifests", 0);
    let name = site.planter.named("not-exported");
    let printed = site.desk.line(&format!("pseudonym seed {name} -vvv")).ok();
    let (pseudonym, _) = printed.stdout.split_once('\t').unwrap();
    let record = site.record("kubermatic");
    let problems = record["problems"].as_array().unwrap();
    assert!(problems.iter().any(|it| it["concerns"] == pseudonym && it["category"] == "notProvided"));
    // The name is told to the person who typed it, and stored nowhere.
    nothing(&site.scanner(), "stderr of pseudonym", printed.stderr.as_bytes());
    let scanner = site.scanner();
    site.nothing_stored(&scanner);
}

/// What is wrong, as the files of a manifest directory with marks for canaries; `%site` is a configuration and a Seed.
const FAILURES: &[(&str, &str)] = &[
    ("a.yaml", "kind: Cluster\nmetadata: {name: \"§\", \"§\": [\"§\"\nspec: \"§\"\n"),
    ("a.yaml", "kind: Cluster\nmetadata:\n  name: \"§\"\n   labels: \"§\"\n\t\"§\": \"§\"\n"),
    ("a.yaml", "kind: Cluster\nmetadata: {name: \"§\n\n  §"),
    ("a.yaml", "kind: Cluster\nmetadata: {name: *§}\n"),
    ("a.yaml", "kind: Cluster\n\"§\": 1\n\"§{twice}\": \"§\"\n\"§{twice}\": \"§\"\n"),
    ("a.yaml", "kind: Cluster\nmetadata: {name: !§ \"§\"}\n"),
    ("a.yaml", "kind: Cluster\nmetadata: {name: !!binary \"§\"}\nspec: !!int \"§\"\n"),
    ("a.yaml", "%§ §\n---\nkind: Cluster\n"),
    ("a.yaml", "kind: Cluster\n? {\"§\": \"§\"}\n: \"§\"\n"),
    ("a.yaml", "- kind: \"§\"\n- \"§\"\n"),
    ("a.yaml", "\"§\"\n"),
    ("a.yaml", "§\n"),
    ("a.yaml", "kind: \"\\q§\"\n"),
    ("a.json", "{\"kind\": \"§\" \"§\"}"),
    ("a.json", "{\"kind\": \"§\", \"§\": §}"),
    ("a.json", "{\"kind\": \"§\", \"§\": \"§"),
    ("a.json", "{\"kind\": \"§\", \"§\": \"\\q§\"}"),
    ("a.json", "{\"kind\": \"List\", \"items\": [{\"§\": \"§\"},, \"§\"]}"),
    ("a.yaml", "\u{7}§: §\n"),
    ("a.yaml.gz", "kind: \"§\"\n"),
    (
        "a.yaml",
        "%site---\napiVersion: kubermatic.k8c.io/v1\nkind: Cluster\nmetadata: {labels: {\"§\": \"§\"}}\nspec: \"§\"\n",
    ),
    ("a.yaml", "%site---\napiVersion: kubermatic.k8c.io/v1\nkind: User\nmetadata: {name: [\"§\"]}\n"),
    ("a.yaml", "%site---\napiVersion: kubermatic.k8c.io/v1\nkind: Project\nmetadata: \"§\"\n"),
    ("a.yaml", "%site---\napiVersion: v1\nkind: Node\nmetadata: {name: \"%long§\"}\n"),
    ("a.yaml", "%site---\n%site"),
    ("a.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: \"§\"}\n"),
    ("master/a.yaml", "%site---\napiVersion: kubermatic.k8c.io/v1\nkind: Seed\nmetadata: {}\nspec: \"§\"\n"),
    ("a.yaml", "%site---\napiVersion: kubermatic.k8c.io/v1\nkind: Seed\nmetadata: {name: \"§\"}\nspec: \"§\"\n"),
];

const FLAT_SITE: &str = "\
apiVersion: kubermatic.k8c.io/v1
kind: KubermaticConfiguration
metadata: {name: \"§\", namespace: \"§\", uid: \"§\", annotations: {\"§\": \"§\"}}
spec: {ingress: {domain: \"§\"}}
---
apiVersion: kubermatic.k8c.io/v1
kind: Seed
metadata: {name: \"§\"}
spec: {datacenters: {\"§\": {spec: {aws: {region: \"§\"}}}}}
";

#[test]
fn failures_tell_nothing_of_what_is_in_the_manifests() {
    for (number, (name, template)) in FAILURES.iter().enumerate() {
        let (desk, mut planter) = (Desk::new(), Planter::default());
        let template = template.replace("%site", FLAT_SITE).replace("%long", &"x".repeat(5000));
        desk.file(&format!("manifests/{name}"), planter.fill(name, &template));
        let scanner = Scanner::new(&planter);
        for verb in ["collect", "preview", "export -o bundle.tar"] {
            let place = format!("case {number}, {verb}");
            let printed = desk.line(&format!("{verb} --manifests manifests -vvv"));
            assert_eq!(printed.code, 1, "{place}: {}", printed.stderr);
            nothing(&scanner, &place, printed.stdout.as_bytes());
            nothing(&scanner, &place, printed.stderr.as_bytes());
        }
        assert!(desk.tree("state").is_empty(), "case {number} made a state");
    }
}

#[test]
fn bytes_that_are_no_text_and_files_cut_short_tell_nothing() {
    let mut planter = Planter::default();
    let text = planter.fill("a", "kind: Cluster\nmetadata: {name: \"§\"}\nspec: \"§\"\n");
    let scanner = Scanner::new(&planter);
    let invalid = [text.as_bytes(), b"\xff\xfe", text.as_bytes()].concat();
    let utf16: Vec<u8> = b"\xff\xfe".iter().copied().chain(text.bytes().flat_map(|byte| [byte, 0])).collect();
    let mut cut = Vec::new();
    let mut encoder = flate2::write::GzEncoder::new(&mut cut, flate2::Compression::none());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    encoder.finish().unwrap();
    cut.truncate(cut.len() - 12);
    for (name, contents) in [("a.yaml", invalid.clone()), ("a.json", invalid), ("b.yaml", utf16), ("a.yaml.gz", cut)] {
        let desk = Desk::new();
        desk.file(&format!("manifests/{name}"), contents);
        let printed = desk.line("collect --manifests manifests -vvv").code(1);
        nothing(&scanner, name, printed.stderr.as_bytes());
    }
}

#[test]
fn an_unknown_folder_tells_the_seeds_and_nothing_else() {
    let mut site = Site::new();
    let other = site.desk.file("manifests/seeds/elsewhere/a.yaml", "kind: \"none\"\n");
    site.run("collect --manifests manifests", 1);
    let mut told = site.printed[0].1.stderr.replace(other.to_str().unwrap(), "");
    for key in ["first", "second", "not-exported"] {
        let name = site.planter.named(key);
        assert!(told.contains(&name), "{told}");
        told = without_paths(&told, &site.manifests).replace(&name, "");
    }
    nothing(&site.scanner(), "stderr", told.as_bytes());
}

#[test]
fn another_installations_records_are_refused_without_a_word_about_either() {
    let mut site = Site::new();
    site.run("collect --manifests manifests", 0);
    let mut other = Planter::default();
    // Other canaries: the first ones are taken.
    (0..5000).for_each(|number| drop(other.named(&number.to_string())));
    fs::remove_dir_all(site.desk.path("manifests")).unwrap();
    site.manifests.extend(write_installation(
        &mut other,
        &root().join("testdata/canaries"),
        &site.desk.path("manifests"),
    ));
    site.run("collect --manifests manifests", 1);
    let scanner = site.scanner();
    site.nothing_printed(&scanner);
    site.nothing_printed(&Scanner::new(&other));
    site.nothing_stored(&Scanner::new(&other));
}

#[test]
fn large_and_misplaced_files_tell_nothing() {
    let mut site = Site::new();
    site.run("collect --manifests manifests --max-file-size 100", 1);
    let clusters = site.manifests.iter().find(|path| path.to_string_lossy().contains("/seeds/")).unwrap().clone();
    let misplaced = site.desk.path("manifests/master/misplaced.yaml");
    fs::copy(&clusters, &misplaced).unwrap();
    site.run("collect --manifests manifests", 0);
    let stray = site.desk.path("manifests/stray.yaml");
    fs::copy(clusters, &stray).unwrap();
    site.run("collect --manifests manifests", 1);
    let scanner = site.scanner();
    site.nothing_printed(&scanner);
    site.nothing_stored(&scanner);
}

#[test]
fn a_foreign_record_that_is_refused_is_not_repeated() {
    let mut planter = Planter::default();
    let records = [
        r#"{"kind":"acme","version":"v1","time":"2026-01-01T00:00:00Z","a":"§" "§"}"#,
        r#"{"kind":"acme","version":"v1","time":"2026-01-01T00:00:00Z","a":"§","a":"§"}"#,
        r#"{"kind":"acme","version":"v1","time":"§","a":"§"}"#,
        r#"{"kind":"acme","version":"§","time":"2026-01-01T00:00:00Z","a":"§"}"#,
        r#"{"kind":"§ §","version":"v1","time":"2026-01-01T00:00:00Z","a":"§"}"#,
        r#"{"kind":"acme","version":"v1","time":"2026-01-01T00:00:00Z","complete":"§","problems":"§"}"#,
        r#"["§"]"#,
        r#""§""#,
        "§",
        r#"{"kind":"acme","version":"v1","time":"2026-01-01T00:00:00Z","a":"\q§"}"#,
    ];
    for record in records {
        let desk = Desk::new();
        desk.file("record.json", planter.fill(record, record));
        let printed = desk.line("collect --record record.json --allow-kind acme -vvv").code(1);
        nothing(&Scanner::new(&planter), record, printed.stderr.as_bytes());
    }
}

/// Copies of the test installation for the catalogue's test.
pub fn previews() -> Vec<(String, Vec<Value>)> {
    let site = Site::new();
    let desk = Desk::new();
    copy_tree(&installation(), &desk.path("manifests"));
    [("the installation of canaries", &site.desk), ("the test installation", &desk)]
        .into_iter()
        .map(|(name, desk)| (name.to_owned(), preview_of(desk, Path::new("manifests"))))
        .collect()
}

/// The records that a directory of manifests gives.
pub fn preview_of(desk: &Desk, directory: &Path) -> Vec<Value> {
    let printed = desk.run(["preview".as_ref(), "--manifests".as_ref(), directory.as_os_str()]).ok();
    printed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

//! The identity in a Secret: made once by however many, taken over, read, changed, and never overwritten.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::harness::objects::{namespace, secret};
use crate::harness::servers::{ApiServer, ControlPlane};
use crate::permissions::{Page, grant};
use crate::sites::control_plane;
use crate::support::{Desk, Printed, say};

const NAMESPACE: &str = "telemetry-system";
/// The Secret that the rules of the page are for.
const NAME: &str = "kubermatic-telemetry-identity";
const OLD: &str = "telemetry-client-uuid";

/// An API server with the namespace, for all tests here; each has a Secret of its own.
fn server() -> Option<&'static ApiServer> {
    static SERVER: OnceLock<Option<(ControlPlane, ApiServer)>> = OnceLock::new();
    let started = SERVER.get_or_init(|| {
        let plane = control_plane()?;
        let server = plane.servers(&["identity"]).remove(0);
        server.admin.apply(&namespace(NAMESPACE));
        Some((plane, server))
    });
    started.as_ref().map(|(_, server)| server)
}

/// A desk with an administrator's kubeconfig in `$KUBECONFIG`'s place.
fn desk(server: &ApiServer) -> Desk {
    let desk = Desk::new();
    desk.file("admin.kubeconfig", server.admin_kubeconfig());
    desk
}

fn init(desk: &Desk, name: &str, more: &str) -> Printed {
    desk.line(&format!("init --secret {NAMESPACE}/{name} --kubeconfig admin.kubeconfig {more}"))
}

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/secrets/{name}")
}

/// The Secret without what changes by itself.
fn stored(server: &ApiServer, name: &str) -> Value {
    server.admin.get(&path(name))
}

fn value(secret: &Value, key: &str) -> String {
    String::from_utf8_lossy(&BASE64.decode(secret["data"][key].as_str().unwrap()).unwrap()).into_owned()
}

fn client(desk: &Desk) -> String {
    desk.line("keys show --json").ok().json()["client"].as_str().unwrap().to_owned()
}

/// Insists that nothing that is secret was said.
fn tells_no_key(printed: &Printed, secret: &Value) {
    let all = format!("{}{}", printed.stdout, printed.stderr);
    for key in ["signing-key.pem", "pseudonym.key"] {
        let Some(encoded) = secret["data"][key].as_str() else { continue };
        let plain = value(secret, key);
        let line = plain.lines().find(|line| !line.starts_with('-')).unwrap_or(&plain);
        assert!(line.is_empty() || !all.contains(line), "{key} was told: {all}");
        assert!(encoded.is_empty() || !all.contains(encoded), "{key} was told: {all}");
    }
}

#[test]
fn however_many_make_it_at_once_there_is_one_identity() {
    let Some(server) = server() else { return };
    let (rounds, each) = (12, 4);
    for round in 0..rounds {
        let name = format!("at-once-{round}");
        let desks: Vec<_> = (0..each).map(|_| desk(server)).collect();
        let children: Vec<Child> = desks
            .iter()
            .map(|desk| {
                let mut command = desk.command();
                command.args(["init", "--kubeconfig", "admin.kubeconfig", "--secret"]);
                command.arg(format!("{NAMESPACE}/{name}")).stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        let printed: Vec<_> = children.into_iter().map(|it| Printed::of(it.wait_with_output().unwrap()).ok()).collect();
        let words: BTreeSet<_> = printed.iter().map(|it| it.stdout.clone()).collect();
        assert_eq!(words.len(), 1, "one client, one key: {words:?}");
        let makers = printed.iter().filter(|it| it.stderr.contains("made the Secret")).count();
        assert_eq!(makers, 1, "one of them made it");
        let secret = stored(server, &name);
        for desk in &desks {
            for key in ["client-uuid", "signing-key.pem", "pseudonym.key"] {
                let file = std::fs::read_to_string(desk.state().join("identity").join(key)).unwrap();
                assert_eq!(file, value(&secret, key), "{key}");
            }
        }
    }
    say("measured", &format!("{rounds} times {each} processes made one identity each time"));
}

#[test]
fn an_identity_that_is_there_is_used_and_never_made_again() {
    let Some(server) = server() else { return };
    let first = desk(server);
    init(&first, "stays", "").ok().says("back the Secret up");
    let made = stored(server, "stays");
    assert_eq!(made["metadata"]["labels"]["app.kubernetes.io/managed-by"], "kubermatic-telemetry");
    let shown = first.line("keys show --json").ok().json();
    assert_eq!(shown["secret"], format!("{NAMESPACE}/stays"));
    // Again at the same desk, at an empty one, and after a reinstallation that knows another UUID.
    init(&first, "stays", "").ok().says("was already in");
    let second = desk(server);
    let printed = init(&second, "stays", "").ok();
    tells_no_key(&printed, &made);
    assert_eq!((client(&second), client(&first)), (shown["client"].as_str().unwrap().into(), client(&second)));
    let other = desk(server);
    let uuid = "--client-uuid 0d1f6c1e-7a56-4c50-8a0b-2f7f0a6f1b11";
    init(&other, "stays", uuid).code(1).says("holds an identity already").says("never overwritten");
    assert!(!other.state().join("identity").exists());
    for more in ["--encrypt", "--replaces 0d1f6c1e-7a56-4c50-8a0b-2f7f0a6f1b11"] {
        init(&first, "stays", more).code(1).says("holds an identity already, which stays as it is");
    }
    init(&first, "stays", "--new-client").code(2).says("delete it").says("--replaces UUID");
    first.line("init --new-client").code(1).says("comes from the Secret").says("hint: ");
    assert_eq!(stored(server, "stays"), made, "nothing was changed");
}

#[test]
fn an_identity_directory_of_somebody_else_is_left_alone() {
    let Some(server) = server() else { return };
    let (first, second) = (desk(server), desk(server));
    init(&first, "mine", "").ok();
    second.line("init").ok();
    let before = second.snapshot();
    let printed = init(&second, "mine", "").code(1).says("has an identity already, with the client UUID");
    let printed =
        printed.says("holds another identity than the directory").says("give another place with --identity DIR");
    tells_no_key(&printed, &stored(server, "mine"));
    second.unchanged_since(&before, "init --secret");
    // The same client with other keys.
    let third = desk(server);
    third.line(&format!("init --client-uuid {}", client(&first))).ok();
    let before = third.snapshot();
    init(&third, "mine", "").code(1).says("hold different keys of one client").says("hint: ");
    third.unchanged_since(&before, "init --secret");
    // A directory that follows another Secret; nothing is made before that is seen.
    init(&first, "another", "").code(1).says(&format!("comes from the Secret {NAMESPACE}/mine"));
    assert_eq!(server.admin.request("GET", &path("another"), None).unwrap().status, 404);
}

#[test]
fn an_identity_that_is_only_in_a_directory_moves_into_the_secret() {
    let Some(server) = server() else { return };
    let desk = desk(server);
    desk.line("init").ok();
    desk.line("keys rotate").ok();
    let before = desk.line("keys show").ok().stdout;
    init(&desk, "moves", "").ok().says("made the Secret");
    assert!(desk.line("keys show").ok().stdout.starts_with(&before[..40]));
    let fresh = self::desk(server);
    init(&fresh, "moves", "").ok();
    assert_eq!(fresh.line("keys show").ok().stdout, desk.line("keys show").ok().stdout, "with its rotation");
    // Somebody deletes the Secret: who still has the identity puts it back, and says so.
    server.admin.delete(&path("moves"));
    init(&desk, "moves", "").ok().says("was gone, and holds the identity of the directory again");
    assert_eq!(value(&stored(server, "moves"), "client-uuid").trim(), client(&fresh));
}

#[test]
fn a_lost_secret_is_not_made_anew_beside_a_store_of_its_client() {
    let Some(server) = server() else { return };
    let desk = desk(server);
    init(&desk, "lost", "").ok();
    let old = client(&desk);
    desk.collect();
    server.admin.delete(&path("lost"));
    // As in a pod: the store is on a volume, the directory is not.
    std::fs::remove_dir_all(desk.state().join("identity")).unwrap();
    let printed = init(&desk, "lost", "").code(1).says(&format!("there is a store of client {old}"));
    let printed = printed.says("restore the Secret from a backup");
    assert_eq!(server.admin.request("GET", &path("lost"), None).unwrap().status, 404);
    // What the hint says works.
    let hint = printed.stderr.split('`').find(|part| part.starts_with("init --secret")).unwrap().to_owned();
    std::fs::rename(desk.state().join("store"), desk.path("aside")).unwrap();
    desk.line(&format!("{hint} --kubeconfig admin.kubeconfig")).ok();
    let shown = desk.line("keys show --json").ok().json();
    assert_eq!(shown["replaces"], old);
    assert_ne!(shown["client"], old);
}

#[test]
fn the_client_uuid_of_a_telemetry_client_is_taken_over_once() {
    let Some(server) = server() else { return };
    let uuid = "2f0a9a38-31a5-4a6b-9f9b-0a3f7a3c1d55";
    server.admin.apply(&secret(NAMESPACE, "old-uuid", "uuid", &format!("{uuid}\n")));
    let take = format!("--take-over {NAMESPACE}/old-uuid");
    let first = desk(server);
    init(&first, "taken", &take).ok().says("took the client UUID over");
    assert_eq!(client(&first), uuid);
    // Afterwards nobody looks at the old one any more, whatever becomes of it.
    server.admin.delete(&path("old-uuid"));
    let second = desk(server);
    init(&second, "taken", &take).ok();
    assert_eq!(client(&second), uuid);
    let third = desk(server);
    init(&third, "not-there", &take).ok().says(&format!("there is no Secret {NAMESPACE}/old-uuid"));
    assert_ne!(client(&third), uuid);
    for (key, held) in [("uuid", ""), ("uuid", "abc"), ("uid", uuid), ("uuid", "00000000-0000-0000-0000-000000000000")]
    {
        server.admin.apply(&secret(NAMESPACE, "odd-uuid", key, held));
        let odd = desk(server);
        let printed = init(&odd, "odd", &format!("--take-over {NAMESPACE}/odd-uuid")).code(1);
        printed.says("does not hold a client UUID under its key `uuid`").says("hint: ");
        assert_eq!(server.admin.request("GET", &path("odd"), None).unwrap().status, 404);
        server.admin.delete(&path("odd-uuid"));
    }
}

#[test]
fn a_secret_that_holds_no_sound_identity_stays_as_it_is() {
    let Some(server) = server() else { return };
    let maker = desk(server);
    init(&maker, "sound", "").ok();
    let data = stored(server, "sound")["data"].clone();
    let encoded = |text: &str| Value::String(BASE64.encode(text));
    let cases: [(&str, Option<Value>, &str); 9] = [
        ("client-uuid", None, "client-uuid is missing"),
        ("signing-key.pem", None, "signing-key.pem is missing"),
        ("pseudonym.key", None, "pseudonym.key is missing"),
        ("client-uuid", Some(encoded("x")), "client-uuid does not hold a UUID"),
        ("pseudonym.key", Some(encoded("abc")), "pseudonym.key does not hold 64 hexadecimal digits"),
        ("signing-key.pem", Some(encoded("abc")), "signing-key.pem: "),
        ("signing-key.pem", Some(Value::String(BASE64.encode([0xff, 0xfe]))), "signing-key.pem does not hold"),
        ("rotations.json", Some(encoded("{}")), "rotations.json does not hold a chain of rotations"),
        ("replaces", Some(encoded("?")), "replaces does not hold a UUID"),
    ];
    let mut object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "namespace": NAMESPACE, "name": "unsound" }, "data": {},
    });
    for (key, held, message) in &cases {
        object["data"] = data.clone();
        match held {
            Some(held) => object["data"][key] = held.clone(),
            None => drop(object["data"].as_object_mut().unwrap().remove(*key)),
        }
        let before = server.admin.create(&object).ok();
        let desk = desk(server);
        let printed = init(&desk, "unsound", "").code(1).says(message).says(&format!("Secret {NAMESPACE}/unsound"));
        let printed = printed.says("holds no sound identity, and stays as it is").says("hint: restore it");
        tells_no_key(&printed, &before);
        assert!(!desk.state().join("identity").exists(), "no half identity");
        assert_eq!(stored(server, "unsound"), before, "{key}");
        server.admin.delete(&path("unsound"));
    }
    say("measured", &format!("{} Secrets that are not sound", cases.len()));
}

#[test]
fn rotating_changes_the_secret_and_then_the_directory() {
    let Some(server) = server() else { return };
    let (first, second) = (desk(server), desk(server));
    init(&first, "rotates", "").ok();
    init(&second, "rotates", "").ok();
    let before = stored(server, "rotates");
    for line in ["keys rotate", "keys passphrase --remove"] {
        first.line(line).code(1).says("would not hear of the change").says("--secret NAMESPACE/NAME");
    }
    let rotate = format!("keys rotate --secret {NAMESPACE}/rotates --kubeconfig admin.kubeconfig");
    first.line(&rotate.replace("/rotates", "/stays-not")).code(1).says("comes from the Secret");
    assert_eq!(stored(server, "rotates"), before);
    first.line(&rotate).ok().says("changed the Secret");
    let after = stored(server, "rotates");
    assert_eq!(after["data"]["client-uuid"], before["data"]["client-uuid"]);
    assert_eq!(after["data"]["pseudonym.key"], before["data"]["pseudonym.key"]);
    assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"]);
    // Who has the old key may not change what it does not know, and is told how to follow.
    second.line(&rotate).code(1).says("don't hold the same key").says("brings the directory up to date");
    init(&second, "rotates", "").ok().says("the signing key was changed in the Secret");
    let show = |desk: &Desk| desk.line("keys show --json").ok().json();
    assert_eq!(show(&second), show(&first));
    assert_eq!(show(&first)["rotation"].as_array().unwrap().len(), 1);
    second.line(&rotate).ok();
    // A passphrase, too; the directory follows it.
    second.file("word", "a good passphrase\n");
    second.line(&rotate.replacen("rotate", "passphrase --new-passphrase-file word", 1)).ok();
    init(&first, "rotates", "").ok();
    assert_eq!(show(&first), show(&second));
    assert_eq!(show(&first)["encrypted"], true);
    // Bundles carry the chain, whoever packs them.
    first.collect();
    let export = "export -o bundle.tar --passphrase-file word";
    first.file("word", "a good passphrase\n");
    first.line(export).ok();
    first.line("inspect bundle.tar --json").code(0);
}

#[test]
fn two_that_rotate_at_once_do_not_undo_each_other() {
    let Some(server) = server() else { return };
    let desks: Vec<_> = (0..4).map(|_| desk(server)).collect();
    for desk in &desks {
        init(desk, "race", "").ok();
    }
    let children: Vec<_> = desks
        .iter()
        .map(|desk| {
            let mut command = desk.command();
            command.args(["keys", "rotate", "--kubeconfig", "admin.kubeconfig", "--secret"]);
            command.arg(format!("{NAMESPACE}/race")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let printed: Vec<_> = children.into_iter().map(|it| Printed::of(it.wait_with_output().unwrap())).collect();
    assert_eq!(printed.iter().filter(|it| it.code == 0).count(), 1, "{printed:?}");
    for lost in printed.iter().filter(|it| it.code != 0) {
        let told = ["was changed by somebody else", "don't hold the same key"];
        assert!(told.iter().any(|text| lost.stderr.contains(text)), "{}", lost.stderr);
    }
    for desk in &desks {
        init(desk, "race", "").ok();
    }
    let keys: BTreeSet<_> = desks.iter().map(|desk| desk.line("keys show").ok().stdout).collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys.first().unwrap().matches("not confirmed yet").count(), 1, "one rotation");
}

#[test]
fn whoever_is_killed_leaves_a_whole_identity_or_none() {
    let Some(server) = server() else { return };
    let (mut killed, mut made) = (0, 0);
    for round in 0..40_u64 {
        let (desk, name) = (desk(server), format!("killed-{round}"));
        let mut command = desk.command();
        command.args(["init", "--kubeconfig", "admin.kubeconfig", "--secret", &format!("{NAMESPACE}/{name}")]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(round * 3));
        let _ = child.kill();
        killed += usize::from(!child.wait().unwrap().success());
        let answer = server.admin.request("GET", &path(&name), None).unwrap();
        let first = (answer.status == 200).then(|| value(&answer.body, "client-uuid"));
        made += usize::from(first.is_some());
        let again = init(&desk, &name, "").ok();
        if let Some(first) = first {
            assert!(again.stdout.contains(first.trim()), "the identity that was made is the one that stays");
        }
        assert!(desk.tree("state").iter().all(|file| file.starts_with("identity/")), "{:?}", desk.tree("state"));
    }
    say("measured", &format!("{killed} of 40 killed, {made} after the Secret was there"));
    assert!(killed > 0);
}

#[test]
fn exactly_the_rules_of_the_page_are_needed() {
    let Some(server) = server() else { return };
    let rules = Page::read().objects(&["telemetry-identity.yaml"]);
    let role = rules.iter().position(|object| object["kind"] == "Role").unwrap();
    // The old Secret's name is that of the chart that is replaced.
    server.admin.apply(&secret(NAMESPACE, OLD, "uuid", "7d9f0e3c-60c9-4cc8-b2a0-7d3f1e9b4a10"));
    // The rules of tests are renamed, and with them the Secret that they name.
    let named = |account: &str| format!("kubermatic-telemetry-{account}-identity");
    let run = |account: &str, rules: &[Value]| {
        let mut rules = rules.to_vec();
        rules.push(json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": "kubermatic-telemetry", "namespace": NAMESPACE },
        }));
        let token = grant(server, &rules, account);
        let desk = Desk::new();
        desk.file("pod.kubeconfig", server.kubeconfig(&token));
        (desk, format!("--secret {NAMESPACE}/{} --kubeconfig pod.kubeconfig", named(account)))
    };
    let (desk, secret) = run("all", &rules);
    let take = format!("--take-over {NAMESPACE}/{OLD}");
    desk.line(&format!("init {secret} {take}")).ok().says("took the client UUID over");
    desk.line(&format!("init {secret} {take}")).ok();
    desk.line(&format!("keys rotate {secret}")).code(1).says("can't update the Secret").says("verbs [update]");
    let count = rules[role]["rules"].as_array().unwrap().len();
    for index in 0..count {
        let mut fewer = rules.clone();
        let taken = fewer[role]["rules"].as_array_mut().unwrap().remove(index);
        let account = format!("lacks-{index}");
        let (desk, secret) = run(&account, &fewer);
        let printed =
            desk.line(&format!("init {secret} {take}")).code(1).says("not allowed").says("docs/permissions.md");
        let verb = taken["verbs"][0].as_str().unwrap();
        let printed = printed.says(&format!("verbs [{verb}]"));
        match taken["resourceNames"][0].as_str() {
            Some(OLD) => drop(printed.says(&format!("can't get the Secret {NAMESPACE}/{OLD}"))),
            Some(_) => drop(printed.says(&format!("can't get the Secret {NAMESPACE}/{}", named(&account)))),
            None => drop(printed.says(&format!("can't create the Secret {NAMESPACE}/{}", named(&account)))),
        }
        assert!(desk.tree("state").is_empty(), "nothing is made: {:?}", desk.tree("state"));
    }
    // With `update` beside `get`, as the page says, rotating works.
    let mut more = rules.clone();
    for rule in more[role]["rules"].as_array_mut().unwrap() {
        if rule["resourceNames"][0] == NAME {
            rule["verbs"] = json!(["update", "get"]);
        }
    }
    let (desk, secret) = run("rotates", &more);
    desk.line(&format!("init {secret}")).ok();
    desk.line(&format!("keys rotate {secret}")).ok();
    say("measured", &format!("{count} rules, each left out in turn"));
}

#[test]
fn what_is_in_the_way_is_told() {
    let Some(server) = server() else { return };
    let desk = desk(server);
    desk.line("init --secret nowhere/x --kubeconfig admin.kubeconfig").code(1).says("there is no namespace nowhere");
    desk.line("init --secret a/b").code(2).says("there is no cluster to look for the Secret in").says("hint: ");
    for odd in ["x", "a/b/c", "A/b"] {
        desk.line(&format!("init --secret {odd}")).code(2).says("NAMESPACE/NAME");
    }
    desk.line("init --take-over a/b").code(2).says("--secret");
    desk.line("init --kubeconfig admin.kubeconfig").code(2).says("--secret");
    desk.file("gone.kubeconfig", server.admin_kubeconfig().replace(&server.url(), "https://127.0.0.1:1"));
    let line = format!("init --secret {NAMESPACE}/x --kubeconfig gone.kubeconfig --request-timeout 2s");
    desk.line(&line).code(1).says(&format!("can't get the Secret {NAMESPACE}/x: "));
    // The identity directory is where the variable says.
    let mut command = desk.command();
    command.env("KUBERMATIC_TELEMETRY_IDENTITY", desk.path("elsewhere"));
    command.args(["init", "--kubeconfig", "admin.kubeconfig", "--secret", &format!("{NAMESPACE}/elsewhere")]);
    Printed::of(command.output().unwrap()).ok();
    assert!(desk.path("elsewhere/signing-key.pem").is_file() && !desk.state().join("identity").exists());
}

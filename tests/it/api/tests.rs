//! The fake itself: a fake that is wrong makes every test that stands on it worthless.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::client::Client;
use super::objects::KKP;
use super::paging::Cluster;
use super::server::Setup;
use super::{Access, ApiServer, Effect, Fault, Fleet, Framing, Objects, Proxy, Rule};
use crate::site::{self, cluster, configuration, node, project, seed, user};
use crate::support::{Desk, installation};

const USERS: &str = "/apis/kubermatic.k8c.io/v1/users";

fn users(names: &[&str]) -> Objects {
    let mut objects = Objects::new();
    objects.install(KKP);
    for name in names {
        objects.add(user(name, json!({})));
    }
    objects
}

fn started(names: &[&str]) -> (ApiServer, Client) {
    let server = ApiServer::start(users(names));
    let client = Client::new(&server, false);
    (server, client)
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

fn token(list: &Value) -> &str {
    list["metadata"]["continue"].as_str().unwrap()
}

#[test]
fn a_list_comes_in_pages_in_order() {
    let (_server, mut client) = started(&["e", "c", "a", "d", "b"]);
    let first = client.json(&format!("{USERS}?limit=2"));
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(3)));
    let second = client.json(&format!("{USERS}?limit=2&continue={}", token(&first)));
    assert_eq!((names(&second), &second["metadata"]["remainingItemCount"]), (vec!["c", "d"], &json!(1)));
    let third = client.json(&format!("{USERS}?limit=2&continue={}", token(&second)));
    assert_eq!((names(&third), token(&third)), (vec!["e"], ""));
    assert_eq!(third["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert!(third["metadata"].get("remainingItemCount").is_none());
    assert_eq!(names(&client.json(USERS)), ["a", "b", "c", "d", "e"]);
}

#[test]
fn namespaces_come_before_names() {
    let mut objects = Objects::new();
    for (namespace, name) in [("b", "1"), ("a", "2"), ("b", "0")] {
        let mut machines = site::machines(name, json!({}));
        machines["metadata"]["namespace"] = json!(namespace);
        objects.add(machines);
    }
    let server = ApiServer::start(objects);
    let mut client = Client::new(&server, false);
    let group = "/apis/cluster.k8s.io/v1alpha1";
    assert_eq!(names(&client.json(&format!("{group}/machinedeployments"))), ["2", "0", "1"]);
    assert_eq!(names(&client.json(&format!("{group}/namespaces/b/machinedeployments?limit=5"))), ["0", "1"]);
}

#[test]
fn later_pages_are_of_the_state_in_which_the_list_began() {
    let (server, mut client) = started(&["a", "b", "c", "d"]);
    let first = client.json(&format!("{USERS}?limit=2"));
    server.remove("users.kubermatic.k8c.io", "a");
    server.remove("users.kubermatic.k8c.io", "c");
    server.change(|objects| objects.add(user("bb", json!({}))));
    let second = client.json(&format!("{USERS}?limit=9&continue={}", token(&first)));
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let anew = client.json(USERS);
    assert_eq!(names(&anew), ["b", "bb", "d"]);
    assert_ne!(anew["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
}

#[test]
fn after_a_compaction_a_token_is_expired_and_another_is_offered() {
    let (server, mut client) = started(&["a", "b", "c"]);
    let first = client.json(&format!("{USERS}?limit=2"));
    server.remove("users.kubermatic.k8c.io", "a");
    server.change(|objects| objects.add(user("bb", json!({}))));
    server.after(1, USERS, Cluster::compact);
    server.after(0, "/version", |_| panic!("nobody asks for it"));
    let again = client.json(&format!("{USERS}?limit=2&continue={}", token(&first)));
    assert_eq!(names(&again), ["c"]);
    let gone = client.get(&format!("{USERS}?limit=2&continue={}", token(&first)), &[]);
    assert_eq!((gone.status, &gone.json()["reason"], &gone.json()["code"]), (410, &json!("Expired"), &json!(410)));
    let rest = client.json(&format!("{USERS}?limit=2&continue={}", token(&gone.json())));
    assert_eq!(names(&rest), ["bb", "c"], "what came in between is there, and nobody knows that `a` is gone");
}

#[test]
fn a_list_from_the_cache_knows_no_pages() {
    let (_server, mut client) = started(&["a", "b", "c"]);
    let all = client.json(&format!("{USERS}?limit=1&resourceVersion=0"));
    assert_eq!((names(&all), token(&all)), (vec!["a", "b", "c"], ""));
    let first = client.json(&format!("{USERS}?limit=1"));
    let rest = client.json(&format!("{USERS}?limit=1&resourceVersion=0&continue={}", token(&first)));
    assert_eq!((names(&rest), token(&rest)), (vec!["b", "c"], ""));
    let both = client.get(&format!("{USERS}?limit=1&resourceVersion=5&continue={}", token(&first)), &[]);
    assert_eq!((both.status, &both.json()["reason"]), (400, &json!("BadRequest")));
    assert_eq!(client.get(&format!("{USERS}?continue=words"), &[]).status, 400);
    assert_eq!(client.get(&format!("{USERS}?watch=true"), &[]).status, 501);
}

#[test]
fn lists_of_custom_resources_end_with_what_lists_of_built_in_ones_begin_with() {
    let mut objects = users(&["a", "b"]);
    objects.add(node("n1", json!({"spec": {}})));
    objects.add(node("n2", json!({})));
    let server = ApiServer::start(objects);
    let mut client = Client::new(&server, false);
    let custom = client.get(&format!("{USERS}?limit=1"), &[]);
    let text = custom.text();
    assert!(
        text.starts_with(
            r#"{"apiVersion":"kubermatic.k8c.io/v1","items":[{"apiVersion":"kubermatic.k8c.io/v1","kind":"User","#
        ),
        "{text}"
    );
    let end = format!(
        r#"}}],"kind":"UserList","metadata":{{"continue":"{}","remainingItemCount":1,"resourceVersion":"271828"}}}}"#,
        token(&custom.json())
    );
    assert!(text.ends_with(&(end + "\n")), "{text}");
    let typed = client.get("/api/v1/nodes?limit=1", &[]);
    let text = typed.text();
    let start = format!(
        concat!(
            r#"{{"kind":"NodeList","apiVersion":"v1","metadata":{{"resourceVersion":"271828","continue":"{}","#,
            r#""remainingItemCount":1}},"items":[{{"metadata":{{"#
        ),
        token(&typed.json())
    );
    assert!(text.starts_with(&start) && text.ends_with("}]}\n"), "{text}");
    assert!(
        client
            .get("/api/v1/nodes", &[])
            .text()
            .starts_with(r#"{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"271828"},"items":["#)
    );
    let empty = client.get("/apis/kubermatic.k8c.io/v1/projects", &[]);
    assert_eq!(
        empty.text(),
        concat!(
            r#"{"apiVersion":"kubermatic.k8c.io/v1","items":[],"kind":"ProjectList","#,
            r#""metadata":{"continue":"","resourceVersion":"271828"}}"#,
            "\n"
        )
    );
}

#[test]
fn partial_metadata_has_nothing_but_metadata() {
    let mut objects = Objects::new();
    objects.add(project("p1"));
    objects.add(project("p2"));
    let server = ApiServer::start(objects);
    let mut client = Client::new(&server, false);
    let accept = "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let got = client.get("/apis/kubermatic.k8c.io/v1/projects?limit=1", &[accept]);
    let list = got.json();
    assert!(
        got.text().starts_with(r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"#)
    );
    assert_eq!((names(&list), &list["metadata"]["remainingItemCount"]), (vec!["p1"], &json!(1)));
    let members: Vec<_> = list["items"][0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["apiVersion", "kind", "metadata"]);
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    let second = format!("/apis/kubermatic.k8c.io/v1/projects?limit=1&continue={}", token(&list));
    assert_eq!(names(&client.get(&second, &[accept, "Accept-Encoding: gzip"]).json()), ["p2"]);
    let protobuf = client.get("/api/v1/nodes", &["Accept: application/vnd.kubernetes.protobuf"]);
    assert_eq!((protobuf.status, &protobuf.json()["reason"]), (406, &json!("NotAcceptable")));
}

#[test]
fn what_is_not_there_is_told_as_the_mux_or_the_registry_would() {
    let mut objects = users(&[]);
    objects.uninstall("seeds.kubermatic.k8c.io");
    let server = ApiServer::start(objects);
    let mut client = Client::new(&server, false);
    for path in
        ["/apis/kubermatic.k8c.io/v1/seeds", "/apis/example.invalid/v1", "/apis/kubermatic.k8c.io/v2/users", "/"]
    {
        let got = client.get(path, &[]);
        assert_eq!((got.status, got.text()), (404, "404 page not found\n"), "{path}");
    }
    let plural = client.get("/api/v1/words", &[]).json();
    assert_eq!(
        plural,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound",
               "message": "the server could not find the requested resource", "details": {}, "code": 404})
    );
    let secret = client.get("/api/v1/namespaces/kubermatic/secrets/none", &[]);
    assert_eq!(
        secret.text(),
        concat!(
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
            r#""message":"secrets \"none\" not found","reason":"NotFound","#,
            r#""details":{"name":"none","kind":"secrets"},"code":404}"#,
            "\n"
        )
    );
}

#[test]
fn version_discovery_and_single_objects_are_served() {
    let mut objects = users(&[]);
    objects.version = Some("v1.32.8".to_owned());
    objects.add(super::secret("kubermatic", "europe", "kubeconfig", "words"));
    let server = ApiServer::start(objects);
    let mut client = Client::new(&server, false);
    assert_eq!(client.json("/version")["gitVersion"], "v1.32.8");
    assert_eq!(client.json("/version")["minor"], "32");
    assert_eq!(client.json("/apis")["groups"][0]["name"], "kubermatic.k8c.io");
    let resources = client.json("/apis/kubermatic.k8c.io/v1");
    assert_eq!(
        (&resources["kind"], &resources["groupVersion"]),
        (&json!("APIResourceList"), &json!("kubermatic.k8c.io/v1"))
    );
    assert_eq!(client.json("/api/v1")["groupVersion"], "v1");
    let namespace = client.json("/api/v1/namespaces/kube-system");
    assert_eq!((&namespace["kind"], namespace["metadata"]["uid"].is_string()), (&json!("Namespace"), true));
    let secret = client.get("/api/v1/namespaces/kubermatic/secrets/europe", &[]);
    assert!(secret.text().starts_with(r#"{"kind":"Secret","apiVersion":"v1","metadata":{"#));
}

#[test]
fn only_the_token_or_the_certificate_opens_the_door() {
    let (server, mut client) = started(&["a"]);
    assert_eq!(client.get(USERS, &[]).status, 200);
    let wrong = Client::new(&server, false).with_token("wrong").get(USERS, &[]);
    assert_eq!(
        (wrong.status, &wrong.json()["reason"], &wrong.json()["message"]),
        (401, &json!("Unauthorized"), &json!("Unauthorized"))
    );
    let mut certified = Client::new(&server, true);
    assert_eq!(certified.get(USERS, &[]).status, 200);
    let seen: Vec<_> = server.requests().iter().map(|request| request.headers.get("authorization").cloned()).collect();
    assert_eq!(seen, [Some("right".to_owned()), Some("wrong".to_owned()), None]);
}

#[test]
fn who_may_not_is_told_so_in_the_words_of_kube_apiserver() {
    let setup = |access| Setup { access, ..Setup::default() };
    let server = ApiServer::start_with(users(&[]), setup(Access::but(Rule::new("list", "users.kubermatic.k8c.io"))));
    let mut client = Client::new(&server, false);
    let refused = client.get(USERS, &[]);
    assert_eq!(
        (refused.status, refused.text()),
        (
            403,
            concat!(
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
                r#""message":"users.kubermatic.k8c.io is forbidden: "#,
                r#"User \"system:serviceaccount:telemetry-system:agent\" "#,
                r#"cannot list resource \"users\" in API group \"kubermatic.k8c.io\" at the cluster scope","#,
                r#""reason":"Forbidden","details":{"group":"kubermatic.k8c.io","kind":"users"},"code":403}"#,
                "\n"
            )
        )
    );
    assert_eq!(client.get("/api/v1/nodes", &[]).status, 200);
    let only = [Rule::new("list", "nodes"), Rule::new("get", "secrets").named("kubermatic", "mine")];
    let server = ApiServer::start_with(users(&[]), setup(Access::only(only)));
    let mut client = Client::new(&server, true);
    let statuses = ["/version", "/api/v1/nodes", "/api/v1/secrets", "/api/v1/namespaces/kubermatic/secrets/mine"];
    assert_eq!(statuses.map(|path| client.get(path, &[]).status), [200, 200, 403, 404]);
    let other = client.json("/api/v1/namespaces/kubermatic/secrets/other");
    assert_eq!(
        other["message"],
        "secrets \"other\" is forbidden: User \"kubermatic-telemetry\" cannot get resource \"secrets\" in API group \
         \"\" in the namespace \"kubermatic\""
    );
}

#[test]
fn large_answers_are_compressed_for_those_who_take_it() {
    let mut objects = Objects::new();
    objects.make("users.kubermatic.k8c.io", 3000, |index| user(&format!("user-{index:06}"), json!({})));
    let server = ApiServer::start(objects);
    let mut client = Client::new(&server, false);
    let gzip = ["Accept-Encoding: gzip"];
    let large = client.get(USERS, &gzip);
    assert_eq!((large.header("content-encoding"), names(&large.json()).len()), (Some("gzip"), 3000));
    assert!(large.header("content-length").is_none());
    let plain = client.get(USERS, &[]);
    assert_eq!((plain.header("content-encoding"), plain.header("transfer-encoding")), (None, Some("chunked")));
    assert_eq!(plain.json(), large.json());
    let medium = client.get(&format!("{USERS}?limit=20"), &gzip);
    assert_eq!((medium.header("content-encoding"), medium.header("transfer-encoding")), (None, Some("chunked")));
    let small = client.get(&format!("{USERS}?limit=1"), &gzip);
    assert_eq!(small.header("content-length"), Some(small.body.len().to_string().as_str()));
}

#[test]
fn rows_are_made_only_as_they_are_asked_for() {
    let mut objects = Objects::new();
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    objects.make("users.kubermatic.k8c.io", 100_000, move |index| {
        counter.fetch_add(1, Ordering::Relaxed);
        user(&format!("user-{index:06}"), json!({}))
    });
    let server = ApiServer::start(objects);
    let mut client = Client::new(&server, false);
    let first = client.json(&format!("{USERS}?limit=50"));
    assert_eq!(first["metadata"]["remainingItemCount"], 99_950);
    assert_eq!(names(&first)[49], "user-000049");
    let second = client.json(&format!("{USERS}?limit=50&continue={}", token(&first)));
    assert_eq!(names(&second)[0], "user-000050");
    let made = made.load(Ordering::Relaxed);
    assert!(made < 200, "{made} rows were made for two pages of 50");
}

#[test]
fn a_connection_is_kept_and_faults_come_and_go() {
    let (server, mut client) = started(&["a", "b"]);
    server.fault(Fault::at(USERS, Effect::Error(503, Some(1))).times(1));
    server.fault(Fault::at(USERS, Effect::Error(429, None)).after(1).times(1));
    server.fault(Fault::at(USERS, Effect::Error(410, None)).continued());
    let busy = client.get(USERS, &[]);
    assert_eq!(
        (busy.status, busy.header("retry-after"), &busy.json()["details"]["retryAfterSeconds"]),
        (503, Some("1"), &json!(1))
    );
    let first = client.json(&format!("{USERS}?limit=1"));
    assert_eq!(names(&first), ["a"]);
    let many = client.get(USERS, &[]);
    assert_eq!(
        (many.status, many.text(), many.header("retry-after")),
        (429, "Too many requests, please try again later.\n", None)
    );
    let gone = client.get(&format!("{USERS}?continue={}", token(&first)), &[]);
    assert_eq!((gone.status, token(&gone.json()).is_empty()), (410, false));
    assert_eq!(client.get("/api/v1/nodes", &[]).status, 200);
    let codes = [401, 403, 404, 500, 504];
    for code in codes {
        server.fault(Fault::at("/api/v1/nodes", Effect::Error(code, None)).times(1));
    }
    for code in codes {
        let got = client.get("/api/v1/nodes", &[]);
        assert_eq!((got.status, &got.json()["code"]), (code, &json!(code)));
    }
    server.fault(Fault::everywhere(Effect::html(502)));
    let page = client.get("/version", &[]);
    assert_eq!((page.status, page.header("content-type")), (502, Some("text/html")));
}

#[test]
fn spoiled_lists_are_spoiled_and_nothing_else() {
    let (server, mut client) = started(&["a"]);
    server.fault(Fault::at(USERS, Effect::Items("\"words\"".to_owned())).times(1));
    server.fault(Fault::at(USERS, Effect::deep(100_000)).times(1));
    let words = client.json(USERS);
    assert_eq!((&words["items"], &words["kind"]), (&json!("words"), &json!("UserList")));
    assert_eq!(client.get(USERS, &[]).text().matches('}').count(), 100_004);
    assert_eq!(names(&client.json(USERS)), ["a"]);
}

#[test]
fn a_body_is_cut_where_the_test_says() {
    let (server, _) = started(&["a", "b"]);
    server.fault(Fault::at(USERS, Effect::Cut(100, Framing::ContentLength)).times(1));
    server.fault(Fault::at(USERS, Effect::Cut(100, Framing::Chunked)).times(1));
    for header in ["content-length", "transfer-encoding"] {
        let mut client = Client::new(&server, false);
        client.send(USERS, &[]);
        let got = client.receive().unwrap();
        assert_eq!((got.cut, got.body.len(), got.header(header).is_some()), (true, 100, true));
    }
    assert_eq!(names(&Client::new(&server, false).json(USERS)), ["a", "b"]);
}

#[test]
fn what_hangs_hangs_until_the_server_stops() {
    let (server, mut silent) = started(&["a"]);
    server.fault(Fault::at(USERS, Effect::Silence).times(1));
    server.fault(Fault::at(USERS, Effect::Hang(10)).times(1));
    silent.send(USERS, &[]);
    server.wait_for(USERS);
    let mut hanging = Client::new(&server, false);
    hanging.send(USERS, &[]);
    // Others are served meanwhile.
    assert_eq!(names(&Client::new(&server, false).json(USERS)), ["a"]);
    server.stop();
    assert!(silent.receive().is_err());
    let got = hanging.receive();
    assert!(got.is_err() || got.is_ok_and(|got| got.cut && got.body.len() == 10));
    assert!(TcpStream::connect(server.address()).is_err(), "nobody listens any more");
}

#[test]
fn slow_bodies_come_whole_and_endless_ones_never() {
    let (server, mut client) = started(&["a", "b"]);
    server.fault(Fault::at(USERS, Effect::Slow(50, Duration::from_millis(1))).times(1));
    server.fault(Fault::at(USERS, Effect::Endless(100, Duration::ZERO)));
    assert_eq!(names(&client.json(USERS)), ["a", "b"]);
    client.send(USERS, &[]);
    server.stop();
    assert!(client.receive().is_ok_and(|got| got.cut) || client.receive().is_err());
}

#[test]
fn two_exports_of_one_object_are_one_and_twins_are_two() {
    let mut objects = Objects::new();
    let twin = site::copy_of(&project("b"));
    for object in [project("b"), project("a"), project("b"), twin, project("c")] {
        objects.add(object);
    }
    let server = ApiServer::start(objects);
    let mut client = Client::new(&server, false);
    let path = "/apis/kubermatic.k8c.io/v1/projects?limit=1";
    let mut found = Vec::new();
    let mut next = String::new();
    loop {
        let page = client.json(&format!("{path}&continue={next}"));
        found.extend(names(&page).into_iter().map(str::to_owned));
        token(&page).clone_into(&mut next);
        if next.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["a", "b", "b", "c"]);
}

#[test]
fn manifests_are_served_as_they_are() {
    let objects = Objects::from_manifests(&installation().join("master"));
    let count = |title| objects.all(title).len();
    assert_eq!(["nodes", "seeds.kubermatic.k8c.io", "users.kubermatic.k8c.io"].map(count), [4, 3, 13]);
    assert_eq!(["projects.kubermatic.k8c.io", "usersshkeys.kubermatic.k8c.io"].map(count), [8, 6]);
    assert_eq!(objects.version.as_deref(), Some("v1.33.4"));
    for object in objects.all("nodes") {
        assert!(object["metadata"]["uid"].is_string() && object["metadata"]["resourceVersion"].is_string());
        assert_eq!(object["status"]["capacity"]["pods"], "110", "quantities stay strings");
    }
}

#[test]
fn a_fleet_is_led_through_by_secrets() {
    let desk = Desk::new();
    let put = |file: &str, objects: &[Value]| drop(desk.file(&format!("m/{file}"), site::list(objects)));
    put("master/all.json", &[configuration(), seed("europe", json!({})), seed("elsewhere", json!({}))]);
    put("seeds/europe/all.json", &[cluster("c1", json!({})), cluster("c2", json!({"status": {}}))]);
    put("user-clusters/c1/all.json", &[node("u1", json!({}))]);
    let fleet = Fleet::start(&desk.path("m"));
    assert_eq!(fleet.servers().count(), 4);
    let mut master = Client::new(&fleet.master, false);
    let seeds = master.json("/apis/kubermatic.k8c.io/v1/seeds");
    assert_eq!(names(&seeds), ["elsewhere", "europe"]);
    assert!(seeds["items"][0]["spec"]["kubeconfig"].is_null(), "nothing leads to a seed that is not there");
    let (namespace, name, key) = fleet.secret_of("europe");
    let secret = master.json(&format!("/api/v1/namespaces/{namespace}/secrets/{name}"));
    let text = String::from_utf8(BASE64.decode(secret["data"][&key].as_str().unwrap()).unwrap()).unwrap();
    let europe = fleet.seed("europe");
    assert!(text.contains(&format!("server: \"{}\"", europe.url())) && text.contains(europe.token()), "{text}");
    let mut europe = Client::new(europe, false);
    for cluster in ["c1", "c2"] {
        for (secret, credential) in [("admin", "token"), ("internal-admin", "client-key-data")] {
            let secret = europe.json(&format!("/api/v1/namespaces/cluster-{cluster}/secrets/{secret}-kubeconfig"));
            let text = String::from_utf8(BASE64.decode(secret["data"]["kubeconfig"].as_str().unwrap()).unwrap());
            let text = text.unwrap();
            assert!(text.contains(credential) && text.contains(&fleet.user_cluster(cluster).url()), "{text}");
        }
    }
    assert_eq!(names(&Client::new(fleet.user_cluster("c1"), true).json("/api/v1/nodes")), ["u1"]);
    assert_eq!(names(&Client::new(fleet.user_cluster("c2"), true).json("/api/v1/nodes")), [] as [&str; 0]);
}

#[test]
fn a_proxy_leads_everything_to_one_place_or_nowhere() {
    let (server, _) = started(&[]);
    let proxy = Proxy::to(server.address());
    let mut stream = TcpStream::connect(proxy.url().trim_start_matches("http://")).unwrap();
    stream.write_all(b"CONNECT anywhere.example.invalid.:443 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 39];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 Connection established\r\n\r\n");
    assert_eq!(proxy.targets(), ["anywhere.example.invalid.:443"]);
    // What comes next is TLS, which a request in the clear offends.
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut alert = Vec::new();
    stream.read_to_end(&mut alert).unwrap();
    assert_eq!(alert.first(), Some(&21), "{alert:?}");
    let refusing = Proxy::refusing();
    let mut stream = TcpStream::connect(refusing.url().trim_start_matches("http://")).unwrap();
    stream.write_all(b"CONNECT anywhere:443 HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

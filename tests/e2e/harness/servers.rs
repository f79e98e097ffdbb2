//! etcd and kube-apiservers on loopback, started for tests and ended with them.

use std::fs::{self, File};
use std::io::BufReader;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rcgen::KeyPair;
use serde_json::{Value, json};

use super::authority::{Authority, Identity};
use super::client::Client;
use super::guard::{Guard, Guarded};
use super::http::Message;
use super::kubeconfig;

/// How long a server may take to be ready; many times what it needs.
const LONGEST_START: Duration = Duration::from_mins(2);

/// One etcd, and the API servers that keep their objects in it.
pub struct ControlPlane {
    assets: PathBuf,
    guard: Arc<Guard>,
    etcd: String,
    /// Further flags of each API server.
    flags: Vec<String>,
}

/// A kube-apiserver, with authorities of its own.
pub struct ApiServer {
    pub address: SocketAddr,
    pub authority: Authority,
    /// A client that may do everything.
    pub admin: Client,
    admin_identity: Identity,
    guard: Arc<Guard>,
    process: Guarded,
}

/// Where etcd and kube-apiserver lie, as envtest's variable says.
pub fn assets() -> Result<PathBuf, String> {
    let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") else {
        let build = "tests/e2e/control-plane/build";
        return Err(format!("KUBEBUILDER_ASSETS is not set; export KUBEBUILDER_ASSETS=$({build})"));
    };
    let assets = PathBuf::from(assets);
    for program in ["etcd", "kube-apiserver"] {
        // Whoever sets the variable wants the tests to run, even if what should have given it its value failed.
        assert!(assets.join(program).is_file(), "KUBEBUILDER_ASSETS is {}, and has no {program}", assets.display());
    }
    Ok(assets)
}

impl ControlPlane {
    /// Starts etcd.
    pub fn start(assets: &Path, flags: &[&str]) -> Self {
        let guard = Arc::new(Guard::new());
        for _ in 0..3 {
            let [client, peer] = free_ports::<2>().map(|port| format!("http://127.0.0.1:{port}"));
            let mut command = Command::new(assets.join("etcd"));
            command.arg("--data-dir").arg(guard.directory().join("etcd")).args([
                "--unsafe-no-fsync",
                &format!("--listen-client-urls={client}"),
                &format!("--advertise-client-urls={client}"),
                &format!("--listen-peer-urls={peer}"),
                &format!("--initial-advertise-peer-urls={peer}"),
                &format!("--initial-cluster=default={peer}"),
                "--quota-backend-bytes=8589934592",
            ]);
            let process = guard.spawn(logging(&mut command, &guard.directory().join("etcd.log")));
            let address = client.trim_start_matches("http://").parse().unwrap();
            if until_ready(|| guard.has_ended(process), || TcpStream::connect::<SocketAddr>(address).is_ok()) {
                let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
                return Self { assets: assets.to_owned(), guard, etcd: client, flags };
            }
        }
        panic!("etcd does not start: {}", tail(&guard.directory().join("etcd.log")));
    }

    /// Where files of the tests may lie as long as the servers live.
    pub fn directory(&self) -> &Path {
        self.guard.directory()
    }

    /// Starts API servers, all at once, and waits until they are ready.
    pub fn servers(&self, names: &[&str]) -> Vec<ApiServer> {
        std::thread::scope(|scope| {
            let started: Vec<_> = names.iter().map(|name| scope.spawn(move || self.server(name))).collect();
            started.into_iter().map(|it| it.join().unwrap()).collect()
        })
    }

    /// Makes etcd forget what was before now, as API servers have it do every five minutes.
    pub fn compact(&self) {
        let revision = self.ask_etcd("/v3/kv/range", &json!({ "key": "AA==" }))["header"]["revision"].clone();
        self.ask_etcd("/v3/kv/compaction", &json!({ "revision": revision, "physical": true }));
    }

    /// A request to etcd, whose interface for people is JSON.
    fn ask_etcd(&self, path: &str, body: &Value) -> Value {
        let address = self.etcd.trim_start_matches("http://");
        let headers = vec![("host".to_owned(), address.to_owned())];
        let body = serde_json::to_vec(body).unwrap();
        let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
        Message { start: format!("POST {path} HTTP/1.1"), headers, body }.write(stream.get_mut()).unwrap();
        let answer = Message::read(&mut stream).unwrap().unwrap();
        assert_eq!(answer.status(), 200, "{}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn server(&self, name: &str) -> ApiServer {
        let directory = self.directory().join(name);
        fs::create_dir(&directory).unwrap();
        let authority = Authority::new(&format!("{name} authority"));
        let admin_identity = authority.client("admin", "system:masters");
        let (server, accounts) = (authority.server(), KeyPair::generate().unwrap());
        for (file, contents) in [
            ("authority.pem", authority.certificate()),
            ("server.pem", server.certificate),
            ("server.key", server.key),
            ("accounts.key", accounts.serialize_pem()),
            ("accounts.pem", accounts.public_key_pem()),
        ] {
            fs::write(directory.join(file), contents).unwrap();
        }
        let log = directory.join("log");
        // Another process may take a port between its choice and its use.
        for _ in 0..3 {
            let [port] = free_ports();
            let process = self.guard.spawn(logging(&mut self.command(name, &directory, port), &log));
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let admin = Client::new(address, &authority.certificate(), Some(&admin_identity));
            if until_ready(|| self.guard.has_ended(process), || is_ready(&admin)) {
                let guard = Arc::clone(&self.guard);
                return ApiServer { address, authority, admin, admin_identity, guard, process };
            }
        }
        panic!("kube-apiserver does not start: {}", tail(&log));
    }

    fn command(&self, name: &str, directory: &Path, port: u16) -> Command {
        let mut command = Command::new(self.assets.join("kube-apiserver"));
        let file = |flag: &str, name: &str| format!("--{flag}={}", directory.join(name).display());
        command.args([
            format!("--etcd-servers={}", self.etcd),
            format!("--etcd-prefix=/{name}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            // It would write its address down as an endpoint, where none on loopback may be.
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--secure-port={port}"),
            file("tls-cert-file", "server.pem"),
            file("tls-private-key-file", "server.key"),
            file("client-ca-file", "authority.pem"),
            file("service-account-key-file", "accounts.pem"),
            file("service-account-signing-key-file", "accounts.key"),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
        ]);
        command.args(&self.flags);
        // Nothing of the environment is for it: neither a proxy nor settings of Go's.
        command.env_clear().current_dir(directory);
        command
    }
}

impl ApiServer {
    /// A kubeconfig of an administrator, with a client certificate.
    pub fn admin_kubeconfig(&self) -> String {
        let user = kubeconfig::User::Certificate(&self.admin_identity);
        kubeconfig::kubeconfig(&self.url(), &self.authority.certificate(), user)
    }

    /// A kubeconfig with a bearer token.
    pub fn kubeconfig(&self, token: &str) -> String {
        kubeconfig::kubeconfig(&self.url(), &self.authority.certificate(), kubeconfig::User::Token(token))
    }

    /// A client with a bearer token.
    pub fn client(&self, token: &str) -> Client {
        Client::new(self.address, &self.authority.certificate(), None).with_token(token)
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Ends it: its port is closed from now on.
    pub fn stop(&self) {
        self.guard.kill(self.process);
    }

    /// Lets it hang: its port is open, and nobody answers.
    pub fn pause(&self) {
        self.guard.signal(self.process, "STOP");
    }
}

fn is_ready(admin: &Client) -> bool {
    let there = |path| admin.request("GET", path, None).is_ok_and(|answer| answer.status == 200);
    // The server makes its own namespaces, some time after it says that it is ready.
    there("/readyz") && there("/api/v1/namespaces/kube-system") && there("/api/v1/namespaces/default")
}

/// Waits until something is ready; false if it has ended instead.
fn until_ready(has_ended: impl Fn() -> bool, is_ready: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while !is_ready() {
        if has_ended() || begin.elapsed() > LONGEST_START {
            return false;
        }
        sleep(Duration::from_millis(50));
    }
    true
}

/// Ports of loopback that nobody listens on.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn logging<'c>(command: &'c mut Command, log: &Path) -> &'c mut Command {
    let log = File::create(log).unwrap();
    command.stdout(Stdio::from(log.try_clone().unwrap())).stderr(Stdio::from(log))
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

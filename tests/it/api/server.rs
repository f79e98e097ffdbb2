//! A fake API server: HTTPS on loopback, a thread for each connection, faults where tests ask for them.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use super::access::Access;
use super::answers::{self, answer};
use super::faults::{Effect, Fault};
use super::http::{self, Answer, Request};
use super::kubeconfig::Kubeconfig;
use super::objects::Objects;
use super::paging::Cluster;
use super::requests::Log;
use super::tls::{CLIENT, Certificates};
use crate::canaries::hex;

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The bearer token that it takes.
    pub token: String,
    /// Names beyond the usual ones that its certificate is for.
    pub names: Vec<String>,
    pub access: Access,
}

impl Default for Setup {
    fn default() -> Self {
        let mut token = [0; 16];
        getrandom::fill(&mut token).unwrap();
        Self { token: hex(&token), names: Vec::new(), access: Access::default() }
    }
}

/// Whom a bearer token stands for.
const TOKEN_USER: &str = "system:serviceaccount:telemetry-system:agent";

/// A running server, which stops when it is dropped.
pub struct ApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    setup: Setup,
    certificates: Certificates,
    cluster: Mutex<Cluster>,
    faults: Mutex<Vec<Fault>>,
    events: Mutex<Vec<Event>>,
    log: Log,
    connections: Mutex<Connections>,
    ended: Condvar,
}

type Change = Box<dyn FnOnce(&mut Cluster) + Send>;

/// Something that happens to the cluster when a request comes.
struct Event {
    path: String,
    /// How many requests for the path come before it.
    before: usize,
    change: Option<Change>,
}

#[derive(Default)]
struct Connections {
    stopping: bool,
    open: BTreeMap<u64, TcpStream>,
    threads: Vec<JoinHandle<()>>,
    count: u64,
}

impl ApiServer {
    pub fn start(objects: Objects) -> Self {
        Self::start_with(objects, Setup::default())
    }

    pub fn start_with(objects: Objects, setup: Setup) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            certificates: Certificates::new(&setup.names),
            setup,
            cluster: Mutex::new(Cluster::new(objects)),
            faults: Mutex::default(),
            events: Mutex::default(),
            log: Log::default(),
            connections: Mutex::default(),
            ended: Condvar::new(),
        });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, accepting: Mutex::new(Some(accepting)) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn token(&self) -> &str {
        &self.shared.setup.token
    }

    pub fn ca_pem(&self) -> &str {
        &self.shared.certificates.ca_pem
    }

    /// A certificate that the server takes in place of the token, and its key.
    pub fn client_pems(&self) -> (&str, &str) {
        (&self.shared.certificates.client_pem, &self.shared.certificates.client_key_pem)
    }

    /// A kubeconfig that works.
    pub fn kubeconfig(&self) -> String {
        Kubeconfig::of(self).text()
    }

    /// A kubeconfig after a change.
    pub fn kubeconfig_with(&self, change: impl FnOnce(&mut Kubeconfig)) -> String {
        let mut kubeconfig = Kubeconfig::of(self);
        change(&mut kubeconfig);
        kubeconfig.text()
    }

    pub fn fault(&self, fault: Fault) {
        self.shared.faults.lock().unwrap().push(fault);
    }

    /// Takes all faults away.
    pub fn mend(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.log.all()
    }

    /// The requests for a list, whichever page of it.
    pub fn requests_for(&self, path: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.lists(path)).collect()
    }

    pub fn wait_for(&self, path: &str) {
        self.shared.log.wait_for(path);
    }

    /// Changes the objects while the server runs.
    pub fn change<R>(&self, change: impl FnOnce(&mut Objects) -> R) -> R {
        self.shared.cluster.lock().unwrap().change(change)
    }

    /// Removes an object by its name, or by namespace and name with a slash between them.
    pub fn remove(&self, title: &str, key: &str) {
        assert!(self.change(|objects| objects.remove(title, key)), "there is no {key} among the {title}");
    }

    /// Lets something happen to the cluster after so many requests for a path, before the next one is answered.
    pub fn after(&self, before: usize, path: &str, change: impl FnOnce(&mut Cluster) + Send + 'static) {
        let event = Event { path: path.to_owned(), before, change: Some(Box::new(change)) };
        self.shared.events.lock().unwrap().push(event);
    }

    /// Refuses connections from now on, and breaks off those that there are.
    pub fn stop(&self) {
        let Some(accepting) = self.accepting.lock().unwrap().take() else { return };
        self.shared.connections.lock().unwrap().stopping = true;
        self.shared.ended.notify_all();
        // Wakes the thread that accepts, so that it sees that it shall stop.
        let _ = TcpStream::connect(self.address);
        accepting.join().unwrap();
        let threads = {
            let mut connections = self.shared.connections.lock().unwrap();
            connections.open.values().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
            std::mem::take(&mut connections.threads)
        };
        for thread in threads {
            // What it had to say is in the output already.
            let _ = thread.join();
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let mut connections = shared.connections.lock().unwrap();
        if connections.stopping {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(copy) = stream.try_clone() else { continue };
        connections.count += 1;
        let number = connections.count;
        connections.open.insert(number, copy);
        let shared = Arc::clone(shared);
        connections.threads.push(thread::spawn(move || {
            // Clients come and go as they like.
            let _ = serve(stream, &shared);
            shared.connections.lock().unwrap().open.remove(&number);
        }));
    }
}

type Tls = BufReader<StreamOwned<ServerConnection, TcpStream>>;

/// One connection, until the client or a fault ends it.
fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let connection = ServerConnection::new(Arc::clone(&shared.certificates.server)).map_err(io::Error::other)?;
    let mut tls = BufReader::new(StreamOwned::new(connection, stream));
    while let Some(mut request) = Request::read(&mut tls)? {
        let user = shared.user_of(&request, &tls);
        if let Some(credentials) = request.headers.get_mut("authorization") {
            if user.is_some() { "right" } else { "wrong" }.clone_into(credentials);
        }
        request.server_name = tls.get_ref().conn.server_name().map(str::to_owned);
        shared.log.record(request.clone());
        let last = request.ends_connection();
        shared.reply(&request, user, &mut tls)?;
        if last {
            break;
        }
    }
    tls.get_mut().conn.send_close_notify();
    tls.get_mut().flush()
}

impl Shared {
    /// Who asks, by token or by certificate.
    fn user_of(&self, request: &Request, tls: &Tls) -> Option<&'static str> {
        if let Some(credentials) = request.headers.get("authorization") {
            return (*credentials == format!("Bearer {}", self.setup.token)).then_some(TOKEN_USER);
        }
        let presented = tls.get_ref().conn.peer_certificates()?.first()?;
        (*presented == self.certificates.client_der).then_some(CLIENT)
    }

    /// Answers, unless something happens to the request.
    fn reply(&self, request: &Request, user: Option<&str>, tls: &mut Tls) -> io::Result<()> {
        let answer = || answer(&mut self.cluster.lock().unwrap(), request, user, &self.setup.access);
        self.happen(request);
        let effect = self.faults.lock().unwrap().iter_mut().find_map(|fault| fault.strike(request));
        let takes_gzip = request.takes_gzip();
        let out = tls.get_mut();
        match effect {
            None => http::write(out, answer(), takes_gzip),
            Some(Effect::Error(code, after)) => http::write(out, answers::error(code, request, after), takes_gzip),
            Some(Effect::Body(status, content_type, body)) => {
                http::write(out, Answer::new(status, content_type, body), takes_gzip)
            }
            Some(Effect::Redirect(url)) => http::write(out, Answer::text(307, "").header("Location", &url), takes_gzip),
            Some(Effect::Items(items)) => http::write(out, answers::list_with_items(&request.path, &items), takes_gzip),
            Some(Effect::Cut(length, framing)) => {
                http::write_beginning(out, answer(), length, framing)?;
                out.sock.shutdown(Shutdown::Both)
            }
            Some(Effect::Hang(length)) => {
                http::write_beginning(out, answer(), length, http::Framing::Chunked)?;
                wait_for_end(tls)
            }
            Some(Effect::Silence) => wait_for_end(tls),
            Some(Effect::Slow(length, pause)) => http::write_slowly(out, answer(), length, || self.pause(pause)),
            Some(Effect::Endless(length, pause)) => {
                http::write_slowly(out, answers::endless_list(&request.path), length, || self.pause(pause))
            }
        }
    }

    /// Lets happen what is due with this request.
    fn happen(&self, request: &Request) {
        for event in self.events.lock().unwrap().iter_mut().filter(|event| event.path == request.path) {
            match event.before.checked_sub(1) {
                Some(before) => event.before = before,
                None => event.change.take().into_iter().for_each(|change| change(&mut self.cluster.lock().unwrap())),
            }
        }
    }

    /// Waits, and says whether the server goes on.
    fn pause(&self, pause: Duration) -> bool {
        let connections = self.connections.lock().unwrap();
        let waited = self.ended.wait_timeout_while(connections, pause, |it| !it.stopping);
        waited.unwrap().1.timed_out()
    }
}

/// Waits until the client goes away or the server stops.
fn wait_for_end(tls: &mut Tls) -> io::Result<()> {
    io::copy(tls, &mut io::sink()).map(drop)
}

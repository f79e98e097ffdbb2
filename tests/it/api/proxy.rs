//! An HTTP proxy that leads every CONNECT to one server whatever it asks for, so that names need no DNS.

use std::io::{self, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::http::Request;

/// A running proxy, which stops when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stopping: bool,
    targets: Vec<String>,
    open: Vec<TcpStream>,
}

impl Proxy {
    /// A proxy that leads to an address.
    pub fn to(target: SocketAddr) -> Self {
        Self::start(Some(target))
    }

    /// A proxy that lets nothing through.
    pub fn refusing() -> Self {
        Self::start(None)
    }

    fn start(target: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, target, &shared)
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What CONNECT was asked for, one after another.
    pub fn targets(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().targets.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap().stopping = true;
        // Wakes the thread that accepts, so that it sees that it shall stop.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        self.shared.state.lock().unwrap().open.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

fn accept(listener: &TcpListener, target: Option<SocketAddr>, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.state.lock().unwrap().stopping {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // Clients come and go as they like.
            let _ = lead(stream, target, &shared);
        });
    }
}

fn lead(client: TcpStream, target: Option<SocketAddr>, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let Some(request) = Request::read(&mut reader)? else { return Ok(()) };
    shared.state.lock().unwrap().targets.push(request.path.clone());
    let mut client = client;
    let Some(target) = target.filter(|_| request.method == "CONNECT") else {
        client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        return client.shutdown(Shutdown::Write);
    };
    let mut server = TcpStream::connect(target)?;
    shared.state.lock().unwrap().open.extend([client.try_clone()?, server.try_clone()?]);
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut up, mut down) = (server.try_clone()?, client.try_clone()?);
    let upwards = thread::spawn(move || {
        let _ = io::copy(&mut reader, &mut up);
        up.shutdown(Shutdown::Write)
    });
    let _ = io::copy(&mut server, &mut down);
    let _ = down.shutdown(Shutdown::Write);
    let _ = upwards.join();
    Ok(())
}

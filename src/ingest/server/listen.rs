//! Connections: bounded in number, in the size of their headers and in time, with TLS or without, and ended in order.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures::FutureExt as _;
use futures::future::{Either, select};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::Service as _;

use super::caller::{Peer, network};
use super::{Service, Tls};

/// How large the headers of a request may be, in bytes.
const HEADER_BYTES: usize = 16 * 1024;
/// How many headers a request may have.
const HEADER_COUNT: usize = 64;
/// How long a connection may last, whatever it does.
const LIFETIME: Duration = Duration::from_hours(2);

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// In all.
    pub most: usize,
    /// From one address; behind a proxy all come from one, so that there is no bound then.
    pub of_address: Option<usize>,
    /// How long a handshake, the headers of a request, and the pause before them may take.
    pub headers: Duration,
    /// How long those that are at work may go on when the server is asked to stop.
    pub grace: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self { most: 2_000, of_address: Some(200), headers: Duration::from_secs(15), grace: Duration::from_mins(1) }
    }
}

/// How many connections each address has.
type Addresses = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A place among the connections, given back when it is dropped.
struct Seat {
    address: IpAddr,
    addresses: Addresses,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    fn take(address: IpAddr, addresses: &Addresses, seats: &Arc<Semaphore>, connections: Connections) -> Option<Self> {
        let permit = Arc::clone(seats).try_acquire_owned().ok()?;
        let mut taken = addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = taken.entry(address).or_default();
        if connections.of_address.is_some_and(|most| *of_address >= most) {
            return None;
        }
        *of_address += 1;
        Some(Self { address, addresses: Arc::clone(addresses), _permit: permit })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// Serves `app` until `stop` becomes true, then lets those that are at work finish. Tells how many were cut off.
pub async fn serve(
    service: Arc<Service>,
    listener: TcpListener,
    app: Router,
    tls: Option<Arc<Tls>>,
    connections: Connections,
    stop: watch::Receiver<bool>,
) -> usize {
    let (seats, addresses) = (Arc::new(Semaphore::new(connections.most)), Addresses::default());
    let mut open = JoinSet::new();
    let mut stopped = stop.clone();
    let mut stopping = std::pin::pin!(stopped.wait_for(|stop| *stop).map(|_| ()));
    loop {
        // What has ended is let go.
        while open.try_join_next().is_some() {}
        let accepted = match select(&mut stopping, std::pin::pin!(listener.accept())).await {
            Either::Left(_) => break,
            Either::Right((accepted, _)) => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or a connection that was gone before it was taken.
                tracing::warn!(%error, "can't accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(seat) = Seat::take(network(peer.ip()), &addresses, &seats, connections) else {
            // Closed at once: whoever has too many can't be answered in order.
            tracing::debug!(%peer, "too many connections");
            continue;
        };
        let counted = service.metrics.connection();
        let connection = connection(stream, peer, app.clone(), tls.clone(), connections.headers, stop.clone());
        open.spawn(async move {
            if timeout(LIFETIME, connection).await.is_err() {
                tracing::info!(%peer, "a connection lasted too long");
            }
            drop((seat, counted));
        });
    }
    drop(listener);
    let all = async { while open.join_next().await.is_some() {} };
    if timeout(connections.grace, all).await.is_ok() { 0 } else { open.len() }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    tls: Option<Arc<Tls>>,
    headers: Duration,
    stop: watch::Receiver<bool>,
) {
    // Answers are small, and whoever waits for one should have it.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return http(stream, peer, app, headers, stop).await };
    match timeout(headers, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => http(stream, peer, app, headers, stop).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
        Err(_) => tracing::debug!(%peer, "a handshake took too long"),
    }
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    app: Router,
    headers: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        app.clone().call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(headers).max_buf_size(HEADER_BYTES).max_headers(HEADER_COUNT);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let stopping = std::pin::pin!(stop.wait_for(|stop| *stop).map(|_| ()));
    let ended = match select(stopping, served.as_mut()).await {
        Either::Right((ended, _)) => ended,
        Either::Left(_) => {
            // The request that is at work is answered; no other is taken.
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}

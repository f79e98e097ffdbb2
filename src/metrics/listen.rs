//! `/metrics` and `/healthz` over HTTP, while the program stays: a few connections at a time, each for a short while.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many connections there may be.
const MOST_CONNECTIONS: usize = 16;
/// How large the headers of a request may be, in bytes.
const HEADER_BYTES: usize = 16 * 1024;
/// How long the headers of a request may take.
const HEADERS: Duration = Duration::from_secs(10);
/// How long a connection may last.
const LIFETIME: Duration = Duration::from_secs(30);
/// How long to wait where a connection can't be accepted, for want of descriptors say.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes the first of these addresses that can be had, and tells which.
///
/// # Errors
/// None of them can be had; the error is the last one's.
pub fn bind(addresses: &[SocketAddr]) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addresses)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Answers requests in a thread of its own, as long as the program lives. `metrics` renders what is to be told.
///
/// # Errors
/// The thread can't be started.
pub fn answer(listener: TcpListener, metrics: impl Fn() -> String + Send + Sync + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let metrics = Arc::new(metrics);
    thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        runtime.block_on(async {
            let seats = Arc::new(Semaphore::new(MOST_CONNECTIONS));
            // The semaphore is never closed.
            while let Ok(seat) = Arc::clone(&seats).acquire_owned().await {
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                let metrics = Arc::clone(&metrics);
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let answer = respond(&request, &*metrics);
                        async { Ok::<_, Infallible>(answer) }
                    });
                    let mut connection = http1::Builder::new();
                    connection.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEADER_BYTES);
                    let connection = connection.keep_alive(false).serve_connection(TokioIo::new(stream), service);
                    // Whoever asked has gone away, or is too slow.
                    let _ = timeout(LIFETIME, connection).await;
                    drop(seat);
                });
            }
        });
    })?;
    Ok(())
}

fn respond(request: &Request<Incoming>, metrics: &dyn Fn() -> String) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, super::CONTENT_TYPE, metrics()),
        (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
        (_, "/metrics" | "/healthz") => (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET only\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, PLAIN, "there is /metrics and /healthz\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

const PLAIN: &str = "text/plain; charset=utf-8";

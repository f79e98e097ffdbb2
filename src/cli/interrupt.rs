//! Stopping when asked to: SIGTERM and SIGINT end what waits at once, and let what is being written be finished.

use std::future::Future;
use std::process;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use futures::future::{Either, select};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::failure::Failure;

/// How long the program may take to finish what it is writing to a store, which is sound at any instant.
#[cfg(feature = "agent")]
pub const GRACE: Duration = Duration::from_secs(5);

/// The signal that asked the program to stop.
type Asked = Option<&'static str>;

static ASKED: OnceLock<watch::Receiver<Asked>> = OnceLock::new();

/// Runs futures until they are done or the program is asked to stop.
pub struct Interruptible {
    /// Nothing only while it is dropped.
    runtime: Option<Runtime>,
    asked: watch::Receiver<Asked>,
}

impl Interruptible {
    pub fn new() -> Result<Self, Failure> {
        Ok(Self { asked: listen(GRACE)?, runtime: Some(runtime()?) })
    }

    /// Runs a future to its end, or fails when the program is asked to stop.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let Some(runtime) = &self.runtime else { return Err(Failure::new("the runtime is gone")) };
        let mut asked = self.asked.clone();
        let ended = runtime.block_on(async {
            let stop = std::pin::pin!(asked.wait_for(Option::is_some));
            match select(stop, std::pin::pin!(future)).await {
                Either::Left((signal, _)) => Err(signal.ok().and_then(|signal| *signal).unwrap_or("a signal")),
                Either::Right((done, _)) => Ok(done),
            }
        });
        ended.map_err(|signal| Failure::new(format!("stopped by {signal}")))
    }
}

impl Drop for Interruptible {
    /// A name that does not resolve can keep one of the runtime's threads for a long while.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits on a monotonic clock; tells whether the program was asked to stop meanwhile.
pub fn wait(duration: Duration) -> Result<bool, Failure> {
    // The timer needs the runtime that it is made in.
    Ok(Interruptible::new()?.run(async { tokio::time::sleep(duration).await }).is_err())
}

/// Whether the program was asked to stop.
pub fn was_asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.borrow().is_some())
}

fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(|error| Failure::from(error).context("can't start"))
}

/// Begins to listen to signals, once for the whole program: from then on they no longer end it by themselves. When one
/// came, the program has as long as `grace`; a second one ends it at once.
pub fn listen(grace: Duration) -> Result<watch::Receiver<Asked>, Failure> {
    if let Some(asked) = ASKED.get() {
        return Ok(asked.clone());
    }
    let (sender, receiver) = watch::channel(None);
    let runtime = runtime()?;
    let registered = {
        let _inside = runtime.enter();
        signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)))
    };
    let (mut term, mut int) = registered?;
    let asked = ASKED.get_or_init(|| receiver).clone();
    thread::spawn(move || {
        runtime.block_on(async {
            let name = either(&mut term, &mut int).await;
            sender.send_replace(Some(name));
            let _ = tokio::time::timeout(grace, either(&mut term, &mut int)).await;
            process::exit(1);
        });
    });
    Ok(asked)
}

/// The name of the signal that comes first.
async fn either(term: &mut Signal, int: &mut Signal) -> &'static str {
    let (term, int) = (std::pin::pin!(term.recv()), std::pin::pin!(int.recv()));
    if matches!(select(term, int).await, Either::Left(_)) { "SIGTERM" } else { "SIGINT" }
}

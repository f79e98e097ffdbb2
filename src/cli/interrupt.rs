//! Being asked to stop: SIGTERM and SIGINT, heard once for the whole program.

use std::process;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use futures::future::{Either, select};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::failure::Failure;

/// The signal that asked the program to stop.
pub type Asked = Option<&'static str>;

static ASKED: OnceLock<watch::Receiver<Asked>> = OnceLock::new();

/// Whether the program was asked to stop.
#[cfg(feature = "agent")]
pub fn was_asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.borrow().is_some())
}

/// A runtime for one thing at a time.
pub fn runtime() -> Result<Runtime, Failure> {
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

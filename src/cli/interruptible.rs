//! Work that ends at once when the program is asked to stop, while what is being written is finished.

use std::future::Future;
use std::time::Duration;

use futures::future::{Either, select};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::failure::Failure;
use super::interrupt::{Asked, listen, runtime};

/// How long the program may take to finish what it is writing to a store, which is sound at any instant.
pub const GRACE: Duration = Duration::from_secs(5);

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

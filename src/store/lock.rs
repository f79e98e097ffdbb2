//! Waiting for a lock (`flock`) on a file, for a while. The kernel lets go of it when the process ends, however it ends.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::durable::{self, FileError, failed};

/// How long to wait for another process that holds the lock.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Who else may have the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Nobody.
    Alone,
    /// Others that share it.
    WithOthers,
}

/// What a failed attempt to lock is called in errors.
pub(crate) const LOCKING: &str = "lock";

/// Takes the lock of the file at `path`, which `open` opens; `None` if somebody else has it for all that time.
///
/// # Errors
/// The file can't be opened, or its file system has no locks ([`LOCKING`]).
pub(crate) fn wait(
    path: &Path,
    share: Share,
    open: impl Fn(&Path) -> Result<File, FileError>,
) -> Result<Option<File>, FileError> {
    let started = Instant::now();
    let mut file = open(path)?;
    loop {
        let tried = match share {
            Share::Alone => file.try_lock(),
            Share::WithOthers => file.try_lock_shared(),
        };
        match tried {
            // The file may have been replaced while this one waited; then the lock is another file's.
            Ok(()) if durable::is_same_file(&file, path) => return Ok(Some(file)),
            Ok(()) => file = open(path)?,
            Err(TryLockError::Error(error)) => return Err(failed(LOCKING, path)(error)),
            Err(TryLockError::WouldBlock) if started.elapsed() > PATIENCE => return Ok(None),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

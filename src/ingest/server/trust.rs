//! The keyring of a server, read again when it is older than a while, so that a revocation is heard without a restart.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::keys::keyring::{Keyring, KeyringError};

/// A keyring directory and what was last read from it.
#[derive(Debug)]
pub struct Trusted {
    directory: Option<PathBuf>,
    age: Duration,
    read: Mutex<(Instant, Arc<Keyring>)>,
}

impl Trusted {
    /// Reads a keyring directory, and again when what is known of it is older than `age`; without one nobody is listed.
    ///
    /// # Errors
    /// As [`Keyring::load`].
    pub fn load(directory: Option<PathBuf>, age: Duration) -> Result<Self, KeyringError> {
        let keyring = directory.as_deref().map(Keyring::load).transpose()?.unwrap_or_default();
        Ok(Self { directory, age, read: Mutex::new((Instant::now(), Arc::new(keyring))) })
    }

    /// The keyring as it is now, give or take its age.
    ///
    /// # Errors
    /// It can't be read any more. What it said before is not used: a revocation might stand in what can't be read.
    pub fn now(&self) -> Result<Arc<Keyring>, KeyringError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = &self.directory
            && read.0.elapsed() >= self.age
        {
            *read = (Instant::now(), Arc::new(Keyring::load(directory)?));
        }
        Ok(Arc::clone(&read.1))
    }
}

//! Time and chance, so that both can be given by a test or a reproducible run.

use jiff::Timestamp;
use uuid::{Builder, Uuid};

/// Where the time and random bytes come from.
pub trait Environment {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Fills `bytes` with random ones, fit for keys.
    ///
    /// # Errors
    /// The operating system has none to give.
    fn random(&self, bytes: &mut [u8]) -> std::io::Result<()>;

    /// A UUID of version 7 (RFC 9562, section 5.7) for now.
    ///
    /// # Errors
    /// As [`Environment::random`].
    fn uuid_v7(&self) -> std::io::Result<Uuid> {
        let mut random = [0; 10];
        self.random(&mut random)?;
        let millis = u64::try_from(self.now().as_millisecond()).unwrap_or_default();
        Ok(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// A random UUID (version 4).
    ///
    /// # Errors
    /// As [`Environment::random`].
    fn uuid_v4(&self) -> std::io::Result<Uuid> {
        let mut random = [0; 16];
        self.random(&mut random)?;
        Ok(Builder::from_random_bytes(random).into_uuid())
    }

    /// Now as RFC 3339 UTC with whole seconds.
    fn now_text(&self) -> String {
        seconds(self.now())
    }
}

/// Whether a UUID is of version 7, as the ids of bundles and records are.
#[must_use]
pub fn is_v7(uuid: &Uuid) -> bool {
    uuid.get_version_num() == 7 && uuid.get_variant() == uuid::Variant::RFC4122
}

/// A time as RFC 3339 UTC with whole seconds.
#[must_use]
pub fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// The machine's clock and the operating system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Environment for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        getrandom::fill(bytes).map_err(|error| std::io::Error::other(error.to_string()))
    }
}

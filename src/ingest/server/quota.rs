//! Quotas: what one client and one address may bring within an hour.
//!
//! They are counted by each server for itself and forgotten when it ends: they bound what one caller can do to the others,
//! and are no accounts.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Caller;

/// How long what was used counts.
const HOUR: Duration = Duration::from_hours(1);
/// How many clients or addresses are remembered; beyond it all are forgotten.
const MOST: usize = 65_536;

/// What may be brought within an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Bundles of one client.
    pub client_bundles: u64,
    /// Bytes of one client's bundles.
    pub client_bytes: u64,
    /// Bundles from one address.
    pub address_bundles: u64,
    /// Bytes of bundles from one address.
    pub address_bytes: u64,
    /// New clients from one address.
    pub address_clients: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            client_bundles: 120,
            client_bytes: 2 * GIB,
            address_bundles: 1_200,
            address_bytes: 8 * GIB,
            address_clients: 20,
        }
    }
}

impl Quotas {
    /// The quotas by the names that people set them by, with what each bounds.
    fn fields(&mut self) -> [(&'static str, &'static str, &mut u64); 5] {
        [
            ("client-bundles", "bundles of one client", &mut self.client_bundles),
            ("client-bytes", "bytes of one client's bundles", &mut self.client_bytes),
            ("address-bundles", "bundles from one address", &mut self.address_bundles),
            ("address-bytes", "bytes of bundles from one address", &mut self.address_bytes),
            ("address-clients", "new clients from one address", &mut self.address_clients),
        ]
    }

    /// Name, meaning and number of each quota.
    #[must_use]
    pub fn list(mut self) -> [(&'static str, &'static str, u64); 5] {
        self.fields().map(|(name, meaning, number)| (name, meaning, *number))
    }

    /// Sets a quota by its name; false if there is none of that name.
    pub fn set(&mut self, name: &str, number: u64) -> bool {
        let field = self.fields().into_iter().find(|(known, ..)| *known == name);
        field.map(|(.., quota)| *quota = number).is_some()
    }
}

/// What was used of the quotas.
#[derive(Debug)]
pub(super) struct Usage {
    quotas: Quotas,
    client_bundles: Counters<Uuid>,
    client_bytes: Counters<Uuid>,
    address_bundles: Counters<Caller>,
    address_bytes: Counters<Caller>,
    address_clients: Counters<Caller>,
}

/// A quota that is used up: which one, and for how long.
pub(super) type Exceeded = (&'static str, Duration);

impl Usage {
    pub fn new(quotas: Quotas) -> Self {
        Self {
            quotas,
            client_bundles: Counters::default(),
            client_bytes: Counters::default(),
            address_bundles: Counters::default(),
            address_bytes: Counters::default(),
            address_clients: Counters::default(),
        }
    }

    /// Before anything of a bundle is read.
    pub fn upload(&self, caller: &Caller) -> Result<(), Exceeded> {
        let quotas = &self.quotas;
        self.address_bytes.take(caller, 0, quotas.address_bytes).map_err(|wait| ("bytes of this address", wait))?;
        let bundles = self.address_bundles.take(caller, 1, quotas.address_bundles);
        bundles.map_err(|wait| ("bundles of this address", wait))
    }

    /// As bytes arrive.
    pub fn received(&self, caller: &Caller, bytes: u64) -> Result<(), Exceeded> {
        let taken = self.address_bytes.take(caller, bytes, self.quotas.address_bytes);
        taken.map_err(|wait| ("bytes of this address", wait))
    }

    /// Once a bundle was verified and is known to be a new one.
    pub fn accept(&self, client: Uuid, bytes: u64) -> Result<(), Exceeded> {
        let quotas = &self.quotas;
        let bundles = self.client_bundles.take(&client, 1, quotas.client_bundles);
        bundles.map_err(|wait| ("bundles of this client", wait))?;
        let taken = self.client_bytes.take(&client, bytes, quotas.client_bytes);
        taken.map_err(|wait| ("bytes of this client", wait))
    }

    /// Before the key of a new client is pinned.
    pub fn pin(&self, caller: &Caller) -> Result<(), Exceeded> {
        let quotas = &self.quotas;
        let of_address = self.address_clients.take(caller, 1, quotas.address_clients);
        of_address.map_err(|wait| ("new clients of this address", wait))
    }
}

/// What was used within the hour that began with the first use.
#[derive(Debug)]
struct Counters<K>(Mutex<HashMap<K, (Instant, u64)>>);

impl<K> Default for Counters<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Hash + Eq + Clone> Counters<K> {
    /// Uses `amount`, unless `most` were used already: what is larger than all that is left passes once.
    fn take(&self, key: &K, amount: u64, most: u64) -> Result<(), Duration> {
        self.take_at(Instant::now(), key, amount, most)
    }

    fn take_at(&self, now: Instant, key: &K, amount: u64, most: u64) -> Result<(), Duration> {
        // Counting can't fail half-way.
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |began: &Instant| now.saturating_duration_since(*began) >= HOUR;
        if counters.len() >= MOST && !counters.contains_key(key) {
            counters.retain(|_, (began, _)| !is_over(began));
            if counters.len() >= MOST {
                counters.clear();
            }
        }
        let (began, used) = counters.entry(key.clone()).or_insert((now, 0));
        if is_over(began) {
            (*began, *used) = (now, 0);
        }
        if *used >= most {
            return Err(HOUR.saturating_sub(now.saturating_duration_since(*began)));
        }
        *used = used.saturating_add(amount);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_used_up_and_comes_back_after_an_hour() {
        let (counters, start) = (Counters::default(), Instant::now());
        let take = |minutes: u64, amount| counters.take_at(start + Duration::from_mins(minutes), &'a', amount, 10);
        assert_eq!(take(0, 4), Ok(()));
        assert_eq!(take(1, 7), Ok(()), "what began below the quota is finished");
        assert_eq!(take(20, 0), Err(Duration::from_mins(40)));
        assert_eq!(counters.take_at(start, &'b', 1, 10), Ok(()), "others have their own");
        assert_eq!(take(60, 10), Ok(()));
        assert_eq!(take(61, 1), Err(Duration::from_mins(59)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (counters, start) = (Counters::default(), Instant::now());
        for key in 0..=MOST {
            counters.take_at(start, &key, 1, 1).unwrap();
        }
        assert!(counters.0.lock().unwrap().len() <= MOST);
    }
}

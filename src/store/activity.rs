//! What was last attempted with a store, for `status` and for monitoring: a note, replaced each time, that nothing
//! depends on.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

use super::durable::{self, Access, Existing};
use super::{LockedStore, Store, StoreError};
use crate::record::{kubermatic, kubernetes};

/// The longest reason that is kept, in bytes.
const MOST_REASON: usize = 1024;

/// Something that is attempted again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// Collecting the record of this kind.
    Collect(&'static str),
    /// Delivering what is pending.
    Send,
}

impl Activity {
    /// Every activity.
    pub const ALL: [Self; 3] = [Self::Collect(kubermatic::KIND), Self::Collect(kubernetes::KIND), Self::Send];

    fn file(self) -> String {
        match self {
            Self::Collect(kind) => format!("last-collect-{kind}.json"),
            Self::Send => "last-send.json".to_owned(),
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it ended (RFC 3339, UTC).
    pub time: String,
    /// Why nothing came of it, if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether the record is complete; true of what is no record.
    pub complete: bool,
    /// The record's problems by category.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub problems: BTreeMap<String, u64>,
    /// When it last succeeded; this time, unless it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<String>,
}

impl Store {
    /// The last attempt of an activity, as far as it is known. A note that can't be read is none.
    #[must_use]
    pub fn last(&self, activity: Activity) -> Option<Attempt> {
        serde_json::from_slice(&fs::read(self.path().join(activity.file())).ok()?).ok()
    }
}

impl LockedStore {
    /// Notes how an attempt ended. When it last succeeded is filled in here.
    ///
    /// # Errors
    /// It can't be written.
    pub fn note(&self, activity: Activity, mut attempt: Attempt) -> Result<(), StoreError> {
        attempt.succeeded = match &attempt.failure {
            None => Some(attempt.time.clone()),
            Some(_) => self.last(activity).and_then(|before| before.succeeded),
        };
        if let Some(reason) = &mut attempt.failure {
            reason.truncate(reason.floor_char_boundary(MOST_REASON));
        }
        let path = self.path().join(activity.file());
        let text = serde_json::to_vec(&attempt).map_err(|error| durable::FileError::writing(&path, error.into()))?;
        Ok(durable::write(&path, &text, Access::Private, Existing::Replace)?)
    }
}

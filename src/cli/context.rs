//! Where the identity and the store are, and whether telemetry is on.

use std::path::{Path, PathBuf};

use kubermatic_telemetry::clock::{Environment, System};
use kubermatic_telemetry::identity::{Identity, NewIdentity};
use kubermatic_telemetry::keys::{self, PublicKey};
use kubermatic_telemetry::setting::{Choices, Decision, SettingError, Withheld};
use kubermatic_telemetry::store::{LockedStore, Retention, Store};

use super::failure::Failure;
use super::files::public_keys;
use super::output::{Output, escaped};
use super::{Global, Switch};

/// What every verb that works on the state needs.
#[derive(Debug, Clone)]
pub struct Context {
    global: Global,
    pub environment: System,
}

impl Context {
    pub fn new(global: Global) -> Self {
        Self { global, environment: System }
    }

    /// The state directory.
    pub fn state(&self) -> Result<PathBuf, Failure> {
        if let Some(state) = &self.global.state {
            return Ok(state.clone());
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
        base.map(|base| base.join("kubermatic-telemetry")).ok_or_else(|| {
            Failure::new("there is no place for the state: neither XDG_STATE_HOME nor HOME is set")
                .hint("give one with --state DIR or KUBERMATIC_TELEMETRY_STATE")
        })
    }

    /// Where metrics are to be written, if they are.
    pub fn metrics_file(&self) -> Option<&Path> {
        self.global.metrics_file.as_deref()
    }

    pub fn identity_path(&self) -> Result<PathBuf, Failure> {
        self.global.identity.clone().map_or_else(|| Ok(self.state()?.join("identity")), Ok)
    }

    pub fn store_path(&self) -> Result<PathBuf, Failure> {
        self.global.store.clone().map_or_else(|| Ok(self.state()?.join("store")), Ok)
    }

    /// Whether telemetry is on.
    pub fn telemetry(&self) -> Result<Decision, Failure> {
        self.choices().telemetry().map_err(told)
    }

    /// What is withheld, and which place wants what.
    pub fn withheld(&self) -> Result<Withheld, Failure> {
        self.choices().withheld().map_err(told)
    }

    /// The places where choices are made; the installation's is read anew each time, since it changes while the program
    /// stays.
    fn choices(&self) -> Choices<'_> {
        Choices {
            switch: self.global.telemetry.map(|switch| matches!(switch, Switch::On)),
            omit: &self.global.omit,
            variable: &variable,
            installation: self.global.settings.as_deref().filter(|path| !path.as_os_str().is_empty()),
        }
    }

    /// The identity, if there is one. A store without one means that it was lost, not that there is none yet.
    pub fn identity(&self) -> Result<Option<Identity>, Failure> {
        let (path, store) = (self.identity_path()?, self.store_path()?);
        // In this order: another process may be making both, the identity first.
        let has_store = store.join("store.json").exists();
        let identity = Identity::load(&path)?;
        if identity.is_none() && has_store {
            let (store, path) = (store.display(), path.display());
            return Err(Failure::new(format!("there is a store in {store}, but its identity is not in {path}"))
                .hint("restore the identity from a backup; if it is lost, `init --new-client` makes a new client"));
        }
        Ok(identity)
    }

    /// The identity, which must be there.
    pub fn existing_identity(&self) -> Result<Identity, Failure> {
        let path = self.identity_path()?;
        self.identity()?.ok_or_else(|| {
            Failure::new(format!("there is no identity in {}", path.display()))
                .hint("`init` makes one; --state DIR or --identity DIR give another place")
        })
    }

    /// The identity, made on first use, which is said.
    #[cfg_attr(not(feature = "agent"), expect(dead_code, reason = "only what collects makes an identity by itself"))]
    pub fn identity_or_new(&self, output: &Output) -> Result<Identity, Failure> {
        let path = self.identity_path()?;
        self.identity()?;
        let (identity, new) = Identity::load_or_create(&path, NewIdentity::default(), &self.environment)?;
        if new {
            output.note(&format!("made the identity of this installation in {}: back it up", path.display()));
            output.note(&format!("client {}", identity.client()));
            output.note(&format!("key    {}", identity.public_key().id()));
        }
        Ok(identity)
    }

    /// The identity, or none also where there is no place for one, as on a machine that only carries for others.
    #[cfg(feature = "agent")]
    pub fn identity_anywhere(&self) -> Result<Option<Identity>, Failure> {
        if self.global.identity.is_none() && self.state().is_err() { Ok(None) } else { self.identity() }
    }

    /// The store of a client, if there is one.
    pub fn store(&self, identity: &Identity) -> Result<Option<Store>, Failure> {
        Ok(Store::open(&self.store_path()?, identity.client())?)
    }

    /// The store of a client, made on first use, with the lock taken.
    pub fn locked_store(&self, identity: &Identity) -> Result<LockedStore, Failure> {
        let store = Store::open_or_create(&self.store_path()?, identity.client(), &self.environment)?;
        Ok(store.lock()?)
    }

    /// How much the store may hold.
    #[cfg_attr(not(feature = "agent"), expect(dead_code, reason = "only what collects adds to the store"))]
    pub fn retention(&self) -> Retention {
        let records = usize::try_from(self.global.keep_records).unwrap_or(usize::MAX);
        Retention { records, bytes: self.global.keep_bytes }
    }

    /// The keys whose receipts are believed: those of the release, and the site's.
    pub fn receipt_keys(&self, given: Option<&Path>) -> Result<Vec<PublicKey>, Failure> {
        let mut trusted = keys::compiled_in_receipt_keys();
        let default = self.state().ok().map(|state| state.join("receipt-keys.pem"));
        match (given, default) {
            (Some(file), _) => trusted.extend(public_keys(file)?),
            // What can't be looked at is there, and reading it says why.
            (None, Some(file)) if file.try_exists().unwrap_or(true) => trusted.extend(public_keys(&file)?),
            (None, _) => {}
        }
        Ok(trusted)
    }

    pub fn environment(&self) -> &dyn Environment {
        &self.environment
    }
}

fn variable(name: &str) -> Option<String> {
    Some(std::env::var_os(name)?.to_string_lossy().into_owned())
}

/// A choice that can't be told, with the exit code of wrong usage where it was typed.
fn told(error: SettingError) -> Failure {
    let is_usage = error.is_usage();
    let mut failure = Failure::from(error);
    if is_usage {
        failure.code = 2;
    }
    failure
}

/// A path as it is told to people.
pub fn shown(path: &Path) -> String {
    if path.as_os_str() == "-" { "stdin".to_owned() } else { escaped(&path.display().to_string()) }
}

//! Where the identity and the store are, and whether telemetry is on.

use std::path::{Path, PathBuf};

use kubermatic_telemetry::clock::{Environment, System};
use kubermatic_telemetry::identity::{Identity, NewIdentity};
use kubermatic_telemetry::setting::{self, Decision};
use kubermatic_telemetry::store::{LockedStore, Store};

use super::failure::Failure;
use super::output::Output;
use super::{Global, Switch};

/// What every verb that works on the state needs.
#[derive(Debug)]
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

    pub fn identity_path(&self) -> Result<PathBuf, Failure> {
        self.global.identity.clone().map_or_else(|| Ok(self.state()?.join("identity")), Ok)
    }

    pub fn store_path(&self) -> Result<PathBuf, Failure> {
        self.global.store.clone().map_or_else(|| Ok(self.state()?.join("store")), Ok)
    }

    /// Whether telemetry is on.
    pub fn telemetry(&self) -> Result<Decision, Failure> {
        let flag = self.global.telemetry.map(|switch| matches!(switch, Switch::On));
        Ok(setting::decide(flag, |name| std::env::var(name).ok())?)
    }

    /// The identity, if there is one.
    pub fn identity(&self) -> Result<Option<Identity>, Failure> {
        Ok(Identity::load(&self.identity_path()?)?)
    }

    /// The identity, which must be there.
    pub fn existing_identity(&self) -> Result<Identity, Failure> {
        let path = self.identity_path()?;
        Identity::load(&path)?.ok_or_else(|| {
            Failure::new(format!("there is no identity in {}", path.display()))
                .hint("`init` makes one; --state DIR or --identity DIR give another place")
        })
    }

    /// The identity, made on first use, which is said.
    pub fn identity_or_new(&self, output: &Output) -> Result<Identity, Failure> {
        let path = self.identity_path()?;
        // A store without its identity means that the identity was lost, not that this is the first use.
        let store = self.store_path()?;
        if Identity::load(&path)?.is_none() && store.join("store.json").exists() {
            let message =
                format!("there is a store in {}, but its identity is not in {}", store.display(), path.display());
            return Err(Failure::new(message)
                .hint("restore the identity from a backup; if it is lost, `init --new-client` makes a new client"));
        }
        let (identity, new) = Identity::load_or_create(&path, NewIdentity::default(), &self.environment)?;
        if new {
            output.note(&format!("made the identity of this installation in {}: back it up", path.display()));
            output.note(&format!("client {}", identity.client()));
            output.note(&format!("key    {}", identity.signing_key().public().id()));
        }
        Ok(identity)
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

    pub fn environment(&self) -> &dyn Environment {
        &self.environment
    }
}

/// A path as it is told to people.
pub fn shown(path: &Path) -> String {
    if path.as_os_str() == "-" { "stdin".to_owned() } else { path.display().to_string() }
}

//! The live source: an installation read through the Kubernetes API, the master first, then every seed, then user
//! clusters.
//!
//! Each cluster and each list is a step. One that fails leaves a problem, and everything else goes on. Nothing that names
//! anything is logged: seeds and clusters appear by their pseudonyms.

mod cause;
mod client;
pub mod connect;
pub mod kept;
pub mod page;
mod resources;
mod secrets;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kube::Config;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Collector, Survey};
use crate::pseudonym::{Pseudonym, Pseudonymizer};
use crate::record::withhold::Withholding;
pub use cause::Cause;
use client::{ApiServer, Manner, Traffic};
pub use connect::KubeconfigError;

/// Where the master is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Master {
    /// This program runs in a pod of it.
    InCluster,
    /// Kubeconfig files, merged as kubectl merges them, and the context to use instead of the current one.
    Kubeconfig {
        /// The files; usually one.
        files: Vec<PathBuf>,
        /// The context.
        context: Option<String>,
    },
}

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The collectors that something is read for.
    pub collectors: BTreeSet<Collector>,
    /// What is withheld: lists that nothing else needs are not even asked for.
    pub withholding: Withholding,
    /// Where the master is.
    pub master: Master,
    /// Whether every user cluster is looked at.
    pub user_clusters: bool,
    /// Kubeconfig files to use instead of KKP's Secrets, by the name of the seed or user cluster. A user cluster that
    /// has one is looked at in any case.
    pub kubeconfigs: Vec<(String, PathBuf)>,
    /// Objects on a page.
    pub page_size: u32,
    /// How long a request may take, and how long its answer may pause.
    pub request_timeout: Duration,
    /// How long the master, one seed or one user cluster may take.
    pub cluster_timeout: Duration,
    /// How long everything may take.
    pub timeout: Duration,
}

/// An installation that can't be read at all.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A kubeconfig file can't be used.
    #[error("can't use the kubeconfig {}", file.display())]
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// Why.
        source: KubeconfigError,
    },
    /// The program does not run in a pod, or without a service account.
    #[error("this is no pod with a service account, and no kubeconfig was given")]
    NoCluster,
    /// The master can't be asked.
    #[error("can't read the master: {0}")]
    Master(Cause),
}

impl LiveError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Kubeconfig { source, .. } => source.hint(),
            Self::NoCluster => Some("give --kubeconfig FILE, or --manifests DIR for exported manifests"),
            Self::Master(Cause::Unreachable(_) | Cause::Timeout) => {
                Some("proxy variables are ignored for API servers; a kubeconfig's proxy-url is not")
            }
            Self::Master(Cause::Unauthorized) => Some("the token or certificate may have expired"),
            Self::Master(Cause::Untrusted) => {
                Some("certificate-authority-data in the kubeconfig says which authority to trust")
            }
            Self::Master(_) => None,
        }
    }
}

/// Something that could not be read, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Where: the master, or a seed or user cluster.
    pub place: Place,
    /// What was attempted, such as `list users.kubermatic.k8c.io`; nothing where it concerns the place as a whole.
    pub attempt: Option<&'static str>,
    /// Why it failed.
    pub cause: Cause,
}

/// A cluster, by its pseudonym.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The master.
    Master,
    /// A seed.
    Seed(Pseudonym),
    /// A user cluster.
    UserCluster(Pseudonym),
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// The rows.
    pub survey: Survey,
    /// Whether KKP is installed.
    pub has_kubermatic: bool,
    /// What could not be read.
    pub troubles: Vec<Trouble>,
    /// Which of the kubeconfigs that were given name neither a seed nor a user cluster, counted from 1.
    pub unknown_kubeconfigs: Vec<usize>,
    /// How many requests were made.
    pub requests: u64,
    /// How many bytes of answers came over the wire.
    pub bytes: u64,
}

/// An installation whose master answers.
pub struct Installation {
    options: Options,
    master: ApiServer,
    /// Whether this program runs in the master.
    inside: bool,
    /// The master's version.
    version: Option<String>,
    kubeconfigs: BTreeMap<String, Config>,
    traffic: Arc<Traffic>,
    deadline: Instant,
}

/// The part of `/version` that matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: Option<String>,
}

impl Installation {
    /// Connects to the master. Everything that was given is checked before.
    ///
    /// # Errors
    /// A kubeconfig that can't be used, or a master that does not answer.
    pub async fn open(options: Options) -> Result<Self, LiveError> {
        let (config, inside) = match &options.master {
            Master::InCluster => (connect::in_cluster().map_err(|_| LiveError::NoCluster)?, true),
            Master::Kubeconfig { files, context } => {
                let named = |(file, source): (&Path, _)| LiveError::Kubeconfig { file: file.to_owned(), source };
                (connect::from_files(files, context.as_deref()).map_err(named)?, false)
            }
        };
        let kubeconfigs = options.kubeconfigs.iter().map(|(name, file)| {
            let config = connect::from_file(file, None);
            Ok((name.clone(), config.map_err(|source| LiveError::Kubeconfig { file: file.clone(), source })?))
        });
        let kubeconfigs = kubeconfigs.collect::<Result<_, _>>()?;
        let traffic = Arc::new(Traffic::default());
        let deadline = Instant::now() + options.timeout;
        let manner = Manner { page_size: options.page_size, request_timeout: options.request_timeout };
        let master = ApiServer::new(config, manner, deadline, Arc::clone(&traffic)).map_err(LiveError::Master)?;
        let version: Version = master.get(resources::VERSION).await.map_err(LiveError::Master)?;
        Ok(Self { options, master, inside, version: version.git_version, kubeconfigs, traffic, deadline })
    }

    /// Reads the installation. `heard` hears of steps done and steps known so far.
    pub async fn survey(&self, names: &Pseudonymizer, heard: &dyn Fn(u64, u64)) -> Found {
        let walk = walk::Walk::new(self, names, heard);
        let found = walk.installation().await;
        let (requests, bytes) =
            (self.traffic.requests.load(Ordering::Relaxed), self.traffic.bytes.load(Ordering::Relaxed));
        tracing::info!(requests, bytes, "read the installation");
        Found { requests, bytes, ..found }
    }
}

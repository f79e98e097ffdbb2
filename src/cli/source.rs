//! Where collectors read from, as several verbs take it: a live installation or exported manifests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubermatic_telemetry::agent::live::{self, Cause, Found, Master, Place};
use kubermatic_telemetry::agent::manifests::{self, DEFAULT_FILE_LIMIT};
use kubermatic_telemetry::agent::{Collector, Survey};
use kubermatic_telemetry::pseudonym::Pseudonymizer;
use kubermatic_telemetry::record::withhold::Withholding;

use super::failure::Failure;
use super::interruptible::Interruptible;
use super::kept::find_master;
use super::output::{Output, count};
use super::values::duration;

/// The sources.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Source")]
pub struct SourceArgs {
    /// Read exported manifests (YAML or JSON) instead of a cluster.
    #[arg(long, value_name = "DIR")]
    manifests: Option<PathBuf>,
    /// The largest manifest file, in bytes after decompression.
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_FILE_LIMIT)]
    max_file_size: u64,
    /// Read the installation whose master this kubeconfig leads to.
    #[arg(long, value_name = "FILE", conflicts_with = "manifests")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to use instead of the current one.
    #[arg(long, value_name = "NAME", conflicts_with = "manifests")]
    context: Option<String>,
    /// Look at the machine deployments and nodes of every user cluster as well.
    #[arg(long, conflicts_with = "manifests")]
    user_clusters: bool,
    /// Reach the seed or user cluster NAME with this kubeconfig, not with KKP's own from a Secret; may be given several
    /// times. A user cluster that has one is looked at also without --user-clusters.
    #[arg(long, value_name = "NAME=FILE", value_parser = kubeconfig_for, conflicts_with = "manifests")]
    kubeconfig_for: Vec<(String, PathBuf)>,
    /// How long reading may take in all; what was not read by then is missing from the record.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "15m", conflicts_with = "manifests")]
    timeout: Duration,
    /// How long the master, one seed or one user cluster may take.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m", conflicts_with = "manifests")]
    cluster_timeout: Duration,
    /// How long one request may take, and its answer may pause.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s", conflicts_with = "manifests")]
    request_timeout: Duration,
    /// Objects that are asked for at once.
    #[arg(
        long, value_name = "NUMBER", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000),
        conflicts_with = "manifests"
    )]
    page_size: u32,
    /// Make the store belong to the installation that is read, though it was another one's.
    #[arg(long)]
    rebind: bool,
}

fn kubeconfig_for(text: &str) -> Result<(String, PathBuf), String> {
    let parts = text.split_once('=').filter(|(name, file)| !name.is_empty() && !file.is_empty());
    let (name, file) = parts.ok_or("write it as NAME=FILE, with the name of a Seed or user cluster")?;
    Ok((name.to_owned(), file.into()))
}

/// A source that answers.
pub enum Source {
    Manifests(Box<manifests::Installation>),
    Live(Box<Live>),
}

/// A live installation, and what runs its requests.
pub struct Live {
    // Dropped first: its connections belong to the runtime.
    installation: live::Installation,
    interruptible: Interruptible,
}

impl SourceArgs {
    /// Whether the store is to change its installation.
    pub fn rebind(&self) -> bool {
        self.rebind
    }

    /// Opens the source that was asked for, if any was.
    pub fn open(
        &self,
        collectors: &BTreeSet<Collector>,
        withholding: &Withholding,
        output: &Output,
    ) -> Result<Option<Source>, Failure> {
        match (&self.manifests, &self.kubeconfig) {
            (Some(directory), _) => read_manifests(directory, self.max_file_size, output).map(Some),
            (None, Some(file)) => {
                let master = Master::Kubeconfig { files: vec![file.clone()], context: self.context.clone() };
                self.open_live(master, collectors, withholding).map(Some)
            }
            (None, None) if self.is_live() => Err(Failure::usage("there is no cluster to read").hint(
                "--kubeconfig FILE says where the master is; `collect` also finds it in a pod or by $KUBECONFIG",
            )),
            (None, None) => Ok(None),
        }
    }

    /// Opens the source that was asked for, else the cluster that `$KUBECONFIG` or the pod leads to.
    pub fn open_or_find(
        &self,
        collectors: &BTreeSet<Collector>,
        withholding: &Withholding,
        output: &Output,
    ) -> Result<Source, Failure> {
        if self.manifests.is_some() || self.kubeconfig.is_some() {
            let opened = self.open(collectors, withholding, output)?;
            return opened.ok_or_else(|| Failure::new("there is nothing to collect from"));
        }
        let master = find_master(None, self.context.as_ref()).ok_or_else(|| {
            Failure::usage("there is nothing to collect from").hint(
                "give --kubeconfig FILE for a cluster, --manifests DIR for exported manifests (docs/air-gap.md says how \
                 to export them), or --record FILE",
            )
        })?;
        self.open_live(master, collectors, withholding)
    }

    /// Whether something was said that only a live source can mean.
    fn is_live(&self) -> bool {
        self.context.is_some() || self.user_clusters || !self.kubeconfig_for.is_empty()
    }

    fn open_live(
        &self,
        master: Master,
        collectors: &BTreeSet<Collector>,
        withholding: &Withholding,
    ) -> Result<Source, Failure> {
        let mut names = BTreeSet::new();
        if let Some((name, _)) = self.kubeconfig_for.iter().find(|(name, _)| !names.insert(name)) {
            return Err(Failure::usage(format!("--kubeconfig-for is given twice for {name}")));
        }
        let options = live::Options {
            collectors: collectors.clone(),
            withholding: withholding.clone(),
            master,
            user_clusters: self.user_clusters,
            kubeconfigs: self.kubeconfig_for.clone(),
            page_size: self.page_size,
            request_timeout: self.request_timeout,
            cluster_timeout: self.cluster_timeout,
            timeout: self.timeout,
        };
        let interruptible = Interruptible::new()?;
        let installation = interruptible.run(live::Installation::open(options))??;
        Ok(Source::Live(Box::new(Live { installation, interruptible })))
    }
}

impl Source {
    /// Reads the source, and tells of what could not be read.
    pub fn survey(self, names: &Pseudonymizer, output: &Output) -> Result<Survey, Failure> {
        let live = match self {
            Self::Manifests(installation) => return Ok(Survey::of(&installation.inventory, names)),
            Self::Live(live) => live,
        };
        let progress = std::cell::RefCell::new(output.progress("reading clusters"));
        let heard = |done, total| progress.borrow_mut().update(done, total);
        let found = live.interruptible.run(live.installation.survey(names, &heard));
        drop(progress);
        let found = found.map_err(|failure| failure.context("nothing was collected"))?;
        tell(&found, output);
        Ok(found.survey)
    }
}

/// Tells of what could not be read, one line each, and once what helps.
fn tell(found: &Found, output: &Output) {
    for trouble in &found.troubles {
        let place = match trouble.place {
            Place::Master => "the master".to_owned(),
            Place::Seed(name) => format!("seed {name}"),
            Place::UserCluster(name) => format!("user cluster {name}"),
        };
        let attempt = trouble.attempt.map(|attempt| format!("{attempt}: ")).unwrap_or_default();
        output.warning(&format!("{place}: {attempt}{}", trouble.cause), hint(trouble.cause));
    }
    for index in &found.unknown_kubeconfigs {
        output.warning(
            &format!("--kubeconfig-for number {index} names neither a Seed nor a user cluster that was found"),
            None,
        );
    }
    let named = found.troubles.iter().any(|trouble| trouble.place != Place::Master);
    if named {
        output.note("`pseudonym seed NAME` and `pseudonym cluster NAME` tell which one is meant");
    }
    if !found.has_kubermatic {
        output.note("KKP is not installed here: only the nodes are collected");
    }
}

fn hint(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Forbidden => Some("docs/permissions.md has the rules that the agent needs"),
        Cause::Kubeconfig(error) => error.hint(),
        Cause::Timeout => Some("--request-timeout, --cluster-timeout and --timeout give more time"),
        _ => None,
    }
}

/// Reads a directory of manifests and warns of what a person should know.
fn read_manifests(directory: &Path, file_limit: u64, output: &Output) -> Result<Source, Failure> {
    let mut progress = output.progress("reading manifests");
    let options = manifests::Options { file_limit };
    let installation = manifests::read(directory, &options, &mut |done, total| progress.update(done, total))?;
    drop(progress);
    if let Some((file, _)) = installation.credentials.first() {
        let fields: BTreeSet<_> =
            installation.credentials.iter().flat_map(|(_, fields)| fields.iter().copied()).collect();
        output.warning(
            &format!(
                "{} with credentials, such as {} (fields: {})",
                count(installation.credentials.len(), "manifest file"),
                file.display(),
                fields.into_iter().collect::<Vec<_>>().join(", ")
            ),
            Some("nothing of them is collected, but do not keep such files; docs/air-gap.md says how to avoid them"),
        );
    }
    if let Some(file) = installation.misplaced_clusters.first() {
        output.warning(
            &format!("user clusters in {} are not counted: they live on seeds", file.display()),
            Some("export them from each seed into seeds/<seed>/, also where the master is a seed itself"),
        );
    }
    Ok(Source::Manifests(Box::new(installation)))
}

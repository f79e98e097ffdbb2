//! Writes a large, made-up KKP installation, as `kubectl get ... -o json|yaml` would dump it, to measure time and memory
//! of this program on a size that no real installation is at hand for.
//!
//! ```text
//! generate-installation DIR [--seeds 10] [--clusters 2000] [--projects 2000] [--users 10000] [--keys 5000]
//!                           [--machine-deployments 4000] [--nodes N] [--format json|yaml] [--day 0]
//! ```
//!
//! The same options give the same bytes. Nodes are as many as clusters unless said otherwise: three of the master, three
//! of each seed, the others in user clusters. `--day K` gives the installation K days later: on each day about one percent
//! of the clusters and users change, and every fourth change of one replaces it by a new one.
//!
//! It never writes credentials, and never into a directory that is not empty. It uses the standard library only.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::print_stdout, reason = "a tool of its own")]

mod objects;
mod random;
mod value;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, error, fmt};

use value::Value;

const USAGE: &str = "usage: generate-installation DIR [--seeds N] [--clusters N] [--projects N] [--users N] [--keys N]
                             [--machine-deployments N] [--nodes N] [--format json|yaml] [--day N]";

/// Nodes of the master, and of each seed.
const CONTROL_NODES: u64 = 3;

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match generate(&options) {
        Ok(()) => {
            println!("{}: {options}", options.directory.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What to write, and where.
pub struct Options {
    /// The directory to fill.
    directory: PathBuf,
    /// How files are written.
    format: Format,
    /// How many days after the beginning the installation is seen.
    day: u64,
    /// Number of Seeds.
    seeds: u64,
    /// Number of Clusters, spread over the seeds.
    clusters: u64,
    /// Number of Projects.
    projects: u64,
    /// Number of Users.
    users: u64,
    /// Number of `UserSSHKey`s.
    keys: u64,
    /// Number of `MachineDeployment`s, spread over the clusters.
    machine_deployments: u64,
    /// Number of nodes, of the master, the seeds and the user clusters.
    nodes: u64,
}

/// The two formats of `kubectl -o`.
#[derive(Clone, Copy)]
enum Format {
    Json,
    Yaml,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "day {}, {} seeds, {} clusters, {} projects, {} users, {} keys, {} machine deployments, {} nodes",
            self.day,
            self.seeds,
            self.clusters,
            self.projects,
            self.users,
            self.keys,
            self.machine_deployments,
            self.nodes
        )
    }
}

/// What is wrong with the command line.
#[derive(Debug)]
struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for UsageError {}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, UsageError> {
        let mut options = Self {
            directory: PathBuf::new(),
            format: Format::Json,
            day: 0,
            seeds: 10,
            clusters: 2000,
            projects: 2000,
            users: 10_000,
            keys: 5000,
            machine_deployments: 4000,
            nodes: 0,
        };
        let mut directory = None;
        let mut nodes = None;
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| UsageError(format!("{arg} needs a value")));
            match arg.as_str() {
                "--seeds" => options.seeds = number(&arg, &value()?)?,
                "--clusters" => options.clusters = number(&arg, &value()?)?,
                "--projects" => options.projects = number(&arg, &value()?)?,
                "--users" => options.users = number(&arg, &value()?)?,
                "--keys" => options.keys = number(&arg, &value()?)?,
                "--machine-deployments" => options.machine_deployments = number(&arg, &value()?)?,
                "--nodes" => nodes = Some(number(&arg, &value()?)?),
                "--day" => options.day = number(&arg, &value()?)?,
                "--format" => options.format = format_named(&value()?)?,
                _ if arg.starts_with('-') => {
                    return Err(UsageError(format!("unknown option {arg}")));
                }
                _ if directory.is_none() => directory = Some(PathBuf::from(arg)),
                _ => {
                    return Err(UsageError(format!("one directory is enough, what is {arg}?")));
                }
            }
        }
        options.directory = directory.ok_or_else(|| UsageError("which directory?".to_owned()))?;
        options.nodes = nodes.unwrap_or(options.clusters);
        options.check()?;
        Ok(options)
    }

    /// Whether everything has something to belong to.
    fn check(&self) -> Result<(), UsageError> {
        if self.seeds == 0 {
            return Err(UsageError("an installation has at least one seed".to_owned()));
        }
        if self.projects == 0 && self.clusters + self.users + self.keys > 0 {
            return Err(UsageError("clusters, users and keys need at least one project".to_owned()));
        }
        if self.clusters == 0 && self.machine_deployments > 0 {
            return Err(UsageError("machine deployments need at least one cluster".to_owned()));
        }
        Ok(())
    }
}

fn number(option: &str, value: &str) -> Result<u64, UsageError> {
    value.parse().map_err(|_| UsageError(format!("{option} needs a number, not {value}")))
}

fn format_named(name: &str) -> Result<Format, UsageError> {
    match name {
        "json" => Ok(Format::Json),
        "yaml" => Ok(Format::Yaml),
        _ => Err(UsageError(format!("the format is json or yaml, not {name}"))),
    }
}

/// An operation on a path that failed.
#[derive(Debug)]
struct WriteError {
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.source)
    }
}

impl error::Error for WriteError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

fn generate(options: &Options) -> Result<(), WriteError> {
    let root = &options.directory;
    require_empty(root).map_err(|source| WriteError { path: root.clone(), source })?;
    write_master(options, &root.join("master"))?;
    for seed in 0..options.seeds {
        write_seed(options, seed, &root.join("seeds").join(objects::seed_name(seed)))?;
    }
    for cluster in 0..options.clusters {
        let folder = root.join("user-clusters").join(objects::cluster_name(options, cluster));
        write_user_cluster(options, cluster, &folder)?;
    }
    Ok(())
}

/// Files of another run would mix with ours, so there must be none.
fn require_empty(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    if fs::read_dir(directory)?.next().is_some() {
        return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, "the directory is not empty"));
    }
    Ok(())
}

fn write_master(options: &Options, folder: &Path) -> Result<(), WriteError> {
    let nodes = CONTROL_NODES.min(options.nodes);
    let format = options.format;
    write_version(folder)?;
    write_list(format, folder, "kubermaticconfigurations", [objects::configuration()])?;
    write_list(format, folder, "seeds", (0..options.seeds).map(|seed| objects::seed(options, seed)))?;
    write_list(format, folder, "projects", (0..options.projects).map(objects::project))?;
    write_list(format, folder, "users", (0..options.users).map(|user| objects::user(options, user)))?;
    write_list(format, folder, "usersshkeys", (0..options.keys).map(|key| objects::ssh_key(options, key)))?;
    write_list(format, folder, "nodes", (0..nodes).map(|node| objects::node("master", node)))
}

fn write_seed(options: &Options, seed: u64, folder: &Path) -> Result<(), WriteError> {
    let clusters = share(options.clusters, options.seeds, seed);
    let left = options.nodes.saturating_sub(CONTROL_NODES * (seed + 1));
    let nodes = CONTROL_NODES.min(left);
    write_version(folder)?;
    write_list(options.format, folder, "clusters", clusters.map(|cluster| objects::cluster(options, cluster)))?;
    write_list(options.format, folder, "nodes", (0..nodes).map(|node| objects::node(&objects::seed_name(seed), node)))
}

/// Writes what a user cluster has, and no folder for one that has nothing.
fn write_user_cluster(options: &Options, cluster: u64, folder: &Path) -> Result<(), WriteError> {
    let mut deployments = share(options.machine_deployments, options.clusters, cluster).peekable();
    if deployments.peek().is_some() {
        let deployments = deployments.map(|deployment| objects::machine_deployment(options, cluster, deployment));
        write_list(options.format, folder, "machinedeployments", deployments)?;
    }
    let workers = options.nodes.saturating_sub(CONTROL_NODES * (options.seeds + 1));
    let mut nodes = share(workers, options.clusters, cluster).peekable();
    if nodes.peek().is_some() {
        let name = objects::cluster_name(options, cluster);
        write_list(options.format, folder, "nodes", nodes.map(|node| objects::node(&name, node)))?;
    }
    Ok(())
}

/// Deals `total` things to `owners` like cards: the numbers that `owner` gets.
fn share(total: u64, owners: u64, owner: u64) -> impl Iterator<Item = u64> {
    let step = usize::try_from(owners).unwrap_or(usize::MAX).max(1);
    (owner..total).step_by(step)
}

/// Writes what `kubectl version -o json` prints.
fn write_version(folder: &Path) -> Result<(), WriteError> {
    write_file(&folder.join("version.json"), |out| {
        objects::version().write_json(out, 0)?;
        out.write_all(b"\n")
    })
}

/// Writes the `List` that `kubectl get` prints, one object at a time.
fn write_list(
    format: Format,
    folder: &Path,
    name: &str,
    objects: impl IntoIterator<Item = Value>,
) -> Result<(), WriteError> {
    let path = folder.join(name).with_extension(format.extension());
    write_file(&path, |out| match format {
        Format::Json => write_json_list(out, objects),
        Format::Yaml => write_yaml_list(out, objects),
    })
}

fn write_json_list(out: &mut dyn Write, objects: impl IntoIterator<Item = Value>) -> io::Result<()> {
    out.write_all(b"{\n    \"apiVersion\": \"v1\",\n    \"items\": [")?;
    for (index, object) in objects.into_iter().enumerate() {
        out.write_all(if index == 0 { b"\n        " } else { b",\n        " })?;
        object.write_json(out, 2)?;
    }
    out.write_all(
        b"\n    ],\n    \"kind\": \"List\",\n    \"metadata\": {\n        \"resourceVersion\": \"\"\n    }\n}\n",
    )
}

fn write_yaml_list(out: &mut dyn Write, objects: impl IntoIterator<Item = Value>) -> io::Result<()> {
    let mut objects = objects.into_iter().peekable();
    out.write_all(b"apiVersion: v1\n")?;
    out.write_all(if objects.peek().is_some() { b"items:\n" } else { b"items: []\n" })?;
    for object in objects {
        out.write_all(b"- ")?;
        object.write_yaml(out, 1)?;
    }
    out.write_all(b"kind: List\nmetadata:\n  resourceVersion: \"\"\n")
}

fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    let attempt = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut out = BufWriter::new(File::create_new(path)?);
        write(&mut out)?;
        out.flush()
    };
    attempt().map_err(|source| WriteError { path: path.to_owned(), source })
}

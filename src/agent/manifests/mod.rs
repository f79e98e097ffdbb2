//! The manifest source: a directory of what `kubectl get … -o yaml|json` writes.
//!
//! `master/`, `seeds/<seed>/` and `user-clusters/<cluster>/` say where objects came from; without them the directory is
//! flat, which is clear only where there is exactly one Seed.

mod files;
mod reader;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::objects::Object;
use super::parsed::Parsed;
use super::{Gap, Inventory, SeedCluster};
use crate::pseudonym::NameType;
use crate::record::problem::{Category, Step};
use files::{Found, Place};

/// The largest manifest file, in bytes after decompression.
pub const DEFAULT_FILE_LIMIT: u64 = 64 << 20;

/// A directory that can't be read as an installation.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The directory is not there.
    #[error("the directory {} does not exist", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// It is no directory.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// What it is not.
        path: PathBuf,
    },
    /// It has no manifests in it.
    #[error("there are no manifests (*.yaml, *.yml, *.json, also with .gz) in {}", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// It has no object of KKP in it.
    #[error("there are no objects of KKP (kubermatic.k8c.io/v1) in {}", path.display())]
    NoKkp {
        /// The directory.
        path: PathBuf,
    },
    /// A file or directory can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// What can't be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not parse. What is in it is not told.
    #[error("{}, line {line}, column {column}: not valid {format}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// YAML or JSON.
        format: &'static str,
    },
    /// A file has nothing in it.
    #[error("{} is empty", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A file is too large.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file's aliases stand for more than is reasonable.
    #[error("{} is nested too deeply, or its aliases stand for too much", path.display())]
    Expands {
        /// The file.
        path: PathBuf,
    },
    /// An object has no name.
    #[error("{}, object {index}: a {kind} without metadata.name", path.display())]
    Nameless {
        /// The file.
        path: PathBuf,
        /// Which object of the file, from 1.
        index: usize,
        /// Its kind.
        kind: &'static str,
    },
    /// More than one configuration.
    #[error("there are {count} KubermaticConfigurations on the master, where exactly one may be: {}", join(files))]
    Configurations {
        /// How many.
        count: usize,
        /// The files that they are in.
        files: BTreeSet<PathBuf>,
    },
    /// A folder under `seeds/` that is named like no Seed.
    #[error("{} is named like no Seed; the Seeds are: {}", path.display(), or_none(seeds))]
    UnknownSeed {
        /// The folder.
        path: PathBuf,
        /// The names of the Seeds.
        seeds: Vec<String>,
    },
    /// A flat directory with another number of Seeds than one.
    #[error("{} has no folders master/, seeds/ and user-clusters/, and {count} Seeds in it", path.display())]
    Flat {
        /// The directory.
        path: PathBuf,
        /// How many Seeds there are.
        count: usize,
    },
    /// A manifest outside of the folders that say where objects came from.
    #[error("{} lies outside of master/, seeds/<seed>/ and user-clusters/<cluster>/", path.display())]
    Stray {
        /// The file.
        path: PathBuf,
    },
}

fn join(files: &BTreeSet<PathBuf>) -> String {
    files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl ManifestError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Empty { .. } | Self::NoKkp { .. } | Self::Missing { .. } | Self::NotADirectory { .. } => {
                Some("docs/air-gap.md has the kubectl commands that make such a directory")
            }
            Self::TooLarge { .. } => Some(
                "reduce it with docs/reduce.jq, export every kind into a file of its own, or raise --max-file-size",
            ),
            Self::EmptyFile { .. } => {
                Some("kubectl writes an empty list where there are no objects; it may have failed: export them again")
            }
            Self::Expands { .. } => Some("kubectl writes no aliases; export the objects again"),
            Self::Parse { .. } => Some("export the objects again; an interrupted kubectl leaves half a file"),
            Self::Nameless { .. } => Some("kubectl writes every object with its name; export the objects again"),
            Self::Configurations { .. } => {
                Some("keep the configuration of this installation only; copies on seeds belong under seeds/<seed>/")
            }
            Self::UnknownSeed { .. } => Some("rename the folder, or export the Seeds to master/ again"),
            Self::Flat { .. } | Self::Stray { .. } => {
                Some("sort the files into master/, seeds/<seed>/ and user-clusters/<cluster>/")
            }
            Self::Read { .. } => None,
        }
    }
}

/// How to read a directory.
#[derive(Debug, Clone)]
pub struct Options {
    /// The largest file, in bytes after decompression.
    pub file_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { file_limit: DEFAULT_FILE_LIMIT }
    }
}

/// What was read.
#[derive(Debug, Default)]
pub struct Installation {
    /// The objects.
    pub inventory: Inventory,
    /// Files that hold credentials, with the names of the fields.
    pub credentials: Vec<(PathBuf, BTreeSet<&'static str>)>,
    /// Files with clusters that don't count, because they lie under `master/`.
    pub misplaced_clusters: BTreeSet<PathBuf>,
}

/// Reads a directory of manifests. `progress` hears of bytes read and bytes in all, as they lie on disk.
///
/// # Errors
/// See [`ManifestError`]. A malformed object is none; it becomes a problem of the record.
pub fn read(
    directory: &Path,
    options: &Options,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Installation, ManifestError> {
    let found = files::find(directory)?;
    let mut loader = Loader::default();
    let total: u64 = found.files.iter().map(|file| file.size).sum();
    let mut done = 0;
    for file in &found.files {
        // Folders are named after seeds and clusters, whose names do not belong into a log.
        tracing::debug!(place = file.place.kind(), bytes = file.size, "reading a manifest");
        let mut index = 0;
        let mut credentials = BTreeSet::new();
        reader::read(&file.path, options.file_limit, &mut |pruned| {
            index += 1;
            credentials.extend(pruned.credentials);
            let secret = pruned.value["kind"] == "Secret";
            if secret && (pruned.value.get("data").is_some() || pruned.value.get("stringData").is_some()) {
                credentials.insert("data");
            }
            let parsed = Parsed::from_value(pruned.value).map_err(|nameless| ManifestError::Nameless {
                path: file.path.clone(),
                index,
                kind: nameless.0,
            })?;
            loader.add(file, parsed);
            Ok(())
        })?;
        if !credentials.is_empty() {
            loader.result.credentials.push((file.path.clone(), credentials));
        }
        done += file.size;
        progress(done, total);
    }
    loader.finish(directory, &found)
}

/// Whether objects of this kind count where this one came from. Those that do not are copies, or lie in the wrong place.
fn counts(place: &Place, parsed: &Parsed) -> bool {
    match place {
        Place::Flat => true,
        Place::Master => !matches!(parsed, Parsed::Cluster(_) | Parsed::MachineDeployment(_)),
        Place::Seed(_) => matches!(parsed, Parsed::Cluster(_) | Parsed::Node(_)),
        Place::UserCluster(_) => matches!(parsed, Parsed::MachineDeployment(_) | Parsed::Node(_)),
    }
}

/// Sorts objects by where they came from.
#[derive(Default)]
struct Loader {
    result: Installation,
    /// UIDs and names that were seen: an object exported twice counts once.
    uids: BTreeSet<(String, String)>,
    configuration_files: BTreeSet<PathBuf>,
    kkp_objects: usize,
    /// Seeds whose nodes were exported, even if the master's own file had them already.
    seeds_with_nodes: BTreeSet<String>,
    /// Clusters of a flat directory, whose Seed is not known yet.
    flat_clusters: Vec<Object<super::objects::Cluster>>,
}

impl Loader {
    fn add(&mut self, file: &files::ManifestFile, parsed: Parsed) {
        let kkp = !matches!(
            parsed,
            Parsed::Other | Parsed::Node(_) | Parsed::MachineDeployment(_) | Parsed::KubeSystem(_) | Parsed::Version(_)
        );
        self.kkp_objects += usize::from(kkp);
        if let (Place::Seed(name), Parsed::Node(_)) = (&file.place, &parsed) {
            self.seeds_with_nodes.insert(name.clone());
        }
        let repeated = |key: (String, String)| !self.uids.insert(key);
        if counts(&file.place, &parsed) && parsed.identity().is_some_and(repeated) {
            return;
        }
        match &file.place {
            Place::Master => self.add_to_master(file, parsed),
            Place::Seed(name) => self.add_to_seed(name, parsed),
            Place::UserCluster(name) => self.add_to_user_cluster(name, parsed),
            Place::Flat => match parsed {
                Parsed::Cluster(object) => self.flat_clusters.push(object),
                Parsed::MachineDeployment(object) => self.result.inventory.stray_machine_deployments.push(object),
                other => self.add_to_master(file, other),
            },
        }
    }

    fn add_to_master(&mut self, file: &files::ManifestFile, parsed: Parsed) {
        let master = &mut self.result.inventory.master;
        match parsed {
            Parsed::Configuration(object) => {
                self.configuration_files.insert(file.path.clone());
                master.configurations.push(object);
            }
            Parsed::Seed(object) => master.seeds.push(object),
            Parsed::Project(object) => master.projects.push(object),
            Parsed::User(object) => master.users.push(object),
            Parsed::SshKey(object) => master.ssh_keys.push(object),
            Parsed::Node(object) => master.nodes.push(object),
            Parsed::Version(version) => master.version = version,
            Parsed::KubeSystem(uid) => master.installation_uids.extend(uid),
            Parsed::Legacy { step, concerns } => self.legacy(step, concerns),
            Parsed::Cluster(_) => {
                self.result.misplaced_clusters.insert(file.path.clone());
            }
            Parsed::MachineDeployment(_) | Parsed::Other => {}
        }
    }

    /// Seeds hold copies of the master's projects, users and configuration, which don't count.
    fn add_to_seed(&mut self, name: &str, parsed: Parsed) {
        match parsed {
            Parsed::Cluster(object) => self.seed(name).clusters.push(object),
            Parsed::Node(object) => self.seed(name).nodes.push(object),
            Parsed::Version(version) => self.seed(name).version = version,
            Parsed::Legacy { step: Step::Clusters, concerns } => self.legacy(Step::Clusters, concerns),
            _ => {}
        }
    }

    fn add_to_user_cluster(&mut self, name: &str, parsed: Parsed) {
        let cluster = self.result.inventory.user_clusters.entry(name.to_owned()).or_default();
        match parsed {
            Parsed::MachineDeployment(object) => cluster.machine_deployments.push(object),
            Parsed::Node(object) => cluster.nodes.push(object),
            _ => {}
        }
    }

    fn seed(&mut self, name: &str) -> &mut SeedCluster {
        self.result.inventory.seeds.entry(name.to_owned()).or_default()
    }

    fn legacy(&mut self, step: Step, concerns: Option<(NameType, String)>) {
        self.result.inventory.gaps.push(Gap { step, category: Category::LegacyApiGroup, concerns });
    }

    /// Checks what only shows once everything was read.
    fn finish(mut self, directory: &Path, found: &Found) -> Result<Installation, ManifestError> {
        if self.kkp_objects == 0 {
            return Err(ManifestError::NoKkp { path: directory.to_owned() });
        }
        let inventory = &mut self.result.inventory;
        let count = inventory.master.configurations.len();
        if count > 1 {
            return Err(ManifestError::Configurations { count, files: self.configuration_files });
        }
        let mut names: BTreeSet<_> = inventory.master.seeds.iter().map(|seed| seed.name.clone()).collect();
        // Seeds of before 2.19 are Seeds all the same.
        let legacy = inventory.gaps.iter().filter(|gap| gap.category == Category::LegacyApiGroup);
        names.extend(legacy.filter_map(|gap| match &gap.concerns {
            Some((NameType::Seed, name)) => Some(name.clone()),
            _ => None,
        }));
        if found.flat {
            let [name] = names.iter().collect::<Vec<_>>()[..] else {
                return Err(ManifestError::Flat { path: directory.to_owned(), count: names.len() });
            };
            let seed = SeedCluster { clusters: self.flat_clusters, ..SeedCluster::default() };
            inventory.seeds.insert(name.clone(), seed);
        }
        for (name, path) in &found.seeds {
            if !names.contains(name) {
                let seeds = names.into_iter().collect();
                return Err(ManifestError::UnknownSeed { path: path.clone(), seeds });
            }
            inventory.seeds.entry(name.clone()).or_default();
        }
        let missing = |step, name: &String| Gap {
            step,
            category: Category::NotProvided,
            concerns: Some((NameType::Seed, name.clone())),
        };
        for name in &names {
            match inventory.seeds.get(name) {
                None => {
                    inventory.gaps.push(missing(Step::Seeds, name));
                    inventory.gaps.push(missing(Step::Nodes, name));
                }
                Some(_) if found.flat || self.seeds_with_nodes.contains(name) => {}
                Some(_) => inventory.gaps.push(missing(Step::Nodes, name)),
            }
        }
        let nothing = |step| Gap { step, category: Category::NotProvided, concerns: None };
        // Whether a list is empty or was not exported can't be told: kubectl writes no kind into an empty one.
        inventory.gaps.extend(inventory.master.users.is_empty().then(|| nothing(Step::Users)));
        inventory.gaps.extend(inventory.master.nodes.is_empty().then(|| nothing(Step::Nodes)));
        let configuration = inventory.master.configurations.first().and_then(|object| object.uid.clone());
        inventory.master.installation_uids.extend(configuration);
        Ok(self.result)
    }
}

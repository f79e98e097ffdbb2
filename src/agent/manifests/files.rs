//! Finding manifest files, and telling from their place where their objects came from.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::ManifestError;

/// How deep folders are followed; beyond it there is a loop of links.
const DEEPEST: usize = 24;

/// Where a file's objects came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Master,
    Seed(String),
    UserCluster(String),
    Flat,
}

impl Place {
    /// What kind of place it is, without its name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Seed(_) => "seed",
            Self::UserCluster(_) => "user cluster",
            Self::Flat => "flat",
        }
    }
}

/// A manifest file.
#[derive(Debug)]
pub(super) struct ManifestFile {
    pub path: PathBuf,
    pub size: u64,
    pub place: Place,
}

/// What a directory holds.
#[derive(Debug)]
pub(super) struct Found {
    /// The master's files first, then the seeds', then the user clusters', each sorted by path.
    pub files: Vec<ManifestFile>,
    /// The folders under `seeds/`, also those without files.
    pub seeds: Vec<(String, PathBuf)>,
    pub flat: bool,
}

/// Finds the manifests in a directory.
pub(super) fn find(directory: &Path) -> Result<Found, ManifestError> {
    match fs::metadata(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ManifestError::Missing { path: directory.to_owned() });
        }
        Err(source) => return Err(ManifestError::Read { path: directory.to_owned(), source }),
        Ok(metadata) if !metadata.is_dir() => {
            return Err(ManifestError::NotADirectory { path: directory.to_owned() });
        }
        Ok(_) => {}
    }
    let flat = !["master", "seeds", "user-clusters"].iter().any(|name| directory.join(name).is_dir());
    let mut found = Found { files: Vec::new(), seeds: Vec::new(), flat };
    if flat {
        collect(directory, &Place::Flat, 0, &mut found.files)?;
    } else {
        find_by_place(directory, &mut found)?;
    }
    if found.files.is_empty() {
        return Err(ManifestError::Empty { path: directory.to_owned() });
    }
    Ok(found)
}

fn find_by_place(directory: &Path, found: &mut Found) -> Result<(), ManifestError> {
    for path in entries(directory)? {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if ["master", "seeds", "user-clusters"].contains(&name) {
            continue;
        }
        let mut strays = Vec::new();
        if path.is_dir() {
            collect(&path, &Place::Flat, 0, &mut strays)?;
        }
        if !strays.is_empty() || path.is_file() && is_manifest(&path) {
            return Err(ManifestError::Stray { path });
        }
    }
    let folder = |name: &str| directory.join(name);
    if folder("master").is_dir() {
        collect(&folder("master"), &Place::Master, 0, &mut found.files)?;
    }
    for (name, path) in folders(&folder("seeds"))? {
        collect(&path, &Place::Seed(name.clone()), 0, &mut found.files)?;
        found.seeds.push((name, path));
    }
    for (name, path) in folders(&folder("user-clusters"))? {
        collect(&path, &Place::UserCluster(name), 0, &mut found.files)?;
    }
    Ok(())
}

/// The folders in `seeds/` or `user-clusters/`, by name; manifests beside them belong to nobody.
fn folders(directory: &Path) -> Result<Vec<(String, PathBuf)>, ManifestError> {
    let mut folders = Vec::new();
    if !directory.is_dir() {
        return Ok(folders);
    }
    for path in entries(directory)? {
        if path.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            folders.push((name, path));
        } else if is_manifest(&path) {
            return Err(ManifestError::Stray { path });
        }
    }
    Ok(folders)
}

fn collect(directory: &Path, place: &Place, depth: usize, files: &mut Vec<ManifestFile>) -> Result<(), ManifestError> {
    if depth > DEEPEST {
        let source = std::io::Error::other("folders are nested too deeply, or links form a loop");
        return Err(ManifestError::Read { path: directory.to_owned(), source });
    }
    for path in entries(directory)? {
        let metadata = fs::metadata(&path).map_err(|source| ManifestError::Read { path: path.clone(), source })?;
        if metadata.is_dir() {
            collect(&path, place, depth + 1, files)?;
        } else if metadata.is_file() && is_manifest(&path) {
            files.push(ManifestFile { path, size: metadata.len(), place: place.clone() });
        } else {
            tracing::debug!(place = place.kind(), "passed over a file that is no manifest");
        }
    }
    Ok(())
}

/// What lies in a directory, sorted, without hidden files.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let failed = |source| ManifestError::Read { path: directory.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether a file is named like a manifest.
fn is_manifest(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    [".yaml", ".yml", ".json"].iter().any(|extension| name.ends_with(extension))
}

//! The installation's setting: a `ConfigMap`, as a directory that Kubernetes mounts or as the file that kubectl prints.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The key of the switch.
pub const SWITCH: &str = "telemetry";
/// The key of what is withheld.
pub const OMIT: &str = "omit";

/// How many bytes a `ConfigMap` has at most, by the rule of Kubernetes; with what kubectl prints around it.
const LARGEST: u64 = 2 << 20;
/// How often a mounted directory is read that changes meanwhile.
const ATTEMPTS: usize = 10;

/// What the installation's setting says; a key that is not there says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installation {
    /// `telemetry`.
    pub telemetry: Option<String>,
    /// `omit`.
    pub omit: Option<String>,
}

/// A setting that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// The file or directory, or a key in it, can't be read.
    #[error("can't read the installation's setting {}", path.display())]
    Read {
        /// What can't be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than a `ConfigMap` can be.
    #[error("the installation's setting {} is larger than {LARGEST} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is no `ConfigMap`.
    #[error("the installation's setting {} is not a ConfigMap in JSON or YAML", path.display())]
    NoConfigMap {
        /// The file.
        path: PathBuf,
    },
    /// A key that nothing reads: a word that was mistyped must not count as silence.
    #[error(
        "the installation's setting {} has the key `{}`; known are `{SWITCH}` and `{OMIT}`",
        path.display(), crate::text::shortened(key, 100)
    )]
    UnknownKey {
        /// The file or directory.
        path: PathBuf,
        /// The key.
        key: String,
    },
}

impl InstallationError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => Some(
                "--settings or KUBERMATIC_TELEMETRY_SETTINGS names the mounted ConfigMap; one that is optional is \
                 mounted as an empty directory",
            ),
            Self::NoConfigMap { .. } => Some("write it with `kubectl get configmap NAME -o yaml`, or mount it"),
            Self::UnknownKey { .. } => Some("give this program a ConfigMap of its own"),
            _ => None,
        }
    }
}

/// A `ConfigMap`, as far as it matters.
#[derive(Deserialize)]
struct ConfigMap {
    kind: String,
    #[serde(default)]
    data: Option<BTreeMap<String, Value>>,
    #[serde(default, rename = "binaryData")]
    binary: Option<BTreeMap<String, String>>,
}

/// A value; Kubernetes takes strings alone, a person who writes a file does not know.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Switch(bool),
}

impl Installation {
    /// Reads the setting: a directory with a file for each key, or a file with a `ConfigMap`.
    ///
    /// # Errors
    /// It can't be read, or has a key that nothing reads.
    pub fn read(path: &Path) -> Result<Self, InstallationError> {
        let failed = |source| InstallationError::Read { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_file() {
            return Self::of_file(path);
        }
        if !metadata.is_dir() {
            return Err(InstallationError::NoConfigMap { path: path.to_owned() });
        }
        for _ in 1..ATTEMPTS {
            match Self::of_directory(path) {
                // Kubernetes exchanges all keys at once, so that one which was listed can be gone when it is read.
                Err(InstallationError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                result => return result,
            }
        }
        Self::of_directory(path)
    }

    fn of_directory(path: &Path) -> Result<Self, InstallationError> {
        let failed = |source| InstallationError::Read { path: path.to_owned(), source };
        let mut setting = Self::default();
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let key = entry.file_name().to_string_lossy().into_owned();
            // `..data` and the directory that it leads to.
            if !key.starts_with('.') {
                *setting.key(path, &key)? = Some(text(&entry.path())?);
            }
        }
        Ok(setting)
    }

    fn of_file(path: &Path) -> Result<Self, InstallationError> {
        let none = || InstallationError::NoConfigMap { path: path.to_owned() };
        let map = parse(&text(path)?).filter(|map| map.kind == "ConfigMap").ok_or_else(none)?;
        let mut setting = Self::default();
        for (key, value) in map.data.unwrap_or_default() {
            *setting.key(path, &key)? = Some(match value {
                Value::Text(text) => text,
                Value::Switch(on) => on.to_string(),
            });
        }
        match map.binary.unwrap_or_default().into_keys().next() {
            Some(key) => Err(InstallationError::UnknownKey { path: path.to_owned(), key }),
            None => Ok(setting),
        }
    }

    /// Where a key's value goes.
    fn key(&mut self, path: &Path, key: &str) -> Result<&mut Option<String>, InstallationError> {
        match key {
            SWITCH => Ok(&mut self.telemetry),
            OMIT => Ok(&mut self.omit),
            _ => Err(InstallationError::UnknownKey { path: path.to_owned(), key: key.to_owned() }),
        }
    }
}

#[cfg(feature = "agent")]
fn parse(text: &str) -> Option<ConfigMap> {
    let options = serde_saphyr::options! {
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_json::from_str(text).ok().or_else(|| serde_saphyr::from_str_with_options(text, options).ok())
}

/// Without the agent there is no reader of YAML.
#[cfg(not(feature = "agent"))]
fn parse(text: &str) -> Option<ConfigMap> {
    serde_json::from_str(text).ok()
}

fn text(path: &Path) -> Result<String, InstallationError> {
    let failed = |source| InstallationError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    if read.map_err(failed)? as u64 > LARGEST {
        return Err(InstallationError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}

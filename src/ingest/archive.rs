//! The archive: an object store with everything of a client under `clients/<uuid>/`.
//!
//! ```text
//! bundles/<manifest-sha256>.tar             the bundle, in the container that this program writes
//! records/<record-id>                       digest of the record, and of the manifest that brought it first
//! stores/<store>/<sequence>-<manifest-sha256>   the chain as it was seen
//! rotations/<key-id>-<digest>.json          a chain of rotations that introduced a key
//! keys/<key-id>.pem                         a key that the operator trusts
//! pinned.pem                                the key of the first bundle (trust on first use)
//! receipts/<manifest-sha256>.tar            the receipt; its appearance commits all of the above
//! ```
//!
//! Beside them, for all clients (a key id is told here by its hexadecimal digits alone):
//!
//! ```text
//! revoked/<key-id>                          a key that signs nothing any more
//! audit/<uuid>.json                         what the operator was about to change, and when
//! pins/<hour>/<number>                      a client that was pinned in that hour
//! ```
//!
//! Objects are only ever made, never changed, so that any number of writers can share an archive.

use std::io::{self, Read};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, WriteMultipart};
use uuid::Uuid;

use crate::store::durable::{self, FileError};

/// Where what belongs to one client lies, by its UUID.
pub(super) const CLIENTS: &str = "clients";
/// Where the revoked keys lie, by the digits of their ids.
pub(super) const REVOKED: &str = "revoked";
/// Where it lies what the operator changed.
pub(super) const AUDIT: &str = "audit";
/// Where it lies who was pinned, by hour.
pub(super) const PINS: &str = "pins";

/// How much of a bundle is in memory while it is stored.
const CHUNK: usize = 8 << 20;

/// An archive that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// An address that no archive can have. What follows the scheme may hold credentials and is not told.
    #[error("{0} is not the address of an archive: a directory or a file:// URL is expected")]
    Address(String),
    /// The directory can't be made.
    #[error(transparent)]
    File(#[from] FileError),
    /// The object store fails.
    #[error("the archive fails at {object}")]
    Object {
        /// Which object.
        object: String,
        /// Why.
        source: object_store::Error,
    },
    /// An object does not hold what its name says.
    #[error("the archive is damaged at {object}")]
    Damaged {
        /// Which object.
        object: String,
    },
    /// There is no archive, where one must be.
    #[error("there is no archive in {0}")]
    Missing(String),
    /// The bundle can't be read while it is stored.
    #[error("the bundle can't be read")]
    Bundle(#[source] io::Error),
    /// The runtime can't be started.
    #[error("the operating system refuses")]
    System(#[source] io::Error),
}

/// An archive.
#[derive(Debug)]
pub struct Archive {
    objects: Arc<dyn ObjectStore>,
    directory: Option<PathBuf>,
    runtime: tokio::runtime::Runtime,
}

impl Archive {
    /// Opens an archive: a directory, made if need be, given by its path or a `file://` URL.
    ///
    /// # Errors
    /// The address is not understood, or the directory can't be made.
    pub fn open(address: &str) -> Result<Self, ArchiveError> {
        let directory = directory(address)?;
        durable::create_directory(&directory)?;
        Self::open_directory(&directory)
    }

    /// Opens an archive that is in use already.
    ///
    /// # Errors
    /// The address is not understood, or nothing is there.
    pub fn open_existing(address: &str) -> Result<Self, ArchiveError> {
        let directory = directory(address)?;
        let missing = || ArchiveError::Missing(directory.display().to_string());
        if !directory.is_dir() {
            return Err(missing());
        }
        let archive = Self::open_directory(&directory)?;
        let used = archive.list_directories("")?.iter().any(|name| [CLIENTS, REVOKED, AUDIT].contains(&name.as_str()));
        if used { Ok(archive) } else { Err(missing()) }
    }

    fn open_directory(directory: &FilePath) -> Result<Self, ArchiveError> {
        let objects = LocalFileSystem::new_with_prefix(directory)
            .map_err(|source| ArchiveError::Object { object: directory.display().to_string(), source })?
            .with_fsync(true);
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(ArchiveError::System)?;
        Ok(Self { objects: Arc::new(objects), directory: Some(directory.to_owned()), runtime })
    }

    /// Its directory, if it is a local one.
    #[must_use]
    pub fn directory(&self) -> Option<&FilePath> {
        self.directory.as_deref()
    }

    /// An object's contents, if it is there.
    pub(super) fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let path = Path::from(name);
        let read = async { self.objects.get(&path).await?.bytes().await };
        match self.runtime.block_on(read) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(name)(source)),
        }
    }

    /// Makes an object; gives false if it was there before.
    pub(super) fn create(&self, name: &str, contents: Vec<u8>) -> Result<bool, ArchiveError> {
        let path = Path::from(name);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.runtime.block_on(self.objects.put_opts(&path, PutPayload::from(contents), options)) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(source) => Err(failed(name)(source)),
        }
    }

    /// Stores a large object whose name is fixed by its contents, so that writing it twice is harmless.
    pub(super) fn store(&self, name: &str, contents: &mut impl Read) -> Result<(), ArchiveError> {
        let path = Path::from(name);
        let upload = self.runtime.block_on(self.objects.put_multipart(&path)).map_err(failed(name))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, CHUNK);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let count = match contents.read(&mut buffer) {
                Ok(count) => count,
                Err(error) => {
                    // The upload's own failure matters less than this one.
                    let _ = self.runtime.block_on(writer.abort());
                    return Err(ArchiveError::Bundle(error));
                }
            };
            if count == 0 {
                break;
            }
            let written = async {
                writer.wait_for_capacity(2).await?;
                writer.write(&buffer[..count]);
                Ok(())
            };
            self.runtime.block_on(written).map_err(failed(name))?;
        }
        self.runtime.block_on(writer.finish()).map_err(failed(name)).map(drop)
    }

    /// The names of the objects directly below a prefix.
    pub(super) fn list(&self, prefix: &str) -> Result<Vec<String>, ArchiveError> {
        let path = Path::from(prefix);
        let listed = self.runtime.block_on(self.objects.list_with_delimiter(Some(&path))).map_err(failed(prefix))?;
        Ok(listed.objects.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect())
    }

    /// The names of what lies deeper below a prefix, by the first step of the way there.
    pub(super) fn list_directories(&self, prefix: &str) -> Result<Vec<String>, ArchiveError> {
        let path = Path::from(prefix);
        let listed = self.runtime.block_on(self.objects.list_with_delimiter(Some(&path))).map_err(failed(prefix))?;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// Whether an object is there.
    pub(super) fn has(&self, name: &str) -> Result<bool, ArchiveError> {
        match self.runtime.block_on(self.objects.head(&Path::from(name))) {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(failed(name)(source)),
        }
    }
}

/// The directory that an address names.
fn directory(address: &str) -> Result<PathBuf, ArchiveError> {
    let unknown = || {
        let scheme = address.split_once("://").map_or("this", |(scheme, _)| scheme);
        ArchiveError::Address(format!("{}://...", scheme.escape_debug()))
    };
    match address.split_once("://") {
        None => Ok(PathBuf::from(address)),
        Some(("file", _)) => url::Url::parse(address).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(unknown),
        Some(_) => Err(unknown()),
    }
}

fn failed(object: &str) -> impl FnOnce(object_store::Error) -> ArchiveError {
    let object = object.to_owned();
    move |source| ArchiveError::Object { object, source }
}

/// Where everything of a client lies.
pub(super) fn client_prefix(client: Uuid) -> String {
    format!("{CLIENTS}/{client}")
}

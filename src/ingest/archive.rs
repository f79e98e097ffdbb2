//! The archive: an object store with everything of a client under `clients/<uuid>/`.
//!
//! ```text
//! bundles/<manifest-sha256>.tar             the bundle, in the container that this program writes
//! records/<record-id>                       digest of the record, and of the manifest that brought it first
//! stores/<store>/<sequence>-<manifest-sha256>   the chain as it was seen
//! rotations/<key-id>-<digest>.json          a chain of rotations that introduced a key
//! pinned.pem                                the key of the first bundle (trust on first use)
//! receipts/<manifest-sha256>.tar            the receipt; its appearance commits all of the above
//! ```
//!
//! Objects are only ever made, never changed, so that any number of writers can share an archive.

use std::fs;
use std::io::{self, Read};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, WriteMultipart};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::store::durable::{self, FileError};

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
    /// The bundle can't be read while it is stored.
    #[error("the bundle can't be read")]
    Bundle(#[source] io::Error),
}

/// An archive.
#[derive(Debug)]
pub struct Archive {
    objects: Arc<dyn ObjectStore>,
    directory: Option<PathBuf>,
    runtime: Handle,
}

impl Archive {
    /// Opens an archive: a directory, made if need be, given by its path or a `file://` URL. What it does, it does on
    /// `runtime`, which must have threads of its own, and which must not be waited for from one of them.
    ///
    /// # Errors
    /// The address is not understood, or the directory can't be made.
    pub fn open(address: &str, runtime: Handle) -> Result<Self, ArchiveError> {
        let unknown = || {
            let scheme = address.split_once("://").map_or("this", |(scheme, _)| scheme);
            ArchiveError::Address(format!("{}://...", scheme.escape_debug()))
        };
        let directory = match address.split_once("://") {
            None => PathBuf::from(address),
            Some(("file", _)) => {
                url::Url::parse(address).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(unknown)?
            }
            Some(_) => return Err(unknown()),
        };
        durable::create_directory(&directory)?;
        let objects = LocalFileSystem::new_with_prefix(&directory)
            .map_err(|source| ArchiveError::Object { object: address.to_owned(), source })?
            .with_fsync(true);
        Ok(Self { objects: Arc::new(objects), directory: Some(directory), runtime })
    }

    /// Its directory, if it is a local one.
    #[must_use]
    pub fn directory(&self) -> Option<&FilePath> {
        self.directory.as_deref()
    }

    /// Whether it can be used now.
    ///
    /// # Errors
    /// It can't.
    pub fn check(&self) -> Result<(), ArchiveError> {
        self.has("receipt-key.pub.pem").map(drop)
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

    /// Whether an object is there.
    pub(super) fn has(&self, name: &str) -> Result<bool, ArchiveError> {
        match self.runtime.block_on(self.objects.head(&Path::from(name))) {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(failed(name)(source)),
        }
    }
}

fn failed(object: &str) -> impl FnOnce(object_store::Error) -> ArchiveError {
    let object = object.to_owned();
    move |source| ArchiveError::Object { object, source }
}

/// Where everything of a client lies.
pub(super) fn client_prefix(client: Uuid) -> String {
    format!("clients/{client}")
}

/// Reads a file that may not be there.
pub(super) fn read_file(path: &FilePath) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::reading(path, source)),
    }
}

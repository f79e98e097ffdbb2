//! The archive: an object store with everything of a client under `clients/<uuid>/`.
//!
//! ```text
//! audit/<uuid>.json                         what was accepted and refused, and whose key was pinned
//! bundles/<manifest-sha256>.tar             the bundle, in the container that this program writes
//! records/<record-id>                       digest of the record, and of the manifest that brought it first
//! stores/<store>/<sequence>-<manifest-sha256>   the chain as it was seen
//! rotations/<key-id>-<digest>.json          a chain of rotations that introduced a key
//! keys/<key-id>.pem                         a key that the operator trusts
//! pinned.pem                                the key of the first bundle (trust on first use)
//! heirs/<record-id>                         the bundle that has the record's rows where the first was lost (`owner`)
//! receipts/<manifest-sha256>.tar            the receipt; its appearance commits all of the above
//! ```
//!
//! Beside them, for all clients (a key id is told here by its hexadecimal digits alone):
//!
//! ```text
//! archive.json                              the format of the archive
//! audit/keys/<uuid>.json                    what the operator was about to change, and when
//! audit/refusals/<uuid>.json                what was refused and can't be laid at a client's door
//! manifests/<manifest-sha256>               the client whose bundle it is, by which receipts are found
//! pins/<hour>/<number>                      nothing; that a key was pinned in that hour
//! revoked/<key-id>                          a key that signs nothing any more
//! tables/<table>/month=<month>/<manifest-sha256>.parquet   rows of the bundle's records (`crate::tables`)
//! compacted/<table>/month=<month>/all.parquet              the same of a finished month, in one file
//! ```
//!
//! Objects are only ever made, never changed, and only if they are not there, which the store sees to. So any number of
//! writers can share an archive. Tables alone are replaced, by the same rows.

mod address;
mod failure;
mod whole;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use self::address::Address;
use self::failure::Failure;
use super::audit::Tally;
use crate::store::durable::{self, FileError};

/// How much of a bundle is sent at a time, and what is sent in one piece; S3 takes no smaller parts. One part is on its
/// way while the next is read, so that a bundle of whatever size takes twice this of memory.
const PART: usize = 5 << 20;
/// How much of one bundle is in memory at most while it is kept.
pub(super) const UNDER_WAY: usize = 2 * PART;
/// How many objects are asked for or made at the same time: a remote store takes long to answer each.
const AT_ONCE: usize = 32;
/// How many names a store lists in one answer.
const PAGE: usize = 1000;
/// How often an object is made anew after somebody else got in the way, and the pause before.
const CONFLICTS: u32 = 6;
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);
/// How long it may take to find out whether the archive can be used.
const CHECK: Duration = Duration::from_secs(5);

/// Where what belongs to one client lies, by its UUID.
pub(crate) const CLIENTS: &str = "clients";
/// Where the revoked keys lie, by the digits of their ids.
pub(super) const REVOKED: &str = "revoked";
/// Where it lies what the operator changed.
pub(super) const KEY_CHANGES: &str = "audit/keys";
/// Where it lies who was pinned, by hour.
pub(super) const PINS: &str = "pins";

/// The object that every archive has, which tells its format.
const MARK: &str = "archive.json";
/// What is in it.
const FORMAT: &str = "kubermatic-telemetry-archive/1";

/// An archive that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// An address that no archive can have. What follows the scheme may hold credentials and is not told.
    #[error("{0} is not the address of an archive: a directory, file://, s3://BUCKET, gs://BUCKET or az://CONTAINER")]
    Address(String),
    /// The directory can't be made.
    #[error(transparent)]
    File(#[from] FileError),
    /// The environment does not say what a client needs, or says it wrongly.
    #[error("{store} can't be set up")]
    Settings {
        /// Whose client.
        store: &'static str,
        /// Why not.
        source: Failure,
    },
    /// There are no credentials, or they can't be had.
    #[error("no credentials for {store} are to be had")]
    Credentials {
        /// Whose client.
        store: &'static str,
        /// Why not.
        source: Failure,
    },
    /// A store that makes an object although it is there, so that several writers would overwrite each other's.
    #[error("the object store does not know conditional writes (If-None-Match), without which no archive is safe")]
    Unconditional,
    /// An archive of another format.
    #[error("the archive is of the format \"{0}\", which this program does not know")]
    Format(String),
    /// The object store fails.
    #[error("the archive fails at {object}")]
    Object {
        /// Which object.
        object: String,
        /// Why.
        source: Failure,
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
}

impl ArchiveError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Address(_) => Some("credentials and endpoints are taken from the environment (docs/ingest.md)"),
            Self::Settings { .. } | Self::Credentials { .. } => Some(
                "set the variables of its client: AWS_*, GOOGLE_* or AZURE_*; docs/ingest.md lists those that are needed",
            ),
            Self::Unconditional => Some("use a store, or a release of it, that knows `If-None-Match: *`"),
            Self::Format(_) => Some("a newer version of this program may know it"),
            Self::Object { source, .. } => match source.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(io::ErrorKind::PermissionDenied) => {
                    Some("the credentials must allow to get, put and list objects under the archive's prefix")
                }
                Some(io::ErrorKind::InvalidInput) => Some(
                    "for a store on this machine or in a network of its own: AWS_ALLOW_HTTP=true, or AZURE_, GOOGLE_",
                ),
                Some(io::ErrorKind::NotFound) => Some("make the bucket first, or give its region and endpoint"),
                Some(io::ErrorKind::NotConnected | io::ErrorKind::TimedOut) => {
                    Some("see that the endpoint is right and that this machine can reach it")
                }
                _ => None,
            },
            Self::Missing(_) => Some("look for a mistake in the address; `ingest` and `keys trust` make archives"),
            Self::Damaged { .. } => Some("restore the object from a backup of the archive"),
            Self::File(_) | Self::Bundle(_) => None,
        }
    }
}

/// An archive.
#[derive(Debug)]
pub struct Archive {
    objects: Arc<dyn ObjectStore>,
    directory: Option<PathBuf>,
    runtime: Handle,
    pub(super) tally: Tally,
}

/// Objects of a listing, in the order of their names.
pub(crate) struct Page {
    pub names: Vec<String>,
    /// Whether there are no more behind them.
    pub is_last: bool,
}

/// What became of an object that may be large.
pub(crate) enum Large {
    /// Nothing: it is small, and these are its contents.
    Small(Vec<u8>),
    /// It was made.
    Made,
    /// It was there.
    Present,
}

/// The object that tells an archive's format.
#[derive(Deserialize)]
struct Mark {
    format: String,
}

impl Archive {
    /// Opens an archive, and makes it if need be: a directory, given by its path or a `file://` URL, or a place in a
    /// bucket that exists (`s3://`, `gs://`, `az://`), with the credentials that the environment has. What it does, it
    /// does on `runtime`, which must have threads of its own, and which must not be waited for from one of them.
    ///
    /// # Errors
    /// The address is not understood, or the archive can't be used: it is tried by making an object that is there.
    pub fn open(address: &str, runtime: Handle) -> Result<Self, ArchiveError> {
        let address = Address::parse(address)?;
        if let Address::Directory(directory) = &address {
            durable::create_directory(directory)?;
        }
        let archive = Self::connect(address, runtime)?;
        archive.mark()?;
        Ok(archive)
    }

    /// Opens an archive that is in use already, and makes none.
    ///
    /// # Errors
    /// As [`Archive::open`], or nothing is there.
    pub fn open_existing(address: &str, runtime: Handle) -> Result<Self, ArchiveError> {
        let parsed = Address::parse(address)?;
        let missing = || ArchiveError::Missing(address.to_owned());
        if matches!(&parsed, Address::Directory(directory) if !directory.is_dir()) {
            return Err(missing());
        }
        let archive = Self::connect(parsed, runtime)?;
        if !archive.has(MARK)? {
            return Err(missing());
        }
        archive.mark()?;
        Ok(archive)
    }

    fn connect(address: Address, runtime: Handle) -> Result<Self, ArchiveError> {
        let (objects, directory): (Arc<dyn ObjectStore>, _) = match address {
            Address::Directory(directory) => {
                let objects = LocalFileSystem::new_with_prefix(&directory).map_err(|error| ArchiveError::Object {
                    object: directory.display().to_string(),
                    source: failure::of_local(error),
                })?;
                (Arc::new(objects.with_fsync(true)), Some(directory))
            }
            Address::Bucket { provider, bucket, prefix } => {
                (address::connect(provider, &bucket, prefix, &runtime)?, None)
            }
        };
        Ok(Self { objects, directory, runtime, tally: Tally::default() })
    }

    /// Sees to the object that tells the format. Making it where it is shows whether the store keeps to conditions.
    fn mark(&self) -> Result<(), ArchiveError> {
        let text = format!("{{\"format\":\"{FORMAT}\"}}\n");
        let made = self.runtime.block_on(self.make(MARK, text.clone().into_bytes()));
        let again = || self.runtime.block_on(self.make(MARK, text.into_bytes()));
        let made = made.and_then(|made| if made { again() } else { Ok(false) });
        match made {
            Ok(true) => return Err(ArchiveError::Unconditional),
            Err(error) if failure::is_unconditional(&error) => return Err(ArchiveError::Unconditional),
            Err(error) => return Err(self.failed(MARK)(error)),
            Ok(false) => {}
        }
        let present = self.get(MARK)?.unwrap_or_default();
        let mark: Mark = serde_json::from_slice(&present).map_err(|_| ArchiveError::Damaged { object: MARK.into() })?;
        if mark.format == FORMAT {
            Ok(())
        } else {
            Err(ArchiveError::Format(mark.format.chars().take(100).flat_map(char::escape_debug).collect()))
        }
    }

    /// Its directory, if it is a local one.
    #[must_use]
    pub fn directory(&self) -> Option<&FilePath> {
        self.directory.as_deref()
    }

    /// Whether it can be used now; an answer comes within some seconds.
    ///
    /// # Errors
    /// It can't.
    pub fn check(&self) -> Result<(), ArchiveError> {
        let path = Path::from(MARK);
        let found = self.runtime.block_on(async { timeout(CHECK, self.objects.head(&path)).await });
        match found {
            Ok(found) => found.map(drop).map_err(self.failed(MARK)),
            Err(_) => Err(ArchiveError::Object {
                object: MARK.into(),
                source: Box::new(io::Error::new(io::ErrorKind::TimedOut, "it does not answer in time")),
            }),
        }
    }

    /// An object's contents, if it is there.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.runtime.block_on(self.read(name)).map_err(self.failed(name))
    }

    /// The contents of objects, each if it is there.
    pub(crate) fn get_all(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, ArchiveError> {
        self.all(names.iter().map(async |name| self.read(name).await.map_err(self.failed(name))))
    }

    /// Makes an object; gives false if it was there before.
    pub(crate) fn create(&self, name: &str, contents: Vec<u8>) -> Result<bool, ArchiveError> {
        self.runtime.block_on(self.make(name, contents)).map_err(self.failed(name))
    }

    /// Makes objects, in no order; tells of each whether it was not there before.
    pub(crate) fn create_all(&self, objects: Vec<(String, Vec<u8>)>) -> Result<Vec<bool>, ArchiveError> {
        let make =
            async |(name, contents): (String, Vec<u8>)| self.make(&name, contents).await.map_err(self.failed(&name));
        self.all(objects.into_iter().map(make))
    }

    /// Stores an object of more than one part, whose name is fixed by its contents, so that writing it twice is
    /// harmless. Of a smaller one the contents are given back, to be made together with others.
    pub(crate) fn store_large(&self, name: &str, contents: &mut impl Read) -> Result<Large, ArchiveError> {
        let first = read_part(contents)?;
        if first.len() < PART {
            return Ok(Large::Small(first));
        }
        if self.has(name)? {
            return Ok(Large::Present);
        }
        self.upload(name, first, contents).map(|()| Large::Made)
    }

    /// Stores an object in parts, the first of which was read already.
    fn upload(&self, name: &str, first: Vec<u8>, contents: &mut impl Read) -> Result<(), ArchiveError> {
        let path = Path::from(name);
        let mut upload = self.runtime.block_on(self.objects.put_multipart(&path)).map_err(self.failed(name))?;
        let sent = self.send_parts(name, &mut *upload, first, contents);
        let sent = sent.and_then(|()| self.runtime.block_on(upload.complete()).map_err(self.failed(name)));
        if sent.is_err() {
            // What it was left for matters more. Parts that stay are for the bucket's own rules.
            let _ = self.runtime.block_on(upload.abort());
        }
        sent?;
        // A store that was restarted while it put the parts together may take the same request, which is sent again then,
        // for one that it is at work on, and call it done. No receipt may rest on that.
        if self.has(name)? {
            return Ok(());
        }
        let source = Box::new(io::Error::other("it says that it has taken the object, and does not have it"));
        Err(ArchiveError::Object { object: name.to_owned(), source })
    }

    fn send_parts(
        &self,
        name: &str,
        upload: &mut dyn MultipartUpload,
        first: Vec<u8>,
        contents: &mut impl Read,
    ) -> Result<(), ArchiveError> {
        let mut part = first;
        while !part.is_empty() {
            let sending = self.runtime.spawn(upload.put_part(PutPayload::from(part)));
            let next = read_part(contents);
            let sent = self.runtime.block_on(sending).unwrap_or_else(|error| Err(error.into()));
            sent.map_err(self.failed(name))?;
            part = next?;
        }
        Ok(())
    }

    /// The names of the objects directly below a prefix.
    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<String>, ArchiveError> {
        let path = Path::from(prefix);
        let listed = self.runtime.block_on(self.objects.list_with_delimiter(Some(&path)));
        let listed = listed.map_err(self.failed(prefix))?;
        Ok(listed.objects.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect())
    }

    /// The names of what lies deeper below a prefix, by the first step of the way there.
    pub(crate) fn list_directories(&self, prefix: &str) -> Result<Vec<String>, ArchiveError> {
        let path = Path::from(prefix);
        let listed = self.runtime.block_on(self.objects.list_with_delimiter(Some(&path)));
        let listed = listed.map_err(self.failed(prefix))?;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// The names of the objects below a prefix that come after `after`. Of a remote archive these are the first ones
    /// only, of a directory all, since that is read as a whole in any case.
    pub(crate) fn list_after(&self, prefix: &str, after: &str) -> Result<Page, ArchiveError> {
        let (path, after) = (Path::from(prefix), Path::from(format!("{prefix}/{after}")));
        let most = if self.directory.is_some() { usize::MAX } else { PAGE };
        let listed = self.objects.list_with_offset(Some(&path), &after).take(most);
        let listed: Vec<_> = self.runtime.block_on(listed.try_collect()).map_err(self.failed(prefix))?;
        let is_last = listed.len() < most;
        let mut names: Vec<_> =
            listed.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect();
        names.sort();
        Ok(Page { names, is_last })
    }

    /// Whether an object is there.
    pub(crate) fn has(&self, name: &str) -> Result<bool, ArchiveError> {
        self.runtime.block_on(self.find(name)).map_err(self.failed(name))
    }

    /// Whether objects are there, of each.
    pub(crate) fn has_all(&self, names: &[String]) -> Result<Vec<bool>, ArchiveError> {
        self.all(names.iter().map(async |name| self.find(name).await.map_err(self.failed(name))))
    }

    /// Sees to it that objects that are there stay there when the power goes. What this process made is on disk, but
    /// another one may have been killed between making an object, or a directory, and telling the disk of it.
    pub(crate) fn settle(&self, names: &[&str]) -> Result<(), ArchiveError> {
        let Some(root) = &self.directory else { return Ok(()) };
        let above =
            |name: &&str| FilePath::new(*name).ancestors().skip(1).map(|path| root.join(path)).collect::<Vec<_>>();
        let directories: BTreeSet<_> = names.iter().flat_map(above).collect();
        // At once: a disk is told of many as fast as of one, and nothing counts before it knows all.
        let settled = directories.into_iter().map(async |directory| {
            let synced = self.runtime.spawn_blocking(move || durable::sync_directory(&directory)).await;
            Ok(synced.unwrap_or_else(|error| Err(FileError::writing(root, error.into())))?)
        });
        self.all(settled).map(drop)
    }

    /// Does many things, a bounded number of them at a time.
    fn all<T>(
        &self,
        work: impl Iterator<Item = impl Future<Output = Result<T, ArchiveError>>>,
    ) -> Result<Vec<T>, ArchiveError> {
        self.runtime.block_on(stream::iter(work).buffered(AT_ONCE).try_collect())
    }

    async fn read(&self, name: &str) -> object_store::Result<Option<Vec<u8>>> {
        let read = async { self.objects.get(&Path::from(name)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error @ object_store::Error::NotFound { .. }) if !failure::is_without_bucket(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn find(&self, name: &str) -> object_store::Result<bool> {
        match self.objects.head(&Path::from(name)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn make(&self, name: &str, contents: Vec<u8>) -> object_store::Result<bool> {
        // A look is cheaper there than a file that is written and synced before it turns out that it is in vain.
        if self.directory.is_some() && self.find(name).await? {
            return Ok(false);
        }
        let (path, payload) = (Path::from(name), PutPayload::from(contents));
        for attempt in 0.. {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match self.objects.put_opts(&path, payload.clone(), options).await {
                Ok(_) => return Ok(true),
                Err(error @ object_store::Error::AlreadyExists { .. }) if failure::is_conflict(&error) => {
                    // S3 says so while another one is still writing, who may fail yet.
                    if self.find(name).await? {
                        return Ok(false);
                    }
                    if attempt == CONFLICTS {
                        return Err(error);
                    }
                    sleep(CONFLICT_PAUSE * 2_u32.pow(attempt)).await;
                }
                Err(object_store::Error::AlreadyExists { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn failed(&self, object: &str) -> impl FnOnce(object_store::Error) -> ArchiveError {
        let (object, is_local) = (object.to_owned(), self.directory.is_some());
        move |error| {
            let source = if is_local { failure::of_local(error) } else { failure::of_remote(&error) };
            ArchiveError::Object { object, source }
        }
    }
}

/// Reads as much as fits into a part.
fn read_part(contents: &mut impl Read) -> Result<Vec<u8>, ArchiveError> {
    let mut part = Vec::new();
    contents.take(PART as u64).read_to_end(&mut part).map_err(ArchiveError::Bundle)?;
    Ok(part)
}

/// Where everything of a client lies.
pub(crate) fn client_prefix(client: Uuid) -> String {
    format!("{CLIENTS}/{client}")
}

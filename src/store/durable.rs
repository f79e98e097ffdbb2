//! The one place that writes files: temporary file in the same directory, fsync, rename, fsync of the directory.
//!
//! Killed at any instant, a file is there whole or not at all. `.clippy.toml` keeps every other module from writing.
#![expect(clippy::disallowed_methods, reason = "this is the module that the rule points to")]

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// What temporary files are named like, so that leftovers of a crash can be told.
pub const TEMPORARY_PREFIX: &str = ".tmp-";

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation} {}{}", path.display(), room(*free))]
pub struct FileError {
    /// What was attempted.
    pub operation: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Bytes that are free where something was to be written, if that can be told.
    pub free: Option<u64>,
    /// Why it failed.
    pub source: io::Error,
}

fn room(free: Option<u64>) -> String {
    free.map(|bytes| format!(" ({bytes} bytes are free there)")).unwrap_or_default()
}

impl FileError {
    /// Reading a file failed.
    #[must_use]
    pub fn reading(path: &Path, source: io::Error) -> Self {
        failed("read", path)(source)
    }

    /// Writing a file failed.
    #[must_use]
    pub fn writing(path: &Path, source: io::Error) -> Self {
        failed("write", path)(source)
    }

    /// Whether the file is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Names an operation and a path for a failure.
pub(crate) fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| {
        // Whoever only reads has no use for it, nor whoever is in the wrong place.
        let elsewhere = matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists);
        let free = if operation == "read" || elsewhere { None } else { free(&path) };
        FileError { operation, path, free, source }
    }
}

/// How many bytes anybody may still write on a path's file system.
fn free(path: &Path) -> Option<u64> {
    let mut place = path;
    while !place.exists() {
        place = place.parent()?;
    }
    let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
    let statistics = rustix::fs::statvfs(place).ok()?;
    statistics.f_bavail.checked_mul(statistics.f_frsize)
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its owner (0600): everything in state directories.
    Private,
    /// Everybody (0644): what a person asked to have written.
    Public,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Public => 0o644,
        }
    }
}

/// What may be at the place of a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Nothing.
    Refuse,
    /// A file, which is replaced.
    Replace,
}

/// Comes before each operation that changes a file system, so that tests can make it fail.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "it fails in tests")]
fn step(_: &'static str) -> io::Result<()> {
    Ok(())
}
#[cfg(test)]
use super::faults::step;

/// Whether the process is to be taken for dead, which removes nothing any more.
#[cfg(not(test))]
fn is_dead() -> bool {
    false
}
#[cfg(test)]
use super::faults::is_dead;

/// Writes a file whose contents `write` makes; it appears only when they are complete and on disk.
///
/// # Errors
/// Any step that fails, with the path; nothing is left behind. `write`'s own errors pass through.
pub fn write_with<T, E: From<FileError>>(
    path: &Path,
    access: Access,
    existing: Existing,
    write: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let directory = parent(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX).permissions(Permissions::from_mode(access.mode()));
    let temporary = step("create").and_then(|()| builder.tempfile_in(directory)).map_err(failed("write", path))?;
    let mut temporary = Temporary(Some(temporary));
    let made = fill(&mut temporary, path, access, write)?;
    temporary.persist(path, existing).map_err(failed("write", path))?;
    sync_directory(directory).map_err(|error| failed("write", path)(error.source))?;
    Ok(made)
}

/// A temporary file, which goes with the process that made it unless the process dies.
struct Temporary(Option<NamedTempFile>);

impl Temporary {
    fn persist(&mut self, path: &Path, existing: Existing) -> io::Result<()> {
        step("rename")?;
        let Some(temporary) = self.0.take() else { return Ok(()) };
        let persisted = match existing {
            Existing::Replace => temporary.persist(path),
            Existing::Refuse => temporary.persist_noclobber(path),
        };
        persisted.map(drop).map_err(|error| error.error)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(temporary) = self.0.take()
            && is_dead()
        {
            let _ = temporary.keep();
        }
    }
}

fn fill<T, E: From<FileError>>(
    temporary: &mut Temporary,
    path: &Path,
    access: Access,
    write: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let Some(temporary) = &mut temporary.0 else { return Err(failed("write", path)(io::Error::other("gone")).into()) };
    // The umask may have taken bits away that a person who hands the file on will miss.
    let permissions = Permissions::from_mode(access.mode());
    match temporary.as_file().set_permissions(permissions) {
        // Sticks and shares have no permissions to set; what is private must have them.
        Err(error) if access == Access::Private => return Err(failed("write", path)(error).into()),
        _ => {}
    }
    step("fill").map_err(failed("write", path))?;
    let made = write(temporary.as_file_mut())?;
    let flushed = step("sync").and_then(|()| temporary.as_file_mut().flush());
    flushed.and_then(|()| temporary.as_file().sync_all()).map_err(failed("write", path))?;
    Ok(made)
}

/// Writes a file with these contents.
///
/// # Errors
/// As [`write_with`].
pub fn write(path: &Path, bytes: &[u8], access: Access, existing: Existing) -> Result<(), FileError> {
    write_with(path, access, existing, |file| file.write_all(bytes).map_err(failed("write", path)))
}

/// Whether something is at `path` that is neither a file nor a directory: a device, a FIFO, a socket.
#[must_use]
pub fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| {
        let kind = metadata.file_type();
        kind.is_char_device() || kind.is_block_device() || kind.is_fifo() || kind.is_socket()
    })
}

/// Opens a device or FIFO for writing; nothing can be renamed over one.
///
/// # Errors
/// It can't be opened.
pub fn open_special(path: &Path) -> Result<File, FileError> {
    OpenOptions::new().write(true).open(path).map_err(failed("write", path))
}

/// Makes a directory (0700) and those above it, if they are not there.
///
/// # Errors
/// One can't be made.
pub fn create_directory(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    if !above.is_dir() {
        create_directory(above)?;
    }
    match step("mkdir").and_then(|()| fs::DirBuilder::new().mode(0o700).create(path)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("make the directory", path)(error)),
        _ => sync_directory(above),
    }
}

/// Fills a new directory through `fill` and moves it to `path`, whole. Gives false if somebody else's was there first.
///
/// # Errors
/// A step that fails; nothing is left behind.
pub fn create_directory_with<E: From<FileError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<bool, E> {
    let above = parent(path);
    create_directory(above)?;
    let prefix = format!("{TEMPORARY_PREFIX}{}-", path.file_name().unwrap_or_default().display());
    // Those that make it at once take turns, so that what lies there half made is nobody's any more. It may hold keys.
    let turn = File::open(above).and_then(|above| above.lock().map(|()| above));
    if turn.is_ok() {
        clear(above, &prefix);
    }
    let private = Permissions::from_mode(0o700);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).permissions(private);
    let temporary =
        step("mkdir").and_then(|()| builder.tempdir_in(above)).map_err(failed("make the directory", path))?;
    let filled = fill(temporary.path()).and_then(|()| Ok(sync_directory(temporary.path())?));
    if filled.is_err() && is_dead() {
        let _ = temporary.keep();
        return filled.map(|()| false);
    }
    filled?;
    // rename(2) replaces an empty directory and fails on one that has something in it.
    match step("rename").and_then(|()| fs::rename(temporary.path(), path)) {
        Ok(()) => {
            sync_directory(above)?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed("make the directory", path)(error).into()),
    }
}

/// Removes the directories that an interrupted attempt left behind. One that stays is in nobody's way.
fn clear(directory: &Path, prefix: &str) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Moves a file or directory within one file system.
///
/// # Errors
/// It can't be moved.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    step("rename").and_then(|()| fs::rename(from, to)).map_err(failed("move", from))?;
    sync_directory(parent(from))?;
    sync_directory(parent(to))
}

/// Removes the temporary files that interrupted writes left in a directory. They may hold keys.
///
/// # Errors
/// One can't be removed.
pub fn remove_temporary(directory: &Path) -> Result<(), FileError> {
    let entries = fs::read_dir(directory).map_err(failed("read", directory))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    for name in names.collect::<io::Result<Vec<_>>>().map_err(failed("read", directory))? {
        if is_temporary(&name) {
            remove(&directory.join(name))?;
        }
    }
    Ok(())
}

/// Removes a file. One that is gone already is no error.
///
/// # Errors
/// It can't be removed.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match step("remove").and_then(|()| fs::remove_file(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("remove", path)(error)),
        Ok(()) => sync_directory(parent(path)),
    }
}

/// An unnamed file for what does not fit into memory, gone with the process.
///
/// # Errors
/// It can't be made.
pub fn scratch(directory: &Path) -> Result<File, FileError> {
    step("create")
        .and_then(|()| tempfile::tempfile_in(directory))
        .map_err(failed("make a temporary file in", directory))
}

/// What is held in memory up to a size, and in an unnamed file in the system's place for such from then on.
#[must_use]
pub fn spool(memory: usize) -> tempfile::SpooledTempFile {
    tempfile::spooled_tempfile(memory)
}

/// Opens the file that a lock is taken on, made if need be.
///
/// # Errors
/// It can't be opened.
pub fn open_lock(path: &Path) -> Result<File, FileError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map_err(failed("open the lock", path))
}

/// Opens a file that is there to take a lock on it alone, which some file systems allow only to those that may write.
///
/// # Errors
/// It can't be opened.
pub fn open_existing(path: &Path) -> Result<File, FileError> {
    let opened = OpenOptions::new().read(true).write(true).open(path).or_else(|_| File::open(path));
    opened.map_err(failed("open", path))
}

/// Whether an open file is the one that a path names now.
#[must_use]
pub fn is_same_file(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// Whether a name is that of a temporary file of this program.
#[must_use]
pub fn is_temporary(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(TEMPORARY_PREFIX))
}

/// The directory that a path lies in.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    }
}

/// Sees to it that what a directory names is on disk.
///
/// # Errors
/// It can't be opened, or the disk fails.
pub fn sync_directory(path: &Path) -> Result<(), FileError> {
    let synced = step("sync").and_then(|()| File::open(path)).and_then(|directory| directory.sync_all());
    synced.map_err(failed("write to disk", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write(&path, b"old", Access::Private, Existing::Refuse).unwrap();
        let error = write_with(&path, Access::Private, Existing::Replace, |file| {
            file.write_all(b"half").unwrap();
            Err::<(), _>(failed("write", Path::new("x"))(io::Error::other("disk on fire")))
        });
        assert!(error.is_err());
        assert!(write(&path, b"new", Access::Private, Existing::Refuse).is_err());
        assert_eq!(
            (fs::read(&path).unwrap().as_slice(), names(directory.path())),
            (&b"old"[..], vec!["file".to_owned()])
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_directory_appears_whole_or_the_winner_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a").join("b");
        let fill = |text: &'static [u8]| move |to: &Path| write(&to.join("f"), text, Access::Private, Existing::Refuse);
        assert!(create_directory_with(&path, fill(b"first")).unwrap());
        assert!(!create_directory_with(&path, fill(b"second")).unwrap());
        assert_eq!(fs::read(path.join("f")).unwrap(), b"first");
        assert_eq!(names(&directory.path().join("a")), ["b"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

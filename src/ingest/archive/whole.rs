//! Objects as a whole, whatever their size: read into a file, made out of something that is read, or replaced. What is
//! replaced is never seen half; only tables are, whose rows are the same before and after.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom, Write as _};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};

use super::{Archive, ArchiveError, PAGE, PART, failure, read_part};
use crate::store::durable::{self, FileError};

/// Objects of a listing with their sizes, in the order of their names.
pub(crate) struct SizedPage {
    pub objects: Vec<(String, u64)>,
    /// Whether there are no more behind them.
    pub is_last: bool,
}

impl Archive {
    /// An object's contents as a file, if it is there; of a remote archive as an unnamed one.
    pub(crate) fn fetch(&self, name: &str) -> Result<Option<File>, ArchiveError> {
        if let Some(directory) = &self.directory {
            let path = directory.join(name);
            return match File::open(&path) {
                Ok(file) => Ok(Some(file)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(FileError::reading(&path, error).into()),
            };
        }
        let got = match self.runtime.block_on(self.objects.get(&Path::from(name))) {
            Err(error @ object_store::Error::NotFound { .. }) if !failure::is_without_bucket(&error) => {
                return Ok(None);
            }
            got => got.map_err(self.failed(name))?,
        };
        let place = std::env::temp_dir();
        let mut file = durable::scratch(&place)?;
        let spooled = |error| ArchiveError::from(FileError::writing(&place, error));
        let mut chunks = got.into_stream();
        while let Some(chunk) = self.runtime.block_on(chunks.next()) {
            file.write_all(&chunk.map_err(self.failed(name))?).map_err(spooled)?;
        }
        file.seek(SeekFrom::Start(0)).map_err(spooled)?;
        Ok(Some(file))
    }

    /// Puts an object in the place of what may be there.
    pub(crate) fn replace(&self, name: &str, contents: &mut impl Read) -> Result<(), ArchiveError> {
        let first = read_part(contents)?;
        if first.len() < PART {
            let path = Path::from(name);
            let put = self.runtime.block_on(self.objects.put(&path, PutPayload::from(first)));
            return put.map(drop).map_err(self.failed(name));
        }
        self.upload(name, first, contents)
    }

    /// The objects directly below a prefix that come after `after`, as [`Archive::list_after`] lists them.
    pub(crate) fn list_sized(&self, prefix: &str, after: &str) -> Result<SizedPage, ArchiveError> {
        let (path, after) = (Path::from(prefix), Path::from(format!("{prefix}/{after}")));
        let most = if self.directory.is_some() { usize::MAX } else { PAGE };
        let listed = self.objects.list_with_offset(Some(&path), &after).take(most);
        let listed: Vec<_> = self.runtime.block_on(listed.try_collect()).map_err(self.failed(prefix))?;
        let is_last = listed.len() < most;
        let named = |object: &object_store::ObjectMeta| Some((object.location.filename()?.to_owned(), object.size));
        let mut objects: Vec<_> = listed.iter().filter_map(named).collect();
        objects.sort();
        Ok(SizedPage { objects, is_last })
    }
}

//! Starting over as a new client: a new identity takes the place of the old one, which is moved aside with its store.
//!
//! The new identity is made beside the old one first, whole, with the client UUID that it replaces. Then the old identity
//! goes, the new one comes, and the old store goes, by a rename each. Whoever is killed in between leaves a state in
//! which no other command does anything but say what to do; doing it again goes on from there. Whoever is killed after it
//! was done, and does it again, finds it done.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{Identity, IdentityError, NewIdentity, staged};
use crate::clock::Environment;
use crate::store::durable::{self, FileError};
use crate::store::{self, StoreError};

/// A new client that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The new identity can't be made, or the old one is in use.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The old store is in use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something can't be moved.
    #[error(transparent)]
    File(#[from] FileError),
    /// An earlier attempt was interrupted, and it was asked for something else.
    #[error("an earlier attempt has made the identity in {}, which is not what is asked for now", made.display())]
    OtherAttempt {
        /// The identity that it made.
        made: PathBuf,
    },
    /// The new client would have the old one's UUID.
    #[error("a new client can't have the UUID of the one that it replaces, {0}")]
    SameClient(Uuid),
}

/// A new client.
#[derive(Debug)]
pub struct Renewed {
    /// Its identity.
    pub identity: Identity,
    /// What was moved aside: from where, and where to.
    pub moved: Vec<(PathBuf, PathBuf)>,
}

/// Starts over as a new client, which says that it replaces the old one, as far as the old identity or its store can
/// tell which that was, or `new.replaces`. Goes on where an earlier attempt was interrupted; an identity that replaces
/// another one and has no store yet is taken for what an earlier attempt has made.
///
/// # Errors
/// See [`RenewError`]. What was begun is finished by doing it again.
pub fn start_over(
    directory: &Path,
    store: &Path,
    new: NewIdentity,
    environment: &dyn Environment,
) -> Result<Renewed, RenewError> {
    // Nobody may be writing to what is moved.
    let _store_lock = if store.is_dir() { Some(store::lock_directory(store)?) } else { None };
    let present = Identity::load_quietly(directory).ok().flatten();
    let _key_lock = present.as_ref().map(Identity::lock).transpose()?;
    // A lost identity still has its name in the store.
    let owner = store::owner(store);
    let has_store = store.symlink_metadata().is_ok();
    let mut moved = Vec::new();
    // What says whom it replaces and has no store of its own yet was made by an earlier attempt.
    let made = present.as_ref().filter(|it| it.replaces.is_some() && (!has_store || owner == it.replaces));
    let fits = made.is_some_and(|made| fits(made, &new));
    if !fits && made.is_some() && has_store {
        return Err(RenewError::OtherAttempt { made: directory.to_owned() });
    }
    if !fits {
        let old = present.as_ref().map(Identity::client).or(owner);
        let replaces = new.replaces.or(made.and_then(Identity::replaces)).or(old);
        let staged = stage(directory, NewIdentity { replaces, ..new }, environment)?;
        let aside = Identity::load_quietly(&staged)?.and_then(|identity| identity.replaces);
        move_aside(directory, old.or(aside), &mut moved)?;
        durable::rename(&staged, directory)?;
    }
    move_aside(store, owner, &mut moved)?;
    let identity = Identity::load(directory)?;
    let identity = identity.ok_or_else(|| IdentityError::Foreign { directory: directory.to_owned() })?;
    Ok(Renewed { identity, moved })
}

/// Whether an identity is what is asked for.
fn fits(made: &Identity, new: &NewIdentity) -> bool {
    let same = |asked: Option<Uuid>, is: Option<Uuid>| asked.is_none() || asked == is;
    let same_key = new.signing_key.as_ref().is_none_or(|key| key.public() == made.public);
    let protected = new.passphrase.is_none() || made.is_encrypted();
    same(new.client, Some(made.client)) && same(new.replaces, made.replaces) && same_key && protected
}

/// Makes the new identity beside the old one, unless an earlier attempt has.
fn stage(directory: &Path, new: NewIdentity, environment: &dyn Environment) -> Result<PathBuf, RenewError> {
    let staged = staged(directory);
    if let (Some(client), Some(replaces)) = (new.client, new.replaces)
        && client == replaces
    {
        return Err(RenewError::SameClient(client));
    }
    let Some(made) = Identity::load_quietly(&staged)? else {
        Identity::create(&staged, new, environment)?;
        return Ok(staged);
    };
    if fits(&made, &new) { Ok(staged) } else { Err(RenewError::OtherAttempt { made: staged }) }
}

fn move_aside(path: &Path, client: Option<Uuid>, moved: &mut Vec<(PathBuf, PathBuf)>) -> Result<(), FileError> {
    if path.symlink_metadata().is_ok() {
        let suffix = client.map_or_else(|| "unreadable".to_owned(), |client| client.to_string());
        let aside = free_name(path, &suffix);
        durable::rename(path, &aside)?;
        moved.push((path.to_owned(), aside));
    }
    Ok(())
}

fn free_name(path: &Path, suffix: &str) -> PathBuf {
    let named = |number: usize| {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(if number == 0 { format!("-{suffix}") } else { format!("-{suffix}-{number}") });
        path.with_file_name(name)
    };
    let mut number = 0;
    while named(number).symlink_metadata().is_ok() {
        number += 1;
    }
    named(number)
}

//! `keys trust` and `keys revoke`: the keys that a verifier trusts, in a keyring directory or in an archive.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use uuid::Uuid;

#[cfg(feature = "ingest")]
use kubermatic_telemetry::clock::System;
#[cfg(feature = "ingest")]
use kubermatic_telemetry::ingest::{archive::Archive, operator};
use kubermatic_telemetry::keys::keyring::change::{Affected, LockedKeyring, Revoked, Trusted};
use kubermatic_telemetry::keys::{KeyError, KeyId, PublicKey};

use crate::cli::Done;
#[cfg(feature = "ingest")]
use crate::cli::archive::runtime;
use crate::cli::failure::Failure;
use crate::cli::files::public_keys;
use crate::cli::output::{Output, count};

/// Where keys are trusted.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// The keyring directory.
    #[arg(long, value_name = "DIR")]
    keyring: Option<PathBuf>,
    /// The archive of `ingest`, which hears of it with the next bundle.
    #[cfg(feature = "ingest")]
    #[arg(long, value_name = "URL")]
    archive: Option<String>,
}

/// Trust public keys as those of one client.
///
/// In an archive the client's pin no longer counts from then on. A key that was revoked is never trusted again.
#[derive(Debug, clap::Args)]
pub struct TrustArgs {
    /// PEM file of the keys; check their ids with the client first.
    file: PathBuf,
    /// The client whose keys they are.
    #[arg(long, value_name = "UUID")]
    client: Uuid,
    #[command(flatten)]
    place: Place,
}

/// Revoke keys for good: nothing that they signed is accepted any more, nor what follows from them by rotation.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// The key's id (`sha256:...`), or a PEM file of public keys.
    #[arg(required = true, value_name = "KEY-ID|PEM-FILE")]
    keys: Vec<OsString>,
    #[command(flatten)]
    place: Place,
}

pub fn trust(args: &TrustArgs, output: &Output) -> Done {
    let (client, keys) = (args.client, public_keys(&args.file)?);
    let (trusted, unpinned) = args.place.trust(client, &keys)?;
    for key in &trusted.added {
        output.note(&format!("client {client} is trusted with the key {key}"));
    }
    for key in &trusted.before {
        output.note(&format!("client {client} has the key {key} already"));
    }
    if let Some(pin) = &unpinned {
        output.warning(
            &format!("the pinned key {pin} of this client no longer counts"),
            Some("if bundles that it signed may still come, trust it as well"),
        );
    }
    if output.is_json() {
        output.document(&json!({
            "client": client,
            "trusted": trusted.added,
            "trustedBefore": trusted.before,
            "unpinned": unpinned,
        }))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub fn revoke(args: &RevokeArgs, output: &Output) -> Done {
    let mut ids = BTreeSet::new();
    for key in &args.keys {
        if let Some(text) = key.to_str().filter(|text| text.starts_with("sha256:")) {
            ids.insert(id(text)?);
        } else {
            ids.extend(public_keys(Path::new(key))?.iter().map(PublicKey::id));
        }
    }
    let revoked = args.place.revoke(&ids)?;
    for key in &revoked.added {
        output.note(&format!("revoked {key}: it signs nothing any more"));
    }
    for key in &revoked.before {
        output.note(&format!("{key} is revoked already"));
    }
    for affected in &revoked.affected {
        tell(affected, output);
    }
    if output.is_json() {
        let affected = |it: &Affected| json!({ "client": it.client, "lost": it.lost, "left": it.left });
        output.document(&json!({
            "revoked": revoked.added,
            "revokedBefore": revoked.before,
            "clients": revoked.affected.iter().map(affected).collect::<Vec<Value>>(),
        }))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn id(text: &str) -> Result<KeyId, Failure> {
    let named = |error: KeyError| Failure::usage(format!("`{}`: {error}", text.escape_debug()));
    KeyId::try_from(text.to_owned())
        .map_err(|error| named(error).hint("`keys show` prints the key id of an installation"))
}

fn tell(affected: &Affected, output: &Output) {
    let Affected { client, lost, left } = affected;
    let lost: Vec<_> = lost.iter().map(KeyId::as_str).collect();
    if *left == 0 {
        output.warning(
            &format!("client {client} is left without a key; it had {}", lost.join(", ")),
            Some("its bundles are refused until it has another one: `keys trust FILE --client UUID`"),
        );
    } else {
        output.note(&format!("client {client} lost {}, and has {} left", lost.join(", "), count(*left, "key")));
    }
}

#[cfg(feature = "ingest")]
impl Place {
    fn trust(&self, client: Uuid, keys: &[PublicKey]) -> Result<(Trusted, Option<KeyId>), Failure> {
        let Some(address) = &self.archive else { return self.trust_in_keyring(client, keys) };
        let runtime = runtime()?;
        let archive = Archive::open(address, runtime.handle().clone())?;
        let trusted = operator::trust(&archive, client, keys, &System)?;
        Ok((trusted.keys, trusted.unpinned))
    }

    fn revoke(&self, ids: &BTreeSet<KeyId>) -> Result<Revoked, Failure> {
        let Some(address) = &self.archive else { return self.revoke_in_keyring(ids) };
        // One that was made by a mistyped address would keep the revocation to itself.
        let runtime = runtime()?;
        let archive = Archive::open_existing(address, runtime.handle().clone())?;
        Ok(operator::revoke(&archive, ids, &System)?)
    }
}

#[cfg(not(feature = "ingest"))]
impl Place {
    fn trust(&self, client: Uuid, keys: &[PublicKey]) -> Result<(Trusted, Option<KeyId>), Failure> {
        self.trust_in_keyring(client, keys)
    }

    fn revoke(&self, ids: &BTreeSet<KeyId>) -> Result<Revoked, Failure> {
        self.revoke_in_keyring(ids)
    }
}

impl Place {
    fn directory(&self) -> Result<&Path, Failure> {
        // The parser insists on one of the two.
        self.keyring.as_deref().ok_or_else(|| Failure::usage("a keyring is needed").hint("give it with --keyring DIR"))
    }

    fn trust_in_keyring(&self, client: Uuid, keys: &[PublicKey]) -> Result<(Trusted, Option<KeyId>), Failure> {
        Ok((LockedKeyring::open_or_create(self.directory()?)?.trust(client, keys)?, None))
    }

    fn revoke_in_keyring(&self, ids: &BTreeSet<KeyId>) -> Result<Revoked, Failure> {
        Ok(LockedKeyring::open(self.directory()?)?.revoke(ids)?)
    }
}

//! `keys show`, `export`, `rotate` and `passphrase`: the key of this installation.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

#[cfg(feature = "agent")]
use kubermatic_telemetry::identity::Change;
use kubermatic_telemetry::identity::{Identity, LockedIdentity};
use kubermatic_telemetry::keys::rotation::Link;
use kubermatic_telemetry::keys::{KeyId, SigningKey};
use kubermatic_telemetry::store::Store;

use crate::cli::Done;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::files::Target;
#[cfg(feature = "agent")]
use crate::cli::kept::{self, SecretArgs};
use crate::cli::output::{Output, count};
use crate::cli::passphrase::{ImportPassphraseArgs, NewPassphraseArgs, PassphraseArgs, read_private_key};

/// Show the client UUID, the key, how it is protected, and rotations that no receipt has confirmed.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {}

/// Write this installation's public key as PEM, for a keyring or for openssl.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Where to write it; `-` is stdout.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

/// Sign with a new key from now on; the old one signs that the new one follows it.
///
/// Bundles carry that statement until a receipt confirms one of them, so that whoever trusts the old key trusts the new
/// one, too. Bundles that were made before stay good. A passphrase stays the same.
#[derive(Debug, clap::Args)]
pub struct RotateArgs {
    /// Take this Ed25519 private key (PEM, PKCS#8) instead of a new one; under the passphrase that the old one has, if
    /// it has one, else under its own.
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    import_passphrase: ImportPassphraseArgs,
    #[cfg(feature = "agent")]
    #[command(flatten)]
    secret: SecretArgs,
}

/// Set, change or remove the passphrase of the signing key.
///
/// With a passphrase the key's file is of use to nobody who does not know it. Verbs that sign ask for it, others don't.
#[derive(Debug, clap::Args)]
pub struct ProtectArgs {
    /// Remove the passphrase.
    #[arg(long, conflicts_with_all = ["new_passphrase_file", "new_passphrase_fd"])]
    remove: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    new_passphrase: NewPassphraseArgs,
    #[cfg(feature = "agent")]
    #[command(flatten)]
    secret: SecretArgs,
}

pub fn show(context: &Context, output: &Output) -> Done {
    let identity = context.existing_identity()?;
    let confirmed = confirmed_keys(&identity, context)?;
    let rotation = identity.unconfirmed(&confirmed);
    let public = identity.public_key();
    if output.is_json() {
        let link = |link: &Link| json!({ "previousKey": link.previous_key.id(), "key": link.public_key.id() });
        output.document(&json!({
            "client": identity.client(),
            "key": public.id(),
            "publicKey": public.to_pem(),
            "encrypted": identity.is_encrypted(),
            "replaces": identity.replaces(),
            "secret": identity.secret().map(ToString::to_string),
            "rotation": rotation.iter().map(link).collect::<Vec<Value>>(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output.line(&format!("client   {}", identity.client()))?;
    output.line(&format!("key      {}", public.id()))?;
    let protection = if identity.is_encrypted() { "encrypted with a passphrase" } else { "not encrypted" };
    output.line(&format!("private  {protection}"))?;
    if let Some(secret) = identity.secret() {
        output.line(&format!("secret   {secret}"))?;
    }
    if let Some(replaces) = identity.replaces() {
        output.line(&format!("replaces {replaces}"))?;
    }
    for link in rotation {
        output.line(&format!(
            "rotation {} follows {}, not confirmed yet",
            link.public_key.id(),
            link.previous_key.id()
        ))?;
    }
    output.data(public.to_pem().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

pub fn export(args: &ExportArgs, context: &Context, output: &Output) -> Done {
    let identity = context.existing_identity()?;
    let public = identity.public_key();
    if args.output.as_os_str() == "-" {
        output.data(public.to_pem().as_bytes())?;
    } else {
        Target::new(&args.output, args.force, "a key")?.write(public.to_pem().as_bytes())?;
        output.note(&format!("wrote {}: {}", args.output.display(), public.id()));
    }
    Ok(ExitCode::SUCCESS)
}

pub fn rotate(args: &RotateArgs, context: &Context, output: &Output) -> Done {
    let identity = context.existing_identity()?;
    let confirmed = confirmed_keys(&identity, context)?;
    // Asked for before the lock is taken: a person may take a while.
    let passphrase = args.passphrase.of_identity(&identity)?;
    let (next, own) = match &args.import {
        Some(path) => args.import_passphrase.source().unlock(&read_private_key(path)?, path)?,
        None => (SigningKey::generate(context.environment())?, None),
    };
    let locked = LockedIdentity::open(&identity)?;
    let old = locked.public_key().id();
    let protection = passphrase.as_ref().or(own.as_ref());
    let change = locked.rotation(passphrase.as_ref(), &next, protection, &confirmed, context.environment())?;
    #[cfg(feature = "agent")]
    let rotated = commit(locked, &change, &args.secret, output)?;
    #[cfg(not(feature = "agent"))]
    let rotated = locked.commit(&change, None)?;
    let links = rotated.unconfirmed(&confirmed).len();
    output.note(&format!("the key {} follows {old}, which says so with its signature", rotated.public_key().id()));
    output.note(&format!(
        "every bundle carries {} until a receipt confirms it: whoever trusts the old key trusts the new one",
        if links == 1 { "this statement".to_owned() } else { format!("the last {}", count(links, "such statement")) }
    ));
    output.note("back the identity up again: a backup from before has the old key");
    output.note("if the old key may be in wrong hands, have Kubermatic trust the new one and revoke the old one");
    print(&rotated, &old, output)
}

fn print(rotated: &Identity, old: &KeyId, output: &Output) -> Done {
    let public = rotated.public_key();
    if output.is_json() {
        output.document(&json!({
            "client": rotated.client(),
            "key": public.id(),
            "publicKey": public.to_pem(),
            "previousKey": old,
            "encrypted": rotated.is_encrypted(),
        }))?;
    } else {
        output.line(&format!("client   {}", rotated.client()))?;
        output.line(&format!("key      {}", public.id()))?;
        output.data(public.to_pem().as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

pub fn protect(args: &ProtectArgs, context: &Context, output: &Output) -> Done {
    let identity = context.existing_identity()?;
    let passphrase = args.passphrase.of_identity(&identity)?;
    let new = if args.remove { None } else { Some(args.new_passphrase.source().read_new("the signing key")?) };
    let locked = LockedIdentity::open(&identity)?;
    let before = locked.is_encrypted();
    let change = locked.protection(passphrase.as_ref(), new.as_ref(), context.environment())?;
    #[cfg(feature = "agent")]
    commit(locked, &change, &args.secret, output)?;
    #[cfg(not(feature = "agent"))]
    locked.commit(&change, None)?;
    output.note(match (before, new.is_some()) {
        (false, true) => "the signing key is encrypted with a passphrase now",
        (true, true) => "the signing key has another passphrase now",
        (true, false) => "the signing key has no passphrase any more",
        (false, false) => "the signing key had no passphrase",
    });
    if before != new.is_some() || before {
        output.note("copies of its file from before, such as backups, are as they were: replace them");
    }
    Ok(ExitCode::SUCCESS)
}

/// Changes the Secret that the identity comes from, if it does and is named, and then the directory.
#[cfg(feature = "agent")]
fn commit(locked: LockedIdentity, change: &Change, args: &SecretArgs, output: &Output) -> Result<Identity, Failure> {
    if let Some(name) = &args.secret {
        kept::change(name, args, &locked, change, output)?;
    }
    Ok(locked.commit(change, args.secret.as_ref())?)
}

/// The keys that receipts have confirmed, as far as this installation's store knows.
fn confirmed_keys(identity: &Identity, context: &Context) -> Result<BTreeSet<KeyId>, Failure> {
    let store = context.store(identity)?;
    Ok(store.as_ref().map(Store::confirmed_keys).transpose()?.unwrap_or_default())
}

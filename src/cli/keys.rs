//! `keys`: show, export and trust public keys.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use uuid::Uuid;

use kubermatic_telemetry::keys::PublicKey;
use kubermatic_telemetry::store::durable::{self, Access, Existing};

use super::Done;
use super::context::Context;
use super::failure::Failure;
use super::files::{Target, public_keys};
use super::output::{Output, count};

/// Show, export and trust public keys.
///
/// Private keys never leave the identity; these verbs handle public ones.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show this installation's client UUID and key id.
    Show,
    /// Write this installation's public key as PEM, for a keyring or for openssl.
    Export {
        /// Where to write it; `-` is stdout.
        #[arg(short, long, value_name = "FILE", default_value = "-")]
        output: PathBuf,
        /// Replace the file if it exists.
        #[arg(long)]
        force: bool,
    },
    /// Add public keys to a keyring directory, as keys of one client.
    Trust {
        /// PEM file of the keys; check their ids with the client first.
        file: PathBuf,
        /// The client whose keys they are.
        #[arg(long, value_name = "UUID")]
        client: Uuid,
        /// The keyring directory, made if need be.
        #[arg(long, value_name = "DIR")]
        keyring: PathBuf,
    },
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    match &args.verb {
        Verb::Show => show(context, output)?,
        Verb::Export { output: target, force } => {
            let public = context.existing_identity()?.signing_key().public();
            if target.as_os_str() == "-" {
                output.data(public.to_pem().as_bytes())?;
            } else {
                Target::new(target, *force, "a key")?.write(public.to_pem().as_bytes())?;
                output.note(&format!("wrote {}: {}", target.display(), public.id()));
            }
        }
        Verb::Trust { file, client, keyring } => trust(file, *client, keyring, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(context: &Context, output: &Output) -> Result<(), Failure> {
    let identity = context.existing_identity()?;
    let id = identity.signing_key().public().id();
    if output.is_json() {
        return output.document(&json!({ "client": identity.client(), "key": id }));
    }
    output.line(&format!("client {}", identity.client()))?;
    output.line(&format!("key    {id}"))
}

fn trust(file: &std::path::Path, client: Uuid, keyring: &std::path::Path, output: &Output) -> Result<(), Failure> {
    let added = public_keys(file)?;
    durable::create_directory(keyring)?;
    // Two at once would lose one's key.
    let lock = durable::open_lock(&keyring.join(".lock"))?;
    lock.lock()?;
    let path = keyring.join(format!("{client}.pem"));
    let mut keys = if path.exists() { public_keys(&path)? } else { Vec::new() };
    for key in added {
        if keys.contains(&key) {
            output.note(&format!("client {client} has the key {} already", key.id()));
        } else {
            output.note(&format!("client {client} is trusted with the key {}", key.id()));
            keys.push(key);
        }
    }
    let text: String = keys.iter().map(PublicKey::to_pem).collect();
    durable::write(&path, text.as_bytes(), Access::Public, Existing::Replace)?;
    output.note(&format!("{}: {}", path.display(), count(keys.len(), "key")));
    Ok(())
}

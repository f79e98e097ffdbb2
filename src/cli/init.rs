//! `init`: make the identity of this installation, if there is none.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use uuid::Uuid;

use kubermatic_telemetry::identity::{Identity, NewIdentity};
use kubermatic_telemetry::store::{durable, lock_directory};

use super::Done;
use super::context::Context;
use super::failure::Failure;
use super::output::Output;

/// Make the identity of this installation, if there is none.
///
/// Makes the client UUID, the signing key and the pseudonym key, unless they are there. Prints the client UUID, the key id
/// and the public key, which Kubermatic needs to trust this installation.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep a client UUID that this installation has already, such as that of the telemetry-client before.
    #[arg(long, value_name = "UUID")]
    client_uuid: Option<Uuid>,
    /// Start over as a new client; the old identity and store are moved aside, not removed.
    #[arg(long)]
    new_client: bool,
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    let path = context.identity_path()?;
    // A store whose identity is gone needs --new-client, or its identity back.
    let replaces = if args.new_client { move_aside(context, output)? } else { context.identity().map(|_| None)? };
    let new = NewIdentity { client: args.client_uuid, replaces };
    let (identity, made) = Identity::load_or_create(&path, new, context.environment())?;
    if made {
        output.note(&format!("made the identity of this installation in {}", path.display()));
        output.note("back it up: without it this installation can't continue as the same client");
    } else {
        output.note(&format!("the identity is in {}", path.display()));
    }
    print(&identity, output)?;
    Ok(ExitCode::SUCCESS)
}

fn print(identity: &Identity, output: &Output) -> Result<(), Failure> {
    let public = identity.signing_key().public();
    if output.is_json() {
        return output.document(&json!({
            "client": identity.client(),
            "key": public.id(),
            "publicKey": public.to_pem(),
            "replaces": identity.replaces(),
        }));
    }
    output.line(&format!("client {}", identity.client()))?;
    output.line(&format!("key    {}", public.id()))?;
    output.data(public.to_pem().as_bytes())
}

/// Moves an identity and its store aside, and returns the client UUID that they were of.
fn move_aside(context: &Context, output: &Output) -> Result<Option<Uuid>, Failure> {
    let (identity, store) = (context.identity_path()?, context.store_path()?);
    // Nobody may be writing to what is moved.
    let _lock = if store.is_dir() { Some(lock_directory(&store)?) } else { None };
    // A lost identity still has its name in the store.
    let known = Identity::load(&identity).ok().flatten().map(|identity| identity.client());
    let client = known.or_else(|| store_owner(&store));
    let suffix = client.map_or_else(|| "unreadable".to_owned(), |client| client.to_string());
    for path in [identity, store] {
        if path.exists() {
            let aside = free_name(&path, &suffix);
            durable::rename(&path, &aside)?;
            output.note(&format!("moved {} to {}", path.display(), aside.display()));
        }
    }
    Ok(client)
}

fn store_owner(store: &Path) -> Option<Uuid> {
    let text = std::fs::read(store.join("store.json")).ok()?;
    let description: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Uuid::try_parse(description["client"].as_str()?).ok()
}

fn free_name(path: &Path, suffix: &str) -> PathBuf {
    let named = |number: usize| {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(if number == 0 { format!("-{suffix}") } else { format!("-{suffix}-{number}") });
        path.with_file_name(name)
    };
    let mut number = 0;
    while named(number).exists() {
        number += 1;
    }
    named(number)
}

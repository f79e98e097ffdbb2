//! `init`: make the identity of this installation, if there is none.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use uuid::Uuid;

use kubermatic_telemetry::identity::{Identity, NewIdentity, renew};

use super::Done;
use super::context::Context;
use super::failure::Failure;
use super::output::Output;
use super::passphrase::{PassphraseArgs, read_private_key};

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
    /// The client that the new one says it replaces, where neither the old identity nor its store can tell.
    #[arg(long, value_name = "UUID", requires = "new_client")]
    replaces: Option<Uuid>,
    /// Take this Ed25519 private key (PEM, PKCS#8) instead of a new one; its passphrase stays, if it has one.
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// Encrypt the signing key with a passphrase.
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    let path = context.identity_path()?;
    if args.new_client {
        let renewed = renew::start_over(&path, &context.store_path()?, args.new_identity()?, context.environment())?;
        if renewed.moved.is_empty() && renewed.identity.replaces().is_some() {
            output.note("this client is a new one already, and has no store yet: nothing was moved");
        }
        for (from, to) in &renewed.moved {
            output.note(&format!("moved {} to {}", from.display(), to.display()));
        }
        return made(&renewed.identity, &path, args, output);
    }
    // A store whose identity is gone needs --new-client, or its identity back.
    if let Some(identity) = context.identity()? {
        if args.signing_key.is_some() || args.encrypt {
            let failure = Failure::new(format!("{} has an identity already, which stays as it is", path.display()));
            return Err(failure.hint("`keys rotate --import FILE` changes its key, `keys passphrase` its passphrase"));
        }
        // Insists on the client that was asked for.
        let new = NewIdentity { client: args.client_uuid, ..NewIdentity::default() };
        Identity::load_or_create(&path, new, context.environment())?;
        output.note(&format!("the identity is in {}", path.display()));
        return print(&identity, output);
    }
    let (identity, new) = Identity::load_or_create(&path, args.new_identity()?, context.environment())?;
    if new {
        made(&identity, &path, args, output)
    } else {
        output.note(&format!("the identity is in {}", path.display()));
        print(&identity, output)
    }
}

impl Args {
    /// What the new identity is made with. A passphrase is asked for here.
    fn new_identity(&self) -> Result<NewIdentity, Failure> {
        let imported = match &self.signing_key {
            Some(path) => Some(self.passphrase.source().unlock(&read_private_key(path)?, path)?),
            None => None,
        };
        let (signing_key, passphrase) = imported.map_or((None, None), |(key, passphrase)| (Some(key), passphrase));
        let passphrase = match passphrase {
            None if self.encrypt => Some(self.passphrase.source().read_new("the signing key")?),
            passphrase => passphrase,
        };
        Ok(NewIdentity { client: self.client_uuid, replaces: self.replaces, signing_key, passphrase })
    }
}

fn made(identity: &Identity, path: &std::path::Path, args: &Args, output: &Output) -> Done {
    output.note(&format!("made the identity of this installation in {}", path.display()));
    output.note("back it up: without it this installation can't continue as the same client");
    if args.new_client && identity.replaces().is_none() {
        output.warning(
            "it can't be told which client this one replaces",
            Some("if you know its UUID, say it at once: init --new-client --replaces UUID"),
        );
    }
    print(identity, output)
}

fn print(identity: &Identity, output: &Output) -> Done {
    let public = identity.public_key();
    if output.is_json() {
        output.document(&json!({
            "client": identity.client(),
            "key": public.id(),
            "publicKey": public.to_pem(),
            "encrypted": identity.is_encrypted(),
            "replaces": identity.replaces(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output.line(&format!("client {}", identity.client()))?;
    output.line(&format!("key    {}", public.id()))?;
    output.data(public.to_pem().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

//! `init`: make the identity of this installation, if there is none.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use uuid::Uuid;

#[cfg(feature = "agent")]
use kubermatic_telemetry::identity::SecretName;
use kubermatic_telemetry::identity::{Identity, IdentityError, NewIdentity, renew};

use super::Done;
use super::context::Context;
use super::failure::Failure;
#[cfg(feature = "agent")]
use super::kept::{self, SecretArgs};
use super::output::Output;
use super::passphrase::{PassphraseArgs, read_private_key};

/// Make the identity of this installation, if there is none.
///
/// Makes the client UUID, the signing key and the pseudonym key, unless they are there. Prints the client UUID, the key id
/// and the public key, which Kubermatic needs to trust this installation.
///
/// With --secret the identity is kept in a Secret of Kubernetes: it is read from there, or made there if there is none,
/// and written to the identity directory, where every other verb reads it. Of several that make it at once all get the
/// same. docs/permissions.md has the rules that this needs.
#[derive(Debug, clap::Args)]
#[cfg_attr(feature = "agent", command(group = clap::ArgGroup::new("anew").args(["new_client", "secret"]).multiple(true)))]
pub struct Args {
    /// Keep a client UUID that this installation has already, such as that of the telemetry-client before.
    #[arg(long, value_name = "UUID")]
    client_uuid: Option<Uuid>,
    /// Keep the client UUID of a telemetry-client installation, from the key `uuid` of this Secret, if it is there; used
    /// only when the identity is made.
    #[cfg(feature = "agent")]
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "secret", conflicts_with = "client_uuid")]
    take_over: Option<SecretName>,
    /// Start over as a new client; the old identity and store are moved aside, not removed.
    #[arg(long)]
    new_client: bool,
    /// The client that the new one says it replaces, where neither the old identity nor its store can tell.
    #[cfg_attr(feature = "agent", arg(long, value_name = "UUID", requires = "anew"))]
    #[cfg_attr(not(feature = "agent"), arg(long, value_name = "UUID", requires = "new_client"))]
    replaces: Option<Uuid>,
    /// Take this Ed25519 private key (PEM, PKCS#8) instead of a new one; its passphrase stays, if it has one.
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// Encrypt the signing key with a passphrase.
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[cfg(feature = "agent")]
    #[command(flatten)]
    secret: SecretArgs,
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    let path = context.identity_path()?;
    #[cfg(feature = "agent")]
    if let Some(name) = &args.secret.secret {
        return if args.new_client { kept::refuse_new_client(name) } else { in_secret(name, args, context, output) };
    }
    if args.new_client {
        refuse_secrets(&path)?;
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

/// The identity is kept in a Secret.
#[cfg(feature = "agent")]
fn in_secret(name: &SecretName, args: &Args, context: &Context, output: &Output) -> Done {
    let take_over = args.take_over.as_ref();
    let new = || args.new_identity();
    let brought = kept::bring(name, &args.secret, take_over, args.client_uuid, new, context, output)?;
    if brought.made {
        output.note("back the Secret up: without it this installation can't continue as the same client");
    } else if args.signing_key.is_some() || args.encrypt || args.replaces.is_some() {
        let failure = Failure::new(format!("the Secret {name} holds an identity already, which stays as it is"));
        return Err(failure.hint(format!(
            "`keys rotate --secret {name} --import FILE` changes its key, `keys passphrase --secret {name}` its passphrase"
        )));
    }
    print(&brought.identity, output)
}

/// Starting over would leave the Secret behind, which then fills the directory with the old identity again.
fn refuse_secrets(path: &Path) -> Result<(), Failure> {
    // What is lost or damaged is what starting over is for.
    let present = Identity::load(path).ok().flatten();
    match present.as_ref().and_then(Identity::secret) {
        Some(secret) => Err(IdentityError::KeptInSecret { directory: path.to_owned(), secret: secret.clone() }.into()),
        None => Ok(()),
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

fn made(identity: &Identity, path: &Path, args: &Args, output: &Output) -> Done {
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
            "secret": identity.secret().map(ToString::to_string),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output.line(&format!("client {}", identity.client()))?;
    output.line(&format!("key    {}", public.id()))?;
    output.data(public.to_pem().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

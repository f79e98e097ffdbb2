//! The identity in a Kubernetes Secret, as several verbs take it: read, made and changed through the API.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use uuid::Uuid;

use kubermatic_telemetry::agent::live::Master;
use kubermatic_telemetry::agent::live::kept::{Keeper, Secret};
use kubermatic_telemetry::identity::secret::{self, Adopted, Parts};
use kubermatic_telemetry::identity::{Change, Identity, IdentityError, NewIdentity, SecretName};
use kubermatic_telemetry::store;

use super::context::Context;
use super::failure::Failure;
use super::interruptible::Interruptible;
use super::output::Output;
use super::values::duration;

/// The key of a telemetry-client installation's Secret that its client UUID is under.
const TAKEN_OVER: &str = "uuid";

/// Which Secret, and the way to it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Secret")]
pub struct SecretArgs {
    /// The identity is kept in this Secret of Kubernetes, which is read, made or changed through the API.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub secret: Option<SecretName>,
    /// Reach the cluster of the Secret with this kubeconfig [default: $KUBECONFIG, or the pod's service account].
    #[arg(long, value_name = "FILE", requires = "secret")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to use instead of the current one.
    #[arg(long, value_name = "NAME", requires = "secret")]
    context: Option<String>,
    /// How long one request may take.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s", requires = "secret")]
    request_timeout: Duration,
}

/// The cluster that `--kubeconfig` leads to, else `$KUBECONFIG`, else that of the pod; nothing if there is none.
pub fn find_master(kubeconfig: Option<&PathBuf>, context: Option<&String>) -> Option<Master> {
    let context = context.cloned();
    if let Some(file) = kubeconfig {
        return Some(Master::Kubeconfig { files: vec![file.clone()], context });
    }
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()) {
        let files = std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect();
        return Some(Master::Kubeconfig { files, context });
    }
    std::env::var_os("KUBERNETES_SERVICE_HOST").map(|_| Master::InCluster)
}

/// What keeps the Secret, and what runs its requests.
struct Access {
    // Dropped first: its connections belong to the runtime.
    keeper: Keeper,
    interruptible: Interruptible,
}

impl SecretArgs {
    fn access(&self) -> Result<Access, Failure> {
        let master = find_master(self.kubeconfig.as_ref(), self.context.as_ref()).ok_or_else(|| {
            Failure::usage("there is no cluster to look for the Secret in")
                .hint("--kubeconfig FILE or $KUBECONFIG says where it is; in a pod it is the pod's own")
        })?;
        let interruptible = Interruptible::new()?;
        let keeper = interruptible.run(async { Keeper::open(&master, self.request_timeout) })??;
        Ok(Access { keeper, interruptible })
    }
}

/// The identity in a Secret, brought to the identity directory.
pub struct Kept {
    pub identity: Identity,
    /// Whether the Secret was made.
    pub made: bool,
}

/// Sees to it that a Secret holds an identity, and the identity directory the same one. A new identity is made of what
/// `new` gives, only if neither has one.
pub fn bring(
    name: &SecretName,
    args: &SecretArgs,
    take_over: Option<&SecretName>,
    client: Option<Uuid>,
    new: impl FnOnce() -> Result<NewIdentity, Failure>,
    context: &Context,
    output: &Output,
) -> Result<Kept, Failure> {
    let directory = context.identity_path()?;
    let present = Identity::load(&directory)?;
    if let Some(present) = &present {
        // Before anything is made in a cluster.
        secret::check_owner(present, client.unwrap_or(present.client()), name)?;
    }
    let access = args.access()?;
    let (parts, made) = match access.read(name)? {
        Some(found) => (parts_of(&found), false),
        None => access.make(name, present.as_ref(), take_over, new, context, output)?,
    };
    let identity = parts.check(name).map_err(|error| in_secret(error, name))?;
    if let Some(client) = client.filter(|client| *client != identity.client()) {
        let failure = Failure::new(format!(
            "the Secret {name} holds an identity already, with the client UUID {}, not {client}",
            identity.client()
        ));
        return Err(failure.hint("an identity is never overwritten; leave --client-uuid out to use it"));
    }
    let (identity, adopted) = secret::adopt(&directory, &parts, name).map_err(|error| match error {
        IdentityError::Exists { .. } => Failure::from(error)
            .context(format!("the Secret {name} holds another identity than the directory"))
            .hint("neither is overwritten: give another place with --identity DIR, or another Secret"),
        other => other.into(),
    })?;
    output.note(&format!(
        "{} {}",
        match adopted {
            Adopted::Made => "the identity is in",
            Adopted::Same => "the identity was already in",
            Adopted::Updated => "the signing key was changed in the Secret, and now also in",
        },
        directory.display()
    ));
    Ok(Kept { identity, made })
}

/// Has the Secret that an identity comes from hear of a change before its directory does.
pub fn change(
    name: &SecretName,
    args: &SecretArgs,
    identity: &Identity,
    change: &Change,
    output: &Output,
) -> Result<(), Failure> {
    let differ = Failure::new("the Secret and the identity directory don't hold the same key");
    if identity.secret() != Some(name) {
        let failure = match identity.secret() {
            Some(other) => Failure::new(format!("the identity directory comes from the Secret {other}, not {name}")),
            None => Failure::new("the identity directory comes from no Secret"),
        };
        return Err(failure.hint(format!("`init --secret {name}` with an empty --identity DIR takes it from there")));
    }
    let access = args.access()?;
    let found = access.read(name)?.ok_or_else(|| {
        Failure::new(format!("there is no Secret {name}, which the identity comes from"))
            .hint(format!("`init --secret {name}` makes it again, with the identity of the directory"))
    })?;
    let mut parts = parts_of(&found);
    let kept = parts.check(name).map_err(|error| in_secret(error, name))?;
    if kept.client() != identity.client() || kept.public_key() != identity.public_key() {
        return Err(differ.hint(format!("`init --secret {name}` brings the directory up to date")));
    }
    change.apply(&mut parts);
    access.interruptible.run(access.keeper.replace(found, &parts))??;
    output.note(&format!("changed the Secret {name}"));
    Ok(())
}

fn parts_of(secret: &Secret) -> Parts {
    Parts::from_values(secret.values().clone())
}

/// Says that it is a Secret that is not sound, and what to do with one.
fn in_secret(error: IdentityError, name: &SecretName) -> Failure {
    Failure::from(error).context(format!("the Secret {name} holds no sound identity, and stays as it is")).hint(
        "restore it from a backup; if nothing was ever sent under its identity, or it was not made for this, delete it, \
         or give another name with --secret",
    )
}

impl Access {
    fn read(&self, name: &SecretName) -> Result<Option<Secret>, Failure> {
        Ok(self.interruptible.run(self.keeper.get(name))??)
    }

    /// Makes the Secret, of the identity in the directory if there is one; gives what it holds then, and whether it was
    /// made here.
    fn make(
        &self,
        name: &SecretName,
        present: Option<&Identity>,
        take_over: Option<&SecretName>,
        new: impl FnOnce() -> Result<NewIdentity, Failure>,
        context: &Context,
        output: &Output,
    ) -> Result<(Parts, bool), Failure> {
        let parts = if let Some(present) = present {
            Parts::of_directory(present)?
        } else {
            refuse_orphans(name, context)?;
            let mut new = new()?;
            if let Some(old) = take_over {
                new.client = self.taken_over(old, output)?;
            }
            Parts::generate(new, context.environment())?
        };
        let made = self.interruptible.run(self.keeper.create(name, &parts))??;
        if !made {
            let winner = self.read(name)?.ok_or_else(|| {
                Failure::new(format!("the Secret {name} was there and is gone again")).hint("try again")
            })?;
            return Ok((parts_of(&winner), false));
        }
        output.note(&format!("made the Secret {name}"));
        if present.is_some_and(|present| present.secret().is_some()) {
            output.warning(
                &format!("the Secret {name} was gone, and holds the identity of the directory again"),
                Some("find out who deleted it: without both, this installation could not continue as the same client"),
            );
        }
        Ok((parts, true))
    }

    /// The client UUID of a telemetry-client installation.
    fn taken_over(&self, old: &SecretName, output: &Output) -> Result<Option<Uuid>, Failure> {
        let Some(secret) = self.read(old)? else {
            output.note(&format!("there is no Secret {old} to take a client UUID over from: this is a new client"));
            return Ok(None);
        };
        let text = secret.values().get(TAKEN_OVER).and_then(|value| std::str::from_utf8(value).ok());
        let client = text.and_then(|text| Uuid::try_parse(text.trim()).ok()).filter(|client| !client.is_nil());
        let client = client.ok_or_else(|| {
            Failure::new(format!("the Secret {old} does not hold a client UUID under its key `{TAKEN_OVER}`"))
                .hint("correct it, or leave --take-over out; --client-uuid UUID keeps a client UUID that you know")
        })?;
        output.note(&format!("took the client UUID over from the Secret {old}"));
        Ok(Some(client))
    }
}

/// A store without its identity means that the Secret was lost, not that there is none yet.
fn refuse_orphans(name: &SecretName, context: &Context) -> Result<(), Failure> {
    let place = context.store_path()?;
    let Some(owner) = store::owner(&place) else { return Ok(()) };
    let failure = Failure::new(format!(
        "there is a store of client {owner} in {}, and no Secret {name} with its identity",
        place.display()
    ));
    Err(failure.hint(format!(
        "restore the Secret from a backup; if it is lost, move the store aside and start over with `init --secret {name} \
         --replaces {owner}`"
    )))
}

/// A new client in place of the one in a Secret takes steps that a person has to take.
pub fn refuse_new_client(name: &SecretName) -> Result<ExitCode, Failure> {
    let failure = Failure::usage(format!("--new-client does not replace the identity in the Secret {name}"));
    Err(failure.hint(format!(
        "keep a copy of the Secret, delete it, move the store and the identity directory aside, and make the new client \
         with `init --secret {name} --replaces UUID`, the UUID being the old client's"
    )))
}

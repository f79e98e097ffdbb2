//! `send`: deliver what is pending over HTTP, and take the receipts.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::{Either, select};
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde_json::{Value, json};
use uuid::Uuid;

use kubermatic_telemetry::bundle::verify::{EachError, Verified};
use kubermatic_telemetry::bundle::{Limits, verify};
use kubermatic_telemetry::digest::Sha256Digest;
use kubermatic_telemetry::identity::{Identity, Signer};
use kubermatic_telemetry::keys::PublicKey;
use kubermatic_telemetry::keys::keyring::Keyring;
use kubermatic_telemetry::receipt::{self, Receipt};
use kubermatic_telemetry::record::withhold::Withholding;
use kubermatic_telemetry::reporter::http::{Endpoint, Options, SendError};
use kubermatic_telemetry::reporter::withheld::held_by;
use kubermatic_telemetry::reporter::{self, Selection};
use kubermatic_telemetry::setting::Withheld;
use kubermatic_telemetry::store::Store;
use kubermatic_telemetry::store::activity::Activity;

use super::context::{Context, shown};
use super::failure::Failure;
use super::files::{Target, open_bundle};
use super::interruptible::{self, Interruptible};
use super::output::Output;
use super::passphrase::PassphraseArgs;
use super::receipt::{tell, trusted_keys};
use super::values::duration;
use super::{Done, interrupt, observe, schedule, withholding};

/// Deliver what is pending over HTTP.
///
/// Sends every bundle again that has no receipt yet, then packs what is pending into a new one, and lets the records go
/// that the receipts say have arrived. Nothing leaves the store without a receipt that verifies.
///
/// A server that can't be reached, is busy or fails is no failure: exit code 0 and one line, until the oldest pending
/// record is older than --overdue. A bundle that the server refuses is always one. The proxy is that of the environment
/// (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`) or --proxy.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server; bundles go to URL/v1/bundles.
    #[arg(long, value_name = "URL", env = "KUBERMATIC_TELEMETRY_URL")]
    url: Url,
    /// Send this bundle instead of what is pending: one that was carried here, say.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Write the receipt of --bundle to a file, to be carried back.
    #[arg(long, value_name = "FILE", requires = "bundle")]
    receipt: Option<PathBuf>,
    /// A note that goes with a new bundle; at most 1 KiB.
    #[arg(long, value_name = "TEXT", conflicts_with = "bundle")]
    note: Option<String>,
    /// Wait up to this long first, by chance, so that not everybody sends at once.
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "bundle")]
    splay: Option<Duration>,
    /// PEM file of the keys that sign receipts [default: receipt-keys.pem in the state directory].
    #[arg(long, value_name = "FILE", env = "KUBERMATIC_TELEMETRY_RECEIPT_KEY")]
    receipt_key: Option<PathBuf>,
    /// Fail if the server can't be reached and the oldest pending record is older than this.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "14d")]
    overdue: Duration,
    /// The proxy, instead of the one that the environment names.
    #[arg(long, value_name = "URL")]
    proxy: Option<Url>,
    /// Certificates in PEM to trust beside those of the system, for the server and for the proxy.
    #[arg(long, value_name = "FILE", env = "KUBERMATIC_TELEMETRY_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// A client certificate in PEM.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// The client certificate's private key in PEM.
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// A file with the bearer token that a closed server asks for.
    #[arg(long, value_name = "FILE", env = "KUBERMATIC_TELEMETRY_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// How long connecting may take.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "15s")]
    connect_timeout: Duration,
    /// How long the server may be silent.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2m")]
    idle_timeout: Duration,
    /// How long one attempt to deliver a bundle may take.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30m")]
    timeout: Duration,
    /// How long to go on trying to deliver a bundle.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1h")]
    deadline: Duration,
}

/// A bundle under way, and what its receipt has to say.
struct Parcel {
    file: File,
    client: Uuid,
    manifest_sha256: Sha256Digest,
    name: String,
}

/// What delivering needs.
struct Sender<'a> {
    endpoint: Endpoint,
    trusted: Vec<PublicKey>,
    withheld: Withheld,
    context: &'a Context,
    output: &'a Output,
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    let telemetry = context.telemetry()?;
    if !telemetry.on {
        output.note(&format!("telemetry is off ({}): nothing was sent", telemetry.by));
        return Ok(ExitCode::SUCCESS);
    }
    let sender = match prepare(args, context, output) {
        Ok(sender) => sender,
        Err(failure) => {
            observe::note_failure(&[Activity::Send], &failure, context, output);
            return Err(failure);
        }
    };
    if let Some(splay) = args.splay {
        wait_by_chance(splay, context, output)?;
    }
    let mut rows = Vec::new();
    let sent = match &args.bundle {
        Some(bundle) => sender.carried(bundle, args.receipt.as_deref(), &mut rows),
        None => sender.pending(args, &mut rows),
    };
    let later = match &sent {
        Err(failure) => failure.has_cause(|error: &SendError| matches!(error, SendError::Later { .. })),
        Ok(()) => false,
    };
    if output.is_json() {
        let error = sent.as_ref().err().map(Failure::message);
        output.document(&json!({ "bundles": rows, "error": error, "later": later }))?;
    }
    if args.bundle.is_none() {
        note(&sent, context, output);
    }
    match sent {
        // A person who sends a file wants to know now.
        Err(failure) if later && args.bundle.is_none() => not_yet(failure, args, context, output),
        Err(failure) => Err(failure),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// What is needed before anything can be sent.
fn prepare<'a>(args: &Args, context: &'a Context, output: &'a Output) -> Result<Sender<'a>, Failure> {
    let withheld = context.withheld()?;
    let trusted = trusted_keys(args.receipt_key.as_deref(), context)?;
    let endpoint = Endpoint::new(&args.url, &options(args)?)?;
    if endpoint.is_in_the_open() {
        output.warning("the connection is not encrypted", Some("use an https:// address"));
    }
    Ok(Sender { endpoint, trusted, withheld, context, output })
}

/// Waits up to so long. Being asked to stop meanwhile is no attempt that failed.
fn wait_by_chance(splay: Duration, context: &Context, output: &Output) -> Result<(), Failure> {
    // Before anything is said: who hears it may ask the program to stop.
    interrupt::listen(interruptible::GRACE)?;
    let wait = schedule::chance(splay, context)?;
    output.note(&format!("sending in {}", schedule::rounded(wait)));
    if interruptible::wait(wait)? {
        return Err(Failure::new("stopped before anything was sent"));
    }
    Ok(())
}

/// Notes how it went, for monitoring.
fn note(sent: &Result<(), Failure>, context: &Context, output: &Output) {
    if let Err(failure) = sent {
        return observe::note_failure(&[Activity::Send], failure, context, output);
    }
    let identity = context.identity().ok().flatten();
    let store = identity.and_then(|identity| context.store(&identity).ok().flatten()?.lock().ok());
    if let Some(store) = store {
        observe::note(&store, Activity::Send, observe::succeeded(context), output);
    }
}

fn options(args: &Args) -> Result<Options, Failure> {
    if args.proxy.as_ref().is_some_and(|proxy| !proxy.username().is_empty() || proxy.password().is_some()) {
        return Err(Failure::usage("a proxy with a user or password would show in process lists")
            .hint("name it in the environment: HTTPS_PROXY"));
    }
    Ok(Options {
        proxy: args.proxy.clone(),
        ca_file: args.ca_file.clone(),
        client_certificate: args.client_cert.clone().zip(args.client_key.clone()),
        token_file: args.token_file.clone(),
        connect: args.connect_timeout,
        idle: args.idle_timeout,
        total: args.timeout,
        deadline: args.deadline,
    })
}

/// A server that can't be reached is nobody's business until records wait for too long.
fn not_yet(failure: Failure, args: &Args, context: &Context, output: &Output) -> Done {
    let store = context.identity()?.map(|identity| context.store(&identity)).transpose()?.flatten();
    let withholding = &context.withheld()?.withholding;
    let oldest = store.as_ref().map(|store| oldest(store, withholding)).transpose()?.flatten();
    let age = oldest.map(|oldest| context.environment().now().duration_since(oldest));
    let limit = SignedDuration::try_from(args.overdue).unwrap_or(SignedDuration::MAX);
    if age.is_some_and(|age| age >= limit) {
        let days = age.map_or(0, |age| age.as_hours() / 24);
        return Err(failure
            .context(format!("nothing was delivered, and the oldest record has waited for {days} days"))
            .hint("see that the server can be reached, or export by hand (docs/air-gap.md)"));
    }
    output.note(&format!("not delivered yet: {}; what is pending stays in the store", failure.message()));
    Ok(ExitCode::SUCCESS)
}

/// When the oldest pending record was stored that is to be sent at all.
fn oldest(store: &Store, withholding: &Withholding) -> Result<Option<Timestamp>, Failure> {
    let mut records = store.pending()?;
    records.retain(|record| !withholding.withholds_kind(record.envelope.kind.as_str()));
    let ids = records.into_iter().filter_map(|record| record.id.get_timestamp());
    Ok(ids.filter_map(|time| Timestamp::from_second(i64::try_from(time.to_unix().0).ok()?).ok()).min())
}

impl Sender<'_> {
    /// Delivers the bundles that have no receipt, oldest first, and then what is in none of them.
    fn pending(&self, args: &Args, rows: &mut Vec<Value>) -> Result<(), Failure> {
        let Some(identity) = self.context.identity()? else {
            self.output.note("nothing is pending: nothing was sent");
            return Ok(());
        };
        let Some(store) = self.context.store(&identity)? else {
            self.output.note("nothing is pending: nothing was sent");
            return Ok(());
        };
        let mut store = store.lock()?;
        withholding::apply(&mut store, &self.withheld, self.context, self.output)?;
        let unanswered = reporter::unanswered(&store)?;
        // Whoever receives a bundle may be slow; collectors must not wait for them.
        drop(store);
        let mut sent = unanswered.len();
        for export in unanswered {
            self.kept(&identity, export.sequence, rows)?;
        }
        if let Some(sequence) = self.pack(&identity, args)? {
            sent += 1;
            self.kept(&identity, sequence, rows)?;
        }
        if sent == 0 {
            self.output.note("nothing is pending: nothing was sent");
        }
        Ok(())
    }

    /// Packs what is pending into a new bundle, and gives its sequence number.
    fn pack(&self, identity: &Identity, args: &Args) -> Result<Option<u64>, Failure> {
        let withholding = self.withheld.withholding.clone();
        let selection = Selection { note: args.note.clone(), withholding, ..Selection::default() };
        let nothing = |store: &Store| Ok::<_, Failure>(reporter::select(store, &selection)?.is_empty());
        if self.context.store(identity)?.as_ref().map_or(Ok(true), nothing)? {
            return Ok(None);
        }
        // Before others have to wait for the store.
        let passphrase = args.passphrase.of_identity(identity)?;
        let mut store = self.context.locked_store(identity)?;
        withholding::apply(&mut store, &self.withheld, self.context, self.output)?;
        let signer = Signer::open(identity, passphrase.as_ref())?;
        let mut progress = self.output.progress("packing");
        let mut heard = |done, total| progress.update(done, total);
        let (limits, environment) = (Limits::default(), self.context.environment());
        let packed = reporter::export(&store, &signer, &selection, &limits, environment, &mut heard)?;
        Ok(packed.map(|(export, _)| export.sequence))
    }

    /// Delivers a bundle that lies in the store.
    fn kept(&self, identity: &Identity, sequence: u64, rows: &mut Vec<Value>) -> Result<(), Failure> {
        let store = self.context.locked_store(identity)?;
        let (export, file) = reporter::open_bundle(&store, sequence, &self.withheld.withholding)?;
        drop(store);
        let (manifest_sha256, name) = (export.manifest_sha256, format!("bundle {sequence}"));
        let parcel = Parcel { file, client: identity.client(), manifest_sha256, name };
        let (receipt, _) = self.deliver(&parcel)?;
        // A receipt answers for the whole of it.
        self.context.locked_store(identity)?.delivered(&export)?;
        self.acknowledge(identity, &parcel, &receipt, rows)
    }

    /// Delivers a file, which may be another installation's.
    fn carried(&self, path: &Path, receipt_to: Option<&Path>, rows: &mut Vec<Value>) -> Result<(), Failure> {
        let limits = Limits::default();
        let target = receipt_to.map(|path| Target::new(path, false, "a receipt")).transpose()?;
        let file = open_bundle(path, &limits)?;
        let copy = file.try_clone()?;
        let mut progress = self.output.progress("verifying");
        let mut heard = |done, total| progress.update(done, total);
        let verified = verify::verify(file, &Keyring::default(), &limits, &mut heard);
        drop(progress);
        let mut verified = verified.map_err(|error| Failure::from(error).context(shown(path)))?;
        let (client, manifest_sha256) = (verified.manifest.client, verified.manifest_sha256);
        let own = self.context.identity_anywhere()?.filter(|identity| identity.client() == client);
        if own.is_some() {
            self.holds_nothing_withheld(&mut verified, path)?;
        }
        let parcel = Parcel { file: copy, client, manifest_sha256, name: shown(path) };
        let (receipt, bytes) = self.deliver(&parcel)?;
        if let Some(target) = target {
            target.write(bytes.as_slice())?;
            self.output.note(&format!("receipt  {}", target.name()));
        }
        if let Some(identity) = own {
            return self.acknowledge(&identity, &parcel, &receipt, rows);
        }
        rows.push(row(&parcel, &receipt, 0));
        self.output.note(&format!("{}: delivered; its receipt belongs to client {client}", parcel.name));
        Ok(())
    }

    /// Refuses a bundle of this installation that was packed before what is withheld now was withheld.
    fn holds_nothing_withheld(&self, bundle: &mut Verified<File>, path: &Path) -> Result<(), Failure> {
        let withholding = &self.withheld.withholding;
        if withholding.is_empty() {
            return Ok(());
        }
        let held: Vec<_> = match held_by(bundle, withholding) {
            Ok(held) => held.into_iter().collect(),
            Err(EachError::Visitor(error)) => return Err(error.into()),
            Err(EachError::Bundle(error)) => return Err(error.into()),
        };
        if held.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("{} holds what is withheld: {}", shown(path), held.join(", ")))
            .hint("export anew, and send that; what is pending is still in the store"))
    }

    /// Sends a bundle, and believes only a receipt for it.
    fn deliver(&self, parcel: &Parcel) -> Result<(Receipt, Vec<u8>), Failure> {
        let named = |failure: Failure| failure.context(format!("can't deliver {}", parcel.name));
        let size = parcel.file.metadata()?.len();
        let sent = Arc::new(AtomicU64::new(0));
        let mut progress = self.output.progress("sending");
        let sending = self.endpoint.send(&parcel.file, &sent, self.context.environment());
        let watching = async {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                progress.update(sent.load(Ordering::Relaxed), size);
            }
        };
        let answer = Interruptible::new()?.run(async {
            match select(std::pin::pin!(sending), std::pin::pin!(watching)).await {
                Either::Left((answer, _)) => answer,
                Either::Right((never, _)) => never,
            }
        })?;
        let answer = answer.map_err(|error| named(error.into()))?;
        let receipt = receipt::check(&answer, parcel.client, &self.trusted, &Limits::default());
        let receipt = receipt.map_err(|error| {
            named(Failure::from(error).context("the server's answer is no receipt that this installation believes"))
        })?;
        if receipt.manifest_sha256 != parcel.manifest_sha256 {
            return Err(named(Failure::new("the server's receipt is for another bundle")));
        }
        Ok((receipt, answer))
    }

    fn acknowledge(
        &self,
        identity: &Identity,
        parcel: &Parcel,
        receipt: &Receipt,
        rows: &mut Vec<Value>,
    ) -> Result<(), Failure> {
        let store = self.context.locked_store(identity)?;
        let imported = receipt::import(receipt, &store)?;
        tell(&parcel.name, receipt, &imported, &store, self.output);
        rows.push(row(parcel, receipt, imported.acknowledged));
        Ok(())
    }
}

fn row(parcel: &Parcel, receipt: &Receipt, acknowledged: usize) -> Value {
    json!({
        "bundle": receipt.bundle,
        "sequence": receipt.sequence,
        "manifestSha256": parcel.manifest_sha256,
        "receipt": receipt.receipt,
        "acknowledged": acknowledged,
    })
}

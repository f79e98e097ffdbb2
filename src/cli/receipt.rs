//! `receipt`: check receipts that came back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use kubermatic_telemetry::bundle::Limits;
use kubermatic_telemetry::keys::PublicKey;
use kubermatic_telemetry::receipt::{self, Chain, Imported, Receipt};
use kubermatic_telemetry::store::LockedStore;
use uuid::Uuid;

use super::Done;
use super::context::{Context, shown};
use super::failure::Failure;
use super::files::{LimitArgs, open_bundle};
use super::output::{Output, count, escaped};

/// Check receipts that came back, and let the records go that have arrived.
///
/// Checks each receipt's signature, signer and client, and lets the records go that it says have arrived. Importing a
/// receipt twice is harmless, and their order does not matter.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The receipts; `-` is stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// PEM file of the keys that sign receipts [default: receipt-keys.pem in the state directory].
    #[arg(long, value_name = "FILE", env = "KUBERMATIC_TELEMETRY_RECEIPT_KEY")]
    receipt_key: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    let identity = context.existing_identity()?;
    let trusted = trusted_keys(args.receipt_key.as_deref(), context)?;
    // Nothing is made or changed for receipts that are not believed.
    let limits = args.limits.limits();
    let check = |file: &PathBuf| check(file, identity.client(), &trusted, &limits);
    let checked: Vec<_> = args.files.iter().map(|file| (file, check(file))).collect();
    let believed = checked.iter().any(|(_, result)| result.is_ok());
    let store = if believed { Some(context.locked_store(&identity)?) } else { None };
    let (mut failed, mut rows) = (false, Vec::new());
    for (file, result) in checked {
        let imported = result.and_then(|receipt| {
            let store = store.as_ref().ok_or_else(|| Failure::new("no receipt was believed"))?;
            let imported = receipt::import(&receipt, store)?;
            tell(&shown(file), &receipt, &imported, store, output);
            Ok((receipt, imported))
        });
        match imported {
            Ok((receipt, imported)) => rows.push(json!({
                "file": shown(file),
                "receipt": receipt.receipt,
                "bundle": receipt.bundle,
                "sequence": receipt.sequence,
                "acknowledged": imported.acknowledged,
                "rejected": imported.rejected,
                "bundleKnown": imported.bundle_known,
            })),
            Err(failure) => {
                failed = true;
                rows.push(json!({ "file": shown(file), "error": failure.message(), "code": failure.code() }));
                output.failure(&failure);
            }
        }
    }
    let pending = match &store {
        Some(store) => Some(store.pending()?.len()),
        None => context.store(&identity)?.map(|store| store.pending()).transpose()?.map(|pending| pending.len()),
    };
    if output.is_json() {
        output.document(&json!({ "receipts": rows, "pending": pending }))?;
    } else if let Some(pending) = pending {
        output.note(&format!("{} pending", count(pending, "record")));
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The keys whose receipts are believed, of which there must be one.
pub fn trusted_keys(given: Option<&Path>, context: &Context) -> Result<Vec<PublicKey>, Failure> {
    let trusted = context.receipt_keys(given)?;
    if trusted.is_empty() {
        return Err(Failure::new("no key is trusted to sign receipts, so none can be believed").hint(
            "get Kubermatic's receipt key from a place that you trust, and put its PEM into receipt-keys.pem in the \
             state directory, or give it with --receipt-key FILE",
        ));
    }
    Ok(trusted)
}

fn check(file: &Path, client: Uuid, trusted: &[PublicKey], limits: &Limits) -> Result<Receipt, Failure> {
    let mut opened = open_bundle(file, limits)?;
    receipt::check_file(&mut opened, client, trusted, limits).map_err(|error| Failure::from(error).context(shown(file)))
}

/// A chain that is not whole is evidence, never a reason to refuse anything.
const CHAIN_HINT: &str =
    "nothing is lost: a bundle may be under way, or this store was restored or copied; see status --history";

/// Tells what a receipt did; `name` is the receipt's, or its bundle's.
pub fn tell(name: &str, receipt: &Receipt, imported: &Imported, store: &LockedStore, output: &Output) {
    output.note(&format!(
        "{name}: {} acknowledged (bundle {}, sequence {}, received {})",
        count(imported.acknowledged, "record"),
        receipt.bundle,
        receipt.sequence,
        receipt.received.as_str()
    ));
    if imported.rejected > 0 {
        let reason = receipt.records.iter().find_map(|record| record.reason.as_deref()).unwrap_or("no reason given");
        output.warning(
            &format!("{} rejected and set aside: {}", count(imported.rejected, "record"), escaped(reason)),
            None,
        );
    }
    match receipt.chain {
        Chain::Ok => {}
        Chain::Gap => output.warning("ingest has not seen the bundle before this one", Some(CHAIN_HINT)),
        Chain::Fork => output.warning("ingest has seen another bundle in this one's place", Some(CHAIN_HINT)),
    }
    if receipt.store != store.id() {
        output.warning("the receipt is for another store of this client; what matches was acknowledged", None);
    } else if !imported.bundle_known {
        output.warning("this store does not know the bundle; what matches was acknowledged", None);
    }
}

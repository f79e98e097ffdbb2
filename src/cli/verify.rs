//! `verify`: check a bundle.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use kubermatic_telemetry::bundle::verify::{self, Verified};
use kubermatic_telemetry::bundle::{Code, VerifyError};
use kubermatic_telemetry::keys::keyring::Trust;

use super::Done;
use super::context::shown;
use super::failure::Failure;
use super::files::{LimitArgs, TrustArgs, open_bundle};
use super::output::{Output, bytes, count};

/// Check a bundle: is it whole, and whose is it?
///
/// Checks the container, the signature over the manifest, the signer, the payload's digest, and every record, in that
/// order, and changes nothing. Exit code 0: valid and trusted; 3: valid, but no key of this client is trusted; 1: not
/// valid, revoked, or signed by another key than the client's.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle; `-` is stdin.
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Valid, but of an unknown signer.
pub const UNKNOWN_SIGNER: u8 = 3;

pub fn run(args: &Args, output: &Output) -> Done {
    let verified = match check(args, output) {
        Ok(verified) => verified,
        Err((failure, code)) => {
            if output.is_json() {
                let mut refused = refusal(&failure, code);
                refused["file"] = shown(&args.file).into();
                refused["result"] = "refused".into();
                output.document(&refused)?;
            }
            return Err(failure);
        }
    };
    let trusted = verified.trust == Trust::Trusted;
    if output.is_json() {
        output.document(&document(args, &verified))?;
    } else {
        print(args, &verified, output)?;
    }
    if trusted {
        return Ok(ExitCode::SUCCESS);
    }
    output.warning(
        "anybody could have signed this bundle",
        Some("compare the key id with what the client tells you, and use --keyring DIR or --key FILE"),
    );
    Ok(ExitCode::from(UNKNOWN_SIGNER))
}

/// Verifies the file; of a failure also what it is to machines where the bundle itself is not to blame.
fn check(args: &Args, output: &Output) -> Result<Verified<File>, (Failure, Code)> {
    let limits = args.limits.limits();
    let keyring = args.trust.load().map_err(|failure| (failure, Code::TrustUnavailable))?;
    let file = open_bundle(&args.file, &limits).map_err(|failure| (failure, Code::Unreadable))?;
    let mut progress = output.progress("verifying");
    let result = verify::verify(file, &keyring, &limits, &mut |done, total| progress.update(done, total));
    drop(progress);
    result.map_err(|error| {
        let code = error.code();
        (Failure::from(error).context(shown(&args.file)), code)
    })
}

/// A refusal for machines: the stable code, what people are told, and the limit that was exceeded.
pub fn refusal(failure: &Failure, code: Code) -> Value {
    let refusal = failure.refusal();
    let limit = refusal
        .and_then(|error| error.limit())
        .map(|exceeded| json!({"name": exceeded.limit.name(), "actual": exceeded.actual, "allowed": exceeded.allowed}));
    json!({
        "code": refusal.map_or(code, VerifyError::code).as_str(),
        "error": failure.message(),
        "hint": failure.find_hint(),
        "limit": limit,
    })
}

fn document(args: &Args, verified: &Verified<File>) -> Value {
    let (trusted, manifest) = (verified.trust == Trust::Trusted, &verified.manifest);
    json!({
        "file": shown(&args.file),
        "result": if trusted { "trusted" } else { "unknownSigner" },
        "code": if trusted { "valid" } else { "signerUnknown" },
        "client": manifest.client,
        "key": manifest.key,
        "store": manifest.store,
        "bundle": manifest.bundle,
        "sequence": manifest.sequence,
        "created": manifest.created,
        "manifestSha256": verified.manifest_sha256,
        "records": manifest.records.len(),
    })
}

fn print(args: &Args, verified: &Verified<File>, output: &Output) -> Result<(), Failure> {
    let manifest = &verified.manifest;
    let word = match verified.trust {
        Trust::Trusted => "valid, and signed by a trusted key",
        _ => "valid, but no key of its client is trusted",
    };
    output.line(&format!("{}: {word}", shown(&args.file)))?;
    output.line(&format!("client   {}", manifest.client))?;
    output.line(&format!("key      {}", manifest.key))?;
    output.line(&format!("sequence {}", manifest.sequence))?;
    let payload = bytes(manifest.payload.size);
    output.line(&format!("records  {}, {payload} compressed", count(manifest.records.len(), "record")))
}

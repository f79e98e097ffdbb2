//! `verify`: check a bundle.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use kubermatic_telemetry::bundle::verify;
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
    let limits = args.limits.limits();
    let keyring = args.trust.load()?;
    let file = open_bundle(&args.file, &limits)?;
    let mut progress = output.progress("verifying");
    let result = verify::verify(file, &keyring, &limits, &mut |done, total| progress.update(done, total));
    drop(progress);
    let verified = match result {
        Ok(verified) => verified,
        Err(error) => {
            let (code, hint) = (error.code(), error.hint());
            let failure = Failure::from(error);
            if output.is_json() {
                output.document(&json!({
                    "file": shown(&args.file),
                    "result": "refused",
                    "code": code,
                    "error": failure.message(),
                    "hint": hint,
                }))?;
            }
            return Err(failure.context(shown(&args.file)));
        }
    };
    let trusted = verified.trust == Trust::Trusted;
    let manifest = &verified.manifest;
    if output.is_json() {
        output.document(&json!({
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
        }))?;
    } else {
        let word =
            if trusted { "valid, and signed by a trusted key" } else { "valid, but no key of its client is trusted" };
        output.line(&format!("{}: {word}", shown(&args.file)))?;
        output.line(&format!("client   {}", manifest.client))?;
        output.line(&format!("key      {}", manifest.key))?;
        output.line(&format!("sequence {}", manifest.sequence))?;
        let payload = bytes(manifest.payload.size);
        output.line(&format!("records  {}, {payload} compressed", count(manifest.records.len(), "record")))?;
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

//! `keys`: this installation's keys, and those that a verifier trusts.

mod own;
mod trusted;

use super::Done;
use super::context::Context;
use super::output::Output;

/// Show, export, trust, revoke and rotate keys.
///
/// `show`, `export`, `rotate` and `passphrase` are for this installation's own key; the private one never leaves the
/// identity. `trust` and `revoke` are for those who verify: they change a keyring directory or an archive.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Show(own::ShowArgs),
    Export(own::ExportArgs),
    Rotate(own::RotateArgs),
    Passphrase(own::ProtectArgs),
    Trust(trusted::TrustArgs),
    Revoke(trusted::RevokeArgs),
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    match &args.verb {
        Verb::Show(_) => own::show(context, output),
        Verb::Export(args) => own::export(args, context, output),
        Verb::Rotate(args) => own::rotate(args, context, output),
        Verb::Passphrase(args) => own::protect(args, context, output),
        Verb::Trust(args) => trusted::trust(args, output),
        Verb::Revoke(args) => trusted::revoke(args, output),
    }
}

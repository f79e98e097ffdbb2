//! `pseudonym`: print the pseudonyms of names.

use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use kubermatic_telemetry::pseudonym::{NameType, Scope};

use super::Done;
use super::context::Context;
use super::failure::Failure;
use super::output::Output;

/// Print the pseudonyms of names, locally.
///
/// Computes the pseudonyms of names with this installation's key, so that you can find out which seed or cluster a
/// problem means. Nothing leaves, and nothing is stored.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the names name.
    #[arg(value_name = "TYPE", value_parser = name_type())]
    kind: NameType,
    /// The names.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// The seed that a node or machine deployment belongs to.
    #[arg(long, default_value = "", hide_default_value = true)]
    seed: String,
    /// The user cluster that a node or machine deployment belongs to.
    #[arg(long, default_value = "", hide_default_value = true)]
    cluster: String,
    /// The namespace of a machine deployment, usually kube-system.
    #[arg(long, default_value = "", hide_default_value = true)]
    namespace: String,
}

fn name_type() -> impl clap::builder::TypedValueParser<Value = NameType> {
    let names = NameType::ALL.iter().map(|kind| kind.as_str());
    PossibleValuesParser::new(names).map(|name| {
        let found = NameType::ALL.iter().find(|kind| kind.as_str() == name);
        found.copied().unwrap_or(NameType::Seed)
    })
}

pub fn run(args: &Args, context: &Context, output: &Output) -> Done {
    let scoped = !(args.seed.is_empty() && args.cluster.is_empty() && args.namespace.is_empty());
    if scoped && !args.kind.is_scoped() {
        return Err(Failure::usage(format!(
            "--seed, --cluster and --namespace do not apply to {}, which is unique in an installation",
            args.kind.as_str()
        )));
    }
    let names = context.existing_identity()?.pseudonymizer();
    let scope = Scope { seed: &args.seed, cluster: &args.cluster, namespace: &args.namespace };
    let of = |name: &str| {
        if args.kind.is_scoped() { names.scoped(args.kind, scope, name) } else { names.of(args.kind, name) }
    };
    if output.is_json() {
        let map: serde_json::Map<_, _> =
            args.names.iter().map(|name| (name.clone(), of(name).to_string().into())).collect();
        output.document(&map)?;
    } else {
        for name in &args.names {
            output.data(format!("{}\t{name}\n", of(name)).as_bytes())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

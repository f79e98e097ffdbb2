//! `schema`: show the JSON Schema of record kinds.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use kubermatic_telemetry::record::schema::{SCHEMAS, Schema};
use kubermatic_telemetry::store::durable::{self, Access, Existing};

use super::Done;
use super::context::shown;
use super::failure::Failure;
use super::output::{Output, count};

const AFTER_HELP: &str = "\
  kubermatic-telemetry schema kubermatic > kubermatic.json
  kubermatic-telemetry schema kubermatic v1 | jq '.properties | keys'

docs/analysis.md says how schemas change from version to version, and docs/schemas/ has copies.";

/// Show which kinds of records ingest knows, or the JSON Schema of one.
///
/// Ingest checks records of these kinds and versions, and rejects those that do not fit, with the reason in the receipt.
/// Records of other kinds and versions are kept as they come. The schemas are made of the types that collectors fill.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The kind; without it all are listed.
    kind: Option<String>,
    /// The version [default: the newest].
    #[arg(value_name = "VERSION")]
    of_version: Option<String>,
    /// Write all of them into this directory, one file each, over what is there.
    #[arg(long, value_name = "DIR", conflicts_with = "kind")]
    all: Option<PathBuf>,
}

pub fn run(args: &Args, output: &Output) -> Done {
    match (&args.all, &args.kind) {
        (Some(directory), _) => write_all(directory, output)?,
        (None, Some(kind)) => output.data(find(kind, args.of_version.as_deref())?.json().as_bytes())?,
        (None, None) => list(output)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The newest version of a kind comes last.
fn find(kind: &str, version: Option<&str>) -> Result<&'static Schema, Failure> {
    let wanted = |schema: &&Schema| schema.kind == kind && version.is_none_or(|version| schema.version == version);
    SCHEMAS.iter().rfind(wanted).ok_or_else(|| {
        let version = version.map(|version| format!(" {version}")).unwrap_or_default();
        let known: Vec<_> = SCHEMAS.iter().map(|schema| format!("{} {}", schema.kind, schema.version)).collect();
        Failure::usage(format!("there is no schema of {kind}{version}")).hint(format!("there are {}", known.join(", ")))
    })
}

fn write_all(directory: &Path, output: &Output) -> Result<(), Failure> {
    if !directory.is_dir() {
        let directory = shown(directory);
        return Err(Failure::new(format!("{directory} is no directory")).hint(format!("mkdir -p {directory}")));
    }
    for schema in &SCHEMAS {
        let path = directory.join(schema.file_name());
        durable::write(&path, schema.json().as_bytes(), Access::Public, Existing::Replace)?;
    }
    output.note(&format!("wrote {} to {}", count(SCHEMAS.len(), "schema"), shown(directory)));
    Ok(())
}

fn list(output: &Output) -> Result<(), Failure> {
    let schema = |schema: &Schema| json!({"kind": schema.kind, "version": schema.version, "about": schema.about});
    if output.is_json() {
        return output.document(&SCHEMAS.iter().map(schema).collect::<Vec<_>>());
    }
    for Schema { kind, version, about, .. } in &SCHEMAS {
        output.line(&format!("{kind} {version}"))?;
        output.line(&format!("    {about}"))?;
    }
    Ok(())
}

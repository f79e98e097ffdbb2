//! `completions` and `man`: what shells and readers of manuals want to know of the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use kubermatic_telemetry::store::durable::{self, Access, Existing};

use super::context::shown;
use super::failure::Failure;
use super::output::{Output, count};
use super::{Cli, Done};

/// Print a script that completes commands in a shell.
///
/// For bash: `kubermatic-telemetry completions bash > /etc/bash_completion.d/kubermatic-telemetry`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Write manual pages, one for each verb.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The directory to write them to, which must be there, such as /usr/local/share/man/man1; `-` prints the main page.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// The name that people type.
const NAME: &str = env!("CARGO_PKG_NAME");

pub fn completions(args: &CompletionsArgs, output: &Output) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    output.data(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub fn man(args: &ManArgs, output: &Output) -> Done {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    if args.directory.as_os_str() == "-" {
        output.data(&page(&command)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.directory.is_dir() {
        let directory = shown(&args.directory);
        return Err(Failure::new(format!("{directory} is no directory")).hint(format!("mkdir -p {directory}")));
    }
    let mut pages = Vec::new();
    gather(&command, &mut pages)?;
    for (name, page) in &pages {
        write(&args.directory.join(name), page)?;
    }
    output.note(&format!("wrote {} to {}", count(pages.len(), "page"), shown(&args.directory)));
    Ok(ExitCode::SUCCESS)
}

/// The page of a command and those of the commands below it, with their file names.
fn gather(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    pages.push((format!("{name}.1"), page(command)?));
    command.get_subcommands().filter(|verb| !verb.is_hide_set()).try_for_each(|verb| gather(verb, pages))
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}

fn write(path: &Path, page: &[u8]) -> Result<(), Failure> {
    Ok(durable::write(path, page, Access::Public, Existing::Replace)?)
}

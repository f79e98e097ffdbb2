//! `kubermatic-telemetry`, the program. Everything of substance is in the library; the command line is in `cli`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os())
}

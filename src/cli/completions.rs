//! `lanfence completions`: a completion script for a shell.

use super::failure::Failure;
use super::output::say;
use crate::verdict::Exit;
use clap::{Args, Command};
use clap_complete::Shell;
use std::process::ExitCode;

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Options {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub fn run(options: &Options, mut command: Command) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "lanfence", &mut script);
    say(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Pass.into())
}

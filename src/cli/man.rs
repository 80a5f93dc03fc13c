//! `lanfence man`: the manual pages.

use super::failure::Failure;
use super::output::say;
use crate::verdict::Exit;
use clap::{Args, Command};
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `man`.
#[derive(Debug, Args)]
pub struct Options {
    /// Directory to write the pages into
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Writes a page for lanfence and one for each verb.
pub fn run(options: &Options, command: Command) -> Result<ExitCode, Failure> {
    let bad = |error| Failure::file(&options.dir, error);
    std::fs::create_dir_all(&options.dir).map_err(bad)?;
    clap_mangen::generate_to(command, &options.dir).map_err(bad)?;
    say(&format!("{}/lanfence.1\n", options.dir.display()))?;
    Ok(Exit::Pass.into())
}

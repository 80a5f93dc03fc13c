//! Views of a finished run, made later from its JSON.

use super::reading::read;
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::cli::sarif::document;
use crate::cli::sarif_of_run::results;
use crate::report::{junit as xml, markdown as summary};
use crate::verdict::Exit;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The report of a run.
#[derive(Debug, Args)]
pub struct File {
    /// Report of the run, as `verify --json` writes it
    #[arg(value_name = "RUN.json")]
    run: PathBuf,
    /// Where it is written [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes a view into its file, or prints it where none is named.
pub fn put(output: Option<&Path>, text: &str) -> Result<(), Failure> {
    match output {
        Some(file) => std::fs::write(file, text).map_err(|error| Failure::file(file, error)),
        None => say(text),
    }
}

/// Prints the run as Markdown. A view is no verdict: its exit code says only that it was made.
pub fn markdown(file: &File) -> Result<ExitCode, Failure> {
    let (_, run) = read(&file.run)?;
    put(file.output.as_deref(), &summary::markdown(&run))?;
    Ok(Exit::Pass.into())
}

/// Prints the run as JUnit XML.
pub fn junit(file: &File) -> Result<ExitCode, Failure> {
    let (_, run) = read(&file.run)?;
    let text = xml::to_junit(&run).map_err(Failure::usage)?;
    put(file.output.as_deref(), &text)?;
    Ok(Exit::Pass.into())
}

/// Prints what is wrong in the run as SARIF.
pub fn sarif(file: &File) -> Result<ExitCode, Failure> {
    let (_, run) = read(&file.run)?;
    put(file.output.as_deref(), &document(&results(&run, None)))?;
    Ok(Exit::Pass.into())
}

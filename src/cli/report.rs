//! `lanfence report`: work with the reports of finished runs.

use super::failure::Failure;
use super::output::{relative, say};
use crate::report::merge::merge;
use crate::report::model::Run;
use crate::report::{html, json, table};
use crate::verdict::Exit;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `report`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    verb: Verb,
}

/// A file that is no report.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {source}")]
struct Unreadable {
    file: String,
    source: json::JsonError,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Join the reports of the partitions of a run; the exit code is that of the whole run
    Merge {
        /// Reports that `verify --json` wrote
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Write the whole run as JSON
        #[arg(long, value_name = "FILE", help_heading = "Output")]
        json: Option<PathBuf>,
    },
    /// Make the page of a run from its report, as `verify --html` does
    ///
    /// Reports of older versions make a page too, which shows less.
    Html {
        /// Report that `verify --json` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Where the page is written
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Folder that `verify --out` wrote, to link its files
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// Reads and writes.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    match &options.verb {
        Verb::Merge { files, json } => join(files, json.as_deref()),
        Verb::Html { file, output, out } => page(file, output, out.as_deref()),
    }
}

/// Writes the page of a run.
fn page(file: &Path, output: &Path, out: Option<&Path>) -> Result<ExitCode, Failure> {
    let (_, run) = read(file)?;
    let evidence = out.map(|folder| relative(output, folder)).transpose()?;
    std::fs::write(output, html::html(&run, evidence.as_deref()))
        .map_err(|error| Failure::file(output, error))?;
    Ok(Exit::Pass.into())
}

/// Joins and prints.
fn join(files: &[PathBuf], json: Option<&Path>) -> Result<ExitCode, Failure> {
    let reports = files.iter().map(|file| read(file));
    let run = merge(reports.collect::<Result<_, _>>()?).map_err(Failure::usage)?;
    say(&table::table(&run, None, false))?;
    if let Some(path) = json {
        std::fs::write(path, json::to_json(&run)).map_err(|error| Failure::file(path, error))?;
    }
    Ok(run.exit().into())
}

fn read(file: &Path) -> Result<(String, Run), Failure> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file(file, error))?;
    let run = json::from_json(&text).map_err(|source| {
        let file = name.clone();
        Failure::usage(Unreadable { file, source })
    })?;
    Ok((name, run))
}

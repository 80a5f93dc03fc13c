//! `lanfence report`: work with the reports of finished runs.

use super::failure::Failure;
use super::output::say;
use crate::report::merge::merge;
use crate::report::model::Run;
use crate::report::{json, table};
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
}

/// Reads, joins, prints.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let Verb::Merge { files, json } = &options.verb;
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

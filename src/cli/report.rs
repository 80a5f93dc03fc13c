//! `lanfence report`: work with the reports of finished runs.

mod compare;
mod diff;
mod reading;
mod views;

use super::baseline::BaselineOptions;
use super::evidence;
use super::failure::Failure;
use super::output::say;
use crate::report::baseline::Observed;
use crate::report::merge::merge;
use crate::report::{html, json, table};
use crate::verdict::Exit;
use clap::{Args, Subcommand};
use reading::read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `report`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Join the reports of the partitions of a run; the exit code is that of the whole run
    Merge(Merge),
    /// Print what a finished run, check, mutation or table of hosts changed against a baseline
    ///
    /// The exit code is that of the verb with --baseline: worse is 1, as before or better 0, and what was
    /// proven and is not now is 5.
    Compare(compare::Compare),
    /// Print what a run changed against an earlier one, and what may be why
    ///
    /// The runs may be of two commits, two hosts or two releases, but of one filter and one
    /// policy by name. Worse than the earlier run is exit code 1; what was proven and is not
    /// now is 5.
    Diff {
        /// Report of the earlier run, as `verify --json` writes it
        #[arg(value_name = "A.json")]
        before: PathBuf,
        /// Report of the later run
        #[arg(value_name = "B.json")]
        now: PathBuf,
    },
    /// Make the page of a run from its report, as `verify --html` does
    ///
    /// Reports of older versions make a page too, which shows less.
    Html {
        /// Report that `verify --json` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Where the page is written [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Folder that `verify --out` wrote: its small files become part of the page, the others are
        /// linked
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Print a run as Markdown, as the step summary of GitHub shows it
    Markdown(views::File),
    /// Print a run as JUnit XML
    Junit(views::File),
    /// Print a run's leaks, blocks and unproven probes as SARIF 2.1.0, for code-scanning pages
    Sarif(views::File),
}

/// Options of `report merge`.
#[derive(Debug, Args)]
struct Merge {
    /// Reports that `verify --json` wrote
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the whole run as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    json: Option<PathBuf>,
    #[command(flatten)]
    baseline: BaselineOptions,
}

/// Reads, joins, compares, prints.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    match &options.verb {
        Verb::Merge(options) => merged(options),
        Verb::Html { file, output, out } => page(file, output.as_deref(), out.as_deref()),
        Verb::Compare(options) => compare::run(options),
        Verb::Diff { before, now } => diff::run(before, now),
        Verb::Markdown(file) => views::markdown(file),
        Verb::Junit(file) => views::junit(file),
        Verb::Sarif(file) => views::sarif(file),
    }
}

/// Writes the page of a run. One without a file of its own links to the evidence from here.
fn page(file: &Path, output: Option<&Path>, out: Option<&Path>) -> Result<ExitCode, Failure> {
    let (_, run) = read(file)?;
    let evidence = evidence::read(&run, output.unwrap_or(Path::new(".")), out)?;
    views::put(output, &html::html(&run, &evidence))?;
    Ok(Exit::Pass.into())
}

fn merged(options: &Merge) -> Result<ExitCode, Failure> {
    let baseline = options.baseline.load()?;
    let reports = options.files.iter().map(|file| read(file));
    let run = merge(reports.collect::<Result<_, _>>()?).map_err(Failure::usage)?;
    let (text, exit) = match &baseline {
        Some(baseline) => {
            let observed = Observed::of(&run, "the whole run").map_err(Failure::usage)?;
            let cells = run.cells.iter().map(|cell| cell.name.as_str());
            baseline.check(&observed.subject, cells)?;
            let found = baseline.compare(&observed);
            let against = baseline.against();
            let exit = found.conclusion(against.strict).exit();
            (table::compared(&run, &found, against, false), exit)
        }
        None => (table::table(&run, None, false), run.exit()),
    };
    say(&text)?;
    if let Some(path) = &options.json {
        std::fs::write(path, json::to_json(&run)).map_err(|error| Failure::file(path, error))?;
    }
    Ok(exit.into())
}

//! `lanfence report compare`: a finished report held against a baseline.

use crate::cli::baseline::BaselineOptions;
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::report::baseline::read;
use crate::report::table;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `report compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// Report, as `verify --json`, `check --format json`, `mutate --json` or `cargo xtask hosts test
    /// --json` writes it
    #[arg(value_name = "REPORT.json")]
    report: PathBuf,
    #[command(flatten)]
    baseline: BaselineOptions,
}

/// No baseline to compare with.
#[derive(Debug, thiserror::Error)]
#[error(
    "nothing to compare with is named\n  cure: name the baseline with --baseline FILE; `lanfence bless` \
     writes it"
)]
struct NoBaseline;

/// Reads, compares, prints.
pub fn run(options: &Compare) -> Result<ExitCode, Failure> {
    let baseline = options.baseline.load()?;
    let baseline = baseline.ok_or_else(|| Failure::usage(NoBaseline))?;
    let path = &options.report;
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
    let name = path.display().to_string();
    let observed = read(&text, &name).map_err(Failure::usage)?;
    let (found, against) = (baseline.hold(&observed)?, baseline.against());
    say(&table::comparison(&found, against, false))?;
    Ok(found.conclusion(against.strict).exit().into())
}

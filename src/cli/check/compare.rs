//! A check held against a baseline.

use super::report::Report;
use super::results::results;
use super::{json, print};
use crate::cli::baseline::Loaded;
use crate::cli::failure::Failure;
use crate::cli::levels::Format;
use crate::cli::output::{remark, say};
use crate::cli::sarif;
use crate::report::baseline::read;
use crate::report::table;
use std::process::ExitCode;

/// Compares and prints only what changed. The other formats hold what they hold without a baseline, but
/// that SARIF has no results for what is accepted, and what changed goes to standard error.
pub fn run(report: &Report, baseline: &Loaded, format: Format) -> Result<ExitCode, Failure> {
    let document = json::json(report);
    let observed = read(&document, "this check").map_err(Failure::host)?;
    let found = baseline.hold(&observed)?;
    let changes = table::comparison(&found, baseline.against(), false);
    let changes = format!("{}\n{changes}", print::above(report));
    match format {
        Format::Text => say(&changes)?,
        Format::Sarif => {
            remark(&changes);
            say(&sarif::document(&results(report, Some(&found))))?;
        }
        Format::Json => {
            remark(&changes);
            say(&format!("{document}\n"))?;
        }
    }
    Ok(found.conclusion(baseline.against().strict).exit().into())
}

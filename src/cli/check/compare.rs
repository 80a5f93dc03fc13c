//! A check held against a baseline.

use super::report::Report;
use super::{json, print, results};
use crate::cli::baseline::Loaded;
use crate::cli::failure::Failure;
use crate::cli::levels::Format;
use crate::cli::output::{remark, say};
use crate::cli::sarif;
use crate::diagnosis::Cause;
use crate::report::baseline::{Comparison, read};
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

/// Whether a cause has a part in what got worse.
pub fn explains(found: &Comparison, cause: &Cause) -> bool {
    let mut worse = found.changes.iter().filter(|change| change.kind.is_bad());
    worse.any(|change| {
        let of_statement = |id: &String| {
            let kind = change.probe.strip_prefix(id.as_str());
            kind.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        cause.probes.contains(&change.probe) || cause.statements.iter().any(of_statement)
    })
}

//! Views of a finished run, made later from its JSON.

use super::reading::read;
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::cli::sarif::{Result as SarifResult, document};
use crate::report::findings::{Finding, findings, place};
use crate::report::model::{Failure as Wrong, FilterInfo, Run, Verdict};
use crate::report::{junit as xml, markdown as summary, titles};
use crate::verdict::Exit;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// The report of a run.
#[derive(Debug, Args)]
pub struct File {
    /// Report of the run, as `verify --json` writes it
    #[arg(value_name = "RUN.json")]
    run: PathBuf,
}

/// Prints the run as Markdown. A view is no verdict: its exit code says only that it was made.
pub fn markdown(file: &File) -> Result<ExitCode, Failure> {
    let (_, run) = read(&file.run)?;
    say(&summary::markdown(&run))?;
    Ok(Exit::Pass.into())
}

/// Prints the run as JUnit XML.
pub fn junit(file: &File) -> Result<ExitCode, Failure> {
    let (_, run) = read(&file.run)?;
    say(&xml::to_junit(&run).map_err(Failure::usage)?)?;
    Ok(Exit::Pass.into())
}

/// Prints what is wrong in the run as SARIF.
pub fn sarif(file: &File) -> Result<ExitCode, Failure> {
    let (_, run) = read(&file.run)?;
    say(&document(&results(&run)))?;
    Ok(Exit::Pass.into())
}

/// A result for each probe that leaks, is blocked or is not proven, all cells in one; and for each
/// cell that did not come to its end.
fn results(run: &Run) -> Vec<SarifResult> {
    let path = path(&run.filter);
    let result = |rule: &str, level, message| SarifResult {
        rule: rule.to_owned(),
        level,
        message,
        path: path.clone(),
        place: None,
    };
    let mut out = Vec::new();
    for verdict in [
        Verdict::Fail(Wrong::Leak),
        Verdict::Fail(Wrong::Blocked),
        Verdict::Inconclusive,
    ] {
        let level = match verdict {
            Verdict::Inconclusive => "warning",
            _ => "error",
        };
        let found = findings(run, verdict).into_iter();
        out.extend(found.map(|finding| result(verdict.word(), level, message(&finding, run))));
    }
    let errors = run
        .cells
        .iter()
        .filter_map(|cell| Some((cell, cell.error.as_ref()?)));
    out.extend(errors.map(|(cell, error)| {
        let message = format!("{}, step {}: {}", cell.name, error.step, error.message);
        result(Verdict::Inconclusive.word(), "warning", message)
    }));
    out
}

fn message(finding: &Finding, run: &Run) -> String {
    let mut text = format!(
        "{}: {} {}",
        finding.id,
        finding.summary,
        place(finding, run)
    );
    if let Some(point) = finding.last_seen {
        text = format!("{text}, last seen at {}", titles::place(point));
    }
    match &finding.note {
        Some(note) => format!("{text}: {note}"),
        None => text,
    }
}

/// The filter's file; none where it has none of its own.
fn path(filter: &FilterInfo) -> Option<String> {
    let source = filter.source.split(", ").next().unwrap_or_default();
    let is_file = source != "none" && !source.starts_with("generated from ");
    is_file.then(|| source.to_owned())
}

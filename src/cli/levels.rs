//! What `lint` and `check` share: levels of lints, formats, findings as text and JSON.

use super::failure::Failure;
use crate::nwfilter::FilterTree;
use crate::nwfilter::lint::{Finding, Levels};
use crate::report::text::wrap;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

/// Columns of text.
pub const WIDTH: usize = 100;

/// `--deny` and `--allow`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filter")]
pub struct LevelOptions {
    /// Count findings of this lint (or of `all`) as errors, with exit code 1
    #[arg(long, value_name = "LINT")]
    deny: Vec<String>,
    /// Hide findings of this lint (or of `all`); a lint that is named wins over `all`
    #[arg(long, value_name = "LINT")]
    allow: Vec<String>,
}

impl LevelOptions {
    /// The levels, their names checked.
    pub fn levels(&self) -> Result<Levels, Failure> {
        Levels::new(&self.deny, &self.allow).map_err(Failure::usage)
    }
}

/// `--format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// SARIF 2.1.0, for code-scanning pages
    Sarif,
}

/// Where a finding stands, in words.
fn place(tree: &FilterTree, finding: &Finding) -> String {
    if let Some(origin) = &finding.rule {
        return tree.describe(origin);
    }
    let (path, place) = tree.location(finding);
    match (path, place) {
        (Some(path), Some((line, column))) => format!("{path}:{line}:{column}"),
        _ => format!("filter {}", finding.filter),
    }
}

/// Findings as text.
pub fn text(tree: &FilterTree, findings: &[Finding]) -> String {
    let mut out = String::new();
    let mut paragraph = |first: &str, text: &str, indent| {
        for line in wrap(first, text, WIDTH, indent) {
            out.push_str(&line);
            out.push('\n');
        }
    };
    for finding in findings {
        let first = format!("  {}[{}] ", finding.severity.word(), finding.lint);
        paragraph(&first, &finding.message, 6);
        paragraph("      at ", &place(tree, finding), 9);
    }
    out
}

/// A finding as JSON.
pub fn json(tree: &FilterTree, finding: &Finding) -> Value {
    let (path, place) = tree.location(finding);
    let place = path
        .zip(place)
        .map(|(path, (line, column))| format!("{path}:{line}:{column}"));
    json!({
        "rule": finding.lint,
        "severity": finding.severity.word(),
        "filter": finding.filter,
        "number": finding.rule.as_ref().map(|origin| origin.rule),
        "place": place,
        "message": finding.message,
    })
}

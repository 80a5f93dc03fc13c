//! The report of a run, from its file.

use crate::cli::failure::Failure;
use crate::report::json;
use crate::report::model::Run;
use std::path::Path;

/// A file that is no report.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {source}")]
struct Unreadable {
    file: String,
    source: json::JsonError,
}

/// The report with its file's name.
pub fn read(file: &Path) -> Result<(String, Run), Failure> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file(file, error))?;
    let run = json::from_json(&text).map_err(|source| {
        let file = name.clone();
        Failure::usage(Unreadable { file, source })
    })?;
    Ok((name, run))
}

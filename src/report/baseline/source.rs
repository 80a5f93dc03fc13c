//! What was found, read from the JSON that verbs write.

use super::error::BaselineError;
use super::observed::Observed;
use crate::report::json::{JsonError, from_json};
use thiserror::Error;

/// Why a text cannot be compared.
#[derive(Debug, Error)]
pub enum SourceError {
    /// No report.
    #[error("{origin}: {source}")]
    Json {
        /// The file.
        origin: String,
        /// What is wrong.
        source: JsonError,
    },
    /// One that says nothing of a filter.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
}

/// Reads what `verify --json` writes. `origin` names it in messages, as a path does.
///
/// # Errors
/// [`SourceError`] with what is wrong and the cure.
pub fn read(text: &str, origin: &str) -> Result<Observed, SourceError> {
    let run = from_json(text).map_err(|source| SourceError::Json {
        origin: origin.to_owned(),
        source,
    })?;
    Ok(Observed::of(&run, origin)?)
}

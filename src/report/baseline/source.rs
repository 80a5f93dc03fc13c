//! What was found, read from the JSON that verbs write.

use super::error::BaselineError;
use super::found::{Check, Mutate};
use super::hosts::Hosts;
use super::observed::Observed;
use super::verb::Verb;
use crate::report::json::{JsonError, from_json};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use thiserror::Error;

/// The version of the layout that `check --format json` prints.
pub const CHECK_SCHEMA: u32 = 2;

/// The version of the layout that `mutate --json` writes.
pub const MUTATE_SCHEMA: u32 = 1;

/// The version of the layout that `cargo xtask hosts test --json` writes.
const HOSTS_SCHEMA: u32 = 1;

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
    /// No report of the verb that it names.
    #[error(
        "{origin}: this report of `{command}` cannot be read: {source}\n  cure: write it again: `{report}`",
        command = .verb.command(), report = .verb.report()
    )]
    Layout {
        /// The file.
        origin: String,
        /// The verb.
        verb: Verb,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// A report of another version.
    #[error(
        "{origin}: this report of `{command}` has schema version {found}, and this lanfence reads only \
         version {ours}\n  cure: write it again: `{report}`",
        command = .verb.command(), report = .verb.report()
    )]
    Schema {
        /// The file.
        origin: String,
        /// The verb.
        verb: Verb,
        /// The version found.
        found: u64,
        /// The version that is read.
        ours: u32,
    },
    /// A report of something that no baseline accepts.
    #[error(
        "{origin}: this is a report of `{verb}`, for which there are no baselines\n  cure: name a report of \
         `lanfence verify`, `check` or `mutate`, or of `cargo xtask hosts test`"
    )]
    Verb {
        /// The file.
        origin: String,
        /// What wrote it.
        verb: String,
    },
    /// One that says nothing of a filter.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
}

/// Which verb wrote a report. Those of `verify` do not say it, and those of `check` and `mutate` did
/// not always.
#[derive(Deserialize)]
struct Kind {
    verb: Option<String>,
    schema_version: Option<u64>,
    cells: Option<IgnoredAny>,
    statements: Option<IgnoredAny>,
    mutants: Option<IgnoredAny>,
}

/// Reads what `verify --json`, `check --format json`, `mutate --json` or `hosts test --json` writes.
/// `origin` names it in messages, as a path does.
///
/// # Errors
/// [`SourceError`] with what is wrong and the cure.
pub fn read(text: &str, origin: &str) -> Result<Observed, SourceError> {
    let origin = origin.to_owned();
    let Ok(kind) = serde_json::from_str::<Kind>(text) else {
        return verified(text, origin);
    };
    let (verb, ours) = match kind.verb.as_deref() {
        Some("check") => (Verb::Check, CHECK_SCHEMA),
        Some("mutate") => (Verb::Mutate, MUTATE_SCHEMA),
        Some("hosts test") => (Verb::Hosts, HOSTS_SCHEMA),
        Some(other) => {
            let verb = crate::report::text::clean(other);
            return Err(SourceError::Verb { origin, verb });
        }
        None if kind.cells.is_some() => return verified(text, origin),
        None if kind.mutants.is_some() => (Verb::Mutate, MUTATE_SCHEMA),
        None if kind.statements.is_some() => (Verb::Check, CHECK_SCHEMA),
        None => return verified(text, origin),
    };
    if let Some(found) = kind.schema_version.filter(|it| *it != u64::from(ours)) {
        return Err(SourceError::Schema {
            origin,
            verb,
            found,
            ours,
        });
    }
    Ok(match verb {
        Verb::Check => of::<Check>(text, &origin, verb)?.observed(&origin)?,
        Verb::Mutate => of::<Mutate>(text, &origin, verb)?.observed(&origin)?,
        Verb::Hosts => of::<Hosts>(text, &origin, verb)?.observed(),
        Verb::Verify => return verified(text, origin),
    })
}

fn of<T: DeserializeOwned>(text: &str, origin: &str, verb: Verb) -> Result<T, SourceError> {
    serde_json::from_str(text).map_err(|source| SourceError::Layout {
        origin: origin.to_owned(),
        verb,
        source,
    })
}

/// A report of `verify`.
fn verified(text: &str, origin: String) -> Result<Observed, SourceError> {
    match from_json(text) {
        Ok(run) => Ok(Observed::of(&run, &origin)?),
        Err(source) => Err(SourceError::Json { origin, source }),
    }
}

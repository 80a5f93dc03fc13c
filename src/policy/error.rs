//! What is wrong with a policy, where, and the cure.

use crate::place::position;
use thiserror::Error;

/// Most characters of a message about what is wrong.
const SHOWN: usize = 300;

/// A policy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {what}\n  cure: {cure}")]
pub struct PolicyError {
    place: String,
    what: String,
    cure: String,
}

impl PolicyError {
    pub(super) fn at(
        origin: &str,
        text: &str,
        offset: usize,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        let (line, column) = position(text, offset);
        let mut what: String = what.into();
        // The value that is wrong may be a megabyte long.
        if let Some((end, _)) = what.char_indices().nth(SHOWN) {
            what.truncate(end);
            what.push('…');
        }
        Self {
            place: format!("{origin}:{line}:{column}"),
            what,
            cure: cure.into(),
        }
    }

    pub(super) fn unreadable(origin: &str, error: &std::io::Error) -> Self {
        let cure =
            "give the path of a policy file; `lanfence.toml` of this project is an example to copy";
        Self {
            place: origin.into(),
            what: error.to_string(),
            cure: cure.into(),
        }
    }

    pub(super) fn not_utf8(origin: &str, error: &std::string::FromUtf8Error) -> Self {
        let offset = error.utf8_error().valid_up_to();
        Self {
            place: origin.into(),
            what: format!("byte {offset} is not UTF-8"),
            cure: "save the file as UTF-8".into(),
        }
    }
}

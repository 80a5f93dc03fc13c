//! What is wrong with a manifest, where, and the cure.

use crate::place::position;
use thiserror::Error;

/// Most characters of a message about what is wrong.
const SHOWN: usize = 300;

/// A manifest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {what}\n  cure: {cure}")]
pub struct ManifestError {
    place: String,
    what: String,
    cure: String,
}

impl ManifestError {
    /// Something at a byte offset of the text.
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

    /// A file that is no text at all.
    pub(super) fn unreadable(origin: &str, why: &dyn ToString) -> Self {
        Self {
            place: origin.into(),
            what: why.to_string(),
            cure: "give the path of a manifest; those in `images/` of this project are examples to copy".into(),
        }
    }
}

//! What is wrong with a manifest, where, and the cure.

use crate::place::{place, shown};
use std::path::PathBuf;
use std::string::FromUtf8Error;
use thiserror::Error;

/// What to do about a file that is no text at all.
const EXAMPLES: &str =
    "give the path of a manifest; those in `images/` of this project are examples to copy";

/// A manifest that cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("{path}: {source}\n  cure: {EXAMPLES}", path = .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not text.
    #[error("{path}: {source}\n  cure: {EXAMPLES}", path = .path.display())]
    NotUtf8 {
        /// Which file.
        path: PathBuf,
        /// Where it is none.
        source: FromUtf8Error,
    },
    /// The text is no TOML, or has a key, a word or a type that a manifest does not have.
    #[error("{place}: {what}\n  cure: {cure}", what = shown(.source.message()))]
    Toml {
        /// File, line and column.
        place: String,
        /// What to write instead.
        cure: String,
        /// What the TOML parser found.
        source: Box<toml::de::Error>,
    },
    /// A value cannot be meant.
    #[error("{place}: {what}\n  cure: {cure}", what = shown(.what))]
    Value {
        /// File, line and column.
        place: String,
        /// What is wrong with it.
        what: String,
        /// What to write instead.
        cure: String,
    },
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
        Self::Value {
            place: place(origin, text, offset),
            what: what.into(),
            cure: cure.into(),
        }
    }
}

//! Why a policy cannot be used, where in its file, and the cure.

use super::problem::Problem;
use crate::place::shown;
use std::path::PathBuf;
use std::str::Utf8Error;
use thiserror::Error;

/// A policy that cannot be used.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error(
        "{path}: {source}\n  cure: give the path of a policy file; `lanfence.toml` of this \
         project is an example to copy",
        path = .path.display()
    )]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not text.
    #[error(
        "{path}: byte {offset} is not UTF-8\n  cure: save the file as UTF-8",
        path = .path.display(),
        offset = .source.valid_up_to()
    )]
    NotUtf8 {
        /// Which file.
        path: PathBuf,
        /// The first byte that is none.
        source: Utf8Error,
    },
    /// The text is no TOML, or has a key or a type that a policy does not have.
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
    #[error("{place}: {what}\n  cure: {cure}", what = shown(&.problem.to_string()), cure = .problem.cure())]
    Value {
        /// File, line and column.
        place: String,
        /// What is wrong with it.
        problem: Problem,
    },
}

//! What is wrong with files that are to make a tree.

use crate::nwfilter::evaluate::CompileError;
use crate::nwfilter::read::ReadError;
use crate::nwfilter::referring::Referring;
use crate::nwfilter::shipped::SHIPPED_HINT;
use std::path::PathBuf;
use thiserror::Error;

/// Files that do not make a tree, or a tree that cannot be bound.
#[derive(Debug, Error)]
pub enum TreeError {
    /// A file or folder that cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder without filters.
    #[error("{}: no .xml file is in this folder", .0.display())]
    EmptyFolder(PathBuf),
    /// A file that is no filter.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// XML of libvirt that is no filter but refers to filters.
    #[error("{path}: {document}")]
    Referring {
        /// The file.
        path: String,
        /// What it refers to, and what is to be done.
        document: Referring,
    },
    /// Two files with one filter's name.
    #[error("filter {name} is given twice, the second time in {path}")]
    Twice {
        /// The name.
        name: String,
        /// The second file.
        path: String,
    },
    /// A filter to bind that no file has.
    #[error("--bind {0}: none of the files has that filter")]
    NoSuchFilter(String),
    /// More than one filter that nothing refers to.
    #[error("several filters could be bound, since nothing refers to them: {}\n  cure: give the one to bind and those that it refers to, or name it with --bind", .0.join(", "))]
    SeveralTops(Vec<String>),
    /// Filters that libvirt would refuse to bind.
    #[error("{}{source}{}", prefix(.place.as_deref()), hint(.source))]
    Compile {
        /// `file:line:column` of what it is about, where it has one.
        place: Option<String>,
        /// Why.
        source: CompileError,
    },
}

/// A place before a message; nothing where there is none.
fn prefix(place: Option<&str>) -> String {
    place.map_or_else(String::new, |place| format!("{place}: "))
}

/// What else to say of an error.
fn hint(error: &CompileError) -> String {
    match error {
        CompileError::Missing { .. } => format!("; {SHIPPED_HINT}"),
        _ => String::new(),
    }
}

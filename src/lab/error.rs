//! What can go wrong while the lab is made, and whose fault it is.

use std::path::PathBuf;
use thiserror::Error;

/// A failure of the lab. Each message says what failed, where, and the cure.
#[derive(Debug, Error)]
pub enum LabError {
    /// The host lacks something that the user can supply.
    #[error("{what}\n  cure: {cure}")]
    Host {
        /// What is missing and where it was looked for.
        what: String,
        /// What to run or change.
        cure: String,
    },
    /// A system call failed.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A file of the lab could not be written or read.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program of the lab failed.
    #[error("`{program}` failed: {detail}")]
    Program {
        /// Its command line.
        program: String,
        /// Exit status and what it printed.
        detail: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {deadline_ms} ms{detail}")]
    Deadline {
        /// Name of the wait.
        what: String,
        /// Its deadline.
        deadline_ms: u128,
        /// What was seen meanwhile, with a leading separator, or empty.
        detail: String,
    },
    /// libvirt refused a call.
    #[error("libvirt: {doing}: {}", source.message())]
    Libvirt {
        /// What was asked of it.
        doing: String,
        /// Its answer, with domain and code.
        source: Box<virt::error::Error>,
    },
}

impl LabError {
    /// A system-call error with what was being done.
    pub fn system(doing: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::System {
            doing: doing.into(),
            source: source.into(),
        }
    }

    /// A host error with its cure.
    pub fn host(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Host {
            what: what.into(),
            cure: cure.into(),
        }
    }

    /// A libvirt error with what was asked.
    pub fn libvirt(doing: impl Into<String>, error: &virt::error::Error) -> Self {
        Self::Libvirt {
            doing: doing.into(),
            source: Box::new(error.clone()),
        }
    }

    /// Whether the host or its set-up is to blame rather than the lab or the guest.
    pub fn is_host(&self) -> bool {
        matches!(self, Self::Host { .. })
    }
}

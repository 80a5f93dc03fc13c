//! What can go wrong while the lab is made, and whose fault it is.

use super::slowness::Slowness;
use std::path::PathBuf;
use std::process::{ExitStatus, Output};
use thiserror::Error;

/// A failure of the lab. Each message says what failed, where, and the cure.
#[derive(Debug, Error)]
pub enum LabError {
    /// The host lacks something that the user can supply.
    #[error("{what}{}\n  cure: {cure}", because(.source.as_deref()))]
    Host {
        /// What is missing and where it was looked for.
        what: String,
        /// How that showed, where it was not seen by looking.
        source: Option<Box<HostCause>>,
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
    #[error("`{program}` failed: {source}")]
    Program {
        /// Its command line.
        program: String,
        /// How.
        source: ProgramFault,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {deadline_ms} ms{slowness}{detail}")]
    Deadline {
        /// Name of the wait.
        what: String,
        /// How long it was.
        deadline_ms: u128,
        /// By what it was stretched.
        slowness: Slowness,
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

/// How it showed that the host lacks something.
#[derive(Debug, Error)]
pub enum HostCause {
    /// By an answer of the system.
    #[error(transparent)]
    System(#[from] std::io::Error),
    /// By the kernel's answer to a call that has no wrapper in Rust's library.
    #[error(transparent)]
    Call(#[from] nix::errno::Errno),
    /// By a path that C cannot express.
    #[error(transparent)]
    Path(#[from] std::ffi::NulError),
    /// By a program.
    #[error(transparent)]
    Program(#[from] ProgramFault),
}

/// How a program failed.
#[derive(Debug, Error)]
pub enum ProgramFault {
    /// It cannot be started.
    #[error("{source}; `cargo xtask setup` installs {package}")]
    Start {
        /// What it comes with.
        package: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// It does not read its input, or its output cannot be read.
    #[error(transparent)]
    Pipe(#[from] std::io::Error),
    /// It ended by itself and says that it failed.
    #[error("{status}: {said}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// What it printed for people.
        said: String,
    },
    /// A daemon ended that should run.
    #[error("{status}{last_words}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log, with a leading separator, or empty.
        last_words: String,
    },
}

impl ProgramFault {
    /// Of a program that says by its exit status that it failed, and why on its standard
    /// error.
    pub fn of(output: &Output) -> Self {
        Self::Failed {
            status: output.status,
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }
    }
}

/// What follows on a message whose cause is known.
fn because(cause: Option<&HostCause>) -> String {
    cause.map_or_else(String::new, |cause| format!(": {cause}"))
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
            source: None,
            cure: cure.into(),
        }
    }

    /// A host error with its cause, which follows on what is said, and its cure.
    pub fn host_because(
        what: impl Into<String>,
        source: impl Into<HostCause>,
        cure: impl Into<String>,
    ) -> Self {
        Self::Host {
            what: what.into(),
            source: Some(Box::new(source.into())),
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

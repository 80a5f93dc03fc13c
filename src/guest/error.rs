//! What can go wrong with a guest.

use crate::lab::LabError;
use thiserror::Error;

/// How a console ends, in words.
pub fn ends(last: &str) -> String {
    if last.is_empty() {
        "shows nothing".to_owned()
    } else {
        format!("ends with: {last}")
    }
}

/// A failure of a guest. Each message says what failed, in which phase, and what was seen.
#[derive(Debug, Error)]
pub enum GuestError {
    /// The lab below failed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The NIC works, but not with its filter.
    #[error("libvirt takes the NIC only without the filter: {0}")]
    Filter(LabError),
    /// The guest's kernel panicked.
    #[error("the guest's kernel panicked: {line}")]
    Panic {
        /// The console line.
        line: String,
    },
    /// The agent could not go on.
    #[error("the guest's agent gave up: {line}")]
    Fatal {
        /// Its reason.
        line: String,
    },
    /// The domain ended.
    #[error("the domain ended while {waiting}; its console {}", ends(last))]
    Died {
        /// What was being waited for.
        waiting: String,
        /// The last console line.
        last: String,
    },
    /// A phase did not finish in time.
    #[error(
        "{waiting} took longer than {deadline_ms} ms; its console {}",
        ends(last)
    )]
    Deadline {
        /// What was being waited for.
        waiting: String,
        /// The phase's deadline.
        deadline_ms: u128,
        /// The last console line.
        last: String,
    },
    /// The agent refused or failed a request.
    #[error("the agent in the guest failed to {doing}: {message}")]
    Agent {
        /// What was asked.
        doing: String,
        /// Its words.
        message: String,
    },
    /// The agent said something that does not belong to the protocol.
    #[error("the agent in the guest broke the protocol while asked to {doing}: {message}")]
    Protocol {
        /// What was asked.
        doing: String,
        /// What came.
        message: String,
    },
    /// The guest image is missing or damaged.
    #[error("{what}\n  cure: `cargo xtask image` builds it; LANFENCE_GUEST names its directory")]
    Image {
        /// Which file, and why.
        what: String,
    },
    /// QEMU has no such NIC model.
    #[error("QEMU here has no NIC model `{model}`{nearest}")]
    Nic {
        /// The model asked for.
        model: String,
        /// A suggestion, or empty.
        nearest: String,
    },
}

impl GuestError {
    /// Whether the host's set-up or the user's choice is to blame rather than the guest.
    pub fn is_host(&self) -> bool {
        match self {
            Self::Lab(error) => error.is_host(),
            Self::Image { .. } => true,
            _ => false,
        }
    }
}

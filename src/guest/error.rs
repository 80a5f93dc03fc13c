//! What can go wrong with a guest.

use crate::lab::{LabError, Slowness};
use lanfence_agent::Answer;
use std::path::PathBuf;
use thiserror::Error;

/// How a console ends, in words.
pub fn ends(last: &str) -> String {
    if last.is_empty() {
        "shows nothing".to_owned()
    } else {
        format!("ends with: {last}")
    }
}

fn because(why: &str) -> String {
    if why.is_empty() {
        String::new()
    } else {
        format!("; {why}")
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
    #[error(
        "the domain ended while {waiting}; its console {}{}",
        ends(last),
        because(why)
    )]
    Died {
        /// What was being waited for.
        waiting: String,
        /// What QEMU and libvirt noted of it; empty until that has been looked for.
        why: String,
        /// The last console line.
        last: String,
    },
    /// A phase did not finish in time.
    #[error(
        "{waiting} took longer than {deadline_ms} ms{slowness}; its console {}",
        ends(last)
    )]
    Deadline {
        /// What was being waited for.
        waiting: String,
        /// How long it was waited for.
        deadline_ms: u128,
        /// By what the wait was stretched.
        slowness: Slowness,
        /// The last console line.
        last: String,
    },
    /// The guest's CPU does not get on.
    #[error(
        "the guest's CPU was at one instruction for {still_ms} ms{slowness} while {waiting}; its console {}",
        ends(last)
    )]
    Still {
        /// What was being waited for.
        waiting: String,
        /// How long.
        still_ms: u128,
        /// By what that time was stretched.
        slowness: Slowness,
        /// The last console line.
        last: String,
    },
    /// The agent refused or failed a request.
    #[error("the agent in the guest failed to {doing}: {source}")]
    Agent {
        /// What was asked.
        doing: String,
        /// Its words.
        source: AgentWords,
    },
    /// The agent said something that does not belong to the protocol.
    #[error("the agent in the guest broke the protocol while asked to {doing}: {source}")]
    Protocol {
        /// What was asked.
        doing: String,
        /// What came, or did not.
        source: ProtocolFault,
    },
    /// The guest image is missing or damaged.
    #[error("{0}\n  cure: `cargo xtask image` builds it; LANFENCE_GUEST names its directory")]
    Image(#[from] ImageFault),
    /// QEMU has no such NIC model.
    #[error("QEMU here has no NIC model `{model}`{nearest}")]
    Nic {
        /// The model asked for.
        model: String,
        /// A suggestion, or empty.
        nearest: String,
    },
}

/// Why the agent did not do what it was asked, in its own words: it says so in English, since
/// only people read it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct AgentWords(pub String);

/// How the agent broke the protocol.
#[derive(Debug, Error)]
pub enum ProtocolFault {
    /// A line of it is no reply.
    #[error("{source} in {line:?}")]
    NoReply {
        /// The line.
        line: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It answered something else than several requests.
    #[error("{answer:?} for {requests} requests")]
    Answer {
        /// What it answered.
        answer: Box<Answer>,
        /// How many requests it had.
        requests: usize,
    },
}

/// What is wrong with a file of the guest image.
#[derive(Debug, Error)]
pub enum ImageFault {
    /// It cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The image's manifest is not the JSON that it should be.
    #[error("{path}: {source}", path = .path.display())]
    Manifest {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It is a file of another kind.
    #[error("{path} is not {wanted}", path = .path.display())]
    Kind {
        /// Which.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
    },
}

impl GuestError {
    /// Whether the host's set-up or the user's choice is to blame rather than the guest.
    pub fn is_host(&self) -> bool {
        match self {
            Self::Lab(error) => error.is_host(),
            Self::Image(_) => true,
            _ => false,
        }
    }
}

//! What can go wrong on somebody's host.

use std::path::PathBuf;
use thiserror::Error;

/// A failure on the host. Each message says what failed, where, and the cure.
#[derive(Debug, Error)]
pub enum HostError {
    /// libvirt cannot be reached.
    #[error(
        "libvirt cannot be reached at {uri}: {}\n  cure: `systemctl status libvirtd` (or virtqemud) tells whether it runs; \
         the user must be root or in the group libvirt; --connect names another one",
        source.message()
    )]
    Unreachable {
        /// The URI.
        uri: String,
        /// libvirt's answer.
        source: Box<virt::error::Error>,
    },
    /// The connection is one that has no filters.
    #[error(
        "{uri} has no network filters: libvirt has them for the whole host only\n  cure: --connect qemu:///system"
    )]
    Session {
        /// The URI.
        uri: String,
    },
    /// libvirt refused a call.
    #[error("libvirt: {doing}: {}", source.message())]
    Libvirt {
        /// What was asked of it.
        doing: String,
        /// Its answer, with domain and code.
        source: Box<virt::error::Error>,
    },
    /// A tool that shows rules cannot be started.
    #[error(
        "{program} cannot be started: {source}\n  cure: `apt install iptables ebtables nftables`"
    )]
    Tool {
        /// Which.
        program: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A tool that shows rules failed.
    #[error("{program} does not show the kernel's rules: {said}\n  cure: run lanfence as root")]
    Rules {
        /// Which.
        program: &'static str,
        /// What it printed.
        said: String,
    },
    /// A domain's XML is not understood.
    #[error(
        "the definition of {guest} is not understood: {source}\n  cure: this is a fault of lanfence; please report it with `virsh dumpxml`"
    )]
    Domain {
        /// The guest.
        guest: String,
        /// Why.
        source: crate::domain::DomainError,
    },
    /// A file of the host.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The rules that this libvirt makes cannot be told.
    #[error("it cannot be told which rules this libvirt makes of the filter {filter}: {why}")]
    Reference {
        /// The filter.
        filter: String,
        /// Why.
        why: String,
    },
    /// A tap cannot be made.
    #[error(transparent)]
    Lab(crate::lab::LabError),
    /// The gate cannot be moved or looked at.
    #[error(transparent)]
    Gate(#[from] super::gate::GateError),
    /// A guest, interface or filter is not what the command needs.
    #[error("{what}\n  cure: {cure}")]
    Refused {
        /// What is in the way.
        what: String,
        /// What to do about it.
        cure: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {} ms\n  cure: {cure}", deadline.as_millis())]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        deadline: std::time::Duration,
        /// What to do.
        cure: String,
    },
}

impl HostError {
    /// A libvirt error with what was asked.
    pub fn libvirt(doing: impl Into<String>, error: &virt::error::Error) -> Self {
        Self::Libvirt {
            doing: doing.into(),
            source: Box::new(error.clone()),
        }
    }

    /// What is in the way, and what to do about it.
    pub fn refused(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Refused {
            what: what.into(),
            cure: cure.into(),
        }
    }
}

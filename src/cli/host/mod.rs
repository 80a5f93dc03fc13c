//! The verbs for the user's host: they look at the guests that are there, and fence them.

mod audit;
mod connection;
mod reference;

use super::failure::Failure;
use clap::Subcommand;
use std::process::ExitCode;

/// The verbs for a host.
#[derive(Debug, Subcommand)]
pub enum HostVerb {
    /// Print for every interface of every guest whether the policy is in force on it
    ///
    /// lanfence reads all definitions of the guests (running, persistent, saved, snapshots),
    /// libvirt's bindings and the kernel's rules, and compares the rules with those that this
    /// libvirt makes of the same filter in a lab. It changes nothing.
    Audit(Box<audit::Options>),
    /// Tell which rules this libvirt makes of filters, in namespaces of its own; started by
    /// `audit`.
    #[command(name = crate::host::reference::WORKER, hide = true)]
    Reference(reference::Options),
}

impl HostVerb {
    /// Does what the verb says.
    ///
    /// # Errors
    /// When the verb cannot do its work.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        match self {
            Self::Audit(options) => audit::run(options),
            Self::Reference(options) => reference::run(options),
        }
    }
}

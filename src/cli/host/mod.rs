//! The verbs for the user's host: they look at the guests that are there, and fence them.

mod apply;
mod audit;
mod bridging;
mod change;
mod connection;
mod init;
mod reference;
mod remove;
mod repair;
mod watch;

pub use audit::looking;
pub use connection::{ConnectOption, failure};

use super::failure::Failure;
use clap::Subcommand;
use std::process::ExitCode;

/// The verbs for a host.
#[derive(Debug, Subcommand)]
pub enum HostVerb {
    /// Write a policy from what is on this host
    ///
    /// The prefixes, the router and the DHCP servers of the bridge or network that guests are
    /// on go into lanfence.toml, each with a comment on where it comes from. A file that is
    /// there is not overwritten.
    Init(Box<init::Options>),
    /// Fence guests: define the policy's filter, and refer to it in their interfaces
    ///
    /// lanfence puts the filterref into the running guest and into the persistent definition and
    /// leaves everything else in them as it is; then it waits until the kernel's rules are
    /// really there. A second run changes nothing. If a step fails, all that was done is taken
    /// back.
    Apply(Box<apply::Options>),
    /// Take away what `apply` put there, and only that
    Remove(Box<remove::Options>),
    /// Mend with the least change what `audit` finds
    Repair(Box<repair::Options>),
    /// Print for every interface of every guest whether the policy is in force on it
    ///
    /// lanfence reads all definitions of the guests (running, persistent, saved, snapshots),
    /// libvirt's bindings and the kernel's rules, and compares the rules with those that this
    /// libvirt makes of the same filter in a lab. It changes nothing.
    Audit(Box<audit::Options>),
    /// Keep guests fenced: close the tap of a guest whose fence falls, mend it, open it again
    ///
    /// lanfence listens to the kernel's notifications of rules and devices and to libvirt's
    /// events, and audits all guests from time to time. Where the kernel no longer has the
    /// rules that were proven for a guest's interface, a rule of lanfence's own drops all its
    /// frames within milliseconds; then the fence is repaired as `repair` does, and the tap is
    /// opened when the rules are proven again. A new tap on a bridge that the policy fences is
    /// closed until then, too.
    ///
    /// It runs until SIGTERM; what is closed then stays closed, and the next start takes it
    /// over. SIGHUP reads the policy again.
    Watch(watch::Options),
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
            Self::Init(options) => init::run(options),
            Self::Apply(options) => apply::run(options),
            Self::Remove(options) => remove::run(options),
            Self::Repair(options) => repair::run(options),
            Self::Audit(options) => audit::run(options),
            Self::Watch(options) => watch::run(options),
            Self::Reference(options) => reference::run(options),
        }
    }
}

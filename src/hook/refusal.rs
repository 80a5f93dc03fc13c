//! Why a guest may not start. libvirt prints the text as the reason of its own error.

use crate::domain::{DomainError, HostDevice, Interface, Unfilterable};
use crate::policy::Policy;
use crate::shell;
use thiserror::Error;

/// Why a guest may not start.
#[derive(Debug, Clone, Error)]
pub enum Refusal {
    /// libvirt handed over something that is no definition.
    #[error("the definition of the guest cannot be read, so lanfence does not let it start: {0}")]
    Definition(#[from] DomainError),
    /// An interface without the policy's filter.
    #[error(
        "the guest {guest} may not start: its interface {interface} {has}, and the policy wants \
         the filter {filter} there\n  cure: lanfence apply {argument}"
    )]
    Open {
        /// The guest.
        guest: String,
        /// Its interface.
        interface: String,
        /// What the interface has instead.
        has: String,
        /// The policy's filter.
        filter: String,
        /// The guest as an argument of a command.
        argument: String,
    },
    /// An interface that takes no filter.
    #[error(
        "the guest {guest} may not start: the policy fences its interface {interface}, and no \
         filter can hold it, because {reason}\n  cure: lanfence apply {argument}, which prints the way \
         to a bridge"
    )]
    Unfilterable {
        /// The guest.
        guest: String,
        /// Its interface.
        interface: String,
        /// Why no filter can hold it.
        reason: Unfilterable,
        /// The guest as an argument of a command.
        argument: String,
    },
    /// A NIC that libvirt knows nothing of.
    #[error(
        "the guest {guest} may not start: the policy fences the guest, and it has {nic}, which no \
         filter sees\n  cure: take it out with `virsh edit {argument}`"
    )]
    Unseen {
        /// The guest.
        guest: String,
        /// The NIC.
        nic: String,
        /// The guest as an argument of a command.
        argument: String,
    },
}

impl Refusal {
    pub(super) fn open(guest: &str, interface: &Interface, policy: &Policy) -> Self {
        let names = interface.filterrefs.iter();
        let names: Vec<&str> = names.map(|reference| reference.filter.as_str()).collect();
        let has = match names.as_slice() {
            [] => "has no filterref".to_owned(),
            [other] => format!("has a filterref to {other}"),
            several => format!("has several filterrefs, to {}", several.join(" and ")),
        };
        Self::Open {
            guest: guest.to_owned(),
            interface: interface.label(),
            has,
            filter: policy.name.clone(),
            argument: argument(guest, !names.is_empty()),
        }
    }

    pub(super) fn unfilterable(guest: &str, interface: &Interface, reason: Unfilterable) -> Self {
        Self::Unfilterable {
            guest: guest.to_owned(),
            interface: interface.label(),
            reason,
            argument: argument(guest, false),
        }
    }

    pub(super) fn unseen(guest: &str, nic: &HostDevice) -> Self {
        Self::Unseen {
            guest: guest.to_owned(),
            nic: nic.to_string(),
            argument: argument(guest, false),
        }
    }
}

/// A guest's name as a shell takes it, and the option that replaces another filter.
fn argument(guest: &str, replace: bool) -> String {
    let option = if replace { "--replace " } else { "" };
    format!("{option}{}", shell::argument(guest))
}

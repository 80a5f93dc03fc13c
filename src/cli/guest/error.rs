//! Why a guest does not say which filter is meant.

use crate::domain::{Domain, DomainError, Interface, Unfilterable};
use crate::shell::argument;
use thiserror::Error;

/// Why a guest does not say which filter is meant.
#[derive(Debug, Error)]
pub enum GuestError {
    /// The file is no definition of a guest.
    #[error("{origin}: {source}")]
    Definition {
        /// The file.
        origin: String,
        /// Why.
        source: DomainError,
    },
    /// The guest went away while it was looked at.
    #[cfg(feature = "lab")]
    #[error("the guest {0} has gone away meanwhile\n  cure: `virsh list --all` shows the guests")]
    Gone(String),
    /// Something that the guest says itself.
    #[error(
        "{0} says what the guest's interface says itself\n  cure: leave {0} out, or leave the guest out"
    )]
    Said(&'static str),
    /// The guest has no NIC.
    #[error("the guest {0} has no network interface, so nothing of it is filtered")]
    NoInterface(String),
    /// No interface of that name.
    #[error("no interface of the guest {guest} is called {word}\n  cure: it has {all}")]
    NotFound {
        /// The guest.
        guest: String,
        /// The word of the user.
        word: String,
        /// All interfaces.
        all: String,
    },
    /// More than one interface.
    #[error(
        "the guest {guest} has several interfaces that may be meant\n  cure: name one with --interface: {all}"
    )]
    Several {
        /// The guest.
        guest: String,
        /// Those that may be meant.
        all: String,
    },
    /// An interface without a filter.
    #[error(
        "the interface {interface} of the guest {guest} has no filterref, so libvirt filters nothing there\n  cure: lanfence apply {argument}"
    )]
    Open {
        /// The interface.
        interface: String,
        /// The guest.
        guest: String,
        /// The guest as an argument of a command.
        argument: String,
    },
    /// An interface with several filters.
    #[error(
        "the interface {interface} of the guest {guest} has several filterrefs, to {filters}, and libvirt takes one\n  cure: take the others out with `virsh edit {argument}`"
    )]
    SeveralFilters {
        /// The interface.
        interface: String,
        /// The guest.
        guest: String,
        /// The filters.
        filters: String,
        /// The guest as an argument of a command.
        argument: String,
    },
    /// An interface that no filter holds.
    #[error(
        "no filter can hold the interface {interface} of the guest {guest}, because {reason}\n  cure: lanfence apply {argument}, which prints the way to a bridge"
    )]
    Unfilterable {
        /// The interface.
        interface: String,
        /// The guest.
        guest: String,
        /// Why.
        reason: Unfilterable,
        /// The guest as an argument of a command.
        argument: String,
    },
    /// libvirt does not have the filter.
    #[cfg(feature = "lab")]
    #[error(
        "the interface refers to the filter {0}, which libvirt does not have, so the guest cannot start\n  cure: define the filter with `virsh nwfilter-define`"
    )]
    Undefined(String),
    /// The command line does not have the filter.
    #[error(
        "the interface refers to the filter {0}, which is not given\n  cure: give the file that `virsh nwfilter-dumpxml {0}` prints, and those of the filters that it refers to"
    )]
    NotGiven(String),
}

impl GuestError {
    pub(super) fn not_found(domain: &Domain, word: &str) -> Self {
        let all: Vec<&Interface> = domain.interfaces.iter().collect();
        Self::NotFound {
            guest: domain.name.clone(),
            word: word.to_owned(),
            all: names(&all),
        }
    }

    pub(super) fn several(domain: &Domain, several: &[&Interface]) -> Self {
        Self::Several {
            guest: domain.name.clone(),
            all: names(several),
        }
    }

    /// An interface that has not exactly one filter.
    pub(super) fn open(domain: &Domain, interface: &Interface) -> Self {
        let (guest, argument) = (domain.name.clone(), argument(&domain.name));
        let interface_name = interface.label();
        let filters = interface.filterrefs.iter();
        let filters: Vec<&str> = filters.map(|one| one.filter.as_str()).collect();
        if filters.is_empty() {
            return Self::Open {
                interface: interface_name,
                guest,
                argument,
            };
        }
        Self::SeveralFilters {
            interface: interface_name,
            guest,
            filters: filters.join(" and "),
            argument,
        }
    }

    pub(super) fn unfilterable(
        domain: &Domain,
        interface: &Interface,
        reason: Unfilterable,
    ) -> Self {
        Self::Unfilterable {
            interface: interface.label(),
            guest: domain.name.clone(),
            reason,
            argument: argument(&domain.name),
        }
    }
}

/// What interfaces can be called, and where they are.
fn names(interfaces: &[&Interface]) -> String {
    let name = |interface: &&Interface| {
        let label = interface.label();
        let device = interface.target.as_ref().filter(|device| **device != label);
        let device = device.map_or_else(String::new, |device| format!("{device}, "));
        let source = interface.source.as_ref();
        let source = source.map_or_else(String::new, |source| format!(" {source}"));
        format!("{label} ({device}{}{source})", interface.kind)
    };
    let names: Vec<String> = interfaces.iter().map(name).collect();
    names.join(", ")
}

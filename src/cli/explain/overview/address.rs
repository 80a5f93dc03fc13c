//! Where the guest's address comes from, and what passes until libvirt knows it.

use crate::frame::Mac;
use crate::nwfilter::FilterTree;
use crate::nwfilter::evaluate::{Backend, Compiled};
use crate::nwfilter::examples::{Source, Variable};
use crate::nwfilter::learning::{AddressSource, Learning, values};
use crate::nwfilter::lint::{self, Finding};
use crate::nwfilter::vocabulary::variables::{IP, LEARNING};
use std::net::Ipv4Addr;

/// What libvirt does about an address that nothing gives.
#[derive(Debug, Clone)]
pub enum Unset {
    /// It learns it, under these rules meanwhile; the address is an example.
    Learnt(Learning, Box<Compiled>, Ipv4Addr),
    /// It refuses the filter: the interface forbids it to learn, in these words.
    Forbidden(String),
    /// It refuses the filter, for other things are unset as well.
    Refused,
}

impl Unset {
    /// None where something gives the address, or nothing asks for it.
    pub fn of(
        tree: &FilterTree,
        mac: Mac,
        given: &[(String, String)],
        backend: Backend,
        variables: &[Variable],
    ) -> Option<Self> {
        let is_unset = |one: &&Variable| one.name == IP && one.source == Source::Example;
        let example = variables.iter().find(is_unset)?;
        let address: Ipv4Addr = example.values.first()?.parse().ok()?;
        if Learning::of(given).is_none() {
            return Some(Self::Forbidden(values(given, LEARNING).collect()));
        }
        let Ok(bound) = tree.bind(mac, address, given, backend) else {
            return Some(Self::Refused);
        };
        match (bound.address, bound.while_learning) {
            (AddressSource::Learnt(learning), Some(rules)) => {
                Some(Self::Learnt(learning, Box::new(rules), address))
            }
            _ => None,
        }
    }

    /// What it means for the variable.
    pub fn words(&self) -> String {
        match self {
            Self::Learnt(Learning::Any, ..) => {
                "an example; if the interface does not set it, libvirt takes the first address that the guest uses".to_owned()
            }
            Self::Learnt(Learning::Dhcp, ..) => {
                "an example; the interface does not set it, and libvirt takes that of the guest's DHCP lease".to_owned()
            }
            Self::Forbidden(value) => format!(
                "an example; the interface must set it, else libvirt refuses the filter: with {LEARNING}={value} it does not learn it"
            ),
            Self::Refused => {
                "an example; the interface must set it, else libvirt refuses the filter: it learns it only where nothing else is unset".to_owned()
            }
        }
    }

    /// The rules that are in force until libvirt knows the address.
    pub fn meanwhile(&self) -> Option<&Compiled> {
        match self {
            Self::Learnt(_, rules, _) => Some(rules),
            Self::Forbidden(_) | Self::Refused => None,
        }
    }

    /// What gets out meanwhile and must not.
    pub fn lets_out(&self, tree: &FilterTree, filter: &Compiled, mac: Mac) -> Option<Finding> {
        match self {
            Self::Learnt(Learning::Any, _, address) => {
                lint::lets_out(&tree.filters, filter, mac, Some(*address))
            }
            _ => None,
        }
    }
}

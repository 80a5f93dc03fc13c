//! The audit: what is in force on each interface of each guest, and why.
//!
//! It judges what an [`Inventory`] holds and asks nobody but the reference lab. What could not
//! be looked at is unknown, and never counts as fenced.

mod filters;
mod judge;
mod reason;
mod rules;
mod scope;
mod state;
mod types;

pub use reason::{Definition, Reason, quoted};
pub use scope::{Scope, Subject, bridge, wanted};
pub use state::State;
pub use types::{Audit, InterfaceReport};

use super::gate;
use super::inventory::{Guest, Inventory};
use super::reference::{References, Wanted};
use crate::nwfilter;
use crate::policy::Policy;
use filters::Filters;
use judge::Judge;
use std::time::Duration;

/// How often an audit looks again while libvirt is making rules, and how long it waits before.
pub const LOOKS: u32 = 20;
/// See [`LOOKS`].
pub const LOOK: Duration = Duration::from_millis(250);

/// Audits the interfaces that are meant. `references` keeps what it has asked the lab for the
/// next time.
pub fn audit(
    inventory: &Inventory,
    policy: &Policy,
    scope: &Scope,
    references: &mut References,
) -> Audit {
    let subjects = scope.subjects(inventory);
    let live = subjects.iter().filter_map(|subject| subject.live);
    let wanted: Vec<Wanted> = live.filter_map(|one| wanted(one, inventory)).collect();
    references.ask(&wanted);
    let mut judge = Judge {
        inventory,
        policy,
        references,
        ours: nwfilter::generate(policy),
        filters: Filters::default(),
        closed: gate::closed().map_err(|error| error.to_string()),
    };
    let mut interfaces: Vec<InterfaceReport> = Vec::new();
    let mut guest = "";
    for subject in &subjects {
        interfaces.push(judge.report(subject));
        if subject.guest.name != guest {
            interfaces.extend(other_ways(subject.guest));
        }
        guest = &subject.guest.name;
    }
    Audit { interfaces }
}

/// The ways out of a guest that are no interface: no filter sees them.
fn other_ways(guest: &Guest) -> Vec<InterfaceReport> {
    let defined = guest.live.as_ref().or(guest.config.as_ref());
    let devices = defined.map_or(&[][..], |one| &one.domain.hostdev_nics);
    let reports = devices.iter().map(|device| InterfaceReport {
        guest: guest.name.clone(),
        running: guest.live.is_some(),
        mac: None,
        device: None,
        network: device.to_string(),
        filter: None,
        known: false,
        state: State::Unfilterable,
        reasons: vec![Reason::SecondWay(device.to_string())],
    });
    reports.collect()
}

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
mod words;

pub use reason::{Definition, Reason};
pub use scope::{Scope, Subject, bridge};
pub use state::State;
pub use types::{Audit, InterfaceReport};

use super::gate;
use super::inventory::{Guest, Inventory};
use super::reference::{Prepared, References, Wanted};
use crate::nwfilter::{self, FilterRef};
use crate::policy::Policy;
use filters::Filters;
use judge::Judge;
use std::collections::HashMap;
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
    let wanted = wanted(&subjects, inventory);
    // What cannot be seen need not be known.
    if inventory.rules.is_ok() {
        references.ask(wanted.iter().flatten());
    }
    let mut judge = Judge {
        inventory,
        policy,
        references,
        ours: nwfilter::generate(policy),
        filters: Filters::default(),
        closed: gate::closed().map_err(|error| error.to_string()),
        content: None,
    };
    let mut interfaces: Vec<InterfaceReport> = Vec::new();
    let mut guest = "";
    for (subject, wanted) in subjects.iter().zip(&wanted) {
        interfaces.push(judge.report(subject, wanted.as_ref()));
        if subject.guest.name != guest {
            interfaces.extend(other_ways(subject.guest));
        }
        guest = &subject.guest.name;
    }
    Audit { interfaces }
}

/// The rules that each running interface's filter asks for; none where it has no filter, or one
/// that libvirt does not have. A filter is read once, however many guests have it.
fn wanted(subjects: &[Subject<'_>], inventory: &Inventory) -> Vec<Option<Wanted>> {
    let mut known: HashMap<FilterRef, Option<Prepared>> = HashMap::new();
    let of = |subject: &Subject<'_>| {
        let live = subject.live?;
        let reference = live.filterref()?;
        let prepared = known.entry(reference.clone()).or_insert_with(|| {
            let FilterRef { filter, parameters } = reference;
            Prepared::of(&inventory.filters, filter, parameters).ok()
        });
        Some(prepared.as_ref()?.wanted(live.mac?))
    };
    subjects.iter().map(of).collect()
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

//! The audit: what is in force on each interface of each guest, and why.
//!
//! It judges what an [`Inventory`] holds and asks nobody but the reference lab. What could not
//! be looked at is unknown, and never counts as fenced.

mod beside;
mod filters;
mod judge;
mod known;
mod reason;
mod rules;
mod scope;
mod state;
mod types;
mod words;

pub use known::{fences_to_keep, fences_without};
pub use reason::{Definition, Reason};
pub use scope::{Scope, Subject, bridge};
pub use state::State;
pub use types::{Audit, InterfaceReport};

use super::gate;
use super::inventory::Inventory;
use super::reference::{Prepared, References, Wanted};
use crate::nwfilter::{self, FilterRef};
use crate::policy::Policy;
use beside::{other_ways, stale_bindings};
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
        filters: Filters::default(),
        closed: gate::closed().map_err(|error| error.to_string()),
        differs: differs(inventory, policy),
        files: HashMap::new(),
    };
    let mut interfaces: Vec<InterfaceReport> = Vec::new();
    let mut reports = subjects.iter().zip(&wanted).peekable();
    for guest in &inventory.guests {
        let own = |next: &(&Subject<'_>, &Option<Wanted>)| next.0.guest.uuid == guest.uuid;
        let mut is_meant = scope.means_guest(guest);
        while let Some((subject, wanted)) = reports.next_if(own) {
            interfaces.push(judge.report(subject, wanted.as_ref()));
            is_meant = true;
        }
        if is_meant {
            interfaces.extend(other_ways(guest));
        }
    }
    interfaces.extend(stale_bindings(inventory, scope));
    Audit { interfaces }
}

/// How the policy's filter as libvirt has it differs from the policy; none where libvirt has none.
fn differs(inventory: &Inventory, policy: &Policy) -> Option<String> {
    let xml = inventory.filters.get(&policy.name)?;
    match nwfilter::as_libvirt(xml, &policy.name) {
        Ok(document) => nwfilter::difference(&nwfilter::generate(policy), &document.filter),
        Err(error) => Some(error.to_string()),
    }
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

//! What `remove` changes: it takes away what `apply` put there, and only that.

use super::apply::{is_ours, reference};
use super::plan::Plan;
use super::record::Record;
use super::step::{Change, Step, Target};
use crate::domain::{Domain, Interface};
use crate::host::audit::{Scope, Subject};
use crate::host::inventory::{Guest, Inventory};
use crate::host::{gate, links};
use crate::nwfilter::{FilterRef, generate};
use crate::policy::Policy;

/// Plans it. `record` says what `apply` found in the place of the filter.
pub fn plan(inventory: &Inventory, policy: &Policy, scope: &Scope, record: &Record) -> Plan {
    let mut plan = Plan::default();
    let subjects = scope.subjects(inventory);
    for subject in &subjects {
        interface(policy, subject, record, &mut plan);
    }
    free(&subjects, &mut plan);
    undefine(inventory, policy, &subjects, record, &mut plan);
    plan
}

fn interface(policy: &Policy, subject: &Subject<'_>, record: &Record, plan: &mut Plan) {
    let Some(target) = Target::of(subject) else {
        return;
    };
    let ours = reference(policy);
    let change = |interface: Option<&Interface>, before: Option<FilterRef>| {
        let has = interface?
            .filterrefs
            .iter()
            .find(|one| one.filter == ours.filter)?;
        Some(Change {
            target: target.clone(),
            from: Some(has.clone()),
            to: before,
        })
    };
    let before = record.before(&target.uuid, target.mac);
    let live = change(subject.live, before.live.clone());
    let config = change(subject.config, before.config.clone());
    if live.is_none() && config.is_none() {
        return;
    }
    plan.steps.extend(config.map(Step::Config));
    if let Some(live) = live {
        if live.to.is_some() {
            plan.proven.push(target.clone());
        }
        plan.push(Step::Live(live));
    }
}

/// A device that a change which did not come to its end has left closed is opened again, and
/// one that is no longer there is forgotten.
fn free(subjects: &[Subject<'_>], plan: &mut Plan) {
    let devices = subjects
        .iter()
        .filter_map(|subject| subject.live?.target.clone());
    let devices: Vec<String> = devices.collect();
    // Who may not look has closed nothing.
    for device in gate::closed().unwrap_or_default() {
        if devices.contains(&device) || !links::exists(&device) {
            plan.push(Step::Free(device));
        }
    }
}

/// The filter goes with its last user, if `apply` has defined it.
fn undefine(
    inventory: &Inventory,
    policy: &Policy,
    subjects: &[Subject<'_>],
    record: &Record,
    plan: &mut Plan,
) {
    let Some(xml) = inventory.filters.get(&policy.name) else {
        return;
    };
    if !record.defined(&policy.name) || !is_ours(xml, &generate(policy)) {
        return;
    }
    let named = |guest: &Guest| {
        let removed = |interface: &Interface| {
            let mut subjects = subjects.iter();
            subjects.any(|subject| {
                subject.guest.uuid == guest.uuid && subject.interface().mac == interface.mac
            })
        };
        let names = |domain: &Domain, counts: &dyn Fn(&Interface) -> bool| {
            let interfaces = domain.interfaces.iter().filter(|one| counts(one));
            let mut references = interfaces.flat_map(|one| &one.filterrefs);
            references.any(|reference| reference.filter == policy.name)
        };
        let left = |interface: &Interface| !removed(interface);
        let now = [&guest.live, &guest.config].into_iter().flatten();
        let mut now = now.map(|defined| &defined.domain);
        let later = guest.saved.iter().map(|defined| &defined.domain);
        let snapshots = guest.snapshots.iter().flat_map(|(_, snapshot)| {
            [Some(&snapshot.domain), snapshot.inactive.as_ref()]
                .into_iter()
                .flatten()
        });
        now.any(|domain| names(domain, &left))
            || later
                .chain(snapshots)
                .any(|domain| names(domain, &|_| true))
    };
    if let Some(guest) = inventory.guests.iter().find(|guest| named(guest)) {
        plan.warn(
            format!(
                "the filter {} stays: {} still names it",
                policy.name, guest.name
            ),
            "nothing; it goes with its last user",
        );
        return;
    }
    plan.push(Step::Undefine {
        name: policy.name.clone(),
        before: xml.clone(),
    });
}

//! Which interfaces are to have the policy's filter, whether they have it or not.

use super::reason::Definition;
use super::scope::{Scope, Subject, place};
use crate::domain::Interface;
use crate::frame::Mac;
use crate::host::fences::{Fences, Present, Was};
use crate::host::inventory::{Defined, Inventory};
use crate::policy::Policy;
use std::collections::BTreeSet;

/// Whether one of the interface's definitions refers to the policy's filter.
pub fn names(subject: &Subject<'_>, policy: &Policy) -> bool {
    let all = [subject.live, subject.config, subject.saved].into_iter();
    let mut references = all.flatten().flat_map(|one| &one.filterrefs);
    references.any(|reference| reference.filter == policy.name)
}

/// How lanfence has fenced the interface; none where it has not.
pub fn was(subject: &Subject<'_>, inventory: &Inventory, policy: &Policy) -> Option<Was> {
    let fences = inventory.fences.as_ref().ok()?;
    let all = macs(subject);
    let place = place(subject.interface(), inventory);
    let is_there = |uuid: &str| inventory.has(uuid);
    fences.was(&policy.name, at(subject, &place, &all)?, is_there)
}

/// What is to be kept in mind of these interfaces: those that have the filter, and all of them where
/// the user has just asked for it (`anew`). None where nothing is new.
///
/// # Errors
/// When what was kept in mind before cannot be told.
pub fn fences_to_keep(
    inventory: &Inventory,
    policy: &Policy,
    subjects: &[Subject<'_>],
    anew: bool,
) -> Result<Option<Fences>, String> {
    let before = inventory.fences.as_ref().map_err(Clone::clone)?;
    let mut fences = before.clone();
    for subject in subjects.iter().filter(|one| anew || names(one, policy)) {
        let all = macs(subject);
        let place = place(subject.interface(), inventory);
        let is_there = |uuid: &str| inventory.has(uuid);
        let Some(at) = at(subject, &place, &all) else {
            continue;
        };
        let is_meant = |mac: &Mac| {
            let own = |other: &&Subject<'_>| other.guest.uuid == subject.guest.uuid;
            let mut own = subjects.iter().filter(own);
            own.any(|other| other.interface().mac == Some(*mac) && (anew || names(other, policy)))
        };
        let beside = all.iter().copied().filter(|mac| !is_meant(mac)).collect();
        fences.keep(&policy.name, at, &beside, anew, is_there);
    }
    Ok((fences != *before).then_some(fences))
}

/// What is left to be kept in mind when the interfaces that are meant are no longer to be fenced. None
/// where nothing is forgotten.
///
/// # Errors
/// When what was kept in mind before cannot be told.
pub fn fences_without(
    inventory: &Inventory,
    policy: &Policy,
    scope: &Scope,
) -> Result<Option<Fences>, String> {
    let before = inventory.fences.as_ref().map_err(Clone::clone)?;
    let mut fences = before.clone();
    let is_there = |uuid: &str| inventory.has(uuid);
    for subject in scope.subjects(inventory) {
        let all = macs(&subject);
        let place = place(subject.interface(), inventory);
        if let Some(at) = at(&subject, &place, &all) {
            fences.forget(&policy.name, at, is_there);
        }
    }
    for guest in inventory.guests.iter().filter(|it| scope.means_guest(it)) {
        fences.forget_guest(&policy.name, &guest.name, &guest.uuid, is_there);
    }
    Ok((fences != *before).then_some(fences))
}

fn at<'a>(subject: &Subject<'a>, place: &'a str, all: &'a BTreeSet<Mac>) -> Option<Present<'a>> {
    Some(Present {
        guest: &subject.guest.name,
        uuid: &subject.guest.uuid,
        mac: subject.interface().mac?,
        place,
        all,
    })
}

/// The interfaces of the definition that the subject's interface is in: what is in the persistent one
/// only does not run.
fn macs(subject: &Subject<'_>) -> BTreeSet<Mac> {
    let of = |defined: &Option<Defined>| {
        let interfaces = defined.iter().flat_map(|one| &one.domain.interfaces);
        interfaces.filter_map(|one: &Interface| one.mac).collect()
    };
    match subject.definition() {
        Definition::Live => of(&subject.guest.live),
        Definition::Config => of(&subject.guest.config),
        Definition::Saved | Definition::Snapshot(_) => of(&subject.guest.saved),
    }
}

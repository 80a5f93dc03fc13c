//! What an audit tells of beside the interfaces of guests.

use super::reason::{Definition, Reason};
use super::scope::Scope;
use super::state::State;
use super::types::InterfaceReport;
use crate::host::inventory::{Guest, Inventory};
use crate::host::links;
use std::collections::BTreeSet;

/// The ways out of a guest that are no interface: no filter sees them.
pub fn other_ways(guest: &Guest) -> Vec<InterfaceReport> {
    let now = [
        (Definition::Live, guest.live.as_ref()),
        (Definition::Config, guest.config.as_ref()),
        (Definition::Saved, guest.saved.as_ref()),
    ];
    let now = now
        .into_iter()
        .filter_map(|(which, it)| Some((which, &it?.domain)));
    let later = guest.snapshots.iter().flat_map(|(name, snapshot)| {
        let domains = [Some(&snapshot.domain), snapshot.inactive.as_ref()];
        let which = Definition::Snapshot(name.clone());
        domains
            .into_iter()
            .flatten()
            .map(move |it| (which.clone(), it))
    });
    let mut ways: Vec<(String, Vec<Reason>)> = Vec::new();
    for (which, domain) in now.chain(later) {
        for device in &domain.hostdev_nics {
            let way = device.to_string();
            let reason = Reason::SecondWay(which.clone(), way.clone());
            match ways.iter_mut().find(|(other, _)| *other == way) {
                Some((_, reasons)) if reasons.contains(&reason) => {}
                Some((_, reasons)) => reasons.push(reason),
                None => ways.push((way, vec![reason])),
            }
        }
    }
    let running = guest.live.is_some();
    let report = |(way, reasons)| report(&guest.name, running, way, reasons);
    ways.into_iter().map(report).collect()
}

/// Bindings of devices that are gone, as after the end of a guest while libvirtd was down: no guest
/// starts whose tap gets that name.
pub fn stale_bindings(inventory: &Inventory, scope: &Scope) -> Vec<InterfaceReport> {
    let live = inventory
        .guests
        .iter()
        .filter_map(|guest| guest.live.as_ref());
    let live = live.flat_map(|one| &one.domain.interfaces);
    let used: BTreeSet<&String> = live.filter_map(|one| one.target.as_ref()).collect();
    let is_meant = |owner: &String| scope.is_everything() || scope.guests.contains(owner);
    let mut stale = Vec::new();
    for (device, binding) in &inventory.bindings {
        let owner = binding.owner.clone().unwrap_or_default();
        if is_meant(&owner) && !used.contains(device) && !links::exists(device) {
            let reason = Reason::StaleBinding(device.clone());
            stale.push(report(&owner, false, device.clone(), vec![reason]));
        }
    }
    stale.sort_by(|one, other| one.network.cmp(&other.network));
    stale
}

fn report(guest: &str, running: bool, what: String, reasons: Vec<Reason>) -> InterfaceReport {
    let mut report = InterfaceReport {
        guest: guest.to_owned(),
        running,
        mac: None,
        device: None,
        network: what,
        filter: None,
        known: false,
        state: State::Fenced,
        reasons: Vec::new(),
    };
    for reason in reasons {
        report.add(reason);
    }
    report
}

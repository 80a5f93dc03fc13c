//! Judges one interface.

use super::filters::{Filters, Kept};
use super::known;
use super::reason::{Definition, Reason};
use super::rules::{Installed, rules};
use super::scope::{Subject, bridge, place};
use super::state::State;
use super::types::InterfaceReport;
use crate::domain::{Domain, Interface, Unfilterable};
use crate::host::fences::Was;
use crate::host::inventory::Inventory;
use crate::host::libvirt::filter_file;
use crate::host::reference::{References, Wanted};
use crate::nwfilter::{FilterTree, as_libvirt, difference};
use crate::policy::Policy;
use std::collections::{BTreeSet, HashMap};

/// What judging takes.
pub struct Judge<'a> {
    /// What was looked at.
    pub inventory: &'a Inventory,
    /// What is meant.
    pub policy: &'a Policy,
    /// The rules that this libvirt makes.
    pub references: &'a References,
    /// What other filters do.
    pub filters: Filters,
    /// The devices that lanfence has closed.
    pub closed: Result<BTreeSet<String>, String>,
    /// How the policy's filter as libvirt has it differs from the policy, if it does.
    pub differs: Option<String>,
    /// What is wrong with the files of a filter and of those that it refers to, once it is known.
    pub files: HashMap<String, Vec<Reason>>,
}

impl Judge<'_> {
    /// Judges an interface.
    pub fn report(&mut self, subject: &Subject<'_>, wanted: Option<&Wanted>) -> InterfaceReport {
        let interface = subject.interface();
        let is_named = known::names(subject, self.policy);
        let was = known::was(subject, self.inventory, self.policy);
        let is_known = is_named || was.is_some();
        let mut reasons = self.reasons(subject, wanted);
        let is_filterable = !matches!(reasons[..], [Reason::Unfilterable(..)]);
        if !is_known && is_filterable {
            self.unnamed(subject, &mut reasons);
        }
        if !is_named && is_filterable {
            self.lost(was, &mut reasons);
        }
        let running = subject.live.is_some();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.state(running)));
        let states = reasons.iter().map(|reason| reason.state(running));
        let network = interface.network.clone();
        let network = network.unwrap_or_else(|| place(interface, self.inventory));
        InterfaceReport {
            guest: subject.guest.name.clone(),
            running,
            mac: interface.mac,
            device: subject.live.and_then(|live| live.target.clone()),
            network,
            filter: interface.filterref().map(|found| found.filter.clone()),
            known: is_known,
            state: states.max().unwrap_or(State::Fenced),
            reasons,
        }
    }

    fn reasons(&mut self, subject: &Subject<'_>, wanted: Option<&Wanted>) -> Vec<Reason> {
        if let Err(why) = self.filterable(subject.interface()) {
            return vec![Reason::Unfilterable(subject.definition(), why)];
        }
        let mut out = Vec::new();
        if let Some(live) = subject.live {
            self.definition(&Definition::Live, live, &mut out);
            self.in_force(live, wanted, &mut out);
        }
        if let Some(config) = subject.config {
            self.definition(&Definition::Config, config, &mut out);
        }
        self.later(subject, &mut out);
        let unseen = subject.guest.unseen.iter();
        out.extend(unseen.map(|what| Reason::Unseen(what.clone())));
        self.filter_files(subject, &mut out);
        self.filter_itself(subject, &mut out);
        out
    }

    fn filterable(&self, interface: &Interface) -> Result<(), Unfilterable> {
        let network = interface.network.as_ref();
        interface.filterable(network.and_then(|name| self.inventory.networks.get(name)))
    }

    /// What a definition of the interface asks for.
    fn definition(&mut self, which: &Definition, interface: &Interface, out: &mut Vec<Reason>) {
        if let Err(why) = self.filterable(interface) {
            out.push(Reason::Unfilterable(which.clone(), why));
            return;
        }
        if interface.filterrefs.is_empty() {
            out.push(Reason::NoFilter(which.clone()));
            return;
        }
        let Some(reference) = interface.filterref() else {
            out.push(Reason::SeveralFilters(which.clone()));
            return;
        };
        let (definition, filter) = (which.clone(), reference.filter.clone());
        if !self.inventory.filters.contains_key(&filter) {
            out.push(Reason::MissingFilter(definition, filter));
            return;
        }
        // Its content is judged once, in `filter_itself`.
        if filter == self.policy.name {
            return;
        }
        let mac = interface.mac.unwrap_or_default();
        let kept = self
            .filters
            .keeps(reference, mac, self.inventory, self.policy);
        out.push(match kept {
            Kept::Yes => Reason::OtherFilter(definition, filter),
            Kept::No { example, count } => Reason::Leaks {
                definition,
                filter,
                example,
                count,
            },
            Kept::Unknown(why) => Reason::UnknownFilter {
                definition,
                filter,
                why,
            },
        });
    }

    /// Whether the policy fences the place that the interface is in, and it carries no filter.
    fn unnamed(&self, subject: &Subject<'_>, out: &mut Vec<Reason>) {
        let interface = subject.interface();
        let bridge = bridge(interface, self.inventory);
        let network = interface.network.as_deref();
        let fence = &self.policy.fence;
        let covered = fence.covers(&subject.guest.name, bridge.as_deref(), network);
        if covered {
            let place = network.map(|name| format!("the network {name}"));
            let place = place.or_else(|| bridge.map(|name| format!("the bridge {name}")));
            let place = place.unwrap_or_else(|| format!("the guest {}", subject.guest.name));
            out.push(Reason::Unnamed(place));
        }
    }

    /// What lanfence has fenced, and no definition tells of it any more.
    fn lost(&self, was: Option<Was>, out: &mut Vec<Reason>) {
        match (was, &self.inventory.fences) {
            (Some(Was::Itself), _) => out.push(Reason::Stripped),
            (Some(Was::InPlaceOf(mac)), _) => out.push(Reason::Recreated(mac)),
            (None, Err(why)) if out.iter().any(|it| matches!(it, Reason::NoFilter(_))) => {
                out.push(Reason::Unseen(format!("what lanfence has fenced: {why}")));
            }
            (None, _) => {}
        }
    }

    /// Images and snapshots that the guest may go on from.
    fn later(&mut self, subject: &Subject<'_>, out: &mut Vec<Reason>) {
        if let Some(saved) = subject.saved {
            self.definition(&Definition::Saved, saved, out);
        }
        for (name, snapshot) in &subject.guest.snapshots {
            let which = Definition::Snapshot(name.clone());
            let domains = [Some(&snapshot.domain), snapshot.inactive.as_ref()];
            let found = domains.into_iter().flatten();
            let found = found.filter_map(|domain| self.in_snapshot(subject, domain));
            let found: Vec<&Interface> = found.collect();
            let mut reasons = Vec::new();
            for interface in found {
                self.definition(&which, interface, &mut reasons);
            }
            // Both of its definitions may lack the same.
            reasons.dedup();
            out.extend(reasons);
        }
    }

    /// The interface in a snapshot's definition: that with its MAC, else one in its place with a MAC
    /// that the guest does not have now.
    fn in_snapshot<'d>(&self, subject: &Subject<'_>, domain: &'d Domain) -> Option<&'d Interface> {
        let own = subject.interface();
        let guest = subject.guest;
        let has = |mac| {
            let defined = [&guest.live, &guest.config, &guest.saved]
                .into_iter()
                .flatten();
            let mut all = defined.flat_map(|one| &one.domain.interfaces);
            all.any(|one| one.mac == mac)
        };
        let is_in_its_place = |other: &&Interface| {
            place(other, self.inventory) == place(own, self.inventory) && !has(other.mac)
        };
        let mut same = domain
            .interfaces
            .iter()
            .filter(|other| other.mac == own.mac);
        let beside = || domain.interfaces.iter().find(is_in_its_place);
        same.next().or_else(beside)
    }

    /// What the kernel does with its frames.
    fn in_force(&self, live: &Interface, wanted: Option<&Wanted>, out: &mut Vec<Reason>) {
        let Some(device) = live.target.as_deref() else {
            out.push(Reason::Unseen("the guest has no device for it".into()));
            return;
        };
        match &self.closed {
            Ok(closed) if closed.contains(device) => out.push(Reason::Closed),
            Ok(_) => {}
            Err(why) => out.push(Reason::RulesUnseen(why.clone())),
        }
        rules(
            &Installed {
                inventory: self.inventory,
                references: self.references,
                live,
                device,
                wanted,
                wanted_bridge: bridge(live, self.inventory),
            },
            out,
        );
    }

    /// The files of its filters, by which libvirtd starts again.
    fn filter_files(&mut self, subject: &Subject<'_>, out: &mut Vec<Reason>) {
        let all = [subject.live, subject.config].into_iter().flatten();
        let names = all.flat_map(|one| one.filterrefs.iter().map(|found| &found.filter));
        let filters = &self.inventory.filters;
        for name in names.collect::<BTreeSet<&String>>() {
            let faults = self.files.entry(name.clone()).or_insert_with(|| {
                let tree = FilterTree::defined(filters, name);
                let used = tree.iter().flat_map(|tree| &tree.filters);
                let faults = used.filter_map(|one| file_fault(&one.name, filters.get(&one.name)?));
                faults.collect()
            });
            for fault in faults.iter() {
                if !out.contains(fault) {
                    out.push(fault.clone());
                }
            }
        }
    }

    /// The policy's filter as libvirt has it, against the policy. One that says something else may
    /// stop more, or let more through.
    fn filter_itself(&mut self, subject: &Subject<'_>, out: &mut Vec<Reason>) {
        let interface = subject.interface();
        let name = &self.policy.name;
        let mut references = interface.filterrefs.iter();
        let Some(reference) = references.find(|reference| reference.filter == *name) else {
            return;
        };
        let Some(difference) = self.differs.clone() else {
            return;
        };
        out.push(Reason::FilterDiffers {
            filter: name.clone(),
            difference,
        });
        let mac = interface.mac.unwrap_or_default();
        let kept = self
            .filters
            .keeps(reference, mac, self.inventory, self.policy);
        if let Kept::No { example, count } = kept {
            out.push(Reason::Leaks {
                definition: subject.definition(),
                filter: name.clone(),
                example,
                count,
            });
        }
    }
}

/// What is wrong with the file of a filter that libvirt has; none where it cannot be looked
/// at, which is so for all but root.
fn file_fault(name: &str, xml: &str) -> Option<Reason> {
    let path = filter_file(name);
    let fault = |fault: String| {
        Some(Reason::FilterFile {
            filter: name.to_owned(),
            path: path.display().to_string(),
            fault,
        })
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // A libvirt elsewhere has its files elsewhere.
            let local = path.parent().is_some_and(std::path::Path::exists);
            return local.then(|| fault("is missing".into())).flatten();
        }
        Err(_) => return None,
    };
    let (read, defined) = (as_libvirt(&text, name), as_libvirt(xml, name));
    match (read, defined) {
        (Err(error), _) => fault(format!("is no filter ({error})")),
        (Ok(read), Ok(defined)) => {
            let differs = difference(&defined.filter, &read.filter)?;
            fault(format!("says something else than libvirt has ({differs})"))
        }
        (Ok(_), Err(_)) => None,
    }
}

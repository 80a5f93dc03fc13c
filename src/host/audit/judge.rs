//! Judges one interface.

use super::filters::{Filters, Kept};
use super::reason::{Definition, Reason};
use super::rules::{Installed, rules};
use super::scope::{Subject, bridge};
use super::state::State;
use super::types::InterfaceReport;
use crate::domain::Interface;
use crate::host::inventory::Inventory;
use crate::host::libvirt::filter_file;
use crate::host::reference::{References, Wanted};
use crate::nwfilter::{Filter, as_libvirt, difference};
use crate::policy::Policy;
use std::collections::BTreeSet;

/// What judging takes.
pub struct Judge<'a> {
    /// What was looked at.
    pub inventory: &'a Inventory,
    /// What is meant.
    pub policy: &'a Policy,
    /// The rules that this libvirt makes.
    pub references: &'a References,
    /// The filter of the policy.
    pub ours: Filter,
    /// What other filters do.
    pub filters: Filters,
    /// The devices that lanfence has closed.
    pub closed: Result<BTreeSet<String>, String>,
    /// What is wrong with the policy's filter and its file, once it is known.
    pub content: Option<Content>,
}

/// The policy's filter as libvirt has it.
#[derive(Debug, Clone, Default)]
pub struct Content {
    differs: Option<String>,
    file: Option<Reason>,
}

impl Judge<'_> {
    /// Judges an interface.
    pub fn report(&mut self, subject: &Subject<'_>, wanted: Option<&Wanted>) -> InterfaceReport {
        let interface = subject.interface();
        let mut reasons = self.reasons(subject, wanted);
        let running = subject.live.is_some();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.state(running)));
        let states = reasons.iter().map(|reason| reason.state(running));
        let network = interface.network.clone();
        let network = network.or_else(|| bridge(interface, self.inventory));
        InterfaceReport {
            guest: subject.guest.name.clone(),
            running,
            mac: interface.mac,
            device: subject.live.and_then(|live| live.target.clone()),
            network: network
                .or_else(|| interface.source.clone())
                .unwrap_or_else(|| interface.kind.to_string()),
            filter: interface.filterref().map(|found| found.filter.clone()),
            known: self.knows(subject),
            state: states.max().unwrap_or(State::Fenced),
            reasons,
        }
    }

    /// Whether one of the interface's definitions refers to the policy's filter.
    fn knows(&self, subject: &Subject<'_>) -> bool {
        let saved = subject.guest.saved.iter();
        let saved = saved.flat_map(|saved| &saved.domain.interfaces);
        let mac = subject.interface().mac;
        let saved = saved.filter(|one| one.mac == mac);
        let all = subject.live.into_iter().chain(subject.config).chain(saved);
        let mut references = all.flat_map(|one| &one.filterrefs);
        references.any(|reference| reference.filter == self.policy.name)
    }

    fn reasons(&mut self, subject: &Subject<'_>, wanted: Option<&Wanted>) -> Vec<Reason> {
        let interface = subject.interface();
        let network = interface.network.as_ref();
        let network = network.and_then(|name| self.inventory.networks.get(name));
        if let Err(why) = interface.filterable(network) {
            return vec![Reason::Unfilterable(why)];
        }
        let mut out = Vec::new();
        if let Some(live) = subject.live {
            self.definition(&Definition::Live, live, &mut out);
            self.in_force(live, wanted, &mut out);
        }
        if let Some(config) = subject.config {
            self.definition(&Definition::Config, config, &mut out);
        }
        self.unnamed(subject, &mut out);
        self.later(subject, &mut out);
        let unseen = subject.guest.unseen.iter();
        out.extend(unseen.map(|what| Reason::Unseen(what.clone())));
        self.filter_itself(subject, &mut out);
        out
    }

    /// What a definition of the interface asks for.
    fn definition(&mut self, which: &Definition, interface: &Interface, out: &mut Vec<Reason>) {
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
        if covered && !self.knows(subject) {
            let place = network.map(|name| format!("the network {name}"));
            let place = place.or_else(|| bridge.map(|name| format!("the bridge {name}")));
            let place = place.unwrap_or_else(|| format!("the guest {}", subject.guest.name));
            out.push(Reason::Unnamed(place));
        }
    }

    /// Images and snapshots that the guest may go on from.
    fn later(&mut self, subject: &Subject<'_>, out: &mut Vec<Reason>) {
        let own = subject.interface();
        let same = |other: &&Interface| other.mac == own.mac;
        let guest = subject.guest;
        if let Some(saved) = &guest.saved {
            let found = saved.domain.interfaces.iter().find(same);
            if let Some(found) = found {
                self.definition(&Definition::Saved, found, out);
            }
        }
        for (name, snapshot) in &guest.snapshots {
            let which = Definition::Snapshot(name.clone());
            let domains = [Some(&snapshot.domain), snapshot.inactive.as_ref()];
            let found = domains.into_iter().flatten();
            let found = found.filter_map(|domain| domain.interfaces.iter().find(same));
            let mut reasons = Vec::new();
            for interface in found {
                self.definition(&which, interface, &mut reasons);
            }
            // Both of its definitions may lack the same.
            reasons.dedup();
            out.extend(reasons);
        }
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

    /// The policy's filter as libvirt has it, against the policy and its file. One that says
    /// something else may stop more, or let more through.
    fn filter_itself(&mut self, subject: &Subject<'_>, out: &mut Vec<Reason>) {
        let interface = subject.interface();
        let name = &self.policy.name;
        let mut references = interface.filterrefs.iter();
        let Some(reference) = references.find(|reference| reference.filter == *name) else {
            return;
        };
        let Some(xml) = self.inventory.filters.get(name) else {
            return;
        };
        let content = self.content.get_or_insert_with(|| Content {
            differs: match as_libvirt(xml, name) {
                Ok(document) => difference(&self.ours, &document.filter),
                Err(error) => Some(error.to_string()),
            },
            file: file_fault(name, xml),
        });
        out.extend(content.file.clone());
        let Some(difference) = content.differs.clone() else {
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
                definition: match subject.live {
                    Some(_) => Definition::Live,
                    None => Definition::Config,
                },
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

//! What `repair` changes: with the least change, what an audit has found.

use super::apply::{self, Wish};
use super::plan::Plan;
use super::step::{Change, Step, Target};
use crate::host::audit::{Audit, Definition, InterfaceReport, Reason, Scope, Subject, bridge};
use crate::host::inventory::Inventory;
use crate::host::{gate, links};
use crate::policy::Policy;

/// Plans it for what an audit of the same scope has found: what all guests share first, then guest by
/// guest, so that one that cannot be mended keeps no other from it.
pub fn plans(inventory: &Inventory, policy: &Policy, scope: &Scope, found: &Audit) -> Vec<Plan> {
    let mut shared = Plan::default();
    // A name that is still closed would close the next guest that gets it.
    let gone = gate::closed().unwrap_or_default().into_iter();
    let gone = gone.filter(|device| !links::exists(device));
    shared.steps.extend(gone.map(Step::Free));
    let mut guests: Vec<&str> = Vec::new();
    for report in &found.interfaces {
        if !guests.contains(&report.guest.as_str()) {
            guests.push(&report.guest);
        }
    }
    let subjects = scope.subjects(inventory);
    let mut plans = Vec::new();
    for name in guests {
        let mut plan = Plan::default();
        for report in found.interfaces.iter().filter(|it| it.guest == name) {
            of_report(inventory, policy, &subjects, report, &mut plan);
        }
        if plan.refusals.is_empty() {
            // Nobody's failure takes back what others have got.
            let is_shared = |step: &Step| matches!(step, Step::Define { .. });
            let (defined, own) = plan.steps.into_iter().partition(is_shared);
            plan.steps = own;
            let defined: Vec<Step> = defined;
            for step in defined {
                shared.push(step);
            }
        }
        plans.push(plan);
    }
    if !shared.steps.is_empty() {
        plans.insert(0, shared);
    }
    plans
}

fn of_report(
    inventory: &Inventory,
    policy: &Policy,
    subjects: &[Subject<'_>],
    report: &InterfaceReport,
    plan: &mut Plan,
) {
    let subject = subjects.iter().find(|subject| {
        subject.guest.name == report.guest
            && subject.interface().mac == report.mac
            && report.mac.is_some()
    });
    match subject {
        Some(subject) => interface(inventory, policy, subject, report, plan),
        None => {
            for reason in &report.reasons {
                plan.warn(
                    format!("{}: {reason}", report.guest),
                    reason.cure(&report.guest),
                );
            }
        }
    }
}

/// Leaves out the interfaces that nobody has asked to fence: without a name only those are
/// mended that have the policy's filter somewhere.
pub fn known_only(found: &mut Audit, policy: &Policy) {
    found.interfaces.retain(|report| {
        let named = |reason: &Reason| {
            matches!(reason, Reason::Unnamed(_))
                || matches!(reason, Reason::MissingFilter(_, name) if *name == policy.name)
        };
        report.known || report.reasons.iter().any(named)
    });
}

fn interface(
    inventory: &Inventory,
    policy: &Policy,
    subject: &Subject<'_>,
    report: &InterfaceReport,
    plan: &mut Plan,
) {
    let Some(target) = Target::of(subject) else {
        return;
    };
    let mut mender = Mender {
        inventory,
        policy,
        subject,
        target,
        plan,
        rebound: false,
    };
    // The filter itself first: what is bound afterwards has its new content. A closed device is
    // opened last: only what makes its rules anew can prove them.
    let mut reasons: Vec<&Reason> = report.reasons.iter().collect();
    reasons.sort_by_key(|reason| (!is_content(reason), matches!(reason, Reason::Closed)));
    for reason in reasons {
        mender.mend(reason);
    }
    if report.running && !report.reasons.is_empty() && mender.plan.refusals.is_empty() {
        let target = mender.target.clone();
        mender.plan.proven.push(target);
    }
}

fn is_content(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::FilterDiffers { .. } | Reason::MissingFilter(..) | Reason::FilterFile { .. }
    )
}

struct Mender<'a> {
    inventory: &'a Inventory,
    policy: &'a Policy,
    subject: &'a Subject<'a>,
    target: Target,
    plan: &'a mut Plan,
    rebound: bool,
}

impl Mender<'_> {
    fn mend(&mut self, reason: &Reason) {
        match reason {
            Reason::FilterDiffers { .. } => apply::define(self.inventory, self.policy, self.plan),
            Reason::MissingFilter(_, name) if *name == self.policy.name => {
                apply::define(self.inventory, self.policy, self.plan);
            }
            Reason::FilterFile { filter, .. } => self.write_file(filter),
            Reason::NoFilter(Definition::Live | Definition::Config)
            | Reason::SeveralFilters(_)
            | Reason::Unnamed(_) => {
                apply::define(self.inventory, self.policy, self.plan);
                apply::interface(
                    self.inventory,
                    self.policy,
                    self.subject,
                    Wish::default(),
                    self.plan,
                );
            }
            Reason::NoFilter(Definition::Saved) => self.saved(),
            Reason::Rules(_) | Reason::NoBinding | Reason::OtherBinding(_) => self.rebind(),
            Reason::Bypass(bypass) if bypass.is_of(self.target.device.as_deref()) => {
                let step = Step::Unbypass(self.target.clone(), bypass.clone());
                self.plan.push(step);
            }
            Reason::NoDevice(device) => self.rename(device),
            Reason::NoBridge(_) | Reason::OtherBridge { .. } => self.enslave(reason),
            Reason::Closed => self.open(),
            Reason::OtherFilter(..) | Reason::Rebuilding => {}
            // What it lacks is put in; else its user must say what he wants.
            Reason::Stripped | Reason::Recreated(_) if !self.plan.steps.is_empty() => {}
            _ => self.tell(reason),
        }
    }

    /// What lanfence does not change by itself.
    fn tell(&mut self, reason: &Reason) {
        let guest = &self.target.guest;
        self.plan
            .warn(format!("{}: {reason}", self.target), reason.cure(guest));
    }

    fn rebind(&mut self) {
        if !std::mem::replace(&mut self.rebound, true) {
            self.plan.push(Step::Rebind(self.target.clone()));
        }
    }

    /// The rest of the interface is judged before the gate opens, and binding anew does that.
    fn open(&mut self) {
        if !self.rebound {
            self.plan.push(Step::Open(self.target.clone()));
        }
    }

    /// libvirt writes the file whenever the filter is defined, also with the same content.
    fn write_file(&mut self, name: &str) {
        let Some(xml) = self.inventory.filters.get(name) else {
            return;
        };
        let defines =
            |step: &Step| matches!(step, Step::Define { name: other, .. } if other == name);
        if !self.plan.steps.iter().any(defines) {
            self.plan.push(Step::Define {
                name: name.to_owned(),
                xml: xml.clone(),
                before: Some(xml.clone()),
            });
        }
    }

    fn saved(&mut self) {
        if let Some(found) = self.subject.saved {
            apply::define(self.inventory, self.policy, self.plan);
            self.plan.push(Step::Saved(Change {
                target: self.target.clone(),
                from: found.filterrefs.first().cloned(),
                to: Some(apply::reference(self.policy)),
            }));
        }
    }

    /// The device that libvirt made for the guest has the guest's MAC with another first octet
    /// (`virNetDevTapCreateInBridgePort` in libvirt's `virnetdevtap.c`).
    fn rename(&mut self, device: &str) {
        let mut mac = self.target.mac;
        mac[0] = 0xfe;
        match links::taps_with_mac(mac).as_slice() {
            [one] => self.plan.push(Step::Rename {
                target: self.target.clone(),
                from: one.clone(),
                to: device.to_owned(),
            }),
            _ => self.tell(&Reason::NoDevice(device.to_owned())),
        }
    }

    fn enslave(&mut self, reason: &Reason) {
        let wanted = self
            .subject
            .live
            .and_then(|live| bridge(live, self.inventory));
        let own = self.target.device.clone();
        let Some((bridge, device)) = wanted.zip(own) else {
            return self.tell(reason);
        };
        self.plan.push(Step::Enslave {
            target: self.target.clone(),
            device,
            bridge,
        });
    }
}

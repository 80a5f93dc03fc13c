//! What `apply` changes: the policy's filter, and a reference to it in each interface.

use super::plan::Plan;
use super::step::{Change, Step, Target};
use crate::domain::Interface;
use crate::host::audit::{Audit, Reason, Scope, Subject};
use crate::host::inventory::Inventory;
use crate::nwfilter::{Filter, FilterRef, as_libvirt, difference, generate, write};
use crate::policy::Policy;
use crate::shell::quoted;

/// What the user asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Only the running guests.
    pub live: bool,
    /// Only the persistent definitions. With neither, both.
    pub config: bool,
    /// Put the filter in the place of another one.
    pub replace: bool,
}

impl Wish {
    fn wants_live(self) -> bool {
        self.live || !self.config
    }

    fn wants_config(self) -> bool {
        self.config || !self.live
    }
}

/// The reference that is put in: a generated filter has no parameters.
pub fn reference(policy: &Policy) -> FilterRef {
    FilterRef {
        filter: policy.name.clone(),
        parameters: Vec::new(),
    }
}

/// Plans it.
pub fn plan(inventory: &Inventory, policy: &Policy, scope: &Scope, wish: Wish) -> Plan {
    let mut plan = Plan::default();
    define(inventory, policy, &mut plan);
    for subject in scope.subjects(inventory) {
        interface(inventory, policy, &subject, wish, &mut plan);
    }
    plan
}

/// Adds what has libvirt make rules anew that should be in the kernel and are not.
pub fn rebind(plan: &mut Plan, found: &Audit) {
    let broken = found.interfaces.iter().filter(|report| {
        let lacks = |reason: &Reason| {
            matches!(
                reason,
                Reason::Rules(_) | Reason::NoBinding | Reason::OtherBinding(_) | Reason::Closed
            )
        };
        report.reasons.iter().any(lacks)
    });
    for report in broken {
        let own = |target: &&Target| target.guest == report.guest && Some(target.mac) == report.mac;
        let Some(target) = plan.proven.iter().find(own).cloned() else {
            continue;
        };
        let changed = |step: &Step| matches!(step, Step::Live(change) if change.target == target);
        if !plan.steps.iter().any(changed) {
            plan.push(Step::Rebind(target));
        }
    }
}

/// The filter itself.
pub fn define(inventory: &Inventory, policy: &Policy, plan: &mut Plan) {
    let ours = generate(policy);
    let name = &policy.name;
    let step = |before: Option<&String>| Step::Define {
        name: name.clone(),
        xml: write(&ours),
        before: before.cloned(),
    };
    let Some(xml) = inventory.filters.get(name) else {
        plan.push(step(None));
        return;
    };
    match as_libvirt(xml, name) {
        Ok(document) if document.filter.uuid != ours.uuid => plan.refuse(
            format!(
                "libvirt has a filter {name} already, which lanfence did not make: its UUID is {}",
                document.filter.uuid.as_deref().unwrap_or("unknown")
            ),
            format!(
                "give the policy another `name`, or take that filter away with `virsh nwfilter-undefine {name}`"
            ),
        ),
        Ok(document) if difference(&ours, &document.filter).is_none() => {}
        _ => plan.push(step(Some(xml))),
    }
}

/// Whether a filter that libvirt has is the one that lanfence makes of the policy, of whatever
/// content.
pub fn is_ours(xml: &str, ours: &Filter) -> bool {
    as_libvirt(xml, &ours.name).is_ok_and(|document| document.filter.uuid == ours.uuid)
}

/// One interface.
pub fn interface(
    inventory: &Inventory,
    policy: &Policy,
    subject: &Subject<'_>,
    wish: Wish,
    plan: &mut Plan,
) {
    let guest = subject.guest;
    let interface = subject.interface();
    let network = interface.network.as_ref();
    let network = network.and_then(|name| inventory.networks.get(name));
    let label = format!("{} {}", guest.name, interface.label());
    if let Err(why) = interface.filterable(network) {
        plan.refuse(
            format!("{label} cannot be filtered: {why}"),
            "put it on a Linux bridge; the recipes below say how",
        );
        return;
    }
    let Some(target) = Target::of(subject) else {
        plan.refuse(
            format!("{label} has no MAC address"),
            "give it one with `virsh edit`",
        );
        return;
    };
    let mut changes = Changes {
        policy,
        wish,
        target: &target,
        plan,
    };
    if wish.wants_config() {
        match subject.config {
            Some(config) => changes.add(config, Step::Config, "persistent definition"),
            None if guest.config.is_none() => changes.transient(),
            // It is in the saved image alone.
            None if subject.live.is_none() => {}
            None => changes.unplugged(),
        }
    }
    if wish.wants_live() {
        match subject.live {
            Some(live) => {
                changes.add(live, Step::Live, "running guest");
                changes.plan.proven.push(target.clone());
            }
            None if wish.live => changes.plan.refuse(
                format!("{label}: the guest does not run"),
                "leave --live out, or start it first",
            ),
            None => {}
        }
    }
    later(policy, subject, &target, plan);
}

struct Changes<'a> {
    policy: &'a Policy,
    wish: Wish,
    target: &'a Target,
    plan: &'a mut Plan,
}

impl Changes<'_> {
    /// Adds the change of a definition, where it needs one.
    fn add(&mut self, interface: &Interface, step: fn(Change) -> Step, which: &str) {
        let to = reference(self.policy);
        let target = self.target;
        let from = match interface.filterrefs.as_slice() {
            [] => None,
            // A generated filter asks for no parameter: with some it does the same.
            [one] if one.filter == to.filter => return,
            [one, ..] if one.filter == to.filter || self.wish.replace => Some(one.clone()),
            [one, ..] => {
                let (guest, filter) = (quoted(&target.guest), &one.filter);
                self.plan.refuse(
                    format!("{target}: its {which} has the filter {filter} already"),
                    format!(
                        "`lanfence apply --replace {guest}` puts {} in its place",
                        to.filter
                    ),
                );
                return;
            }
        };
        self.plan.push(step(Change {
            target: target.clone(),
            from,
            to: Some(to),
        }));
    }

    fn transient(&mut self) {
        let target = self.target;
        let told = format!(
            "{target}: the guest is transient: it has no persistent definition, and its filter ends with it"
        );
        let cure = format!(
            "`virsh dumpxml {0} > {0}.xml && virsh define {0}.xml` makes it persistent",
            quoted(&target.guest)
        );
        if self.wish.config {
            self.plan.refuse(told, cure);
        } else {
            self.plan.warn(told, cure);
        }
    }

    fn unplugged(&mut self) {
        let target = self.target;
        self.plan.warn(
            format!("{target}: it is in the running guest only, not in the persistent definition"),
            "nothing, if it is to go at the next start",
        );
    }
}

/// What would bring the old definition back.
fn later(policy: &Policy, subject: &Subject<'_>, target: &Target, plan: &mut Plan) {
    let guest = subject.guest;
    let name = quoted(&guest.name);
    let has = |interfaces: &[Interface]| {
        let own = interfaces.iter().find(|one| one.mac == Some(target.mac));
        let filter = |one: &Interface| one.filterref().map(|found| found.filter.clone());
        own.is_none_or(|one| filter(one).as_ref() == Some(&policy.name))
    };
    if let Some(saved) = &guest.saved
        && !has(&saved.domain.interfaces)
    {
        plan.warn(
            format!("{target}: the guest is saved, and its next start goes on from the image, which has not this filter"),
            format!("`lanfence repair {name}` puts it into the image; or `virsh managedsave-remove {name}` drops the image"),
        );
    }
    for (snapshot, read) in &guest.snapshots {
        let domains = [Some(&read.domain), read.inactive.as_ref()];
        let mut domains = domains.into_iter().flatten();
        if domains.any(|domain| !has(&domain.interfaces)) {
            let snapshot = quoted(snapshot);
            plan.warn(
                format!("{target}: a revert to the snapshot {snapshot} brings a definition back that has not this filter"),
                format!("`virsh snapshot-edit {name} {snapshot}`, or `lanfence apply {name}` after a revert"),
            );
        }
    }
}

//! What is in the kernel for one interface.

use super::reason::Reason;
use crate::domain::{Interface, Kind};
use crate::host::inventory::Inventory;
use crate::host::kernel::{Difference, InterfaceRules, Ruleset};
use crate::host::links;
use crate::host::reference::{References, Wanted};
use crate::nwfilter::FilterRef;
use crate::nwfilter::vocabulary::variables;

/// An interface of a running guest.
pub struct Installed<'a> {
    pub inventory: &'a Inventory,
    pub references: &'a References,
    pub live: &'a Interface,
    pub device: &'a str,
    pub wanted: Option<&'a Wanted>,
    pub wanted_bridge: Option<String>,
}

/// The switches that take bridged packets to the rules of layer 3.
const BRIDGE_NF: [&str; 2] = [
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
];

/// Adds what is wrong with the rules of an interface.
pub fn rules(installed: &Installed<'_>, out: &mut Vec<Reason>) {
    device(installed, out);
    let Some(reference) = installed.live.filterref() else {
        return;
    };
    binding(installed, reference, out);
    let ruleset = match &installed.inventory.rules {
        Ok(ruleset) => ruleset,
        Err(why) => {
            out.push(Reason::RulesUnseen(why.clone()));
            return;
        }
    };
    let has = ruleset.interface(installed.device, installed.live.mac);
    compare(installed, &has, out);
    bypasses(installed, ruleset, &has, out);
    if has.needs_br_netfilter() {
        let off = BRIDGE_NF.into_iter().filter(|name| !is_on(name));
        out.extend(off.map(Reason::NoBridgeNetfilter));
    }
}

/// The device and its bridge.
fn device(installed: &Installed<'_>, out: &mut Vec<Reason>) {
    let device = installed.device;
    if !links::exists(device) {
        out.push(Reason::NoDevice(device.to_owned()));
        return;
    }
    match (links::bridge_of(device), &installed.wanted_bridge) {
        (None, _) => out.push(Reason::NoBridge(device.to_owned())),
        (Some(is), Some(wanted)) if is != *wanted && installed.live.kind != Kind::Ethernet => {
            let wanted = wanted.clone();
            out.push(Reason::OtherBridge { is, wanted });
        }
        _ => {}
    }
}

/// What libvirt believes.
fn binding(installed: &Installed<'_>, reference: &FilterRef, out: &mut Vec<Reason>) {
    let Some(binding) = installed.inventory.bindings.get(installed.device) else {
        out.push(Reason::NoBinding);
        return;
    };
    // libvirt adds the MAC, which has an element of its own.
    let sorted = |reference: &FilterRef| {
        let mut parameters = reference.parameters.clone();
        parameters.retain(|(name, _)| name != variables::MAC);
        parameters.sort();
        parameters
    };
    let what = if binding.reference.filter != reference.filter {
        format!("it is of the filter {}", binding.reference.filter)
    } else if sorted(&binding.reference) != sorted(reference) {
        "it has other parameters".to_owned()
    } else if binding.mac.is_some() && binding.mac != installed.live.mac {
        "it has another MAC".to_owned()
    } else {
        return;
    };
    out.push(Reason::OtherBinding(what));
}

/// The kernel's rules against those that this libvirt makes.
fn compare(installed: &Installed<'_>, has: &InterfaceRules, out: &mut Vec<Reason>) {
    let Some(wanted) = installed.wanted else {
        // What it refers to is gone, so it is not known what its rules are to be.
        out.push(if has.is_empty() {
            Reason::Rules(Difference::Nothing)
        } else {
            Reason::NoReference(
                "libvirt does not have its filter any more, or one that it refers to".to_owned(),
            )
        });
        return;
    };
    match installed.references.rules(wanted, has) {
        Err(why) => out.push(Reason::NoReference(why)),
        Ok(rules) => match has.difference(&rules) {
            Some(_) if has.rebuilding => out.push(Reason::Rebuilding),
            found => out.extend(found.map(Reason::Rules)),
        },
    }
}

fn bypasses(
    installed: &Installed<'_>,
    ruleset: &Ruleset,
    has: &InterfaceRules,
    out: &mut Vec<Reason>,
) {
    let bridge = links::bridge_of(installed.device);
    let bridge = bridge.or_else(|| installed.wanted_bridge.clone());
    let found = ruleset.bypasses(installed.device, bridge.as_deref(), has);
    out.extend(found.into_iter().map(Reason::Bypass));
}

/// Whether a switch is on.
fn is_on(name: &str) -> bool {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    std::fs::read_to_string(path).is_ok_and(|value| value.trim() == "1")
}

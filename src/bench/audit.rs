//! What an audit of a host with many guests takes of its own time: reading what libvirt and the
//! tools print, and judging it. What they take to print it is theirs.

use super::error::BenchError;
use crate::domain::FilterBinding;
use crate::frame::mac_text;
use crate::host::audit::{Reason, Scope, audit};
use crate::host::reference::{Prepared, References};
use crate::host::{Defined, Fences, Guest, InterfaceRules, Inventory, RuleTexts, Ruleset};
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::{generate, write};
use crate::policy::Policy;
use comfy_table::Table;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Instant;

/// Interfaces of the host: each guest has one.
const INTERFACES: usize = 1000;

/// What all of it may take.
const AT_MOST: &str = "1000";

/// What libvirt and `ebtables-save` print of such a host.
struct Printed {
    guests: Vec<String>,
    bindings: Vec<String>,
    rules: String,
}

/// Measures it in each round: minimum, median and maximum.
///
/// # Errors
/// When this libvirt's rules of the policy's filter are not known, or the audit finds anything but
/// that the devices are not there.
pub fn table(policy: &Policy, rounds: u32) -> Result<Table, BenchError> {
    let name = policy.name.as_str();
    let filters = HashMap::from([(name.to_owned(), write(&generate(policy)))]);
    let empty = inventory(Vec::new(), HashMap::new(), &filters, Ruleset::default());
    let mut references = References::of(&empty);
    let printed = printed(name, &reference(&mut references, &filters, name)?);
    let mut ms = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let started = Instant::now();
        let host = read(&printed, &filters)?;
        let read = started.elapsed();
        let found = audit(&host, policy, &Scope::default(), &mut references);
        let all = started.elapsed();
        for (ms, span) in ms.iter_mut().zip([read, all.saturating_sub(read), all]) {
            ms.push(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        }
        let reasons = found.interfaces.iter().map(|one| one.reasons.as_slice());
        // Neither is there: a device, and a file of the filter below /etc.
        let absent = |one: &Reason| matches!(one, Reason::NoDevice(_) | Reason::FilterFile { .. });
        let as_expected = |reasons: &[Reason]| reasons.iter().all(absent);
        let count = reasons.filter(|reasons| as_expected(reasons)).count();
        if count != INTERFACES {
            return Err(BenchError::Audit {
                count,
                of: INTERFACES,
            });
        }
    }
    Ok(rows(ms))
}

fn rows(ms: [Vec<u64>; 3]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    let what = format!("audit of {INTERFACES} interfaces, ms");
    table.set_header([what.as_str(), "min", "median", "max", "at most"]);
    let names = [("read", ""), ("judge", ""), ("both", AT_MOST)];
    for ((name, at_most), mut ms) in names.into_iter().zip(ms) {
        ms.sort_unstable();
        let at = |index: usize| ms.get(index).copied().unwrap_or_default().to_string();
        let last = ms.len().saturating_sub(1);
        table.add_row([name, &at(0), &at(last / 2), &at(last), at_most]);
    }
    table
}

/// The rules that this libvirt makes of the filter, from a lab.
fn reference(
    references: &mut References,
    filters: &HashMap<String, String>,
    name: &str,
) -> Result<InterfaceRules, BenchError> {
    let missing = |name: String| BenchError::Reference(format!("there is no filter {name}"));
    let prepared = Prepared::of(filters, name, &[]).map_err(missing)?;
    let wanted = prepared.wanted(mac(0));
    references.ask([&wanted]);
    let rules = references.rules(&wanted, &InterfaceRules::default());
    rules.map_err(BenchError::Reference)
}

fn mac(number: usize) -> [u8; 6] {
    let [high, low] = u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
    [0x52, 0x54, 0, 1, high, low]
}

/// A host on which every guest has these rules.
fn printed(filter: &str, rules: &InterfaceRules) -> Printed {
    let mut out = Printed {
        guests: Vec::new(),
        bindings: Vec::new(),
        rules: "*nat\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n".to_owned(),
    };
    for number in 0..INTERFACES {
        let (device, mac) = (format!("vnet{number}"), mac_text(mac(number)));
        out.guests.push(format!(
            "<domain type='kvm'><name>guest-{number}</name><uuid>6f0b9c9e-0c0b-4c9a-9d6e-00000000{number:04x}</uuid>\
             <os><type arch='x86_64' machine='pc-q35-10.0'>hvm</type></os><devices>\
             <interface type='bridge'><mac address='{mac}'/><source bridge='br0'/><target dev='{device}'/>\
             <model type='virtio'/><filterref filter='{filter}'/></interface></devices></domain>"
        ));
        out.bindings.push(format!(
            "<filterbinding><owner><name>guest-{number}</name></owner><portdev name='{device}'/>\
             <mac address='{mac}'/><filterref filter='{filter}'><parameter name='MAC' value='{mac}'/></filterref></filterbinding>"
        ));
        for (_, rule) in rules.hooks.iter().chain(&rules.chains) {
            let rule = rule.replace("DEVICE", &device).replace("$MAC", &mac);
            let _ = writeln!(out.rules, "-A {rule}");
        }
    }
    out
}

/// Reads it as an audit does.
fn read(printed: &Printed, filters: &HashMap<String, String>) -> Result<Inventory, BenchError> {
    let wrong = |error: &dyn std::fmt::Display| BenchError::Reference(error.to_string());
    let mut guests = Vec::new();
    for (number, xml) in printed.guests.iter().enumerate() {
        let name = format!("guest-{number}");
        let live = Defined::read(&name, xml.clone()).map_err(|error| wrong(&error))?;
        let config = Defined::read(&name, xml.clone()).map_err(|error| wrong(&error))?;
        guests.push(Guest {
            uuid: name.clone(),
            name,
            live: Some(live),
            config: Some(config),
            saved: None,
            snapshots: Vec::new(),
            unseen: Vec::new(),
        });
    }
    let mut bindings = HashMap::new();
    for xml in &printed.bindings {
        let binding = FilterBinding::parse(xml).map_err(|error| wrong(&error))?;
        bindings.insert(binding.device.clone(), binding);
    }
    let rules = Ruleset::of(&RuleTexts {
        ebtables: printed.rules.clone(),
        ..RuleTexts::default()
    });
    Ok(inventory(guests, bindings, filters, rules))
}

fn inventory(
    guests: Vec<Guest>,
    bindings: HashMap<String, FilterBinding>,
    filters: &HashMap<String, String>,
    rules: Ruleset,
) -> Inventory {
    Inventory {
        guests,
        networks: HashMap::new(),
        filters: filters.clone(),
        bindings,
        fences: Ok(Fences::default()),
        rules: Ok(rules),
        backend: Backend::Ebtables,
        // Keeps nothing that an audit of this host may find.
        version: 0,
    }
}

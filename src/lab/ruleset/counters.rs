//! How many frames each rule of layer 2 has matched.

use super::tool::dump;
use super::{LabError, nftables};
use crate::nwfilter::evaluate::{Backend, Way};
use std::collections::HashMap;

/// A rule's counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedRule {
    /// Frames that matched it.
    pub frames: u64,
    /// Whether it leads to a sub-chain.
    pub is_jump: bool,
}

/// The counters of one chain of an interface, in the order of its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedChain {
    /// Which frames come to it.
    pub way: Way,
    /// libvirt's name of the sub-chain; none for the root chain.
    pub name: Option<String>,
    /// Its rules.
    pub rules: Vec<CountedRule>,
}

/// The counters of the interface's layer-2 rules, in the caller's namespace. With nftables there are
/// counters where `nwfilter.conf` asks for them, as the lab's does.
///
/// # Errors
/// When a tool cannot be started or fails.
pub fn counters(interface: &str, backend: Backend) -> Result<Vec<CountedChain>, LabError> {
    match backend {
        Backend::Nftables => Ok(of_nftables(&nftables::read()?, interface)),
        Backend::Ebtables => Ok(of_ebtables(&dump("ebtables-save", &["-c"])?, interface)),
    }
}

/// How many frames have come to an interface's rules of layer 2; none where nothing leads to any, or
/// nothing counts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Come {
    /// From the guest.
    pub from_guest: Option<u64>,
    /// To the guest.
    pub to_guest: Option<u64>,
}

/// The frames that have come to the rules of each interface, in the caller's namespace: one dump for
/// all.
///
/// # Errors
/// When a tool cannot be started or fails.
pub fn come(interfaces: &[String], backend: Backend) -> Result<HashMap<String, Come>, LabError> {
    match backend {
        Backend::Nftables => {
            let tables = nftables::read()?;
            let come = |one: &String| (one.clone(), summed(&tables, one));
            Ok(interfaces.iter().map(come).collect())
        }
        Backend::Ebtables => {
            let dump = dump("ebtables-save", &["-c"])?;
            let come = |one: &String| (one.clone(), jumped(&dump, one));
            Ok(interfaces.iter().map(come).collect())
        }
    }
}

/// The counters of the jumps into an interface's chains.
fn jumped(dump: &str, interface: &str) -> Come {
    let count = |chain: &str, option: &str, target: &str| {
        let rule = format!(" -A {chain} {option} {interface} -j {target}-{interface}");
        let line = dump.lines().find_map(|line| line.strip_suffix(&rule))?;
        line.trim_start_matches('[').split(':').next()?.parse().ok()
    };
    Come {
        from_guest: count("PREROUTING", "-i", "libvirt-I"),
        to_guest: count("POSTROUTING", "-o", "libvirt-O"),
    }
}

/// The sum of all counters of a direction: a rule that ends a frame's way counts it once, and libvirt's
/// jumps have no counter. Only where the last rule is for every frame is each one counted.
fn summed(tables: &nftables::Tables, interface: &str) -> Come {
    let chains = of_nftables(tables, interface);
    let of = |way: Way, end: &str| {
        let root = format!("{interface}-{end}");
        let rules = tables.layer2(interface).filter(|(chain, _)| *chain == root);
        let counts_all = |(_, rule): (&str, &str)| rule.starts_with("counter packets");
        rules.last().filter(|last| counts_all(*last))?;
        let own = chains.iter().filter(|chain| chain.way == way);
        let rules = own.flat_map(|chain| &chain.rules);
        Some(
            rules
                .filter(|rule| !rule.is_jump)
                .map(|rule| rule.frames)
                .sum(),
        )
    };
    Come {
        from_guest: of(Way::FromGuest, "out"),
        to_guest: of(Way::ToGuest, "in"),
    }
}

/// `[3:156] -A libvirt-I-tap0 -s ! 52:54:00:00:01:01 -j DROP`, and `I-tap0-ipv4` for a sub-chain.
fn of_ebtables(dump: &str, interface: &str) -> Vec<CountedChain> {
    let mut out = Vec::new();
    for line in dump.lines() {
        let Some((counter, rule)) = line.split_once(" -A ") else {
            continue;
        };
        let (chain, rest) = rule.split_once(' ').unwrap_or((rule, ""));
        let name = chain.strip_prefix("libvirt-").unwrap_or(chain);
        let (way, name) = match (name.strip_prefix("I-"), name.strip_prefix("O-")) {
            (Some(name), _) => (Way::FromGuest, name),
            (_, Some(name)) => (Way::ToGuest, name),
            _ => continue,
        };
        let Some(name) = of_interface(name, interface) else {
            continue;
        };
        let frames = counter.trim_start_matches('[').split(':').next();
        let target = rest.rsplit("-j ").next().unwrap_or_default();
        let rule = CountedRule {
            frames: frames.and_then(|text| text.parse().ok()).unwrap_or(0),
            is_jump: target.starts_with("I-") || target.starts_with("O-"),
        };
        add(&mut out, way, &name, rule);
    }
    out
}

/// A chain of an interface.
enum Named<'a> {
    Root,
    Sub(&'a str),
}

/// What stands behind the interface's name; none for a chain of another interface.
fn of_interface<'a>(name: &'a str, interface: &str) -> Option<Named<'a>> {
    let rest = name.strip_prefix(interface)?;
    match rest.strip_prefix('-') {
        None if rest.is_empty() => Some(Named::Root),
        sub => sub.map(Named::Sub),
    }
}

/// `tap0-out` and `tap0-ipv4-out`; `… counter packets 3 bytes 156 drop`.
fn of_nftables(tables: &nftables::Tables, interface: &str) -> Vec<CountedChain> {
    let mut out = Vec::new();
    for (chain, rule) in tables.layer2(interface) {
        let (way, name) = match (chain.strip_suffix("-out"), chain.strip_suffix("-in")) {
            (Some(name), _) => (Way::FromGuest, name),
            (_, Some(name)) => (Way::ToGuest, name),
            _ => continue,
        };
        let Some(name) = of_interface(name, interface) else {
            continue;
        };
        let frames = rule.split("counter packets ").nth(1);
        let frames = frames.and_then(|rest| rest.split(' ').next()?.parse().ok());
        let rule = CountedRule {
            frames: frames.unwrap_or(0),
            is_jump: rule.contains(" jump "),
        };
        add(&mut out, way, &name, rule);
    }
    out
}

fn add(out: &mut Vec<CountedChain>, way: Way, name: &Named<'_>, rule: CountedRule) {
    let name = match name {
        Named::Root => None,
        Named::Sub(name) => Some(*name),
    };
    let same = |chain: &&mut CountedChain| chain.way == way && chain.name.as_deref() == name;
    match out.iter_mut().find(same) {
        Some(chain) => chain.rules.push(rule),
        None => out.push(CountedChain {
            way,
            name: name.map(str::to_owned),
            rules: vec![rule],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EBTABLES: &str = "[308:29927] -A PREROUTING -i tap1 -j libvirt-I-tap1\n\
                            [19:5984] -A I-tap1-ipv4-ip -p IPv4 --ip-src 0.0.0.0 -j RETURN\n\
                            [8:368] -A I-tap1-ipv4-ip -j DROP\n\
                            [168:20936] -A libvirt-I-tap1 -p IPv4 -j I-tap1-ipv4-ip\n\
                            [3:156] -A libvirt-I-tap1 -s ! 52:54:00:00:01:01 -j DROP\n\
                            [7:9] -A libvirt-I-tap11 -j DROP\n\
                            [1:2] -A libvirt-O-tap1 -j ACCEPT\n\
                            [5:6] -A libvirt-J-tap1 -j ACCEPT\n";

    #[test]
    fn frames_come_to_the_rules_by_a_jump() {
        let of = |name| jumped(EBTABLES, name);
        assert_eq!(of("tap1").from_guest, Some(308));
        assert_eq!(of("tap1").to_guest, None);
        assert_eq!(of("tap11"), Come::default());
    }

    #[test]
    fn counters_of_one_interface() {
        let rule = |frames, is_jump| CountedRule { frames, is_jump };
        let chain = |way, name: Option<&str>, rules| CountedChain {
            way,
            name: name.map(str::to_owned),
            rules,
        };
        assert_eq!(
            of_ebtables(EBTABLES, "tap1"),
            [
                chain(
                    Way::FromGuest,
                    Some("ipv4-ip"),
                    vec![rule(19, false), rule(8, false)]
                ),
                chain(Way::FromGuest, None, vec![rule(168, true), rule(3, false)]),
                chain(Way::ToGuest, None, vec![rule(1, false)]),
            ]
        );
    }

    #[test]
    fn counters_of_nftables() {
        let text = "table bridge libvirt_nwfilter_ethernet {\n\
                    chain tap0-out {\n\
                    ether type ip counter packets 4 bytes 9 jump tap0-ipv4-out\n\
                    ether type arp counter packets 2 bytes 3 drop\n\
                    }\n\
                    chain tap0-ipv4-out {\n\
                    ip protocol tcp counter packets 1 bytes 3 drop\n\
                    }\n\
                    }\n";
        let found = of_nftables(&nftables::Tables::of(text), "tap0");
        let frames: Vec<Vec<u64>> = found
            .iter()
            .map(|chain| chain.rules.iter().map(|rule| rule.frames).collect())
            .collect();
        assert_eq!(frames, [vec![4, 2], vec![1]]);
        assert!(found[0].rules[0].is_jump && !found[0].rules[1].is_jump);
        assert_eq!(found[1].name.as_deref(), Some("ipv4"));
    }
}

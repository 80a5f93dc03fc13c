//! Lints of single rules.

use super::finding::{Finding, Severity};
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::model::{Element, Filter, Rule, RuleId};
use crate::nwfilter::vocabulary::{self, Action, ChainPrefix, Protocol, RuleDirection};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;

use Severity::{Error, Note, Warning};

/// A finding about a rule: the lint's name, severity and message.
type RuleFinding = (&'static str, Severity, String);

/// Lints a filter by itself, as a back end of libvirt translates it.
pub fn filter(filter: &Filter, backend: Backend, out: &mut Vec<Finding>) {
    let mut add = |rule: Option<RuleId>, (lint, severity, message): RuleFinding| {
        out.push(Finding {
            lint,
            severity,
            filter: filter.name.clone(),
            rule,
            position: None,
            message,
        });
    };
    if filter.chain.starts_with("stp") && filter.priority.is_none() {
        let what = "an stp chain without a priority gets 0, not the -810 of the documentation; give it a priority";
        add(None, ("stp-chain-priority", Warning, what.into()));
    }
    if filter.chain != "root" && filter.priority == Some(0) {
        let what = "libvirt does not save a chain's priority of 0: after libvirtd's next start the chain has its protocol's default; use 1 or -1";
        add(None, ("chain-priority-0", Error, what.into()));
    }
    if filter.chain == "root" && filter.priority.is_some_and(|priority| priority != 0) {
        let what = "the priority of the root chain has no effect; give the rules priorities";
        add(None, ("root-priority", Note, what.into()));
    }
    if let Some(finding) = long_name(&filter.chain) {
        add(None, finding);
    }
    for (at, rule) in filter.rules().enumerate() {
        let origin = RuleId {
            filter: filter.name.clone(),
            rule: at + 1,
        };
        for finding in rule_findings(filter, rule, backend) {
            add(Some(origin.clone()), finding);
        }
    }
}

/// What is said of a filter that can be defined once only.
pub fn without_uuid(filter: &Filter) -> Option<Finding> {
    filter.uuid.is_none().then(|| Finding {
        lint: "no-uuid",
        severity: Note,
        filter: filter.name.clone(),
        rule: None,
        position: None,
        message: "libvirt gives a filter without a uuid one of its own, and refuses the next version of it then, so that the old rules stay; write a <uuid> into the file, that of `virsh nwfilter-dumpxml` where the filter is defined already".to_owned(),
    })
}

/// Longest name of a chain of ebtables that rules can jump to. libvirt's hold
/// the interface's and the filter's: `J-vnet0-ipv4-lan` while they are built.
const LONGEST_JUMP: usize = 28;

/// Longest name of an interface.
const LONGEST_INTERFACE: usize = 15;

fn long_name(chain: &str) -> Option<RuleFinding> {
    let room = LONGEST_JUMP.saturating_sub("J--".len() + chain.len());
    (room < LONGEST_INTERFACE && chain != "root").then(|| {
        let what = format!(
            "an interface whose name has more than {room} characters cannot have the chain {chain}: libvirt names its chains after both, and ebtables takes no more than {LONGEST_JUMP}; shorten the chain's name"
        );
        ("long-chain-name", Note, what)
    })
}

fn rule_findings(filter: &Filter, rule: &Rule, backend: Backend) -> Vec<RuleFinding> {
    let mut out: Vec<Option<RuleFinding>> = vec![
        icmp_type_both_ways(rule),
        asymmetric(rule),
        chain_protocol(filter, rule),
    ];
    for element in &rule.elements {
        out.extend([
            lost_negation(rule, element),
            negated_ports(rule, element),
            icmp_code_alone(rule, element),
            ipset_ignored(rule, element),
            arp_mask(rule, element),
            dscp(element),
            encapsulated(element),
            stp(element, backend),
        ]);
        out.extend(masks(element).into_iter().map(Some));
        out.extend(left_out(rule, element).into_iter().map(Some));
    }
    out.into_iter().flatten().collect()
}

fn has(rule: &Rule, name: &str) -> bool {
    rule.elements
        .iter()
        .any(|element| value(element, name).is_some())
}

fn value<'e>(element: &'e Element, name: &str) -> Option<&'e str> {
    let found = element.attributes.iter().find(|(found, _)| found == name);
    found.map(|(_, value)| value.as_str())
}

fn lost_negation(rule: &Rule, element: &Element) -> Option<RuleFinding> {
    // libvirt gives a destination port the sign of the source port.
    let mut elements = rule.elements.iter();
    let negated =
        elements.any(|element| !element.positive && value(element, "srcportstart").is_some());
    let lost = rule.is_layer3()
        && !element.positive
        && value(element, "dstportstart").is_some()
        && !negated;
    lost.then(|| {
        let what = "match='no' is lost on dstportstart without a negated srcportstart: the rule matches this port and not all others; write two rules for the ports below and above it, or an <ip> element, where each port has its own sign";
        ("lost-negation", Error, what.into())
    })
}

fn negated_ports(rule: &Rule, element: &Element) -> Option<RuleFinding> {
    let single = |start: &str, end: &str| {
        let first = value(element, start);
        first.is_some() && value(element, end).is_none_or(|last| Some(last) == first)
    };
    let at_once = element.protocol.is_tcp() || element.protocol.is_udp();
    let both = single("srcportstart", "srcportend") && single("dstportstart", "dstportend");
    (rule.is_layer3() && at_once && !element.positive && both).then(|| {
        let what = "iptables before 1.8.11 compares two negated ports at once: the rule matches wherever one of them differs, not only where both do; write a rule for each, or give one of them a range";
        ("negated-port-pair", Error, what.into())
    })
}

fn icmp_code_alone(rule: &Rule, element: &Element) -> Option<RuleFinding> {
    let alone =
        element.protocol.is_icmp() && value(element, "code").is_some() && !has(rule, "type");
    alone.then(|| {
        let what =
            "libvirt leaves out a code without a type: the rule matches every type and code; add the type";
        ("icmp-code-alone", Error, what.into())
    })
}

fn ipset_ignored(rule: &Rule, element: &Element) -> Option<RuleFinding> {
    let mixed_up = vocabulary::mixes_up_ipsets(element.protocol);
    if value(element, "ipset").is_none() || !mixed_up {
        return None;
    }
    let name = element.protocol;
    Some(if has(rule, "ipsetflags") {
        let what = format!(
            "libvirt leaves out ipset with ipsetflags on <{name}>: the rule matches every address; only <all> takes both"
        );
        ("ipset-ignored", Error, what)
    } else {
        let what = format!(
            "libvirt adds ipsetflags='src' on <{name}>, saves both, and drops both when libvirtd reads the file at its next start; only <all> keeps them"
        );
        ("ipset-forgotten", Error, what)
    })
}

fn icmp_type_both_ways(rule: &Rule) -> Option<RuleFinding> {
    let icmp = rule
        .elements
        .first()
        .is_some_and(|element| element.protocol.is_icmp());
    (icmp && rule.direction == RuleDirection::InOut && has(rule, "type")).then(|| {
        let what = "an inout rule with an ICMP type has no effect at all; write one rule for in and one for out";
        ("icmp-type-inout", Error, what.into())
    })
}

fn arp_mask(rule: &Rule, element: &Element) -> Option<RuleFinding> {
    let inherited = has(rule, "arpsrcipaddr")
        && has(rule, "arpsrcipmask")
        && value(element, "arpdstipaddr").is_some()
        && !has(rule, "arpdstipmask");
    inherited.then(|| {
        let what =
            "without arpdstipmask libvirt gives the target the sender's mask; write both masks";
        ("arp-mask-inherited", Error, what.into())
    })
}

/// Attributes that say something of another one, with what the rule matches without both.
const PARTNERS: [(&str, &str, &str); 13] = [
    ("srcmacmask", "srcmacaddr", "source MAC"),
    ("dstmacmask", "dstmacaddr", "destination MAC"),
    ("srcipmask", "srcipaddr", "source address"),
    ("dstipmask", "dstipaddr", "destination address"),
    ("arpsrcipmask", "arpsrcipaddr", "address of the sender"),
    ("arpdstipmask", "arpdstipaddr", "address of the target"),
    ("srcipto", "srcipfrom", "source address"),
    ("dstipto", "dstipfrom", "destination address"),
    ("srcportend", "srcportstart", "source port"),
    ("dstportend", "dstportstart", "destination port"),
    ("ipsetflags", "ipset", "address"),
    ("root-address-mask", "root-address", "root"),
    ("sender-address-mask", "sender-address", "sender"),
];

/// What libvirt keeps and prints, and makes no rule of.
fn left_out(rule: &Rule, element: &Element) -> Vec<RuleFinding> {
    let mut out = Vec::new();
    for (name, partner, matched) in PARTNERS {
        if value(element, name).is_some() && !has(rule, partner) {
            let what = format!(
                "libvirt leaves out {name} without {partner}: the rule matches every {matched}; add {partner}, or take {name} out"
            );
            out.push(("left-out", Error, what));
        }
    }
    if element.protocol.is_all() && value(element, "ipset").is_some() && !has(rule, "ipsetflags") {
        let what = "libvirt leaves out ipset without ipsetflags: the rule matches every address; add ipsetflags";
        out.push(("left-out", Error, what.into()));
    }
    for (name, winner) in [("srcipfrom", "srcipaddr"), ("dstipfrom", "dstipaddr")] {
        if value(element, name).is_some() && has(rule, winner) {
            let what = format!(
                "libvirt leaves out {name} beside {winner}: the rule matches {winner} alone; write a rule for each"
            );
            out.push(("left-out", Error, what));
        }
    }
    out
}

fn dscp(element: &Element) -> Option<RuleFinding> {
    (element.protocol == Protocol::Ip && value(element, "dscp").is_some()).then(|| {
        let what = "dscp on <ip> is compared with the whole TOS byte, so that it matches another class; use a layer-3 element or leave it out";
        ("dscp-is-tos", Error, what.into())
    })
}

fn encapsulated(element: &Element) -> Option<RuleFinding> {
    let literal = value(element, "encap-protocol").filter(|value| !value.starts_with('$'))?;
    let what = format!(
        "libvirt prints encap-protocol='{literal}' in decimal and ebtables reads it as hexadecimal, so that it never matches; put the number into a variable (0x0806)"
    );
    Some(("vlan-encap", Error, what))
}

fn stp(element: &Element, backend: Backend) -> Option<RuleFinding> {
    // With nft the fields are at their places.
    let wrong = |name: &str| match backend {
        Backend::Ebtables => !name.starts_with("srcmac") && name != "comment",
        Backend::Nftables => {
            !name.starts_with("srcmac") && (name.ends_with("-hi") || name.ends_with("-mask"))
        }
    };
    let tested = element.attributes.iter().find(|(name, _)| wrong(name));
    let (name, _) = tested.filter(|_| element.protocol == Protocol::Stp)?;
    let how = match backend {
        Backend::Ebtables => "the kernel reads {name} of <stp> from the wrong place of the frame",
        Backend::Nftables if name.ends_with("-hi") => {
            "libvirt inverts the range that {name} of <stp> ends: the rule matches what is outside of it"
        }
        Backend::Nftables => "libvirt loses {name} of <stp>: the address is compared under itself",
    };
    let what = format!(
        "{}; use <stp/> alone, or <mac dstmacaddr='01:80:c2:00:00:00'/>",
        how.replace("{name}", name)
    );
    Some(("stp-attributes", Error, what))
}

fn asymmetric(rule: &Rule) -> Option<RuleFinding> {
    /// The side that an attribute is about, and its name without it.
    fn sided(name: &str) -> Option<(bool, String)> {
        let at = |side: &str| {
            name.find(side)
                .filter(|at| *at == 0 || name.starts_with("arp"))
        };
        let (source, target) = (at("src"), at("dst"));
        let at = source.or(target)?;
        Some((
            source.is_some(),
            format!("{}{}", &name[..at], &name[at + 3..]),
        ))
    }
    let (mut of_source, mut of_target, mut first) = (BTreeSet::new(), BTreeSet::new(), None);
    for element in &rule.elements {
        for (name, value) in &element.attributes {
            if let Some((source, rest)) = sided(name) {
                let side = if source {
                    &mut of_source
                } else {
                    &mut of_target
                };
                side.insert((element.positive, rest, value));
                if !name.contains("mask") {
                    first.get_or_insert(name);
                }
            }
        }
    }
    let name = first?;
    // At layer 3 a rule is about both ends of a connection whatever its direction, which is what
    // an accept means, and a rule about the other end alone.
    let drops = matches!(rule.action, Action::Drop | Action::Reject);
    let is_meant = rule.is_layer3() && !(drops && of_source.is_empty());
    let turned = rule.direction == RuleDirection::InOut && of_source != of_target;
    (turned && !is_meant).then(|| {
        let what = format!(
            "an inout rule is read as for frames to the guest; for frames from the guest libvirt exchanges source and destination, so that {name} is the other end"
        );
        ("inout-turned-round", Warning, what)
    })
}

fn chain_protocol(filter: &Filter, rule: &Rule) -> Option<RuleFinding> {
    let element = rule.elements.first()?;
    let of_chain = ChainPrefix::of(&filter.chain)?.element?;
    let fits = [of_chain, Protocol::Mac, Protocol::Stp].contains(&element.protocol);
    (!rule.is_layer3() && !fits).then(|| {
        let what = format!(
            "<{}> never matches in the chain {}, which only <{of_chain}> frames enter",
            element.protocol, filter.chain
        );
        ("chain-of-another-protocol", Error, what)
    })
}

/// Addresses whose mask makes more, or something else, of them.
fn masks(element: &Element) -> Vec<RuleFinding> {
    let mut out = Vec::new();
    for (name, mask) in [
        ("srcipaddr", "srcipmask"),
        ("dstipaddr", "dstipmask"),
        ("arpsrcipaddr", "arpsrcipmask"),
        ("arpdstipaddr", "arpdstipmask"),
    ] {
        let (Some(address), Some(mask)) = (value(element, name), value(element, mask)) else {
            continue;
        };
        let net = address
            .parse()
            .ok()
            .and_then(|address: IpAddr| net(address, mask));
        let Some((address, net)) = net else {
            continue;
        };
        let limited = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
        if limited && net.prefix_len() != 32 {
            let what = format!(
                "{name} {address} with this mask is {net}: 2^{} addresses, of which one is the broadcast address; use the mask 32",
                32 - net.prefix_len()
            );
            out.push(("broadcast-mask", Warning, what));
        } else if net.network() != address {
            let what = format!(
                "{name} {address} has bits set that its mask ignores: the rule matches {net}"
            );
            out.push(("host-bits", Warning, what));
        } else if address == IpAddr::from([224, 0, 0, 0]) && net.prefix_len() != 4 {
            let what = format!(
                "{name} {net} is only a part of the multicast groups; all of them are 224.0.0.0/4"
            );
            out.push(("part-of-multicast", Note, what));
        }
    }
    out
}

fn net(address: IpAddr, mask: &str) -> Option<(IpAddr, IpNet)> {
    let length = crate::nwfilter::vocabulary::parse::prefix_length(mask, address.is_ipv6())?;
    let net = IpNet::new(address, u8::try_from(length).ok()?).ok()?;
    Some((address, net.trunc()))
}

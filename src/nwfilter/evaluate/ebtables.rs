//! libvirt's ebtables and iptables driver (`nwfilter_ebiptables_driver.c`), as
//! measured with libvirt 11.3.0 (docs/measurements.md#M1).

use super::chain_place::ChainPlace;
use super::driver::{Driver, RuleCopy};
use super::error::CompileError;
use super::field::Field;
use super::flatten::RuleInstance;
use super::layer2::arp;
use super::layer3::{port_range, source_mac, under_mask};
use super::release::Portability;
use super::resolved::{ResolvedAttribute, ResolvedElement};
use super::rule::{ConnectionState, MatchBuilder};
use super::way::Way;
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::Rule;
use crate::nwfilter::vocabulary::names::{ETHERTYPES, OPERATIONS};
use crate::nwfilter::vocabulary::parse::{decimal, ebtables_type, masked_mac, name_or_number};
use crate::nwfilter::vocabulary::{Action, Protocol, RuleDirection};
use std::collections::HashMap;

/// The driver that every release up to at least 12.5.0 has.
#[derive(Debug, Clone, Copy)]
pub struct Ebtables;

/// Least `EtherType`; smaller numbers are lengths of 802.3 frames.
const LEAST_TYPE: u128 = 0x600;

/// Least number that ebtables takes for the type behind a VLAN tag.
const LEAST_ENCAPSULATED: u128 = 0x3c;

impl Driver for Ebtables {
    fn sort_priority(&self, instance: &RuleInstance<'_>) -> i16 {
        instance.priority()
    }

    /// libvirt goes through the rules of both directions in their order and creates
    /// a chain just before the first rule with an equal or later priority. A chain that several filters share may have a later priority than the rule
    /// of one of them; binding then fails, but for a device with the chain that
    /// a binding that failed earlier has left behind.
    fn check_order(&self, instances: &[RuleInstance<'_>]) -> Result<(), CompileError> {
        let priorities = Way::ALL.map(|way| (way, self.chain_places(instances, way)));
        let mut latest = i16::MIN;
        for instance in instances.iter().filter(|instance| instance.is_layer2()) {
            let own = if instance.in_root() {
                instance.priority()
            } else {
                instance.priority().max(instance.chain_priority)
            };
            latest = latest.max(own);
            let late = priorities.iter().any(|(way, priorities)| {
                let chain = priorities.get(instance.chain);
                instance.goes(*way) && chain.is_some_and(|place| place.priority > latest)
            });
            if late && !instance.in_root() {
                return Err(CompileError::Refused {
                    origin: instance.origin.clone(),
                    what: format!(
                        "its priority comes before that of the chain {}, which another filter has set",
                        instance.chain
                    ),
                });
            }
        }
        Ok(())
    }

    /// That of its rule that sorts last, of the rules for that direction only
    /// (`chains_in_set` and `chains_out_set` of `ebiptablesApplyNewRules`).
    fn chain_places<'a>(
        &self,
        instances: &[RuleInstance<'a>],
        way: Way,
    ) -> HashMap<&'a str, ChainPlace> {
        // The last of each name stays.
        let own = |instance: &&RuleInstance<'a>| instance.is_layer2() && instance.goes(way);
        let rules = instances.iter().filter(own);
        let place = |instance: &RuleInstance<'a>| {
            let priority = instance.chain_priority;
            (instance.chain, ChainPlace { priority, tie: 0 })
        };
        rules.map(place).collect()
    }

    /// The policy of a user's chain in ebtables accepts.
    fn chain_end_accepts(&self) -> bool {
        true
    }

    fn layer3_needs_bridge_nf(&self) -> bool {
        true
    }

    fn check(&self, _: &ResolvedElement<'_>) -> Result<(), CompileError> {
        Ok(())
    }

    fn takes_backward_ranges(&self) -> bool {
        true
    }

    fn rarp(
        &self,
        element: &ResolvedElement<'_>,
        _: bool,
        matches: &mut MatchBuilder,
    ) -> Result<(), CompileError> {
        arp(element, matches, self)
    }

    fn masked_mac(&self, address: &str, mask: Option<&str>) -> Option<IntervalSet> {
        masked_mac(address, mask)
    }

    fn takes_ports_of_negated(&self) -> bool {
        false
    }

    fn takes_empty_masks(&self) -> bool {
        false
    }

    /// ebtables reads some as decimal and others as hexadecimal only, which libvirt
    /// knows where it prints them itself (measured: docs/measurements.md#M1).
    fn number_in_variable(&self, attribute: &str, text: &str, greatest: u128) -> Option<u128> {
        match attribute {
            "protocolid" | "protocoltype" => {
                ebtables_type(text).filter(|number| *number <= greatest)
            }
            "opcode" => {
                name_or_number(text, &OPERATIONS, greatest).filter(|_| !text.starts_with("0x"))
            }
            _ => decimal(text, greatest),
        }
    }

    fn least_type(&self) -> u128 {
        LEAST_TYPE
    }

    /// ebtables refuses 4095.
    fn greatest_vlan(&self) -> u128 {
        4094
    }

    fn gratuitous(&self, negated: bool, matches: &mut MatchBuilder) {
        matches.signed(Field::ArpGratuitous, &IntervalSet::one(1), negated);
    }

    /// One option in ebtables, so that its sign is that of the pair.
    fn layer2_icmp6(
        &self,
        _: Option<(IntervalSet, bool)>,
        _: Option<(IntervalSet, bool)>,
        matches: &mut MatchBuilder,
    ) {
        matches.undecided("type and code are negated together, or stand without a start");
    }

    fn note_layer2(&self, element: &ResolvedElement<'_>, matches: &mut MatchBuilder) {
        if element.protocol == Protocol::Vlan && element.is_hex("vlanid") {
            matches.portability.push(Portability::HexVlanId);
        }
        let ranges = [
            ("srcportstart", "srcportend"),
            ("dstportstart", "dstportend"),
        ];
        for (start, end) in ranges {
            let hexadecimal = element.is_hex(start) || element.is_hex(end);
            if hexadecimal && element.get(start).is_some() {
                matches.portability.push(Portability::HexPort);
            }
        }
    }

    /// libvirt prints the number in decimal and ebtables reads it as
    /// hexadecimal; what a variable holds goes through as it is.
    fn encapsulated_types(&self, encap: &ResolvedAttribute) -> Option<IntervalSet> {
        let text = if encap.variable {
            encap.value.clone()
        } else {
            name_or_number(&encap.value, &ETHERTYPES, 0xffff)?.to_string()
        };
        // ebtables keeps 16 bits of the number and refuses some of the lengths.
        let kind = ebtables_type(&text)? & 0xffff;
        if kind < LEAST_ENCAPSULATED {
            return None;
        }
        // A length behind the tag is to the kernel another type, which ebtables
        // 1.8.9 does not take; so nothing has a type below 0x600.
        Some(if kind < LEAST_TYPE {
            IntervalSet::EMPTY
        } else {
            IntervalSet::one(kind)
        })
    }

    /// libvirt hands the number to a test of the whole TOS byte.
    fn layer2_dscp(&self, dscp: u128) -> IntervalSet {
        IntervalSet::one(dscp)
    }

    fn layer2_protocol(
        &self,
        _: Protocol,
        (number, negated): (u128, bool),
        matches: &mut MatchBuilder,
    ) {
        matches.signed(Field::Protocol, &IntervalSet::one(number), negated);
    }

    fn has_icmp6_ranges(&self) -> bool {
        true
    }

    fn copies(&self, rule: &Rule, element: &ResolvedElement<'_>) -> Vec<RuleCopy> {
        use RuleDirection::{In, InOut, Out};
        let stateful = rule.action == Action::Accept && rule.statematch;
        let (forward, reply) = if stateful {
            (ConnectionState::New, ConnectionState::Known)
        } else {
            (ConnectionState::Any, ConnectionState::Any)
        };
        let typed = element.protocol.is_icmp() && element.get("type").is_some();
        let asked = asked_state(rule, element);
        if typed || element.get("connlimit-above").is_some() {
            let state = match asked {
                Some(asked) => asked,
                None if typed => forward,
                None => ConnectionState::Any,
            };
            return match (rule.direction, typed) {
                (Out, _) => vec![copy(true, false, state)],
                (In, _) | (InOut, false) => vec![copy(false, false, state)],
                (InOut, true) => Vec::new(),
            };
        }
        if let Some(state) = asked {
            return match rule.direction {
                Out => vec![copy(true, false, state)],
                In => vec![copy(false, false, state)],
                InOut => vec![copy(true, true, state), copy(false, false, state)],
            };
        }
        let any = ConnectionState::Any;
        match rule.direction {
            Out => vec![copy(true, false, forward), copy(false, true, reply)],
            In => vec![copy(true, true, reply), copy(false, false, forward)],
            InOut => vec![copy(true, true, any), copy(false, false, any)],
        }
    }

    fn layer3_protocol(&self, _: Protocol, number: u8, matches: &mut MatchBuilder) {
        matches.add(Field::Protocol, IntervalSet::one(number.into()));
    }

    fn layer3_icmp(
        &self,
        protocol: Protocol,
        kind: Option<(u128, bool)>,
        code: Option<(u128, bool)>,
        matches: &mut MatchBuilder,
    ) {
        match (kind, code) {
            // iptables takes type 255 for any type and code.
            (Some((255, negated)), _) if protocol == Protocol::Icmp => {
                matches.signed(Field::IcmpType, &Field::IcmpType.all(), negated);
            }
            // A code without a type is not emitted at all (measured: docs/measurements.md#M1).
            (None, _) => {}
            (Some((kind, negated)), None) => {
                matches.signed(Field::IcmpType, &IntervalSet::one(kind), negated);
            }
            (Some((kind, false)), Some((code, false))) => {
                matches.add(Field::IcmpType, IntervalSet::one(kind));
                matches.add(Field::IcmpCode, IntervalSet::one(code));
            }
            _ => matches.undecided("type and code are negated together"),
        }
    }

    fn layer3_flags(
        &self,
        _: &ResolvedElement<'_>,
        (mask, flags, negated): (u128, u128, bool),
        matches: &mut MatchBuilder,
    ) -> Result<(), CompileError> {
        matches.signed(Field::TcpFlags, &under_mask(mask, flags), negated);
        Ok(())
    }

    fn empty_port_range(&self) -> Option<Portability> {
        Some(Portability::BackwardPorts)
    }

    /// Every element but `all` loses set and flags, and gets the flag `src`
    /// where there is none; `all` without flags becomes a rule without the set.
    fn ipset(
        &self,
        element: &ResolvedElement<'_>,
        matches: &mut MatchBuilder,
    ) -> Result<(), CompileError> {
        let has = |name| element.get(name).is_some();
        match (has("ipset"), has("ipsetflags")) {
            // Both with flags, or neither.
            (true, flags) if flags == element.protocol.is_all() => {
                matches.undecided("it looks into an ipset");
            }
            _ => {}
        }
        Ok(())
    }

    fn finish_layer3(
        &self,
        rule: &Rule,
        _: &ResolvedElement<'_>,
        matches: &mut MatchBuilder,
    ) -> Result<(), CompileError> {
        if rule.action == Action::Continue {
            matches.portability.push(Portability::Continue);
        }
        Ok(())
    }

    /// One negated port of TCP or UDP on each side: iptables before 1.8.11
    /// compares both at once, so that the rule matches where either differs;
    /// later ones where both do. What happens where one differs is left open.
    fn port_variants(
        &self,
        element: &ResolvedElement<'_>,
        matches: MatchBuilder,
    ) -> Result<Vec<MatchBuilder>, CompileError> {
        let source = port_range(element, "srcportstart", "srcportend", self)?;
        let target = port_range(element, "dstportstart", "dstportend", self)?;
        let (Some((source, true)), Some((target, _))) = (source, target) else {
            return Ok(vec![matches]);
        };
        // Port 0 is to iptables as if there were none to compare at once.
        let single = |set: &IntervalSet| match set.intervals() {
            [(low, high)] => low == high && *low != 0,
            _ => false,
        };
        let at_once = element.protocol.is_tcp() || element.protocol.is_udp();
        if !(at_once && single(&source) && single(&target)) {
            return Ok(vec![matches]);
        }
        let without = |field: Field| {
            let mut matches = matches.clone();
            matches
                .undecided("iptables before 1.8.11 matches where one of two negated ports differs");
            let of_field = |each: &&mut super::rule::Match| each.field == field;
            for each in matches.matches.iter_mut().filter(of_field) {
                each.set = field.all();
            }
            matches
        };
        let one = [without(Field::DstPort), without(Field::SrcPort)];
        Ok([vec![matches], one.to_vec()].concat())
    }

    /// The sender's MAC is tested only where it is the sender's; a copy that
    /// would test nothing else is left out.
    fn orient(
        &self,
        element: &ResolvedElement<'_>,
        matches: &MatchBuilder,
        swapped: bool,
    ) -> Result<Option<MatchBuilder>, CompileError> {
        let mac = source_mac(element)?;
        if !swapped {
            let mut matches = matches.clone();
            if let Some((set, negated)) = mac {
                matches.signed(Field::SrcMac, &set, negated);
            }
            return Ok(Some(matches));
        }
        let mut names = element.all.iter().map(|attribute| &attribute.name);
        let only_mac = names.all(|name| name == "srcmacaddr");
        Ok((mac.is_none() || !only_mac).then(|| matches.swapped()))
    }
}

fn copy(from_guest: bool, swapped: bool, state: ConnectionState) -> RuleCopy {
    RuleCopy {
        from_guest,
        swapped,
        state,
    }
}

/// What the attribute `state` asks for; none where there is none or it does not count.
fn asked_state(rule: &Rule, element: &ResolvedElement<'_>) -> Option<ConnectionState> {
    let states = element.value("state").filter(|_| rule.statematch)?;
    let named = |name: &str| {
        let mut words = states.split(',').map(str::trim);
        words.any(|word| word.eq_ignore_ascii_case(name))
    };
    Some(if named("NONE") {
        ConnectionState::Any
    } else if named("NEW") {
        ConnectionState::New
    } else {
        ConnectionState::Known
    })
}

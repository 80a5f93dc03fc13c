//! libvirt's nftables driver (`nwfilter_nftables_driver.c`), as read in its
//! source at commit eb65962f and its test data. Releases have it since 12.8;
//! only what nft itself takes is measured (docs/measurements.md#M5).

use super::driver::{Driver, RuleCopy};
use super::error::CompileError;
use super::field::Field;
use super::flatten::RuleInstance;
use super::layer3::source_mac;
use super::release::Portability;
use super::resolved::{ResolvedAttribute, ResolvedElement};
use super::rule::{ConnectionState, MatchBuilder};
use super::way::Way;
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::Rule;
use crate::nwfilter::vocabulary::names::ETHERTYPES;
use crate::nwfilter::vocabulary::parse::name_or_number;
use crate::nwfilter::vocabulary::{Action, Protocol, RuleDirection};
use std::collections::HashMap;

/// The driver that libvirt's repository has since commit eb65962f.
#[derive(Debug, Clone, Copy)]
pub struct Nftables;

impl Driver for Nftables {
    /// It raises a rule's priority to that of its chain before it sorts, so
    /// that such rules keep the order in which they are written.
    fn sort_priority(&self, instance: &RuleInstance<'_>) -> i16 {
        if instance.in_root() {
            instance.priority()
        } else {
            instance.priority().max(instance.chain_priority)
        }
    }

    fn check_order(&self, _: &[RuleInstance<'_>]) -> Result<(), CompileError> {
        Ok(())
    }

    /// That of its first rule of either direction and layer (`nftablesGetSubChains`).
    fn chain_priorities<'a>(
        &self,
        instances: &[RuleInstance<'a>],
        _: Way,
    ) -> HashMap<&'a str, i16> {
        // The last of each name stays.
        let rules = instances.iter().rev();
        rules
            .map(|instance| (instance.chain, instance.chain_priority))
            .collect()
    }

    fn chain_end_accepts(&self) -> bool {
        false
    }

    fn layer3_needs_bridge_nf(&self) -> bool {
        false
    }

    /// It forgets to exchange the fields of RARP.
    fn exchanges_ends(&self, protocol: Protocol) -> bool {
        protocol != Protocol::Rarp
    }

    fn note_layer2(&self, element: &ResolvedElement<'_>, matches: &mut MatchBuilder) {
        if element.protocol == Protocol::Rarp && element.get("protocoltype").is_some() {
            matches.undecided(
                "the nftables back end reads protocoltype of <rarp> from the wrong place",
            );
        }
    }

    fn encapsulated_types(&self, encap: &ResolvedAttribute) -> Option<IntervalSet> {
        name_or_number(&encap.value, &ETHERTYPES, 0xffff).map(IntervalSet::one)
    }

    fn layer2_dscp(&self, dscp: u128) -> IntervalSet {
        IntervalSet::range(dscp * 4, dscp * 4 + 3)
    }

    /// A negated one contradicts itself: `ether type != ip ip protocol != X`.
    /// That of IPv6 is compared with the first header's field.
    fn layer2_protocol(
        &self,
        element: Protocol,
        (number, negated): (u128, bool),
        matches: &mut MatchBuilder,
    ) {
        if negated {
            matches.add(Field::Protocol, IntervalSet::EMPTY);
        } else if element == Protocol::Ipv6 {
            matches.add(Field::NextHeader, IntervalSet::one(number));
        } else {
            matches.add(Field::Protocol, IntervalSet::one(number));
        }
    }

    /// It takes the start only.
    fn has_icmp6_ranges(&self) -> bool {
        false
    }

    /// Nothing is turned round but the replies to what is accepted, those with
    /// an ICMP type too.
    fn copies(&self, rule: &Rule, element: &ResolvedElement<'_>) -> Vec<RuleCopy> {
        use ConnectionState::{Any, Known, New};
        use RuleDirection::{In, InOut, Out};
        let copy = |from_guest, swapped, state| RuleCopy {
            from_guest,
            swapped,
            state,
        };
        let stateful = rule.action == Action::Accept && rule.statematch;
        let named = element.get("state").is_some() && rule.statematch;
        let plain = !stateful || named || element.get("connlimit-above").is_some();
        match rule.direction {
            InOut => vec![copy(true, false, Any), copy(false, false, Any)],
            Out if plain => vec![copy(true, false, Any)],
            In if plain => vec![copy(false, false, Any)],
            Out => vec![copy(true, false, New), copy(false, true, Known)],
            In => vec![copy(true, true, Known), copy(false, false, New)],
        }
    }

    fn empty_port_range(&self) -> Option<Portability> {
        None
    }

    /// It logs an error and emits the rule without the ipset.
    fn ipset(&self, _: &ResolvedElement<'_>, _: &mut MatchBuilder) -> Result<(), CompileError> {
        Ok(())
    }

    /// What it emits and nft 1.0.6 refuses (measured: docs/measurements.md#M5).
    fn finish_layer3(
        &self,
        _: &Rule,
        element: &ResolvedElement<'_>,
        matches: &mut MatchBuilder,
    ) -> Result<(), CompileError> {
        let negated = |name: &&&str| element.get(name).is_some_and(|found| found.negated);
        let names = ["srcipaddr", "dstipaddr", "srcipfrom", "dstipfrom", "dscp"];
        if let Some(name) = names.iter().find(negated) {
            return Err(element.refused(format!("nft takes no negated {name} as it is emitted")));
        }
        if element.get("option").is_some() {
            return Err(element.refused("nft takes no test of a TCP option as it is emitted"));
        }
        if element.get("flags").is_some() {
            matches.undecided("nft 1.0.6 refuses some tests of TCP flags as they are emitted");
        }
        if element.get("state").is_some() {
            matches.undecided("it names the connection's state");
        }
        Ok(())
    }

    fn port_variants(
        &self,
        _: &ResolvedElement<'_>,
        matches: MatchBuilder,
    ) -> Result<Vec<MatchBuilder>, CompileError> {
        Ok(vec![matches])
    }

    /// It tests the sender's MAC in replies too, which then do not match.
    fn orient(
        &self,
        element: &ResolvedElement<'_>,
        matches: &MatchBuilder,
        swapped: bool,
    ) -> Result<Option<MatchBuilder>, CompileError> {
        let mut matches = if swapped {
            matches.swapped()
        } else {
            matches.clone()
        };
        if let Some((set, negated)) = source_mac(element)? {
            matches.signed(Field::SrcMac, &set, negated);
        }
        Ok(Some(matches))
    }
}

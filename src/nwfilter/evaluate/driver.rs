//! What the back ends of libvirt's filter driver translate differently.

use super::chain_place::ChainPlace;
use super::error::CompileError;
use super::flatten::RuleInstance;
use super::release::Portability;
use super::resolved::{ResolvedAttribute, ResolvedElement};
use super::rule::{ConnectionState, MatchBuilder};
use super::way::Way;
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::Rule;
use crate::nwfilter::vocabulary::Protocol;
use std::collections::HashMap;

/// One of the rules that a layer-3 rule of a filter becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleCopy {
    /// Whether it is for frames from the guest.
    pub from_guest: bool,
    /// Whether source and destination are exchanged.
    pub swapped: bool,
    /// What it asks of the connection.
    pub state: ConnectionState,
}

/// A back end of libvirt's filter driver.
pub trait Driver {
    /// The priority by which the rule is sorted among all rules of its layer.
    fn sort_priority(&self, instance: &RuleInstance<'_>) -> i16;

    /// Whether each chain exists before its first rule is added to it. The
    /// rules are in their final order.
    ///
    /// # Errors
    /// The first rule whose chain does not exist yet.
    fn check_order(&self, instances: &[RuleInstance<'_>]) -> Result<(), CompileError>;

    /// The place of each chain of one direction, by the chain's name.
    fn chain_places<'a>(
        &self,
        instances: &[RuleInstance<'a>],
        way: Way,
    ) -> HashMap<&'a str, ChainPlace>;

    /// Whether a frame that no rule of a sub-chain decides is accepted; it goes
    /// on in the root chain otherwise.
    fn chain_end_accepts(&self) -> bool;

    /// Whether layer-3 rules see only the packets that the bridge hands to iptables.
    fn layer3_needs_bridge_nf(&self) -> bool;

    /// The matches of a `<rarp>` element but for the frame's MACs, before source and
    /// destination are exchanged where `swap` says so.
    ///
    /// # Errors
    /// A value that cannot be bound.
    fn rarp(
        &self,
        element: &ResolvedElement<'_>,
        swap: bool,
        matches: &mut MatchBuilder,
    ) -> Result<(), CompileError>;

    /// The MACs that an address with a mask matches; none where they cannot be read.
    fn masked_mac(&self, address: &str, mask: Option<&str>) -> Option<IntervalSet>;

    /// Whether ports of a negated protocol can be bound at layer 2.
    fn takes_ports_of_negated(&self) -> bool;

    /// Whether a MAC with a mask of zeroes can be bound.
    fn takes_empty_masks(&self) -> bool;

    /// How its tool reads the number of this attribute where a variable holds it; none
    /// where it takes none up to `greatest` for it.
    fn number_in_variable(&self, attribute: &str, text: &str, greatest: u128) -> Option<u128>;

    /// The least `EtherType` that `protocolid` may have.
    fn least_type(&self) -> u128;

    /// The greatest number of a VLAN. libvirt takes 4095.
    fn greatest_vlan(&self) -> u128;

    /// Adds whether the addresses of an ARP message are the same.
    fn gratuitous(&self, negated: bool, matches: &mut MatchBuilder);

    /// Adds `ICMPv6` types and codes of layer 2 of which one is negated or missing.
    fn layer2_icmp6(
        &self,
        kind: Option<(IntervalSet, bool)>,
        code: Option<(IntervalSet, bool)>,
        matches: &mut MatchBuilder,
    );

    /// What of an element of either layer cannot be bound, whatever stands beside it.
    ///
    /// # Errors
    /// The first such value.
    fn check(&self, element: &ResolvedElement<'_>) -> Result<(), CompileError>;

    /// Whether a layer-3 range of addresses that ends before it begins can be bound.
    fn takes_backward_ranges(&self) -> bool;

    /// Notes what of a layer-2 element is not modelled, or not taken by every release.
    fn note_layer2(&self, element: &ResolvedElement<'_>, matches: &mut MatchBuilder);

    /// The `EtherTypes` that `encap-protocol` matches; none where it cannot be read.
    fn encapsulated_types(&self, encap: &ResolvedAttribute) -> Option<IntervalSet>;

    /// The TOS bytes that `dscp` matches at layer 2.
    fn layer2_dscp(&self, dscp: u128) -> IntervalSet;

    /// Adds the match of the attribute `protocol` in an `<ip>` or `<ipv6>` element:
    /// its number, and whether it is negated.
    fn layer2_protocol(
        &self,
        element: Protocol,
        protocol: (u128, bool),
        matches: &mut MatchBuilder,
    );

    /// Whether ranges of `ICMPv6` types and codes have an end at layer 2.
    fn has_icmp6_ranges(&self) -> bool;

    /// The rules that a layer-3 rule becomes.
    fn copies(&self, rule: &Rule, element: &ResolvedElement<'_>) -> Vec<RuleCopy>;

    /// The note on releases that refuse a layer-3 port range that ends before it begins.
    fn empty_port_range(&self) -> Option<Portability>;

    /// Adds the protocol of a layer-3 element.
    fn layer3_protocol(&self, protocol: Protocol, number: u8, matches: &mut MatchBuilder);

    /// Adds the type and the code of ICMP, each with whether it is negated.
    fn layer3_icmp(
        &self,
        protocol: Protocol,
        kind: Option<(u128, bool)>,
        code: Option<(u128, bool)>,
        matches: &mut MatchBuilder,
    );

    /// Adds what the TCP flags under the mask must be, and whether that is negated.
    ///
    /// # Errors
    /// Flags that cannot be bound.
    fn layer3_flags(
        &self,
        element: &ResolvedElement<'_>,
        flags: (u128, u128, bool),
        matches: &mut MatchBuilder,
    ) -> Result<(), CompileError>;

    /// Adds what an ipset matches.
    ///
    /// # Errors
    /// An ipset that cannot be bound.
    fn ipset(
        &self,
        element: &ResolvedElement<'_>,
        matches: &mut MatchBuilder,
    ) -> Result<(), CompileError>;

    /// Notes what else of a layer-3 rule is not modelled, or not taken by every release.
    ///
    /// # Errors
    /// What cannot be bound.
    fn finish_layer3(
        &self,
        rule: &Rule,
        element: &ResolvedElement<'_>,
        matches: &mut MatchBuilder,
    ) -> Result<(), CompileError>;

    /// The matches of a layer-3 rule, as often as different releases read its
    /// negated ports differently.
    ///
    /// # Errors
    /// Ports that cannot be read.
    fn port_variants(
        &self,
        element: &ResolvedElement<'_>,
        matches: MatchBuilder,
    ) -> Result<Vec<MatchBuilder>, CompileError>;

    /// The matches of one copy of a layer-3 rule; none where it is left out.
    ///
    /// # Errors
    /// A MAC that cannot be read.
    fn orient(
        &self,
        element: &ResolvedElement<'_>,
        matches: &MatchBuilder,
        swapped: bool,
    ) -> Result<Option<MatchBuilder>, CompileError>;
}

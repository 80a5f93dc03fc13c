//! libvirt's nftables driver (`nwfilter_nftables_driver.c`), as read in its source and held
//! against libvirt 12.9.0 and a kernel (measured: docs/measurements.md#M47). Releases have it
//! since 12.8.

use super::chain_place::ChainPlace;
use super::driver::{Driver, RuleCopy};
use super::error::CompileError;
use super::field::Field;
use super::flatten::RuleInstance;
use super::layer2::arp;
use super::layer3::{source_mac, under_mask};
use super::release::Portability;
use super::resolved::{ResolvedAttribute, ResolvedElement};
use super::rule::{ConnectionState, MatchBuilder};
use super::way::Way;
use crate::frame::ethertype;
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::Rule;
use crate::nwfilter::vocabulary::names::{ETHERTYPES, Name};
use crate::nwfilter::vocabulary::parse::{
    boolean, mac, masked_address, masked_mac, name_or_number, number, prefix_length,
};
use crate::nwfilter::vocabulary::{Action, IpVersion, Protocol, RuleDirection};
use std::collections::HashMap;

/// The driver that libvirt's repository has since commit eb65962f.
#[derive(Debug, Clone, Copy)]
pub struct Nftables;

/// What libvirt calls `ALL` of TCP's flags.
const ALL_FLAGS: u128 = 0x3f;

/// The names that nft has for the operations of ARP (measured: docs/measurements.md#M47).
const NFT_OPERATIONS: [Name; 7] = [
    ("request", 1),
    ("reply", 2),
    ("rrequest", 3),
    ("rreply", 4),
    ("inrequest", 8),
    ("inreply", 9),
    ("nak", 10),
];

/// The names that nft has for `EtherTypes`.
const NFT_TYPES: [Name; 5] = [
    ("ip", ethertype::IPV4),
    ("arp", ethertype::ARP),
    ("ip6", ethertype::IPV6),
    ("vlan", ethertype::VLAN),
    ("8021q", ethertype::VLAN),
];

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
    /// Chains of the same priority come in the order of their first rules.
    fn chain_places<'a>(
        &self,
        instances: &[RuleInstance<'a>],
        _: Way,
    ) -> HashMap<&'a str, ChainPlace> {
        // The last of each name stays.
        let rules = instances.iter().enumerate().rev();
        let place = |(tie, instance): (usize, &RuleInstance<'a>)| {
            let priority = instance.chain_priority;
            (instance.chain, ChainPlace { priority, tie })
        };
        rules.map(place).collect()
    }

    fn chain_end_accepts(&self) -> bool {
        false
    }

    fn layer3_needs_bridge_nf(&self) -> bool {
        false
    }

    /// nft takes a mask as a number of bits, which libvirt makes of every other but of one
    /// that a variable holds. And libvirt takes an address from a variable for one of IPv4,
    /// as it does a DSCP without an address of IPv6 before it.
    ///
    /// # Errors
    /// What nft does not take.
    fn check(&self, element: &ResolvedElement<'_>) -> Result<(), CompileError> {
        let masks = ["srcipmask", "dstipmask", "arpsrcipmask", "arpdstipmask"];
        let long = |name: &&str| {
            let value = element.value(name).filter(|_| element.is_verbatim(name));
            value.is_some_and(|value| value.parse::<u8>().is_err())
        };
        if let Some(name) = masks.iter().find(|name| long(name)) {
            let what = format!("nft takes no {name} from a variable but a number of bits");
            return Err(element.refused(what));
        }
        if element.protocol.layer3() != Some(IpVersion::V6) {
            return Ok(());
        }
        let mut addresses = ["srcipaddr", "srcipfrom", "dstipaddr", "dstipfrom"]
            .iter()
            .filter(|name| element.get(name).is_some());
        if let Some(name) = addresses.clone().find(|name| element.is_verbatim(name)) {
            return Err(element.refused(format!(
                "libvirt writes a {name} from a variable as an address of IPv4 for nft"
            )));
        }
        if element.get("dscp").is_some() && addresses.next().is_none() {
            return Err(element.refused("libvirt writes dscp as one of IPv4 for nft"));
        }
        Ok(())
    }

    fn note_layer2(&self, _: &ResolvedElement<'_>, _: &mut MatchBuilder) {}

    /// It exchanges the MACs of the frame and forgets the fields of the message.
    fn rarp(
        &self,
        element: &ResolvedElement<'_>,
        swap: bool,
        matches: &mut MatchBuilder,
    ) -> Result<(), CompileError> {
        let gratuitous = element.get("gratuitous");
        if gratuitous.is_some_and(|flag| boolean(&flag.value)) {
            return Err(
                element.refused("libvirt writes gratuitous of <rarp> as one of ARP for nft")
            );
        }
        if element.get("protocoltype").is_some() {
            matches.undecided(
                "the nftables back end reads protocoltype of <rarp> from the wrong place",
            );
        }
        let mut own = MatchBuilder::default();
        arp(element, &mut own, self)?;
        for (name, mask) in [
            ("arpsrcipaddr", "arpsrcipmask"),
            ("arpdstipaddr", "arpdstipmask"),
        ] {
            rarp_address(element, name, mask, &mut own)?;
        }
        // What is exchanged twice stays as it is.
        let own = if swap { own.swapped() } else { own };
        matches.matches.extend(own.matches);
        if let Some(why) = own.undecided {
            matches.undecided(why);
        }
        Ok(())
    }

    /// It compares with the address as it stands, so that one with bits beside the mask
    /// never matches.
    fn masked_mac(&self, address: &str, mask: Option<&str>) -> Option<IntervalSet> {
        let set = masked_mac(address, mask)?;
        let stands = set.first() == mac(address);
        Some(if stands { set } else { IntervalSet::EMPTY })
    }

    fn takes_ports_of_negated(&self) -> bool {
        true
    }

    fn takes_empty_masks(&self) -> bool {
        true
    }

    fn number_in_variable(&self, attribute: &str, text: &str, greatest: u128) -> Option<u128> {
        let names: &[Name] = match attribute {
            "opcode" => &NFT_OPERATIONS,
            "protocolid" | "encap-protocol" => &NFT_TYPES,
            _ => &[],
        };
        let known = names.iter().find(|(name, _)| *name == text);
        known.map_or_else(
            || number(text, greatest),
            |(_, known)| Some((*known).into()),
        )
    }

    fn takes_backward_ranges(&self) -> bool {
        false
    }

    fn least_type(&self) -> u128 {
        0
    }

    fn greatest_vlan(&self) -> u128 {
        4095
    }

    /// It compares octet by octet, and a negated one wants each to differ.
    fn gratuitous(&self, negated: bool, matches: &mut MatchBuilder) {
        matches.add(Field::ArpGratuitous, IntervalSet::one(u128::from(!negated)));
        if negated {
            matches.undecided("a negated `gratuitous` wants each octet of the addresses to differ");
        }
    }

    fn layer2_icmp6(
        &self,
        kind: Option<(IntervalSet, bool)>,
        code: Option<(IntervalSet, bool)>,
        matches: &mut MatchBuilder,
    ) {
        for (field, value) in [(Field::IcmpType, kind), (Field::IcmpCode, code)] {
            if let Some((set, negated)) = value {
                matches.signed(field, &set, negated);
            }
        }
    }

    /// That of ICMPv6 is the first header's, and not what stands behind the others.
    fn layer3_protocol(&self, protocol: Protocol, number: u8, matches: &mut MatchBuilder) {
        let field = match protocol {
            Protocol::Icmpv6 => Field::NextHeader,
            _ => Field::Protocol,
        };
        matches.add(field, IntervalSet::one(number.into()));
    }

    /// A code without a type is not emitted.
    fn layer3_icmp(
        &self,
        _: Protocol,
        kind: Option<(u128, bool)>,
        code: Option<(u128, bool)>,
        matches: &mut MatchBuilder,
    ) {
        let code = code.filter(|_| kind.is_some());
        for (field, value) in [(Field::IcmpType, kind), (Field::IcmpCode, code)] {
            if let Some((value, negated)) = value {
                matches.signed(field, &IntervalSet::one(value), negated);
            }
        }
    }

    fn layer3_flags(
        &self,
        element: &ResolvedElement<'_>,
        (mask, flags, negated): (u128, u128, bool),
        matches: &mut MatchBuilder,
    ) -> Result<(), CompileError> {
        if mask.count_ones() > 1 || flags == ALL_FLAGS {
            return Err(element.refused("nft takes no mask of several TCP flags as it is emitted"));
        }
        // A set of single flags, of which one will do.
        let set = match flags {
            0 => under_mask(mask, 0),
            _ => (0..8)
                .map(|bit| flags & 1 << bit)
                .filter(|flag| *flag != 0)
                .map(|flag| under_mask(mask, flag))
                .fold(IntervalSet::EMPTY, |all, one| all.union(&one)),
        };
        matches.signed(Field::TcpFlags, &set, negated);
        Ok(())
    }

    fn encapsulated_types(&self, encap: &ResolvedAttribute) -> Option<IntervalSet> {
        let kind = if encap.variable {
            self.number_in_variable("encap-protocol", &encap.value, 0xffff)
        } else {
            name_or_number(&encap.value, &ETHERTYPES, 0xffff)
        };
        kind.map(IntervalSet::one)
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
        let accepts = rule.action == Action::Accept;
        let state = match named_state(element) {
            _ if !rule.statematch => Any,
            Some(state) => state,
            None if accepts => New,
            None => Any,
        };
        let out = copy(true, false, state);
        let to_guest = copy(false, false, state);
        match rule.direction {
            InOut => vec![to_guest, out],
            // A connection's first frame is no reply, whatever state is asked for.
            Out if accepts && rule.statematch => vec![out, copy(false, true, Known)],
            In if accepts && rule.statematch => vec![to_guest, copy(true, true, Known)],
            Out => vec![out],
            In => vec![to_guest],
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
        _: &mut MatchBuilder,
    ) -> Result<(), CompileError> {
        let negated = |name: &&&str| element.get(name).is_some_and(|found| found.negated);
        let names = ["srcipaddr", "dstipaddr", "srcipfrom", "dstipfrom", "dscp"];
        if let Some(name) = names.iter().find(negated) {
            return Err(element.refused(format!("nft takes no negated {name} as it is emitted")));
        }
        if element.get("option").is_some() {
            return Err(element.refused("nft takes no test of a TCP option as it is emitted"));
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

/// What the attribute `state` asks of a connection; none where there is none. `NONE` is as
/// if no state were named.
fn named_state(element: &ResolvedElement<'_>) -> Option<ConnectionState> {
    let states = element.value("state")?;
    let named = |name: &str| {
        let mut words = states.split(',').map(str::trim);
        words.any(|word| word.eq_ignore_ascii_case(name))
    };
    Some(if named("NONE") || named("NEW") {
        ConnectionState::New
    } else {
        ConnectionState::Known
    })
}

/// libvirt has nft compare the first bits of the address in a `<rarp>` element with all 32
/// of the masked address, which is too great a number for them but where it is zero.
///
/// # Errors
/// A number that is too great.
fn rarp_address(
    element: &ResolvedElement<'_>,
    name: &str,
    mask: &str,
    matches: &mut MatchBuilder,
) -> Result<(), CompileError> {
    let Some(length) = element
        .value(mask)
        .and_then(|mask| prefix_length(mask, false))
    else {
        return Ok(());
    };
    let read = |text: &str| masked_address(text, Some(&length.to_string()), false);
    let Some((set, _)) = element.read(name, read)? else {
        return Ok(());
    };
    let number = set.first().unwrap_or_default();
    if length == 0 || number >> length != 0 {
        return Err(element.refused(format!(
            "libvirt writes {name} too great for its mask for nft"
        )));
    }
    if length < 32 && number != 0 {
        matches.undecided(format!("libvirt writes {name} for nft as another address"));
    }
    Ok(())
}

//! Fields and their values in words.

use super::cidr::{prefixes4, prefixes6};
use crate::frame::ethertype;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::vocabulary::names::{PROTOCOLS, name_of};
use ipnet::IpNet;

/// What a field is called: `to`, `from port`, `ARP sender` …
pub fn label(field: Field) -> &'static str {
    match field {
        Field::EtherType => "EtherType",
        Field::DstMac => "to MAC",
        Field::SrcMac => "from MAC",
        Field::VlanId => "VLAN",
        Field::VlanEncap => "tagged EtherType",
        Field::Header => "whole header",
        Field::Src => "from",
        Field::Dst => "to",
        Field::Protocol => "protocol",
        Field::NextHeader => "next header",
        Field::SrcPort => "from port",
        Field::DstPort => "to port",
        Field::Tos => "TOS byte",
        Field::IcmpType => "ICMP type",
        Field::IcmpCode => "ICMP code",
        Field::TcpFlags => "TCP flags",
        Field::ArpHardware => "hardware type",
        Field::ArpProtocol => "protocol type",
        Field::ArpOperation => "operation",
        Field::ArpMacs => "Ethernet in the body",
        Field::ArpSrcMac => "sender's MAC",
        Field::ArpDstMac => "target's MAC",
        Field::ArpAddresses => "IPv4 in the body",
        Field::ArpSrc => "sender",
        Field::ArpDst => "target",
        Field::ArpGratuitous => "sender is target",
    }
}

/// The values of a field: those in `set`, or those of `all` that are not, if
/// that is shorter. `v6` says whose addresses they are.
pub fn values(field: Field, v6: bool, set: &IntervalSet, all: &IntervalSet) -> String {
    if set.is_empty() {
        return "nothing".to_owned();
    }
    if set == all {
        return "anything".to_owned();
    }
    let inside = list(field, v6, set);
    // Only values that a frame of this kind can have are worth naming.
    let outside = list(field, v6, &all.minus(set));
    if outside.is_empty() {
        return "anything".to_owned();
    }
    let one_is_missing = matches!(outside.as_slice(), [one] if !one.contains('-'));
    if outside.len() < inside.len() || one_is_missing {
        format!("all but {}", joined(&outside))
    } else {
        joined(&inside)
    }
}

/// The same in the words of the rules where that is shorter: a set that one of `own` names, but
/// for what is cut out of it.
pub fn said(
    field: Field,
    v6: bool,
    set: &IntervalSet,
    all: &IntervalSet,
    own: &[&IntervalSet],
) -> String {
    let plain = values(field, v6, set, all);
    let with_holes = own.iter().filter_map(|named| {
        let named = named.intersection(all);
        let holes = named.minus(set);
        if named == *all || holes.is_empty() || !set.is_within(&named) {
            return None;
        }
        let (named, holes) = (list(field, v6, &named), list(field, v6, &holes));
        Some(format!("{} but {}", joined(&named), joined(&holes)))
    });
    let shortest = with_holes.min_by_key(String::len);
    match shortest {
        Some(text) if text.len() < plain.len() => text,
        _ => plain,
    }
}

/// The values of a set, each alone or with its neighbours.
pub fn list(field: Field, v6: bool, set: &IntervalSet) -> Vec<String> {
    // The field has the width of IPv6, also where a test of IPv4 is negated.
    let v4 = || set.intersection(&IntervalSet::range(0, u32::MAX.into()));
    let nets = |nets: Vec<IpNet>| nets.iter().map(address).collect();
    match field {
        Field::Src | Field::Dst if v6 => return nets(prefixes6(set)),
        Field::Src | Field::Dst | Field::ArpSrc | Field::ArpDst => return nets(prefixes4(&v4())),
        _ => {}
    }
    let ranges = set.intervals().iter().map(|(low, high)| {
        let (first, last) = (number(field, *low), number(field, *high));
        if low == high {
            first
        } else {
            format!("{first}-{last}")
        }
    });
    ranges.collect()
}

/// Most values that are listed.
const SHOWN: usize = 12;

fn joined(list: &[String]) -> String {
    if list.len() <= SHOWN {
        return list.join(" ");
    }
    let rest = list.len() - SHOWN;
    format!("{} and {rest} more", list[..SHOWN].join(" "))
}

/// A prefix, or the address where it is one alone.
fn address(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

fn number(field: Field, value: u128) -> String {
    match field {
        Field::DstMac | Field::SrcMac | Field::ArpSrcMac | Field::ArpDstMac => mac(value),
        Field::EtherType | Field::VlanEncap | Field::ArpProtocol => ether_type(value),
        Field::Tos | Field::TcpFlags => format!("0x{value:02x}"),
        Field::Protocol | Field::NextHeader => protocol(value),
        Field::ArpOperation => operation(value),
        _ => value.to_string(),
    }
}

fn mac(value: u128) -> String {
    let octets = (0..6)
        .rev()
        .map(|at| format!("{:02x}", value >> (8 * at) & 0xff));
    octets.collect::<Vec<_>>().join(":")
}

fn ether_type(value: u128) -> String {
    let known = [
        (ethertype::IPV4, "IPv4"),
        (ethertype::IPV6, "IPv6"),
        (ethertype::ARP, "ARP"),
        (ethertype::RARP, "RARP"),
        (ethertype::VLAN, "VLAN"),
    ];
    let name = known.iter().find(|(kind, _)| u128::from(*kind) == value);
    name.map_or_else(|| format!("0x{value:04x}"), |(_, name)| (*name).to_owned())
}

fn protocol(value: u128) -> String {
    name_of(value, &PROTOCOLS).map_or_else(|| value.to_string(), str::to_owned)
}

fn operation(value: u128) -> String {
    let known = [
        (1, "request"),
        (2, "reply"),
        (3, "RARP request"),
        (4, "RARP reply"),
    ];
    let name = known.iter().find(|(number, _)| *number == value);
    name.map_or_else(|| value.to_string(), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::prefix(
        Field::Dst,
        false,
        IntervalSet::range(0x0a00_0000, 0x0aff_ffff),
        "10.0.0.0/8"
    )]
    #[case::address(Field::ArpSrc, false, IntervalSet::one(0x0a00_0001), "10.0.0.1")]
    #[case::address6(Field::Src, true, IntervalSet::one(1), "::1")]
    #[case::mac(
        Field::DstMac,
        false,
        IntervalSet::one(0x5254_0000_00ff),
        "52:54:00:00:00:ff"
    )]
    #[case::ports(Field::DstPort, false, IntervalSet::of(vec![(67, 68), (80, 80)]), "67-68 80")]
    #[case::type_(Field::EtherType, false, IntervalSet::of(vec![(0x806, 0x806), (0x835, 0x835)]), "ARP 0x0835")]
    #[case::protocols(Field::Protocol, false, IntervalSet::of(vec![(6, 6), (47, 47)]), "tcp 47")]
    #[case::nothing(Field::Dst, false, IntervalSet::EMPTY, "nothing")]
    #[case::all(Field::DstPort, false, Field::DstPort.all(), "anything")]
    #[case::but(
        Field::DstMac,
        false,
        Field::DstMac.all().minus(&IntervalSet::one(0x0180_c200_0000)),
        "all but 01:80:c2:00:00:00"
    )]
    fn of_values(
        #[case] field: Field,
        #[case] v6: bool,
        #[case] set: IntervalSet,
        #[case] text: &str,
    ) {
        assert_eq!(values(field, v6, &set, &field.all()), text);
    }

    #[test]
    fn long_lists_are_cut() {
        let odd = IntervalSet::of(
            (0..100)
                .map(|number| (2 * number + 1, 2 * number + 1))
                .collect(),
        );
        let text = values(Field::DstPort, false, &odd, &Field::DstPort.all());
        assert!(text.ends_with(" 23 and 88 more"), "{text}");
    }
}

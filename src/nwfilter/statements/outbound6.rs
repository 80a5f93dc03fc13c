//! IPv6 that the guest sends.

use super::clause::Clause;
use super::outbound4::group_macs;
use super::places::Places;
use super::statement::Statement::{
    self, AcrossScopes6, Allowed6, Dhcp6Answers, ForeignDestination6, ForeignSource6, GroupMac6,
    GroupToOneMac6, Groups6, HiddenReports6, Hosts6, NeighbourDiscovery, OldReports6, OtherIpv6,
    OtherToGroups6, RogueRouter, SourceChoice6, UnicastToGroupMac6, UnspecifiedIcmp6,
    UnspecifiedSource6,
};
use crate::frame::protocol::{ICMPV6, TCP, UDP};
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::intervals::IntervalSet;

/// What hosts speak to each other.
pub const HOST: [u128; 3] = [TCP as u128, UDP as u128, ICMPV6 as u128];

/// Reports and ends of membership of `MLDv1` (RFC 2710).
const OLD_REPORTS: [u128; 2] = [131, 132];

/// Reports of `MLDv2` (RFC 3810).
const REPORT: u128 = 143;

/// The group that `MLDv2` reports go to (RFC 3810 section 5.2.14).
const MLD_ROUTERS: u128 = 0xff02_0000_0000_0000_0000_0000_0000_0016;

/// Those that a host sends to groups: membership, router solicitation, neighbour solicitation
/// and advertisement (RFC 4861).
const CONTROL: [u128; 6] = [131, 132, 133, 135, 136, 143];

/// Those that it sends before it has an address.
const UNSPECIFIED: [u128; 5] = [131, 132, 133, 135, 143];

/// Router advertisement and redirect, which only a router sends.
const ROUTER: [u128; 2] = [134, 137];

/// Port of DHCPv6's client (RFC 8415 section 7.2).
const CLIENT: u128 = 546;

/// The next header that stands for hop-by-hop options.
pub const HOP_BY_HOP: u128 = 0;

/// A clause about ICMPv6.
pub fn icmp(statement: Statement) -> Clause {
    Clause::of(statement).having(Field::Protocol, &[ICMPV6.into()])
}

/// Its clauses, the first that matches counts.
pub fn clauses(places: &Places) -> Vec<Clause> {
    let udp = Clause::of(Dhcp6Answers).having(Field::Protocol, &[UDP.into()]);
    let mut out = reports(places);
    out.extend([
        icmp(RogueRouter).having(Field::IcmpType, &ROUTER),
        udp.having(Field::DstPort, &[CLIENT]),
    ]);
    let groups = places.groups6.union(&places.link_groups6);
    if !places.lan6.is_empty() {
        unspecified(places, &mut out);
    }
    let may = places.lan6.union(&places.allow6).union(&groups);
    out.push(Clause::of(UnspecifiedSource6).having(Field::Src, &[0]));
    out.push(Clause::of(ForeignSource6).with(Field::Src, &Field::Src.all().minus(&places.lan6)));
    out.push(Clause::of(ForeignDestination6).with(Field::Dst, &Field::Dst.all().minus(&may)));
    let to_one = Clause::of(GroupToOneMac6).with(Field::Dst, &groups);
    out.push(to_one.with(Field::DstMac, &places.single));
    groups6(places, &groups, &mut out);
    hosts(places, &mut out);
    out.push(Clause::of(OtherIpv6));
    out
}

/// Reports hide behind a header of hop-by-hop options (RFC 3810 section 5). They come from a
/// link-local address, or from none (RFC 3810 section 5.2.13): a guest that looks for its address
/// joins groups of the link only (RFC 3590 section 4).
fn reports(places: &Places) -> Vec<Clause> {
    if places.lan6.is_empty() {
        return Vec::new();
    }
    let nobody = IntervalSet::one(0);
    let from = places.link6.union(&nobody);
    let groups = places.groups6.union(&places.link_groups6);
    let hidden = |clause: Clause, from: &IntervalSet, to: &IntervalSet| {
        let clause = clause.having(Field::NextHeader, &[HOP_BY_HOP]);
        let clause = clause.with(Field::Src, from).with(Field::Dst, to);
        clause.with(Field::DstMac, &places.group_macs6)
    };
    let routers = IntervalSet::one(MLD_ROUTERS);
    let new = icmp(NeighbourDiscovery).having(Field::IcmpType, &[REPORT]);
    let old = icmp(OldReports6).having(Field::IcmpType, &OLD_REPORTS);
    vec![
        hidden(new, &from, &routers),
        // libvirt's nftables rules do not look behind this header.
        hidden(Clause::of(HiddenReports6), &from, &routers),
        hidden(old.clone(), &nobody, &places.link_groups6),
        hidden(old, &places.link6, &groups),
    ]
}

fn unspecified(places: &Places, out: &mut Vec<Clause>) {
    let from_nobody = |statement| {
        let clause = icmp(statement).having(Field::Src, &[0]);
        clause.with(Field::Dst, &places.link_groups6)
    };
    let mac = &places.group_macs6;
    let required = from_nobody(NeighbourDiscovery).with(Field::DstMac, mac);
    out.push(required.having(Field::IcmpType, &UNSPECIFIED));
    out.push(from_nobody(UnspecifiedIcmp6).with(Field::DstMac, &group_macs(places)));
}

/// A clause that requires, and the same for the LAN's addresses that need not be the guest's.
fn required(clause: Clause, own: &IntervalSet, others: &IntervalSet, out: &mut Vec<Clause>) {
    let choice = Clause {
        statement: SourceChoice6,
        ..clause.clone()
    };
    out.push(clause.with(Field::Src, own));
    out.push(choice.with(Field::Src, others));
}

fn groups6(places: &Places, groups: &IntervalSet, out: &mut Vec<Clause>) {
    let to = |clause: Clause, set: &IntervalSet| {
        let clause = clause.with(Field::Dst, set);
        clause.with(Field::DstMac, &places.group_macs6)
    };
    let (own, all) = (&places.own6, &places.lan6);
    let old = icmp(OldReports6).having(Field::IcmpType, &OLD_REPORTS);
    let control = icmp(NeighbourDiscovery).having(Field::IcmpType, &CONTROL);
    required(to(control, &places.link_groups6), own, all, out);
    required(to(old, &places.groups6), own, all, out);
    let udp = Clause::of(Groups6).having(Field::Protocol, &[UDP.into()]);
    required(to(udp, &places.groups6), own, all, out);
    let other = Clause::of(OtherToGroups6).having(Field::Protocol, &[TCP.into(), ICMPV6.into()]);
    out.push(to(other, groups));
    out.push(icmp(GroupMac6).with(Field::Dst, groups));
    let kind = Clause::of(GroupMac6).having(Field::Protocol, &HOST);
    out.push(kind.with(Field::Dst, &places.groups6));
}

fn hosts(places: &Places, out: &mut Vec<Clause>) {
    let host = |statement| Clause::of(statement).having(Field::Protocol, &HOST);
    let (link, wide) = (&places.link6, &places.wide6);
    // Link-local addresses do not leave the link (RFC 4291 section 2.5.6).
    let beyond = Clause::of(ForeignDestination6).with(Field::Src, link);
    out.push(beyond.with(Field::Dst, &places.allow6.minus(&places.lan6)));
    for (from, to) in [(link, wide), (wide, link)] {
        let across = Clause::of(AcrossScopes6).having(Field::Protocol, &[TCP.into(), UDP.into()]);
        out.push(across.with(Field::Src, from).with(Field::Dst, to));
    }
    let unicast = host(UnicastToGroupMac6).with(Field::DstMac, &group_macs(places));
    out.push(unicast.with(Field::Dst, &places.lan6.union(&places.allow6)));
    let (own, all) = (&places.own6, &places.lan6);
    required(host(Hosts6).with(Field::Dst, all), own, all, out);
    let own = own.intersection(wide);
    let allowed = host(Allowed6).with(Field::Dst, &places.allow6);
    required(allowed, &own, wide, out);
}

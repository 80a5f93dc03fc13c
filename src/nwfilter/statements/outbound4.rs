//! IPv4 that the guest sends.

use super::clause::Clause;
use super::places::Places;
use super::statement::Statement::{
    self, Allowed4, Broadcast, DhcpAnswers, DhcpDiscover, DhcpIsOff, DhcpRenew,
    ForeignDestination4, ForeignSource4, GatewayAsSource, GroupMac4, GroupToOneMac4, Groups4,
    Hosts4, IcmpRouting, Igmp, IgmpGroup, IgmpSource, LinkLocalToLan4, OtherIpv4, OtherToGroups4,
    SourceChoice4, UnicastToGroupMac4, UnspecifiedSource4,
};
use crate::frame::protocol::{ICMP, IGMP, TCP, UDP};
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::intervals::IntervalSet;

/// What hosts speak to each other.
pub const HOST: [u128; 3] = [ICMP as u128, TCP as u128, UDP as u128];

/// ICMP types that only a router sends: redirect and router advertisement (RFC 792, RFC 1256).
pub const ROUTING: [u128; 2] = [5, 9];

/// Ports of DHCP's client and server (RFC 2131 section 4.1).
pub const CLIENT: u128 = 68;
/// The server's.
pub const SERVER: u128 = 67;

/// Its clauses, the first that matches counts.
pub fn clauses(places: &Places) -> Vec<Clause> {
    let mut out = never(places);
    igmp(places, &mut out);
    let all = places.all4();
    out.push(Clause::of(UnspecifiedSource4).having(Field::Src, &[0]));
    out.push(Clause::of(ForeignSource4).with(Field::Src, &outside(&all)));
    out.push(Clause::of(ForeignDestination4).with(Field::Dst, &outside(&destinations(places))));
    let groups = places.multicast4.union(&places.everyone);
    let to_one = Clause::of(GroupToOneMac4).with(Field::Dst, &groups);
    out.push(to_one.with(Field::DstMac, &places.single));
    everyone(places, &mut out);
    groups4(places, &mut out);
    hosts(places, &mut out);
    out.push(Clause::of(OtherIpv4));
    out
}

fn udp(statement: Statement) -> Clause {
    Clause::of(statement).having(Field::Protocol, &[UDP.into()])
}

/// Addresses of IPv4 that are not in the set.
pub fn outside(set: &IntervalSet) -> IntervalSet {
    IntervalSet::range(0, u32::MAX.into()).minus(set)
}

/// Where the guest may send to at all, IGMP left aside.
fn destinations(places: &Places) -> IntervalSet {
    let hosts = places.all4().union(&places.allow4).union(&places.servers);
    let out = hosts.union(&places.groups4);
    if places.broadcast || places.dhcp {
        out.union(&places.everyone)
    } else {
        out
    }
}

fn never(places: &Places) -> Vec<Clause> {
    let mut out = vec![
        Clause::of(GatewayAsSource).with(Field::Src, &places.gateway),
        udp(DhcpAnswers).having(Field::DstPort, &[CLIENT]),
    ];
    if places.dhcp {
        let discover = dhcp(udp(DhcpDiscover)).having(Field::Src, &[0]);
        out.push(to_everyone(discover, places));
    } else {
        out.push(udp(DhcpIsOff).having(Field::DstPort, &[SERVER]));
    }
    out
}

fn dhcp(clause: Clause) -> Clause {
    clause
        .having(Field::SrcPort, &[CLIENT])
        .having(Field::DstPort, &[SERVER])
}

fn to_everyone(clause: Clause, places: &Places) -> Clause {
    clause
        .with(Field::Dst, &places.everyone)
        .with(Field::DstMac, &places.everyone_mac)
}

/// MACs of groups and of everyone.
pub fn group_macs(places: &Places) -> IntervalSet {
    Field::DstMac.all().minus(&places.single)
}

fn igmp(places: &Places, out: &mut Vec<Clause>) {
    if places.joined4.is_empty() {
        return;
    }
    let igmp = |statement| Clause::of(statement).having(Field::Protocol, &[IGMP.into()]);
    let report = |statement| {
        let clause = igmp(statement).with(Field::Dst, &places.joined4);
        clause.with(Field::DstMac, &places.group_macs4)
    };
    out.push(report(Igmp).with(Field::Src, &places.reporters4));
    out.push(report(IgmpSource));
    let group = igmp(IgmpGroup).with(Field::Dst, &places.multicast4);
    out.push(group.with(Field::DstMac, &places.group_macs4));
    let kind = igmp(GroupMac4).with(Field::Dst, &places.multicast4);
    out.push(kind.with(Field::DstMac, &group_macs(places)));
}

/// A clause that requires, and the same for the LAN's addresses that need not be the guest's.
fn required(clause: Clause, own: &IntervalSet, others: &IntervalSet, out: &mut Vec<Clause>) {
    let choice = Clause {
        statement: SourceChoice4,
        ..clause.clone()
    };
    out.push(clause.with(Field::Src, own));
    out.push(choice.with(Field::Src, others));
}

fn everyone(places: &Places, out: &mut Vec<Clause>) {
    let own = places.own4.intersection(&places.lan4);
    if places.broadcast {
        required(to_everyone(udp(Broadcast), places), &own, &places.lan4, out);
        let link = to_everyone(udp(LinkLocalToLan4), places);
        out.push(link.with(Field::Src, &places.link4));
        let kind = udp(GroupMac4).with(Field::Dst, &places.everyone);
        out.push(kind.with(Field::DstMac, &group_macs(places)));
        let other = Clause::of(OtherToGroups4).having(Field::Protocol, &[ICMP.into(), TCP.into()]);
        out.push(other.with(Field::Dst, &places.everyone));
    } else if places.dhcp {
        let rebind = to_everyone(dhcp(udp(DhcpDiscover)), places);
        required(rebind, &own, &places.lan4, out);
    }
}

fn groups4(places: &Places, out: &mut Vec<Clause>) {
    let group = |clause: Clause| clause.with(Field::Dst, &places.groups4);
    let send = group(udp(Groups4)).with(Field::DstMac, &places.group_macs4);
    required(send, &places.own4, &places.all4(), out);
    out.push(group(udp(GroupMac4)));
    let other = Clause::of(OtherToGroups4).having(Field::Protocol, &[ICMP.into(), TCP.into()]);
    out.push(group(other));
}

fn hosts(places: &Places, out: &mut Vec<Clause>) {
    let all = places.all4();
    let host = |statement| Clause::of(statement).having(Field::Protocol, &HOST);
    let own = places.own4.intersection(&places.lan4);
    let reachable = all.union(&places.allow4);
    // Link-local addresses do not leave the link (RFC 3927 section 2.7).
    let beyond = Clause::of(ForeignDestination4).with(Field::Src, &places.link4);
    out.push(beyond.with(Field::Dst, &outside(&all)));
    let link = host(LinkLocalToLan4).with(Field::Src, &places.link4);
    out.push(link.with(Field::Dst, &places.lan4));
    let routing = Clause::of(IcmpRouting).having(Field::Protocol, &[ICMP.into()]);
    let routing = routing.having(Field::IcmpType, &ROUTING);
    out.push(routing.with(Field::Dst, &reachable));
    let directed = Clause::of(Hosts4).having(Field::Protocol, &[ICMP.into(), UDP.into()]);
    let directed = directed.with(Field::Dst, &places.directed);
    let directed = directed.with(Field::DstMac, &places.everyone_mac);
    required(directed, &own, &places.lan4, out);
    let unicast = host(UnicastToGroupMac4).with(Field::Dst, &reachable);
    out.push(unicast.with(Field::DstMac, &group_macs(places)));
    required(host(Hosts4).with(Field::Dst, &all), &places.own4, &all, out);
    let allowed = host(Allowed4).with(Field::Dst, &places.allow4);
    required(allowed, &own, &places.lan4, out);
    if places.dhcp {
        let renew = dhcp(udp(DhcpRenew)).with(Field::Dst, &places.servers);
        required(renew, &own, &places.lan4, out);
    }
}

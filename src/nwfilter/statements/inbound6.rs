//! IPv6 that reaches the guest.

use super::clause::Clause;
use super::inbound4::not_ours;
use super::outbound4::group_macs;
use super::outbound6::{HOP_BY_HOP, HOST, icmp};
use super::places::Places;
use super::statement::Statement::{
    self, AcrossScopes6In, Allowed6In, DuplicateAddressIn, ForeignSource6In, GroupMacIn, Groups6In,
    Hosts6In, NeighbourDiscoveryIn, OtherDestinations6In, OtherProtocols6In, UnspecifiedOther6In,
    UnspecifiedSource6In,
};
use crate::frame::protocol::{TCP, UDP};
use crate::nwfilter::evaluate::field::{ABSENT, Field};
use crate::nwfilter::intervals::IntervalSet;

/// Queries for groups and reports (RFC 2710, RFC 3810).
const MEMBERSHIP: [u128; 4] = [130, 131, 132, 143];

/// Those, and neighbour discovery (RFC 4861).
const CONTROL: [u128; 9] = [130, 131, 132, 133, 134, 135, 136, 137, 143];

/// Its clauses, the first that matches counts.
pub fn clauses(places: &Places) -> Vec<Clause> {
    let mut out = Vec::new();
    if !places.lan6.is_empty() {
        unspecified(places, &mut out);
    }
    out.push(Clause::of(UnspecifiedSource6In).having(Field::Src, &[0]));
    let senders = places.lan6.union(&places.allow6);
    let foreign = Field::Src.all().minus(&senders);
    out.push(Clause::of(ForeignSource6In).with(Field::Src, &foreign));
    out.extend(not_ours(places));
    groups(places, &mut out);
    hosts(places, &mut out);
    rest(places, &mut out);
    out
}

fn unspecified(places: &Places, out: &mut Vec<Clause>) {
    let from_nobody = |clause: Clause| {
        let clause = clause.having(Field::Src, &[0]);
        clause.with(Field::Dst, &places.link_groups6)
    };
    let others = Field::SrcMac.all().minus(&places.guest);
    let asked = from_nobody(icmp(DuplicateAddressIn)).having(Field::IcmpType, &[135]);
    let asked = asked.with(Field::SrcMac, &others);
    out.push(asked.with(Field::DstMac, &places.group_macs6));
    let other = from_nobody(Clause::of(UnspecifiedOther6In));
    out.push(other.with(Field::DstMac, &group_macs(places)));
}

fn groups(places: &Places, out: &mut Vec<Clause>) {
    let lan = &places.lan6;
    let all = places.groups6.union(&places.link_groups6);
    let heard = |clause: Clause, to: &IntervalSet| {
        let clause = clause.with(Field::Src, lan).with(Field::Dst, to);
        clause.with(Field::DstMac, &places.group_macs6)
    };
    let query = icmp(NeighbourDiscoveryIn).having(Field::IcmpType, &MEMBERSHIP);
    out.push(heard(query.having(Field::NextHeader, &[HOP_BY_HOP]), &all));
    let control = icmp(NeighbourDiscoveryIn).having(Field::IcmpType, &CONTROL);
    out.push(heard(control, &places.link_groups6));
    let udp = Clause::of(Groups6In).having(Field::Protocol, &[UDP.into()]);
    out.push(heard(udp, &all));
}

fn hosts(places: &Places, out: &mut Vec<Clause>) {
    let (link, wide) = (&places.link6, &places.wide6);
    for (from, to) in [(link, wide), (wide, link)] {
        let across = Clause::of(AcrossScopes6In).having(Field::Protocol, &[TCP.into(), UDP.into()]);
        out.push(across.with(Field::Src, from).with(Field::Dst, to));
    }
    let unicast = |statement: Statement, from: &IntervalSet, to: &IntervalSet| {
        let clause = Clause::of(statement).having(Field::Protocol, &HOST);
        let clause = clause.with(Field::Src, from).with(Field::Dst, to);
        clause.with(Field::DstMac, &places.guest)
    };
    out.push(unicast(Hosts6In, &places.lan6, &places.own6));
    let own = places.own6.intersection(wide);
    out.push(unicast(Allowed6In, &places.allow6, &own));
}

/// What else hosts send that may reach the guest.
fn rest(places: &Places, out: &mut Vec<Clause>) {
    let spoken = IntervalSet::of(HOST.map(|number| (number, number)).to_vec());
    let all = Field::Protocol.all().union(&IntervalSet::one(ABSENT));
    let others = all.minus(&spoken);
    out.push(Clause::of(OtherProtocols6In).with(Field::Protocol, &others));
    let known = places
        .own6
        .union(&places.groups6)
        .union(&places.link_groups6);
    out.push(Clause::of(GroupMacIn).with(Field::Dst, &known));
    out.push(Clause::of(OtherDestinations6In));
}

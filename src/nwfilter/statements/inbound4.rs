//! IPv4 that reaches the guest.

use super::clause::Clause;
use super::outbound4::{CLIENT, HOST, ROUTING, SERVER, outside};
use super::places::Places;
use super::statement::Statement::{
    self, Allowed4In, BroadcastIn, DhcpAnswersIn, DhcpIsOffIn, DhcpServersIn, ForeignSource4In,
    GroupMacIn, Groups4In, Hosts4In, IcmpRoutingIn, IgmpIn, OtherDestinations4In, OtherMacIn,
    OtherProtocols4In, UnspecifiedDhcpIn, UnspecifiedSource4In,
};
use crate::frame::protocol::{ICMP, IGMP, UDP};
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::intervals::IntervalSet;

/// Its clauses, the first that matches counts.
pub fn clauses(places: &Places) -> Vec<Clause> {
    let mut out = unspecified(places);
    let hosts = places.all4().union(&places.allow4);
    let senders = hosts.union(&places.servers);
    out.push(Clause::of(ForeignSource4In).with(Field::Src, &outside(&senders)));
    let answer = udp(DhcpAnswersIn)
        .having(Field::SrcPort, &[SERVER])
        .having(Field::DstPort, &[CLIENT])
        .with(Field::Src, &places.servers);
    let elsewhere = Clause {
        statement: OtherDestinations4In,
        ..answer.clone()
    };
    out.extend(not_ours(places));
    out.push(
        answer
            .with(Field::Dst, &places.own4)
            .with(Field::DstMac, &places.guest),
    );
    out.push(elsewhere);
    out.push(Clause::of(DhcpServersIn).with(Field::Src, &places.servers.minus(&hosts)));
    if !places.dhcp {
        out.push(udp(DhcpIsOffIn).having(Field::DstPort, &[CLIENT]));
    }
    let routing = Clause::of(IcmpRoutingIn).having(Field::Protocol, &[ICMP.into()]);
    out.push(routing.having(Field::IcmpType, &ROUTING));
    from_hosts(places, &mut out);
    rest(places, &mut out);
    out
}

fn udp(statement: Statement) -> Clause {
    Clause::of(statement).having(Field::Protocol, &[UDP.into()])
}

fn igmp(statement: Statement) -> Clause {
    Clause::of(statement).having(Field::Protocol, &[IGMP.into()])
}

/// Frames that are for somebody else, or the guest's own that come back.
pub fn not_ours(places: &Places) -> [Clause; 2] {
    [
        Clause::of(OtherMacIn).with(Field::DstMac, &places.single.minus(&places.guest)),
        Clause::of(OtherMacIn).with(Field::SrcMac, &places.guest),
    ]
}

fn unspecified(places: &Places) -> Vec<Clause> {
    let mut out = Vec::new();
    let others = Field::SrcMac.all().minus(&places.guest);
    if !places.groups4.is_empty() {
        let query = igmp(IgmpIn)
            .having(Field::Src, &[0])
            .with(Field::SrcMac, &others);
        let query = query.with(Field::DstMac, &places.group_macs4);
        out.push(query.with(Field::Dst, &places.multicast4));
        out.push(igmp(UnspecifiedDhcpIn).having(Field::Src, &[0]));
    }
    let request = udp(UnspecifiedDhcpIn).having(Field::Src, &[0]);
    let request = request.with(Field::Dst, &places.everyone);
    let request = request.having(Field::SrcPort, &[CLIENT]);
    out.push(request.having(Field::DstPort, &[SERVER]));
    out.push(Clause::of(UnspecifiedSource4In).having(Field::Src, &[0]));
    out
}

fn from_hosts(places: &Places, out: &mut Vec<Clause>) {
    let all = places.all4();
    let unicast = |statement: Statement, from: &IntervalSet, to: &IntervalSet| {
        let clause = Clause::of(statement).having(Field::Protocol, &HOST);
        let clause = clause.with(Field::Src, from).with(Field::Dst, to);
        clause.with(Field::DstMac, &places.guest)
    };
    out.push(unicast(Hosts4In, &all, &places.own4));
    let own = places.own4.intersection(&places.lan4);
    out.push(unicast(Allowed4In, &places.allow4, &own));
    let shared = |clause: Clause, from: &IntervalSet, to: &IntervalSet, mac: &IntervalSet| {
        let clause = clause.with(Field::Src, from).with(Field::Dst, to);
        clause.with(Field::DstMac, mac)
    };
    let everyone = &places.everyone_mac;
    let directed = Clause::of(Hosts4In).having(Field::Protocol, &[ICMP.into(), UDP.into()]);
    out.push(shared(directed, &places.lan4, &places.directed, everyone));
    out.push(shared(
        udp(BroadcastIn),
        &places.lan4,
        &places.everyone,
        everyone,
    ));
    let groups = &places.group_macs4;
    out.push(shared(udp(Groups4In), &all, &places.multicast4, groups));
    out.push(shared(igmp(IgmpIn), &all, &places.multicast4, groups));
}

/// What else hosts send that may reach the guest.
fn rest(places: &Places, out: &mut Vec<Clause>) {
    let spoken = IntervalSet::of(HOST.map(|number| (number, number)).to_vec());
    let others = Field::Protocol.all().minus(&spoken);
    out.push(Clause::of(OtherProtocols4In).with(Field::Protocol, &others));
    let known = places
        .own4
        .union(&places.everyone)
        .union(&places.multicast4);
    out.push(Clause::of(GroupMacIn).with(Field::Dst, &known));
    out.push(Clause::of(OtherDestinations4In));
}

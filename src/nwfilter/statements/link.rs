//! ARP, RARP and every other EtherType than those of IP.

use super::clause::Clause;
use super::places::Places;
use super::statement::Statement;
use crate::frame::{arp::op, ethertype};
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::intervals::IntervalSet;

/// What the guest sends.
pub fn outbound(places: &Places) -> Vec<Clause> {
    use Statement::{
        Arp, ArpOperation, ArpProbe, ArpTarget, ArpToGroup, ArpUnspecified, ForeignArp,
        GatewayInArp, OtherEtherTypes, OtherRarp, SourceChoice4,
    };
    let arp = |statement| Clause::of(statement).typed(ethertype::ARP);
    let nobody = IntervalSet::one(0);
    let mut claimed = places.all4().union(&nobody);
    claimed = claimed.minus(&places.gateway);
    let spoken = |field: Field, good: u128| {
        let set = field.all().minus(&IntervalSet::one(good));
        arp(ForeignArp).with(field, &set)
    };
    let anyone = places.single.union(&places.everyone_mac);
    let mine = arp(Arp).with(Field::ArpSrc, &places.own4);
    let target = places.all4().union(&nobody);
    vec![
        arp(GatewayInArp).with(Field::ArpSrc, &places.gateway),
        spoken(Field::ArpHardware, 1),
        spoken(Field::ArpProtocol, ethertype::IPV4.into()),
        arp(ForeignArp).with(
            Field::ArpSrcMac,
            &Field::ArpSrcMac.all().minus(&places.guest),
        ),
        arp(ForeignArp).with(Field::ArpSrc, &Field::ArpSrc.all().minus(&claimed)),
        arp(ArpToGroup).with(Field::DstMac, &Field::DstMac.all().minus(&anyone)),
        arp(ArpProbe)
            .with(Field::ArpSrc, &nobody)
            .having(Field::ArpOperation, &[op::REQUEST.into()])
            .with(Field::ArpDst, &target),
        arp(ArpUnspecified).with(Field::ArpSrc, &nobody).with(
            Field::ArpOperation,
            &Field::ArpOperation
                .all()
                .minus(&IntervalSet::one(op::REQUEST.into())),
        ),
        mine.having(Field::ArpOperation, &[op::REQUEST.into(), op::REPLY.into()])
            .with(Field::ArpDst, &target),
        arp(ArpTarget).with(Field::ArpDst, &Field::ArpDst.all().minus(&target)),
        arp(ArpOperation).with(Field::ArpSrc, &places.own4),
        arp(SourceChoice4),
        announcement(places),
        Clause::of(OtherRarp).typed(ethertype::RARP),
        Clause::of(OtherEtherTypes),
    ]
}

/// QEMU's announcement of the guest.
fn announcement(places: &Places) -> Clause {
    let nobody = IntervalSet::one(0);
    let announced = [
        (Field::DstMac, &places.everyone_mac),
        (Field::ArpSrcMac, &places.guest),
        (Field::ArpDstMac, &places.guest),
        (Field::ArpSrc, &nobody),
        (Field::ArpDst, &nobody),
    ];
    let announcement = Clause::of(Statement::Announcement)
        .typed(ethertype::RARP)
        .having(Field::ArpHardware, &[1])
        .having(Field::ArpProtocol, &[ethertype::IPV4.into()])
        .having(Field::ArpOperation, &[op::REVERSE_REQUEST.into()]);
    announced.iter().fold(announcement, |clause, (field, set)| {
        clause.with(*field, set)
    })
}

/// What reaches the guest.
pub fn inbound(places: &Places) -> Vec<Clause> {
    use Statement::{
        ArpIn, ArpOperationIn, ArpSenderIn, ForeignArpIn, OtherEtherTypesIn, OtherMacIn, RarpIn,
    };
    let arp = |statement| Clause::of(statement).typed(ethertype::ARP);
    let other = |field: Field, good: &IntervalSet| field.all().minus(good);
    let reached = places.guest.union(&places.everyone_mac);
    let senders = places.all4().union(&IntervalSet::one(0));
    vec![
        arp(ForeignArpIn).with(
            Field::ArpHardware,
            &other(Field::ArpHardware, &IntervalSet::one(1)),
        ),
        arp(ForeignArpIn).with(
            Field::ArpProtocol,
            &other(
                Field::ArpProtocol,
                &IntervalSet::one(ethertype::IPV4.into()),
            ),
        ),
        arp(OtherMacIn).with(Field::DstMac, &other(Field::DstMac, &reached)),
        arp(OtherMacIn).with(Field::SrcMac, &places.guest),
        arp(ArpIn)
            .with(Field::ArpSrc, &senders)
            .having(Field::ArpOperation, &[op::REQUEST.into(), op::REPLY.into()]),
        arp(ArpSenderIn).with(Field::ArpSrc, &other(Field::ArpSrc, &senders)),
        arp(ArpOperationIn),
        Clause::of(RarpIn).typed(ethertype::RARP),
        Clause::of(OtherEtherTypesIn),
    ]
}

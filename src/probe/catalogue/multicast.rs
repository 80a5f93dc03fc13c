//! Groups: sending to them, joining them, receiving from them; IGMP.

use super::book::{Book, Draft};
use super::lan::DISCARD;
use super::rules;
use crate::frame::group::{self, igmp, record};
use crate::frame::{Ip4, ethertype, group_mac4, names, options4, protocol};
use crate::policy::Policy;
use crate::probe::{Group, Origin, Point, Sighting, Stimulus};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const MDNS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const LLMNR: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 252);
const SSDP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const IGMP_V3: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
const MDNS6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
const LLMNR6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 3);
/// The groups that the guest joins; nothing else is sent about them.
const JOINED: Ipv4Addr = Ipv4Addr::new(239, 255, 77, 1);
const JOINED6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x6c66, 1);
const JOINED_PORT: u16 = 7701;

/// Groups of every part of 224.0.0.0/4 (RFC 5771) that a frame is sent to.
const GROUPS: &[(&str, &str, [u8; 4])] = &[
    (
        "internetwork",
        "UDP to 224.0.1.187, internetwork control block",
        [224, 0, 1, 187],
    ),
    ("block-225", "UDP to the group 225.1.2.3", [225, 1, 2, 3]),
    (
        "ssm-232",
        "UDP to 232.1.2.3, source-specific multicast",
        [232, 1, 2, 3],
    ),
    ("block-238", "UDP to the group 238.1.2.3", [238, 1, 2, 3]),
    (
        "admin-239",
        "UDP to 239.1.2.3, administratively scoped",
        [239, 1, 2, 3],
    ),
];

/// Adds the row.
pub fn add(book: &mut Book<'_>) {
    add_services(book);
    add_groups(book);
    add_igmp(book);
    add_membership(book);
}

fn add_services(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let ok = |to: IpAddr| policy.has_group(to) && policy.contains(layout.guest.v4);
    let ok6 = |to| rules::link_group6(policy, layout, to);
    let question = |d: &Draft<'_>| names::question(0, false, "lanfence.local", Some(d.tag));
    let mut row = book.row(Group::Multicast, true, Point::Peer);
    row.expect(ok(MDNS.into())).udp(
        "mdns",
        "mDNS question to 224.0.0.251",
        (MDNS, names::MDNS_PORT),
        question,
    );
    row.expect(ok(LLMNR.into())).udp(
        "llmnr",
        "LLMNR question to 224.0.0.252",
        (LLMNR, names::LLMNR_PORT),
        question,
    );
    row.expect(ok(SSDP.into())).udp(
        "ssdp",
        "SSDP search to 239.255.255.250",
        (SSDP, names::SSDP_PORT),
        |d| names::ssdp_search(d.tag),
    );
    row.expect(ok6(MDNS6)).udp(
        "mdns6",
        "mDNS question to ff02::fb",
        (MDNS6, names::MDNS_PORT),
        question,
    );
    row.expect(ok6(LLMNR6)).udp(
        "llmnr6",
        "LLMNR question to ff02::1:3",
        (LLMNR6, names::LLMNR_PORT),
        question,
    );
}

fn add_groups(book: &mut Book<'_>) {
    let policy = book.policy;
    for &(name, summary, to) in GROUPS {
        let to = Ipv4Addr::from(to);
        let expect = policy.has_group(to) && policy.contains(book.layout.guest.v4);
        book.row(Group::Multicast, expect, Point::Peer)
            .raw(name, summary, |d| {
                let packet = d.ip4(to).ttl(1).udp(d.port, DISCARD, &d.bytes());
                d.link(group_mac4(to)).frame(ethertype::IPV4, &packet)
            });
    }
}

/// Whether the guest may report: IGMP itself needs groups of the link that the policy need not name.
fn may_report(policy: &Policy) -> bool {
    !policy.groups4.is_empty()
}

fn add_igmp(book: &mut Book<'_>) {
    let policy = book.policy;
    let mut row = book.row(Group::Multicast, true, Point::Gateway);
    let reports = [(
        "igmp2-report",
        "IGMPv2 report for 239.255.77.12",
        igmp::REPORT_V2,
        12,
    )];
    for (name, summary, kind, last) in reports {
        let member = Ipv4Addr::new(239, 255, 77, last);
        row.expect(policy.has_group(member))
            .raw(name, summary, |d| {
                igmp_frame(d, member, &group::igmp_message(kind, 0, member, &d.bytes()))
            });
    }
    row.expect(may_report(policy))
        .raw("igmp3-report", "IGMPv3 report to 224.0.0.22", |d| {
            let member = Ipv4Addr::new(239, 255, 77, 13);
            let report = group::igmp3_report(record::TO_EXCLUDE, member, &d.bytes());
            igmp_frame(d, IGMP_V3, &report)
        });
}

/// IGMP goes out with TTL 1 and router alert (RFC 3376 4).
fn igmp_frame(d: &Draft<'_>, to: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let ip: Ip4 = d.ip4(to).ttl(1).options(options4::router_alert());
    d.link(group_mac4(to))
        .frame(ethertype::IPV4, &ip.packet(protocol::IGMP, message))
}

fn add_membership(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    // Linux reports with IGMPv3 and MLDv2 unless an older querier is there.
    book.row(Group::Multicast, may_report(policy), Point::Gateway)
        .push(
            "igmp-join",
            "joining a group through the guest's stack (IGMP report)",
            Stimulus::Join {
                group: JOINED.into(),
                port: JOINED_PORT,
            },
            Sighting::Igmp { group: JOINED },
        );
    book.row(Group::Multicast, rules::nd(policy, layout), Point::Gateway)
        .push(
            "mld-join",
            "joining an IPv6 group through the guest's stack (MLD report)",
            Stimulus::Join {
                group: JOINED6.into(),
                port: JOINED_PORT,
            },
            Sighting::Mld { group: JOINED6 },
        );
    let from_peer = rules::inbound(policy, layout.peer.v4);
    book.row(Group::Multicast, from_peer, Point::TapToGuest)
        .from(Origin::Peer)
        .udp(
            "receive",
            "UDP from a LAN host to the joined group reaches the guest",
            (JOINED, JOINED_PORT),
            |d| d.bytes().to_vec(),
        );
    let from_peer = rules::inbound(policy, layout.peer.link_local);
    book.row(Group::Multicast, from_peer, Point::TapToGuest)
        .from(Origin::Peer)
        .udp(
            "receive6",
            "UDP from a LAN host to the joined IPv6 group reaches the guest",
            (JOINED6, JOINED_PORT),
            |d| d.bytes().to_vec(),
        );
}

//! ARP, IPv6 neighbour and router discovery, MLD, and the DHCPv6 solicit.

use super::book::{Book, Draft};
use super::rules;
use crate::frame::group::{self, mld, record};
use crate::frame::nd::{self, kind};
use crate::frame::{Ext, Ip6, arp, ethertype, group_mac6, solicited_node};
use crate::layout::Host;
use crate::probe::{Group, Point};
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const MLD_V2: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
const DHCPV6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// Adds IPv6.
pub fn add(book: &mut Book<'_>) {
    add_nd(book);
    add_mld(book);
}

/// Adds ARP.
pub fn add_arp(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, peer) = (&layout.guest, &layout.peer);
    let me = (guest.mac, guest.v4);
    let own = policy.contains(guest.v4) && policy.gateway != Some(guest.v4);
    let mut row = book.row(Group::Arp, own, Point::Peer);
    row.raw("request-peer", "ARP request for a host on the LAN", |d| {
        arp::request(me, peer.v4, &d.bytes())
    });
    row.at(Point::Gateway)
        .raw("request-router", "ARP request for the router", |d| {
            arp::request(me, layout.gateway.v4, &d.bytes())
        });
    row.raw("reply", "ARP reply to a host on the LAN", |d| {
        arp::reply(me, (peer.mac, peer.v4), &d.bytes())
    });
    row.raw(
        "announce",
        "ARP announcement of the guest's own address",
        |d| arp::request(me, guest.v4, &d.bytes()),
    );
    row.expect(true)
        .raw("probe", "ARP probe from 0.0.0.0 (RFC 5227)", |d| {
            arp::request((guest.mac, Ipv4Addr::UNSPECIFIED), guest.v4, &d.bytes())
        });
    row.expect(policy.link_local)
        .raw("link-local", "ARP announcement of 169.254.77.1", |d| {
            let address = Ipv4Addr::new(169, 254, 77, 1);
            arp::request((guest.mac, address), address, &d.bytes())
        });
    row.expect(true).raw(
        "qemu-announce",
        "QEMU's RARP announcement after a migration",
        |d| arp::qemu_announce(guest.mac, &d.bytes()),
    );
}

/// A neighbour discovery message to a group; hop limit 255 (RFC 4861 3.1).
fn to_group(d: &Draft<'_>, from: Ipv6Addr, to: Ipv6Addr, kind: u8, body: &[u8]) -> Vec<u8> {
    let packet = Ip6::new(from, to).hops(255).icmp(kind, 0, body);
    d.link(group_mac6(to)).frame(ethertype::IPV6, &packet)
}

/// The same to one host.
fn to_host(d: &Draft<'_>, from: Ipv6Addr, to: &Host, kind: u8, body: &[u8]) -> Vec<u8> {
    let packet = Ip6::new(from, to.link_local).hops(255).icmp(kind, 0, body);
    d.link(to.mac).frame(ethertype::IPV6, &packet)
}

fn add_nd(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, peer, router) = (&layout.guest, &layout.peer, &layout.gateway);
    let (me, mac) = (guest.link_local, guest.mac);
    let mut row = book.row(Group::Ipv6Control, rules::nd(policy, layout), Point::Peer);
    row.raw(
        "ns-peer",
        "neighbour solicitation for a host on the LAN",
        |d| {
            let body = nd::solicit(peer.link_local, Some(mac), d.tag);
            to_group(
                d,
                me,
                solicited_node(peer.link_local),
                kind::NEIGHBOUR_SOLICIT,
                &body,
            )
        },
    );
    row.at(Point::Gateway)
        .raw("ns-router", "neighbour solicitation for the router", |d| {
            let body = nd::solicit(router.link_local, Some(mac), d.tag);
            to_group(
                d,
                me,
                solicited_node(router.link_local),
                kind::NEIGHBOUR_SOLICIT,
                &body,
            )
        });
    row.raw(
        "ns-unicast",
        "neighbour unreachability check, unicast",
        |d| {
            let body = nd::solicit(peer.link_local, Some(mac), d.tag);
            to_host(d, me, peer, kind::NEIGHBOUR_SOLICIT, &body)
        },
    );
    row.raw("na-reply", "neighbour advertisement, solicited", |d| {
        to_host(
            d,
            me,
            peer,
            kind::NEIGHBOUR_ADVERT,
            &nd::advertise(me, mac, true, d.tag),
        )
    });
    row.expect(!policy.lan6.is_empty())
        .raw("dad", "duplicate address detection from ::", |d| {
            let body = nd::solicit(me, None, d.tag);
            to_group(
                d,
                Ipv6Addr::UNSPECIFIED,
                solicited_node(me),
                kind::NEIGHBOUR_SOLICIT,
                &body,
            )
        });
    add_router_discovery(book);
}

fn add_router_discovery(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (me, mac) = (layout.guest.link_local, layout.guest.mac);
    let mut row = book.row(
        Group::Ipv6Control,
        rules::nd(policy, layout),
        Point::Gateway,
    );
    row.raw("rs", "router solicitation", |d| {
        let body = nd::router_solicit(mac, d.tag);
        to_group(d, me, ALL_ROUTERS, kind::ROUTER_SOLICIT, &body)
    });
    let dhcpv6_may = rules::link_group6(policy, layout, DHCPV6);
    row.expect(dhcpv6_may)
        .raw("dhcpv6-solicit", "DHCPv6 solicit to ff02::1:2", |d| {
            let body = dhcpv6(1, d);
            let packet = d.local6(DHCPV6).hops(1).udp(546, 547, &body);
            d.link(group_mac6(DHCPV6)).frame(ethertype::IPV6, &packet)
        });
}

/// A `DHCPv6` message (RFC 8415) of this type with the tag in a vendor class option.
pub(super) fn dhcpv6(message: u8, d: &Draft<'_>) -> Vec<u8> {
    let mut out = vec![message, 0x6c, 0x66, 0x01];
    // Client identifier: DUID-LL of the guest.
    out.extend([0, 1, 0, 10, 0, 3, 0, 1]);
    out.extend(d.layout.guest.mac);
    // Vendor class, enterprise 0.
    out.extend([0, 16, 0, 22, 0, 0, 0, 0, 0, 16]);
    out.extend(d.bytes());
    out
}

fn add_mld(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let member = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x6c66, 2);
    let mut row = book.row(
        Group::Ipv6Control,
        rules::nd(policy, layout),
        Point::Gateway,
    );
    row.raw("mld1-report", "MLDv1 report", |d| {
        let body = group::mld1_body(member, &d.bytes());
        mld_frame(d, layout.guest.link_local, member, mld::REPORT_V1, &body)
    });
    let sources = [
        (
            "mld2-report",
            "MLDv2 report to ff02::16",
            layout.guest.link_local,
        ),
        (
            "mld2-report-no-address",
            "MLDv2 report from ::",
            Ipv6Addr::UNSPECIFIED,
        ),
    ];
    for (name, summary, from) in sources {
        let expect = if from.is_unspecified() {
            !policy.lan6.is_empty()
        } else {
            rules::nd(policy, layout)
        };
        row.expect(expect).raw(name, summary, |d| {
            let body = group::mld2_report_body(record::TO_EXCLUDE, member, &d.bytes());
            mld_frame(d, from, MLD_V2, mld::REPORT_V2, &body)
        });
    }
}

/// MLD goes out with hop limit 1 and router alert (RFC 3810 5).
fn mld_frame(d: &Draft<'_>, from: Ipv6Addr, to: Ipv6Addr, kind: u8, body: &[u8]) -> Vec<u8> {
    let ip = Ip6::new(from, to).hops(1).ext(Ext::router_alert());
    d.link(group_mac6(to))
        .frame(ethertype::IPV6, &ip.icmp(kind, 0, body))
}

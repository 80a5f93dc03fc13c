//! Frames for the guest from hosts that have no address yet.

use super::book::{Book, Draft};
use super::lan::DISCARD;
use crate::frame::group::{self, igmp};
use crate::frame::nd::{self, kind};
use crate::frame::{
    Ip4, Ip6, Link, Mac, ethertype, group_mac4, group_mac6, options4, protocol, solicited_node,
};
use crate::probe::{Group, Origin, Point};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The group of all systems (RFC 1112 section 4).
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// A group whose MAC has the bit set that is the first of a group's 23.
const HIGH_GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 77, 98);
/// Of the groups of the link one near the beginning, one near the end, and one beyond them.
const LOW6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
const HIGH6: Ipv6Addr = Ipv6Addr::new(0xff02, 0xffff, 0, 0, 0, 0, 0, 0x6c66);
const SITE6: Ipv6Addr = Ipv6Addr::new(0xff03, 0, 0, 0, 0, 0, 0, 1);

/// Adds what must reach the guest.
pub fn add_lan(book: &mut Book<'_>) {
    let nobody4 = Ipv4Addr::UNSPECIFIED;
    if !book.policy.groups4.is_empty() {
        let mut row = book.row(Group::LanInbound, true, Point::TapToGuest);
        row.from(Origin::Peer).raw(
            "igmp-query-no-address-high-mac",
            "IGMPv3 query from 0.0.0.0 to a group with a high MAC",
            |d| query(d, nobody4, HIGH_GROUP),
        );
    }
    if book.policy.lan6.is_empty() {
        return;
    }
    let nobody = Ipv6Addr::UNSPECIFIED;
    let group = solicited_node(book.layout.peer.link_local);
    let mut row = book.row(Group::LanInbound, true, Point::TapToGuest);
    let mut row = row.from(Origin::Peer);
    for (name, summary, to) in [
        ("dad", "duplicate address detection of a LAN host", group),
        (
            "no-address-low-mac",
            "ICMPv6 from :: to a group with a low MAC",
            LOW6,
        ),
        (
            "no-address-last",
            "ICMPv6 from :: to a group at the end of ff02::/16",
            HIGH6,
        ),
    ] {
        row.raw(name, summary, |d| {
            solicitation(d, nobody, to, group_mac6(to))
        });
    }
}

/// Adds what must not reach it.
pub fn add_wan(book: &mut Book<'_>) {
    let (nobody4, first4) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(0, 0, 0, 1));
    if !book.policy.groups4.is_empty() {
        let mut row = book.row(Group::WanInbound, false, Point::TapToGuest);
        let mut row = row.from(Origin::Peer);
        row.raw("igmp-from-0-0-0-1", "IGMPv3 query from 0.0.0.1", |d| {
            query(d, first4, ALL_SYSTEMS)
        });
        row.raw("udp-no-address", "UDP from 0.0.0.0 to all systems", |d| {
            let ip = Ip4::new(nobody4, ALL_SYSTEMS).ttl(1);
            let link = Link::new(d.layout.peer.mac, group_mac4(ALL_SYSTEMS));
            link.frame(ethertype::IPV4, &ip.udp(d.port, DISCARD, &d.bytes()))
        });
    }
    if book.policy.lan6.is_empty() {
        return;
    }
    let (nobody, first) = (Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST);
    let (guest, peer) = (&book.layout.guest, &book.layout.peer);
    let group = solicited_node(peer.link_local);
    let mut row = book.row(Group::WanInbound, false, Point::TapToGuest);
    let mut row = row.from(Origin::Peer);
    for (name, summary, from, to, mac) in [
        (
            "icmp-above-no-address",
            "ICMPv6 from ::1 to a group",
            first,
            group,
            group_mac6(group),
        ),
        (
            "icmp-one-mac",
            "ICMPv6 from :: to a group and the guest's MAC",
            nobody,
            group,
            guest.mac,
        ),
        (
            "icmp-to-host",
            "ICMPv6 from :: to the guest's address",
            nobody,
            guest.link_local,
            group_mac6(group),
        ),
        (
            "icmp-to-site",
            "ICMPv6 from :: to a group of ff03::/16",
            nobody,
            SITE6,
            group_mac6(SITE6),
        ),
    ] {
        row.raw(name, summary, |d| solicitation(d, from, to, mac));
    }
}

/// A question for a group, to this group.
fn query(d: &Draft<'_>, from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let query = group::igmp3_query(HIGH_GROUP, &d.bytes());
    debug_assert_eq!(query[0], igmp::QUERY);
    let ip = Ip4::new(from, to).ttl(1).options(options4::router_alert());
    Link::new(d.layout.peer.mac, group_mac4(to))
        .frame(ethertype::IPV4, &ip.packet(protocol::IGMP, &query))
}

/// Asks for the address of the peer itself, as a host does that wants it.
fn solicitation(d: &Draft<'_>, from: Ipv6Addr, to: Ipv6Addr, mac: Mac) -> Vec<u8> {
    let body = nd::solicit(d.layout.peer.link_local, None, d.tag);
    let packet = Ip6::new(from, to)
        .hops(255)
        .icmp(kind::NEIGHBOUR_SOLICIT, 0, &body);
    Link::new(d.layout.peer.mac, mac).frame(ethertype::IPV6, &packet)
}

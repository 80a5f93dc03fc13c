//! Single fields beside those that rules are about: ports of DHCP, types of `ICMPv6`, the
//! address beside the router's.

use super::book::{Book, Draft};
use super::lan::DISCARD;
use crate::frame::dhcp::{CLIENT_PORT, SERVER_PORT};
use crate::frame::nd::{self, kind};
use crate::frame::{Ip4, Ip6};
use crate::probe::{Group, Point};
use ipnet::Ipv4Net;
use std::net::{Ipv4Addr, Ipv6Addr};

/// `DHCPv6` clients (RFC 8415 section 7.2).
const DHCPV6_CLIENT: u16 = 546;

/// Adds ports beside those that a rule is about, and the address beside the router's.
pub fn add_hosts(book: &mut Book<'_>) {
    let policy = book.policy;
    if let Some(beside) = beside_router(book) {
        let to = book.layout.peer.v4;
        book.row(Group::LanUnicast, true, Point::Peer)
            .any_guest()
            .raw(
                "beside-router",
                "UDP from the address beside the router's",
                |d| d.to_peer4(&Ip4::new(beside, to).udp(d.port, DISCARD, &d.bytes())),
            );
    }
    let layout = book.layout;
    if policy.contains(layout.guest.v4) {
        for port in [CLIENT_PORT - 2, CLIENT_PORT - 1, CLIENT_PORT + 1] {
            // Where there is no DHCP nobody may ask a server.
            let expect = port != SERVER_PORT || policy.dhcp.client;
            book.row(Group::LanUnicast, expect, Point::Peer).raw(
                &format!("udp-to-port-{port}"),
                &format!("UDP to port {port} of a LAN host"),
                |d| d.to_peer4(&d.ip4(layout.peer.v4).udp(d.port, port, &d.bytes())),
            );
        }
    }
    if let Some((from, to)) = own6(book) {
        for port in [DHCPV6_CLIENT - 1, DHCPV6_CLIENT + 1] {
            book.row(Group::LanUnicast, true, Point::Peer).raw(
                &format!("udp6-to-port-{port}"),
                &format!("UDP over IPv6 to port {port} of a LAN host"),
                |d| d.to_peer6(&Ip6::new(from, to).udp(d.port, port, &d.bytes())),
            );
        }
    }
}

/// The address that differs from the router's in the last bit, where a guest may have it.
pub fn beside_router(book: &Book<'_>) -> Option<Ipv4Addr> {
    let router = book.policy.gateway?;
    let beside = Ipv4Addr::from_bits(router.to_bits() ^ 1);
    let is_host = |net: &Ipv4Net| {
        let ends = [net.network(), net.broadcast()];
        net.contains(&beside) && (net.prefix_len() >= 31 || !ends.contains(&beside))
    };
    book.policy.lan4.iter().any(is_host).then_some(beside)
}

/// Addresses of guest and peer in one IPv6 network of the LAN.
pub fn own6(book: &Book<'_>) -> Option<(Ipv6Addr, Ipv6Addr)> {
    let (guest, peer) = (&book.layout.guest, &book.layout.peer);
    let pairs = [(guest.link_local, peer.link_local), (guest.v6, peer.v6)];
    let contains = |address: Ipv6Addr| book.policy.lan6.iter().any(|net| net.contains(&address));
    pairs
        .into_iter()
        .find(|(from, to)| contains(*from) && contains(*to))
}

/// Adds types of `ICMPv6` beside those of routers.
pub fn add_control(book: &mut Book<'_>) {
    const RENUMBERING: u8 = 138;
    let Some((from, to)) = own6(book) else {
        return;
    };
    let types = [
        (kind::ROUTER_SOLICIT, "router solicitation"),
        (kind::NEIGHBOUR_SOLICIT, "neighbour solicitation"),
        (kind::NEIGHBOUR_ADVERT, "neighbour advertisement"),
        (RENUMBERING, "router renumbering, which no rule is about,"),
    ];
    for (kind, words) in types {
        book.row(Group::Ipv6Control, true, Point::Peer).raw(
            &format!("type-{kind}"),
            &format!("{words} to a LAN host"),
            |d| {
                d.to_peer6(
                    &Ip6::new(from, to)
                        .hops(255)
                        .icmp(kind, 0, &icmp6_body(d, kind, to)),
                )
            },
        );
    }
}

/// What a message of the type says; of a type that is not known, a tag.
fn icmp6_body(d: &Draft<'_>, kind: u8, to: Ipv6Addr) -> Vec<u8> {
    let mac = d.layout.guest.mac;
    match kind {
        kind::ROUTER_SOLICIT => nd::router_solicit(mac, d.tag),
        kind::NEIGHBOUR_SOLICIT => nd::solicit(to, Some(mac), d.tag),
        kind::NEIGHBOUR_ADVERT => nd::advertise(d.layout.guest.link_local, mac, true, d.tag),
        kind::ROUTER_ADVERT => nd::router_advert(mac, d.tag),
        kind::REDIRECT => nd::redirect(d.layout.guest.link_local, d.layout.wan6, mac, d.tag),
        _ => [&[0; 4], &d.bytes()[..]].concat(),
    }
}

/// What only routers and servers say, in the network that the guest has IPv6 in.
pub fn add_router(book: &mut Book<'_>) {
    let Some((from, to)) = own6(book) else {
        return;
    };
    let mut row = book.row(Group::Rogue, false, Point::Peer);
    for (kind, words) in [
        (kind::ROUTER_ADVERT, "router advertisement"),
        (kind::REDIRECT, "redirect"),
    ] {
        row.raw(
            &format!("type-{kind}"),
            &format!("{words} to a LAN host"),
            |d| {
                d.to_peer6(
                    &Ip6::new(from, to)
                        .hops(255)
                        .icmp(kind, 0, &icmp6_body(d, kind, to)),
                )
            },
        );
    }
    row.raw(
        "udp6-to-port-546",
        "UDP over IPv6 to the port of DHCPv6 clients",
        |d| d.to_peer6(&Ip6::new(from, to).udp(d.port, DHCPV6_CLIENT, &d.bytes())),
    );
}

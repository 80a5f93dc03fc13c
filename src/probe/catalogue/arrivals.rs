//! Frames for the guest at the edges: from the last address of each network and from
//! beside it, and what has no address.

use super::arp_fields::{with_hardware, with_protocol};
use super::book::{Book, Draft};
use super::fields::own6;
use super::lan::DISCARD;
use super::places::{Place, allowed, lan6, sources4};
use super::unaddressed;
use crate::frame::dhcp::{CLIENT_PORT, SERVER_PORT};
use crate::frame::nd::{self, kind};
use crate::frame::{Ip4, Ip6, Link, arp, ethertype};
use crate::probe::{Group, Origin, Point};
use std::net::{IpAddr, Ipv4Addr};

/// Adds what must reach the guest.
pub fn add_lan(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    for place in places(book) {
        let from = place.last_host(policy, layout);
        arrives(
            book,
            Group::LanInbound,
            true,
            &format!("last-{}", place.name),
            &format!("UDP from the last host of {}", place.net),
            from,
        );
    }
    add_router(book);
    unaddressed::add_lan(book);
}

/// What is stopped on its way out must not be stopped on its way in. The sender is no router
/// of the guest's, which looks at it and forgets it (RFC 4861 sections 6.1.2 and 8.1).
fn add_router(book: &mut Book<'_>) {
    let Some((to, from)) = own6(book) else {
        return;
    };
    let mut types = vec![(kind::REDIRECT, "IPv6 redirect")];
    if !from.is_unicast_link_local() {
        types.push((kind::ROUTER_ADVERT, "router advertisement"));
    }
    let mut row = book.row(Group::LanInbound, true, Point::TapToGuest);
    let mut row = row.from(Origin::Peer);
    for (kind, words) in types {
        row.raw(
            &format!("type-{kind}"),
            &format!("{words} from a LAN host that is no router"),
            |d| {
                let mac = d.layout.peer.mac;
                let body = match kind {
                    kind::REDIRECT => nd::redirect(from, d.layout.wan6, mac, d.tag),
                    _ => nd::router_advert(mac, d.tag),
                };
                let packet = Ip6::new(from, to).hops(255).icmp(kind, 0, &body);
                Link::new(mac, d.layout.guest.mac).frame(ethertype::IPV6, &packet)
            },
        );
    }
}

/// Adds what must not reach it.
pub fn add_wan(book: &mut Book<'_>) {
    let policy = book.policy;
    for place in places(book) {
        for (side, from) in place.edges(|address| !policy.allows(address)) {
            let known = policy
                .dhcp
                .servers
                .iter()
                .any(|server| IpAddr::V4(*server) == from);
            if !known {
                arrives(
                    book,
                    Group::WanInbound,
                    false,
                    &format!("{side}-{}", place.name),
                    &format!("UDP from directly {side} {}", place.net),
                    from,
                );
            }
        }
    }
    unaddressed::add_wan(book);
    add_arp(book);
    add_servers(book);
}

fn places(book: &Book<'_>) -> Vec<Place> {
    let policy = book.policy;
    let places = sources4(policy).into_iter().chain(lan6(policy));
    places.chain(allowed(policy)).collect()
}

fn arrives(
    book: &mut Book<'_>,
    group: Group,
    expect: bool,
    name: &str,
    summary: &str,
    from: IpAddr,
) {
    let mut row = book.row(group, expect, Point::TapToGuest);
    row.from(Origin::Peer).raw(name, summary, |d| {
        let link = Link::new(d.layout.peer.mac, d.layout.guest.mac);
        match from {
            IpAddr::V4(from) => {
                let packet = Ip4::new(from, d.layout.guest.v4).udp(d.port, DISCARD, &d.bytes());
                link.frame(ethertype::IPV4, &packet)
            }
            IpAddr::V6(from) => {
                let to = if from.is_unicast_link_local() {
                    d.layout.guest.link_local
                } else {
                    d.layout.guest.v6
                };
                let packet = Ip6::new(from, to).udp(d.port, DISCARD, &d.bytes());
                link.frame(ethertype::IPV6, &packet)
            }
        }
    });
}

/// Of ARP, only that between Ethernet and IPv4 means anything to a guest.
fn add_arp(book: &mut Book<'_>) {
    let (guest, peer) = (&book.layout.guest, &book.layout.peer);
    let request = |d: &Draft<'_>| arp::request((peer.mac, peer.v4), guest.v4, &d.bytes());
    let mut row = book.row(Group::WanInbound, false, Point::TapToGuest);
    let mut row = row.from(Origin::Peer);
    row.raw("arp-hardware", "ARP request for other hardware", |d| {
        with_hardware(request(d))
    });
    row.raw("arp-protocol", "ARP request for another protocol", |d| {
        with_protocol(request(d))
    });
}

/// A server off the LAN answers from 67 to 68, and says nothing else.
fn add_servers(book: &mut Book<'_>) {
    let policy = book.policy;
    for (at, &server) in policy.dhcp.servers.iter().enumerate() {
        let beside = Ipv4Addr::from_bits(server.to_bits() ^ 1);
        let (from, to) = (SERVER_PORT, CLIENT_PORT);
        let frames = [
            ("answer", server, (from, to), true),
            ("from-port-66", server, (from - 1, to), false),
            ("from-port-68", server, (from + 1, to), false),
            ("to-port-67", server, (from, to - 1), false),
            ("to-port-69", server, (from, to + 1), false),
            ("beside", beside, (from, to), false),
        ];
        for (name, sender, ports, expect) in frames {
            let expect = expect || policy.allows(sender);
            let mut row = book.row(Group::WanInbound, expect, Point::TapToGuest);
            row.from(Origin::Peer).raw(
                &format!("server-{}-{name}", at + 1),
                &format!("UDP as from the DHCP server {server}: {name}"),
                |d| {
                    let packet =
                        Ip4::new(sender, d.layout.guest.v4).udp(ports.0, ports.1, &d.bytes());
                    Link::new(d.layout.peer.mac, d.layout.guest.mac).frame(ethertype::IPV4, &packet)
                },
            );
        }
    }
}

//! Unicast and broadcast on the LAN.

use super::book::{Book, Draft, LATER};
use super::rules;
use crate::frame::l4::{self};
use crate::frame::{BROADCAST, Ip4, ethertype, names, protocol};
use crate::probe::{Group, Point};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

/// Discard and echo (RFC 863, RFC 862): nobody minds what comes to them.
pub const DISCARD: u16 = 9;
/// Where a host on the LAN echoes a TCP connection.
pub const ECHO: u16 = 7;

/// Adds unicast.
pub fn add_hosts(book: &mut Book<'_>) {
    add_stack4(book);
    add_stack6(book);
    add_raw(book);
    add_behind_router(book);
}

fn tag(draft: &Draft<'_>) -> Vec<u8> {
    draft.bytes().to_vec()
}

fn add_stack4(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, peer, router) = (layout.guest.v4, layout.peer.v4, layout.gateway.v4);
    let mut row = book.row(
        Group::LanUnicast,
        rules::outbound(policy, guest, peer),
        Point::Peer,
    );
    row.udp("udp-peer", "UDP to a host on the LAN", (peer, DISCARD), tag);
    row.tcp("tcp-peer", "TCP to a host on the LAN", (peer, ECHO));
    row.ping("ping-peer", "ping to a host on the LAN", peer);
    let mut row = book.row(
        Group::LanUnicast,
        rules::outbound(policy, guest, router),
        Point::Gateway,
    );
    row.udp(
        "udp-router",
        "UDP to the router itself",
        (router, DISCARD),
        tag,
    );
    row.ping("ping-router", "ping to the router itself", router);
    row.dns("dns-router", "DNS question to the router", router);
}

fn add_stack6(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, peer, router) = (&layout.guest, &layout.peer, &layout.gateway);
    let local = rules::outbound(policy, guest.link_local, peer.link_local);
    let mut row = book.row(Group::LanUnicast, local, Point::Peer);
    let to = peer.link_local;
    row.udp(
        "udp6-link-local",
        "UDP over IPv6 link-local to a host on the LAN",
        (to, DISCARD),
        tag,
    );
    row.tcp(
        "tcp6-link-local",
        "TCP over IPv6 link-local to a host on the LAN",
        (to, ECHO),
    );
    row.ping(
        "ping6-link-local",
        "ping over IPv6 link-local to a host on the LAN",
        to,
    );
    row.at(Point::Gateway).ping(
        "ping6-router-link-local",
        "ping over IPv6 link-local to the router itself",
        router.link_local,
    );
    let prefix = rules::outbound(policy, guest.v6, peer.v6);
    let mut row = book.row(Group::LanUnicast, prefix, Point::Peer);
    row.udp(
        "udp6-prefix",
        "UDP to a host in the link's IPv6 prefix",
        (peer.v6, DISCARD),
        tag,
    );
}

fn add_raw(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, peer) = (&layout.guest, &layout.peer);
    let expect = rules::outbound(policy, guest.v4, peer.v4);
    let mut row = book.row(Group::LanUnicast, expect, Point::Peer);
    row.raw("raw-udp-peer", "raw UDP frame to a host on the LAN", |d| {
        d.to_peer4(&d.ip4(peer.v4).udp(d.port, DISCARD, &d.bytes()))
    });
    row.raw(
        "udp-first-fragment",
        "first fragment of a UDP datagram on the LAN",
        |d| fragments(d, peer.v4).0,
    );
    row.raw(
        "udp-later-fragment",
        "later fragment of a UDP datagram on the LAN",
        |d| fragments(d, peer.v4).1,
    );
    row.expect(policy.link_local).raw(
        "link-local4",
        "UDP between IPv4 link-local addresses (RFC 3927)",
        |d| {
            let ip = Ip4::new(
                Ipv4Addr::new(169, 254, 77, 1),
                Ipv4Addr::new(169, 254, 10, 1),
            );
            d.to_peer4(&ip.udp(d.port, DISCARD, &d.bytes()))
        },
    );
}

fn fragments(d: &Draft<'_>, to: Ipv4Addr) -> (Vec<u8>, Vec<u8>) {
    let ip = d.ip4(to);
    let datagram = l4::udp(ip.ends(), d.port, DISCARD, &d.long_payload());
    let (first, later) = Draft::halves(&datagram);
    (
        d.to_peer4(&ip.clone().fragment(0, true).packet(protocol::UDP, &first)),
        d.to_peer4(&ip.fragment(LATER, false).packet(protocol::UDP, &later)),
    )
}

/// Hosts behind the router that the policy counts as LAN or allows.
fn add_behind_router(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let hosts = [layout.guest.link_local, layout.guest.v6];
    let lan4 = policy
        .lan4
        .iter()
        .filter(|net| !net.contains(&layout.guest.v4));
    let lan6 = policy
        .lan6
        .iter()
        .filter(|net| !hosts.iter().any(|host| net.contains(host)));
    let lan = lan4
        .copied()
        .map(IpNet::V4)
        .chain(lan6.copied().map(IpNet::V6));
    for (at, net) in lan.enumerate() {
        behind_router(
            book,
            &format!("other-lan-{}", at + 1),
            &format!("UDP to {net}, which is LAN too"),
            net,
        );
    }
    for (at, &net) in policy.allow.iter().enumerate() {
        behind_router(
            book,
            &format!("allowed-{}", at + 1),
            &format!("UDP to {net}, which the policy allows"),
            net,
        );
    }
}

/// A datagram to the first host of a net, handed to the router.
fn behind_router(book: &mut Book<'_>, name: &str, summary: &str, net: IpNet) {
    let (policy, layout) = (book.policy, book.layout);
    match net.hosts().next().unwrap_or(net.addr()) {
        IpAddr::V4(to) => {
            let expect = rules::outbound(policy, layout.guest.v4, to);
            let received_at = rules::routed4(layout, to);
            book.row(Group::LanUnicast, expect, received_at)
                .raw(name, summary, |d| {
                    d.to_router4(&d.ip4(to).udp(d.port, DISCARD, &d.bytes()))
                });
        }
        IpAddr::V6(to) => {
            let expect = rules::outbound(policy, layout.guest.v6, to);
            let received_at = rules::routed6(layout, to);
            book.row(Group::LanUnicast, expect, received_at)
                .raw(name, summary, |d| {
                    d.to_router6(&d.ip6(to).udp(d.port, DISCARD, &d.bytes()))
                });
        }
    }
}

/// Adds broadcast.
pub fn add_broadcast(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let guest = layout.guest.v4;
    let all = layout.lan4.broadcast();
    let directed = rules::outbound(policy, guest, all);
    let mut row = book.row(Group::Broadcast, directed, Point::Peer);
    row.udp(
        "netbios-name",
        "NetBIOS name query to the LAN's broadcast address",
        (all, names::NETBIOS_NS_PORT),
        |d| names::netbios_query("LANFENCE", d.tag),
    );
    row.udp(
        "netbios-datagram",
        "NetBIOS datagram to the LAN's broadcast address",
        (all, names::NETBIOS_DGM_PORT),
        |d| names::netbios_datagram(guest, d.tag),
    );
    row.raw(
        "ping-directed",
        "echo request to the LAN's broadcast address",
        |d| {
            d.link(BROADCAST)
                .frame(ethertype::IPV4, &d.ip4(all).echo(&d.bytes()))
        },
    );
    let limited = policy.broadcast && policy.contains(guest);
    let mut row = book.row(Group::Broadcast, limited, Point::Peer);
    let everyone = Ipv4Addr::BROADCAST;
    row.udp(
        "limited",
        "UDP to 255.255.255.255",
        (everyone, DISCARD),
        tag,
    );
    row.expect(false).raw(
        "limited-no-address",
        "UDP from 0.0.0.0 to 255.255.255.255 that is not DHCP",
        |d| {
            let packet = Ip4::new(Ipv4Addr::UNSPECIFIED, everyone).udp(d.port, DISCARD, &d.bytes());
            d.link(BROADCAST).frame(ethertype::IPV4, &packet)
        },
    );
}

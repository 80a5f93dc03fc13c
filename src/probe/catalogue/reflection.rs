//! Frames that make a LAN host or the router send the guest's bytes to the WAN.

use super::book::{Book, Draft};
use super::control::ALL_NODES;
use super::lan::DISCARD;
use super::rules;
use crate::frame::{BROADCAST, Ext, Ip4, Ip6, ethertype, group_mac6, options4};
use crate::probe::{Group, Point};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Adds the row.
///
/// For the control the router must take packets with a WAN source from its LAN
/// side (`rp_filter` 0), the peer needs default routes of both families, and
/// the router's DNS forwards to a WAN host what it does not know.
pub fn add(book: &mut Book<'_>) {
    add_echo4(book);
    add_other4(book);
    add_echo6(book);
    add_source_routes(book);
    add_relays(book);
}

fn echo_from(d: &Draft<'_>, from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    Ip4::new(from, to).echo(&d.bytes())
}

/// The echo reply carries the tag to the spoofed source.
fn add_echo4(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (peer, router, wan) = (layout.peer.v4, layout.gateway.v4, layout.wan4);
    let expect = rules::outbound(policy, wan, peer);
    let mut row = book.row(Group::Reflection, expect, Point::Wan);
    row.raw(
        "echo-peer",
        "ping to a LAN host with a WAN source: the reply goes to the WAN",
        |d| d.to_peer4(&echo_from(d, wan, peer)),
    );
    row.raw(
        "echo-router",
        "ping to the router with a WAN source: the reply goes to the WAN",
        |d| d.to_router4(&echo_from(d, wan, router)),
    );
    let private = super::edges::foreign_private(policy);
    row.expect(false).raw(
        "echo-private",
        "ping to a LAN host with a source in another private network",
        |d| d.to_peer4(&echo_from(d, private, peer)),
    );
    let mut row = row.at(Point::Peer);
    row.expect(false)
        .raw("echo-no-address", "ping to a LAN host from 0.0.0.0", |d| {
            d.to_peer4(&echo_from(d, Ipv4Addr::UNSPECIFIED, peer))
        });
    row.raw("echo-broadcast", "broadcast ping with a WAN source", |d| {
        let packet = echo_from(d, wan, layout.lan4.broadcast());
        d.link(BROADCAST).frame(ethertype::IPV4, &packet)
    });
}

/// Answers to these depend on what the LAN host runs, so arriving there counts.
fn add_other4(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (peer, wan) = (layout.peer.v4, layout.wan4);
    let expect = rules::outbound(policy, wan, peer);
    let mut row = book.row(Group::Reflection, expect, Point::Peer);
    row.raw("udp-peer", "UDP to a LAN host with a WAN source", |d| {
        d.to_peer4(&Ip4::new(wan, peer).udp(d.port, DISCARD, &d.bytes()))
    });
}

fn add_echo6(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let wan = layout.wan6;
    let expect = rules::outbound(policy, wan, layout.peer.v6);
    let mut row = book.row(Group::Reflection, expect, Point::Wan);
    row.raw(
        "echo6-peer",
        "IPv6 ping to a LAN host with a WAN source",
        |d| d.to_peer6(&Ip6::new(wan, layout.peer.v6).echo(&d.bytes())),
    );
    row.raw(
        "echo6-router",
        "IPv6 ping to the router with a WAN source",
        |d| d.to_router6(&Ip6::new(wan, layout.gateway.v6).echo(&d.bytes())),
    );
    row.expect(false).raw(
        "echo6-all-nodes",
        "ping to all nodes (ff02::1) with a WAN source: every host replies",
        |d| {
            let packet = Ip6::new(wan, ALL_NODES).echo(&d.bytes());
            d.link(group_mac6(ALL_NODES))
                .frame(ethertype::IPV6, &packet)
        },
    );
    let mut row = row.at(Point::Peer);
    let foreign = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x77);
    row.expect(rules::outbound(policy, foreign, layout.peer.link_local))
        .raw(
            "udp6-unique-local",
            "UDP to a LAN host with a foreign unique-local source",
            |d| {
                d.to_peer6(&Ip6::new(foreign, layout.peer.link_local).udp(
                    d.port,
                    DISCARD,
                    &d.bytes(),
                ))
            },
        );
}

/// Packets for a LAN host or the router that name the next hop (RFC 791, RFC 5095).
fn add_source_routes(book: &mut Book<'_>) {
    let layout = book.layout;
    let wan = layout.wan4;
    let mut row = book.row(Group::Reflection, false, Point::Gateway);
    let mut row = row.known_gap(
        "nwfilter cannot match IPv4 options: set net.ipv4.conf.all.accept_source_route=0 on \
         routers and LAN hosts (the default of most), or drop `ip option` in an nft bridge rule",
    );
    let routes = [
        (
            "loose-route",
            "UDP to the router with a loose source route to the WAN",
            options4::loose_route(&[wan]),
        ),
        (
            "strict-route",
            "UDP to the router with a strict source route to the WAN",
            options4::strict_route(&[wan]),
        ),
    ];
    for (name, summary, options) in routes {
        row.raw(name, summary, |d| {
            let ip = d.ip4(layout.gateway.v4).by_way_to(wan, options);
            d.to_router4(&ip.udp(d.port, DISCARD, &d.bytes()))
        });
    }
    row.at(Point::Peer)
        .known_gap(
            "nwfilter cannot match IPv6 extension headers: hosts must ignore type 0 routing \
             headers (RFC 5095, Linux does), or drop `exthdr rt exists` in an nft bridge rule",
        )
        .raw(
            "routing-header",
            "UDP to a LAN host with an IPv6 routing header to the WAN",
            |d| {
                let ip = d.local6(layout.peer.link_local).ext(Ext::Routing {
                    kind: 0,
                    left: 1,
                    next: layout.wan6,
                });
                d.to_peer6(&ip.udp(d.port, DISCARD, &d.bytes()))
            },
        );
}

/// Services that carry bytes to the WAN on request.
fn add_relays(book: &mut Book<'_>) {
    let router = book.layout.gateway.v4;
    book.row(Group::Reflection, false, Point::Wan)
        .known_gap(
            "the router's DNS forwards names to the WAN for whoever asks it: let it answer \
             local names only for this guest, or leave the router's address out of the policy",
        )
        .dns(
            "dns-recursion",
            "DNS question to the router for a name that it must ask a WAN host for",
            router,
        );
}

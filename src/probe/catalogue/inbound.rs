//! Frames for the guest, from the LAN and from the WAN.

use super::book::{Book, Draft, Row};
use super::control::ALL_NODES;
use super::lan::{DISCARD, ECHO};
use super::rules;
use crate::frame::group::{self, igmp, mld};
use crate::frame::l4::flag;
use crate::frame::nd::{self, kind};
use crate::frame::{
    BROADCAST, Ext, Ip4, Ip6, Link, arp, ethertype, group_mac4, group_mac6, names, options4,
    protocol, solicited_node,
};
use crate::layout::Host;
use crate::probe::{Expect, Group, Origin, Point, Sighting, Stimulus};
use std::net::{Ipv4Addr, Ipv6Addr};

const SSH: u16 = 22;
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const MDNS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

fn tag(draft: &Draft<'_>) -> Vec<u8> {
    draft.bytes().to_vec()
}

/// Adds LAN to guest.
pub fn add_lan(book: &mut Book<'_>) {
    add_lan_stack(book);
    add_lan_raw(book);
    add_lan_control(book);
}

fn add_lan_stack(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, peer, router) = (&layout.guest, &layout.peer, &layout.gateway);
    let received_at = Point::TapToGuest;
    let expect = rules::inbound(policy, peer.v4);
    let mut row = book.row(Group::LanInbound, expect, received_at);
    let mut row = row.from(Origin::Peer);
    row.push(
        "ssh",
        "SSH from a LAN host into the guest",
        Stimulus::Ssh,
        Sighting::TcpSyn {
            to: guest.v4.into(),
            port: SSH,
            source_port: None,
        },
    );
    row.udp("udp", "UDP from a LAN host", (guest.v4, DISCARD), tag);
    row.tcp("tcp", "TCP from a LAN host", (guest.v4, ECHO));
    row.ping("ping", "ping from a LAN host", guest.v4);
    let local = rules::inbound(policy, peer.link_local);
    let mut local_row = row.expect(local);
    let to = guest.link_local;
    local_row.udp(
        "udp6-link-local",
        "UDP over IPv6 link-local from a LAN host",
        (to, DISCARD),
        tag,
    );
    local_row.ping(
        "ping6-link-local",
        "ping over IPv6 link-local from a LAN host",
        to,
    );
    row.expect(rules::inbound(policy, peer.v6)).udp(
        "udp6-prefix",
        "UDP from a host in the link's IPv6 prefix",
        (guest.v6, DISCARD),
        tag,
    );
    let expect = rules::inbound(policy, router.v4);
    let mut row = book.row(Group::LanInbound, expect, received_at);
    let mut row = row.from(Origin::Gateway);
    row.udp(
        "udp-router",
        "UDP from the router itself",
        (guest.v4, DISCARD),
        tag,
    );
}

fn add_lan_raw(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let peer = &layout.peer;
    let expect = rules::inbound(policy, peer.v4);
    let mut row = book.row(Group::LanInbound, expect, Point::TapToGuest);
    let mut row = row.from(Origin::Peer);
    let destinations = [
        (
            "broadcast-directed",
            "directed broadcast from a LAN host",
            layout.lan4.broadcast(),
        ),
        (
            "broadcast-limited",
            "UDP to 255.255.255.255 from a LAN host",
            Ipv4Addr::BROADCAST,
        ),
    ];
    for (name, summary, to) in destinations {
        row.raw(name, summary, |d| {
            let packet = Ip4::new(peer.v4, to).udp(d.port, DISCARD, &d.bytes());
            Link::new(peer.mac, BROADCAST).frame(ethertype::IPV4, &packet)
        });
    }
    row.raw("mdns", "mDNS question from a LAN host", |d| {
        let question = names::question(0, false, "lanfence.local", Some(d.tag));
        let packet = Ip4::new(peer.v4, MDNS)
            .ttl(255)
            .udp(d.port, names::MDNS_PORT, &question);
        Link::new(peer.mac, group_mac4(MDNS)).frame(ethertype::IPV4, &packet)
    });
}

fn add_lan_control(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, peer, router) = (&layout.guest, &layout.peer, &layout.gateway);
    let them = (peer.mac, peer.v4);
    let mut row = book.row(Group::LanInbound, true, Point::TapToGuest);
    let mut row = row.from(Origin::Peer);
    row.raw("arp-request", "ARP request for the guest", |d| {
        arp::request(them, guest.v4, &d.bytes())
    });
    let mut nd_row = row.expect(rules::nd(policy, layout));
    nd_row.raw("ns", "neighbour solicitation for the guest", |d| {
        let body = nd::solicit(guest.link_local, Some(peer.mac), d.tag);
        let to = solicited_node(guest.link_local);
        to_group6(peer, peer.link_local, to, kind::NEIGHBOUR_SOLICIT, &body)
    });
    let mut nd_row = nd_row.from(Origin::Gateway);
    nd_row.raw("ra", "router advertisement from the router", |d| {
        let body = nd::router_advert(router.mac, d.tag);
        to_group6(
            router,
            router.link_local,
            ALL_NODES,
            kind::ROUTER_ADVERT,
            &body,
        )
    });
    nd_row.raw("mld-query", "MLDv2 query from the router", |d| {
        // For a group that nobody joined, so that nobody reports.
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x6c66, 9);
        let body = group::mld2_query_body(group, &d.bytes());
        let ip = Ip6::new(router.link_local, ALL_NODES)
            .hops(1)
            .ext(Ext::router_alert());
        let link = Link::new(router.mac, group_mac6(ALL_NODES));
        link.frame(ethertype::IPV6, &ip.icmp(mld::QUERY, 0, &body))
    });
    let mut row = row.from(Origin::Gateway);
    add_igmp_queries(&mut row, router);
}

fn add_igmp_queries(row: &mut Row<'_, '_>, router: &Host) {
    // Without groups the guest is in none, and needs no question about them.
    let asked = !row.policy().groups4.is_empty();
    let sources = [
        (
            "igmp-query",
            "IGMPv3 query from the router",
            router.v4,
            rules::inbound(row.policy(), router.v4) == Expect::Pass,
        ),
        (
            "igmp-query-no-address",
            "IGMPv3 query from a snooping switch, which has the source 0.0.0.0",
            Ipv4Addr::UNSPECIFIED,
            asked,
        ),
    ];
    for (name, summary, from, expected) in sources {
        row.expect(expected).raw(name, summary, |d| {
            // Version 3: after an older query the guest would report with that version.
            let query = group::igmp3_query(Ipv4Addr::new(239, 255, 77, 99), &d.bytes());
            debug_assert_eq!(query[0], igmp::QUERY);
            let ip = Ip4::new(from, ALL_SYSTEMS)
                .ttl(1)
                .options(options4::router_alert());
            Link::new(router.mac, group_mac4(ALL_SYSTEMS))
                .frame(ethertype::IPV4, &ip.packet(protocol::IGMP, &query))
        });
    }
}

fn to_group6(sender: &Host, from: Ipv6Addr, to: Ipv6Addr, kind: u8, body: &[u8]) -> Vec<u8> {
    let packet = Ip6::new(from, to).hops(255).icmp(kind, 0, body);
    Link::new(sender.mac, group_mac6(to)).frame(ethertype::IPV6, &packet)
}

/// Adds WAN to guest.
pub fn add_wan(book: &mut Book<'_>) {
    add_wan_stack(book);
    add_wan_raw4(book);
    add_wan_raw6(book);
}

fn add_wan_stack(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let guest = &layout.guest;
    let expect = rules::inbound(policy, layout.wan4);
    let mut row = book.row(Group::WanInbound, expect, Point::TapToGuest);
    let mut row = row.from(Origin::Wan);
    row.udp(
        "udp",
        "UDP from a WAN host through the router",
        (guest.v4, DISCARD),
        tag,
    );
    row.tcp(
        "tcp",
        "TCP SYN from a WAN host through the router",
        (guest.v4, ECHO),
    );
    row.ping("ping", "ping from a WAN host through the router", guest.v4);
    let mut row = row.expect(rules::inbound(policy, layout.wan6));
    row.udp(
        "udp6",
        "UDP from an IPv6 WAN host through the router",
        (guest.v6, DISCARD),
        tag,
    );
    row.tcp(
        "tcp6",
        "TCP SYN from an IPv6 WAN host through the router",
        (guest.v6, ECHO),
    );
    row.ping(
        "ping6",
        "ping from an IPv6 WAN host through the router",
        guest.v6,
    );
}

/// Frames as the router would forward them, written on its LAN side.
fn add_wan_raw4(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, wan) = (&layout.guest, layout.wan4);
    let link = Link::new(layout.gateway.mac, guest.mac);
    let expect = rules::inbound(policy, wan);
    let mut row = book.row(Group::WanInbound, expect, Point::TapToGuest);
    let mut row = row.from(Origin::Gateway);
    let ip = Ip4::new(wan, guest.v4);
    let frame = |packet: Vec<u8>| link.frame(ethertype::IPV4, &packet);
    row.raw("raw-dns-answer", "UDP from port 53 of a WAN host", |d| {
        frame(ip.udp(names::DNS_PORT, d.port, &d.bytes()))
    });
    row.raw("raw-tcp-syn-ack", "TCP SYN and ACK from a WAN host", |d| {
        frame(ip.tcp(d.port, 443, flag::SYN | flag::ACK, &d.bytes()))
    });
    row.raw("raw-unreachable", "ICMP error from a WAN router", |d| {
        let quoted = d.ip4(wan).udp(d.port, DISCARD, &d.bytes());
        frame(ip.icmp(3, 1, [0; 4], &quoted))
    });
    row.raw(
        "raw-broadcast",
        "UDP from a WAN address to the LAN's broadcast address",
        |d| {
            let packet = Ip4::new(wan, layout.lan4.broadcast()).udp(d.port, DISCARD, &d.bytes());
            Link::new(layout.gateway.mac, BROADCAST).frame(ethertype::IPV4, &packet)
        },
    );
    let private = super::edges::foreign_private(policy);
    row.expect(rules::inbound(policy, private)).raw(
        "raw-private",
        "UDP from another private network through the router",
        |d| frame(Ip4::new(private, guest.v4).udp(d.port, DISCARD, &d.bytes())),
    );
}

fn add_wan_raw6(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, wan) = (&layout.guest, layout.wan6);
    let link = Link::new(layout.gateway.mac, guest.mac);
    let expect = rules::inbound(policy, wan);
    let mut row = book.row(Group::WanInbound, expect, Point::TapToGuest);
    let mut row = row.from(Origin::Gateway);
    let ip = Ip6::new(wan, guest.v6);
    row.raw(
        "raw-dns-answer6",
        "UDP from port 53 of an IPv6 WAN host",
        |d| {
            link.frame(
                ethertype::IPV6,
                &ip.udp(names::DNS_PORT, d.port, &d.bytes()),
            )
        },
    );
}

//! Tunnels to the router or a LAN host, with a packet for the WAN inside.

use super::book::{Book, Draft};
use crate::frame::{Link, ethertype, l4, protocol};
use crate::probe::{Group, Point};

/// VXLAN (RFC 7348) and Teredo (RFC 4380).
const VXLAN: u16 = 4789;
const TEREDO: u16 = 3544;

/// Builds what the tunnel's header carries.
type Payload = fn(&Draft<'_>) -> Vec<u8>;

const OVER4: &[(&str, &str, u8, Payload)] = &[
    ("ipip", "IPv4 in IPv4", protocol::IPIP, |d| d.inner4()),
    ("6in4", "IPv6 in IPv4", protocol::IPV6, |d| d.inner6()),
    ("gre", "GRE", protocol::GRE, |d| {
        l4::gre(ethertype::IPV4, &d.inner4())
    }),
    ("esp", "ESP", protocol::ESP, |d| l4::esp(&d.inner4())),
    ("ah", "AH", protocol::AH, |d| {
        l4::ah(protocol::IPIP, &d.inner4())
    }),
    ("l2tp", "L2TPv3 over IP", protocol::L2TP, |d| {
        [&[0, 0, 0, 7][..], &ethernet(d)].concat()
    }),
    ("etherip", "EtherIP", protocol::ETHERIP, |d| {
        [&[0x30, 0][..], &ethernet(d)].concat()
    }),
];

const OVER6: &[(&str, &str, u8, Payload)] = &[
    ("6in6", "IPv6 in IPv6", protocol::IPV6, |d| d.inner6()),
    ("4in6", "IPv4 in IPv6", protocol::IPIP, |d| d.inner4()),
    ("gre6", "GRE over IPv6", protocol::GRE, |d| {
        l4::gre(ethertype::IPV6, &d.inner6())
    }),
];

fn ethernet(d: &Draft<'_>) -> Vec<u8> {
    Link::new(d.layout.guest.mac, d.layout.gateway.mac).frame(ethertype::IPV4, &d.inner4())
}

/// Adds the row.
pub fn add(book: &mut Book<'_>) {
    let layout = book.layout;
    let mut row = book.row(Group::Tunnels, false, Point::Gateway);
    for &(name, what, number, payload) in OVER4 {
        row.raw(
            name,
            &format!("{what} to the router with a WAN packet inside"),
            |d| d.to_router4(&d.ip4(layout.gateway.v4).packet(number, &payload(d))),
        );
    }
    for &(name, what, number, payload) in OVER6 {
        row.raw(
            name,
            &format!("{what} to the router with a WAN packet inside"),
            |d| {
                d.to_router6(
                    &d.local6(layout.gateway.link_local)
                        .packet(number, &payload(d)),
                )
            },
        );
    }
    let mut row = row.at(Point::Peer);
    row.raw(
        "ipip-peer",
        "IPv4 in IPv4 to a LAN host with a WAN packet inside",
        |d| d.to_peer4(&d.ip4(layout.peer.v4).packet(protocol::IPIP, &d.inner4())),
    );
    row.raw(
        "6in6-peer",
        "IPv6 in IPv6 to a LAN host with a WAN packet inside",
        |d| {
            d.to_peer6(
                &d.local6(layout.peer.link_local)
                    .packet(protocol::IPV6, &d.inner6()),
            )
        },
    );
    add_udp(book);
}

fn add_udp(book: &mut Book<'_>) {
    let layout = book.layout;
    let mut row = book.row(Group::Tunnels, false, Point::Peer);
    let mut row = row.known_gap(
        "any LAN host that runs a tunnel endpoint or a proxy can relay; a filter that lets UDP \
         and TCP to LAN hosts pass cannot see inside: keep such endpoints off the LAN, or leave \
         the host's address out of the policy's LAN prefixes",
    );
    row.raw(
        "vxlan-peer",
        "VXLAN over UDP to a LAN host with a WAN packet inside",
        |d| {
            let header = [0x08, 0, 0, 0, 0, 0, 7, 0];
            let payload = [&header[..], &ethernet(d)].concat();
            d.to_peer4(&d.ip4(layout.peer.v4).udp(d.port, VXLAN, &payload))
        },
    );
    row.at(Point::Gateway).raw(
        "teredo-router",
        "IPv6 in UDP (Teredo) to the router with a WAN packet inside",
        |d| d.to_router4(&d.ip4(layout.gateway.v4).udp(d.port, TEREDO, &d.inner6())),
    );
}

//! Addresses just outside the LAN, special prefixes, groups sent to the router's MAC.

use super::book::Book;
use super::lan::DISCARD;
use super::rules;
use crate::frame::{ethertype, group_mac6};
use crate::policy::Policy;
use crate::probe::{Group, Point};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Well-known addresses of every kind; those on the policy's LAN are expected to pass.
const ADDRESSES4: &[(&str, &str, [u8; 4])] = &[
    ("net-10", "private network 10.0.0.0/8", [10, 11, 12, 13]),
    (
        "net-172-16",
        "private network 172.16.0.0/12",
        [172, 16, 17, 18],
    ),
    (
        "net-192-168-0",
        "the neighbouring private network 192.168.0.0/24",
        [192, 168, 0, 5],
    ),
    ("cgnat", "carrier-grade NAT 100.64.0.0/10", [100, 64, 0, 1]),
    ("dns-8-8-8-8", "the public resolver 8.8.8.8", [8, 8, 8, 8]),
    ("dns-1-1-1-1", "the public resolver 1.1.1.1", [1, 1, 1, 1]),
    (
        "above-groups",
        "240.0.0.1, class E, directly above multicast",
        [240, 0, 0, 1],
    ),
    (
        "class-e-first",
        "255.255.255.0, class E",
        [255, 255, 255, 0],
    ),
    (
        "class-e-last",
        "255.255.255.254, class E, directly below broadcast",
        [255, 255, 255, 254],
    ),
    ("zero", "0.0.0.0, the old broadcast address", [0, 0, 0, 0]),
    ("this-network", "0.1.2.3 in \"this network\"", [0, 1, 2, 3]),
];

const ADDRESSES6: &[(&str, &str, Ipv6Addr)] = &[
    (
        "unique-local6",
        "a unique-local address",
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1),
    ),
    (
        "dns6",
        "the public resolver 2606:4700:4700::1111",
        Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111),
    ),
    (
        "6to4",
        "6to4 2002::/16",
        Ipv6Addr::new(0x2002, 0xcb00, 0x710a, 0, 0, 0, 0, 1),
    ),
    (
        "teredo",
        "Teredo 2001::/32",
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 1),
    ),
];

/// Adds the row.
pub fn add(book: &mut Book<'_>) {
    add_neighbours(book);
    for &(name, summary, to) in ADDRESSES4 {
        unicast4(book, name, &format!("UDP to {summary}"), to.into());
    }
    for &(name, summary, to) in ADDRESSES6 {
        unicast6(book, name, &format!("UDP to {summary}"), to);
    }
    add_link_local(book);
    add_groups4(book);
    add_groups6(book);
}

/// A private address that the policy neither counts as LAN nor allows.
pub fn foreign_private(policy: &Policy) -> Ipv4Addr {
    let candidates = [[10, 99, 98, 97], [172, 31, 98, 97], [192, 168, 98, 97]];
    let outside = candidates
        .into_iter()
        .map(Ipv4Addr::from)
        .find(|address| !policy.allows(*address));
    // All of RFC 1918 is LAN: carrier-grade NAT space is next.
    outside.unwrap_or(Ipv4Addr::new(100, 99, 98, 97))
}

/// The addresses right outside each prefix of the policy.
fn add_neighbours(book: &mut Book<'_>) {
    let policy = book.policy;
    let lan4: Vec<_> = policy.lan4.iter().copied().map(IpNet::V4).collect();
    let lan6: Vec<_> = policy.lan6.iter().copied().map(IpNet::V6).collect();
    let kinds = [("lan", &lan4), ("lan6", &lan6), ("allowed", &policy.allow)];
    for (kind, nets) in kinds {
        for (at, &net) in nets.iter().enumerate() {
            let (below, above) = rules::neighbours(net);
            for (side, to) in [("below", below), ("above", above)] {
                let name = format!("{side}-{kind}-{}", at + 1);
                neighbour(book, &name, &format!("directly {side} {net}"), to);
            }
        }
    }
}

/// A neighbour that can be sent to as unicast.
fn neighbour(book: &mut Book<'_>, name: &str, place: &str, to: Option<IpAddr>) {
    match to {
        Some(IpAddr::V4(to)) if is_unicast4(to) => {
            unicast4(book, name, &format!("UDP to {to}, {place}"), to);
        }
        Some(IpAddr::V6(to)) if !to.is_multicast() && to.segments()[0] != 0 => {
            unicast6(book, name, &format!("UDP to {to}, {place}"), to);
        }
        _ => {}
    }
}

fn is_unicast4(address: Ipv4Addr) -> bool {
    let special = address.is_multicast() || address.is_broadcast() || address.is_link_local();
    !special && !address.is_loopback() && address.octets()[0] != 0
}

fn unicast4(book: &mut Book<'_>, name: &str, summary: &str, to: Ipv4Addr) {
    let expect = rules::outbound(book.policy, book.layout.guest.v4, to);
    let received_at = rules::routed4(book.layout, to);
    book.row(Group::WanEdges, expect, received_at)
        .raw(name, summary, |d| {
            d.to_router4(&d.ip4(to).udp(d.port, DISCARD, &d.bytes()))
        });
}

fn unicast6(book: &mut Book<'_>, name: &str, summary: &str, to: Ipv6Addr) {
    let expect = rules::outbound(book.policy, book.layout.guest.v6, to);
    let received_at = rules::routed6(book.layout, to);
    book.row(Group::WanEdges, expect, received_at)
        .raw(name, summary, |d| {
            d.to_router6(&d.ip6(to).udp(d.port, DISCARD, &d.bytes()))
        });
}

/// IPv4 link-local addresses in frames for the router.
fn add_link_local(book: &mut Book<'_>) {
    let policy = book.policy;
    let to = Ipv4Addr::new(169, 254, 200, 1);
    let frame = |d: &super::Draft<'_>| d.to_router4(&d.ip4(to).udp(d.port, DISCARD, &d.bytes()));
    let (name, summary) = (
        "link-local-via-router",
        "UDP to 169.254.200.1 in a frame for the router",
    );
    let mut row = book.row(Group::WanEdges, false, Point::Wan);
    if policy.link_local {
        row.known_gap(
            "the LAN's own link-local range cannot be told from the WAN's by address; \
             the router must not forward 169.254.0.0/16 (RFC 3927 2.6.2), which Linux does \
             unless `ip route add blackhole 169.254.0.0/16` says otherwise",
        )
        .raw(name, summary, frame);
    } else {
        row.raw(name, summary, frame);
    }
}

/// Group and broadcast addresses in frames for the router alone.
fn add_groups4(book: &mut Book<'_>) {
    let mut row = book.row(Group::WanEdges, false, Point::Gateway);
    let groups = [
        (
            "group-224-to-router",
            "UDP to 224.0.0.1 in a frame for the router alone",
            [224, 0, 0, 1],
        ),
        (
            "group-239-to-router",
            "UDP to 239.1.2.3 in a frame for the router alone",
            [239, 1, 2, 3],
        ),
        (
            "broadcast-to-router",
            "UDP to 255.255.255.255 in a frame for the router alone",
            [255; 4],
        ),
    ];
    for (name, summary, to) in groups {
        row.raw(name, summary, |d| {
            d.to_router4(&d.ip4(to.into()).udp(d.port, DISCARD, &d.bytes()))
        });
    }
}

fn add_groups6(book: &mut Book<'_>) {
    let policy = book.policy;
    let local = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let global = Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0, 0x6c66, 1);
    let mut row = book.row(Group::WanEdges, false, Point::Gateway);
    row.raw(
        "group6-to-router",
        "UDP to ff02::1 in a frame for the router alone",
        |d| d.to_router6(&d.local6(local).udp(d.port, DISCARD, &d.bytes())),
    );
    row.raw(
        "global-group6-to-router",
        "UDP to ff0e::6c66:1 in a frame for the router alone",
        |d| d.to_router6(&d.ip6(global).udp(d.port, DISCARD, &d.bytes())),
    );
    let from = policy.contains(book.layout.guest.v6);
    book.row(
        Group::WanEdges,
        from && policy.has_group(global),
        Point::Gateway,
    )
    .raw(
        "global-group6",
        "UDP to the global IPv6 group ff0e::6c66:1",
        |d| {
            let packet = d.ip6(global).udp(d.port, DISCARD, &d.bytes());
            d.link(group_mac6(global)).frame(ethertype::IPV6, &packet)
        },
    );
}

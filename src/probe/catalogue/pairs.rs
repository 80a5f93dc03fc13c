//! Hosts that talk to each other, at the edges of their networks: the last addresses of
//! both pass, those beside the guest's network are stopped, and so is another host's MAC.
//!
//! All frames are for the LAN peer's MAC, where a bridge delivers them whatever address
//! they are for, so that no host answers.

use super::book::{Book, Draft};
use super::lan::DISCARD;
use super::places::{Pair, Place, Upper, pairs};
use super::rogue::{FOREIGN, OSPF};
use crate::frame::l4::flag;
use crate::frame::{Ip4, Ip6, Link, Mac, ethertype};
use crate::policy::Policy;
use crate::probe::{Group, Point};
use std::net::IpAddr;

/// Adds what passes, from the last address to the last.
pub fn add_hosts(book: &mut Book<'_>) {
    each(book, |book, pair, upper| {
        let (from, to) = ends(book, pair);
        let mut row = book.row(Group::LanUnicast, true, Point::Peer);
        row.any_guest().raw(
            &format!("{}-{}", upper.name(), named(pair)),
            &format!(
                "{} from the last host of {} to that of {}",
                upper.title(),
                pair.from.net,
                pair.to.name
            ),
            |d| frame(d, (d.layout.guest.mac, d.layout.peer.mac), upper, from, to),
        );
    });
}

/// Adds what goes to beside the network.
pub fn add_targets(book: &mut Book<'_>) {
    each(book, |book, pair, upper| {
        let (from, _) = ends(book, pair);
        let policy = book.policy;
        for (side, to) in pair.to.edges(|address| !policy.may_send_to(address)) {
            let mut row = book.row(Group::WanEdges, false, Point::Peer);
            row.raw(
                &format!(
                    "{}-{}-to-{side}-{}",
                    upper.name(),
                    pair.from.name,
                    pair.to.name
                ),
                &format!("{} to directly {side} {}", upper.title(), pair.to.net),
                |d| frame(d, (d.layout.guest.mac, d.layout.peer.mac), upper, from, to),
            );
        }
    });
}

/// Adds a protocol that hosts do not speak: OSPF, with which routers find each other.
pub fn add_protocols(book: &mut Book<'_>) {
    for pair in pairs(book.policy) {
        let (from, to) = ends(book, &pair);
        let mut row = book.row(Group::Rogue, false, Point::Peer);
        row.raw(
            &format!("ospf-{}", named(&pair)),
            &format!("OSPF from {} to {}", pair.from.name, pair.to.name),
            |d| {
                let link = d.link(d.layout.peer.mac);
                match (from, to) {
                    (IpAddr::V4(from), IpAddr::V4(to)) => link.frame(
                        ethertype::IPV4,
                        &Ip4::new(from, to).packet(OSPF, &d.bytes()),
                    ),
                    (from, to) => {
                        let ip = Ip6::new(to_v6(from), to_v6(to));
                        link.frame(ethertype::IPV6, &ip.packet(OSPF, &d.bytes()))
                    }
                }
            },
        );
    }
}

/// Adds what comes from beside the network.
pub fn add_sources(book: &mut Book<'_>) {
    each(book, |book, pair, upper| {
        let (_, to) = ends(book, pair);
        for (side, from) in outside(book.policy, &pair.from) {
            let mut row = book.row(Group::Reflection, false, Point::Peer);
            row.raw(
                &format!("{}-{side}-{}", upper.name(), named(pair)),
                &format!(
                    "{} from directly {side} {} to {}",
                    upper.title(),
                    pair.from.net,
                    pair.to.name
                ),
                |d| frame(d, (d.layout.guest.mac, d.layout.peer.mac), upper, from, to),
            );
        }
    });
}

/// Adds what comes from another MAC.
pub fn add_macs(book: &mut Book<'_>) {
    each(book, |book, pair, upper| {
        let (from, to) = ends(book, pair);
        let mut row = book.row(Group::Rogue, false, Point::Peer);
        row.raw(
            &format!("mac-{}-{}", upper.name(), named(pair)),
            &format!(
                "{} from {} to {} from another source MAC",
                upper.title(),
                pair.from.name,
                pair.to.name
            ),
            |d| frame(d, (FOREIGN, d.layout.peer.mac), upper, from, to),
        );
    });
}

fn each(book: &mut Book<'_>, mut add: impl FnMut(&mut Book<'_>, &Pair, Upper)) {
    for pair in pairs(book.policy) {
        for upper in pair.uppers {
            add(book, &pair, *upper);
        }
    }
}

fn named(pair: &Pair) -> String {
    format!("{}-to-{}", pair.from.name, pair.to.name)
}

fn ends(book: &Book<'_>, pair: &Pair) -> (IpAddr, IpAddr) {
    let last = |place: &Place| place.last_host(book.policy, book.layout);
    (last(&pair.from), last(&pair.to))
}

/// Addresses beside a network that no guest may have.
pub fn outside(policy: &Policy, place: &Place) -> Vec<(&'static str, IpAddr)> {
    place.edges(|address| !policy.contains(address))
}

/// A packet of the protocol in a frame from one MAC to another.
fn frame(d: &Draft<'_>, macs: (Mac, Mac), upper: Upper, from: IpAddr, to: IpAddr) -> Vec<u8> {
    let link = Link::new(macs.0, macs.1);
    let (port, tag) = (d.port, d.bytes());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let ip = Ip4::new(from, to);
            let packet = match upper {
                Upper::Tcp => ip.tcp(port, DISCARD, flag::SYN, &tag),
                Upper::Udp => ip.udp(port, DISCARD, &tag),
                Upper::Icmp => ip.echo(&tag),
            };
            link.frame(ethertype::IPV4, &packet)
        }
        (from, to) => {
            let ip = Ip6::new(to_v6(from), to_v6(to));
            let packet = match upper {
                Upper::Tcp => ip.tcp(port, DISCARD, flag::SYN, &tag),
                Upper::Udp => ip.udp(port, DISCARD, &tag),
                Upper::Icmp => ip.echo(&tag),
            };
            link.frame(ethertype::IPV6, &packet)
        }
    }
}

fn to_v6(address: IpAddr) -> std::net::Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

//! Broadcast and groups at the edges: sources beside the LAN, groups beside those of the
//! policy, and other hosts' MACs.

use super::book::{Book, Draft};
use super::families::{Family, Part, Shot, mac_of, send, send_family, udp};
use super::places::{Place, lan4, lan6, sources4};
use super::rogue::FOREIGN;
use crate::frame::group::{self, igmp};
use crate::frame::{Ip4, Ip6, Mac, ethertype, group_mac6, l4, nd, options4, protocol};
use crate::policy::Policy;
use crate::probe::{Group, Point};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Groups of IPv6 that never leave the link.
const LINK_GROUPS6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0), 16);
/// The limited broadcast as a prefix.
const LIMITED: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::BROADCAST, 32);
/// Where no host has an address.
const NOBODY: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 32);
/// Groups of IPv4 that never leave the link, which IGMP itself uses.
const LOCAL_GROUPS4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24);

/// Adds the broadcasts that pass.
pub fn add_broadcast(book: &mut Book<'_>) {
    limited(book, Part::Within);
}

/// Adds the groups that pass.
pub fn add_multicast(book: &mut Book<'_>) {
    udp4(book, Part::Within);
    igmp4(book, Part::Within);
    udp6(book, Part::Within);
}

/// Adds what neighbour discovery and MLD may send to groups.
pub fn add_control(book: &mut Book<'_>) {
    icmp6(book, Part::Within);
    icmp6_unspecified(book, Part::Within);
}

/// Adds what must not pass, and is no wrong source MAC.
pub fn add_beside(book: &mut Book<'_>) {
    every(book, Part::Beside);
}

/// Adds another protocol to the group of MLD's routers, where reports go.
pub fn add_protocols(book: &mut Book<'_>) {
    let to = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
    let local = lan6(book.policy).into_iter();
    let local = local.filter(|place| {
        place
            .net
            .contains(&IpAddr::V6(book.layout.guest.link_local))
    });
    let mut sources: Vec<(String, Ipv6Addr)> = local
        .map(|place| (place.name, book.layout.guest.link_local))
        .collect();
    if !book.policy.lan6.is_empty() {
        sources.push(("no-address".to_owned(), Ipv6Addr::UNSPECIFIED));
    }
    for (name, from) in sources {
        let mut row = book.row(Group::Rogue, false, Point::Peer);
        row.raw(
            &format!("icmp4-{name}-to-ff02-16"),
            &format!("ICMP of IPv4 over IPv6 to ff02::16, {name}"),
            |d| {
                let echo = l4::icmp(8, 0, l4::ECHO_ID, &d.bytes());
                let packet = Ip6::new(from, to).hops(1).packet(protocol::ICMP, &echo);
                d.link(group_mac6(to)).frame(ethertype::IPV6, &packet)
            },
        );
    }
}

/// Adds the wrong source MACs.
pub fn add_macs(book: &mut Book<'_>) {
    every(book, Part::Spoofed);
}

fn every(book: &mut Book<'_>, part: Part) {
    limited(book, part);
    udp4(book, part);
    igmp4(book, part);
    udp6(book, part);
    icmp6(book, part);
    icmp6_unspecified(book, part);
}

fn limited(book: &mut Book<'_>, part: Part) {
    if !book.policy.broadcast {
        return;
    }
    let all = IpAddr::V4(Ipv4Addr::BROADCAST);
    for source in lan4(book.policy) {
        let family = Family {
            name: format!("limited-{}", source.name),
            summary: format!("UDP to 255.255.255.255, {}", source.net),
            source: &source,
            groups: (all, all),
            beside: beside(book.policy, IpNet::V4(LIMITED)),
        };
        send_family(book, Group::Broadcast, part, &family, udp);
    }
}

fn bounds4(net: Ipv4Net) -> (IpAddr, IpAddr) {
    (net.network().into(), net.broadcast().into())
}

fn bounds6(net: Ipv6Net) -> (IpAddr, IpAddr) {
    (net.network().into(), net.broadcast().into())
}

/// Addresses beside a network of groups that the policy does not have, and which are no hosts'.
fn beside(policy: &Policy, net: IpNet) -> Vec<(&'static str, IpAddr)> {
    let place = Place {
        name: String::new(),
        net,
    };
    place.edges(|address| !policy.may_send_to(address))
}

fn udp4(book: &mut Book<'_>, part: Part) {
    for source in sources4(book.policy) {
        for (at, net) in book.policy.groups4.iter().enumerate() {
            let family = Family {
                name: format!("udp-{}-to-groups-{}", source.name, at + 1),
                summary: format!("UDP to the groups {net}, {}", source.net),
                source: &source,
                groups: bounds4(*net),
                beside: beside(book.policy, IpNet::V4(*net)),
            };
            send_family(book, Group::Multicast, part, &family, udp);
        }
    }
}

/// IGMP may have any source.
fn igmp4(book: &mut Book<'_>, part: Part) {
    let policy = book.policy;
    let nobody = || Place {
        name: "no-address".to_owned(),
        net: IpNet::V4(NOBODY),
    };
    let source = lan4(policy).into_iter().next().unwrap_or_else(nobody);
    let mut reported = policy.groups4.clone();
    if !reported.is_empty() && !reported.iter().any(|net| net.contains(&LOCAL_GROUPS4)) {
        reported.retain(|net| !LOCAL_GROUPS4.contains(net));
        reported.push(LOCAL_GROUPS4);
    }
    let has = |address: IpAddr| {
        reported
            .iter()
            .any(|net| IpNet::V4(*net).contains(&address))
    };
    for (at, net) in reported.iter().enumerate() {
        let beside = beside(policy, IpNet::V4(*net));
        let family = Family {
            name: format!("igmp-to-groups-{}", at + 1),
            summary: format!("IGMP to the groups {net}"),
            source: &source,
            groups: bounds4(*net),
            beside: beside.into_iter().filter(|(_, to)| !has(*to)).collect(),
        };
        let mut shots = family.shots(book, part);
        shots.retain(|shot| !shot.name.contains("-from-"));
        send(book, Group::Multicast, part, shots, |d, shot| {
            let (IpAddr::V4(from), IpAddr::V4(to)) = (shot.from, shot.to) else {
                unreachable!("IGMP is of IPv4");
            };
            let report = group::igmp_message(igmp::REPORT_V2, 0, to, &d.bytes());
            let ip = Ip4::new(from, to).ttl(1).options(options4::router_alert());
            (ethertype::IPV4, ip.packet(protocol::IGMP, &report))
        });
    }
}

fn udp6(book: &mut Book<'_>, part: Part) {
    for source in lan6(book.policy) {
        for (at, net) in book.policy.groups6.iter().enumerate() {
            let family = Family {
                name: format!("udp-{}-to-groups6-{}", source.name, at + 1),
                summary: format!("UDP to the groups {net}, {}", source.net),
                source: &source,
                groups: bounds6(*net),
                beside: beside(book.policy, IpNet::V6(*net)),
            };
            send_family(book, Group::Multicast, part, &family, udp);
        }
    }
}

/// A neighbour solicitation, which every filter for IPv6 knows.
fn solicitation(d: &Draft<'_>, shot: &Shot) -> (u16, Vec<u8>) {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (shot.from, shot.to) else {
        unreachable!("neighbour discovery is of IPv6");
    };
    let own = (!from.is_unspecified()).then_some(d.layout.guest.mac);
    let body = nd::solicit(d.layout.peer.link_local, own, d.tag);
    let packet = Ip6::new(from, to)
        .hops(255)
        .icmp(nd::kind::NEIGHBOUR_SOLICIT, 0, &body);
    (ethertype::IPV6, packet)
}

fn icmp6(book: &mut Book<'_>, part: Part) {
    let policy = book.policy;
    let mut nets = vec![LINK_GROUPS6];
    nets.extend(
        policy
            .groups6
            .iter()
            .filter(|net| !LINK_GROUPS6.contains(*net)),
    );
    let has = |address: IpAddr| nets.iter().any(|net| IpNet::V6(*net).contains(&address));
    for source in lan6(policy) {
        for (at, net) in nets.iter().enumerate() {
            let beside = beside(policy, IpNet::V6(*net));
            let family = Family {
                name: format!("icmp-{}-to-groups6-{at}", source.name),
                summary: format!("ICMPv6 to the groups {net}, {}", source.net),
                source: &source,
                groups: bounds6(*net),
                beside: beside.into_iter().filter(|(_, to)| !has(*to)).collect(),
            };
            send_family(book, Group::Ipv6Control, part, &family, solicitation);
        }
    }
}

/// Before a host has an address it asks whether it may have one, and says which groups it is in.
fn icmp6_unspecified(book: &mut Book<'_>, part: Part) {
    if book.policy.lan6.is_empty() {
        return;
    }
    let guest = book.layout.guest.mac;
    let (first, _) = bounds6(LINK_GROUPS6);
    let frames = nobodys(book, part);
    let shots = frames
        .into_iter()
        .map(|(name, words, from, to, src, dst)| Shot {
            name: format!("icmp-no-address-{name}"),
            summary: format!("ICMPv6 {words}"),
            from,
            to,
            macs: (src, dst.unwrap_or_else(|| mac_of(to))),
        });
    send(
        book,
        Group::Ipv6Control,
        part,
        shots.collect(),
        solicitation,
    );
    if part == Part::Beside {
        let shot = Shot {
            name: "udp-no-address".to_owned(),
            summary: "UDP from :: to ff02::".to_owned(),
            from: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            to: first,
            macs: (guest, mac_of(first)),
        };
        send(book, Group::Ipv6Control, part, vec![shot], udp);
    }
}

/// Name, words, source, destination, source MAC, and destination MAC where that is not the group's.
type Nobodys = (&'static str, &'static str, IpAddr, IpAddr, Mac, Option<Mac>);

fn nobodys(book: &Book<'_>, part: Part) -> Vec<Nobodys> {
    let (guest, peer) = (book.layout.guest.mac, book.layout.peer.mac);
    let [nobody, above] = [Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST].map(IpAddr::V6);
    let site = IpAddr::V6(Ipv6Addr::new(0xff03, 0, 0, 0, 0, 0, 0, 1));
    let (first, last) = bounds6(LINK_GROUPS6);
    match part {
        Part::Within => {
            let words = "from :: to the last group of ff02::/16";
            vec![("last", words, nobody, last, guest, None)]
        }
        Part::Beside => {
            let words = "from :: to ff02:: and one host's MAC";
            vec![
                ("above", "from ::1 to ff02::", above, first, guest, None),
                ("one-mac", words, nobody, first, guest, Some(peer)),
                (
                    "to-site",
                    "from :: to a group of ff03::/16",
                    nobody,
                    site,
                    guest,
                    None,
                ),
            ]
        }
        Part::Spoofed => {
            let words = "from :: from another source MAC";
            vec![("mac", words, nobody, first, FOREIGN, None)]
        }
    }
}

//! Families of frames to groups: what passes at their edges, what is beside them, and
//! what comes from another MAC.

use super::book::{Book, Draft, Row};
use super::lan::DISCARD;
use super::pairs::outside;
use super::places::Place;
use super::rogue::{FOREIGN, OSPF};
use crate::frame::{BROADCAST, Ip4, Ip6, Link, Mac, ethertype, group_mac4, group_mac6};
use crate::probe::{Group, Point};
use std::net::IpAddr;

/// Where an edge lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What the policy wants to pass.
    Within,
    /// What comes from another source, or goes to another group.
    Beside,
    /// What comes from another source MAC.
    Spoofed,
}

/// One frame: whatever differs from the ordinary.
pub struct Shot {
    /// The end of the probe's name.
    pub name: String,
    /// What is peculiar about it.
    pub summary: String,
    /// Source address.
    pub from: IpAddr,
    /// Destination address.
    pub to: IpAddr,
    /// Source and destination MAC.
    pub macs: (Mac, Mac),
}

/// A family of frames to groups.
pub struct Family<'a> {
    /// The beginning of each probe's name.
    pub name: String,
    /// What the frames are.
    pub summary: String,
    /// Where they come from.
    pub source: &'a Place,
    /// First and last group.
    pub groups: (IpAddr, IpAddr),
    /// Groups beside them that are none of the policy's.
    pub beside: Vec<(&'static str, IpAddr)>,
}

impl Family<'_> {
    /// The frames of a part.
    pub fn shots(&self, book: &Book<'_>, part: Part) -> Vec<Shot> {
        match part {
            Part::Within => self.within(book),
            Part::Beside => self.around(book),
            Part::Spoofed => {
                let (first, _) = self.groups;
                let own = own(book, self.source);
                let macs = (FOREIGN, mac_of(first));
                vec![self.shot("-mac", " from another source MAC", (own, first), macs)]
            }
        }
    }

    fn shot(&self, name: &str, summary: &str, ends: (IpAddr, IpAddr), macs: (Mac, Mac)) -> Shot {
        Shot {
            name: format!("{}{name}", self.name),
            summary: format!("{}{summary}", self.summary),
            from: ends.0,
            to: ends.1,
            macs,
        }
    }

    /// To its first group and to its last.
    fn within(&self, book: &Book<'_>) -> Vec<Shot> {
        let guest = book.layout.guest.mac;
        let from = self.source.last_host(book.policy, book.layout);
        let (first, last) = self.groups;
        let mut out = vec![self.shot(
            "-first",
            " from its last host to the first",
            (from, first),
            (guest, mac_of(first)),
        )];
        if first != last {
            let macs = (guest, mac_of(last));
            out.push(self.shot(
                "-last",
                " from its last host to the last",
                (from, last),
                macs,
            ));
        }
        out
    }

    /// From beside its source, to beside its groups, to a group and one host's MAC.
    fn around(&self, book: &Book<'_>) -> Vec<Shot> {
        let (guest, peer) = (book.layout.guest.mac, book.layout.peer.mac);
        let own = own(book, self.source);
        let (first, last) = self.groups;
        let mut out = Vec::new();
        for (side, from) in outside(book.policy, self.source) {
            let words = format!(" from directly {side} it");
            let macs = (guest, mac_of(first));
            out.push(self.shot(&format!("-from-{side}"), &words, (from, first), macs));
        }
        for (side, to) in &self.beside {
            let words = format!(", to directly {side} them");
            let macs = (guest, mac_of(*to));
            out.push(self.shot(&format!("-{side}"), &words, (own, *to), macs));
        }
        out.push(self.shot("-one-mac", " to one host's MAC", (own, last), (guest, peer)));
        out
    }
}

/// Sends a family's frames, and with those beside them another protocol.
pub fn send_family(
    book: &mut Book<'_>,
    group: Group,
    part: Part,
    family: &Family<'_>,
    packet: impl Fn(&Draft<'_>, &Shot) -> (u16, Vec<u8>),
) {
    let shots = family.shots(book, part);
    send(book, group, part, shots, packet);
    if part != Part::Beside {
        return;
    }
    let (first, _) = family.groups;
    let macs = (book.layout.guest.mac, mac_of(first));
    let own = own(book, family.source);
    let other = family.shot("-ospf", " with OSPF in it", (own, first), macs);
    send(book, group, part, vec![other], |d, shot| {
        match (shot.from, shot.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let ip = Ip4::new(from, to).ttl(1);
                (ethertype::IPV4, ip.packet(OSPF, &d.bytes()))
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let ip = Ip6::new(from, to).hops(1);
                (ethertype::IPV6, ip.packet(OSPF, &d.bytes()))
            }
            _ => unreachable!("both ends are of one family"),
        }
    });
}

/// The guest's address in a network; the last one where it has none there.
pub fn own(book: &Book<'_>, source: &Place) -> IpAddr {
    let mut addresses = book.layout.guest.addresses().into_iter();
    let own = addresses.find(|address| source.net.contains(address));
    own.unwrap_or_else(|| source.last_host(book.policy, book.layout))
}

/// The MAC that a packet for everyone or for a group goes to.
pub fn mac_of(to: IpAddr) -> Mac {
    match to {
        IpAddr::V4(to) if to.octets()[..3] == [255; 3] => BROADCAST,
        IpAddr::V4(to) => group_mac4(to),
        IpAddr::V6(to) => group_mac6(to),
    }
}

fn row<'b, 'a>(book: &'b mut Book<'a>, group: Group, part: Part) -> Row<'b, 'a> {
    let (group, expect) = match part {
        Part::Within => (group, true),
        Part::Beside => (Group::Reflection, false),
        Part::Spoofed => (Group::Rogue, false),
    };
    book.row(group, expect, Point::Peer)
}

/// Sends frames that differ from each other in their ends.
pub fn send(
    book: &mut Book<'_>,
    group: Group,
    part: Part,
    shots: Vec<Shot>,
    packet: impl Fn(&Draft<'_>, &Shot) -> (u16, Vec<u8>),
) {
    let layout = book.layout;
    for shot in shots {
        let mut row = row(book, group, part);
        let of_guest = layout.guest.addresses().contains(&shot.from);
        let mut row = if part == Part::Within && !of_guest && !shot.from.is_unspecified() {
            row.any_guest()
        } else {
            row.expect(part == Part::Within)
        };
        row.raw(&shot.name, &shot.summary, |d| {
            let (kind, packet) = packet(d, &shot);
            Link::new(shot.macs.0, shot.macs.1).frame(kind, &packet)
        });
    }
}

/// A datagram.
pub fn udp(d: &Draft<'_>, shot: &Shot) -> (u16, Vec<u8>) {
    match (shot.from, shot.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let ip = Ip4::new(from, to).ttl(1);
            (ethertype::IPV4, ip.udp(d.port, DISCARD, &d.bytes()))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let ip = Ip6::new(from, to).hops(1);
            (ethertype::IPV6, ip.udp(d.port, DISCARD, &d.bytes()))
        }
        _ => unreachable!("both ends are of one family"),
    }
}

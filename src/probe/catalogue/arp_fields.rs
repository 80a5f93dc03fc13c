//! ARP and RARP at the edges: senders beside the LAN, and each field with a value that
//! the guest's own frames never have.

use super::book::{Book, Draft};
use super::fields::beside_router;
use super::pairs::outside;
use super::places::sources4;
use super::rogue::FOREIGN;
use crate::frame::arp::{self, Arp, op};
use crate::frame::{BROADCAST, Link, Mac, ethertype};
use crate::layout::Host;
use crate::probe::{Group, Point};
use std::net::{IpAddr, Ipv4Addr};

/// A group of MACs, and almost that of all hosts.
const BESIDE_BROADCAST: Mac = [0xff, 0xff, 0xff, 0xff, 0xff, 0xfe];
/// Directly above the unspecified address.
const FIRST: Ipv4Addr = Ipv4Addr::new(0, 0, 0, 1);
/// Nobody's address.
const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// The hardware type of IEEE 802 networks (RFC 5342 section 5.2).
const IEEE_802: u16 = 6;
/// Directly above IPv4 as a protocol of ARP.
const X75: u16 = 0x0801;

/// Adds the senders that pass.
pub fn add_arp(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    for place in sources4(policy) {
        let IpAddr::V4(last) = place.last_host(policy, layout) else {
            continue;
        };
        book.row(Group::Arp, true, Point::Peer).any_guest().raw(
            &format!("last-{}", place.name),
            &format!("ARP announcement of the last host of {}", place.net),
            |d| arp::request((d.layout.guest.mac, last), last, &d.bytes()),
        );
    }
    if let Some(beside) = beside_router(book) {
        book.row(Group::Arp, true, Point::Peer).any_guest().raw(
            "beside-router",
            "ARP announcement of the address beside the router's",
            |d| arp::request((d.layout.guest.mac, beside), beside, &d.bytes()),
        );
    }
}

/// Adds what must not pass.
pub fn add_rogue(book: &mut Book<'_>) {
    add_macs(book);
    add_rarp(book);
    add_senders(book);
    add_fields(book);
}

/// ARP about a MAC, from another one.
fn add_macs(book: &mut Book<'_>) {
    let (guest, peer) = (&book.layout.guest, &book.layout.peer);
    let mut beside = guest.mac;
    beside[5] ^= 1;
    let probe = Arp::request((guest.mac, NOBODY), guest.v4);
    let request = Arp::request((guest.mac, guest.v4), peer.v4);
    let frames = [
        (
            "mac-last-bit",
            "ARP probe from a source MAC that differs in its last bit",
            beside,
            probe,
        ),
        (
            "mac-arp-probe",
            "ARP probe of the guest's MAC from another source MAC",
            FOREIGN,
            probe,
        ),
        (
            "mac-arp-own",
            "ARP request of the guest's MAC from another source MAC",
            FOREIGN,
            request,
        ),
    ];
    let mut row = book.row(Group::Rogue, false, Point::Peer);
    for (name, summary, mac, body) in frames {
        row.raw(name, summary, |d| {
            arp::frame(Link::new(mac, BROADCAST), body, &d.bytes())
        });
    }
    row.raw(
        "mac-rarp",
        "QEMU's announcement from another source MAC",
        |d| rarp(d, FOREIGN, BROADCAST, announcement(guest)),
    );
}

fn announcement(guest: &Host) -> Arp {
    Arp {
        operation: op::REVERSE_REQUEST,
        sender: (guest.mac, NOBODY),
        target: (guest.mac, NOBODY),
    }
}

fn rarp(d: &Draft<'_>, from: Mac, to: Mac, body: Arp) -> Vec<u8> {
    let link = Link::new(from, to);
    link.frame_with_trailer(ethertype::RARP, &body.to_bytes(), &d.bytes())
}

/// QEMU's announcement with one field that it never has.
fn add_rarp(book: &mut Book<'_>) {
    /// Changes one field.
    type Edit = fn(&mut Arp);
    const EDITS: [(&str, &str, Edit); 6] = [
        ("below", "with the operation below", |body| {
            body.operation -= 1;
        }),
        ("above", "with the operation above", |body| {
            body.operation += 1;
        }),
        ("sender-mac", "with another sender MAC", |body| {
            body.sender.0 = FOREIGN;
        }),
        ("target-mac", "with another target MAC", |body| {
            body.target.0 = FOREIGN;
        }),
        ("sender", "with the sender 0.0.0.1", |body| {
            body.sender.1 = FIRST;
        }),
        ("target", "with the target 0.0.0.1", |body| {
            body.target.1 = FIRST;
        }),
    ];
    let guest = &book.layout.guest;
    let right = announcement(guest);
    let mut row = book.row(Group::Rogue, false, Point::Peer);
    for (name, words, edit) in EDITS {
        let mut body = right;
        edit(&mut body);
        row.raw(
            &format!("rarp-{name}"),
            &format!("QEMU's announcement, but {words}"),
            |d| rarp(d, guest.mac, BROADCAST, body),
        );
    }
    row.raw(
        "rarp-mac",
        "QEMU's announcement, but to a MAC beside the broadcast",
        |d| rarp(d, guest.mac, BESIDE_BROADCAST, right),
    );
    row.raw(
        "rarp-hardware",
        "QEMU's announcement, but for other hardware",
        |d| with_hardware(rarp(d, guest.mac, BROADCAST, right)),
    );
}

/// An ARP frame for other hardware.
pub fn with_hardware(mut frame: Vec<u8>) -> Vec<u8> {
    frame[14..16].copy_from_slice(&IEEE_802.to_be_bytes());
    frame
}

/// An ARP frame about addresses of another protocol.
pub fn with_protocol(mut frame: Vec<u8>) -> Vec<u8> {
    frame[16..18].copy_from_slice(&X75.to_be_bytes());
    frame
}

/// Senders beside each network, and within it with another MAC.
fn add_senders(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, peer) = (&layout.guest, &layout.peer);
    let mut row = book.row(Group::Rogue, false, Point::Peer);
    for place in sources4(policy) {
        for (side, address) in outside(policy, &place) {
            let IpAddr::V4(address) = address else {
                continue;
            };
            row.raw(
                &format!("arp-{side}-{}", place.name),
                &format!("ARP request from directly {side} {}", place.net),
                |d| arp::request((guest.mac, address), peer.v4, &d.bytes()),
            );
        }
        let IpAddr::V4(last) = place.last_host(policy, layout) else {
            continue;
        };
        row.raw(
            &format!("arp-mac-{}", place.name),
            &format!(
                "ARP reply of the last host of {} with another MAC in it",
                place.net
            ),
            |d| {
                let body = Arp::reply((FOREIGN, last), (peer.mac, peer.v4));
                arp::frame(d.link(peer.mac), body, &d.bytes())
            },
        );
        row.raw(
            &format!("mac-arp-{}", place.name),
            &format!(
                "ARP of the last host of {} from another source MAC",
                place.net
            ),
            |d| {
                let body = Arp::request((guest.mac, last), last);
                arp::frame(Link::new(FOREIGN, BROADCAST), body, &d.bytes())
            },
        );
    }
}

fn add_fields(book: &mut Book<'_>) {
    let (guest, peer) = (&book.layout.guest, &book.layout.peer);
    let mut row = book.row(Group::Rogue, false, Point::Peer);
    row.raw("arp-probe-mac", "ARP probe with another MAC in it", |d| {
        let body = Arp::request((FOREIGN, NOBODY), guest.v4);
        arp::frame(d.link(BROADCAST), body, &d.bytes())
    });
    row.raw("arp-probe-above", "ARP request from 0.0.0.1", |d| {
        arp::request((guest.mac, FIRST), guest.v4, &d.bytes())
    });
    for (name, words, sender, target) in [
        ("arp", "ARP request", guest.v4, peer.v4),
        ("arp-probe", "ARP probe", NOBODY, guest.v4),
    ] {
        let frame = |d: &Draft<'_>| arp::request((guest.mac, sender), target, &d.bytes());
        row.raw(
            &format!("{name}-hardware"),
            &format!("{words} for other hardware"),
            |d| with_hardware(frame(d)),
        );
        row.raw(
            &format!("{name}-protocol"),
            &format!("{words} for another protocol"),
            |d| with_protocol(frame(d)),
        );
    }
}

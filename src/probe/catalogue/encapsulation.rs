//! WAN packets under VLAN tags, in `PPPoE`, SNAP, MPLS, and `EtherTypes` that no LAN guest needs.

use super::book::{Book, Draft};
use super::lan::DISCARD;
use crate::frame::{BROADCAST, Ip4, Link, VlanTag, ethertype, link};
use crate::probe::{Group, Origin, Point};

/// Bridge group address of spanning tree; a bridge with STP off forwards it.
const SPANNING_TREE: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0];

const fn q(priority: u8, vid: u16) -> VlanTag {
    VlanTag {
        tpid: ethertype::VLAN,
        priority,
        vid,
    }
}

/// Stacks under which Linux reads the packet as untagged: the router forwards it.
const PRIORITY_TAGS: &[(&str, &str, &[VlanTag])] = &[
    ("vlan-0", "the tag of VLAN 0", &[q(0, 0)]),
    (
        "vlan-0-priority",
        "the tag of VLAN 0 and priority 7",
        &[q(7, 0)],
    ),
    (
        "qinq-0",
        "an 802.1ad tag with VLAN 0",
        &[VlanTag::new(ethertype::QINQ, 0)],
    ),
];

/// Stacks of VLANs that the router is not in: the frame reaches its port.
const VLAN_TAGS: &[(&str, &str, &[VlanTag])] = &[
    ("vlan-1", "the tag of VLAN 1", &[q(0, 1)]),
    ("vlan-100", "the tag of VLAN 100", &[q(0, 100)]),
    (
        "qinq-100",
        "an 802.1ad tag",
        &[VlanTag::new(ethertype::QINQ, 100)],
    ),
    (
        "old-qinq",
        "a 0x9100 tag",
        &[VlanTag::new(ethertype::OLD_QINQ, 100)],
    ),
    ("double", "two 802.1Q tags", &[q(0, 1), q(0, 100)]),
];

/// `EtherTypes` that carry the tag as their whole payload.
const ETHERTYPES: &[(&str, &str, u16)] = &[
    (
        "ethertype-0835",
        "EtherType 0x0835, which libvirt's own filters accept",
        0x0835,
    ),
    (
        "ethertype-88b5",
        "EtherType 0x88b5, which is for local experiments",
        0x88b5,
    ),
    ("ipx", "IPX over Ethernet II", 0x8137),
    ("aoe", "ATA over Ethernet", 0x88a2),
    ("macsec", "MACsec", 0x88e5),
];

/// Adds the row.
pub fn add(book: &mut Book<'_>) {
    add_vlans(book);
    add_pppoe(book);
    add_llc(book);
    add_others(book);
    add_inbound(book);
}

fn add_vlans(book: &mut Book<'_>) {
    let router = book.layout.gateway.mac;
    let mut row = book.row(Group::Encapsulation, false, Point::Wan);
    for &(name, what, tags) in PRIORITY_TAGS {
        row.raw(
            name,
            &format!("IPv4 to a WAN host in a frame with {what}"),
            |d| d.link(router).stacked(tags, ethertype::IPV4, &d.inner4()),
        );
    }
    row.raw(
        "vlan-0-ipv6",
        "IPv6 to a WAN host in a frame with the tag of VLAN 0",
        |d| {
            d.link(router)
                .stacked(&[q(0, 0)], ethertype::IPV6, &d.inner6())
        },
    );
    let mut row = row.at(Point::Gateway);
    for &(name, what, tags) in VLAN_TAGS {
        row.raw(
            name,
            &format!("IPv4 to a WAN host in a frame with {what}"),
            |d| d.link(router).stacked(tags, ethertype::IPV4, &d.inner4()),
        );
    }
}

fn add_pppoe(book: &mut Book<'_>) {
    let router = book.layout.gateway.mac;
    let mut row = book.row(Group::Encapsulation, false, Point::Gateway);
    row.raw("pppoe-discovery", "PPPoE discovery broadcast", |d| {
        d.link(BROADCAST)
            .frame(ethertype::PPPOE_DISCOVERY, &link::pppoe_padi(&d.bytes()))
    });
    row.raw(
        "pppoe-session",
        "IPv4 to a WAN host in a PPPoE session",
        |d| {
            d.link(router)
                .frame(ethertype::PPPOE_SESSION, &link::pppoe_ipv4(7, &d.inner4()))
        },
    );
    row.raw(
        "pppoe-session6",
        "IPv6 to a WAN host in a PPPoE session",
        |d| {
            d.link(router)
                .frame(ethertype::PPPOE_SESSION, &link::pppoe_ipv6(7, &d.inner6()))
        },
    );
    row.raw("mpls", "IPv4 to a WAN host behind an MPLS label", |d| {
        d.link(router)
            .frame(ethertype::MPLS, &link::mpls(16, &d.inner4()))
    });
}

fn add_llc(book: &mut Book<'_>) {
    let router = book.layout.gateway.mac;
    let mut row = book.row(Group::Encapsulation, false, Point::Gateway);
    row.raw(
        "snap-ipv4",
        "IPv4 to a WAN host in LLC/SNAP (RFC 1042)",
        |d| {
            d.link(router)
                .length_frame(&link::snap(ethertype::IPV4, &d.inner4()))
        },
    );
    row.raw("llc-ip", "IPv4 to a WAN host in LLC with SAP 6", |d| {
        d.link(router).length_frame(&link::llc(0x06, &d.inner4()))
    });
    row.raw("raw-802-3", "IPX in raw 802.3", |d| {
        d.link(BROADCAST).length_frame(&link::ipx(&d.bytes()))
    });
    row.raw("bpdu", "spanning tree BPDU", |d| {
        d.link(SPANNING_TREE)
            .length_frame(&link::bpdu(d.layout.guest.mac, &d.bytes()))
    });
}

fn add_others(book: &mut Book<'_>) {
    let router = book.layout.gateway.mac;
    let mut row = book.row(Group::Encapsulation, false, Point::Gateway);
    row.raw("lldp", "LLDP to the router's own MAC", |d| {
        d.link(router)
            .frame(ethertype::LLDP, &link::lldp(d.layout.guest.mac, &d.bytes()))
    });
    row.raw(
        "eapol",
        "802.1X authentication to the router's own MAC",
        |d| {
            d.link(router)
                .frame(ethertype::EAPOL, &link::eapol(&d.bytes()))
        },
    );
    for &(name, summary, kind) in ETHERTYPES {
        row.raw(name, summary, |d| d.link(router).frame(kind, &d.bytes()));
    }
}

/// Tagged frames and unusual EtherTypes must not reach the guest either.
fn add_inbound(book: &mut Book<'_>) {
    let (guest, peer) = (&book.layout.guest, &book.layout.peer);
    let link_in = Link::new(peer.mac, guest.mac);
    let datagram = |d: &Draft<'_>| Ip4::new(peer.v4, guest.v4).udp(d.port, DISCARD, &d.bytes());
    let mut row = book.row(Group::Encapsulation, false, Point::TapToGuest);
    let mut row = row.from(Origin::Peer);
    row.raw(
        "inbound-vlan-0",
        "IPv4 to the guest in a frame with the tag of VLAN 0",
        |d| link_in.stacked(&[q(0, 0)], ethertype::IPV4, &datagram(d)),
    );
    row.raw("inbound-88b5", "EtherType 0x88b5 to the guest", |d| {
        link_in.frame(0x88b5, &d.bytes())
    });
}

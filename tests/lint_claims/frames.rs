//! Frames that show what a filter does.

use crate::claim::Frame;
use crate::kernel::GUEST;
use lanfence::frame::{BROADCAST, Ip4, Link, Mac, VlanTag, arp, ethertype, l4, link};
use std::net::Ipv4Addr;

/// The other end.
const PEER: Mac = [0x02, 0, 0, 0, 0, 0x02];

/// Where most packets go.
pub const FAR: &str = "192.168.1.77";

const OWN: &str = "192.168.1.50";

fn from_guest(what: &'static str, bytes: Vec<u8>) -> Frame {
    Frame {
        what,
        from_guest: true,
        bytes,
    }
}

fn ip(what: &'static str, packet: &[u8]) -> Frame {
    let link = Link::new(GUEST, PEER);
    from_guest(what, link.frame(ethertype::IPV4, packet))
}

fn address(text: &str) -> Ipv4Addr {
    text.parse().expect("an address")
}

fn to(target: &str) -> Ip4 {
    Ip4::new(address(OWN), address(target))
}

/// UDP to an address.
pub fn udp(target: &'static str) -> Frame {
    ip(target, &to(target).udp(40_000, 7, b"frame"))
}

/// UDP from the guest with another's address as its source.
pub fn answer_from(source: &'static str) -> Frame {
    let packet = Ip4::new(address(source), address("192.168.1.10"));
    ip(source, &packet.udp(40_000, 7, b"frame"))
}

/// UDP to the guest.
pub fn udp_in() -> Frame {
    let packet = Ip4::new(address(FAR), address(OWN)).udp(40_000, 7, b"frame");
    Frame {
        what: "UDP to the guest",
        from_guest: false,
        bytes: Link::new(PEER, GUEST).frame(ethertype::IPV4, &packet),
    }
}

/// A DHCP client's first question.
pub fn discover() -> Frame {
    let packet = Ip4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).udp(68, 67, b"frame");
    let link = Link::new(GUEST, BROADCAST);
    from_guest("DHCP question", link.frame(ethertype::IPV4, &packet))
}

/// A DHCP server's answer to a client without an address.
pub fn offer() -> Frame {
    let packet = Ip4::new(address(FAR), Ipv4Addr::BROADCAST).udp(67, 68, b"frame");
    Frame {
        what: "DHCP answer",
        from_guest: false,
        bytes: Link::new(PEER, BROADCAST).frame(ethertype::IPV4, &packet),
    }
}

/// UDP under a TOS byte.
pub fn udp_tos(what: &'static str, tos: u8) -> Frame {
    let mut packet = to(FAR).udp(40_000, 7, b"frame");
    packet[1] = tos;
    // The header's sum over its ten words, itself counted as zero.
    packet[10..12].fill(0);
    let words = packet[..20].chunks(2);
    let sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let check = !u16::try_from(folded & 0xffff).expect("16 bits");
    packet[10..12].copy_from_slice(&check.to_be_bytes());
    ip(what, &packet)
}

/// The first segment of a connection to a port.
pub fn tcp(what: &'static str, port: u16) -> Frame {
    ip(what, &to(FAR).tcp(40_000, port, l4::flag::SYN, b""))
}

pub fn echo() -> Frame {
    ip("echo request", &to(FAR).echo(b"frame"))
}

/// An ARP request for an address.
pub fn arp_for(target: &'static str) -> Frame {
    let request = arp::request((GUEST, address("1.0.0.1")), address(target), b"");
    from_guest(target, request)
}

/// A frame from the MAC of a group.
pub fn from_a_group() -> Frame {
    let link = Link::new([0x01, 0, 0x5e, 0, 0, 1], PEER);
    let packet = to(FAR).udp(40_000, 7, b"frame");
    from_guest("UDP from a group", link.frame(ethertype::IPV4, &packet))
}

/// An ARP request under a tag of VLAN 5.
pub fn tagged_arp() -> Frame {
    let body = arp::Arp {
        operation: arp::op::REQUEST,
        sender: (GUEST, address(OWN)),
        target: ([0; 6], address(FAR)),
    };
    let link = Link::new(GUEST, BROADCAST);
    let bytes = link.stacked(&[VlanTag::q(5)], ethertype::ARP, &body.to_bytes());
    from_guest("tagged ARP", bytes)
}

/// A spanning-tree frame of a version and a type.
pub fn bpdu(what: &'static str, version: u8, kind: u8) -> Frame {
    let mut body = vec![0; 35];
    (body[2], body[3]) = (version, kind);
    let link = Link::new(GUEST, [0x01, 0x80, 0xc2, 0, 0, 0]);
    from_guest(what, link.length_frame(&link::llc(0x42, &body)))
}

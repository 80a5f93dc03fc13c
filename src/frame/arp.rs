//! ARP and RARP (RFC 826, RFC 903). The tag rides behind the body, where padding goes.

use super::ether::mac_addr;
use super::{BROADCAST, Link, Mac, ethertype};
use pnet::packet::arp::{ArpHardwareTypes, ArpOperation, MutableArpPacket};
use pnet::packet::ethernet::EtherTypes;
use std::net::Ipv4Addr;

/// Operations (RFC 826, RFC 903).
pub mod op {
    /// ARP request.
    pub const REQUEST: u16 = 1;
    /// ARP reply.
    pub const REPLY: u16 = 2;
    /// RARP request.
    pub const REVERSE_REQUEST: u16 = 3;
}

/// The body of an ARP or RARP frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    /// Operation.
    pub operation: u16,
    /// Sender's hardware and protocol address.
    pub sender: (Mac, Ipv4Addr),
    /// Target's hardware and protocol address.
    pub target: (Mac, Ipv4Addr),
}

impl Body {
    /// The 28 bytes of the body.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; MutableArpPacket::minimum_packet_size()];
        let mut packet = MutableArpPacket::new(&mut bytes).expect("the buffer is a body");
        packet.set_hardware_type(ArpHardwareTypes::Ethernet);
        packet.set_protocol_type(EtherTypes::Ipv4);
        packet.set_hw_addr_len(6);
        packet.set_proto_addr_len(4);
        packet.set_operation(ArpOperation(self.operation));
        packet.set_sender_hw_addr(mac_addr(self.sender.0));
        packet.set_sender_proto_addr(self.sender.1);
        packet.set_target_hw_addr(mac_addr(self.target.0));
        packet.set_target_proto_addr(self.target.1);
        bytes
    }
}

/// A broadcast request from `sender` for `target`.
pub fn request(sender: (Mac, Ipv4Addr), target: Ipv4Addr, trailer: &[u8]) -> Vec<u8> {
    let body = Body {
        operation: op::REQUEST,
        sender,
        target: ([0; 6], target),
    };
    frame(Link::new(sender.0, BROADCAST), body, trailer)
}

/// A reply from `sender` to `target`.
pub fn reply(sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr), trailer: &[u8]) -> Vec<u8> {
    let body = Body {
        operation: op::REPLY,
        sender,
        target,
    };
    frame(Link::new(sender.0, target.0), body, trailer)
}

/// Any body in an ARP frame.
pub fn frame(link: Link, body: Body, trailer: &[u8]) -> Vec<u8> {
    link.frame_with_trailer(ethertype::ARP, &body.to_bytes(), trailer)
}

/// The RARP frame that QEMU announces a guest with after a migration: a reverse
/// request of the guest for itself without addresses.
pub fn qemu_announce(mac: Mac, trailer: &[u8]) -> Vec<u8> {
    let body = Body {
        operation: op::REVERSE_REQUEST,
        sender: (mac, Ipv4Addr::UNSPECIFIED),
        target: (mac, Ipv4Addr::UNSPECIFIED),
    };
    Link::new(mac, BROADCAST).frame_with_trailer(ethertype::RARP, &body.to_bytes(), trailer)
}

/// Whether the frame is one of Reverse ARP (RFC 903).
pub fn is_reverse(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&ethertype::RARP.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Tag;
    use pnet::packet::Packet;
    use pnet::packet::arp::ArpPacket;
    use pnet::packet::ethernet::EthernetPacket;
    use rstest::rstest;

    const ME: (Mac, Ipv4Addr) = ([2, 0, 0, 0, 0, 1], Ipv4Addr::new(192, 168, 1, 77));
    const YOU: (Mac, Ipv4Addr) = ([2, 0, 0, 0, 0, 2], Ipv4Addr::new(192, 168, 1, 10));
    const TAG: Tag = Tag {
        run: 1,
        pass: 1,
        index: 2,
    };

    #[rstest]
    #[case::request(request(ME, YOU.1, &TAG.to_bytes()), 1, [0; 6], BROADCAST)]
    #[case::reply(reply(ME, YOU, &TAG.to_bytes()), 2, YOU.0, YOU.0)]
    fn reads_back(#[case] frame: Vec<u8>, #[case] op: u16, #[case] target: Mac, #[case] dst: Mac) {
        let outer = EthernetPacket::new(&frame).unwrap();
        assert_eq!(outer.get_destination().octets(), dst);
        let packet = ArpPacket::new(outer.payload()).unwrap();
        assert_eq!(packet.get_operation().0, op);
        assert_eq!(packet.get_sender_hw_addr().octets(), ME.0);
        assert_eq!(packet.get_sender_proto_addr(), ME.1);
        assert_eq!(packet.get_target_hw_addr().octets(), target);
        assert_eq!(packet.get_target_proto_addr(), YOU.1);
        assert_eq!(Tag::find(&frame), Some(TAG));
    }

    #[test]
    fn the_announcement_names_the_guest_twice() {
        let frame = qemu_announce(ME.0, &[]);
        assert_eq!((frame.len(), &frame[12..14]), (60, &[0x80, 0x35][..]));
        assert_eq!((&frame[22..28], &frame[32..38]), (&ME.0[..], &ME.0[..]));
    }
}

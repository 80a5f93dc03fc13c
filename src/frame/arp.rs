//! ARP and RARP (RFC 826, RFC 903). The tag rides behind the body, where padding goes.

use crate::ether::Link;
use crate::ethertype;
use crate::mac::{BROADCAST, Mac};
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

/// Length of a body for IPv4 over Ethernet in bytes.
const LEN: usize = 28;

/// How such a body begins: hardware type 1 (Ethernet), protocol type 0x0800 (IPv4), lengths
/// of their addresses.
const IPV4_OVER_ETHERNET: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// The body of an ARP or RARP frame for IPv4 over Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// Operation, see [`op`].
    pub operation: u16,
    /// Sender's hardware and protocol address; 0.0.0.0 in a probe (RFC 5227 2.1.1).
    pub sender: (Mac, Ipv4Addr),
    /// Target's hardware and protocol address; the first is zero in a request.
    pub target: (Mac, Ipv4Addr),
}

impl Arp {
    /// The question of `sender` who has the address `target`.
    pub fn request(sender: (Mac, Ipv4Addr), target: Ipv4Addr) -> Self {
        Self {
            operation: op::REQUEST,
            sender,
            target: ([0; 6], target),
        }
    }

    /// The answer of `sender` to `target`.
    pub fn reply(sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Self {
        Self {
            operation: op::REPLY,
            sender,
            target,
        }
    }

    /// The 28 bytes of the body.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = IPV4_OVER_ETHERNET.to_vec();
        bytes.extend(self.operation.to_be_bytes());
        for (mac, address) in [self.sender, self.target] {
            bytes.extend(mac);
            bytes.extend(address.octets());
        }
        bytes
    }

    /// The fields of a body at their places, whatever types and lengths of addresses it
    /// claims; `None` for one that is cut.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body: &[u8; LEN] = body.first_chunk()?;
        let pair = |at: usize| {
            let mac: Mac = body[at..at + 6].try_into().ok()?;
            let address: [u8; 4] = body[at + 6..at + 10].try_into().ok()?;
            Some((mac, Ipv4Addr::from(address)))
        };
        Some(Self {
            operation: u16::from_be_bytes([body[6], body[7]]),
            sender: pair(8)?,
            target: pair(18)?,
        })
    }

    /// Its frame without a tag: a reply to its target, anything else to all stations.
    ///
    /// ```
    /// use lanfence_frame::arp::Arp;
    ///
    /// let guest = ([0x52, 0x54, 0, 0x12, 0x34, 0x56], [192, 168, 1, 50].into());
    /// let question = Arp::request(guest, [192, 168, 1, 1].into());
    /// assert_eq!(Arp::read(&question.to_frame()), Some(question));
    /// ```
    pub fn to_frame(self) -> Vec<u8> {
        let to = match self.operation {
            op::REPLY => self.target.0,
            _ => BROADCAST,
        };
        frame(Link::new(self.sender.0, to), self, &[])
    }

    /// Reads an ARP request or reply for IPv4 over Ethernet; `None` for any other frame.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let body = frame
            .get(12..)?
            .strip_prefix(&ethertype::ARP.to_be_bytes())?;
        let arp = Self::parse(body)?;
        let known = matches!(arp.operation, op::REQUEST | op::REPLY);
        (known && body.starts_with(&IPV4_OVER_ETHERNET)).then_some(arp)
    }
}

/// A broadcast request from `sender` for `target`.
pub fn request(sender: (Mac, Ipv4Addr), target: Ipv4Addr, trailer: &[u8]) -> Vec<u8> {
    let link = Link::new(sender.0, BROADCAST);
    frame(link, Arp::request(sender, target), trailer)
}

/// A reply from `sender` to `target`.
pub fn reply(sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr), trailer: &[u8]) -> Vec<u8> {
    let link = Link::new(sender.0, target.0);
    frame(link, Arp::reply(sender, target), trailer)
}

/// Any body in an ARP frame.
pub fn frame(link: Link, body: Arp, trailer: &[u8]) -> Vec<u8> {
    link.frame_with_trailer(ethertype::ARP, &body.to_bytes(), trailer)
}

/// The RARP frame that QEMU announces a guest with after a migration: a reverse
/// request of the guest for itself without addresses (`announce_self_create` in its
/// `net/announce.c`).
pub fn qemu_announce(mac: Mac, trailer: &[u8]) -> Vec<u8> {
    let body = Arp {
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
    use crate::Tag;
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

    #[test]
    fn what_a_client_reads_is_arp_for_ipv4_over_ethernet() {
        let whole = Arp::reply(ME, YOU).to_frame();
        assert_eq!(
            (whole.len(), Arp::read(&whole)),
            (60, Some(Arp::reply(ME, YOU)))
        );
        assert_eq!(whole[..6], YOU.0);
        for at in [13, 15, 17, 18, 19, 21] {
            let mut other = whole.clone();
            other[at] ^= 8;
            assert_eq!(Arp::read(&other), None, "byte {at}");
        }
        for cut in 0..42 {
            assert_eq!(Arp::read(&whole[..cut]), None, "cut at {cut}");
        }
    }
}

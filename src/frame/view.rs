//! A frame taken apart: VLAN stack, network layer, what is above it.
//!
//! Reads frames as they were captured, whole, cut or malformed, and never panics.

use crate::arp::Arp;
use crate::checksum::{Ends, Sum, checksum};
use crate::ether::VlanTag;
use crate::mac::Mac;
use crate::{ethertype, protocol};
use pnet::packet::ethernet::EthernetPacket;
use pnet::packet::ipv4::Ipv4Packet;
use pnet::packet::ipv6::Ipv6Packet;
use pnet::packet::vlan::VlanPacket;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View<'a> {
    /// Destination MAC.
    pub dst: Mac,
    /// Source MAC.
    pub src: Mac,
    /// VLAN tags, outermost first.
    pub tags: Vec<VlanTag>,
    /// EtherType behind the tags, or the payload's length in bytes where it is under 0x600.
    pub kind: u16,
    /// What the frame carries.
    pub body: Body<'a>,
}

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<'a> {
    /// IPv4 with a readable header.
    V4(Packet4<'a>),
    /// IPv6 with a readable header.
    V6(Packet6<'a>),
    /// ARP or RARP with a readable body.
    Arp(Arp),
    /// Anything else, also IP whose header is cut.
    Other(&'a [u8]),
}

/// An IPv4 packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet4<'a> {
    /// Source.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
    /// Protocol number.
    pub protocol: u8,
    /// Time to live in hops.
    pub ttl: u8,
    /// Options, 0 to 40 bytes.
    pub options: &'a [u8],
    /// Offset in bytes and whether more fragments follow; none for a whole packet.
    pub fragment: Option<(usize, bool)>,
    /// Whether the header's checksum is right.
    pub sum_ok: bool,
    /// What follows the header, up to the packet's length or the end of the capture.
    pub payload: &'a [u8],
}

/// An IPv6 packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet6<'a> {
    /// Source.
    pub src: Ipv6Addr,
    /// Destination.
    pub dst: Ipv6Addr,
    /// Hop limit.
    pub hops: u8,
    /// Protocol numbers of the extension headers in order.
    pub headers: Vec<u8>,
    /// Offset in bytes and whether more fragments follow; none for a whole packet.
    pub fragment: Option<(usize, bool)>,
    /// Last address of a routing header with segments left.
    pub routed_to: Option<Ipv6Addr>,
    /// Protocol behind the extension headers.
    pub protocol: u8,
    /// What follows them.
    pub payload: &'a [u8],
}

/// The layer above IP, of either family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upper<'a> {
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// Protocol number.
    pub protocol: u8,
    /// Whether the payload starts with the protocol's header: not so in later fragments.
    pub has_header: bool,
    /// Whether it is a part of a packet, so that its checksum says nothing.
    pub is_fragment: bool,
    /// Ends that its checksum is computed with.
    pub ends: Ends,
    /// The bytes.
    pub payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Takes a frame apart; none when it is shorter than an Ethernet header.
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        let packet = EthernetPacket::new(frame)?;
        let mut kind = packet.get_ethertype().0;
        let mut rest = frame.get(EthernetPacket::minimum_packet_size()..)?;
        let mut tags = Vec::new();
        while is_vlan(kind) {
            let Some(tag) = VlanPacket::new(rest) else {
                break;
            };
            tags.push(VlanTag {
                tpid: kind,
                priority: tag.get_priority_code_point().0,
                vid: tag.get_vlan_identifier(),
            });
            kind = tag.get_ethertype().0;
            rest = &rest[VlanPacket::minimum_packet_size()..];
        }
        Some(Self {
            dst: packet.get_destination().octets(),
            src: packet.get_source().octets(),
            tags,
            kind,
            body: body(kind, rest),
        })
    }

    /// The layer above IP, if the frame is IP.
    pub fn upper(&self) -> Option<Upper<'a>> {
        match &self.body {
            Body::V4(packet) => Some(packet.upper()),
            Body::V6(packet) => Some(packet.upper()),
            _ => None,
        }
    }
}

impl<'a> Packet4<'a> {
    /// Reads a packet; none when its header is cut or malformed.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let packet = Ipv4Packet::new(bytes)?;
        let header = usize::from(packet.get_header_length()) * 4;
        if packet.get_version() != 4 || header < 20 {
            return None;
        }
        let options = bytes.get(20..header)?;
        let end = usize::from(packet.get_total_length()).clamp(header, bytes.len());
        let offset = usize::from(packet.get_fragment_offset()) * 8;
        let more = packet.get_flags() & 1 != 0;
        Some(Self {
            src: packet.get_source(),
            dst: packet.get_destination(),
            protocol: packet.get_next_level_protocol().0,
            ttl: packet.get_ttl(),
            options,
            fragment: (offset > 0 || more).then_some((offset, more)),
            sum_ok: packet.get_checksum() == header_sum(&bytes[..header]),
            payload: &bytes[header..end],
        })
    }

    /// Where a source route ends, if the packet has one with hops left.
    pub fn routed_to(&self) -> Option<Ipv4Addr> {
        let mut options = self.options;
        loop {
            match *options.first()? {
                0 => return None,
                1 => options = &options[1..],
                kind => {
                    let length = usize::from(*options.get(1)?);
                    let option = options.get(..length).filter(|_| length >= 2)?;
                    if matches!(kind, 131 | 137) && length >= 7 {
                        let last: [u8; 4] = option[length - 4..].try_into().ok()?;
                        return Some(last.into());
                    }
                    options = &options[length..];
                }
            }
        }
    }

    /// What is above IP.
    pub fn upper(&self) -> Upper<'a> {
        Upper {
            src: self.src.into(),
            dst: self.dst.into(),
            protocol: self.protocol,
            has_header: self.fragment.is_none_or(|(offset, _)| offset == 0),
            is_fragment: self.fragment.is_some(),
            ends: Ends::V4(self.src, self.routed_to().unwrap_or(self.dst)),
            payload: self.payload,
        }
    }
}

impl<'a> Packet6<'a> {
    /// Reads a packet; none when its fixed header is cut or malformed.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let packet = Ipv6Packet::new(bytes)?;
        if packet.get_version() != 6 {
            return None;
        }
        let header = Ipv6Packet::minimum_packet_size();
        let end = (header + usize::from(packet.get_payload_length())).min(bytes.len());
        let mut out = Self {
            src: packet.get_source(),
            dst: packet.get_destination(),
            hops: packet.get_hop_limit(),
            headers: Vec::new(),
            fragment: None,
            routed_to: None,
            protocol: packet.get_next_header().0,
            payload: &bytes[header..end],
        };
        while out.step().is_some() {}
        Some(out)
    }

    /// Steps over one extension header; none when there is none or it is cut.
    fn step(&mut self) -> Option<()> {
        // Behind the header of a later fragment come bytes from the middle.
        if self.fragment.is_some_and(|(offset, _)| offset > 0) {
            return None;
        }
        let next = *self.payload.first()?;
        let length = match self.protocol {
            0 | 43 | 60 => (usize::from(*self.payload.get(1)?) + 1) * 8,
            44 => 8,
            51 => (usize::from(*self.payload.get(1)?) + 2) * 4,
            _ => return None,
        };
        let (header, rest) = self.payload.split_at_checked(length)?;
        match self.protocol {
            43 if header[3] > 0 => self.routed_to = last_segment(header),
            44 => {
                let word = u16::from_be_bytes([header[2], header[3]]);
                self.fragment = Some((usize::from(word & !7), word & 1 != 0));
            }
            _ => {}
        }
        self.headers.push(self.protocol);
        self.protocol = next;
        self.payload = rest;
        Some(())
    }

    /// What is above IP.
    pub fn upper(&self) -> Upper<'a> {
        Upper {
            src: self.src.into(),
            dst: self.dst.into(),
            protocol: self.protocol,
            has_header: self.fragment.is_none_or(|(offset, _)| offset == 0),
            is_fragment: self.fragment.is_some(),
            ends: Ends::V6(self.src, self.routed_to.unwrap_or(self.dst)),
            payload: self.payload,
        }
    }
}

/// The checksum that a header should have, from its other fields.
fn header_sum(header: &[u8]) -> u16 {
    let (before, after) = (&header[..10], &header[12..]);
    Sum::default()
        .with_bytes(before)
        .with_bytes(after)
        .checksum()
}

fn last_segment(header: &[u8]) -> Option<Ipv6Addr> {
    let bytes: [u8; 16] = header.last_chunk::<16>().copied()?;
    (header.len() >= 24).then(|| bytes.into())
}

const fn is_vlan(kind: u16) -> bool {
    matches!(
        kind,
        ethertype::VLAN | ethertype::QINQ | ethertype::OLD_QINQ
    )
}

fn body(kind: u16, rest: &[u8]) -> Body<'_> {
    let read = match kind {
        ethertype::IPV4 => Packet4::parse(rest).map(Body::V4),
        ethertype::IPV6 => Packet6::parse(rest).map(Body::V6),
        ethertype::ARP | ethertype::RARP => Arp::parse(rest).map(Body::Arp),
        _ => None,
    };
    read.unwrap_or(Body::Other(rest))
}

impl Upper<'_> {
    /// Source and destination port; `None` where the protocol has none or the header is not
    /// there.
    pub fn ports(&self) -> Option<(u16, u16)> {
        const WITH_PORTS: [u8; 5] = [
            protocol::TCP,
            protocol::UDP,
            protocol::DCCP,
            protocol::SCTP,
            protocol::UDPLITE,
        ];
        if !self.has_header || !WITH_PORTS.contains(&self.protocol) {
            return None;
        }
        let [a, b, c, d] = self.payload.first_chunk::<4>().copied()?;
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }

    /// TCP flags, the lower eight (RFC 9293 3.1); `None` for what is not TCP or cut.
    pub fn tcp_flags(&self) -> Option<u8> {
        let tcp = self.has_header && self.protocol == protocol::TCP;
        self.payload.get(13).copied().filter(|_| tcp)
    }

    /// Payload of a UDP datagram; `None` for what is not UDP or cut.
    pub fn udp_payload(&self) -> Option<&[u8]> {
        let udp = self.has_header && self.protocol == protocol::UDP;
        self.payload.get(8..).filter(|_| udp)
    }

    /// Whether the checksum field holds the pseudo-header's sum alone: the
    /// sender left the rest to a NIC that a virtual link does not have.
    pub fn is_offloaded(&self) -> bool {
        let at = match self.protocol {
            protocol::UDP => 6,
            protocol::TCP => 16,
            _ => return false,
        };
        let pseudo = self.ends.pseudo_header(self.protocol, self.payload.len());
        let left = pseudo.folded().to_be_bytes();
        !self.is_fragment && self.payload.get(at..at + 2) == Some(&left)
    }

    /// Whether the segment's own checksum is right; none where there is none
    /// to check (other protocols, fragments, a UDP sum of zero over IPv4).
    pub fn sum_ok(&self) -> Option<bool> {
        if self.is_fragment {
            return None;
        }
        match self.protocol {
            protocol::UDP if self.payload.get(6..8)? == [0, 0] => None,
            protocol::TCP
            | protocol::UDP
            | protocol::UDPLITE
            | protocol::DCCP
            | protocol::ICMPV6 => Some(self.ends.checksum(self.protocol, self.payload) == 0),
            // Without a byte there is nothing to check.
            protocol::ICMP | protocol::IGMP if self.payload.is_empty() => None,
            protocol::ICMP | protocol::IGMP => Some(checksum(self.payload) == 0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ext, Ip4, Ip6, Link, options4};
    use rstest::rstest;

    const LINK: Link = Link::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    const A: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 77);
    const B: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
    const A6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

    #[rstest]
    #[case::plain(Ip4::new(A, B))]
    #[case::options(Ip4::new(A, B).options(options4::record_route(2)))]
    #[case::source_route(Ip4::new(A, B).by_way_to(A, options4::strict_route(&[A])))]
    fn udp4_behind_any_header(#[case] ip: Ip4) {
        let frame = LINK.stacked(
            &[VlanTag::q(5)],
            ethertype::IPV4,
            &ip.udp(1000, 2000, b"hi"),
        );
        let view = View::parse(&frame).unwrap();
        assert_eq!(
            (view.src, view.dst, view.tags.len()),
            (LINK.src, LINK.dst, 1)
        );
        let upper = view.upper().unwrap();
        assert_eq!(upper.ports(), Some((1000, 2000)));
        assert_eq!(upper.udp_payload(), Some(&b"hi"[..]));
        assert_eq!(upper.sum_ok(), Some(true));
    }

    #[rstest]
    #[case::plain(Ip6::new(A6, B6), 0)]
    #[case::hop_by_hop(Ip6::new(A6, B6).ext(Ext::router_alert()), 1)]
    #[case::routing(Ip6::new(A6, B6).ext(Ext::Routing { kind: 0, left: 1, next: A6 }), 1)]
    #[case::two(Ip6::new(A6, B6).ext(Ext::router_alert()).ext(Ext::Destination(vec![])), 2)]
    fn udp6_behind_extension_headers(#[case] ip: Ip6, #[case] headers: usize) {
        let frame = LINK.frame(ethertype::IPV6, &ip.udp(1000, 2000, b"hi"));
        let view = View::parse(&frame).unwrap();
        let Body::V6(packet) = &view.body else {
            panic!("{view:?}")
        };
        assert_eq!(packet.headers.len(), headers);
        let upper = view.upper().unwrap();
        assert_eq!(upper.ports(), Some((1000, 2000)));
        assert_eq!(upper.sum_ok(), Some(true));
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let ext = Ext::Fragment {
            offset: 3,
            more: false,
        };
        let frame = LINK.frame(ethertype::IPV6, &Ip6::new(A6, B6).ext(ext).udp(1, 2, b"hi"));
        let upper = View::parse(&frame).unwrap().upper().unwrap();
        assert_eq!((upper.ports(), upper.sum_ok()), (None, None));
        let frame = LINK.frame(
            ethertype::IPV4,
            &Ip4::new(A, B).fragment(3, true).udp(1, 2, b"hi"),
        );
        let upper = View::parse(&frame).unwrap().upper().unwrap();
        assert_eq!((upper.ports(), upper.sum_ok()), (None, None));
    }

    #[test]
    fn a_wrong_sum_is_seen() {
        let mut frame = LINK.frame(ethertype::IPV4, &Ip4::new(A, B).udp(1, 2, b"hi"));
        frame[14 + 8] ^= 1;
        let view = View::parse(&frame).unwrap();
        let Body::V4(packet) = &view.body else {
            panic!("{view:?}")
        };
        assert!(!packet.sum_ok);
        frame[14 + 29] ^= 1;
        assert_eq!(
            View::parse(&frame).unwrap().upper().unwrap().sum_ok(),
            Some(false)
        );
    }
}

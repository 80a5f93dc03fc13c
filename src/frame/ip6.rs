//! IPv6 packets (RFC 8200) with extension headers.

use crate::checksum::Ends;
use crate::{l4, protocol};
use pnet::packet::ip::IpNextHeaderProtocol;
use pnet::packet::ipv6::MutableIpv6Packet;
use std::net::Ipv6Addr;

/// An extension header (RFC 8200 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ext {
    /// Hop-by-hop options; the option bytes without padding.
    HopByHop(Vec<u8>),
    /// Destination options; the option bytes without padding.
    Destination(Vec<u8>),
    /// Routing header with one address still to visit or none.
    Routing {
        /// Routing type: 0 (RFC 5095 forbids it), 2, 4.
        kind: u8,
        /// Segments left: 0 or 1.
        left: u8,
        /// The address that follows.
        next: Ipv6Addr,
    },
    /// Fragment header (RFC 8200 4.5).
    Fragment {
        /// Offset in units of eight bytes, at most 8191.
        offset: u16,
        /// More fragments follow.
        more: bool,
    },
}

impl Ext {
    /// Router alert for MLD (RFC 2711, RFC 3810 5).
    pub fn router_alert() -> Self {
        Self::HopByHop(vec![5, 2, 0, 0])
    }

    /// Protocol number of this header (IANA "Protocol Numbers").
    pub const fn number(&self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::Routing { .. } => 43,
            Self::Fragment { .. } => 44,
            Self::Destination(_) => 60,
        }
    }

    fn bytes(&self, next_header: u8) -> Vec<u8> {
        match self {
            Self::HopByHop(options) | Self::Destination(options) => {
                options_header(next_header, options)
            }
            Self::Routing { kind, left, next } => {
                let mut out = vec![next_header, 2, *kind, *left, 0, 0, 0, 0];
                out.extend(next.octets());
                out
            }
            Self::Fragment { offset, more } => {
                let word = (offset << 3) | u16::from(*more);
                let mut out = vec![next_header, 0];
                out.extend(word.to_be_bytes());
                out.extend(FRAGMENT_ID);
                out
            }
        }
    }
}

/// Identification of all fragments.
const FRAGMENT_ID: [u8; 4] = *b"lfrg";

/// Options behind their two header bytes, filled up with Pad1 and PadN to a multiple of
/// eight bytes (RFC 8200 4.2).
fn options_header(next_header: u8, options: &[u8]) -> Vec<u8> {
    let mut out = vec![next_header, 0];
    out.extend(options);
    match out.len().next_multiple_of(8) - out.len() {
        0 => {}
        1 => out.push(0),
        gap => {
            let inner = gap - 2;
            out.push(1);
            out.push(u8::try_from(inner).expect("a gap is under eight"));
            out.resize(out.len() + inner, 0);
        }
    }
    out[1] = u8::try_from(out.len() / 8 - 1).expect("options are at most 2 KiB");
    out
}

/// The header of an IPv6 packet; the rest is computed.
#[derive(Debug, Clone)]
pub struct Ip6 {
    /// Source.
    pub src: Ipv6Addr,
    /// Destination.
    pub dst: Ipv6Addr,
    /// Hop limit.
    pub hops: u8,
    /// Extension headers in order.
    pub ext: Vec<Ext>,
}

impl Ip6 {
    /// A plain header with hop limit 64.
    pub fn new(src: Ipv6Addr, dst: Ipv6Addr) -> Self {
        Self {
            src,
            dst,
            hops: 64,
            ext: Vec::new(),
        }
    }

    /// The same with another hop limit.
    #[must_use]
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// The same with one more extension header.
    #[must_use]
    pub fn ext(mut self, ext: Ext) -> Self {
        self.ext.push(ext);
        self
    }

    /// The ends that checksums are computed with: the last address of a
    /// routing header that still has segments left (RFC 8200 8.1).
    pub fn ends(&self) -> Ends {
        let last = self.ext.iter().find_map(|ext| match ext {
            Ext::Routing { left, next, .. } if *left > 0 => Some(*next),
            _ => None,
        });
        Ends::V6(self.src, last.unwrap_or(self.dst))
    }

    /// The packet around a finished payload of the protocol `upper`.
    ///
    /// # Panics
    /// For a payload of 64 KiB or more, and for options of more than 2 KiB.
    pub fn packet(&self, upper: u8, payload: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        for (at, ext) in self.ext.iter().enumerate() {
            let next = self.ext.get(at + 1).map_or(upper, Ext::number);
            body.extend(ext.bytes(next));
        }
        body.extend(payload);
        let first = self.ext.first().map_or(upper, Ext::number);
        let mut bytes = vec![0; MutableIpv6Packet::minimum_packet_size()];
        let mut packet = MutableIpv6Packet::new(&mut bytes).expect("the buffer is a header");
        packet.set_version(6);
        let length = u16::try_from(body.len()).expect("a frame's packet is under 64 KiB");
        packet.set_payload_length(length);
        packet.set_next_header(IpNextHeaderProtocol(first));
        packet.set_hop_limit(self.hops);
        packet.set_source(self.src);
        packet.set_destination(self.dst);
        bytes.extend(body);
        bytes
    }

    /// A UDP datagram.
    pub fn udp(&self, source: u16, port: u16, payload: &[u8]) -> Vec<u8> {
        self.packet(protocol::UDP, &l4::udp(self.ends(), source, port, payload))
    }

    /// A TCP segment.
    pub fn tcp(&self, source: u16, port: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
        let segment = l4::tcp(self.ends(), source, port, flags, payload);
        self.packet(protocol::TCP, &segment)
    }

    /// An ICMPv6 message (RFC 4443): type, code and everything after the checksum.
    pub fn icmp(&self, kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
        let message = l4::icmp6(self.ends(), kind, code, body);
        self.packet(protocol::ICMPV6, &message)
    }

    /// An echo request (RFC 4443 4.1, type 128) with [`l4::ECHO_ID`].
    pub fn echo(&self, payload: &[u8]) -> Vec<u8> {
        self.icmp(128, 0, &[&l4::ECHO_ID[..], payload].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pnet::packet::Packet;
    use pnet::packet::ipv6::Ipv6Packet;
    use rstest::rstest;

    const SRC: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x77);
    const DST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x10);

    #[rstest]
    #[case::plain(vec![], 0, protocol::UDP)]
    #[case::hop_by_hop(vec![Ext::router_alert()], 8, 0)]
    #[case::destination(vec![Ext::Destination(vec![30, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9])], 16, 60)]
    #[case::routing(vec![Ext::Routing { kind: 0, left: 1, next: SRC }], 24, 43)]
    #[case::fragment(vec![Ext::Fragment { offset: 185, more: true }], 8, 44)]
    #[case::chain(vec![Ext::router_alert(), Ext::Fragment { offset: 0, more: true }], 16, 0)]
    fn header_reads_back(#[case] ext: Vec<Ext>, #[case] length: usize, #[case] first: u8) {
        let ip = Ip6 {
            ext,
            ..Ip6::new(SRC, DST)
        };
        let bytes = ip.packet(protocol::UDP, b"payload");
        let packet = Ipv6Packet::new(&bytes).unwrap();
        assert_eq!((packet.get_source(), packet.get_destination()), (SRC, DST));
        assert_eq!(packet.get_next_header().0, first);
        assert_eq!(usize::from(packet.get_payload_length()), length + 7);
        assert!(packet.payload().ends_with(b"payload"));
    }

    #[rstest]
    #[case::none(0)]
    #[case::one(1)]
    #[case::exact(6)]
    #[case::seven(7)]
    #[case::thirteen(13)]
    fn options_are_filled_to_eight(#[case] length: usize) {
        let header = options_header(17, &vec![0; length]);
        assert_eq!(header.len() % 8, 0);
        assert_eq!((usize::from(header[1]) + 1) * 8, header.len());
    }

    #[test]
    fn the_last_segment_goes_into_the_checksum() {
        let route = |left| Ext::Routing {
            kind: 2,
            left,
            next: SRC,
        };
        assert_eq!(Ip6::new(SRC, DST).ext(route(1)).ends(), Ends::V6(SRC, SRC));
        assert_eq!(Ip6::new(SRC, DST).ext(route(0)).ends(), Ends::V6(SRC, DST));
    }
}

//! IPv4 packets (RFC 791), with options and as fragments.

use crate::checksum::{Ends, checksum};
use crate::{l4, protocol};
use pnet::packet::ip::IpNextHeaderProtocol;
use pnet::packet::ipv4::MutableIpv4Packet;
use std::net::Ipv4Addr;

/// IPv4 options (RFC 791 3.1), each padded to a multiple of four bytes.
pub mod options4 {
    use std::net::Ipv4Addr;

    /// Loose source route by way of `hops`, nine at most; the packet is addressed to the
    /// first hop, the option holds the rest.
    pub fn loose_route(hops: &[Ipv4Addr]) -> Vec<u8> {
        route(131, 4, hops)
    }

    /// Strict source route by way of `hops`, nine at most.
    pub fn strict_route(hops: &[Ipv4Addr]) -> Vec<u8> {
        route(137, 4, hops)
    }

    /// Record route: room for `slots` addresses of the routers on the way, nine at most.
    pub fn record_route(slots: usize) -> Vec<u8> {
        route(7, 4, &vec![Ipv4Addr::UNSPECIFIED; slots])
    }

    /// Router alert (RFC 2113).
    pub fn router_alert() -> Vec<u8> {
        vec![148, 4, 0, 0]
    }

    fn route(kind: u8, pointer: u8, hops: &[Ipv4Addr]) -> Vec<u8> {
        let length = u8::try_from(3 + 4 * hops.len()).expect("at most nine hops fit");
        // A leading no-operation (type 1) aligns the addresses.
        let mut out = vec![1, kind, length, pointer];
        out.extend(hops.iter().flat_map(Ipv4Addr::octets));
        out
    }
}

/// The header of an IPv4 packet; the rest is computed.
#[derive(Debug, Clone)]
pub struct Ip4 {
    /// Source.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
    /// Time to live in hops.
    pub ttl: u8,
    /// Identification, which the fragments of a packet share.
    pub id: u16,
    /// Options in bytes: a multiple of four, at most 40.
    pub options: Vec<u8>,
    /// Offset in units of eight bytes, at most 8191, and whether more fragments follow; none
    /// for a whole packet.
    pub fragment: Option<(u16, bool)>,
    /// Where the packet ends when a source route leads on from `dst`; the
    /// checksums of TCP and UDP are computed with this address.
    pub last_hop: Option<Ipv4Addr>,
}

impl Ip4 {
    /// A plain header with TTL 64.
    pub fn new(src: Ipv4Addr, dst: Ipv4Addr) -> Self {
        Self {
            src,
            dst,
            ttl: 64,
            id: 0x6c66,
            options: Vec::new(),
            fragment: None,
            last_hop: None,
        }
    }

    /// The same with another TTL.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// The same with options.
    #[must_use]
    pub fn options(mut self, options: Vec<u8>) -> Self {
        self.options = options;
        self
    }

    /// The same as a fragment: offset in units of eight bytes, whether more follow.
    #[must_use]
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.fragment = Some((offset, more));
        self
    }

    /// The same with a source route that ends at this address.
    #[must_use]
    pub fn by_way_to(mut self, last: Ipv4Addr, options: Vec<u8>) -> Self {
        self.last_hop = Some(last);
        self.options(options)
    }

    /// The ends that checksums are computed with.
    pub fn ends(&self) -> Ends {
        Ends::V4(self.src, self.last_hop.unwrap_or(self.dst))
    }

    /// The packet around a finished payload.
    ///
    /// # Panics
    /// For options of more than 40 bytes and for a packet of 64 KiB or more.
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let header = MutableIpv4Packet::minimum_packet_size() + self.options.len();
        let mut bytes = vec![0; header];
        bytes[20..].copy_from_slice(&self.options);
        bytes.extend(payload);
        let total = u16::try_from(bytes.len()).expect("a frame's packet is under 64 KiB");
        let mut packet = MutableIpv4Packet::new(&mut bytes).expect("the buffer holds a header");
        packet.set_version(4);
        packet.set_header_length(u8::try_from(header / 4).expect("options are at most 40 bytes"));
        packet.set_total_length(total);
        packet.set_identification(self.id);
        if let Some((offset, more)) = self.fragment {
            packet.set_fragment_offset(offset);
            packet.set_flags(u8::from(more));
        }
        packet.set_ttl(self.ttl);
        packet.set_next_level_protocol(IpNextHeaderProtocol(protocol));
        packet.set_source(self.src);
        packet.set_destination(self.dst);
        let sum = checksum(&bytes[..header]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
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

    /// An ICMP message (RFC 792): type, code, the four bytes after the checksum, the rest.
    pub fn icmp(&self, kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
        self.packet(protocol::ICMP, &l4::icmp(kind, code, rest, payload))
    }

    /// An echo request (RFC 792, type 8) with [`l4::ECHO_ID`].
    pub fn echo(&self, payload: &[u8]) -> Vec<u8> {
        self.icmp(8, 0, l4::ECHO_ID, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pnet::packet::Packet;
    use pnet::packet::ipv4::{self, Ipv4Packet};
    use rstest::rstest;

    fn base() -> Ip4 {
        Ip4::new(
            Ipv4Addr::new(192, 168, 1, 77),
            Ipv4Addr::new(203, 0, 113, 10),
        )
    }

    #[rstest]
    #[case::plain(base(), 20)]
    #[case::ttl_1(base().ttl(1), 20)]
    #[case::record_route(base().options(options4::record_route(3)), 36)]
    #[case::router_alert(base().options(options4::router_alert()), 24)]
    #[case::loose(base().options(options4::loose_route(&[Ipv4Addr::LOCALHOST])), 28)]
    #[case::strict(base().options(options4::strict_route(&[Ipv4Addr::LOCALHOST; 9])), 60)]
    #[case::first_fragment(base().fragment(0, true), 20)]
    #[case::later_fragment(base().fragment(185, false), 20)]
    fn header_reads_back(#[case] ip: Ip4, #[case] header: usize) {
        let bytes = ip.packet(protocol::EXPERIMENT, b"payload");
        let packet = Ipv4Packet::new(&bytes).unwrap();
        assert_eq!(packet.get_checksum(), ipv4::checksum(&packet));
        assert_eq!(usize::from(packet.get_header_length()) * 4, header);
        assert_eq!(usize::from(packet.get_total_length()), bytes.len());
        assert_eq!(
            (packet.get_source(), packet.get_destination()),
            (ip.src, ip.dst)
        );
        assert_eq!(packet.get_ttl(), ip.ttl);
        assert_eq!(packet.get_next_level_protocol().0, protocol::EXPERIMENT);
        assert_eq!(&packet.packet()[20..header], ip.options);
        assert_eq!(packet.payload(), b"payload");
        let fragment = (packet.get_fragment_offset(), packet.get_flags() & 1 != 0);
        assert_eq!(fragment, ip.fragment.unwrap_or((0, false)));
    }

    #[test]
    fn a_source_routed_datagram_is_summed_with_its_last_hop() {
        let last = Ipv4Addr::new(198, 51, 100, 10);
        let ip = base().by_way_to(last, options4::loose_route(&[last]));
        assert_eq!(ip.ends(), Ends::V4(ip.src, last));
    }
}

//! Segments and messages above IP, with their checksums.

use crate::checksum::{Ends, checksum};
use crate::protocol;
use pnet::packet::icmp::{IcmpCode, IcmpType, MutableIcmpPacket};
use pnet::packet::icmpv6::{Icmpv6Code, Icmpv6Type, MutableIcmpv6Packet};
use pnet::packet::tcp::MutableTcpPacket;
use pnet::packet::udp::MutableUdpPacket;

/// TCP flags as in the header's last byte of flags (RFC 9293 3.1).
pub mod flag {
    /// FIN.
    pub const FIN: u8 = 0x01;
    /// SYN.
    pub const SYN: u8 = 0x02;
    /// RST.
    pub const RST: u8 = 0x04;
    /// ACK.
    pub const ACK: u8 = 0x10;
}

/// Identifier 0x6c66 ("lf") and sequence number 1 of echo requests that are built here.
pub const ECHO_ID: [u8; 4] = [b'l', b'f', 0, 1];

/// The number of the first segment of a connection: "lanf".
const FIRST: u32 = 0x6c61_6e66;

/// A UDP datagram (RFC 768). A sum of zero is sent as 0xffff.
///
/// # Panics
/// For a datagram of 64 KiB or more.
pub fn udp(ends: Ends, source: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; MutableUdpPacket::minimum_packet_size()];
    bytes.extend(payload);
    let length = u16::try_from(bytes.len()).expect("a frame's datagram is under 64 KiB");
    let mut packet = MutableUdpPacket::new(&mut bytes).expect("the buffer holds a header");
    packet.set_source(source);
    packet.set_destination(port);
    packet.set_length(length);
    let sum = ends.checksum(protocol::UDP, &bytes);
    let sum = if sum == 0 { 0xffff } else { sum };
    bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// A TCP segment without options (RFC 9293 3.1): a sequence number of lanfence's own,
/// acknowledgement 0, a window of 64,240 bytes.
pub fn tcp(ends: Ends, source: u16, port: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    tcp_answer(ends, (source, port), flags, (FIRST, 0), payload)
}

/// The segment that opens the other half of a connection: SYN and ACK of a SYN
/// with this sequence number.
pub fn tcp_accept(ends: Ends, source: u16, port: u16, sequence: u32) -> Vec<u8> {
    let next = sequence.wrapping_add(1);
    tcp_answer(
        ends,
        (source, port),
        flag::SYN | flag::ACK,
        (FIRST, next),
        &[],
    )
}

/// A segment without options: its own number and the one that is expected next are given.
pub fn tcp_answer(
    ends: Ends,
    ports: (u16, u16),
    flags: u8,
    (sequence, next): (u32, u32),
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0; MutableTcpPacket::minimum_packet_size()];
    bytes.extend(payload);
    let mut packet = MutableTcpPacket::new(&mut bytes).expect("the buffer holds a header");
    packet.set_source(ports.0);
    packet.set_destination(ports.1);
    packet.set_sequence(sequence);
    packet.set_acknowledgement(next);
    packet.set_data_offset(5);
    packet.set_flags(flags);
    packet.set_window(64240);
    let sum = ends.checksum(protocol::TCP, &bytes);
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// An ICMP message (RFC 792): `rest` is the four bytes after the checksum.
pub fn icmp(kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; MutableIcmpPacket::minimum_packet_size()];
    bytes.extend(rest);
    bytes.extend(payload);
    let mut packet = MutableIcmpPacket::new(&mut bytes).expect("the buffer holds a header");
    packet.set_icmp_type(IcmpType(kind));
    packet.set_icmp_code(IcmpCode(code));
    let sum = checksum(&bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// An ICMPv6 message (RFC 4443 2.1): `body` is everything after the checksum.
pub fn icmp6(ends: Ends, kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; MutableIcmpv6Packet::minimum_packet_size()];
    bytes.extend(body);
    let mut packet = MutableIcmpv6Packet::new(&mut bytes).expect("the buffer holds a header");
    packet.set_icmpv6_type(Icmpv6Type(kind));
    packet.set_icmpv6_code(Icmpv6Code(code));
    let sum = ends.checksum(protocol::ICMPV6, &bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// A UDP-Lite datagram whose checksum covers all of it (RFC 3828 3.1).
pub fn udplite(ends: Ends, source: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(source.to_be_bytes());
    bytes.extend(port.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    let sum = ends.checksum(protocol::UDPLITE, &bytes);
    let sum = if sum == 0 { 0xffff } else { sum };
    bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// A DCCP request (RFC 4340 5.1) with a 48-bit sequence number.
pub fn dccp_request(ends: Ends, source: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(source.to_be_bytes());
    bytes.extend(port.to_be_bytes());
    // Data offset 5 words, CCVal and checksum coverage 0, type 0 (request), X = 1.
    bytes.extend([5, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
    bytes.extend(payload);
    let sum = ends.checksum(protocol::DCCP, &bytes);
    bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// An SCTP packet with one DATA chunk (RFC 9260 3.3.1), padded to a multiple of four bytes.
///
/// # Panics
/// For a chunk of 64 KiB or more.
pub fn sctp_data(source: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(source.to_be_bytes());
    bytes.extend(port.to_be_bytes());
    bytes.extend([0; 8]);
    let length = u16::try_from(16 + payload.len()).expect("a frame's chunk is under 64 KiB");
    bytes.extend([0, 3]);
    bytes.extend(length.to_be_bytes());
    bytes.extend([0; 12]);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let sum = crc32c(&bytes);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// CRC-32C (RFC 9260 appendix A), as SCTP uses it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

/// A GRE header without options (RFC 2784 2.1) before a packet of this EtherType.
pub fn gre(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[0, 0][..], &ethertype.to_be_bytes(), payload].concat()
}

/// An ESP header, SPI and sequence number (RFC 4303 2); the payload stands for ciphertext.
pub fn esp(payload: &[u8]) -> Vec<u8> {
    [&[0, 0, 0x6c, 0x66, 0, 0, 0, 1][..], payload].concat()
}

/// An AH header with a check value of 12 bytes (RFC 4302 2) before a packet of the protocol
/// `next`.
pub fn ah(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![next, 4, 0, 0, 0, 0, 0x6c, 0x66, 0, 0, 0, 1];
    out.extend([0; 12]);
    out.extend(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use pnet::packet::{Packet, icmp, icmpv6, tcp, udp};
    use rstest::rstest;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const V4: Ends = Ends::V4(
        Ipv4Addr::new(192, 168, 1, 77),
        Ipv4Addr::new(203, 0, 113, 10),
    );
    const V6: Ends = Ends::V6(
        Ipv6Addr::LOCALHOST,
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    );

    #[rstest]
    #[case::v4(V4, b"even".as_slice())]
    #[case::v4_odd(V4, b"odd".as_slice())]
    #[case::v6(V6, b"".as_slice())]
    fn udp_reads_back(#[case] ends: Ends, #[case] payload: &[u8]) {
        let bytes = udp(ends, 40000, 53, payload);
        let packet = udp::UdpPacket::new(&bytes).unwrap();
        let sum = match ends {
            Ends::V4(src, dst) => udp::ipv4_checksum(&packet, &src, &dst),
            Ends::V6(src, dst) => udp::ipv6_checksum(&packet, &src, &dst),
        };
        assert_eq!(packet.get_checksum(), sum);
        assert_eq!((packet.get_source(), packet.get_destination()), (40000, 53));
        assert_eq!(packet.payload(), payload);
    }

    #[rstest]
    #[case::v4(V4)]
    #[case::v6(V6)]
    fn tcp_reads_back(#[case] ends: Ends) {
        let bytes = tcp(ends, 40000, 80, flag::SYN, b"hello");
        let packet = tcp::TcpPacket::new(&bytes).unwrap();
        let sum = match ends {
            Ends::V4(src, dst) => tcp::ipv4_checksum(&packet, &src, &dst),
            Ends::V6(src, dst) => tcp::ipv6_checksum(&packet, &src, &dst),
        };
        assert_eq!(packet.get_checksum(), sum);
        assert_eq!(
            (packet.get_flags(), packet.payload()),
            (flag::SYN, &b"hello"[..])
        );
    }

    #[test]
    fn icmp_reads_back() {
        let bytes = super::icmp(8, 0, ECHO_ID, b"hello");
        let packet = icmp::IcmpPacket::new(&bytes).unwrap();
        assert_eq!(packet.get_checksum(), icmp::checksum(&packet));
        assert_eq!(packet.get_icmp_type(), icmp::IcmpTypes::EchoRequest);
    }

    #[test]
    fn icmp6_reads_back() {
        let bytes = icmp6(V6, 128, 0, b"....hello");
        let packet = icmpv6::Icmpv6Packet::new(&bytes).unwrap();
        let Ends::V6(src, dst) = V6 else {
            unreachable!()
        };
        assert_eq!(packet.get_checksum(), icmpv6::checksum(&packet, &src, &dst));
    }

    #[rstest]
    #[case::udplite(udplite(V4, 1, 2, b"abc"), protocol::UDPLITE)]
    #[case::dccp(dccp_request(V4, 1, 2, b"abc"), protocol::DCCP)]
    fn a_right_sum_checks_to_zero(#[case] segment: Vec<u8>, #[case] protocol: u8) {
        assert_eq!(V4.checksum(protocol, &segment), 0);
    }

    #[test]
    fn crc32c_of_the_check_string() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}

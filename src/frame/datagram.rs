//! DHCP's UDP datagrams as clients on a packet socket write and read them, and what became
//! of their checksum.
//!
//! Stricter than [`View`](crate::View), which takes apart whatever was captured: what a
//! client's own stack would throw away is not read.

use crate::checksum::{Ends, checksum};
use crate::dhcp::{CLIENT_PORT, SERVER_PORT};
use crate::ether::Link;
use crate::mac::Mac;
use crate::{ethertype, protocol};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// Length of an Ethernet header in bytes.
const ETHERNET: usize = 14;
/// Length of an IPv4 header without options in bytes.
const IPV4: usize = 20;
/// Length of a UDP header in bytes.
const UDP: usize = 8;

/// What a datagram's UDP checksum is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checksum {
    /// It adds up.
    Complete,
    /// There is none, which UDP allows (RFC 768).
    Zero,
    /// It is the pseudo header's only: the rest was left to an offload.
    Partial,
    /// It does not add up.
    Bad,
}

impl Checksum {
    /// Whether a client that adds up what it received takes the datagram.
    pub fn adds_up(self) -> bool {
        matches!(self, Self::Complete | Self::Zero)
    }
}

/// Where a datagram is from and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// Source and destination MAC.
    pub link: Link,
    /// Source and destination address.
    pub ips: (Ipv4Addr, Ipv4Addr),
    /// Source and destination port.
    pub ports: (u16, u16),
    /// IP time to live.
    pub ttl: u8,
    /// IP type of service.
    pub tos: u8,
    /// IP identification.
    pub id: u16,
    /// Whether no router may cut it up.
    pub whole: bool,
    /// Whether it goes without a UDP checksum.
    pub unsummed: bool,
}

/// The flag "don't fragment" in the third word of an IP header (RFC 791 3.1).
const DONT_FRAGMENT: u16 = 0x4000;

impl Head {
    /// A frame with this datagram, both checksums finished, but for that which it goes without.
    ///
    /// # Panics
    /// For a payload that does not fit into an IPv4 packet (65,507 bytes).
    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let length = |bytes: usize| u16::try_from(bytes).expect("DHCP messages are short");
        let (source, destination) = self.ports;
        let mut segment = Vec::with_capacity(UDP + payload.len());
        for word in [source, destination, length(UDP + payload.len()), 0] {
            segment.extend(word.to_be_bytes());
        }
        segment.extend(payload);
        let sum = self.ends().checksum(protocol::UDP, &segment);
        // A sum of zero is sent as its other form: zero means "none" (RFC 768).
        let sum = match sum {
            _ if self.unsummed => 0,
            0 => 0xffff,
            sum => sum,
        };
        segment[6..8].copy_from_slice(&sum.to_be_bytes());
        let mut packet = vec![0x45, self.tos];
        packet.extend(length(IPV4 + segment.len()).to_be_bytes());
        packet.extend(self.id.to_be_bytes());
        let flags = if self.whole { DONT_FRAGMENT } else { 0 };
        packet.extend(flags.to_be_bytes());
        packet.extend([self.ttl, protocol::UDP, 0, 0]);
        packet.extend(self.ips.0.octets());
        packet.extend(self.ips.1.octets());
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(segment);
        self.link.frame(ethertype::IPV4, &packet)
    }

    fn ends(&self) -> Ends {
        Ends::V4(self.ips.0, self.ips.1)
    }
}

/// A datagram for a DHCP client or a DHCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Source and destination MAC.
    pub link: Link,
    /// Source address.
    pub from: Ipv4Addr,
    /// Destination address.
    pub to: Ipv4Addr,
    /// Source port.
    pub from_port: u16,
    /// Destination port.
    pub to_port: u16,
    /// What its checksum is worth.
    pub checksum: Checksum,
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a frame with a DHCP message; `None` for any other, for a fragment and for a
    /// bad header. `pending` is the kernel's word that the sum was left to an offload.
    pub fn read(frame: &'a [u8], pending: bool) -> Option<Self> {
        if short(frame, 12)? != ethertype::IPV4 {
            return None;
        }
        let packet = &frame[ETHERNET..];
        let header = usize::from(packet.first()? & 0x0f) * 4;
        let total = usize::from(short(packet, 2)?);
        let fragment = short(packet, 6)? & 0x3fff;
        let ip = packet.get(..header)?;
        if ip.first()? >> 4 != 4 || header < IPV4 || fragment != 0 || ip[9] != protocol::UDP {
            return None;
        }
        let segment = packet.get(header..total)?;
        let ports = (short(segment, 0)?, short(segment, 2)?);
        let is_dhcp = [(SERVER_PORT, CLIENT_PORT), (CLIENT_PORT, SERVER_PORT)].contains(&ports);
        if checksum(ip) != 0 || !is_dhcp {
            return None;
        }
        let segment = segment.get(..usize::from(short(segment, 4)?))?;
        let address = |at: usize| Ipv4Addr::from([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]);
        let (from, to) = (address(12), address(16));
        let mac = |at: usize| Mac::try_from(&frame[at..at + 6]).ok();
        Some(Self {
            link: Link::new(mac(6)?, mac(0)?),
            from,
            to,
            from_port: ports.0,
            to_port: ports.1,
            checksum: worth(Ends::V4(from, to), segment, pending)?,
            payload: segment.get(UDP..)?,
        })
    }
}

impl Datagram<'_> {
    /// The same frame with its UDP checksum left to an offload that nobody does: the field holds
    /// the pseudo header's sum. None for what is no such frame.
    pub fn unfinished(frame: &[u8]) -> Option<Vec<u8>> {
        let read = Datagram::read(frame, false)?;
        let header = usize::from(frame[ETHERNET] & 0x0f) * 4;
        let ends = Ends::V4(read.from, read.to);
        let seed = ends.pseudo_header(protocol::UDP, UDP + read.payload.len());
        let mut left = frame.to_vec();
        let at = ETHERNET + header + 6;
        left.get_mut(at..at + 2)?
            .copy_from_slice(&seed.folded().to_be_bytes());
        Some(left)
    }
}

fn worth(ends: Ends, segment: &[u8], pending: bool) -> Option<Checksum> {
    let field = short(segment, 6)?;
    let pseudo = ends.pseudo_header(protocol::UDP, segment.len());
    Some(if field == 0 {
        Checksum::Zero
    } else if pseudo.with_bytes(segment).checksum() == 0 {
        Checksum::Complete
    } else if pending || field == pseudo.folded() {
        Checksum::Partial
    } else {
        Checksum::Bad
    })
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::BROADCAST;
    use proptest::prelude::*;
    use rstest::rstest;

    const HEAD: Head = Head {
        link: Link::new([2, 0, 0, 0, 0, 1], BROADCAST),
        ips: (Ipv4Addr::new(192, 168, 1, 1), Ipv4Addr::BROADCAST),
        ports: (SERVER_PORT, CLIENT_PORT),
        ttl: 64,
        tos: 0,
        id: 0,
        whole: false,
        unsummed: false,
    };

    /// Offset of the UDP checksum in a frame without IP options.
    const FIELD: usize = 14 + 20 + 6;

    /// Leaves the sum to an offload, as the kernel does: the field holds the
    /// pseudo header's sum.
    fn unfinished(mut frame: Vec<u8>) -> Vec<u8> {
        let ends = Ends::V4(HEAD.ips.0, HEAD.ips.1);
        let length = usize::from(u16::from_be_bytes([frame[38], frame[39]]));
        let seed = ends.pseudo_header(protocol::UDP, length).folded();
        frame[FIELD..FIELD + 2].copy_from_slice(&seed.to_be_bytes());
        frame
    }

    fn zero(mut frame: Vec<u8>) -> Vec<u8> {
        frame[FIELD..FIELD + 2].fill(0);
        frame
    }

    fn broken(mut frame: Vec<u8>) -> Vec<u8> {
        frame[FIELD] ^= 0x10;
        frame
    }

    #[rstest]
    #[case::finished(|frame| frame, false, Checksum::Complete)]
    #[case::none(zero, false, Checksum::Zero)]
    #[case::left_to_offload(unfinished, true, Checksum::Partial)]
    #[case::left_to_offload_and_forgotten(unfinished, false, Checksum::Partial)]
    #[case::left_to_offload_of_another_kind(broken, true, Checksum::Partial)]
    #[case::broken(broken, false, Checksum::Bad)]
    fn sums(
        #[case] change: fn(Vec<u8>) -> Vec<u8>,
        #[case] pending: bool,
        #[case] expected: Checksum,
    ) {
        let frame = change(HEAD.frame(b"an answer"));
        assert_eq!(Datagram::read(&frame, pending).unwrap().checksum, expected);
    }

    #[test]
    fn what_a_header_is_to_say_stands_in_it() {
        let head = Head {
            id: 0x2401,
            whole: true,
            unsummed: true,
            ..HEAD
        };
        let frame = head.frame(b"hi");
        assert_eq!(frame[18..22], [0x24, 0x01, 0x40, 0x00]);
        let read = Datagram::read(&frame, false).expect("a whole datagram");
        assert_eq!(read.checksum, Checksum::Zero);
    }

    #[test]
    fn an_unfinished_sum_is_the_pseudo_headers() {
        let frame = HEAD.frame(b"an answer");
        let left = Datagram::unfinished(&frame).expect("a datagram");
        assert_eq!(left, unfinished(frame));
        assert_eq!(Datagram::unfinished(&left[..30]), None);
    }

    #[test]
    fn a_known_datagram_has_its_known_sum() {
        // Worked out by hand: 0xc0a8+0x0101+0xffff+0xffff+0x11+0x0a (pseudo header)
        // +0x43+0x44+0x0a+0x6869 = 0x32abc, folded 0x2abf, its complement 0xd540.
        let frame = HEAD.frame(b"hi");
        assert_eq!(frame[FIELD..FIELD + 2], [0xd5, 0x40]);
    }

    #[test]
    fn a_fragment_and_a_bad_header_are_none() {
        let whole = HEAD.frame(b"an answer");
        let mut fragment = whole.clone();
        fragment[20] = 0x20;
        let mut header = whole.clone();
        header[22] ^= 1;
        for frame in [fragment, header] {
            assert_eq!(Datagram::read(&frame, false), None);
        }
        assert!(Datagram::read(&whole, false).is_some());
    }

    proptest! {
        #[test]
        fn datagrams_read_back_and_add_up(payload in proptest::collection::vec(any::<u8>(), 0..600), ttl: u8, tos: u8, from: u32, to: u32) {
            let head = Head { ips: (from.into(), to.into()), ttl, tos, ..HEAD };
            let frame = head.frame(&payload);
            let read = Datagram::read(&frame, false).unwrap();
            prop_assert_eq!(read.checksum, Checksum::Complete);
            prop_assert_eq!((read.from, read.to, read.payload), (from.into(), to.into(), &payload[..]));
            // Padding by the driver is not part of the datagram.
            let padded = [&frame[..], &[7; 20]].concat();
            prop_assert_eq!(Datagram::read(&padded, false).map(|read| read.checksum), Some(Checksum::Complete));
        }

        #[test]
        fn one_flipped_bit_is_seen(payload in proptest::collection::vec(any::<u8>(), 1..400), at: usize, bit in 0..8_u8) {
            let mut frame = HEAD.frame(&payload);
            let at = 42 + at % payload.len();
            frame[at] ^= 1 << bit;
            let read = Datagram::read(&frame, false).unwrap();
            prop_assert!(!read.checksum.adds_up());
        }

        #[test]
        fn nothing_panics(frame in proptest::collection::vec(any::<u8>(), 0..400), cut in 0..400_usize, pending: bool) {
            let _ = Datagram::read(&frame, pending);
            let mut whole = HEAD.frame(&frame);
            whole.truncate(cut);
            let _ = Datagram::read(&whole, pending);
        }
    }
}

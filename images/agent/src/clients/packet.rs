//! Ethernet, ARP, IPv4 and UDP, as little of them as a DHCP client needs, and what
//! became of a datagram's checksum.

use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A MAC address.
pub type Mac = [u8; 6];

/// All stations.
pub const BROADCAST: Mac = [0xff; 6];

/// UDP port of servers.
pub const SERVER_PORT: u16 = 67;
/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;

const ETHERNET: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
const UDP: u8 = 17;

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

/// A datagram for a DHCP client or a DHCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Destination MAC.
    pub to_mac: Mac,
    /// Source MAC.
    pub from_mac: Mac,
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

/// Where a datagram is from and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// Source and destination MAC.
    pub macs: (Mac, Mac),
    /// Source and destination address.
    pub ips: (Ipv4Addr, Ipv4Addr),
    /// Source and destination port.
    pub ports: (u16, u16),
    /// IP time to live.
    pub ttl: u8,
    /// IP type of service.
    pub tos: u8,
}

/// A frame with a UDP datagram, both checksums finished.
pub fn udp(head: &Head, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).expect("DHCP messages are short");
    let mut segment = [
        head.ports.0.to_be_bytes(),
        head.ports.1.to_be_bytes(),
        length.to_be_bytes(),
        [0; 2],
    ]
    .concat();
    segment.extend(payload);
    let sum = !fold(pseudo(head.ips, length) + words(&segment));
    // A sum of zero is sent as its other form: zero means "none" (RFC 768).
    let sum = if sum == 0 { 0xffff } else { sum };
    segment[6..8].copy_from_slice(&sum.to_be_bytes());
    let mut ip = [&[0x45, head.tos][..], &(20 + length).to_be_bytes(), &[0; 4]].concat();
    ip.extend([head.ttl, UDP, 0, 0]);
    ip.extend(head.ips.0.octets());
    ip.extend(head.ips.1.octets());
    let sum = !fold(words(&ip));
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    [&head.macs.1[..], &head.macs.0, &IPV4, &ip, &segment].concat()
}

/// Reads a frame with a DHCP message; none for any other, for a fragment and for a
/// bad header. `pending` is the kernel's word that the sum was left to an offload.
pub fn read_udp(frame: &[u8], pending: bool) -> Option<Datagram<'_>> {
    if frame.get(12..14)? != IPV4 {
        return None;
    }
    let packet = &frame[ETHERNET..];
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let total = usize::from(short(packet, 2)?);
    let fragment = short(packet, 6)? & 0x3fff;
    let ip = packet.get(..header)?;
    if ip.first()? >> 4 != 4 || header < 20 || fragment != 0 || ip[9] != UDP {
        return None;
    }
    let segment = packet.get(header..total)?;
    let (from_port, to_port) = (short(segment, 0)?, short(segment, 2)?);
    let is_dhcp = [from_port, to_port] == [SERVER_PORT, CLIENT_PORT]
        || [from_port, to_port] == [CLIENT_PORT, SERVER_PORT];
    if fold(words(ip)) != 0xffff || !is_dhcp {
        return None;
    }
    let segment = segment.get(..usize::from(short(segment, 4)?))?;
    let address = |at: usize| Ipv4Addr::from([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]);
    let ips = (address(12), address(16));
    Some(Datagram {
        to_mac: frame[..6].try_into().ok()?,
        from_mac: frame[6..12].try_into().ok()?,
        from: ips.0,
        to: ips.1,
        from_port,
        to_port,
        checksum: checksum(ips, segment, pending)?,
        payload: segment.get(8..)?,
    })
}

fn checksum(ips: (Ipv4Addr, Ipv4Addr), segment: &[u8], pending: bool) -> Option<Checksum> {
    let length = u16::try_from(segment.len()).ok()?;
    let field = short(segment, 6)?;
    let seed = pseudo(ips, length);
    Some(if field == 0 {
        Checksum::Zero
    } else if fold(seed + words(segment)) == 0xffff {
        Checksum::Complete
    } else if pending || field == fold(seed) {
        Checksum::Partial
    } else {
        Checksum::Bad
    })
}

/// Sum of the pseudo header of a UDP datagram (RFC 768).
fn pseudo(ips: (Ipv4Addr, Ipv4Addr), length: u16) -> u64 {
    words(&ips.0.octets()) + words(&ips.1.octets()) + u64::from(UDP) + u64::from(length)
}

/// Sum of 16-bit words (RFC 1071); a last odd octet is the high one.
fn words(bytes: &[u8]) -> u64 {
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
    bytes.chunks(2).map(word).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded to 16 bits")
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// An ARP packet for IPv4 over Ethernet (RFC 826).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// A reply, else a request.
    pub reply: bool,
    /// The sender's MAC.
    pub sender_mac: Mac,
    /// The sender's address; 0.0.0.0 in a probe.
    pub sender: Ipv4Addr,
    /// The target's MAC; zeros in a request.
    pub target_mac: Mac,
    /// The address asked for, or whose owner is answered.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Who has `target`?
    pub fn request(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self {
            reply: false,
            sender_mac: mac,
            sender,
            target_mac: [0; 6],
            target,
        }
    }

    /// Its frame: a request goes to all stations.
    pub fn frame(&self) -> Vec<u8> {
        let to = if self.reply {
            self.target_mac
        } else {
            BROADCAST
        };
        let mut frame = [&to[..], &self.sender_mac, &ARP].concat();
        // Ethernet, IPv4, lengths 6 and 4, then the operation.
        frame.extend([0, 1, 8, 0, 6, 4, 0, 1 + u8::from(self.reply)]);
        frame.extend(self.sender_mac);
        frame.extend(self.sender.octets());
        frame.extend(self.target_mac);
        frame.extend(self.target.octets());
        // The least frame, without FCS: a sensor at a tap sees what is short as it is.
        frame.resize(60, 0);
        frame
    }
}

/// Reads an ARP packet; none for any other frame.
pub fn read_arp(frame: &[u8]) -> Option<Arp> {
    let body = frame.get(ETHERNET..ETHERNET + 28)?;
    if frame[12..14] != ARP || body[..6] != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let address = |at: usize| Ipv4Addr::from([body[at], body[at + 1], body[at + 2], body[at + 3]]);
    Some(Arp {
        reply: match short(body, 6)? {
            1 => false,
            2 => true,
            _ => return None,
        },
        sender_mac: body[8..14].try_into().ok()?,
        sender: address(14),
        target_mac: body[18..24].try_into().ok()?,
        target: address(24),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const HEAD: Head = Head {
        macs: ([2, 0, 0, 0, 0, 1], BROADCAST),
        ips: (Ipv4Addr::new(192, 168, 1, 1), Ipv4Addr::BROADCAST),
        ports: (SERVER_PORT, CLIENT_PORT),
        ttl: 64,
        tos: 0,
    };

    /// Offset of the UDP checksum in a frame without IP options.
    const FIELD: usize = 14 + 20 + 6;

    /// Leaves the sum to an offload, as the kernel does: the field holds the
    /// pseudo header's sum.
    fn unfinished(mut frame: Vec<u8>) -> Vec<u8> {
        let length = u16::try_from(frame.len() - 34).unwrap();
        let seed = fold(pseudo(HEAD.ips, length));
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
        let frame = change(udp(&HEAD, b"an answer"));
        assert_eq!(read_udp(&frame, pending).unwrap().checksum, expected);
    }

    #[test]
    fn a_known_datagram_has_its_known_sum() {
        // Worked out by hand: 0xc0a8+0x0101+0xffff+0xffff+0x11+0x0a (pseudo header)
        // +0x43+0x44+0x0a+0x6869 = 0x32abc, folded 0x2abf, its complement 0xd540.
        let frame = udp(&HEAD, b"hi");
        assert_eq!(frame[FIELD..FIELD + 2], [0xd5, 0x40]);
    }

    #[test]
    fn a_fragment_and_a_bad_header_are_none() {
        let whole = udp(&HEAD, b"an answer");
        let mut fragment = whole.clone();
        fragment[20] = 0x20;
        let mut header = whole.clone();
        header[22] ^= 1;
        for frame in [fragment, header] {
            assert_eq!(read_udp(&frame, false), None);
        }
        assert!(read_udp(&whole, false).is_some());
    }

    #[test]
    fn arp_reads_back() {
        let request = Arp::request([2, 0, 0, 0, 0, 1], Ipv4Addr::UNSPECIFIED, HEAD.ips.0);
        assert_eq!(read_arp(&request.frame()), Some(request));
        assert_eq!(request.frame()[..6], BROADCAST);
        let reply = Arp {
            reply: true,
            target_mac: [4; 6],
            ..request
        };
        assert_eq!(read_arp(&reply.frame()), Some(reply));
        assert_eq!(reply.frame()[..6], [4; 6]);
    }

    proptest! {
        #[test]
        fn datagrams_read_back_and_add_up(payload in proptest::collection::vec(any::<u8>(), 0..600), ttl: u8, tos: u8, from: u32, to: u32) {
            let head = Head { ips: (from.into(), to.into()), ttl, tos, ..HEAD };
            let frame = udp(&head, &payload);
            let read = read_udp(&frame, false).unwrap();
            prop_assert_eq!(read.checksum, Checksum::Complete);
            prop_assert_eq!((read.from, read.to, read.payload), (from.into(), to.into(), &payload[..]));
            // Padding by the driver is not part of the datagram.
            let padded = [&frame[..], &[7; 20]].concat();
            prop_assert_eq!(read_udp(&padded, false).map(|read| read.checksum), Some(Checksum::Complete));
        }

        #[test]
        fn one_flipped_bit_is_seen(payload in proptest::collection::vec(any::<u8>(), 1..400), at: usize, bit in 0..8_u8) {
            let mut frame = udp(&HEAD, &payload);
            let at = 42 + at % payload.len();
            frame[at] ^= 1 << bit;
            let read = read_udp(&frame, false).unwrap();
            prop_assert!(!read.checksum.adds_up());
        }

        #[test]
        fn nothing_panics(frame in proptest::collection::vec(any::<u8>(), 0..400), cut in 0..400_usize, pending: bool) {
            let _ = (read_udp(&frame, pending), read_arp(&frame));
            let mut whole = udp(&HEAD, &frame);
            whole.truncate(cut);
            let _ = (read_udp(&whole, pending), read_arp(&whole));
        }
    }
}

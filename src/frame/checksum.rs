//! The Internet checksum (RFC 1071) and the pseudo-headers that go into it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A sum of 16-bit words, not yet folded (RFC 1071).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum with these bytes added. Where their number is odd, a zero octet follows
    /// the last one, so that only the last addition of a sum may be odd.
    #[must_use]
    pub fn with_bytes(self, bytes: &[u8]) -> Self {
        let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        Self(self.0 + bytes.chunks(2).map(word).sum::<u64>())
    }

    /// The sum with one number added.
    #[must_use]
    pub fn with_number(self, number: u64) -> Self {
        Self(self.0 + number)
    }

    /// The sum in ones' complement arithmetic of 16 bits.
    pub fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).expect("folded to 16 bits")
    }

    /// What a checksum field holds for it: its complement. Zero for a sum that includes
    /// its right checksum.
    pub fn checksum(self) -> u16 {
        !self.folded()
    }
}

/// Checksum of a message without pseudo-header whose checksum field is zero, as ICMP,
/// IGMP and IPv4 headers have it; zero for a message that includes its right checksum.
///
/// ```
/// use lanfence_frame::checksum::checksum;
///
/// let mut echo = [8, 0, 0, 0, 0, 1, 0, 1];
/// let sum = checksum(&echo);
/// echo[2..4].copy_from_slice(&sum.to_be_bytes());
/// assert_eq!(checksum(&echo), 0);
/// ```
pub fn checksum(message: &[u8]) -> u16 {
    Sum::default().with_bytes(message).checksum()
}

/// The two ends whose pseudo-header goes into a checksum (RFC 768, RFC 8200 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// IPv4 source and destination.
    V4(Ipv4Addr, Ipv4Addr),
    /// IPv6 source and destination.
    V6(Ipv6Addr, Ipv6Addr),
}

impl Ends {
    /// Sum of the pseudo-header of a segment of this protocol and length in bytes.
    pub fn pseudo_header(self, protocol: u8, length: usize) -> Sum {
        let sum = Sum::default();
        let ends = match self {
            Self::V4(src, dst) => sum.with_bytes(&src.octets()).with_bytes(&dst.octets()),
            Self::V6(src, dst) => sum.with_bytes(&src.octets()).with_bytes(&dst.octets()),
        };
        let length = u64::try_from(length).expect("a segment's length has 64 bits at most");
        ends.with_number(u64::from(protocol)).with_number(length)
    }

    /// Checksum of a segment whose checksum field is zero; zero for a segment that
    /// includes its right checksum.
    pub fn checksum(self, protocol: u8, segment: &[u8]) -> u16 {
        self.pseudo_header(protocol, segment.len())
            .with_bytes(segment)
            .checksum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pnet::packet::ip::IpNextHeaderProtocol;
    use pnet::util;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_are_those_of_pnet(message in proptest::collection::vec(any::<u8>(), 1..80), protocol: u8, a: u128, b: u128) {
            prop_assert_eq!(checksum(&message), util::checksum(&message, usize::MAX));
            let number = IpNextHeaderProtocol(protocol);
            let (src, dst) = (Ipv6Addr::from_bits(a), Ipv6Addr::from_bits(b));
            prop_assert_eq!(
                Ends::V6(src, dst).checksum(protocol, &message),
                util::ipv6_checksum(&message, usize::MAX, &[], &src, &dst, number)
            );
            let [src, dst] = [a, b].map(|it| Ipv4Addr::from_bits(u32::try_from(it >> 96).unwrap()));
            prop_assert_eq!(
                Ends::V4(src, dst).checksum(protocol, &message),
                util::ipv4_checksum(&message, usize::MAX, &[], &src, &dst, number)
            );
        }
    }
}

//! The protocol elements of a rule.

use super::keywords::words;
use crate::frame::protocol;
use std::fmt;

/// A protocol element: `<ip>`, `<arp>`, `<tcp-ipv6>` …
///
/// Elements from [`Mac`](Self::Mac) to [`Ipv6`](Self::Ipv6) become rules of
/// layer 2 (ebtables), the others rules of layer 3 (iptables and ip6tables).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Any Ethernet frame.
    Mac,
    /// A frame with an 802.1Q tag.
    Vlan,
    /// A frame of the spanning tree protocol.
    Stp,
    /// ARP.
    Arp,
    /// RARP.
    Rarp,
    /// IPv4 at layer 2.
    Ip,
    /// IPv6 at layer 2.
    Ipv6,
    /// TCP over IPv4.
    Tcp,
    /// UDP over IPv4.
    Udp,
    /// SCTP over IPv4.
    Sctp,
    /// ICMP.
    Icmp,
    /// `ICMPv6`.
    Icmpv6,
    /// IGMP.
    Igmp,
    /// IPsec's encrypted payload over IPv4.
    Esp,
    /// IPsec's authentication header over IPv4.
    Ah,
    /// UDP-Lite over IPv4.
    Udplite,
    /// Any IPv4 at layer 3.
    All,
    /// TCP over IPv6.
    TcpIpv6,
    /// UDP over IPv6.
    UdpIpv6,
    /// SCTP over IPv6.
    SctpIpv6,
    /// IPsec's encrypted payload over IPv6.
    EspIpv6,
    /// IPsec's authentication header over IPv6.
    AhIpv6,
    /// UDP-Lite over IPv6.
    UdpliteIpv6,
    /// Any IPv6 at layer 3.
    AllIpv6,
}

words!(Protocol {
    Mac = "mac",
    Vlan = "vlan",
    Stp = "stp",
    Arp = "arp",
    Rarp = "rarp",
    Ip = "ip",
    Ipv6 = "ipv6",
    Tcp = "tcp",
    Udp = "udp",
    Sctp = "sctp",
    Icmp = "icmp",
    Icmpv6 = "icmpv6",
    Igmp = "igmp",
    Esp = "esp",
    Ah = "ah",
    Udplite = "udplite",
    All = "all",
    TcpIpv6 = "tcp-ipv6",
    UdpIpv6 = "udp-ipv6",
    SctpIpv6 = "sctp-ipv6",
    EspIpv6 = "esp-ipv6",
    AhIpv6 = "ah-ipv6",
    UdpliteIpv6 = "udplite-ipv6",
    AllIpv6 = "all-ipv6",
});

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Protocol {
    /// Every protocol element.
    pub const ALL: [Self; 24] = [
        Self::Mac,
        Self::Vlan,
        Self::Stp,
        Self::Arp,
        Self::Rarp,
        Self::Ip,
        Self::Ipv6,
        Self::Tcp,
        Self::Udp,
        Self::Sctp,
        Self::Icmp,
        Self::Icmpv6,
        Self::Igmp,
        Self::Esp,
        Self::Ah,
        Self::Udplite,
        Self::All,
        Self::TcpIpv6,
        Self::UdpIpv6,
        Self::SctpIpv6,
        Self::EspIpv6,
        Self::AhIpv6,
        Self::UdpliteIpv6,
        Self::AllIpv6,
    ];

    /// The IP version of a layer-3 element; none for a layer-2 element.
    pub fn layer3(self) -> Option<IpVersion> {
        match self {
            Self::Mac | Self::Vlan | Self::Stp | Self::Arp | Self::Rarp | Self::Ip | Self::Ipv6 => {
                None
            }
            Self::Tcp
            | Self::Udp
            | Self::Sctp
            | Self::Icmp
            | Self::Igmp
            | Self::Esp
            | Self::Ah
            | Self::Udplite
            | Self::All => Some(IpVersion::V4),
            Self::TcpIpv6
            | Self::UdpIpv6
            | Self::SctpIpv6
            | Self::Icmpv6
            | Self::EspIpv6
            | Self::AhIpv6
            | Self::UdpliteIpv6
            | Self::AllIpv6 => Some(IpVersion::V6),
        }
    }

    /// Whether it becomes a rule of iptables or ip6tables rather than ebtables.
    pub fn is_layer3(self) -> bool {
        self.layer3().is_some()
    }

    /// The number that the IP header has for a layer-3 element; none for `all`
    /// and for layer-2 elements.
    pub fn number(self) -> Option<u8> {
        match self {
            Self::Tcp | Self::TcpIpv6 => Some(protocol::TCP),
            Self::Udp | Self::UdpIpv6 => Some(protocol::UDP),
            Self::Sctp | Self::SctpIpv6 => Some(protocol::SCTP),
            Self::Icmp => Some(protocol::ICMP),
            Self::Icmpv6 => Some(protocol::ICMPV6),
            Self::Igmp => Some(protocol::IGMP),
            Self::Esp | Self::EspIpv6 => Some(protocol::ESP),
            Self::Ah | Self::AhIpv6 => Some(protocol::AH),
            Self::Udplite | Self::UdpliteIpv6 => Some(protocol::UDPLITE),
            Self::Mac
            | Self::Vlan
            | Self::Stp
            | Self::Arp
            | Self::Rarp
            | Self::Ip
            | Self::Ipv6
            | Self::All
            | Self::AllIpv6 => None,
        }
    }

    /// Whether it is IPv6, at layer 2 or 3.
    pub fn is_v6(self) -> bool {
        self == Self::Ipv6 || self.layer3() == Some(IpVersion::V6)
    }

    /// Whether it is `<icmp>` or `<icmpv6>`.
    pub fn is_icmp(self) -> bool {
        matches!(self, Self::Icmp | Self::Icmpv6)
    }

    /// Whether it is `<all>` or `<all-ipv6>`.
    pub fn is_all(self) -> bool {
        matches!(self, Self::All | Self::AllIpv6)
    }

    /// Whether it is `<udp>` or `<udp-ipv6>`.
    pub fn is_udp(self) -> bool {
        matches!(self, Self::Udp | Self::UdpIpv6)
    }

    /// Whether it is `<tcp>` or `<tcp-ipv6>`.
    pub fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::TcpIpv6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_listed_once_and_in_the_order_of_their_words() {
        let words: Vec<&str> = Protocol::ALL.iter().map(|each| each.word()).collect();
        assert_eq!(words, Protocol::WORDS);
    }

    #[test]
    fn the_word_says_the_ip_version() {
        for protocol in Protocol::ALL {
            let word = protocol.word();
            let v6 = word.ends_with("-ipv6") || word == "icmpv6";
            assert_eq!(protocol.layer3() == Some(IpVersion::V6), v6, "{word}");
        }
    }
}

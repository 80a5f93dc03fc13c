//! Names that libvirt has for numbers, in libvirt's spelling.

use crate::frame::{ethertype, protocol};

/// A name and the number that it stands for.
pub type Name = (&'static str, u16);

/// `EtherTypes`.
pub const ETHERTYPES: [Name; 5] = [
    ("ipv4", ethertype::IPV4),
    ("arp", ethertype::ARP),
    ("rarp", ethertype::RARP),
    ("vlan", ethertype::VLAN),
    ("ipv6", ethertype::IPV6),
];

/// IP protocols.
pub const PROTOCOLS: [Name; 9] = [
    ("icmp", protocol::ICMP as u16),
    ("igmp", protocol::IGMP as u16),
    ("tcp", protocol::TCP as u16),
    ("udp", protocol::UDP as u16),
    ("esp", protocol::ESP as u16),
    ("ah", protocol::AH as u16),
    ("icmpv6", protocol::ICMPV6 as u16),
    ("sctp", protocol::SCTP as u16),
    ("udplite", protocol::UDPLITE as u16),
];

/// ARP operations (IANA "Operation Codes"; libvirt spells `ARP_NAK` for 9,
/// which IANA calls `InARP-Reply`).
pub const OPERATIONS: [Name; 9] = [
    ("Request", 1),
    ("Reply", 2),
    ("Request_Reverse", 3),
    ("Reply_Reverse", 4),
    ("DRARP_Request", 5),
    ("DRARP_Reply", 6),
    ("DRARP_Error", 7),
    ("InARP_Request", 8),
    ("ARP_NAK", 9),
];

/// States of a connection.
pub const STATES: [&str; 4] = ["NEW", "ESTABLISHED", "RELATED", "INVALID"];

/// TCP flags, that of the lowest bit first.
pub const TCP_FLAGS: [&str; 6] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];

/// The number of a name in any case.
pub fn number_of(name: &str, names: &[Name]) -> Option<u16> {
    let found = names
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, number)| *number)
}

/// The name of a number.
pub fn name_of(number: u128, names: &[Name]) -> Option<&'static str> {
    let found = names.iter().find(|(_, known)| u128::from(*known) == number);
    found.map(|(name, _)| *name)
}

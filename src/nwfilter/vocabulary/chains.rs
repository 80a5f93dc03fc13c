//! Chains: the prefixes that their names may have, which frames enter them, and
//! in which order libvirt tries them.

use super::protocol::Protocol;
use crate::frame::ethertype;

/// The chain that every frame enters.
pub const ROOT: &str = "root";

/// libvirt's priority of a rule that has none.
pub const DEFAULT_PRIORITY: i16 = 500;

/// The group MAC of the spanning tree protocol.
pub const SPANNING_TREE: u64 = 0x0180_c200_0000;

/// Which frames enter a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainGuard {
    /// Every frame.
    All,
    /// Frames of this `EtherType`.
    EtherType(u16),
    /// Frames to this MAC.
    Destination(u64),
}

/// What the first letters of a chain's name decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainPrefix {
    /// The letters.
    pub prefix: &'static str,
    /// The chain's priority where the filter gives none.
    pub priority: i16,
    /// Which frames enter.
    pub guard: ChainGuard,
    /// The one layer-2 element besides `<mac>` and `<stp>` that can match in it.
    pub element: Option<Protocol>,
}

const fn chain(
    prefix: &'static str,
    priority: i16,
    guard: ChainGuard,
    element: Option<Protocol>,
) -> ChainPrefix {
    ChainPrefix {
        prefix,
        priority,
        guard,
        element,
    }
}

const fn of_type(prefix: &'static str, priority: i16, kind: u16, element: Protocol) -> ChainPrefix {
    chain(prefix, priority, ChainGuard::EtherType(kind), Some(element))
}

/// Every prefix; a chain other than the root chain begins with one of them.
/// A chain of `stp` gets priority 0 and not the -810 of the documentation
/// (docs/libvirt-bugs.md#B13).
pub const CHAIN_PREFIXES: [ChainPrefix; 7] = [
    chain("mac", -800, ChainGuard::All, None),
    chain("stp", 0, ChainGuard::Destination(SPANNING_TREE), None),
    of_type("vlan", -750, ethertype::VLAN, Protocol::Vlan),
    of_type("arp", -500, ethertype::ARP, Protocol::Arp),
    of_type("rarp", -400, ethertype::RARP, Protocol::Rarp),
    of_type("ipv4", -700, ethertype::IPV4, Protocol::Ip),
    of_type("ipv6", -600, ethertype::IPV6, Protocol::Ipv6),
];

impl ChainPrefix {
    /// What the name of a chain begins with; none for the root chain.
    pub fn of(chain: &str) -> Option<&'static Self> {
        CHAIN_PREFIXES
            .iter()
            .find(|known| chain.starts_with(known.prefix))
    }
}

/// libvirt's priority of a chain without one, by the prefix of its name.
pub fn default_chain_priority(chain: &str) -> i16 {
    ChainPrefix::of(chain).map_or(0, |known| known.priority)
}

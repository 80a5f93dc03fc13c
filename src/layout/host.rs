//! One host on the link.

use crate::frame::{Mac, link_local};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses of one host on the LAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// MAC address.
    pub mac: Mac,
    /// IPv4 address.
    pub v4: Ipv4Addr,
    /// IPv6 link-local address, which the kernel derives from the MAC (RFC 4291 appendix A).
    pub link_local: Ipv6Addr,
    /// Global or unique-local IPv6 address in the LAN's prefix.
    pub v6: Ipv6Addr,
}

impl Host {
    /// A host with these addresses and the link-local address of its MAC.
    pub fn new(mac: Mac, v4: Ipv4Addr, v6: Ipv6Addr) -> Self {
        Self {
            mac,
            v4,
            link_local: link_local(mac),
            v6,
        }
    }

    /// All its addresses.
    pub fn addresses(&self) -> [IpAddr; 3] {
        [self.v4.into(), self.link_local.into(), self.v6.into()]
    }
}

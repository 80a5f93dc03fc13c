//! The layout as one guest's probes need it.

use super::host::Host;
use crate::frame::Mac;
use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// All hosts while one guest is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The guest under test.
    pub guest: Host,
    /// Another host on the LAN.
    pub peer: Host,
    /// The router; forwards both families, serves DHCP and DNS.
    pub gateway: Host,
    /// The IPv4 prefix that the guest, the peer and the router share.
    pub lan4: Ipv4Net,
    /// The IPv6 prefix of their addresses that are not link-local, a /64.
    pub lan6: Ipv6Net,
    /// IPv4 address of the WAN host. In the lab this host answers for every address.
    pub wan4: Ipv4Addr,
    /// IPv6 address of the WAN host.
    pub wan6: Ipv6Addr,
    /// MAC of the WAN host on its link to the router.
    pub wan_mac: Mac,
}

impl Layout {
    /// The same with the IPv4 address that the DHCP server gave to the guest.
    #[must_use]
    pub fn with_guest_address(mut self, v4: Ipv4Addr) -> Self {
        self.guest.v4 = v4;
        self
    }

    /// The same with another MAC of the guest, from which its link-local address follows.
    #[must_use]
    pub fn with_guest_mac(mut self, mac: Mac) -> Self {
        self.guest = Host::new(mac, self.guest.v4, self.guest.v6);
        self
    }
}

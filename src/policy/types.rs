//! The policy as data, and what it says of an address.

use super::fence::Fence;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr};

/// IPv4 link-local addresses (RFC 3927).
pub const LINK_LOCAL4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16);

/// Whether a prefix is within IPv6 link-local (RFC 4291 section 2.5.6).
pub fn is_link_local(net: &Ipv6Net) -> bool {
    net.network().is_unicast_link_local() && net.prefix_len() >= 10
}

/// A checked policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Name of the generated filter.
    pub name: String,
    /// IPv4 prefixes of the LAN, without 169.254.0.0/16.
    pub lan4: Vec<Ipv4Net>,
    /// IPv6 prefixes of the LAN, `fe80::/10` among them when link-local is allowed.
    pub lan6: Vec<Ipv6Net>,
    /// The router's IPv4 address on the LAN, which no guest may claim.
    pub gateway: Option<Ipv4Addr>,
    /// Whether 169.254.0.0/16 may be used (RFC 3927).
    pub link_local: bool,
    /// DHCP.
    pub dhcp: Dhcp,
    /// Whether 255.255.255.255 may be sent to.
    pub broadcast: bool,
    /// Multicast groups that may be sent to, IPv4.
    pub groups4: Vec<Ipv4Net>,
    /// Multicast groups that may be sent to, IPv6.
    pub groups6: Vec<Ipv6Net>,
    /// Hosts and nets outside the LAN that may be reached all the same.
    pub allow: Vec<IpNet>,
    /// Which guests have to carry the filter; no rule of the filter depends on it.
    pub fence: Fence,
}

/// What of DHCP a guest may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dhcp {
    /// Be a DHCPv4 client.
    pub client: bool,
    /// Servers outside the LAN prefixes that leases are renewed at.
    pub servers: Vec<Ipv4Addr>,
}

impl Policy {
    /// Whether an address belongs to the LAN.
    pub fn contains(&self, address: impl Into<IpAddr>) -> bool {
        match address.into() {
            IpAddr::V4(v4) => {
                self.lan4.iter().any(|net| net.contains(&v4))
                    || (self.link_local && LINK_LOCAL4.contains(&v4))
            }
            IpAddr::V6(v6) => self.lan6.iter().any(|net| net.contains(&v6)),
        }
    }

    /// Whether an address belongs to the LAN or is one of the hosts outside that may be
    /// reached all the same.
    pub fn allows(&self, address: impl Into<IpAddr>) -> bool {
        let address = address.into();
        self.contains(address) || self.allow.iter().any(|net| net.contains(&address))
    }

    /// Whether an address is a multicast group that may be sent to.
    pub fn has_group(&self, group: impl Into<IpAddr>) -> bool {
        match group.into() {
            IpAddr::V4(v4) => self.groups4.iter().any(|net| net.contains(&v4)),
            IpAddr::V6(v6) => self.groups6.iter().any(|net| net.contains(&v6)),
        }
    }

    /// Whether the guest may send to an address.
    pub fn may_send_to(&self, address: impl Into<IpAddr>) -> bool {
        let address = address.into();
        let group = match address {
            IpAddr::V4(v4) => self.has_group(v4) || (self.broadcast && v4.is_broadcast()),
            // Without an IPv6 prefix there is no address to send from.
            IpAddr::V6(v6) => !self.lan6.is_empty() && self.has_group(v6),
        };
        group || self.allows(address)
    }
}

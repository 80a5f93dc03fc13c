//! What the user means: which addresses are the LAN and what a guest may do there.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::Ipv4Addr;

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
}

/// What of DHCP a guest may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dhcp {
    /// Be a DHCPv4 client.
    pub client: bool,
    /// Servers outside the LAN prefixes that leases are renewed at.
    pub servers: Vec<Ipv4Addr>,
}

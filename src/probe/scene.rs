//! A scene without a lab: made-up hosts in the policy's networks.

use super::{Host, Mac, Scene};
use crate::frame::link_local;
use crate::policy::Policy;
use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Where the policy names no IPv4 prefix (RFC 5737).
const LAN4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 0), 24);
/// Where the policy names no global IPv6 prefix: what a provider would delegate (RFC 3849).
const LAN6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0), 64);

const GUEST: Mac = [0x52, 0x54, 0x00, 0x00, 0x01, 0x01];
const GATEWAY: Mac = [0x52, 0x54, 0x00, 0x00, 0x00, 0x01];
const PEER: Mac = [0x52, 0x54, 0x00, 0x00, 0x00, 0x0a];
const WAN: Mac = [0x52, 0x54, 0x00, 0x00, 0x02, 0x02];

impl Scene {
    /// Hosts laid out as the lab lays them out: the router where the policy
    /// says or first in the prefix, a peer and a guest behind it. None where
    /// the policy's first IPv4 prefix has no room for three hosts.
    pub fn imagined(policy: &Policy) -> Option<Self> {
        let lan4 = policy.lan4.first().copied().unwrap_or(LAN4);
        let global =
            |net: &&Ipv6Net| !net.network().is_unicast_link_local() && net.prefix_len() <= 64;
        let lan6 = policy.lan6.iter().find(global).copied().unwrap_or(LAN6);
        let hosts: Vec<Ipv4Addr> = lan4.hosts().take(250).collect();
        let gateway = policy
            .gateway
            .filter(|address| lan4.contains(address))
            .or_else(|| hosts.first().copied())?;
        let mut others = hosts.into_iter().filter(|host| *host != gateway);
        // The tenth host reads well in reports; a small prefix has none.
        let peer = others.clone().nth(8).or_else(|| others.clone().next())?;
        let guest = others.find(|host| *host > peer)?;
        let host = |mac, v4, number: u128| Host {
            mac,
            v4,
            link_local: link_local(mac),
            v6: Ipv6Addr::from_bits(lan6.network().to_bits() | number),
        };
        Some(Self {
            guest: host(GUEST, guest, 0x101),
            peer: host(PEER, peer, 0x10),
            gateway: host(GATEWAY, gateway, 1),
            lan4,
            wan4: Ipv4Addr::new(203, 0, 113, 10),
            wan6: Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x10),
            wan_mac: WAN,
        })
    }
}

//! What the policy says of addresses, and what a router does with them.

use crate::layout::Layout;
use crate::policy::Policy;
use crate::probe::{Expect, Point};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl From<bool> for Expect {
    fn from(wanted: bool) -> Self {
        if wanted { Self::Pass } else { Self::Drop }
    }
}

/// What becomes of unicast that the guest sends: its source must be on the LAN,
/// the destination there or allowed.
pub fn outbound(policy: &Policy, from: impl Into<IpAddr>, to: impl Into<IpAddr>) -> Expect {
    (policy.contains(from) && policy.allows(to)).into()
}

/// What becomes of unicast towards the guest: its source decides.
pub fn inbound(policy: &Policy, from: impl Into<IpAddr>) -> Expect {
    policy.allows(from).into()
}

/// Whether an IPv6 group of the link may be sent to, which the guest's stack sends to
/// from its link-local address.
pub fn link_group6(policy: &Policy, layout: &Layout, to: Ipv6Addr) -> bool {
    policy.has_group(to) && policy.contains(layout.guest.link_local)
}

/// Whether neighbour discovery and MLD work: they need link-local addresses.
pub fn nd(policy: &Policy, layout: &Layout) -> bool {
    policy.contains(layout.guest.link_local)
}

/// Where a packet for the address, sent to the router's MAC, is seen last when
/// nothing filters it. On Linux 6.18 (measured: docs/measurements.md#M10) class E, 169.254.0.0/16
/// and 0.0.0.0/8 are forwarded; 0.0.0.0, loopback, groups and broadcast are not.
pub fn routed4(layout: &Layout, to: Ipv4Addr) -> Point {
    let stays = layout.lan4.contains(&to)
        || to.is_unspecified()
        || to.is_loopback()
        || to.is_multicast()
        || to.is_broadcast();
    if stays { Point::Gateway } else { Point::Wan }
}

/// The same for IPv6.
pub fn routed6(layout: &Layout, to: Ipv6Addr) -> Point {
    let on_link = [&layout.guest, &layout.peer, &layout.gateway]
        .iter()
        .any(|host| host.v6.segments()[..4] == to.segments()[..4]);
    let stays = on_link
        || to.is_unspecified()
        || to.is_loopback()
        || to.is_multicast()
        || to.is_unicast_link_local();
    if stays { Point::Gateway } else { Point::Wan }
}

/// The addresses right below and right above a prefix, where there are any.
pub fn neighbours(net: IpNet) -> (Option<IpAddr>, Option<IpAddr>) {
    match net {
        IpNet::V4(net) => {
            let below = u32::from(net.network()).checked_sub(1);
            let above = u32::from(net.broadcast()).checked_add(1);
            (
                below.map(|bits| Ipv4Addr::from(bits).into()),
                above.map(|bits| Ipv4Addr::from(bits).into()),
            )
        }
        IpNet::V6(net) => {
            let below = u128::from(net.network()).checked_sub(1);
            let above = u128::from(net.broadcast()).checked_add(1);
            (
                below.map(|bits| Ipv6Addr::from(bits).into()),
                above.map(|bits| Ipv6Addr::from(bits).into()),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::lan("192.168.1.0/24", Some("192.168.0.255"), Some("192.168.2.0"))]
    #[case::all("0.0.0.0/0", None, None)]
    #[case::v6(
        "fe80::/10",
        Some("fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        Some("fec0::")
    )]
    fn neighbours_of(#[case] net: &str, #[case] below: Option<&str>, #[case] above: Option<&str>) {
        let parse = |text: Option<&str>| text.map(|text| text.parse::<IpAddr>().unwrap());
        let net = net.parse::<IpNet>().unwrap();
        assert_eq!(neighbours(net), (parse(below), parse(above)));
    }
}

//! The addresses on the other side of the router.

use super::error::LayoutError;
use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 address of the WAN host (RFC 5737). The lab's WAN host answers for all others too.
pub const WAN4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// IPv6 address of the WAN host (RFC 3849).
pub const WAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x10);

/// The router's IPv4 address on the link to the WAN host, a /30 (RFC 5737).
pub const UPLINK4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The WAN host's IPv4 address on that link.
pub const NEXT_HOP4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The router's IPv6 address on the link to the WAN host, a /64 (RFC 3849).
pub const UPLINK6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0xffff, 0, 0, 0, 1);
/// The WAN host's IPv6 address on that link.
pub const NEXT_HOP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0xffff, 0, 0, 0, 2);

/// Checks that no address of the WAN side is on the LAN.
///
/// # Errors
/// [`LayoutError::ContainsWan`] with the first one that is.
pub fn outside(lan4: Ipv4Net, lan6: Ipv6Net) -> Result<(), LayoutError> {
    let taken4 = [WAN4, UPLINK4, NEXT_HOP4].into_iter();
    let taken4 = taken4.filter(|taken| lan4.contains(taken)).map(IpAddr::V4);
    let taken6 = [WAN6, UPLINK6, NEXT_HOP6].into_iter();
    let taken6 = taken6.filter(|taken| lan6.contains(taken)).map(IpAddr::V6);
    match taken4.chain(taken6).next() {
        None => Ok(()),
        Some(taken) => Err(LayoutError::ContainsWan(taken)),
    }
}

//! `Op::Configure` and `Op::Resolve`: addresses, default routers, neighbours.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lanfence_agent::Answer;
use lanfence_frame::mac_text;

use crate::netlink::{Neighbour, Netlink};
use crate::sockets;
use crate::wait::{Deadline, until};

/// How often the neighbour table is asked.
const STEP: Duration = Duration::from_millis(2);

/// UDP port that throws everything away (RFC 863).
const DISCARD: u16 = 9;

/// Replaces addresses and default routers of the device. The link-local IPv6
/// address that the kernel made stays: neighbour discovery and MLD speak from it.
pub fn configure(
    netlink: &mut Netlink,
    dev: &str,
    addresses: &[String],
    routers: &[IpAddr],
) -> Result<Answer, String> {
    let parsed = addresses
        .iter()
        .map(|text| parse_address(text).ok_or_else(|| format!("not an address/prefix: {text}")))
        .collect::<Result<Vec<_>, _>>()?;
    let index = netlink.link_by_name(dev)?.index;
    flush(netlink, index, Flush::Everything)?;
    for (ip, prefix) in parsed {
        netlink.add_address(index, ip, prefix)?;
    }
    for (at, router) in (0..).zip(routers) {
        netlink.add_router(index, *router, metric(index, at))?;
    }
    Ok(Answer::Done)
}

/// What [`flush`] removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// IPv4 only, as a DHCP client does.
    V4,
    /// Both families, except link-local IPv6.
    Everything,
}

/// Removes addresses and default routes of the device.
pub fn flush(netlink: &mut Netlink, index: u32, what: Flush) -> Result<(), String> {
    netlink.remove_routers(index, family(libc::AF_INET))?;
    if what == Flush::Everything {
        netlink.remove_routers(index, family(libc::AF_INET6))?;
    }
    for address in netlink.addresses(index)? {
        let doomed = match address.ip {
            IpAddr::V4(_) => true,
            IpAddr::V6(ip) => what == Flush::Everything && !ip.is_unicast_link_local(),
        };
        if doomed {
            netlink.remove_address(index, address.ip, address.prefix)?;
        }
    }
    Ok(())
}

fn family(constant: libc::c_int) -> u8 {
    u8::try_from(constant).expect("address families here are below 256")
}

/// Distinct for each device and router, because two default routes of one
/// metric collide (IPv4) or merge into one with two paths (IPv6).
pub fn metric(index: u32, at: u32) -> u32 {
    1024 + index * 16 + at.min(15)
}

/// Makes the kernel resolve the neighbour and waits for the answer.
pub fn resolve(
    netlink: &mut Netlink,
    dev: &str,
    address: IpAddr,
    deadline_ms: u64,
) -> Result<Answer, String> {
    let deadline = Deadline::in_ms(deadline_ms);
    let index = netlink.link_by_name(dev)?.index;
    let ask = || sockets::udp(dev, index, 0, SocketAddr::new(address, DISCARD), b"");
    ask()?;
    let mac = until(deadline, STEP, || {
        match netlink.neighbour(index, address)? {
            Neighbour::Known(mac) => Ok(Some(mac)),
            Neighbour::Pending => Ok(None),
            // The kernel gave up after three tries; a deadline beyond that asks again.
            Neighbour::Unknown => ask().map(|_| None),
        }
    })?;
    Ok(Answer::Neighbour {
        mac: mac.map(mac_text),
    })
}

/// An address with its prefix length, `192.168.1.50/24`.
pub fn parse_address(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, prefix) = text.split_once('/')?;
    let ip: IpAddr = ip.parse().ok()?;
    let prefix: u8 = prefix.parse().ok()?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    (prefix <= longest).then_some((ip, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_parse() {
        let four = (IpAddr::from([192, 168, 1, 50]), 24);
        assert_eq!(parse_address("192.168.1.50/24"), Some(four));
        assert_eq!(parse_address("2001:db8::1/64").unwrap().1, 64);
    }

    #[test]
    fn bad_addresses_are_refused() {
        for bad in [
            "",
            "192.168.1.50",
            "192.168.1.50/33",
            "::1/129",
            "x/24",
            "::1/-1",
        ] {
            assert_eq!(parse_address(bad), None, "{bad}");
        }
    }

    #[test]
    fn metrics_of_devices_do_not_collide() {
        assert_ne!(metric(2, 15), metric(3, 0));
        assert_ne!(metric(2, 0), metric(2, 1));
        assert_eq!(metric(2, 99), metric(2, 15));
    }
}

//! Who is where: the bridge, the LAN peer, the router and the world behind it.

pub use crate::frame::{Mac, link_local};

use super::error::LabError;
use super::netns::{Netns, bridge_batch, ip_batch, set_sysctls};
use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The bridge in the hypervisor's namespace.
pub const BRIDGE: &str = "br0";

/// MAC of the router's LAN side.
pub const GATEWAY_MAC: Mac = [0x52, 0x54, 0x00, 0x00, 0x00, 0x01];
/// MAC of the LAN peer.
pub const PEER_MAC: Mac = [0x52, 0x54, 0x00, 0x00, 0x00, 0x0a];
/// MAC of the router's WAN side.
pub const UPLINK_MAC: Mac = [0x52, 0x54, 0x00, 0x00, 0x02, 0x01];
/// MAC of the far side of the WAN link.
pub const WAN_MAC: Mac = [0x52, 0x54, 0x00, 0x00, 0x02, 0x02];

/// IPv4 host on the far side (RFC 5737).
pub const WAN4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// IPv6 host on the far side (RFC 3849).
pub const WAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x10);

/// Ends of the link between the router and the far side.
const UPLINK4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FAR4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const UPLINK6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0xffff, 0, 0, 0, 1);
const FAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0xffff, 0, 0, 0, 2);

/// Addresses of the lab's LAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// IPv4 prefix of the LAN.
    pub lan4: Ipv4Net,
    /// Router.
    pub gateway4: Ipv4Addr,
    /// LAN peer.
    pub peer4: Ipv4Addr,
    /// First and last address that DHCP hands out.
    pub leases: (Ipv4Addr, Ipv4Addr),
    /// IPv6 prefix of the LAN besides link-local.
    pub lan6: Ipv6Net,
}

/// MAC of the guest with this number.
pub const fn guest_mac(number: u8) -> Mac {
    [0x52, 0x54, 0x00, 0x00, 0x01, number]
}

/// Most guests with an address of their own.
const MOST_GUESTS: u8 = 200;

/// IPv6 prefix of the LAN where the policy names none (RFC 3849): what a provider would delegate.
const DELEGATED: &str = "2001:db8:1::/64";

impl Network {
    /// Tells the LAN's hosts who has the guest's addresses, for good. They would
    /// ask, and a filter that stops the question stops what was to follow: the
    /// probe would never be sent.
    pub fn introduce(&self, mac: Mac, addresses: &[IpAddr]) -> Result<(), LabError> {
        let mac = mac_text(mac);
        let entry =
            |address| format!("neigh replace {address} lladdr {mac} dev eth0 nud permanent\n");
        let entries: String = addresses.iter().map(entry).collect();
        for host in [&self.peer, &self.gateway] {
            ip_batch(&["-n", host.name()], &entries)?;
        }
        Ok(())
    }
}

impl Topology {
    /// Lays the hosts out in the prefix. The router is where the policy says,
    /// else at the first address.
    ///
    /// # Errors
    /// [`LabError::Host`] when the prefix is too small for router, peer and two guests.
    pub fn plan(
        lan4: Ipv4Net,
        gateway: Option<Ipv4Addr>,
        lan6: Option<Ipv6Net>,
    ) -> Result<Self, LabError> {
        apart(lan4, lan6)?;
        let hosts: Vec<Ipv4Addr> = lan4.hosts().take(250).collect();
        let gateway4 = gateway
            .filter(|address| lan4.contains(address))
            .or_else(|| hosts.first().copied());
        let mut others = hosts.iter().copied().filter(|host| Some(*host) != gateway4);
        // The tenth host reads well in reports; a small prefix has none.
        let peer4 = others.clone().nth(8).or_else(|| others.next());
        let free: Vec<Ipv4Addr> = others.filter(|host| Some(*host) > peer4).collect();
        match (gateway4, peer4, free.as_slice()) {
            (Some(gateway4), Some(peer4), [first, .., last]) => Ok(Self {
                lan4,
                gateway4,
                peer4,
                leases: (*first, *last),
                lan6: lan6.unwrap_or_else(|| DELEGATED.parse().expect("a constant prefix")),
            }),
            _ => Err(LabError::host(
                format!(
                    "{lan4} is too small for the lab: it needs a router, a peer and two guests"
                ),
                "put the largest prefix of your LAN first in the policy; /28 or wider will do",
            )),
        }
    }

    /// How many guests have an address of their own: all that DHCP hands out but one,
    /// which is left to clients without a number, and at most as many as fit a MAC's
    /// last octet with room to spare.
    pub fn guests(&self) -> u8 {
        let leases = u8::try_from(self.own_leases().count()).unwrap_or(u8::MAX);
        leases.saturating_sub(1).clamp(1, MOST_GUESTS)
    }

    /// The address that DHCP keeps for the guest with this number, from 1 on: known
    /// before it asks, since a filter may name it.
    pub fn lease(&self, number: u8) -> Ipv4Addr {
        let place = usize::from(number.saturating_sub(1) % self.guests());
        self.own_leases().nth(place).unwrap_or(self.leases.0)
    }

    /// The addresses of the range that are nobody's.
    fn own_leases(&self) -> impl Iterator<Item = Ipv4Addr> {
        let range = self.leases.0.to_bits()..=self.leases.1.to_bits();
        let gateway = self.gateway4;
        range
            .map(Ipv4Addr::from_bits)
            .filter(move |address| *address != gateway)
    }

    /// The router's IPv6 address in [`Topology::lan6`].
    pub fn gateway6(&self) -> Ipv6Addr {
        host6(self.lan6, 1)
    }

    /// The peer's IPv6 address in [`Topology::lan6`].
    pub fn peer6(&self) -> Ipv6Addr {
        host6(self.lan6, 10)
    }

    /// The IPv6 address of the guest with this number.
    pub fn guest6(&self, number: u8) -> Ipv6Addr {
        host6(self.lan6, 0x100 + u128::from(number))
    }
}

/// A LAN that holds the lab's far side would be its own WAN.
fn apart(lan4: Ipv4Net, lan6: Option<Ipv6Net>) -> Result<(), LabError> {
    let taken4 = [WAN4, UPLINK4, FAR4].into_iter();
    let taken4 = taken4.filter(|taken| lan4.contains(taken)).map(IpAddr::V4);
    let taken6 = [WAN6, UPLINK6, FAR6].into_iter();
    let taken6 = taken6
        .filter(|taken| lan6.is_some_and(|lan6| lan6.contains(taken)))
        .map(IpAddr::V6);
    let Some(taken) = taken4.chain(taken6).next() else {
        return Ok(());
    };
    Err(LabError::host(
        format!(
            "the policy's LAN holds {taken}, which the lab's far side has (RFC 5737, RFC 3849)"
        ),
        "documentation addresses are on no real LAN: put another of your LAN's prefixes first",
    ))
}

fn host6(net: Ipv6Net, host: u128) -> Ipv6Addr {
    Ipv6Addr::from_bits(net.network().to_bits() | host)
}

/// `52:54:00:…`
pub fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// The namespaces of a built topology.
#[derive(Debug)]
pub struct Network {
    /// The LAN peer's.
    pub peer: Netns,
    /// The router's.
    pub gateway: Netns,
    /// The far side's.
    pub wan: Netns,
}

/// Interfaces come up at once and stay as they were made: no duplicate-address
/// detection, no autoconfiguration, no answer withheld by a rate limit. No other
/// socket takes a port that probes are sent from, which begin at 20000: what was left of a
/// connection kept a probe from its port, once in some 500 cells (measured:
/// docs/measurements.md#M12).
const QUIET: [(&str, &str); 13] = [
    ("ipv6.conf.all.accept_dad", "0"),
    ("ipv6.conf.default.accept_dad", "0"),
    ("ipv6.conf.default.dad_transmits", "0"),
    ("ipv6.conf.all.accept_ra", "0"),
    ("ipv6.conf.default.accept_ra", "0"),
    ("ipv6.conf.default.router_solicitations", "0"),
    ("ipv6.conf.default.accept_redirects", "0"),
    ("ipv6.icmp.ratelimit", "0"),
    ("ipv4.icmp_ratelimit", "0"),
    ("ipv4.conf.all.rp_filter", "0"),
    ("ipv4.conf.default.rp_filter", "0"),
    ("ipv4.conf.default.accept_source_route", "1"),
    ("ipv4.ip_local_port_range", "10000 19999"),
];

const ROUTER: [(&str, &str); 4] = [
    ("ipv4.ip_forward", "1"),
    ("ipv6.conf.all.forwarding", "1"),
    ("ipv4.conf.all.accept_source_route", "1"),
    ("ipv4.conf.all.send_redirects", "0"),
];

/// Makes a bridge without ports in the caller's network namespace, which must be new.
pub fn bare_bridge() -> Result<(), LabError> {
    assert_alone()?;
    disable_ipv6()?;
    ip_batch(&[], &format!("link set lo up\n{}", bridge_link()))
}

/// The hypervisor itself must not answer on the bridge: it is no host of the LAN.
fn disable_ipv6() -> Result<(), LabError> {
    set_sysctls(&[
        ("ipv6.conf.all.disable_ipv6", "1"),
        ("ipv6.conf.default.disable_ipv6", "1"),
    ])
}

fn bridge_link() -> String {
    format!(
        "link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
         link set {BRIDGE} up\n"
    )
}

/// Builds the topology in the caller's network namespace, which must be new.
pub fn build(plan: &Topology) -> Result<Network, LabError> {
    assert_alone()?;
    disable_ipv6()?;
    ip_batch(
        &[],
        "netns add lan\nnetns add gateway\nnetns add wan\nlink set lo up\n",
    )?;
    let network = Network {
        peer: Netns::open("lan")?,
        gateway: Netns::open("gateway")?,
        wan: Netns::open("wan")?,
    };
    for host in [&network.peer, &network.gateway, &network.wan] {
        host.sysctls(&QUIET)?;
    }
    network.gateway.sysctls(&ROUTER)?;
    ip_batch(&[], &hypervisor_links())?;
    ip_batch(&["-n", "lan"], &peer_links(plan))?;
    ip_batch(&["-n", "gateway"], &gateway_links(plan))?;
    ip_batch(&["-n", "wan"], &wan_links(plan))?;
    ip_batch(
        &["-n", "wan", "-6"],
        "rule add iif eth0 lookup 100 pref 10\n",
    )?;
    static_fdb()?;
    Ok(network)
}

/// A lab that shared a namespace with a real interface could send a frame out of the machine.
fn assert_alone() -> Result<(), LabError> {
    let path = "/sys/class/net";
    let entries = std::fs::read_dir(path).map_err(|source| LabError::File {
        path: path.into(),
        source,
    })?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let flags = std::fs::read_to_string(entry.path().join("flags")).unwrap_or_default();
        let up = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16)
            .is_ok_and(|flags| flags & 1 == 1);
        if up && name != "lo" {
            return Err(LabError::host(
                format!("the lab's namespace holds the foreign interface {name}"),
                "this is a bug of lanfence: please report it",
            ));
        }
    }
    Ok(())
}

fn hypervisor_links() -> String {
    let port = |(port, namespace, mac)| {
        format!(
            "link add {port} type veth peer name eth0 address {} netns {namespace}\n\
             link set {port} master {BRIDGE} up\n",
            mac_text(mac)
        )
    };
    let ports = [("lan0", "lan", PEER_MAC), ("gw0", "gateway", GATEWAY_MAC)]
        .map(port)
        .concat();
    bridge_link() + &ports
}

/// Entries that a guest which claims another's MAC cannot move: without
/// `sticky` even a static entry follows the sender (measured: docs/measurements.md#M11).
fn static_fdb() -> Result<(), LabError> {
    let entry = |(port, mac)| {
        format!(
            "fdb replace {} dev {port} master static sticky\n",
            mac_text(mac)
        )
    };
    bridge_batch(
        &[("lan0", PEER_MAC), ("gw0", GATEWAY_MAC)]
            .map(entry)
            .concat(),
    )
}

fn peer_links(plan: &Topology) -> String {
    format!(
        "link set lo up\nlink set eth0 up\n\
         addr add {peer4}/{len4} brd + dev eth0\naddr add {peer6}/{len6} dev eth0 nodad\n\
         neigh replace {gw4} lladdr {gw_mac} dev eth0 nud permanent\n\
         neigh replace {gw6} lladdr {gw_mac} dev eth0 nud permanent\n\
         route add default via {gw4}\nroute add default via {gw6}\n",
        peer4 = plan.peer4,
        len4 = plan.lan4.prefix_len(),
        peer6 = plan.peer6(),
        len6 = plan.lan6.prefix_len(),
        gw4 = plan.gateway4,
        gw6 = plan.gateway6(),
        gw_mac = mac_text(GATEWAY_MAC),
    )
}

fn gateway_links(plan: &Topology) -> String {
    format!(
        "link set lo up\nlink set eth0 up\n\
         addr add {gw4}/{len4} brd + dev eth0\naddr add {gw6}/{len6} dev eth0 nodad\n\
         neigh replace {peer4} lladdr {peer_mac} dev eth0 nud permanent\n\
         neigh replace {peer6} lladdr {peer_mac} dev eth0 nud permanent\n\
         link add wan0 address {up_mac} type veth peer name eth0 address {wan_mac} netns wan\nlink set wan0 up\n\
         addr add {UPLINK4}/30 dev wan0\naddr add {UPLINK6}/64 dev wan0 nodad\n\
         neigh replace {FAR4} lladdr {wan_mac} dev wan0 nud permanent\n\
         neigh replace {FAR6} lladdr {wan_mac} dev wan0 nud permanent\n\
         route add default via {FAR4}\nroute add default via {FAR6}\n",
        gw4 = plan.gateway4,
        len4 = plan.lan4.prefix_len(),
        gw6 = plan.gateway6(),
        len6 = plan.lan6.prefix_len(),
        peer4 = plan.peer4,
        peer6 = plan.peer6(),
        peer_mac = mac_text(PEER_MAC),
        up_mac = mac_text(UPLINK_MAC),
        wan_mac = mac_text(WAN_MAC),
    )
}

/// The far side takes every address for its own (a local default route for
/// what comes in), so any prefix can be probed.
fn wan_links(plan: &Topology) -> String {
    format!(
        "link set lo up\nlink set eth0 up\n\
         addr add {FAR4}/30 dev eth0\naddr add {FAR6}/64 dev eth0 nodad\n\
         addr add {WAN4}/32 dev lo\naddr add {WAN6}/128 dev lo nodad\n\
         neigh replace {UPLINK4} lladdr {up_mac} dev eth0 nud permanent\n\
         neigh replace {UPLINK6} lladdr {up_mac} dev eth0 nud permanent\n\
         route add {lan4} via {UPLINK4}\nroute add {lan6} via {UPLINK6}\n\
         route add local 0.0.0.0/0 dev lo table 100\nroute add local ::/0 dev lo table 100\n\
         rule add iif eth0 lookup 100 pref 10\n",
        up_mac = mac_text(UPLINK_MAC),
        lan4 = plan.lan4,
        lan6 = plan.lan6,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::home("192.168.1.0/24", Some("192.168.1.1"), "192.168.1.1", "192.168.1.10")]
    #[case::router_at_the_end(
        "192.168.1.0/24",
        Some("192.168.1.254"),
        "192.168.1.254",
        "192.168.1.9"
    )]
    #[case::no_router_named("10.0.0.0/8", None, "10.0.0.1", "10.0.0.10")]
    #[case::small("192.168.7.0/29", None, "192.168.7.1", "192.168.7.2")]
    fn hosts_have_their_places(
        #[case] net: &str,
        #[case] router: Option<&str>,
        #[case] gateway: &str,
        #[case] peer: &str,
    ) {
        let plan = Topology::plan(
            net.parse().unwrap(),
            router.map(|text| text.parse().unwrap()),
            None,
        )
        .unwrap();
        assert_eq!(
            (plan.gateway4.to_string(), plan.peer4.to_string()),
            (gateway.to_owned(), peer.to_owned())
        );
        assert!(plan.leases.0 < plan.leases.1);
        let taken = [plan.gateway4, plan.peer4];
        assert!(!taken.contains(&plan.leases.0) && !taken.contains(&plan.leases.1));
    }

    #[rstest]
    #[case::article("192.168.1.0/24", None, 200, "192.168.1.11", "192.168.1.210")]
    #[case::router_among_them(
        "192.168.1.0/24",
        Some("192.168.1.12"),
        200,
        "192.168.1.10",
        "192.168.1.210"
    )]
    #[case::large("10.0.0.0/8", None, 200, "10.0.0.11", "10.0.0.210")]
    #[case::small("192.168.7.0/28", None, 3, "192.168.7.11", "192.168.7.13")]
    #[case::smallest("192.168.7.0/29", None, 3, "192.168.7.3", "192.168.7.5")]
    fn every_guest_has_an_address_of_its_own(
        #[case] net: &str,
        #[case] router: Option<&str>,
        #[case] guests: u8,
        #[case] first: &str,
        #[case] last: &str,
    ) {
        let router = router.map(|text| text.parse().unwrap());
        let plan = Topology::plan(net.parse().unwrap(), router, None).unwrap();
        assert_eq!(plan.guests(), guests);
        let all: Vec<_> = (1..=guests).map(|number| plan.lease(number)).collect();
        assert_eq!(all[0].to_string(), first);
        assert_eq!(all[all.len() - 1].to_string(), last);
        let mut distinct = all.clone();
        distinct.dedup();
        assert_eq!(distinct, all);
        assert!(!all.contains(&plan.gateway4) && !all.contains(&plan.peer4));
        assert_eq!(plan.lease(guests + 1), plan.lease(1));
    }

    #[rstest]
    #[case::far_side("203.0.113.0/24", None, "203.0.113.10")]
    #[case::uplink("192.0.2.0/29", None, "192.0.2.1")]
    #[case::far_side6("10.0.0.0/8", Some("2001:db8:ffff::/64"), "2001:db8:ffff::10")]
    fn a_lan_that_holds_the_far_side_is_refused(
        #[case] lan4: &str,
        #[case] lan6: Option<&str>,
        #[case] named: &str,
    ) {
        let lan6 = lan6.map(|text| text.parse().unwrap());
        let error = Topology::plan(lan4.parse().unwrap(), None, lan6).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }

    #[test]
    fn a_prefix_without_room_is_refused() {
        let error = Topology::plan("192.168.7.0/30".parse().unwrap(), None, None).unwrap_err();
        assert!(error.to_string().contains("too small"), "{error}");
    }

    #[test]
    fn link_local_is_eui64() {
        assert_eq!(link_local(GATEWAY_MAC).to_string(), "fe80::5054:ff:fe00:1");
    }
}

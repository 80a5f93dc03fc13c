//! The network of the lab: the namespaces, links and addresses of the hosts in [`Lan`].

use super::error::LabError;
use super::links;
use super::netns::{Netns, bridge_batch, ip_batch, set_sysctls};
use crate::frame::Mac;
use crate::layout::Lan;
use std::net::IpAddr;

/// The namespaces of the hosts.
#[derive(Debug)]
pub struct Network {
    /// The LAN peer's.
    pub peer: Netns,
    /// The router's.
    pub gateway: Netns,
    /// The WAN host's.
    pub wan: Netns,
}

impl Network {
    /// Enters the guest's MAC for its addresses into the neighbour tables of the peer and
    /// the router, for good. Otherwise they would ask, and a filter that stops the question
    /// would keep the probe from being sent.
    ///
    /// # Errors
    /// [`LabError`] when `ip` refuses an entry.
    pub fn introduce(&self, guest: Mac, addresses: &[IpAddr]) -> Result<(), LabError> {
        let entries = links::neighbours(guest, addresses);
        for host in [&self.peer, &self.gateway] {
            ip_batch(&["-n", host.name()], &entries)?;
        }
        Ok(())
    }
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
///
/// # Errors
/// [`LabError::Host`] when the namespace has an interface that is up, [`LabError`] when the
/// kernel or `ip` refuses a step.
pub fn bare_bridge() -> Result<(), LabError> {
    assert_alone()?;
    disable_ipv6()?;
    ip_batch(&[], &format!("link set lo up\n{}", links::bridge()))
}

/// The hypervisor itself must not answer on the bridge: it is no host of the LAN.
fn disable_ipv6() -> Result<(), LabError> {
    set_sysctls(&[
        ("ipv6.conf.all.disable_ipv6", "1"),
        ("ipv6.conf.default.disable_ipv6", "1"),
    ])
}

/// Gives every host of the layout its namespace, links and addresses, in the caller's
/// network namespace, which must be new.
///
/// # Errors
/// [`LabError::Host`] when the namespace has an interface that is up, [`LabError`] when the
/// kernel or `ip` refuses a step.
pub fn build(lan: &Lan) -> Result<Network, LabError> {
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
    ip_batch(&[], &links::hypervisor(lan))?;
    ip_batch(&["-n", "lan"], &links::peer(lan))?;
    ip_batch(&["-n", "gateway"], &links::gateway(lan))?;
    ip_batch(&["-n", "wan"], &links::wan(lan))?;
    ip_batch(
        &["-n", "wan", "-6"],
        "rule add iif eth0 lookup 100 pref 10\n",
    )?;
    bridge_batch(&links::static_fdb(lan))?;
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

//! Looks at the addresses, routes and leases of the host.

use crate::domain::Network;
use crate::host::error::HostError;
use crate::host::inventory::Inventory;
use crate::host::{links, tools};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// Where guests are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A bridge of the host.
    Bridge(String),
    /// A network of libvirt.
    Network(String),
}

/// What was found there, each with its source.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Prefixes of the LAN.
    pub prefixes: Vec<(IpNet, String)>,
    /// The router.
    pub gateway: Option<(Ipv4Addr, String)>,
    /// DHCP servers outside the prefixes.
    pub servers: Vec<(Ipv4Addr, String)>,
    /// What is not known or may change, for a comment.
    pub remarks: Vec<String>,
}

/// The places that have a prefix of their own: libvirt's networks, and bridges that are none of
/// theirs.
pub fn candidates(inventory: &Inventory) -> BTreeSet<Place> {
    let networks = inventory.networks.values();
    let taken: BTreeSet<&String> = networks
        .clone()
        .filter_map(|one| one.bridge.as_ref())
        .collect();
    let with_addresses = networks.filter(|one| !one.addresses.is_empty());
    let networks = with_addresses.map(|one| Place::Network(one.name.clone()));
    let bridges = links::bridges().into_iter();
    let bridges = bridges.filter(|bridge| !taken.contains(bridge) && has_prefix(bridge));
    networks.chain(bridges.map(Place::Bridge)).collect()
}

fn has_prefix(bridge: &str) -> bool {
    addresses(bridge).is_ok_and(|found| found.iter().any(|(net, _)| net.addr().is_ipv4()))
}

/// Gathers what there is.
///
/// # Errors
/// When the place is not there, or `ip` cannot be asked.
pub fn gather(place: &Place, inventory: &Inventory) -> Result<Facts, HostError> {
    let mut facts = match place {
        Place::Network(name) => {
            let network = inventory.networks.get(name).ok_or_else(|| {
                HostError::refused(
                    format!("libvirt has no network {name}"),
                    "`virsh net-list --all` shows the networks",
                )
            })?;
            if network.addresses.is_empty()
                && let Some(bridge) = &network.bridge
            {
                of_bridge(bridge)?
            } else {
                of_network(network)
            }
        }
        Place::Bridge(bridge) => of_bridge(bridge)?,
    };
    if !facts.prefixes.iter().any(|(net, _)| net.addr().is_ipv4()) {
        let place = match place {
            Place::Bridge(name) => format!("the bridge {name}"),
            Place::Network(name) => format!("the network {name}"),
        };
        return Err(HostError::refused(
            format!("the host has no IPv4 address on {place}, so the LAN's prefix cannot be told"),
            "write lanfence.toml by hand: `lanfence init --example` prints one to begin with",
        ));
    }
    let local: Ipv6Net = "fe80::/10".parse().expect("a constant");
    let source = "link-local addresses, which every IPv6 host has".to_owned();
    facts.prefixes.push((local.into(), source));
    Ok(facts)
}

/// What the definition of a network of libvirt says. The host is its router.
fn of_network(network: &Network) -> Facts {
    let mut facts = Facts::default();
    let source = format!("the network {} of libvirt", network.name);
    for address in &network.addresses {
        let Ok(net) = IpNet::new(address.address, address.prefix) else {
            continue;
        };
        facts.prefixes.push((net.trunc(), source.clone()));
        if let IpAddr::V4(own) = address.address {
            facts.gateway.get_or_insert((own, source.clone()));
        }
        if !address.dhcp && address.address.is_ipv4() {
            facts
                .remarks
                .push(format!("{source} has no DHCP server for {net}"));
        }
    }
    facts
}

/// What the host has on a bridge.
fn of_bridge(bridge: &str) -> Result<Facts, HostError> {
    if !links::is_bridge(bridge) {
        return Err(HostError::refused(
            format!("{bridge} is no Linux bridge of this host"),
            "`ip link show type bridge` shows the bridges",
        ));
    }
    let mut facts = Facts::default();
    for (net, changes) in addresses(bridge)? {
        let source = format!("the host's own address {} on {bridge}", net.addr());
        let net = net.trunc();
        if facts.prefixes.iter().any(|(known, _)| *known == net) {
            continue;
        }
        if changes {
            facts.remarks.push(format!(
                "{net} was announced by a router: if the provider changes it, change it here"
            ));
        }
        facts.prefixes.push((net, source));
    }
    facts.gateway = gateway(bridge)?;
    if facts.gateway.is_none() {
        facts.remarks.push(format!(
            "the host has no default route over {bridge}: if the LAN has a router, name it as `gateway`"
        ));
    }
    let within: Vec<Ipv4Net> = facts
        .prefixes
        .iter()
        .filter_map(|(net, _)| match net {
            IpNet::V4(net) => Some(*net),
            IpNet::V6(_) => None,
        })
        .collect();
    for (server, source) in leases(Path::new("/"), bridge) {
        if !within.iter().any(|net| net.contains(&server)) {
            facts.servers.push((server, source));
        }
    }
    Ok(facts)
}

/// The host's addresses on a device, and whether a router has announced them.
fn addresses(device: &str) -> Result<Vec<(IpNet, bool)>, HostError> {
    let json = tools::json("ip", &["-j", "addr", "show", "dev", device])?;
    Ok(parse_addresses(&json))
}

fn parse_addresses(json: &Value) -> Vec<(IpNet, bool)> {
    let devices = json.as_array().into_iter().flatten();
    let all = devices.flat_map(|device| device["addr_info"].as_array().into_iter().flatten());
    let global = all.filter(|one| one["scope"] == "global" && one["temporary"] != true);
    let nets = global.filter_map(|one| {
        let address: IpAddr = one["local"].as_str()?.parse().ok()?;
        let prefix = u8::try_from(one["prefixlen"].as_u64()?).ok()?;
        let net = IpNet::new(address, prefix).ok()?;
        // An address of its own is no prefix that hosts share.
        (net.prefix_len() < net.max_prefix_len()).then_some(())?;
        let unique_local = matches!(address, IpAddr::V6(v6) if v6.is_unique_local());
        let announced = one["dynamic"] == true && address.is_ipv6() && !unique_local;
        Some((net, announced))
    });
    nets.collect()
}

fn gateway(bridge: &str) -> Result<Option<(Ipv4Addr, String)>, HostError> {
    let json = tools::json(
        "ip",
        &["-j", "-4", "route", "show", "default", "dev", bridge],
    )?;
    Ok(parse_gateway(&json).map(|found| {
        let source = format!("the host's default route over {bridge}");
        (found, source)
    }))
}

fn parse_gateway(json: &Value) -> Option<Ipv4Addr> {
    let mut routes = json.as_array()?.iter();
    routes.find_map(|route| route["gateway"].as_str()?.parse().ok())
}

/// The DHCP servers that have given the host its addresses: of systemd-networkd
/// (`/run/systemd/netif/leases`), dhclient and `NetworkManager`.
fn leases(root: &Path, bridge: &str) -> Vec<(Ipv4Addr, String)> {
    let mut out = Vec::new();
    for folder in [
        "run/systemd/netif/leases",
        "var/lib/dhcp",
        "var/lib/NetworkManager",
    ] {
        let entries = std::fs::read_dir(root.join(folder));
        for entry in entries.into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let name = entry.file_name().to_string_lossy().into_owned();
            if !is_of(folder, &name, &text, bridge) {
                continue;
            }
            let source = format!("the host's own lease in /{folder}/{name}");
            let servers = parse_servers(&text).into_iter();
            out.extend(servers.map(|server| (server, source.clone())));
        }
    }
    out.sort();
    out.dedup_by(|one, other| one.0 == other.0);
    out
}

/// Whether a lease is of the bridge.
fn is_of(folder: &str, name: &str, text: &str, bridge: &str) -> bool {
    if folder == "run/systemd/netif/leases" {
        // The file is named after the number of the interface.
        return links::index(bridge).is_some_and(|index| name == index.to_string());
    }
    name.contains(bridge) || text.contains(&format!("interface \"{bridge}\""))
}

fn parse_servers(text: &str) -> BTreeSet<Ipv4Addr> {
    let lines = text.lines().map(str::trim);
    let values = lines.filter_map(|line| {
        let networkd = line.strip_prefix("SERVER_ADDRESS=");
        let dhclient = || line.strip_prefix("option dhcp-server-identifier ");
        networkd.or_else(dhclient)
    });
    values
        .filter_map(|value| value.trim_end_matches(';').parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_of_their_own_and_temporary_ones_are_no_prefixes() {
        let json = json!([{ "addr_info": [
            { "scope": "global", "local": "192.168.1.5", "prefixlen": 24 },
            { "scope": "global", "local": "10.0.0.5", "prefixlen": 32 },
            { "scope": "global", "local": "2001:db8::5", "prefixlen": 64, "dynamic": true },
            { "scope": "global", "local": "2001:db8::6", "prefixlen": 64, "temporary": true },
            { "scope": "global", "local": "fd00::5", "prefixlen": 64, "dynamic": true },
            { "scope": "link", "local": "fe80::5", "prefixlen": 64 },
        ]}]);
        let found = parse_addresses(&json);
        let told: Vec<String> = found
            .iter()
            .map(|(net, announced)| format!("{net} {announced}"))
            .collect();
        assert_eq!(
            told,
            [
                "192.168.1.5/24 false",
                "2001:db8::5/64 true",
                "fd00::5/64 false"
            ]
        );
    }

    #[test]
    fn the_gateway_is_that_of_the_default_route() {
        let json = json!([{ "dst": "default", "gateway": "192.168.1.1", "dev": "br0" }]);
        assert_eq!(parse_gateway(&json), Some(Ipv4Addr::new(192, 168, 1, 1)));
        assert_eq!(
            parse_gateway(&json!([{ "dst": "default", "dev": "br0" }])),
            None
        );
    }

    #[test]
    fn servers_are_read_from_leases() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("var/lib/dhcp");
        std::fs::create_dir_all(&folder).unwrap();
        let lease = "lease {\n  interface \"br0\";\n  option dhcp-server-identifier 10.9.0.1;\n}\n";
        std::fs::write(folder.join("dhclient.leases"), lease).unwrap();
        let found = leases(dir.path(), "br0");
        assert_eq!(found[0].0, Ipv4Addr::new(10, 9, 0, 1));
        assert!(leases(dir.path(), "br1").is_empty());
    }
}

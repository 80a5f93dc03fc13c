//! What `ip` and `bridge` are told, so that the hosts have the addresses of the layout.

use crate::frame::{Mac, mac_text};
use crate::layout::wan::{NEXT_HOP4, NEXT_HOP6, UPLINK4, UPLINK6, WAN4, WAN6};
use crate::layout::{Host, Lan, mac};
use std::net::IpAddr;

/// The bridge in the hypervisor's namespace.
pub const BRIDGE: &str = "br0";
/// The bridge's port towards the LAN peer.
const PEER_PORT: &str = "lan0";
/// The bridge's port towards the router.
const GATEWAY_PORT: &str = "gw0";

/// A bridge without ports.
pub fn bridge() -> String {
    format!(
        "link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
         link set {BRIDGE} up\n"
    )
}

/// The bridge with the ports of the peer and the router; their other ends are `eth0` in
/// the hosts' namespaces.
pub fn hypervisor(lan: &Lan) -> String {
    let port = |(port, namespace, host): (&str, &str, &Host)| {
        format!(
            "link add {port} type veth peer name eth0 address {} netns {namespace}\n\
             link set {port} master {BRIDGE} up\n",
            mac_text(host.mac)
        )
    };
    let ports = [
        (PEER_PORT, "lan", &lan.peer),
        (GATEWAY_PORT, "gateway", &lan.gateway),
    ];
    bridge() + &ports.map(port).concat()
}

/// Entries that a guest which claims another's MAC cannot move: without
/// `sticky` even a static entry follows the sender (measured: docs/measurements.md#M11).
pub fn static_fdb(lan: &Lan) -> String {
    let entry = |(port, host): (&str, &Host)| {
        let mac = mac_text(host.mac);
        format!("fdb replace {mac} dev {port} master static sticky\n")
    };
    [(PEER_PORT, &lan.peer), (GATEWAY_PORT, &lan.gateway)]
        .map(entry)
        .concat()
}

/// Permanent entries for the addresses of a guest, in the neighbour table of a host.
pub fn neighbours(guest: Mac, addresses: &[IpAddr]) -> String {
    let mac = mac_text(guest);
    let entry = |address| format!("neigh replace {address} lladdr {mac} dev eth0 nud permanent\n");
    addresses.iter().map(entry).collect()
}

/// The LAN peer's addresses, routes and neighbours.
pub fn peer(lan: &Lan) -> String {
    format!(
        "link set lo up\nlink set eth0 up\n\
         addr add {peer4}/{len4} brd + dev eth0\naddr add {peer6}/{len6} dev eth0 nodad\n\
         neigh replace {gw4} lladdr {gw_mac} dev eth0 nud permanent\n\
         neigh replace {gw6} lladdr {gw_mac} dev eth0 nud permanent\n\
         route add default via {gw4}\nroute add default via {gw6}\n",
        peer4 = lan.peer.v4,
        len4 = lan.lan4.prefix_len(),
        peer6 = lan.peer.v6,
        len6 = lan.lan6.prefix_len(),
        gw4 = lan.gateway.v4,
        gw6 = lan.gateway.v6,
        gw_mac = mac_text(lan.gateway.mac),
    )
}

/// The same of the router, and its link to the WAN host.
pub fn gateway(lan: &Lan) -> String {
    format!(
        "link set lo up\nlink set eth0 up\n\
         addr add {gw4}/{len4} brd + dev eth0\naddr add {gw6}/{len6} dev eth0 nodad\n\
         neigh replace {peer4} lladdr {peer_mac} dev eth0 nud permanent\n\
         neigh replace {peer6} lladdr {peer_mac} dev eth0 nud permanent\n\
         link add wan0 address {up_mac} type veth peer name eth0 address {wan_mac} netns wan\nlink set wan0 up\n\
         addr add {UPLINK4}/30 dev wan0\naddr add {UPLINK6}/64 dev wan0 nodad\n\
         neigh replace {NEXT_HOP4} lladdr {wan_mac} dev wan0 nud permanent\n\
         neigh replace {NEXT_HOP6} lladdr {wan_mac} dev wan0 nud permanent\n\
         route add default via {NEXT_HOP4}\nroute add default via {NEXT_HOP6}\n",
        gw4 = lan.gateway.v4,
        len4 = lan.lan4.prefix_len(),
        gw6 = lan.gateway.v6,
        len6 = lan.lan6.prefix_len(),
        peer4 = lan.peer.v4,
        peer6 = lan.peer.v6,
        peer_mac = mac_text(lan.peer.mac),
        up_mac = mac_text(mac::UPLINK),
        wan_mac = mac_text(mac::WAN),
    )
}

/// The WAN host takes every address for its own (a local default route for
/// what comes in), so any prefix can be probed.
pub fn wan(lan: &Lan) -> String {
    format!(
        "link set lo up\nlink set eth0 up\n\
         addr add {NEXT_HOP4}/30 dev eth0\naddr add {NEXT_HOP6}/64 dev eth0 nodad\n\
         addr add {WAN4}/32 dev lo\naddr add {WAN6}/128 dev lo nodad\n\
         neigh replace {UPLINK4} lladdr {up_mac} dev eth0 nud permanent\n\
         neigh replace {UPLINK6} lladdr {up_mac} dev eth0 nud permanent\n\
         route add {lan4} via {UPLINK4}\nroute add {lan6} via {UPLINK6}\n\
         route add local 0.0.0.0/0 dev lo table 100\nroute add local ::/0 dev lo table 100\n\
         rule add iif eth0 lookup 100 pref 10\n",
        up_mac = mac_text(mac::UPLINK),
        lan4 = lan.lan4,
        lan6 = lan.lan6,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn lan() -> Lan {
        Lan::for_lab(&Policy::example(), None).expect("the example has room")
    }

    /// A host has an address where the lab adds it to the interface with the host's MAC.
    fn has(links: &str, commands: &str, host: &Host, lan: &Lan) {
        let link = format!("peer name eth0 address {} netns", mac_text(host.mac));
        assert!(links.contains(&link), "{links}");
        let (len4, len6) = (lan.lan4.prefix_len(), lan.lan6.prefix_len());
        for address in [
            format!("{}/{len4} brd +", host.v4),
            format!("{}/{len6}", host.v6),
        ] {
            let command = format!("addr add {address} dev eth0");
            assert!(commands.contains(&command), "{command} in {commands}");
        }
        // The kernel makes this address of the MAC, and nobody adds it.
        assert_eq!(host.link_local, crate::frame::link_local(host.mac));
    }

    #[test]
    fn the_lab_gives_every_host_the_addresses_of_the_layout() {
        let lan = lan();
        let layout = lan.layout(1, None);
        let links = hypervisor(&lan);
        has(&links, &peer(&lan), &layout.peer, &lan);
        has(&links, &gateway(&lan), &layout.gateway, &lan);
        let wan = wan(&lan);
        for address in [
            format!("{}/32", layout.wan4),
            format!("{}/128", layout.wan6),
        ] {
            assert!(wan.contains(&format!("addr add {address} dev lo")), "{wan}");
        }
        let wan_mac = mac_text(layout.wan_mac);
        let link = format!("peer name eth0 address {wan_mac} netns wan");
        assert!(gateway(&lan).contains(&link));
    }

    #[test]
    fn the_commands_of_the_example() {
        let lan = lan();
        let guest = lan.layout(1, None).guest;
        let all = [
            ("hypervisor", hypervisor(&lan)),
            ("bridge's table", static_fdb(&lan)),
            ("peer", peer(&lan)),
            ("gateway", gateway(&lan)),
            ("wan", wan(&lan)),
            (
                "neighbours of guest 1",
                neighbours(guest.mac, &guest.addresses()),
            ),
        ];
        let text: String = all
            .map(|(host, commands)| format!("# {host}\n{commands}\n"))
            .concat();
        insta::assert_snapshot!(text);
    }
}

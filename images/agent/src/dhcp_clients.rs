//! `Op::DhcpClients`: the DHCP clients of other systems, through this guest's driver.

use std::time::{Duration, Instant};

use lanfence_agent::Answer;
use lanfence_agent::clients::{Order, PacketWire, nth, play, profile};
use lanfence_frame::parse_mac;

use crate::address::{Flush, flush};
use crate::netlink::Netlink;

/// Which clients, and how long they may take.
#[derive(Debug)]
pub struct Row<'a> {
    /// Their names.
    pub profiles: &'a [String],
    /// Their first transaction.
    pub xid: u32,
    /// Deadline of each.
    pub deadline_ms: u64,
    /// Deadline of each once one has heard nothing.
    pub silent_ms: u64,
}

/// Plays the clients one after the other. They share the device's MAC address, and
/// so the server's lease: one must have given it back before the next begins.
pub fn play_all(netlink: &mut Netlink, dev: &str, row: &Row<'_>) -> Result<Answer, String> {
    let index = netlink.link_by_name(dev)?.index;
    let path = format!("/sys/class/net/{dev}/address");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read the MAC address in {path}: {error}"))?;
    let mac = parse_mac(text.trim()).ok_or_else(|| format!("{path} is no MAC address"))?;
    // All are looked up first, so that a typing error leaves nothing half played.
    let profiles = row
        .profiles
        .iter()
        .map(|name| profile(name).ok_or_else(|| format!("no DHCP client is called {name}")))
        .collect::<Result<Vec<_>, _>>()?;
    flush(netlink, index, Flush::V4)?;
    let mut wire = PacketWire::open(index)
        .map_err(|error| format!("cannot open a packet socket on {dev}: {error}"))?;
    let mut patience = row.deadline_ms;
    let mut played = Vec::new();
    for (place, profile) in (0..).zip(profiles) {
        let order = Order {
            profile,
            mac,
            xid: nth(row.xid, place),
            deadline: Instant::now() + Duration::from_millis(patience.min(600_000)),
        };
        let one = play(&mut wire, &order)
            .map_err(|error| format!("the {} client failed on {dev}: {error}", profile.name))?;
        if one.heard.is_empty() {
            patience = row.silent_ms;
        }
        played.push(one);
    }
    Ok(Answer::DhcpClients { played })
}

//! What `nft` and the tools of iptables do not show in the rules: tables that the kernel does
//! not apply, and flow tables, which take packets before the bridge. Read with netlink
//! (linux/netfilter/nf_tables.h).

use super::bypass::Bypass;
use crate::host::netlink::{Attributes, DUMP, Message, NETFILTER, NFTABLES, REQUEST, Socket};
use nix::sys::socket::SockProtocol;
use std::io;

/// Kinds of nftables' messages.
const GET_TABLE: u16 = 1;
const GET_FLOW_TABLE: u16 = 23;

/// The flag of a table that the kernel keeps and does not apply (`NFT_TABLE_F_DORMANT`).
pub const DORMANT: u32 = 1;

/// Attributes of a flow table (`NFTA_FLOWTABLE_*`), of its hook, and of the list of devices.
const FLOW_TABLE: u16 = 1;
const FLOW_NAME: u16 = 2;
const FLOW_HOOK: u16 = 3;
const HOOK_DEVICES: u16 = 3;

/// What was found.
#[derive(Debug, Default, Clone)]
pub struct NfTables {
    /// The dormant tables, such as `bridge nat`.
    pub dormant: Vec<String>,
    /// The flow tables that take packets of a device.
    pub flow_tables: Vec<FlowTable>,
}

/// A flow table, and one of its devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowTable {
    /// The table that it is in, such as `inet filter`.
    pub table: String,
    /// Its name.
    pub name: String,
    /// A device at which it takes the packets of the connections that it knows.
    pub device: String,
}

impl NfTables {
    /// Reads the network namespace of the caller.
    ///
    /// # Errors
    /// When the right to see rules is missing.
    pub fn read() -> io::Result<Self> {
        let socket = Socket::open(SockProtocol::NetlinkNetFilter, 0)?;
        let mut out = Self::default();
        socket.dump_whole(&request(GET_TABLE), |message| {
            let table = message.attributes(NETFILTER);
            let flags = table.number(2).unwrap_or_default();
            if flags & DORMANT != 0 {
                out.dormant.push(named(message.payload, &table, 1));
            }
        })?;
        socket.dump_whole(&request(GET_FLOW_TABLE), |message| {
            let found = message.attributes(NETFILTER);
            let table = named(message.payload, &found, FLOW_TABLE);
            let name = found.text(FLOW_NAME).unwrap_or_default();
            let hook = Attributes::within(found.find(FLOW_HOOK).unwrap_or_default());
            let devices = Attributes::within(hook.find(HOOK_DEVICES).unwrap_or_default());
            for (_, device) in devices {
                out.flow_tables.push(FlowTable {
                    table: table.clone(),
                    name: name.clone(),
                    device: crate::host::netlink::text(device),
                });
            }
        })?;
        Ok(out)
    }
}

impl FlowTable {
    /// What it is to a guest behind the device.
    pub fn bypass(&self) -> Bypass {
        let Self { table, name, .. } = self;
        Bypass {
            tool: "nft",
            place: format!("flowtable {table} {name}"),
            rule: "it has the packets of the connections that were added to it".to_owned(),
            cure: format!(
                "take away the rules that say flow add @{name}, then nft delete flowtable {table} {name}"
            ),
            is_early: true,
        }
    }
}

/// Of all families.
fn request(kind: u16) -> Message {
    Message::new(NFTABLES << 8 | kind, REQUEST | DUMP, &[0; NETFILTER])
}

/// Family and name of a table, in nft's words (`NFPROTO_*` of linux/netfilter.h).
fn named(payload: &[u8], attributes: &Attributes<'_>, name: u16) -> String {
    let family = match payload.first() {
        Some(1) => "inet",
        Some(2) => "ip",
        Some(3) => "arp",
        Some(5) => "netdev",
        Some(7) => "bridge",
        _ => "ip6",
    };
    format!("{family} {}", attributes.text(name).unwrap_or_default())
}

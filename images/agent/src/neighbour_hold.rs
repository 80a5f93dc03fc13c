//! Holding back what the guest sends to one neighbour.
//!
//! udhcpc sends a renewal from a connected socket that it closes at once, and
//! listens on another. A server on the same machine answers in 0.3 ms; an emulated
//! guest may not have got to the close by then, and the dying socket swallows the
//! answer (seen in about half of all renewals, each then took a second more and
//! became a broadcast). So the request waits in the kernel's neighbour queue until
//! the socket is closed. On the network nothing changes.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lanfence_frame::Mac;

use crate::netlink::{Neighbour, Netlink};
use crate::proc_net::sockets;
use crate::wait::{Deadline, until};

/// How long the sender may take from being told to having closed its socket.
const SEND_MS: u64 = 1000;
const STEP: Duration = Duration::from_millis(1);

/// Who is asked for an unknown neighbour: nobody on the network, but three times
/// (a second apart) a program in the guest, which here is [`NeighbourHold::release`].
const ASKED: [(&str, &str); 2] = [("mcast_solicit", "0"), ("app_solicit", "3")];

/// An IPv4 neighbour to which everything is queued until [`NeighbourHold::release`].
#[derive(Debug)]
pub struct NeighbourHold {
    index: u32,
    ip: IpAddr,
    mac: Mac,
    before: Vec<(PathBuf, String)>,
}

impl NeighbourHold {
    /// Makes the kernel forget the neighbour, whose MAC is known, and ask nobody for it.
    pub fn start(
        netlink: &mut Netlink,
        dev: &str,
        index: u32,
        ip: IpAddr,
        mac: Mac,
    ) -> Result<Self, String> {
        let mut hold = Self {
            index,
            ip,
            mac,
            before: Vec::new(),
        };
        for (name, value) in ASKED {
            let path = PathBuf::from(format!("/proc/sys/net/ipv4/neigh/{dev}/{name}"));
            let before = std::fs::read_to_string(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            std::fs::write(&path, value)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            hold.before.push((path, before));
        }
        netlink.forget(index, ip)?;
        Ok(hold)
    }

    /// Waits until something is queued and no UDP socket is left that is connected
    /// from the one port to the other.
    pub fn wait_for_sender(&self, netlink: &mut Netlink, from: u16, to: u16) -> Result<(), String> {
        until(Deadline::in_ms(SEND_MS), STEP, || {
            let queued = netlink.neighbour(self.index, self.ip)? == Neighbour::Pending;
            Ok::<_, String>((queued && !connected(from, to)).then_some(()))
        })
        .map(drop)
    }

    /// Sets the neighbour's MAC again, which makes the kernel send what is queued.
    pub fn release(self, netlink: &mut Netlink) -> Result<(), String> {
        netlink.set_neighbour(self.index, self.ip, self.mac)
    }
}

impl Drop for NeighbourHold {
    fn drop(&mut self) {
        for (path, before) in &self.before {
            // It could be written a moment ago; if it can't now, the device is gone.
            let _ = std::fs::write(path, before);
        }
    }
}

fn connected(from: u16, to: u16) -> bool {
    std::fs::read_to_string("/proc/net/udp")
        .is_ok_and(|table| sockets(&table).any(|it| it.local_port == from && it.peer_port == to))
}

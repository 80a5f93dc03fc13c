//! The protocol between lanfence and the agent inside its throwaway Linux guest.
//!
//! One JSON document per line over a virtio-serial port named [`PORT_NAME`].
//! Every [`Request`] carries an `id` that its [`Reply`] repeats. The agent
//! handles requests in order, so a reply also says that everything asked
//! before it is done.
//!
//! An empty line is ignored. A host that opens the port anew begins with one, so
//! that what its predecessor left unfinished ends there; that rest, if any, is
//! answered with an error and the id 0, like every line whose id can't be read.
//! A reply that nobody reads is dropped when the host closes the port. A host
//! should wait for a reply between opening and closing: QEMU loses the notice of
//! an opening when many come within milliseconds, and then Linux refuses to write.

pub mod clients;

use lanfence_frame::DhcpStep;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Name of the virtio-serial port that carries the protocol.
pub const PORT_NAME: &str = "lanfence.agent.0";

/// Longest request line in bytes, without its end; a longer one is answered
/// with an error and the id 0. Replies may be longer.
pub const MAX_LINE: usize = 4 << 20;

/// Prefix of the line that the agent prints on the serial console once it is
/// ready: `LANFENCE READY <nonce> <uptime in ms>`; the nonce comes from the
/// kernel command line (`lanfence.nonce=…`) or from [`Op::Wake`], so a stale log
/// cannot be taken for a fresh guest.
pub const READY: &str = "LANFENCE READY";

/// File with the kernel's command line for sessions over SSH, which have no `/proc`.
pub const COMMAND_LINE: &str = "/run/cmdline";

/// Prefix of the console line that says why the guest cannot go on.
pub const FATAL: &str = "LANFENCE FATAL";

/// One request from the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Repeated in the reply.
    pub id: u64,
    /// What to do.
    pub op: Op,
}

/// What the agent can be asked to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// Answer with [`Answer::Hello`].
    Hello,
    /// Gives a guest that was restored from a snapshot an identity of its own: sets the
    /// clock, takes in fresh randomness, and prints the READY line again, now
    /// with this nonce; answers [`Answer::Done`].
    Wake {
        /// Repeated in the READY line.
        nonce: String,
        /// Nanoseconds since 1970.
        unix_ns: u64,
        /// Random bytes in hex, at least 32: all guests that are restored from
        /// one snapshot would otherwise draw the same numbers.
        seed: String,
    },
    /// Waits until the netdev with this MAC exists, sets it up (`eth0` naming is
    /// the kernel's), and waits for its carrier; answers [`Answer::Nic`].
    Nic {
        /// MAC address, lower case with colons.
        mac: String,
        /// Deadline in milliseconds for device plus carrier.
        deadline_ms: u64,
    },
    /// Adds addresses and routes, replacing what the device had except the
    /// kernel's own link-local address; answers [`Answer::Done`]. IPv4 routers
    /// must be within one of the prefixes; IPv6 routers may be link-local.
    Configure {
        /// Device name.
        dev: String,
        /// Addresses with prefix length, either family.
        addresses: Vec<String>,
        /// Default routers, either family.
        routers: Vec<IpAddr>,
    },
    /// Resolves the neighbour by sending it a UDP datagram to the discard port
    /// and waiting until the kernel knows its MAC; answers [`Answer::Neighbour`].
    Resolve {
        /// Device name.
        dev: String,
        /// The neighbour's address.
        address: IpAddr,
        /// Deadline in milliseconds.
        deadline_ms: u64,
    },
    /// Sets a neighbour's MAC in the kernel's table as if it had just been resolved, for
    /// frames to a neighbour that the filter does not let the guest resolve; answers
    /// [`Answer::Done`].
    SetNeighbour {
        /// Device name.
        dev: String,
        /// The neighbour's address.
        address: IpAddr,
        /// MAC address, lower case with colons.
        mac: String,
    },
    /// Drives busybox udhcpc, a real DHCP client; answers [`Answer::Dhcp`], with
    /// `ok: false` when the network did not let the step succeed in time. A bound
    /// address and router are set on the device, a released one is gone.
    Dhcp {
        /// Device name.
        dev: String,
        /// Which step.
        step: DhcpStep,
        /// Deadline in milliseconds.
        deadline_ms: u64,
    },
    /// Plays DHCP clients of other systems on a packet socket, one after the
    /// other, each from its DISCOVER to its RELEASE; answers
    /// [`Answer::DhcpClients`]. The device's IPv4 addresses are gone afterwards:
    /// the kernel must not answer for a client.
    DhcpClients {
        /// Device name.
        dev: String,
        /// Names of [`clients::PROFILES`], in order.
        profiles: Vec<String>,
        /// First transaction; each profile takes as many as there are steps.
        xid: u32,
        /// Deadline of each profile in milliseconds.
        deadline_ms: u64,
        /// Deadline of each profile once one has heard nothing at all.
        silent_ms: u64,
    },
    /// Writes raw Ethernet frames (hex, without FCS) through the device's
    /// driver, in order; answers [`Answer::Sent`].
    Frames {
        /// Device name.
        dev: String,
        /// Frames in hex.
        frames: Vec<String>,
    },
    /// Sends one UDP datagram through the guest's own stack; answers [`Answer::Done`].
    Udp {
        /// Device name (`SO_BINDTODEVICE`).
        dev: String,
        /// Source port.
        source_port: u16,
        /// Destination; broadcast and multicast work (`SO_BROADCAST`, multicast interface set, TTL 64).
        to: SocketAddr,
        /// Payload in hex.
        payload: String,
    },
    /// Sends one ICMP echo request of either version through a ping socket; answers [`Answer::Done`].
    Ping {
        /// Device name.
        dev: String,
        /// Destination.
        to: IpAddr,
        /// Payload in hex.
        payload: String,
    },
    /// Starts a TCP connection from the given port; when it comes up before the
    /// deadline sends the payload and waits for as many bytes of echo;
    /// answers [`Answer::Tcp`]. The socket is reset at the end.
    Tcp {
        /// Device name.
        dev: String,
        /// Source port.
        source_port: u16,
        /// Destination.
        to: SocketAddr,
        /// Payload in hex.
        payload: String,
        /// Deadline in milliseconds; 0 starts the attempt and does not wait:
        /// the SYN may still be queued behind the next hop's resolution when the
        /// answer comes. Such a socket stays open, never sends the payload, and
        /// is reset at [`Op::Reset`] or at the next attempt from its port.
        deadline_ms: u64,
    },
    /// Joins a multicast group and keeps it joined until [`Op::Leave`]; datagrams
    /// received on the port are kept for [`Op::Received`]; answers [`Answer::Done`].
    Join {
        /// Device name.
        dev: String,
        /// IPv4 or IPv6 group.
        group: IpAddr,
        /// UDP port to listen on.
        port: u16,
    },
    /// Listens for unicast and broadcast UDP on a port of either family; answers [`Answer::Done`].
    Listen {
        /// UDP port.
        port: u16,
    },
    /// Answers [`Answer::Received`] with all datagrams since the last call.
    Received,
    /// Closes all sockets of [`Op::Join`] and [`Op::Listen`]; answers [`Answer::Done`].
    Leave,
    /// Closes those that [`Op::Tcp`] left open; answers [`Answer::Done`].
    Reset,
    /// Starts dropbear on port 22, where root logs in without a key or a password;
    /// answers [`Answer::Ssh`].
    Ssh,
    /// Runs an SSH key exchange and a DHCP discover on the loopback device, so that an
    /// emulator has translated their code before a probe needs it; answers
    /// [`Answer::Done`], also when they failed. For a restored guest while it waits for
    /// its NIC, once [`Op::Ssh`] has been answered.
    WarmUp,
    /// Does several things in order and goes on after a failure; answers
    /// [`Answer::Several`]. It saves a round trip through an emulated port for each. A
    /// batch within a batch is refused.
    Several {
        /// The operations.
        ops: Vec<Op>,
    },
    /// Syncs nothing, powers the guest off. No answer.
    PowerOff,
}

/// One answer from the guest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply {
    /// The request's id.
    pub id: u64,
    /// The answer, or why it failed.
    pub result: Result<Answer, String>,
}

/// The good outcomes of an [`Op`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Answer {
    /// Done; there is nothing to report.
    Done,
    /// The guest's kernel and uptime.
    Hello {
        /// `uname -r`.
        kernel: String,
        /// Milliseconds since the guest's kernel started.
        uptime_ms: u64,
    },
    /// The device is up and has carrier.
    Nic {
        /// Device name.
        dev: String,
        /// Kernel driver.
        driver: String,
        /// Milliseconds from the request until frames could be sent.
        carrier_ms: u64,
        /// The device's IPv6 link-local address.
        link_local: IpAddr,
    },
    /// The kernel resolved the neighbour.
    Neighbour {
        /// MAC address, or none within the deadline.
        mac: Option<String>,
    },
    /// State of the DHCP client after the step.
    Dhcp {
        /// Whether the step was completed (bound, renewed, released).
        ok: bool,
        /// Bound address.
        address: Option<Ipv4Addr>,
        /// Prefix length from the lease.
        prefix: Option<u8>,
        /// Default router from the lease.
        router: Option<Ipv4Addr>,
        /// Server identifier.
        server: Option<Ipv4Addr>,
        /// Milliseconds the step took.
        took_ms: u64,
    },
    /// Result of each DHCP client, in the order of the request.
    DhcpClients {
        /// One for each profile.
        played: Vec<clients::Played>,
    },
    /// How many frames the kernel took.
    Sent {
        /// Count.
        frames: usize,
        /// First error, with the index of its frame.
        error: Option<String>,
    },
    /// Outcome of a connection attempt as the guest saw it. Never evidence for a drop.
    Tcp {
        /// Handshake completed.
        connected: bool,
        /// The echo came back whole.
        echoed: bool,
    },
    /// Payloads received, in hex, with the port they came to.
    Received {
        /// Port and payload.
        datagrams: Vec<Datagram>,
    },
    /// dropbear is listening.
    Ssh {
        /// The host key as `ssh-ed25519 AAAA…`; empty when the image has no
        /// `dropbearkey`: the key is then made at the first connection.
        host_key: String,
    },
    /// Result of each part of a batch.
    Several {
        /// In the order of the request.
        results: Vec<Result<Answer, String>>,
    },
}

/// A datagram that reached a socket in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datagram {
    /// Local port.
    pub port: u16,
    /// Sender.
    pub from: SocketAddr,
    /// Payload in hex.
    pub payload: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(op: &str) -> Result<Request, serde_json::Error> {
        serde_json::from_str(&format!(r#"{{"id":7,"op":{op}}}"#))
    }

    /// The words on the wire: host and image can be of different builds, so a
    /// renamed field has to be seen here.
    const OPS: [&str; 21] = [
        r#"{"do":"hello"}"#,
        r#"{"do":"wake","nonce":"c0ffee","unix_ns":1700000000000000000,"seed":"00ff"}"#,
        r#"{"do":"nic","mac":"52:54:00:12:34:56","deadline_ms":5000}"#,
        r#"{"do":"configure","dev":"eth0","addresses":["192.168.1.50/24"],"routers":["192.168.1.1","fe80::1"]}"#,
        r#"{"do":"resolve","dev":"eth0","address":"fe80::1","deadline_ms":500}"#,
        r#"{"do":"set-neighbour","dev":"eth0","address":"fe80::1","mac":"52:54:00:00:00:01"}"#,
        r#"{"do":"dhcp","dev":"eth0","step":"bind","deadline_ms":5000}"#,
        r#"{"do":"dhcp-clients","dev":"eth0","profiles":["busybox"],"xid":7,"deadline_ms":5000,"silent_ms":500}"#,
        r#"{"do":"frames","dev":"eth0","frames":["00ff"]}"#,
        r#"{"do":"udp","dev":"eth0","source_port":9,"to":"[ff02::fb]:5353","payload":"00"}"#,
        r#"{"do":"ping","dev":"eth0","to":"8.8.8.8","payload":""}"#,
        r#"{"do":"tcp","dev":"eth0","source_port":9,"to":"1.1.1.1:443","payload":"","deadline_ms":0}"#,
        r#"{"do":"join","dev":"eth0","group":"ff02::fb","port":5353}"#,
        r#"{"do":"listen","port":5353}"#,
        r#"{"do":"received"}"#,
        r#"{"do":"leave"}"#,
        r#"{"do":"reset"}"#,
        r#"{"do":"ssh"}"#,
        r#"{"do":"warm-up"}"#,
        r#"{"do":"several","ops":[{"do":"leave"},{"do":"listen","port":5353}]}"#,
        r#"{"do":"power-off"}"#,
    ];

    #[test]
    fn every_op_round_trips() {
        for op in OPS {
            let request = request(op).unwrap_or_else(|error| panic!("{op}: {error}"));
            assert_eq!(serde_json::to_string(&request.op).unwrap(), op);
        }
    }

    #[test]
    fn unknown_ops_and_fields_are_refused() {
        for op in [
            r#"{"do":"dance"}"#,
            "{}",
            r#"{"do":"listen","port":1,"dev":"eth0"}"#,
            r#"{"do":"dhcp","dev":"eth0","step":"rebind","deadline_ms":1}"#,
            r#"{"do":"ping","dev":"eth0","to":"localhost","payload":""}"#,
        ] {
            assert!(request(op).is_err(), "{op}");
        }
    }

    #[test]
    fn replies_round_trip() {
        let answers = [
            Answer::Done,
            Answer::Neighbour { mac: None },
            Answer::Dhcp {
                ok: true,
                address: Some(Ipv4Addr::new(192, 168, 1, 57)),
                prefix: Some(24),
                router: None,
                server: None,
                took_ms: 170,
            },
            Answer::Received {
                datagrams: vec![Datagram {
                    port: 5353,
                    from: "[fe80::1]:5353".parse().unwrap(),
                    payload: "00ff".into(),
                }],
            },
            Answer::Several {
                results: vec![Ok(Answer::Done), Err("no route".into())],
            },
        ];
        for result in answers.map(Ok).into_iter().chain([Err("no".to_owned())]) {
            let reply = Reply { id: 7, result };
            let text = serde_json::to_string(&reply).unwrap();
            let back: Reply = serde_json::from_str(&text).unwrap();
            assert_eq!((back.id, back.result), (reply.id, reply.result), "{text}");
        }
    }
}

//! A probe as data: what is sent, what the policy expects, and how its frames are recognised.

use super::point::{Origin, Point};
use crate::frame::dhcp::MessageType;
use crate::frame::{DhcpStep, Mac, Tag};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// DHCP discover to bound lease, renew, release.
    Dhcp,
    /// Unicast to LAN hosts.
    LanUnicast,
    /// Directed and limited broadcast.
    Broadcast,
    /// Multicast: send, join, receive.
    Multicast,
    /// ARP.
    Arp,
    /// IPv6 neighbour discovery, MLD, router solicitation.
    Ipv6Control,
    /// LAN to guest, SSH among it.
    LanInbound,
    /// IPv4 to the WAN.
    WanIpv4,
    /// IPv6 to the WAN.
    WanIpv6,
    /// Addresses just outside the LAN, special prefixes, group addresses to the router's MAC.
    WanEdges,
    /// Tunnels to a LAN host or the router.
    Tunnels,
    /// Frames that make a LAN host or the router send to the WAN.
    Reflection,
    /// 802.1Q, 802.1ad, `PPPoE`, SNAP and other `EtherTypes`.
    Encapsulation,
    /// The guest as DHCP server, router or another host.
    Rogue,
    /// WAN to guest.
    WanInbound,
}

/// What the policy says of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// Must get through.
    Pass,
    /// Must be stopped.
    Drop,
}

/// What is done to send a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stimulus {
    /// Raw frames with the tag in each of them, in the order in which they are sent.
    Frames(Vec<Vec<u8>>),
    /// A datagram through the sender's own stack; the payload holds the tag.
    Udp {
        /// Source port.
        source_port: u16,
        /// Destination.
        to: SocketAddr,
        /// Payload.
        payload: Vec<u8>,
    },
    /// An echo request through the sender's own stack; the payload holds the tag.
    Ping {
        /// Destination.
        to: IpAddr,
        /// Payload.
        payload: Vec<u8>,
    },
    /// A TCP connection through the sender's own stack. Recognised by its ports and addresses.
    Tcp {
        /// Source port.
        source_port: u16,
        /// Destination.
        to: SocketAddr,
        /// Payload, echoed by a host on the LAN.
        payload: Vec<u8>,
    },
    /// The guest's stack joins the group and listens on the UDP port. The report that
    /// it sends (IGMP or MLD) is the probe.
    Join {
        /// Group.
        group: IpAddr,
        /// Port.
        port: u16,
    },
    /// A step of the guest's DHCP client; several probes watch the same step.
    Dhcp(DhcpStep),
    /// A command over SSH from the origin to the guest; recognised by the SYN to the
    /// guest's port 22 (RFC 4253 section 4.1).
    Ssh,
}

/// How a frame of the probe is recognised. Frames that lanfence builds carry a [`Tag`];
/// those that a real stack, client or firmware builds are recognised by their contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// The tag anywhere in the frame.
    Tag(Tag),
    /// The first segment of a TCP connection (SYN without ACK, RFC 9293 section 3.5) to
    /// this address and port, from this port where one is given.
    TcpSyn {
        /// Destination address.
        to: IpAddr,
        /// Destination port.
        port: u16,
        /// Source port.
        source_port: Option<u16>,
    },
    /// A TFTP read request for a file of this name, or the data block of the lab's server,
    /// whose files hold their own name (RFC 1350 section 5).
    Tftp {
        /// The file's name.
        name: String,
    },
    /// A TCP segment with this file's name as the target of an HTTP GET (RFC 9112
    /// section 3), or as the body of the answer of the lab's server.
    Http {
        /// The file's name.
        name: String,
    },
    /// A query for this name to the port of DNS, mDNS or LLMNR (RFC 1035 section 4.1,
    /// RFC 6762 section 18, RFC 4795 section 2.1).
    Dns {
        /// Lower-case name without the final dot.
        name: String,
    },
    /// An IGMP report of version 1, 2 or 3 for the group (RFC 1112 appendix I, RFC 2236
    /// section 2, RFC 3376 section 4.2).
    Igmp {
        /// Group.
        group: Ipv4Addr,
    },
    /// An MLD report of version 1 or 2 for the group (RFC 2710 section 3, RFC 3810
    /// section 5.2).
    Mld {
        /// Group.
        group: Ipv6Addr,
    },
    /// An echo request between these addresses, or the answer to one (RFC 792, RFC 4443 section 4).
    Echo {
        /// Source.
        from: IpAddr,
        /// Destination.
        to: IpAddr,
        /// Whether it is an answer.
        answer: bool,
    },
    /// A neighbour solicitation from `::` for this address: duplicate address detection
    /// (RFC 4862 section 5.4.2).
    Dad {
        /// The address that is looked for.
        target: Ipv6Addr,
    },
    /// A `DHCPv4` message between the ports 67 and 68 (RFC 2131 section 4.1).
    Dhcp {
        /// Its type, option 53 (RFC 2132 section 9.6).
        message: MessageType,
        /// Client hardware address.
        client: Mac,
        /// Only messages whose IPv4 destination is this one.
        to: Option<Ipv4Addr>,
    },
}

/// One attempt to get a frame through the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Stable name, `wan-ipv4/udp-53` and so on; the first part is the group's kebab-case name.
    pub id: String,
    /// Row of the table.
    pub group: Group,
    /// What is sent from where to where, one line of at most 90 bytes.
    pub summary: String,
    /// What the policy wants.
    pub expect: Expect,
    /// Set where no nwfilter can treat the frame as the policy wants: why, and what can. The
    /// opposite of `expect` is then a known gap, neither pass nor fail.
    pub known_gap: Option<&'static str>,
    /// Whether it is from another address of the LAN than the guest's and must pass all
    /// the same: a filter without `$IP` is for every guest of the LAN. One that knows its
    /// guest's address stops it rightly.
    pub any_guest: bool,
    /// The host that sends it.
    pub origin: Origin,
    /// How it is sent.
    pub stimulus: Stimulus,
    /// Recognises the frame as it leaves its origin.
    pub sent: Sighting,
    /// Recognises the frame where it is received.
    pub received: Sighting,
    /// Where the frame must be seen to count as delivered.
    pub received_at: Point,
}

//! The words in which the catalogue speaks to the lab, the judge and the report.

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
    /// A LAN host or the router made to answer to the WAN.
    Reflection,
    /// 802.1Q, 802.1ad, `PPPoE`, SNAP and other `EtherTypes`.
    Encapsulation,
    /// Playing DHCP server, router or another host.
    Rogue,
    /// WAN to guest.
    WanInbound,
}

/// What the policy says of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Raw frames with the tag already in them, in order.
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
    /// Joining a group and listening on the port. The report (IGMP or MLD) is the probe.
    Join {
        /// Group.
        group: IpAddr,
        /// Port.
        port: u16,
    },
    /// A step of the guest's DHCP client; several probes watch the same step.
    Dhcp(DhcpStep),
    /// A command over SSH from the origin to the guest; recognised by the SYN to port 22 from the source port.
    Ssh,
}

/// How a frame of the probe is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// The tag anywhere in the frame.
    Tag(Tag),
    /// A TCP segment with SYN and without ACK to this address and port, from this port where one is given.
    TcpSyn {
        /// Destination address.
        to: IpAddr,
        /// Destination port.
        port: u16,
        /// Source port.
        source_port: Option<u16>,
    },
    /// A TFTP request for a file of this name, or a block that holds the name.
    Tftp {
        /// The file's name.
        name: String,
    },
    /// A TCP segment with this file's name in an HTTP request, or in the body of
    /// our server's answer.
    Http {
        /// The file's name.
        name: String,
    },
    /// A DNS question for this name.
    Dns {
        /// Lower-case name without the final dot.
        name: String,
    },
    /// An IGMPv1/v2/v3 report for the group.
    Igmp {
        /// Group.
        group: Ipv4Addr,
    },
    /// An MLDv1/v2 report for the group.
    Mld {
        /// Group.
        group: Ipv6Addr,
    },
    /// A `DHCPv4` message.
    Dhcp {
        /// Option 53.
        message: MessageType,
        /// Client hardware address.
        client: Mac,
        /// Only messages whose IPv4 destination is this one.
        to: Option<Ipv4Addr>,
    },
}

/// One thing that may or may not get through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Stable name, `wan-ipv4/udp-53` and so on; the first part is the group's kebab-case name.
    pub id: String,
    /// Row of the table.
    pub group: Group,
    /// In words, one line.
    pub summary: String,
    /// What the policy wants.
    pub expect: Expect,
    /// Set where nwfilter cannot close the hole: why, and the remedy. A frame that gets
    /// through is then a known gap, neither pass nor fail.
    pub known_gap: Option<&'static str>,
    /// Where it starts.
    pub origin: Origin,
    /// What is done.
    pub stimulus: Stimulus,
    /// Recognises the frame as it leaves its origin.
    pub sent: Sighting,
    /// Recognises the frame at the far side.
    pub received: Sighting,
    /// Where it must be seen to count as delivered.
    pub received_at: Point,
}

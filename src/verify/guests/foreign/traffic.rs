//! What kind of traffic a frame is, and what the policy says of that kind. Pure.
//!
//! A foreign guest does not repeat a frame on command, so what is compared between
//! runs is kinds: fine enough that a filter treats all frames of a kind alike.

use crate::frame::{
    Arp, Body, Mac, Packet4, Packet6, Upper, View, arp, dhcp, ethertype, nd, protocol,
};
use crate::policy::Policy;
use crate::probe::{Expect, Group};
use ipnet::Ipv4Net;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A kind of traffic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Row of the table.
    pub group: Group,
    /// Its name within the row.
    pub name: String,
}

impl Kind {
    fn new(group: Group, name: impl Into<String>) -> Self {
        let name = name.into();
        Self { group, name }
    }

    /// The probe's stable name.
    pub fn id(&self) -> String {
        format!("{}/{}", self.group.slug(), self.name)
    }

    /// Whether such frames are bound for the WAN.
    pub fn is_wan(&self) -> bool {
        matches!(self.group, Group::WanIpv4 | Group::WanIpv6)
    }
}

/// A kind with what the policy wants.
pub type Judged = (Kind, Expect);

/// Whose traffic is told apart.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// What may be sent.
    pub policy: &'a Policy,
    /// The lab's LAN.
    pub lan4: Ipv4Net,
    /// The router's address there.
    pub gateway: Ipv4Addr,
}

/// IGMP, MLD and the like are named; everything else is by number.
fn protocol_name(upper: &Upper<'_>) -> String {
    match upper.protocol {
        protocol::UDP => "udp".into(),
        protocol::TCP => "tcp".into(),
        protocol::ICMP => "icmp".into(),
        protocol::ICMPV6 => "icmp6".into(),
        protocol::IGMP => "igmp".into(),
        number => format!("protocol-{number}"),
    }
}

/// Protocol and the port of the service: the lower one, since an answer has them exchanged.
fn service(upper: &Upper<'_>) -> String {
    let name = protocol_name(upper);
    match upper.ports() {
        Some((from, to)) => format!("{name}-{}", from.min(to)),
        None if upper.has_header => name,
        None => format!("{name}-fragment"),
    }
}

impl Judge<'_> {
    /// The kind of a frame from the guest; none where the policy has no word
    /// about it, or where it cannot be read.
    pub fn kind(&self, frame: &[u8]) -> Option<Judged> {
        let view = View::parse(frame)?;
        if stays_on_the_port(frame) {
            return None;
        }
        if !view.tags.is_empty() {
            return Some((Kind::new(Group::Encapsulation, "vlan"), Expect::Drop));
        }
        match &view.body {
            Body::Arp(body) if view.kind == ethertype::ARP => self.arp(body),
            Body::V4(packet) => self.ip4(packet),
            Body::V6(packet) => self.ip6(packet),
            Body::Arp(_) => None,
            Body::Other(_) => other(view.kind),
        }
    }

    fn arp(&self, body: &Arp) -> Option<Judged> {
        let (sender, target) = (body.sender.1, body.target.1);
        if sender == self.gateway {
            return Some((Kind::new(Group::Rogue, "arp-router"), Expect::Drop));
        }
        let on_lan = |address: Ipv4Addr| self.policy.contains(address);
        let name = match body.operation {
            arp::op::REQUEST if sender.is_unspecified() && on_lan(target) => "probe",
            arp::op::REQUEST if sender == target && on_lan(sender) => "announce",
            arp::op::REQUEST if on_lan(sender) && on_lan(target) => "request",
            arp::op::REPLY if on_lan(sender) && on_lan(target) => "reply",
            _ => return None,
        };
        Some((Kind::new(Group::Arp, name), Expect::Pass))
    }

    fn ip4(&self, packet: &Packet4<'_>) -> Option<Judged> {
        let upper = packet.upper();
        let to = packet.routed_to().unwrap_or(packet.dst);
        let server =
            to.is_broadcast() || self.policy.contains(to) || self.policy.dhcp.servers.contains(&to);
        if let Some(name) = dhcp_step(&upper)
            && server
        {
            return Some((Kind::new(Group::Dhcp, name), self.policy.dhcp.client.into()));
        }
        let home = self.policy.contains(packet.src);
        let service = service(&upper);
        if to.is_broadcast() {
            let kind = Kind::new(Group::Broadcast, format!("limited-{service}"));
            return home.then(|| (kind, self.policy.broadcast.into()));
        }
        if to.is_multicast() {
            let kind = Kind::new(Group::Multicast, format!("{to}-{service}"));
            return home.then(|| (kind, self.policy.may_send_to(to).into()));
        }
        if to == self.lan4.broadcast() {
            let kind = Kind::new(Group::Broadcast, service);
            return home.then_some((kind, Expect::Pass));
        }
        self.unicast(packet.src.into(), to.into(), &upper)
    }

    fn ip6(&self, packet: &Packet6<'_>) -> Option<Judged> {
        let upper = packet.upper();
        let to = packet.routed_to.unwrap_or(packet.dst);
        if to.is_multicast() {
            return Some(self.group6(packet.src, to, &upper));
        }
        self.unicast(packet.src.into(), to.into(), &upper)
    }

    fn group6(&self, from: Ipv6Addr, to: Ipv6Addr, upper: &Upper<'_>) -> Judged {
        let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        // Before it has an address a host speaks for its link-local one.
        let from = if from.is_unspecified() {
            link_local
        } else {
            from
        };
        let may = self.policy.contains(from) && self.policy.may_send_to(to);
        let control = (upper.protocol == protocol::ICMPV6 && upper.has_header)
            .then(|| upper.payload.first().copied())
            .flatten();
        let (group, name) = match control {
            Some(nd::kind::ROUTER_ADVERT | nd::kind::REDIRECT) => {
                return (
                    Kind::new(Group::Rogue, "router-advertisement"),
                    Expect::Drop,
                );
            }
            Some(kind) => (Group::Ipv6Control, format!("icmp6-{kind}")),
            None => (Group::Multicast, format!("{to}-{}", service(upper))),
        };
        let suffix = if may { "" } else { "-unwanted" };
        (Kind::new(group, format!("{name}{suffix}")), may.into())
    }

    /// What is sent to one host: by its address on the LAN, allowed, or on the WAN.
    fn unicast(&self, from: IpAddr, to: IpAddr, upper: &Upper<'_>) -> Option<Judged> {
        let home = self.policy.contains(from);
        if self.policy.contains(to) {
            // What hosts of a LAN speak to each other; a filter may stop the rest.
            let common = matches!(
                upper.protocol,
                protocol::TCP | protocol::UDP | protocol::ICMP | protocol::ICMPV6
            );
            let family = if to.is_ipv6() { "ip6-" } else { "" };
            let name = format!("{family}{}", service(upper));
            return (home && common).then(|| (Kind::new(Group::LanUnicast, name), Expect::Pass));
        }
        let group = if to.is_ipv6() {
            Group::WanIpv6
        } else {
            Group::WanIpv4
        };
        if home && self.policy.may_send_to(to) {
            let name = format!("allowed-{}", protocol_name(upper));
            return Some((Kind::new(group, name), Expect::Pass));
        }
        // By protocol only: a guest that is stopped tries other hosts and ports.
        Some((Kind::new(group, protocol_name(upper)), Expect::Drop))
    }
}

/// Whether a frame is for the bridge itself (EAPOL, LLDP, pause) and no bridge hands it on,
/// filter or not: to 01-80-C2-00-00-01 to -0F, the reserved addresses of IEEE 802.1Q (table
/// 8-1). Linux hands on only -00, as long as it does not take part in the spanning tree
/// (`br_handle_frame` in its `net/bridge/br_input.c`).
fn stays_on_the_port(frame: &[u8]) -> bool {
    matches!(frame, [0x01, 0x80, 0xc2, 0, 0, 0x01..=0x0f, ..])
}

/// The name of a DHCP client's message.
fn dhcp_step(upper: &Upper<'_>) -> Option<String> {
    if upper.ports()? != (dhcp::CLIENT_PORT, dhcp::SERVER_PORT) {
        return None;
    }
    let message = dhcp::Message::parse(upper.udp_payload()?)?;
    let name = match message.kind? {
        dhcp::message::DISCOVER => "discover",
        dhcp::message::REQUEST => "request",
        dhcp::message::RELEASE => "release",
        dhcp::MessageType(kind) => return Some(format!("message-{kind}")),
    };
    Some(name.to_owned())
}

/// Neither IP nor ARP. Malformed IP and ARP has no kind.
fn other(kind: u16) -> Option<Judged> {
    let name = match kind {
        ethertype::IPV4 | ethertype::IPV6 | ethertype::ARP | ethertype::RARP => return None,
        // IEEE 802.2: IPX, NetBEUI, spanning tree.
        length if length < 0x600 => "llc".to_owned(),
        kind => format!("{kind:04x}"),
    };
    Some((Kind::new(Group::Encapsulation, name), Expect::Drop))
}

/// A DHCP server's message to the client with this MAC: offer or ack.
pub fn dhcp_answer(frame: &[u8], client: Mac) -> Option<dhcp::Message> {
    let view = View::parse(frame)?;
    let upper = view.upper()?;
    (upper.ports()?.0 == dhcp::SERVER_PORT).then_some(())?;
    let message = dhcp::Message::parse(upper.udp_payload()?)?;
    let answer = matches!(message.kind?, dhcp::message::OFFER | dhcp::message::ACK);
    (answer && message.client == client).then_some(message)
}

#[cfg(test)]
mod tests;

//! The frames that a probe puts on the guest's wire, without a lab to send them.

use super::{Origin, Point, Probe, Stimulus};
use crate::frame::dhcp::{self, Message, MessageType, message};
use crate::frame::group::{igmp3_report, mld, mld2_report_body, record};
use crate::frame::l4::flag;
use crate::frame::{
    BROADCAST, DhcpStep, Ext, Ip4, Ip6, Link, Mac, ethertype, group_mac4, group_mac6, options4,
    protocol,
};
use crate::layout::{Host, Layout};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where hosts send IGMPv3 reports (RFC 3376 4.2.14).
const IGMP3: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// Where hosts send MLDv2 reports (RFC 3810 5.2.14).
const MLD2: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
const SSH: u16 = 22;

/// What a probe puts on the guest's wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// Frames from its origin. The probe gets through when one of those that
    /// carry its sign does.
    pub frames: Vec<Vec<u8>>,
    /// Frames the other way that must pass too, for an exchange that is to be completed.
    pub needs: Vec<Vec<u8>>,
}

impl Probe {
    /// Whether the guest sends its frames; the others are on their way to the guest.
    pub fn is_from_guest(&self) -> bool {
        self.origin == Origin::Guest
    }

    /// Where the frame must be seen to count as sent.
    pub const fn sent_at(&self) -> Point {
        self.origin.sent_at()
    }

    /// Its frames as the guest's tap sees them. What comes from the WAN has
    /// passed the router.
    pub fn wire(&self, layout: &Layout) -> Wire {
        let ends = Ends {
            layout,
            origin: self.origin,
        };
        let only = |frame| Wire {
            frames: vec![frame],
            needs: Vec::new(),
        };
        match &self.stimulus {
            Stimulus::Frames(frames) => Wire {
                frames: frames.clone(),
                needs: Vec::new(),
            },
            Stimulus::Udp {
                source_port,
                to,
                payload,
            } => only(ends.packet(
                to.ip(),
                |ip| ip.udp(*source_port, to.port(), payload),
                |ip| ip.udp(*source_port, to.port(), payload),
            )),
            Stimulus::Tcp {
                source_port, to, ..
            } => only(ends.packet(
                to.ip(),
                |ip| ip.tcp(*source_port, to.port(), flag::SYN, b""),
                |ip| ip.tcp(*source_port, to.port(), flag::SYN, b""),
            )),
            Stimulus::Ping { to, payload } => {
                only(ends.packet(*to, |ip| ip.echo(payload), |ip| ip.echo(payload)))
            }
            Stimulus::Join { group, .. } => only(join(layout, *group)),
            Stimulus::Ssh => ssh(layout, self.origin),
            Stimulus::Dhcp(step) => self.lease(layout, *step),
        }
    }

    /// The message of a DHCP step that the probe watches for, and for an answer
    /// those that asked for it.
    fn lease(&self, layout: &Layout, step: DhcpStep) -> Wire {
        let kind = match &self.sent {
            super::Sighting::Dhcp { message, .. } => *message,
            _ => message::DISCOVER,
        };
        let bound = step != DhcpStep::Bind;
        let asking = |kind| from_client(layout, kind, bound);
        if self.is_from_guest() {
            return Wire {
                frames: vec![asking(kind)],
                needs: Vec::new(),
            };
        }
        let needs = match (kind, bound) {
            (message::OFFER, _) => vec![asking(message::DISCOVER)],
            (_, false) => vec![asking(message::DISCOVER), asking(message::REQUEST)],
            (_, true) => vec![asking(message::REQUEST)],
        };
        Wire {
            frames: vec![from_server(layout, kind)],
            needs,
        }
    }
}

/// Who sends, and to whom.
struct Ends<'a> {
    layout: &'a Layout,
    origin: Origin,
}

impl Ends<'_> {
    fn sender(&self) -> &Host {
        match self.origin {
            Origin::Guest => &self.layout.guest,
            Origin::Peer => &self.layout.peer,
            Origin::Gateway | Origin::Wan => &self.layout.gateway,
        }
    }

    fn packet(
        &self,
        to: IpAddr,
        v4: impl FnOnce(Ip4) -> Vec<u8>,
        v6: impl FnOnce(Ip6) -> Vec<u8>,
    ) -> Vec<u8> {
        let link = Link::new(self.sender().mac, self.next_hop(to));
        match to {
            IpAddr::V4(to) => link.frame(ethertype::IPV4, &v4(Ip4::new(self.from4(), to))),
            IpAddr::V6(to) => link.frame(ethertype::IPV6, &v6(Ip6::new(self.from6(to), to))),
        }
    }

    fn from4(&self) -> Ipv4Addr {
        if self.origin == Origin::Wan {
            return self.layout.wan4;
        }
        self.sender().v4
    }

    /// The sender's address of the destination's scope (RFC 6724 rule 2).
    fn from6(&self, to: Ipv6Addr) -> Ipv6Addr {
        let on_link = to.is_unicast_link_local() || to.segments()[0] & 0xff0f == 0xff02;
        match self.origin {
            Origin::Wan => self.layout.wan6,
            _ if on_link => self.sender().link_local,
            _ => self.sender().v6,
        }
    }

    fn next_hop(&self, to: IpAddr) -> Mac {
        let Layout {
            guest,
            peer,
            gateway,
            lan4,
            ..
        } = self.layout;
        match to {
            IpAddr::V4(v4) if v4.is_multicast() => group_mac4(v4),
            IpAddr::V4(v4) if v4.is_broadcast() || v4 == lan4.broadcast() => BROADCAST,
            IpAddr::V6(v6) if v6.is_multicast() => group_mac6(v6),
            _ => {
                let has = |host: &&&Host| match to {
                    IpAddr::V4(v4) => host.v4 == v4,
                    IpAddr::V6(v6) => host.v6 == v6 || host.link_local == v6,
                };
                [guest, peer]
                    .iter()
                    .find(has)
                    .map_or(gateway.mac, |host| host.mac)
            }
        }
    }
}

/// The report of a stack that joins a group.
fn join(layout: &Layout, group: IpAddr) -> Vec<u8> {
    let guest = &layout.guest;
    match group {
        IpAddr::V4(group) => {
            let ip = Ip4::new(guest.v4, IGMP3)
                .ttl(1)
                .options(options4::router_alert());
            let report = igmp3_report(record::TO_EXCLUDE, group, b"");
            Link::new(guest.mac, group_mac4(IGMP3))
                .frame(ethertype::IPV4, &ip.packet(protocol::IGMP, &report))
        }
        IpAddr::V6(group) => {
            let ip = Ip6::new(guest.link_local, MLD2)
                .hops(1)
                .ext(Ext::router_alert());
            let body = mld2_report_body(record::TO_EXCLUDE, group, b"");
            Link::new(guest.mac, group_mac6(MLD2))
                .frame(ethertype::IPV6, &ip.icmp(mld::REPORT_V2, 0, &body))
        }
    }
}

/// The segments that open a connection to the guest's port 22.
fn ssh(layout: &Layout, origin: Origin) -> Wire {
    const CLIENT: u16 = 40_022;
    let ends = Ends { layout, origin };
    let (from, to) = (ends.sender(), &layout.guest);
    let asking = |flags| {
        let packet = Ip4::new(from.v4, to.v4).tcp(CLIENT, SSH, flags, b"");
        Link::new(from.mac, to.mac).frame(ethertype::IPV4, &packet)
    };
    let answer = Ip4::new(to.v4, from.v4).tcp(SSH, CLIENT, flag::SYN | flag::ACK, b"");
    Wire {
        frames: vec![asking(flag::SYN)],
        needs: vec![Link::new(to.mac, from.mac).frame(ethertype::IPV4, &answer)],
    }
}

fn from_client(layout: &Layout, kind: MessageType, bound: bool) -> Vec<u8> {
    let (guest, server) = (&layout.guest, &layout.gateway);
    let (from, to, mac) = if bound {
        (guest.v4, server.v4, server.mac)
    } else {
        (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, BROADCAST)
    };
    let body = Message {
        from,
        ..Message::from_client(kind, guest.mac)
    }
    .to_bytes(b"");
    let packet = Ip4::new(from, to).udp(dhcp::CLIENT_PORT, dhcp::SERVER_PORT, &body);
    Link::new(guest.mac, mac).frame(ethertype::IPV4, &packet)
}

fn from_server(layout: &Layout, kind: MessageType) -> Vec<u8> {
    let (guest, server) = (&layout.guest, &layout.gateway);
    let message = Message::from_server(kind, guest.mac, guest.v4, server.v4);
    let ports = (dhcp::SERVER_PORT, dhcp::CLIENT_PORT);
    let packet = Ip4::new(server.v4, guest.v4).udp(ports.0, ports.1, &message.to_bytes(b""));
    Link::new(server.mac, guest.mac).frame(ethertype::IPV4, &packet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Tag;
    use crate::policy::Policy;
    use crate::probe::Pass;
    use crate::probe::catalogue;

    #[test]
    fn every_probe_makes_a_frame_with_its_sign() {
        let policy = Policy::example();
        let layout = Layout::of(&policy).unwrap();
        let tag = |index| Tag {
            run: 7,
            pass: Pass::Filtered.number(),
            index,
        };
        for probe in catalogue(&policy, &layout, tag) {
            let wire = probe.wire(&layout);
            let seen = wire.frames.iter().any(|frame| probe.sent.matches(frame));
            assert!(seen, "{}", probe.id);
        }
    }

    #[test]
    fn a_policy_without_ipv4_has_a_scene_too() {
        let policy = Policy::parse("[lan]\nprefixes = [\"fd00:1::/64\"]\n", "test").unwrap();
        let layout = Layout::of(&policy).unwrap();
        assert!(policy.lan6[0].contains(&layout.guest.v6));
    }
}

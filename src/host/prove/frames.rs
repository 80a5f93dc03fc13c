//! The frames of a proof in place. No host of the LAN acts on one of them: they go to MAC
//! addresses that are kept for documentation (RFC 7042 section 2.1.1), where nobody is.

use crate::frame::{Ip4, Ip6, Link, Mac, Tag, VlanTag, ethertype};
use crate::policy::Policy;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The guest's stand-in.
pub const GUEST: Mac = [0x00, 0x00, 0x5e, 0x00, 0x53, 0x01];
/// Another host that is not there.
pub const ELSEWHERE: Mac = [0x00, 0x00, 0x5e, 0x00, 0x53, 0x02];
/// A MAC that the guest does not have.
const FORGED: Mac = [0x00, 0x00, 0x5e, 0x00, 0x53, 0x03];

/// Hosts of the WAN that exist on paper only (RFC 5737, RFC 3849).
const WAN4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(192, 0, 2, 1),
    Ipv4Addr::new(198, 51, 100, 1),
    Ipv4Addr::new(203, 0, 113, 1),
];
const WAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// The EtherType for local experiments (IEEE 802).
const EXPERIMENT: u16 = 0x88b5;

/// To all.
const BROADCAST: Mac = [0xff; 6];

/// The discard service (RFC 863).
const DISCARD: u16 = 9;

/// Where a frame is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// By the guest.
    FromGuest,
    /// Behind the bridge.
    ToGuest,
}

/// One frame, and what the policy says of it.
#[derive(Debug, Clone)]
pub struct Shot {
    /// What it is.
    pub what: &'static str,
    /// Where it is put in.
    pub direction: Direction,
    /// Whether it must arrive.
    pub passes: bool,
    /// Number of the frame in the proof.
    pub index: u16,
    body: Body,
}

/// What the frame is made of, the nonce aside.
#[derive(Debug, Clone)]
struct Body {
    link: Link,
    tags: Vec<VlanTag>,
    kind: u16,
    packet: Packet,
}

#[derive(Debug, Clone)]
enum Packet {
    V4(Ip4, Transport),
    V6(Ip6, Transport),
    Bare,
}

#[derive(Debug, Clone, Copy)]
enum Transport {
    Udp,
    Tcp,
    Echo,
}

impl Shot {
    /// The guest's address in it, where it has one of IPv4.
    pub fn own(&self) -> Option<Ipv4Addr> {
        match (&self.body.packet, self.direction) {
            (Packet::V4(header, _), Direction::FromGuest) => Some(header.src),
            _ => None,
        }
    }

    /// Its bytes.
    pub fn bytes(&self, nonce: Nonce) -> Vec<u8> {
        let payload = nonce.tag(self.index).to_bytes();
        let Body {
            link,
            tags,
            kind,
            packet,
        } = &self.body;
        let port = 49_152 + self.index;
        let packet = match packet {
            Packet::V4(header, Transport::Udp) => header.udp(port, DISCARD, &payload),
            Packet::V4(header, Transport::Tcp) => header.tcp(port, DISCARD, 2, &payload),
            Packet::V4(header, Transport::Echo) => header.echo(&payload),
            Packet::V6(header, Transport::Udp) => header.udp(port, DISCARD, &payload),
            Packet::V6(header, Transport::Tcp) => header.tcp(port, DISCARD, 2, &payload),
            Packet::V6(header, Transport::Echo) => header.echo(&payload),
            Packet::Bare => payload.to_vec(),
        };
        link.stacked(tags, *kind, &packet)
    }
}

/// Marks the frames of one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce {
    /// Random for each proof.
    pub run: u32,
    /// Which pass.
    pub pass: u8,
}

impl Nonce {
    fn tag(self, index: u16) -> Tag {
        let Self { run, pass } = self;
        Tag { run, pass, index }
    }

    /// The number of a frame of this pass; none for any other frame.
    pub fn index(self, frame: &[u8]) -> Option<u16> {
        let tag = Tag::find(frame)?;
        (self.tag(tag.index) == tag).then_some(tag.index)
    }
}

/// A frame that a bridge sends out of all its ports, each guest's among them, and that no host
/// takes: its EtherType is for local experiments (IEEE 802).
pub fn to_all(nonce: Nonce) -> Vec<u8> {
    let all = Link::new(ELSEWHERE, BROADCAST);
    let payload = nonce.tag(u16::MAX).to_bytes();
    all.stacked(&[], EXPERIMENT, &payload)
}

/// The frames for a policy, those that must be dropped first. `own` is the guest's address where
/// its filter knows it. None where the policy has no LAN of IPv4 with room for two hosts.
pub fn shots(policy: &Policy, own: Option<Ipv4Addr>) -> Option<Vec<Shot>> {
    let mut hosts = policy.lan4.iter().flat_map(|net| net.hosts().take(4));
    let taken = |address: &Ipv4Addr| Some(*address) != policy.gateway && Some(*address) != own;
    let other = hosts.find(taken)?;
    let own = own.or_else(|| hosts.find(taken))?;
    let mut out = Vec::new();
    for direction in [Direction::FromGuest, Direction::ToGuest] {
        wan(policy, own, direction, &mut out);
    }
    foreign(own, other, &mut out);
    for direction in [Direction::FromGuest, Direction::ToGuest] {
        lan(policy, own, other, direction, &mut out);
    }
    for (index, shot) in (0..).zip(&mut out) {
        shot.index = index;
    }
    Some(out)
}

fn link(direction: Direction) -> Link {
    match direction {
        Direction::FromGuest => Link::new(GUEST, ELSEWHERE),
        Direction::ToGuest => Link::new(ELSEWHERE, GUEST),
    }
}

fn shot(what: &'static str, direction: Direction, passes: bool, body: Body) -> Shot {
    Shot {
        what,
        direction,
        passes,
        index: 0,
        body,
    }
}

fn v4(direction: Direction, own: Ipv4Addr, far: Ipv4Addr, transport: Transport) -> Body {
    let header = match direction {
        Direction::FromGuest => Ip4::new(own, far),
        Direction::ToGuest => Ip4::new(far, own),
    };
    Body {
        link: link(direction),
        tags: Vec::new(),
        kind: ethertype::IPV4,
        packet: Packet::V4(header, transport),
    }
}

fn v6(direction: Direction, own: Ipv6Addr, far: Ipv6Addr, transport: Transport) -> Body {
    let header = match direction {
        Direction::FromGuest => Ip6::new(own, far),
        Direction::ToGuest => Ip6::new(far, own),
    };
    Body {
        link: link(direction),
        tags: Vec::new(),
        kind: ethertype::IPV6,
        packet: Packet::V6(header, transport),
    }
}

/// Link-local addresses of the guest's stand-in and of the other host.
const LOCAL6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0x200, 0x5eff, 0xfe00, 0x5301),
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0x200, 0x5eff, 0xfe00, 0x5302),
];

/// To and from the WAN.
fn wan(policy: &Policy, own: Ipv4Addr, direction: Direction, out: &mut Vec<Shot>) {
    let kinds = [
        ("UDP to the WAN", "UDP from the WAN", Transport::Udp),
        ("TCP to the WAN", "TCP from the WAN", Transport::Tcp),
        ("ping to the WAN", "ping from the WAN", Transport::Echo),
    ];
    for (far, (to, from, transport)) in WAN4.into_iter().zip(kinds) {
        let what = if direction == Direction::FromGuest {
            to
        } else {
            from
        };
        // What the policy allows all the same says nothing about the fence.
        if !policy.allows(far) {
            out.push(shot(
                what,
                direction,
                false,
                v4(direction, own, far, transport),
            ));
        }
    }
    if !policy.allows(WAN6) {
        let what = match direction {
            Direction::FromGuest => "UDP to the WAN over IPv6",
            Direction::ToGuest => "UDP from the WAN over IPv6",
        };
        let body = v6(direction, LOCAL6[0], WAN6, Transport::Udp);
        out.push(shot(what, direction, false, body));
    }
}

/// What no guest may send on the LAN.
fn foreign(own: Ipv4Addr, other: Ipv4Addr, out: &mut Vec<Shot>) {
    let from = Direction::FromGuest;
    let mut tagged = v4(from, own, other, Transport::Udp);
    tagged.tags = vec![VlanTag::q(99)];
    out.push(shot("a frame with a VLAN tag", from, false, tagged));
    let mut forged = v4(from, own, other, Transport::Udp);
    forged.link = Link::new(FORGED, ELSEWHERE);
    out.push(shot("a frame with a forged MAC", from, false, forged));
    let bare = Body {
        link: link(from),
        tags: Vec::new(),
        kind: EXPERIMENT,
        packet: Packet::Bare,
    };
    out.push(shot("a frame of another EtherType", from, false, bare));
}

/// Within the LAN.
fn lan(policy: &Policy, own: Ipv4Addr, other: Ipv4Addr, direction: Direction, out: &mut Vec<Shot>) {
    let what = match direction {
        Direction::FromGuest => "UDP to the LAN",
        Direction::ToGuest => "UDP from the LAN",
    };
    out.push(shot(
        what,
        direction,
        true,
        v4(direction, own, other, Transport::Udp),
    ));
    if policy.contains(LOCAL6[0]) {
        let what = match direction {
            Direction::FromGuest => "UDP to the LAN over IPv6",
            Direction::ToGuest => "UDP from the LAN over IPv6",
        };
        let body = v6(direction, LOCAL6[0], LOCAL6[1], Transport::Udp);
        out.push(shot(what, direction, true, body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::mac_text;
    use crate::nwfilter::evaluate::{Backend, Decision, Way};
    use crate::nwfilter::{FilterTree, generate};
    use std::collections::BTreeSet;

    const NONCE: Nonce = Nonce { run: 7, pass: 1 };

    #[test]
    fn every_frame_goes_to_nobody_and_is_known_again() {
        let shots = shots(&Policy::example(), None).unwrap();
        let mut seen = BTreeSet::new();
        for shot in &shots {
            let bytes = shot.bytes(NONCE);
            let to: Mac = bytes[..6].try_into().unwrap();
            assert!([GUEST, ELSEWHERE].contains(&to), "{}", mac_text(to));
            assert_eq!(NONCE.index(&bytes), Some(shot.index));
            assert_eq!(Nonce { pass: 2, ..NONCE }.index(&bytes), None);
            assert!(seen.insert(bytes));
        }
        assert!(shots.iter().any(|shot| shot.passes) && shots.len() > 10);
    }

    /// The expectations are those of the filter that lanfence generates.
    #[test]
    fn the_generated_filter_does_what_is_expected() {
        let policy = Policy::example();
        let tree = FilterTree::generated(generate(&policy));
        for backend in [Backend::Ebtables, Backend::Nftables] {
            let compiled = tree.compile(GUEST, &[], backend).unwrap();
            for shot in shots(&policy, None).unwrap() {
                let way = match shot.direction {
                    Direction::FromGuest => Way::FromGuest,
                    Direction::ToGuest => Way::ToGuest,
                };
                let evaluation = compiled.evaluate(&shot.bytes(NONCE), way);
                assert_eq!(
                    evaluation.decision == Decision::Accept,
                    shot.passes,
                    "{} {backend}",
                    shot.what
                );
            }
        }
    }
}

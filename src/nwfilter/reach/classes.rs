//! What a filter lets out, class by class, held against the policy.

use super::accepted::accepted_values;
use super::cidr::{addresses, prefixes4, prefixes6};
use super::random_order::random_order;
use super::region::{EXTENSIONS, Region};
use super::witness::witness;
use crate::frame::ethertype;
use crate::nwfilter::evaluate::field::{ABSENT, Field};
use crate::nwfilter::evaluate::{Compiled, Decision, Way};
use crate::nwfilter::intervals::IntervalSet;
use crate::policy::{LINK_LOCAL4, Policy};
use ipnet::IpNet;
use std::net::Ipv4Addr;

/// What the numbers of a class are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// IPv4 destinations.
    V4,
    /// IPv6 destinations.
    V6,
    /// IPv4 addresses that the sender of an ARP frame claims.
    Arp,
    /// EtherTypes other than IPv4, IPv6 and ARP, and lengths of 802.3 frames.
    EtherType,
}

impl Dimension {
    /// Numbers as text: prefixes or EtherTypes.
    pub fn list(self, set: &IntervalSet) -> Vec<String> {
        let nets = |nets: Vec<IpNet>| nets.iter().map(ToString::to_string).collect();
        match self {
            Dimension::V4 | Dimension::Arp => nets(prefixes4(set)),
            Dimension::V6 => nets(prefixes6(set)),
            Dimension::EtherType => {
                let text = |(low, high): &(u128, u128)| {
                    if low == high {
                        format!("0x{low:04x}")
                    } else {
                        format!("0x{low:04x}-0x{high:04x}")
                    }
                };
                set.intervals().iter().map(text).collect()
            }
        }
    }
}

/// One class of frames from the guest.
#[derive(Debug, Clone)]
pub struct TrafficClass {
    /// Name: `IPv4 tcp`, `ARP senders` …
    pub name: &'static str,
    /// What its numbers are.
    pub dimension: Dimension,
    /// What the filter accepts, over all values of every other field.
    pub accepted: IntervalSet,
    /// What of it the policy does not allow. A group that a frame to a single
    /// host's MAC carries is not allowed either, which the lists do not tell.
    pub leaked: IntervalSet,
    /// What the policy allows and no accepted frame can reach.
    pub blocked: IntervalSet,
    /// A frame that leaks, which the evaluator accepts.
    pub example: Option<Vec<u8>>,
    /// Why the sets may lack something; none when they are exact.
    pub inexact: Option<String>,
}

impl TrafficClass {
    /// Numbers as text: prefixes or EtherTypes.
    pub fn list(&self, set: &IntervalSet) -> Vec<String> {
        self.dimension.list(set)
    }

    /// Whether it shows that the policy holds.
    pub fn is_proven(&self) -> bool {
        self.leaked.is_empty() && self.blocked.is_empty() && self.inexact.is_none()
    }
}

/// A class before it is evaluated.
struct Question {
    name: &'static str,
    dimension: Dimension,
    field: Field,
    region: Region,
    /// What may be sent to any MAC, and what to group MACs besides.
    allowed: [IntervalSet; 2],
    /// What must be accepted.
    required: IntervalSet,
}

/// Every class of frames that a guest can send. `usual` are values for examples.
pub fn classes(filter: &Compiled, policy: &Policy, usual: &[(Field, u128)]) -> Vec<TrafficClass> {
    let mut questions = v4(policy);
    questions.extend(v6(policy));
    questions.push(arp(policy));
    questions.push(ether_types());
    questions
        .into_iter()
        .map(|question| answer(filter, question, usual))
        .collect()
}

fn answer(filter: &Compiled, question: Question, usual: &[(Field, u128)]) -> TrafficClass {
    let Question {
        name,
        dimension,
        field,
        region,
        allowed: [anywhere, to_groups],
        required,
    } = question;
    let mut class = TrafficClass {
        name,
        dimension,
        accepted: IntervalSet::EMPTY,
        leaked: IntervalSet::EMPTY,
        blocked: IntervalSet::EMPTY,
        example: None,
        inexact: None,
    };
    class.inexact = random_order(filter, Way::FromGuest, &region);
    let halves = [
        (single_macs(), anywhere.clone()),
        (group_macs(), anywhere.union(&to_groups)),
    ];
    for (macs, allowed) in halves {
        let half = region.with(Field::DstMac, macs);
        let foreign = region.get(field).minus(&allowed);
        let found = accepted_values(filter, Way::FromGuest, &half, field, &foreign);
        class.leaked = class.leaked.union(&found.accepted.minus(&allowed));
        class.accepted = class.accepted.union(&found.accepted);
        class.inexact = class.inexact.or(found.inexact);
        let frames = found
            .witnesses
            .iter()
            .filter_map(|region| witness(region, usual));
        let mut accepted =
            frames.filter(|frame| filter.decide(frame, Way::FromGuest) == Decision::Accept);
        class.example = class.example.or_else(|| accepted.next());
    }
    class.blocked = required.minus(&class.accepted);
    class
}

const WHOLE4: (u128, u128) = (0, 0xffff_ffff);

/// IP frames of one protocol, or of several without ports and types.
fn packets(kind: u16, protocols: IntervalSet, upper: &[Field]) -> Region {
    let addresses = if kind == ethertype::IPV4 {
        IntervalSet::range(WHOLE4.0, WHOLE4.1)
    } else {
        Field::Dst.all()
    };
    let mut region = Region::everything()
        .with(Field::EtherType, IntervalSet::one(kind.into()))
        .with(Field::Header, IntervalSet::one(1))
        .with(Field::Src, addresses.clone())
        .with(Field::Dst, addresses)
        .with(Field::NextHeader, next_headers(kind, &protocols))
        .with(Field::Protocol, protocols);
    for field in [
        Field::SrcPort,
        Field::DstPort,
        Field::IcmpType,
        Field::IcmpCode,
        Field::TcpFlags,
    ] {
        if !upper.contains(&field) {
            region = region.with(field, IntervalSet::one(ABSENT));
        }
    }
    region
}

/// What an IP header can name as next where the packet holds one of the protocols.
pub fn next_headers(kind: u16, protocols: &IntervalSet) -> IntervalSet {
    if kind == ethertype::IPV4 {
        return IntervalSet::one(ABSENT);
    }
    let extensions = EXTENSIONS.map(|header| (header, header));
    protocols
        .intersection(&Field::NextHeader.all())
        .union(&IntervalSet::of(extensions.to_vec()))
}

const PORTS: [Field; 2] = [Field::SrcPort, Field::DstPort];
const TCP: [Field; 3] = [Field::SrcPort, Field::DstPort, Field::TcpFlags];
const ICMP: [Field; 2] = [Field::IcmpType, Field::IcmpCode];

/// Where IPv4 packets may go.
struct Destinations4 {
    /// Hosts of the LAN and what else the policy allows.
    lan: IntervalSet,
    /// DHCP servers.
    servers: IntervalSet,
    /// Multicast groups and, where the policy has it, everyone.
    to_groups: IntervalSet,
    /// Everyone, for a DHCP client that has no address yet.
    discover: IntervalSet,
    /// Whom an IGMP report may be sent to.
    reports: IntervalSet,
}

impl Destinations4 {
    fn of(policy: &Policy) -> Self {
        let nets = |nets: &[ipnet::Ipv4Net]| {
            addresses(&nets.iter().copied().map(IpNet::V4).collect::<Vec<_>>())
        };
        let when = |is_so: bool, set: IntervalSet| if is_so { set } else { IntervalSet::EMPTY };
        let link_local = when(policy.link_local, nets(&[LINK_LOCAL4]));
        let allow = policy.allow.iter();
        let outside = addresses(allow.filter(|net| matches!(net, IpNet::V4(_))));
        let servers = policy.dhcp.servers.iter().map(|server| one(*server));
        let groups = nets(&policy.groups4);
        let everyone = IntervalSet::of(vec![one(Ipv4Addr::BROADCAST)]);
        Self {
            lan: nets(&policy.lan4).union(&link_local).union(&outside),
            servers: IntervalSet::of(servers.collect()),
            to_groups: groups.union(&when(policy.broadcast, everyone.clone())),
            discover: when(policy.dhcp.client, everyone),
            reports: when(
                !groups.is_empty(),
                IntervalSet::range(0xe000_0000, 0xefff_ffff),
            ),
        }
    }
}

fn v4(policy: &Policy) -> Vec<Question> {
    let Destinations4 {
        lan,
        servers,
        to_groups,
        discover,
        reports,
    } = Destinations4::of(policy);
    let question =
        |name, protocols, upper: &[Field], allowed: [IntervalSet; 2], required| Question {
            name,
            dimension: Dimension::V4,
            field: Field::Dst,
            region: packets(ethertype::IPV4, protocols, upper),
            allowed,
            required,
        };
    let udp = lan.union(&servers);
    let named = IntervalSet::of(vec![(1, 2), (6, 6), (17, 17)]);
    vec![
        question(
            "IPv4 tcp",
            IntervalSet::one(6),
            &TCP,
            [lan.clone(), to_groups.clone()],
            lan.clone(),
        ),
        question(
            "IPv4 udp",
            IntervalSet::one(17),
            &PORTS,
            [udp.clone(), to_groups.union(&discover)],
            udp.union(&to_groups).union(&discover),
        ),
        question(
            "IPv4 icmp",
            IntervalSet::one(1),
            &ICMP,
            [lan.clone(), to_groups],
            lan,
        ),
        question(
            "IPv4 igmp",
            IntervalSet::one(2),
            &[],
            [IntervalSet::EMPTY, reports.clone()],
            reports,
        ),
        question(
            "IPv4 other",
            Field::Protocol.all().minus(&named),
            &PORTS,
            [IntervalSet::EMPTY, IntervalSet::EMPTY],
            IntervalSet::EMPTY,
        ),
    ]
}

fn v6(policy: &Policy) -> Vec<Question> {
    let nets = |nets: &[ipnet::Ipv6Net]| {
        addresses(&nets.iter().copied().map(IpNet::V6).collect::<Vec<_>>())
    };
    let outside = addresses(
        policy
            .allow
            .iter()
            .filter(|net| matches!(net, IpNet::V6(_))),
    );
    // Without IPv6 on the LAN there is nothing to send it to.
    let (lan, groups) = if policy.lan6.is_empty() {
        (IntervalSet::EMPTY, IntervalSet::EMPTY)
    } else {
        let link: ipnet::Ipv6Net = "ff02::/16".parse().expect("a constant");
        (
            nets(&policy.lan6).union(&outside),
            nets(&policy.groups6).union(&nets(&[link])),
        )
    };
    let question = |name, protocols, upper: &[Field], to_hosts: &IntervalSet| Question {
        name,
        dimension: Dimension::V6,
        field: Field::Dst,
        region: packets(ethertype::IPV6, protocols, upper),
        allowed: [to_hosts.clone(), groups.clone()],
        required: to_hosts.clone(),
    };
    let named = IntervalSet::of(vec![(6, 6), (17, 17), (58, 58)]);
    let others = Field::Protocol
        .all()
        .union(&IntervalSet::one(ABSENT))
        .minus(&named);
    vec![
        question("IPv6 tcp", IntervalSet::one(6), &TCP, &lan),
        question("IPv6 udp", IntervalSet::one(17), &PORTS, &lan),
        question("IPv6 icmpv6", IntervalSet::one(58), &ICMP, &lan),
        question("IPv6 other", others, &PORTS, &IntervalSet::EMPTY),
    ]
}

fn arp(policy: &Policy) -> Question {
    let own: Vec<IpNet> = policy
        .lan4
        .iter()
        .copied()
        .chain(policy.link_local.then_some(LINK_LOCAL4))
        .map(IpNet::V4)
        .collect();
    let gateway = policy.gateway.map_or(IntervalSet::EMPTY, |gateway| {
        IntervalSet::of(vec![one(gateway)])
    });
    // Probes come from 0.0.0.0 (RFC 5227).
    let allowed = addresses(&own).minus(&gateway).union(&IntervalSet::one(0));
    Question {
        name: "ARP senders",
        dimension: Dimension::Arp,
        field: Field::ArpSrc,
        region: Region::everything()
            .with(Field::EtherType, IntervalSet::one(ethertype::ARP.into()))
            .with(Field::Header, IntervalSet::one(1))
            .with(Field::ArpAddresses, IntervalSet::one(1))
            .with(Field::ArpMacs, IntervalSet::one(1))
            .with(Field::ArpHardware, IntervalSet::one(1))
            .with(Field::ArpProtocol, IntervalSet::one(ethertype::IPV4.into()))
            .with(Field::ArpSrc, Field::ArpSrc.all())
            .with(Field::ArpDst, Field::ArpDst.all()),
        required: allowed.clone(),
        allowed: [allowed, IntervalSet::EMPTY],
    }
}

fn ether_types() -> Question {
    let known = [ethertype::IPV4, ethertype::IPV6, ethertype::ARP];
    let known = IntervalSet::of(
        known
            .iter()
            .map(|kind| (u128::from(*kind), u128::from(*kind)))
            .collect(),
    );
    let rarp = IntervalSet::one(ethertype::RARP.into());
    Question {
        name: "other EtherTypes",
        dimension: Dimension::EtherType,
        field: Field::EtherType,
        region: Region::everything().with(Field::EtherType, Field::EtherType.all().minus(&known)),
        // QEMU announces a migrated guest to everyone.
        allowed: [IntervalSet::EMPTY, rarp],
        required: IntervalSet::EMPTY,
    }
}

fn one(address: Ipv4Addr) -> (u128, u128) {
    let bits = u128::from(address.to_bits());
    (bits, bits)
}

/// MACs of single hosts: the lowest bit of the first octet is 0.
fn single_macs() -> IntervalSet {
    let octets = (0..=0xff_u128).filter(|octet| octet & 1 == 0);
    IntervalSet::of(
        octets
            .map(|octet| (octet << 40, octet << 40 | 0xff_ffff_ffff))
            .collect(),
    )
}

/// MACs of groups, but for those that no bridge forwards.
fn group_macs() -> IntervalSet {
    let kept = IntervalSet::range(0x0180_c200_0001, 0x0180_c200_000f);
    Field::DstMac.all().minus(&single_macs()).minus(&kept)
}

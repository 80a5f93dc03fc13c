//! The kinds of frames there are, as regions in which every combination of
//! values can be a frame: whole headers, no fragments.

use super::classes::Dimension;
use super::region::{EXTENSIONS, Region};
use crate::frame::ethertype;
use crate::nwfilter::evaluate::field::{ABSENT, Field};
use crate::nwfilter::intervals::IntervalSet;

/// A kind of frames.
#[derive(Debug, Clone)]
pub struct FrameKind {
    /// Its name: `IPv4 tcp`, `ARP` …
    pub name: &'static str,
    /// What the numbers of `field` are.
    pub dimension: Dimension,
    /// The field whose values are listed for it.
    pub field: Field,
    /// The frames.
    pub region: Region,
    /// Whether an IPv6 packet of it is a fragment or has extension headers.
    pub extensions: bool,
    /// What IPv6's first header names is the protocol, without extension headers.
    plain: bool,
}

const PORTS: [Field; 2] = [Field::SrcPort, Field::DstPort];
const TCP: [Field; 3] = [Field::SrcPort, Field::DstPort, Field::TcpFlags];
const ICMP: [Field; 2] = [Field::IcmpType, Field::IcmpCode];

/// Every kind.
pub fn frame_kinds() -> Vec<FrameKind> {
    let with_ports = IntervalSet::of([17, 33, 132, 136].map(|number| (number, number)).to_vec());
    let named = |icmp: u128| with_ports.union(&IntervalSet::of(vec![(6, 6), (icmp, icmp)]));
    let headers = IntervalSet::of(EXTENSIONS.map(|number| (number, number)).to_vec());
    let rest4 = Field::Protocol.all().minus(&named(1));
    let no_next = IntervalSet::one(59);
    let rest6 = Field::Protocol.all().minus(&named(58));
    let rest6 = rest6.minus(&headers).minus(&no_next);
    let mut out = vec![
        ipv4("IPv4 tcp", IntervalSet::one(6), &TCP),
        ipv4("IPv4 udp, sctp, dccp, udplite", with_ports.clone(), &PORTS),
        ipv4("IPv4 icmp", IntervalSet::one(1), &ICMP),
        ipv4("IPv4 other", rest4, &[]),
    ];
    for (plain, next) in [(true, None), (false, Some(&headers))] {
        out.extend([
            ipv6("IPv6 tcp", IntervalSet::one(6), &TCP, plain, next),
            ipv6(
                "IPv6 udp, sctp, dccp, udplite",
                with_ports.clone(),
                &PORTS,
                plain,
                next,
            ),
            ipv6("IPv6 icmpv6", IntervalSet::one(58), &ICMP, plain, next),
            ipv6("IPv6 other", rest6.clone(), &[], plain, next),
        ]);
    }
    for (name, kind) in [("ARP", ethertype::ARP), ("RARP", ethertype::RARP)] {
        for ethernet in [true, false] {
            out.extend([Some(0), Some(1), None].map(|same| arp(name, kind, ethernet, same)));
        }
    }
    out.push(vlan());
    out.push(other());
    out
}

/// Later fragments, which have none of the headers behind that of IP, and IPv6 packets in
/// which no such header is found.
pub fn headless_kinds() -> Vec<FrameKind> {
    let with_ports = [6, 17, 33, 132, 136]
        .map(|number| (number, number))
        .to_vec();
    let with_header = IntervalSet::of(with_ports).union(&IntervalSet::one(1));
    let fragment = IntervalSet::one(44);
    let none = IntervalSet::of(vec![(59, 59), (ABSENT, ABSENT)]);
    let before = EXTENSIONS.map(|number| (number, number)).to_vec();
    let before = IntervalSet::of(before).union(&IntervalSet::one(59));
    vec![
        ipv4("later IPv4 fragments", with_header, &[]),
        ipv6(
            "later IPv6 fragments",
            fragment.clone(),
            &[],
            false,
            Some(&fragment),
        ),
        ipv6("IPv6 without a protocol", none, &[], false, Some(&before)),
    ]
}

/// Frames that end before the header that their EtherType names is whole.
pub fn cut_kinds() -> Vec<FrameKind> {
    let types = [
        ethertype::IPV4,
        ethertype::IPV6,
        ethertype::ARP,
        ethertype::RARP,
        ethertype::VLAN,
    ];
    let cut = |kind: u16| FrameKind {
        name: "cut-off headers",
        dimension: Dimension::EtherType,
        field: Field::EtherType,
        region: frames(IntervalSet::one(kind.into()), 0),
        plain: false,
        extensions: false,
    };
    types.map(cut).to_vec()
}

impl FrameKind {
    /// Its region with what is the same in all its frames made to agree: protocol and next
    /// header of IPv6.
    pub fn agreeing(&self, region: Region) -> Region {
        if !self.plain {
            return region;
        }
        let both = region
            .get(Field::Protocol)
            .intersection(region.get(Field::NextHeader));
        region
            .with(Field::Protocol, both.clone())
            .with(Field::NextHeader, both)
    }

    /// The frames of a part of this kind's region that there really are; none
    /// where there is none. Fields that hang together are made to agree.
    pub fn real(&self, region: &Region) -> Option<Region> {
        let mut region = self.agreeing(region.clone());
        let (from, to) = (region.get(Field::ArpSrc), region.get(Field::ArpDst));
        if *region.get(Field::ArpGratuitous) == IntervalSet::one(1) {
            let both = from.intersection(to);
            region = region
                .with(Field::ArpSrc, both.clone())
                .with(Field::ArpDst, both);
        } else if *region.get(Field::ArpGratuitous) == IntervalSet::one(0) {
            // One address each, which differ, stand for all that do.
            let to_pick = to.first()?;
            let others = from.minus(&IntervalSet::one(to_pick));
            region = if others.is_empty() {
                let rest = to.minus(from);
                region.with(Field::ArpDst, rest)
            } else {
                region
                    .with(Field::ArpSrc, others)
                    .with(Field::ArpDst, IntervalSet::one(to_pick))
            };
        }
        let empty = Field::ALL.iter().any(|field| region.get(*field).is_empty());
        (!empty).then_some(region)
    }
}

/// Destinations of frames that bridges forward.
fn destinations() -> IntervalSet {
    let kept = IntervalSet::range(0x0180_c200_0001, 0x0180_c200_000f);
    Field::DstMac.all().minus(&kept)
}

/// Sources of frames that bridges forward: not nobody, and no group, which an
/// odd first octet tells.
fn sources() -> IntervalSet {
    let octets = (0..=0xff_u128).step_by(2).map(|octet| octet << 40);
    let single = octets.map(|first| (first, first | 0xff_ffff_ffff));
    IntervalSet::of(single.collect()).minus(&IntervalSet::one(0))
}

/// Frames of the types that have no other fields than MACs, with `header`.
fn frames(types: IntervalSet, header: u128) -> Region {
    let always = [
        Field::EtherType,
        Field::DstMac,
        Field::SrcMac,
        Field::Header,
    ];
    let mut region = Region::everything();
    for field in Field::ALL {
        if !always.contains(&field) {
            region = region.with(field, IntervalSet::one(ABSENT));
        }
    }
    region
        .with(Field::EtherType, types)
        .with(Field::DstMac, destinations())
        .with(Field::SrcMac, sources())
        .with(Field::Header, IntervalSet::one(header))
}

fn of_type(kind: u16) -> Region {
    frames(IntervalSet::one(kind.into()), 1)
}

fn whole(mut region: Region, fields: &[Field]) -> Region {
    for field in fields {
        region = region.with(*field, field.all());
    }
    region
}

fn ipv4(name: &'static str, protocols: IntervalSet, upper: &[Field]) -> FrameKind {
    let addresses = IntervalSet::range(0, 0xffff_ffff);
    let region = whole(of_type(ethertype::IPV4), upper)
        .with(Field::Src, addresses.clone())
        .with(Field::Dst, addresses)
        .with(Field::Tos, Field::Tos.all())
        .with(Field::Protocol, protocols);
    FrameKind {
        name,
        dimension: Dimension::V4,
        field: Field::Dst,
        region,
        plain: false,
        extensions: false,
    }
}

fn ipv6(
    name: &'static str,
    protocols: IntervalSet,
    upper: &[Field],
    plain: bool,
    next: Option<&IntervalSet>,
) -> FrameKind {
    let region = whole(of_type(ethertype::IPV6), upper)
        .with(Field::Src, Field::Src.all())
        .with(Field::Dst, Field::Dst.all())
        .with(Field::Tos, Field::Tos.all())
        .with(Field::NextHeader, next.unwrap_or(&protocols).clone())
        .with(Field::Protocol, protocols);
    FrameKind {
        name,
        dimension: Dimension::V6,
        field: Field::Dst,
        region,
        plain,
        extensions: !plain,
    }
}

/// ARP between Ethernet MACs or others, for IPv4 addresses that are the same
/// (1) or not (0), or for another protocol.
fn arp(name: &'static str, kind: u16, ethernet: bool, same: Option<u128>) -> FrameKind {
    let mut region = of_type(kind)
        .with(Field::ArpOperation, Field::ArpOperation.all())
        .with(
            Field::ArpHardware,
            Field::ArpHardware.all().minus(&IntervalSet::one(1)),
        )
        .with(Field::ArpMacs, IntervalSet::one(u128::from(ethernet)))
        .with(
            Field::ArpProtocol,
            Field::ArpProtocol.all().minus(&IntervalSet::one(0x0800)),
        )
        .with(
            Field::ArpAddresses,
            IntervalSet::one(u128::from(same.is_some())),
        );
    if ethernet {
        region = whole(region, &[Field::ArpSrcMac, Field::ArpDstMac])
            .with(Field::ArpHardware, IntervalSet::one(1));
    }
    if let Some(same) = same {
        region = whole(region, &[Field::ArpSrc, Field::ArpDst])
            .with(Field::ArpProtocol, IntervalSet::one(0x0800))
            .with(Field::ArpGratuitous, IntervalSet::one(same));
    }
    let (dimension, field) = if same.is_some() {
        (Dimension::Arp, Field::ArpSrc)
    } else {
        (Dimension::EtherType, Field::ArpProtocol)
    };
    FrameKind {
        name,
        dimension,
        field,
        region,
        plain: false,
        extensions: false,
    }
}

fn vlan() -> FrameKind {
    FrameKind {
        name: "VLAN 0x8100",
        dimension: Dimension::EtherType,
        field: Field::VlanEncap,
        region: whole(of_type(ethertype::VLAN), &[Field::VlanId, Field::VlanEncap]),
        plain: false,
        extensions: false,
    }
}

fn other() -> FrameKind {
    let known = [
        ethertype::IPV4,
        ethertype::IPV6,
        ethertype::ARP,
        ethertype::RARP,
        ethertype::VLAN,
    ];
    let known = IntervalSet::of(known.map(|kind| (kind.into(), kind.into())).to_vec());
    FrameKind {
        name: "other EtherTypes",
        dimension: Dimension::EtherType,
        field: Field::EtherType,
        region: frames(Field::EtherType.all().minus(&known), 0),
        plain: false,
        extensions: false,
    }
}

//! The sets of addresses and MACs that the statements speak of.

use crate::frame::{BROADCAST, Mac};
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::reach::addresses;
use crate::policy::{LINK_LOCAL4, Policy, is_link_local};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr};

/// Who the guest is and what the policy calls the LAN, as sets.
#[derive(Debug, Clone)]
pub struct Places {
    /// The guest's MAC.
    pub guest: IntervalSet,
    /// MACs of single hosts.
    pub single: IntervalSet,
    /// The MAC of everyone.
    pub everyone_mac: IntervalSet,
    /// MACs of IPv4 groups (RFC 1112 section 6.4).
    pub group_macs4: IntervalSet,
    /// MACs of IPv6 groups (RFC 2464 section 7).
    pub group_macs6: IntervalSet,
    /// IPv4 addresses of the LAN's prefixes, without 169.254.0.0/16.
    pub lan4: IntervalSet,
    /// 169.254.0.0/16 where the policy has it.
    pub link4: IntervalSet,
    /// IPv4 addresses that the guest must be able to have.
    pub own4: IntervalSet,
    /// Where its IGMP reports come from: its address, or without a known one none at all too.
    pub reporters4: IntervalSet,
    /// Broadcast addresses of the LAN's prefixes.
    pub directed: IntervalSet,
    /// The router.
    pub gateway: IntervalSet,
    /// IPv4 nets that are allowed besides.
    pub allow4: IntervalSet,
    /// DHCP servers outside the LAN.
    pub servers: IntervalSet,
    /// 255.255.255.255.
    pub everyone: IntervalSet,
    /// All IPv4 groups.
    pub multicast4: IntervalSet,
    /// IPv4 groups that may be sent to.
    pub groups4: IntervalSet,
    /// IPv4 groups that are joined: those, and the ones that IGMP itself uses.
    pub joined4: IntervalSet,
    /// IPv6 addresses of the LAN.
    pub lan6: IntervalSet,
    /// Those of them that are link-local.
    pub link6: IntervalSet,
    /// The others.
    pub wide6: IntervalSet,
    /// IPv6 addresses that the guest must be able to have.
    pub own6: IntervalSet,
    /// IPv6 nets that are allowed besides.
    pub allow6: IntervalSet,
    /// IPv6 groups of the link.
    pub link_groups6: IntervalSet,
    /// IPv6 groups that may be sent to.
    pub groups6: IntervalSet,
    /// Whether the guest is a DHCP client.
    pub dhcp: bool,
    /// Whether it may send to everyone.
    pub broadcast: bool,
}

const LOCAL_GROUPS4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24);

impl Places {
    /// Those of a policy, for a guest with this MAC. `own` are the guest's addresses where they
    /// are known; without them of a family every address of the LAN may be the guest's.
    pub fn of(policy: &Policy, guest: Mac, own: &[IpAddr]) -> Self {
        let lan4 = nets4(&policy.lan4);
        let link4: Vec<Ipv4Net> = policy
            .link_local
            .then_some(LINK_LOCAL4)
            .into_iter()
            .collect();
        let link4 = nets4(&link4);
        let lan6 = nets6(&policy.lan6);
        let link6: Vec<Ipv6Net> = policy.lan6.iter().copied().filter(is_link_local).collect();
        let link6 = nets6(&link6);
        let [allow4, allow6] = allowed(policy);
        let gateway = singles(policy.gateway.map(|gateway| gateway.to_bits().into()));
        let [edges, directed] = edges(&policy.lan4);
        let no_hosts = gateway.union(&edges).union(&directed);
        let hosts4 = lan4.union(&link4).minus(&no_hosts);
        let everyone_mac = mac(BROADCAST);
        let block =
            |address: u128, size: u32| IntervalSet::range(address, address + (1 << size) - 1);
        let groups4 = nets4(&policy.groups4);
        let local = nets4(&[LOCAL_GROUPS4]);
        Self {
            guest: mac(guest),
            single: single_macs(),
            everyone_mac,
            group_macs4: block(0x0100_5e00_0000, 23),
            group_macs6: block(0x3333_0000_0000, 32),
            reporters4: reporters4(own, &hosts4, &lan4.union(&link4)),
            own4: known4(own).map_or(hosts4.clone(), |own| own.intersection(&hosts4)),
            lan4,
            link4,
            directed,
            gateway,
            allow4,
            servers: singles(
                policy
                    .dhcp
                    .servers
                    .iter()
                    .map(|server| server.to_bits().into()),
            ),
            everyone: IntervalSet::one(u32::MAX.into()),
            multicast4: IntervalSet::range(0xe000_0000, 0xefff_ffff),
            joined4: if groups4.is_empty() {
                IntervalSet::EMPTY
            } else {
                groups4.union(&local)
            },
            groups4,
            own6: known6(own).map_or(lan6.clone(), |own| own.union(&link6)),
            wide6: lan6.minus(&link6),
            lan6,
            link6,
            allow6,
            link_groups6: nets6(&["ff02::/16".parse().expect("a constant")]),
            groups6: nets6(&policy.groups6),
            dhcp: policy.dhcp.client,
            broadcast: policy.broadcast,
        }
    }

    /// IPv4 addresses of the LAN.
    pub fn all4(&self) -> IntervalSet {
        self.lan4.union(&self.link4)
    }
}

/// Where IGMP reports come from.
fn reporters4(own: &[IpAddr], hosts: &IntervalSet, lan: &IntervalSet) -> IntervalSet {
    let anyone = || lan.union(&IntervalSet::one(0));
    known4(own).map_or_else(anyone, |own| own.intersection(hosts))
}

/// What is allowed besides, by family.
fn allowed(policy: &Policy) -> [IntervalSet; 2] {
    let is_v4 = |net: &&IpNet| matches!(net, IpNet::V4(_));
    let (v4, v6): (Vec<&IpNet>, Vec<&IpNet>) = policy.allow.iter().partition(is_v4);
    [addresses(v4), addresses(v6)]
}

fn known4(own: &[IpAddr]) -> Option<IntervalSet> {
    let known = own.iter().filter_map(|address| match address {
        IpAddr::V4(v4) => Some(v4.to_bits().into()),
        IpAddr::V6(_) => None,
    });
    Some(singles(known)).filter(|set| !set.is_empty())
}

fn known6(own: &[IpAddr]) -> Option<IntervalSet> {
    let known = own.iter().filter_map(|address| match address {
        IpAddr::V6(v6) => Some(v6.to_bits()),
        IpAddr::V4(_) => None,
    });
    Some(singles(known)).filter(|set| !set.is_empty())
}

/// Network and broadcast addresses of prefixes that have them.
fn edges(nets: &[Ipv4Net]) -> [IntervalSet; 2] {
    let wide = nets.iter().filter(|net| net.prefix_len() < 31);
    let wide: Vec<&Ipv4Net> = wide.collect();
    [
        singles(wide.iter().map(|net| net.network().to_bits().into())),
        singles(wide.iter().map(|net| net.broadcast().to_bits().into())),
    ]
}

fn singles(values: impl IntoIterator<Item = u128>) -> IntervalSet {
    IntervalSet::of(values.into_iter().map(|value| (value, value)).collect())
}

fn nets4(nets: &[Ipv4Net]) -> IntervalSet {
    addresses(&nets.iter().copied().map(IpNet::V4).collect::<Vec<_>>())
}

fn nets6(nets: &[Ipv6Net]) -> IntervalSet {
    addresses(&nets.iter().copied().map(IpNet::V6).collect::<Vec<_>>())
}

/// A MAC as a set of one.
fn mac(mac: Mac) -> IntervalSet {
    let octets = mac.iter();
    IntervalSet::one(octets.fold(0, |value, octet| value << 8 | u128::from(*octet)))
}

/// MACs of single hosts: the lowest bit of the first octet is 0.
fn single_macs() -> IntervalSet {
    let octets = (0..=0xff_u128).step_by(2).map(|octet| octet << 40);
    let single = octets.map(|first| (first, first | 0xff_ffff_ffff));
    IntervalSet::of(single.collect()).intersection(&Field::DstMac.all())
}

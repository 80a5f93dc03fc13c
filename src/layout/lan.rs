//! The hosts of the LAN, and the addresses that guests get.

use super::error::LayoutError;
use super::host::Host;
use super::segment::Segment;
use super::view::Layout;
use super::{mac, wan};
use crate::frame::Mac;
use crate::policy::Policy;
use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Stands in where the policy names no IPv4 prefix (RFC 5737).
const DOCUMENTATION4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 0), 24);
/// Stands in where the policy names no global IPv6 prefix: what a provider would
/// delegate (RFC 3849).
const DELEGATED6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0), 64);

/// Prefix length of an IPv6 link (RFC 4291 section 2.5.1).
const LINK6: u8 = 64;
/// How many hosts of a prefix are looked at; a wide one has millions.
const HOSTS: usize = 250;
/// How many others precede the peer in a prefix with room for it: the peer is then the
/// tenth host, which reads well in reports.
const BEFORE_PEER: usize = 8;
/// Most guests with an address of their own: the number is the last octet of a MAC, and
/// a few octets are left for others.
const MOST_GUESTS: u8 = 200;

/// Interface identifiers of the LAN's IPv6 addresses.
const GATEWAY6: u128 = 1;
const PEER6: u128 = 10;
const GUESTS6: u128 = 0x100;

/// The LAN of a policy: what all guests in one lab share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lan {
    /// IPv4 prefix.
    pub lan4: Ipv4Net,
    /// IPv6 prefix besides link-local, a /64.
    pub lan6: Ipv6Net,
    /// The router.
    pub gateway: Host,
    /// The LAN peer.
    pub peer: Host,
    /// First and last IPv4 address that DHCP hands out.
    pub leases: (Ipv4Addr, Ipv4Addr),
    /// The address that all guests have, one after the other, where it is given.
    pub guest: Option<Ipv4Addr>,
    /// The MAC address that all guests have, one after the other, where it is given.
    pub guest_mac: Option<Mac>,
    /// What it is to libvirt.
    pub segment: Segment,
}

impl Lan {
    /// Lays the hosts out in the policy's first IPv4 prefix and its first IPv6 prefix that
    /// is not link-local. The router has the address that the policy names, else the
    /// first one.
    ///
    /// # Errors
    /// [`LayoutError::TooSmall`] when the IPv4 prefix has no room for a router, a peer and
    /// two guests.
    pub fn of(policy: &Policy) -> Result<Self, LayoutError> {
        Self::with_guest(policy, None)
    }

    /// The same with the address that the guest has; in the prefix that it belongs to. The
    /// other hosts make room for it.
    ///
    /// # Errors
    /// [`LayoutError::GuestOutside`] and [`LayoutError::NotForGuest`] besides those of [`Lan::of`].
    pub fn with_guest(policy: &Policy, guest: Option<Ipv4Addr>) -> Result<Self, LayoutError> {
        let lan4 = prefix(policy, guest)?;
        let global =
            |net: &&Ipv6Net| !net.network().is_unicast_link_local() && net.prefix_len() <= LINK6;
        let named6 = policy.lan6.iter().find(global);
        let lan6 = named6.map_or(DELEGATED6, |net| Ipv6Net::new_assert(net.network(), LINK6));
        let hosts = lan4.hosts().filter(|host| Some(*host) != guest);
        let hosts: Vec<Ipv4Addr> = hosts.take(HOSTS).collect();
        let named = policy.gateway.filter(|address| lan4.contains(address));
        let gateway = named.or_else(|| hosts.first().copied());
        let mut others = hosts.into_iter().filter(|host| Some(*host) != gateway);
        let peer = others.clone().nth(BEFORE_PEER).or_else(|| others.next());
        let free: Vec<Ipv4Addr> = others.filter(|host| Some(*host) > peer).collect();
        match (gateway, peer, free.as_slice()) {
            (Some(gateway), Some(_), _) if guest == Some(gateway) => {
                Err(LayoutError::NotForGuest(gateway, "the router's"))
            }
            (Some(gateway), Some(peer), [first, .., last]) => Ok(Self {
                guest,
                guest_mac: None,
                segment: Segment::default(),
                lan4,
                lan6,
                gateway: Host::new(mac::GATEWAY, gateway, host6(lan6, GATEWAY6)),
                peer: Host::new(mac::PEER, peer, host6(lan6, PEER6)),
                leases: (*first, *last),
            }),
            _ => Err(LayoutError::TooSmall(lan4)),
        }
    }

    /// The same for the lab, whose hosts are real: the guests need an IPv4 prefix that the
    /// policy names, and the WAN must be another network.
    ///
    /// # Errors
    /// [`LayoutError::NoIpv4`] and [`LayoutError::ContainsWan`] besides those of [`Lan::of`].
    pub fn for_lab(policy: &Policy, guest: Option<Ipv4Addr>) -> Result<Self, LayoutError> {
        if policy.lan4.is_empty() {
            return Err(LayoutError::NoIpv4);
        }
        let lan = Self::with_guest(policy, guest)?;
        wan::outside(lan.lan4, lan.lan6)?;
        Ok(lan)
    }

    /// The same where all guests, one after the other, have this MAC address, and so one IPv4
    /// address. A host of the LAN that has the same one makes room for it: two hosts with one MAC
    /// would have one link-local address too.
    #[must_use]
    pub fn with_guest_mac(mut self, mac: Option<Mac>) -> Self {
        let Some(guest) = mac else {
            return self;
        };
        for host in [&mut self.gateway, &mut self.peer] {
            if host.mac == guest {
                *host = Host::new(mac::beside(guest), host.v4, host.v6);
            }
        }
        self.guest = Some(self.lease(1));
        self.guest_mac = mac;
        self
    }

    /// The same as a bridge or as a network of libvirt's.
    #[must_use]
    pub fn with_segment(self, segment: Segment) -> Self {
        Self { segment, ..self }
    }

    /// All hosts with the guest of this number, from 1 on, at the address that DHCP keeps
    /// for it. `first_octet` replaces the first octet of its MAC, as a few NIC models do,
    /// unless the MAC is given.
    pub fn layout(&self, number: u8, first_octet: Option<u8>) -> Layout {
        let guest = Host::new(
            self.guest_mac
                .unwrap_or_else(|| mac::guest(number, first_octet)),
            self.lease(number),
            host6(self.lan6, GUESTS6 + u128::from(number)),
        );
        Layout {
            guest,
            peer: self.peer.clone(),
            gateway: self.gateway.clone(),
            lan4: self.lan4,
            lan6: self.lan6,
            wan4: wan::WAN4,
            wan6: wan::WAN6,
            wan_mac: mac::WAN,
        }
    }

    /// How many guests have an address of their own: all that DHCP hands out but one,
    /// which is left to clients without a number, and at most 200.
    pub fn guests(&self) -> u8 {
        let leases = u8::try_from(self.own_leases().count()).unwrap_or(u8::MAX);
        leases.saturating_sub(1).clamp(1, MOST_GUESTS)
    }

    /// The address that DHCP keeps for the guest with this number, from 1 on: known
    /// before the guest asks, since a filter may name it.
    pub fn lease(&self, number: u8) -> Ipv4Addr {
        if let Some(guest) = self.guest {
            return guest;
        }
        let place = usize::from(number.saturating_sub(1) % self.guests());
        self.own_leases().nth(place).unwrap_or(self.leases.0)
    }

    /// The addresses of the DHCP range that no host of the lab has.
    fn own_leases(&self) -> impl Iterator<Item = Ipv4Addr> {
        let range = self.leases.0.to_bits()..=self.leases.1.to_bits();
        let gateway = self.gateway.v4;
        range
            .map(Ipv4Addr::from_bits)
            .filter(move |address| *address != gateway)
    }
}

impl Layout {
    /// The layout of a policy's first guest, for those who have no lab.
    ///
    /// # Errors
    /// [`LayoutError::TooSmall`] as from [`Lan::of`].
    pub fn of(policy: &Policy) -> Result<Self, LayoutError> {
        Self::with_guest(policy, None)
    }

    /// The same with the address that the guest has.
    ///
    /// # Errors
    /// As from [`Lan::with_guest`].
    pub fn with_guest(policy: &Policy, guest: Option<Ipv4Addr>) -> Result<Self, LayoutError> {
        Ok(Lan::with_guest(policy, guest)?.layout(1, None))
    }
}

/// The IPv4 prefix of the test hosts: the policy's first, or that of the guest's address.
fn prefix(policy: &Policy, guest: Option<Ipv4Addr>) -> Result<Ipv4Net, LayoutError> {
    let Some(guest) = guest else {
        return Ok(policy.lan4.first().copied().unwrap_or(DOCUMENTATION4));
    };
    let own = policy.lan4.iter().find(|net| net.contains(&guest));
    let own = *own.ok_or(LayoutError::GuestOutside(guest))?;
    match guest {
        _ if own.prefix_len() >= 31 => Ok(own),
        _ if guest == own.network() => Err(LayoutError::NotForGuest(guest, "the prefix's own")),
        _ if guest == own.broadcast() => Err(LayoutError::NotForGuest(
            guest,
            "the prefix's broadcast address",
        )),
        _ => Ok(own),
    }
}

fn host6(net: Ipv6Net, host: u128) -> Ipv6Addr {
    Ipv6Addr::from_bits(net.network().to_bits() | host)
}

#[cfg(test)]
mod tests;

//! The networks of a policy by name, and who may talk to whom: the edges that a filter
//! has are theirs.

use super::rules;
use crate::layout::Layout;
use crate::policy::{LINK_LOCAL4, Policy, is_link_local};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name in ids: `lan-1`, `allowed-2` …
    pub name: String,
    /// Its addresses.
    pub net: IpNet,
}

/// What hosts speak to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upper {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP or `ICMPv6`.
    Icmp,
}

impl Upper {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Icmp];

    /// Its name in ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }

    /// Its name in summaries.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
        }
    }
}

/// Two networks whose hosts may talk, the first being the guest's.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Where the guest is.
    pub from: Place,
    /// Where it sends to.
    pub to: Place,
    /// What they speak.
    pub uppers: &'static [Upper],
}

fn numbered<'a>(name: &str, nets: impl IntoIterator<Item = &'a IpNet>) -> Vec<Place> {
    let place = |(at, net): (usize, &IpNet)| Place {
        name: format!("{name}-{}", at + 1),
        net: *net,
    };
    nets.into_iter().enumerate().map(place).collect()
}

/// The IPv4 networks that a guest may be in, 169.254.0.0/16 last where the policy has it.
pub fn sources4(policy: &Policy) -> Vec<Place> {
    let mut out = lan4(policy);
    out.extend(link_local4(policy));
    out
}

/// The IPv4 networks of the LAN.
pub fn lan4(policy: &Policy) -> Vec<Place> {
    let nets: Vec<IpNet> = policy.lan4.iter().copied().map(IpNet::V4).collect();
    numbered("lan", &nets)
}

fn link_local4(policy: &Policy) -> Option<Place> {
    policy.link_local.then(|| Place {
        name: "link-local4".to_owned(),
        net: IpNet::V4(LINK_LOCAL4),
    })
}

/// The IPv6 networks of the LAN.
pub fn lan6(policy: &Policy) -> Vec<Place> {
    let nets: Vec<IpNet> = policy.lan6.iter().copied().map(IpNet::V6).collect();
    numbered("lan6", &nets)
}

/// What the policy allows besides the LAN.
pub fn allowed(policy: &Policy) -> Vec<Place> {
    numbered("allowed", &policy.allow)
}

/// Who may talk to whom. Addresses of 169.254.0.0/16 talk to each other and to nobody
/// else (RFC 3927 section 2.6.2), and between link-local and other addresses of IPv6 there
/// is neighbour discovery only.
pub fn pairs(policy: &Policy) -> Vec<Pair> {
    let mut out = Vec::new();
    let mut add = |from: &Place, to: &Place, uppers| {
        out.push(Pair {
            from: from.clone(),
            to: to.clone(),
            uppers,
        });
    };
    let (lan4, lan6) = (lan4(policy), lan6(policy));
    let link_local = link_local4(policy);
    for from in &lan4 {
        for to in lan4.iter().chain(&link_local) {
            add(from, to, &Upper::ALL);
        }
    }
    if let Some(own) = &link_local {
        add(own, own, &Upper::ALL);
    }
    for from in &lan6 {
        for to in &lan6 {
            let same = is_local(&from.net) == is_local(&to.net);
            let uppers: &[Upper] = if same { &Upper::ALL } else { &[Upper::Icmp] };
            add(from, to, uppers);
        }
    }
    for to in allowed(policy) {
        let from = match to.net {
            IpNet::V4(_) => lan4.iter(),
            IpNet::V6(_) => lan6.iter(),
        };
        for from in from.filter(|from| !is_local(&from.net)) {
            add(from, &to, &Upper::ALL);
        }
    }
    out
}

fn is_local(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(net) if is_link_local(net))
}

impl Place {
    /// The last address that a host can have, but for those of the lab's own hosts and
    /// the router's.
    pub fn last_host(&self, policy: &Policy, layout: &Layout) -> IpAddr {
        let hosts = [&layout.guest, &layout.peer, &layout.gateway];
        let taken = |address: IpAddr| {
            policy.gateway.map(IpAddr::V4) == Some(address)
                || hosts.iter().any(|host| host.addresses().contains(&address))
        };
        let last = match self.net {
            IpNet::V4(net) => {
                let broadcast = u128::from(u32::from(net.broadcast()));
                broadcast - u128::from(net.prefix_len() < 31)
            }
            IpNet::V6(net) => net.broadcast().to_bits(),
        };
        let upwards = (0..4).map(|back| self.address(last.wrapping_sub(back)));
        let within = |address: &IpAddr| self.net.contains(address) && !taken(*address);
        let free = upwards.clone().find(within);
        free.unwrap_or_else(|| self.address(last))
    }

    fn address(&self, bits: u128) -> IpAddr {
        match self.net {
            IpNet::V4(_) => {
                IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)))
            }
            IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        }
    }

    /// The addresses right below and right above it that `is_foreign` says are no
    /// host's of the LAN, with a name for each.
    pub fn edges(&self, is_foreign: impl Fn(IpAddr) -> bool) -> Vec<(&'static str, IpAddr)> {
        let (below, above) = rules::neighbours(self.net);
        let sides = [("below", below), ("above", above)];
        let sides = sides.into_iter();
        sides
            .filter_map(|(side, address)| Some((side, address?)))
            .filter(|(_, address)| is_foreign(*address))
            .collect()
    }
}

//! Turns a policy file into a policy, refusing what cannot be meant.

use super::error::PolicyError;
use super::fence::Fence;
use super::file::{FenceTable, File};
use super::problem::{MAX_VALUES, Problem};
use super::types::{Dhcp, LINK_LOCAL4, Policy};
use crate::place::place;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr};
use toml::Spanned;

/// All IPv4 multicast (RFC 5771).
const MULTICAST4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4);

/// Checks a file and makes the policy of it.
///
/// # Errors
/// [`PolicyError::Value`] with the first value that cannot be meant.
pub fn check(file: &File, text: &str, origin: &str) -> Result<Policy, PolicyError> {
    let checker = Checker { text, origin };
    let no_groups = Vec::new();
    for list in [
        file.lan.prefixes.get_ref(),
        file.multicast.groups.as_ref().unwrap_or(&no_groups),
        &file.dhcp.servers,
        &file.allow.hosts,
    ] {
        checker.is_short(list)?;
    }
    let prefixes = checker.prefixes(&file.lan.prefixes)?;
    let (lan4, lan6) = split(&prefixes);
    let gateway = file
        .lan
        .gateway
        .as_ref()
        .map(|value| checker.gateway(value, &lan4))
        .transpose()?;
    let (groups4, groups6) = match &file.multicast.groups {
        Some(groups) => split(&checker.groups(groups)?),
        None => (
            vec![MULTICAST4],
            vec![Ipv6Net::new_assert(
                "ff02::".parse().expect("a constant"),
                16,
            )],
        ),
    };
    let servers = file
        .dhcp
        .servers
        .iter()
        .map(|value| checker.address4(value))
        .collect::<Result<_, _>>()?;
    Ok(Policy {
        name: checker.name(file.name.as_ref())?,
        lan4,
        lan6,
        gateway,
        link_local: file.lan.link_local,
        dhcp: Dhcp {
            client: file.dhcp.client,
            servers,
        },
        broadcast: file.broadcast.limited,
        groups4,
        groups6,
        allow: checker.allow(&file.allow.hosts, &prefixes)?,
        fence: checker.fence(&file.fence)?,
    })
}

fn split(nets: &[IpNet]) -> (Vec<Ipv4Net>, Vec<Ipv6Net>) {
    let v4 = nets.iter().filter_map(|net| {
        if let IpNet::V4(net) = net {
            Some(*net)
        } else {
            None
        }
    });
    let v6 = nets.iter().filter_map(|net| {
        if let IpNet::V6(net) = net {
            Some(*net)
        } else {
            None
        }
    });
    (v4.collect(), v6.collect())
}

struct Checker<'a> {
    text: &'a str,
    origin: &'a str,
}

impl Checker<'_> {
    fn error<T>(&self, value: &Spanned<T>, problem: Problem) -> PolicyError {
        PolicyError::Value {
            place: place(self.origin, self.text, value.span().start),
            problem,
        }
    }

    /// That a filter made of the list could be bound.
    fn is_short(&self, values: &[Spanned<String>]) -> Result<(), PolicyError> {
        values.get(MAX_VALUES).map_or(Ok(()), |value| {
            Err(self.error(value, Problem::TooManyValues))
        })
    }

    /// libvirt makes a file of the name, so it must be a plain file name; the
    /// schema wants an NCName.
    fn name(&self, value: Option<&Spanned<String>>) -> Result<String, PolicyError> {
        let Some(value) = value else {
            return Ok("lan-only".into());
        };
        let name = value.get_ref();
        let good = name.len() <= 64
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if good {
            return Ok(name.clone());
        }
        Err(self.error(value, Problem::Name(name.clone())))
    }

    fn net(&self, value: &Spanned<String>) -> Result<IpNet, PolicyError> {
        let text = value.get_ref();
        let Ok(net) = text.parse::<IpNet>() else {
            let problem = match text.parse::<IpAddr>() {
                Ok(address) => Problem::NoPrefixLength(address),
                Err(_) => Problem::NotAPrefix(text.clone()),
            };
            return Err(self.error(value, problem));
        };
        if net == net.trunc() {
            Ok(net)
        } else {
            Err(self.error(value, Problem::HostBits(net)))
        }
    }

    fn prefixes(&self, values: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<IpNet>, PolicyError> {
        if values.get_ref().is_empty() {
            return Err(self.error(values, Problem::NoPrefix));
        }
        let mut nets: Vec<IpNet> = Vec::new();
        for value in values.get_ref() {
            let net = self.net(value)?;
            if let Some(problem) = not_lan(net) {
                return Err(self.error(value, problem));
            }
            let overlaps = |other: &&IpNet| other.contains(&net) || net.contains(*other);
            if let Some(&other) = nets.iter().find(overlaps) {
                return Err(self.error(value, Problem::Overlap { net, other }));
            }
            nets.push(net);
        }
        Ok(nets)
    }

    fn gateway(&self, value: &Spanned<String>, lan4: &[Ipv4Net]) -> Result<Ipv4Addr, PolicyError> {
        let address = self.address4(value)?;
        if lan4.iter().any(|net| net.contains(&address)) {
            return Ok(address);
        }
        Err(self.error(value, Problem::GatewayOutside(address)))
    }

    fn address4(&self, value: &Spanned<String>) -> Result<Ipv4Addr, PolicyError> {
        let text = value.get_ref();
        let address = text.parse();
        address.map_err(|_| self.error(value, Problem::NotIpv4(text.clone())))
    }

    fn groups(&self, values: &[Spanned<String>]) -> Result<Vec<IpNet>, PolicyError> {
        let group = |value: &Spanned<String>| {
            let net = self.net(value)?;
            let multicast = match net {
                IpNet::V4(v4) => MULTICAST4.contains(&v4),
                IpNet::V6(v6) => v6.network().is_multicast() && v6.prefix_len() >= 8,
            };
            if multicast {
                Ok(net)
            } else {
                Err(self.error(value, Problem::NotMulticast(net)))
            }
        };
        values.iter().map(group).collect()
    }

    fn allow(&self, values: &[Spanned<String>], lan: &[IpNet]) -> Result<Vec<IpNet>, PolicyError> {
        let host = |value: &Spanned<String>| {
            let net = self.net(value)?;
            if net.prefix_len() == 0 || net.network().is_multicast() {
                return Err(self.error(value, Problem::NoHost(net)));
            }
            match lan.iter().find(|other| other.contains(&net)) {
                Some(&lan) => Err(self.error(value, Problem::OnLan { net, lan })),
                None => Ok(net),
            }
        };
        values.iter().map(host).collect()
    }
}

impl Checker<'_> {
    fn fence(&self, table: &FenceTable) -> Result<Fence, PolicyError> {
        let bridge = |value| self.named(value, is_device_name, Problem::NoBridge);
        let network = |value| self.named(value, is_plain_name, Problem::NoNetwork);
        let guest = |value: &Spanned<String>| {
            let text = value.get_ref();
            let pattern = Some(text).filter(|text| is_plain_name(text));
            let pattern = pattern.and_then(|text| glob::Pattern::new(text).ok());
            pattern.ok_or_else(|| self.error(value, Problem::NoGuest(text.clone())))
        };
        Ok(Fence {
            bridges: table.bridges.iter().map(bridge).collect::<Result<_, _>>()?,
            networks: table
                .networks
                .iter()
                .map(network)
                .collect::<Result<_, _>>()?,
            guests: table.guests.iter().map(guest).collect::<Result<_, _>>()?,
        })
    }

    /// A name that could be one.
    fn named(
        &self,
        value: &Spanned<String>,
        is_name: fn(&str) -> bool,
        problem: fn(String) -> Problem,
    ) -> Result<String, PolicyError> {
        let name = value.get_ref();
        if is_name(name) {
            return Ok(name.clone());
        }
        Err(self.error(value, problem(name.clone())))
    }
}

/// Whether libvirt would have a guest or network of this name.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\n'])
}

/// Whether the kernel would have a device of this name (`dev_valid_name`).
fn is_device_name(name: &str) -> bool {
    let odd = |c: char| c == '/' || c == ':' || c.is_whitespace();
    (1..16).contains(&name.len()) && !name.contains(odd) && ![".", ".."].contains(&name)
}

/// Why a prefix cannot be one of the LAN's; none where it can.
fn not_lan(net: IpNet) -> Option<Problem> {
    let address = net.network();
    let is_within = |range: Ipv4Net| matches!(net, IpNet::V4(v4) if range.contains(&v4));
    let is_around = |range: Ipv4Net| matches!(net, IpNet::V4(v4) if v4.contains(&range));
    if net.prefix_len() == 0 || address.is_unspecified() {
        Some(Problem::WholeInternet(net))
    } else if address.is_multicast() || is_within(MULTICAST4) {
        Some(Problem::Multicast(net))
    } else if address.is_loopback() {
        Some(Problem::Loopback(net))
    } else if is_within(LINK_LOCAL4) || is_around(LINK_LOCAL4) {
        Some(Problem::LinkLocal4(net))
    } else {
        None
    }
}

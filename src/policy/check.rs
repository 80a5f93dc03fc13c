//! Turns a policy file into a policy, refusing what cannot be meant.

use super::error::PolicyError;
use super::file::File;
use super::{Dhcp, LINK_LOCAL4, Policy};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr};
use toml::Spanned;

/// All IPv4 multicast (RFC 5771).
const MULTICAST4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4);

/// Most values of one list.
const MAX_VALUES: usize = 256;

/// Checks a file and makes the policy of it.
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
    fn error<T>(
        &self,
        value: &Spanned<T>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> PolicyError {
        PolicyError::at(self.origin, self.text, value.span().start, what, cure)
    }

    /// That a filter made of the list could be bound.
    fn is_short(&self, values: &[Spanned<String>]) -> Result<(), PolicyError> {
        let Some(value) = values.get(MAX_VALUES) else {
            return Ok(());
        };
        let what = format!("this list has more than {MAX_VALUES} values");
        let cure =
            "name wider prefixes: libvirt needs 15 ms for each rule, and a rule for each value";
        Err(self.error(value, what, cure))
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
        let cure = "start with a letter, then letters, digits, `.`, `_` and `-`, at most 64 in all";
        Err(self.error(
            value,
            format!("`{name}` cannot be the name of a filter"),
            cure,
        ))
    }

    fn net(&self, value: &Spanned<String>) -> Result<IpNet, PolicyError> {
        let text = value.get_ref();
        let Ok(net) = text.parse::<IpNet>() else {
            let cure = match text.parse::<IpAddr>() {
                Ok(IpAddr::V4(v4)) => {
                    format!("write the prefix length: `{v4}/32` for one host, `{v4}/24` for a LAN")
                }
                Ok(IpAddr::V6(v6)) => format!("write the prefix length: `{v6}/128` for one host"),
                Err(_) => "write it as `192.168.1.0/24` or `fd00:1::/64`".to_owned(),
            };
            return Err(self.error(value, format!("`{text}` is no prefix"), cure));
        };
        if net != net.trunc() {
            let what = format!("`{text}` has host bits set under its mask");
            return Err(self.error(value, what, format!("write `{}`", net.trunc())));
        }
        Ok(net)
    }

    fn prefixes(&self, values: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<IpNet>, PolicyError> {
        if values.get_ref().is_empty() {
            return Err(self.error(
                values,
                "the LAN has no prefix",
                "name at least one, as in `[\"192.168.1.0/24\"]`",
            ));
        }
        let mut nets: Vec<IpNet> = Vec::new();
        for value in values.get_ref() {
            let net = self.net(value)?;
            self.is_lan(value, net)?;
            if let Some(other) = nets
                .iter()
                .find(|other| other.contains(&net) || net.contains(*other))
            {
                let what = format!("`{net}` overlaps `{other}`");
                return Err(self.error(value, what, "keep the wider one only"));
            }
            nets.push(net);
        }
        Ok(nets)
    }

    fn is_lan(&self, value: &Spanned<String>, net: IpNet) -> Result<(), PolicyError> {
        let address = net.network();
        if net.prefix_len() == 0 || address.is_unspecified() {
            let cure =
                "name the networks of the LAN; a filter that lets everything out needs no lanfence";
            return Err(self.error(
                value,
                format!("`{net}` is the whole internet, or no network at all"),
                cure,
            ));
        }
        if address.is_multicast() || matches!(net, IpNet::V4(v4) if MULTICAST4.contains(&v4)) {
            return Err(self.error(
                value,
                format!("`{net}` is multicast"),
                "put it into `groups` of [multicast]",
            ));
        }
        if address.is_loopback() {
            return Err(self.error(
                value,
                format!("`{net}` is loopback"),
                "take it out: it never leaves a host",
            ));
        }
        if matches!(net, IpNet::V4(v4) if LINK_LOCAL4.contains(&v4) || v4.contains(&LINK_LOCAL4)) {
            let cure = "take it out and set `link-local = true` in [lan]";
            return Err(self.error(value, format!("`{net}` is IPv4 link-local"), cure));
        }
        Ok(())
    }

    fn gateway(&self, value: &Spanned<String>, lan4: &[Ipv4Net]) -> Result<Ipv4Addr, PolicyError> {
        let address = self.address4(value)?;
        if lan4.iter().any(|net| net.contains(&address)) {
            return Ok(address);
        }
        let what = format!("the gateway {address} is in none of the LAN's prefixes");
        Err(self.error(
            value,
            what,
            "name the router's address on the LAN, or leave `gateway` out",
        ))
    }

    fn address4(&self, value: &Spanned<String>) -> Result<Ipv4Addr, PolicyError> {
        let text = value.get_ref();
        text.parse().map_err(|_| {
            self.error(
                value,
                format!("`{text}` is no IPv4 address"),
                "write it as `192.168.1.1`, without a mask",
            )
        })
    }

    fn groups(&self, values: &[Spanned<String>]) -> Result<Vec<IpNet>, PolicyError> {
        let group = |value: &Spanned<String>| {
            let net = self.net(value)?;
            let multicast = match net {
                IpNet::V4(v4) => MULTICAST4.contains(&v4),
                IpNet::V6(v6) => v6.network().is_multicast() && v6.prefix_len() >= 8,
            };
            let cure = "groups are within 224.0.0.0/4 and ff00::/8";
            if multicast {
                Ok(net)
            } else {
                Err(self.error(value, format!("`{net}` is not multicast"), cure))
            }
        };
        values.iter().map(group).collect()
    }

    fn allow(&self, values: &[Spanned<String>], lan: &[IpNet]) -> Result<Vec<IpNet>, PolicyError> {
        let host = |value: &Spanned<String>| {
            let net = self.net(value)?;
            if net.prefix_len() == 0 || net.network().is_multicast() {
                return Err(self.error(
                    value,
                    format!("`{net}` is no host outside the LAN"),
                    "name single hosts or networks",
                ));
            }
            if let Some(other) = lan.iter().find(|other| other.contains(&net)) {
                return Err(self.error(
                    value,
                    format!("`{net}` is in the LAN's `{other}` already"),
                    "take it out",
                ));
            }
            Ok(net)
        };
        values.iter().map(host).collect()
    }
}

//! How libvirt comes by the guest's address where nothing gives it: the variable `IP` and the
//! parameter `CTRL_IP_LEARNING` (libvirt's `src/nwfilter/nwfilter_gentech_driver.c`,
//! `nwfilter_learnipaddr.c` and `nwfilter_dhcpsnoop.c`).
//!
//! libvirt learns where `IP` is the one variable without a value. Until then it does not apply
//! the filter, but rules of its own.

use super::evaluate::{Backend, CompileError, Compiled};
use super::model::{Element, Entry, Filter, Rule};
use super::tree::{FilterTree, TreeError};
use super::vocabulary::{Action, Protocol, ROOT, RuleDirection, variables};
use crate::frame::{BROADCAST, Mac, mac_text};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// The servers whose answers pass while libvirt waits for a lease.
const DHCP_SERVER: &str = "DHCPSERVER";

/// What libvirt learns the guest's address from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Learning {
    /// The guest's first ARP or IPv4 frame with an address, or its DHCP lease. libvirt's default.
    Any,
    /// Its DHCP lease alone.
    Dhcp,
}

impl Learning {
    /// As the parameter's value.
    pub fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Dhcp => "dhcp",
        }
    }

    /// What the interface's parameters ask for; none where they forbid it, or ask for what
    /// libvirt does not know. It takes any case, and without the parameter `any`.
    pub fn of(parameters: &[(String, String)]) -> Option<Self> {
        let value = values(parameters, variables::LEARNING).next();
        match value.unwrap_or("any").to_ascii_lowercase().as_str() {
            "any" => Some(Self::Any),
            "dhcp" => Some(Self::Dhcp),
            _ => None,
        }
    }

    /// The rules that are in force while libvirt learns, as a filter: frames to the guest are
    /// not filtered with [`Learning::Any`] (measured: docs/measurements.md#M51).
    pub fn filter(self, parameters: &[(String, String)]) -> Filter {
        let entries = match self {
            Self::Any => any_rules(),
            Self::Dhcp => dhcp_rules(parameters),
        };
        Filter {
            name: "libvirt-learns".to_owned(),
            chain: ROOT.to_owned(),
            priority: None,
            uuid: None,
            entries: entries.into_iter().map(Entry::Rule).collect(),
        }
    }
}

fn any_rules() -> Vec<Rule> {
    let own = [("srcmacaddr", "$MAC")];
    vec![
        rule(
            Action::Drop,
            RuleDirection::Out,
            Some(element(Protocol::Mac, false, &own)),
        ),
        rule(
            Action::Accept,
            RuleDirection::Out,
            Some(element(Protocol::Ip, true, &[])),
        ),
        rule(
            Action::Accept,
            RuleDirection::Out,
            Some(element(Protocol::Arp, true, &[])),
        ),
        rule(Action::Drop, RuleDirection::Out, None),
    ]
}

fn dhcp_rules(parameters: &[(String, String)]) -> Vec<Rule> {
    let broadcast = mac_text(BROADCAST);
    let ask = [
        ("srcmacaddr", "$MAC"),
        ("protocol", "udp"),
        ("srcportstart", "68"),
        ("dstportstart", "67"),
    ];
    let mut rules = vec![
        rule(
            Action::Accept,
            RuleDirection::Out,
            Some(element(Protocol::Ip, true, &ask)),
        ),
        rule(Action::Drop, RuleDirection::Out, None),
    ];
    let servers: Vec<&str> = values(parameters, DHCP_SERVER).collect();
    let any = [""];
    let servers = if servers.is_empty() {
        &any[..]
    } else {
        &servers
    };
    for server in servers {
        for to in ["$MAC", &broadcast] {
            let mut answer = vec![
                ("dstmacaddr", to),
                ("protocol", "udp"),
                ("srcportstart", "67"),
                ("dstportstart", "68"),
            ];
            if !server.is_empty() {
                answer.push(("srcipaddr", server));
            }
            let answer = element(Protocol::Ip, true, &answer);
            rules.push(rule(Action::Accept, RuleDirection::In, Some(answer)));
        }
    }
    rules.push(rule(Action::Drop, RuleDirection::In, None));
    rules
}

fn rule(action: Action, direction: RuleDirection, element: Option<Element>) -> Rule {
    Rule {
        action,
        direction,
        priority: None,
        statematch: true,
        elements: element.into_iter().collect(),
    }
}

fn element(protocol: Protocol, positive: bool, attributes: &[(&str, &str)]) -> Element {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Element {
        protocol,
        positive,
        attributes: attributes.iter().map(owned).collect(),
    }
}

/// Where the guest's address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressSource {
    /// No rule asks for it.
    NotAsked,
    /// A parameter or a reference gives it.
    Given,
    /// libvirt learns it from the guest's frames.
    Learnt(Learning),
}

/// A tree of filters as an interface gets it.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The rules that are in force when the address is known.
    pub filter: Compiled,
    /// Where the address comes from.
    pub address: AddressSource,
    /// The rules until then, where libvirt learns it.
    pub while_learning: Option<Compiled>,
}

/// The values that parameters give to a variable, in order.
pub fn values<'a>(
    parameters: &'a [(String, String)],
    variable: &'a str,
) -> impl Iterator<Item = &'a str> {
    let named = parameters.iter().filter(move |(name, _)| name == variable);
    named.map(|(_, value)| value.as_str())
}

/// The guest's address where the interface's parameters give it; the first of a list.
pub fn given_address(parameters: &[(String, String)]) -> Option<Ipv4Addr> {
    values(parameters, variables::IP).find_map(|value| value.parse().ok())
}

impl FilterTree {
    /// Compiles it for an interface as libvirt binds it: where `IP` is the one variable without
    /// a value, libvirt learns it, and `address` stands for what it will learn.
    ///
    /// # Errors
    /// Whatever makes libvirt refuse to bind it, with the place in its file.
    pub fn bind(
        &self,
        mac: Mac,
        address: Ipv4Addr,
        parameters: &[(String, String)],
        backend: Backend,
    ) -> Result<Bound, TreeError> {
        let compile = |parameters: &[(String, String)]| {
            Compiled::with_backend(&self.filters, &self.top, mac, parameters, backend)
        };
        let unset = match compile(parameters) {
            Ok(filter) => {
                return Ok(Bound {
                    filter,
                    address: if self.asks_for_address() {
                        AddressSource::Given
                    } else {
                        AddressSource::NotAsked
                    },
                    while_learning: None,
                });
            }
            Err(error) => error,
        };
        let CompileError::Unset { origin, .. } = &unset else {
            return Err(self.located(unset));
        };
        let mut known = parameters.to_vec();
        known.push((variables::IP.to_owned(), address.to_string()));
        // With a second variable that has no value, libvirt learns nothing.
        let filter = compile(&known).map_err(|error| self.located(error))?;
        let Some(learning) = Learning::of(parameters) else {
            return Err(self.located(CompileError::NotLearnt {
                origin: origin.clone(),
                learning: values(parameters, variables::LEARNING).collect(),
            }));
        };
        let rules = learning.filter(parameters);
        let name = rules.name.clone();
        let while_learning = Compiled::with_backend(&[rules], &name, mac, &[], backend);
        Ok(Bound {
            filter,
            address: AddressSource::Learnt(learning),
            while_learning: Some(while_learning.map_err(|error| self.located(error))?),
        })
    }

    /// The guest's address where the interface's parameters give it, or else a reference among
    /// the filters.
    pub fn given_address(&self, parameters: &[(String, String)]) -> Option<Ipv4Addr> {
        let entries = self.filters.iter().flat_map(|filter| &filter.entries);
        let mut references = entries.filter_map(|entry| match entry {
            Entry::Reference(reference) => Some(&reference.parameters),
            Entry::Rule(_) => None,
        });
        given_address(parameters).or_else(|| references.find_map(|set| given_address(set)))
    }

    /// Whether any rule has the variable.
    fn asks_for_address(&self) -> bool {
        let mut asked = self.filters.iter().flat_map(Filter::variables);
        asked.any(|name| name == variables::IP)
    }
}

#[cfg(test)]
mod tests;

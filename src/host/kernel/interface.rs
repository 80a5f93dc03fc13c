//! The rules of one interface, such that those of two interfaces can be compared.

use crate::frame::{Mac, mac_text};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The back end and layer that a rule belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Layer 2 of libvirt's ebtables back end.
    Ebtables,
    /// Its layer 3, IPv4.
    Iptables,
    /// Its layer 3, IPv6.
    Ip6tables,
    /// Both layers of its nftables back end.
    Nftables,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ebtables => "ebtables",
            Self::Iptables => "iptables",
            Self::Ip6tables => "ip6tables",
            Self::Nftables => "nft",
        })
    }
}

/// The rules of an interface. Its name reads `DEVICE`, its MAC `$MAC`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceRules {
    /// What leads from the kernel's hooks to its chains.
    pub hooks: Vec<(Layer, String)>,
    /// Each rule of its chains behind the name of the chain, in their order within a chain.
    pub chains: Vec<(Layer, String)>,
    /// libvirt is just making chains anew.
    pub rebuilding: bool,
}

/// In what an interface's rules differ from those that this libvirt makes of its filter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// There is no rule at all.
    Nothing,
    /// Nothing leads to the chains.
    Unhooked(String),
    /// Something leads to the chains that should not, or twice.
    Hooked(String),
    /// A rule is missing.
    Missing(String),
    /// A rule is there that the filter does not ask for.
    Foreign(String),
    /// The rules are there in another order.
    Order(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("the kernel has no rule for it"),
            Self::Unhooked(rule) => {
                write!(
                    f,
                    "the kernel does not come to its rules: `{rule}` is missing"
                )
            }
            Self::Hooked(rule) => write!(f, "the kernel has `{rule}` once too often"),
            Self::Missing(rule) => write!(f, "its rule `{rule}` is missing in the kernel"),
            Self::Foreign(rule) => {
                write!(
                    f,
                    "the kernel has the rule `{rule}`, which its filter does not have"
                )
            }
            Self::Order(rule) => write!(f, "its rules are in another order from `{rule}` on"),
        }
    }
}

impl Difference {
    /// Whether frames may pass that the filter stops: all but a rule that accepts and is missing,
    /// or one that drops and is too many.
    pub fn may_open(&self) -> bool {
        let ends = |rule: &str, verdict: &str| {
            let last = rule.split_whitespace().next_back();
            last.is_some_and(|last| last.eq_ignore_ascii_case(verdict))
        };
        match self {
            Self::Nothing | Self::Unhooked(_) | Self::Order(_) => true,
            Self::Missing(rule) => !ends(rule, "accept"),
            Self::Foreign(rule) => !ends(rule, "drop"),
            // The chains that it leads to are compared by themselves.
            Self::Hooked(_) => false,
        }
    }
}

impl InterfaceRules {
    /// Whether it has rules there.
    pub fn has(&self, layer: Layer) -> bool {
        self.chains.iter().any(|(of, _)| *of == layer)
    }

    /// Whether there are rules of layer 3 that need br_netfilter: packets of a bridge come to
    /// iptables by it only.
    pub fn needs_br_netfilter(&self) -> bool {
        self.has(Layer::Iptables) || self.has(Layer::Ip6tables)
    }

    /// Puts the chains into an order that does not hang on when they were made.
    pub(super) fn sort(&mut self) {
        self.hooks.sort();
        let chain = |(layer, rule): &(Layer, String)| {
            let end = rule.find(" -").unwrap_or(rule.len());
            (*layer, rule[..end].to_owned())
        };
        // Stable: the rules of a chain keep their order.
        self.chains.sort_by_key(chain);
    }

    /// A difference from the rules that it should have, one that may open it before all others;
    /// none where there is none.
    pub fn difference(&self, wanted: &Self) -> Option<Difference> {
        let all = self.differences(wanted);
        let opens = all.iter().find(|one| one.may_open());
        opens.or(all.first()).cloned()
    }

    fn differences(&self, wanted: &Self) -> Vec<Difference> {
        if self.chains.is_empty() && self.hooks.is_empty() && !wanted.chains.is_empty() {
            return vec![Difference::Nothing];
        }
        let text = |(_, rule): &(Layer, String)| rule.clone();
        // The rules of one that the other lacks, each as often as it does.
        let lacks = |has: &[(Layer, String)], of: &[(Layer, String)]| {
            let mut left = has.to_vec();
            let missing = of.iter().filter(|rule| {
                let at = left.iter().position(|other| other == *rule);
                at.map(|at| left.swap_remove(at)).is_none()
            });
            missing.map(text).collect::<Vec<_>>()
        };
        let of = |kind: fn(String) -> Difference, rules: Vec<String>| rules.into_iter().map(kind);
        let mut out: Vec<Difference> =
            of(Difference::Unhooked, lacks(&self.hooks, &wanted.hooks)).collect();
        out.extend(of(Difference::Missing, lacks(&self.chains, &wanted.chains)));
        out.extend(of(Difference::Foreign, lacks(&wanted.chains, &self.chains)));
        out.extend(of(Difference::Hooked, lacks(&wanted.hooks, &self.hooks)));
        if out.is_empty() {
            let mut pairs = self.chains.iter().zip(&wanted.chains);
            let at = pairs.find(|(is, wanted)| is != wanted);
            out.extend(at.map(|(is, _)| Difference::Order(text(is))));
        }
        out
    }
}

/// An interface's name and MAC, to be replaced in rules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub device: &'a str,
    pub mac: Option<Mac>,
}

/// What libvirt puts before a chain's name while it makes it, and afterwards
/// (`CHAINPREFIX_HOST_IN_TEMP` and its like in `nwfilter_ebiptables_driver.c`).
const TEMPORARY: [(&str, &str); 7] = [
    ("libvirt-J-", "libvirt-I-"),
    ("libvirt-P-", "libvirt-O-"),
    ("FJ-", "FI-"),
    ("FP-", "FO-"),
    ("HJ-", "HI-"),
    ("J-", "I-"),
    ("P-", "O-"),
];

/// Whether a chain is libvirt's for this device.
pub(super) fn is_own_chain(chain: &str, device: &str) -> bool {
    let mut prefixes = TEMPORARY.iter().flat_map(|(new, old)| [*new, *old]);
    prefixes.any(|prefix| {
        let rest = chain.strip_prefix(prefix);
        let rest = rest.and_then(|rest| rest.strip_prefix(device));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

/// Whether libvirt is just making a chain.
pub(super) fn is_temporary(chain: &str) -> bool {
    TEMPORARY.iter().any(|(new, _)| chain.starts_with(new))
}

impl Names<'_> {
    /// A chain's name for any device, finished or not.
    pub fn chain(&self, name: &str) -> String {
        let renamed = TEMPORARY.iter().find_map(|(new, old)| {
            let rest = name.strip_prefix(new)?;
            Some(format!("{old}{rest}"))
        });
        let name = renamed.unwrap_or_else(|| name.to_owned());
        let own = is_own_chain(&name, self.device);
        if own {
            return name.replacen(self.device, "DEVICE", 1);
        }
        name
    }

    /// A rule's text with the names replaced; counters of nft's rules go.
    pub fn replaced(&self, text: &str) -> String {
        let mut out: Vec<String> = Vec::new();
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            if ["packets", "bytes"].contains(&word) {
                words.next();
                continue;
            }
            out.push(self.word(word));
        }
        out.join(" ")
    }

    fn word(&self, word: &str) -> String {
        let bare = word.trim_matches('"');
        if bare == self.device {
            return "DEVICE".into();
        }
        if let Some(mac) = as_mac(bare) {
            return if Some(mac) == self.mac {
                "$MAC".into()
            } else {
                mac_text(mac)
            };
        }
        if is_own_chain(bare, self.device) {
            return self.chain(bare);
        }
        // The nftables back end names chains DEVICE-in, DEVICE-out and DEVICE-CHAIN-in, and
        // those that it is just making with `n-` before that.
        let bare = bare.strip_prefix("n-").unwrap_or(bare);
        let rest = bare.strip_prefix(self.device);
        match rest.filter(|rest| rest.ends_with("-in") || rest.ends_with("-out")) {
            Some(rest) => format!("DEVICE{rest}"),
            None => word.to_owned(),
        }
    }
}

/// A MAC as one of the tools prints it: some leave leading zeros out.
fn as_mac(word: &str) -> Option<Mac> {
    let octets: Option<Vec<u8>> = word
        .split(':')
        .map(|octet| {
            u8::from_str_radix(octet, 16)
                .ok()
                .filter(|_| octet.len() <= 2)
        })
        .collect();
    octets?.try_into().ok()
}

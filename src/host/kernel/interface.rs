//! The rules of one interface, such that those of two interfaces can be compared.

use crate::frame::{Mac, mac_text, to_hex};
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

    /// Whether nothing in the kernel is its own.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.hooks.is_empty()
    }

    fn differences(&self, wanted: &Self) -> Vec<Difference> {
        if self.is_empty() && !wanted.chains.is_empty() {
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
        // Bits of the raw payload that a number stands for.
        let mut raw = None;
        while let Some(word) = words.next() {
            if ["packets", "bytes"].contains(&word) {
                words.next();
                continue;
            }
            raw = raw_bits(word).or(raw);
            out.push(match raw {
                Some(bits) if word.starts_with("0x") => self.number(word, bits),
                _ => self.word(word),
            });
        }
        out.join(" ")
    }

    /// A number of raw payload, `@nh,48,96 0x352540000…`: nft joins fields that lie side by side,
    /// so that the MAC stands between others, and leaves leading zeros out.
    fn number(&self, word: &str, bits: usize) -> String {
        let (digits, end) = match word.strip_suffix(',') {
            Some(word) => (&word[2..], ","),
            None => (&word[2..], ""),
        };
        let mut text = format!("{digits:0>width$}", width = bits / 4);
        if let Some(mac) = self.mac {
            let mac = to_hex(&mac);
            let mut from = 0;
            while let Some(found) = text[from..].find(&mac) {
                let at = from + found;
                // Only whole octets are a MAC.
                if at % 2 == 0 {
                    text.replace_range(at..at + mac.len(), "MAC_OF_GUEST");
                }
                from = at + 1;
            }
        }
        format!("0x{text}{end}")
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

/// How many bits a word such as `@nh,48,96` stands for; none where they are not whole octets.
fn raw_bits(word: &str) -> Option<usize> {
    let bits = word.strip_prefix('@')?.rsplit_once(',')?.1.parse().ok()?;
    (bits % 8 == 0).then_some(bits)
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// nft joins the fields of RARP that lie side by side: operation, MAC and address.
    #[rstest]
    #[case::between_others(
        [0x52, 0x54, 0, 0, 0, 1],
        "@nh,0,16 0x1 @nh,48,96 0x352540000000100000000 counter packets 3 bytes 84 accept",
        "@nh,0,16 0x0001 @nh,48,96 0x0003MAC_OF_GUEST00000000 counter accept"
    )]
    #[case::first([0x52, 0x54, 0, 0, 0, 1], "@nh,144,80 0x52540000000100000000", "@nh,144,80 0xMAC_OF_GUEST00000000")]
    #[case::behind_zeros_that_are_left_out([2, 0, 0, 0, 0, 0x0a], "@nh,144,80 0x2000000000a00000000", "@nh,144,80 0xMAC_OF_GUEST00000000")]
    #[case::in_a_set([2, 0, 0, 0, 0, 0x0a], "@nh,144,48 { 0x20000000001, 0x2000000000a }", "@nh,144,48 { 0x020000000001, 0xMAC_OF_GUEST }")]
    #[case::across_octets([0x20, 0, 0, 0, 0, 0xa0], "@nh,0,56 0x02000000000a00", "@nh,0,56 0x02000000000a00")]
    #[case::a_few_bits([2, 0, 0, 0, 0, 1], "@nh,4,4 0x2 counter", "@nh,4,4 0x2 counter")]
    #[case::a_number_of_no_payload([2, 0, 0, 0, 0, 1], "ether type 0x8035", "ether type 0x8035")]
    fn the_mac_in_numbers(#[case] mac: Mac, #[case] rule: &str, #[case] replaced: &str) {
        let names = Names {
            device: "vnet0",
            mac: Some(mac),
        };
        assert_eq!(names.replaced(rule), replaced);
    }

    proptest::proptest! {
        /// Two guests have the same rules, whatever their MACs are.
        #[test]
        fn no_rule_tells_one_guest_from_another(macs: [Mac; 2], before: u16, after: u32) {
            let text = |mac: Mac| {
                let hex = format!("{before:04x}{}{after:08x}", to_hex(&mac));
                let digits = hex.trim_start_matches('0');
                let digits = if digits.is_empty() { "0" } else { digits };
                let rule = format!("@nh,48,96 0x{digits} ether saddr {} accept", mac_text(mac));
                Names { device: "vnet0", mac: Some(mac) }.replaced(&rule)
            };
            let [one, other] = macs.map(text);
            // By chance a MAC may stand in what lies around it too.
            let once = |text: &str| text.matches("MAC_OF_GUEST").count() == 1;
            proptest::prop_assume!(once(&one) && once(&other));
            proptest::prop_assert_eq!(one, other);
        }
    }
}

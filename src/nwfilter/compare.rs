//! Whether two filters mean the same to libvirt, which rewrites what it is given.
//!
//! Masks become prefix lengths, MACs are padded and lower case, known numbers
//! get names, attributes are reordered, defaults are filled in (libvirt 11.3.0,
//! measured). A difference that remains is something that libvirt dropped.

use super::model::{Entry, Filter, Rule};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// libvirt's priority of a rule that has none.
pub(super) const DEFAULT_PRIORITY: i16 = 500;

/// libvirt's priorities of chains that have none, by the prefix of their name.
const CHAINS: [(&str, i16); 6] = [
    ("mac", -800),
    ("vlan", -750),
    ("ipv4", -700),
    ("ipv6", -600),
    ("arp", -500),
    ("rarp", -400),
];

/// The first difference in meaning, in words; none when both mean the same.
pub fn difference(given: &Filter, dumped: &Filter) -> Option<String> {
    if given.name != dumped.name {
        return Some(format!("it is named {}", dumped.name));
    }
    if given.chain != dumped.chain {
        return Some(format!("chain {} became {}", given.chain, dumped.chain));
    }
    if chain_priority(given) != chain_priority(dumped) {
        return Some(format!(
            "the chain's priority {} became {}",
            chain_priority(given),
            chain_priority(dumped)
        ));
    }
    let (ours, theirs) = (&given.entries, &dumped.entries);
    let first = ours
        .iter()
        .zip(theirs)
        .position(|(a, b)| meaning(a) != meaning(b));
    match first {
        Some(at) => Some(format!(
            "entry {} became {}",
            describe(&ours[at]),
            describe(&theirs[at])
        )),
        None if ours.len() != theirs.len() => {
            Some(format!("{} entries became {}", ours.len(), theirs.len()))
        }
        None => None,
    }
}

/// Priority of a filter's chain in its parent.
pub(super) fn chain_priority(filter: &Filter) -> i16 {
    // The priority of the root chain is stored but has no effect.
    if filter.chain == "root" {
        return 0;
    }
    let default = CHAINS
        .iter()
        .find(|(prefix, _)| filter.chain.starts_with(prefix))
        .map_or(0, |(_, priority)| *priority);
    filter.priority.unwrap_or(default)
}

/// An entry with everything that libvirt rewrites taken out.
#[derive(PartialEq, Eq)]
enum Meaning {
    Rule(String, i16, bool, BTreeSet<(String, bool, String, String)>),
    Reference(String, Vec<(String, String)>),
}

fn meaning(entry: &Entry) -> Meaning {
    match entry {
        Entry::Rule(rule) => Meaning::Rule(
            format!("{} {}", rule.action, rule.direction),
            rule.priority.unwrap_or(DEFAULT_PRIORITY),
            rule.statematch,
            attributes(rule),
        ),
        Entry::Reference(reference) => {
            let mut parameters = reference.parameters.clone();
            // Sorted by name only: the order of a list's values counts.
            parameters.sort_by(|a, b| a.0.cmp(&b.0));
            Meaning::Reference(reference.filter.clone(), parameters)
        }
    }
}

fn attributes(rule: &Rule) -> BTreeSet<(String, bool, String, String)> {
    let mut all = BTreeSet::new();
    for element in &rule.elements {
        if element.attributes.is_empty() {
            all.insert((element.protocol.clone(), true, String::new(), String::new()));
        }
        for (name, value) in &element.attributes {
            let value = normal(&element.protocol, name, value);
            all.insert((
                element.protocol.clone(),
                element.positive,
                name.clone(),
                value,
            ));
        }
    }
    all
}

/// A value as libvirt would print it.
fn normal(protocol: &str, name: &str, value: &str) -> String {
    if value.starts_with('$') {
        return value.replace("[@0]", "");
    }
    if name.ends_with("macaddr") || name.ends_with("macmask") {
        let octets: Option<Vec<u8>> = value
            .split(':')
            .map(|octet| u8::from_str_radix(octet, 16).ok())
            .collect();
        return octets.map_or_else(
            || value.to_owned(),
            |octets| {
                octets
                    .iter()
                    .map(|octet| format!("{octet:02x}"))
                    .collect::<Vec<_>>()
                    .join(":")
            },
        );
    }
    if name.ends_with("ipmask") {
        return prefix_length(value).unwrap_or_else(|| value.to_owned());
    }
    if let Ok(address) = value.parse::<IpAddr>() {
        return address.to_string();
    }
    if name == "gratuitous" {
        return matches!(value, "true" | "yes" | "1").to_string();
    }
    let lower = value.to_ascii_lowercase();
    let word = words(protocol, name)
        .iter()
        .find(|(word, _)| *word == lower);
    let number = word.map(|(_, number)| *number).or_else(|| number(&lower));
    number.map_or_else(|| value.to_owned(), |number| number.to_string())
}

/// Words that libvirt prints for numbers, by attribute.
fn words(protocol: &str, name: &str) -> &'static [(&'static str, u32)] {
    match (protocol, name) {
        ("ip" | "ipv6", "protocol") => &[
            ("icmp", 1),
            ("igmp", 2),
            ("tcp", 6),
            ("udp", 17),
            ("esp", 50),
            ("ah", 51),
            ("icmpv6", 58),
            ("sctp", 132),
            ("udplite", 136),
        ],
        (_, "protocolid" | "encap-protocol") => &[
            ("ipv4", 0x0800),
            ("arp", 0x0806),
            ("rarp", 0x8035),
            ("vlan", 0x8100),
            ("ipv6", 0x86dd),
        ],
        (_, "opcode") => &[
            ("request", 1),
            ("reply", 2),
            ("request_reverse", 3),
            ("reply_reverse", 4),
            ("drarp_request", 5),
            ("drarp_reply", 6),
            ("drarp_error", 7),
            ("inarp_request", 8),
            ("arp_nak", 9),
        ],
        _ => &[],
    }
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A mask in either form as a prefix length; none when its ones are not contiguous.
fn prefix_length(mask: &str) -> Option<String> {
    if mask.parse::<u8>().is_ok() {
        return Some(mask.to_owned());
    }
    ipnet::ip_mask_to_prefix(mask.parse().ok()?)
        .ok()
        .map(|length| length.to_string())
}

fn describe(entry: &Entry) -> String {
    match entry {
        Entry::Reference(reference) => format!("<filterref filter='{}'/>", reference.filter),
        Entry::Rule(rule) => {
            let elements = rule.elements.iter().map(|element| {
                let attributes = element
                    .attributes
                    .iter()
                    .map(|(name, value)| format!(" {name}='{value}'"));
                format!(
                    "<{}{}{}/>",
                    element.protocol,
                    if element.positive { "" } else { " match='no'" },
                    attributes.collect::<String>()
                )
            });
            format!(
                "<rule action='{}' direction='{}'>{}",
                rule.action,
                rule.direction,
                elements.collect::<String>()
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nwfilter::read;
    use rstest::rstest;

    fn filter(rule: &str) -> Filter {
        let text =
            format!("<filter name='x'><rule action='drop' direction='out'>{rule}</rule></filter>");
        read(&text, "test").unwrap()
    }

    #[rstest]
    #[case::mask(
        "<ip dstipaddr='10.0.0.0' dstipmask='255.0.0.0'/>",
        "<ip dstipaddr='10.0.0.0' dstipmask='8'/>"
    )]
    #[case::mac(
        "<mac srcmacaddr='0:1:A:B:C:D'/>",
        "<mac srcmacaddr='00:01:0a:0b:0c:0d'/>"
    )]
    #[case::protocol("<ip protocol='6'/>", "<ip protocol='tcp'/>")]
    #[case::ethertype("<mac protocolid='0x800'/>", "<mac protocolid='ipv4'/>")]
    #[case::opcode("<arp opcode='1'/>", "<arp opcode='Request'/>")]
    #[case::order("<ip protocol='tcp' dscp='1'/>", "<ip dscp='1' protocol='tcp'/>")]
    #[case::split("<ip protocol='tcp' dscp='1'/>", "<ip protocol='tcp'/><ip dscp='1'/>")]
    #[case::ipv6("<ipv6 srcipaddr='FE80:0::'/>", "<ipv6 srcipaddr='fe80::'/>")]
    fn same(#[case] given: &str, #[case] dumped: &str) {
        assert_eq!(difference(&filter(given), &filter(dumped)), None);
    }

    #[rstest]
    #[case::lost("<ip dstipaddr='10.0.0.0'/>", "<ip/>")]
    #[case::sign("<ip match='no' dstipaddr='10.0.0.0'/>", "<ip dstipaddr='10.0.0.0'/>")]
    #[case::value("<ip dstipaddr='10.0.0.0'/>", "<ip dstipaddr='10.0.0.1'/>")]
    #[case::element("<ip/>", "")]
    fn different(#[case] given: &str, #[case] dumped: &str) {
        assert!(difference(&filter(given), &filter(dumped)).is_some());
    }
}

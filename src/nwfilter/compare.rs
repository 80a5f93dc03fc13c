//! Whether two filters mean the same to libvirt, which rewrites what it is given.
//!
//! Masks become prefix lengths, MACs are padded and lower case, known numbers
//! get names, attributes are reordered, defaults are filled in (libvirt 11.3.0;
//! measured: docs/measurements.md#M6). A difference that remains is something that libvirt dropped.

use super::model::{Entry, Filter, Rule};
use super::vocabulary::{self, Protocol};
use std::collections::BTreeSet;

/// The first difference in meaning, in words; none when both mean the same.
pub fn difference(given: &Filter, dumped: &Filter) -> Option<String> {
    if given.name != dumped.name {
        return Some(format!("it is named {}", dumped.name));
    }
    if given.chain != dumped.chain {
        return Some(format!("chain {} became {}", given.chain, dumped.chain));
    }
    if given.chain_priority() != dumped.chain_priority() {
        return Some(format!(
            "the chain's priority {} became {}",
            given.chain_priority(),
            dumped.chain_priority()
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

/// An attribute of a rule: its element, whether that is positive, name and value.
type Condition = (Protocol, bool, String, String);

/// An entry with everything that libvirt rewrites taken out.
#[derive(PartialEq, Eq)]
enum Meaning {
    Rule(String, i16, bool, BTreeSet<Condition>),
    Reference(String, Vec<(String, String)>),
}

fn meaning(entry: &Entry) -> Meaning {
    match entry {
        Entry::Rule(rule) => Meaning::Rule(
            format!("{} {}", rule.action, rule.direction),
            rule.effective_priority(),
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

fn attributes(rule: &Rule) -> BTreeSet<Condition> {
    let mut all = BTreeSet::new();
    for element in &rule.elements {
        if element.attributes.is_empty() {
            all.insert((element.protocol, true, String::new(), String::new()));
        }
        for (name, value) in &element.attributes {
            let value = normal(element.protocol, name, value);
            all.insert((element.protocol, element.positive, name.clone(), value));
        }
    }
    all
}

/// A value as libvirt would print it; one that stands for the same number is the same.
fn normal(protocol: Protocol, name: &str, value: &str) -> String {
    let known = vocabulary::attributes(protocol);
    let attribute = known.iter().find(|attribute| attribute.name == name);
    attribute.map_or_else(
        || value.to_owned(),
        |attribute| attribute.kind.printed(value),
    )
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

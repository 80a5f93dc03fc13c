//! Findings that do not hang on the values that stand for what nothing sets.

use super::acting;
use super::finding::Finding;
use super::survey::Survey;
use crate::frame::{Mac, mac_text};
use crate::nwfilter::evaluate::{Backend, Compiled};
use crate::nwfilter::examples::Variable;
use crate::nwfilter::model::Filter;
use crate::nwfilter::vocabulary::variables;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether a finding says that rules are in each other's way, which other values may clear.
pub fn hangs_on_values(finding: &Finding) -> bool {
    acting::LINTS.contains(&finding.lint)
}

/// Whether both are about the same rule.
pub fn is_same(one: &Finding, other: &Finding) -> bool {
    (one.lint, &one.filter, &one.rule) == (other.lint, &other.filter, &other.rule)
}

/// Most literal values of the filters that stand for what nothing sets, one after the other.
const LITERALS: usize = 24;

/// Keeps of the findings about rules in each other's way those that are there with other values
/// too for what nothing sets: with values of their own for each variable, and with each value that
/// the filters name, since a rule about one address acts where that is the guest's.
pub fn keep(
    findings: &mut Vec<Finding>,
    (filters, top): (&[Filter], &str),
    given: &[(String, String)],
    (examples, free_mac): (&[Variable], bool),
    backend: Backend,
) {
    let literals = literals(filters);
    let looks = std::iter::once(None).chain(literals.iter().take(LITERALS).map(Some));
    for literal in looks {
        if !findings.iter().any(hangs_on_values) {
            return;
        }
        let mut parameters = given.to_vec();
        for (variable, number) in examples.iter().zip(1..) {
            let values = variable.values.iter();
            let values = values.map(|value| match literal {
                Some(literal) if kind(value).is_some() && kind(value) == kind(literal) => {
                    literal.clone()
                }
                _ => other(value, number),
            });
            parameters.extend(values.map(|value| (variable.name.clone(), value)));
        }
        if free_mac {
            let mac = literal.filter(|literal| kind(literal) == Some(Kind::Mac));
            let mac = mac.map_or_else(|| mac_text(OTHER_MAC), Clone::clone);
            parameters.push((variables::MAC.to_owned(), mac));
        }
        let compiled = Compiled::with_backend(filters, top, OTHER_MAC, &parameters, backend);
        let Ok(compiled) = compiled else {
            continue;
        };
        let mut again = Vec::new();
        if let Some(survey) = Survey::of(&compiled) {
            acting::tree(filters, &compiled, &survey, &mut again);
        }
        findings.retain(|finding| {
            !hangs_on_values(finding) || again.iter().any(|other| is_same(finding, other))
        });
    }
}

/// A MAC that is no example, to see what hangs on the example.
const OTHER_MAC: Mac = [0x52, 0x54, 0, 0x65, 0x43, 0x21];

/// What a value can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ip4,
    Ip6,
    Mac,
}

fn kind(value: &str) -> Option<Kind> {
    if value.parse::<Ipv4Addr>().is_ok() {
        Some(Kind::Ip4)
    } else if value.parse::<Ipv6Addr>().is_ok() {
        Some(Kind::Ip6)
    } else {
        let octets: Vec<&str> = value.split(':').collect();
        let is_octet = |octet: &&str| octet.len() <= 2 && u8::from_str_radix(octet, 16).is_ok();
        (octets.len() == 6 && octets.iter().all(is_octet)).then_some(Kind::Mac)
    }
}

/// The addresses that rules name, each once.
fn literals(filters: &[Filter]) -> Vec<String> {
    let rules = filters.iter().flat_map(Filter::rules);
    let elements = rules.flat_map(|rule| &rule.elements);
    let attributes = elements.flat_map(|element| &element.attributes);
    let values = attributes.filter(|(name, _)| name.ends_with("addr") || name.ends_with("from"));
    let mut out: Vec<String> = Vec::new();
    for (_, value) in values {
        if kind(value).is_some() && !out.contains(value) {
            out.push(value.clone());
        }
    }
    out
}

/// Another value of the same kind: addresses of documentation (RFC 5737, RFC 3849), a MAC that is
/// administered locally, another port. Masks and the like stay.
fn other(value: &str, number: u8) -> String {
    match (kind(value), value) {
        (Some(Kind::Ip4), _) => format!("198.51.100.{number}"),
        (Some(Kind::Ip6), _) => format!("2001:db8:77::{number:x}"),
        (Some(Kind::Mac), value) if !value.starts_with("ff") => {
            mac_text([2, 0, 0, 0, 0x77, number])
        }
        (None, "443") => (4430 + u16::from(number)).to_string(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::whole;
    use crate::nwfilter::evaluate::Backend;
    use crate::nwfilter::examples::EXAMPLE_MAC;
    use crate::nwfilter::read;
    use rstest::rstest;

    const NOT_OWN: &str =
        "<rule action='drop' direction='out'><ip match='no' srcipaddr='$IP'/></rule>";

    #[rstest]
    #[case::of_one_address(NOT_OWN, "<ip srcipaddr='192.168.1.11'/>", &[], false)]
    #[case::of_a_network(NOT_OWN, "<ip srcipaddr='10.0.0.0' srcipmask='8'/>", &[], false)]
    #[case::of_another_address_than_the_given(NOT_OWN, "<ip srcipaddr='10.0.0.9'/>", &["192.168.1.7"], true)]
    #[case::of_a_mac("<rule action='drop' direction='out'><mac match='no' srcmacaddr='$MAC'/></rule>", "<mac srcmacaddr='52:54:00:ab:cd:ef'/>", &[], false)]
    #[case::of_another_variable("<rule action='drop' direction='out'><ip dstipaddr='$A'/></rule>", "<ip dstipaddr='$B'/>", &[], false)]
    #[case::whatever_the_address(NOT_OWN, "<ip match='no' srcipaddr='$IP'/>", &[], true)]
    fn a_rule_that_never_acts(
        #[case] before: &str,
        #[case] element: &str,
        #[case] ip: &[&str],
        #[case] expected: bool,
    ) {
        let text = format!(
            "<filter name='x'>{before}<rule action='accept' direction='out'>{element}</rule></filter>"
        );
        let filters = [read(&text, "test").unwrap()];
        let given: Vec<_> = ip
            .iter()
            .map(|ip| ("IP".to_owned(), (*ip).to_owned()))
            .collect();
        let found = whole(&filters, "x", EXAMPLE_MAC, &given, Backend::Ebtables).findings;
        let never = found.iter().any(|finding| finding.lint == "never-acts");
        assert_eq!(never, expected, "{found:?}");
    }
}

//! Values for variables that nothing sets, so that a filter can be looked at all the same.

use super::model::{Entry, Filter};
use super::vocabulary::{self, ValueKind, variables as known};
use crate::frame::Mac;
use std::collections::BTreeMap;

/// The guest's MAC where nobody names one: QEMU's prefix, as libvirt makes them up.
pub const EXAMPLE_MAC: Mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

/// Where the value of a variable comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The interface's MAC.
    Interface,
    /// The command line.
    Given,
    /// A reference in the filters.
    Reference,
    /// Nowhere: it is an example.
    Example,
}

/// A variable that the filters use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name without `$`.
    pub name: String,
    /// Its values; none where references set them.
    pub values: Vec<String>,
    /// Where they come from.
    pub source: Source,
}

/// Every variable that the filters use, by name. What has no value and has no example either
/// is left out: compiling then says that nothing sets it.
pub fn variables(filters: &[Filter], mac: &str, given: &[(String, String)]) -> Vec<Variable> {
    let referred: Vec<&str> = filters.iter().flat_map(Filter::parameters).collect();
    let describe = |(name, kind): (&str, Option<ValueKind>)| {
        let of_line: Vec<String> = given
            .iter()
            .filter(|(set, _)| set == name)
            .map(|(_, value)| value.clone())
            .collect();
        let (values, source) = match name {
            _ if !of_line.is_empty() => (of_line, Source::Given),
            known::MAC => (vec![mac.to_owned()], Source::Interface),
            _ if referred.contains(&name) => (Vec::new(), Source::Reference),
            _ => (vec![example(name, kind?)?.to_owned()], Source::Example),
        };
        let name = name.to_owned();
        Some(Variable {
            name,
            values,
            source,
        })
    };
    used(filters).into_iter().filter_map(describe).collect()
}

/// A variable of the filters with an example; none where there is none.
pub fn example_of(filters: &[Filter], name: &str) -> Option<Variable> {
    let kind = used(filters).get(name).copied().flatten()?;
    Some(Variable {
        name: name.to_owned(),
        values: vec![example(name, kind)?.to_owned()],
        source: Source::Example,
    })
}

/// The variables with the kind of the first attribute that each stands for.
fn used(filters: &[Filter]) -> BTreeMap<&str, Option<ValueKind>> {
    let mut out = BTreeMap::new();
    let rules = filters.iter().flat_map(|filter| &filter.entries);
    let elements = rules.filter_map(|entry| match entry {
        Entry::Rule(rule) => Some(&rule.elements),
        Entry::Reference(_) => None,
    });
    for element in elements.flatten() {
        let known = vocabulary::attributes(element.protocol);
        for (name, value) in &element.attributes {
            let Some(variable) = value.strip_prefix('$') else {
                continue;
            };
            let variable = variable.split('[').next().unwrap_or_default();
            let attribute = known.iter().find(|attribute| attribute.name == name);
            let kind = attribute.map(|attribute| attribute.kind);
            out.entry(variable).or_insert(kind);
        }
    }
    out
}

/// An address of the LAN of the shipped policy, the guest's own or the router's; else what
/// stands for one host, or for what is common.
fn example(name: &str, kind: ValueKind) -> Option<&'static str> {
    let own = matches!(name, known::IP | known::IPV6);
    Some(match (kind, own) {
        (ValueKind::Ip4, true) => "192.168.1.50",
        (ValueKind::Ip4, false) => "192.168.1.1",
        (ValueKind::Ip6, true) => "fe80::5054:ff:fe12:3456",
        (ValueKind::Ip6, false) => "fe80::1",
        (ValueKind::Mac, _) => "52:54:00:00:00:01",
        (ValueKind::MacMask, _) => "ff:ff:ff:ff:ff:ff",
        (ValueKind::Mask4, _) => "24",
        (ValueKind::Mask6, _) => "64",
        (ValueKind::Number { greatest } | ValueKind::Decimal { greatest }, _) => {
            if greatest >= 443 { "443" } else { "1" }
        }
        (ValueKind::EtherType { .. }, _) => "0x88b5",
        (ValueKind::IpProtocol, _) => "6",
        (ValueKind::Operation | ValueKind::Boolean, _) => "1",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nwfilter::read;

    #[test]
    fn values_come_from_the_nearest_source() {
        let text = "<filter name='x'>
            <rule action='drop' direction='out'><ip srcipaddr='$IP' dstipaddr='$D' protocol='udp' dstportstart='$P'/></rule>
            <rule action='drop' direction='out'><mac srcmacaddr='$MAC' dstmacaddr='$G[@1]'/></rule>
            <rule action='drop' direction='out'><ipv6 srcipaddr='$S'/></rule>
            <filterref filter='y'><parameter name='S' value='::1'/></filterref></filter>";
        let given = [("D".to_owned(), "10.0.0.1".to_owned())];
        let filters = [read(text, "test").unwrap()];
        let found = variables(&filters, "02:00:00:00:00:01", &given);
        let lines: Vec<String> = found
            .iter()
            .map(|found| {
                format!(
                    "{} {} {:?}",
                    found.name,
                    found.values.join(" "),
                    found.source
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                "D 10.0.0.1 Given",
                "G 52:54:00:00:00:01 Example",
                "IP 192.168.1.50 Example",
                "MAC 02:00:00:00:00:01 Interface",
                "P 443 Example",
                "S  Reference",
            ]
        );
    }
}

//! Values for variables that nothing sets, so that a filter can be explained at all.

use crate::nwfilter::vocabulary::ValueKind;
use crate::nwfilter::{Entry, Filter, vocabulary};
use std::collections::BTreeMap;

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

/// Every variable that the filters use, by name. What has no value and is no
/// address is left out: compiling then says that nothing sets it.
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
            "MAC" => (vec![mac.to_owned()], Source::Interface),
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

/// An address of the LAN of the shipped policy, the guest's own or the router's.
fn example(name: &str, kind: ValueKind) -> Option<&'static str> {
    let own = matches!(name, "IP" | "IPV6");
    Some(match (kind, own) {
        (ValueKind::Ip4, true) => "192.168.1.50",
        (ValueKind::Ip4, false) => "192.168.1.1",
        (ValueKind::Ip6, true) => "fe80::5054:ff:fe12:3456",
        (ValueKind::Ip6, false) => "fe80::1",
        (ValueKind::Mac, _) => "52:54:00:00:00:01",
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
        // Nothing sets the port, and no example of one would be better than another.
        assert_eq!(
            lines,
            [
                "D 10.0.0.1 Given",
                "G 52:54:00:00:00:01 Example",
                "IP 192.168.1.50 Example",
                "MAC 02:00:00:00:00:01 Interface",
                "S  Reference",
            ]
        );
    }
}

//! XML of libvirt that is no filter but refers to filters: domains, interfaces, bindings,
//! networks. A user who has one of these at hand is told what to give instead.

use super::shorten::shorten;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::fmt;

/// Most interfaces of which something is said.
const MOST: usize = 16;

/// Most bytes that are looked at, as for a filter.
const MAX_BYTES: usize = 4 << 20;

/// A document that is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referring {
    /// Name of its outermost element.
    pub root: String,
    /// Its interfaces, or the document itself where it has none of its own.
    pub interfaces: Vec<Interface>,
}

/// Something that may refer to a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its MAC.
    pub mac: Option<String>,
    /// Its references.
    pub references: Vec<Reference>,
}

/// A reference to a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// The filter's name.
    pub filter: String,
    /// What it sets.
    pub parameters: Vec<(String, String)>,
}

/// Reads a document of one of these kinds; none where it is of another.
pub fn referring(text: &str) -> Option<Referring> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let mut reader = Reader::from_str(text);
    let mut out: Option<Referring> = None;
    loop {
        match reader.read_event().ok()? {
            Event::Eof => return out,
            Event::Start(start) | Event::Empty(start) => {
                let name = start.name().as_ref().to_owned();
                match &mut out {
                    Some(out) => out.element(&name, &start),
                    None => out = Some(Referring::of(name)?),
                }
            }
            _ => {}
        }
    }
}

/// The value of an attribute.
fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = start
        .attributes()
        .flatten()
        .find(|found| found.key.as_ref() == name)?;
    let value = found
        .normalized_value(quick_xml::XmlVersion::Implicit1_0)
        .ok()?;
    Some(value.into_owned())
}

impl Referring {
    fn of(root: String) -> Option<Self> {
        let interfaces = match root.as_str() {
            "domain" | "domainsnapshot" | "network" => Vec::new(),
            "interface" | "filterbinding" => vec![Interface::default()],
            _ => return None,
        };
        Some(Self { root, interfaces })
    }

    fn element(&mut self, name: &str, start: &BytesStart<'_>) {
        if name == "interface" || (self.root == "network" && self.interfaces.is_empty()) {
            self.interfaces.push(Interface::default());
        }
        let Some(interface) = self.interfaces.last_mut() else {
            return;
        };
        match name {
            "mac" => interface.mac = attribute(start, "address"),
            "filterref" => interface.references.push(Reference {
                filter: attribute(start, "filter").unwrap_or_default(),
                parameters: Vec::new(),
            }),
            "parameter" => {
                let (name, value) = (attribute(start, "name"), attribute(start, "value"));
                if let (Some(last), Some(pair)) = (interface.references.last_mut(), name.zip(value))
                {
                    last.parameters.push(pair);
                }
            }
            _ => {}
        }
    }
}

impl fmt::Display for Referring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this is a <{}>, no filter", self.root)?;
        let refers = |interface: &&Interface| !interface.references.is_empty();
        if !self.interfaces.iter().any(|interface| refers(&interface)) {
            return f.write_str(
                "; no interface of it refers to a filter, so that libvirt filters nothing\n  cure: put <filterref filter='NAME'/> into the <interface>, and give the file of that filter",
            );
        }
        if self.root == "network" {
            return f.write_str(
                "; a <filterref> in a <network> has no effect\n  cure: put it into the <interface> of each guest, and give the file of that filter",
            );
        }
        for interface in self.interfaces.iter().filter(refers).take(MOST) {
            interface.describe(f)?;
        }
        Ok(())
    }
}

impl Interface {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mac = self.mac.as_deref().map(shorten);
        let whose = mac
            .as_deref()
            .map_or_else(String::new, |mac| format!(" with the MAC {mac}"));
        if let [first, second, ..] = self.references.as_slice() {
            let (one, other) = (shorten(&first.filter), shorten(&second.filter));
            return write!(
                f,
                "; the interface{whose} refers to {one} and to {other}, and libvirt takes one <filterref> for an interface\n  cure: refer to a filter of your own that holds both: <filter name='NAME'><filterref filter='{one}'/><filterref filter='{other}'/></filter>",
            );
        }
        let Some(reference) = self.references.first() else {
            return Ok(());
        };
        let name = shorten(&reference.filter);
        write!(
            f,
            "; the interface{whose} refers to the filter {name}\n  cure: give the file of that filter, which `virsh nwfilter-dumpxml {name}` prints, with"
        )?;
        if let Some(mac) = &mac {
            write!(f, " --mac {mac}")?;
        }
        for (parameter, value) in &reference.parameters {
            write!(f, " --param {}={}", shorten(parameter), shorten(value))?;
        }
        if mac.is_none() && reference.parameters.is_empty() {
            f.write_str(" no other option")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const MAC: &str = "<mac address='52:54:00:00:00:07'/>";

    fn said(text: &str) -> String {
        referring(text).map_or_else(|| "none".to_owned(), |found| found.to_string())
    }

    #[rstest]
    #[case::a_filter("<filter name='x'/>", "none")]
    #[case::something_else("<pool/>", "none")]
    #[case::no_xml("lan-only", "none")]
    #[case::interface(
        &format!("<interface type='bridge'>{MAC}<filterref filter='lan-only'><parameter name='IP' value='192.168.1.7'/></filterref></interface>"),
        "--mac 52:54:00:00:00:07 --param IP=192.168.1.7"
    )]
    #[case::without_a_reference(
        "<interface type='bridge'/>",
        "no interface of it refers to a filter"
    )]
    #[case::binding(
        &format!("<filterbinding>{MAC}<filterref filter='lan-only'/></filterbinding>"),
        "virsh nwfilter-dumpxml lan-only"
    )]
    #[case::two_references(
        "<interface><filterref filter='a'/><filterref filter='b'/></interface>",
        "<filterref filter='a'/><filterref filter='b'/></filter>"
    )]
    #[case::network(
        "<network><name>n</name><filterref filter='a'/></network>",
        "has no effect"
    )]
    fn what_is_to_be_done(#[case] text: &str, #[case] part: &str) {
        let said = said(text);
        assert!(said.contains(part), "{said}");
    }

    #[test]
    fn each_interface_of_a_domain_is_named() {
        let interface = |mac: &str, filter: &str| {
            format!(
                "<interface type='network'><mac address='{mac}'/><filterref filter='{filter}'/></interface>"
            )
        };
        let text = format!(
            "<?xml version='1.0'?><domain type='kvm'><devices>{}<interface type='user'/>{}</devices></domain>",
            interface("52:54:00:00:00:01", "one"),
            interface("52:54:00:00:00:02", "two")
        );
        let found = referring(&text).unwrap();
        assert_eq!(found.interfaces.len(), 3);
        let said = found.to_string();
        assert!(
            said.contains("52:54:00:00:00:01 refers to the filter one"),
            "{said}"
        );
        assert!(
            said.contains("52:54:00:00:00:02 refers to the filter two"),
            "{said}"
        );
    }
}

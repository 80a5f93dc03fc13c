//! Definitions of guests, interfaces and networks whose filterref does not do what it says.

use super::definition::{Domain, Snapshot};
use super::element::Element;
use super::error::DomainError;
use super::interface::Interface;
use super::network::Network;
use crate::nwfilter::lint::catalogue::{
    FILTERREF_DROPPED, FILTERREF_IN_NETWORK, NO_FILTERREF, SECOND_WAY, SEVERAL_FILTERREFS, find,
};
use crate::nwfilter::lint::{Finding, Severity};
use crate::place::position;
use quick_xml::Reader;
use quick_xml::events::Event;

/// A text that defines a guest, an interface or a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Definition {
    /// `<domain>`.
    Domain(Domain),
    /// `<domainsnapshot>`.
    Snapshot(Box<Snapshot>),
    /// `<interface>`, as `virsh attach-device` takes it.
    Interface(Interface),
    /// `<network>`.
    Network(Network),
}

impl Definition {
    /// Reads a definition; none where the text is something else, such as a filter.
    ///
    /// # Errors
    /// A definition that cannot be read, such as one that was cut short.
    pub fn parse(xml: &str) -> Option<Result<Self, DomainError>> {
        let root = match Element::parse(xml) {
            Ok(root) => root,
            Err(error) => return is_begun(xml).then_some(Err(error)),
        };
        Some(match root.name.as_str() {
            "domain" => Domain::parse(xml).map(Self::Domain),
            "domainsnapshot" => {
                Snapshot::parse(xml).map(|snapshot| Self::Snapshot(Box::new(snapshot)))
            }
            "interface" => Ok(Self::Interface(Interface::of(&root))),
            "network" => Network::parse(xml).map(Self::Network),
            _ => return None,
        })
    }

    /// How messages name it; no filter has such a name.
    pub fn name(&self) -> String {
        match self {
            Self::Domain(domain) => format!("guest {}", domain.name),
            Self::Snapshot(snapshot) => format!("snapshot {}", snapshot.name),
            Self::Interface(interface) => format!("interface {}", interface.label()),
            Self::Network(network) => format!("network {}", network.name),
        }
    }

    /// What is wrong with the definition that stands in this text. Of the networks, those that
    /// its interfaces name say whether a filter can hold them.
    pub fn lint(&self, xml: &str, networks: &[&Network]) -> Vec<Finding> {
        let name = self.name();
        let domains: Vec<&Domain> = match self {
            Self::Domain(domain) => vec![domain],
            Self::Snapshot(snapshot) => {
                let inactive = snapshot.inactive.iter();
                std::iter::once(&snapshot.domain).chain(inactive).collect()
            }
            Self::Interface(_) => Vec::new(),
            Self::Network(network) => return of_network(network, &name, xml),
        };
        let own = match self {
            Self::Interface(interface) => Some(interface),
            _ => None,
        };
        let interfaces = domains.iter().flat_map(|domain| &domain.interfaces);
        let of = |interface: &Interface| {
            let (lint, at, message) = judge(interface, networks)?;
            Some(finding(&name, xml, lint, at, message))
        };
        let found = interfaces.chain(own).filter_map(of);
        let ways = domains.iter().flat_map(|domain| &domain.hostdev_nics);
        let ways = ways.map(|way| {
            let message =
                format!("the guest has {way}: if that is a NIC, no filter sees its frames");
            finding(&name, xml, SECOND_WAY, way.span.start, message)
        });
        found.chain(ways).collect()
    }
}

/// Whether a text that is no well-formed XML begins as a definition does.
fn is_begun(xml: &str) -> bool {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                let name = start.name();
                let names = ["domain", "domainsnapshot", "interface", "network"];
                return names.contains(&name.as_ref());
            }
            Ok(Event::Eof | Event::Empty(_)) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

fn of_network(network: &Network, name: &str, xml: &str) -> Vec<Finding> {
    let message = "libvirt drops the filterref of a network and of a port group without a word; put \
                   it into the <interface> of each guest";
    let spans = network.filterref_spans.iter();
    let of = |at| finding(name, xml, FILTERREF_IN_NETWORK, at, message.to_owned());
    spans.map(|span| of(span.start)).collect()
}

/// What is wrong with an interface, and at which byte.
fn judge(interface: &Interface, networks: &[&Network]) -> Option<(&'static str, usize, String)> {
    let name = interface.network.as_deref();
    let mut networks = networks.iter().copied();
    let network = networks.find(|network| Some(network.name.as_str()) == name);
    let label = interface.label();
    let first = interface.filterref_spans.first().map(|span| span.start);
    let start = interface.span.start;
    match (
        interface.filterable(network),
        interface.filterrefs.as_slice(),
    ) {
        (Err(reason), []) => Some((
            NO_FILTERREF,
            start,
            format!("the interface {label} has no filterref, and no filter can hold it: {reason}"),
        )),
        (Err(reason), _) => Some((
            FILTERREF_DROPPED,
            first.unwrap_or(start),
            format!("the filterref of the interface {label} has no effect: {reason}"),
        )),
        (Ok(()), []) => Some((
            NO_FILTERREF,
            start,
            format!(
                "the interface {label} has no filterref, so libvirt filters nothing there; put \
                 <filterref filter='NAME'/> into it"
            ),
        )),
        (Ok(()), [_]) => None,
        (Ok(()), [one, other, ..]) => Some((
            SEVERAL_FILTERREFS,
            interface
                .filterref_spans
                .get(1)
                .map_or(start, |span| span.start),
            format!(
                "the interface {label} refers to {one} and to {other}, and libvirt takes one \
                 filterref for an interface; refer to a filter of your own that holds both: \
                 <filter name='NAME'><filterref filter='{one}'/><filterref filter='{other}'/></filter>",
                one = one.filter,
                other = other.filter,
            ),
        )),
    }
}

fn finding(name: &str, xml: &str, lint: &'static str, at: usize, message: String) -> Finding {
    Finding {
        lint,
        severity: find(lint).map_or(Severity::Error, |lint| lint.severity),
        filter: name.to_owned(),
        rule: None,
        position: Some(position(xml, at)),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const REF: &str = "<filterref filter='x'/>";

    fn found(xml: &str, networks: &[&Network]) -> Vec<(&'static str, (usize, usize))> {
        let definition = Definition::parse(xml).unwrap().unwrap();
        let findings = definition.lint(xml, networks);
        let place = |finding: &Finding| (finding.lint, finding.position.unwrap());
        findings.iter().map(place).collect()
    }

    #[rstest]
    #[case::filtered(&format!("<interface type='bridge'>{REF}</interface>"), &[])]
    #[case::open("<interface type='bridge'/>", &[(NO_FILTERREF, (1, 1))])]
    #[case::two(&format!("<interface type='bridge'>\n{REF}\n {REF}</interface>"), &[(SEVERAL_FILTERREFS, (3, 2))])]
    #[case::dropped(&format!("<interface type='user'>\n  {REF}</interface>"), &[(FILTERREF_DROPPED, (2, 3))])]
    #[case::network(&format!("<network><name>n</name>\n{REF}<portgroup name='p'>{REF}</portgroup></network>"), &[(FILTERREF_IN_NETWORK, (2, 1)), (FILTERREF_IN_NETWORK, (2, 44))])]
    #[case::guest(&format!("<domain><name>g</name><devices>\n<interface type='direct'/>\n<interface type='bridge'>{REF}</interface></devices></domain>"), &[(NO_FILTERREF, (2, 1))])]
    #[case::argument("<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>g</name>\n<qemu:commandline><qemu:arg value='-nic'/><qemu:arg value='user'/></qemu:commandline></domain>", &[(SECOND_WAY, (2, 19))])]
    #[case::snapshot("<domainsnapshot><name>s</name><domain><name>g</name><devices><interface type='bridge'/></devices></domain></domainsnapshot>", &[(NO_FILTERREF, (1, 62))])]
    fn each_thing_has_its_lint_and_place(
        #[case] xml: &str,
        #[case] expected: &[(&'static str, (usize, usize))],
    ) {
        assert_eq!(found(xml, &[]), expected);
    }

    #[test]
    fn a_network_that_is_given_says_more() {
        let xml = format!("<interface type='network'><source network='n'/>{REF}</interface>");
        let pool = Network::parse(
            "<network><name>n</name><forward mode='bridge'><interface dev='eno1'/></forward></network>",
        )
        .unwrap();
        assert_eq!(found(&xml, &[]), []);
        assert_eq!(found(&xml, &[&pool]), [(FILTERREF_DROPPED, (1, 48))]);
    }

    #[rstest]
    #[case::a_filter("<filter name='x'/>")]
    #[case::no_xml("x")]
    #[case::a_filter_cut_short("<filter name='x'><rule")]
    fn something_else_is_no_definition(#[case] xml: &str) {
        assert!(Definition::parse(xml).is_none());
    }

    /// Said to be no filter, nobody would see that half of it is missing.
    #[rstest]
    #[case::a_guest(
        "<?xml version='1.0'?>\n<!-- kept --><domain type='kvm'><name>web</name><devices><interface"
    )]
    #[case::a_network("<network><name>n</name>")]
    fn a_definition_that_is_cut_short_is_told_of(#[case] xml: &str) {
        let error = Definition::parse(xml).expect("it begins as one");
        let error = error.expect_err("it does not end").to_string();
        assert!(error.contains("cure: give what `virsh"), "{error}");
    }
}

//! Definitions of guests, interfaces and networks whose filterref does not do what it says.

use super::definition::{Domain, Snapshot};
use super::element::Element;
use super::error::DomainError;
use super::interface::Interface;
use super::network::Network;
use crate::nwfilter::lint::catalogue::{
    FILTERREF_DROPPED, FILTERREF_IN_NETWORK, NO_FILTERREF, SEVERAL_FILTERREFS, find,
};
use crate::nwfilter::lint::{Finding, Severity};
use crate::place::position;

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
    /// A definition that cannot be read.
    pub fn parse(xml: &str) -> Option<Result<Self, DomainError>> {
        let root = Element::parse(xml).ok()?;
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
        let interfaces: Vec<&Interface> = match self {
            Self::Domain(domain) => domain.interfaces.iter().collect(),
            Self::Snapshot(snapshot) => {
                let inactive = snapshot.inactive.iter();
                let domains = std::iter::once(&snapshot.domain).chain(inactive);
                domains.flat_map(|domain| &domain.interfaces).collect()
            }
            Self::Interface(interface) => vec![interface],
            Self::Network(network) => {
                let spans = network.filterref_spans.iter();
                let message = "libvirt drops the filterref of a network and of a port group \
                               without a word; put it into the <interface> of each guest";
                return spans
                    .map(|span| {
                        finding(
                            &name,
                            xml,
                            FILTERREF_IN_NETWORK,
                            span.start,
                            message.to_owned(),
                        )
                    })
                    .collect();
            }
        };
        let of = |interface: &Interface| {
            let (lint, at, message) = judge(interface, networks)?;
            Some(finding(&name, xml, lint, at, message))
        };
        interfaces.into_iter().filter_map(of).collect()
    }
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
    fn something_else_is_no_definition(#[case] xml: &str) {
        assert!(Definition::parse(xml).is_none());
    }
}

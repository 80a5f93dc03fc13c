//! Random filters: the whole language in small trees.

use super::generator::Random;
use super::values::{Kind, kind};
use crate::frame::Mac;
use crate::layout::mac;
use crate::nwfilter::evaluate::{Backend, CompileError, Compiled};
use crate::nwfilter::vocabulary::ChainPrefix;
use crate::nwfilter::{Action, Element, Entry, Filter, FilterRef, Protocol, Rule, RuleDirection};

/// The guest that filters are bound for.
pub const GUEST: Mac = mac::guest(1, None);

/// A tree of filters with what it is bound with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Filters in the order to define them; the one to bind is the last.
    pub filters: Vec<Filter>,
    /// Parameters of the binding.
    pub parameters: Vec<(String, String)>,
}

impl Case {
    /// The filter to bind.
    pub fn top(&self) -> &Filter {
        self.filters.last().expect("a case has a filter")
    }

    /// The evaluator's model of it.
    ///
    /// # Errors
    /// Why libvirt would refuse the filter.
    pub fn compile(&self, backend: Backend) -> Result<Compiled, CompileError> {
        let (top, parameters) = (&self.top().name, &self.parameters);
        Compiled::with_backend(&self.filters, top, GUEST, parameters, backend)
    }

    /// The same without filters that nothing leads to: libvirt would judge
    /// them, and the evaluator does not look at them.
    #[must_use]
    pub fn pruned(mut self) -> Self {
        let mut wanted = vec![self.top().name.clone()];
        for filter in self.filters.iter().rev() {
            if wanted.contains(&filter.name) {
                wanted.extend(filter.references().map(str::to_owned));
            }
        }
        self.filters.retain(|filter| wanted.contains(&filter.name));
        self
    }
}

/// Names of the filters; the bound one comes last.
const NAMES: [&str; 3] = ["cc-inner", "cc-middle", "cc-top"];

const CHAINS: [&str; 14] = [
    "root", "root", "root", "root", "mac", "vlan", "stp", "arp", "rarp", "ipv4", "ipv6", "ipv4-x",
    "ipv6-x", "arp-x",
];
/// Not 0, which neither libvirt nor the writer prints: read back it is the default.
const CHAIN_PRIORITIES: [i16; 8] = [-1000, -800, -700, -500, -1, 1, 100, 1000];
const PRIORITIES: [i16; 9] = [-1000, -700, -500, 0, 1, 499, 500, 501, 1000];
const ACTIONS: [Action; 10] = [
    Action::Accept,
    Action::Accept,
    Action::Accept,
    Action::Drop,
    Action::Drop,
    Action::Drop,
    Action::Drop,
    Action::Reject,
    Action::Return,
    Action::Continue,
];
const DIRECTIONS: [RuleDirection; 3] =
    [RuleDirection::In, RuleDirection::Out, RuleDirection::InOut];

/// Elements by how often they are wanted: those with more to get wrong come more often.
const ELEMENTS: [Protocol; 40] = [
    Protocol::Mac,
    Protocol::Mac,
    Protocol::Vlan,
    Protocol::Vlan,
    Protocol::Stp,
    Protocol::Arp,
    Protocol::Arp,
    Protocol::Arp,
    Protocol::Rarp,
    Protocol::Ip,
    Protocol::Ip,
    Protocol::Ip,
    Protocol::Ip,
    Protocol::Ip,
    Protocol::Ip,
    Protocol::Ipv6,
    Protocol::Ipv6,
    Protocol::Ipv6,
    Protocol::Ipv6,
    Protocol::Ipv6,
    Protocol::Tcp,
    Protocol::Tcp,
    Protocol::Udp,
    Protocol::Udp,
    Protocol::Sctp,
    Protocol::Icmp,
    Protocol::Icmp,
    Protocol::Icmpv6,
    Protocol::Icmpv6,
    Protocol::Igmp,
    Protocol::Esp,
    Protocol::Ah,
    Protocol::Udplite,
    Protocol::All,
    Protocol::All,
    Protocol::TcpIpv6,
    Protocol::UdpIpv6,
    Protocol::SctpIpv6,
    Protocol::UdpliteIpv6,
    Protocol::AllIpv6,
];

/// Attributes that make sense together.
type Feature = &'static [&'static str];

const MACS: [Feature; 4] = [
    &["srcmacaddr"],
    &["srcmacaddr", "srcmacmask"],
    &["dstmacaddr"],
    &["dstmacaddr", "dstmacmask"],
];
const ADDRESSES: [Feature; 4] = [
    &["srcipaddr"],
    &["srcipaddr", "srcipmask"],
    &["dstipaddr"],
    &["dstipaddr", "dstipmask"],
];
const RANGES: [Feature; 2] = [&["srcipfrom", "srcipto"], &["dstipfrom", "dstipto"]];
const PORTS: [Feature; 4] = [
    &["srcportstart"],
    &["srcportstart", "srcportend"],
    &["dstportstart"],
    &["dstportstart", "dstportend"],
];
const PROTOCOL_PORTS: [Feature; 5] = [
    &["protocol"],
    &["protocol"],
    &["protocol", "srcportstart"],
    &["protocol", "dstportstart"],
    &["protocol", "dstportstart", "dstportend"],
];
const ARP: [Feature; 11] = [
    &["hwtype"],
    &["protocoltype"],
    &["opcode"],
    &["opcode"],
    &["arpsrcmacaddr"],
    &["arpdstmacaddr"],
    &["arpsrcipaddr"],
    &["arpsrcipaddr", "arpsrcipmask"],
    &["arpdstipaddr"],
    &["arpdstipaddr", "arpdstipmask"],
    &["gratuitous"],
];
const TYPES: [Feature; 3] = [&["type"], &["type", "code"], &["code"]];
const TYPES6: [Feature; 4] = [
    &["protocol", "type"],
    &["protocol", "type", "typeend"],
    &["protocol", "type", "code"],
    &["protocol", "type", "typeend", "code", "codeend"],
];

/// What may stand in an element.
fn features(protocol: Protocol) -> Vec<Feature> {
    let layer3: &[&[Feature]] = &[
        &[&["srcmacaddr"], &["dscp"], &["state"], &["comment"]],
        &ADDRESSES,
        &ADDRESSES,
        &RANGES,
    ];
    let parts: Vec<&[Feature]> = match protocol {
        Protocol::Mac => vec![&MACS, &[&["protocolid"], &["protocolid"]]],
        Protocol::Vlan => vec![&MACS, &[&["vlanid"], &["vlanid"], &["encap-protocol"]]],
        Protocol::Stp => vec![&MACS[..2]],
        Protocol::Arp | Protocol::Rarp => vec![&MACS, &ARP],
        Protocol::Ip => vec![&MACS, &ADDRESSES, &ADDRESSES, &PROTOCOL_PORTS, &[&["dscp"]]],
        Protocol::Ipv6 => vec![&MACS, &ADDRESSES, &ADDRESSES, &PROTOCOL_PORTS, &TYPES6],
        Protocol::Icmp | Protocol::Icmpv6 => [layer3, &[&TYPES, &TYPES]].concat(),
        Protocol::Tcp => [layer3, &[&PORTS, &PORTS, &[&["flags"]]]].concat(),
        Protocol::Udp
        | Protocol::Sctp
        | Protocol::TcpIpv6
        | Protocol::UdpIpv6
        | Protocol::SctpIpv6 => [layer3, &[&PORTS, &PORTS]].concat(),
        _ => layer3.to_vec(),
    };
    parts.concat()
}

/// Makes one case.
pub fn case(random: &mut Random) -> Case {
    let count = *random.pick(&[1, 1, 1, 2, 2, 3]);
    let mut grower = Grower {
        random,
        lists: Vec::new(),
    };
    let mut filters = Vec::new();
    for name in &NAMES[NAMES.len() - count..] {
        let filter = grower.filter(name, &filters);
        filters.push(filter);
    }
    let parameters = grower.binding();
    Case {
        filters,
        parameters,
    }
    .pruned()
}

/// A variable: its name, what it holds, and its values.
type List = (String, Kind, Vec<String>);

struct Grower<'a> {
    random: &'a mut Random,
    lists: Vec<List>,
}

impl Grower<'_> {
    fn filter(&mut self, name: &str, inner: &[Filter]) -> Filter {
        let chain = *self.random.pick(&CHAINS);
        let prioritised = chain != "root" && self.random.chance(50);
        let mut entries = Vec::new();
        for _ in 0..*self.random.pick(&[1, 1, 2, 2, 3, 3, 4, 6]) {
            let mut rule = self.rule(chain);
            // What comes back from a sub-chain meets the rules behind it.
            if chain != "root" && self.random.chance(25) {
                rule.action = Action::Return;
            }
            entries.push(Entry::Rule(rule));
        }
        if chain == "root" && self.random.chance(45) {
            entries.push(Entry::Rule(self.last_rule()));
        }
        for filter in inner {
            // Now and then not at all, or twice.
            for _ in 0..*self.random.pick(&[0, 1, 1, 1, 1, 2]) {
                let reference = FilterRef {
                    filter: filter.name.clone(),
                    parameters: self.parameters(25),
                };
                let at = self.random.below(entries.len() + 1);
                entries.insert(at, Entry::Reference(reference));
            }
        }
        Filter {
            name: name.to_owned(),
            chain: chain.to_owned(),
            priority: prioritised.then(|| *self.random.pick(&CHAIN_PRIORITIES)),
            uuid: None,
            entries,
        }
    }

    /// What most filters end with.
    fn last_rule(&mut self) -> Rule {
        Rule {
            action: Action::Drop,
            direction: *self.random.pick(&DIRECTIONS),
            priority: Some(1000),
            statematch: true,
            elements: Vec::new(),
        }
    }

    fn rule(&mut self, chain: &str) -> Rule {
        let elements = self.elements(chain);
        let mut direction = *self.random.pick(&DIRECTIONS);
        let stp = |element: &Element| element.protocol == Protocol::Stp;
        if direction == RuleDirection::InOut && elements.iter().any(stp) && self.random.chance(80) {
            direction = RuleDirection::Out;
        }
        let mut action = *self.random.pick(&ACTIONS);
        let layer3 = elements
            .first()
            .is_some_and(|element| element.protocol.is_layer3());
        // Refused there every time: once in a while is enough.
        if action == Action::Continue && layer3 && self.random.chance(80) {
            action = Action::Drop;
        }
        Rule {
            action,
            direction,
            priority: self
                .random
                .chance(60)
                .then(|| *self.random.pick(&PRIORITIES)),
            statematch: !self.random.chance(15),
            elements,
        }
    }

    fn elements(&mut self, chain: &str) -> Vec<Element> {
        if self.random.chance(8) {
            return Vec::new();
        }
        let mut protocol = *self.random.pick(&ELEMENTS);
        // Few other frames than the chain's own ever meet a rule in it.
        if let Some(own) = own_element(chain)
            && !protocol.is_layer3()
            && self.random.chance(75)
        {
            protocol = own;
        }
        let features = features(protocol);
        let mut elements = vec![self.element(protocol)];
        if self.random.chance(20) {
            elements.push(self.element(protocol));
        }
        for _ in 0..*self.random.pick(&[0, 1, 1, 1, 2, 2, 3]) {
            let feature = *self.random.pick(&features);
            self.give(&mut elements, protocol, feature);
        }
        // An empty element says nothing beside another, and is not written.
        if elements
            .iter()
            .any(|element| !element.attributes.is_empty())
        {
            elements.retain(|element| !element.attributes.is_empty());
        } else {
            elements.truncate(1);
            elements[0].positive = true;
        }
        for element in &mut elements {
            if protocol == Protocol::Ipv6 && has(element, "type") {
                set(element, "protocol", "icmpv6");
            }
            in_order(element, "portstart", "portend");
            in_order(element, "type", "typeend");
            in_order(element, "code", "codeend");
        }
        elements
    }

    /// Gives one of the elements these attributes, where none of them is in use yet.
    fn give(&mut self, elements: &mut [Element], protocol: Protocol, feature: &[&str]) {
        let taken = |name: &&str| {
            let mut all = elements.iter().flat_map(|element| &element.attributes);
            all.any(|(known, _)| known == name)
        };
        if feature.iter().any(taken) {
            return;
        }
        let at = self.random.below(elements.len());
        // What is refused every time is worth a try once in a while only.
        let usual = self.random.chance(90);
        if usual && feature.contains(&"dstipto") && protocol.is_v6() {
            return;
        }
        if usual && feature.len() > 1 && feature[0] == "protocol" {
            elements[at].positive = true;
        }
        let ports = feature.iter().any(|name| name.contains("port"));
        for name in feature {
            let value = self.value(protocol, name, ports && usual);
            let attributes = &mut elements[at].attributes;
            attributes.push(((*name).to_owned(), value));
        }
    }

    fn element(&mut self, protocol: Protocol) -> Element {
        Element {
            protocol,
            positive: !self.random.chance(25),
            attributes: Vec::new(),
        }
    }

    fn value(&mut self, protocol: Protocol, attribute: &str, with_ports: bool) -> String {
        let kind = match kind(protocol, attribute).expect("features hold what has a kind") {
            Kind::Protocol if with_ports => Kind::WithPorts,
            kind => kind,
        };
        let plain = kind.value(self.random).to_owned();
        if !kind.takes_variable() || !self.random.chance(12) {
            return plain;
        }
        if kind == Kind::Mac && self.random.chance(30) {
            return "$MAC".into();
        }
        let list = self.list(kind);
        let (name, length) = (&self.lists[list].0, self.lists[list].2.len());
        match self.random.below(8) {
            0..4 => format!("${name}"),
            4 | 5 => format!("${name}[@{}]", self.random.pick(&[0, 1, 1, 2])),
            _ => format!("${name}[{}]", self.random.below(length * 4) / 4),
        }
    }

    /// The position of a list of this kind, an old or a new one.
    fn list(&mut self, kind: Kind) -> usize {
        let old = self.lists.iter().position(|(_, known, _)| *known == kind);
        if let Some(old) = old.filter(|_| self.random.chance(50)) {
            return old;
        }
        let length = *self.random.pick(&[1, 2, 2, 3]);
        let values = (0..length)
            .map(|_| kind.value(self.random).to_owned())
            .collect();
        let name = format!("V{}", self.lists.len());
        self.lists.push((name, kind, values));
        self.lists.len() - 1
    }

    /// What is given at the binding: most of the lists.
    fn binding(&mut self) -> Vec<(String, String)> {
        self.parameters(96)
    }

    fn parameters(&mut self, percent: usize) -> Vec<(String, String)> {
        let mut out = Vec::new();
        for (name, _, values) in &self.lists {
            if self.random.chance(percent) {
                out.extend(values.iter().map(|value| (name.clone(), value.clone())));
            }
        }
        out
    }
}

/// The element for the frames that enter a chain; none where all do.
fn own_element(chain: &str) -> Option<Protocol> {
    let known = ChainPrefix::of(chain)?;
    let stp = (known.prefix == "stp").then_some(Protocol::Stp);
    known.element.or(stp)
}

fn has(element: &Element, name: &str) -> bool {
    element.attributes.iter().any(|(known, _)| known == name)
}

fn set(element: &mut Element, name: &str, value: &str) {
    let found = element
        .attributes
        .iter_mut()
        .find(|(known, _)| known == name);
    if let Some((_, old)) = found {
        value.clone_into(old);
    }
}

/// Exchanges the ends of a range that are the wrong way round, where both are plain numbers.
fn in_order(element: &mut Element, start: &str, end: &str) {
    let ends = |suffix: &str| -> Vec<usize> {
        let names = element.attributes.iter().enumerate();
        names
            .filter(|(_, (name, _))| name.ends_with(suffix))
            .map(|(at, _)| at)
            .collect()
    };
    for (low, high) in ends(start).into_iter().zip(ends(end)) {
        let value = |at: usize| {
            let text = &element.attributes[at].1;
            let hex = text.strip_prefix("0x");
            hex.map_or_else(
                || text.parse().ok(),
                |hex| u32::from_str_radix(hex, 16).ok(),
            )
        };
        if let (Some(a), Some(b)) = (value(low), value(high))
            && a > b
        {
            let first = element.attributes[low].1.clone();
            element.attributes[low].1 = std::mem::replace(&mut element.attributes[high].1, first);
        }
    }
}

#[cfg(test)]
mod tests;

//! Building rules one after the other.

use crate::nwfilter::model::{Element, Entry, Rule};
use crate::nwfilter::vocabulary::{self, Action, Protocol, RuleDirection};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Priority of the first rule. libvirt takes up to 1000.
const FIRST_PRIORITY: i16 = 100;

/// A block of MAC addresses that a destination must be in.
#[derive(Debug, Clone, Copy)]
pub enum Macs {
    /// The broadcast address.
    Broadcast,
    /// Those of IPv4 groups (RFC 1112 section 6.4).
    Groups4,
    /// Those of IPv6 groups (RFC 2464 section 7).
    Groups6,
}

impl Macs {
    const fn address_and_mask(self) -> (&'static str, &'static str) {
        match self {
            Self::Broadcast => ("ff:ff:ff:ff:ff:ff", "ff:ff:ff:ff:ff:ff"),
            Self::Groups4 => ("01:00:5e:00:00:00", "ff:ff:ff:80:00:00"),
            Self::Groups6 => ("33:33:00:00:00:00", "ff:ff:00:00:00:00"),
        }
    }
}

/// The condition of a rule while it is put together.
pub struct Draft(Element);

impl Draft {
    /// A condition that matches all of the element's frames. The comment is kept by
    /// libvirt and costs nothing in the kernel.
    pub fn new(protocol: Protocol, comment: &str) -> Self {
        let element = Element {
            protocol,
            positive: true,
            attributes: Vec::new(),
        };
        Self(element).with("comment", comment)
    }

    /// A condition on IP of the prefix's family.
    pub fn ip(net: IpNet, comment: &str) -> Self {
        match net {
            IpNet::V4(_) => Self::new(Protocol::Ip, comment),
            IpNet::V6(_) => Self::new(Protocol::Ipv6, comment),
        }
    }

    /// Adds an attribute.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// Negates the whole condition.
    pub fn negated(mut self) -> Self {
        self.0.positive = false;
        self
    }

    /// Ties the destination MAC to a block.
    pub fn target_macs(self, macs: Macs) -> Self {
        let (address, mask) = macs.address_and_mask();
        self.with("dstmacaddr", address).with("dstmacmask", mask)
    }

    /// Source prefix.
    pub fn source_net(self, net: impl Into<IpNet>) -> Self {
        let net = net.into();
        self.with("srcipaddr", net.addr().to_string())
            .with("srcipmask", net.prefix_len().to_string())
    }

    /// Destination prefix.
    pub fn target_net(self, net: impl Into<IpNet>) -> Self {
        let net = net.into();
        self.with("dstipaddr", net.addr().to_string())
            .with("dstipmask", net.prefix_len().to_string())
    }

    /// Sender address inside ARP.
    pub fn arp_sender(self, net: Ipv4Net) -> Self {
        self.with("arpsrcipaddr", net.addr().to_string())
            .with("arpsrcipmask", net.prefix_len().to_string())
    }

    /// Target address inside ARP.
    pub fn arp_target(self, net: Ipv4Net) -> Self {
        self.with("arpdstipaddr", net.addr().to_string())
            .with("arpdstipmask", net.prefix_len().to_string())
    }

    /// ARP as Ethernet and IPv4 speak it (RFC 826): the address tests of the others would
    /// look at the wrong bytes.
    pub fn ethernet_ipv4(self) -> Self {
        self.with("hwtype", "1").with("protocoltype", "0x800")
    }

    /// Upper protocol.
    pub fn protocol(self, name: &str) -> Self {
        self.with("protocol", name)
    }

    /// Source port.
    pub fn source_port(self, port: u16) -> Self {
        self.with("srcportstart", port.to_string())
    }

    /// Destination port.
    pub fn target_port(self, port: u16) -> Self {
        self.with("dstportstart", port.to_string())
    }

    /// The element with its attributes in the order in which libvirt prints them.
    fn finish(mut self) -> Element {
        let order = vocabulary::attributes(self.0.protocol);
        self.0.attributes.sort_by_key(|(name, _)| {
            let position = order.iter().position(|known| known.name == name);
            position.expect("a literal attribute of the element")
        });
        self.0
    }
}

/// Rules in order; each gets a priority of its own.
#[derive(Default)]
pub struct Rules(Vec<Entry>);

impl Rules {
    /// Lets frames pass.
    pub fn accept(&mut self, direction: RuleDirection, draft: Draft) {
        self.push(Action::Accept, direction, Some(draft));
    }

    /// Stops frames.
    pub fn drop(&mut self, direction: RuleDirection, draft: Draft) {
        self.push(Action::Drop, direction, Some(draft));
    }

    /// Stops every frame that no rule before took.
    pub fn drop_rest(&mut self, direction: RuleDirection) {
        self.push(Action::Drop, direction, None);
    }

    /// Priorities end at 1000. A policy from a file never has as many rules; beyond that
    /// libvirt keeps document order among equals.
    fn push(&mut self, action: Action, direction: RuleDirection, draft: Option<Draft>) {
        let index = i16::try_from(self.0.len()).unwrap_or(i16::MAX);
        self.0.push(Entry::Rule(Rule {
            action,
            direction,
            priority: Some(FIRST_PRIORITY.saturating_add(index).min(1000)),
            statematch: true,
            elements: draft.into_iter().map(Draft::finish).collect(),
        }));
    }

    /// The rules.
    pub fn into_entries(self) -> Vec<Entry> {
        self.0
    }
}

/// One address as an IPv6 prefix.
pub const UNSPECIFIED6: Ipv6Net = Ipv6Net::new_assert(std::net::Ipv6Addr::UNSPECIFIED, 128);

/// One address as an IPv4 prefix.
pub const UNSPECIFIED4: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::UNSPECIFIED, 32);

//! Small words to write rules with.

use super::model::{Action, Direction, Element, Entry, Rule};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt::Display;

/// A list of rules in order; each gets a priority of its own, so that the
/// order does not depend on how a backend breaks ties.
#[derive(Debug, Default)]
pub struct Rules {
    entries: Vec<Entry>,
}

/// Priority of the first rule; all are positive, since the nftables backend
/// treats negative ones differently.
const FIRST: i16 = 100;

/// Priority of the final rule.
const LAST: i16 = 1000;

/// A protocol element under construction.
#[derive(Debug, Clone)]
pub struct Match {
    element: Element,
}

impl Rules {
    /// Lets frames from the guest pass.
    pub fn accept_out(&mut self, matching: Match) {
        self.add(Action::Accept, Direction::Out, matching);
    }

    /// Stops frames from the guest.
    pub fn drop_out(&mut self, matching: Match) {
        self.add(Action::Drop, Direction::Out, matching);
    }

    /// Lets frames to the guest pass.
    pub fn accept_in(&mut self, matching: Match) {
        self.add(Action::Accept, Direction::In, matching);
    }

    fn add(&mut self, action: Action, direction: Direction, matching: Match) {
        let priority = i16::try_from(self.entries.len())
            .ok()
            .and_then(|at| at.checked_add(FIRST))
            .map_or(LAST - 1, |at| at.min(LAST - 1));
        self.push(action, direction, priority, vec![matching.element]);
    }

    /// Appends the rule that no frame gets past, and returns all.
    pub fn close(mut self) -> Vec<Entry> {
        self.push(Action::Drop, Direction::InOut, LAST, Vec::new());
        self.entries
    }

    fn push(
        &mut self,
        action: Action,
        direction: Direction,
        priority: i16,
        elements: Vec<Element>,
    ) {
        let rule = Rule {
            action,
            direction,
            priority: Some(priority),
            statematch: true,
            elements,
        };
        self.entries.push(Entry::Rule(rule));
    }
}

impl Match {
    /// An element that matches every frame of the protocol.
    pub fn new(protocol: &str) -> Self {
        Self {
            element: Element {
                protocol: protocol.into(),
                positive: true,
                attributes: Vec::new(),
            },
        }
    }

    /// Negates the element.
    pub fn not(mut self) -> Self {
        self.element.positive = false;
        self
    }

    /// Adds an attribute.
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        self.element
            .attributes
            .push((name.into(), value.to_string()));
        self
    }

    /// Destination MAC under a mask:
    /// how a group address is tied to group frames.
    pub fn group_mac(self, address: &str, mask: &str) -> Self {
        self.with("dstmacaddr", address).with("dstmacmask", mask)
    }

    /// Source prefix.
    pub fn sent_by(self, net: impl Into<IpNet>) -> Self {
        let net = net.into();
        self.with("srcipaddr", net.network())
            .with("srcipmask", net.prefix_len())
    }

    /// Destination prefix.
    pub fn toward(self, net: impl Into<IpNet>) -> Self {
        let net = net.into();
        self.with("dstipaddr", net.network())
            .with("dstipmask", net.prefix_len())
    }

    /// Upper protocol.
    pub fn protocol(self, name: &str) -> Self {
        self.with("protocol", name)
    }

    /// Source port.
    pub fn source_port(self, port: u16) -> Self {
        self.with("srcportstart", port)
    }

    /// Destination port.
    pub fn target_port(self, port: u16) -> Self {
        self.with("dstportstart", port)
    }
}

/// A prefix of one IPv4 address.
pub fn host4(address: std::net::Ipv4Addr) -> Ipv4Net {
    Ipv4Net::new_assert(address, 32)
}

/// The prefix of the unspecified IPv6 address.
pub fn unspecified6() -> Ipv6Net {
    Ipv6Net::new_assert(std::net::Ipv6Addr::UNSPECIFIED, 128)
}

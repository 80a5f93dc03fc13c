//! A filter as data.

use super::vocabulary::{
    Action, DEFAULT_PRIORITY, Protocol, ROOT, RuleDirection, default_chain_priority, variables,
};
use std::fmt;

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Name, also that of libvirt's file.
    pub name: String,
    /// Chain; `root` where the file names none.
    pub chain: String,
    /// Priority of the chain in its parent, from -1000 to 1000.
    pub priority: Option<i16>,
    /// UUID in canonical form.
    pub uuid: Option<String>,
    /// Rules and references in document order.
    pub entries: Vec<Entry>,
}

/// What a filter is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A rule.
    Rule(Rule),
    /// A reference to another filter.
    Reference(FilterRef),
}

/// A reference with parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilterRef {
    /// Name of the other filter.
    pub filter: String,
    /// Parameters, in document order; a repeated name makes a list.
    pub parameters: Vec<(String, String)>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What happens to a frame that matches.
    pub action: Action,
    /// Which frames it looks at.
    pub direction: RuleDirection,
    /// Order within its chain, from -1000 to 1000; libvirt takes 500 where there is none.
    pub priority: Option<i16>,
    /// Whether layer-3 rules look at connection state.
    pub statematch: bool,
    /// Protocol elements, all of which must match; none matches every frame.
    pub elements: Vec<Element>,
}

/// A protocol element of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Which element it is.
    pub protocol: Protocol,
    /// False for `match='no'`: each attribute is negated by itself.
    pub positive: bool,
    /// Attributes in document order.
    pub attributes: Vec<(String, String)>,
}

/// Names a rule of a filter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId {
    /// The filter's name.
    pub filter: String,
    /// Position among the filter's rules, from 1.
    pub rule: usize,
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} of {}", self.rule, self.filter)
    }
}

impl Rule {
    /// Its priority, libvirt's default where it has none.
    pub fn effective_priority(&self) -> i16 {
        self.priority.unwrap_or(DEFAULT_PRIORITY)
    }

    /// Whether libvirt makes a rule of layer 3 of it, as its first element says.
    pub fn is_layer3(&self) -> bool {
        let first = self.elements.first();
        first.is_some_and(|element| element.protocol.is_layer3())
    }

    /// Whether it tests for the guest's own address, and so is for one guest only.
    pub fn knows_guest(&self) -> bool {
        self.variables()
            .any(|name| variables::GUEST.contains(&name))
    }

    /// Names of the variables that it uses, without `$` and iterator.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let attributes = self.elements.iter().flat_map(|element| &element.attributes);
        attributes.filter_map(|(_, value)| variables::referred(value))
    }
}

impl Filter {
    /// Whether it is a filter of the root chain.
    pub fn in_root(&self) -> bool {
        self.chain == ROOT
    }

    /// Priority of its chain in the root chain, libvirt's default where it has none.
    pub fn chain_priority(&self) -> i16 {
        // The priority of the root chain is stored but has no effect.
        if self.in_root() {
            return 0;
        }
        let default = || default_chain_priority(&self.chain);
        self.priority.unwrap_or_else(default)
    }

    /// How many rules it has itself.
    pub fn rule_count(&self) -> usize {
        self.rules().count()
    }

    /// Its rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Rule(rule) => Some(rule),
            Entry::Reference(_) => None,
        })
    }

    /// Names of the variables that its rules use, without `$` and iterator.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.rules().flat_map(Rule::variables)
    }

    /// Parameters that it sets on the filters it refers to.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.all_parameters().map(|(name, _)| name)
    }

    /// The same with their values.
    pub fn all_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Rule(_) => None,
                Entry::Reference(reference) => Some(&reference.parameters),
            })
            .flatten()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Names of the filters it refers to.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Rule(_) => None,
            Entry::Reference(reference) => Some(reference.filter.as_str()),
        })
    }
}

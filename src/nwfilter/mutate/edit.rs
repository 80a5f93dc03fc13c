//! What an edit is.

use crate::nwfilter::model::{Entry, Filter, Rule};

/// What kind of edit a mutant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// A rule is deleted.
    Delete,
    /// A rule has another action.
    Action,
    /// A rule has another direction.
    Direction,
    /// A rule stands elsewhere among those of its chain.
    Order,
    /// An attribute is deleted.
    Attribute,
    /// A mask is longer or shorter by one bit.
    Mask,
    /// A value is another one, mostly its neighbour.
    Value,
    /// A single value has become a range.
    Range,
    /// A rule matches what it did not.
    Negation,
    /// A rule has another protocol element.
    Element,
    /// A rule looks at connection state or does so no more.
    StateMatch,
    /// A filter has another chain, or its chain another priority.
    Chain,
    /// A reference is deleted or leads to another filter.
    Reference,
    /// A parameter of a reference is deleted.
    Parameter,
}

impl Operator {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Delete,
        Self::Action,
        Self::Direction,
        Self::Order,
        Self::Attribute,
        Self::Mask,
        Self::Value,
        Self::Range,
        Self::Negation,
        Self::Element,
        Self::StateMatch,
        Self::Chain,
        Self::Reference,
        Self::Parameter,
    ];

    /// Its name in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Action => "action",
            Self::Direction => "direction",
            Self::Order => "order",
            Self::Attribute => "attribute",
            Self::Mask => "mask",
            Self::Value => "value",
            Self::Range => "range",
            Self::Negation => "negation",
            Self::Element => "element",
            Self::StateMatch => "statematch",
            Self::Chain => "chain",
            Self::Reference => "filterref",
            Self::Parameter => "parameter",
        }
    }
}

/// What an edit changes. Entries are numbered from 0 in document order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An entry goes.
    Remove(usize),
    /// An entry becomes another.
    Replace(usize, Entry),
    /// Two entries change places.
    Exchange(usize, usize),
    /// Two rules change their priorities.
    ExchangePriorities(usize, usize),
    /// The filter has another chain.
    Chain(String),
    /// The chain has another priority.
    ChainPriority(i16),
}

impl Change {
    /// Makes the change.
    pub fn make(&self, filter: &mut Filter) {
        match self {
            Self::Remove(at) => {
                filter.entries.remove(*at);
            }
            Self::Replace(at, entry) => filter.entries[*at] = entry.clone(),
            Self::Exchange(one, other) => filter.entries.swap(*one, *other),
            Self::ExchangePriorities(one, other) => {
                let priority = |entry: &Entry| match entry {
                    Entry::Rule(rule) => rule.priority,
                    Entry::Reference(_) => None,
                };
                let priorities = [*other, *one].map(|at| priority(&filter.entries[at]));
                for (at, priority) in [*one, *other].into_iter().zip(priorities) {
                    if let Entry::Rule(rule) = &mut filter.entries[at] {
                        rule.priority = priority;
                    }
                }
            }
            Self::Chain(chain) => filter.chain.clone_from(chain),
            Self::ChainPriority(priority) => filter.priority = Some(*priority),
        }
    }
}

/// An edit before it is known of which filter.
pub struct Edit {
    /// What kind it is.
    pub operator: Operator,
    /// The edit in words.
    pub words: String,
    /// What it changes.
    pub change: Change,
}

impl Edit {
    /// Any edit.
    pub fn new(operator: Operator, words: impl Into<String>, change: Change) -> Self {
        Self {
            operator,
            words: words.into(),
            change,
        }
    }

    /// A rule that becomes another.
    pub fn rule(operator: Operator, words: impl Into<String>, place: usize, rule: Rule) -> Self {
        Self::new(operator, words, Change::Replace(place, Entry::Rule(rule)))
    }
}

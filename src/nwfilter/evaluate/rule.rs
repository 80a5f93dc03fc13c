//! A rule as the kernel sees it: sets of values, one field each.

use super::field::{Field, Fields};
use super::release::Portability;
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::RuleId;
use crate::nwfilter::vocabulary::Action;

/// One test: the field's value is in the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// What is tested.
    pub field: Field,
    /// The values that pass.
    pub set: IntervalSet,
}

/// What a layer-3 rule wants of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// Nothing.
    Any,
    /// That the frame may start one.
    New,
    /// That it belongs to one already.
    Known,
}

/// One rule of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledRule {
    /// Which rule of which filter.
    pub origin: RuleId,
    /// What happens to a frame that matches.
    pub action: Action,
    /// All must pass.
    pub matches: Vec<Match>,
    /// What it wants of the connection.
    pub state: ConnectionState,
    /// A test of it that is not modelled, in words.
    pub undecided: Option<String>,
    /// What of it not every release of iptables takes.
    pub portability: Vec<Portability>,
}

impl CompiledRule {
    /// Whether the frame passes every test that is modelled.
    pub fn is_match(&self, fields: &Fields) -> bool {
        self.matches
            .iter()
            .all(|test| test.set.contains(fields.get(test.field)))
    }
}

impl CompiledRule {
    /// Whether it comes to look at ports or types of a frame whose header for
    /// them is cut: all its other matches pass.
    pub fn looks_into_cut(&self, fields: &Fields) -> bool {
        let inside = |test: &&Match| {
            use Field::{DstPort, IcmpCode, IcmpType, SrcPort};
            matches!(test.field, SrcPort | DstPort | IcmpType | IcmpCode)
        };
        self.matches.iter().any(|test| inside(&test))
            && self
                .matches
                .iter()
                .filter(|test| !inside(test))
                .all(|test| test.set.contains(fields.get(test.field)))
    }
}

/// Tests under construction.
#[derive(Debug, Clone, Default)]
pub struct MatchBuilder {
    /// The matches so far.
    pub matches: Vec<Match>,
    /// A test that is not modelled.
    pub undecided: Option<String>,
    /// What not every release of iptables takes.
    pub portability: Vec<Portability>,
}

impl MatchBuilder {
    /// Adds a test.
    pub fn add(&mut self, field: Field, set: IntervalSet) {
        self.matches.push(Match { field, set });
    }

    /// Adds a test, turned round where it is negated. A field that the frame
    /// does not have passes neither.
    pub fn signed(&mut self, field: Field, set: &IntervalSet, negated: bool) {
        let set = if negated {
            field.all().minus(set)
        } else {
            set.clone()
        };
        self.add(field, set);
    }

    /// Notes a test that is not modelled.
    pub fn undecided(&mut self, what: impl Into<String>) {
        self.undecided.get_or_insert_with(|| what.into());
    }

    /// Source and destination exchanged.
    #[must_use]
    pub fn swapped(&self) -> Self {
        let mut out = self.clone();
        for test in &mut out.matches {
            test.field = test.field.opposite();
        }
        out
    }
}

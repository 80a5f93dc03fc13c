//! A statement with the frames that it is about.

use super::statement::Statement;
use crate::nwfilter::evaluate::Match;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::intervals::IntervalSet;

/// Frames that pass all tests, and no earlier clause took, fall under the statement.
#[derive(Debug, Clone)]
pub struct Clause {
    /// The statement.
    pub statement: Statement,
    /// All must pass.
    pub tests: Vec<Match>,
}

impl Clause {
    /// About every frame that is left.
    pub fn of(statement: Statement) -> Self {
        Self {
            statement,
            tests: Vec::new(),
        }
    }

    /// About those of them whose field is in the set.
    #[must_use]
    pub fn with(mut self, field: Field, set: &IntervalSet) -> Self {
        self.tests.push(Match {
            field,
            set: set.clone(),
        });
        self
    }

    /// About those whose field has one of the values.
    #[must_use]
    pub fn having(self, field: Field, values: &[u128]) -> Self {
        let set = IntervalSet::of(values.iter().map(|value| (*value, *value)).collect());
        self.with(field, &set)
    }

    /// About IP packets of this EtherType.
    #[must_use]
    pub fn typed(self, kind: u16) -> Self {
        self.having(Field::EtherType, &[kind.into()])
    }
}

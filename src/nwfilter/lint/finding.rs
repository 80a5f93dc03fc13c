//! What a lint finds.

use crate::nwfilter::model::RuleId;
use crate::nwfilter::read::Position;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Probably not what was meant.
    Warning,
    /// The filter does something else than it says.
    Error,
}

impl Severity {
    /// As compilers call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something found in a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the lint.
    pub lint: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The filter.
    pub filter: String,
    /// The rule; none where it is about the whole filter.
    pub rule: Option<RuleId>,
    /// Where it stands in the filter's file; none where it is that of the rule.
    pub position: Option<Position>,
    /// What is the matter, and the cure.
    pub message: String,
}

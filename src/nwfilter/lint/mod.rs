//! Filters that do not mean what they say.
//!
//! Each rule has a name and stands for a behaviour of libvirt 11.3.0 that was
//! measured (docs/measurements.md#M1), and each is shown on the real thing by the test `lint_claims`.
//! What libvirt ignores without a word (unknown names, priorities out of range,
//! parameters with odd characters, elements of a second protocol) is refused by
//! [`read`](super::read()) already, and what it refuses to bind by
//! [`Compiled::new`]; both are lints too, for those who go on all the same.

pub mod catalogue;
mod levels;
mod rules;
mod trees;

pub use levels::Levels;

use super::evaluate::{CompileError, Compiled, Culprit};
use super::model::{Filter, RuleId};
use super::read::{Ignored, Position};

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
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The filter.
    pub filter: String,
    /// The rule; none where it is about the whole filter.
    pub origin: Option<RuleId>,
    /// Where it stands in the filter's file; none where it is that of the rule.
    pub place: Option<Position>,
    /// What is the matter, and the cure.
    pub what: String,
}

/// Everything that is to be said of a tree of filters, the worst first.
pub fn lint(filters: &[Filter], top: &str, compiled: &Compiled) -> Vec<Finding> {
    let mut out = Vec::new();
    for filter in filters {
        rules::filter(filter, &mut out);
    }
    trees::tree(top, compiled, &mut out);
    sorted(out)
}

/// What is to be said of the filters one by one, where they do not make a tree
/// that can be bound.
pub fn lint_apart(filters: &[Filter]) -> Vec<Finding> {
    let mut out = Vec::new();
    for filter in filters {
        rules::filter(filter, &mut out);
    }
    sorted(out)
}

/// What the lenient reader lists of a filter, as findings.
pub fn ignored(filter: &str, ignored: &[Ignored]) -> Vec<Finding> {
    let finding = |ignored: &Ignored| Finding {
        rule: catalogue::IGNORED,
        severity: Severity::Error,
        filter: filter.to_owned(),
        origin: None,
        place: Some(ignored.place),
        what: ignored.what.clone(),
    };
    ignored.iter().map(finding).collect()
}

/// The variable that libvirt learns from the guest's traffic where it is not given.
const LEARNED: &str = "IP";

/// Why libvirt refuses to bind a filter, as a finding: whatever the interface says, or
/// as long as it does not give a variable. None where another filter has not been
/// given, or more is asked than can be looked at.
pub fn refused(top: &str, error: &CompileError) -> Option<Finding> {
    let (rule, severity) = match error {
        CompileError::Unset { name, .. } if name == LEARNED => return None,
        CompileError::Unset { .. } => (catalogue::UNSET, Severity::Warning),
        CompileError::Missing { .. }
        | CompileError::TooDeep { .. }
        | CompileError::TooMany { .. } => return None,
        _ => (catalogue::REFUSED, Severity::Error),
    };
    let (filter, origin) = match error.culprit() {
        Culprit::Rule(origin) => (origin.filter.clone(), Some(origin.clone())),
        Culprit::Reference { .. } => (top.to_owned(), None),
    };
    let mut what = error.to_string();
    if rule == catalogue::UNSET {
        what.push_str("; libvirt refuses to bind it to an interface whose filterref does not");
    }
    Some(Finding {
        rule,
        severity,
        filter,
        origin,
        place: None,
        what,
    })
}

fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

#[cfg(test)]
mod tests;

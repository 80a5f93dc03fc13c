//! Filters that do not mean what they say.
//!
//! Each rule has a name and stands for a behaviour of libvirt 11.3.0 that was
//! measured (docs/measurements.md#M1), and each is shown on the real thing by the test `lint_claims`.
//! What libvirt silently ignores (unknown names, priorities out of range,
//! parameters with odd characters, elements of a second protocol) is refused by
//! [`read`](super::read()) already, and what it refuses to bind by
//! [`Compiled::new`]; both are lints too, for those who go on all the same.

mod acting;
mod blockers;
pub mod catalogue;
mod finding;
mod instances;
mod learning;
mod lease;
mod levels;
mod nothing;
mod rules;
mod steady;
mod survey;
mod trees;
mod unentered;
mod whole;

pub use finding::{Finding, Severity};
pub use learning::lets_out;
pub use levels::{Levels, LevelsError};
pub use rules::without_uuid;
pub use steady::{hangs_on_values, is_same};
pub use whole::{Whole, whole};

use survey::Survey;

use super::evaluate::{Backend, CompileError, Compiled, Culprit};
use super::model::{Filter, Rule, RuleId};
use super::read::Ignored;

/// All findings about a tree of filters, the worst first.
///
/// # Examples
///
/// ```
/// use lanfence::nwfilter::evaluate::Compiled;
/// use lanfence::nwfilter::{lint, read};
///
/// let text = "<filter name='x' chain='ipv4'>
///   <rule action='drop' direction='out'><ip dscp='46'/></rule>
/// </filter>";
/// let filters = [read(text, "x.xml")?];
/// let compiled = Compiled::new(&filters, "x", [2, 0, 0, 0, 0, 1], &[])?;
/// let findings = lint::lint(&filters, "x", &compiled);
/// assert_eq!(findings[0].lint, "dscp-is-tos");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lint(filters: &[Filter], top: &str, compiled: &Compiled) -> Vec<Finding> {
    let backend = compiled.backend();
    let mut out = lint_apart(filters, backend);
    let survey = Survey::of(compiled);
    trees::tree(filters, top, compiled, survey.as_ref(), &mut out);
    if let Some(survey) = &survey {
        acting::tree(filters, compiled, survey, &mut out);
    }
    sorted(of_backend(out, backend))
}

/// The findings that are true of a back end.
fn of_backend(mut findings: Vec<Finding>, backend: Backend) -> Vec<Finding> {
    if backend == Backend::Nftables {
        findings.retain(|finding| !OF_IPTABLES.contains(&finding.lint));
    }
    findings
}

/// What libvirt makes of a filter with iptables and ebtables, and not with nft; the test `lint_claims`
/// shows that it is so.
const OF_IPTABLES: [&str; 7] = [
    "dscp-is-tos",
    "icmp-type-inout",
    "iptables-release",
    "layer-3",
    "long-chain-name",
    "negated-port-pair",
    "vlan-encap",
];

/// Findings about each filter by itself as a back end translates it, for filters that do not make
/// a tree that can be bound.
pub fn lint_apart(filters: &[Filter], backend: Backend) -> Vec<Finding> {
    let mut out = Vec::new();
    for filter in filters {
        rules::filter(filter, backend, &mut out);
    }
    sorted(of_backend(out, backend))
}

/// What the lenient reader lists of a filter, as findings.
pub fn ignored(filter: &str, ignored: &[Ignored]) -> Vec<Finding> {
    let finding = |ignored: &Ignored| Finding {
        lint: catalogue::IGNORED,
        severity: Severity::Error,
        filter: filter.to_owned(),
        rule: None,
        position: Some(ignored.position),
        message: ignored.what.clone(),
    };
    ignored.iter().map(finding).collect()
}

/// Why libvirt refuses to bind a filter whatever the interface says, as a finding. None where
/// something has not been given, or more is asked than can be looked at.
pub fn refused(filters: &[Filter], top: &str, error: &CompileError) -> Option<Finding> {
    match error {
        CompileError::Unset { .. }
        | CompileError::Missing { .. }
        | CompileError::TooDeep { .. }
        | CompileError::TooMany { .. } => return None,
        _ => {}
    }
    let (filter, rule) = match error.culprit() {
        Culprit::Rule(origin) => (origin.filter.clone(), Some(origin.clone())),
        Culprit::Reference { .. } => (top.to_owned(), None),
    };
    let left_out =
        matches!(error, CompileError::Lengths { origin, .. } if is_layer3(filters, origin));
    Some(Finding {
        lint: catalogue::REFUSED,
        severity: Severity::Error,
        filter,
        rule,
        position: None,
        message: if left_out {
            format!("{error}; libvirt 12.9 with ebtables binds it without this rule")
        } else {
            error.to_string()
        },
    })
}

/// Whether it is a rule of iptables.
fn is_layer3(filters: &[Filter], origin: &RuleId) -> bool {
    let filter = filters.iter().find(|filter| filter.name == origin.filter);
    let rule = filter.and_then(|filter| filter.rules().nth(origin.rule.saturating_sub(1)));
    rule.is_some_and(Rule::is_layer3)
}

fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

#[cfg(test)]
mod tests;

//! Causes of leaks and blocks in words, for every rendering.

use crate::policy::Policy;
use crate::report::model::{Cause, Cell, Failure, FilterInfo, Run};
use crate::report::text::{clean, plural};

/// The causes of a run with this failure, in their order.
pub fn of(run: &Run, failure: Failure) -> Vec<&Cause> {
    let causes = run.causes.iter();
    causes.filter(|cause| cause.failure == failure).collect()
}

/// Whether every probe of the run that failed in this way stands in a cause. Causes that lack one
/// would hide it: then the probes must be listed.
pub fn are_complete(run: &Run, failure: Failure) -> bool {
    use crate::report::model::Verdict;
    let causes = of(run, failure);
    let probes = run.cells.iter().flat_map(|cell| &cell.probes);
    let mut failed = probes.filter(|probe| probe.verdict == Verdict::Fail(failure));
    failed.all(|probe| causes.iter().any(|cause| cause.probes.contains(&probe.id)))
}

/// The file to look at where no rule is to blame: the filter's own, or that of the policy which it
/// is generated from. None where neither is a file.
pub fn home<'a>(filter: &'a FilterInfo, policy: &'a str) -> Option<&'a str> {
    let source = filter.source.split(", ").next().unwrap_or_default();
    let is_own = source != "none" && !source.starts_with("generated from ");
    if is_own {
        return Some(source).filter(|source| !source.is_empty());
    }
    Some(policy).filter(|policy| ![Policy::EXAMPLE_ORIGIN, ""].contains(policy))
}

/// What is the matter, in one sentence.
pub fn why(cause: &Cause) -> String {
    clean(&cause.text).trim_end_matches('.').to_owned()
}

/// `115 probes`, those of all causes.
pub fn probes(causes: &[&Cause]) -> String {
    plural(causes.iter().map(|cause| cause.probes.len()).sum(), "probe")
}

/// What is the matter, with the number of probes: `IPv6 from the guest is not filtered at all:
/// chain='ipv4' sees IPv4 only: 19 probes`.
pub fn message(cause: &Cause) -> String {
    let count = match (cause.probes.len(), cause.statements.len()) {
        (0, statements) => format!(
            "no probe, {}",
            plural(statements, "statement of the policy")
        ),
        (probes, _) => plural(probes, "probe"),
    };
    format!("{}: {count}", why(cause))
}

/// Where the rule stands and what it says, or where the filter does.
pub fn place_line(cause: &Cause) -> Option<String> {
    let place = cause.place_text();
    Some(match (&cause.rule, place) {
        (Some(rule), Some(place)) => {
            let (number, filter) = (rule.rule, clean(&rule.filter));
            format!(
                "at {}: rule {number} of {filter}, {}",
                clean(&place),
                clean(&rule.text)
            )
        }
        (Some(rule), None) => {
            let (number, filter) = (rule.rule, clean(&rule.filter));
            format!("at rule {number} of {filter}, {}", clean(&rule.text))
        }
        (None, Some(place)) => format!("at {}", clean(&place)),
        (None, None) => return None,
    })
}

/// In which cells, where not every probe of the cause failed in every cell.
pub fn cells_line(run: &Run, cause: &Cause) -> Option<String> {
    use crate::report::findings::{labels, list};
    use crate::report::model::Verdict;
    let failed = |cell: &Cell| {
        let probes = cell.probes.iter();
        let failed = probes.filter(|probe| probe.verdict == Verdict::Fail(cause.failure));
        failed
            .filter(|probe| cause.probes.contains(&probe.id))
            .count()
    };
    if run
        .cells
        .iter()
        .all(|cell| failed(cell) == cause.probes.len())
    {
        return None;
    }
    let cells = run.cells.iter().zip(labels(run));
    let cells = cells.filter(|(cell, _)| failed(cell) > 0);
    let cells: Vec<String> = cells.map(|(_, label)| label).collect();
    Some(format!(
        "in {}, not everywhere each probe",
        list(&cells, run)
    ))
}

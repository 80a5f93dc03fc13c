//! What a check has found, as SARIF's results.

use super::report::Report;
use crate::cli::sarif::Result as SarifResult;
use crate::diagnosis::Cause;
use crate::policy::Policy;
use crate::report::baseline::Comparison;
use crate::report::causes;
use crate::verdict::Verdict;

/// Findings of the lints, and the causes of what is wrong, each where it stands; compared with a
/// baseline, only the causes of what changed.
pub fn results(report: &Report, found: Option<&Comparison>) -> Vec<SarifResult> {
    let tree = &report.tree;
    let lints = report.checked.lint.iter();
    // A generated filter has no file: its policy has.
    let policy = Some(report.policy.as_str()).filter(|it| *it != Policy::EXAMPLE_ORIGIN);
    let home = tree.given_paths().first().copied().or(policy);
    let home = home.map(str::to_owned);
    let lints = lints.map(|finding| {
        let lint = SarifResult::of(tree, finding);
        SarifResult {
            path: lint.path.clone().or_else(|| home.clone()),
            ..lint
        }
    });
    let is_new = |cause: &&Cause| found.is_none_or(|found| explains(found, cause));
    let causes = report.causes.iter().filter(is_new);
    let causes = causes.map(|cause| SarifResult {
        rule: Verdict::Fail(cause.failure).word().to_owned(),
        level: "error",
        message: causes::message(cause),
        path: cause
            .place
            .as_ref()
            .map(|place| place.file.clone())
            .or_else(|| home.clone()),
        place: cause.place.as_ref().map(|place| (place.line, place.column)),
    });
    lints.chain(causes).collect()
}

/// Whether a cause has a part in what got worse.
fn explains(found: &Comparison, cause: &Cause) -> bool {
    let mut worse = found.changes.iter().filter(|change| change.kind.is_bad());
    worse.any(|change| {
        let of_statement = |id: &String| {
            let kind = change.probe.strip_prefix(id.as_str());
            kind.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        cause.probes.contains(&change.probe) || cause.statements.iter().any(of_statement)
    })
}

//! What is wrong in a run as SARIF, each result at the rule of the filter that it comes from.

use super::sarif::Result as SarifResult;
use crate::report::baseline::{Comparison, LEAK_CHECK};
use crate::report::causes;
use crate::report::findings::{Finding, findings, place};
use crate::report::model::{Cause, Failure, Run, Verdict};
use crate::report::titles;

/// A result for each probe that leaks, is blocked or is not proven, all cells in one; and for each
/// cell that did not come to its end or whose leak check is not passed. Compared with a baseline,
/// only what is accepted by none.
pub fn results(run: &Run, found: Option<&Comparison>) -> Vec<SarifResult> {
    let home = causes::home(&run.filter, &run.policy).map(str::to_owned);
    let result = |rule: &str, level, message| SarifResult {
        rule: rule.to_owned(),
        level,
        message,
        path: home.clone(),
        place: None,
    };
    let is_known = |cell: &str, probe: &str| found.is_some_and(|it| it.is_as_before(cell, probe));
    let mut out = Vec::new();
    for verdict in [
        Verdict::Fail(Failure::Leak),
        Verdict::Fail(Failure::Blocked),
        Verdict::Inconclusive,
    ] {
        let level = match verdict {
            Verdict::Inconclusive => "warning",
            _ => "error",
        };
        for finding in findings(run, verdict) {
            let mut cells = run.cells.iter().filter(|cell| {
                let mut probes = cell.probes.iter();
                probes.any(|probe| probe.id == finding.id && probe.verdict == verdict)
            });
            if cells.all(|cell| is_known(&cell.name, &finding.id)) {
                continue;
            }
            let cause = cause(run, verdict, &finding.id);
            let of = result(verdict.word(), level, message(&finding, cause, run));
            out.push(at(of, cause));
        }
    }
    let unproven = |message| result(Verdict::Inconclusive.word(), "warning", message);
    for cell in &run.cells {
        if let Some(error) = &cell.error {
            let message = format!("{}, step {}: {}", cell.name, error.step, error.message);
            out.push(unproven(message));
        } else if run.filter.name.is_some()
            && cell.leak_check != Some(true)
            && !is_known(&cell.name, LEAK_CHECK)
        {
            let what = "without the filter not every WAN probe arrived, so it is not proven that the filter stopped them";
            out.push(unproven(format!("{}: {what}", cell.name)));
        }
    }
    out
}

/// Why a probe came out so.
fn cause<'a>(run: &'a Run, verdict: Verdict, id: &str) -> Option<&'a Cause> {
    let Verdict::Fail(failure) = verdict else {
        return None;
    };
    let named = |cause: &&Cause| cause.probes.iter().any(|probe| probe == id);
    causes::of(run, failure).into_iter().find(named)
}

/// The same at the rule that decides, where it stands in a file.
fn at(result: SarifResult, cause: Option<&Cause>) -> SarifResult {
    match cause.and_then(|cause| cause.place.as_ref()) {
        Some(place) => SarifResult {
            path: Some(place.file.clone()),
            place: Some((place.line, place.column)),
            ..result
        },
        None => result,
    }
}

fn message(finding: &Finding, cause: Option<&Cause>, run: &Run) -> String {
    let mut text = format!(
        "{}: {} {}",
        finding.id,
        finding.summary,
        place(finding, run)
    );
    if let Some(point) = finding.last_seen {
        text = format!("{text}, last seen at {}", titles::place(point));
    }
    if let Some(note) = &finding.note {
        text = format!("{text}: {note}");
    }
    let Some(cause) = cause else { return text };
    text = format!("{text}. {}", causes::why(cause));
    match causes::place_line(cause) {
        Some(place) => format!("{text} ({place})"),
        None => text,
    }
}

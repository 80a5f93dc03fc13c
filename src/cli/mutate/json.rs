//! Judged mutants for programs.

use super::report::Report;
use crate::frame::{summary, to_hex};
use crate::mutate::{Class, Figures, Judged};
use crate::nwfilter::evaluate::Decision;
use serde_json::{Value, json};

/// Grows when a field changes its meaning or goes away.
const SCHEMA_VERSION: u32 = 1;

/// The document.
pub fn json(report: &Report) -> String {
    let figures = report.mutants.figures();
    let mutants = report.mutants.all.iter().map(mutant);
    let document = json!({
        "schema_version": SCHEMA_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "filter": report.tree.top,
        "files": report.tree.paths(),
        "policy": report.policy,
        "backend": report.backend.word(),
        "exit_code": report.mutants.exit().code(),
        "figures": counts(&figures),
        "mutants": mutants.collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&document).expect("strings and numbers only");
    text + "\n"
}

fn counts(figures: &Figures) -> Value {
    let score = figures.score();
    json!({
        "mutants": figures.all(),
        "probes": figures.probes,
        "sets": figures.sets,
        "both": figures.both,
        "equivalent": figures.equivalent,
        "refused": figures.refused,
        "survived": figures.survived,
        "unproven": figures.unproven,
        "noticed": score.noticed,
        "different": score.of,
    })
}

fn mutant(judged: &Judged) -> Value {
    let mutant = &judged.mutant;
    let note = match &judged.class {
        Class::Refused(why) | Class::Unproven(why) => Some(why.as_str()),
        _ => None,
    };
    let example = match &judged.class {
        Class::Survived(difference) => {
            let passes = |at: usize| difference.outcomes[at].decision == Decision::Accept;
            Some(json!({
                "direction": difference.way.to_string(),
                "kind": difference.frame_kind,
                "frame": to_hex(&difference.frame),
                "summary": summary(&difference.frame),
                "passes_original": passes(0),
                "passes_mutant": passes(1),
            }))
        }
        _ => None,
    };
    json!({
        "operator": mutant.operator.word(),
        "filter": mutant.filter,
        "rule": mutant.rule.as_ref().map(|rule| rule.rule),
        "edit": mutant.edit,
        "class": judged.class.word(),
        "probes": judged.probes,
        "sets": judged.sets,
        "note": note,
        "example": example,
    })
}

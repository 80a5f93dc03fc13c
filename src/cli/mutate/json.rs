//! Judged mutants for programs.

use super::report::Report;
use crate::frame::{summary, to_hex};
use crate::mutate::{Class, Figures, Judged};
use crate::nwfilter::evaluate::Decision;
use crate::nwfilter::statements::Statement;
use crate::report::baseline::MUTATE_SCHEMA;
use serde_json::{Value, json};

/// The document.
pub fn json(report: &Report) -> String {
    let figures = report.mutants.figures();
    let mutants = report.mutants.all.iter();
    let mutants = mutants.map(|judged| mutant(report, judged));
    let document = json!({
        "schema_version": MUTATE_SCHEMA,
        "verb": "mutate",
        "version": env!("CARGO_PKG_VERSION"),
        "filter": report.tree.top,
        "files": report.tree.paths(),
        "rules": report.tree.rule_count(),
        "parameters": report.parameters,
        "identity": report.identity,
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
        "statements": figures.statements,
        "both": figures.both,
        "equivalent": figures.equivalent,
        "indifferent": figures.indifferent,
        "refused": figures.refused,
        "survived": figures.survived,
        "unproven": figures.unproven,
        "noticed": score.noticed,
        "different": score.of,
    })
}

fn ids(statements: &[Statement]) -> Vec<&'static str> {
    statements.iter().map(|statement| statement.id()).collect()
}

fn mutant(report: &Report, judged: &Judged) -> Value {
    let mutant = &judged.mutant;
    let note = match &judged.class {
        Class::Refused(why) | Class::Unproven(why) => Some(why.as_str()),
        _ => None,
    };
    let example = match &judged.class {
        Class::Survived(seen) => {
            let passes = |at: usize| seen.outcomes[at].decision == Decision::Accept;
            Some(json!({
                "direction": seen.way.to_string(),
                "statement": seen.statement.map(Statement::id),
                "frame": to_hex(&seen.frame),
                "summary": summary(&seen.frame),
                "passes_original": passes(0),
                "passes_mutant": passes(1),
            }))
        }
        _ => None,
    };
    let open = match &judged.class {
        Class::Indifferent(statements) => ids(statements),
        _ => Vec::new(),
    };
    json!({
        "operator": mutant.operator.word(),
        "filter": mutant.filter,
        "rule": mutant.rule.as_ref().map(|rule| rule.rule),
        "text": mutant.rule.as_ref().map(|rule| report.tree.rule_text(rule)),
        "edit": mutant.edit,
        "class": judged.class.word(),
        "probes": judged.probes,
        "statements": ids(&judged.statements),
        "open": open,
        "note": note,
        "example": example,
    })
}

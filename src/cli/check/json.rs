//! A finished check for programs.

use super::report::Report;
use crate::check::RuleCoverage;
use crate::check::learning::LearningPhase;
use crate::check::probes::Judged;
use crate::cli::levels;
use crate::frame::to_hex;
use crate::nwfilter::reach::TrafficClass;
use crate::nwfilter::statements::{Held, Ruling};
use crate::nwfilter::{FilterTree, trace};
use crate::report::baseline::CHECK_SCHEMA;
use serde::Serialize;
use serde_json::json;

/// The document.
pub fn json(report: &Report) -> String {
    let (tree, checked) = (&report.tree, &report.checked);
    let document = json!({
        "schema_version": CHECK_SCHEMA,
        "verb": "check",
        "version": env!("CARGO_PKG_VERSION"),
        "filter": tree.top,
        "files": tree.paths(),
        "rules": tree.rule_count(),
        "identity": report.identity,
        "bridge_nf": report.bridge_nf,
        "denied": report.denied,
        "policy": report.policy,
        "guest": report.guest,
        "parameters": report.parameters,
        "left_out": report.left_out,
        "backend": report.backend.word(),
        "exit_code": checked.conclusion().exit().code(),
        "known_gaps": checked.judgement.counts().known_gaps,
        "learning": checked.learning.as_ref().map(learning),
        "causes": report.causes,
        "lint": checked.lint.iter().map(|finding| levels::json(tree, finding)).collect::<Vec<_>>(),
        "probes": checked.judgement.probes.iter().map(|judged| probe(tree, judged)).collect::<Vec<_>>(),
        "statements": checked
            .judgement
            .statements
            .iter()
            .map(|held| statement(tree, held))
            .collect::<Vec<_>>(),
        "coverage": checked.coverage.iter().map(rule).collect::<Vec<_>>(),
        "classes": checked.classes.iter().map(class).collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&document).expect("strings and numbers only")
}

fn probe(tree: &FilterTree, judged: &Judged) -> impl Serialize {
    json!({
        "id": judged.probe.id,
        "summary": judged.probe.summary,
        "expect": judged.probe.expect,
        "outcome": judged.outcome,
        "verdict": judged.verdict.word(),
        "note": judged.note,
        "frame": to_hex(&judged.frame),
        "trace": trace(tree, &judged.evaluation),
    })
}

fn rule(covered: &RuleCoverage) -> impl Serialize {
    json!({
        "filter": covered.rule.filter,
        "rule": covered.rule.rule,
        "probes": covered.probes,
    })
}

fn statement(tree: &FilterTree, held: &Held) -> impl Serialize {
    let wrong = held.wrong.iter().map(|wrong| {
        json!({
            "frames": wrong.kind,
            "frame": to_hex(&wrong.frame),
            "trace": trace(tree, &wrong.evaluation),
        })
    });
    json!({
        "id": held.statement.id(),
        "statement": held.statement.sentence(),
        "requires": held.statement.ruling() == Ruling::Required,
        "proven": held.is_proven(),
        "wrong": wrong.collect::<Vec<_>>(),
        "inexact": held.inexact,
    })
}

fn learning(phase: &LearningPhase) -> impl Serialize {
    json!({
        "learning": phase.learning,
        "verdict": phase.conclusion().word(),
        "probes": phase.probes.len(),
        "judged": phase.probes.iter().map(verdict).collect::<Vec<_>>(),
        "known_gaps": phase.known_gaps().map(|judged| &judged.probe.id).collect::<Vec<_>>(),
        "leaks": phase.leaks().map(|judged| &judged.probe.id).collect::<Vec<_>>(),
    })
}

/// A probe without its frame.
fn verdict(judged: &Judged) -> impl Serialize {
    json!({
        "id": judged.probe.id,
        "summary": judged.probe.summary,
        "expect": judged.probe.expect,
        "verdict": judged.verdict.word(),
        "note": judged.note,
    })
}

fn class(class: &TrafficClass) -> impl Serialize {
    json!({
        "name": class.name,
        "proven": class.is_proven(),
        "accepted": class.list(&class.accepted),
        "leaked": class.list(&class.leaked),
        "blocked": class.list(&class.blocked),
        "example": class.example.as_deref().map(to_hex),
        "inexact": class.inexact,
    })
}

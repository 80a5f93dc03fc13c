//! A finished check for programs.

use super::probes::{Fate, Judged};
use super::{Checked, hex};
use crate::cli::explain::trace;
use crate::cli::levels;
use crate::nwfilter::reach::TrafficClass;
use serde::Serialize;
use serde_json::json;

/// Grows when a field changes its meaning or goes away.
const SCHEMA_VERSION: u32 = 1;

/// The document.
pub fn json(checked: &Checked) -> String {
    let document = json!({
        "schema_version": SCHEMA_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "filter": checked.tree.top,
        "files": checked.tree.paths(),
        "policy": checked.policy,
        "backend": checked.backend.word(),
        "exit_code": checked.exit(),
        "lint": checked.lint.iter().map(|finding| levels::json(&checked.tree, finding)).collect::<Vec<_>>(),
        "probes": checked.probes.iter().map(|judged| probe(checked, judged)).collect::<Vec<_>>(),
        "classes": checked.classes.iter().map(class).collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&document).expect("strings and numbers only")
}

fn probe(checked: &Checked, judged: &Judged) -> impl Serialize {
    let (fate, note) = match &judged.fate {
        Fate::Delivered => ("delivered", None),
        Fate::Dropped => ("dropped", None),
        Fate::Undecided(why) => ("undecided", Some(why)),
    };
    json!({
        "id": judged.probe.id,
        "summary": judged.probe.summary,
        "expect": judged.probe.expect,
        "fate": fate,
        "verdict": judged.verdict.word(),
        "note": note,
        "frame": hex(&judged.frame),
        "trace": trace(&checked.tree, &judged.outcome),
    })
}

fn class(class: &TrafficClass) -> impl Serialize {
    json!({
        "name": class.name,
        "proven": class.is_proven(),
        "accepted": class.list(&class.accepted),
        "leaked": class.list(&class.leaked),
        "blocked": class.list(&class.blocked),
        "example": class.example.as_deref().map(hex),
        "inexact": class.inexact,
    })
}

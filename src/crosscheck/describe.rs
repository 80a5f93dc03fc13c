//! A mismatch in words, with everything that is needed to see it again.

use super::comparison::{Disputed, Mismatch, with_bridge_nf};
use super::model::{Model, compile};
use crate::frame::{summary, to_hex};
use crate::nwfilter::evaluate::Decision;
use crate::nwfilter::write;
use crate::random::Case;
use std::fmt::Write as _;

/// The mismatch with the case that shows it.
pub fn describe(case: &Case, model: Model, mismatch: &Mismatch) -> String {
    let mut out = String::new();
    for filter in &case.filters {
        out += &write(filter);
        out.push('\n');
    }
    for (name, value) in &case.parameters {
        let _ = writeln!(out, "--param {name}={value}");
    }
    match mismatch {
        Mismatch::Frame(disputed) => frame(&mut out, case, model, disputed),
        Mismatch::Binding(refused, error) => {
            let words = |text: &Option<String>| text.clone().unwrap_or_else(|| "takes it".into());
            let _ = writeln!(out, "libvirt:   {}", words(refused));
            let _ = writeln!(out, "evaluator: {}", words(error));
        }
    }
    out
}

fn frame(out: &mut String, case: &Case, model: Model, disputed: &Disputed) {
    let _ = writeln!(out, "frame {}: {}", disputed.way, summary(&disputed.frame));
    out.push_str("  ");
    out.push_str(&to_hex(&disputed.frame));
    out.push('\n');
    let kernel = if disputed.passed {
        "passes it"
    } else {
        "drops it"
    };
    let _ = writeln!(out, "kernel:    {kernel}");
    if !disputed.bridge_nf {
        let _ = writeln!(out, "           (br_netfilter is not at work)");
    }
    if !disputed.filtered {
        let _ = writeln!(out, "evaluator: says otherwise, and no filter was bound");
        return;
    }
    let Ok(compiled) = compile(case, model) else {
        return;
    };
    let compiled = with_bridge_nf(compiled, disputed.bridge_nf);
    let outcome = compiled.evaluate(&disputed.frame, disputed.way);
    let decision = match outcome.decision {
        Decision::Accept => "passes it".to_owned(),
        Decision::Drop => "drops it".to_owned(),
        Decision::Undecided(why) => format!("undecided: {why}"),
    };
    let _ = writeln!(out, "evaluator: {decision}");
    for event in outcome.trace {
        let _ = writeln!(out, "  {event:?}");
    }
}

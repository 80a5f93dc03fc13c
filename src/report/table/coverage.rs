//! How many frames each rule of the filter matched.

use super::page::Page;
use crate::report::color::Paint;
use crate::report::model::{RuleText, Run};
use crate::report::text::{clean, plural};
use std::fmt::Write as _;

/// The rules that matched no frame in any cell: nothing in this run tested them.
pub(super) fn print(page: &mut Page, run: &Run) {
    if run.cells.iter().all(|cell| cell.rules.is_empty()) {
        return;
    }
    let texts = run.filter.texts.iter();
    let untested: Vec<&RuleText> = texts.filter(|text| hits(run, text) == Some(0)).collect();
    if untested.is_empty() {
        return;
    }
    page.heading(
        &format!("Not tested ({})", plural(untested.len(), "rule")),
        "no frame of this run matched them",
    );
    for text in untested {
        page.field(2, &name(text), 4, &clean(&text.text), Paint::yellow);
    }
}

/// All rules with the frames that they matched in all cells together, for `--coverage`.
pub fn coverage(run: &Run) -> String {
    let mut out = String::new();
    let cells = run
        .cells
        .iter()
        .filter(|cell| !cell.rules.is_empty())
        .count();
    if cells == 0 {
        return "Rules: the kernel's counters of no cell are known\n".into();
    }
    let _ = writeln!(
        out,
        "Rules, and how many frames each matched by the kernel's counters ({})",
        plural(cells, "cell")
    );
    for text in &run.filter.texts {
        let frames = hits(run, text).map_or_else(|| "?".to_owned(), |frames| frames.to_string());
        let _ = writeln!(out, "{frames:>7}  {}: {}", name(text), clean(&text.text));
    }
    out
}

/// The frames that a rule matched in all cells; none where it is in no cell's layer 2.
fn hits(run: &Run, text: &RuleText) -> Option<u64> {
    let all = run.cells.iter().flat_map(|cell| &cell.rules);
    let own = all.filter(|hits| hits.filter == text.filter && hits.rule == text.rule);
    own.map(|hits| hits.frames).reduce(u64::saturating_add)
}

fn name(text: &RuleText) -> String {
    format!("rule {} of {}", text.rule, clean(&text.filter))
}

//! A fix as text.

use super::report::Report;
use crate::cli::heading::heading;
use crate::fix::{Edit, Fix};
use crate::nwfilter::FilterTree;
use crate::report::text::{plural, plurals, wrap};
use similar::TextDiff;
use std::fmt::Write as _;

/// Width of the text.
const WIDTH: usize = 100;

/// The whole text.
pub fn text(report: &Report) -> String {
    let mut out = heading("fix", &report.tree, &report.policy, report.backend);
    if let Some(guest) = &report.guest {
        let _ = writeln!(out, "guest   {guest}");
    }
    out.push_str(&summary(&report.fix));
    for rule in &report.idle {
        let text = format!("this rule has nothing left to do and can go: {rule}");
        for line in wrap("note    ", &text, WIDTH, 8) {
            let _ = writeln!(out, "{line}");
        }
    }
    if !report.gaps.is_empty() {
        let count = plural(report.gaps.len(), "probe");
        let _ = writeln!(out, "\nKnown gaps ({count}): no nwfilter can close them");
    }
    for gap in &report.gaps {
        let text = format!("{}; {}", gap.summary, gap.remedy);
        for line in wrap(&format!("  {:<26} ", gap.id), &text, WIDTH, 29) {
            let _ = writeln!(out, "{line}");
        }
    }
    if !report.fix.edits.is_empty() {
        let _ = write!(out, "\n{}", difference(&report.tree, &report.fix));
    }
    out
}

/// What was done, in numbers.
fn summary(fix: &Fix) -> String {
    if fix.edits.is_empty() {
        return "fix     nothing: the policy is proven of this filter already\n".to_owned();
    }
    let count = |test: fn(&Edit) -> bool| fix.edits.iter().filter(|edit| test(edit)).count();
    let parts = [
        (count(|edit| matches!(edit, Edit::Insert(..))), "added"),
        (count(|edit| matches!(edit, Edit::Replace(..))), "changed"),
        (count(|edit| matches!(edit, Edit::Remove(_))), "removed"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let mut parts: Vec<String> = parts
        .map(|(count, what)| format!("{} {what}", plurals(count, "rule", "rules")))
        .collect();
    if fix.edits.contains(&Edit::ToRoot) {
        parts.push("the chain becomes root, which sees every frame".to_owned());
    }
    let mut out = String::new();
    let kept = if fix.replaces_all() {
        "no rule is left as it was, so this is the filter that the policy generates, under this name".to_owned()
    } else {
        format!(
            "{} left as before",
            plurals(fix.kept, "rule is", "rules are")
        )
    };
    let text = format!("{}; {kept}", parts.join(", "));
    for line in wrap("fix     ", &text, WIDTH, 8) {
        let _ = writeln!(out, "{line}");
    }
    let tried = plural(fix.tried, "filter");
    let _ = writeln!(out, "proof   `check` proves the policy; {tried} tried");
    if fix.rewritten {
        let _ = writeln!(
            out,
            "note    the file is written anew, without its comments"
        );
    }
    out
}

/// The change as `patch -p1` takes it.
pub fn difference(tree: &FilterTree, fix: &Fix) -> String {
    let path = tree.path().unwrap_or(&tree.top);
    let path = path.trim_start_matches("./").trim_start_matches('/');
    let diff = TextDiff::from_lines(&fix.before, &fix.after);
    let mut unified = diff.unified_diff();
    unified
        .header(&format!("a/{path}"), &format!("b/{path}"))
        .to_string()
}

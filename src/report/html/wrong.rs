//! What is wrong: leaks, blocks, what was not proven and why, cells that broke down.

use super::view::{ProbeView, ResultView, Row, View};
use super::words;
use crate::report::causes;
use crate::report::findings::{leak_check, reason};
use crate::report::model::{Cause, Failure, Verdict};
use crate::report::table::{blame, learning_line};
use crate::report::text::{clean, plural};
use crate::report::titles;
use crate::verdict::Conclusion;
use maud::{Markup, html};
use std::collections::HashSet;

/// From so many findings on the rows are closed at first, so that the page can be overlooked.
const MANY: usize = 40;

/// The section's title.
pub fn title(view: &View<'_>) -> String {
    let title = match view.run.conclusion() {
        Conclusion::Pass => "What was proven",
        Conclusion::Inconclusive | Conclusion::Empty => "What was not proven",
        _ => "What is wrong",
    };
    title.to_owned()
}

/// All findings, and what the leak check shows.
pub fn section(view: &View<'_>) -> Markup {
    html! {
        (errors(view))
        (failures(view, Failure::Leak))
        (failures(view, Failure::Blocked))
        (learning(view))
        (unproven(view))
        (flaky(view))
        ul class="checks" {
            @for (good, line) in leak_check(view.run) {
                li class=(if good { "pass" } else { "inconclusive" }) { (line) }
            }
        }
    }
}

fn errors(view: &View<'_>) -> Markup {
    let cells = view.run.cells.iter().zip(&view.labels);
    let failed: Vec<_> = cells
        .filter_map(|(cell, label)| Some((label, cell.error.as_ref()?)))
        .collect();
    html! {
        @if !failed.is_empty() {
            h3 { (plural(failed.len(), "cell")) " did not finish" }
            ul class="findings" {
                @for (label, error) in failed {
                    li class="inconclusive" {
                        b { (label) } " in step " code { (error.step) } ", " (blame(error.kind)) ": "
                        (clean(&error.message))
                    }
                }
            }
        }
    }
}

fn failures(view: &View<'_>, why: Failure) -> Markup {
    let (name, remark) = match why {
        Failure::Leak => (
            "leak",
            "The policy forbids these frames, and they got through.",
        ),
        Failure::Blocked => (
            "blocked",
            "The policy allows these frames, and they were stopped.",
        ),
    };
    let found: Vec<_> = view.with(Verdict::Fail(why)).collect();
    let mut probes: Vec<&str> = found
        .iter()
        .map(|(probe, _)| probe.anchor.as_str())
        .collect();
    probes.dedup();
    let title = match why {
        Failure::Leak => plural(probes.len(), "leak"),
        Failure::Blocked => format!("{} wrongly blocked", plural(probes.len(), "probe")),
    };
    html! {
        @if !found.is_empty() {
            h3 { (title) }
            p class="remark" { (remark) }
            // Causes that lack a probe would hide it.
            @if causes::are_complete(view.run, why) {
                @for cause in causes::of(view.run, why) { (cause_of(view, cause, name, &found)) }
            } @else {
                @for row in &view.rows { (row_of(view, *row, name, &found)) }
            }
        }
    }
}

/// A cause with its probes.
fn cause_of(
    view: &View<'_>,
    cause: &Cause,
    kind: &str,
    found: &[(&ProbeView<'_>, &ResultView<'_>)],
) -> Markup {
    let ids: HashSet<&str> = cause.probes.iter().map(String::as_str).collect();
    let own = found
        .iter()
        .filter(|(_, result)| ids.contains(result.result.id.as_str()));
    html! {
        details class=(format!("cause {kind}")) {
            summary {
                b class=(kind) { (cause.probes.len()) } " " (clean(&cause.text))
                @if !cause.explained { " " b class="v inconclusive" { "not explained" } }
                @if let Some(line) = causes::place_line(cause) { span class="why" { (line) } }
                @if let Some(line) = causes::cells_line(view.run, cause) { span class="why" { (line) } }
            }
            ul class="findings" {
                @for (probe, result) in own { (finding(view, probe, result, kind, false)) }
            }
        }
    }
}

/// The findings of one row of the table.
fn row_of(
    view: &View<'_>,
    row: Row,
    kind: &str,
    found: &[(&ProbeView<'_>, &ResultView<'_>)],
) -> Markup {
    let own: Vec<_> = found.iter().filter(|(probe, _)| probe.row == row).collect();
    html! {
        @if !own.is_empty() {
            details open[found.len() < MANY] class="rowlist" {
                summary { b class=(kind) { (own.len()) } " " (titles::title(row.group)) }
                ul class="findings" {
                    @for (probe, result) in own { (finding(view, probe, result, kind, true)) }
                }
            }
        }
    }
}

/// `why` tells by which rule, where no cause does.
fn finding(
    view: &View<'_>,
    probe: &ProbeView<'_>,
    result: &ResultView<'_>,
    kind: &str,
    why: bool,
) -> Markup {
    let decided = probe.facts.and_then(|facts| facts.decided.as_ref());
    let seen = result.result.last_seen.filter(|_| kind == "leak");
    html! {
        li class=(kind) {
            a href=(format!("#{}", probe.anchor)) { (probe.id) } " " (probe.summary)
            @if view.labels.len() > 1 { " " span class="cells" { (view.cells(&result.cells)) } }
            @if let Some(point) = seen { ", seen at " (titles::place(point)) }
            @if let Some(note) = &result.result.note { "; " (clean(note)) }
            @if let Some(step) = decided.filter(|_| why).and_then(|it| it.trace.last()) {
                div class="why" { (clean(step)) }
            }
        }
    }
}

fn unproven(view: &View<'_>) -> Markup {
    let found: Vec<_> = view.with(Verdict::Inconclusive).collect();
    let why = |result: &ResultView<'_>| {
        let note = result.result.note.as_deref().map(clean);
        note.filter(|it| !it.is_empty())
            .unwrap_or_else(|| reason(result.result))
    };
    let mut reasons: Vec<String> = Vec::new();
    for (_, result) in &found {
        let reason = why(result);
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    html! {
        @if !found.is_empty() {
            h3 { (words::inconclusive(found.len())) }
            p class="remark" { "Not proven either way, so not green." }
            @for reason in reasons {
                @let own: Vec<_> = found.iter().filter(|(_, it)| why(it) == reason).collect();
                details open[own.len() < MANY] class="rowlist" {
                    summary { b class="inconclusive" { (own.len()) } " because " (reason) }
                    ul class="findings" {
                        @for (probe, result) in own {
                            li class="inconclusive" {
                                a href=(format!("#{}", probe.anchor)) { (probe.id) } " " (probe.summary)
                                @if view.labels.len() > 1 { " " span class="cells" { (view.cells(&result.cells)) } }
                                @if let Some(point) = result.result.last_seen {
                                    ", last seen at " (titles::place(point))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn learning(view: &View<'_>) -> Markup {
    let cells = view.run.cells.iter().zip(&view.labels);
    let phases: Vec<_> = cells
        .flat_map(|(cell, label)| cell.learning.iter().map(move |phase| (label, phase)))
        .collect();
    html! {
        @if !phases.is_empty() {
            h3 { "While libvirt learned the guest's address" }
            p class="remark" { "The filter was not in force yet." }
            ul class="findings" {
                @for (label, phase) in phases {
                    li class=(if phase.let_out > 0 { "leak" } else { "pass" }) {
                        b { (label) } " " (learning_line(phase))
                    }
                }
            }
        }
    }
}

fn flaky(view: &View<'_>) -> Markup {
    let cells = view.run.cells.iter().zip(&view.labels);
    let flaky: Vec<_> = cells
        .filter_map(|(cell, label)| Some((label, cell.flaky.as_ref()?)))
        .collect();
    html! {
        @if !flaky.is_empty() {
            h3 { (plural(flaky.len(), "flaky cell")) }
            p class="remark" { "They passed only on a later try, so they are not green; the worst try is shown." }
            ul class="findings" {
                @for (label, text) in flaky {
                    li class="inconclusive" { b { (label) } " " (clean(text)) }
                }
            }
        }
    }
}

//! Every cell: its time line, what stopped it, what only it found, its evidence.

use super::evidence;
use super::view::{View, gravity};
use super::words;
use crate::report::model::{Cell, Step, Timing, Verdict};
use crate::report::table::{blame, sent_again_line};
use crate::report::text::{clean, seconds};
use crate::verdict::Conclusion;
use maud::{Markup, html};

/// Up to so many cells have a finding that is named at each of them.
const FEW: usize = 4;

/// Width of a time line in its own units.
const WIDTH: u64 = 1000;

/// One entry a cell; none without cells.
pub fn section(view: &View<'_>) -> Option<Markup> {
    if view.run.cells.is_empty() {
        return None;
    }
    let alone = view.run.cells.len() == 1;
    Some(html! {
        @for at in 0..view.run.cells.len() { (entry(view, at, alone)) }
    })
}

fn mood(cell: &Cell) -> &'static str {
    match cell.conclusion() {
        Conclusion::Pass => "pass",
        Conclusion::Fail => "leak",
        _ => "inconclusive",
    }
}

fn entry(view: &View<'_>, at: usize, open: bool) -> Markup {
    let cell = &view.run.cells[at];
    html! {
        details class="cell" id=(format!("c-{at}")) open[open] {
            summary {
                b class=(format!("v {}", mood(cell))) { (cell.conclusion().word()) }
                b class="id" { (clean(&cell.name)) } " "
                span class="sum" { (words::spoken(cell.counts())) ", " (seconds(cell.ms())) }
            }
            (facts(cell))
            (time_line(&cell.timings))
            (findings(view, at))
            (evidence::of_cell(view.evidence, &view.inside, cell))
        }
    }
}

fn facts(cell: &Cell) -> Markup {
    let (arrived, sent) = cell.leak_check_counts();
    html! {
        dl class="frame" {
            @if let Some(driver) = &cell.driver { dt { "Driver" } dd { (clean(driver)) } }
            @if let Some(back_end) = cell.back_end { dt { "Back end" } dd { (back_end.name()) } }
            dt { "Leak check" }
            dd {
                @match cell.leak_check {
                    None => "not reached",
                    Some(_) => { (arrived) " of " (sent) " probes arrived with the filter removed" }
                }
            }
            @if let Some(error) = &cell.error {
                dt { "Error" }
                dd { "in step " code { (error.step) } ", " (blame(error.kind)) ": " (clean(&error.message)) }
            }
            @if !cell.sent_again.is_empty() { dt { "Sent once more" } dd { (sent_again_line(cell)) } }
            @if let Some(flaky) = &cell.flaky { dt { "Flaky" } dd { (clean(flaky)) } }
        }
    }
}

/// What a step is for, which gives it its colour.
fn kind(step: Step) -> &'static str {
    match step {
        Step::FirstFrame | Step::Filtered | Step::Bind => "with",
        Step::Control | Step::LeakCheck | Step::Unbind => "without",
        _ => "setup",
    }
}

fn time_line(timings: &[Timing]) -> Markup {
    let all: u64 = timings.iter().fold(0, |sum, it| sum.saturating_add(it.ms));
    let scaled = |ms: u64| u128::from(ms) * u128::from(WIDTH) / u128::from(all.max(1));
    let mut from = 0_u64;
    let bars: Vec<_> = timings
        .iter()
        .map(|timing| {
            let x = scaled(from);
            from = from.saturating_add(timing.ms);
            (timing, x, scaled(from) - x)
        })
        .collect();
    html! {
        @if !timings.is_empty() {
            svg class="time" viewBox=(format!("0 0 {WIDTH} 14")) preserveAspectRatio="none" aria-hidden="true" {
                @for (timing, x, width) in bars {
                    rect class=(kind(timing.step)) x=(x) y="0" width=(width) height="14" { title { (timing.step) " " (seconds(timing.ms)) } }
                }
            }
            ol class="steps" aria-label="Time line of the cell" {
                @for timing in timings {
                    li class=(kind(timing.step)) { (timing.step) " " b { (seconds(timing.ms)) } }
                }
            }
        }
    }
}

/// The findings of this cell, all of them where the run has few cells, else those that few
/// other cells share.
fn findings(view: &View<'_>, at: usize) -> Markup {
    let few = view.labels.len() <= FEW;
    let named = |cells: &[usize]| cells.contains(&at) && (few || cells.len() <= FEW);
    let mut own: Vec<_> = view
        .probes
        .iter()
        .flat_map(|probe| probe.results.iter().map(move |result| (probe, result)))
        .filter(|(_, result)| result.result.verdict != Verdict::Pass && named(&result.cells))
        .collect();
    own.sort_by_key(|(_, result)| gravity(result.result.verdict));
    html! {
        p class="js" {
            a href="#probes" data-c=(at) { "Show the probes of this cell" }
        }
        @if !own.is_empty() {
            details class="rowlist" {
                summary { (own.len()) @if few { " findings" } @else { " findings that few cells share" } }
                ul class="findings" {
                    @for (probe, result) in own {
                        li class=(words::class(result.result.verdict)) {
                            (words::badge(result.result.verdict)) " "
                            a href=(format!("#{}", probe.anchor)) { (probe.id) } " " (probe.summary)
                        }
                    }
                }
            }
        }
    }
}

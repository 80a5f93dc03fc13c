//! The grid: every kind of traffic in every cell. Few cells are columns, many are lines.

use super::view::{Row, View};
use super::words;
use crate::report::model::{Cell, Verdict};
use crate::report::titles;
use maud::{Markup, html};

/// Up to so many cells are columns.
const COLUMNS: usize = 6;

/// The grid with what its signs mean; none without a probe.
pub fn section(view: &View<'_>) -> Option<Markup> {
    if view.rows.is_empty() && view.run.cells.is_empty() {
        return None;
    }
    let many = view.run.cells.len() > COLUMNS;
    Some(html! {
        p class="remark" {
            "A number counts probes. Each entry leads to its probes"
            span class="js" { ", shown for that cell only" }
            "."
        }
        (legend())
        div class="scroll" role="region" aria-label="Grid of cells and traffic" tabindex="0" {
            @if many { (by_line(view)) } @else { (by_column(view)) }
        }
        (skipped(view))
    })
}

fn legend() -> Markup {
    let all = [
        (Verdict::Pass, "as the policy wants"),
        (Verdict::Fail(crate::verdict::Failure::Leak), "leak"),
        (
            Verdict::Fail(crate::verdict::Failure::Blocked),
            "wrongly blocked",
        ),
        (Verdict::Inconclusive, "not proven"),
        (Verdict::KnownGap, "known gap"),
    ];
    html! {
        ul class="legend" aria-label="Signs in the grid" {
            @for (verdict, text) in all {
                li { b class=(words::class(verdict)) { (words::sign(verdict)) } " " (text) }
            }
        }
    }
}

/// Traffic down, cells across.
fn by_column(view: &View<'_>) -> Markup {
    html! {
        table class="grid" {
            thead { tr {
                th scope="col" { "traffic" }
                th scope="col" { "must" }
                @for (at, label) in view.labels.iter().enumerate() {
                    th scope="col" { (cell_link(at, label)) }
                }
            } }
            tbody {
                @for row in &view.rows {
                    tr {
                        th scope="row" { (titles::title(row.group)) }
                        td { (titles::expected(row.expect())) }
                        @for (at, cell) in view.run.cells.iter().enumerate() {
                            (entry(cell, at, *row, false))
                        }
                    }
                }
            }
        }
    }
}

/// Cells down, traffic across.
fn by_line(view: &View<'_>) -> Markup {
    html! {
        table class="grid lines" {
            thead { tr {
                th scope="col" { "cell" }
                @for row in &view.rows {
                    th scope="col" class="up" {
                        span { (titles::title(row.group)) " " i { "must " (titles::expected(row.expect())) } }
                    }
                }
            } }
            tbody {
                @for (at, (cell, label)) in view.run.cells.iter().zip(&view.labels).enumerate() {
                    tr {
                        th scope="row" { (cell_link(at, label)) }
                        @for row in &view.rows { (entry(cell, at, *row, true)) }
                    }
                }
            }
        }
    }
}

fn cell_link(at: usize, label: &str) -> Markup {
    html! { a href=(format!("#c-{at}")) { (label) } }
}

fn entry(cell: &Cell, at: usize, row: Row, many: bool) -> Markup {
    let counts = cell.row_counts(row.group, row.expect());
    if counts.total() == 0 {
        return html! {
            @if cell.error.is_some() {
                td class="inconclusive" { "error" }
            } @else {
                td class="none" { "–" }
            }
        };
    }
    let parts = words::parts(counts);
    // Where something is wrong, what is right says little.
    let bad = |verdict: Verdict| !matches!(verdict, Verdict::Pass | Verdict::KnownGap);
    let any_bad = parts.iter().any(|(verdict, _)| bad(*verdict));
    let worst = parts[0].0;
    html! {
        td class=(words::class(worst)) {
            a href=(format!("#{}", row.anchor())) data-c=(at) data-v=(words::class(worst)) aria-label=(words::spoken(counts)) {
                @for (verdict, count) in parts.iter().filter(|(verdict, _)| !any_bad || bad(*verdict)) {
                    span class=(words::class(*verdict)) { (words::sign(*verdict)) (count) }
                }
                @if any_bad && !many { " " small { "of " (counts.total()) } }
            }
        }
    }
}

fn skipped(view: &View<'_>) -> Markup {
    let skipped = &view.run.skipped;
    html! {
        @if !skipped.is_empty() {
            details {
                summary { (crate::report::text::plural(skipped.len(), "cell")) " of the matrix cannot run here" }
                ul {
                    @for cell in skipped {
                        li { b { (crate::report::text::clean(&cell.name)) } " " (crate::report::text::clean(&cell.reason)) }
                    }
                }
            }
        }
    }
}

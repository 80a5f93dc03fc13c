//! The run for a terminal: header, grid, what to know, time, verdict.

mod comparison;
mod coverage;
mod header;
mod page;
mod sections;

use crate::report::model::{Cell, Run, Step};
use crate::report::text::{plural, plurals, seconds};
use crate::report::{grid, matrix, titles};
use crate::verdict::Conclusion;
use comfy_table::CellAlignment;
pub use comparison::{Against, changes, compared, comparison, differences};
pub use coverage::coverage;
pub(super) use coverage::{Unknown, hits};
pub(super) use header::{accelerator_line, filter_line, host_line, parameters_line};
use page::Page;
pub(super) use sections::{blame, learning_line, sent_again_line};
use std::collections::BTreeSet;

/// Width in columns where none is known: fits CI logs and README blocks.
const DEFAULT_WIDTH: u16 = 100;

/// Below this, cutting words hurts more than a broken line.
const LEAST_WIDTH: u16 = 40;

/// The whole report. `width` is in columns; none means 100, and less than 40
/// counts as 40. With `color` it holds ANSI colours and is the same otherwise.
///
/// The last line is `N passed, N failed` and nothing else, for CI systems that look for it.
/// Known gaps and what is inconclusive stand in the lines above.
///
/// Leaks and blocks are listed by cause where the run has causes, else probe by probe.
pub fn table(run: &Run, width: Option<u16>, color: bool) -> String {
    laid_out(run, width, color, false)
}

/// The same with a list of the probes that leaked or were blocked, below their causes.
pub fn with_probes(run: &Run, width: Option<u16>, color: bool) -> String {
    laid_out(run, width, color, true)
}

fn laid_out(run: &Run, width: Option<u16>, color: bool, probes: bool) -> String {
    let width = width.unwrap_or(DEFAULT_WIDTH).max(LEAST_WIDTH);
    let mut page = Page::new(width, color);
    header::print(&mut page, run);
    print_grid(&mut page, run);
    sections::print(&mut page, run, probes);
    print_time(&mut page, run);
    print_closing(&mut page, run);
    page.finish()
}

fn print_grid(page: &mut Page, run: &Run) {
    if matrix::suits(run) {
        return print_matrix(page, run);
    }
    let rows = grid::rows(run);
    if rows.is_empty() {
        return;
    }
    let fixed = rows
        .iter()
        .map(|row| vec![row.title.to_owned(), row.expected.to_owned()]);
    let moving = rows.iter().map(|row| row.cells.clone());
    page.gap();
    page.grid(
        &["traffic", "expected"],
        &grid::columns(run),
        &fixed.zip(moving).collect::<Vec<_>>(),
        CellAlignment::Left,
    );
}

/// A line a cell; the first column is fixed, so that it stands in each piece.
fn print_matrix(page: &mut Page, run: &Run) {
    let (fixed, moving) = matrix::COLUMNS.split_at(1);
    let line = |line: Vec<String>| (vec![line[0].clone()], line[1..].to_vec());
    let rows: Vec<_> = matrix::lines(run).into_iter().map(line).collect();
    let moving: Vec<String> = moving.iter().map(|name| (*name).to_owned()).collect();
    page.gap();
    page.grid(fixed, &moving, &rows, CellAlignment::Left);
    page.text(1, matrix::LEGEND);
}

/// Milliseconds per step and cell; a step that a cell entered twice is summed.
fn print_time(page: &mut Page, run: &Run) {
    if matrix::suits(run) {
        // Each line of the grid has its cell's time.
        return page.heading(
            "Time",
            &format!("the whole run took {}", seconds(run.wall_ms)),
        );
    }
    let timings = run.cells.iter().flat_map(|cell| &cell.timings);
    let steps: BTreeSet<Step> = timings.map(|timing| timing.step).collect();
    if steps.is_empty() {
        return;
    }
    let spent = |step| run.cells.iter().map(|cell| ms_in(cell, step)).collect();
    let mut rows: Vec<_> = steps
        .into_iter()
        .map(|step| (vec![step.to_string()], spent(step)))
        .collect();
    let sums = run.cells.iter().map(|cell| cell.ms().to_string()).collect();
    rows.push((vec!["all".to_owned()], sums));
    page.heading(
        "Time",
        &format!("ms per step; the whole run took {}", seconds(run.wall_ms)),
    );
    page.grid(&["step"], &grid::columns(run), &rows, CellAlignment::Right);
}

fn ms_in(cell: &Cell, step: Step) -> String {
    let entered = cell.timings.iter().filter(|timing| timing.step == step);
    let ms = entered.map(|timing| timing.ms).reduce(u64::saturating_add);
    ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string())
}

fn print_closing(page: &mut Page, run: &Run) {
    let (counts, conclusion) = (run.counts(), run.conclusion());
    let how_many = |test: fn(&Cell) -> bool| run.cells.iter().filter(|cell| test(cell)).count();
    let green = how_many(|cell| cell.conclusion() == Conclusion::Pass);
    let mut parts = vec![format!(
        "{green} of {} green",
        plural(run.cells.len(), "cell")
    )];
    let errors = how_many(|cell| cell.error.is_some());
    let empty = how_many(|cell| cell.error.is_none() && cell.probes.is_empty());
    let unchecked = how_many(|cell| cell.error.is_none() && cell.leak_check != Some(true));
    let filtered = run.filter.name.is_some();
    let unchecked = if filtered { unchecked } else { 0 };
    let faults = [
        (counts.leaked, "leak", "leaks"),
        (counts.blocked, "wrong block", "wrong blocks"),
        (errors, "cell error", "cell errors"),
        (empty, "empty cell", "empty cells"),
        (
            unchecked,
            "cell without a passed leak check",
            "cells without a passed leak check",
        ),
    ];
    let faults = faults.into_iter().filter(|(count, ..)| *count > 0);
    parts.extend(faults.map(|(count, one, many)| plurals(count, one, many)));
    parts.push(format!("{} inconclusive", counts.inconclusive));
    parts.push(format!("exit code {}", conclusion.exit().code()));
    page.gap();
    page.conclusion(conclusion, &parts.join(", "));
    if counts.known_gaps > 0 {
        page.line(&titles::known_gaps_open(run.known_gaps()));
    }
    page.line(&titles::passed_and_failed(counts));
}

#[cfg(test)]
mod tests;

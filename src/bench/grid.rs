//! The whole matrix, with one worker, with one a core and with one more.

use super::error::BenchError;
use super::figures::{REFERENCE, in_boots};
use super::memory::{GUEST, Guests, mib};
use crate::report::live::Event;
use crate::report::model::Step;
use crate::verdict::Conclusion;
use crate::verify::job::Job;
use crate::verify::plan::{Selection, Times, longest_first};
use crate::verify::{Workers, run_cells};
use comfy_table::Table;
use std::path::Path;
use std::time::Instant;

/// Longest that the matrix may take with a worker a core, in milliseconds.
const MOST: u64 = 60_000;

/// How many times faster than one worker two must be.
const SCALING: &str = "at least 1.7 times";

/// Runs every cell of the matrix three times, and makes a table of what it took. `bare` is what
/// a bare boot takes in milliseconds.
///
/// # Errors
/// When a cell is not green.
pub fn table(
    plain: &Job,
    guest: &Path,
    bare: u64,
    note: &dyn Fn(&str),
) -> Result<Table, BenchError> {
    let cells = Selection::all_but_foreign().plan(Some(guest))?.cells;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut job = Job {
        cells,
        ..plain.clone()
    };
    note(&format!("{} cells with one worker", job.cells.len()));
    let mut guests = Guests::default();
    let (one, times) = wall(&job, 1, &mut guests)?;
    longest_first(&mut job.cells, &times);
    note(&format!("{} cells with {cores} workers", job.cells.len()));
    let (all, _) = wall(&job, cores, &mut guests)?;
    let more = cores + 1;
    note(&format!("{} cells with {more} workers", job.cells.len()));
    let (crowded, _) = wall(&job, more, &mut guests)?;
    let tenths = one * 10 / all.max(1);
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["the whole matrix", "", "wanted"]);
    table.add_row([
        format!("{} cells, one worker, ms", job.cells.len()),
        one.to_string(),
        String::new(),
    ]);
    table.add_row([
        format!("{} cells, {cores} workers, ms", job.cells.len()),
        all.to_string(),
        MOST.to_string(),
    ]);
    // A worker waits for the kernel while rules come and go.
    table.add_row([
        format!("{} cells, {more} workers, ms", job.cells.len()),
        crowded.to_string(),
        MOST.to_string(),
    ]);
    table.add_row([
        format!("{cores} workers, in bare boots"),
        in_boots(all, bare),
        in_boots(MOST, REFERENCE),
    ]);
    table.add_row([
        format!("{cores} workers against one"),
        format!("{}.{} times", tenths / 10, tenths % 10),
        SCALING.to_owned(),
    ]);
    table.add_row([
        "most memory of a guest's QEMU, MiB".to_owned(),
        guests.most().map_or_else(|| "none seen".to_owned(), mib),
        GUEST.to_owned(),
    ]);
    Ok(table)
}

/// Wall time of all cells in milliseconds, and of each; what their guests took.
fn wall(job: &Job, workers: usize, guests: &mut Guests) -> Result<(u64, Times), BenchError> {
    let started = Instant::now();
    let mut look = |event: Option<&Event>| match event {
        Some(Event::StepDone { step, .. }) if *step == Step::Control => guests.look(),
        _ => {}
    };
    let gathered = run_cells(job, Workers::of(workers), &mut look)?;
    let wall = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut times = Times::default();
    for cell in &gathered.cells {
        if cell.conclusion() != Conclusion::Pass {
            return Err(BenchError::NotGreen(cell.name.clone()));
        }
    }
    times.add(&gathered.cells);
    Ok((wall, times))
}

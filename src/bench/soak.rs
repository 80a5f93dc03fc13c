//! Cells of the matrix over and over: what a guest takes, and what stays behind.

use super::error::BenchError;
use super::memory::{Guests, family, mib};
use crate::report::live::Event;
use crate::report::model::{Cell, ProbeResult, Step, Verdict};
use crate::verdict::Conclusion;
use crate::verify::job::Job;
use crate::verify::plan::Selection;
use crate::verify::{Workers, run_cells};
use comfy_table::Table;
use std::collections::BTreeMap;
use std::path::Path;

/// Lines of the table of what stays behind.
const LINES: usize = 10;

/// Runs this many cells, one worker for each core. Makes tables of what guests and labs took,
/// counts the cells that were not green, and notes why they were not.
///
/// # Errors
/// When the cells cannot be planned or the workers cannot be started.
pub fn tables(
    plain: &Job,
    guest: &Path,
    cells: usize,
    note: &dyn Fn(&str),
) -> Result<(String, usize), BenchError> {
    let matrix = Selection::all_but_foreign().plan(Some(guest))?.cells;
    let job = Job {
        cells: matrix.into_iter().cycle().take(cells).collect(),
        ..plain.clone()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    note(&format!("{cells} cells with {cores} workers"));
    let mut seen = Seen::default();
    let mut look = |event: Option<&Event>| seen.look(event, cells, note);
    let gathered = run_cells(&job, Workers::of(cores), &mut look)?;
    let red = gathered.cells.iter();
    let red: Vec<&Cell> = red
        .filter(|cell| cell.conclusion() != Conclusion::Pass)
        .collect();
    for cell in &red {
        note(&format!("{} is not green: {}", cell.name, why(cell)));
    }
    let tables = format!("{}\n{}", seen.guests.table(), seen.labs());
    Ok((tables, red.len()))
}

/// The first thing that is wrong with a cell.
fn why(cell: &Cell) -> String {
    if let Some(error) = &cell.error {
        return format!("{}: {}", error.step, error.message);
    }
    let is_wrong =
        |probe: &&ProbeResult| !matches!(probe.verdict, Verdict::Pass | Verdict::KnownGap);
    let wrong: Vec<&ProbeResult> = cell.probes.iter().filter(is_wrong).collect();
    match wrong.first() {
        Some(probe) => format!(
            "{} of {} probes, the first of them {}: {:?}, {}",
            wrong.len(),
            cell.probes.len(),
            probe.id,
            probe.verdict,
            probe.note.as_deref().unwrap_or("no note")
        ),
        None => "it did not pass its leak check".into(),
    }
}

/// What was seen while the cells ran.
#[derive(Default)]
struct Seen {
    done: usize,
    guests: Guests,
    /// What the labs took after a number of cells.
    labs: Vec<(usize, Labs)>,
}

/// All labs together, without guests.
#[derive(Default)]
struct Labs {
    /// Resident memory in KiB, by program.
    memory: BTreeMap<String, u64>,
    processes: usize,
    files: usize,
}

impl Seen {
    fn look(&mut self, event: Option<&Event>, cells: usize, note: &dyn Fn(&str)) {
        match event {
            Some(Event::StepDone { step, .. }) if *step == Step::Control => self.guests.look(),
            Some(Event::CellDone { .. }) => {
                self.done += 1;
                // The first cells fill caches.
                if self.done.is_multiple_of(cells.div_ceil(LINES)) || self.done == cells.min(LINES)
                {
                    self.labs.push((self.done, Labs::now()));
                    note(&format!("{} of {cells} cells", self.done));
                }
            }
            _ => {}
        }
    }

    fn labs(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        let programs = ["lanfence", "libvirtd", "dnsmasq"];
        let memory = programs.map(|program| format!("{program}, MiB"));
        let mut header = vec!["all labs after this many cells".to_owned()];
        header.extend(memory);
        header.extend(["processes".to_owned(), "open files".to_owned()]);
        table.set_header(header);
        for (done, labs) in &self.labs {
            let mut row = vec![done.to_string()];
            let of = |program: &str| labs.memory.get(program).copied().unwrap_or_default();
            row.extend(programs.map(|program| mib(of(program))));
            row.extend([labs.processes.to_string(), labs.files.to_string()]);
            table.add_row(row);
        }
        table
    }
}

impl Labs {
    fn now() -> Self {
        let mut labs = Self::default();
        for process in family().iter().filter(|process| !process.is_guest()) {
            labs.processes += 1;
            labs.files += process.files();
            *labs.memory.entry(process.name.clone()).or_default() += process.status("VmRSS");
        }
        labs
    }
}

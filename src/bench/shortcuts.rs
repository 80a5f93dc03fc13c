//! What each shortcut saves: runs with all of them against the same with one left out.

use super::error::BenchError;
use crate::lab::{Shortcut, Shortcuts};
use crate::report::model::Cell;
use crate::verdict::Conclusion;
use crate::verify::job::Job;
use crate::verify::{Workers, run_cells};
use comfy_table::Table;
use std::time::Instant;

/// A shortcut that saves less than this share of a run, in thousandths, is not worth its code.
const LEAST: i64 = 30;

/// Milliseconds of two runs, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    with_all: u64,
    without_one: u64,
}

impl Pair {
    /// What leaving one out costs, in thousandths of the run with all.
    fn saved(self) -> i64 {
        let difference = signed(self.without_one) - signed(self.with_all);
        difference * 1000 / signed(self.with_all.max(1))
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Measures every shortcut in as many rounds. A run is a lab and the job's cells in one worker;
/// the runs with and without a shortcut take turns, so that the load of the machine affects
/// both alike.
///
/// # Errors
/// When a cell is not green.
pub fn table(job: &Job, rounds: u32, note: &dyn Fn(&str)) -> Result<Table, BenchError> {
    let without = |shortcut| Job {
        shortcuts: Shortcuts::all().without(shortcut),
        ..job.clone()
    };
    // The first run of each makes its snapshots, which is not what is measured.
    wall(job)?;
    for shortcut in Shortcut::ALL {
        wall(&without(shortcut))?;
    }
    let mut pairs = vec![Vec::new(); Shortcut::ALL.len()];
    for round in 1..=rounds {
        note(&format!("round {round} of {rounds}"));
        for (shortcut, pairs) in Shortcut::ALL.into_iter().zip(&mut pairs) {
            let with_all = wall(job)?;
            let without_one = wall(&without(shortcut))?;
            pairs.push(Pair {
                with_all,
                without_one,
            });
        }
    }
    let rows = Shortcut::ALL.into_iter().zip(pairs);
    Ok(
        rows.fold(header(job.cells.len()), |table, (shortcut, pairs)| {
            row(table, shortcut.name(), pairs)
        }),
    )
}

fn header(cells: usize) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        format!("lab and {cells} cells, one worker, ms"),
        "with all".into(),
        "without it".into(),
        "saved by it".into(),
        "of a run".into(),
        "worth it".into(),
    ]);
    table
}

/// Adds the pair whose share is the middle one.
fn row(mut table: Table, name: &str, mut pairs: Vec<Pair>) -> Table {
    pairs.sort_by_key(|pair| pair.saved());
    let Some(pair) = pairs.get(pairs.len() / 2) else {
        return table;
    };
    let saved = pair.saved();
    let sign = if saved < 0 { "-" } else { "" };
    let (whole, tenth) = (saved.abs() / 10, saved.abs() % 10);
    table.add_row([
        name.to_owned(),
        pair.with_all.to_string(),
        pair.without_one.to_string(),
        (signed(pair.without_one) - signed(pair.with_all)).to_string(),
        format!("{sign}{whole}.{tenth} %"),
        if saved >= LEAST { "yes" } else { "no" }.to_owned(),
    ]);
    table
}

/// Wall time of a run in milliseconds.
fn wall(job: &Job) -> Result<u64, BenchError> {
    let started = Instant::now();
    let gathered = run_cells(job, Workers::of(1), &mut |_| {})?;
    let wall = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let green = |cell: &&Cell| cell.conclusion() == Conclusion::Pass;
    match gathered.cells.iter().find(|cell| !green(cell)) {
        None => Ok(wall),
        Some(cell) => Err(BenchError::NotGreen(cell.name.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_pair_stands_in_the_table() {
        let pair = |with_all, without_one| Pair {
            with_all,
            without_one,
        };
        let pairs = vec![pair(1000, 1100), pair(2000, 2900), pair(1000, 1040)];
        let none = vec![pair(1000, 990), pair(1000, 1020), pair(1000, 1010)];
        let table = row(row(header(2), "some", pairs), "none", none);
        insta::assert_snapshot!(table, @r"
        | lab and 2 cells, one worker, ms | with all | without it | saved by it | of a run | worth it |
        |---------------------------------|----------|------------|-------------|----------|----------|
        | some                            | 1000     | 1100       | 100         | 10.0 %   | yes      |
        | none                            | 1000     | 1010       | 10          | 1.0 %    | no       |
        ");
    }
}

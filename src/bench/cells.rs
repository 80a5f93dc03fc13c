//! What boots, steps and cells take, and what other programs take for the same.

use super::error::BenchError;
use super::figures::{BARE, Series};
use super::others;
use crate::guest::GuestKind;
use crate::guest::Image;
use crate::report::model::{Step, Timing};
use crate::verify::job::{Attach, CellPlan, Job};
use crate::verify::{Workers, bare_boot, run_cells};
use std::path::Path;
use std::time::Instant;

/// All of it: every series, its figures sorted.
///
/// # Errors
/// When a cell or a bare boot fails.
pub fn all(
    job: &Job,
    guest: &Path,
    rounds: u32,
    note: &dyn Fn(&str),
) -> Result<Vec<Series>, BenchError> {
    let mut series = with_guests(job, guest, rounds, note)?;
    series.extend(firmware(job, rounds)?);
    series.extend(others(&guest.join(BZIMAGE), rounds, note));
    for series in &mut series {
        series.ms.sort_unstable();
    }
    Ok(series)
}

/// The compressed kernel in the image's directory.
const BZIMAGE: &str = "vmlinuz";

/// What boots, steps and cells take.
fn with_guests(
    both: &Job,
    guest: &Path,
    rounds: u32,
    note: &dyn Fn(&str),
) -> Result<Vec<Series>, BenchError> {
    let image = Image::open(guest)?;
    let first = |order| {
        let mut cells = both.cells[..1].to_vec();
        cells[0].attach = order;
        Job {
            cells,
            ..both.clone()
        }
    };
    let (restored, orders) = (first(Attach::BeforeFirstFrame), first(Attach::Both));
    let cold = Job {
        snapshots: None,
        ..restored.clone()
    };
    // The first run after a change makes the snapshot; that is not what is measured.
    measure(&restored)?;
    let bzimage = guest.join(BZIMAGE);
    let mut series = rows();
    for round in 1..=rounds {
        note(&format!("round {round} of {rounds}"));
        let (from_cold, _) = measure(&cold)?;
        let (from_state, _) = measure(&restored)?;
        let (in_both, _) = measure(&orders)?;
        let (_, wall) = measure(both)?;
        let figures = [
            bare_boot(&bzimage, &image).map_err(BenchError::BareBoot)?,
            bare_boot(&image.kernel, &image).map_err(BenchError::BareBoot)?,
            step(&from_state, Step::Lab)?,
            step(&from_cold, Step::Boot)?,
            step(&from_state, Step::Restore)?,
            step(&in_both, Step::Bind)?,
            cell(&from_cold),
            cell(&from_state),
            cell(&in_both),
            wall,
        ];
        for (series, ms) in series.iter_mut().zip(figures) {
            series.ms.push(ms);
        }
    }
    Ok(series)
}

/// What is measured with guests, in the order of its figures.
fn rows() -> Vec<Series> {
    vec![
        Series::new("bare QEMU boot of the bzImage to READY", ""),
        Series::new(BARE, ""),
        Series::new("lab up", "1500"),
        Series::new("cold boot to READY in the lab", "1.5 x bare"),
        Series::new("restore to first answer", "500"),
        Series::new("bind of the generated filter", "900"),
        Series::new("pcnet cell, cold", ""),
        Series::new("pcnet cell, restored", "2000"),
        Series::new(
            "pcnet cell, restored, filter attached before the first frame and to the running guest",
            "",
        ),
        Series::new("verify pcnet and virtio, whole", "20000"),
    ]
}

/// What cells of the iPXE guest take.
fn firmware(both: &Job, rounds: u32) -> Result<Vec<Series>, BenchError> {
    let plan = CellPlan {
        attach: Attach::BeforeFirstFrame,
        ..CellPlan::new(GuestKind::Ipxe, "pcnet")
    };
    let restored = Job {
        cells: vec![plan],
        ..both.clone()
    };
    let cold = Job {
        snapshots: None,
        ..restored.clone()
    };
    measure(&restored)?;
    let mut series = vec![
        Series::new("iPXE's pcnet cell, cold", ""),
        Series::new("iPXE's pcnet cell, restored", ""),
    ];
    for _ in 0..rounds {
        for (series, job) in series.iter_mut().zip([&cold, &restored]) {
            series.ms.push(cell(&measure(job)?.0));
        }
    }
    Ok(series)
}

/// What other programs take for a guest that runs one command, as far as they are
/// installed and can do it.
fn others(bzimage: &Path, rounds: u32, note: &dyn Fn(&str)) -> Vec<Series> {
    let mut all = Vec::new();
    for other in others::OTHERS {
        let mut series = Series::new(other.name, "");
        for _ in 0..rounds {
            match other.measure(bzimage) {
                None => break,
                Some(Ok(ms)) => series.ms.push(ms),
                Some(Err(why)) => {
                    note(&why);
                    break;
                }
            }
        }
        if !series.ms.is_empty() {
            all.push(series);
        }
    }
    all
}

/// Milliseconds of a step.
fn step(timings: &[Timing], wanted: Step) -> Result<u64, BenchError> {
    let found = timings.iter().find(|timing| timing.step == wanted);
    found
        .map(|timing| timing.ms)
        .ok_or(BenchError::Step(wanted))
}

/// Milliseconds of a cell without the lab, which serves many.
fn cell(timings: &[Timing]) -> u64 {
    let own = timings.iter().filter(|timing| timing.step != Step::Lab);
    own.map(|timing| timing.ms).sum()
}

/// Runs the job; the steps of its first cell and the wall time in milliseconds.
fn measure(job: &Job) -> Result<(Vec<Timing>, u64), BenchError> {
    let started = Instant::now();
    let gathered = run_cells(job, Workers::one_a_core(), &mut |_| {})?;
    let wall = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let cell = gathered
        .cells
        .into_iter()
        .next()
        .ok_or(BenchError::NoCell)?;
    if let Some(error) = cell.error {
        return Err(BenchError::Cell {
            step: error.step,
            message: error.message,
        });
    }
    Ok((cell.timings, wall))
}

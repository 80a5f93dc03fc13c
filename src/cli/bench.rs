//! `lanfence bench`: where the time goes, measured side by side in one run.

mod grid;
mod memory;
mod others;
mod pure;
mod shortcuts;
mod soak;
mod tap;

use super::{Exit, Failure, generate, note, say, verify};
use crate::guest::Image;
use crate::report::model::{Step, Timing};
use crate::verify::job::{Attach, CellPlan, Job};
use crate::verify::{Cache, FilterUnderTest, GuestKind, Workers, bare_boot, run_cells};
use clap::Args;
use comfy_table::Table;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct Options {
    /// Rounds; each measures everything once, so that all share the machine's moods.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Policy file; without it, lanfence.toml here, else the shipped example.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Directory of the guest image that `cargo xtask image` builds.
    #[arg(
        long,
        value_name = "DIR",
        env = "LANFENCE_GUEST",
        required_unless_present = "pure"
    )]
    guest: Option<PathBuf>,
    /// Only what needs no guest: evaluator, reader, lint and exact sets.
    #[arg(long)]
    pure: bool,
    /// Also the whole matrix, with one worker, with one a core and with one more; minutes.
    #[arg(long, conflicts_with = "pure")]
    grid: bool,
    /// Instead of all that, so many cells of the matrix, and what stays behind of them.
    #[arg(long, value_name = "CELLS", conflicts_with_all = ["pure", "grid"])]
    soak: Option<usize>,
    /// Instead of all that, what each shortcut saves: `verify --no-shortcuts` leaves them out.
    #[arg(long, conflicts_with_all = ["pure", "grid", "soak"])]
    shortcuts: bool,
    /// Where a cell of `--soak` that is not green leaves its evidence.
    #[arg(long, value_name = "DIR", requires = "soak")]
    out: Option<PathBuf>,
}

/// Milliseconds of one thing, a figure a round.
struct Series {
    name: &'static str,
    target: &'static str,
    ms: Vec<u64>,
}

impl Series {
    fn new(name: &'static str, target: &'static str) -> Self {
        Self {
            name,
            target,
            ms: Vec::new(),
        }
    }

    /// The middle one of the sorted figures.
    fn median(&self) -> u64 {
        self.ms.get(self.ms.len() / 2).copied().unwrap_or_default()
    }
}

/// Measures and prints a table of minimum, median and maximum, and of how many bare boots
/// that is.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let source = generate::policy(options.policy.as_deref())?;
    if cfg!(debug_assertions) {
        note("built without optimisation: these figures say little; use `cargo xtask bench`");
    }
    if let Some((cells, guest)) = options.soak.zip(options.guest.as_ref()) {
        let plain = Job {
            out: options
                .out
                .as_deref()
                .map(verify::paths::output)
                .transpose()?,
            ..job(&source, guest)?
        };
        let (tables, red) = soak::tables(&plain, guest, cells)?;
        say(&format!("{tables}\n")).map_err(Failure::host)?;
        return match red {
            0 => Ok(Exit::Pass.into()),
            _ => Err(Failure::unproven(format!(
                "{red} of {cells} cells were not green"
            ))),
        };
    }
    if let Some(guest) = options.guest.as_ref().filter(|_| options.shortcuts) {
        let job = as_verify(job(&source, guest)?);
        let table = shortcuts::table(&job, options.rounds)?;
        say(&format!("{table}\n")).map_err(Failure::host)?;
        return Ok(Exit::Pass.into());
    }
    let figures = pure::table(&source.policy, options.rounds)?;
    say(&format!("{figures}\n")).map_err(Failure::host)?;
    if !options.pure {
        let figures = tap::table(&source.policy, options.rounds)?;
        say(&format!("{figures}\n")).map_err(Failure::host)?;
    }
    let Some(guest) = options.guest.as_ref().filter(|_| !options.pure) else {
        return Ok(Exit::Pass.into());
    };
    let both = as_verify(job(&source, guest)?);
    let mut series = with_guests(&both, guest, options.rounds)?;
    series.extend(firmware(&both, options.rounds)?);
    series.extend(others(&guest.join(BZIMAGE), options.rounds));
    for series in &mut series {
        series.ms.sort_unstable();
    }
    say(&format!("{}\n", table(&series))).map_err(Failure::host)?;
    let bare = bare(&series);
    note(&format!(
        "the targets are of a machine that takes {REFERENCE} ms for the bare boot; this one took {bare}"
    ));
    if options.grid {
        let grid = grid::table(&both, guest, bare)?;
        say(&format!("{grid}\n")).map_err(Failure::host)?;
    }
    Ok(Exit::Pass.into())
}

/// The job with its cells as `verify` has them: only the first tries both kinds of [`Attach`].
fn as_verify(mut job: Job) -> Job {
    let rest = job.cells.iter_mut().skip(1);
    rest.for_each(|cell| cell.attach = Attach::BeforeFirstFrame);
    job
}

/// A job of the generated filter with the two usual NIC models.
fn job(source: &generate::Source, guest: &Path) -> Result<Job, Failure> {
    let filter = FilterUnderTest::generated(&source.policy, &source.origin);
    let cache = Cache::open().map_err(Failure::host)?;
    let job = Job::new((&source.text, &source.origin), &filter, &cache).map_err(Failure::host)?;
    Ok(Job {
        guest: Some(std::path::absolute(guest).map_err(Failure::usage)?),
        cells: ["pcnet", "virtio"].map(CellPlan::linux).to_vec(),
        ..job
    })
}

/// What all is measured by besides the clock: machines differ, and one machine from hour
/// to hour, in this as in the rest.
const BARE: &str = "bare QEMU boot to READY";

/// Milliseconds of it where the targets were set: 2 cores, QEMU 10.0, Linux 6.1 with 33
/// modules of NICs, no KVM (measured: docs/measurements.md#M28).
const REFERENCE: u64 = 2500;

/// The compressed kernel in the image's directory.
const BZIMAGE: &str = "vmlinuz";

/// What boots, steps and cells take.
fn with_guests(both: &Job, guest: &Path, rounds: u32) -> Result<Vec<Series>, Failure> {
    let image = Image::open(guest).map_err(Failure::host)?;
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
    // The first run after a change makes the saved guest; that is not what is measured.
    measure(&restored)?;
    let bzimage = guest.join(BZIMAGE);
    let mut series = vec![
        Series::new("bare QEMU boot of the bzImage to READY", ""),
        Series::new(BARE, ""),
        Series::new("lab up", "1500"),
        Series::new("cold boot to READY in the lab", "1.5 x bare"),
        Series::new("restore to first answer", "500"),
        Series::new("bind of the generated filter", "900"),
        Series::new("pcnet cell, cold", ""),
        Series::new("pcnet cell, restored", "2000"),
        Series::new("pcnet cell, restored, the filter in both orders", ""),
        Series::new("verify pcnet and virtio, whole", "20000"),
    ];
    for round in 1..=rounds {
        note(&format!("round {round} of {rounds}"));
        let (from_cold, _) = measure(&cold)?;
        let (from_state, _) = measure(&restored)?;
        let (in_both, _) = measure(&orders)?;
        let (_, wall) = measure(both)?;
        let figures = [
            bare_boot(&bzimage, &image).map_err(Failure::host)?,
            bare_boot(&image.kernel, &image).map_err(Failure::host)?,
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

/// What cells of the iPXE guest take.
fn firmware(both: &Job, rounds: u32) -> Result<Vec<Series>, Failure> {
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
fn others(bzimage: &Path, rounds: u32) -> Vec<Series> {
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
fn step(timings: &[Timing], wanted: Step) -> Result<u64, Failure> {
    let found = timings.iter().find(|timing| timing.step == wanted);
    found
        .map(|timing| timing.ms)
        .ok_or_else(|| Failure::host(format!("no cell reached the step {wanted}")))
}

/// Milliseconds of a cell without the lab, which serves many.
fn cell(timings: &[Timing]) -> u64 {
    let own = timings.iter().filter(|timing| timing.step != Step::Lab);
    own.map(|timing| timing.ms).sum()
}

/// Runs the job; the steps of its first cell and the wall time in milliseconds.
fn measure(job: &Job) -> Result<(Vec<Timing>, u64), Failure> {
    let started = Instant::now();
    let gathered = run_cells(job, Workers::one_a_core(), &mut |_| {}).map_err(Failure::host)?;
    let wall = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let cell = gathered
        .cells
        .into_iter()
        .next()
        .ok_or_else(|| Failure::host("no cell was run"))?;
    if let Some(error) = cell.error {
        return Err(Failure::host(format!("{}: {}", error.step, error.message)));
    }
    Ok((cell.timings, wall))
}

/// Milliseconds of the bare boot.
fn bare(series: &[Series]) -> u64 {
    let bare = series.iter().find(|series| series.name == BARE);
    bare.map_or(0, Series::median)
}

/// How many bare boots such a time is.
fn in_boots(ms: u64, bare: u64) -> String {
    let hundredths = ms * 100 / bare.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The table of series that are sorted.
fn table(all: &[Series]) -> Table {
    let bare = bare(all);
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["ms", "min", "median", "max", "at most", "in bare boots"]);
    for series in all {
        let at = |end: Option<&u64>| end.copied().unwrap_or_default().to_string();
        table.add_row([
            series.name.to_owned(),
            at(series.ms.first()),
            series.median().to_string(),
            at(series.ms.last()),
            series.target.to_owned(),
            in_boots(series.median(), bare),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_also_told_in_bare_boots() {
        let series = |name, target, ms: [u64; 3]| Series {
            name,
            target,
            ms: ms.to_vec(),
        };
        let all = [
            series(BARE, "", [4000, 5000, 5500]),
            series("lab up", "1500", [163, 189, 213]),
            series("pcnet cell, restored", "2000", [2400, 2750, 2900]),
        ];
        insta::assert_snapshot!(table(&all));
    }
}

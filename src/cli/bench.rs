//! `lanfence bench`: where the time goes, measured side by side in one run.

use super::{Exit, Failure, generate, note, say, verify};
use crate::guest::Image;
use crate::verify::job::Job;
use crate::verify::{Workers, bare_boot, silence};
use clap::Args;
use comfy_table::Table;
use std::path::PathBuf;
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
    #[arg(long, value_name = "DIR", env = "LANFENCE_GUEST")]
    guest: PathBuf,
}

/// Milliseconds of one thing, a figure a round.
struct Series {
    name: &'static str,
    target: &'static str,
    ms: Vec<u64>,
}

/// Measures and prints a table of minimum, median and maximum.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let source = generate::policy(options.policy.as_deref())?;
    let image = Image::open(&options.guest).map_err(Failure::host)?;
    let job = verify::plain_job(&source, Some(&options.guest))?;
    let mut series = [
        Series {
            name: "bare QEMU boot to READY",
            target: "",
            ms: Vec::new(),
        },
        Series {
            name: "lab up",
            target: "1500",
            ms: Vec::new(),
        },
        Series {
            name: "guest boot to READY in the lab",
            target: "1.5 x bare",
            ms: Vec::new(),
        },
        Series {
            name: "bind of the generated filter",
            target: "900",
            ms: Vec::new(),
        },
        Series {
            name: "verify pcnet and virtio, whole",
            target: "20000",
            ms: Vec::new(),
        },
    ];
    for round in 1..=options.rounds {
        note(&format!("round {round} of {}", options.rounds));
        series[0].ms.push(bare_boot(&image).map_err(Failure::host)?);
        let alone = Job {
            cells: job.cells[..1].to_vec(),
            ..job.clone()
        };
        let (phases, _) = measure(&alone)?;
        for (index, phase) in [(1, "lab"), (2, "boot"), (3, "bind")] {
            let ms = phases
                .iter()
                .find(|(name, _)| name == phase)
                .map(|(_, ms)| *ms);
            series[index].ms.push(
                ms.ok_or_else(|| Failure::host(format!("no cell reached the phase {phase}")))?,
            );
        }
        let (_, wall) = measure(&job)?;
        series[4].ms.push(wall);
    }
    say(&format!("{}\n", table(&mut series))).map_err(Failure::host)?;
    Ok(Exit::Pass.into())
}

type Phases = Vec<(String, u64)>;

/// Runs the job; the phases of its first cell and the wall time in milliseconds.
fn measure(job: &Job) -> Result<(Phases, u64), Failure> {
    let started = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let gathered = Workers::start(job, cores)
        .map_err(Failure::host)?
        .gather(silence(job), |_| {});
    let wall = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let cell = gathered
        .cells
        .into_iter()
        .next()
        .ok_or_else(|| Failure::host("no cell was run"))?;
    if let Some(error) = cell.error {
        return Err(Failure::host(format!("{}: {}", error.phase, error.message)));
    }
    Ok((
        cell.timings
            .into_iter()
            .map(|timing| (timing.phase, timing.ms))
            .collect(),
        wall,
    ))
}

fn table(series: &mut [Series]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["ms", "min", "median", "max", "at most"]);
    for row in series {
        row.ms.sort_unstable();
        let at = |index: usize| row.ms.get(index).copied().unwrap_or_default().to_string();
        let last = row.ms.len().saturating_sub(1);
        table.add_row([
            row.name.to_owned(),
            at(0),
            at(row.ms.len() / 2),
            at(last),
            row.target.to_owned(),
        ]);
    }
    table
}

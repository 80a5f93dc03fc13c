//! `lanfence crosscheck`: the evaluator against the kernel, with random filters and frames.

use super::{Exit, Failure, note, say};
use crate::crosscheck::{self, Broken, Found, Request, run_worker};
use crate::lab::{EnterOptions, enter};
use clap::Args;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

/// Options of `crosscheck`.
#[derive(Debug, Args)]
pub struct Options {
    /// Random filters to bind; some tenths of a second each.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    filters: u64,
    /// Random frames for each filter, sent both ways.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,
    /// What the random numbers begin with: equal seeds give equal runs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Begin with this filter of the seed, to see one again.
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// Labs to work side by side [default: one a core].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Stop after so many mismatches.
    #[arg(long, value_name = "N", default_value_t = 5)]
    most: usize,
    /// Make the evaluator wrong, for tests of what a mismatch looks like.
    #[arg(long = "break", hide = true)]
    sabotage: bool,
}

/// Options of the hidden verb.
#[derive(Debug, Args)]
pub struct WorkerOptions {
    /// Process id of the `crosscheck` that started this.
    parent: u32,
}

/// Runs the cases and prints every mismatch, shrunk.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let request = Request {
        seed: options.seed,
        first: options.first,
        end: options.first.saturating_add(options.filters),
        step: 1,
        frames: usize::try_from(options.frames).map_err(Failure::usage)?,
        sabotage: options.sabotage,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let total = usize::try_from(options.filters).map_err(Failure::usage)?;
    let workers = options.jobs.unwrap_or(cores).min(total);
    let tenth = (total / 10).max(1);
    let found = crosscheck::run(&request, workers, options.most.max(1), |found| {
        if found.cases % tenth == 0 {
            note(&format!("{} of {total} filters", found.cases));
        }
    });
    let found = found.map_err(|broken| match broken {
        Broken::Host(text) => Failure::host(text),
        Broken::Lab(text) => Failure::unproven(text),
    })?;
    say(&text(options.seed, &found, started.elapsed().as_secs())).map_err(Failure::host)?;
    if found.mismatches.is_empty() {
        return Ok(Exit::Pass.into());
    }
    Ok(Exit::Mismatch.into())
}

fn text(seed: u64, found: &Found, seconds: u64) -> String {
    let mismatch = |(case, words): &(u64, String)| {
        format!("mismatch in filter {case} of seed {seed}:\n{words}\n")
    };
    let all: Vec<String> = found.mismatches.iter().map(mismatch).collect();
    let out = all.concat();
    out + &format!(
        "{} filters of seed {seed}, {} bound and {} refused by libvirt and evaluator alike; {} verdicts compared, {} of them drops, {} left open; {} s\n{} mismatches\n",
        found.cases,
        found.bound,
        found.refused,
        found.compared,
        found.dropped,
        found.undecided,
        seconds,
        found.mismatches.len(),
    )
}

/// Reads the request from standard input, enters the lab's namespaces and runs
/// its cases. What is found goes to standard output, one JSON document a line.
pub fn work(options: &WorkerOptions) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_line(&mut text)
        .map_err(Failure::usage)?;
    let request: Request = serde_json::from_str(&text).map_err(Failure::usage)?;
    let entered = enter(EnterOptions {
        images: &[],
        libvirt_cache: None,
        parent: options.parent,
    });
    if let Err(error) = entered {
        tell(&crosscheck::Line::Host(error.to_string()));
        return Ok(Exit::Pass.into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Failure::host)?;
    runtime.block_on(run_worker(&request, &tell));
    // The kernel ends every other process of the namespace with this one.
    Ok(Exit::Pass.into())
}

fn tell(line: &crosscheck::Line) {
    let text = serde_json::to_string(line).expect("numbers and strings");
    let mut out = std::io::stdout().lock();
    // A reader that is gone has killed this process too.
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

//! `lanfence crosscheck`: the evaluator against the kernel, with random filters and frames.

use super::inside::runtime;
use crate::cli::failure::Failure;
use crate::cli::options::BackendOption;
use crate::cli::output::{note, say};
use crate::crosscheck::{self, Broken, Found, Mutation, Request, Task, run_worker};
use crate::lab::{EnterOptions, Shortcuts, enter};
use crate::nwfilter::evaluate::Backend;
use crate::pool;
use crate::report::text::plurals;
use crate::verdict::Exit;
use clap::Args;
use std::process::ExitCode;
use std::time::Instant;

/// Options of `crosscheck`.
#[derive(Debug, Args)]
pub struct Options {
    /// Number of random filters to bind; each takes some tenths of a second
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    filters: u64,
    #[command(flatten)]
    backend: BackendOption,
    /// Number of random frames for each filter, sent in both directions
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,
    /// Seed of the random numbers; equal seeds give equal runs
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Number of the first filter, to repeat one of an earlier run
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// Number of labs to run side by side [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Stop after this many mismatches
    #[arg(long, value_name = "N", default_value_t = 5)]
    max_mismatches: usize,
    /// Turn off everything that only saves time but touches libvirtd or the rules
    ///
    /// The run takes longer; the decisions are the same.
    #[arg(long)]
    no_shortcuts: bool,
    /// Number of filters to bind to make the filter of a mismatch smaller
    #[arg(long, value_name = "N", default_value_t = 150)]
    shrink: usize,
    /// Make the evaluator wrong, for tests of what a mismatch looks like.
    #[arg(long, value_name = "WHAT", hide = true)]
    mutation: Option<Mutation>,
}

/// Options of the hidden verb.
#[derive(Debug, Args)]
pub struct WorkerOptions {
    /// Process id of the `crosscheck` that started this.
    parent: u32,
}

/// Runs the cases and prints every mismatch, shrunk, as it is found.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let request = Request {
        seed: options.seed,
        first: options.first,
        end: options.first.saturating_add(options.filters),
        step: 1,
        frames: usize::try_from(options.frames).map_err(Failure::usage)?,
        shrink: options.shrink,
        backend: options.backend.with(None),
        mutation: options.mutation,
        shortcuts: if options.no_shortcuts {
            Shortcuts::none()
        } else {
            Shortcuts::all()
        },
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let total = usize::try_from(options.filters).map_err(Failure::usage)?;
    let workers = options.jobs.unwrap_or(cores).min(total);
    let tenth = (total / 10).max(1);
    let mut said = 0;
    let found = crosscheck::run(&request, workers, options.max_mismatches.max(1), |found| {
        // At once: a long run may be interrupted.
        for mismatch in &found.mismatches[said..] {
            // Where standard output is gone, the end of the run says so.
            let _ = say(&words(options.seed, mismatch));
        }
        said = found.mismatches.len();
        if found.cases % tenth == 0 {
            note(&format!("{} of {total} filters", found.cases));
        }
    });
    let found = found.map_err(failure)?;
    say(&summary(
        options.seed,
        options.backend.with(None),
        &found,
        started.elapsed().as_secs(),
    ))?;
    if found.mismatches.is_empty() {
        return Ok(Exit::Pass.into());
    }
    Ok(Exit::Fail.into())
}

fn words(seed: u64, (case, words): &(u64, String)) -> String {
    format!("mismatch in filter {case} of seed {seed}:\n{words}\n")
}

fn summary(seed: u64, backend: Backend, found: &Found, seconds: u64) -> String {
    let again = match found.again {
        0 => String::new(),
        again => format!("; {again} filters measured again because a frame arrived late"),
    };
    format!(
        "{} filters of seed {seed} by {backend}: {} bound, and {} refused by libvirt and evaluator alike; {} decisions compared, {} of them drops, {} not modelled; {} s\nrules matched: {} of {}; {}{again}\n",
        found.cases,
        found.bound,
        found.refused,
        found.compared,
        found.dropped,
        found.undecided,
        seconds,
        found.hit,
        found.rules,
        plurals(found.mismatches.len(), "mismatch", "mismatches"),
    )
}

/// Reads its task from standard input, enters the lab's namespaces and does
/// it. What is found goes to standard output, one JSON document a line.
pub fn work(options: &WorkerOptions) -> Result<ExitCode, Failure> {
    let task = pool::task(&mut std::io::stdin().lock()).map_err(Failure::usage)?;
    let task: Task = task.ok_or_else(|| Failure::usage("there is no task"))?;
    let entered = enter(EnterOptions {
        images: &[],
        kvm: false,
        libvirt_cache: None,
        emulators: &[],
        shortcuts: task.shortcuts(),
        parent: options.parent,
    });
    if let Err(error) = entered {
        pool::report(&crosscheck::Message::Host(error.to_string()));
        return Ok(Exit::Pass.into());
    }
    runtime(1)?.block_on(run_worker(&task, &|message| pool::report(message)));
    // The kernel ends every other process of the namespace with this one.
    Ok(Exit::Pass.into())
}

/// Why there is no answer, with whose fault that is.
pub fn failure(broken: Broken) -> Failure {
    let exit = match broken {
        Broken::Start(_) | Broken::Host(_) => Exit::Host,
        Broken::Lab(_) => Exit::Inconclusive,
    };
    Failure::new(exit, broken)
}

//! `lanfence mutate --kernel`: mutants bound for real, and the evaluator held against the kernel.

use super::crosscheck::failure;
use super::given::texts;
use crate::check::Expectations;
use crate::cli::failure::Failure;
use crate::cli::output::{note, say};
use crate::crosscheck::{self, Found, Given, GivenFilter, Mutation};
use crate::lab::Shortcuts;
use crate::layout::Layout;
use crate::mutate::{Class, Judged, Mutants};
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::{FilterTree, TreeError};
use crate::policy::Policy;
use crate::random::GUEST;
use crate::report::text::plurals;
use crate::verdict::Exit;
use clap::Args;
use std::time::Instant;

/// Frames from the boundaries of each mutant's own rules.
const BOUNDARY: usize = 200;
/// Mismatches after which a run ends.
const MOST: usize = 5;

/// Options of the part that needs a lab.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kernel")]
pub struct KernelOptions {
    /// Bind N of the mutants in a lab too, and compare what the kernel does with the evaluator
    ///
    /// They are spread over all mutants. Each gets the frames of every probe and frames from the
    /// boundaries of its own rules, in both directions. A mismatch fails.
    #[arg(long, value_name = "N")]
    kernel: Option<usize>,
    /// Seed that says which mutants and which frames; equal seeds give equal runs
    #[arg(long, value_name = "N", default_value_t = 1, requires = "kernel")]
    seed: u64,
    /// Number of labs to run side by side [default: one for each core]
    #[arg(long, value_name = "N", requires = "kernel")]
    jobs: Option<usize>,
    /// Make the evaluator wrong, for tests of what a mismatch looks like.
    #[arg(long, value_name = "WHAT", hide = true, requires = "kernel")]
    mutation: Option<Mutation>,
}

/// What the mutants are of.
pub struct Original<'a> {
    /// The filters.
    pub tree: &'a FilterTree,
    /// The policy, whose probes are sent.
    pub policy: &'a Policy,
    /// Where the probes come from.
    pub layout: &'a Layout,
    /// Parameters of the binding, the guest's address among them where the filter uses it.
    pub parameters: &'a [(String, String)],
    /// Back end of libvirt.
    pub backend: Backend,
}

/// Binds mutants where that was asked for, prints every mismatch, and says what it comes to.
///
/// # Errors
/// When the host cannot run a lab, or one breaks down.
pub fn run(
    options: &KernelOptions,
    original: &Original<'_>,
    mutants: &Mutants,
) -> Result<Exit, Failure> {
    let Some(count) = options.kernel else {
        return Ok(Exit::Pass);
    };
    let started = Instant::now();
    let picked = picked(mutants, count, options.seed);
    let given = given(options, original, &picked)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = options.jobs.unwrap_or(cores);
    let tenth = (given.filters.len() / 10).max(1);
    let mut said = 0;
    let found = crosscheck::given(&given, workers, MOST, |found| {
        for (number, words) in &found.mismatches[said..] {
            let judged = picked.iter().find(|(other, _)| other == number);
            let name = judged.map_or_else(String::new, |(_, judged)| judged.mutant.to_string());
            // Where standard output is gone, the end of the run says so.
            let _ = say(&format!("\nmismatch in the mutant {name}:\n{words}"));
        }
        said = found.mismatches.len();
        if found.cases % tenth == 0 {
            note(&format!(
                "{} of {} mutants bound",
                found.cases,
                given.filters.len()
            ));
        }
    });
    let found = found.map_err(failure)?;
    say(&summary(
        options.seed,
        original.backend,
        &found,
        started.elapsed().as_secs(),
    ))?;
    Ok(if found.mismatches.is_empty() {
        Exit::Pass
    } else {
        Exit::Fail
    })
}

/// What the workers are told.
fn given(
    options: &KernelOptions,
    original: &Original<'_>,
    picked: &[(u64, &Judged)],
) -> Result<Given, Failure> {
    let filters = picked.iter().map(|(number, judged)| {
        Ok(GivenFilter {
            number: *number,
            texts: texts(&judged.mutant.apply(original.tree))?,
            parameters: original.parameters.to_vec(),
        })
    });
    let filters: Result<Vec<GivenFilter>, TreeError> = filters.collect();
    Ok(Given {
        filters: filters.map_err(Failure::usage)?,
        frames: frames(original),
        boundary: BOUNDARY,
        seed: options.seed,
        backend: original.backend,
        mutation: options.mutation,
        shortcuts: Shortcuts::all(),
    })
}

fn summary(seed: u64, backend: Backend, found: &Found, seconds: u64) -> String {
    format!(
        "\nkernel: {} mutants of seed {seed} by {backend}: {} bound, and {} refused by libvirt and evaluator alike; {} decisions compared, {} of them drops, {} not modelled; {seconds} s\n{}: {}, exit code {}\n",
        found.cases,
        found.bound,
        found.refused,
        found.compared,
        found.dropped,
        found.undecided,
        if found.mismatches.is_empty() {
            "PASS"
        } else {
            "FAIL"
        },
        plurals(found.mismatches.len(), "mismatch", "mismatches"),
        if found.mismatches.is_empty() {
            Exit::Pass
        } else {
            Exit::Fail
        }
        .code(),
    )
}

/// Mutants at equal distances, the first of them by the seed, with their numbers. Those that
/// the reader refuses cannot be handed over.
fn picked(mutants: &Mutants, count: usize, seed: u64) -> Vec<(u64, &Judged)> {
    let all: Vec<(u64, &Judged)> = (0..)
        .zip(&mutants.all)
        .filter(|(_, judged)| !matches!(judged.class, Class::Refused(_)))
        .collect();
    let count = count.min(all.len());
    if count == 0 {
        return Vec::new();
    }
    let start = usize::try_from(seed).unwrap_or(0) % all.len();
    let at = |number: usize| all[(start + number * all.len() / count) % all.len()];
    (0..count).map(at).collect()
}

/// The frames of every probe, as they are with the lab's guest.
fn frames(original: &Original<'_>) -> Vec<Vec<u8>> {
    let layout = original.layout.clone().with_guest_mac(GUEST);
    let expectations = Expectations::of(original.policy, &layout, &[], original.backend);
    let trials = expectations.trials().iter();
    trials
        .flat_map(|trial| trial.probe.wire(&layout).frames)
        .collect()
}

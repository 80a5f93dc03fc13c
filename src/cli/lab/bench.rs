//! `lanfence bench`: where the time goes.

use super::guest_image::GuestImageOption;
use super::inside::runtime;
use super::paths;
use crate::bench::{self, BenchError};
use crate::cli::failure::Failure;
use crate::cli::options::{PolicyOption, PolicySource};
use crate::cli::output::{note, say};
use crate::crosscheck::Broken;
use crate::lab::{EnterOptions, Shortcuts, enter, small_host};
use crate::nwfilter::evaluate::Backend;
use crate::verdict::Exit;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `bench`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, and they exclude each other there"
)]
#[derive(Debug, Args)]
pub struct Options {
    /// Number of rounds
    ///
    /// Each round measures everything once, so that a change in the load of the machine affects
    /// all figures alike.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    policy: PolicyOption,
    #[command(flatten)]
    guest: GuestImageOption,
    /// Measure only what needs no guest: evaluator, reader, lints and exact sets
    #[arg(long, help_heading = "Selection")]
    pure: bool,
    /// Measure the whole matrix too: with one worker, with one for each core, and with one more
    #[arg(long, help_heading = "Selection", conflicts_with = "pure")]
    grid: bool,
    /// Run this many cells instead, and measure what they leak: memory, files, processes
    #[arg(long, value_name = "CELLS", help_heading = "Selection", conflicts_with_all = ["pure", "grid"])]
    soak: Option<usize>,
    /// Measure instead what each shortcut saves
    ///
    /// A shortcut is what `verify --no-shortcuts` leaves out.
    #[arg(long, help_heading = "Selection", conflicts_with_all = ["pure", "grid", "soak"])]
    shortcuts: bool,
    /// Measure instead what an audit of 1000 interfaces takes of its own time
    #[arg(long, help_heading = "Selection", conflicts_with_all = ["pure", "grid", "soak", "shortcuts"])]
    audit: bool,
    /// Measure instead what `apply` takes beside libvirt, on a small host of its own
    #[arg(long, help_heading = "Selection", conflicts_with_all = ["pure", "grid", "soak", "shortcuts", "audit"])]
    apply: bool,
    /// Write a bundle of evidence for every cell of `--soak` that is not green
    #[arg(long, value_name = "DIR", help_heading = "Output", requires = "soak")]
    out: Option<PathBuf>,
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        let exit = match &error {
            BenchError::Layout(_) | BenchError::Plan(_) => Exit::Usage,
            BenchError::Tap(Broken::Lab(_)) => Exit::Inconclusive,
            _ => Exit::Host,
        };
        Self::new(exit, error)
    }
}

/// Measures and prints tables.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let source = options.policy.read()?;
    if cfg!(debug_assertions) {
        note("built without optimisation: these figures say little; use `cargo xtask bench`");
    }
    let text = (source.text.as_str(), source.origin.as_str());
    let job = |guest: &Path| bench::job(&source.policy, text, guest);
    if let Some(cells) = options.soak {
        let guest = options.guest.required()?;
        let mut job = job(guest)?;
        job.out = options.out.as_deref().map(paths::output).transpose()?;
        return soak(&bench::soak(&job, guest, cells, &note)?, cells);
    }
    if options.shortcuts {
        let job = job(options.guest.required()?)?;
        say(&format!(
            "{}\n",
            bench::shortcuts(&job, options.rounds, &note)?
        ))?;
        return Ok(Exit::Pass.into());
    }
    if options.apply {
        return apply(&source, options.rounds);
    }
    if options.audit {
        let table = bench::audit(&source.policy, options.rounds)?;
        say(&format!("{table}\n"))?;
        return Ok(Exit::Pass.into());
    }
    if options.pure {
        say(&format!(
            "{}\n",
            bench::pure(&source.policy, options.rounds)?
        ))?;
        return Ok(Exit::Pass.into());
    }
    let guest = options.guest.required()?;
    say(&format!(
        "{}\n",
        bench::pure(&source.policy, options.rounds)?
    ))?;
    say(&format!(
        "{}\n",
        bench::tap(&source.policy, options.rounds)?
    ))?;
    let job = job(guest)?;
    let series = bench::cells(&job, guest, options.rounds, &note)?;
    say(&format!("{}\n", bench::table(&series)))?;
    let (bare, reference) = (bench::bare(&series), bench::REFERENCE);
    note(&format!(
        "the targets are those of a machine that takes {reference} ms for the bare boot; this one took {bare} ms"
    ));
    if options.grid {
        say(&format!("{}\n", bench::grid(&job, guest, bare, &note)?))?;
    }
    Ok(Exit::Pass.into())
}

/// Enters namespaces with a bridge and a libvirtd, and measures there.
fn apply(source: &PolicySource, rounds: u32) -> Result<ExitCode, Failure> {
    enter(EnterOptions {
        images: &[],
        kvm: false,
        libvirt_cache: None,
        emulators: &[],
        shortcuts: Shortcuts::all(),
        parent: std::os::unix::process::parent_id(),
    })
    .map_err(Failure::host)?;
    runtime(2)?.block_on(async {
        let host = small_host(Backend::default()).await;
        let _libvirt = host.map_err(Failure::host)?;
        let table =
            tokio::task::block_in_place(|| bench::apply(&source.policy, &source.text, rounds));
        say(&format!("{}\n", table?))?;
        Ok(Exit::Pass.into())
    })
}

fn soak((tables, red): &(String, usize), cells: usize) -> Result<ExitCode, Failure> {
    say(&format!("{tables}\n"))?;
    match red {
        0 => Ok(Exit::Pass.into()),
        red => Err(Failure::new(
            Exit::Inconclusive,
            format!("{red} of {cells} cells were not green"),
        )),
    }
}

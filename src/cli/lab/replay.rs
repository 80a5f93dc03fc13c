//! `lanfence verify --replay`: the same cells and probes again.

use super::guest_image::GuestImageOption;
use super::reporting::{Output, report, show};
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::policy::Policy;
use crate::report::baseline::{Comparison, Known, Observed, Weight, compare};
use crate::report::table::{self, Against};
use crate::report::text::plural;
use crate::verdict::Exit;
use crate::verify::job::Job;
use crate::verify::replay::Bundle;
use crate::verify::{AccelChoice, Binding, Cache, FilterUnderTest, Request, Workers, diagnose};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// What a replay takes from the command line.
pub struct Here<'a> {
    /// What it writes.
    pub output: &'a Output,
    /// Which accelerator.
    pub accel: AccelChoice,
    /// How the cells are shared out.
    pub workers: Workers,
    /// Where the guest image is.
    pub guest: &'a GuestImageOption,
}

/// Reads the bundle, runs what went into it, reports as any run does, and compares.
pub fn run(here: &Here<'_>, dir: &Path) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let (bundle, before) = Bundle::read(dir).map_err(Failure::usage)?;
    let name = dir.display().to_string();
    let was = Observed::of(&before, &name).map_err(Failure::usage)?;
    let (text, origin) = bundle.policy();
    let policy = Policy::parse(text, origin).map_err(Failure::usage)?;
    let tree = bundle.tree(dir).map_err(Failure::usage)?;
    let cache = Cache::open().map_err(Failure::host)?;
    let job = bundle.job(here.job(&bundle, dir, &cache)?);
    let (parameters, mac, backend) = (job.parameters.clone(), job.mac, job.backend);
    let request = Request {
        job,
        plan: bundle.plan(),
        filter: bundle.filter,
        accel: here.accel,
        workers: here.workers,
        cache,
        started,
    };
    let mut run = show(here.output, request)?;
    let binding = Binding {
        tree: tree.as_ref(),
        parameters: &parameters,
        mac,
        backend,
    };
    run.causes = diagnose(&run, &policy, &binding);
    let own = report(here.output, &run, None);
    let is = Observed::of(&run, "this run").map_err(Failure::host)?;
    let found = compare(&Known::run(&was), &is);
    say(&told(&found, &name, own))?;
    Ok(exit(&found, own).into())
}

impl Here<'_> {
    /// A job that says where things are on this machine; all else of it is the bundle's.
    fn job(&self, bundle: &Bundle, dir: &Path, cache: &Cache) -> Result<Job, Failure> {
        let image = if bundle.has_machine() {
            Some(self.guest.required()?)
        } else {
            None
        };
        let guest = image.map(std::path::absolute).transpose();
        let out = self.output.prepare()?;
        if out.is_some() && out == dir.canonicalize().ok() {
            let name = dir.display();
            return Err(Failure::usage(format!(
                "--out {name} would overwrite the run that is replayed\n  cure: name another directory"
            )));
        }
        let job =
            Job::new(bundle.policy(), &FilterUnderTest::none(), cache).map_err(Failure::host)?;
        Ok(Job {
            guest: guest.map_err(Failure::usage)?,
            out,
            ..job
        })
    }
}

/// Other verdicts fail, better ones too; what is not proven in either of the runs is not said to be
/// the same. The same verdicts have the exit code that the run itself has.
fn exit(found: &Comparison, own: Exit) -> Exit {
    let is_unproven = found.count(Weight::Unproven) + found.unproven_as_before > 0;
    match found.conclusion(true).exit() {
        Exit::Pass if is_unproven => Exit::Inconclusive,
        Exit::Pass => own,
        exit => exit,
    }
}

/// The changes with what may explain them, and the line that says whether there are any.
fn told(found: &Comparison, name: &str, own: Exit) -> String {
    let against = Against { name, strict: true };
    let changes = if found.changes.is_empty() {
        String::new()
    } else {
        table::differences(found, against)
    };
    let other = found.count(Weight::Worse) + found.count(Weight::Better);
    let unproven = found.count(Weight::Unproven) + found.unproven_as_before;
    let word = match (other, unproven, found.conclusion(true).exit()) {
        (0, 0, Exit::Pass) => "the verdicts are the same",
        (0, ..) => "not all verdicts can be compared",
        _ => "the verdicts are not the same",
    };
    let same = found.as_before - found.unproven_as_before;
    let code = exit(found, own).code();
    format!(
        "{changes}\nReplay of {name}: {word} ({} the same, {other} other, {unproven} not proven), exit \
         code {code}\n",
        plural(same, "verdict"),
    )
}

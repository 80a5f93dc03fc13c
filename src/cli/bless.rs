//! `lanfence bless`: what people accept of a finished run, check or mutation, into a baseline.

use super::baseline;
use super::failure::Failure;
use super::output::say;
use crate::report::baseline::{Accept, BaselineError, Blessed, Date, Weight, bless, read};
use crate::report::table;
use crate::report::text::{clean, plurals};
use crate::verdict::Exit;
use clap::Args;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `bless`.
#[derive(Debug, Args)]
pub struct Options {
    /// Report, as `verify --json`, `check --format json`, `mutate --json` or `cargo xtask hosts test
    /// --json` writes it
    #[arg(value_name = "REPORT.json")]
    run: PathBuf,
    /// The baseline to write
    #[arg(long, value_name = "FILE", help_heading = "Baseline")]
    baseline: PathBuf,
    /// Accept the probes with these names that are not as the policy wants them, such as
    /// 'wan-ipv6/*'; may be repeated, each with its --reason
    ///
    /// The row before the slash must be named. `cell` and `leak-check` stand for a cell that
    /// does not come to its end and for one whose leak check is not passed.
    #[arg(
        long,
        value_name = "GLOB",
        help_heading = "Baseline",
        requires = "reason"
    )]
    accept: Vec<String>,
    /// Why they are accepted; the first is for the first --accept, and so on
    #[arg(
        long,
        value_name = "TEXT",
        help_heading = "Baseline",
        requires = "accept"
    )]
    reason: Vec<String>,
    /// Accept only in the cells whose name matches
    #[arg(
        long,
        value_name = "GLOB",
        help_heading = "Baseline",
        requires = "accept"
    )]
    cell: Option<glob::Pattern>,
    /// The last day (UTC) on which what is accepted here counts, such as 2027-03-31
    #[arg(
        long,
        value_name = "DAY",
        help_heading = "Baseline",
        requires = "accept"
    )]
    expires: Option<Date>,
    /// Forget what the baseline says of cells whose name matches; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Baseline")]
    forget: Vec<glob::Pattern>,
    /// Begin a new baseline, whatever the file says now
    #[arg(long, help_heading = "Baseline")]
    new: bool,
}

/// What does not go together.
#[derive(Debug, thiserror::Error)]
enum OptionsError {
    /// Each glob has its own reason.
    #[error(
        "--accept is given {accepts} and --reason {reasons} times\n  cure: give each --accept its own \
         --reason"
    )]
    Reasons { accepts: usize, reasons: usize },
    /// A name that accepts nothing is a slip.
    #[error(
        "--accept '{glob}' names nothing that is wrong in this run\n  cure: take the names from what \
         `verify` prints; a probe that passes needs no entry"
    )]
    Idle { glob: String },
    /// An entry that is over when it is written accepts nothing.
    #[error(
        "--expires {day} is over: nothing would be accepted, and today is {today} (UTC)\n  cure: name \
         the last day on which it is to be accepted"
    )]
    Over { day: Date, today: Date },
}

/// Reads, blesses, writes.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let accepts = accepts(options)?;
    let path = &options.run;
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
    let name = path.display().to_string();
    let observed = read(&text, &name).map_err(Failure::usage)?;
    if observed.cells.is_empty() {
        return Err(Failure::usage(BaselineError::NoCell { run: name }));
    }
    let mut old = None;
    if !options.new && options.baseline.exists() {
        let (subject_at, mut baseline) = baseline::read(&options.baseline)?;
        let checked = baseline.subject.check(&subject_at, &observed.subject);
        checked.map_err(Failure::usage)?;
        for glob in &options.forget {
            baseline.cells.retain(|cell, _| !glob.matches(cell));
            let keep = |cell: &str| !glob.matches(cell);
            baseline.accepted.retain(|(cell, _), _| keep(cell));
        }
        old = Some(baseline);
    }
    let done = bless(old.as_ref(), &observed, &accepts, Date::today());
    if let Some(glob) = done.idle.first() {
        let glob = glob.clone();
        return Err(Failure::usage(OptionsError::Idle { glob }));
    }
    let path = &options.baseline;
    std::fs::write(path, done.baseline.text()).map_err(|error| Failure::file(path, error))?;
    let name = path.display().to_string();
    say(&told(&done, &name))?;
    Ok(exit(&done).into())
}

/// Whether anything is left that the baseline does not accept.
fn exit(done: &Blessed) -> Exit {
    if done.left.count(Weight::Worse) > 0 {
        Exit::Fail
    } else if done.left.count(Weight::Unproven) > 0 {
        Exit::Inconclusive
    } else {
        Exit::Pass
    }
}

fn accepts(options: &Options) -> Result<Vec<Accept>, Failure> {
    let (accepts, reasons) = (options.accept.len(), options.reason.len());
    if accepts != reasons {
        return Err(Failure::usage(OptionsError::Reasons { accepts, reasons }));
    }
    let today = Date::today();
    if let Some(day) = options.expires.filter(|day| *day < today) {
        return Err(Failure::usage(OptionsError::Over { day, today }));
    }
    let pairs = options.accept.iter().zip(&options.reason);
    let accept = |(glob, reason): (&String, &String)| {
        Accept::new(glob, options.cell.clone(), reason, options.expires)
    };
    let accepts: Result<_, _> = pairs.map(accept).collect();
    accepts.map_err(Failure::usage)
}

/// What changed in the file, and what is left.
fn told(done: &Blessed, name: &str) -> String {
    let mut out = String::new();
    let mut list = |what: &str, names: &[(String, String)]| {
        if names.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "{what} ({}):",
            plurals(names.len(), "entry", "entries")
        );
        for (cell, probe) in names {
            let _ = writeln!(out, "  {} {}", clean(cell), clean(probe));
        }
    };
    list("Accepted", &done.accepted);
    list("Dropped", &done.dropped);
    let all = plurals(done.baseline.accepted.len(), "entry", "entries");
    let _ = writeln!(out, "{name} has {all}.");
    if exit(done) != Exit::Pass {
        out.push_str(
            "\nThe baseline does not accept what follows: mend it, or name it with --accept.\n\n",
        );
        out.push_str(&table::changes(&done.left));
    }
    out
}

//! `lanfence verify`: the run, its progress and its reports.

use super::tree::{load, parameter};
use super::{Exit, Failure, complain, generate, say};
use crate::lab::Shortcuts;
use crate::nwfilter::Strictness;
use crate::report::color;
use crate::report::github;
use crate::report::live::{Event, Live, Mode};
use crate::report::model::Run;
use crate::report::{json, junit, markdown, table, verdict_lines};
use crate::verify::job::{InjectedFault, Job};
use crate::verify::{AccelChoice, Cache, FilterUnderTest, Request, Workers};
use clap::{Args, ValueEnum};
use select::Select;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

pub mod paths;
mod select;

pub use select::Which;

/// `--accel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AccelOption {
    /// KVM where a guest has proven it to work, else TCG.
    Auto,
    /// KVM, or exit code 3.
    Kvm,
    /// Emulation.
    Tcg,
}

/// `--boot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BootChoice {
    /// From a saved guest; cold where the NIC must be there at boot.
    Restore,
    /// Every guest from its kernel's start.
    Cold,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// Hidden: what to break, for tests of what a broken run looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Inject {
    Sensor,
    Link,
    Pause,
    Flush,
    FlushBeforeFirstFrame,
    NoLink,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct Options {
    /// Policy file; without it, lanfence.toml here, else the shipped example.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Verify this filter instead of the generated one; repeat it for the filters it refers to.
    #[arg(long = "filter", value_name = "FILE.xml")]
    filters: Vec<PathBuf>,
    /// Verify without any filter: everything must leak, and the run must be red.
    #[arg(long, conflicts_with = "filters")]
    no_filter: bool,
    /// A parameter for the filterref.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    #[command(flatten)]
    select: Select,
    /// Accelerator.
    #[arg(long, value_enum, default_value_t = AccelOption::Auto)]
    accel: AccelOption,
    /// How guests begin.
    #[arg(long, value_enum, default_value_t = BootChoice::Restore)]
    boot: BootChoice,
    /// Cells to run side by side, each in a lab of its own [default: one a core].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Begin no further cell after one that is not green.
    #[arg(long)]
    fail_fast: bool,
    /// Try a cell that is not green again; one that is green only then is flaky, not green.
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// Write the run as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the run as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a bundle of evidence for every cell that is not green.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write one line per verdict, without times: equal runs give equal files.
    #[arg(long, value_name = "FILE")]
    verdicts: Option<PathBuf>,
    /// Directory of the guest image that `cargo xtask image` builds.
    #[arg(long, value_name = "DIR", env = "LANFENCE_GUEST")]
    guest: Option<PathBuf>,
    /// Leave out everything that only saves time and touches libvirt, the kernel's rules or
    /// the guest (slower, and the verdicts are the same).
    #[arg(long)]
    no_shortcuts: bool,
    /// When to colour.
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
    /// Inject a part in the middle of each cell.
    #[arg(long = "inject", value_enum, hide = true)]
    inject: Option<Inject>,
}

/// Runs the cells and reports.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let plan = options.select.plan(options.guest.as_deref())?;
    if options.select.only_lists() {
        say(&options.select.listing(&plan)).map_err(Failure::host)?;
        return Ok(Exit::Pass.into());
    }
    let source = generate::policy(options.policy.as_deref())?;
    let filter = filter(options, &source)?;
    let cache = Cache::open().map_err(Failure::host)?;
    let out = options.out.as_deref().map(paths::output).transpose()?;
    for file in [&options.json, &options.junit, &options.verdicts]
        .into_iter()
        .flatten()
    {
        paths::writable(file)?;
    }
    let job = Job {
        foreign: options.select.foreign(&plan)?,
        out,
        ..job(options, &source, &filter, &cache)?
    };
    let request = Request {
        job,
        plan,
        filter: filter.info,
        accel: match options.accel {
            AccelOption::Auto => AccelChoice::Auto,
            AccelOption::Kvm => AccelChoice::Kvm,
            AccelOption::Tcg => AccelChoice::Tcg,
        },
        workers: Workers {
            fail_fast: options.fail_fast,
            ..options.jobs.map_or_else(Workers::one_a_core, Workers::of)
        },
        cache,
        started,
    };
    let run = show(options, request)?;
    report(options, &run)
}

/// The filter that the options name: the user's own, none, or the generated one.
fn filter(options: &Options, source: &generate::Source) -> Result<FilterUnderTest, Failure> {
    if options.no_filter {
        return Ok(FilterUnderTest::none());
    }
    if options.filters.is_empty() {
        let (policy, origin) = (&source.policy, &source.origin);
        return Ok(FilterUnderTest::generated(policy, origin));
    }
    let tree = load(&options.filters, None, Strictness::Strict)?;
    FilterUnderTest::own(&tree, &options.parameters).map_err(Failure::usage)
}

fn job(
    options: &Options,
    source: &generate::Source,
    filter: &FilterUnderTest,
    cache: &Cache,
) -> Result<Job, Failure> {
    let job = Job::new((&source.text, &source.origin), filter, cache).map_err(Failure::host)?;
    let restore = options.boot == BootChoice::Restore;
    Ok(Job {
        guest: options
            .guest
            .as_deref()
            .map(std::path::absolute)
            .transpose()
            .map_err(Failure::usage)?,
        parameters: options.parameters.clone(),
        retries: options.retries,
        shortcuts: if options.no_shortcuts {
            Shortcuts::none()
        } else {
            job.shortcuts
        },
        snapshots: job.snapshots.filter(|_| restore),
        inject: options.inject.map(|part| match part {
            Inject::Sensor => InjectedFault::Sensor,
            Inject::Link => InjectedFault::Link,
            Inject::Pause => InjectedFault::Pause,
            Inject::Flush => InjectedFault::Flush,
            Inject::FlushBeforeFirstFrame => InjectedFault::FlushBeforeFirstFrame,
            Inject::NoLink => InjectedFault::NoLink,
        }),
        ..job
    })
}

/// Runs the request while showing what happens.
fn show(options: &Options, request: Request) -> Result<Run, Failure> {
    let terminal = std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
    let mode = if terminal {
        Mode::Terminal {
            width: terminal_size::terminal_size().map_or(80, |(width, _)| width.0),
            color: paint(options, true),
        }
    } else {
        Mode::Plain
    };
    let mut live = Live::new(std::io::stderr(), mode);
    let started = Instant::now();
    let mut show = |event: Option<&Event>| {
        let now = started.elapsed();
        // What cannot be shown does not change the verdicts.
        let _ = match event {
            Some(event) => live.event(event, now),
            None => live.tick(now),
        };
    };
    let run = crate::verify::run(request, &mut show);
    let _ = live.finish();
    run.map_err(Failure::host)
}

fn paint(options: &Options, terminal: bool) -> bool {
    let var = |name| std::env::var(name).ok();
    let (no_color, clicolor, force) = (var("NO_COLOR"), var("CLICOLOR_FORCE"), var("FORCE_COLOR"));
    let choice = match options.color {
        ColorChoice::Auto => color::Choice::Auto,
        ColorChoice::Always => color::Choice::Always,
        ColorChoice::Never => color::Choice::Never,
    };
    let dumb = var("TERM").is_some_and(|term| term == "dumb");
    color::wanted(
        choice,
        color::Surroundings {
            no_color: no_color.as_deref(),
            clicolor_force: clicolor.as_deref(),
            force_color: force.as_deref(),
            terminal: terminal && !dumb,
        },
    )
}

/// Prints the table and writes the files: each of them, whatever became of the
/// others, and a file that cannot be written never hides what was proven.
fn report(options: &Options, run: &Run) -> Result<ExitCode, Failure> {
    let terminal = std::io::stdout().is_terminal();
    let mut bad = Vec::new();
    bad.extend(say(&table::table(run, None, paint(options, terminal))).err());
    let mut file = |path: &Option<PathBuf>, text: &dyn Fn() -> Result<String, String>| {
        let Some(path) = path else { return };
        let written =
            text().and_then(|text| std::fs::write(path, text).map_err(|error| error.to_string()));
        let named = written.map_err(|error| format!("{}: {error}", path.display()));
        bad.extend(named.err());
    };
    file(&options.json, &|| Ok(json::to_json(run)));
    file(&options.junit, &|| {
        junit::to_junit(run).map_err(|error| error.to_string())
    });
    file(&options.verdicts, &|| Ok(verdict_lines::verdict_lines(run)));
    if std::env::var_os("GITHUB_ACTIONS").is_some() {
        bad.extend(to_github(run).err());
    }
    match (bad.join("\n"), run.exit()) {
        (bad, exit) if bad.is_empty() => Ok(exit.into()),
        (bad, Exit::Pass) => Err(Failure::host(bad)),
        (bad, exit) => {
            complain(&bad);
            Ok(exit.into())
        }
    }
}

fn to_github(run: &Run) -> Result<(), String> {
    let lines: Vec<String> = github::annotations(run)
        .into_iter()
        .map(|line| format!("{line}\n"))
        .collect();
    say(&lines.concat())?;
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") else {
        return Ok(());
    };
    std::fs::File::options()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut summary| summary.write_all(markdown::markdown(run).as_bytes()))
        .map_err(|error| format!("{}: {error}", Path::new(&path).display()))
}

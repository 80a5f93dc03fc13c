//! `lanfence verify`: the run, its progress and its reports.

use super::tree::parameter;
use super::{Exit, Failure, complain, generate, note, say};
use crate::lab::Shortcuts;
use crate::nwfilter::{self, write};
use crate::report::color;
use crate::report::github;
use crate::report::live::{Event, Live, Mode};
use crate::report::model::{Cell, FilterInfo, Host, Run, SCHEMA_VERSION};
use crate::report::{json, junit, markdown, table, verdict_lines};
use crate::verify::job::{Attach, CellPlan, FilterText, InjectedFault, Job};
use crate::verify::{Workers, decide_accel, run_cells};
use clap::{Args, ValueEnum};
use select::Select;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

mod filters;
mod foreign;
pub mod paths;
mod select;

pub use select::Which;

/// `--accel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AccelChoice {
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
    #[arg(long, value_enum, default_value_t = AccelChoice::Auto)]
    accel: AccelChoice,
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
    let chosen = filters::choose(
        &options.filters,
        &options.parameters,
        options.no_filter,
        &source.policy,
        &source.origin,
    )?;
    let cache = paths::cache()?;
    let out = options.out.as_deref().map(paths::output).transpose()?;
    for file in [&options.json, &options.junit, &options.verdicts]
        .into_iter()
        .flatten()
    {
        paths::writable(file)?;
    }
    let mut job = job(options, &source, &chosen, out)?;
    job.cells.clone_from(&plan.cells);
    if job.inject.is_some() {
        // Whichever run it breaks, each cell has it.
        let guests = job.cells.iter_mut().filter(|cell| cell.guest.has_machine());
        guests.for_each(|cell| cell.attach = Attach::Both);
    }
    job.foreign = options.select.foreign(&plan)?;
    select::by_known_times(&mut job.cells, &cache);
    let (accel, reason) = accelerate(options, &job, &cache)?;
    job.kvm = accel;
    let mut run = show(options, &job)?;
    select::remember(&run.cells, &cache);
    let place = |cell: &Cell| plan.matrix.iter().position(|name| *name == cell.name);
    run.cells.sort_by_key(place);
    (run.skipped, run.matrix) = (plan.skipped, plan.matrix);
    run.host.accel_reason = reason;
    if run.host.accel.is_empty() {
        // No worker got as far as to say it.
        run.host.accel = if job.kvm { "kvm" } else { "tcg" }.into();
    }
    run.policy = source.origin;
    run.filter = chosen.info;
    run.wall_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    report(options, &run)
}

fn job(
    options: &Options,
    source: &generate::Source,
    chosen: &filters::Chosen,
    out: Option<PathBuf>,
) -> Result<Job, Failure> {
    let plain = plain_job(source, options.guest.as_deref())?;
    Ok(Job {
        filters: chosen.texts.clone(),
        bind: chosen.info.name.clone(),
        parameters: options.parameters.clone(),
        retries: options.retries,
        shortcuts: if options.no_shortcuts {
            Shortcuts::none()
        } else {
            plain.shortcuts
        },
        snapshots: plain
            .snapshots
            .filter(|_| options.boot == BootChoice::Restore),
        out,
        inject: options.inject.map(|part| match part {
            Inject::Sensor => InjectedFault::Sensor,
            Inject::Link => InjectedFault::Link,
            Inject::Pause => InjectedFault::Pause,
            Inject::Flush => InjectedFault::Flush,
            Inject::FlushBeforeFirstFrame => InjectedFault::FlushBeforeFirstFrame,
            Inject::NoLink => InjectedFault::NoLink,
        }),
        ..plain
    })
}

/// Which accelerator, and why; says so at once when it is not what one would expect.
fn accelerate(options: &Options, job: &Job, cache: &Path) -> Result<(bool, String), Failure> {
    if !job.has_machine() {
        return Ok((false, "there is no guest".into()));
    }
    if options.accel == AccelChoice::Tcg {
        return Ok((false, "asked for".into()));
    }
    let decided = decide_accel(job, cache);
    if options.accel == AccelChoice::Kvm && !decided.kvm {
        return Err(Failure::host(format!(
            "KVM was asked for and does not work here: {}\n  cure: mend KVM (is nested virtualisation on? may you open /dev/kvm?), or use --accel tcg",
            decided.reason
        )));
    }
    if decided.fell_back {
        note(&format!(
            "falling back to emulation (TCG): {}",
            decided.reason
        ));
    }
    Ok((decided.kvm, decided.reason))
}

/// Runs the workers while showing what they do.
fn show(options: &Options, job: &Job) -> Result<Run, Failure> {
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
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let started = Instant::now();
    let names = job.cells.iter().map(|cell| cell.name.clone()).collect();
    // What cannot be shown does not change the verdicts.
    let _ = live.event(&Event::Started { cells: names }, started.elapsed());
    let workers = Workers {
        count: options.jobs.unwrap_or(cores),
        fail_fast: options.fail_fast,
    };
    let mut show = |event: Option<&Event>| {
        let now = started.elapsed();
        // As above: a broken display is no reason to stop.
        let _ = match event {
            Some(event) => live.event(event, now),
            None => live.tick(now),
        };
    };
    let gathered = run_cells(job, workers, &mut show).map_err(Failure::host)?;
    let _ = live.finish();
    Ok(Run {
        schema_version: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION").into(),
        policy: String::new(),
        filter: FilterInfo {
            name: None,
            source: String::new(),
            rules: 0,
        },
        host: gathered.host.unwrap_or_else(Host::default),
        cells: gathered.cells,
        skipped: Vec::new(),
        matrix: Vec::new(),
        wall_ms: 0,
        started: None,
    })
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

/// A job with nothing out of the ordinary: the generated filter under emulation, pcnet and virtio.
pub fn plain_job(source: &generate::Source, guest: Option<&Path>) -> Result<Job, Failure> {
    let filter = generated(&source.policy);
    let libvirt_cache = paths::libvirt_cache()?;
    Ok(Job {
        policy: source.text.clone(),
        policy_origin: source.origin.clone(),
        bind: Some(filter.name.clone()),
        filters: vec![filter],
        parameters: Vec::new(),
        kvm: false,
        guest: guest
            .map(std::path::absolute)
            .transpose()
            .map_err(Failure::usage)?,
        libvirt_cache: Some(libvirt_cache),
        snapshots: Some(paths::snapshots()?),
        out: None,
        cells: ["pcnet", "virtio"].map(CellPlan::linux).to_vec(),
        retries: 0,
        shortcuts: Shortcuts::all(),
        inject: None,
        rootless: !nix::unistd::geteuid().is_root(),
        foreign: Vec::new(),
        workers: 1,
        boot_only: false,
    })
}

/// The text of a generated filter, for the job.
fn generated(policy: &crate::policy::Policy) -> FilterText {
    let filter = nwfilter::generate(policy);
    FilterText {
        name: filter.name.clone(),
        xml: write(&filter),
        shipped: false,
    }
}

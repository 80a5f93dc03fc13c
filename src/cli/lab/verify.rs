//! `lanfence verify`: the run, its progress and its reports.

use super::guest_image::GuestImageOption;
use super::paths;
use super::selection::Select;
use crate::cli::baseline::{BaselineOptions, Loaded};
use crate::cli::failure::Failure;
use crate::cli::guest::{Besides, GuestOptions, Meant};
use crate::cli::options::{BackendOption, BindingOptions, PolicyOption, PolicySource, load};
use crate::cli::output::{complain, relative, say};
use crate::lab::Shortcuts;
use crate::nwfilter::{FilterTree, Strictness, generate};
use crate::report::baseline::{Comparison, Observed, Subject};
use crate::report::color;
use crate::report::github;
use crate::report::live::{Event, Live, Mode};
use crate::report::model::Run;
use crate::report::{html, json, junit, markdown, table, verdict_lines};
use crate::verdict::Exit;
use crate::verify::faults::InjectedFault;
use crate::verify::job::Job;
use crate::verify::plan::Plan;
use crate::verify::{
    AccelChoice, Binding, Cache, FilterUnderTest, Request, Workers, diagnose, identity,
};
use clap::{Args, ValueEnum};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// `--accel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AccelOption {
    /// KVM if lanfence's own guest boots under it, else TCG
    Auto,
    /// KVM; exit code 3 if it does not work
    Kvm,
    /// Emulation
    Tcg,
}

impl From<AccelOption> for AccelChoice {
    fn from(option: AccelOption) -> Self {
        match option {
            AccelOption::Auto => Self::Auto,
            AccelOption::Kvm => Self::Kvm,
            AccelOption::Tcg => Self::Tcg,
        }
    }
}

/// `--boot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BootChoice {
    /// From a snapshot; cold if the NIC must be present at boot
    Restore,
    /// By a cold boot
    Cold,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ColorChoice {
    /// If the output is a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct Options {
    /// Filter: a file, a folder of files, or the name of a filter that libvirt ships [default:
    /// the filter generated from the policy]
    #[arg(value_name = "FILTER", help_heading = "Filter", display_order = 0)]
    filters: Vec<PathBuf>,
    /// Another way to give a filter, for scripts that have an option for each.
    #[arg(long = "filter", value_name = "FILTER", hide = true)]
    more_filters: Vec<PathBuf>,
    #[command(flatten)]
    policy: PolicyOption,
    #[command(flatten)]
    guest: GuestOptions,
    #[command(flatten)]
    binding: BindingOptions,
    #[command(flatten)]
    backend: BackendOption,
    /// Run without a filter, to see that leaks are found; such a run always fails
    #[arg(long, help_heading = "Filter", conflicts_with_all = ["filters", "more_filters", "baseline"])]
    no_filter: bool,
    #[command(flatten)]
    baseline: BaselineOptions,
    #[command(flatten)]
    select: Select,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    lab: Lab,
}

/// What the run writes, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct Output {
    /// Write the run as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the run as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the run as a page for a browser
    ///
    /// One file that needs no network: every probe with its frame, the rule that decided and
    /// where it was seen. It links to the evidence of --out.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write one line for each verdict
    ///
    /// The file holds no times and no versions, so equal runs give equal files.
    #[arg(long, value_name = "FILE")]
    verdicts: Option<PathBuf>,
    /// Write a bundle of evidence for every cell that is not green
    ///
    /// A bundle holds a capture with the verdict as the comment of each packet, the kernel's
    /// rules, the filter, and the logs.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// List the probes of each cause of leaks and blocks
    #[arg(short, long)]
    verbose: bool,
    /// Print how many frames each rule of the filter matched
    #[arg(long)]
    coverage: bool,
    /// When to colour the output
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
}

impl Output {
    /// Makes the directory for evidence, and refuses files that cannot be written.
    fn prepare(&self) -> Result<Option<PathBuf>, Failure> {
        let out = self.out.as_deref().map(paths::output).transpose()?;
        let files = [&self.json, &self.junit, &self.html, &self.verdicts];
        files
            .into_iter()
            .flatten()
            .try_for_each(|file| paths::writable(file))?;
        Ok(out)
    }
}

/// How the cells are run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Lab")]
struct Lab {
    /// Accelerator for the guests
    #[arg(long, value_enum, default_value_t = AccelOption::Auto)]
    accel: AccelOption,
    /// Start guests from a snapshot or by a cold boot
    #[arg(long, value_enum, default_value_t = BootChoice::Restore)]
    boot: BootChoice,
    /// Number of cells to run side by side, each in its own lab [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Start no further cell after one that is not green
    #[arg(long)]
    fail_fast: bool,
    /// Try a cell that is not green up to N more times
    ///
    /// A cell that is green only on a later try is flaky, and a flaky cell is not green.
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    #[command(flatten)]
    guest: GuestImageOption,
    /// Turn off everything that only saves time but touches libvirtd, the rules or the guest
    ///
    /// The run takes longer; the verdicts are the same.
    #[arg(long)]
    no_shortcuts: bool,
    /// Break a part in the middle of each cell; docs/faults.md lists what can be broken.
    #[arg(long, value_name = "FAULT", hide = true)]
    inject: Option<InjectedFault>,
}

impl Lab {
    fn workers(&self) -> Workers {
        Workers {
            fail_fast: self.fail_fast,
            ..self.jobs.map_or_else(Workers::one_a_core, Workers::of)
        }
    }
}

/// Runs the cells and reports.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let baseline = options.baseline.load()?;
    let guest = named(options)?;
    let nic = guest.as_ref().and_then(|(_, meant)| meant.nic.as_deref());
    let select = options.select.with_nic(nic);
    let plan = select.plan(options.lab.guest.dir())?;
    if select.only_lists() {
        say(&select.listing(&plan))?;
        return Ok(Exit::Pass.into());
    }
    let (source, meant) = match guest {
        Some((source, meant)) => (source, Some(meant)),
        None => (options.policy.read()?, None),
    };
    let (filter, tree) = filter(options, &source, meant.as_ref())?;
    let filter = filter.leaving_out(&source.policy);
    let cache = Cache::open().map_err(Failure::host)?;
    let out = options.output.prepare()?;
    let job = Job {
        foreign: select.foreign(&plan)?,
        out,
        mac: meant.as_ref().and_then(|meant| meant.mac),
        backend: options
            .backend
            .with(meant.as_ref().and_then(|meant| meant.backend)),
        ..job(options, &source, &filter, &cache)?
    };
    let job = Job {
        parameters: meant.map_or(job.parameters, |meant| meant.parameters),
        ..job
    };
    if let Some(baseline) = &baseline {
        suits(baseline, &job, &plan)?;
    }
    let (parameters, mac, backend) = (job.parameters.clone(), job.mac, job.backend);
    let request = Request {
        job,
        plan,
        filter: filter.info,
        accel: options.lab.accel.into(),
        workers: options.lab.workers(),
        cache,
        started,
    };
    let mut run = show(options, request)?;
    let binding = Binding {
        tree: tree.as_ref(),
        parameters: &parameters,
        mac,
        backend,
    };
    run.causes = diagnose(&run, &source.policy, &binding);
    Ok(report(options, &run, baseline.as_ref()).into())
}

/// Checks that a baseline is about what is to be run.
fn suits(baseline: &Loaded, job: &Job, plan: &Plan) -> Result<(), Failure> {
    let name = job.bind.as_deref().zip(identity(job));
    let subject = name.map(|(name, identity)| Subject::of(name, &identity));
    let cells = plan.matrix.iter().map(String::as_str);
    subject.map_or(Ok(()), |subject| baseline.check(&subject, cells))
}

/// The guest that the options name, with the policy.
fn named(options: &Options) -> Result<Option<(PolicySource, Meant)>, Failure> {
    if !options.guest.is_given() {
        return Ok(None);
    }
    let source = options.policy.read()?;
    let filters = filters(options);
    let besides = Besides {
        filters: &filters,
        binding: &options.binding,
        mac: None,
        backend: options.backend.given(),
        strictness: Strictness::Strict,
        policy: Some(&source.policy),
    };
    let own = || Ok(FilterTree::generated(generate(&source.policy)));
    let meant = options.guest.meant(besides, own)?;
    Ok(Some((source, meant)))
}

fn filters(options: &Options) -> Vec<PathBuf> {
    [&options.filters[..], &options.more_filters[..]].concat()
}

/// The filter that the options name: that of the guest, the user's own, none, or the generated
/// one; with its tree.
fn filter(
    options: &Options,
    source: &PolicySource,
    meant: Option<&Meant>,
) -> Result<(FilterUnderTest, Option<FilterTree>), Failure> {
    if options.no_filter {
        return Ok((FilterUnderTest::none(), None));
    }
    let (policy, origin) = (&source.policy, &source.origin);
    if let Some(meant) = meant {
        let mut filter =
            FilterUnderTest::own(&meant.tree, &meant.parameters).map_err(Failure::usage)?;
        if meant.tree.paths().is_empty() {
            filter.info.source = format!("generated from {origin}");
        }
        if let Some(guest) = &meant.guest {
            filter.info.source = format!("{}, for {guest}", filter.info.source);
        }
        return Ok((filter, Some(meant.tree.clone())));
    }
    let given = filters(options);
    if given.is_empty() {
        let tree = FilterTree::generated(generate(policy));
        return Ok((FilterUnderTest::generated(policy, origin), Some(tree)));
    }
    let tree = load(&given, options.binding.bind.as_deref(), Strictness::Strict)?;
    let filter =
        FilterUnderTest::own(&tree, &options.binding.parameters.list).map_err(Failure::usage)?;
    Ok((filter, Some(tree)))
}

fn job(
    options: &Options,
    source: &PolicySource,
    filter: &FilterUnderTest,
    cache: &Cache,
) -> Result<Job, Failure> {
    let job = Job::new((&source.text, &source.origin), filter, cache).map_err(Failure::host)?;
    let restore = options.lab.boot == BootChoice::Restore;
    Ok(Job {
        guest: options
            .lab
            .guest
            .dir()
            .map(std::path::absolute)
            .transpose()
            .map_err(Failure::usage)?,
        parameters: options.binding.parameters.list.clone(),
        retries: options.lab.retries,
        shortcuts: if options.lab.no_shortcuts {
            Shortcuts::none()
        } else {
            job.shortcuts
        },
        snapshots: job.snapshots.filter(|_| restore),
        inject: options.lab.inject,
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
    let choice = match options.output.color {
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
fn report(options: &Options, run: &Run, baseline: Option<&Loaded>) -> Exit {
    let terminal = std::io::stdout().is_terminal();
    let mut bad = Vec::new();
    let color = paint(options, terminal);
    let compared = baseline.and_then(|baseline| {
        let observed = Observed::of(run, "this run").map_err(Failure::usage);
        let observed = observed.map_err(|failure| bad.push(failure)).ok()?;
        Some((baseline.against(), baseline.compare(&observed)))
    });
    let text = match &compared {
        Some((against, found)) => table::compared(run, found, *against, color),
        None if options.output.verbose => table::with_probes(run, None, color),
        None => table::table(run, None, color),
    };
    bad.extend(say(&text).err());
    if options.output.coverage {
        bad.extend(say(&format!("\n{}", table::coverage(run))).err());
    }
    let files = &options.output;
    bad.extend(write(files.json.as_deref(), || Ok(json::to_json(run))).err());
    let found = compared.as_ref().map(|(_, found)| found);
    let junit = || junit::compared(run, found).map_err(Failure::host);
    bad.extend(write(files.junit.as_deref(), junit).err());
    let page = || {
        let evidence = files.html.as_deref().zip(files.out.as_deref());
        let evidence = evidence
            .map(|(page, out)| relative(page, out))
            .transpose()?;
        Ok(html::compared(run, evidence.as_deref(), found))
    };
    bad.extend(write(files.html.as_deref(), page).err());
    let verdicts = || Ok(verdict_lines::verdict_lines(run));
    bad.extend(write(files.verdicts.as_deref(), verdicts).err());
    if std::env::var_os("GITHUB_ACTIONS").is_some() {
        bad.extend(to_github(run, compared.as_ref()).err());
    }
    for failure in &bad {
        complain(failure);
    }
    let exit = match &compared {
        Some((against, found)) => found.conclusion(against.strict).exit(),
        None => run.exit(),
    };
    match exit {
        Exit::Pass if !bad.is_empty() => Exit::Host,
        exit => exit,
    }
}

/// Writes a file that was asked for.
fn write(
    path: Option<&Path>,
    text: impl FnOnce() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text()?).map_err(|error| Failure::file(path, error))
}

fn to_github(
    run: &Run,
    compared: Option<&(table::Against<'_>, Comparison)>,
) -> Result<(), Failure> {
    let annotations = match compared {
        Some((_, found)) => github::changes(run, found),
        None => github::annotations(run),
    };
    let lines: Vec<String> = annotations
        .into_iter()
        .map(|line| format!("{line}\n"))
        .collect();
    say(&lines.concat())?;
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") else {
        return Ok(());
    };
    let mut text = markdown::markdown(run);
    if let Some((against, found)) = compared {
        let changes = table::comparison(found, *against, false);
        text = format!("```text\n{}\n```\n\n{text}", changes.trim());
    }
    std::fs::File::options()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut summary| summary.write_all(text.as_bytes()))
        .map_err(|error| Failure::file(Path::new(&path), error))
}
